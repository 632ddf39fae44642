"""Bars and their sizes. Prices in bars are float64: they feed indicators, not the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class BarSize(StrEnum):
    """IB's own names of bar sizes."""

    SEC_1 = "1 secs"
    SEC_5 = "5 secs"
    SEC_10 = "10 secs"
    SEC_15 = "15 secs"
    SEC_30 = "30 secs"
    MIN_1 = "1 min"
    MIN_2 = "2 mins"
    MIN_3 = "3 mins"
    MIN_5 = "5 mins"
    MIN_10 = "10 mins"
    MIN_15 = "15 mins"
    MIN_20 = "20 mins"
    MIN_30 = "30 mins"
    HOUR_1 = "1 hour"
    HOUR_2 = "2 hours"
    HOUR_3 = "3 hours"
    HOUR_4 = "4 hours"
    HOUR_8 = "8 hours"
    DAY_1 = "1 day"
    WEEK_1 = "1W"
    MONTH_1 = "1M"

    @property
    def seconds(self) -> int:
        """Nominal length; a day is 86,400, a week 604,800, a month 2,592,000."""
        return _SECONDS[self]

    @property
    def intraday(self) -> bool:
        """Shorter than a session."""
        return self.seconds < 86_400

    @property
    def length(self) -> timedelta:
        return timedelta(seconds=self.seconds)


def _seconds(name: str) -> int:
    special = {"1W": 604_800, "1M": 2_592_000}
    if name in special:
        return special[name]
    count, unit = name.split(" ")
    return int(count) * {"sec": 1, "min": 60, "hour": 3600, "day": 86_400}[unit.rstrip("s")]


_SECONDS = {size: _seconds(size.value) for size in BarSize}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of one instrument.

    `start` is aware UTC: for bars of a day and longer it is midnight UTC of the session's date, as IB stamps them
    with a date only. Prices are in the instrument's currency; `volume` in shares or contracts.
    """

    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    wap: float = 0.0
    count: int = 0
