"""What a file says about the strategy itself: who it is, whether it trades, whose code it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import reload_hooks
from reload_support import RESTING, Desk

HOOKED = "{before_orders: reload_hooks:before_orders}"


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("DESCRIBED", {"description": "Two symbols."}),
        ("OWNED", {"owner": "research desk"}),
        ("TAGGED", {"tags": "[daily]"}),
        ("COMMENTED", {"# a comment": "and nothing else"}),
    ],
)
def test_what_only_describes_is_noted_at_once_and_is_no_new_generation(
    desk: Desk, at_work: Any, name: str, edit: dict[str, str]
) -> None:
    one = at_work(name)
    held, resting, orders, version = one.held, one.resting, one.orders, one.version
    desk.edit(name, **edit)
    assert (one.last.result.value, one.last.running, one.generation) == ("unchanged", 2, 2)
    assert one.version is version and one.stored.generation == 2
    assert one.condition("Applied") == ("True", "Applied")
    desk.run_to("12:00")
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])


def test_the_same_text_again_is_nothing(desk: Desk, at_work: Any) -> None:
    one = at_work("SAME")
    reloads = len(one.reloads)
    desk.path("SAME").touch()
    desk.settle("SAME")
    assert len(one.reloads) == reloads


def test_switched_off_it_cancels_its_entries_and_guards_what_it_holds(desk: Desk, begin: Any) -> None:
    stop = "{target_weight: 0.1, stop_loss: 0.03}"
    one = begin(
        "OFF",
        even=True,
        universe="[SAW, FLAT]",
        params=stop,
        sizing="{use: fixed_weights, with: {weights: {SAW: 0.5}}}",
    )
    desk.run_to("11:00")
    desk.edit("OFF", execution=RESTING, sizing="{use: fixed_weights, with: {weights: {SAW: 0.5, FLAT: 0.5}}}",
              schedule="{calendar: XNYS, every: 1h}")  # fmt: skip
    desk.run_to("12:00")
    held, orders = one.held, one.orders
    assert held.keys() == {"SAW"} and one.resting.keys() == {"FLAT"}
    assert [gone["symbol"] for gone in desk.plan("OFF", enabled="false")["effect"]["cancelled"]] == ["FLAT"]
    desk.edit("OFF", enabled="false")
    one.took_over("live", "tighter")
    assert desk.settles(lambda: not one.resting)
    assert one.phase == "Paused" and one.condition("Ready") == ("False", "Disabled")
    assert one.held == held and one.runtime.trading_state(desk.manager.today(one.runtime)) == "reducing"
    desk.run_to("10:00")  # SAW is at 96: the stop acts
    assert one.since(orders) == [("SAW", "SELL", "stop_loss", held["SAW"], 3)]
    assert one.held == {} and one.refused == []

    desk.edit("OFF", enabled="true")
    one.took_over("live", "looser")
    assert one.phase == "Running" and one.condition("Ready") == ("True", "Ready")
    orders = one.orders
    desk.run_to("10:30")
    assert {(symbol, number) for symbol, *_, number in one.since(orders)} == {("FLAT", 4)}  # SAW stays blocked


def test_switched_on_it_warms_up_and_makes_up_for_nothing(desk: Desk, begin: Any) -> None:
    one = begin("ON", enabled="false", execution=RESTING)
    assert one.last.result.value == "applied" and one.track.running == 1
    assert not any(runtime.name == "ON" for runtime in desk.manager.runtimes)
    assert one.condition("Warm") == ("Unknown", "NotStarted") and one.condition("Ready") == ("False", "NotStarted")
    desk.run_to("11:00")
    desk.edit("ON", enabled="true")
    one.took_over("live", "looser")
    assert one.version.buffer.panel().bars >= 6 and one.condition("Warm") == ("True", "Warm")
    desk.run_to("15:00")
    assert one.orders == []  # the evaluation of 10:00 was missed
    desk.run_to("10:30")
    assert {number for *_, number in one.since([])} == {2} and one.resting.keys() == {"CALM", "FLAT"}


def test_hooks_wait_for_the_end_of_the_trading_window_and_keep_session_and_orders(desk: Desk, at_work: Any) -> None:
    one = at_work("HOOKED", hooks=HOOKED, hook_params="{desk: first}", params="{target_weight: 0.1, stop_loss: 0.5}")
    held, resting, orders = one.held, one.resting, one.orders
    session, client_id = one.runtime.instance.ib, one.runtime.client_id
    desk.edit("HOOKED", hook_params="{desk: second}")
    assert (one.state, one.last.result.value, one.last.apply) == ("waiting", "waiting", "restart")
    assert one.generation == 2 and one.condition("Applied") == ("False", "Waiting")
    desk.engine.look()
    assert desk.engine.settled(1) and one.generation == 2
    desk.run_to("15:30")
    desk.engine.look()
    assert desk.engine.settled(1) and one.generation == 2
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])

    desk.run_to("16:00")
    desk.engine.look()
    assert desk.engine.settled(30)
    one.took_over("restart", "looser")
    assert one.runtime.instance.ib is session and one.runtime.client_id == client_id
    assert [result.result.value for result in one.reloads].count("waiting") == 1
    desk.run_to("11:00")
    assert reload_hooks.TOLD[-1] == ("HOOKED", "second") and one.held == held
    assert {number for *_, number in one.since(orders)} == {3}


def test_hooks_are_changed_at_once_when_an_operator_says_so(desk: Desk, at_work: Any) -> None:
    one = at_work("NOW", hooks=HOOKED)
    held, resting, orders = one.held, one.resting, one.orders
    desk.edit("NOW", hooks="{before_orders: reload_hooks:half}")
    assert one.state == "waiting"
    assert desk.service.orders.apply_now("NOW", actor="kim").value == "applied"
    one.took_over("restart", "looser")
    assert (one.last.cause, one.last.actor) == ("approve", "kim")
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])
    desk.run_to("11:00")
    (sent,) = one.orders[len(orders) :]
    assert float(sent.request.quantity) == pytest.approx(resting["FLAT"] / 2, rel=0.02)


def test_an_exit_under_way_is_kept_when_hooks_change(desk: Desk, at_work: Any) -> None:
    one = at_work("EXITING", hooks=HOOKED)
    desk.run_to("16:00")
    desk.manager._broker_loop.call(one.runtime.instance.close_position("CALM"), 10)  # waits for the next open
    exits = [order.intent.order_ref for order in one.working if order.intent.request.purpose.value == "exit"]
    assert len(exits) == 1
    desk.edit("EXITING", hooks="{before_orders: reload_hooks:half}")
    one.took_over("restart", "looser")
    assert exits[0] in {order.intent.order_ref for order in one.working}
    desk.run_to("09:59")
    assert one.held == {} and len([o for o in one.orders if o.request.purpose.value == "exit"]) == 1


def test_another_name_is_another_strategy_and_the_old_one_keeps_what_it_holds(desk: Desk, at_work: Any) -> None:
    one = at_work("OLDNAME")
    held, resting, orders = one.held, one.resting, one.orders
    text = desk.path("OLDNAME").read_text()
    try:
        desk.path("OLDNAME").write_text(text.replace("OLDNAME", "NEWNAME"))
        new = desk.settle("NEWNAME")
        assert new.last.result.value == "applied" and new.generation == 1
        assert new.held == {} and new.runtime.client_id != one.runtime.client_id
        assert one.held == held and one.phase == "Held"
        assert one.condition("Held") == ("True", "FileMissing") and one.condition("Ready") == ("False", "FileMissing")
        assert one.stored.state == "" and one.since(orders) == []
        assert resting and desk.settles(lambda: not one.resting)
    finally:
        desk.path("OLDNAME").write_text(text)
        desk.settle("OLDNAME")
    assert new.stored.state == "removed" and not any(run.name == "NEWNAME" for run in desk.manager.runtimes)
    assert one.phase == "Running" and one.held == held


@pytest.mark.parametrize("version", ["2", "0", '"1"'])
def test_a_version_of_the_format_that_is_not_read_leaves_what_runs(desk: Desk, begin: Any, version: str) -> None:
    name = f"SPEC{version.strip(chr(34))}{len(version)}"
    one = begin(name)
    path: Path = desk.path(name)
    path.write_text(path.read_text().replace("spec: 1", f"spec: {version}"))
    desk.settle(name)
    assert (one.state, one.last.result.value, one.generation) == ("refused", "refused", 1)
    assert f"{path.name}:1:7" in one.text
    assert one.condition("Valid") == ("False", "Problems") and one.condition("Applied") == ("False", "Refused")
    assert one.condition("Ready") == ("True", "Ready")
