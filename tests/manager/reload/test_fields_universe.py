"""Another universe or other bars: the new version warms up beside the one that trades, and takes over between two bars.
Every test has a position in CALM open and an entry in FLAT working."""

from __future__ import annotations

from typing import Any

import pytest
from reload_support import BOTH, RESTING, Desk, One

THREE = "{use: fixed_weights, with: {weights: {CALM: 0.4, FLAT: 0.3, SAW: 0.3}}}"
SLOW_STOP = "{target_weight: 0.1, stop_loss: 0.03}"


def test_an_added_symbol_is_warm_first_and_leaves_the_others_alone(desk: Desk, at_work: Any) -> None:
    one = at_work("GROW")
    held, resting, orders, feed = one.held, one.resting, one.orders, one.version.feed
    plan = desk.plan("GROW", universe="[CALM, FLAT, SAW]")
    assert (plan["apply"], plan["direction"]) == ("resubscribe", "looser")
    assert "SAW" in {target["symbol"] for target in plan["effect"]["targets"]}
    assert one.version.feed is feed and not feed.closed

    desk.edit("GROW", universe="[CALM, FLAT, SAW]", sizing=THREE)
    assert (one.last.result.value, one.last.apply, one.last.direction) == ("applied", "resubscribe", "looser")
    assert one.version.buffer.panel().bars >= 6 and feed.closed
    assert "SAW" in {instrument.symbol for instrument in one.version.universe[: one.version.listed]}
    desk.run_to("11:30")
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])
    desk.run_to("11:00")
    assert ("SAW", "BUY", "enter") in [row[:3] for row in one.since(orders)]
    assert {number for *_, number in one.since(orders)} == {3}


@pytest.mark.parametrize(("name", "on_remove"), [("LEAVE", "hold"), ("SHUT", "flatten")])
def test_a_removed_symbol_gets_no_entries_and_keeps_its_stop(desk: Desk, begin: Any, name: str, on_remove: str) -> None:
    """SAW, bought at 100, is taken off the list while an increase of it rests; in the next session it is at 96."""
    one: One = begin(
        name, even=True, universe="[SAW, FLAT]", on_remove=on_remove, params=SLOW_STOP,
        sizing="{use: fixed_weights, with: {weights: {SAW: 0.3}}}",
    )  # fmt: skip
    desk.run_to("11:00")
    desk.edit(
        name, execution=RESTING, schedule="{calendar: XNYS, evaluate: open+120m}",
        sizing="{use: fixed_weights, with: {weights: {SAW: 0.6, FLAT: 0.3}}}",
        params="{target_weight: 0.1, min_weight: 0.09, max_weight: 0.11, stop_loss: 0.03}",
    )  # fmt: skip
    desk.run_to("13:00")
    held, orders = one.held, one.orders
    assert held.keys() == {"SAW"} and one.resting.keys() == {"SAW", "FLAT"}

    desk.edit(name, universe="[FLAT]", sizing="{use: fixed_weights, with: {weights: {FLAT: 0.3}}}")
    assert (one.last.apply, one.last.direction) == ("resubscribe", "tighter")
    assert desk.settles(lambda: one.resting.keys() == {"FLAT"})
    version = one.version
    assert [instrument.symbol for instrument in version.universe] == ["FLAT", "SAW"] and version.listed == 1
    if on_remove == "flatten":
        assert desk.settles(lambda: not one.held)
        assert one.since(orders) == [("SAW", "SELL", "removed", held["SAW"], 3)]
        return
    assert one.held == held and one.since(orders) == []
    desk.run_to("10:30")
    assert one.since(orders) == [("SAW", "SELL", "stop_loss", held["SAW"], 3)] and one.held == {}
    desk.run_to("13:00")
    assert {symbol for symbol, *_ in one.since(orders)[1:]} == {"FLAT"}


def test_what_fills_while_a_version_without_its_symbol_is_prepared_keeps_its_stop(desk: Desk, begin: Any) -> None:
    """The order works when the version is prepared, and is a position when it takes over."""
    one = begin("RACE", universe="[CALM, FLAT]", sizing=BOTH, params=SLOW_STOP)
    desk.run_to_close()
    desk.edit("RACE", schedule="{calendar: XNYS, evaluate: close-30m}", execution="{order: moc}")
    desk.edit("RACE", params="{target_weight: 0.2, stop_loss: 0.03}")
    desk.run_to("15:30")
    assert one.working
    desk.edit("RACE", universe="[CALM]", sizing="{use: fixed_weights, with: {weights: {CALM: 0.5}}}")
    assert {i.symbol for i in one.version.universe} == {"CALM", "FLAT"} and one.version.listed == 1
    desk.run_to_close()
    assert one.held.keys() >= {"CALM"}
    assert set(one.held) <= {i.symbol for i in one.version.universe}


@pytest.mark.parametrize(
    ("name", "bars"),
    [
        ("SIZE", "{size: 1 hour, history: 6}"),
        ("LONGER", "{size: 30 mins, history: 40}"),
        ("HOURS", "{size: 30 mins, history: 6, regular_hours: false}"),
    ],
)
def test_other_bars_are_warm_before_they_count(desk: Desk, at_work: Any, name: str, bars: str) -> None:
    one = at_work(name)
    held, resting, orders, feed = one.held, one.resting, one.orders, one.version.feed
    desk.edit(name, bars=bars)
    one.took_over("resubscribe", "neutral")
    assert feed.closed and one.version.feed is not feed
    panel = one.version.buffer.panel()
    assert panel.bars >= one.version.spec.bars.history and float(panel.close[-1, 0]) == 50.0
    desk.run_to("11:30")
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])
    desk.run_to("11:00")
    assert [(symbol, reason, number) for symbol, _, reason, _, number in one.since(orders)] == [("FLAT", "enter", 3)]


def test_fewer_bars_are_there_already(desk: Desk, at_work: Any) -> None:
    one = at_work("FEWER")
    feed = one.version.feed
    desk.edit("FEWER", bars="{size: 30 mins, history: 3}")
    one.took_over("resubscribe", "neutral")
    assert one.version.feed is feed and not feed.closed


def test_a_bar_that_has_been_decided_on_is_not_decided_on_again(desk: Desk, begin: Any) -> None:
    one = begin("TWICE", schedule="{calendar: XNYS}", execution=RESTING)
    desk.run_to("11:00")
    (first, *_) = [intent for intent in one.orders if intent.request.instrument.symbol == "FLAT"]
    orders = one.orders
    desk.edit("TWICE", bars="{size: 30 mins, history: 30}")
    one.took_over("resubscribe", "neutral")
    desk.run_to("11:30")
    assert first.generation == 1
    assert [(row[0], row[4]) for row in one.since(orders)] == [("CALM", 2), ("FLAT", 2)]  # of the next bar, once


def test_a_version_that_takes_over_in_the_middle_of_a_bar_sees_that_bar(desk: Desk, begin: Any) -> None:
    """SAW is bought at 96 in a session after one at 100: against the bar before, its stop would be hit, or its target
    reached, without any reason."""
    one = begin(
        "MIDDLE", even=False, universe="[SAW]", bars="{size: 1 day, history: 3}", sizing="{use: equal_weight}",
        params="{target_weight: 0.1, take_profit: 0.02}",
    )  # fmt: skip
    desk.run_to("11:00")
    held = one.held
    assert held.keys() == {"SAW"}
    desk.edit("MIDDLE", bars="{size: 1 day, history: 10}")
    one.took_over("resubscribe", "neutral")
    assert float(one.version.buffer.panel().close[-1, 0]) == 96.0
    desk.run_to("12:00")
    assert one.held == held and [intent.request.reason for intent in one.orders] == ["enter"]


def test_what_becomes_of_a_symbol_that_has_left_may_be_said_later(desk: Desk, begin: Any) -> None:
    one: One = begin("LATER", universe="[CALM, FLAT]", params="{target_weight: 0.1}")
    desk.run_to("14:00")
    assert one.held.keys() == {"CALM", "FLAT"}
    desk.edit("LATER", universe="[CALM]")
    assert one.held.keys() == {"CALM", "FLAT"}
    held, orders = one.held, one.orders
    desk.edit("LATER", on_remove="flatten")
    one.took_over("live", "neutral")
    assert desk.settles(lambda: one.held.keys() == {"CALM"})
    assert one.since(orders) == [("FLAT", "SELL", "removed", held["FLAT"], 3)]
