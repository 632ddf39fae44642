"""The master session, client id 0: account values, positions, market data and history for every strategy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from runner.broker.clock import BrokerClock, follow
from runner.broker.facts import FactListener
from runner.broker.history import HistoryService, Progress
from runner.broker.ib_connection import (
    AccountValue,
    Heartbeat,
    IBSettings,
    account_of,
    account_values,
    connect_to_ib,
    disconnect,
)
from runner.broker.market_data import MarketDataHub
from runner.broker.pacing import HistoryPacer, Pacer
from runner.broker.requests import InstrumentResolver
from runner.broker.session import Session
from runner.errors import NotConnected, RunnerError
from runner.manager.rates import ensure_rates
from runner.model.events import Event, Notice
from runner.model.instruments import Instrument, InstrumentQuery
from runner.model.money import exact
from runner.portfolio.portfolio_manager import PortfolioManager
from runner.store.bars import BarCache

MASTER_CLIENT_ID = 0
RECONNECT_FIRST_S, RECONNECT_LAST_S = 1.0, 30.0
SESSIONS_WAIT_S, SESSIONS_POLL_S = 60.0, 0.05
"""How long a replay waits for the strategies' own sessions after the gateway was lost, and how often it looks."""
MARK_S = 1.0
"""How often positions are valued, live."""
CHECK_S = 60.0
"""How often positions are compared with IB's, live."""
MISMATCH_CHECKS = 2
"""Comparisons in a row that must find a difference before it locks an instrument: a fill may be under way."""

ACCOUNT_TAGS = frozenset({"EquityWithLoanValue", "NetLiquidation", "CashBalance", "ExchangeRate"})

log = logging.getLogger("runner.master")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayBooks:
    """The gateway's own numbers, asked for anew."""

    positions: Mapping[int, Decimal]
    symbols: Mapping[int, str]
    cash: Mapping[str, Decimal]
    equity: Decimal
    """EquityWithLoanValue, base currency."""


class MasterSession:
    """Lives on the broker loop. Reading properties may be used from any thread."""

    def __init__(
        self,
        settings: IBSettings,
        clock: BrokerClock,
        *,
        follow: bool,
        books: PortfolioManager,
        cache: BarCache,
        publish: Callable[[Event], None],
        sessions_stand: Callable[[], bool],
        orphans: FactListener,
    ) -> None:
        """`sessions_stand` says whether the strategies' own sessions are open and reconciled; `orphans` is told what IB
        says of the orders of strategies that do not run."""
        self.clock = clock
        self.account = ""
        self.following = follow
        self._settings = settings
        self._books = books
        self._cache = cache
        self._publish = publish
        self._sessions_stand = sessions_stand
        self._orphans = orphans
        self._ib: Session | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lost = asyncio.Event()
        self._stands = asyncio.Event()
        self._locked: dict[int, _Lock] = {}
        self._doubtful: dict[int, tuple[Decimal, int]] = {}
        """con_id → (what IB holds beyond the books, comparisons in a row that found just that)."""
        self._follower: asyncio.Task[None] | None = None
        self._stepped: Callable[[], None] | None = None
        self._compared_at = 0.0
        self.warming = ""
        """What history is being fetched, and how far it has come; empty when none is."""

    # state -----------------------------------------------------------------------------------------------------

    @property
    def ib(self) -> Session:
        if self._ib is None:
            raise NotConnected("the master session has not been opened")
        return self._ib

    @property
    def connected(self) -> bool:
        return self._ib is not None and self._ib.isConnected()

    @property
    def address(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    @property
    def locked(self) -> list[str]:
        """Instruments in which the books and IB disagree, in words; nothing is opened in them."""
        return [lock.text for lock in self._locked.values()]

    def is_locked(self, con_id: int) -> bool:
        return con_id in self._locked

    def positions(self) -> dict[int, Decimal]:
        """con_id → quantity, as IB reports it for the account."""
        return {p.contract.conId: exact(p.position) for p in self.ib.positions(self.account) if p.position}

    async def read_positions(self) -> dict[int, Decimal]:
        """The same, asked for now."""
        async with asyncio.timeout(self._settings.timeout_s):
            await self.ib.reqPositionsAsync()
        return self.positions()

    def symbols(self) -> dict[int, str]:
        return {p.contract.conId: p.contract.localSymbol or p.contract.symbol for p in self.ib.positions(self.account)}

    def last_price(self, con_id: int) -> Decimal | None:
        return self.hub.last_price(con_id)

    # opening and closing ---------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Opens the session, reads the account, and builds the services on it."""
        self._ib = await connect_to_ib(self._settings, MASTER_CLIENT_ID, follow=self.following, master=True)
        self.account = account_of(self.ib.managedAccounts(), self._settings)
        if self.following:
            self.clock.advance(await self.ib.server_time())
        rows = await account_values(self.ib)
        own = [row for row in rows if row.account in (self.account, "All")]
        self._books.determine_base_currency(own)
        self._books.update_account(own)
        pacer = Pacer(self.clock)
        self._history_pacer = HistoryPacer(self.clock, strict=not self.following)
        self.resolver = InstrumentResolver(self.ib, pacer)
        self.history = HistoryService(
            self.ib,
            self._cache,
            self._history_pacer,
            self.clock,
            progress=self._show_progress,
            on_notice=self._publish,
        )
        self.hub = MarketDataHub(self.ib, self.history, self.clock, on_notice=self._publish)
        self._listen()
        await self.ib.snapshot()  # executions of strategies that do not run must not wait until they do
        self._stands.set()
        self._spawn(self._keep_connected(), "master-session")
        if not self.following:
            self._spawn(self._heartbeat(), "heartbeat")
            self._spawn(self._check_books_regularly(), "reconciliation")

    def _show_progress(self, progress: Progress) -> None:
        """How far a warm-up has come; with IB's pacing a long one takes minutes."""
        self.warming = "" if progress.done else f"{progress.instrument}: {progress.bars} of {progress.wanted or 'all'}"
        level = logging.INFO if not progress.done else logging.DEBUG
        wanted = "all there are" if progress.wanted is None else str(progress.wanted)
        log.log(level, "history of %s, %s bars: %d of %s", progress.instrument, progress.size, progress.bars, wanted)

    async def disconnect(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._ib is not None:
            await disconnect(self._ib)

    def _notice(self, code: str, text: str) -> None:
        log.warning("%s", text)
        self._publish(Notice(at=self.clock.now(), strategy="", code=code, text=text))

    def _listen(self) -> None:
        self.ib.listen(self._orphans)
        self.ib.accountValueEvent += self._on_account_value
        self.ib.disconnectedEvent += self._lost.set

    def _on_account_value(self, value: Any) -> None:
        """Account updates, as IB pushes them; only what the books use."""
        if value.tag in ACCOUNT_TAGS and value.account == self.account:
            row = AccountValue(tag=value.tag, value=value.value, currency=value.currency, account=value.account)
            self._books.update_account([row])

    async def _heartbeat(self) -> None:
        """A frozen gateway keeps its socket open: a session that stops answering is dropped, which reconnects it."""
        while True:
            await self._stands.wait()
            ib = self.ib
            await Heartbeat(ib, self.clock, lambda why: log.error("%s: %s", self.address, why)).run()
            if ib is self._ib:  # not yet replaced by a new one
                self._stands.clear()
                await disconnect(ib)

    async def _keep_connected(self) -> None:
        """Reconnects with back-off for ever; strategies reconnect their own sessions the same way."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            self._stands.clear()
            self._notice("connection_lost", f"the session with {self.address} was lost; no positions are opened")
            delay = RECONNECT_FIRST_S
            while not await self._reconnected():
                await asyncio.sleep(delay)
                delay = min(delay * 2, RECONNECT_LAST_S)
            self._stands.set()
            self._notice("connection_restored", f"the session with {self.address} stands again")
            await self._follow_again()

    async def _follow_again(self) -> None:
        """A replay goes on where it stood, once the strategies have their sessions again: what became of their orders
        must be known before the market's day is over."""
        stepped = self._stepped
        if stepped is None:
            return
        await self.stop_following()
        self._stepped = stepped  # remembered, should the session be lost again meanwhile
        deadline = self.clock.monotonic() + SESSIONS_WAIT_S
        while (  # noqa: ASYNC110  # the sessions belong to many loops, none of which tells this one
            self.connected and not self._sessions_stand() and self.clock.monotonic() < deadline
        ):
            await asyncio.sleep(SESSIONS_POLL_S)
        if self.connected and self._stepped is stepped:
            self.start_following(stepped)

    async def _reconnected(self) -> bool:
        """One attempt to have a session again with everything on it."""
        try:
            if not self.connected:
                self._ib = await connect_to_ib(self._settings, MASTER_CLIENT_ID, follow=self.following, master=True)
                self._listen()
            self.resolver.attach(self.ib)
            self.history.attach(self.ib)
            await self.hub.attach(self.ib)
            await account_values(self.ib)
            await self.ib.snapshot()
        except RunnerError as error:
            log.warning("%s", error.message)
        except Exception:  # whatever it was, the runner must not be without its session for ever
            log.exception("the master session could not be opened")
        return self.connected

    def _spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("%s ended: %s", task.get_name(), task.exception())

    # the replay ------------------------------------------------------------------------------------------------

    def start_following(self, stepped: Callable[[], None]) -> None:
        """Lets a replaying gateway move: its market steps whenever everything at the last time has been dealt with."""

        async def deliver(at: datetime) -> None:
            self._mark()
            await self.hub.deliver(at)
            now = self.clock.monotonic()
            if now - self._compared_at >= CHECK_S:
                self._compared_at = now
                self.check_books()
            stepped()

        self._stepped = stepped
        if self._follower is None:
            self._follower = self._spawn(self._follow(deliver), "follow-market")

    async def _follow(self, deliver: Callable[[datetime], Awaitable[None]]) -> None:
        """Until the market has played all of its data, or its session ends; the next session goes on with it."""
        while True:
            try:
                await follow(self.ib, self.clock, deliver)
                return
            except NotConnected as error:
                log.info("%s", error.message)
                if not self.connected:
                    return

    async def stop_following(self) -> None:
        self._stepped = None
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
            self._follower = None

    # instruments and rates -------------------------------------------------------------------------------------

    async def qualify(self, queries: Sequence[InstrumentQuery]) -> list[Instrument]:
        return await self.resolver.resolve_all(queries)

    async def ensure_rates(self, currencies: Collection[str]) -> None:
        """Asks IB for the rates that the account does not report; CurrencyWithoutRate for the first without one."""
        await ensure_rates(self._books.fx_cache, currencies, self.resolver, self.history, self.clock)

    # the gateway's books ---------------------------------------------------------------------------------------

    async def read_books(self) -> GatewayBooks:
        """Positions and account values, asked for now."""
        positions = await self.read_positions()
        rows = [row for row in await account_values(self.ib) if row.account in (self.account, "All")]
        equity = next(exact(row.value) for row in rows if row.tag == "EquityWithLoanValue")
        return GatewayBooks(
            positions=positions,
            symbols=self.symbols(),
            cash=_ledger(rows, "CashBalance"),
            equity=equity,
        )

    async def _check_books_regularly(self) -> None:
        passed = 0.0
        while True:
            await asyncio.sleep(MARK_S)
            self._mark()
            passed += MARK_S
            if passed >= CHECK_S and self.connected:
                passed = 0.0
                self.check_books()

    def _mark(self) -> None:
        """Values everything that is held at the newest prices."""
        books = self._books
        prices = {con_id: self.hub.last_price(con_id) for con_id in books.held()}
        books.mark({con_id: price for con_id, price in prices.items() if price is not None})

    def check_books(self) -> None:
        """Compares positions with IB's. A difference that stays locks its instrument and says so; agreement unlocks."""
        found = {m.con_id: m for m in self._books.reconcile(self.positions())}
        for con_id in [c for c in self._locked if c not in found]:
            del self._locked[con_id]
        doubtful: dict[int, tuple[Decimal, int]] = {}
        for con_id, mismatch in found.items():
            beyond = mismatch.theirs - mismatch.ours
            before, times = self._doubtful.get(con_id, (beyond, 0))
            # Another difference than last time is a fill under way, not a mistake.
            doubtful[con_id] = (beyond, times + 1 if before == beyond else 1)
            if doubtful[con_id][1] >= MISMATCH_CHECKS and con_id not in self._locked:
                name = self.symbols().get(con_id, str(con_id))
                text = f"{name}: the books say {mismatch.ours}, IB holds {mismatch.theirs}; nothing is opened in it"
                self._locked[con_id] = _Lock(beyond, text)
                self._notice("position_mismatch", text)
        self._doubtful = doubtful

    async def compare_now(self) -> None:
        """The same with positions asked for now. In a replay nothing is under way, so one comparison is enough."""
        await self.read_positions()
        for _ in range(MISMATCH_CHECKS if self.following else 1):
            self.check_books()

    def unlock(self, con_id: int) -> None:
        """An operator takes the lock off: what IB was found to hold beyond the books is nobody's from now on."""
        lock = self._locked.pop(con_id, None)
        self._doubtful.pop(con_id, None)
        if lock is not None:
            self._books.assign_to_nobody(con_id, lock.beyond)


@dataclass(frozen=True, slots=True)
class _Lock:
    """Why an instrument is locked. `beyond` is what IB holds beyond the books, signed."""

    beyond: Decimal
    text: str


def _ledger(rows: Sequence[AccountValue], tag: str) -> dict[str, Decimal]:
    """currency → amount of the account's ledger rows."""
    names = (tag, f"$LEDGER-{tag}")
    return {row.currency: exact(row.value) for row in rows if row.tag in names and row.currency not in ("BASE", "")}
