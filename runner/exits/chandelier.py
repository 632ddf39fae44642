"""The chandelier exit: a stop that hangs from the highest high."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import Series, by_instrument, check_fields, param
from runner.model.panel import BoolArray, FloatArray, Panel

TOUCH = 1e-9
"""A close nearer to the level than this fraction of it touches it: averages of cents differ in their last bits."""
LONG, SHORT, BOTH = 1.0, 2.0, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chandelier:
    """Leave a long when the close is more than `mult` average true ranges below the highest high of `window` bars.

    A short is left when the close is as far above the lowest low. High, low and average are those of the last `window`
    bars, this one included; the average is the plain mean of the true ranges. Touching the level is not enough. The
    level does not know when the position was opened, so it hangs from highs of before the entry too.

    Returns: (T, N) bool for longs and for shorts, False while warming.
    Source: LeBeau's chandelier exit, as described in Elder (2002), Come Into My Trading Room.
    """

    name: ClassVar[str] = "chandelier"
    example: ClassVar[Mapping[str, Any]] = {"window": 22, "mult": 3.0}

    window: int = param(22, "bars of the highest high, the lowest low and the range", unit="bars", minimum=2,
                        maximum=10_000)  # fmt: skip
    mult: float = param(
        3.0,
        "average true ranges between the extreme and the level",
        exclusive_minimum=0,
        maximum=100,
        direction="smaller_is_tighter",
    )

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def warmup(self) -> int:
        return self.window + 1

    def compute(self, panel: Panel) -> tuple[BoolArray, BoolArray]:
        sides = by_instrument(panel, self.warmup, self._sides)
        return (sides == LONG) | (sides == BOTH), (sides == SHORT) | (sides == BOTH)

    def _sides(self, bars: Series) -> FloatArray:
        import talib

        high, low, close = bars.high, bars.low, bars.close
        distance = self.mult * talib.SMA(talib.TRANGE(high, low, close), timeperiod=self.window)
        below = talib.MAX(high, timeperiod=self.window) - distance
        above = talib.MIN(low, timeperiod=self.window) + distance
        left_long = close < below - TOUCH * np.abs(below)
        left_short = close > above + TOUCH * np.abs(above)
        return np.where(left_long, LONG, 0.0) + np.where(left_short, SHORT, 0.0)
