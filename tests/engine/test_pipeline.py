"""The pipeline: signals, combine and sizing in a row, with errors that name the block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from runner.base_params import BaseParams
from runner.combine.all_of import AllOf
from runner.combine.first import First
from runner.combine.weighted import Weighted
from runner.engine.weights import Pipeline
from runner.model.panel import FloatArray, Panel
from runner.signals.buy_and_hold import BuyAndHold
from runner.signals.sma_cross import SmaCross
from runner.sizing.equal_weight import EqualWeight
from runner.sizing.risk_per_trade import RiskPerTrade
from runner.sizing.volatility_target import VolatilityTarget


def rising(bars: int) -> Panel:
    close = np.column_stack([100.0 + np.arange(bars), 400.0 - np.arange(bars)])
    return Panel(
        symbols=("UP", "DOWN"),
        times=np.arange(bars).astype("datetime64[D]").astype("datetime64[ns]"),
        open=close,
        high=close,
        low=close,
        close=close,
        volume=close,
    )


@dataclass(frozen=True, slots=True)
class Broken:
    name: ClassVar[str] = "broken"
    result: Any

    @property
    def warmup(self) -> int:
        return 1

    def compute(self, panel: Panel) -> FloatArray:
        if isinstance(self.result, Exception):
            raise self.result
        return np.asarray(self.result, dtype=np.float64)


def test_every_step_is_shown_and_the_last_row_is_what_to_act_on() -> None:
    signals = {"trend": SmaCross(fast=3, slow=5), "always": BuyAndHold()}
    pipeline = Pipeline(signals, AllOf(), EqualWeight(), BaseParams())
    evaluation = pipeline.evaluate(rising(20))
    assert list(evaluation.scores) == ["trend", "always"]
    assert evaluation.scores["trend"][-1].tolist() == [1.0, 0.0]
    assert evaluation.combined[-1].tolist() == [1.0, 0.0]
    assert evaluation.weights[-1].tolist() == [1.0, 0.0]
    assert np.isnan(evaluation.weights[3]).all()


def test_the_warm_up_is_the_longest_of_signals_and_sizing() -> None:
    def warmup(slow: int, window: int) -> int:
        signals = {"a": SmaCross(fast=2, slow=slow), "b": BuyAndHold()}
        return Pipeline(signals, AllOf(), VolatilityTarget(window=window), BaseParams()).warmup

    assert warmup(slow=50, window=20) == 50
    assert warmup(slow=10, window=20) == 21


def test_parts_that_do_not_fit_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="weights has no weight for the signal b"):
        Pipeline({"a": BuyAndHold(), "b": BuyAndHold()}, Weighted(weights={"a": 1.0}), EqualWeight(), BaseParams())
    with pytest.raises(ValueError, match=r"params\.stop_loss"):
        Pipeline({"a": BuyAndHold()}, First(), RiskPerTrade(), BaseParams())


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (RuntimeError("boom"), "boom"),
        (np.zeros((3, 1)), r"returned shape \(3, 1\) for a panel of shape \(3, 2\)"),
        (np.full((3, 2), 1.5), r"returned a score of 1\.5, outside \[-1, 1\]"),
    ],
)
def test_an_error_names_the_signal_it_came_from(result: Any, sentence: str) -> None:
    pipeline = Pipeline({"mine": Broken(result)}, First(), EqualWeight(), BaseParams())
    with pytest.raises((RuntimeError, ValueError), match=sentence) as caught:
        pipeline.evaluate(rising(3))
    assert caught.value.__notes__ == ["in signal mine (broken)"]
