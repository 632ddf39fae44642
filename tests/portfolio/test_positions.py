"""Positions are folds: exact, and the same whatever the order and however often a fact arrives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.model.events import CommissionCharged, Event, Filled
from runner.model.instruments import Instrument, SecType
from runner.model.orders import Side
from runner.portfolio.positions import Books, apply, fold, latest_revisions

D = Decimal
NOW = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("story", "quantity", "average", "realized"),
    [
        ([(10, "100")], 10, "100", "0"),
        ([(10, "100"), (10, "110")], 20, "105", "0"),
        ([(10, "100"), (-4, "110")], 6, "100", "40"),
        ([(10, "100"), (-10, "90")], 0, "0", "-100"),
        ([(10, "100"), (-15, "110")], -5, "110", "100"),
        ([(-10, "50")], -10, "50", "0"),
        ([(-10, "50"), (4, "45")], -6, "50", "20"),
        ([(-10, "50"), (25, "60")], 15, "60", "-100"),
        ([(10, "100"), (-10, "110"), (5, "120")], 5, "120", "100"),
        ([(3, "10"), (-1, "10.01"), (-1, "10.02"), (-1, "10.03")], 0, "0", "0.06"),
        ([("0.5", "100"), ("0.25", "104")], "0.75", "101.3333", "0"),
    ],
)
def test_average_cost(make, story, quantity, average: str, realized: str) -> None:
    fills = [make.fill(f"e{i}.1", size, price, minute=i) for i, (size, price) in enumerate(story)]
    position = fold(fills)["s", 1]
    assert position.quantity == D(quantity)
    assert abs(position.average_price - D(average)) < D("0.0001")
    assert abs(position.realized - D(realized)) < D("1e-9")
    assert position.fills == len(story)


def test_a_multiplier_scales_money_and_not_the_average_price(make) -> None:
    future = make.stock(7, "ES", sec_type=SecType.FUTURE, multiplier=D(50))
    fills = [make.fill("a.1", 2, "5000", instrument=future), make.fill("b.1", -1, "5010", instrument=future, minute=1)]
    position = fold(fills)["s", 7]
    assert (position.average_price, position.realized) == (D(5000), D(500))
    assert position.unrealized(D(4990)) == D(-500) and position.value(D(4990)) == D(249500)


def test_a_correction_replaces_what_it_corrects_and_a_bust_takes_it_out(make) -> None:
    books = Books()
    books.record(make.fill("e.01", 100, "10", order_ref="r"))
    books.record(make.fill("f.01", 50, "12", order_ref="r", minute=1))
    assert books.record(make.fill("e.02", 90, "10", order_ref="r"))
    assert books.position("s", 1).quantity == 140 and books.executed("r") == 140
    assert not books.record(make.fill("e.01", 100, "10", order_ref="r"))
    books.record(make.fill("e.03", 0, "10", order_ref="r"))
    books.record(make.fill("f.02", 0, "12", order_ref="r"))
    position = books.position("s", 1)
    assert (position.quantity, position.realized, position.fills, books.executed("r")) == (0, 0, 0, 0)


def test_a_correction_keeps_the_commission_of_the_original_until_its_own_arrives(make) -> None:
    books = Books()
    books.charge(make.charge("e.01", "1.00"))
    books.record(make.fill("e.01", 100, "10"))
    books.record(make.fill("e.02", 90, "10"))
    assert books.position("s", 1).commissions == {"USD": D("1.00")}
    books.charge(make.charge("e.02", "0.90"))
    assert books.position("s", 1).commissions == {"USD": D("0.90")}
    assert not books.charge(make.charge("e.02", "5"))


def test_a_correction_may_move_an_execution_to_another_strategy(make) -> None:
    books = Books()
    books.record(make.fill("e.01", 10, "10", strategy=""))
    books.charge(make.charge("e.01", "1"))
    books.record(make.fill("e.02", 10, "10", strategy="s"))
    assert books.position("", 1) is None and books.strategies() == ["s"]
    assert books.position("s", 1).quantity == 10 and books.position("s", 1).commissions == {"USD": 1}


# -- properties

INSTRUMENTS = [
    Instrument(con_id=c, symbol=f"S{c}", sec_type=SecType.STOCK, exchange="SMART", currency="USD", multiplier=D(m))
    for c, m in ((1, 1), (2, 50))
]


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Executions of three strategies in two contracts, with corrections, busts and commissions."""
    events: list[Event] = []
    for i in range(draw(st.integers(1, 12))):
        strategy = draw(st.sampled_from(["a", "b", ""]))
        instrument = draw(st.sampled_from(INSTRUMENTS))
        for revision in range(1, draw(st.integers(1, 3)) + 1):
            exec_id = f"x.{i}.{revision:02d}"
            events.append(
                Filled(
                    at=NOW + timedelta(minutes=draw(st.integers(0, 5))),
                    strategy=strategy,
                    order_ref=f"o{i % 4}",
                    account="DU1",
                    instrument=instrument,
                    exec_id=exec_id,
                    side=draw(st.sampled_from(Side)),
                    quantity=draw(st.decimals(0 if revision > 1 else "0.01", 1000, places=2)),
                    price=draw(st.decimals("0.01", 5000, places=4)),
                )
            )
            if draw(st.booleans()):
                amount = draw(st.decimals(-1, 20, places=4))
                events.append(
                    CommissionCharged(at=NOW, strategy=strategy, exec_id=exec_id, amount=amount, currency="USD")
                )
    return events


def books_of(events: list[Event]) -> Books:
    books = Books()
    for event in events:
        if isinstance(event, Filled):
            books.record(event)
        elif isinstance(event, CommissionCharged):
            books.charge(event)
    return books


def state(books: Books) -> list[object]:
    orders = [books.executed(f"o{i}") for i in range(4)]
    held = [replace(p, commissions={c: a for c, a in p.commissions.items() if a}) for p in books.positions()]
    return [held, books.fills(), orders]


@given(data=st.data())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_any_order_and_any_duplication_of_events_gives_the_same_books(data: st.DataObject) -> None:
    events = data.draw(histories())
    shuffled = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=6))]))
    assert state(books_of(shuffled)) == state(books_of(events))


@given(histories())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_books_kept_event_by_event_are_the_fold_of_all_events(events: list[Event]) -> None:
    fills = [event for event in events if isinstance(event, Filled)]
    folded = fold(fills)
    kept = {(p.strategy, p.instrument.con_id): replace(p, commissions={}) for p in books_of(events).positions()}
    assert kept == folded


@given(histories(), st.decimals("0.01", 5000, places=4))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_profit_and_cash_never_drift_apart(events: list[Event], price: Decimal) -> None:
    """Cash + market value = realised + unrealised, exactly; a flat position's realised P&L is its cash."""
    for position in books_of(events).positions():
        assert position.cash_flow + position.value(price) == position.realized + position.unrealized(price)
        assert position.quantity or position.realized == position.cash_flow
        assert position.cost * position.quantity >= 0


@given(histories())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_positions_and_cash_are_sums_over_latest_executions(events: list[Event]) -> None:
    latest = latest_revisions(event for event in events if isinstance(event, Filled))
    positions = books_of(events).positions()
    for instrument in INSTRUMENTS:
        mine = [one for one in latest if one.instrument == instrument]
        here = [position for position in positions if position.instrument == instrument]
        assert sum(p.quantity for p in here) == sum(f.side.sign * f.quantity for f in mine)
        paid = sum(f.side.sign * f.quantity * f.price * instrument.multiplier for f in mine)
        assert sum(p.cash_flow for p in here) == -paid


def test_apply_is_the_fold_of_one_more(make) -> None:
    one, two = make.fill("a.1", 10, "100"), make.fill("b.1", -3, "101", minute=1)
    assert apply(apply(None, one), two) == fold([two, one])["s", 1]
