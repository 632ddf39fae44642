"""A change of each cap and weight, with a position open and an entry working: when it counts, and what it does to
them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
import reload_hooks
from reload_support import RESTING, WAIT_S, Desk


def approx(value: float) -> Any:
    """Equity is not quite what it was at the beginning: other strategies trade on the same account."""
    return pytest.approx(value, rel=0.03)


def params(**values: float) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in ({"target_weight": 0.1} | values).items()) + "}"


def test_a_smaller_max_position_size_cancels_the_entries_above_it_and_leaves_what_is_held(
    desk: Desk, at_work: Any
) -> None:
    one = at_work("CAP", params=params(max_position_size=0.6))
    held, orders = one.held, one.orders
    assert one.resting == {"FLAT": approx(5000)}
    effect = desk.plan("CAP", params=params(max_position_size=0.3))["effect"]
    (gone,) = effect["cancelled"]
    assert (gone["symbol"], gone["side"], float(gone["quantity"])) == ("FLAT", "BUY", approx(5000))
    assert float(gone["value"]) > 0 and effect["working"] == 1
    assert desk.plan("CAP", params=params(max_position_size=0.59))["effect"]["cancelled"] == []
    desk.edit("CAP", params=params(max_position_size=0.3))
    one.took_over("live", "tighter")
    desk.run_to("11:30")
    assert one.resting == {} and one.held == held and one.since(orders) == []
    desk.run_to("11:00")  # the next decision opens within the new cap, and increases nothing beyond it
    assert one.since(orders) == [("FLAT", "BUY", "capped", approx(3000), 3)] and one.refused == []
    assert {order.generation for order in orders} == {1, 2}

    desk.edit("CAP", params=params(max_position_size=0.8))
    one.took_over("live", "looser")
    desk.run_to("11:30")
    assert one.resting == {"FLAT": approx(3000)}  # until the next decision


def test_a_smaller_max_position_size_keeps_a_reduction_that_rests(desk: Desk, begin: Any) -> None:
    one = begin("TRIM", params=params(max_weight=0.2))
    desk.run_to("14:00")
    assert one.held.keys() == {"CALM", "FLAT"}
    small = "{use: fixed_weights, with: {weights: {CALM: 0.2, FLAT: 0.2}}}"
    desk.edit("TRIM", execution=RESTING, params=params(max_weight=0.1), sizing=small)
    desk.run_to("11:00")
    resting = [(o.intent.request.purpose.value, o.intent.request.side.value) for o in one.working]
    assert resting == [("reduce", "SELL"), ("reduce", "SELL")]
    effect = desk.plan("TRIM", params=params(max_weight=0.1, max_position_size=0.05))["effect"]
    assert (effect["cancelled"], effect["working"]) == ([], 2)
    desk.edit("TRIM", params=params(max_weight=0.1, max_position_size=0.05))
    desk.run_to("11:30")
    assert [order.intent.generation for order in one.working] == [2, 2]  # what takes risk off stays


def test_the_very_next_order_of_a_decision_under_way_meets_the_smaller_cap(desk: Desk, begin: Any) -> None:
    one = begin("MIDWAY", params=params(max_position_size=0.6), hooks="{before_orders: reload_hooks:before_orders}")
    edited = threading.Event()

    def edit(_context: Any, _targets: Mapping[str, Decimal]) -> None:
        if not edited.is_set():
            desk.write("MIDWAY", params=params(max_position_size=0.2))
            desk.engine.wish(desk.look_at_files())  # what the watcher does; the lane waits for the decision to end
            edited.set()

    reload_hooks.BEFORE["MIDWAY"] = edit
    desk.run_to("14:00")
    assert edited.is_set() and desk.engine.settled(WAIT_S)
    assert one.orders == [] and one.held == {}
    assert {refused.refused.control for refused in one.refused} == {"max_position_size"}
    assert {refused.refused.limit for refused in one.refused} == {"0.2"}
    one.took_over("live", "tighter")


def test_a_smaller_max_weight_keeps_orders_and_counts_at_the_next_decision(desk: Desk, at_work: Any) -> None:
    one = at_work("BAND", params=params(min_weight=0.05, max_weight=0.2))
    less = "{use: fixed_weights, with: {weights: {CALM: 0.3, FLAT: 0.5}}}"
    desk.edit("BAND", sizing=less)
    desk.run_to("11:00")
    held, orders, resting = one.held, one.orders, one.resting
    assert held.keys() == {"CALM"}  # beyond what is wanted, and inside its band
    desk.edit("BAND", params=params(min_weight=0.05, max_weight=0.12))
    one.took_over("live", "tighter")
    desk.run_to("11:30")
    assert one.held == held and one.resting == resting and one.since(orders) == []
    desk.run_to("11:00")
    assert one.since(orders)[0] == ("CALM", "SELL", "rebalance", approx(held["CALM"] * 0.4), 4)


def test_another_min_weight_keeps_orders_and_counts_at_the_next_decision(desk: Desk, at_work: Any) -> None:
    one = at_work("FLOOR", params=params(min_weight=0.05, max_weight=0.2))
    more = "{use: fixed_weights, with: {weights: {CALM: 0.6, FLAT: 0.4}}}"
    desk.edit("FLOOR", sizing=more)
    desk.run_to("11:00")
    held, orders, resting = one.held, one.orders, one.resting
    assert held["CALM"] == approx(10_000)  # short of what is wanted, and inside its band
    desk.edit("FLOOR", params=params(min_weight=0.095, max_weight=0.2))
    one.took_over("live", "looser")
    desk.run_to("11:30")
    assert one.held == held and one.resting == resting and one.since(orders) == []
    desk.run_to("11:00")
    assert ("CALM", "BUY", "rebalance", approx(2000), 4) in one.since(orders)


def test_another_target_weight_keeps_orders_and_is_rebalanced_to_at_the_next_decision(desk: Desk, at_work: Any) -> None:
    one = at_work("TARGET", params=params(min_weight=0.09, max_weight=0.11))
    held, orders, resting = one.held["CALM"], one.orders, one.resting
    half = params(target_weight=0.05, min_weight=0.045, max_weight=0.055)
    plan = desk.plan("TARGET", params=half)
    assert (plan["apply"], plan["direction"]) == ("live", "tighter")
    (sold,) = [order for order in plan["effect"]["orders"] if order["symbol"] == "CALM"]
    assert (sold["side"], sold["reason"], float(sold["quantity"])) == ("SELL", "rebalance", approx(held / 2))

    desk.edit("TARGET", params=half)
    one.took_over("live", "tighter")
    desk.run_to("11:30")
    assert one.resting == resting and one.held == {"CALM": held} and one.since(orders) == []
    desk.run_to("11:00")
    assert one.since(orders) == [
        ("CALM", "SELL", "rebalance", approx(held / 2), 3),
        ("FLAT", "BUY", "enter", approx(resting["FLAT"] / 2), 3),
    ]


def test_a_max_daily_loss_that_is_reached_already_stops_the_day_at_once(desk: Desk, begin: Any) -> None:
    one = begin("LOSS", even=True, universe="[SAW, FLAT]", sizing="{use: fixed_weights, with: {weights: {SAW: 0.5}}}")
    desk.run_to("11:00")
    both = "{use: fixed_weights, with: {weights: {SAW: 0.5, FLAT: 0.5}}}"
    desk.edit("LOSS", execution=RESTING, sizing=both)
    desk.run_to("11:00")  # SAW has lost four hundredths, two of the strategy's equity
    held, orders = one.held, one.orders
    assert held.keys() == {"SAW"} and one.resting.keys() == {"FLAT"} and one.condition("Ready") == ("True", "Ready")

    effect = desk.plan("LOSS", params=params(max_daily_loss=0.015))["effect"]
    (warning,) = effect["warnings"]
    assert [gone["symbol"] for gone in effect["cancelled"]] == ["FLAT"]
    assert warning.startswith("max_daily_loss is reached already, at -")
    desk.edit("LOSS", params=params(max_daily_loss=0.05))
    desk.run_to("11:30")
    assert one.resting and not desk.manager.loss_paused("LOSS")
    desk.edit("LOSS", params=params(max_daily_loss=0.015))
    one.took_over("live", "tighter")
    assert desk.settles(lambda: not one.resting)  # the market has not moved
    assert desk.manager.loss_paused("LOSS") and one.condition("Ready") == ("False", "DailyLoss")
    assert one.held == held and one.since(orders) == []
    desk.run_to("10:30")
    assert not desk.manager.loss_paused("LOSS") and one.condition("Ready") == ("True", "Ready")  # another day


def test_a_day_that_is_lost_already_is_stopped_without_a_position_too(desk: Desk, begin: Any) -> None:
    one = begin("LOST", even=True, universe="[SAW, FLAT]", sizing="{use: fixed_weights, with: {weights: {SAW: 0.5}}}")
    desk.run_to("11:00")
    only = "{use: fixed_weights, with: {weights: {FLAT: 0.5}}}"
    desk.edit("LOST", execution=RESTING, sizing=only)
    desk.run_to("11:00")  # sold at the loss of the night
    assert one.held == {} and one.resting.keys() == {"FLAT"}
    desk.edit("LOST", params=params(max_daily_loss=0.015))
    assert desk.settles(lambda: not one.resting) and desk.manager.loss_paused("LOST")


def test_max_daily_trades_counts_the_entries_of_today_that_were_before(desk: Desk, begin: Any) -> None:
    one = begin("TRADES", schedule="{calendar: XNYS, every: 1h}", params=params(max_daily_trades=5))
    desk.run_to("11:00")
    assert len(one.orders) == 2
    desk.edit("TRADES", params=params(max_daily_trades=2))
    one.took_over("live", "tighter")
    desk.edit("TRADES", universe="[CALM, FLAT, SAW]")
    desk.run_to("13:00")
    assert len(one.orders) == 2 and one.runtime.instance.decided["SAW"] == "daily_trades"
    desk.edit("TRADES", params=params(max_daily_trades=3))
    one.took_over("live", "looser")
    orders = one.orders
    desk.run_to("15:00")
    assert [(symbol, generation) for symbol, *_, generation in one.since(orders)] == [("SAW", 4)]


def test_risk_per_trade_counts_for_the_next_entry_and_leaves_what_is_there(desk: Desk, begin: Any) -> None:
    one = begin("RISK", sizing="{use: risk_per_trade}", params=params(risk_per_trade=0.01, stop_loss=0.05))
    desk.run_to("11:00")
    desk.edit("RISK", universe="[CALM, FLAT, SAW]", execution=RESTING)
    desk.run_to("11:00")
    held, orders, resting = one.held, one.orders, one.resting
    assert held.keys() == {"CALM", "FLAT"} and resting.keys() == {"SAW"}
    desk.edit("RISK", params=params(risk_per_trade=0.005, stop_loss=0.05))
    one.took_over("live", "tighter")
    desk.run_to("11:30")
    assert one.resting == resting and one.held == held and one.since(orders) == []
    desk.run_to("11:00")
    assert one.held == held  # no band: what was entered with more at risk is kept
    assert [(symbol, quantity, number) for symbol, _, _, quantity, number in one.since(orders)] == [
        ("SAW", pytest.approx(resting["SAW"] / 2, rel=0.06), 3)
    ]
