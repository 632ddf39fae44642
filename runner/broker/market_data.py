# mypy: disable-error-code=no-untyped-call
# ib_async's client has no annotations.
"""One subscription per contract and bar size, however many strategies want it, kept alive by us.

IB's subscriptions die silently: after error 1101, at the nightly reset, when the first answer was empty, or for no
reason. So the hub keeps its own list, opens every stream again on a new session and after 1101, and looks at the age of
the data while the market is open. Bars that were missed meanwhile are delivered when the stream is back.

IB says that a bar is over only by beginning the next one, for a daily bar a day later. The hub goes by the clock: a bar
is complete when the next has begun or its end has passed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from ib_async import BarDataList
from ib_async.wrapper import RequestError

from runner.broker.bar_times import bar_end, bars_between, calendar_of
from runner.broker.clock import BrokerClock
from runner.broker.codes import CONNECTIVITY_BACK_DATA_LOST
from runner.broker.facts import WireConnection, WireFact, WireLost
from runner.broker.feed import BarUpdate, Feed, Moment, Subscription
from runner.broker.history import HistoryService, what_to_show
from runner.broker.requests import REQUEST_TIMEOUT_S, error_of
from runner.broker.session import Session
from runner.broker.wire import bar_from_ib, to_ib_contract
from runner.errors import GatewayError, NoMarketData, NotConnected
from runner.model.bar_requests import duration_for
from runner.model.bars import Bar, BarSize
from runner.model.events import Notice
from runner.model.instruments import Instrument
from runner.model.money import exact
from runner.model.sessions import sessions

DELIVER_TIMEOUT_S = 30.0
"""How long a replaying market waits for a strategy to deal with a moment."""
BAR_GRACE_S = 1.0
"""Live: IB's last update of a bar may come this long after its end."""
DAY_GRACE_S = 15.0
"""Live: the same for a daily bar, whose closing auction prints late."""
WATCH_S = 1.0
MAX_AGE_S = 120.0
"""Live and in session: a stream without an update for so long, or for three bars, is opened again."""
RETRY_FIRST_S, RETRY_LAST_S = 5.0, 60.0
FIRST_BARS = 3
KEEP_BARS = 512
"""Bars that a stream and ib_async's list remember."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class _Stream:
    """One keepUpToDate subscription and what is known from it."""

    def __init__(self, instrument: Instrument, size: BarSize, regular_hours: bool) -> None:
        self.instrument = instrument
        self.size = size
        self.regular_hours = regular_hours
        self.feeds: list[Feed] = []
        self.feeds_to_come = 0
        """Feeds that are being opened and are going to read it."""
        self.opening = asyncio.Lock()
        self.handle: BarDataList | None = None
        self.completed: list[Bar] = []
        self.current: Bar | None = None
        self.ends_at: datetime | None = None
        """When `current` is over."""
        self.last_update = 0.0
        self.retry_at: float | None = None
        self.retry_s = RETRY_FIRST_S

    @property
    def key(self) -> tuple[int, BarSize, bool]:
        return self.instrument.con_id, self.size, self.regular_hours

    @property
    def completed_up_to(self) -> datetime | None:
        return self.completed[-1].start if self.completed else None

    def take(self, bar: Bar) -> list[BarUpdate]:
        """Fold one bar as IB gave it; what changed by that."""
        last = self.completed_up_to
        if (last is not None and bar.start <= last) or (self.current is not None and bar.start < self.current.start):
            return []
        updates: list[BarUpdate] = []
        if self.current is not None and bar.start > self.current.start:
            updates += self.finish()
        if bar != self.current:
            self.current = bar
            self.ends_at = bar_end(bar.start, self.size, self.instrument, self.regular_hours)
            updates.append(BarUpdate(instrument=self.instrument, bar=bar, complete=False))
        return updates

    def finish(self) -> list[BarUpdate]:
        """The bar in progress is over."""
        bar, self.current, self.ends_at = self.current, None, None
        if bar is None:
            return []
        self.completed.append(bar)
        del self.completed[:-KEEP_BARS]
        return [BarUpdate(instrument=self.instrument, bar=bar, complete=True)]

    def finish_if_over(self, now: datetime) -> list[BarUpdate]:
        return self.finish() if self.ends_at is not None and self.ends_at <= now else []


class MarketDataHub:
    """Belongs to the loop of its session. Feeds may be read from any loop; `last_price` from any thread."""

    def __init__(
        self,
        ib: Session,
        history: HistoryService,
        clock: BrokerClock,
        *,
        on_notice: Callable[[Notice], None] = lambda _: None,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self._ib = ib
        self._history = history
        self._clock = clock
        self._on_notice = on_notice
        self._max_age_s = max_age_s
        self._streams: dict[tuple[int, BarSize, bool], _Stream] = {}
        self._feeds: list[Feed] = []
        self._loose: set[Feed] = set()
        self._changes: dict[Feed, dict[tuple[int, datetime], BarUpdate]] = {}
        self._prices: dict[int, Decimal] = {}
        self._flushing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        ib.listen(self)

    # -- subscribing

    async def subscribe(self, instrument: Instrument, size: BarSize, history: int, rth: bool = True) -> Subscription:
        """One instrument's bars: `history` completed ones at once, the rest as they come."""
        return Subscription(await self.open_feed((instrument,), size, history, rth))

    async def open_feed(self, instruments: Sequence[Instrument], size: BarSize, history: int, rth: bool = True) -> Feed:
        """Several instruments' bars as one feed. Nothing is missed between the warm bars and the first moment.

        Raises NoMarketData, ContractNotFound, NotConnected, GatewayError when history or stream cannot be had.
        """
        self._loop = asyncio.get_running_loop()
        if self._watcher is None or self._watcher.done():
            self._watcher = self._spawn(self._watch())
        for instrument in instruments:
            await asyncio.to_thread(sessions, calendar_of(instrument))
        streams = [self._stream(instrument, size, rth) for instrument in instruments]
        for stream in streams:
            stream.feeds_to_come += 1
        try:
            await _all(self._ensure_open(stream) for stream in streams)
            past = await _all(self._history.bars(instrument, size, history, rth=rth) for instrument in instruments)
            return self._feed(instruments, streams, past, history)
        finally:
            for stream in streams:
                stream.feeds_to_come -= 1
                self._drop_unread(stream)

    def _feed(
        self, instruments: Sequence[Instrument], streams: Sequence[_Stream], past: Sequence[list[Bar]], history: int
    ) -> Feed:
        """The feed of streams that are open, beginning where their history ends."""
        now = self._clock.now()
        warm: dict[int, list[Bar]] = {}
        for stream, bars in zip(streams, past, strict=True):
            self._publish(stream, self._due(stream, now))
            known = [bar for bar in stream.completed if not bars or bar.start > bars[-1].start]
            warm[stream.instrument.con_id] = [*bars, *known][-history:] if history else []
            if bars and (stream.completed_up_to is None or bars[-1].start > stream.completed_up_to):
                stream.completed.append(bars[-1])
                if stream.current is not None and stream.current.start <= bars[-1].start:
                    stream.current, stream.ends_at = None, None
            if bars and stream.instrument.con_id not in self._prices:
                self._prices[stream.instrument.con_id] = exact(bars[-1].close)
        begun = {stream.instrument.con_id: stream.current for stream in streams if stream.current is not None}
        feed = Feed(tuple(instruments), warm, self._closed, begun)
        for stream in streams:
            stream.feeds.append(feed)
        self._feeds.append(feed)
        return feed

    def last_price(self, con_id: int) -> Decimal | None:
        """The newest close seen, in the instrument's currency; None before the first."""
        return self._prices.get(con_id)

    @property
    def subscriptions(self) -> frozenset[tuple[int, BarSize, bool]]:
        """(con_id, bar size, regular hours) of every stream that is open."""
        return frozenset(key for key, stream in self._streams.items() if stream.handle is not None)

    def _stream(self, instrument: Instrument, size: BarSize, rth: bool) -> _Stream:
        return self._streams.setdefault((instrument.con_id, size, rth), _Stream(instrument, size, rth))

    def _closed(self, feed: Feed) -> None:
        """Called on whatever loop the feed was closed on."""
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._remove, feed)

    def _remove(self, feed: Feed) -> None:
        if feed in self._feeds:
            self._feeds.remove(feed)
        self._loose.discard(feed)
        self._changes.pop(feed, None)
        for stream in list(self._streams.values()):
            if feed in stream.feeds:
                stream.feeds.remove(feed)
                self._drop_unread(stream)

    def _drop_unread(self, stream: _Stream) -> None:
        """Ends a stream that nobody reads, and nobody is about to. One that is being opened is looked at after."""
        if stream.feeds or stream.feeds_to_come or stream.opening.locked():
            return
        self._cancel(stream)
        if self._streams.get(stream.key) is stream:
            del self._streams[stream.key]

    async def close(self) -> None:
        """End all feeds and subscriptions."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for feed in list(self._feeds):
            await feed.close()
            self._remove(feed)
        self._ib.unlisten(self)

    # -- opening streams, again and again

    async def _ensure_open(self, stream: _Stream) -> None:
        """A caller that gives up does not end the request: without its answer nobody could cancel the stream at IB."""
        task = self._spawn(self._open_once(stream))
        task.add_done_callback(_seen)
        await asyncio.shield(task)

    async def _open_once(self, stream: _Stream) -> None:
        try:
            async with stream.opening:
                if stream.handle is None:
                    await self._open(stream)
        finally:
            self._drop_unread(stream)

    async def _open(self, stream: _Stream) -> None:
        instrument, now = stream.instrument, self._clock.now()
        wanted = FIRST_BARS
        if stream.completed_up_to is not None:
            wanted += bars_between(stream.completed_up_to, now, stream.size, stream.regular_hours)
        what = what_to_show(instrument)
        duration = duration_for(wanted, stream.size, stream.regular_hours)
        name = f"live {stream.size} bars of {instrument}"
        await self._history.pacer.turn(
            request=f"{instrument.con_id} {stream.size} {what} {stream.regular_hours} live {duration}",
            contract=f"{instrument.con_id} {instrument.exchange} {what}",
            bar_seconds=stream.size.seconds,
        )
        try:
            bars = await self._ib.reqHistoricalDataAsync(
                to_ib_contract(instrument),
                "",
                duration,
                stream.size.value,
                what,
                stream.regular_hours,
                formatDate=2,
                keepUpToDate=True,
                timeout=REQUEST_TIMEOUT_S,
            )
        except RequestError as error:
            raise error_of(error, name) from error
        except ConnectionError as error:
            raise NotConnected(f"the connection ended during: {name}") from error
        if not bars:
            # An empty first answer never updates: ib_async drops what comes later.
            if self._ib.isConnected():
                self._ib.cancelHistoricalData(bars)
            raise NoMarketData(f"{name}: IB has none", hint="it may have none yet today; the runner asks again")
        stream.handle = bars
        stream.last_update = self._clock.monotonic()
        stream.retry_at, stream.retry_s = None, RETRY_FIRST_S
        bars.updateEvent += lambda rows, _new: self._on_update(stream, rows)
        self._on_update(stream, bars)
        self._publish(stream, self._due(stream, self._clock.now()))

    def _cancel(self, stream: _Stream) -> None:
        handle, stream.handle = stream.handle, None
        if handle is not None:
            handle.updateEvent.clear()
            if self._ib.isConnected():
                self._ib.cancelHistoricalData(handle)

    async def _reopen(self, stream: _Stream, why: str) -> None:
        """Open a stream again; when that fails the watcher tries later."""
        async with stream.opening:
            self._cancel(stream)
            log.warning("opening %s bars of %s again: %s", stream.size, stream.instrument, why)
            try:
                await self._open(stream)
            except GatewayError as error:
                log.warning("%s", error.message)
                stream.retry_at = self._clock.monotonic() + stream.retry_s
                stream.retry_s = min(2 * stream.retry_s, RETRY_LAST_S)
        self._drop_unread(stream)

    async def attach(self, ib: Session) -> None:
        """Continue on a new session: every stream is opened on it, and what was missed is delivered."""
        self._ib.unlisten(self)
        self._ib = ib
        for stream in self._streams.values():
            stream.handle = None
        ib.listen(self)
        await asyncio.gather(*(self._reopen(stream, "new session") for stream in list(self._streams.values())))

    def fact(self, fact: WireFact) -> None:
        """From the session's tap."""
        match fact:
            case WireConnection(code=code) if code == CONNECTIVITY_BACK_DATA_LOST:
                self._notice("market_data_lost", "IB lost the market data subscriptions; they are opened again")
                for stream in list(self._streams.values()):
                    self._spawn(self._reopen(stream, "IB error 1101"))
            case WireLost():
                for stream in self._streams.values():
                    stream.handle = None
            case _:
                pass

    # -- delivering

    def _on_update(self, stream: _Stream, rows: BarDataList) -> None:
        """In ib_async's handler: translate, and let the feeds have it when this packet is through."""
        stream.last_update = self._clock.monotonic()
        last = stream.completed_up_to
        changes: list[BarUpdate] = []
        first = len(rows) - 1
        while first > 0 and (last is None or _after(rows[first - 1].date, last)) and len(rows) - first < KEEP_BARS:
            first -= 1
        for row in rows[max(0, first - 1) :]:
            bar = bar_from_ib(row, stream.instrument.sec_type)
            if bar is not None:
                changes += stream.take(bar)
        if len(rows) > 2 * KEEP_BARS:
            del rows[:-KEEP_BARS]
        self._publish(stream, changes)

    def _due(self, stream: _Stream, now: datetime) -> list[BarUpdate]:
        """What is complete because its end has passed; live with some grace."""
        grace = 0.0
        if not self._clock.following:
            grace = BAR_GRACE_S if stream.size.intraday else DAY_GRACE_S
        return stream.finish_if_over(now - timedelta(seconds=grace))

    def _publish(self, stream: _Stream, changes: list[BarUpdate]) -> None:
        if not changes:
            return
        self._prices[stream.instrument.con_id] = exact(changes[-1].bar.close)
        for feed in stream.feeds:
            waiting = self._changes.setdefault(feed, {})
            for change in changes:
                waiting[(change.instrument.con_id, change.bar.start)] = change
        if not self._clock.following and not self._flushing and stream.feeds:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Live: one moment for all that came in one packet."""
        self._flushing = False
        at = self._clock.now()
        for feed in [feed for feed, changes in self._changes.items() if changes]:
            feed.put(Moment(at=at, changes=self._take(feed)))

    def _take(self, feed: Feed) -> tuple[BarUpdate, ...]:
        changes = self._changes.pop(feed, {})
        return tuple(sorted(changes.values(), key=lambda change: change.bar.start))

    async def deliver(self, at: datetime) -> None:
        """Replay: the market stands at `at`, and everything of it has been received. Gives every feed its moment, even
        an empty one, and returns when all consumers ask for the next; one that takes longer than DELIVER_TIMEOUT_S is
        no longer waited for until it has caught up."""
        for stream in self._streams.values():
            self._publish(stream, self._due(stream, at))
        feeds = list(self._feeds)
        for feed in feeds:
            feed.put(Moment(at=at, changes=self._take(feed)))
        self._loose = {feed for feed in self._loose if not feed.idle}
        slow = [feed for feed in feeds if feed not in self._loose and not feed.idle]
        if not slow:
            return
        try:
            async with asyncio.timeout(DELIVER_TIMEOUT_S):
                for feed in slow:
                    await feed.until_idle()
        except TimeoutError:
            late = [feed for feed in slow if not feed.idle]
            self._loose.update(late)
            names = "; ".join(", ".join(map(str, feed.instruments)) for feed in late)
            self._notice("slow_strategy", f"the market no longer waits for a strategy on {names}")

    # -- watching

    async def _watch(self) -> None:
        """Live: completes bars whose end has passed and opens silent streams again."""
        while True:
            await asyncio.sleep(WATCH_S)
            now, age_from = self._clock.now(), self._clock.monotonic()
            for stream in list(self._streams.values()):
                if not self._clock.following:
                    self._publish(stream, self._due(stream, now))
                if stream.opening.locked() or not self._ib.isConnected():
                    continue
                if stream.handle is None:
                    if stream.retry_at is None or stream.retry_at <= age_from:
                        self._spawn(self._reopen(stream, "it is not open"))
                elif not self._clock.following and self._is_silent(stream, now, age_from):
                    self._spawn(self._reopen(stream, "no data while the market is open"))

    def _is_silent(self, stream: _Stream, now: datetime, monotonic: float) -> bool:
        limit = self._max_age_s
        if stream.size.intraday:
            limit = max(limit, 3.0 * stream.size.seconds)
        if monotonic - stream.last_update <= limit:
            return False
        session = sessions(calendar_of(stream.instrument)).at_or_after(now)
        return session.contains(now) and now - session.open > timedelta(seconds=limit)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _notice(self, code: str, text: str) -> None:
        self._on_notice(Notice(at=self._clock.now(), strategy="", code=code, text=text))


async def _all(work: Iterable[Awaitable[T]]) -> list[T]:
    """Every result, once all are through; then raises the first failure. None is left behind half done."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return [one for one in done if not isinstance(one, BaseException)]


def _seen(task: asyncio.Task[None]) -> None:
    """Its error counts as seen: nobody may be waiting any more."""
    if not task.cancelled():
        task.exception()


def _after(date: object, last: datetime) -> bool:
    """Whether a row of ib_async lies after `last`: rows have a date or an aware datetime."""
    if isinstance(date, datetime):
        return date > last
    return bool(date > last.date())  # type: ignore[operator]
