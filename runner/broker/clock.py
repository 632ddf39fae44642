"""The market's time, as the broker tells it.

Live, the time is this machine's plus the measured difference to IB's clock. In a replay the gateway's clock stands
still until every follower has done its work: `follow` moves a `BrokerClock` along with it, one market step at a time.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from runner.errors import NotConnected
from runner.model.clock import Clock, utc

if TYPE_CHECKING:
    from runner.broker.session import Session

MAX_SLEEP_S = 30.0
"""Longest real sleep before the clock is looked at again: its offset may have changed, the machine been suspended."""
FOLLOW_TIMEOUT_S = 600.0
"""A market that has not moved for so long is taken for dead."""

_Sleeper = tuple[datetime, int, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class BrokerClock:
    """`runner.model.clock.Clock` with `sleep_until`. Any thread may read it and sleep on it."""

    def __init__(self, system: Clock) -> None:
        self._system = system
        self._offset = timedelta(0)
        self._following: datetime | None = None
        self._sleepers: list[_Sleeper] = []
        self._count = 0
        self._lock = threading.Lock()

    @property
    def following(self) -> bool:
        """Whether the time is a replay's."""
        return self._following is not None

    @property
    def skew(self) -> timedelta:
        """How far IB's clock is ahead of this machine's."""
        return self._offset

    def now(self) -> datetime:
        return self._following or self._system.now() + self._offset

    def monotonic(self) -> float:
        return self._system.monotonic()

    def observe(self, broker_time: datetime) -> None:
        """Live: what IB's clock said just now. It has whole seconds, so half a second is added; a difference within
        one second is taken for rounding."""
        if self._following is not None:
            return
        offset = utc(broker_time) + timedelta(seconds=0.5) - self._system.now()
        self._offset = offset if abs(offset) > timedelta(seconds=1) else timedelta(0)

    def advance(self, to: datetime) -> None:
        """Replay: the market stands at `to` now. Wakes those who sleep until then, earliest first.

        The first call turns the clock into a replay's. A step back is refused with ValueError.
        """
        to = utc(to)
        with self._lock:
            if self._following is not None and to < self._following:
                raise ValueError(f"the market cannot go back from {self._following} to {to}")
            self._following = to
            due: list[_Sleeper] = []
            while self._sleepers and self._sleepers[0][0] <= to:
                due.append(heapq.heappop(self._sleepers))
        for _, _, loop, future in due:
            _wake(loop, future)

    async def sleep_until(self, at: datetime) -> None:
        """Return when the market's time has reached `at`."""
        at = utc(at)
        while self._following is None:
            left = (at - self.now()).total_seconds()
            if left <= 0:
                return
            await asyncio.sleep(min(left, MAX_SLEEP_S))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self._following >= at:
                return
            self._count += 1
            heapq.heappush(self._sleepers, (at, self._count, loop, future))
        await future


def _wake(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    def set_result() -> None:
        if not future.done():
            future.set_result(None)

    try:
        same = asyncio.get_running_loop() is loop
    except RuntimeError:
        same = False
    if same:
        set_result()
    elif not loop.is_closed():
        loop.call_soon_threadsafe(set_result)


async def follow(ib: Session, clock: BrokerClock, deliver: Callable[[datetime], Awaitable[None]]) -> None:
    """Move `clock` with the market of a replaying gateway, until it has played all of its data.

    The session must have been connected with `follow=True`. Each round asks for the time; asking again tells the
    gateway that everything at the last time has been handled, which `deliver` therefore waits for. The gateway answers
    only when its clock has moved, so the same time again says that it never will. Raises NotConnected when the session
    ends or the market stands still for FOLLOW_TIMEOUT_S.
    """
    handled: datetime | None = None
    while True:
        try:
            at = await ib.server_time(FOLLOW_TIMEOUT_S)
        except TimeoutError:
            raise NotConnected(f"the market has not moved for {FOLLOW_TIMEOUT_S:g} s") from None
        except ConnectionError as error:
            raise NotConnected(f"the gateway ended the session: {error}") from error
        if at == handled:
            return
        clock.advance(at)
        await deliver(at)
        handled = at
