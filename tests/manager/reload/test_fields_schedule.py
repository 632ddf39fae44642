"""Another schedule counts from now on and makes up for nothing; other execution counts for the next order."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
import reload_hooks
from reload_support import RESTING, WAIT_S, Desk


@pytest.mark.parametrize(
    ("name", "schedule", "direction", "first"),
    [
        ("LATER", "{calendar: XNYS, evaluate: open+150m}", "neutral", "12:00"),
        ("MISSED", "{calendar: XNYS, evaluate: open+60m}", "neutral", "10:30"),  # passed today: not made up for
        ("EVERY", "{calendar: XNYS, every: 1h}", "neutral", "11:30"),
        ("BARS", "{calendar: XNYS}", "neutral", "11:30"),
        ("WEEK", "{calendar: XNYS, on: session}", "neutral", "16:00"),
    ],
)
def test_an_evaluation_falls_due_by_the_new_schedule(
    desk: Desk, at_work: Any, name: str, schedule: str, direction: str, first: str
) -> None:
    one = at_work(name)
    held, resting, orders = one.held, one.resting, one.orders
    assert desk.manager.versions.next_decision(name, desk.now) is not None
    desk.edit(name, schedule=schedule)
    one.took_over("live", direction)
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])
    desk.run_to("10:30" if first == "10:30" else "16:00")
    sent = [intent for intent in one.orders[len(orders) :] if intent.request.instrument.symbol == "FLAT"]
    assert [desk.clock_of(intent.created_at) for intent in sent][:1] == [first]
    assert {intent.generation for intent in sent} == {3}


@pytest.mark.parametrize(
    ("name", "window", "direction", "decides"),
    [("NARROW", '["12:00", "15:00"]', "tighter", "12:00"), ("WIDE", '["09:30", "15:50"]', "looser", "11:30")],
)
def test_another_window_counts_at_once(
    desk: Desk, begin: Any, name: str, window: str, direction: str, decides: str
) -> None:
    one = begin(name, execution=RESTING, schedule='{calendar: XNYS, window: ["09:30", "15:30"]}')
    desk.run_to("11:00")
    resting, orders = one.resting, one.orders
    desk.edit(name, schedule=f"{{calendar: XNYS, window: {window}}}")
    one.took_over("live", direction)
    assert one.resting == resting
    desk.run_to("12:30")
    sent = one.orders[len(orders) :]
    assert desk.clock_of(sent[0].created_at) == decides and {intent.generation for intent in sent} == {2}


def test_an_evaluation_under_way_ends_by_the_schedule_that_it_began_with(desk: Desk, begin: Any) -> None:
    one = begin("UNDERWAY", hooks="{before_orders: reload_hooks:before_orders}")
    edited = threading.Event()

    def edit(_context: Any, _targets: Mapping[str, Decimal]) -> None:
        if not edited.is_set():
            desk.write("UNDERWAY", schedule="{calendar: XNYS, evaluate: open+120m}")
            desk.engine.wish(desk.look_at_files())
            edited.set()

    reload_hooks.BEFORE["UNDERWAY"] = edit
    desk.run_to("10:00")
    assert edited.is_set() and desk.engine.settled(WAIT_S)
    assert {intent.generation for intent in one.orders} == {1} and len(one.orders) == 2
    one.took_over("live", "neutral")


def test_a_flatten_at_to_come_fires_and_one_that_has_passed_is_not_made_up_for(desk: Desk, at_work: Any) -> None:
    one = at_work("FLATTEN")
    held, resting, orders = one.held, one.resting, one.orders
    passed = "{calendar: XNYS, evaluate: open+30m, flatten_at: open+60m}"
    assert desk.plan("FLATTEN", schedule=passed)["effect"]["warnings"] == [
        "flatten_at has passed already in this session: what is held is kept, and nothing is opened"
    ]
    desk.edit("FLATTEN", schedule=passed)
    one.took_over("live", "tighter")
    assert "flatten_at_passed" in {notice.code for notice in one.notices}
    desk.run_to("12:00")
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])

    desk.edit("FLATTEN", schedule="{calendar: XNYS, evaluate: open+30m, flatten_at: open+210m}")
    one.took_over("live", "looser")
    desk.run_to("12:30")
    assert one.held == held
    desk.run_to("13:30")
    assert one.since(orders) == [("CALM", "SELL", "flatten_at", held["CALM"], 4)]
    assert one.held == {} and one.resting == {}


def test_a_flatten_at_that_has_passed_fires_in_the_next_session(desk: Desk, at_work: Any) -> None:
    one = at_work("NEXTDAY")
    held, orders = one.held, one.orders
    desk.edit("NEXTDAY", schedule="{calendar: XNYS, evaluate: close-30m, flatten_at: open+60m}")
    desk.run_to("10:00")
    assert one.held == held
    desk.run_to("11:00")
    assert one.since(orders)[0] == ("CALM", "SELL", "flatten_at", held["CALM"], 3) and one.held == {}


def test_another_calendar_counts_at_once(desk: Desk, at_work: Any) -> None:
    one = at_work("CALENDAR")
    held, resting = one.held, one.resting
    desk.edit("CALENDAR", schedule="{calendar: XNAS, evaluate: open+30m}")
    one.took_over("live", "neutral")
    assert (one.version.calendar, one.runtime.calendar) == ("XNAS", "XNAS")
    assert (one.held, one.resting) == (held, resting)


@pytest.mark.parametrize(
    ("name", "execution", "order_type", "tif", "fills"),
    [
        ("MARKET", "{order: market}", "MKT", "DAY", True),
        ("CLOSER", "{order: limit, limit_offset_bps: -50}", "LMT", "DAY", False),
        ("GTC", "{order: limit, limit_offset_bps: -100, tif: GTC}", "LMT", "GTC", False),
    ],
)
def test_execution_counts_for_the_next_order_and_touches_none_that_works(
    desk: Desk, at_work: Any, name: str, execution: str, order_type: str, tif: str, fills: bool
) -> None:
    one = at_work(name)
    orders, working = one.orders, [(o.intent.order_ref, o.state, o.updated_at) for o in one.working]
    desk.edit(name, execution=execution)
    one.took_over("live", "neutral")
    desk.run_to("15:00")
    assert [(o.intent.order_ref, o.state, o.updated_at) for o in one.working] == working  # no cancelling, no replacing
    assert one.since(orders) == []
    desk.run_to("11:00")
    (sent,) = one.orders[len(orders) :]
    assert (sent.request.order_type.value, sent.request.tif.value, sent.generation) == (order_type, tif, 3)
    assert ("FLAT" in one.held) is fills


def test_edits_of_execution_in_a_row_send_nothing(desk: Desk, at_work: Any) -> None:
    one = at_work("STORM")
    orders, working = one.orders, [(o.intent.order_ref, o.state, o.updated_at) for o in one.working]
    for offset in range(10):
        desk.edit("STORM", execution=f"{{order: limit, limit_offset_bps: -{110 + offset}}}")
    assert one.generation == 12
    assert [(o.intent.order_ref, o.state, o.updated_at) for o in one.working] == working
    assert one.since(orders) == []
