"""IB's limits: messages per second, clients, market data lines, historical data pacing. One part, switchable.

Each check returns None, or the (code, text) that IB answers with. Times are seconds of the machine's monotonic clock.
A gateway with limits switched off still refuses what no client could mean, such as the same request id twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

MOST_CLIENTS = 32
MESSAGES_PER_S = 50.0
MESSAGE_BURST = 50.0
"""ib_async sends 45 at once, exactly one second apart: a strict window would see 90."""
MARKET_DATA_LINES = 100
OPEN_HISTORICAL = 50
"""Historical requests open at a time; every keepUpToDate subscription counts."""
SUMMARIES_PER_CLIENT = 2

SMALL_BAR_S = 30
"""Pacing holds for bars of this length and below."""
IDENTICAL_WITHIN_S = 15.0
SAME_CONTRACT_REQUESTS = 6
SAME_CONTRACT_WITHIN_S = 2.0
WINDOW_REQUESTS = 60
WINDOW_S = 600.0

Refusal = tuple[int, str]

RATE = (100, "Max rate of messages per second has been exceeded:max=50 rec={} (1)")
TOO_MANY_CLIENTS = (507, "Bad Message Length: too many API clients")
TOO_MANY_TICKERS = (101, "Max number of tickers has been reached")
PACING = (162, "Historical Market Data Service error message:API historical data query cancelled: pacing violation")
TOO_MANY_OPEN = (
    162,
    "Historical Market Data Service error message:API historical data query cancelled: too many open requests",
)
REAL_TIME_QUERY = (420, "Invalid Real-time Query: Historical data request pacing violation")


class TokenBucket:
    """So many per second on average, so many at once."""

    __slots__ = ("_at", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more is allowed at `now`; it is counted when it is."""
        if self._at is not None:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class Limits:
    """What one gateway counts over all its sessions."""

    def __init__(self, enforced: bool) -> None:
        self.enforced = enforced
        self._history: deque[tuple[float, Hashable, Hashable, int]] = deque()
        self._real_time: deque[float] = deque()

    def message_bucket(self) -> TokenBucket | None:
        """A bucket for the messages of one session; None when limits are off."""
        return TokenBucket(MESSAGES_PER_S, MESSAGE_BURST) if self.enforced else None

    def market_data_line(self, in_use: int) -> Refusal | None:
        return TOO_MANY_TICKERS if self.enforced and in_use >= MARKET_DATA_LINES else None

    def real_time_bars(self, now: float) -> Refusal | None:
        """Counts one new subscription to 5-second bars."""
        if not self.enforced:
            return None
        while self._real_time and now - self._real_time[0] > WINDOW_S:
            self._real_time.popleft()
        if len(self._real_time) >= WINDOW_REQUESTS:
            return REAL_TIME_QUERY
        self._real_time.append(now)
        return None

    def open_historical(self, open_now: int) -> Refusal | None:
        return TOO_MANY_OPEN if self.enforced and open_now >= OPEN_HISTORICAL else None

    def historical(self, now: float, request: Hashable, contract: Hashable, *, weight: int = 1) -> Refusal | None:
        """Counts one request for small bars. `weight` is 2 for BID_ASK. A refused request counts as well."""
        if not self.enforced:
            return None
        while self._history and now - self._history[0][0] > WINDOW_S:
            self._history.popleft()
        identical = same = total = 0
        for at, asked, of, heavy in self._history:
            total += heavy
            identical += asked == request and now - at < IDENTICAL_WITHIN_S
            same += of == contract and now - at < SAME_CONTRACT_WITHIN_S
        if len(self._history) < WINDOW_REQUESTS * 2:
            self._history.append((now, request, contract, weight))
        if identical or same >= SAME_CONTRACT_REQUESTS - 1 or total + weight > WINDOW_REQUESTS:
            return PACING
        return None
