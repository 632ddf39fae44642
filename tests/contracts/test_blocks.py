"""What every block promises, asked of every block in the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jsonschema
import numpy as np
import pytest

from runner.base_params import BaseParams
from runner.blocks import EITHER, LONG, Bounded, Kind, Limited, Sided, build, json_schema, order_counts, params_of
from runner.catalog import BUILT_IN
from runner.model.panel import FloatArray, Panel
from runner.spec.rules.sides import score_sides
from runner.trial import broken_promises

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
PARAMS = BaseParams(stop_loss=0.05)
ALL = [(kind, name) for kind in Kind for name in BUILT_IN.blocks(kind)]
PRICED = [(kind, name) for kind, name in ALL if kind is not Kind.COMBINE]
VARIANTS = [(kind, name, {}) for kind, name in ALL] + [
    (Kind.SIGNAL, "momentum", {"lookback": 60, "skip": 5, "top": 2, "allow_short": True}),
    (Kind.SIGNAL, "momentum", {"lookback": 20, "skip": 0, "top": None, "allow_short": True}),
    (Kind.SIGNAL, "sma_cross", {"fast": 1, "slow": 2, "allow_short": True}),
    (Kind.SIGNAL, "rsi", {"period": 2, "low": 10, "high": 90, "max_hold": 3, "allow_short": True}),
    (Kind.SIGNAL, "donchian_breakout", {"entry": 20, "exit": 10, "max_hold": 30, "allow_short": True}),
    (Kind.SIZING, "equal_weight", {"max_names": 2, "share_of": "universe"}),
    (Kind.SIZING, "risk_per_trade", {"stop": "stop_loss", "max_leverage": 2.0}),
    (Kind.EXIT, "chandelier", {"window": 2, "mult": 0.5}),
]
IDS = [f"{kind}-{name}-{number}" for number, (kind, name, _) in enumerate(VARIANTS)]
every_block = pytest.mark.parametrize(("kind", "name", "changes"), VARIANTS, ids=IDS)
priced_block = pytest.mark.parametrize(
    ("kind", "name", "changes"), [variant for variant in VARIANTS if variant[0] is not Kind.COMBINE]
)


def make(kind: Kind, name: str, changes: dict[str, Any]) -> Any:
    cls = BUILT_IN.find(kind, name)
    return build(cls, {**cls.example, **changes})


def walk(bars: int, seed: int = 7) -> Panel:
    """A seeded random walk with highs and lows around it; prices to the cent, so that averages do touch."""
    random = np.random.default_rng(seed)
    close = np.round(100.0 * np.exp(np.cumsum(random.normal(0, 0.015, (bars, len(SYMBOLS))), axis=0)), 2)
    open_ = np.round(close * np.exp(random.normal(0, 0.004, close.shape)), 2)
    return Panel(
        symbols=SYMBOLS,
        times=np.arange(bars).astype("datetime64[D]").astype("datetime64[ns]"),
        open=open_,
        high=np.round(np.maximum(open_, close) * 1.004, 2),
        low=np.round(np.minimum(open_, close) * 0.996, 2),
        close=close,
        volume=random.integers(1_000, 9_000, close.shape).astype(float),
    )


def cut(panel: Panel, rows: slice) -> Panel:
    fields = {name: getattr(panel, name)[rows] for name in ("times", "open", "high", "low", "close", "volume")}
    return Panel(symbols=panel.symbols, **fields)


def without(panel: Panel, holes: Any) -> Panel:
    fields = {}
    for name in ("open", "high", "low", "close", "volume"):
        fields[name] = np.where(holes, np.nan, getattr(panel, name))
    return Panel(symbols=panel.symbols, times=panel.times, **fields)


def scores_for(panel: Panel) -> FloatArray:
    """Scores as a signal gives them: a function of the prices of each row, so that it can be cut like they can."""
    return np.where(np.isfinite(panel.close), np.round(np.sin(panel.close), 1), np.nan)


def run(kind: Kind, block: Any, panel: Panel) -> FloatArray:
    if kind is Kind.SIGNAL:
        return np.asarray(block.compute(panel))
    if kind is Kind.SIZING:
        return np.asarray(block.compute(panel, scores_for(panel), PARAMS))
    if kind is Kind.EXIT:
        long, short = block.compute(panel)
        assert (long.dtype, short.dtype) == (np.bool_, np.bool_)
        return np.where(long, 1.0, 0.0) + np.where(short, 2.0, 0.0)
    names = list(getattr(block, "weights", {"a": 1, "b": 1}))
    return np.asarray(block.compute({name: np.cos(panel.close + i) for i, name in enumerate(names)}))


def warmup_of(kind: Kind, block: Any) -> int:
    return 1 if kind is Kind.COMBINE else int(block.warmup)


@every_block
def test_defaults_or_example_build_and_describe_themselves(kind: Kind, name: str, changes: dict[str, Any]) -> None:
    block = make(kind, name, changes)
    cls = type(block)
    assert cls.name == name
    values = {info.name: getattr(block, info.name) for info in params_of(cls)}
    validator = jsonschema.Draft202012Validator(json_schema(cls))
    assert [error.message for error in validator.iter_errors(values)] == []
    assert build(cls, values) == block
    if not any(info.required for info in params_of(cls)):
        assert build(cls, {}) == cls()


@every_block
def test_it_keeps_the_promises_that_foreign_blocks_are_tried_for(
    kind: Kind, name: str, changes: dict[str, Any]
) -> None:
    block = make(kind, name, changes)
    names = list(getattr(block, "weights", ("one", "two")))
    symbols = names if name == "fixed_weights" else SYMBOLS
    assert broken_promises(kind, block, symbols=symbols, signals=names, params=PARAMS) == ()


@every_block
def test_the_result_has_the_shape_of_the_panel(kind: Kind, name: str, changes: dict[str, Any]) -> None:
    block = make(kind, name, changes)
    for bars in (0, 1, 2, warmup_of(kind, block), warmup_of(kind, block) + 3):
        result = run(kind, block, walk(bars))
        assert result.shape == (bars, len(SYMBOLS))
        assert result.dtype == np.float64


@every_block
def test_values_begin_with_the_last_bar_of_the_warm_up(kind: Kind, name: str, changes: dict[str, Any]) -> None:
    block = make(kind, name, changes)
    panel = walk(warmup_of(kind, block) + 40)
    result = run(kind, block, panel)
    assert np.isfinite(result[warmup_of(kind, block) - 1 :]).all()
    if kind is Kind.SIGNAL:
        assert np.isnan(result[: warmup_of(kind, block) - 1]).all()
    if kind is Kind.EXIT:
        assert (result[: warmup_of(kind, block) - 1] == 0.0).all()


@every_block
def test_scores_and_weights_stay_in_their_bounds(kind: Kind, name: str, changes: dict[str, Any]) -> None:
    block = make(kind, name, changes)
    result = run(kind, block, walk(warmup_of(kind, block) + 300))
    if kind is Kind.SIZING:
        leverage = getattr(block, "max_leverage", getattr(block, "gross", 1.0))
        assert np.nansum(np.abs(result), axis=1).max() <= leverage + 1e-12
    elif kind is Kind.EXIT:
        assert set(np.unique(result)) > {0.0}, "it fires now and then, and not always"
    else:
        assert np.nanmax(np.abs(result)) <= 1.0


@every_block
def test_a_row_depends_on_no_later_row(kind: Kind, name: str, changes: dict[str, Any]) -> None:
    block = make(kind, name, changes)
    panel = walk(warmup_of(kind, block) + 60)
    whole = run(kind, block, panel)
    for end in range(panel.bars - 50, panel.bars, 7):
        part = run(kind, block, cut(panel, slice(0, end)))
        np.testing.assert_array_equal(part, whole[:end])


@every_block
def test_after_the_warm_up_a_window_gives_the_values_of_the_whole_history(
    kind: Kind, name: str, changes: dict[str, Any]
) -> None:
    block = make(kind, name, changes)
    warmup = warmup_of(kind, block)
    panel = walk(warmup + 900)
    whole = run(kind, block, panel)
    for start in range(0, 880, 110):
        window = run(kind, block, cut(panel, slice(start, start + warmup + 5)))
        np.testing.assert_allclose(window[warmup - 1 :], whole[start + warmup - 1 : start + warmup + 5], atol=1e-4)


@every_block
def test_the_same_input_gives_the_same_bits_and_is_not_changed(kind: Kind, name: str, changes: dict[str, Any]) -> None:
    panel = walk(warmup_of(kind, make(kind, name, changes)) + 50)
    before = panel.close.copy()
    first, second = (run(kind, make(kind, name, changes), panel) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    np.testing.assert_array_equal(panel.close, before)


@priced_block
def test_an_instrument_with_holes_keeps_its_last_value_and_harms_nobody(
    kind: Kind, name: str, changes: dict[str, Any]
) -> None:
    block = make(kind, name, changes)
    panel = walk(warmup_of(kind, block) + 80)
    holes = np.zeros(panel.close.shape, dtype=bool)
    holes[:30, 1] = True  # listed later
    holes[-50:-40, 1] = True  # suspended
    holed = run(kind, block, without(panel, holes))
    if kind is Kind.SIZING:
        assert np.isnan(holed[holes]).all(), "no score, so no weight"
        assert np.isfinite(holed[-30:, [0, 2, 3]]).all()
        return
    assert np.isfinite(holed[-50:]).all(), "a hole must not poison what comes after it"
    if getattr(block, "top", None) is None:  # a rank depends on the others by its meaning
        np.testing.assert_array_equal(holed[-50:-40, 1], np.repeat(holed[-51, 1], 10))
        whole = run(kind, block, panel)
        np.testing.assert_array_equal(holed[:, [0, 2, 3]], whole[:, [0, 2, 3]])


@every_block
def test_a_panel_of_nothing_but_holes_gives_no_opinion(kind: Kind, name: str, changes: dict[str, Any]) -> None:
    block = make(kind, name, changes)
    panel = walk(warmup_of(kind, block) + 5)
    result = run(kind, block, without(panel, np.ones(panel.close.shape, dtype=bool)))
    assert (result == 0.0).all() if kind is Kind.EXIT else np.isnan(result).all()


@pytest.mark.parametrize(("kind", "name"), PRICED, ids=[name for _, name in PRICED])
def test_a_price_that_never_moves_gives_finite_answers(kind: Kind, name: str) -> None:
    block = make(kind, name, {})
    bars = warmup_of(kind, block) + 5
    still = np.full((bars, len(SYMBOLS)), 50.0)
    panel = Panel(
        symbols=SYMBOLS, times=walk(bars).times, open=still, high=still, low=still, close=still, volume=still * 0
    )
    result = run(kind, block, panel)
    assert not np.isinf(result).any()
    if kind is Kind.EXIT:
        assert (result == 0.0).all(), "a price that does not move is no danger"
    if kind is Kind.SIGNAL and name != "buy_and_hold":
        assert (result[-1] == 0.0).all(), "a price that does not move is no opportunity"


@every_block
def test_a_block_keeps_to_the_sides_and_sizes_it_names(kind: Kind, name: str, changes: dict[str, Any]) -> None:
    block = make(kind, name, changes)
    panel = walk(warmup_of(kind, block) + 400)
    if isinstance(block, Sided) and kind is Kind.SIGNAL:
        scores = run(kind, block, panel)
        assert set(np.sign(scores[np.isfinite(scores)])) - {0.0} <= set(block.sides)
    if isinstance(block, Bounded):
        full = np.sign(scores_for(panel))
        weights = np.abs(block.compute(panel, full, PARAMS))[warmup_of(kind, block) :]
        bounds = block.bounds(len(SYMBOLS), PARAMS)
        assert bounds.largest is not None and weights.max() <= bounds.largest * (1 + 1e-9)
        assert bounds.gross is not None and weights.sum(axis=1).max() <= bounds.gross * (1 + 1e-9)
        if bounds.smallest is not None:
            assert weights[weights > 0].min() >= bounds.smallest * (1 - 1e-9)
    if kind is Kind.SIZING:
        stops = [BaseParams(stop_loss=stop) for stop in (0.05, 0.01)]
        far, near = (np.nan_to_num(block.compute(panel, scores_for(panel) / 10, params)) for params in stops)
        assert block.sized_by_stop == bool((np.abs(near) > np.abs(far)).any())
    if isinstance(block, Limited) and block.most_held is not None:
        held = run(kind, block, panel) != 0.0
        assert np.count_nonzero(held[warmup_of(kind, block) :], axis=1).max() <= block.most_held


@pytest.mark.parametrize("name", ["all_of", "any_of", "first"])
def test_a_combine_makes_no_side_that_its_signals_do_not_have(name: str) -> None:
    block = BUILT_IN.find(Kind.COMBINE, name)()
    for a, b in [(LONG, LONG), (LONG, EITHER), (EITHER, EITHER)]:
        score = score_sides({"a": _Signal(a), "b": _Signal(b)}, block)
        rows = np.random.default_rng(3).choice([-1.0, 0.0, 1.0], (2, 500, 1))
        low = {LONG: 0.0, EITHER: -1.0}
        result = block.compute({"a": np.maximum(rows[0], low[a]), "b": np.maximum(rows[1], low[b])})
        assert set(np.sign(result).ravel()) - {0.0} == set(score)


@pytest.mark.parametrize("name", BUILT_IN.blocks(Kind.COMBINE))
def test_a_combine_says_whether_the_order_of_the_signals_counts(name: str) -> None:
    names = ("a", "b", "c")
    cls = BUILT_IN.find(Kind.COMBINE, name)
    block = build(cls, {"weights": {"a": 1, "b": -2, "c": 3}} if name == "weighted" else {})
    scores = {name: np.random.default_rng(i).choice([-1.0, 0.0, 1.0, np.nan], (500, 1)) for i, name in enumerate(names)}
    there, back = block.compute(scores), block.compute(dict(reversed(scores.items())))
    assert order_counts(block) == (not np.allclose(there, back, equal_nan=True))


@dataclass
class _Signal:
    """A signal that only says its sides."""

    sides: Any
    name: str = "said"
    warmup: int = 1

    def compute(self, panel: Panel) -> FloatArray:
        return np.zeros_like(panel.close)
