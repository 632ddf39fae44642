"""Trading sessions of an exchange calendar, half days and holidays included."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache

from runner.model.calendar_data import CALENDAR_OF_EXCHANGE, recorded_sessions

__all__ = ["CALENDAR_OF_EXCHANGE", "Session", "Sessions", "sessions"]


@dataclass(frozen=True, slots=True)
class Session:
    """One trading session: `day` is its date in the exchange's zone, `open` and `close` are aware UTC."""

    day: date
    open: datetime
    close: datetime

    def contains(self, at: datetime) -> bool:
        """Whether `at` is in [open, close)."""
        return self.open <= at < self.close


class Sessions:
    """The sessions of one calendar, half days and holidays included.

    They cover 1999 to 2035, or as far as exchange_calendars records the holidays; outside it raises ValueError.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        recorded = recorded_sessions(code)
        self.zone = recorded.zone
        self._days, self._opens, self._closes = recorded.days, recorded.opens, recorded.closes
        self._index = {day: i for i, day in enumerate(self._days)}

    def _at(self, i: int) -> Session:
        return Session(
            self._days[i], datetime.fromtimestamp(self._opens[i], UTC), datetime.fromtimestamp(self._closes[i], UTC)
        )

    @property
    def first_day(self) -> date:
        """Date of the first session that is known."""
        return self._days[0]

    def on(self, day: date) -> Session | None:
        """The session of that date, or None on a holiday."""
        i = self._index.get(day)
        return None if i is None else self._at(i)

    def at_or_after(self, at: datetime) -> Session:
        """The session `at` is in, or the next one to open."""
        i = bisect_right(self._closes, at.timestamp())
        if i >= len(self._days):
            raise ValueError(f"calendar {self.code} ends at {self._days[-1]}")
        return self._at(i)

    def before(self, at: datetime) -> Session:
        """The last session that has closed at or before `at`."""
        i = bisect_right(self._closes, at.timestamp()) - 1
        if i < 0:
            raise ValueError(f"calendar {self.code} begins at {self._days[0]}")
        return self._at(i)

    def is_open(self, at: datetime) -> bool:
        return self.at_or_after(at).contains(at)

    def session_day(self, at: datetime) -> date:
        """The date that counts as "today" at `at`: the session under way, else the next one."""
        return self.at_or_after(at).day

    def between(self, first: date, last: date) -> list[Session]:
        """Sessions whose date is in [first, last]."""
        return [self._at(i) for i in range(bisect_left(self._days, first), bisect_right(self._days, last))]

    def local(self, day: date, clock_time: time) -> datetime:
        """`clock_time` on `day` in the exchange's zone, as aware UTC."""
        return datetime.combine(day, clock_time, self.zone).astimezone(UTC)


@lru_cache(maxsize=64)
def sessions(code: str) -> Sessions:
    """The sessions of an exchange_calendars code; ValueError when there is no such calendar."""
    return Sessions(code)
