"""What blocks promise, tried out on made-up prices: for the tests of a block, and for checking foreign ones.

    assert broken_promises(Kind.SIGNAL, MySignal(window=20)) == ()

Nothing here knows which block it tries: it asks for the shape and range of the answers, that they begin with the
warm-up, that a bar's answer depends on no later bar, and that the same question has the same answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from runner.blocks import Bounded, Kind, Limited, Sided, SizingParams, StopSized, WeightBounds
from runner.model.panel import FloatArray, Panel

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
SIGNALS = ("first", "second")
BARS_AFTER = 40
"""Bars of the panel beyond the warm-up."""
MAX_WARMUP = 20_000
"""Bars; no history is longer."""
NEAR = 1e-9
"""How far the same number may be from itself when it is computed from another stretch of bars."""
FORGOTTEN = 1e-4
"""How much of the bars before the warm-up may still be felt."""
ROUNDING = 1e-9
"""How far outside [-1, 1] a score may be by rounding."""

Answer: TypeAlias = tuple[Any, ...]
"""The arrays of one answer: one, and two of an exit."""


@dataclass(frozen=True, slots=True)
class TrialParams:
    """Parameters of a strategy that sizing may read, when there is no strategy."""

    risk_per_trade: float = 0.01
    stop_loss: float = 0.05


def sample_panel(symbols: Sequence[str], bars: int, *, seed: int = 7) -> Panel:
    """A seeded random walk with highs and lows around it, prices to the cent."""
    random = np.random.default_rng(seed)
    shape = (bars, len(symbols))
    close = np.round(100.0 * np.exp(np.cumsum(random.normal(0, 0.015, shape), axis=0)), 2)
    open_ = np.round(close * np.exp(random.normal(0, 0.004, shape)), 2)
    return Panel(
        symbols=tuple(symbols),
        times=np.arange(bars).astype("datetime64[D]").astype("datetime64[ns]"),
        open=open_,
        high=np.round(np.maximum(open_, close) * 1.004, 2),
        low=np.round(np.minimum(open_, close) * 0.996, 2),
        close=close,
        volume=random.integers(1_000, 9_000, shape).astype(float),
    )


def sample_scores(panel: Panel, turn: float = 0.0) -> FloatArray:
    """Scores as a signal gives them: a function of each row's prices alone, NaN where there is no bar."""
    return np.where(np.isfinite(panel.close), np.round(np.sin(panel.close + turn), 1), np.nan)


def broken_promises(
    kind: Kind,
    block: Any,
    *,
    symbols: Sequence[str] = SYMBOLS,
    signals: Sequence[str] = SIGNALS,
    params: SizingParams | None = None,
) -> tuple[str, ...]:
    """What a block does that a block must not, one phrase each; empty when it keeps its promises.

    `symbols` are those it must be able to deal with, `signals` the names whose scores a combine is given, `params` what
    sizing reads. Raises what the block raises.
    """
    warmup = 1 if kind is Kind.COMBINE else int(block.warmup)
    if warmup > MAX_WARMUP:
        return (f"needs {warmup} bars before its first value; at most {MAX_WARMUP} can be loaded",)
    ask = _Ask(kind, signals, params or TrialParams())
    panel = sample_panel(symbols, warmup + BARS_AFTER)
    kept = _each(panel, np.copy)
    whole = ask(block, panel)
    if wrong := _misshapen(kind, whole, panel):
        return (wrong,)
    found = [
        _range(kind, whole),
        _claims(kind, block, whole, len(symbols), ask.params),
        _beginning(kind, whole, warmup),
        _changed(panel, kept),
        _moods(ask, block, panel, whole),
        _hindsight(ask, block, panel, whole),
        _memory(ask, block, panel, whole, warmup),
        _gaps(ask, block, panel),
        _stop(ask, block, panel, whole),
    ]
    return tuple(phrase for phrase in found if phrase)


@dataclass(frozen=True, slots=True)
class _Ask:
    """One way to ask a block of any kind."""

    kind: Kind
    signals: Sequence[str]
    params: SizingParams

    def __call__(self, block: Any, panel: Panel) -> Answer:
        if self.kind is Kind.COMBINE:
            scores = {name: sample_scores(panel, turn) for turn, name in enumerate(self.signals)}
            return (block.compute(scores),)
        if self.kind is Kind.SIZING:
            return (block.compute(panel, sample_scores(panel), self.params),)
        answer = block.compute(panel)
        if self.kind is Kind.EXIT:
            return tuple(answer) if isinstance(answer, tuple) else (answer,)
        return (answer,)


def _misshapen(kind: Kind, answer: Answer, panel: Panel) -> str:
    count, dtype, words = (2, np.bool_, "bool") if kind is Kind.EXIT else (1, np.float64, "float64")
    if len(answer) != count:
        return f"returns {len(answer)} arrays; two are expected, for longs and for shorts"
    for array in answer:
        if not isinstance(array, np.ndarray):
            return f"returns something that is no array: {type(array).__name__}"
        if array.shape != panel.close.shape:
            return f"returns shape {array.shape} for {panel.bars} bars of {len(panel.symbols)} instruments"
        if array.dtype != dtype:
            return f"returns {array.dtype}; {words} is expected"
    return ""


def _range(kind: Kind, answer: Answer) -> str:
    if kind is Kind.EXIT:
        return ""
    (values,) = answer
    if np.isinf(values).any():
        return "returns a number that is not finite; what is not known is NaN"
    outside = values[np.abs(values) > 1.0 + ROUNDING]
    if kind is not Kind.SIZING and outside.size:
        return f"returns a score of {outside[0]:g}, outside [-1, 1]"
    return ""


def _claims(kind: Kind, block: Any, answer: Answer, instruments: int, params: SizingParams) -> str:
    """What a signal or a sizing says about itself, when it does."""
    if kind is Kind.SIZING and isinstance(block, Bounded):
        return _bounds(block.bounds(instruments, params), np.abs(np.nan_to_num(answer[0])))
    if kind is not Kind.SIGNAL:
        return ""
    (values,) = answer
    signs = {int(sign) for sign in np.unique(np.sign(values[np.isfinite(values)]))} - {0}
    if isinstance(block, Sided) and not signs <= set(block.sides):
        return f"says that its scores have the signs {sorted(block.sides)}, and has {sorted(signs)}"
    if isinstance(block, Limited) and block.most_held is not None:
        held = int(np.count_nonzero(np.nan_to_num(values), axis=1).max(initial=0))
        if held > block.most_held:
            return f"says that it holds {block.most_held} instruments at most, and holds {held}"
    return ""


def _bounds(said: Any, sizes: FloatArray) -> str:
    if not isinstance(said, WeightBounds):
        return f"says bounds that are no WeightBounds: {type(said).__name__}"
    for what, bound, found in (
        ("a weight", said.largest, sizes.max(initial=0.0)),
        ("the sum of the weights", said.gross, sizes.sum(axis=1).max(initial=0.0)),
    ):
        if bound is not None and found > bound * (1 + ROUNDING):
            return f"says that {what} is at most {bound:g}, and it is {found:g}"
    return ""


def _beginning(kind: Kind, answer: Answer, warmup: int) -> str:
    """All the panel's bars are there, so the first answer is due with the last bar of the warm-up."""
    first = warmup - 1
    if kind is Kind.EXIT:
        early = any(array[:first].any() for array in answer)
        return f"says to leave before its warm-up of {warmup} bars is over" if early else ""
    (values,) = answer
    if kind is Kind.SIGNAL and not np.isnan(values[:first]).all():
        return f"has a score before its warm-up of {warmup} bars is over; NaN is expected there"
    if np.isnan(values[first:]).any():
        what = "weight" if kind is Kind.SIZING else "score"
        late = int(np.argmax(np.isnan(values).any(axis=1)[first:])) + warmup
        return f"has no {what} at bar {late} of an instrument that has them all; its warm-up is {warmup}"
    return ""


def _stop(ask: _Ask, block: Any, panel: Panel, whole: Answer) -> str:
    """A nearer stop counts as a lesser risk, and is in force at once, when the sizing says that it does not matter."""
    if ask.kind is not Kind.SIZING or not isinstance(block, StopSized) or block.sized_by_stop:
        return ""
    params: Any = ask.params
    nearer = params.stop_loss / 2
    if dataclasses.is_dataclass(params):
        params = dataclasses.replace(params, stop_loss=nearer)  # type: ignore[type-var]
    else:
        params = TrialParams(risk_per_trade=params.risk_per_trade, stop_loss=nearer)
    (weights,) = dataclasses.replace(ask, params=params)(block, panel)
    same = np.array_equal(weights, whole[0], equal_nan=True)
    return "" if same else "says that its weights do not depend on stop_loss, and they do"


_PRICES = ("open", "high", "low", "close", "volume")


def _each(panel: Panel, change: Callable[[FloatArray], FloatArray]) -> Panel:
    changed: dict[str, Any] = {name: change(getattr(panel, name)) for name in _PRICES}
    return dataclasses.replace(panel, **changed)


def _rows(panel: Panel, rows: slice) -> Panel:
    cut: dict[str, Any] = {name: getattr(panel, name)[rows] for name in ("times", *_PRICES)}
    return dataclasses.replace(panel, **cut)


def _changed(panel: Panel, kept: Panel) -> str:
    for name in _PRICES:
        if not np.array_equal(getattr(panel, name), getattr(kept, name), equal_nan=True):
            return f"writes into the prices that it is given ({name})"
    return ""


def _moods(ask: _Ask, block: Any, panel: Panel, whole: Answer) -> str:
    """Asked again, and a second block with the same settings asked."""
    for other in (block, dataclasses.replace(block)):
        if not _same(ask(other, panel), whole, 0.0):
            return "gives another answer to the same prices when it is asked again"
    return ""


def _hindsight(ask: _Ask, block: Any, panel: Panel, whole: Answer) -> str:
    for end in (panel.bars - 1, panel.bars - 8, panel.bars - 21, max(1, panel.bars - BARS_AFTER)):
        part = _rows(panel, slice(0, end))
        if not _same(ask(block, part), tuple(array[:end] for array in whole), NEAR):
            return "changes its answer for a bar when later bars are known: it looks ahead"
    return ""


def _memory(ask: _Ask, block: Any, panel: Panel, whole: Answer, warmup: int) -> str:
    rows = slice(panel.bars - warmup - 5, panel.bars)
    part = ask(block, _rows(panel, rows))
    if not _same(tuple(array[-5:] for array in part), tuple(array[-5:] for array in whole), FORGOTTEN):
        return f"gives another answer when only its warm-up of {warmup} bars is known: it needs a longer one"
    return ""


def _gaps(ask: _Ask, block: Any, panel: Panel) -> str:
    """One instrument is listed late and suspended once; and only one bar is there."""
    holes = np.zeros(panel.close.shape, dtype=bool)
    holes[: panel.bars // 4, 0] = True
    holes[-12:-8, 0] = True
    holed = _each(panel, lambda array: np.where(holes, np.nan, array))
    for odd, what in ((holed, "of an instrument with missing bars"), (_rows(panel, slice(0, 1)), "of a single bar")):
        answer = ask(block, odd)
        if wrong := _misshapen(ask.kind, answer, odd) or _range(ask.kind, answer):
            return f"{wrong}, when asked {what}"
    return ""


def _same(one: Answer, other: Answer, tolerance: float) -> bool:
    return len(one) == len(other) and all(_near(a, b, tolerance) for a, b in zip(one, other, strict=True))


def _near(one: Any, other: Any, tolerance: float) -> bool:
    if np.shape(one) != np.shape(other):
        return False
    if other.dtype == np.bool_:
        return np.array_equal(one, other)
    return np.allclose(one, other, rtol=0.0, atol=tolerance, equal_nan=True)
