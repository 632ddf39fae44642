"""Sizing: scores to weights, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from runner.base_params import BaseParams
from runner.model.panel import FloatArray, Panel
from runner.sizing.equal_weight import EqualWeight
from runner.sizing.fixed_weights import FixedWeights
from runner.sizing.leverage import capped
from runner.sizing.risk_per_trade import RiskPerTrade
from runner.sizing.volatility_target import VolatilityTarget

NAN = float("nan")
PARAMS = BaseParams(risk_per_trade=0.01, stop_loss=0.04)


def panel(close: FloatArray, spread: float = 0.0) -> Panel:
    return Panel(
        symbols=("AAPL", "GOOG", "IBM", "MSFT")[: close.shape[1]],
        times=np.arange(len(close)).astype("datetime64[D]").astype("datetime64[ns]"),
        open=close,
        high=close + spread,
        low=close - spread,
        close=close,
        volume=np.ones_like(close),
    )


def weights(block: Any, scores: list[float]) -> list[float]:
    """Weights of one row of scores on prices of 100."""
    row = np.array([scores], dtype=float)
    return [float(value) for value in block.compute(panel(np.full(row.shape, 100.0)), row, PARAMS)[0]]


@pytest.mark.parametrize(
    ("settings", "scores", "expected"),
    [
        ({}, [1, 1, 1, 1], [0.25, 0.25, 0.25, 0.25]),
        ({}, [1, 0, -0.5, 0], [0.5, 0, -0.5, 0]),
        ({}, [0, 0, 0, 0], [0, 0, 0, 0]),
        ({}, [1, NAN, 1, 0], [0.5, NAN, 0.5, 0]),
        ({"gross": 0.8}, [1, 0, 0, 1], [0.4, 0, 0, 0.4]),
        ({"share_of": "universe"}, [1, 0, 0, 0], [0.25, 0, 0, 0]),
        ({"share_of": "universe", "max_names": 2}, [1, 0, 0, 0], [0.5, 0, 0, 0]),
        ({"max_names": 2}, [0.2, 0.9, -0.5, 0.1], [0, 0.5, -0.5, 0]),
        ({"max_names": 2}, [1, 1, 1, 1], [0.5, 0.5, 0, 0]),
        ({"max_names": 2}, [1, NAN, 1, 1], [0.5, NAN, 0.5, 0]),
        ({"max_names": 9}, [1, 1, 0, 0], [0.5, 0.5, 0, 0]),
    ],
)
def test_equal_weight(settings: dict[str, Any], scores: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(weights(EqualWeight(**settings), scores), expected, rtol=1e-15)


def test_fixed_weights_multiplies_by_the_score() -> None:
    block = FixedWeights(weights={"AAPL": 0.5, "IBM": -0.25})
    np.testing.assert_array_equal(weights(block, [1, 1, 1, NAN]), [0.5, 0, -0.25, NAN])
    np.testing.assert_array_equal(weights(block, [0, 0, 0.5, 0]), [0, 0, -0.125, 0])


def test_fixed_weights_refuses_what_it_cannot_mean() -> None:
    with pytest.raises(ValueError, match=r"weights add up to 1\.2, above max_leverage 1"):
        FixedWeights(weights={"AAPL": 0.7, "IBM": -0.5})
    assert FixedWeights(weights={"A": 0.1, "B": 0.2, "C": 0.7}), "decimals that add up to 1 do so here too"
    with pytest.raises(ValueError, match="weights has TSLA, which is not in the universe: AAPL, IBM"):
        FixedWeights(weights={"TSLA": 1.0}).check(("AAPL", "IBM"), PARAMS)
    FixedWeights(weights={"TSLA": 1.0}).check((), PARAMS)


def test_risk_per_trade_divides_risk_by_stop_distance() -> None:
    np.testing.assert_allclose(weights(RiskPerTrade(), [1, -1, 0, NAN]), [0.25, -0.25, 0, NAN])
    np.testing.assert_allclose(weights(RiskPerTrade(max_leverage=0.25), [1, 1, 0, 0]), [0.125, 0.125, 0, 0])


def test_risk_per_trade_with_atr_uses_the_range() -> None:
    block = RiskPerTrade(stop="atr", atr_window=2, atr_mult=2.0)
    close = np.full((block.warmup, 1), 100.0)
    result = block.compute(panel(close, spread=2.0), np.ones_like(close), PARAMS)
    # A bar spans 4, so 2 ranges are 8 % of the price, and 1 % of risk buys an eighth of equity.
    assert result[-1, 0] == pytest.approx(0.125)
    assert np.isnan(result[-2, 0])
    still = block.compute(panel(close), np.ones_like(close), PARAMS)
    assert np.isnan(still[-1, 0]), "a price without a range has no known risk"


def test_risk_per_trade_needs_a_stop() -> None:
    with pytest.raises(ValueError, match=r"works from params\.stop_loss, which is 0; set it, or use stop: atr"):
        RiskPerTrade().check((), BaseParams())
    RiskPerTrade(stop="atr").check((), BaseParams())


def test_volatility_target_gives_each_its_share_of_the_risk() -> None:
    steps = np.array([0.01, -0.01] * 10)
    close = 100 * np.exp(np.cumsum(np.column_stack([steps, 2 * steps]), axis=0))
    close = np.vstack([[100.0, 100.0], close])
    volatility = np.std(steps, ddof=1) * math.sqrt(252)
    block = VolatilityTarget(annual_vol=0.1, window=20, max_leverage=10)
    both = block.compute(panel(close), np.ones_like(close), PARAMS)[-1]
    np.testing.assert_allclose(both, [0.1 / volatility / 2, 0.1 / volatility / 4], rtol=1e-12)
    scores = np.ones_like(close) * [0.5, 0.0]
    np.testing.assert_allclose(block.compute(panel(close), scores, PARAMS)[-1], [0.05 / volatility, 0.0], rtol=1e-12)
    tight = VolatilityTarget(annual_vol=0.1, window=20, max_leverage=0.3).compute(
        panel(close), np.ones_like(close), PARAMS
    )[-1]
    np.testing.assert_allclose(tight, [0.2, 0.1], rtol=1e-12)


def test_volatility_target_does_not_believe_in_no_risk() -> None:
    close = np.full((21, 1), 100.0)
    block = VolatilityTarget(annual_vol=0.1, window=20, max_leverage=10, min_vol=0.05)
    assert block.compute(panel(close), np.ones_like(close), PARAMS)[-1, 0] == pytest.approx(2.0)


def test_a_flat_score_leaves_even_while_volatility_is_warming() -> None:
    close = np.full((5, 2), 100.0)
    result = VolatilityTarget().compute(panel(close), np.array([[0.0, 1.0]] * 5), PARAMS)
    assert result[-1, 0] == 0.0
    assert np.isnan(result[-1, 1])


def test_a_row_is_scaled_down_as_a_whole() -> None:
    np.testing.assert_allclose(
        capped(np.array([[3.0, -1.0, NAN], [0.1, 0.1, 0.0], [NAN, NAN, NAN]]), 2.0),
        [[1.5, -0.5, NAN], [0.1, 0.1, 0.0], [NAN, NAN, NAN]],
    )
