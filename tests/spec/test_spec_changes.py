"""What an edit of a file is: which fields, what each needs, and which way it goes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runner.spec.changes import Direction, changes, direction_of, effective, strongest
from runner.spec.folder import load_text
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
    ("on_remove", "flatten", "on_remove", "meta", "neutral"),
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


def test_a_symbol_that_is_described_differently_is_another_one() -> None:
    found = changes(spec_of(), spec_of(("universe.symbols", ["AAPL", {"symbol": "MSFT", "exchange": "ISLAND"}])))
    assert [(change.path, change.direction) for change in found] == [("universe.symbols[MSFT]", "looser")]


STOCKS = {"library": "us_stocks"}
FUTURES = STOCKS | {"defaults": {"sec_type": "FUT", "exchange": "CME", "expiry": "202612"}}
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
    ("exits", None, CHANDELIER, "tighter", "looser"),
    ("exits", CHANDELIER, {"quick": {"use": "chandelier"}}, "looser", "looser"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "before", "after", "there", "back"), ACROSS)
def test_there_and_back(key: str, before: object, after: object, there: str, back: str) -> None:
    old, new = (spec_of(*([] if value is None else [(key, value)])) for value in (before, after))
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
