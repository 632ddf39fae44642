"""Every order of every strategy, and the only opinion about its state.

`apply` folds one wire fact into an order. The rules, each forced by something that IB or its client does:

- only orderStatus, completedOrder and error 202 end an order; an error's number alone never does, unless IB had not
  acknowledged the order yet and the number means that it never will (`codes`);
- FILLED means that the executions add up, never that a status said so; the status usually comes first;
- an execution counts whatever the state: after "Cancelled", after "Filled", and once per revision only;
- "Inactive" is not the end: IB holds orders that way; it still counts as exposure;
- a state that was wrong comes back: a live status after "Cancelled" makes the order live again.

The book is shared by all sessions of a runner and may be used from any thread. Working quantity is what is not yet
executed; quantity that was executed but that the portfolio has not booked yet is `unbooked`, so that no moment exists
in which an order counts neither as working nor as position.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from runner.broker.codes import Meaning, meaning_for_order
from runner.broker.facts import WireCompleted, WireError, WireOrder, WireStatus
from runner.broker.wire import decimal_or_none
from runner.model.clock import Clock
from runner.model.events import Filled, Source, StatusChanged
from runner.model.money import ZERO
from runner.model.orders import OrderIntent, OrderState, Side, TimeInForce

KEEP_DONE = 5_000
"""Finished orders that are kept; the oldest go first. A late fact about one that is gone brings it back from the
journal (`order_archive`)."""

_LIVE = frozenset({"PreSubmitted", "Submitted"})
_ENDED = frozenset({"Cancelled", "ApiCancelled"})
_UNANSWERED = frozenset({OrderState.INTENT, OrderState.SENT, OrderState.UNKNOWN})


@dataclass(slots=True)
class WorkingOrder:
    """One order as the book sees it. Only the book changes it."""

    intent: OrderIntent
    state: OrderState = OrderState.INTENT
    filled: Decimal = ZERO
    """Sum of its executions, latest revisions."""
    perm_id: int = 0
    order_id: int = 0
    client_id: int = 0
    code: int = 0
    text: str = ""
    acknowledged: bool = False
    """IB has said something about it that only an accepted order gets."""
    cancelling: bool = False
    reported_filled: Decimal = ZERO
    """What statuses say is filled; ahead of `filled` while executions are still to come."""
    held: bool = False
    """IB's status Inactive."""
    refusal: int = 0
    """The rejecting error code that came for an acknowledged order."""
    executions: dict[str, Filled] = field(default_factory=dict)
    """By exec_base."""
    exec_ids: set[str] = field(default_factory=set)
    """All revisions that were told."""
    charged: set[str] = field(default_factory=set)
    """Executions, by exec id, whose commission was told."""
    told_filled: Decimal = ZERO
    """`filled` as of the last StatusChanged."""

    @property
    def order_ref(self) -> str:
        return self.intent.order_ref

    @property
    def remaining(self) -> Decimal:
        """What may still execute; never below zero."""
        return max(ZERO, self.intent.request.quantity - self.filled)

    @property
    def done(self) -> bool:
        return self.state.terminal

    @property
    def overfilled(self) -> bool:
        return self.filled > self.intent.request.quantity

    @property
    def awaits_executions(self) -> bool:
        """A status reported more than the executions that came."""
        return self.reported_filled > self.filled


class Working(NamedTuple):
    """Unexecuted quantity of a strategy's working orders in one instrument, both positive."""

    buys: Decimal
    sells: Decimal


class Execution(NamedTuple):
    """What an execution changed: `new` False for a repetition, `change` the order's new state if it has one."""

    new: bool
    corrected: bool
    change: StatusChanged | None


class OrderBook:
    """All orders by reference, by IB's ids, and by what is still open. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._orders: dict[str, WorkingOrder] = {}
        self._done: dict[str, None] = {}
        self._by_order_id: dict[tuple[int, int], str] = {}
        self._by_perm_id: dict[int, str] = {}
        self._by_exec_id: dict[str, str] = {}
        self._working: dict[tuple[str, int], dict[str, WorkingOrder]] = {}
        self._unbooked: dict[tuple[str, int], dict[str, tuple[Filled, Decimal]]] = {}

    # -- reading

    def get(self, order_ref: str) -> WorkingOrder | None:
        return self._orders.get(order_ref)

    def find(self, client_id: int, order_id: int, perm_id: int = 0) -> WorkingOrder | None:
        """By IB's ids: the permanent one first, because order ids are only valid within a session."""
        ref = self._by_perm_id.get(perm_id) if perm_id else None
        if ref is None and order_id > 0:
            ref = self._by_order_id.get((client_id, order_id))
        return self._orders.get(ref) if ref is not None else None

    def order_of(self, exec_id: str) -> WorkingOrder | None:
        """The order of an execution that was folded."""
        ref = self._by_exec_id.get(exec_id)
        return self._orders.get(ref) if ref is not None else None

    def open_orders(self, strategy: str | None = None, con_id: int | None = None) -> list[WorkingOrder]:
        """Orders that are not over, oldest first."""
        with self._lock:
            if strategy is not None and con_id is not None:
                return list(self._working.get((strategy, con_id), {}).values())
            return [
                order
                for (owner, instrument), orders in self._working.items()
                if (strategy is None or owner == strategy) and (con_id is None or instrument == con_id)
                for order in orders.values()
            ]

    def working(self, strategy: str, con_id: int) -> Working:
        """What may still execute. Of orders that cancel one another (one OCA group, one bracket) only the largest
        counts on each side."""
        with self._lock:
            orders = self._working.get((strategy, con_id))
            if not orders:
                return Working(ZERO, ZERO)
            totals = {Side.BUY: ZERO, Side.SELL: ZERO}
            groups: dict[tuple[str, Side], Decimal] = {}
            for order in orders.values():
                request = order.intent.request
                group = request.oca_group or request.parent_ref
                if group:
                    key = (group, request.side)
                    groups[key] = max(groups.get(key, ZERO), order.remaining)
                else:
                    totals[request.side] += order.remaining
            for (_, side), quantity in groups.items():
                totals[side] += quantity
            return Working(totals[Side.BUY], totals[Side.SELL])

    def unbooked(self, strategy: str, con_id: int, is_booked: Callable[[Filled], bool]) -> Decimal:
        """Signed quantity that was executed but that `is_booked` does not know yet."""
        with self._lock:
            waiting = self._unbooked.get((strategy, con_id))
            if not waiting:
                return ZERO
            for exec_id in [key for key, (filled, _) in waiting.items() if is_booked(filled)]:
                del waiting[exec_id]
            return sum((delta for _, delta in waiting.values()), ZERO)

    # -- writing: our own side

    def add(self, intent: OrderIntent) -> WorkingOrder:
        """An admitted intent; it counts as working from here on."""
        with self._lock:
            order = WorkingOrder(intent, client_id=intent.client_id)
            self._orders[intent.order_ref] = order
            self._index(order)
            return order

    def restore(
        self,
        intent: OrderIntent,
        state: OrderState,
        *,
        perm_id: int,
        executions: Iterable[Filled] = (),
        charged: Iterable[str] = (),
    ) -> None:
        """An order from the journal, unless the book has it. Its order id is not kept: it may mean another order in
        the next session. One that was on its way when the process ended may or may not have arrived: UNKNOWN."""
        with self._lock:
            if intent.order_ref in self._orders:
                return
            if state in (OrderState.INTENT, OrderState.SENT):
                state = OrderState.UNKNOWN
            order = WorkingOrder(intent, state, perm_id=perm_id, client_id=intent.client_id)
            order.acknowledged = perm_id != 0
            order.executions = {filled.exec_base: filled for filled in executions}
            order.charged = set(charged)
            for filled in order.executions.values():
                self._note(order, filled.exec_id)
            order.filled = order.told_filled = _sum(order.executions.values())
            self._orders[intent.order_ref] = order
            if perm_id:
                self._by_perm_id[perm_id] = intent.order_ref
            self._index(order)

    def sent(self, order_ref: str, *, order_id: int, client_id: int) -> StatusChanged | None:
        """It was written to the socket."""
        with self._lock:
            order = self._orders[order_ref]
            order.order_id, order.client_id = order_id, client_id
            self._by_order_id[(client_id, order_id)] = order_ref
            if order.state is not OrderState.INTENT:
                return None
            return self._move(order, OrderState.SENT, Source.LOCAL)

    def not_sent(self, order_ref: str, text: str) -> StatusChanged | None:
        """Certain: it never left, because the session or the trading state changed before it could."""
        return self._mark(order_ref, OrderState.NOT_SENT, Source.LOCAL, text, frozenset({OrderState.INTENT}))

    def unknown(self, order_ref: str, text: str) -> StatusChanged | None:
        """Sent, and IB has not said what became of it."""
        return self._mark(order_ref, OrderState.UNKNOWN, Source.LOCAL, text, _UNANSWERED)

    def absent(self, order_ref: str, text: str) -> StatusChanged | None:
        """Two complete snapshots do not know it."""
        states = frozenset({OrderState.UNKNOWN, OrderState.ACKED, OrderState.PARTIAL})
        return self._mark(order_ref, OrderState.ABSENT, Source.SNAPSHOT, text, states)

    def cancelling(self, order_ref: str) -> None:
        order = self._orders.get(order_ref)
        if order is not None:
            order.cancelling = True

    def session_lost(self, client_id: int, strategy: str) -> list[StatusChanged]:
        """Order ids of that session mean nothing any more; what was sent and not acknowledged becomes UNKNOWN."""
        with self._lock:
            changes: list[StatusChanged] = []
            for order in self.open_orders(strategy):
                if order.client_id != client_id:
                    continue
                self._by_order_id.pop((client_id, order.order_id), None)
                if order.state is OrderState.SENT:
                    change = self._move(order, OrderState.UNKNOWN, Source.LOCAL, text="the session was lost")
                    changes += [change] if change else []
            return changes

    # -- writing: what the wire said

    def apply(self, fact: WireStatus | WireOrder | WireCompleted | WireError) -> StatusChanged | None:
        """Fold one fact; the change of state it made, None when it made none or its order is not ours."""
        with self._lock:
            match fact:
                case WireStatus():
                    order = self.find(fact.client_id, fact.order_id, fact.perm_id)
                    return None if order is None else self._on_status(order, fact)
                case WireOrder():
                    order = self._orders.get(fact.order_ref)
                    return None if order is None else self._on_open(order, fact)
                case WireCompleted():
                    order = self._orders.get(fact.order_ref)
                    return None if order is None else self._on_completed(order, fact)
                case WireError():
                    order = self.find(fact.client_id, fact.order_id)
                    return None if order is None else self._on_error(order, fact)

    def execute(self, filled: Filled) -> Execution:
        """Fold one execution of an order of ours. A revision replaces the one before; a repetition changes nothing."""
        with self._lock:
            order = self._orders[filled.order_ref]
            before = order.executions.get(filled.exec_base)
            if before is not None and before.revision >= filled.revision:
                return Execution(False, False, None)
            order.executions[filled.exec_base] = filled
            self._note(order, filled.exec_id)
            order.acknowledged = True
            if filled.perm_id:
                self._learn_perm_id(order, filled.perm_id)
            delta = (filled.quantity - (before.quantity if before else ZERO)) * filled.side.sign
            key = (order.intent.strategy, filled.instrument.con_id)
            self._unbooked.setdefault(key, {})[filled.exec_id] = (filled, delta)
            order.filled = _sum(order.executions.values())
            if before is not None:
                order.reported_filled = min(order.reported_filled, order.filled)
            return Execution(True, before is not None, self._move(order, self._by_fills(order), filled.source))

    def charge(self, exec_id: str) -> bool:
        """Note that the commission of an execution is told; False when it was, or nobody knows the execution."""
        with self._lock:
            order = self.order_of(exec_id)
            if order is None or exec_id in order.charged:
                return False
            order.charged.add(exec_id)
            return True

    # -- one rule per kind of fact

    def _on_status(self, order: WorkingOrder, fact: WireStatus) -> StatusChanged | None:
        self._learn_perm_id(order, fact.perm_id)
        order.reported_filled = decimal_or_none(fact.filled) or ZERO
        return self._on_status_word(order, fact.status, Source.WIRE)

    def _on_status_word(self, order: WorkingOrder, status: str, source: Source) -> StatusChanged | None:
        order.held = status == "Inactive"
        if status in _LIVE or status == "Filled":
            order.acknowledged = True
            if status == "Filled" and order.filled and order.filled >= order.reported_filled:
                return self._move(order, OrderState.FILLED, source)
            return self._move(order, self._alive(order), source)
        if status in _ENDED:
            return self._end(order, source, "")
        if status == "Inactive":
            if order.refusal or order.state is OrderState.REJECTED:
                return self._move(order, OrderState.REJECTED, source, code=order.refusal)
            if order.intent.request.tif in (TimeInForce.IOC, TimeInForce.FOK):
                return self._move(order, OrderState.CANCELLED, source)
            order.acknowledged = True
            return self._move(order, self._alive(order), source, text="Inactive: IB holds it")
        # PendingSubmit, PendingCancel, ApiPending: only the permanent id, if it came along, says that IB has the order.
        if order.acknowledged and order.state in _UNANSWERED:
            return self._move(order, self._alive(order), source)
        return None

    def _on_open(self, order: WorkingOrder, fact: WireOrder) -> StatusChanged | None:
        self._learn_perm_id(order, fact.perm_id)
        if fact.order_id > 0:
            order.order_id, order.client_id = fact.order_id, fact.client_id
            self._by_order_id[(fact.client_id, fact.order_id)] = order.order_ref
        source = Source.SNAPSHOT if fact.snapshot else Source.WIRE
        return self._on_status_word(order, fact.status, source)

    def _on_completed(self, order: WorkingOrder, fact: WireCompleted) -> StatusChanged | None:
        self._learn_perm_id(order, fact.perm_id)
        if fact.status == "Filled":
            order.acknowledged = True
            return self._move(order, self._alive(order), Source.SNAPSHOT)
        if order.refusal:
            return self._move(order, OrderState.REJECTED, Source.SNAPSHOT, code=order.refusal, text=fact.text)
        return self._end(order, Source.SNAPSHOT, fact.text)

    def _on_error(self, order: WorkingOrder, fact: WireError) -> StatusChanged | None:
        if order.state is OrderState.FILLED:
            return None
        match meaning_for_order(fact.code):
            case Meaning.CANCELS:
                return self._end(order, Source.WIRE, fact.text, code=fact.code)
            case Meaning.REJECTS if not order.acknowledged or order.held or order.state is OrderState.CANCELLED:
                return self._move(order, OrderState.REJECTED, Source.WIRE, code=fact.code, text=fact.text)
            case Meaning.REJECTS:
                # A refused modification, or a rejection whose status is still to come.
                if fact.code == 201:
                    order.refusal = fact.code
                return None
            case Meaning.UNKNOWN if not order.done:
                return self._move(order, OrderState.UNKNOWN, Source.WIRE, code=fact.code, text=fact.text)
            case _:
                return None

    def _end(self, order: WorkingOrder, source: Source, text: str, code: int = 0) -> StatusChanged | None:
        """Cancelled, unless it was rejected or has filled completely meanwhile."""
        if order.filled and order.filled >= order.intent.request.quantity:
            return self._move(order, OrderState.FILLED, source)
        state = OrderState.CANCELLED
        if order.refusal or order.state is OrderState.REJECTED:
            state = OrderState.REJECTED
        return self._move(order, state, source, code=code, text=text)

    @staticmethod
    def _alive(order: WorkingOrder) -> OrderState:
        """The state of an order that IB has just called live."""
        if order.filled >= order.intent.request.quantity:
            return OrderState.FILLED
        return OrderState.PARTIAL if order.filled > 0 else OrderState.ACKED

    @staticmethod
    def _by_fills(order: WorkingOrder) -> OrderState:
        """The state after an execution: what had ended stays so unless the order is now complete."""
        if order.filled >= order.intent.request.quantity:
            return OrderState.FILLED
        return order.state if order.done else OrderState.PARTIAL

    # -- bookkeeping

    def _mark(
        self, order_ref: str, state: OrderState, source: Source, text: str, allowed: frozenset[OrderState]
    ) -> StatusChanged | None:
        with self._lock:
            order = self._orders.get(order_ref)
            if order is None or order.state not in allowed:
                return None
            return self._move(order, state, source, text=text)

    def _move(
        self, order: WorkingOrder, state: OrderState, source: Source, *, code: int = 0, text: str = ""
    ) -> StatusChanged | None:
        """Set the state; None when nothing that anybody would notice has changed."""
        if order.state is OrderState.FILLED and state is not OrderState.FILLED:
            return None
        if state is order.state and order.filled == order.told_filled and text in ("", order.text):
            return None
        was_done = order.done
        order.state, order.told_filled = state, order.filled
        order.code, order.text = code, text
        if was_done != order.done:
            self._index(order)
        return StatusChanged(
            at=self._clock.now(),
            strategy=order.intent.strategy,
            order_ref=order.order_ref,
            state=state,
            filled=order.filled,
            remaining=order.remaining,
            perm_id=order.perm_id,
            order_id=order.order_id,
            client_id=order.client_id,
            code=code,
            text=text,
            source=source,
        )

    def _learn_perm_id(self, order: WorkingOrder, perm_id: int) -> None:
        if perm_id and order.perm_id != perm_id:
            order.perm_id = perm_id
            order.acknowledged = True
            self._by_perm_id[perm_id] = order.order_ref

    def _note(self, order: WorkingOrder, exec_id: str) -> None:
        order.exec_ids.add(exec_id)
        self._by_exec_id[exec_id] = order.order_ref

    def _index(self, order: WorkingOrder) -> None:
        """Keep the order among the working ones, or among the finished."""
        key = (order.intent.strategy, order.intent.request.instrument.con_id)
        ref = order.order_ref
        if not order.done:
            self._done.pop(ref, None)
            self._working.setdefault(key, {})[ref] = order
            return
        orders = self._working.get(key)
        if orders is not None:
            orders.pop(ref, None)
            if not orders:
                del self._working[key]
        self._done[ref] = None
        if len(self._done) > KEEP_DONE:
            self._forget(next(iter(self._done)))

    def _forget(self, order_ref: str) -> None:
        del self._done[order_ref]
        order = self._orders.pop(order_ref)
        # A later session may have given the numbers to another order.
        if self._by_perm_id.get(order.perm_id) == order_ref:
            del self._by_perm_id[order.perm_id]
        if self._by_order_id.get((order.client_id, order.order_id)) == order_ref:
            del self._by_order_id[(order.client_id, order.order_id)]
        for exec_id in order.exec_ids:
            self._by_exec_id.pop(exec_id, None)


def _sum(executions: Iterable[Filled]) -> Decimal:
    return sum((filled.quantity for filled in executions), ZERO)


def by_order(executions: Sequence[Filled]) -> dict[str, list[Filled]]:
    """Executions by the order they belong to."""
    result: dict[str, list[Filled]] = {}
    for filled in executions:
        result.setdefault(filled.order_ref, []).append(filled)
    return result
