# mypy: disable-error-code=no-untyped-call
# ib_async's client has no annotations.
"""Routes one strategy's orders to IB, and what IB says about them back to the strategy.

An order's way: rounded to tick and lot, checked and reserved by the gate, committed to the journal, given a slot by the
pacer, checked once more (the session may have changed while the disk was busy), sent. Between the last check and the
send nothing else runs. What is not known to have arrived is never sent again: IB is asked instead.

Facts come from the session's tap, not from `Trade` objects, and leave as standardized events through the callbacks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from ib_async import Contract, Order

from runner.broker.base_broker import Broker, EquitySource
from runner.broker.facts import WireFact, WireLost
from runner.broker.order_archive import OrderJournal
from runner.broker.order_book import WorkingOrder
from runner.broker.order_facts import OrderFacts
from runner.broker.order_gate import Exposure, IntentJournal, OrderGate
from runner.broker.pacing import PRIORITY_OF, Pacer, Priority
from runner.broker.recovery import QUARANTINE_S, reconcile, restore
from runner.broker.session import Session
from runner.broker.wire import decimal_or_none, to_ib_contract, to_ib_order
from runner.errors import NotConnected, OrderRejected, PacingLimit, RunnerError, StoreError
from runner.model.clock import Clock
from runner.model.events import (
    CommissionCharged,
    Event,
    Filled,
    Notice,
    OrderPlaced,
    OrderRefused,
    StatusChanged,
)
from runner.model.instruments import Instrument
from runner.model.money import ZERO, toward_zero
from runner.model.orders import (
    OrderIntent,
    OrderRequest,
    OrderState,
    OrderType,
    Purpose,
    Refused,
    Side,
    TimeInForce,
)

ACK_TIMEOUT_S = 5.0
"""After this an order that IB has not acknowledged is UNKNOWN, and IB is asked."""
DOUBT_DELAY_S = 2.0
"""How long a doubt may resolve itself: executions usually follow their status at once."""
DOUBT_ATTEMPTS = 3
CANCEL_TIMEOUT_S = 30.0
CANCEL_WAIT_S = 5.0
"""How long `cancel_all` waits for the orders to be over."""

_CALLED_LIVE = (OrderState.ACKED, OrderState.PARTIAL)

log = logging.getLogger(__name__)

E = TypeVar("E", bound=Event)


class LiveJournal(IntentJournal, OrderJournal, Protocol):
    """The journal as LiveBroker sees it: it commits intents and reads back what is known of them."""


class LiveBroker(Broker):
    """One strategy's way to IB. Belongs to the loop of its session; only `get_equity`, `working` and `open_orders` may
    be called from elsewhere.

    `ac` is the shared ArcticDB client, for reading; persistence is the portfolio manager's. `price_source` gives the
    last price of a con_id, the reference of the gate's value controls. Until `recover` has returned, and again from
    every `attach` on, orders are refused.
    """

    def __init__(
        self,
        ib_client: Session,
        strategy_symbol: str,
        *,
        ac: Any = None,
        gate: OrderGate,
        journal: LiveJournal,
        pacer: Pacer,
        account: str,
        clock: Clock,
        equity_source: EquitySource,
        price_source: Callable[[int], Decimal | None],
        on_fill: Callable[[Filled], None],
        on_status_change: Callable[[StatusChanged], None],
        on_commission: Callable[[CommissionCharged], None],
        on_notice: Callable[[Notice], None],
        on_order: Callable[[OrderPlaced | OrderRefused], None],
        instrument_of: Callable[[Contract], Awaitable[Instrument]] | None = None,
        generation: Callable[[], int] = lambda: 0,
        quarantine_s: float = QUARANTINE_S,
        ack_timeout_s: float = ACK_TIMEOUT_S,
        doubt_delay_s: float = DOUBT_DELAY_S,
    ) -> None:
        super().__init__(strategy_symbol, equity_source)
        self.ac = ac
        self.account = account
        self._ib = ib_client
        self._gate = gate
        self._book = gate.book
        self._journal = journal
        self._pacer = pacer
        self._clock = clock
        self._price_source = price_source
        self._on_fill = on_fill
        self._on_status_change = on_status_change
        self._on_commission = on_commission
        self._on_notice = on_notice
        self._on_order = on_order
        self._instrument_of = instrument_of
        self._generation = generation
        self._quarantine_s = quarantine_s
        self._ack_timeout_s = ack_timeout_s
        self._doubt_delay_s = doubt_delay_s
        self._facts = OrderFacts(
            self._book,
            clock,
            gate.settings.runner_id,
            archive=journal,
            emit=self._emit,
            owns=lambda strategy: strategy == strategy_symbol,
            doubt=self._doubt,
        )
        self._ready = False
        self._changed = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._doubted: dict[str, str] = {}
        self._asking: asyncio.Task[None] | None = None
        ib_client.listen(self)

    # -- the session

    @property
    def ib_client(self) -> Session:
        return self._ib

    @property
    def ready(self) -> bool:
        """Connected, and what IB knows of our orders has been folded in."""
        return self._ready and self._ib.isConnected()

    def attach(self, ib_client: Session) -> None:
        """Continue on a new session. `recover` must follow before anything can be placed."""
        self.detach()
        self._ib = ib_client
        ib_client.listen(self)

    def detach(self) -> None:
        """Stop listening and asking. Orders at IB stay as they are."""
        self._ready = False
        self._ib.unlisten(self)
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for task in self._tasks:
            task.cancel()

    async def recover(self) -> None:
        """Fold in what IB knows: open orders, completed orders and executions, by order ref.

        The same after the first start, a restart and a reconnect. An order of ours that IB does not list is looked for
        a second time after a pause; only then is it ABSENT. Raises NotConnected when a list does not end.
        """
        await restore(self._journal, self._book, self.strategy_symbol, self._clock)
        await self._reconcile()
        self._ready = True

    async def fence(self) -> None:
        """Return when everything that IB sent on this session before now has been handled. Raises NotConnected."""
        try:
            await self._ib.server_time()
        except (TimeoutError, ConnectionError) as error:
            raise NotConnected(f"the gateway does not answer: {error or 'timeout'}") from error

    # -- placing

    async def place(self, request: OrderRequest) -> OrderIntent | Refused:
        """Check, commit and send. A refusal, NOT_SENT included, is a value and is recorded as a fact."""
        placed = await self._place_all((request,))
        return placed if isinstance(placed, Refused) else placed[0]

    async def place_bracket(
        self, entry: OrderRequest, *, take_profit: Decimal | None = None, stop_loss: Decimal | None = None
    ) -> tuple[OrderIntent, ...] | Refused:
        """An entry with a limit and a stop order that close it, in the instrument's price. IB holds the two back until
        the entry fills, and cancels one when the other fills. All are committed together and only the last one releases
        them, so an entry never works without its exits.

        Raises ValueError when neither exit is given.
        """
        if take_profit is None and stop_loss is None:
            raise ValueError("a bracket needs take_profit or stop_loss")
        exits: list[OrderRequest] = []
        out = Side.SELL if entry.side is Side.BUY else Side.BUY
        base = replace(
            entry,
            side=out,
            purpose=Purpose.EXIT,
            limit_price=None,
            stop_price=None,
            trailing_percent=None,
            tif=TimeInForce.GTC,
        )
        if take_profit is not None:
            exits.append(replace(base, order_type=OrderType.LIMIT, limit_price=take_profit, reason="take_profit"))
        if stop_loss is not None:
            exits.append(replace(base, order_type=OrderType.STOP, stop_price=stop_loss, reason="stop_loss"))
        legs = [replace(leg, transmit=False) for leg in (entry, *exits[:-1])]
        return await self._place_all((*legs, replace(exits[-1], transmit=True)))

    async def place_order(self, contract: Contract, order: Order, size: float = 1.0) -> OrderIntent | Refused:
        """The raw entry: IB's contract and order, through the same gate.

        With `order.totalQuantity` above zero that is the quantity, else it is `size` as a fraction of the strategy's
        equity at the last price. Raises OrderRejected for what the runner does not trade.
        """
        if self._instrument_of is None:
            raise RunnerError("this broker cannot qualify contracts")
        instrument = await self._instrument_of(contract)
        try:
            side, kind = Side(order.action), OrderType(order.orderType)
            tif = TimeInForce(order.tif or "DAY")
        except ValueError as error:
            raise OrderRejected(f"the runner does not place such an order: {error}") from error
        quantity = decimal_or_none(order.totalQuantity) or ZERO
        if quantity <= 0:
            quantity = self._sized(instrument, Decimal(repr(float(size))))
        held = self._gate.risk.position(self.strategy_symbol, instrument.con_id)
        closes = held * side.sign < 0 and quantity <= abs(held)
        return await self.place(
            OrderRequest(
                instrument=instrument,
                side=side,
                quantity=quantity,
                order_type=kind,
                limit_price=decimal_or_none(order.lmtPrice),
                stop_price=decimal_or_none(order.auxPrice),
                trailing_percent=decimal_or_none(order.trailingPercent),
                tif=tif,
                purpose=(Purpose.EXIT if quantity == abs(held) else Purpose.REDUCE) if closes else Purpose.ENTRY,
                reason="raw",
                oca_group=order.ocaGroup,
                outside_rth=order.outsideRth,
            )
        )

    def _sized(self, instrument: Instrument, fraction: Decimal) -> Decimal:
        price = self._price_source(instrument.con_id)
        if price is None or price <= 0:
            raise RunnerError(f"there is no price for {instrument} to size the order with")
        unit = price * instrument.multiplier * self._gate.risk.fx_rate(instrument.currency)
        return toward_zero(fraction * self.get_equity() / unit, instrument.lot)

    async def _place_all(self, requests: Sequence[OrderRequest]) -> tuple[OrderIntent, ...] | Refused:
        ib, entry = self._ib, requests[0]
        if not self.ready:
            state = "reconciling" if ib.isConnected() else "disconnected"
            return self._refuse(entry, Refused(control="session", limit="ready", asked=state))
        epoch = ib.epoch
        admitted = self._gate.admit_all(
            self.strategy_symbol,
            requests,
            self._price_source(entry.instrument.con_id),
            account=self.account,
            client_id=ib.client.clientId,
            generation=self._generation(),
        )
        if isinstance(admitted, Refused):
            return self._refuse(entry, admitted)
        try:
            await self._gate.commit(admitted)
            for intent in admitted:
                self._emit(OrderPlaced(at=intent.created_at, strategy=intent.strategy, intent=intent))
                if not self._pacer.try_take():
                    await self._pacer.slot(PRIORITY_OF[intent.request.purpose])
            problem = self._why_not_now(epoch, entry)
        except (StoreError, PacingLimit) as error:
            problem = error.message
        except BaseException:
            self._not_sent(admitted, "interrupted")
            raise
        problem = problem or self._send(ib, admitted)
        if problem:
            self._not_sent(admitted, problem)
            return Refused(control="not_sent", limit="session unchanged", asked=problem)
        return admitted

    def _why_not_now(self, epoch: int, entry: OrderRequest) -> str:
        """What changed while the journal and the pacer were waited for; empty when nothing did."""
        if not self.ready or self._ib.epoch != epoch:
            return "the session changed before the order could be sent"
        state = self._gate.risk.state(self.strategy_symbol)
        if state == "halted" or (state != "active" and entry.purpose is Purpose.ENTRY):
            return f"trading became {state} before the order could be sent"
        return ""

    def _send(self, ib: Session, intents: Sequence[OrderIntent]) -> str:
        """Write the orders to the socket. Returns why none was written; nothing else runs in between."""
        orders: list[Order] = []
        try:
            for intent in intents:
                parent = orders[0].orderId if orders else 0
                orders.append(to_ib_order(intent, order_id=ib.client.getReqId(), parent_id=parent))
        except (ValueError, ConnectionError) as error:
            return str(error)
        for intent, order in zip(intents, orders, strict=True):
            try:
                ib.placeOrder(to_ib_contract(intent.request.instrument), order)
            except ConnectionError as error:
                if order is orders[0]:
                    return str(error)
                self._emit_if(self._book.unknown(intent.order_ref, str(error)))
                continue
            except Exception:
                # ib_async asserts after it has written: the order may well be out.
                log.exception("placeOrder raised for %s", intent.order_ref)
            self._emit_if(self._book.sent(intent.order_ref, order_id=order.orderId, client_id=ib.client.clientId))
            self._after(intent.order_ref, self._ack_timeout_s, self._ack_due)
        return ""

    def _refuse(self, request: OrderRequest, refused: Refused) -> Refused:
        self._emit(
            OrderRefused(
                at=self._clock.now(),
                strategy=self.strategy_symbol,
                instrument=request.instrument,
                side=request.side,
                quantity=request.quantity,
                refused=refused,
            )
        )
        return refused

    def _not_sent(self, intents: Sequence[OrderIntent], why: str) -> None:
        for intent in intents:
            self._emit_if(self._book.not_sent(intent.order_ref, why))

    # -- cancelling

    async def cancel(self, order_ref: str) -> None:
        """Ask IB to cancel one order; nothing happens when it is over already. Raises NotConnected."""
        order = self._book.get(order_ref)
        if order is None or order.done or order.state is OrderState.INTENT:
            return
        if not self._ib.isConnected():
            raise NotConnected(f"cannot cancel {order_ref}: there is no session")
        if order.order_id <= 0 or order.client_id != self._ib.client.clientId:
            self._doubt(order, "it cannot be cancelled while IB's id for it is not known")
            return
        if not self._pacer.try_take():
            await self._pacer.slot(Priority.CANCEL)
        if not order.done and self._ib.isConnected():
            self._book.cancelling(order_ref)
            self._ib.client.cancelOrder(order.order_id, "")
            self._after(order_ref, CANCEL_TIMEOUT_S, self._cancel_due)

    async def cancel_all(self, orders: Sequence[WorkingOrder] | None = None) -> None:
        """Cancel these orders, or all working ones of the strategy, and wait, at most CANCEL_WAIT_S, until they are
        over."""
        orders = self.open_orders() if orders is None else orders
        for order in orders:
            await self.cancel(order.order_ref)
        try:
            async with asyncio.timeout(CANCEL_WAIT_S):
                while any(not order.done for order in orders):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            left = ", ".join(order.order_ref for order in orders if not order.done)
            self._notice("cancel_pending", f"still working {CANCEL_WAIT_S:g} s after the request to cancel: {left}")

    # -- reading

    def open_orders(self, con_id: int | None = None) -> list[WorkingOrder]:
        """The strategy's orders that are not over."""
        return self._book.open_orders(self.strategy_symbol, con_id)

    def working(self, con_id: int) -> Decimal:
        """Signed quantity that working orders may still add to the position."""
        working = self._book.working(self.strategy_symbol, con_id)
        return working.buys - working.sells

    def exposure(self, con_id: int) -> Exposure:
        """Signed position with every execution, booked or not, and what works on either side."""
        return self._gate.exposure(self.strategy_symbol, con_id)

    def expected(self, con_id: int) -> Decimal:
        """Signed position once every working order has filled. The exits of a bracket are left out: they only protect
        what the entry opens. Of orders in one OCA group the largest counts."""
        total = self.exposure(con_id).position
        groups: dict[tuple[str, Side], Decimal] = {}
        for order in self.open_orders(con_id):
            request = order.intent.request
            if request.parent_ref:
                continue
            if request.oca_group:
                key = (request.oca_group, request.side)
                groups[key] = max(groups.get(key, ZERO), order.remaining)
            else:
                total += request.side.sign * order.remaining
        return total + sum((side.sign * quantity for (_, side), quantity in groups.items()), ZERO)

    # -- facts

    def fact(self, fact: WireFact) -> None:
        """From the session's tap; translates and emits, never waits."""
        if isinstance(fact, WireLost):
            self._ready = False
            for change in self._book.session_lost(fact.client_id, self.strategy_symbol):
                self._emit(change)
            return
        self._facts.fact(fact)

    def _emit(self, event: Event) -> None:
        match event:
            case Filled():
                self._call(self._on_fill, event)
            case StatusChanged():
                self._ib.order_moved(event)
                self._call(self._on_status_change, event)
                self._changed.set()
            case CommissionCharged():
                self._call(self._on_commission, event)
            case OrderPlaced() | OrderRefused():
                self._call(self._on_order, event)
            case Notice():
                self._call(self._on_notice, event)
            case _:
                raise TypeError(f"a broker does not emit {type(event).__name__}")

    def _emit_if(self, event: Event | None) -> None:
        if event is not None:
            self._emit(event)

    def _call(self, callback: Callable[[E], None], event: E) -> None:
        try:
            callback(event)
        except Exception as error:
            # A strategy's own handler: its bug must not keep the next fact from being told.
            log.exception("strategy %s failed on %s", self.strategy_symbol, type(event).__name__)
            if not isinstance(event, Notice):
                self._notice("handler_failed", f"{type(event).__name__} handler raised {error!r}")

    def _notice(self, code: str, text: str) -> None:
        self._emit(Notice(at=self._clock.now(), strategy=self.strategy_symbol, code=code, text=text))

    # -- timers and doubts

    def _after(self, order_ref: str, delay_s: float, due: Callable[[str], None]) -> None:
        timer = self._timers.pop(order_ref, None)
        if timer is not None:
            timer.cancel()
        self._timers[order_ref] = asyncio.get_running_loop().call_later(delay_s, due, order_ref)

    def _ack_due(self, order_ref: str) -> None:
        self._timers.pop(order_ref, None)
        order = self._book.get(order_ref)
        if order is not None and order.state is OrderState.SENT:
            self._emit_if(self._book.unknown(order_ref, f"not acknowledged within {self._ack_timeout_s:g} s"))
            self._doubt(order, "IB has not acknowledged it")

    def _cancel_due(self, order_ref: str) -> None:
        self._timers.pop(order_ref, None)
        order = self._book.get(order_ref)
        if order is not None and not order.done:
            self._notice("cancel_unknown", f"{order_ref} is not over {CANCEL_TIMEOUT_S:g} s after its cancellation")
            self._doubt(order, "IB has not answered the cancellation")

    def _doubt(self, order: WorkingOrder, why: str) -> None:
        """Ask IB soon; many doubts make one question."""
        self._doubted[order.order_ref] = why
        if self._asking is None or self._asking.done():
            self._asking = self._spawn(self._resolve_doubts())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _resolve_doubts(self) -> None:
        for _ in range(DOUBT_ATTEMPTS):
            await asyncio.sleep(self._doubt_delay_s)
            self._drop_settled(asked=set())
            asked = set(self._doubted)
            if not asked:
                return
            try:
                await self._reconcile()
            except (NotConnected, ConnectionError) as error:
                log.warning("strategy %s: %s", self.strategy_symbol, error)
                return  # recover() asks again on the next session
            self._drop_settled(asked)
            if not self._doubted:
                return
        for order_ref, why in self._doubted.items():
            self._notice("unresolved_order", f"{order_ref}: {why}")
        self._doubted.clear()

    def _drop_settled(self, asked: set[str]) -> None:
        """Forget doubts that are over: the order ended with all its executions, or IB, asked, called it live."""
        for order_ref in list(self._doubted):
            order = self._book.get(order_ref)
            live = order is not None and order_ref in asked and order.state in _CALLED_LIVE
            if order is None or ((order.done or live) and not order.awaits_executions):
                del self._doubted[order_ref]

    async def _reconcile(self) -> None:
        await reconcile(
            self._ib,
            self._book,
            self._facts,
            self.strategy_symbol,
            self._clock,
            emit=self._emit,
            quarantine_s=self._quarantine_s,
        )
