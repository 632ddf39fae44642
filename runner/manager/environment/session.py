"""A session of its own with the gateway, which only asks: what it heard, as facts to be judged elsewhere.

Everything here runs on one loop. Requests go within IB's pacing, through the same services that a running runner uses,
until the time limit; what was not answered by then is known to be unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, TypeVar

from runner.broker.bar_times import calendar_of
from runner.broker.clock import BrokerClock
from runner.broker.history import HistoryService
from runner.broker.ib_connection import (
    IBSettings,
    account_of,
    account_values,
    connect_to_look,
    disconnect,
    takes_orders,
)
from runner.broker.pacing import RATE_PER_S, HistoryPacer, Pacer, Priority
from runner.broker.requests import InstrumentResolver, is_not_permitted
from runner.broker.session import Session
from runner.errors import ContractNotFound, GatewayError, NoMarketData, NotConnected, PacingLimit, RunnerError
from runner.manager.rates import ensure_rates
from runner.model.bars import BarSize
from runner.model.clock import SystemClock
from runner.model.instruments import Instrument, InstrumentQuery, SecType
from runner.model.sessions import sessions
from runner.portfolio.account import base_currency_of, read_account
from runner.portfolio.fx_cache import CurrencyWithoutRate, FXCache

Q = TypeVar("Q")

WORKERS = 32
"""Questions under way at a time; IB allows 50 requests for history."""
ORDERS_ANSWER_S = 10.0
LIFE_SIGN_S = 10.0
"""How long the gateway may take to say what time it is, once something else has not been answered."""
MAX_ELSEWHERE = 20
"""Unknown symbols for which other listings are looked up."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""What is being looked at, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True, order=True)
class Stream:
    """Bars as a strategy subscribes to them; strategies that want the same share one subscription."""

    con_id: int
    size: BarSize
    regular_hours: bool


@dataclass(slots=True)
class Seen:
    """What the gateway said. What is in none of the mappings was not asked or not answered."""

    now: datetime
    """The market's time."""
    base_currency: str = ""
    base_problem: str = ""
    """Why the base currency is not known; empty when it is."""
    takes_orders: bool | None = None
    """False when the API is set to read-only; None when that did not show."""
    instruments: dict[InstrumentQuery, Instrument] = field(default_factory=dict)
    refused: dict[InstrumentQuery, GatewayError] = field(default_factory=dict)
    elsewhere: dict[InstrumentQuery, tuple[Instrument, ...]] = field(default_factory=dict)
    """For unknown stocks: listings of the same symbol that IB does know."""
    order_types: dict[int, frozenset[str]] = field(default_factory=dict)
    bars: dict[Stream, GatewayError | None] = field(default_factory=dict)
    """Why there are no bars; None when there are."""
    begins: dict[tuple[int, bool], datetime] = field(default_factory=dict)
    """When the data of an instrument begin, by con id and regular hours."""
    rates: dict[str, CurrencyWithoutRate | None] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    """What was asked in vain, in words."""


async def look(
    settings: IBSettings,
    queries: Collection[InstrumentQuery],
    streams_of: Callable[[Seen], Sequence[Stream]],
    *,
    follow: bool,
    limit_s: float,
    progress: Progress,
) -> Seen:
    """Asks the gateway about the account, these contracts, and the streams that follow from them.

    With `follow` a replaying gateway holds its market meanwhile. Raises NotConnected, ClientIdInUse and WrongAccount.
    """
    deadline = asyncio.get_running_loop().time() + limit_s
    clock = BrokerClock(SystemClock())
    try:
        async with asyncio.timeout_at(deadline):
            ib = await connect_to_look(settings, follow=follow)
    except TimeoutError:
        raise NotConnected(f"no session with {settings.host}:{settings.port} within {limit_s:g} s") from None
    try:
        asking = _Asking(ib, clock, deadline, limit_s, progress, following=follow)
        try:
            async with asyncio.timeout_at(deadline):
                await asking.account(settings)
        except TimeoutError:
            raise NotConnected(f"the gateway did not describe the account within {limit_s:g} s") from None
        await asking.contracts(queries)
        streams = streams_of(asking.seen)
        await asking.history(streams)
        await asking.rates(settings)
        return asking.seen
    finally:
        await disconnect(ib)


class _Asking:
    """One pass over everything that is to be asked."""

    def __init__(
        self,
        ib: Session,
        clock: BrokerClock,
        deadline: float,
        limit_s: float,
        progress: Progress,
        *,
        following: bool,
    ) -> None:
        self._ib = ib
        self._clock = clock
        self._deadline = deadline
        self._limit_s = limit_s
        self._progress = progress
        self._following = following
        self._pacer = Pacer(clock, None if following else RATE_PER_S)
        self._resolver = InstrumentResolver(ib, self._pacer)
        self._history = HistoryService(ib, None, HistoryPacer(clock, strict=not following), clock)
        self._cache: FXCache | None = None
        self.seen = Seen(clock.now())

    # the account -----------------------------------------------------------------------------------------------

    async def account(self, settings: IBSettings) -> None:
        """The market's time, the base currency and the rates that the account reports; whether orders are taken."""
        at = await self._server_time(settings.timeout_s)
        if self._following:
            self._clock.advance(at)
        else:
            self._clock.observe(at)
        seen = self.seen
        seen.now = self._clock.now()
        account = account_of(self._ib.managedAccounts(), settings)
        rows = [row for row in await account_values(self._ib) if row.account in (account, "All")]
        try:
            seen.base_currency = base_currency_of(rows)
        except RunnerError as error:
            seen.base_problem = error.message
        else:
            self._cache = FXCache(seen.base_currency, self._clock)
            for currency, rate in read_account(rows, seen.base_currency, seen.now, None)[1].items():
                if rate > 0:
                    self._cache.update(currency, rate)
        seen.takes_orders = await takes_orders(self._ib, ORDERS_ANSWER_S)

    async def _server_time(self, timeout_s: float) -> datetime:
        try:
            return await self._ib.server_time(timeout_s)
        except (TimeoutError, ConnectionError) as error:
            raise NotConnected(f"the gateway does not say what time it is: {error or 'no answer'}") from error

    async def rates(self, settings: IBSettings) -> None:
        """A rate into the base currency for every currency of the instruments, as a strategy would get it."""
        cache = self._cache
        if cache is None:
            return
        currencies = sorted({instrument.currency for instrument in self.seen.instruments.values()})

        async def ask(currency: str) -> None:
            try:
                await ensure_rates(cache, [currency], self._resolver, self._history, self._clock)
                self.seen.rates[currency] = None
            except CurrencyWithoutRate as error:
                if not self._ib.isConnected():
                    raise NotConnected("the gateway ended the session while exchange rates were asked for") from error
                self.seen.rates[currency] = error

        await self._each("exchange rates", currencies, ask, str)

    # contracts -------------------------------------------------------------------------------------------------

    async def contracts(self, queries: Collection[InstrumentQuery]) -> None:
        """What IB knows by each description."""
        seen = self.seen

        async def ask(query: InstrumentQuery) -> None:
            try:
                instrument = await self._resolver.resolve(query)
            except NotConnected:
                raise
            except GatewayError as error:
                seen.refused[query] = error
                return
            except ValueError as error:  # what cannot be sent, or comes back as nothing that is traded here
                seen.refused[query] = ContractNotFound(f"{query}: {error}", text=str(error))
                return
            seen.instruments[query] = instrument
            seen.order_types[instrument.con_id] = self._resolver.order_types(instrument)

        await self._each("contracts", list(dict.fromkeys(queries)), ask, lambda query: query.symbol)
        unknown = [
            query
            for query, error in seen.refused.items()
            if query.sec_type is SecType.STOCK and error.code == 200 and not getattr(error, "candidates", ())
        ]
        await self._each("other listings", unknown[:MAX_ELSEWHERE], self._elsewhere, lambda query: query.symbol)

    async def _elsewhere(self, query: InstrumentQuery) -> None:
        """Listings of an unknown stock under its symbol alone: a currency or an exchange may be missing in the file."""
        anywhere = InstrumentQuery(symbol=query.symbol, sec_type=query.sec_type, exchange="", currency="")
        try:
            found: Sequence[Instrument] = [await self._resolver.resolve(anywhere)]
        except ContractNotFound as error:
            found = error.candidates
        except NotConnected:
            raise
        except (GatewayError, ValueError):
            found = ()
        self.seen.elsewhere[query] = tuple(found)

    # history ---------------------------------------------------------------------------------------------------

    async def history(self, streams: Sequence[Stream]) -> None:
        """Whether there are bars for each stream, and since when the instrument has data."""
        seen = self.seen
        by_id = {instrument.con_id: instrument for instrument in seen.instruments.values()}
        for calendar in sorted({calendar_of(by_id[stream.con_id]) for stream in streams}):
            await asyncio.to_thread(sessions, calendar)

        def named(stream: Stream) -> str:
            return f"{by_id[stream.con_id]} at {stream.size.value}"

        async def ask_bars(stream: Stream) -> None:
            await self._pacer.slot(Priority.HISTORY)
            instrument = by_id[stream.con_id]
            try:
                found = await self._history.bars(instrument, stream.size, 1, rth=stream.regular_hours)
            except (NotConnected, PacingLimit):
                raise
            except GatewayError as error:
                seen.bars[stream] = error
                return
            seen.bars[stream] = None if found else NoMarketData("IB has none")

        async def ask_begin(stream: Stream) -> None:
            await self._pacer.slot(Priority.HISTORY)
            key = (stream.con_id, stream.regular_hours)
            try:
                seen.begins[key] = await self._history.begins(by_id[stream.con_id], rth=stream.regular_hours)
            except (NotConnected, PacingLimit):
                raise
            except GatewayError as error:
                if is_not_permitted(error):
                    return  # said of the bars already
                seen.unanswered.append(f"how far back the data of {by_id[stream.con_id]} reach: {error.text}")

        await self._each("history", streams, ask_bars, named)
        there = [stream for stream in streams if stream in seen.bars and seen.bars[stream] is None]
        once = list({(stream.con_id, stream.regular_hours): stream for stream in there}.values())
        await self._each("beginnings of the data", once, ask_begin, lambda stream: str(by_id[stream.con_id]))

    # asking ----------------------------------------------------------------------------------------------------

    async def _each(
        self,
        what: str,
        items: Sequence[Q],
        ask: Callable[[Q], Awaitable[None]],
        name: Callable[[Q], str],
    ) -> None:
        """Asks for every item, WORKERS at a time, until the deadline. What got no answer is noted in `unanswered`."""
        left = list(reversed(items))
        silent: list[str] = []
        done = 0

        async def work() -> None:
            nonlocal done
            while left:
                item = left.pop()
                try:
                    await ask(item)
                except PacingLimit as error:
                    silent.append(f"{name(item)} ({error.message})")
                except NotConnected:
                    await self._require_life()
                    silent.append(name(item))
                done += 1
                self._progress(what, done, len(items))

        tasks = [asyncio.create_task(work()) for _ in range(min(WORKERS, len(items)))]
        if not tasks:
            return
        remaining = max(0.0, self._deadline - asyncio.get_running_loop().time())
        try:
            finished, pending = await asyncio.wait(tasks, timeout=remaining, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in finished:
            task.result()
        if silent:
            self.seen.unanswered.append(f"{what}: no answer for {_some(silent)}")
        if pending:
            count = len(items) - done
            self.seen.unanswered.append(
                f"{what}: {count} of {len(items)} were left at the time limit of {self._limit_s:g} s"
            )

    async def _require_life(self) -> None:
        """A request without an answer may be IB's habit, or the gateway's end: NotConnected when it is that."""
        if not self._ib.isConnected():
            raise NotConnected("the gateway ended the session")
        if self._following:
            raise NotConnected("the paper gateway does not answer")  # asking it for the time would let its market move
        await self._server_time(LIFE_SIGN_S)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
