"""The bar cache: library `bars`, one symbol per contract, bar size, kind of price and hours.

A symbol is `<con_id>.<bar size>.<what>.<rth|all>`, for example `265598.1_day.TRADES.rth`. Bars can always be fetched
again from IB, so nothing here needs the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from runner.model.bars import Bar, BarSize
from runner.model.clock import utc
from runner.store.arctic_manager import Store
from runner.store.tables import FLOAT, INT, frame_of, nanoseconds

LIBRARY = "bars"
COLUMNS = {"open": FLOAT, "high": FLOAT, "low": FLOAT, "close": FLOAT, "volume": FLOAT, "wap": FLOAT, "count": INT}


def symbol_of(con_id: int, size: BarSize, what: str, rth: bool) -> str:
    """Name of the symbol that holds these bars."""
    return f"{con_id}.{size.value.replace(' ', '_')}.{what}.{'rth' if rth else 'all'}"


class BarCache:
    """Bars kept in ArcticDB between runs. Blocking: call it from a worker thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, con_id: int, size: BarSize, what: str, rth: bool) -> list[Bar]:
        """Every cached bar, oldest first; empty when there is none. StoreError when the store refuses."""
        import pandas as pd

        frame = self._store.read(LIBRARY, symbol_of(con_id, size, what, rth))
        if frame is None:
            return []
        stamps = pd.DatetimeIndex(frame.index).as_unit("us").astype("int64").tolist()
        columns = [frame[name].to_numpy().tolist() for name in COLUMNS]
        return [
            Bar(start=_from_us(us), open=o, high=h, low=low, close=c, volume=v, wap=w, count=int(n))
            for us, o, h, low, c, v, w, n in zip(stamps, *columns, strict=True)
        ]

    def write(self, con_id: int, size: BarSize, what: str, rth: bool, bars: Sequence[Bar]) -> None:
        """Store bars, replacing everything between the first and last of them.

        Give a contiguous stretch: cached bars inside it that it does not contain are removed. Bars may come in any
        order; of two with the same start the last one counts.
        """
        if not bars:
            return
        by_start = {utc(bar.start): bar for bar in bars}
        ordered = [by_start[start] for start in sorted(by_start)]
        rows = [{name: getattr(bar, name) for name in COLUMNS} for bar in ordered]
        frame = frame_of(rows, COLUMNS, [nanoseconds(bar.start) for bar in ordered])
        self._store.update(LIBRARY, symbol_of(con_id, size, what, rth), frame)


def _from_us(microseconds: int) -> datetime:
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
