"""Making our orders agree with what IB says, by order ref: after a start, a restart, a reconnect, and when in doubt.

Two facts make this safe. Every order was committed before it was sent, so nothing at IB that is ours is unknown here;
and every order carries its ref, so nothing has to be guessed from prices and sizes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from runner.broker.order_archive import OrderJournal
from runner.broker.order_book import OrderBook, WorkingOrder, by_order
from runner.broker.order_facts import OrderFacts
from runner.broker.session import Session, Snapshot
from runner.model.clock import Clock
from runner.model.events import Event, Notice
from runner.model.orders import OrderState

QUARANTINE_S = 5.0
"""Between the two snapshots that together prove an absence: bytes of the old session may still be under way."""
RECENT = timedelta(days=7)
"""How far back finished orders are loaded: IB reports executions of at most this long."""


async def restore(journal: OrderJournal, book: OrderBook, strategy: str, clock: Clock) -> None:
    """Load the strategy's orders from the journal: all that are not over, and the finished ones of the last days, which
    IB may still tell of."""
    records, executions, commissions = await asyncio.to_thread(
        lambda: (journal.intents(strategy=strategy), journal.executions(strategy), journal.commissions())
    )
    fills = by_order(executions)
    oldest = clock.now() - RECENT
    for record in records:
        if not record.state.terminal or record.intent.created_at >= oldest:
            own = fills.get(record.intent.order_ref, [])
            book.restore(
                record.intent,
                record.state,
                perm_id=record.perm_id,
                executions=own,
                charged=[filled.exec_id for filled in own if filled.exec_id in commissions],
            )


async def reconcile(
    ib: Session,
    book: OrderBook,
    facts: OrderFacts,
    strategy: str,
    clock: Clock,
    *,
    emit: Callable[[Event], None],
    quarantine_s: float = QUARANTINE_S,
) -> None:
    """Read all of IB's lists; `facts`, which listens to the session, folds them. What two snapshots do not list is
    ABSENT, unless it is older than what the lists reach back to: then only the operator can know."""
    candidates = [
        order for order in book.open_orders(strategy) if order.state not in (OrderState.INTENT, OrderState.SENT)
    ]
    missing = _missing(candidates, await ib.snapshot())
    if missing:
        await asyncio.sleep(quarantine_s)
        missing = _missing(missing, await ib.snapshot())
    for order in missing:
        if _same_day(order, clock.now()):
            change = book.absent(order.order_ref, "IB does not know it")
        else:
            change = book.unknown(order.order_ref, "IB does not list it, and its day is over")
            emit(
                Notice(
                    at=clock.now(),
                    strategy=strategy,
                    code="lost_order",
                    text=f"order {order.order_ref} of {order.intent.created_at:%Y-%m-%d} is in none of IB's lists; "
                    "compare the position before trading this instrument",
                )
            )
        if change is not None:
            emit(change)
    for fill in ib.fills():
        facts.charge(fill.commissionReport)  # some come without an event


def _missing(orders: Sequence[WorkingOrder], snapshot: Snapshot) -> list[WorkingOrder]:
    return [
        order
        for order in orders
        if not order.done and order.order_ref not in snapshot.open and order.order_ref not in snapshot.completed
    ]


def _same_day(order: WorkingOrder, now: datetime) -> bool:
    zone = ZoneInfo(order.intent.request.instrument.time_zone)
    return order.intent.created_at.astimezone(zone).date() == now.astimezone(zone).date()
