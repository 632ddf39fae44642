"""Sizing by volatility."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import Series, SizingParams, WeightBounds, by_instrument, check_fields, param
from runner.model.panel import FloatArray, Panel
from runner.sizing.leverage import capped

ROWS_AT_ONCE = 16_384
"""Rows of a rolling window worked on together, so that memory stays flat for long histories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityTarget:
    """Weights in inverse proportion to volatility, so that the portfolio's is about `annual_vol`.

    Each of the k instruments with a score gets `score x annual_vol / (its volatility x k)`: the portfolio reaches the
    target when they all move together and stays below it when they do not. Volatility is the sample standard deviation
    of the last `window` log returns, times the root of `bars_per_year`.

    Returns: (T, N) weights, each row scaled down to `max_leverage` when it adds up to more. NaN while warming.
    Source: Moskowitz, Ooi, Pedersen (2012), JFE 104, section 2.4; Carver (2015), Systematic Trading, chapter 9.
    """

    name: ClassVar[str] = "volatility_target"
    example: ClassVar[Mapping[str, Any]] = {"annual_vol": 0.15, "window": 20, "max_leverage": 1.0}
    sized_by_stop: ClassVar[bool] = False

    annual_vol: float = param(
        0.15,
        "wanted volatility of the strategy's equity",
        unit="fraction per year",
        exclusive_minimum=0,
        maximum=5,
        direction="smaller_is_tighter",
    )
    window: int = param(20, "returns that volatility is measured on", unit="bars", minimum=2, maximum=10_000)
    max_leverage: float = param(
        1.0,
        "largest sum of the absolute weights",
        unit="multiple of strategy equity",
        exclusive_minimum=0,
        maximum=10,
        direction="smaller_is_tighter",
    )
    min_vol: float = param(
        0.02,
        "volatility below which an instrument is not believed to be: quiet weeks make no giant positions",
        unit="fraction per year",
        exclusive_minimum=0,
        maximum=5,
        direction="larger_is_tighter",
    )
    bars_per_year: float = param(
        252.0,
        "bars in a year; 252 for daily bars, 19656 for 5 minutes of a US session",
        unit="bars",
        minimum=1,
        # The more, the larger the volatility that is measured, and the smaller the weights.
        direction="larger_is_tighter",
    )

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def warmup(self) -> int:
        return self.window + 1

    def bounds(self, instruments: int | None, params: SizingParams) -> WeightBounds:
        most = min(self.max_leverage, self.annual_vol / self.min_vol)
        return WeightBounds(largest=most, gross=most)

    def check(self, symbols: Collection[str], params: SizingParams) -> None:
        """Any symbols and parameters do."""

    def compute(self, panel: Panel, scores: FloatArray, params: SizingParams) -> FloatArray:
        volatility = np.maximum(by_instrument(panel, self.warmup, self._volatility), self.min_vol)
        active = np.count_nonzero(np.abs(scores) > 0.0, axis=1, keepdims=True)
        weights = scores * self.annual_vol / (volatility * np.maximum(active, 1))
        # A flat score is a weight of 0 even while volatility is warming: leaving needs no volatility.
        return capped(np.where(scores == 0.0, 0.0, weights), self.max_leverage)

    def _volatility(self, bars: Series) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            returns = np.diff(np.log(bars.close))
        result = np.full_like(bars.close, np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(returns, self.window)
        for start in range(0, len(windows), ROWS_AT_ONCE):
            chunk = windows[start : start + ROWS_AT_ONCE]
            result[self.window + start : self.window + start + len(chunk)] = chunk.std(axis=1, ddof=1)
        return result * math.sqrt(self.bars_per_year)
