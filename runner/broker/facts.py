"""What the wire said about orders, before anybody interprets it.

`session.Session` makes these from IB's messages and hands them to its listeners; `order_book.OrderBook` turns them into
states. They carry IB's own numbers and words. A fact about an order that this process never sent is as good as any
other: who it belongs to is decided by its order ref.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from ib_async import CommissionReport, Contract, Execution


class WireStatus(NamedTuple):
    """orderStatus: the only message whose words "Cancelled" and "Inactive" are believed."""

    client_id: int
    order_id: int
    perm_id: int
    status: str
    filled: float
    remaining: float
    why_held: str


class WireOrder(NamedTuple):
    """openOrder: the order lives at the broker, under these ids."""

    order_ref: str
    client_id: int
    order_id: int
    perm_id: int
    status: str
    quantity: float
    snapshot: bool
    """An answer to reqOpenOrders, not news."""


class WireCompleted(NamedTuple):
    """completedOrder: the order is over. It carries neither order id nor client id."""

    order_ref: str
    perm_id: int
    status: str
    text: str


class WireExecution(NamedTuple):
    """execDetails, live or as an answer to reqExecutions."""

    contract: Contract
    execution: Execution
    snapshot: bool


class WireCommission(NamedTuple):
    """commissionReport; may come before its execution."""

    report: CommissionReport


class WireError(NamedTuple):
    """An error whose number is that of an order and of no request under way."""

    client_id: int
    order_id: int
    code: int
    text: str


class WireConnection(NamedTuple):
    """An error or message that concerns no request: 1100, 1101, 2103, 2104…"""

    code: int
    text: str


class WireLost(NamedTuple):
    """The session is gone, whoever ended it."""

    client_id: int


WireFact: TypeAlias = (
    WireStatus | WireOrder | WireCompleted | WireExecution | WireCommission | WireError | WireConnection | WireLost
)


class FactListener(Protocol):
    """Told of every fact on the session's own loop, in the order of arrival. Must only translate and enqueue."""

    def fact(self, fact: WireFact) -> None: ...
