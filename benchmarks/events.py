"""Events per second from `message_queue` through journal and books into ArcticDB.

Base of the ratios: the same event texts written to SQLite by executemany, in batches as large as the queue's, every
batch synced as the journal's are.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from common import Table

from runner.manager.message_queue import BATCH, MessageQueue
from runner.model.clock import Clock, ManualClock
from runner.model.events import CommissionCharged, Event, Filled, OrderPlaced, StatusChanged
from runner.model.instruments import Instrument, SecType
from runner.model.orders import OrderIntent, OrderRequest, OrderState, Purpose, Side
from runner.portfolio.portfolio_manager import PortfolioManager
from runner.store.arctic_manager import Store, get_ac
from runner.store.codec import event_to_json
from runner.store.journal import Journal

STRATEGIES = 20
BEGIN = datetime(2024, 3, 1, 15, 0, tzinfo=UTC)
STOCK = Instrument(con_id=1, symbol="AAPL", currency="USD", sec_type=SecType.STOCK, exchange="SMART")
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Host:
    """What the portfolio manager needs of the runner."""

    store: Store
    journal: Journal
    clock: Clock


@dataclass(frozen=True)
class AccountRow:
    """The one account value that the books need before they can begin."""

    tag: str = "EquityWithLoanValue"
    value: str = "1000000.00"
    currency: str = "USD"
    account: str = "DU1"


def life_of_an_order(number: int) -> list[Event]:
    """Its intent, two states, its fill and its commission."""
    strategy, ref = f"S{number % STRATEGIES:03}", f"ref{number}"
    at = BEGIN + timedelta(milliseconds=number)
    side = Side.BUY if number // STRATEGIES % 2 == 0 else Side.SELL
    request = OrderRequest(instrument=STOCK, side=side, quantity=Decimal(10), purpose=Purpose.ENTRY)
    price = Decimal("100.25") + Decimal(number % 50) / 100
    intent = OrderIntent(
        order_ref=ref,
        strategy=strategy,
        account="DU1",
        client_id=1,
        request=request,
        created_at=at,
        reference_price=price,
    )
    return [
        OrderPlaced(at=at, strategy=strategy, intent=intent),
        StatusChanged(at=at, strategy=strategy, order_ref=ref, state=OrderState.ACKED),
        Filled(
            at=at,
            strategy=strategy,
            order_ref=ref,
            exec_id=f"x{number}.01",
            account="DU1",
            instrument=STOCK,
            side=side,
            quantity=Decimal(10),
            price=price,
        ),
        CommissionCharged(at=at, strategy=strategy, exec_id=f"x{number}.01", amount=Decimal("1.00"), currency="USD"),
        StatusChanged(at=at, strategy=strategy, order_ref=ref, state=OrderState.FILLED),
    ]


def bare_sqlite(path: Path, events: Sequence[Event]) -> float:
    """Seconds for the events' texts alone, in batches of BATCH."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, type TEXT, strategy TEXT, body TEXT)")
    rows = [(event.type, event.strategy, str(event_to_json(event))) for event in events]
    began = time.perf_counter()
    for first in range(0, len(rows), BATCH):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO event (type, strategy, body) VALUES (?, ?, ?)", rows[first : first + BATCH])
        connection.execute("COMMIT")
    taken = time.perf_counter() - began
    connection.close()
    return taken


def measure(orders: int) -> Table:
    events = [event for number in range(orders) for event in life_of_an_order(number)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base_s = bare_sqlite(folder / "bare.db", events)
        with get_ac(f"lmdb://{folder / 'arctic'}") as store, Journal.open(folder / "journal.db") as journal:
            manager = PortfolioManager(Host(store, journal, ManualClock(BEGIN)))
            manager.determine_base_currency([AccountRow()])
            manager.start(flush_interval_s=0.1)
            lost: list[Event] = []

            def handle(batch: Sequence[Event]) -> None:
                manager.process_events(batch)

            queue = MessageQueue(handle, lost.append)
            queue.start()
            began = time.perf_counter()
            for event in events:
                queue.put(event)
            booked: Future[None] = queue.barrier()
            booked.result(TIMEOUT_S)
            booked_s = time.perf_counter() - began
            manager.flush()
            stored_s = time.perf_counter() - began
            stored = manager.projection_seq
            queue.close()
            manager.close()
    if lost or stored != len(events):
        raise SystemExit(f"{len(events)} events went in, {stored} were stored and {len(lost)} refused")
    table = Table(f"Events per second ({len(events):,} events of {STRATEGIES} strategies at once)")
    of = "time of bare sqlite executemany"
    table.add("bare sqlite executemany, synced batches", f"{len(events) / base_s:,.0f} /s")
    table.add("message_queue → journal → books", f"{len(events) / booked_s:,.0f} /s", booked_s / base_s, of)
    table.add("… and in ArcticDB", f"{len(events) / stored_s:,.0f} /s", stored_s / base_s, of)
    return table
