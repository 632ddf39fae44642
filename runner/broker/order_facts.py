"""From what the wire said to the standardized events of the strategies: once each, with the strategy's name on them.

One `OrderFacts` serves one listener: a `LiveBroker` for its own strategy, or the master session for all. They share the
order book, so a fact that both of them see makes one event.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from ib_async import CommissionReport

from runner.broker.codes import Meaning, meaning_for_order
from runner.broker.facts import (
    WireCommission,
    WireCompleted,
    WireConnection,
    WireError,
    WireExecution,
    WireFact,
    WireLost,
    WireOrder,
    WireStatus,
)
from runner.broker.order_archive import OrderArchive, recall
from runner.broker.order_book import OrderBook, WorkingOrder
from runner.broker.order_refs import is_ours
from runner.broker.wire import commission_from_ib, decimal_or_none, filled_from_ib
from runner.model.clock import Clock
from runner.model.events import Event, Notice, Source
from runner.model.orders import OrderState

MAX_EARLY = 10_000
"""Commissions kept whose execution has not come yet; the oldest go first."""
MAX_HEARD = 10_000
"""Executions that are not ours to fold, and notices that were given: so many are not looked at twice."""

log = logging.getLogger(__name__)


class OrderFacts:
    """`owns` says whose strategies' facts are emitted here; `doubt` is called with an order about which IB has to be
    asked, and why. The book forgets orders that are long over; `archive` is asked before a fact that bears our name is
    taken for a stranger's."""

    def __init__(
        self,
        book: OrderBook,
        clock: Clock,
        runner_id: str,
        *,
        archive: OrderArchive,
        emit: Callable[[Event], None],
        owns: Callable[[str], bool],
        doubt: Callable[[WorkingOrder, str], None],
    ) -> None:
        self._book = book
        self._clock = clock
        self._runner_id = runner_id
        self._archive = archive
        self._emit = emit
        self._owns = owns
        self._doubt = doubt
        self._early: OrderedDict[str, CommissionReport] = OrderedDict()
        self._elsewhere = _Recent(MAX_HEARD)
        """Executions of other strategies' orders, whose own session folds them, and of strangers'."""
        self._noticed = _Recent(MAX_HEARD)

    def fact(self, fact: WireFact) -> None:
        match fact:
            case WireStatus():
                self._on_status(fact)
            case WireOrder():
                self._on_order(fact)
            case WireCompleted():
                self._on_completed(fact)
            case WireExecution():
                self._on_execution(fact)
            case WireCommission():
                self.charge(fact.report)
            case WireError():
                self._on_error(fact)
            case WireConnection() | WireLost():
                pass

    # -- one method per kind

    def _on_status(self, fact: WireStatus) -> None:
        order = self._mine(self._book.find(fact.client_id, fact.order_id, fact.perm_id))
        if order is None:
            return
        self._emit_if(self._book.apply(fact))
        if order.awaits_executions:
            self._doubt(order, "IB reports more filled than its executions say")

    def _on_order(self, fact: WireOrder) -> None:
        known = self._recall(fact.order_ref)
        order = self._mine(known)
        if order is not None:
            self._emit_if(self._book.apply(fact))
            if decimal_or_none(fact.quantity) != order.intent.request.quantity:
                self._once(
                    f"changed {fact.order_ref}",
                    "order_changed_outside",
                    order.intent.strategy,
                    f"order {fact.order_ref} is for {fact.quantity:g} at IB, not {order.intent.request.quantity}",
                )
        elif known is None and is_ours(fact.order_ref, self._runner_id):
            self._once(
                fact.order_ref,
                "unknown_order",
                "",
                f"order {fact.order_ref} bears this runner's name, but its journal does not know it: "
                "is another runner at work on this account?",
            )

    def _on_completed(self, fact: WireCompleted) -> None:
        order = self._mine(self._book.get(fact.order_ref) if fact.order_ref else None)
        if order is None:
            return
        self._emit_if(self._book.apply(fact))
        if fact.status == "Filled" and not order.done:
            self._doubt(order, "IB calls the order filled, but executions are missing")

    def _on_execution(self, fact: WireExecution) -> None:
        execution = fact.execution
        known = self._book.get(execution.orderRef) if execution.orderRef else None
        if known is None:
            known = self._book.find(0, 0, execution.permId)
        if known is None and is_ours(execution.orderRef, self._runner_id):
            if self._archive.order_of(execution.execId) is not None:
                return  # a repetition
            known = self._recall(execution.orderRef)
        order = self._mine(known)
        if order is None:
            self._elsewhere.add(execution.execId)
            self._early.pop(execution.execId, None)
            if known is None:
                self._outside(fact)
            return
        source = Source.SNAPSHOT if fact.snapshot else Source.WIRE
        strategy, instrument = order.intent.strategy, order.intent.request.instrument
        execution.orderRef = order.order_ref
        try:
            filled = filled_from_ib(execution, strategy, instrument, source, generation=order.intent.generation)
        except ValueError as error:
            self._notice("bad_execution", strategy, str(error))
            return
        result = self._book.execute(filled)
        if not result.new:
            return
        self._emit(filled)
        self._emit_if(result.change)
        if result.corrected:
            self._notice("execution_corrected", strategy, f"{filled.exec_id}: {filled.quantity} at {filled.price}")
        if order.overfilled:
            self._once(
                f"overfilled {order.order_ref}",
                "overfilled",
                strategy,
                f"order {order.order_ref} for {order.intent.request.quantity} has filled {order.filled}",
            )
        early = self._early.pop(filled.exec_id, None)
        if early is not None:
            self.charge(early)

    def charge(self, report: CommissionReport) -> None:
        """Emit the commission, or keep it until its execution comes."""
        exec_id = report.execId
        if not exec_id:
            return
        order = self._book.order_of(exec_id)
        if order is None:
            if exec_id in self._elsewhere:
                return  # the common case on the master session: nothing is looked up
            order_ref = self._archive.order_of(exec_id)
            if order_ref is None:
                self._early[exec_id] = report
                if len(self._early) > MAX_EARLY:
                    self._early.popitem(last=False)
                return
            if self._archive.is_charged(exec_id):
                return
            order = self._recall(order_ref)
        order = self._mine(order)
        if order is None:
            return
        event = commission_from_ib(report, order.intent.strategy, self._clock.now(), Source.WIRE)
        if event is not None and self._book.charge(exec_id):
            self._emit(event)

    def _on_error(self, fact: WireError) -> None:
        order = self._mine(self._book.find(fact.client_id, fact.order_id))
        if order is None:
            return
        meaning = meaning_for_order(fact.code)
        change = self._book.apply(fact)
        self._emit_if(change)
        if change is None or change.state is OrderState.UNKNOWN:
            self._notice(f"ib_{fact.code}", order.intent.strategy, f"{order.order_ref}: {fact.text}")
        if not order.done and (
            meaning in (Meaning.CANCEL_FAILED, Meaning.UNKNOWN) or (meaning is Meaning.REJECTS and change is None)
        ):
            self._doubt(order, f"IB said {fact.code}: {fact.text}")

    # -- helpers

    def _recall(self, order_ref: str) -> WorkingOrder | None:
        """The order in the book; one that bears our name and is not there may only have been forgotten."""
        if not is_ours(order_ref, self._runner_id):
            return self._book.get(order_ref) if order_ref else None
        return recall(self._archive, self._book, order_ref)

    def _mine(self, order: WorkingOrder | None) -> WorkingOrder | None:
        return order if order is not None and self._owns(order.intent.strategy) else None

    def _outside(self, fact: WireExecution) -> None:
        execution = fact.execution
        self._once(
            execution.execId,
            "outside_execution",
            "",
            f"{execution.side} {execution.shares:g} {fact.contract.localSymbol or fact.contract.symbol} at "
            f"{execution.price:g} by an order that is not ours ({execution.orderRef or 'no ref'}): left unassigned",
        )

    def _emit_if(self, event: Event | None) -> None:
        if event is not None:
            self._emit(event)

    def _once(self, key: str, code: str, strategy: str, text: str) -> None:
        if key not in self._noticed:
            self._noticed.add(key)
            self._notice(code, strategy, text)

    def _notice(self, code: str, strategy: str, text: str) -> None:
        self._emit(Notice(at=self._clock.now(), strategy=strategy, code=code, text=text))


class _Recent:
    """A set that forgets its oldest members."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._members: dict[str, None] = {}

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def add(self, member: str) -> None:
        self._members[member] = None
        if len(self._members) > self._size:
            del self._members[next(iter(self._members))]
