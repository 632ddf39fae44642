"""Executions to fold, and a portfolio manager over a real journal and a store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.model.clock import ManualClock
from runner.model.events import CommissionCharged, Filled, OrderPlaced, StatusChanged
from runner.model.instruments import Instrument, SecType
from runner.model.orders import OrderIntent, OrderRequest, OrderState, Purpose, Side
from runner.portfolio.portfolio_manager import PortfolioManager
from runner.store.arctic_manager import Store, get_ac
from runner.store.journal import Journal

NOW = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)


def stock(con_id: int = 1, symbol: str = "AAPL", currency: str = "USD", **changes: Any) -> Instrument:
    values: dict[str, Any] = {"sec_type": SecType.STOCK, "exchange": "SMART"}
    return Instrument(con_id=con_id, symbol=symbol, currency=currency, **(values | changes))


AAPL = stock()


def fill(
    exec_id: str, quantity: str | int, price: str | int, *, strategy: str = "s", minute: int = 0, **more: Any
) -> Filled:
    """`quantity` signed."""
    signed = Decimal(quantity)
    values: dict[str, Any] = {"order_ref": f"r{exec_id}", "account": "DU1", "instrument": AAPL}
    return Filled(
        at=NOW + timedelta(minutes=minute), strategy=strategy, exec_id=exec_id, price=Decimal(price),
        side=Side.BUY if signed >= 0 else Side.SELL, quantity=abs(signed), **(values | more),
    )  # fmt: skip


def charge(exec_id: str, amount: str, currency: str = "USD", strategy: str = "s") -> CommissionCharged:
    return CommissionCharged(at=NOW, strategy=strategy, exec_id=exec_id, amount=Decimal(amount), currency=currency)


def order(ref: str, *, strategy: str = "s", purpose: Purpose = Purpose.ENTRY, at: datetime = NOW) -> OrderPlaced:
    request = OrderRequest(instrument=AAPL, side=Side.BUY, quantity=Decimal(10), purpose=purpose)
    intent = OrderIntent(
        order_ref=ref, strategy=strategy, account="DU1", client_id=1, request=request, created_at=at,
        reference_price=Decimal(100),
    )  # fmt: skip
    return OrderPlaced(at=at, strategy=strategy, intent=intent)


def status(ref: str, state: OrderState, strategy: str = "s") -> StatusChanged:
    return StatusChanged(at=NOW, strategy=strategy, order_ref=ref, state=state)


@dataclass(frozen=True)
class Value:
    tag: str
    value: str
    currency: str = "USD"
    account: str = "DU1"


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    return SimpleNamespace(fill=fill, charge=charge, order=order, status=status, stock=stock, value=Value, now=NOW)


@dataclass
class Host:
    store: Store
    journal: Journal
    clock: ManualClock


@pytest.fixture(scope="module")
def shared_store() -> Iterator[Store]:
    with get_ac("mem://") as store:
        yield store


@pytest.fixture
def host(shared_store: Store, tmp_path: Path) -> Iterator[Host]:
    for library in ("fills", "orders", "positions", "equity", "projection"):
        for symbol in shared_store.symbols(library):
            shared_store.delete(library, symbol)
    with Journal.open(tmp_path / "journal.db") as journal:
        yield Host(shared_store, journal, ManualClock(NOW))


@pytest.fixture
def open_manager(host: Host) -> Iterator[Callable[..., PortfolioManager]]:
    """Makes started managers that write to ArcticDB only when told to."""
    opened: list[PortfolioManager] = []

    def build(*, rows: bool = True, **options: Any) -> PortfolioManager:
        manager = PortfolioManager(host, **options)
        if rows:
            manager.determine_base_currency([Value("EquityWithLoanValue", "1000000.00")])
        manager.start(flush_interval_s=3600)
        opened.append(manager)
        return manager

    yield build
    for manager in opened:
        manager.close()


@pytest.fixture
def manager(open_manager: Callable[..., PortfolioManager]) -> PortfolioManager:
    return open_manager()
