"""Without a running runner its journal is shown, in the same shapes, and that is said."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from runner.model.events import (
    CommissionCharged,
    Filled,
    OrderPlaced,
    PhaseChanged,
    StatusChanged,
    StrategyPhase,
)
from runner.model.instruments import Instrument, SecType
from runner.model.orders import OrderIntent, OrderRequest, OrderState, Side
from runner.store.journal import Journal

AT = datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
AAPL = Instrument(con_id=265598, symbol="AAPL", sec_type=SecType.STOCK, exchange="SMART", currency="USD")
NOTE = "the runner is not running: this is what its journal in .runner holds\n"


def order(number: int, *, strategy: str = "TREND", quantity: int = 100) -> OrderPlaced:
    request = OrderRequest(instrument=AAPL, side=Side.BUY, quantity=Decimal(quantity), reason="signal")
    intent = OrderIntent(
        order_ref=f"{strategy}-{number}",
        strategy=strategy,
        account="DU1234567",
        client_id=4,
        request=request,
        created_at=AT,
        reference_price=Decimal("430"),
        generation=2,
    )
    return OrderPlaced(at=AT, strategy=strategy, intent=intent)


def fill(number: int, revision: int, price: str, *, strategy: str = "TREND", quantity: int = 100) -> Filled:
    return Filled(
        at=AT + timedelta(seconds=number),
        strategy=strategy,
        order_ref=f"{strategy}-{number}",
        account="DU1234567",
        instrument=AAPL,
        exec_id=f"0000.{strategy}{number}.0{revision}",
        side=Side.BUY,
        quantity=Decimal(quantity),
        price=Decimal(price),
    )


FACTS = [
    PhaseChanged(at=AT, strategy="TREND", phase=StrategyPhase.RUNNING),
    order(1),
    fill(1, 1, "431"),
    CommissionCharged(at=AT, strategy="TREND", exec_id="0000.TREND1.01", amount=Decimal("1.00"), currency="USD"),
    fill(1, 2, "430.5"),
    StatusChanged(at=AT, strategy="TREND", order_ref="TREND-1", state=OrderState.FILLED, filled=Decimal(100)),
    order(2, quantity=50),
    order(3, strategy="MINE", quantity=7),
    fill(3, 1, "432.25", strategy="MINE", quantity=7),
]


@pytest.fixture
def kept(project):
    """A journal that a runner left behind."""
    (project / ".runner").mkdir()
    with Journal.open(project / ".runner" / "journal.db") as journal:
        journal.append(FACTS).result()
        journal.set_operator_state("MINE", "paused", "lunch")
    return project


def test_positions_are_what_the_executions_add_up_to(say, kept):
    said = say("positions")
    assert (said.code, said.err) == (0, NOTE)
    assert said.out == (
        "STRATEGY  SYMBOL  QUANTITY   AVERAGE  PRICE  VALUE  UNREALISED  REALISED  CURRENCY\n"
        "MINE      AAPL           7  432.2500      -      -           -      0.00  USD\n"
        "TREND     AAPL         100  430.5000      -      -           -      0.00  USD\n"
    )


def test_fills_show_the_latest_revision_with_the_commission_that_counts(say, kept):
    said = say("fills", "TREND", "--json")
    assert said.json["fills"] == [
        {
            "at": "2013-03-01T14:30:01.000000Z",
            "strategy": "TREND",
            "symbol": "AAPL",
            "side": "BUY",
            "quantity": "100",
            "price": "430.5",
            "currency": "USD",
            "commission": "1.00",
            "exec_id": "0000.TREND1.02",
            "order_ref": "TREND-1",
            "generation": 0,
        }
    ]


def test_orders_are_shown_with_what_became_of_them(say, kept):
    found = say("orders", "--json").json["orders"]
    assert [(line["order_ref"], line["state"], line["filled"], line["reason"]) for line in found] == [
        ("TREND-1", "Filled", "100", "signal"),
        ("TREND-2", "Intent", "0", "signal"),
        ("MINE-3", "Intent", "7", "signal"),
    ]


def test_open_orders_and_limits_count_here_too(say, kept):
    assert [line["order_ref"] for line in say("orders", "--open", "--json").json["orders"]] == ["TREND-2", "MINE-3"]
    assert [line["order_ref"] for line in say("orders", "--limit", "1", "--json").json["orders"]] == ["MINE-3"]
    assert len(say("fills", "--limit", "1", "--json").json["fills"]) == 1


def test_status_lists_the_strategies_as_stopped(say, kept):
    found = say("status", "--json").json
    assert (found["running"], found["connected"], found["account"], found["mode"]) == (
        False,
        False,
        "DU1234567",
        "paper",
    )
    rows = {line["name"]: line for line in found["strategies"]}
    assert {name: (row["phase"], row["positions"], row["generation"]) for name, row in rows.items()} == {
        "MINE": ("Stopped", 1, 2),
        "TREND": ("Stopped", 1, 2),
    }
    assert rows["MINE"]["reason"] == "paused by the operator"
    assert "runner not running" in say("status").out
    assert [line["name"] for line in say("status", "MINE", "--json").json["strategies"]] == ["MINE"]


def test_events_are_all_there_and_the_remark_is_made_once(say, kept, monkeypatch):
    monkeypatch.setattr("runner.cli.events.PAGE", 2)
    said = say("events")
    assert [json.loads(line)["seq"] for line in said.out.splitlines()] == list(range(1, len(FACTS) + 1))
    assert said.err == NOTE
    assert len(say("events", "--since", "7").out.splitlines()) == 2


def test_following_needs_a_runner(say, kept):
    said = say("events", "--follow")
    assert (said.code, said.out) == (4, "")


@pytest.mark.parametrize("verb", ["status", "positions", "orders", "fills", "events"])
def test_where_nothing_ever_ran_that_is_said(say, verb):
    said = say(verb)
    assert (said.code, said.out) == (4, "")
    assert "nothing has been kept in .runner" in said.err


def test_another_state_directory_can_be_named(say, kept):
    (kept / ".runner").rename(kept / "elsewhere")
    assert say("--state-dir", "elsewhere", "fills").code == 0
    assert say("fills", "--state-dir", "elsewhere").code == 0
    assert say("fills").code == 4


def test_a_damaged_journal_is_reported_and_not_touched(say, kept):
    path = kept / ".runner" / "journal.db"
    path.write_bytes(b"not a database" * 100)
    said = say("fills")
    assert said.code == 78
    assert "journal.db" in said.err
    assert path.read_bytes().startswith(b"not a database")
