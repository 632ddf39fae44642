"""Pacing: what may be sent now, and in which order when not everything may.

IB cuts a session off that sends more than 50 messages in a second. `Pacer` is a token bucket in front of one session;
while it has tokens it costs nothing, and when it is empty the waiting sends go by urgency: a cancel never stands behind
orders, nor an order behind history. `HistoryPacer` knows IB's separate rules for historical data.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from enum import IntEnum

from runner.errors import PacingLimit
from runner.model.bar_requests import HISTORY_IN_WINDOW, HISTORY_WINDOW_S, SMALL_BAR_S
from runner.model.clock import Clock
from runner.model.orders import Purpose

RATE_PER_S = 40.0
BURST = 10
"""Rate and burst together stay within IB's 50 in any one second."""
MAX_WAITING = 2_000
MAX_WAIT_S = 60.0


class Priority(IntEnum):
    """Smaller goes first."""

    CANCEL = 0
    EXIT = 1
    REDUCE = 2
    ENTRY = 3
    STATUS = 4
    HISTORY = 5


PRIORITY_OF = {Purpose.EXIT: Priority.EXIT, Purpose.REDUCE: Priority.REDUCE, Purpose.ENTRY: Priority.ENTRY}


class TokenBucket:
    """`burst` tokens at most, `rate` more each second. Pure arithmetic: the time is given."""

    def __init__(self, rate: float, burst: float) -> None:
        if not (rate > 0 and burst >= 1):
            raise ValueError(f"a token bucket needs rate > 0 and burst ≥ 1, not {rate} and {burst}")
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._at = float("-inf")

    def take(self, now: float, tokens: float = 1.0) -> float:
        """Take them and return 0.0, or leave them and return the seconds until there are enough."""
        if now > self._at:
            if self._at != float("-inf"):
                self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
            self._at = now
        if self._tokens >= tokens - 1e-9:
            self._tokens -= tokens
            return 0.0
        return (tokens - self._tokens) / self.rate


class Pacer:
    """The send queue of one session. Used on the session's loop only.

    `rate_per_s=None` sends everything at once: for the embedded gateway, which keeps a clock of its own.
    """

    def __init__(self, clock: Clock, rate_per_s: float | None = RATE_PER_S, burst: int = BURST) -> None:
        self._clock = clock
        self._bucket = None if rate_per_s is None else TokenBucket(rate_per_s, burst)
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def try_take(self) -> bool:
        """Whether one message may go at once; it counts as gone."""
        if self._bucket is None:
            return True
        return not self._waiting and self._bucket.take(self._clock.monotonic()) == 0.0

    async def slot(self, priority: Priority) -> None:
        """Wait for the turn of one message. PacingLimit when too many wait or it takes longer than MAX_WAIT_S."""
        if self.try_take():
            return
        if len(self._waiting) >= MAX_WAITING:
            raise PacingLimit(f"{MAX_WAITING} messages already wait to be sent", retry_after_s=MAX_WAIT_S)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (priority, self._count, turn))
        self._serve()
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                await turn
        except TimeoutError:
            raise PacingLimit(f"not sent within {MAX_WAIT_S:g} s", retry_after_s=MAX_WAIT_S) from None

    def _serve(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        assert self._bucket is not None
        while self._waiting:
            turn = self._waiting[0][2]
            if turn.done():  # the caller gave up
                heapq.heappop(self._waiting)
                continue
            wait = self._bucket.take(self._clock.monotonic())
            if wait > 0:
                self._timer = asyncio.get_running_loop().call_later(wait, self._serve)
                return
            heapq.heappop(self._waiting)
            turn.set_result(None)


SAME_CONTRACT_WINDOW_S = 2.0
SAME_CONTRACT_IN_WINDOW = 5
IDENTICAL_WINDOW_S = 15.0
HISTORY_OPEN = 50


class HistoryRules:
    """IB's rules for historical data of small bars, as arithmetic: the time is given."""

    def __init__(self) -> None:
        self._all: deque[tuple[float, int]] = deque()
        self._by_contract: dict[str, deque[float]] = {}
        self._last: dict[str, float] = {}

    def wait(self, now: float, request: str, contract: str, weight: int = 1) -> float:
        """Seconds until this request may go; 0.0 when it may go now."""
        self._forget(now)
        waits = [0.0]
        if request in self._last:
            waits.append(self._last[request] + IDENTICAL_WINDOW_S - now)
        same = self._by_contract.get(contract)
        if same is not None and len(same) >= SAME_CONTRACT_IN_WINDOW:
            waits.append(same[0] + SAME_CONTRACT_WINDOW_S - now)
        surplus = sum(count for _, count in self._all) + weight - HISTORY_IN_WINDOW
        for at, count in self._all:
            if surplus <= 0:
                break
            waits.append(at + HISTORY_WINDOW_S - now)
            surplus -= count
        return max(waits)

    def sent(self, now: float, request: str, contract: str, weight: int = 1) -> None:
        self._all.append((now, weight))
        self._by_contract.setdefault(contract, deque()).append(now)
        self._last[request] = now

    def _forget(self, now: float) -> None:
        while self._all and self._all[0][0] + HISTORY_WINDOW_S <= now:
            self._all.popleft()
        for contract in list(self._by_contract):
            times = self._by_contract[contract]
            while times and times[0] + SAME_CONTRACT_WINDOW_S <= now:
                times.popleft()
            if not times:
                del self._by_contract[contract]
        for request in [key for key, at in self._last.items() if at + IDENTICAL_WINDOW_S <= now]:
            del self._last[request]


class HistoryPacer:
    """Lets historical requests of one session go one after the other, as IB allows. `strict=False` only bounds how
    many are open at once: for the embedded gateway when it does not enforce the rules."""

    def __init__(self, clock: Clock, *, strict: bool = True) -> None:
        self._clock = clock
        self._strict = strict
        self._rules = HistoryRules()
        self._open = asyncio.Semaphore(HISTORY_OPEN)
        self._line = asyncio.Lock()

    @property
    def open(self) -> asyncio.Semaphore:
        """Held while a request, or a subscription that keeps itself up to date, is open."""
        return self._open

    async def turn(self, *, request: str, contract: str, bar_seconds: int, weight: int = 1) -> None:
        """Wait until the request may be sent and count it as sent."""
        if not self._strict or bar_seconds > SMALL_BAR_S:
            return
        async with self._line:
            wait = self._rules.wait(self._clock.monotonic(), request, contract, weight)
            if wait > 0:
                await asyncio.sleep(wait)
            self._rules.sent(self._clock.monotonic(), request, contract, weight)
