"""Breakout from the Donchian channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import EITHER, LONG, Series, Sides, by_instrument, check_fields, param
from runner.model.panel import FloatArray, Panel
from runner.signals.episodes import episodes


@dataclass(frozen=True, slots=True, kw_only=True)
class DonchianBreakout:
    """Long after a close above the highest high of the `entry` bars before it, until a close below the lowest low of
    the `exit` bars before it.

    With `allow_short` the mirror image too. A bar is compared with the bars before it, never with itself. Every
    further breakout renews a position; `max_hold` ends one that has not been renewed.

    Returns: (T, N) scores: +1 long, -1 short, 0 flat, NaN while warming.
    Raises: ValueError when `exit` is above `entry`.
    Source: Donchian's rule as used by the Turtles; Faith (2007), Way of the Turtle, appendix.
    """

    name: ClassVar[str] = "donchian_breakout"
    example: ClassVar[Mapping[str, Any]] = {"entry": 55, "exit": 20}

    entry: int = param(55, "bars whose high has to be broken to go long", unit="bars", minimum=2, maximum=10_000)
    exit: int = param(20, "bars whose low has to be broken to leave", unit="bars", minimum=2, maximum=10_000)
    max_hold: int = param(
        100, "bars after the last breakout at which a position is left", unit="bars", minimum=1, maximum=10_000
    )
    allow_short: bool = param(False, "go short on a breakout downwards", direction="wider_is_looser")

    def __post_init__(self) -> None:
        check_fields(self)
        if self.exit > self.entry:
            raise ValueError(f"exit {self.exit} must be at most entry {self.entry}")

    @property
    def sides(self) -> Sides:
        return EITHER if self.allow_short else LONG

    @property
    def warmup(self) -> int:
        return self.entry + 1 + self.max_hold

    def compute(self, panel: Panel) -> FloatArray:
        return by_instrument(panel, self.warmup, self._scores)

    def _scores(self, bars: Series) -> FloatArray:
        import talib

        close = bars.close
        # Comparisons with the NaN of the first bars are False: nothing breaks out of a channel that is not there.
        up = close > _before(talib.MAX(bars.high, timeperiod=self.entry))
        leave_long = close < _before(talib.MIN(bars.low, timeperiod=self.exit))
        scores = episodes(up, leave_long, self.max_hold)
        if self.allow_short:
            down = close < _before(talib.MIN(bars.low, timeperiod=self.entry))
            leave_short = close > _before(talib.MAX(bars.high, timeperiod=self.exit))
            scores = scores - episodes(down, leave_short, self.max_hold)
        return scores


def _before(values: FloatArray) -> FloatArray:
    """`values` as they stood one bar earlier."""
    shifted = np.full_like(values, np.nan)
    shifted[1:] = values[:-1]
    return shifted
