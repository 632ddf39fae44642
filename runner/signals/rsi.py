"""Mean reversion on the relative strength index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import EITHER, LONG, Series, Sides, by_instrument, check_fields, param
from runner.model.panel import FloatArray, Panel
from runner.signals.episodes import episodes

SETTLING = 10
"""Periods after which Wilder's average has forgotten its start: (1 - 1/n)^(10 n) is below 1e-4 of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rsi:
    """Long after the index has fallen below `low`, until it is back at `exit`.

    With `allow_short` the mirror image too: short after it has risen above `high`, until it is back at `exit`. Between
    the levels a position is kept, so it does not flicker at one of them; `max_hold` ends what never comes back.

    Returns: (T, N) scores: +1 long, -1 short, 0 flat, NaN while warming.
    Raises: ValueError unless `low ≤ exit ≤ high`.
    Source: Wilder (1978), New Concepts in Technical Trading Systems, section VI.
    """

    name: ClassVar[str] = "rsi"
    example: ClassVar[Mapping[str, Any]] = {"period": 14, "low": 30, "exit": 55}

    period: int = param(14, "bars of Wilder's average", unit="bars", minimum=2, maximum=1_000)
    low: float = param(30.0, "index below which to go long", unit="index points", minimum=0, maximum=100)
    exit: float = param(50.0, "index at which a position is left", unit="index points", minimum=0, maximum=100)
    high: float = param(
        70.0, "index above which to go short, with allow_short", unit="index points", minimum=0, maximum=100
    )
    max_hold: int = param(
        50, "bars after which a position is left, counted from the last bar beyond the level", unit="bars", minimum=1
    )
    allow_short: bool = param(False, "go short above high", direction="wider_is_looser")

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.low <= self.exit <= self.high:
            raise ValueError(f"exit {self.exit:g} must be between low {self.low:g} and high {self.high:g}")

    @property
    def sides(self) -> Sides:
        return EITHER if self.allow_short else LONG

    @property
    def warmup(self) -> int:
        return self.period * (1 + SETTLING) + self.max_hold

    def compute(self, panel: Panel) -> FloatArray:
        return by_instrument(panel, self.warmup, self._scores)

    def _scores(self, bars: Series) -> FloatArray:
        import talib

        index = talib.RSI(bars.close, timeperiod=self.period)
        # TA-Lib calls a price that has not moved 0, the same as one that only fell; it is neither low nor high.
        still = talib.MAX(bars.close, timeperiod=self.period) == talib.MIN(bars.close, timeperiod=self.period)
        index = np.where(still & (index == 0.0), np.nan, index)
        scores = episodes(index < self.low, index >= self.exit, self.max_hold)
        if self.allow_short:
            scores = scores - episodes(index > self.high, index <= self.exit, self.max_hold)
        return scores
