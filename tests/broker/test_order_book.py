"""The order states: what ends an order, what does not, and what comes back."""

from __future__ import annotations

from decimal import Decimal

import pytest
from broker_support import AAPL, START, buy
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.broker.codes import Meaning, meaning_for_order
from runner.broker.facts import WireCompleted, WireError, WireOrder, WireStatus
from runner.broker.order_book import OrderBook
from runner.model.clock import ManualClock
from runner.model.events import Filled
from runner.model.orders import OrderIntent, OrderState, Side, TimeInForce

S = OrderState


def book_with_order(quantity: int = 100, **changes: object) -> tuple[OrderBook, OrderIntent]:
    book = OrderBook(ManualClock(START))
    intent = OrderIntent(
        order_ref="run1.1.s.1",
        strategy="s",
        account="DU1",
        client_id=7,
        request=buy(quantity, **changes),
        created_at=START,
        reference_price=Decimal(100),
    )
    book.add(intent)
    book.sent(intent.order_ref, order_id=5, client_id=7)
    return book, intent


def status(word: str, filled: float = 0.0, perm_id: int = 1) -> WireStatus:
    return WireStatus(7, 5, perm_id, word, filled, 100 - filled, "")


def opened(word: str, snapshot: bool = False) -> WireOrder:
    return WireOrder("run1.1.s.1", 7, 5, 1, word, 100.0, snapshot)


def error(code: int) -> WireError:
    return WireError(7, 5, code, "text")


def completed(word: str) -> WireCompleted:
    return WireCompleted("run1.1.s.1", 1, word, "text")


def filled(quantity: str, exec_id: str = "e.1.01") -> Filled:
    return Filled(
        at=START,
        strategy="s",
        order_ref="run1.1.s.1",
        account="DU1",
        instrument=AAPL,
        exec_id=exec_id,
        side=Side.BUY,
        quantity=Decimal(quantity),
        price=Decimal(100),
    )


STORIES = [
    ([], S.SENT),
    ([status("PreSubmitted")], S.ACKED),
    ([status("PendingSubmit", perm_id=0)], S.SENT),
    ([status("Submitted"), filled("40")], S.PARTIAL),
    ([status("Submitted"), filled("40"), filled("60", "e.2.01")], S.FILLED),
    ([status("Filled", 100)], S.ACKED),
    ([status("Filled", 100), filled("100")], S.FILLED),
    ([status("Submitted"), status("PendingCancel")], S.ACKED),
    ([status("Submitted"), status("Cancelled")], S.CANCELLED),
    ([status("Submitted"), status("ApiCancelled")], S.CANCELLED),
    ([status("Submitted"), error(202)], S.CANCELLED),
    ([status("Submitted"), filled("40"), status("Cancelled")], S.CANCELLED),
    ([status("Cancelled"), filled("100")], S.FILLED),
    ([status("Cancelled"), filled("40")], S.CANCELLED),
    ([filled("100"), status("Cancelled")], S.FILLED),
    ([filled("100"), error(202)], S.FILLED),
    ([status("Cancelled"), status("Submitted")], S.ACKED),
    ([status("Submitted"), status("Inactive")], S.ACKED),
    ([error(201)], S.REJECTED),
    ([status("Submitted"), error(201)], S.ACKED),
    ([status("Submitted"), error(201), status("Inactive")], S.REJECTED),
    ([status("Submitted"), status("Inactive"), error(201)], S.REJECTED),
    ([error(201), status("Cancelled")], S.REJECTED),
    ([error(399)], S.SENT),
    ([status("Submitted"), error(10349)], S.ACKED),
    ([status("Submitted"), error(10148)], S.ACKED),
    ([status("Submitted"), error(12345)], S.UNKNOWN),
    ([status("Submitted"), error(12345), opened("Submitted", True)], S.ACKED),
    ([opened("PreSubmitted")], S.ACKED),
    ([completed("Cancelled")], S.CANCELLED),
    ([completed("Filled")], S.ACKED),
    ([filled("100"), completed("Filled")], S.FILLED),
    ([filled("100"), filled("90", "e.1.02")], S.FILLED),
    ([filled("100"), status("Submitted")], S.FILLED),
]


@pytest.mark.parametrize(("story", "state"), STORIES)
def test_what_the_wire_says_makes_the_state(story: list[object], state: OrderState) -> None:
    book, intent = book_with_order()
    for fact in story:
        if isinstance(fact, Filled):
            book.execute(fact)
        else:
            book.apply(fact)  # type: ignore[arg-type]
    order = book.get(intent.order_ref)
    assert order is not None and order.state is state
    assert (order in book.open_orders("s")) is not state.terminal


@pytest.mark.parametrize("tif", [TimeInForce.IOC, TimeInForce.FOK])
def test_inactive_ends_orders_that_do_not_rest(tif: TimeInForce) -> None:
    book, _ = book_with_order(tif=tif)
    change = book.apply(status("Inactive"))
    assert change is not None and change.state is S.CANCELLED


def test_a_repeated_status_changes_nothing() -> None:
    book, _ = book_with_order()
    assert book.apply(status("Submitted")) is not None
    assert book.apply(status("Submitted")) is None


def test_no_code_ends_an_acknowledged_order_but_202() -> None:
    book, intent = book_with_order()
    order = book.get(intent.order_ref)
    assert order is not None
    for code in range(100, 10400):
        book.apply(status("Submitted"))
        book.apply(error(code))
        assert order.done is (code == 202), code


def test_warnings_of_ibs_message_range_inform() -> None:
    assert {meaning_for_order(code) for code in range(2100, 2200)} == {Meaning.INFORMS}


def test_a_lost_session_makes_unacknowledged_orders_unknown_and_forgets_order_ids() -> None:
    book, _ = book_with_order()
    (change,) = book.session_lost(7, "s")
    assert change.state is S.UNKNOWN
    assert book.find(7, 5) is None
    assert book.working("s", AAPL.con_id).buys == 100


def test_an_order_restored_on_its_way_is_unknown() -> None:
    _, intent = book_with_order()
    for state in (S.INTENT, S.SENT):
        after = OrderBook(ManualClock(START))
        after.restore(intent, state, perm_id=0)
        order = after.get(intent.order_ref)
        assert order is not None and order.state is S.UNKNOWN


def test_orders_that_cancel_one_another_count_once() -> None:
    book = OrderBook(ManualClock(START))
    for number, (quantity, group) in enumerate([(100, "g"), (60, "g"), (10, "")]):
        book.add(
            OrderIntent(
                order_ref=f"run1.1.s.{number}",
                strategy="s",
                account="DU1",
                client_id=7,
                request=buy(quantity, oca_group=group),
                created_at=START,
                reference_price=Decimal(100),
            )
        )
    assert book.working("s", AAPL.con_id).buys == 110


FACTS = st.one_of(
    st.sampled_from(["PreSubmitted", "Submitted", "Filled", "Cancelled", "Inactive", "PendingCancel"]).map(status),
    st.sampled_from([103, 110, 201, 202, 399, 10148, 10349, 12345]).map(error),
    st.sampled_from(["Submitted", "PreSubmitted"]).map(opened),
    st.sampled_from(["Filled", "Cancelled"]).map(completed),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 50)).map(
        lambda t: filled(str(t[2]), f"e.{t[0]}.0{t[1]}")
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(FACTS, max_size=20))
def test_in_any_order_fills_are_the_latest_revisions_and_nothing_is_lost(facts: list[object]) -> None:
    book, intent = book_with_order()
    order = book.get(intent.order_ref)
    assert order is not None
    latest: dict[str, Filled] = {}
    was_filled = False
    for fact in facts:
        if isinstance(fact, Filled):
            known = latest.get(fact.exec_base)
            new = known is None or fact.revision > known.revision
            assert book.execute(fact).new is new
            if new:
                latest[fact.exec_base] = fact
        else:
            book.apply(fact)  # type: ignore[arg-type]
        assert order.filled == sum((f.quantity for f in latest.values()), Decimal(0))
        assert order.remaining == max(Decimal(0), 100 - order.filled)
        assert (order in book.open_orders()) is not order.done
        assert book.working("s", AAPL.con_id).buys == (Decimal(0) if order.done else order.remaining)
        was_filled = was_filled or order.state is S.FILLED
        assert not was_filled or order.state is S.FILLED
    assert book.unbooked("s", AAPL.con_id, lambda _: False) == order.filled
