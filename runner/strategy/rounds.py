"""When a round of bars is whole: the bars of one start, of every instrument that trades then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from runner.broker.bar_times import bar_end, calendar_of
from runner.broker.feed import BarUpdate
from runner.broker.market_data import BAR_GRACE_S, DAY_GRACE_S
from runner.model.bars import BarSize
from runner.model.instruments import Instrument
from runner.model.sessions import sessions

LATE_S = 2.0
"""Live: how much longer than the market-data hub a round waits for an instrument that has no bar."""


class Rounds:
    """Collects completed bars. A round is over when every instrument has its bar, or when its time is up: an
    instrument without trades must not hold up the others. No round is reported twice, nor one older than the last."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        size: BarSize,
        *,
        regular_hours: bool,
        following: bool,
        after: datetime | None = None,
    ) -> None:
        """`following`: a replay gives every bar of a time at once, so nothing is waited for. Only rounds that begin
        after `after` count."""
        self._instruments = tuple(instruments)
        self._size = size
        self._regular_hours = regular_hours
        grace = 0.0 if following else LATE_S + (BAR_GRACE_S if size.intraday else DAY_GRACE_S)
        self._grace = timedelta(seconds=grace)
        self._open: dict[datetime, set[int]] = {}
        self._last = after

    @property
    def last(self) -> datetime | None:
        """Start of the newest round that has been reported."""
        return self._last

    def begin_after(self, start: datetime | None) -> None:
        """Rounds up to the one that began at `start` have been dealt with by somebody else."""
        if start is not None and (self._last is None or start > self._last):
            self._last = start
            self._open = {begun: seen for begun, seen in self._open.items() if begun > start}

    def note(self, change: BarUpdate) -> None:
        """Takes in one update; only completed bars count, and only of rounds that are not over yet."""
        if change.complete and (self._last is None or change.bar.start > self._last):
            self._open.setdefault(change.bar.start, set()).add(change.instrument.con_id)

    def take(self, at: datetime) -> datetime | None:
        """Start of the newest round that is over at `at`; it and all before it are done with. None when none is."""
        over = [
            start for start, seen in self._open.items() if self._is_whole(start, seen) or self._time_is_up(start, at)
        ]
        if not over:
            return None
        self._last = newest = max(over)
        self._open = {start: seen for start, seen in self._open.items() if start > newest}
        return newest

    def _is_whole(self, start: datetime, seen: set[int]) -> bool:
        return all(one.con_id in seen for one in self._instruments if self._trades(one, start))

    def _time_is_up(self, start: datetime, at: datetime) -> bool:
        ends = [
            bar_end(start, self._size, one, self._regular_hours)
            for one in self._instruments
            if self._trades(one, start)
        ]
        return at >= max(ends, default=start) + self._grace

    def _trades(self, instrument: Instrument, start: datetime) -> bool:
        """Whether its exchange has the session of a daily bar."""
        return self._size is not BarSize.DAY_1 or sessions(calendar_of(instrument)).on(start.date()) is not None


def bar_began(start: np.datetime64, size: BarSize, instrument: Instrument) -> datetime:
    """The first moment that a bar of a panel covers, aware UTC: a daily bar's is the open of its session."""
    at = datetime.fromtimestamp(int(start.astype("datetime64[s]").astype("int64")), UTC)
    session = None if size.intraday else sessions(calendar_of(instrument)).on(at.date())
    return session.open if session is not None else at
