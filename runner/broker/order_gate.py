"""The last hop before the wire: every order of every strategy passes here, is refused or is committed.

The controls run in a fixed order and the first that says no is the reason. All caps look at the position, plus what was
executed but is not booked yet, plus what still works, plus this order. An order that only reduces is never stopped by
a cap, only by `halted`; it is cut to what is left to close, so that two exits cannot turn a position around. Admitting
an order reserves its exposure in the same step, so two orders that are decided at the same moment, on whatever threads,
cannot both pass one cap.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from runner.broker.order_book import OrderBook
from runner.broker.order_refs import order_ref
from runner.broker.wire import price_problem, rounded, wire_text
from runner.errors import RunnerError
from runner.model.clock import Clock
from runner.model.events import Event, Filled, OrderPlaced
from runner.model.instruments import SecType
from runner.model.money import ZERO, on_grid, toward_zero
from runner.model.orders import OrderIntent, OrderRequest, OrderType, Purpose, Refused, Side

TradingState: TypeAlias = Literal["active", "reducing", "halted", "reconciling"]


class RiskView(Protocol):
    """What the gate has to know of a strategy. Every call is made under the gate's lock: it must not block."""

    def state(self, strategy: str) -> TradingState: ...

    def instrument_locked(self, con_id: int) -> bool:
        """Whether the books and IB disagree about it."""
        ...

    def position(self, strategy: str, con_id: int) -> Decimal:
        """Signed booked quantity."""
        ...

    def is_booked(self, filled: Filled) -> bool:
        """Whether `position` contains this execution already."""
        ...

    def session_day(self, strategy: str) -> date:
        """Which day "today" is for the strategy's calendar."""
        ...

    def trades_today(self, strategy: str) -> int: ...

    def strategy_equity(self, strategy: str) -> Decimal | None:
        """Base currency; None when it is not known."""
        ...

    def max_position_size(self, strategy: str) -> Decimal | None:
        """Fraction of strategy equity in one instrument; None for no cap."""
        ...

    def max_daily_trades(self, strategy: str) -> int | None: ...

    def loss_paused(self, strategy: str) -> bool: ...

    def fx_rate(self, currency: str) -> Decimal:
        """Base currency per unit of `currency`; RunnerError when there is no rate."""
        ...


class IntentJournal(Protocol):
    """The part of the journal that orders need."""

    @property
    def epoch(self) -> int: ...

    def append(self, events: Sequence[Event]) -> Future[Any]: ...

    def next_ref_number(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """Limits that hold for every strategy, whatever its file says."""

    runner_id: str = "run1"
    """Four letters or digits: the first part of every order ref."""
    max_order_quantity: Decimal = Decimal(1_000_000)
    """Units in one opening order."""
    max_order_notional: Decimal | None = Decimal(10_000_000)
    """Value of one opening order, base currency."""
    price_collar: Decimal = Decimal("0.03")
    """How far an opening limit may be on the aggressive side of the reference price, as a fraction of it."""
    duplicate_window_s: float = 5.0
    """Market time in which an opening order equal to one before it is taken for a mistake; 0 switches it off."""
    max_open_orders: int = 5
    """Opening orders of one strategy in one instrument on one side."""
    max_open_orders_per_contract: int = 20
    """The same over all strategies: IB's own limit."""
    restricted: frozenset[str] = frozenset()
    """Symbols in which nothing may be opened."""
    allow_short: bool = True
    sec_types: frozenset[SecType] = frozenset({SecType.STOCK, SecType.FOREX, SecType.FUTURE})
    cap_tolerance: Decimal = Decimal("0.005")
    """Relative slack of max_position_size. The decision was sized to the cap with the equity of its bar; until the
    order gets here a commission or a tick has moved it."""

    def __post_init__(self) -> None:
        order_ref(self.runner_id, 0, "x", 0)


class Exposure(NamedTuple):
    """Signed position with all that was executed, and what still works."""

    position: Decimal
    buys: Decimal
    sells: Decimal

    def closable(self, side: Side) -> Decimal:
        """How much an order on `side` can take off the position without turning it around."""
        if side is Side.SELL:
            return max(ZERO, self.position - self.sells) if self.position > 0 else ZERO
        return max(ZERO, -self.position - self.buys) if self.position < 0 else ZERO

    def after(self, side: Side, quantity: Decimal) -> Decimal:
        """The position if everything on `side`, this included, fills."""
        if side is Side.BUY:
            return self.position + self.buys + quantity
        return self.position - self.sells - quantity


class OrderGate:
    """One for the whole runner; used from any thread."""

    def __init__(
        self,
        journal: IntentJournal,
        risk: RiskView,
        clock: Clock,
        settings: GateSettings | None = None,
        book: OrderBook | None = None,
    ) -> None:
        self.book = book if book is not None else OrderBook(clock)
        self.risk = risk
        self.settings = settings or GateSettings()
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: dict[str, tuple[date, int]] = {}
        self._recent: dict[tuple[object, ...], datetime] = {}

    # -- the two steps of an order

    def admit(
        self,
        strategy: str,
        request: OrderRequest,
        reference_price: Decimal | None,
        *,
        account: str,
        client_id: int,
        generation: int = 0,
    ) -> OrderIntent | Refused:
        """Round, check and reserve. The intent returned counts as working from this moment on."""
        result = self.admit_all(
            strategy, (request,), reference_price, account=account, client_id=client_id, generation=generation
        )
        return result if isinstance(result, Refused) else result[0]

    def admit_all(
        self,
        strategy: str,
        requests: Sequence[OrderRequest],
        reference_price: Decimal | None,
        *,
        account: str,
        client_id: int,
        generation: int = 0,
    ) -> tuple[OrderIntent, ...] | Refused:
        """A bracket: the first request is the entry, the others close what it opens and become its children. Either
        all are admitted or none; the controls look at the entry."""
        entry = rounded(requests[0])
        children = [rounded(request) for request in requests[1:]]
        with self._lock:
            fitted = self._fit(strategy, entry)
            refused = fitted if isinstance(fitted, Refused) else self._check(strategy, fitted, reference_price)
            for child in children:
                refused = refused or self._check_shape(child)
            if refused is not None:
                return refused
            assert isinstance(fitted, OrderRequest)
            price = reference_price if reference_price is not None else fitted.limit_price or ZERO
            parent_ref = fitted.parent_ref
            intents: list[OrderIntent] = []
            for request in (fitted, *children):
                ref = order_ref(self.settings.runner_id, self._journal.epoch, strategy, self._journal.next_ref_number())
                intents.append(
                    OrderIntent(
                        order_ref=ref,
                        strategy=strategy,
                        account=account,
                        client_id=client_id,
                        request=replace(request, parent_ref=parent_ref) if parent_ref else request,
                        created_at=self._clock.now(),
                        reference_price=price,
                        generation=generation,
                    )
                )
                if children:
                    parent_ref = intents[0].order_ref
            if not self._reduces(strategy, fitted):
                self._count_opening(strategy, fitted)
            for intent in intents:
                self.book.add(intent)
            return tuple(intents)

    def check(self, strategy: str, request: OrderRequest, reference_price: Decimal | None) -> Refused | None:
        """What `admit` would refuse, without admitting."""
        with self._lock:
            fitted = self._fit(strategy, rounded(request))
            return fitted if isinstance(fitted, Refused) else self._check(strategy, fitted, reference_price)

    async def commit(self, intents: Sequence[OrderIntent] | OrderIntent) -> None:
        """Return when the intents are on disk: all of them or, with StoreError, none."""
        events = [
            OrderPlaced(at=intent.created_at, strategy=intent.strategy, intent=intent)
            for intent in ((intents,) if isinstance(intents, OrderIntent) else intents)
        ]
        # Shielded: cancelling the waiter must not cancel the journal's own future.
        await asyncio.shield(asyncio.wrap_future(self._journal.append(events)))

    # -- the controls, in the order in which they speak

    def _check(self, strategy: str, request: OrderRequest, reference: Decimal | None) -> Refused | None:
        opens = not self._reduces(strategy, request)
        refused = self._check_state(strategy, request, opens) or self._check_shape(request)
        if refused is not None or not opens:
            return refused
        return (
            self._check_permission(strategy, request)
            or self._check_size(request)
            or self._check_value(request, reference)
            or self._check_repetition(strategy, request)
            or self._check_open_orders(strategy, request)
            or self._check_position(strategy, request, reference)
            or self._check_day(strategy)
        )

    def _check_state(self, strategy: str, request: OrderRequest, opens: bool) -> Refused | None:
        state = self.risk.state(strategy)
        if state == "halted":
            return Refused(control="state", limit="active", asked=state)
        if not opens:
            return None
        if state != "active":
            return Refused(control="state", limit="active", asked=state, detail="only reductions are allowed")
        if self.risk.instrument_locked(request.instrument.con_id):
            return Refused(
                control="instrument_locked",
                limit="books and IB agree",
                asked=str(request.instrument),
                detail="the position differs from IB's",
            )
        return None

    @staticmethod
    def _check_shape(request: OrderRequest) -> Refused | None:
        quantity, instrument = request.quantity, request.instrument
        if not isinstance(quantity, Decimal) or not quantity.is_finite() or quantity <= 0:
            detail = f"the lot is {instrument.lot}" if quantity == 0 else ""
            return Refused(control="quantity", limit="above 0", asked=str(quantity), detail=detail)
        if not on_grid(quantity, instrument.lot):
            return Refused(control="lot", limit=str(instrument.lot), asked=str(quantity))
        problem = price_problem(request)
        if problem:
            return Refused(control="price", limit=request.order_type.value, asked=problem)
        if instrument.con_id <= 0:
            return Refused(control="instrument", limit="qualified", asked=str(instrument))
        try:
            wire_text(request.oca_group, "OCA group")
        except ValueError as error:
            return Refused(control="text", limit="printable ASCII", asked=str(error))
        return None

    def _check_permission(self, strategy: str, request: OrderRequest) -> Refused | None:
        settings, instrument = self.settings, request.instrument
        if instrument.symbol in settings.restricted:
            return Refused(control="restricted", limit="not listed", asked=instrument.symbol)
        if instrument.sec_type not in settings.sec_types:
            allowed = ", ".join(sorted(settings.sec_types))
            return Refused(control="sec_type", limit=allowed, asked=instrument.sec_type.value)
        if not settings.allow_short and request.side is Side.SELL:
            after = self.exposure(strategy, instrument.con_id).after(Side.SELL, request.quantity)
            return Refused(control="allow_short", limit="0", asked=str(after))
        return None

    def _check_size(self, request: OrderRequest) -> Refused | None:
        limit = self.settings.max_order_quantity
        if request.quantity > limit:
            return Refused(control="max_order_quantity", limit=str(limit), asked=str(request.quantity))
        return None

    def _check_value(self, request: OrderRequest, reference: Decimal | None) -> Refused | None:
        settings, instrument = self.settings, request.instrument
        if reference is None or not reference.is_finite() or reference <= 0:
            return Refused(control="reference_price", limit="above 0", asked=str(reference), detail="no usable price")
        try:
            rate = self.risk.fx_rate(instrument.currency)
        except RunnerError as error:
            return Refused(control="fx_rate", limit="known", asked=instrument.currency, detail=error.message)
        notional = request.quantity * reference * instrument.multiplier * rate
        if settings.max_order_notional is not None and notional > settings.max_order_notional:
            return Refused(
                control="max_order_notional", limit=str(settings.max_order_notional), asked=f"{notional:.2f}"
            )
        if request.limit_price is not None and request.order_type is not OrderType.RELATIVE:
            beyond = (request.limit_price - reference) * request.side.sign
            if beyond > settings.price_collar * reference:
                return Refused(
                    control="price_collar",
                    limit=f"{settings.price_collar} of {reference}",
                    asked=str(request.limit_price),
                )
        return None

    def _check_repetition(self, strategy: str, request: OrderRequest) -> Refused | None:
        before = self._recent.get(_likeness(strategy, request))
        window = self.settings.duplicate_window_s
        if before is not None and self._clock.now() - before < timedelta(seconds=window):
            return Refused(
                control="duplicate_window_s",
                limit=f"{window:g}",
                asked=f"{(self._clock.now() - before).total_seconds():g}",
                detail=f"the same order was placed at {before:%H:%M:%S}",
            )
        return None

    def _check_open_orders(self, strategy: str, request: OrderRequest) -> Refused | None:
        con_id, side = request.instrument.con_id, request.side
        orders = [order for order in self.book.open_orders(con_id=con_id) if order.intent.request.side is side]
        own = sum(order.intent.strategy == strategy for order in orders)
        if own >= self.settings.max_open_orders:
            return Refused(control="max_open_orders", limit=str(self.settings.max_open_orders), asked=str(own + 1))
        if len(orders) >= self.settings.max_open_orders_per_contract:
            limit = self.settings.max_open_orders_per_contract
            return Refused(control="max_open_orders_per_contract", limit=str(limit), asked=str(len(orders) + 1))
        return None

    def _check_position(self, strategy: str, request: OrderRequest, reference: Decimal | None) -> Refused | None:
        limit = self.risk.max_position_size(strategy)
        if not limit:
            return None
        equity = self.risk.strategy_equity(strategy)
        if equity is None or equity <= 0:
            return Refused(control="max_position_size", limit=str(limit), asked="?", detail="equity is not known")
        assert reference is not None
        instrument = request.instrument
        after = self.exposure(strategy, instrument.con_id).after(request.side, request.quantity)
        value = abs(after) * reference * instrument.multiplier * self.risk.fx_rate(instrument.currency)
        if value > limit * equity * (1 + self.settings.cap_tolerance):
            return Refused(
                control="max_position_size",
                limit=str(limit),
                asked=f"{value / equity:.4f}",
                detail=f"{after} {instrument} with working orders, equity {equity:.2f}",
            )
        return None

    def _check_day(self, strategy: str) -> Refused | None:
        limit = self.risk.max_daily_trades(strategy)
        if limit:
            trades = self.trades_today(strategy)
            if trades >= limit:
                return Refused(control="max_daily_trades", limit=str(limit), asked=str(trades + 1))
        if self.risk.loss_paused(strategy):
            return Refused(control="max_daily_loss", limit="not reached today", asked="opening order")
        return None

    # -- figures

    def exposure(self, strategy: str, con_id: int) -> Exposure:
        """Position with executions that are not booked yet, and working quantities."""
        working = self.book.working(strategy, con_id)
        unbooked = self.book.unbooked(strategy, con_id, self.risk.is_booked)
        return Exposure(self.risk.position(strategy, con_id) + unbooked, working.buys, working.sells)

    def trades_today(self, strategy: str) -> int:
        """Opening orders of the session: the journal's count or this process's own, which is never behind."""
        day, count = self._opened.get(strategy, (None, 0))
        own = count if day == self.risk.session_day(strategy) else 0
        return max(own, self.risk.trades_today(strategy))

    def _reduces(self, strategy: str, request: OrderRequest) -> bool:
        exposure = self.exposure(strategy, request.instrument.con_id)
        return request.quantity <= exposure.closable(request.side)

    def _fit(self, strategy: str, request: OrderRequest) -> OrderRequest | Refused:
        """Orders that say they close are cut to what is left to close. What an order is follows from the figures, so
        calling an opening order an exit opens nothing."""
        if request.purpose is Purpose.ENTRY or not request.quantity.is_finite() or request.quantity <= 0:
            return request
        exposure = self.exposure(strategy, request.instrument.con_id)
        closable = toward_zero(exposure.closable(request.side), request.instrument.lot)
        if request.quantity <= closable:
            return request
        if closable <= 0:
            return Refused(
                control="reduce_only",
                limit=str(closable),
                asked=str(request.quantity),
                detail=f"position {exposure.position}, working buys {exposure.buys}, sells {exposure.sells}",
            )
        return replace(request, quantity=closable)

    def _count_opening(self, strategy: str, request: OrderRequest) -> None:
        day = self.risk.session_day(strategy)
        known, count = self._opened.get(strategy, (day, 0))
        self._opened[strategy] = (day, count + 1 if known == day else 1)
        now = self._clock.now()
        oldest = now - timedelta(seconds=self.settings.duplicate_window_s)
        for likeness in [key for key, at in self._recent.items() if at <= oldest]:
            del self._recent[likeness]
        self._recent[_likeness(strategy, request)] = now


def _likeness(strategy: str, request: OrderRequest) -> tuple[object, ...]:
    return (
        strategy,
        request.instrument.con_id,
        request.side,
        request.quantity,
        request.order_type,
        request.limit_price,
        request.stop_price,
    )
