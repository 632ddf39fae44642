"""Historical bars: IB's durations and bar sizes over what the market has traded up to its clock.

Stocks have no bars outside regular hours here, so `regular_hours` changes nothing. Bars below a day begin on multiples
of their size in the exchange's own time, so that the first hour of a New York session has 30 minutes, as IB sends it.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby

from runner.gateway.market import Market, Series, epoch, instant
from runner.gateway.model import BarRow, RequestRefused
from runner.gateway.synth import MINUTE_S, Ticks, join
from runner.model.bars import BarSize

DAY_S = 86_400
MAX_BARS = 100_000
"""A longer answer is refused with 162, as a real gateway's servers do."""
UNKNOWN = Decimal(-1)
"""Volume, average and count of bars that are not trades."""

_ALIASES = {
    "1 sec": BarSize.SEC_1, "5 sec": BarSize.SEC_5, "10 sec": BarSize.SEC_10, "15 sec": BarSize.SEC_15,
    "30 sec": BarSize.SEC_30, "1 mins": BarSize.MIN_1, "60 secs": BarSize.MIN_1, "1 hours": BarSize.HOUR_1,
    "60 mins": BarSize.HOUR_1, "1 days": BarSize.DAY_1, "1D": BarSize.DAY_1, "1d": BarSize.DAY_1,
    "1 week": BarSize.WEEK_1, "1 weeks": BarSize.WEEK_1, "1w": BarSize.WEEK_1, "1 W": BarSize.WEEK_1,
    "1 month": BarSize.MONTH_1, "1 months": BarSize.MONTH_1, "1 M": BarSize.MONTH_1, "1m": BarSize.MONTH_1,
}  # fmt: skip
_SIZES = {**{size.value: size for size in BarSize}, **_ALIASES}
_DURATION = re.compile(r"\s*([0-9]{1,6})\s*([SDWMY])\s*")
_KINDS = {
    "STK": ("TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST"),
    "FUT": ("TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK"),
    "CASH": ("MIDPOINT", "BID", "ASK", "BID_ASK"),
    "IND": ("TRADES",),
}
"""What there are bars of. ADJUSTED_LAST are the split-adjusted trades: there are no dividends here."""
_KNOWN_KINDS = frozenset({
    "TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST", "HISTORICAL_VOLATILITY",
    "OPTION_IMPLIED_VOLATILITY", "REBATE_RATE", "FEE_RATE", "YIELD_BID", "YIELD_ASK", "YIELD_BID_ASK", "YIELD_LAST",
    "SCHEDULE", "AGGTRADES",
})  # fmt: skip
_INVALID = "Error validating request.-'bP' : cause - "

Spot = tuple[int, int, Ticks]
"""Start and end (epoch seconds) of a bar, and its trades."""


def parse_bar_size(text: str) -> BarSize:
    """IB's name of a bar size, other spellings that IB takes included. RequestRefused 321."""
    size = _SIZES.get(text.strip())
    if size is None:
        legal = ", ".join(s.value for s in BarSize)
        raise RequestRefused(321, f"{_INVALID}Historical data bar size setting is invalid. Legal ones are: {legal}")
    return size


def parse_duration(text: str) -> tuple[int, str]:
    """`"10 D"` → (10, "D"). RequestRefused 321."""
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise RequestRefused(
            321,
            f"{_INVALID}Historical data query end date/time string is invalid or the duration {text!r} is not an "
            "integer, a space and one of S, D, W, M, Y",
        )
    count, unit = int(match[1]), match[2]
    if unit == "S" and count > DAY_S:
        raise RequestRefused(
            321, f"{_INVALID}Historical data requests for durations longer than 86400 seconds must be made in days"
        )
    if unit == "D" and count > 365:
        raise RequestRefused(
            321, f"{_INVALID}Historical data requests for durations longer than 365 days must be made in years"
        )
    return count, unit


class History:
    """Answers historical requests from the market."""

    def __init__(self, market: Market, half_spread_ticks: int) -> None:
        self._market = market
        self._half = half_spread_ticks

    def bars(self, con_id: int, *, end: datetime | None, duration: str, bar_size: str, what: str) -> list[BarRow]:
        """Bars of one request, oldest first. With an `end` in the past every bar has ended by then; else the last
        may be in progress. RequestRefused 321 (bad request) or 162 (no data)."""
        size = parse_bar_size(bar_size)
        count, unit = parse_duration(duration)
        series = self._market.series(con_id)
        kind = self._kind(series, what)
        now = self._market.now_s
        until = now if end is None else min(epoch(end), now)
        complete = end is not None and epoch(end) < now
        if size.intraday:
            spots = self._intraday(series, size, self._since(series, until, count, unit), until)
        else:
            spots = self._daily(series, size, until, count, unit)
        if complete:
            spots = [spot for spot in spots if spot[1] <= until]
        if not spots:
            raise self._no_data(series, what)
        if len(spots) > MAX_BARS:
            raise RequestRefused(
                162, f"Historical Market Data Service error message:{len(spots)} bars in one request; ask for less"
            )
        return [self._row(series, spot, kind) for spot in spots]

    def in_progress(self, con_id: int, bar_size: str, *, what: str) -> BarRow | None:
        """The bar that now is in, or that ended exactly now. RequestRefused as `bars`."""
        size = parse_bar_size(bar_size)
        series = self._market.series(con_id)
        kind = self._kind(series, what)
        now = self._market.now_s
        i = series.timeline.started(now)
        if i < 0 or i > series.last or now > series.timeline.closes[i]:
            return None
        if size.intraday:
            spots = self._intraday(series, size, max(_bar_start(series, i, now - 1, size), 0), now)
        else:
            spots = self._daily(series, size, now, 1, "D")
        return self._row(series, spots[-1], kind) if spots else None

    def head(self, con_id: int) -> datetime:
        """When the contract's data begin. RequestRefused 162 when it has none yet."""
        series = self._market.series(con_id)
        opened = series.timeline.opens[series.listed_from]
        if opened >= self._market.now_s:
            raise self._no_data(series, "TRADES")
        return instant(opened)

    # what to answer

    def _kind(self, series: Series, what: str) -> str:
        kind = what.strip().upper()
        if kind not in _KNOWN_KINDS:
            raise RequestRefused(321, f"{_INVALID}Invalid what to show value: {what!r}")
        if kind not in _KINDS.get(series.contract.sec_type, ()):
            raise self._no_data(series, kind)
        return kind

    def _no_data(self, series: Series, what: str) -> RequestRefused:
        c = series.contract
        return RequestRefused(
            162,
            "Historical Market Data Service error message:HMDS query returned no data: "
            f"{c.local_symbol}@{c.exchange} {what.strip().upper().title()}",
        )

    def _since(self, series: Series, until: int, count: int, unit: str) -> int:
        """The first second of a duration that ends at `until`."""
        timeline = series.timeline
        i = timeline.started(until)
        if i < 0:
            return until
        if unit == "S":
            left = count
            while i > series.listed_from:
                left -= min(until, timeline.closes[i]) - timeline.opens[i]
                if left <= 0:
                    break
                i -= 1
            return timeline.opens[i] - min(left, 0)
        if unit == "D":
            return timeline.opens[max(i - count + 1, series.listed_from)]
        first = timeline.index_after(_back(timeline.days[i], count, unit))
        return timeline.opens[max(first, series.listed_from)]

    def _daily(self, series: Series, size: BarSize, until: int, count: int, unit: str) -> list[Spot]:
        """One bar per session, week or month; the last up to `until`."""
        timeline = series.timeline
        last = min(timeline.started(until), series.last)
        if last < 0:
            return []
        if unit == "S":
            first = last - max(0, -(-count // DAY_S) - 1)
        elif unit == "D":
            first = last - count + 1
        else:
            first = timeline.index_after(_back(timeline.days[last], count, unit))
        spots: list[Spot] = []
        for i in range(max(_group_start(series, first, size), series.listed_from), last + 1):
            opened, closed = timeline.opens[i], timeline.closes[i]
            bar = series.daily(i) if closed <= until else series.between(opened, until)
            if bar is not None:
                spots.append((opened, closed, bar))
        return spots if size is BarSize.DAY_1 else _grouped(series, spots, size)

    def _intraday(self, series: Series, size: BarSize, since: int, until: int) -> list[Spot]:
        timeline = series.timeline
        if until - since > MAX_BARS * size.seconds * 10:
            raise RequestRefused(162, "Historical Market Data Service error message:Time length exceed max.")
        spots: list[Spot] = []
        i = timeline.at_or_after(since)
        while i < len(timeline.days) and timeline.opens[i] < until:
            if series.daily(i) is not None:
                spots.extend(_cut(series, i, size, max(since, timeline.opens[i]), min(until, timeline.closes[i])))
            i += 1
        return spots

    def _row(self, series: Series, spot: Spot, kind: str) -> BarRow:
        start, end, bar = spot
        if kind in ("TRADES", "ADJUSTED_LAST"):
            return series.row(start, end, bar)
        half = self._half
        below, above = {"MIDPOINT": (0, 0), "BID": (-half, -half), "ASK": (half, half)}.get(kind, (-half, half))
        # IB's BID_ASK: open and low are of the bid (average, lowest), close and high of the ask (average, highest).
        first, last = ((bar.open + bar.close) // 2,) * 2 if kind == "BID_ASK" else (bar.open, bar.close)
        edges = (max(price, 1) for price in (first + below, bar.high + above, bar.low + below, last + above))
        opened, high, low, closed = edges
        row = series.row(start, end, Ticks(opened, high, low, closed, 0))
        return replace(row, volume=UNKNOWN, wap=UNKNOWN, count=-1)


def _bar_start(series: Series, i: int, t: int, size: BarSize) -> int:
    """The start of the bar of session `i` that second `t` is in."""
    opened = series.timeline.opens[i]
    offset = _offset(series, opened)
    return max((t + offset) // size.seconds * size.seconds - offset, opened)


def _offset(series: Series, t: int) -> int:
    """Seconds that the exchange's zone is ahead of UTC at `t`."""
    shift = datetime.fromtimestamp(t, series.timeline.zone).utcoffset()
    return int(shift.total_seconds()) if shift is not None else 0


def _cut(series: Series, i: int, size: BarSize, since: int, until: int) -> Iterator[Spot]:
    """Bars of session `i` that overlap [since, until), the first from its own beginning."""
    opened, closed = series.timeline.opens[i], series.timeline.closes[i]
    start = _bar_start(series, i, since, size)
    offset = _offset(series, opened)
    step = size.seconds
    if size is BarSize.MIN_1:
        # The commonest request: straight from the path's arrays.
        minutes = series.minutes(i)
        whole = (until - opened) // MINUTE_S
        first = (start - opened) // MINUTE_S
        columns = zip(*(column[first:whole].tolist() for column in minutes), strict=True)
        for k, values in enumerate(columns, first):
            yield opened + k * MINUTE_S, opened + (k + 1) * MINUTE_S, Ticks(*values)
        start = opened + max(whole, first) * MINUTE_S
    while start < until:
        end = min((start + offset) // step * step + step - offset, closed)
        bar = series.between(start, min(end, until))
        if bar is not None:
            yield start, end, bar
        start = end


def _group(day: date, size: BarSize) -> tuple[int, int]:
    """The calendar week (Monday to Sunday) or month of a session; every day is its own group in daily bars."""
    if size is BarSize.WEEK_1:
        return day.isocalendar()[:2]
    return (day.year, day.month) if size is BarSize.MONTH_1 else (0, day.toordinal())


def _group_start(series: Series, i: int, size: BarSize) -> int:
    """The first session of the week or month of session `i`, so that no first bar is a part of one."""
    days = series.timeline.days
    i = max(i, 0)
    while i > 0 and i < len(days) and _group(days[i - 1], size) == _group(days[i], size):
        i -= 1
    return i


def _grouped(series: Series, spots: list[Spot], size: BarSize) -> list[Spot]:
    """Daily bars as weeks or months."""
    timeline = series.timeline
    groups: list[Spot] = []
    for _, group in groupby(spots, key=lambda spot: _group(timeline.days[timeline.at_or_after(spot[0])], size)):
        parts = list(group)
        groups.append((parts[0][0], parts[-1][1], join([part[2] for part in parts])))
    return groups


def _back(day: date, count: int, unit: str) -> date:
    """`count` weeks, months or years before `day`."""
    if unit == "W":
        return day - timedelta(weeks=count)
    months = day.year * 12 + day.month - 1 - count * (12 if unit == "Y" else 1)
    year, month = max(months // 12, 1), months % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))
