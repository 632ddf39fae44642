"""The window of recent bars that a live strategy evaluates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from runner.model.bars import Bar
from runner.model.panel import Panel

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME = range(5)


class PanelBuffer:
    """The last `capacity` bar times of N symbols, aligned on the union of their times.

    Bars come in any order and may replace earlier ones of the same start. Memory is fixed: when a new time comes in
    and the buffer is full, the oldest time goes. Not thread-safe; it belongs to one strategy's loop.
    """

    def __init__(self, symbols: Sequence[str], capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        if len(set(symbols)) != len(symbols):
            raise ValueError(f"a symbol appears twice in {', '.join(symbols)}")
        self.symbols = tuple(symbols)
        self.capacity = capacity
        self._column = {symbol: column for column, symbol in enumerate(self.symbols)}
        # Twice the room, so that rows move to the front only once every `capacity` new times.
        self._times = np.zeros(2 * capacity, dtype=np.int64)
        self._data = np.full((5, 2 * capacity, len(self.symbols)), np.nan)
        self._first = 0
        self._end = 0

    def __len__(self) -> int:
        """Times in the buffer."""
        return self._end - self._first

    def put(self, symbol: str, bar: Bar) -> bool:
        """Add or replace one bar; False when it was not taken.

        Not taken is a bar older than everything in a full buffer, and one without a usable close: NaN, 0 and the -1 by
        which IB says "none" are not prices. A high, low or open of that kind becomes NaN. An unknown symbol is a
        KeyError.
        """
        column = self._column[symbol]
        close = _price(bar.close)
        if math.isnan(close):
            return False
        row = self._row(_nanoseconds(bar.start))
        if row is None:
            return False
        cell = self._data[:, row, column]
        cell[_OPEN], cell[_HIGH], cell[_LOW] = _price(bar.open), _price(bar.high), _price(bar.low)
        cell[_CLOSE] = close
        cell[_VOLUME] = bar.volume if math.isfinite(bar.volume) and bar.volume >= 0.0 else math.nan
        return True

    def _row(self, stamp: int) -> int | None:
        """The row of a time, made when it is new; None when it is older than a full buffer reaches."""
        row = self._first + int(np.searchsorted(self._times[self._first : self._end], stamp))
        if row < self._end and self._times[row] == stamp:
            return row
        if len(self) == self.capacity:
            if row == self._first:
                return None
            self._first += 1
        if self._end == len(self._times):
            kept, shift = slice(self._first, self._end), self._first
            self._times[: len(self)] = self._times[kept].copy()
            self._data[:, : len(self)] = self._data[:, kept].copy()
            self._first, self._end, row = 0, self._end - shift, row - shift
        if row < self._end:
            self._times[row + 1 : self._end + 1] = self._times[row : self._end].copy()
            self._data[:, row + 1 : self._end + 1] = self._data[:, row : self._end].copy()
        self._end += 1
        self._times[row] = stamp
        self._data[:, row] = np.nan
        return row

    def rows_complete(self, start: datetime) -> bool:
        """Whether every symbol has its bar of that start."""
        return not self.missing(start)

    def missing(self, start: datetime) -> tuple[str, ...]:
        """The symbols that have no bar of that start."""
        stamp = _nanoseconds(start)
        row = self._first + int(np.searchsorted(self._times[self._first : self._end], stamp))
        if row == self._end or self._times[row] != stamp:
            return self.symbols
        closes = self._data[_CLOSE, row]
        return tuple(symbol for symbol, close in zip(self.symbols, closes, strict=True) if close != close)

    def panel(self) -> Panel:
        """A copy of the window; bars that come later do not change it."""
        rows = slice(self._first, self._end)
        data = self._data[:, rows].copy()
        return Panel(
            symbols=self.symbols,
            times=self._times[rows].copy().view("datetime64[ns]"),
            open=data[_OPEN],
            high=data[_HIGH],
            low=data[_LOW],
            close=data[_CLOSE],
            volume=data[_VOLUME],
        )


def _price(value: float) -> float:
    return value if math.isfinite(value) and value > 0.0 else math.nan


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND * 1000
