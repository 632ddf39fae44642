"""What the journal remembers of orders that the book has forgotten, or has not been told of yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from runner.broker.order_book import OrderBook, WorkingOrder
from runner.model.events import CommissionCharged, Filled
from runner.model.orders import OrderIntent, OrderState


class OrderRecord(Protocol):
    """An order as the journal knows it."""

    @property
    def intent(self) -> OrderIntent: ...

    @property
    def state(self) -> OrderState: ...

    @property
    def filled(self) -> Decimal: ...

    @property
    def perm_id(self) -> int: ...


class OrderArchive(Protocol):
    """Single orders of the journal. Each call is one look into an index; it blocks for some ten microseconds."""

    def order(self, order_ref: str) -> OrderRecord | None: ...

    def executions_of(self, order_ref: str) -> Sequence[Filled]:
        """The latest revisions of the order's executions."""
        ...

    def order_of(self, exec_id: str) -> str | None:
        """The order ref of an execution, in just this revision; None when it was never recorded."""
        ...

    def is_charged(self, exec_id: str) -> bool:
        """Whether the commission of this execution is recorded."""
        ...


class OrderJournal(OrderArchive, Protocol):
    """The part of the journal that recovery reads. Its methods block."""

    def intents(self, open_only: bool = False, strategy: str | None = None) -> Sequence[OrderRecord]: ...

    def executions(self, strategy: str | None = None) -> Sequence[Filled]: ...

    def commissions(self) -> Mapping[str, CommissionCharged]: ...


def recall(archive: OrderArchive, book: OrderBook, order_ref: str) -> WorkingOrder | None:
    """The order in the book, brought back from the journal if the book has forgotten it; None when nobody knows it."""
    known = book.get(order_ref)
    if known is not None:
        return known
    record = archive.order(order_ref)
    if record is None:
        return None
    executions = archive.executions_of(order_ref)
    charged = [filled.exec_id for filled in executions if archive.is_charged(filled.exec_id)]
    book.restore(record.intent, record.state, perm_id=record.perm_id, executions=executions, charged=charged)
    return book.get(order_ref)
