"""An exit at the moving average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import Series, by_instrument, check_fields, param
from runner.model.panel import BoolArray, FloatArray, Panel

TOUCH = 1e-9
"""Sums of cents differ in their last bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BelowAverage:
    """Leave a long below the average of the last `window` closes, and a short above it.

    Returns: (T, N) bool for longs and for shorts, False while warming.
    """

    name: ClassVar[str] = "below_average"
    example: ClassVar[Mapping[str, Any]] = {"window": 50}

    window: int = param(50, "closes in the average", unit="bars", minimum=2, maximum=10_000)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def warmup(self) -> int:
        return self.window

    def compute(self, panel: Panel) -> tuple[BoolArray, BoolArray]:
        distance = by_instrument(panel, self.warmup, self._distance)
        return distance < -TOUCH, distance > TOUCH

    def _distance(self, bars: Series) -> FloatArray:
        """From the average, as a fraction of it."""
        sums = np.cumsum(np.insert(bars.close, 0, 0.0))
        distance = np.full_like(bars.close, np.nan)
        average = (sums[self.window :] - sums[: -self.window]) / self.window
        distance[self.window - 1 :] = bars.close[self.window - 1 :] / average - 1.0
        return distance
