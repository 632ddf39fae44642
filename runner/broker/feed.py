"""Bars on their way from the hub to one strategy, across threads.

The hub puts `Moment`s in on its loop; the strategy takes them out on its own. Asking for the next moment says that the
one before has been dealt with: that is how a replaying market knows that it may go on.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from runner.model.bars import Bar
from runner.model.instruments import Instrument

MAX_MOMENTS = 4_096
"""Moments that may wait. Beyond it the oldest are joined into one: unfinished bars give way, finished ones stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarUpdate:
    """The newest state of one instrument's bar. `complete`: it will not change any more."""

    instrument: Instrument
    bar: Bar
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The market moved, or its clock did: everything that changed up to `at`, oldest bar first."""

    at: datetime
    changes: tuple[BarUpdate, ...] = ()


class FeedClosed(Exception):
    """The feed was closed while somebody waited for its next moment, or before."""


class Feed:
    """The bars of some instruments, for one consumer on one loop.

    `warm` holds, per con_id, the completed bars before the first moment, oldest first; `begun` the bar that was in
    progress then, of the instruments that had one.
    """

    def __init__(
        self,
        instruments: tuple[Instrument, ...],
        warm: Mapping[int, list[Bar]],
        on_close: Callable[[Feed], None],
        begun: Mapping[int, Bar] | None = None,
    ) -> None:
        self.instruments = instruments
        self.warm = warm
        self.begun = begun or {}
        self._on_close = on_close
        self._lock = threading.Lock()
        self._moments: deque[Moment] = deque()
        self._consumer: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._hub: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._closed = False

    # -- the consumer's side, on its loop

    async def next(self) -> Moment:
        """The next moment. Raises FeedClosed when the feed is or becomes closed."""
        while True:
            with self._lock:
                if self._closed:
                    raise FeedClosed
                if self._moments:
                    return self._moments.popleft()
                loop = asyncio.get_running_loop()
                arrival: asyncio.Future[None] = loop.create_future()
                self._consumer = (loop, arrival)
                hub, self._hub = self._hub, None
            if hub is not None:
                settle(*hub)
            try:
                await arrival
            finally:
                with self._lock:
                    if self._consumer is not None and self._consumer[1] is arrival:
                        self._consumer = None

    async def close(self) -> None:
        """No more moments. May be called from any loop; a second time does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._moments.clear()
            waiting = [one for one in (self._consumer, self._hub) if one is not None]
            self._consumer = self._hub = None
        for loop, future in waiting:
            settle(loop, future)
        self._on_close(self)

    # -- the hub's side, on its loop

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def idle(self) -> bool:
        """The consumer has dealt with everything and waits for more."""
        with self._lock:
            return self._closed or (not self._moments and self._consumer is not None)

    @property
    def drained(self) -> bool:
        """Nothing waits to be taken out."""
        with self._lock:
            return self._closed or not self._moments

    def put(self, moment: Moment) -> None:
        with self._lock:
            if self._closed:
                return
            self._moments.append(moment)
            if len(self._moments) > MAX_MOMENTS:
                self._moments.appendleft(_joined(self._moments.popleft(), self._moments.popleft()))
            consumer, self._consumer = self._consumer, None
        if consumer is not None:
            settle(*consumer)

    async def until_idle(self) -> None:
        """Return when `idle`. One waiter at a time: the hub."""
        while True:
            with self._lock:
                if self._closed or (not self._moments and self._consumer is not None):
                    return
                loop = asyncio.get_running_loop()
                asked: asyncio.Future[None] = loop.create_future()
                self._hub = (loop, asked)
            await asked


class Subscription:
    """One instrument's feed as a stream of bar updates."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._updates: deque[BarUpdate] = deque()

    @property
    def instrument(self) -> Instrument:
        return self._feed.instruments[0]

    @property
    def warm(self) -> list[Bar]:
        """Completed bars before the first update, oldest first."""
        return self._feed.warm[self.instrument.con_id]

    async def next(self) -> BarUpdate:
        """The next update; asking says that the one before has been dealt with. Raises FeedClosed."""
        while not self._updates:
            self._updates.extend((await self._feed.next()).changes)
        return self._updates.popleft()

    async def close(self) -> None:
        await self._feed.close()


def settle(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    """Finish a future that belongs to `loop`, from whatever thread this is."""

    def finish() -> None:
        if not future.done():
            future.set_result(None)

    try:
        here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if here is loop:
        finish()
    elif not loop.is_closed():
        loop.call_soon_threadsafe(finish)


def _joined(first: Moment, second: Moment) -> Moment:
    latest: dict[tuple[int, datetime], BarUpdate] = {}
    for change in (*first.changes, *second.changes):
        latest[(change.instrument.con_id, change.bar.start)] = change
    last_start = dict(sorted(latest))
    kept = [c for (con_id, start), c in latest.items() if c.complete or start == last_start[con_id]]
    return Moment(at=second.at, changes=tuple(sorted(kept, key=lambda change: change.bar.start)))
