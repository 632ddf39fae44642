"""Where the sessions of a calendar come from: the file shipped beside this module, else exchange_calendars.

The file holds the calendars of the exchanges that IB routes to, so that neither the paper gateway nor a strategy pays
for pandas to learn when New York is open. `python -m runner.model.calendar_data` writes it from exchange_calendars; a
test compares every session of it with the library's. Hours are kept as the exchange's own clock says them, which is
also why the file is small: most calendars know two kinds of day.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from string import ascii_letters
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
"""IB exchange → exchange_calendars code. These calendars are shipped."""

DATA_FILE = Path(__file__).with_name("calendars.json.gz")
CLOSED = "."
"""A day without a session, in the file's string of days; a letter is the session's hours."""

_FIRST, _LAST = "1999-01-01", "2035-12-31"


@dataclass(frozen=True, slots=True)
class RecordedSessions:
    """All sessions of one calendar, oldest first; opens and closes are epoch seconds."""

    zone: ZoneInfo
    days: list[date]
    opens: list[int]
    closes: list[int]


def recorded_sessions(code: str) -> RecordedSessions:
    """The sessions of an exchange_calendars code; ValueError when there is no such calendar."""
    row = _shipped().get(code)
    return from_library(code) if row is None else _decoded(row)


def from_library(code: str) -> RecordedSessions:
    """As exchange_calendars says; it and pandas are imported here only."""
    calendar = _library_calendar(code)
    return RecordedSessions(
        zone=ZoneInfo(str(calendar.tz)),
        days=[stamp.date() for stamp in calendar.sessions],
        opens=[int(stamp.timestamp()) for stamp in calendar.opens],
        closes=[int(stamp.timestamp()) for stamp in calendar.closes],
    )


def data_text() -> str:
    """What the shipped file should hold, one calendar a line."""
    rows = (f"{json.dumps(code)}: {json.dumps(_encoded(from_library(code)))}" for code in shipped_codes())
    return "{\n" + ",\n".join(rows) + "\n}\n"


def shipped_codes() -> list[str]:
    return sorted(set(CALENDAR_OF_EXCHANGE.values()))


def _encoded(recorded: RecordedSessions) -> dict[str, Any]:
    hours: dict[tuple[int, int], str] = {}
    first, last = recorded.days[0], recorded.days[-1]
    days = [CLOSED] * ((last - first).days + 1)
    for day, opened, closed in zip(recorded.days, recorded.opens, recorded.closes, strict=True):
        key = _minutes(day, opened, recorded.zone), _minutes(day, closed, recorded.zone)
        days[(day - first).days] = hours.setdefault(key, ascii_letters[len(hours)])
    return {"zone": recorded.zone.key, "hours": list(hours), "first": first.isoformat(), "days": "".join(days)}


def _decoded(row: dict[str, Any]) -> RecordedSessions:
    zone, first = ZoneInfo(row["zone"]), date.fromisoformat(row["first"])
    hours = {ascii_letters[i]: tuple(pair) for i, pair in enumerate(row["hours"])}
    sessions = [(first + timedelta(days=i), *hours[word]) for i, word in enumerate(row["days"]) if word != CLOSED]
    return RecordedSessions(
        zone=zone,
        days=[day for day, _, _ in sessions],
        opens=[_epoch(day, opened, zone) for day, opened, _ in sessions],
        closes=[_epoch(day, closed, zone) for day, _, closed in sessions],
    )


def _minutes(day: date, epoch: int, zone: ZoneInfo) -> int:
    """Minutes from the day's midnight on the exchange's clock; a session that opens the evening before is negative."""
    # Two moments of one zone differ by what its clock shows, summer time or not.
    return (datetime.fromtimestamp(epoch, zone) - datetime.combine(day, time(), zone)) // timedelta(minutes=1)


def _epoch(day: date, minutes: int, zone: ZoneInfo) -> int:
    return int((datetime.combine(day, time(), zone) + timedelta(minutes=minutes)).timestamp())


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(gzip.decompress(DATA_FILE.read_bytes()))
    return result


def _library_calendar(code: str) -> Any:
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        return exchange_calendars.get_calendar(code, start=_FIRST, end=_LAST)
    except InvalidCalendarName:
        raise ValueError(f"there is no exchange calendar called {code!r}") from None
    except ValueError:
        # Some calendars know their holidays for some years only. Without bounds it would be a year from today.
        known = exchange_calendars.get_calendar(code)
        first, last = known.bound_min(), known.bound_max()
        return exchange_calendars.get_calendar(
            code,
            start=_FIRST if first is None else max(_FIRST, f"{first:%Y-%m-%d}"),
            end=_LAST if last is None else min(_LAST, f"{last:%Y-%m-%d}"),
        )


if __name__ == "__main__":
    # No time stamp inside, so that the same sessions make the same file.
    DATA_FILE.write_bytes(gzip.compress(data_text().encode(), mtime=0))
