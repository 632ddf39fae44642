"""A trial tells a block that keeps its promises from one that breaks one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from runner.blocks import Kind, WeightBounds
from runner.model.panel import FloatArray, Panel
from runner.trial import SYMBOLS, broken_promises, sample_panel

Compute = Callable[[Panel], Any]
_calls = itertools.count()


@dataclass(frozen=True)
class Made:
    """A block whose answer is given as a function."""

    name: ClassVar[str] = "made"
    answer: Callable[..., Any]
    warmup: int = 3

    def compute(self, *given: Any) -> Any:
        return self.answer(*given)


def warm(scores: FloatArray) -> FloatArray:
    scores = scores.copy()
    scores[:2] = np.nan
    return scores


def momentum(panel: Panel) -> FloatArray:
    """A score from the last three bars."""
    result = np.full(panel.close.shape, np.nan)
    result[2:] = np.sign(panel.close[2:] - panel.close[:-2])
    return result


def looks_ahead(panel: Panel) -> FloatArray:
    return warm(np.where(panel.close > panel.close[-1], 1.0, 0.0))


def writes(panel: Panel) -> FloatArray:
    panel.high[:] = 1.0
    return momentum(panel)


def remembers(panel: Panel) -> FloatArray:
    """Everything since the first bar, and the warm-up does not say so."""
    return warm(np.clip(panel.close / panel.close[0] - 1.0, -1.0, 1.0))


def random(panel: Panel) -> FloatArray:
    return warm(np.full(panel.close.shape, (next(_calls) % 7) / 10))


def poisoned(panel: Panel) -> FloatArray:
    if np.isnan(panel.close).any():
        return np.full((1, 1), 0.0)
    return momentum(panel)


@pytest.mark.parametrize(
    ("compute", "phrase"),
    [
        (momentum, None),
        (lambda panel: momentum(panel).tolist(), "returns something that is no array: list"),
        (lambda panel: momentum(panel)[:, 0], "for 43 bars of 4 instruments"),
        (lambda panel: momentum(panel)[-1:], "returns shape (1, 4)"),
        (lambda panel: momentum(panel).astype(np.float32), "returns float32; float64 is expected"),
        (lambda panel: 2.0 * momentum(panel), "returns a score of"),
        (lambda panel: momentum(panel) / 0.0, "a number that is not finite"),
        (lambda panel: np.nan_to_num(momentum(panel)), "has a score before its warm-up of 3 bars is over"),
        (lambda panel: np.full(panel.close.shape, np.nan), "has no score at bar 3 of an instrument that has them all"),
        (looks_ahead, "it looks ahead"),
        (writes, "writes into the prices that it is given (high)"),
        (remembers, "gives another answer when only its warm-up of 3 bars is known"),
        (random, "gives another answer to the same prices when it is asked again"),
        (poisoned, "returns shape (1, 1) for 43 bars of 4 instruments, when asked of an instrument with missing bars"),
    ],
)
def test_a_signal(compute: Compute, phrase: str | None) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = broken_promises(Kind.SIGNAL, Made(compute))
    assert found == () if phrase is None else any(phrase in said for said in found), found


@dataclass(frozen=True)
class Claims(Made):
    """A signal that says something about itself."""

    sides: frozenset[int] = frozenset({1, -1})
    most_held: int | None = None


def test_a_signal_is_held_to_what_it_says_about_itself() -> None:
    assert broken_promises(Kind.SIGNAL, Claims(momentum)) == ()
    (said,) = broken_promises(Kind.SIGNAL, Claims(momentum, sides=frozenset({1})))
    assert said == "says that its scores have the signs [1], and has [-1, 1]"
    (said,) = broken_promises(Kind.SIGNAL, Claims(momentum, most_held=2))
    assert said == "says that it holds 2 instruments at most, and holds 4"


@dataclass(frozen=True)
class Sizes(Made):
    """A sizing that says something about itself."""

    said: Any = None
    sized_by_stop: bool = True

    def bounds(self, instruments: int | None, params: Any) -> Any:
        return self.said


def by_stop(panel: Panel, scores: FloatArray, params: Any) -> FloatArray:
    return warm(0.25 * np.sign(scores) * 0.05 / params.stop_loss)


@pytest.mark.parametrize(
    ("said", "sized_by_stop", "phrase"),
    [
        (WeightBounds(), True, None),
        (WeightBounds(largest=0.25, gross=1.0), True, None),
        (WeightBounds(largest=0.2), True, "says that a weight is at most 0.2, and it is 0.25"),
        (WeightBounds(gross=0.9), True, "says that the sum of the weights is at most 0.9, and it is 1"),
        (0.25, True, "says bounds that are no WeightBounds: float"),
        (WeightBounds(), False, "says that its weights do not depend on stop_loss, and they do"),
    ],
)
def test_a_sizing_is_held_to_what_it_says_about_itself(said: Any, sized_by_stop: bool, phrase: str | None) -> None:
    found = broken_promises(Kind.SIZING, Sizes(by_stop, said=said, sized_by_stop=sized_by_stop))
    assert found == (() if phrase is None else (phrase,))


def leave(panel: Panel) -> tuple[Any, Any]:
    falls = momentum(panel) < 0
    return falls, ~falls & (momentum(panel) == momentum(panel))


@pytest.mark.parametrize(
    ("compute", "phrase"),
    [
        (leave, None),
        (lambda panel: leave(panel)[0], "returns 1 arrays; two are expected, for longs and for shorts"),
        (lambda panel: (leave(panel)[0].astype(float), leave(panel)[1]), "returns float64; bool is expected"),
        (lambda panel: (leave(panel)[0], ~leave(panel)[0]), "says to leave before its warm-up of 3 bars is over"),
        (lambda panel: (warm(panel.close) > panel.close.max(), leave(panel)[1]), None),
        (lambda panel: (warm(panel.close) == panel.close.max(axis=0), leave(panel)[1]), "it looks ahead"),
    ],
)
def test_an_exit(compute: Compute, phrase: str | None) -> None:
    found = broken_promises(Kind.EXIT, Made(compute))
    assert found == () if phrase is None else any(phrase in said for said in found), found


def test_a_combine_gets_the_scores_of_the_names_that_it_will_get() -> None:
    def mean(scores: Mapping[str, FloatArray]) -> FloatArray:
        assert set(scores) == {"fast", "slow"}
        return (scores["fast"] + scores["slow"]) / 2.0

    assert broken_promises(Kind.COMBINE, Made(mean), signals=("fast", "slow")) == ()


def test_a_sizing_gets_the_symbols_and_parameters_that_it_will_get() -> None:
    def equal(panel: Panel, scores: FloatArray, params: Any) -> FloatArray:
        assert (panel.symbols, params.risk_per_trade) == (("X", "Y"), 0.02)
        return scores * 3.0

    @dataclass(frozen=True)
    class Params:
        risk_per_trade: float = 0.02
        stop_loss: float = 0.0

    assert broken_promises(Kind.SIZING, Made(equal, 1), symbols=("X", "Y"), params=Params()) == ()
    said = broken_promises(Kind.SIZING, Made(lambda panel, scores, params: warm(scores), 1))[0]
    assert "has no weight at bar 1" in said


def test_what_a_block_raises_is_raised() -> None:
    def fails(panel: Panel) -> FloatArray:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        broken_promises(Kind.SIGNAL, Made(fails))


def test_no_history_is_long_enough_for_every_warm_up() -> None:
    (said,) = broken_promises(Kind.SIGNAL, Made(momentum, 30_000))
    assert "needs 30000 bars" in said


def test_the_prices_of_a_trial_are_always_the_same() -> None:
    one, other = sample_panel(SYMBOLS, 20), sample_panel(SYMBOLS, 20)
    assert one.close.tobytes() == other.close.tobytes()
    assert (one.high >= one.low).all() and (one.low <= one.close).all() and (one.close <= one.high).all()
