"""What the gate refuses, in which order, and that no way leads around a cap."""

from __future__ import annotations

import asyncio
import threading
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from broker_support import AAPL, MSFT, START, MemoryJournal, Risk, buy, exit_, limit_buy, sell
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.broker.order_gate import GateSettings, OrderGate
from runner.errors import StoreError
from runner.model.clock import ManualClock
from runner.model.events import Filled, OrderPlaced
from runner.model.instruments import Instrument, SecType
from runner.model.orders import OrderIntent, OrderRequest, OrderType, Purpose, Refused, Side

D = Decimal
INDEX = Instrument(con_id=9, symbol="SPX", sec_type=SecType.INDEX, exchange="CBOE", currency="USD")
EURO = Instrument(con_id=8, symbol="SAP", sec_type=SecType.STOCK, exchange="IBIS", currency="EUR")
LOT = Instrument(con_id=7, symbol="LOT", sec_type=SecType.STOCK, exchange="X", currency="USD", lot=D(100))


def gate(risk: Risk | None = None, **changes: Any) -> OrderGate:
    return OrderGate(MemoryJournal(), risk or Risk(), ManualClock(START), GateSettings(**changes))


def admit(gate: OrderGate, request: OrderRequest, price: str | None = "100", strategy: str = "s") -> Any:
    reference = None if price is None else D(price)
    return gate.admit(strategy, request, reference, account="DU1", client_id=1)


def holding(quantity: int, **changes: Any) -> Risk:
    return Risk(positions={("s", AAPL.con_id): D(quantity)}, **changes)


def fill(intent: OrderIntent, quantity: str, exec_id: str = "e.1.01") -> Filled:
    return Filled(
        at=START,
        strategy=intent.strategy,
        order_ref=intent.order_ref,
        account="DU1",
        instrument=intent.request.instrument,
        exec_id=exec_id,
        side=intent.request.side,
        quantity=D(quantity),
        price=D(100),
    )


OPENING = [
    ("state", buy(), Risk(trading_state="halted"), {}),
    ("state", buy(), Risk(trading_state="reducing"), {}),
    ("state", buy(), Risk(trading_state="reconciling"), {}),
    ("instrument_locked", buy(), Risk(locked={AAPL.con_id}), {}),
    ("quantity", buy("0.4"), Risk(), {}),
    ("quantity", buy("-5"), Risk(), {}),
    ("quantity", buy(50, instrument=LOT), Risk(), {}),
    ("price", buy(order_type=OrderType.LIMIT), Risk(), {}),
    ("price", limit_buy(1, "NaN"), Risk(), {}),
    ("price", limit_buy(1, "-3"), Risk(), {}),
    ("price", buy(order_type=OrderType.TRAIL), Risk(), {}),
    ("text", buy(oca_group="a\0b"), Risk(), {}),
    ("restricted", buy(), Risk(), {"restricted": frozenset({"AAPL"})}),
    ("sec_type", buy(instrument=INDEX), Risk(), {}),
    ("allow_short", sell(), Risk(), {"allow_short": False}),
    ("max_order_quantity", buy(101), Risk(), {"max_order_quantity": D(100)}),
    ("fx_rate", buy(instrument=EURO), Risk(), {}),
    ("max_order_notional", buy(101), Risk(), {"max_order_notional": D(10_000)}),
    ("price_collar", limit_buy(1, "103.01"), Risk(), {}),
    ("max_position_size", buy(101), Risk(position_cap=D("0.1")), {"cap_tolerance": D(0)}),
    ("max_position_size", buy(1), Risk(position_cap=D("0.1"), equity=None), {}),
    ("max_daily_trades", buy(), Risk(daily_trades=3, trades=3), {}),
    ("max_daily_loss", buy(), Risk(paused=True), {}),
]


@pytest.mark.parametrize(("control", "request_", "risk", "changes"), OPENING)
def test_each_control_refuses_by_its_name(control: str, request_: OrderRequest, risk: Risk, changes: Any) -> None:
    refused = admit(gate(risk, **changes), request_)
    assert isinstance(refused, Refused) and refused.control == control, refused


@pytest.mark.parametrize("price", [None, "NaN", "0", "-1", "Infinity"])
def test_an_opening_order_needs_a_usable_reference_price(price: str | None) -> None:
    assert admit(gate(), buy(), price).control == "reference_price"


def test_the_first_control_that_fails_is_the_reason() -> None:
    risk = Risk(trading_state="halted", locked={AAPL.con_id}, paused=True)
    assert admit(gate(risk), buy("0")).control == "state"


@pytest.mark.parametrize(
    "risk",
    [
        holding(100, trading_state="reducing"),
        holding(100, trading_state="reconciling"),
        holding(100, paused=True),
        holding(100, daily_trades=1, trades=5),
        holding(100, position_cap=D("0.0001")),
        holding(100, equity=None),
        holding(100, locked={AAPL.con_id}),
    ],
)
def test_an_exit_is_stopped_by_no_cap_and_needs_no_price(risk: Risk) -> None:
    assert isinstance(admit(gate(risk), exit_(Side.SELL, 100), None), OrderIntent)


def test_an_exit_is_stopped_when_trading_is_halted() -> None:
    assert admit(gate(holding(100, trading_state="halted")), exit_(Side.SELL, 100)).control == "state"


def test_two_exits_cannot_turn_a_position_around() -> None:
    gate_ = gate(holding(100))
    first, second = admit(gate_, exit_(Side.SELL, 60)), admit(gate_, exit_(Side.SELL, 100))
    assert (first.request.quantity, second.request.quantity) == (60, 40)
    assert admit(gate_, exit_(Side.SELL, 1)).control == "reduce_only"


def test_calling_an_opening_order_an_exit_opens_nothing() -> None:
    assert admit(gate(), exit_(Side.BUY, 10)).control == "reduce_only"
    assert admit(gate(Risk(paused=True)), sell(10, purpose=Purpose.REDUCE)).control == "reduce_only"


def test_a_reduction_called_entry_is_treated_as_the_reduction_it_is() -> None:
    assert isinstance(admit(gate(holding(100, paused=True)), sell(40)), OrderIntent)


def test_turning_a_position_around_is_an_opening_order() -> None:
    assert admit(gate(holding(100, paused=True)), sell(150)).control == "max_daily_loss"


def test_an_equal_opening_order_within_the_window_is_a_mistake() -> None:
    gate_ = gate()
    assert isinstance(admit(gate_, buy(7)), OrderIntent)
    assert admit(gate_, buy(7)).control == "duplicate_window_s"
    assert isinstance(admit(gate_, buy(8)), OrderIntent)
    assert isinstance(admit(gate_, buy(7), strategy="other"), OrderIntent)
    clock = gate_._clock
    assert isinstance(clock, ManualClock)
    clock.set(START + timedelta(seconds=5))
    assert isinstance(admit(gate_, buy(7)), OrderIntent)


def test_open_orders_are_counted_per_instrument_and_side() -> None:
    gate_ = gate(max_open_orders=2, max_open_orders_per_contract=3)
    assert isinstance(admit(gate_, buy(1)), OrderIntent)
    assert isinstance(admit(gate_, buy(2)), OrderIntent)
    assert admit(gate_, buy(3)).control == "max_open_orders"
    assert isinstance(admit(gate_, sell(3)), OrderIntent)
    assert isinstance(admit(gate_, buy(3, instrument=MSFT)), OrderIntent)
    assert isinstance(admit(gate_, buy(3), strategy="other"), OrderIntent)
    assert admit(gate_, buy(3), strategy="third").control == "max_open_orders_per_contract"


def test_daily_trades_are_counted_before_the_journal_has_them_and_start_anew_each_session() -> None:
    risk = Risk(daily_trades=2)
    gate_ = gate(risk)
    assert isinstance(admit(gate_, buy(1)), OrderIntent)
    assert isinstance(admit(gate_, buy(2)), OrderIntent)
    assert admit(gate_, buy(3)).control == "max_daily_trades"
    risk.day = date(2026, 3, 3)
    assert isinstance(admit(gate_, buy(3)), OrderIntent)


def test_a_fill_counts_as_position_from_the_moment_it_is_seen_and_only_once() -> None:
    risk = Risk()
    gate_ = gate(risk)
    intent = admit(gate_, buy(100))
    assert gate_.exposure("s", AAPL.con_id) == (0, 100, 0)
    gate_.book.execute(fill(intent, "40"))
    assert gate_.exposure("s", AAPL.con_id) == (40, 60, 0)
    risk.positions[("s", AAPL.con_id)] = D(40)
    risk.booked.add("e.1.01")
    assert gate_.exposure("s", AAPL.con_id) == (40, 60, 0)


def test_a_gate_refuses_a_bracket_whole() -> None:
    gate_ = gate(Risk(paused=True))
    legs = [limit_buy(10, "100"), exit_(Side.SELL, 10, order_type=OrderType.STOP, stop_price=D(90))]
    refused = gate_.admit_all("s", legs, D(100), account="DU1", client_id=1)
    assert isinstance(refused, Refused)
    assert gate_.book.open_orders() == []


async def test_commit_returns_when_the_intent_is_on_disk_and_survives_a_cancelled_waiter() -> None:
    journal = MemoryJournal()
    journal.hold = True
    gate_ = OrderGate(journal, Risk(), ManualClock(START))
    intent = admit(gate_, buy(1))
    waiter = asyncio.ensure_future(gate_.commit(intent))
    await asyncio.sleep(0)
    assert [event.intent for event in journal.appended if isinstance(event, OrderPlaced)] == [intent]
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    journal.release()  # the journal's own future was not cancelled
    journal.refuse = StoreError("disk full")
    with pytest.raises(StoreError):
        await gate_.commit(intent)


def test_orders_from_many_threads_cannot_pass_one_cap_together() -> None:
    gate_ = gate(Risk(position_cap=D("0.1")), cap_tolerance=D(0), max_open_orders=1000)
    start = threading.Barrier(8)

    def place(thread: int) -> None:
        start.wait()
        for number in range(20):
            admit(gate_, buy(1 + thread + 8 * number))

    threads = [threading.Thread(target=place, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < gate_.exposure("s", AAPL.con_id).buys <= 100


ORDERS = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 80), st.sampled_from(Purpose), st.integers(0, 100)), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(ORDERS, st.integers(-60, 60))
def test_whatever_is_asked_no_cap_is_passed_and_closing_orders_never_turn_around(
    orders: list[tuple[Side, int, Purpose, int]], held: int
) -> None:
    """The cap is 100 units; each admitted order may fill in part at once."""
    risk = holding(held, position_cap=D("0.1"))
    gate_ = gate(risk, cap_tolerance=D(0), duplicate_window_s=0, max_open_orders=99, max_open_orders_per_contract=99)
    for number, (side, quantity, purpose, filled_percent) in enumerate(orders):
        before = gate_.exposure("s", AAPL.con_id)
        result = admit(gate_, _order(side, quantity, purpose))
        after = gate_.exposure("s", AAPL.con_id)
        assert min(after.position - after.sells, 0) >= -100 and max(after.position + after.buys, 0) <= 100
        if isinstance(result, Refused):
            assert after == before
            continue
        if purpose is not Purpose.ENTRY:
            assert result.request.quantity <= before.closable(side)
        part = result.request.quantity * filled_percent // 100
        if part:
            gate_.book.execute(fill(result, str(part), f"e.{number}.01"))


def _order(side: Side, quantity: int, purpose: Purpose) -> OrderRequest:
    return OrderRequest(instrument=AAPL, side=side, quantity=D(quantity), purpose=purpose)
