"""Trading sessions of an exchange calendar. exchange_calendars (and so pandas) is imported at first use only."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

CALENDAR_OF_EXCHANGE = {
    "SMART": "XNYS", "NYSE": "XNYS", "ARCA": "XNYS", "AMEX": "XNYS", "BATS": "XNYS", "NASDAQ": "XNYS", "ISLAND": "XNYS",
    "IEX": "XNYS", "IBIS": "XETR", "FWB": "XFRA", "SBF": "XPAR", "AEB": "XAMS", "ENEXT.BE": "XBRU", "EBS": "XSWX",
    "LSE": "XLON", "TSEJ": "XTKS", "SEHK": "XHKG", "ASX": "XASX", "TSE": "XTSE", "BVME": "XMIL", "BM": "XMAD",
    "SFB": "XSTO", "OSE": "XOSL", "CPH": "XCSE", "HEX": "XHEL", "VSE": "XWBO", "KSE": "XKRX", "SGX": "XSES",
    "MEXI": "XMEX", "CME": "CMES", "CBOT": "CMES", "NYMEX": "CMES", "COMEX": "CMES", "CFE": "XCBF", "CBOE": "XCBF",
    "ICEEU": "IEPA", "EUREX": "XEUR", "WSE": "XWAR", "PRA": "XPRA", "BVL": "XLIS", "TASE": "XTAE",
    "IDEALPRO": "24/5", "PAXOS": "24/7",
}  # fmt: skip
"""IB exchange → exchange_calendars code."""

_FIRST, _LAST = "1999-01-01", "2035-12-31"


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
        self._calendar = _calendar(code)
        self.zone: ZoneInfo = ZoneInfo(str(self._calendar.tz))
        self._opens = _epochs(self._calendar.opens)
        self._closes = _epochs(self._calendar.closes)
        self._days: list[date] = [stamp.date() for stamp in self._calendar.sessions]
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


def _epochs(stamps: Any) -> list[int]:
    """Epoch seconds of a pandas series of aware stamps, whatever its unit."""
    return [int(stamp.timestamp()) for stamp in stamps]


@lru_cache(maxsize=64)
def sessions(code: str) -> Sessions:
    """The sessions of an exchange_calendars code; ValueError when there is no such calendar."""
    return Sessions(code)


@lru_cache(maxsize=64)
def _calendar(code: str) -> Any:
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    bounds: dict[str, str] = {"start": _FIRST, "end": _LAST}
    try:
        return exchange_calendars.get_calendar(code, **bounds)
    except InvalidCalendarName:
        raise ValueError(f"there is no exchange calendar called {code!r}") from None
    except ValueError:
        # Some calendars record their holidays for the next year only.
        return exchange_calendars.get_calendar(code, start=_FIRST)
