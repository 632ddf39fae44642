"""When a bar ends, and how many fit into a stretch of time."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta

from runner.model.bars import Bar, BarSize
from runner.model.instruments import Instrument
from runner.model.sessions import CALENDAR_OF_EXCHANGE, Sessions, sessions

DEFAULT_CALENDAR = "XNYS"
_RTH_SECONDS = 23_400
ALL_HOURS = timedelta(hours=16)
"""A stock's day with the hours before and after the session."""


def calendar_of(instrument: Instrument) -> str:
    """exchange_calendars code of where the instrument trades."""
    for exchange in (instrument.primary_exchange, instrument.exchange):
        if exchange and exchange != "SMART" and exchange in CALENDAR_OF_EXCHANGE:
            return CALENDAR_OF_EXCHANGE[exchange]
    return CALENDAR_OF_EXCHANGE.get(instrument.exchange, DEFAULT_CALENDAR)


def bar_end(start: datetime, size: BarSize, instrument: Instrument, regular_hours: bool) -> datetime:
    """The moment from which the bar cannot change any more.

    Intraday it is the end of the interval, or of the session if that comes first; intervals are counted from midnight
    at the exchange, so an hourly bar that begins at a 9:30 open ends at 10:00. For a day it is the close of its session
    (the end of the calendar day when the bar has all hours), for a week or month that of the last session in it.
    """
    calendar = sessions(calendar_of(instrument))
    if size.intraday:
        local = start.astimezone(calendar.zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        end = start + size.length - (local.replace(tzinfo=None) - midnight) % size.length
        session = calendar.at_or_after(start) if regular_hours else None
        return min(end, session.close) if session is not None and session.contains(start) else end
    day = start.date()
    if size is BarSize.WEEK_1:
        first = day - timedelta(days=day.weekday())
        last = first + timedelta(days=6)
    elif size is BarSize.MONTH_1:
        first = day.replace(day=1)
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    else:
        first = last = day
    return _last_close(calendar, first, last, start, size, regular_hours)


def _last_close(
    calendar: Sessions, first: date, last: date, start: datetime, size: BarSize, regular_hours: bool
) -> datetime:
    inside = calendar.between(first, last)
    if not inside:
        return start + size.length
    if regular_hours:
        return inside[-1].close
    return max(inside[-1].close, calendar.local(inside[-1].day + timedelta(days=1), time()))


def completed(bars: list[Bar], size: BarSize, instrument: Instrument, regular_hours: bool, now: datetime) -> list[Bar]:
    """Without the bars at the end that may still change."""
    count = len(bars)
    while count and bar_end(bars[count - 1].start, size, instrument, regular_hours) > now:
        count -= 1
    return bars[:count]


def bars_since(start: datetime, now: datetime, size: BarSize, instrument: Instrument, regular_hours: bool) -> int:
    """About how many completed bars of the instrument there are from `start` to `now`.

    By the sessions of its calendar; with all hours a session counts for ALL_HOURS at least, and what lies before the
    calendar's first session for five days a week.
    """
    if size in (BarSize.WEEK_1, BarSize.MONTH_1):
        return max(0, int((now - start) / size.length))
    calendar = sessions(calendar_of(instrument))
    inside = [session for session in calendar.between(start.date(), now.date()) if session.close <= now]
    lengths = [session.close - session.open for session in inside]
    if inside and start.date() < calendar.first_day:
        weekdays = int((calendar.first_day - start.date()).days * 5 / 7)
        lengths += [lengths[0]] * weekdays
    if not size.intraday:
        return len(lengths)
    if not regular_hours:
        lengths = [max(length, ALL_HOURS) for length in lengths]
    return sum(math.ceil(length / size.length) for length in lengths)


def bars_between(start: datetime, end: datetime, size: BarSize, regular_hours: bool) -> int:
    """How many bars there may be at most, for sizing a request."""
    seconds = max(0.0, (end - start).total_seconds())
    if not size.intraday:
        return math.ceil(seconds / size.seconds) + 1
    days = math.ceil(seconds / 86_400)
    per_session = math.ceil((_RTH_SECONDS if regular_hours else 86_400) / size.seconds)
    return min(math.ceil(seconds / size.seconds), days * per_session) + 1
