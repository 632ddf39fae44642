"""The market: its clock, and what every contract traded at any time up to it.

Everything rests on the daily bars of a contract: recorded ones, continued by (or without any, made of) a seeded random
walk. A session's minutes are a path inside its daily bar, a minute's seconds a path inside the minute; each is a
function of (seed, con id, session), so that whatever is asked for, in whatever order and step, adds up exactly.
Nothing later than the clock is ever shown.

Contracts are opened at first use: one that nobody looks at costs nothing. Times inside are epoch seconds.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from runner.errors import ConfigError
from runner.gateway.contracts import Listing, Listings, Walk, simulated_listings
from runner.gateway.model import BarRow, Quote
from runner.gateway.recorded import Recording, load
from runner.gateway.settings import GatewaySettings
from runner.gateway.synth import MINUTE_S, DayRule, Path, Ticks, join, minute_path, second_path, walk_year
from runner.model.sessions import sessions

WALK_EPOCH = date(2000, 1, 3)
"""Where random walks of contracts without recorded bars begin."""
MINUTE_PATHS_KEPT = 512
SECOND_PATHS_KEPT = 4096
SESSIONS_A_YEAR = 252
CONTINUOUS_CALENDARS = frozenset({"24/5", "24/7", "CMES", "us_futures"})
"""Calendars that never drive the clock: their contracts trade along, and through the closed hours in one step."""
_MIN_DISPLAYED = 100


class Timeline:
    """The sessions of one calendar as arrays of equal length: days, opens and closes (epoch seconds)."""

    def __init__(self, code: str) -> None:
        try:
            calendar = sessions(code)
        except ValueError as error:
            raise ConfigError(str(error), hint="an exchange_calendars code, for example XNYS") from error
        self.code = code
        self.zone = calendar.zone
        every = calendar.between(date(1990, 1, 1), date(2100, 1, 1))
        self.days = [session.day for session in every]
        self.opens = [int(session.open.timestamp()) for session in every]
        self.closes = [int(session.close.timestamp()) for session in every]
        self.index = {day: i for i, day in enumerate(self.days)}

    def at_or_after(self, t: int) -> int:
        """The session that `t` is in, or the next to open. IndexError-free: may be len(days)."""
        return bisect_right(self.closes, t)

    def started(self, t: int) -> int:
        """The last session that opened before `t` (strictly: its first trade has happened); −1 when none."""
        return bisect_right(self.opens, t - 1) - 1

    def on_or_before(self, day: date) -> int:
        return bisect_right(self.days, day) - 1

    def index_after(self, day: date) -> int:
        """The first session later than `day`."""
        return bisect_right(self.days, day)

    def trading(self, t: int) -> bool:
        """Whether continuous trading is under way: after the opening auction and before the close."""
        i = self.at_or_after(t)
        return i < len(self.days) and self.opens[i] < t

    def year(self, i: int) -> tuple[int, int]:
        """First session and one past the last session of the calendar year of session `i`."""
        year = self.days[i].year
        first = bisect_right(self.days, date(year - 1, 12, 31))
        return first, bisect_right(self.days, date(year, 12, 31))


@lru_cache(maxsize=64)
def timeline_of(code: str) -> Timeline:
    """Timelines never change, so every market shares them. ConfigError when there is no such calendar."""
    return Timeline(code)


class Series:
    """Daily bars of one contract over its calendar's sessions, extended by the walk as far as they are asked for."""

    def __init__(self, listing: Listing, timeline: Timeline, recording: Recording | None, seed: int) -> None:
        contract = listing.contract
        self.listing = listing
        self.contract = contract
        self.timeline = timeline
        self.tick = contract.min_tick
        self.key = contract.con_id if listing.walk is None else listing.walk.key
        self._seed = seed
        self._bars: list[Ticks | None] = []
        self._minutes: OrderedDict[int, Path] = OrderedDict()
        self._seconds: OrderedDict[tuple[int, int], Path] = OrderedDict()
        if recording is not None:
            self.first = self._place(recording)
            self.recorded_until = self.first + len(self._bars)
            self.walk = listing.walk or self._continuation()
        else:
            assert listing.walk is not None
            self.walk = listing.walk
            self.first = bisect_right(timeline.days, WALK_EPOCH - timedelta(days=1))
            self.recorded_until = self.first
        day = listing.last_day
        self.last = len(timeline.days) - 1 if day is None else timeline.on_or_before(day)
        if listing.first_day is not None:
            self.listed_from = max(self.first, timeline.on_or_before(listing.first_day))
        else:
            self.listed_from = self.first
        self.typical_volume = self.walk.volume

    def _place(self, recording: Recording) -> int:
        index = self.timeline.index
        first: int | None = None
        for day, bar in recording.bars:
            i = index.get(day)
            if i is None:
                raise ConfigError(
                    f"{self.contract.symbol}: a bar of {day}, but calendar {self.timeline.code} has no session then",
                    hint="drop the row, or name the right calendar in contracts.yaml",
                )
            first = i if first is None else first
            self._bars.extend([None] * (i - first - len(self._bars)))
            self._bars.append(bar)
        assert first is not None
        return first

    def _continuation(self) -> Walk:
        """A walk that goes on as the last year did, pulled weakly to where it left off."""
        recent = [bar for bar in self._bars[-SESSIONS_A_YEAR:] if bar is not None]
        returns = [b.close / a.close - 1 for a, b in itertools.pairwise(recent)]
        daily = (sum(r * r for r in returns) / len(returns)) ** 0.5 if returns else 0.015
        return Walk(
            key=self.contract.con_id,
            level=float(recent[-1].close * self.tick),
            volatility=min(max(daily, 0.005), 0.04) * SESSIONS_A_YEAR**0.5,
            reversion=0.002,
            volume=max(sum(bar.volume for bar in recent) // len(recent), 1),
        )

    def daily(self, i: int) -> Ticks | None:
        """The bar of session `i`, looking into the future if asked to; None where there is none."""
        if not self.listed_from <= i <= self.last:
            return None
        while i - self.first >= len(self._bars):
            self._extend()
        return self._bars[i - self.first]

    def _extend(self) -> None:
        i = self.first + len(self._bars)
        first, last = self.timeline.year(i)
        level = self.walk.level / float(self.tick)
        before = next((bar.close for bar in reversed(self._bars) if bar is not None), round(level))
        rule = DayRule(level, self.walk.volatility / SESSIONS_A_YEAR**0.5, self.walk.reversion, self.walk.volume)
        year = self.timeline.days[i].year
        self._bars.extend(walk_year(before, rule, i - first, last - first, self._seed, self.key, year))

    def close_before(self, i: int) -> int | None:
        """The last close of a session before session `i`, in ticks."""
        for j in range(i - 1, self.listed_from - 1, -1):
            bar = self.daily(j)
            if bar is not None:
                return bar.close
        return None

    def minutes(self, i: int) -> Path:
        """The minutes of session `i`, which has a bar."""
        found = self._minutes.get(i)
        if found is not None:
            self._minutes.move_to_end(i)
            return found
        bar = self.daily(i)
        assert bar is not None
        length = (self.timeline.closes[i] - self.timeline.opens[i]) // MINUTE_S
        made = minute_path(bar, length, self._seed, self.key, self.timeline.days[i].toordinal())
        self._minutes[i] = made
        if len(self._minutes) > MINUTE_PATHS_KEPT:
            self._minutes.popitem(last=False)
        return made

    def seconds(self, i: int, minute: int) -> Path:
        """The seconds of a minute of session `i`."""
        found = self._seconds.get((i, minute))
        if found is not None:
            self._seconds.move_to_end((i, minute))
            return found
        bar = self.minutes(i).at(minute)
        made = second_path(bar, self._seed, self.key, self.timeline.days[i].toordinal(), minute + 1)
        self._seconds[i, minute] = made
        if len(self._seconds) > SECOND_PATHS_KEPT:
            self._seconds.popitem(last=False)
        return made

    def between(self, t0: int, t1: int) -> Ticks | None:
        """What traded in [t0, t1), over as many sessions as that touches; None when nothing did."""
        timeline = self.timeline
        i = timeline.at_or_after(t0)
        bars: list[Ticks] = []
        while i < len(timeline.days) and timeline.opens[i] < t1:
            bar = self.daily(i)
            if bar is not None:
                if t0 <= timeline.opens[i] and timeline.closes[i] <= t1:
                    bars.append(bar)
                else:
                    opened = timeline.opens[i]
                    self._inside(i, max(t0, opened) - opened, min(t1, timeline.closes[i]) - opened, bars)
            i += 1
        if not bars:
            return None
        return bars[0] if len(bars) == 1 else join(bars)

    def _inside(self, i: int, a: int, b: int, into: list[Ticks]) -> None:
        """Seconds a … b−1 of session `i`, whole minutes where possible."""
        first, head = divmod(a, MINUTE_S)
        last, tail = divmod(b, MINUTE_S)
        if first == last:
            into.append(self.seconds(i, first).bar(head, tail))
            return
        if head:
            into.append(self.seconds(i, first).bar(head, MINUTE_S))
            first += 1
        if first < last:
            into.append(self.minutes(i).bar(first, last))
        if tail:
            into.append(self.seconds(i, last).bar(0, tail))

    def last_price(self, t: int) -> int | None:
        """The last trade's price before `t`, in ticks."""
        timeline = self.timeline
        i = timeline.started(t)
        if i < 0:
            return None
        i = min(i, self.last)
        bar = self.daily(i)
        if bar is None:
            return self.close_before(i)
        if t >= timeline.closes[i]:
            return bar.close
        minute, second = divmod(t - timeline.opens[i], MINUTE_S)
        if second:
            return int(self.seconds(i, minute).close[second - 1])
        return int(self.minutes(i).close[minute - 1])

    def price(self, ticks: int) -> Decimal:
        return ticks * self.tick

    def row(self, start: int, end: int, bar: Ticks) -> BarRow:
        """`bar` in the words of the protocol side. `wap` is (high + low + 2 × close) / 4."""
        tick = self.tick
        return BarRow(
            start=instant(start),
            end=instant(end),
            open=bar.open * tick,
            high=bar.high * tick,
            low=bar.low * tick,
            close=bar.close * tick,
            volume=Decimal(bar.volume),
            wap=(bar.high + bar.low + 2 * bar.close) * tick / 4,
            count=max(bar.volume // 200, 1) if bar.volume else 0,
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """One step of the clock. `closed_hours`: the driving calendars are all closed in it."""

    start: int
    end: int
    closed_hours: bool = False


class Market:
    """All contracts on one clock."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._recordings: dict[int, Recording] = {}
        self.listings = Listings(simulated_listings())
        for recording in load(settings.data):
            try:
                self.listings.add(recording.listing)
            except ValueError as error:
                raise ConfigError(str(error), hint="give it another con_id in contracts.yaml") from error
            self._recordings[recording.listing.contract.con_id] = recording
        self._timelines: dict[str, Timeline] = {}
        self._series: dict[int, Series] = {}
        self._driving: list[Timeline] = [self.timeline(settings.calendar)]
        self._carried = 0
        self.marks: dict[int, int] = {}
        """Prices (ticks) of contracts in the middle of a step, which come before the last trade of the clock."""
        self._priced: tuple[int, dict[int, int | None]] = (0, {})
        for recording in self._recordings.values() if settings.data is not None else ():
            self.series(recording.listing.contract.con_id)  # A user's file is checked at the start, not at first use.
        self.now_s = self._first_open()

    def _first_open(self) -> int:
        timeline = self._driving[0]
        day = self._settings.start or max(recording.bars[-1][0] for recording in self._recordings.values())
        i = bisect_right(timeline.days, day - timedelta(days=1))
        if i >= len(timeline.days) or day < timeline.days[0]:
            raise ConfigError(f"gateway start {day} is outside calendar {timeline.code}", hint="an earlier date")
        return timeline.opens[i]

    def timeline(self, code: str) -> Timeline:
        found = self._timelines.get(code)
        if found is None:
            found = self._timelines[code] = timeline_of(code)
        return found

    def series(self, con_id: int) -> Series:
        """The contract's series, opened at first use. KeyError for a contract that does not exist."""
        found = self._series.get(con_id)
        if found is not None:
            return found
        listing = self.listings.get(con_id)
        if listing is None:
            raise KeyError(con_id)
        timeline = self.timeline(listing.contract.calendar)
        made = Series(listing, timeline, self._recordings.get(con_id), self._settings.seed)
        self._series[con_id] = made
        if timeline.code in CONTINUOUS_CALENDARS and timeline not in self._driving:
            self._carried += 1
        elif timeline not in self._driving:
            self._driving.append(timeline)
        return made

    def opened(self) -> list[Series]:
        """The series in use, in the order of their first use."""
        return list(self._series.values())

    def now(self) -> datetime:
        return instant(self.now_s)

    def today(self) -> date:
        """The date in the primary calendar's zone."""
        return datetime.fromtimestamp(self.now_s, self._driving[0].zone).date()

    # the clock

    def next_interval(self) -> Interval | None:
        """Where the clock goes next, or None when `end` or the end of the calendars is reached."""
        now = self.now_s
        try:
            nexts = [(timeline, timeline.at_or_after(now)) for timeline in self._driving]
            start = min(max(timeline.opens[i], now) for timeline, i in nexts)
        except IndexError:
            return None
        if self._over(start):
            return None
        if (
            start > now
            and self._carried
            and any(
                series.timeline.code in CONTINUOUS_CALENDARS and series.between(now, start) for series in self.opened()
            )
        ):
            return Interval(now, start, closed_hours=True)
        boundaries = [t for timeline, i in nexts for t in (timeline.opens[i], timeline.closes[i]) if t > start]
        end = min(boundaries)
        if self._settings.step_s is not None:
            end = min(end, start + self._settings.step_s)
        return Interval(start, end)

    def _over(self, start: int) -> bool:
        if self._settings.end is None:
            return False
        primary = self._driving[0]
        i = primary.on_or_before(self._settings.end)
        return i < 0 or start >= primary.closes[i]

    def closed_between(self, start: int, end: int) -> frozenset[str]:
        """Calendars in use whose session ended in (start, end]."""
        return frozenset(
            timeline.code
            for timeline in self._timelines.values()
            if bisect_right(timeline.closes, end) > bisect_right(timeline.closes, start)
        )

    # prices

    def price(self, con_id: int) -> Decimal | None:
        """The last trade's price now."""
        if self._priced[0] != self.now_s:
            self._priced = (self.now_s, {})
        prices = self._priced[1]
        series = self.series(con_id)
        ticks = self.marks.get(con_id)
        if ticks is None:
            if con_id not in prices:
                prices[con_id] = series.last_price(self.now_s)
            ticks = prices[con_id]
        return None if ticks is None else ticks * series.tick

    def trading(self, series: Series) -> bool:
        """Whether the contract trades continuously now (after its opening auction, before its close)."""
        timeline = series.timeline
        if not timeline.trading(self.now_s):
            return False
        return series.daily(timeline.at_or_after(self.now_s)) is not None

    def displayed(self, series: Series) -> int | None:
        """Units shown at bid and ask; None without a limit."""
        fraction = self._settings.liquidity.displayed_fraction
        if fraction is None:
            return None
        return max(_MIN_DISPLAYED, int(series.typical_volume * fraction) // 100 * 100)

    def quote(self, con_id: int) -> Quote:
        series = self.series(con_id)
        now, timeline = self.now_s, series.timeline
        last = series.last_price(now)
        i = min(timeline.started(now), series.last)
        bar = series.between(timeline.opens[i], now) if i >= 0 else None
        previous = series.close_before(i) if i >= 0 else None
        half = self._settings.liquidity.half_spread_ticks
        tick = series.tick
        shown = series.listing.tradable and last is not None
        displayed = self.displayed(series)
        size = Decimal(displayed if displayed is not None else max(_MIN_DISPLAYED, series.typical_volume))
        return Quote(
            bid=max(last - half, 1) * tick if shown and last is not None else None,
            ask=(last + half) * tick if shown and last is not None else None,
            last=None if last is None else last * tick,
            bid_size=size if shown else Decimal(0),
            ask_size=size if shown else Decimal(0),
            last_size=Decimal(_MIN_DISPLAYED) if series.typical_volume else Decimal(0),
            open=None if bar is None else bar.open * tick,
            high=None if bar is None else bar.high * tick,
            low=None if bar is None else bar.low * tick,
            previous_close=None if previous is None else previous * tick,
            volume=Decimal(0 if bar is None else bar.volume),
            at=self.now(),
        )


def instant(t: int) -> datetime:
    return datetime.fromtimestamp(t, UTC)


def epoch(at: datetime) -> int:
    """Whole epoch seconds of an aware time."""
    return int(at.timestamp())
