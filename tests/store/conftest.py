"""Facts to put into journals, and a journal to put them into."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.model.clock import ManualClock
from runner.model.events import CommissionCharged, Filled, Notice, OrderPlaced, StatusChanged
from runner.model.instruments import Instrument, SecType
from runner.model.orders import OrderIntent, OrderRequest, OrderState, Side
from runner.store.journal import Journal

NOW = datetime(2024, 3, 1, 15, 30, 0, 123456, tzinfo=UTC)
AAPL = Instrument(con_id=265598, symbol="AAPL", sec_type=SecType.STOCK, exchange="SMART", currency="USD")


def placed(ref: str, strategy: str = "trend", quantity: str = "10", **changes: Any) -> OrderPlaced:
    request = OrderRequest(instrument=AAPL, side=Side.BUY, quantity=Decimal(quantity))
    values: dict[str, Any] = {"client_id": 1, "account": "DU1", "created_at": NOW, "reference_price": Decimal("181.5")}
    intent = OrderIntent(order_ref=ref, strategy=strategy, request=request, **(values | changes))
    return OrderPlaced(at=NOW, strategy=strategy, intent=intent)


def status(ref: str, state: OrderState, strategy: str = "trend", **changes: Any) -> StatusChanged:
    return StatusChanged(at=NOW, strategy=strategy, order_ref=ref, state=state, **changes)


def filled(exec_id: str, ref: str = "r1", quantity: str = "10", strategy: str = "trend", **changes: Any) -> Filled:
    values: dict[str, Any] = {
        "at": NOW,
        "account": "DU1",
        "instrument": AAPL,
        "side": Side.BUY,
        "price": Decimal("181.5"),
    }
    return Filled(strategy=strategy, order_ref=ref, exec_id=exec_id, quantity=Decimal(quantity), **(values | changes))


def charged(exec_id: str, amount: str = "1.00", strategy: str = "trend") -> CommissionCharged:
    return CommissionCharged(at=NOW, strategy=strategy, exec_id=exec_id, amount=Decimal(amount), currency="USD")


def notice(text: str) -> Notice:
    return Notice(at=NOW, strategy="", code="test", text=text)


@pytest.fixture(scope="session")
def facts() -> SimpleNamespace:
    """Builders of events with sensible defaults."""
    return SimpleNamespace(
        now=NOW, later=timedelta(minutes=1), aapl=AAPL, placed=placed, status=status, filled=filled, charged=charged,
        notice=notice,
    )  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db", clock=ManualClock(NOW)) as opened:
        yield opened
