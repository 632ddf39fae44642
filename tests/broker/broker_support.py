"""A broker under test with everything around it in memory: journal, risk, clock, and what it told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from runner.broker.ib_connection import IBSettings, connect_to_ib
from runner.broker.live_broker import LiveBroker
from runner.broker.order_gate import GateSettings, OrderGate, TradingState
from runner.broker.pacing import Pacer
from runner.broker.session import Session
from runner.errors import RunnerError
from runner.model.clock import Clock, ManualClock, SystemClock
from runner.model.events import CommissionCharged, Event, Filled, Notice, OrderPlaced, OrderRefused, StatusChanged
from runner.model.instruments import Instrument, SecType
from runner.model.money import ZERO
from runner.model.orders import OrderIntent, OrderRequest, OrderState, OrderType, Purpose, Refused, Side
from runner.store.journal import Journal

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
AAPL = Instrument(
    con_id=265598,
    symbol="AAPL",
    sec_type=SecType.STOCK,
    exchange="SMART",
    currency="USD",
    primary_exchange="NASDAQ",
    local_symbol="AAPL",
)
MSFT = Instrument(con_id=272093, symbol="MSFT", sec_type=SecType.STOCK, exchange="SMART", currency="USD")


def buy(quantity: int | str = 100, **changes: Any) -> OrderRequest:
    return _request(Side.BUY, quantity, **changes)


def sell(quantity: int | str = 100, **changes: Any) -> OrderRequest:
    return _request(Side.SELL, quantity, **changes)


def limit_buy(quantity: int | str, price: str, **changes: Any) -> OrderRequest:
    return buy(quantity, order_type=OrderType.LIMIT, limit_price=Decimal(price), **changes)


def exit_(side: Side, quantity: int | str, **changes: Any) -> OrderRequest:
    return _request(side, quantity, purpose=Purpose.EXIT, **changes)


def _request(side: Side, quantity: int | str, **changes: Any) -> OrderRequest:
    changes.setdefault("instrument", AAPL)
    return OrderRequest(side=side, quantity=Decimal(quantity), **changes)


async def spin(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; AssertionError when it has run long enough."""
    for _ in range(200_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")


@dataclass
class Record:
    intent: OrderIntent
    state: OrderState
    filled: Decimal = ZERO
    perm_id: int = 0


class MemoryJournal:
    """Fits the journal protocols of the broker. `hold` keeps commits waiting, `refuse` makes them fail."""

    def __init__(self, epoch: int = 1) -> None:
        self.epoch = epoch
        self.appended: list[Event] = []
        self.filled: list[Filled] = []
        self.charged: dict[str, CommissionCharged] = {}
        self.states: dict[str, tuple[OrderState, int]] = {}
        self.waiting: list[Future[Any]] = []
        self.hold = False
        self.refuse: Exception | None = None
        self._number = 0

    def append(self, events: Sequence[Event]) -> Future[Any]:
        future: Future[Any] = Future()
        if self.refuse is not None:
            future.set_exception(self.refuse)
            return future
        self.appended += events
        if self.hold:
            self.waiting.append(future)
        else:
            future.set_result([])
        return future

    def release(self) -> None:
        for future in self.waiting:
            future.set_result([])
        self.waiting.clear()

    def next_ref_number(self) -> int:
        self._number += 1
        return self._number

    def intents(self, open_only: bool = False, strategy: str | None = None) -> list[Record]:
        records = []
        for event in self.appended:
            if isinstance(event, OrderPlaced) and strategy in (None, event.strategy):
                ref = event.intent.order_ref
                state, perm_id = self.states.get(ref, (OrderState.INTENT, 0))
                filled = sum((f.quantity for f in self.filled if f.order_ref == ref), ZERO)
                if not (open_only and state.terminal):
                    records.append(Record(event.intent, state, filled, perm_id))
        return records

    def executions(self, strategy: str | None = None) -> list[Filled]:
        return [filled for filled in self.filled if strategy in (None, filled.strategy)]

    def commissions(self) -> dict[str, CommissionCharged]:
        return self.charged

    def order(self, order_ref: str) -> Record | None:
        return next((record for record in self.intents() if record.intent.order_ref == order_ref), None)

    def executions_of(self, order_ref: str) -> list[Filled]:
        return [filled for filled in self.filled if filled.order_ref == order_ref]

    def order_of(self, exec_id: str) -> str | None:
        return next((filled.order_ref for filled in self.filled if filled.exec_id == exec_id), None)

    def is_charged(self, exec_id: str) -> bool:
        return exec_id in self.charged

    def remember(self, events: Sequence[Event]) -> None:
        """What the portfolio manager would have journalled."""
        for event in events:
            match event:
                case Filled():
                    self.filled = [f for f in self.filled if f.exec_base != event.exec_base] + [event]
                case StatusChanged():
                    self.states[event.order_ref] = (event.state, event.perm_id)
                case CommissionCharged():
                    self.charged[event.exec_id] = event
                case _:
                    pass


@dataclass
class Risk:
    """Fits RiskView from plain fields; `booked` are the executions that `positions` contain."""

    trading_state: TradingState = "active"
    positions: dict[tuple[str, int], Decimal] = field(default_factory=dict)
    booked: set[str] = field(default_factory=set)
    locked: set[int] = field(default_factory=set)
    day: date = date(2026, 3, 2)
    trades: int = 0
    equity: Decimal | None = Decimal(100_000)
    position_cap: Decimal | None = None
    daily_trades: int | None = None
    paused: bool = False
    rates: dict[str, Decimal] = field(default_factory=lambda: {"USD": Decimal(1)})

    def state(self, strategy: str) -> TradingState:
        return self.trading_state

    def instrument_locked(self, con_id: int) -> bool:
        return con_id in self.locked

    def position(self, strategy: str, con_id: int) -> Decimal:
        return self.positions.get((strategy, con_id), ZERO)

    def is_booked(self, filled: Filled) -> bool:
        return filled.exec_id in self.booked

    def session_day(self, strategy: str) -> date:
        return self.day

    def trades_today(self, strategy: str) -> int:
        return self.trades

    def strategy_equity(self, strategy: str) -> Decimal | None:
        return self.equity

    def max_position_size(self, strategy: str) -> Decimal | None:
        return self.position_cap

    def max_daily_trades(self, strategy: str) -> int | None:
        return self.daily_trades

    def loss_paused(self, strategy: str) -> bool:
        return self.paused

    def fx_rate(self, currency: str) -> Decimal:
        if currency not in self.rates:
            raise RunnerError(f"no rate for {currency}")
        return self.rates[currency]


@dataclass
class Equity:
    """Fits EquitySource."""

    own: Decimal | None = None
    weight: Decimal = Decimal("0.1")
    account: Decimal | None = Decimal(1_000_000)

    def strategy_equity(self, strategy: str) -> Decimal | None:
        return self.own

    def target_weight(self, strategy: str) -> Decimal:
        return self.weight

    def account_equity(self) -> Decimal | None:
        return self.account


class Bench:
    """One strategy's LiveBroker on a real session, and the list of events it told."""

    def __init__(
        self,
        port: int,
        strategy: str = "demo",
        clock: Clock | None = None,
        journal: MemoryJournal | Journal | None = None,
        **gate: Any,
    ) -> None:
        self.port = port
        self.strategy = strategy
        self.manual_clock = ManualClock(START)
        self.clock = clock or self.manual_clock
        self.journal: Any = journal or MemoryJournal()
        self.risk = Risk()
        self.price: Decimal | None = Decimal(100)
        gate.setdefault("duplicate_window_s", 0.0)
        self.gate = OrderGate(self.journal, self.risk, self.clock, GateSettings(**gate))
        self.told: list[Event] = []
        self.news = asyncio.Event()
        self.pacer = Pacer(SystemClock())
        self.equity = Equity()
        self.timing: dict[str, float] = {"quarantine_s": 0.02, "ack_timeout_s": 5.0, "doubt_delay_s": 0.02}

    async def connect(self, client_id: int = 7) -> Session:
        return await connect_to_ib(IBSettings(port=self.port, timeout_s=3), client_id)

    async def start(self, client_id: int = 7) -> LiveBroker:
        self.ib = await self.connect(client_id)
        self.broker = self.build(self.ib)
        await self.broker.recover()
        return self.broker

    def build(self, ib: Session) -> LiveBroker:
        return LiveBroker(
            ib,
            self.strategy,
            gate=self.gate,
            journal=self.journal,
            pacer=self.pacer,
            account="DU1234567",
            clock=self.clock,
            equity_source=self.equity,
            price_source=lambda con_id: self.price,
            on_fill=self.tell,
            on_status_change=self.tell,
            on_commission=self.tell,
            on_notice=self.tell,
            on_order=self.tell,
            **self.timing,
        )

    async def reconnect(self, client_id: int = 7) -> None:
        """A new session for the same broker, after the old one was lost."""
        await spin(lambda: not self.ib.isConnected())
        self.ib = await self.connect(client_id)
        self.broker.attach(self.ib)
        await self.broker.recover()

    async def reconnect_after(self, cut: Callable[[], None]) -> None:
        cut()
        await self.reconnect()

    def tell(self, event: Event) -> None:
        self.told.append(event)
        if isinstance(self.journal, Journal):  # what the portfolio manager does behind the message queue
            self.journal.append([event])
            if isinstance(event, Filled):
                self.risk.booked.add(event.exec_id)
        self.news.set()

    async def place(self, request: OrderRequest) -> OrderIntent:
        placed = await self.broker.place(request)
        assert not isinstance(placed, Refused), placed
        return placed

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was told makes it true."""
        try:
            async with asyncio.timeout(5):
                while not condition():
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            raise AssertionError(f"it did not happen; told: {self.told}") from None

    async def until_state(self, intent: OrderIntent, state: OrderState) -> None:
        await self.until(lambda: self.states(intent)[-1:] == [state])

    async def quiet(self) -> None:
        """Everything that the peer has sent so far has been handled."""
        await self.broker.fence()

    def states(self, intent: OrderIntent) -> list[OrderState]:
        return [
            event.state
            for event in self.told
            if isinstance(event, StatusChanged) and event.order_ref == intent.order_ref
        ]

    def fills(self) -> list[Filled]:
        return [event for event in self.told if isinstance(event, Filled)]

    def commissions(self) -> list[CommissionCharged]:
        return [event for event in self.told if isinstance(event, CommissionCharged)]

    def notices(self) -> list[str]:
        return [event.code for event in self.told if isinstance(event, Notice)]

    def refusals(self) -> list[Refused]:
        return [event.refused for event in self.told if isinstance(event, OrderRefused)]

    def book(self, quantity: str) -> None:
        """The portfolio manager books all fills: the position is now `quantity`."""
        self.risk.positions[(self.strategy, AAPL.con_id)] = Decimal(quantity)
        self.risk.booked.update(filled.exec_id for filled in self.fills())
