"""Where "now" comes from. It is always passed in, never reached for."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time of the market and of this machine."""

    def now(self) -> datetime:
        """The time of the market: aware, UTC. In a replay it stands where the replay stands."""
        ...

    def monotonic(self) -> float:
        """Seconds of this machine, for timeouts and ages; never goes back."""
        ...


class SystemClock:
    """This machine's own time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves when told. `monotonic` moves with it."""

    def __init__(self, start: datetime) -> None:
        self._now = utc(start)
        self._start = self._now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    def set(self, to: datetime) -> None:
        """Move to `to`; moving back is refused with ValueError."""
        to = utc(to)
        if to < self._now:
            raise ValueError(f"the clock cannot go back from {self._now} to {to}")
        self._now = to


def utc(value: datetime) -> datetime:
    """`value` in UTC. A naive datetime is refused with ValueError, because nobody knows what it means."""
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return value.astimezone(UTC)
