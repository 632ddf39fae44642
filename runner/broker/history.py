"""Historical bars: one request per need however many ask, within IB's pacing, in pieces it answers, cached.

`bars` returns completed bars only, oldest first. What the cache has is not asked for again, except for one bar that
both have: when it differs (a split, other data), the cache is not believed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol

from ib_async import BarData

from runner.broker.bar_times import bars_between, calendar_of, completed
from runner.broker.pacing import HistoryPacer
from runner.broker.requests import REQUEST_TIMEOUT_S, answer, forget, is_no_data
from runner.broker.session import Session
from runner.broker.wire import bar_from_ib, to_ib_contract
from runner.errors import GatewayError, NoMarketData, NotConnected, PacingLimit, StoreError
from runner.model.bar_requests import duration_for
from runner.model.bars import Bar, BarSize
from runner.model.clock import Clock, utc
from runner.model.events import Notice
from runner.model.instruments import Instrument, SecType
from runner.model.sessions import sessions

MAX_CHUNKS = 400
MAX_EMPTY = 3
"""Chunks in a row without a bar after which history is taken to begin."""
MAX_RETRIES = 3
ALL_BARS = 1_000_000
BEGINNING_TIMEOUT_S = 15.0
"""IB never answers this question for some contracts."""

log = logging.getLogger(__name__)


class BarCache(Protocol):
    """Where bars are kept between runs. Its methods block; StoreError only costs the cache."""

    def read(self, con_id: int, size: BarSize, what: str, rth: bool) -> list[Bar]: ...

    def write(self, con_id: int, size: BarSize, what: str, rth: bool, bars: list[Bar]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one fetch has come; `wanted` is None when everything is fetched."""

    instrument: Instrument
    size: BarSize
    bars: int
    wanted: int | None
    done: bool = False


def what_to_show(instrument: Instrument, what: str = "TRADES") -> str:
    """Currency pairs have no trades at IB, only midpoints."""
    return "MIDPOINT" if instrument.sec_type is SecType.FOREX and what == "TRADES" else what


class HistoryService:
    """Used on the loop of its session."""

    def __init__(
        self,
        ib: Session,
        cache: BarCache | None,
        pacer: HistoryPacer,
        clock: Clock,
        progress: Callable[[Progress], None] = lambda _: None,
        on_notice: Callable[[Notice], None] = lambda _: None,
    ) -> None:
        self._ib = ib
        self._cache = cache
        self._pacer = pacer
        self._clock = clock
        self._progress = progress
        self._on_notice = on_notice
        self._asking: dict[tuple[object, ...], asyncio.Task[list[Bar]]] = {}

    @property
    def pacer(self) -> HistoryPacer:
        return self._pacer

    def attach(self, ib: Session) -> None:
        """Ask on a new session from now on."""
        self._ib = ib

    async def bars(
        self,
        instrument: Instrument,
        size: BarSize,
        count_or_duration: int | timedelta | None,
        what: str = "TRADES",
        rth: bool = True,
        end: datetime | None = None,
    ) -> list[Bar]:
        """The last so many completed bars before `end` (now), or all in the duration, or with None all there are.

        Fewer come when IB has fewer. Raises NoMarketData, ContractNotFound, NotConnected, GatewayError.
        """
        end = None if end is None else utc(end)
        key = (instrument.con_id, size, count_or_duration, what, rth, end or self._clock.now())
        task = self._asking.get(key)
        if task is None:
            work = self._get(instrument, size, count_or_duration, what_to_show(instrument, what), rth, end)
            task = asyncio.get_running_loop().create_task(work)
            self._asking[key] = task
            task.add_done_callback(lambda done: forget(self._asking, key, done))
        return list(await asyncio.shield(task))

    async def _get(
        self,
        instrument: Instrument,
        size: BarSize,
        wanted: int | timedelta | None,
        what: str,
        rth: bool,
        end: datetime | None,
    ) -> list[Bar]:
        if isinstance(wanted, int) and wanted <= 0:
            return []
        await asyncio.to_thread(sessions, calendar_of(instrument))
        until = end or self._clock.now()
        since = until - wanted if isinstance(wanted, timedelta) else None
        count = wanted if isinstance(wanted, int) else None
        fetch = _Fetch(self, instrument, size, what, rth, until, count, since)
        cached = completed(await self._read(instrument, size, what, rth), size, instrument, rth, until)
        bars = await fetch.run(cached)
        known = len(cached)
        if fetch.fetched and (len(bars) != known or bars[:1] != cached[:1]):
            await self._write(instrument, size, what, rth, bars)
        self._progress(Progress(instrument=instrument, size=size, bars=len(bars), wanted=count, done=True))
        if since is not None:
            return [bar for bar in bars if bar.start >= since]
        return bars if count is None else bars[-count:]

    async def begins(self, instrument: Instrument, what: str = "TRADES", rth: bool = True) -> datetime:
        """When IB's data of the instrument begin, aware UTC. Of short bars IB keeps the newest only.

        Raises NoMarketData, ContractNotFound, NotConnected, GatewayError.
        """
        name = f"the beginning of the data of {instrument}"
        contract, what = to_ib_contract(instrument), what_to_show(instrument, what)
        async with self._pacer.open:
            try:
                found: date = await answer(
                    lambda: self._ib.reqHeadTimeStampAsync(contract, what, rth, formatDate=2), name, BEGINNING_TIMEOUT_S
                )
            except ValueError as error:
                raise GatewayError(f"{name}: IB's answer is no time: {error}") from error
        if not isinstance(found, datetime):
            return datetime.combine(found, time(), UTC)
        return utc(found if found.tzinfo is not None else found.replace(tzinfo=UTC))

    async def request(
        self, instrument: Instrument, size: BarSize, what: str, rth: bool, end: datetime, duration: str
    ) -> list[Bar]:
        """One request, paced, and retried when IB says that it came too fast. Bars without prices are left out."""
        name = f"{duration} of {size} bars of {instrument}"
        weight = 2 if what == "BID_ASK" else 1
        for attempt in range(MAX_RETRIES + 1):
            request = f"{instrument.con_id} {size} {what} {rth} {end.isoformat()} {duration}"
            contract = f"{instrument.con_id} {instrument.exchange} {what}"
            await self._pacer.turn(request=request, contract=contract, bar_seconds=size.seconds, weight=weight)
            async with self._pacer.open:
                try:
                    rows = await self._ask(instrument, size, what, rth, end, duration, name)
                    break
                except PacingLimit as error:
                    if attempt == MAX_RETRIES:
                        raise
                    log.warning("%s; waiting %g s", error.message, error.retry_after_s)
                    delay = error.retry_after_s
                except NoMarketData as error:
                    if is_no_data(error):
                        return []
                    raise
            await asyncio.sleep(delay)
        bars = [bar_from_ib(row, instrument.sec_type) for row in rows]
        good = [bar for bar in bars if bar is not None]
        if len(good) < len(bars):
            self._on_notice(
                Notice(
                    at=self._clock.now(),
                    strategy="",
                    code="bad_prices",
                    text=f"{len(bars) - len(good)} of {len(bars)} bars of {instrument} had no usable price",
                )
            )
        return good

    async def _ask(
        self, instrument: Instrument, size: BarSize, what: str, rth: bool, end: datetime, duration: str, name: str
    ) -> list[BarData]:
        started = self._clock.monotonic()

        def ask() -> Awaitable[list[BarData]]:
            return self._ib.reqHistoricalDataAsync(
                to_ib_contract(instrument),
                end,
                duration,
                size.value,
                what,
                rth,
                formatDate=2,
                timeout=REQUEST_TIMEOUT_S,
            )

        rows = await answer(ask, name, 2 * REQUEST_TIMEOUT_S)
        if not rows and self._clock.monotonic() - started >= REQUEST_TIMEOUT_S:
            # ib_async answers a timeout with an empty list.
            raise NotConnected(f"no answer within {REQUEST_TIMEOUT_S:g} s to: {name}")
        return list(rows)

    def report(self, instrument: Instrument, size: BarSize, bars: int, wanted: int | None) -> None:
        self._progress(Progress(instrument=instrument, size=size, bars=bars, wanted=wanted))

    async def _read(self, instrument: Instrument, size: BarSize, what: str, rth: bool) -> list[Bar]:
        if self._cache is None:
            return []
        try:
            return await asyncio.to_thread(self._cache.read, instrument.con_id, size, what, rth)
        except StoreError as error:
            log.warning("the bar cache could not be read: %s", error)
            return []

    async def _write(self, instrument: Instrument, size: BarSize, what: str, rth: bool, bars: list[Bar]) -> None:
        if self._cache is None or not bars:
            return
        try:
            await asyncio.to_thread(self._cache.write, instrument.con_id, size, what, rth, bars)
        except StoreError as error:
            log.warning("the bar cache could not be written: %s", error)


class _Fetch:
    """One walk back through history, until there is enough or nothing more."""

    def __init__(
        self,
        service: HistoryService,
        instrument: Instrument,
        size: BarSize,
        what: str,
        rth: bool,
        until: datetime,
        count: int | None,
        since: datetime | None,
    ) -> None:
        self._service = service
        self._instrument = instrument
        self._size = size
        self._what = what
        self._rth = rth
        self._until = until
        self._count = count
        self._since = since
        self.fetched = False

    async def run(self, cached: list[Bar]) -> list[Bar]:
        """Completed bars, oldest first, from the cache where it agrees."""
        bars: list[Bar] = []
        cursor, empty = self._until, 0
        for _ in range(MAX_CHUNKS):
            if cached and bars and bars[0].start <= cached[-1].start:
                bars, cached = _stitched(bars, cached), []
                cursor = bars[0].start
            if self._enough(bars) and not (cached and not bars):
                break
            duration = duration_for(self._missing(bars, cached), self._size, self._rth)
            rows = await self._service.request(self._instrument, self._size, self._what, self._rth, cursor, duration)
            self.fetched = True
            older = [row for row in rows if row.start < (bars[0].start if bars else self._until)]
            if not bars:
                older = completed(older, self._size, self._instrument, self._rth, self._until)
            if not older:
                empty += 1
                if empty >= (MAX_EMPTY if self._size.intraday else 1):
                    break
                cursor -= _span(duration)
                continue
            empty = 0
            bars = older + bars
            cursor = bars[0].start
            self._service.report(self._instrument, self._size, len(bars), self._count)
        return bars

    def _enough(self, bars: list[Bar]) -> bool:
        if self._since is not None:
            return bool(bars) and bars[0].start <= self._since
        return len(bars) >= (self._count or ALL_BARS)

    def _missing(self, bars: list[Bar], cached: list[Bar]) -> int:
        if cached:
            return bars_between(cached[-1].start, self._until, self._size, self._rth) + 2
        if self._since is not None:
            return bars_between(self._since, bars[0].start if bars else self._until, self._size, self._rth) + 1
        return (self._count or ALL_BARS) - len(bars) + 1


def _stitched(fresh: list[Bar], cached: list[Bar]) -> list[Bar]:
    """Cache and fresh bars as one list; only the fresh ones when they disagree where they meet."""
    known = {bar.start: bar for bar in cached}
    for bar in fresh:
        before = known.get(bar.start)
        if before is not None:
            if before.close != bar.close or before.open != bar.open:
                return fresh
            return [old for old in cached if old.start < bar.start] + [new for new in fresh if new.start >= bar.start]
    return fresh


def _span(duration: str) -> timedelta:
    number, unit = duration.split(" ")
    seconds = {"S": 1, "D": 86_400, "W": 604_800, "M": 30 * 86_400, "Y": 365 * 86_400}[unit]
    return timedelta(seconds=int(number) * seconds)
