"""Sizing by the distance of the stop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import Series, SizingParams, WeightBounds, by_instrument, check_fields, param
from runner.model.panel import FloatArray, Panel
from runner.sizing.leverage import capped

SETTLING = 10
"""Windows after which Wilder's average has forgotten its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPerTrade:
    """A position so large that being stopped out loses `params.risk_per_trade` of equity.

    weight = score x risk_per_trade / stop distance, the distance being a fraction of the price: `params.stop_loss`, or
    `atr_mult` average true ranges. With `stop: atr` the distance only sizes the position; what closes it are the exits
    in `params`.

    Returns: (T, N) weights, each row scaled down to `max_leverage` when it adds up to more. NaN while warming.
    Raises: ValueError from `check` when `stop: stop_loss` meets a `params.stop_loss` of 0.
    Source: Tharp (1998), Trade Your Way to Financial Freedom, chapter 12; Wilder (1978), section III, for the range.
    """

    name: ClassVar[str] = "risk_per_trade"
    example: ClassVar[Mapping[str, Any]] = {"stop": "atr", "atr_mult": 2.5}

    stop: str = param(
        "stop_loss",
        "where the distance comes from: the strategy's stop_loss, or the average true range",
        choices=("stop_loss", "atr"),
        direction="wider_is_looser",
    )
    atr_window: int = param(14, "bars of the average true range", unit="bars", minimum=2, maximum=1_000)
    atr_mult: float = param(
        2.5,
        "average true ranges between the price and the stop",
        exclusive_minimum=0,
        maximum=100,
        direction="larger_is_tighter",
    )
    max_leverage: float = param(
        1.0,
        "largest sum of the absolute weights",
        unit="multiple of strategy equity",
        exclusive_minimum=0,
        maximum=10,
        direction="smaller_is_tighter",
    )

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def warmup(self) -> int:
        return self.atr_window * (1 + SETTLING) + 1 if self.stop == "atr" else 1

    @property
    def sized_by_stop(self) -> bool:
        return self.stop == "stop_loss"

    def bounds(self, instruments: int | None, params: SizingParams) -> WeightBounds:
        if self.stop != "stop_loss" or params.stop_loss <= 0.0:
            return WeightBounds(largest=self.max_leverage, gross=self.max_leverage)
        weight = params.risk_per_trade / params.stop_loss
        crowded = self.max_leverage / instruments if instruments else 0.0
        gross = self.max_leverage if instruments is None else min(self.max_leverage, instruments * weight)
        return WeightBounds(largest=min(self.max_leverage, weight), smallest=min(weight, crowded), gross=gross)

    def check(self, symbols: Collection[str], params: SizingParams) -> None:
        if self.stop == "stop_loss" and params.stop_loss <= 0.0:
            raise ValueError("risk_per_trade works from params.stop_loss, which is 0; set it, or use stop: atr")

    def compute(self, panel: Panel, scores: FloatArray, params: SizingParams) -> FloatArray:
        if self.stop == "stop_loss":
            self.check((), params)
            weights = scores * (params.risk_per_trade / params.stop_loss)
        else:
            distance = by_instrument(panel, self.warmup, self._distance)
            with np.errstate(divide="ignore", invalid="ignore"):
                weights = scores * (params.risk_per_trade / distance)
            # A range of 0 says nothing about the risk, so it is no opinion, not an infinite position.
            weights = np.where(np.isfinite(weights), weights, np.nan)
        return capped(np.where(scores == 0.0, 0.0, weights), self.max_leverage)

    def _distance(self, bars: Series) -> FloatArray:
        import talib

        true_range: FloatArray = talib.ATR(bars.high, bars.low, bars.close, timeperiod=self.atr_window)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.atr_mult * true_range / bars.close
