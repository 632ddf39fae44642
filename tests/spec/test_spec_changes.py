"""What an edit of a file is: which fields, what each needs, and which way it goes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runner.base_params import BaseParams
from runner.blocks import Kind, WeightBounds, param, params_of
from runner.spec.changes import Direction, changes, direction_of, direction_of_param, effective, strongest
from runner.spec.folder import load_text
from runner.spec.reach import bounds_of
from runner.spec.spec import StrategySpec

BASE = """spec: 1
name: TREND
universe:
  symbols: [AAPL, MSFT]
bars: {size: 1 day, history: 200}
signals:
  trend: {use: sma_cross, with: {fast: 20, slow: 60}}
sizing: {use: volatility_target, with: {annual_vol: 0.15, max_leverage: 1.0}}
params: {target_weight: 0.2, min_weight: 0.1, max_weight: 0.5, max_position_size: 0.5, max_daily_loss: 0.02,
  max_daily_trades: 10, stop_loss: 0.05, trailing_stop_loss: 0.1, take_profit: 0.2, risk_per_trade: 0.02}
schedule: {calendar: XNYS, window: ["09:35", "15:50"]}
"""


def spec_of(*edits: tuple[str, object]) -> StrategySpec:
    """BASE with values set by dotted path; None removes a key."""
    document = yaml.safe_load(BASE)
    for path, value in edits:
        *parents, last = path.split(".")
        section = document
        for part in parents:
            section = section.setdefault(part, {})
        if value is None:
            del section[last]
        else:
            section[last] = value
    loaded = load_text(yaml.safe_dump(document, sort_keys=False), path=Path("a.yaml"))
    assert loaded.spec is not None, loaded.problems
    return loaded.spec


ROWS = [
    # path set, new value, field that changes, class, direction
    ("description", "x", "description", "meta", "neutral"),
    ("owner", "ana", "owner", "meta", "neutral"),
    ("tags", ["a"], "tags", "meta", "neutral"),
    ("on_remove", "flatten", "on_remove", "live", "neutral"),
    ("enabled", False, "enabled", "live", "tighter"),
    ("params.max_position_size", 0.4, "params.max_position_size", "live", "tighter"),
    ("params.max_position_size", 0.6, "params.max_position_size", "live", "looser"),
    ("params.max_position_size", 0, "params.max_position_size", "live", "looser"),
    ("params.max_position_size", None, "params.max_position_size", "live", "looser"),
    ("params.max_weight", 0.4, "params.max_weight", "live", "tighter"),
    ("params.target_weight", 0.3, "params.target_weight", "live", "looser"),
    ("params.target_weight", 0.1, "params.target_weight", "live", "tighter"),
    ("params.max_daily_loss", 0.01, "params.max_daily_loss", "live", "tighter"),
    ("params.max_daily_loss", None, "params.max_daily_loss", "live", "looser"),
    ("params.max_daily_trades", 5, "params.max_daily_trades", "live", "tighter"),
    ("params.max_daily_trades", 11, "params.max_daily_trades", "live", "looser"),
    ("params.stop_loss", 0.03, "params.stop_loss", "live", "tighter"),
    ("params.stop_loss", 0.08, "params.stop_loss", "live", "looser"),
    ("params.trailing_stop_loss", 0.05, "params.trailing_stop_loss", "live", "tighter"),
    ("params.take_profit", 0.3, "params.take_profit", "live", "neutral"),
    ("params.risk_per_trade", 0.01, "params.risk_per_trade", "live", "tighter"),
    ("signals.trend.with.slow", 90, "signals.trend.with.slow", "rebuild", "neutral"),
    ("signals.trend.use", "momentum", None, "rebuild", "neutral"),
    ("sizing.with.max_leverage", 0.8, "sizing.with.max_leverage", "rebuild", "tighter"),
    ("sizing.with.annual_vol", 0.2, "sizing.with.annual_vol", "rebuild", "looser"),
    ("sizing.with.min_vol", 0.05, "sizing.with.min_vol", "rebuild", "tighter"),
    ("universe.symbols", ["AAPL", "MSFT", "IBM"], "universe.symbols[IBM]", "resubscribe", "looser"),
    ("universe.symbols", ["AAPL"], "universe.symbols[MSFT]", "resubscribe", "tighter"),
    ("bars.history", 300, "bars.history", "resubscribe", "neutral"),
    ("bars.regular_hours", False, "bars.regular_hours", "resubscribe", "neutral"),
    ("reload", {"loosening": "confirm"}, "reload.loosening", "live", "tighter"),
    ("reload", {"loosening": "auto"}, "reload.loosening", "live", "looser"),
    ("schedule.window", ["09:45", "15:30"], "schedule.window", "live", "tighter"),
    ("schedule.window", ["09:30", "15:50"], "schedule.window", "live", "looser"),
    ("schedule.window", ["09:45", "15:55"], "schedule.window", "live", "looser"),
    ("schedule.window", None, "schedule.window", "live", "looser"),
    ("schedule.evaluate", "15:45", "schedule.evaluate", "live", "neutral"),
    ("schedule.flatten_at", "15:55", "schedule.flatten_at", "live", "tighter"),
    ("schedule.on", "month_end", "schedule.on", "live", "neutral"),
    ("schedule.calendar", "XNAS", "schedule.calendar", "live", "neutral"),  # another name of it
    ("schedule.calendar", "XLON", "schedule.calendar", "live", "looser"),  # the window moves
    ("execution.order", "limit", "execution.order", "live", "neutral"),
    ("hooks.on_fill", "acme.hooks:say", "hooks.on_fill", "restart", "looser"),
    ("name", "OTHER", "name", "identity", "neutral"),
]


@pytest.mark.parametrize(("path", "value", "field", "apply", "direction"), ROWS)
def test_a_field_has_its_class_and_its_direction(
    path: str, value: object, field: str | None, apply: str, direction: str
) -> None:
    if path == "signals.trend.use":
        new = spec_of(("signals.trend.with", {"lookback": 60}), (path, value))
    else:
        new = spec_of((path, value))
    found = changes(spec_of(), new)
    if field is not None:
        assert [change.path for change in found] == [field]
    assert (strongest(found), direction_of(found)) == (apply, direction)


def test_the_same_strategy_written_differently_does_not_change() -> None:
    old = load_text(BASE, path=Path("a.yaml")).spec
    text = BASE.replace("universe:\n  symbols: [AAPL, MSFT]", 'universe: "AAPL, MSFT"').replace(
        "fast: 20, slow: 60", "slow: 60, fast: 20, allow_short: false"
    )
    new = load_text(f"# another comment\n{text}enabled: true\n", path=Path("b.yaml")).spec
    assert old is not None and new is not None
    assert changes(old, new) == ()
    assert strongest(()) == "meta" and direction_of(()) is Direction.NEUTRAL


@pytest.mark.parametrize(
    ("combine", "counts"),
    [
        ({"use": "first"}, True),
        ({"use": "all_of"}, False),
        ({"use": "any_of"}, False),
        ({"use": "weighted", "with": {"weights": {"a": 1, "b": 2, "c": 3}}}, False),
    ],
)
def test_signals_in_another_order_are_a_change_where_it_counts(combine: object, counts: bool) -> None:
    specs = [
        spec_of(("signals", {name: {"use": "sma_cross"} for name in names}), ("combine", combine))
        for names in ("abc", "acb")
    ]
    for old, new in (specs, reversed(specs)):
        found = [(change.path, change.apply, change.direction) for change in changes(old, new)]
        assert found == ([("signals", "rebuild", "neutral")] if counts else [])
    if counts:
        assert str(changes(*specs)[0]) == "signals [b, c] → [c, b]"


def test_symbols_in_another_order_are_a_change_beside_those_that_come_and_go() -> None:
    old, new = spec_of(("universe", "A, B, C, D")), spec_of(("universe", "A, D, E, C"))
    found = {change.path: change for change in changes(old, new)}
    assert set(found) == {"universe.symbols[B]", "universe.symbols[E]", "universe.symbols"}
    one = found["universe.symbols"]
    assert (str(one), one.apply, one.direction) == ("universe.symbols [C, D] → [D, C]", "rebuild", "neutral")
    assert changes(old, spec_of(("universe", ["A", "B", "C", "D"]))) == ()


def test_a_symbol_that_is_described_differently_is_another_one() -> None:
    found = changes(spec_of(), spec_of(("universe.symbols", ["AAPL", {"symbol": "MSFT", "exchange": "ISLAND"}])))
    assert [(change.path, change.direction) for change in found] == [("universe.symbols[MSFT]", "looser")]


STOCKS = {"library": "us_stocks"}
FUTURES = STOCKS | {"defaults": {"sec_type": "FUT", "exchange": "CME", "expiry": "202612"}}


def equal(**settings: object) -> dict[str, object]:
    return {"use": "equal_weight", "with": settings}


def volatility(**settings: object) -> dict[str, object]:
    return {"use": "volatility_target", "with": settings}


def table(**weights: float) -> dict[str, object]:
    return {"use": "fixed_weights", "with": {"weights": weights}}


def signal(use: str, name: str = "trend", **settings: object) -> dict[str, object]:
    return {name: {"use": use, "with": settings}}


XNYS = {"calendar": "XNYS"}
WINDOW = {"window": ["10:00", "15:00"]}
CHANDELIER = {"slow": {"use": "chandelier"}}
ACROSS = [
    # key, old value, new value, direction there, direction back
    ("universe", {"symbols": ["AAPL"]}, STOCKS, "looser", "looser"),
    ("universe", {"symbols": ["AAPL"]}, STOCKS | {"max_symbols": 5}, "looser", "looser"),
    ("universe", STOCKS, {"library": "others"}, "looser", "looser"),
    ("universe", STOCKS, FUTURES, "looser", "looser"),
    ("universe", STOCKS | {"max_symbols": 5}, STOCKS | {"max_symbols": 50}, "looser", "tighter"),
    ("universe", STOCKS | {"max_symbols": 50}, STOCKS, "looser", "tighter"),
    ("universe", ["AAPL"], ["MSFT"], "looser", "looser"),
    ("schedule", XNYS, XNYS | {"flatten_at": "close-5m"}, "tighter", "looser"),
    ("schedule", XNYS | {"flatten_at": "close-30m"}, XNYS | {"flatten_at": "close-5m"}, "looser", "tighter"),
    ("schedule", XNYS | {"flatten_at": "open+30m"}, XNYS | {"flatten_at": "open+1m"}, "tighter", "looser"),
    ("schedule", XNYS | {"flatten_at": "12:00"}, XNYS | {"flatten_at": "11:55"}, "tighter", "looser"),
    ("schedule", XNYS | {"flatten_at": "15:55"}, XNYS | {"flatten_at": "close-5m"}, "neutral", "neutral"),
    ("schedule", XNYS | {"flatten_at": "12:00"}, {"calendar": "XLON", "flatten_at": "11:00"}, "neutral", "neutral"),
    ("schedule", {"calendar": "CMES", "flatten_at": "18:00"}, {"calendar": "CME", "flatten_at": "10:00"},
     "looser", "tighter"),  # the session began on the evening before
    ("schedule", XNYS, {"calendar": "XLON"}, "neutral", "neutral"),
    ("schedule", XNYS | WINDOW, {"calendar": "XLON", "window": ["12:00", "12:30"]}, "looser", "looser"),
    ("schedule", XNYS, {"calendar": "XLON"} | WINDOW, "tighter", "looser"),
    # Another sizing: by the weights that the two can come to.
    ("sizing", equal(gross=0.2), volatility(annual_vol=5, max_leverage=10), "looser", "neutral"),
    ("sizing", equal(), volatility(), "neutral", "neutral"),
    ("sizing", equal(), volatility(max_leverage=1.1), "looser", "neutral"),
    ("sizing", equal(), table(AAPL=0.5, MSFT=0.1), "neutral", "looser"),
    ("sizing", equal(), table(AAPL=-0.5), "looser", "looser"),  # short, or 1.0 in place of 0.5
    ("sizing", volatility(max_leverage=2), {"use": "risk_per_trade"}, "tighter", "looser"),  # max_leverage is both's
    ("sizing", equal(share_of="universe"), equal(), "looser", "neutral"),  # 0.5 each, 1.0 in one of them
    ("sizing", equal(max_names=10), equal(max_names=1), "neutral", "neutral"),
    ("sizing", equal(share_of="universe"), equal(share_of="universe", max_names=1), "looser", "neutral"),
    ("sizing", {"use": "risk_per_trade"}, {"use": "risk_per_trade", "with": {"stop": "atr"}}, "looser", "neutral"),
    ("sizing", volatility(bars_per_year=252), volatility(bars_per_year=12), "looser", "tighter"),
    ("sizing", table(AAPL=0.1), table(AAPL=1), "looser", "tighter"),
    ("sizing", table(AAPL=0.1), table(AAPL=0.05, MSFT=0.01), "looser", "looser"),
    ("sizing", table(AAPL=0.1, MSFT=-0.2), table(AAPL=0.1), "tighter", "looser"),
    ("sizing", table(AAPL=0.1), table(AAPL=-0.05), "looser", "looser"),
    # Other signals: by the sides that their score can have.
    ("signals", signal("sma_cross"), signal("momentum", lookback=60), "neutral", "neutral"),
    ("signals", signal("sma_cross"), signal("sma_cross", allow_short=True), "looser", "neutral"),
    ("signals", signal("sma_cross"), signal("sma_cross") | signal("rsi", "b", period=5), "neutral", "neutral"),
    ("signals", signal("sma_cross"), signal("sma_cross") | signal("rsi", "b", period=5, allow_short=True),
     "looser", "neutral"),
    ("exits", None, CHANDELIER, "tighter", "looser"),
    ("exits", CHANDELIER, {"quick": {"use": "chandelier"}}, "looser", "looser"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "before", "after", "there", "back"), ACROSS)
def test_there_and_back(key: str, before: object, after: object, there: str, back: str) -> None:
    first = ("combine", {"use": "first"})
    old, new = (spec_of(first, *([] if value is None else [(key, value)])) for value in (before, after))
    assert (direction_of(changes(old, new)), direction_of(changes(new, old))) == (there, back)


@pytest.mark.parametrize("section", ["sizing", "signals", "exits"])
def test_the_settings_of_a_block_that_comes_or_goes_have_no_direction_of_their_own(section: str) -> None:
    changed = {
        "sizing": ("sizing", {"use": "equal_weight"}),
        "signals": ("signals", {"break": {"use": "donchian_breakout"}}),
        "exits": ("exits.slow", {"use": "chandelier"}),
    }[section]
    old, new = spec_of(), spec_of(changed)
    for found in (changes(old, new), changes(new, old)):
        assert found and all(c.direction is Direction.NEUTRAL for c in found if ".with." in c.path), found


SIZINGS = st.one_of(
    st.builds(
        equal,
        gross=st.sampled_from([0.1, 0.5, 1, 3]),
        max_names=st.sampled_from([None, 1, 2]),
        share_of=st.sampled_from(["active", "universe"]),
    ),
    st.builds(volatility, annual_vol=st.sampled_from([0.01, 0.15, 5]), max_leverage=st.sampled_from([0.5, 1, 10])),
    st.builds(table, AAPL=st.sampled_from([0.1, 0.5, -0.5]), MSFT=st.sampled_from([0.1, 0.4])),
    st.builds(
        lambda **settings: {"use": "risk_per_trade", "with": settings},
        stop=st.sampled_from(["stop_loss", "atr"]),
        max_leverage=st.sampled_from([0.5, 1, 10]),
    ),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(SIZINGS, SIZINGS, st.sampled_from([0.01, 0.05]), st.sampled_from([0.01, 0.05]))
def test_whatever_can_come_to_larger_weights_is_looser(
    before: dict[str, object], after: dict[str, object], stop: float, other_stop: float
) -> None:
    old = spec_of(("sizing", before), ("params.stop_loss", stop))
    new = spec_of(("sizing", after), ("params.stop_loss", other_stop))
    was, is_now = bounds_of(old), bounds_of(new)
    assert was.largest and is_now.largest and was.gross and is_now.gross
    if is_now.largest > 1.001 * was.largest or is_now.gross > 1.001 * was.gross:
        assert direction_of(changes(old, new)) is Direction.LOOSER


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A sizing of another package, which says nothing of which way `lean` and `calm` go."""

    name: ClassVar[str] = "foreign"
    lean: float = param(0.1, "how large its weights are")
    calm: float = param(0.1, "something else")

    @property
    def warmup(self) -> int:
        return 1


class Bounding(Foreign):
    def bounds(self, instruments: int | None, params: Any) -> WeightBounds:
        return WeightBounds(largest=self.lean, gross=self.lean)


class Failing(Foreign):
    def bounds(self, instruments: int | None, params: Any) -> WeightBounds:
        raise ZeroDivisionError


def sized_by(sizing: Any) -> StrategySpec:
    return dataclasses.replace(spec_of(), sizing=sizing, plugged_in={(Kind.SIZING, "acme:foreign"): type(sizing)})


@pytest.mark.parametrize(
    ("old", "new", "direction"),
    [
        (sized_by(Bounding(lean=0.5)), sized_by(Bounding(lean=0.1)), "neutral"),
        (sized_by(Bounding(lean=0.1)), sized_by(Bounding(lean=0.5)), "looser"),
        (sized_by(Bounding(lean=0.5, calm=1)), sized_by(Bounding(lean=0.5, calm=2)), "neutral"),
        (sized_by(Foreign(lean=0.1)), sized_by(Foreign(lean=0.5)), "neutral"),  # nobody can tell
        (spec_of(), sized_by(Bounding(lean=0.5)), "neutral"),
        (spec_of(), sized_by(Bounding(lean=1.5)), "looser"),
        (spec_of(), sized_by(Foreign()), "looser"),
        (spec_of(), sized_by(Failing()), "looser"),
        (sized_by(Foreign()), spec_of(), "looser"),
    ],
)
def test_a_sizing_of_another_package_is_judged_by_what_it_says_of_itself(
    old: StrategySpec, new: StrategySpec, direction: str
) -> None:
    assert direction_of(changes(old, new)) == direction


class StopReading(Foreign):
    sized_by_stop: ClassVar[bool] = True


class Regardless(Foreign):
    sized_by_stop: ClassVar[bool] = False


class Dividing(Foreign):
    def bounds(self, instruments: int | None, params: Any) -> WeightBounds:
        return WeightBounds(largest=self.lean / params.stop_loss, gross=1)


RISK = {"use": "risk_per_trade", "with": {"max_leverage": 10}}
NOT_BY_STOP = {"use": "risk_per_trade", "with": {"stop": "atr"}}


@pytest.mark.parametrize(
    ("spec", "nearer", "farther"),
    [
        (spec_of(), "tighter", "looser"),
        (spec_of(("sizing", equal())), "tighter", "looser"),
        (spec_of(("sizing", table(AAPL=0.5))), "tighter", "looser"),
        (spec_of(("sizing", NOT_BY_STOP)), "tighter", "looser"),
        (spec_of(("sizing", RISK)), "looser", "looser"),
        (sized_by(StopReading()), "looser", "looser"),
        (sized_by(Regardless()), "tighter", "looser"),
        (sized_by(Foreign()), "looser", "looser"),  # nobody knows
        (sized_by(Bounding()), "neutral", "looser"),  # not larger than they could be before
        (sized_by(Dividing()), "looser", "looser"),
        (sized_by(Failing()), "looser", "looser"),
    ],
)
def test_a_nearer_stop_is_tighter_unless_positions_become_larger_with_it(
    spec: StrategySpec, nearer: str, farther: str
) -> None:
    for stop, direction in ((0.01, nearer), (0.09, farther), (0, "looser"), (0.05, "neutral")):
        assert direction_of_param(spec, "params.stop_loss", 0.05, stop) == direction
        changed = dataclasses.replace(spec, params=dataclasses.replace(spec.params, stop_loss=stop))
        assert direction_of(changes(spec, changed)) == direction
    for unusable in (-1, -(10**400)):
        assert direction_of_param(spec, "params.stop_loss", 0.05, unusable) != "neutral"  # and no error
    assert direction_of_param(spec, "params.stop_loss", 0.05, 10**400) == "looser"
    assert direction_of_param(spec, "params.risk_per_trade", 0.02, 0.01) == "tighter"
    assert direction_of_param(spec, "enabled", True, False) == "tighter"


def test_what_a_tightening_enforces_before_the_rest_of_it_can_only_lessen_risk() -> None:
    """The parameters of a change that is tighter as a whole are in force at once, those without a direction too. What
    the gate asks has one; a file has its universe elsewhere, and the gate does not ask for the target."""
    assert {info.name for info in params_of(BaseParams) if info.direction is None} == {"universe", "take_profit"}


def test_one_looser_field_makes_the_whole_change_looser() -> None:
    found = changes(spec_of(), spec_of(("params.stop_loss", 0.01), ("params.max_daily_trades", 20)))
    assert {change.direction for change in found} == {"tighter", "looser"}
    assert direction_of(found) is Direction.LOOSER
    assert [str(change) for change in found] == ["params.max_daily_trades 10 → 20", "params.stop_loss 0.05 → 0.01"]


EDITS = st.lists(
    st.sampled_from([(path, value) for path, value, field, *_ in ROWS if field and path != "name"]), max_size=4
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(EDITS, EDITS)
def test_what_tightens_one_way_loosens_the_other(
    first: list[tuple[str, object]], second: list[tuple[str, object]]
) -> None:
    for edits in (dict(first), dict(second)):
        # The rows' times are outside the rows' windows, and those of another calendar outside of its session.
        assume(not {"schedule.window", "schedule.evaluate"} <= set(edits))
    old, new = spec_of(*dict(first).items()), spec_of(*dict(second).items())
    there, back = changes(old, new), changes(new, old)
    assert {(c.path, c.apply) for c in there} == {(c.path, c.apply) for c in back}
    by_path = {change.path: change for change in there}
    for change in back:
        one = by_path[change.path]
        assert (change.old, change.new) == (one.new, one.old)
        assert change.direction is not Direction.TIGHTER or one.direction is Direction.LOOSER, change
        assert one.direction is not Direction.TIGHTER or change.direction is Direction.LOOSER, change


def test_every_value_that_the_strategy_runs_with_is_there_defaults_included() -> None:
    values = effective(spec_of())
    assert values["signals.trend.with.allow_short"] is False
    assert values["params.stop_loss"] == 0.05 and values["execution.tif"] == "DAY"
    assert values["universe.symbols[AAPL]"]["exchange"] == "SMART"
    assert values["schedule.window"] == ["09:35", "15:50"] and values["schedule.every"] is None
