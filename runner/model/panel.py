"""The price panel: what signals and sizing see, and all that they see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """T bars of N instruments, oldest first. All price arrays are (T, N) float64; NaN where there is no bar.

    `times` is (T,) datetime64[ns] UTC, the start of each bar, strictly increasing. Prices are in each instrument's own
    currency, volume in shares or contracts.
    """

    symbols: tuple[str, ...]
    times: NDArray[np.datetime64]
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray

    def __post_init__(self) -> None:
        shape = (len(self.times), len(self.symbols))
        for name in ("open", "high", "low", "close", "volume"):
            array = getattr(self, name)
            if array.shape != shape:
                raise ValueError(f"panel.{name} has shape {array.shape}, expected {shape}")

    @property
    def bars(self) -> int:
        return len(self.times)

    def first(self, instruments: int) -> Panel:
        """The panel of the first so many instruments only."""
        if instruments == len(self.symbols):
            return self
        return Panel(
            symbols=self.symbols[:instruments],
            times=self.times,
            open=self.open[:, :instruments],
            high=self.high[:, :instruments],
            low=self.low[:, :instruments],
            close=self.close[:, :instruments],
            volume=self.volume[:, :instruments],
        )

    def tail(self, bars: int) -> Panel:
        """The last `bars` rows."""
        cut = slice(max(0, self.bars - bars), None)
        return Panel(
            symbols=self.symbols,
            times=self.times[cut],
            open=self.open[cut],
            high=self.high[cut],
            low=self.low[cut],
            close=self.close[cut],
            volume=self.volume[cut],
        )
