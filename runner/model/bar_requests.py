"""What IB allows of historical bars: how much one request may ask for, how often, and how far back.

Source: IB's TWS API pages "Historical Bar Data" and "Historical Data Limitations".
"""

from __future__ import annotations

import math

from runner.model.bars import BarSize

HISTORY_WINDOW_S = 600.0
HISTORY_IN_WINDOW = 60
"""Requests for small bars that are answered within the window."""
SMALL_BAR_S = 30
"""Bars up to this length fall under the strict rules; longer ones only under the number of open requests."""

_RTH_SECONDS = 23_400
_ALL_HOURS_SECONDS = 57_600
_MAX_SECONDS = {1: 1_800, 5: 3_600, 10: 14_400, 15: 14_400, 30: 28_800}
"""Longest duration that IB answers in one piece for bars of so many seconds."""
_MAX_DAYS = {60: 1, 120: 2, 180: 7, 300: 7, 600: 7, 900: 7, 1_200: 7}
_MONTH_DAYS = 30
_YEAR_DAYS = 365
_WEEKDAYS = 5 / 7

SMALL_BAR_YEARS = 0.5
"""IB keeps bars of 30 seconds and less for six months."""
INTRADAY_YEARS = 20.0
"""About how far back IB has bars of minutes and hours; stocks begin around 2004."""
DAILY_YEARS = 45.0
"""About how far back IB has bars of a day and more; the oldest stocks begin around 1980."""


def duration_for(count: int, size: BarSize, regular_hours: bool) -> str:
    """IB's duration text for at least `count` bars, or for as many as one request may have."""
    seconds = size.seconds
    if seconds in _MAX_SECONDS:
        return f"{min(_MAX_SECONDS[seconds], max(count * seconds, 60))} S"
    if size.intraday:
        days = math.ceil(math.ceil(count / _per_session(size, regular_hours)) / _WEEKDAYS) + 4
        most = _MAX_DAYS.get(seconds, _MONTH_DAYS)
        return "1 M" if days >= _MONTH_DAYS <= most else f"{min(days, most)} D"
    days = math.ceil(count * seconds / 86_400 * (7 / 5 if size is BarSize.DAY_1 else 1)) + 5
    return f"{days} D" if days < _YEAR_DAYS else "1 Y"


def _per_session(size: BarSize, regular_hours: bool) -> int:
    """Bars of a session of the New York Stock Exchange."""
    return math.ceil((_RTH_SECONDS if regular_hours else _ALL_HOURS_SECONDS) / size.seconds)


def requests_for(count: int, size: BarSize, regular_hours: bool) -> int:
    """About how many requests the last `count` bars of one instrument take when none of them is cached."""
    seconds = size.seconds
    if seconds in _MAX_SECONDS:
        return _pieces(count, _MAX_SECONDS[seconds] / seconds)
    if size.intraday:
        days = _MAX_DAYS.get(seconds, _MONTH_DAYS)
        # A request for a single day always reaches one session back.
        sessions = 1.0 if days == 1 else days * _WEEKDAYS
        return _pieces(count, sessions * _per_session(size, regular_hours))
    return _pieces(count, _YEAR_DAYS * (_WEEKDAYS if size is BarSize.DAY_1 else 1.0) * 86_400 / seconds)


def _pieces(count: int, most: float) -> int:
    return max(1, math.ceil(count / most - 1e-9))


def pacing_s(requests: int, size: BarSize) -> float:
    """Seconds that IB's pacing alone makes so many requests of one session take, one after the other."""
    if size.seconds > SMALL_BAR_S:
        return 0.0
    return max(0, requests - 1) // HISTORY_IN_WINDOW * HISTORY_WINDOW_S


def years_of(count: int, size: BarSize, regular_hours: bool) -> float:
    """About how many years back the last `count` bars reach."""
    if size.intraday:
        return count / _per_session(size, regular_hours) / _WEEKDAYS / 365.25
    days = count * size.seconds / 86_400
    return days / (_WEEKDAYS if size is BarSize.DAY_1 else 1.0) / 365.25


def most_years(size: BarSize) -> float:
    """How far back IB has bars of that size at most."""
    if size.seconds <= SMALL_BAR_S:
        return SMALL_BAR_YEARS
    return INTRADAY_YEARS if size.intraday else DAILY_YEARS
