"""Times in a spec: `"15:45"` in the exchange's zone, `close-20m`, `open+5m`; and durations such as `5m`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal

from runner.model.sessions import Session, Sessions

CLOCK_PATTERN = r"^([01]?[0-9]|2[0-3]):[0-5][0-9]$"
TIME_PATTERN = r"^(([01]?[0-9]|2[0-3]):[0-5][0-9]|(open|close)([+-][0-9]{1,3}m)?)$"
EVERY_PATTERN = r"^[1-9][0-9]{0,3}[smh]$"

_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})\Z", re.ASCII)
_ANCHOR = re.compile(r"(open|close)(?:([+-][0-9]{1,3})m)?\Z", re.ASCII)
_EVERY = re.compile(r"([1-9][0-9]{0,3})([smh])\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class TimeRef:
    """A moment of a session: a time on the exchange's clock, or a distance from its open or close.

    `clock` is set when `anchor` is "clock", `offset` otherwise. On a half day `close-20m` moves with the close and
    "15:45" does not.
    """

    anchor: Literal["clock", "open", "close"]
    clock: time | None = None
    offset: timedelta = timedelta(0)

    @classmethod
    def parse(cls, text: str) -> TimeRef:
        """Read `"HH:MM"`, `open`, `close`, `open+5m`, `close-20m`. Raises ValueError."""
        anchored = _ANCHOR.match(text)
        if anchored is not None:
            return cls("open" if anchored[1] == "open" else "close", offset=timedelta(minutes=int(anchored[2] or 0)))
        return cls("clock", clock=parse_clock(text))

    def at(self, session: Session, sessions: Sessions) -> datetime:
        """The moment in that session, aware UTC.

        A session that opens on the evening before its date, as futures' do, has the clock time of that evening when
        the time lies in it. A time outside the session is on the session's date.
        """
        if self.anchor == "open":
            return session.open + self.offset
        if self.anchor == "close":
            return session.close + self.offset
        assert self.clock is not None
        on_day = sessions.local(session.day, self.clock)
        if on_day > session.close:
            evening_before = sessions.local(session.day - timedelta(days=1), self.clock)
            if session.open <= evening_before <= session.close:
                return evening_before
        return on_day

    def __str__(self) -> str:
        if self.clock is not None:
            return f"{self.clock:%H:%M}"
        minutes = int(self.offset.total_seconds() // 60)
        return f"{self.anchor}{minutes:+d}m" if minutes else self.anchor


def parse_clock(text: str) -> time:
    """`"9:30"` or `"09:30"` as a time. Raises ValueError."""
    match = _CLOCK.match(text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59:
        raise ValueError(f"{text!r} is not a time such as 09:30")
    return time(int(match[1]), int(match[2]))


def parse_every(text: str) -> timedelta:
    """`30s`, `5m` or `1h` as a duration. Raises ValueError."""
    match = _EVERY.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 5m")
    return timedelta(seconds=int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]])
