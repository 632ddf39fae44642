"""Moving-average crossover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import EITHER, LONG, Series, Sides, by_instrument, check_fields, param
from runner.model.panel import FloatArray, Panel

TOUCH = 1e-9
"""Averages closer than this fraction of the slow one touch: sums of whole-cent prices differ in their last bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmaCross:
    """Long while the fast average of the closes is above the slow one.

    Returns: (T, N) scores: +1 while the fast average is above, 0 (or -1 with `allow_short`) while it is below, 0 when
    they touch, NaN while warming.
    Raises: ValueError unless `fast` is below `slow`.
    Source: Brock, Lakonishok, LeBaron (1992), Simple Technical Trading Rules, Journal of Finance 47.
    """

    name: ClassVar[str] = "sma_cross"
    example: ClassVar[Mapping[str, Any]] = {"fast": 20, "slow": 100}

    fast: int = param(20, "bars in the fast average", unit="bars", minimum=1, maximum=10_000)
    slow: int = param(50, "bars in the slow average", unit="bars", minimum=2, maximum=10_000)
    allow_short: bool = param(
        False, "go short while the fast average is below the slow one", direction="wider_is_looser"
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.fast >= self.slow:
            raise ValueError(f"fast {self.fast} must be below slow {self.slow}")

    @property
    def sides(self) -> Sides:
        return EITHER if self.allow_short else LONG

    @property
    def warmup(self) -> int:
        return self.slow

    def compute(self, panel: Panel) -> FloatArray:
        return by_instrument(panel, self.warmup, self._scores)

    def _scores(self, bars: Series) -> FloatArray:
        import talib

        # TA-Lib's shortest average is 2 bars; an average of 1 bar is the close itself.
        fast = bars.close if self.fast == 1 else talib.SMA(bars.close, timeperiod=self.fast)
        slow = talib.SMA(bars.close, timeperiod=self.slow)
        gap = fast - slow
        touch = TOUCH * np.abs(slow)
        below = -1.0 if self.allow_short else 0.0
        return np.where(gap > touch, 1.0, np.where(gap < -touch, below, 0.0))
