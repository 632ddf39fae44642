"""What was decided about a strategy lasts: over a restart, a removed file, and a runner that was killed."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from typing import Any

import pytest
from reload_blocks import with_touchy_block
from reload_support import RESTING, Desk, One, params, store_away, write_row

from runner.catalog import BUILT_IN
from runner.manager.app import first_look
from runner.manager.reload.history import history_view
from runner.manager.reload.orders import NotDecided
from runner.manager.reload.verbs import ReloadVerbs
from runner.manager.verbs import Verbs
from runner.model.annotations import Loosening
from runner.store.arctic_manager import get_ac

WAIT_S = 30.0
TOUCHY = "{hold: {use: touchy, with: {below: 60}}}"
HOUR = timedelta(hours=1)


def started(desk: Desk, name: str, **sections: str) -> One:
    desk.write(name, **({"params": params()} | sections))
    desk.begin()
    return One(desk, name)


def names(desk: Desk) -> set[str]:
    return {runtime.name for runtime in desk.manager.runtimes}


# -- files that are missing at the start


def test_the_only_file_missing_at_the_start_is_not_believed_to_be_gone(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk()
    first.run_to_close()
    started(first, "SOLO", on_remove="flatten")
    first.run_to("11:00")
    second = restart(first, lambda desk: shutil.move(desk.folder, f"{desk.folder}.away"))
    second.engine.start()
    one = One(second, "SOLO")
    assert one.phase == "Paused" and "looks like an accident" in one.runtime.reduce_only
    orders = one.orders
    second.run_to("12:00")
    assert one.held and one.since(orders) == [] and second.service.deletions_held == ["SOLO"]


@pytest.mark.parametrize("why", ["the store", "runner.yaml"])
def test_a_turn_for_another_reason_lets_no_doubted_file_go(make_desk: Any, restart: Any, why: str) -> None:
    first: Desk = make_desk()
    first.write("SECOND", params=params())
    started(first, "FIRST")
    second = restart(first, lambda desk: [desk.path(name).unlink() for name in ("FIRST", "SECOND")])
    if why == "the store":
        write_row(second.manager.store, "FIRST", params={"risk_per_trade": 0.02})
        second.engine.in_place.compare_with_store(WAIT_S)
    else:
        second.engine.use(Loosening.CONFIRM)
        assert second.engine.settled(WAIT_S)
    assert names(second) == {"FIRST", "SECOND"}
    assert second.service.approve_deletions() == ["FIRST", "SECOND"]
    assert second.settles(lambda: not names(second))


def test_a_runner_of_one_strategy_leaves_the_files_of_others_alone(make_desk: Any) -> None:
    desk: Desk = make_desk()
    desk.write("TWO", params=params())
    desk.write("ONE", params=params())
    desk.begin(only="ONE")
    desk.edit("ONE", params=params(max_position_size=0.5))
    assert names(desk) == {"ONE"} and One(desk, "ONE").version.spec.params.max_position_size == 0.5


# -- decisions


def test_a_rejection_lasts_though_another_version_came_after_it(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk(loosening=Loosening.CONFIRM)
    started(first, "NO")
    first.edit("NO", params=params(max_position_size=0.9))
    first.service.orders.reject("NO", 2, actor="kim")
    first.service.orders.override("NO", "params.max_daily_trades", 7, lasts=HOUR, actor="kim", reason="news")
    second = restart(first)
    assert One(second, "NO").condition("Applied") == ("False", "Rejected")
    second.engine.use(Loosening.AUTO)
    assert second.engine.settled(WAIT_S)
    assert One(second, "NO").version.spec.params.max_position_size == 0.6


def test_an_approval_that_had_to_wait_is_not_asked_for_again(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk(loosening=Loosening.CONFIRM)
    started(first, "YES")
    first.edit("YES", params=params(max_position_size=0.9))
    with store_away():
        assert first.service.orders.approve("YES", 2, actor="kim").value == "waiting"
    one = One(restart(first), "YES")
    assert (one.state, one.generation, one.version.spec.params.max_position_size) == ("applied", 2, 0.9)


@pytest.mark.parametrize("restarted", [False, True])
def test_an_override_that_is_younger_than_a_held_edit_outlasts_its_approval(
    make_desk: Any, restart: Any, restarted: bool
) -> None:
    desk: Desk = make_desk(loosening=Loosening.CONFIRM)
    one = started(desk, "EMERGENCY")
    desk.edit("EMERGENCY", params=params(max_position_size=0.9))
    desk.service.orders.override("EMERGENCY", "params.max_position_size", 0.1, lasts=HOUR, actor="kim", reason="now")
    if restarted:
        desk = restart(desk)
        one = One(desk, "EMERGENCY")
    desk.service.orders.approve("EMERGENCY", one.track.newest.generation, actor="kim")
    assert one.runtime.params.max_position_size == 0.1


def test_what_comes_back_with_a_larger_cap_is_held(make_desk: Any) -> None:
    desk: Desk = make_desk(loosening=Loosening.CONFIRM)
    one = started(desk, "AGAIN")
    desk.remove("AGAIN")
    assert names(desk) == set()
    desk.edit("AGAIN", params=params(max_position_size=5))
    assert one.state == "held" and names(desk) == set()
    assert desk.service.orders.approve("AGAIN", 2, actor="kim").value == "applied"
    assert one.phase == "Running" and one.generation == 2
    desk.remove("AGAIN")
    desk.edit("AGAIN", params=params(max_position_size=0.3))
    assert one.phase == "Running" and one.generation == 3


def test_a_file_that_was_set_aside_and_removed_counts_when_it_is_back(make_desk: Any) -> None:
    desk: Desk = make_desk()
    one = started(desk, "ASIDE")
    desk.edit("ASIDE", params=params(max_position_size=0.5))
    desk.service.orders.rollback("ASIDE", 1, actor="kim")
    desk.remove("ASIDE")
    desk.edit("ASIDE", params=params(max_position_size=0.5))
    assert one.phase == "Running" and one.condition("Applied") == ("True", "Applied")


def test_a_strategy_without_a_file_is_not_rolled_back(make_desk: Any) -> None:
    desk: Desk = make_desk()
    started(desk, "NOFILE")
    desk.remove("NOFILE")
    with pytest.raises(NotDecided, match="NOFILE has no file"):
        desk.service.orders.rollback("NOFILE", 1, actor="kim")
    assert names(desk) == set()


def test_what_is_held_is_asked_for_no_more_once_its_file_is_gone(make_desk: Any) -> None:
    desk: Desk = make_desk(loosening=Loosening.CONFIRM)
    desk.run_to_close()
    one = started(desk, "GONE")
    desk.run_to("11:00")
    assert one.held
    desk.edit("GONE", params=params(max_position_size=5))
    desk.remove("GONE")
    assert one.condition("Held") == ("True", "FileMissing")
    with pytest.raises(NotDecided, match="nothing of GONE is held"):
        desk.service.orders.approve("GONE", 2, actor="kim")
    assert one.runtime.params.max_position_size == 0.6


def test_what_an_operator_stopped_opens_nothing_either_when_its_file_has_problems(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk()
    started(first, "STOPPED")
    first.manager.stop_strategy("STOPPED", "by hand", True)
    second = restart(first, lambda desk: desk.path("STOPPED").write_text(desk.path("STOPPED").read_text() + "x: 1\n"))
    second.manager.start_strategy("STOPPED")
    second.manager.wait_until_warm("STOPPED", WAIT_S)
    one = One(second, "STOPPED")
    assert (one.state, one.generation) == ("refused", 1) and not second.manager.may_open("STOPPED")


def test_what_an_operator_stopped_can_be_started_when_its_file_is_back(make_desk: Any) -> None:
    desk: Desk = make_desk()
    started(desk, "STOPPED")
    desk.manager.stop_strategy("STOPPED", "by hand", True)
    desk.remove("STOPPED")
    desk.edit("STOPPED")
    assert One(desk, "STOPPED").phase == "Stopped"
    desk.manager.start_strategy("STOPPED")
    assert desk.manager.wait_until_warm("STOPPED", WAIT_S) == "Running"


# -- what ran last


def test_a_runner_killed_before_a_version_came_to_run_still_knows_the_one_before(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk(catalog=with_touchy_block())
    first.run_to_close()
    started(first, "TRIAL")
    first.run_to("11:00")
    assert One(first, "TRIAL").held
    first.close()
    first.manager.close()
    first.write("TRIAL", signals=TOUCHY)
    killed: Desk = make_desk(
        state=first.folder.parent, gateway=first.running.gateway, catalog=first.catalog, system=first.system
    )
    killed.sections = first.sections
    first_look(killed.service, None)  # the version is on the record, and has not come to run
    last = restart(killed)
    last.engine.start()
    one = One(last, "TRIAL")
    assert last.settles(lambda: one.state == "refused" and one.condition("Warm")[0] == "True")
    assert one.generation == 1 and one.phase == "Paused" and one.held


def test_a_new_strategy_that_was_refused_has_not_run(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk(loosening=Loosening.CONFIRM)
    first.begin()
    first.edit("NEVER", universe="[CALM, NOSUCH]", params=params())
    assert One(first, "NEVER").state == "refused" and One(first, "NEVER").stored.state == "removed"
    second = restart(first, lambda desk: desk.write("NEVER", universe="[CALM, FLAT]"))
    one = One(second, "NEVER")
    assert (one.state, one.phase, one.stored.state) == ("applied", "Running", "")
    history = second.manager.journal.generations.history("NEVER", 9)
    assert [(version.generation, version.state.value) for version in history] == [(2, "applied"), (1, "refused")]


def test_where_what_ran_last_cannot_be_built_the_file_needs_an_approval(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk(loosening=Loosening.CONFIRM, catalog=with_touchy_block())
    started(first, "UNBUILT", signals="{hold: {use: touchy, with: {below: 1}}}")
    first.catalog = BUILT_IN
    second = restart(first, lambda desk: desk.write("UNBUILT", signals="{hold: {use: buy_and_hold}}"))
    one = One(second, "UNBUILT")
    assert one.state == "held" and "cannot be built any more" in one.text and names(second) == set()
    assert second.service.orders.approve("UNBUILT", 2, actor="kim").value == "applied"
    assert one.phase == "Running"


def test_other_values_than_ran_last_have_a_number_of_their_own(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk(loosening=Loosening.CONFIRM)
    one = started(first, "NUMBER")
    first.edit("NUMBER", params=params(max_position_size=0.9))
    first.service.orders.override("NUMBER", "params.max_daily_trades", 3, lasts=HOUR, actor="kim", reason="news")
    before = one.generation
    second = restart(first, lambda desk: desk.system.set(desk.system.now() + 2 * HOUR))
    one = One(second, "NUMBER")
    assert one.version.spec.params.max_daily_trades == 0 and one.generation == before + 1
    assert (one.state, one.row["generations"]["file"]) == ("held", 2)
    assert one.condition("Applied") == ("False", "Held") and one.condition("Held") == ("True", "Loosening")


def test_a_cap_that_the_store_tightened_meanwhile_cancels_entries_though_the_file_is_held(
    make_desk: Any, restart: Any
) -> None:
    first: Desk = make_desk(loosening=Loosening.CONFIRM)
    first.run_to_close()
    one = started(first, "BOTH", sizing="{use: fixed_weights, with: {weights: {CALM: 0.5}}}")
    first.run_to("11:00")
    both = "{use: fixed_weights, with: {weights: {CALM: 0.5, FLAT: 0.5}}}"
    first.edit("BOTH", sizing=both, execution=RESTING)
    first.service.orders.apply_now("BOTH", actor="kim")
    first.run_to("11:00")
    assert one.resting.keys() == {"FLAT"}
    first.edit("BOTH", params=params(max_position_size=0.9))

    def tighten(desk: Desk) -> None:
        with get_ac(desk.manager.config.store_uri) as store:
            write_row(store, "BOTH", params={"max_position_size": 0.2})

    second = restart(first, tighten)
    second.engine.start()
    one = One(second, "BOTH")
    assert one.runtime.params.max_position_size == 0.2 and one.state == "held"
    assert second.settles(lambda: not one.resting)


def test_what_is_missing_in_doubt_stays_so_over_a_restart_though_others_are_back(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk()
    for name in ("ONE", "TWO", "REST1", "REST2", "REST3"):
        first.write(name, params=params())
    first.begin()
    text = first.path("TWO").read_text()
    first.path("ONE").unlink()
    first.path("TWO").unlink()
    assert first.service.rescan(WAIT_S) and len(first.service.deletions_held) == 2
    first.path("TWO").write_text(text)
    assert first.service.rescan(WAIT_S) and len(first.service.deletions_held) == 1
    second = restart(first)
    assert names(second) == {"ONE", "TWO", "REST1", "REST2", "REST3"} and second.service.deletions_held == ["ONE"]
    third = restart(second)  # it is one of many now, and nobody has said anything
    assert "ONE" in names(third) and third.service.approve_deletions() == ["ONE"]
    assert third.settles(lambda: "ONE" not in names(third))
    assert "ONE" not in names(restart(third))


def test_a_rollback_to_what_runs_lasts(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk(loosening=Loosening.CONFIRM)
    one = started(first, "STAY")
    first.edit("STAY", params=params(max_position_size=0.9))
    assert one.state == "held" and first.service.orders.rollback("STAY", 1, actor="kim").value == "unchanged"
    second = restart(first)
    one = One(second, "STAY")
    assert one.condition("Applied") == ("False", "RolledBack") and one.condition("Held") == ("False", "NothingHeld")
    second.engine.use(Loosening.AUTO)
    assert second.engine.settled(WAIT_S) and one.version.spec.params.max_position_size == 0.6


@pytest.mark.parametrize("rejected", [False, True])
def test_what_ended_and_is_held_on_its_return_is_shown_and_does_not_run(
    make_desk: Any, restart: Any, rejected: bool
) -> None:
    desk: Desk = make_desk(loosening=Loosening.CONFIRM)
    started(desk, "BACK")
    desk.remove("BACK")
    desk.edit("BACK", params=params(max_position_size=5))
    if rejected:
        desk.service.orders.reject("BACK", 2, actor="kim", reason="too much")
    for _ in range(2):
        assert names(desk) == set()
        (row,) = asyncio.run(Verbs(desk.manager, desk.service).status({}))["strategies"]
        assert (row["name"], row["phase"]) == ("BACK", None)
        assert row["reload"]["state"] == ("rejected" if rejected else "held")
        assert history_view(desk.manager.journal, "BACK", limit=9)["running"] is None
        desk = restart(desk)


def test_a_file_that_was_set_aside_and_removed_at_a_start_counts_when_it_is_back(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk()
    first.write("OTHER", params=params())
    started(first, "FF")
    first.edit("FF", params=params(max_position_size=0.5))
    first.service.orders.rollback("FF", 1, actor="kim")
    second = restart(first, lambda desk: desk.path("FF").unlink())
    assert names(second) == {"OTHER"}
    second.edit("FF", params=params(max_position_size=0.5))
    assert One(second, "FF").phase == "Running" and One(second, "FF").condition("Applied") == ("True", "Applied")


def test_a_held_rollback_is_still_asked_for_beside_a_temporary_value(make_desk: Any) -> None:
    desk: Desk = make_desk(loosening=Loosening.CONFIRM)
    one = started(desk, "ROLL")
    desk.edit("ROLL", params=params(max_position_size=0.4))
    assert desk.service.orders.rollback("ROLL", 1, actor="kim").value == "held"
    desk.service.orders.override("ROLL", "params.max_daily_trades", 7, lasts=HOUR, actor="kim", reason="news")
    assert (one.state, one.row["generations"]["file"]) == ("held", 3) and one.condition("Applied") == (
        "True",
        "Applied",
    )
    desk.engine.use(Loosening.AUTO)
    assert desk.engine.settled(WAIT_S)
    assert one.version.spec.params.max_position_size == 0.6 and one.condition("Applied") == ("False", "RolledBack")


@pytest.mark.parametrize("what", ["rejected", "refused", "problems"])
def test_what_was_decided_against_is_not_tried_again_for_a_temporary_value(
    make_desk: Any, restart: Any, what: str
) -> None:
    desk: Desk = make_desk(loosening=Loosening.CONFIRM)
    one = started(desk, "NOT")
    match what:
        case "rejected":
            desk.edit("NOT", params=params(max_position_size=0.9))
            desk.service.orders.reject("NOT", 2, actor="kim", reason="too much")
        case "refused":
            desk.edit("NOT", universe="[CALM, NOSUCH]")
            desk.service.orders.apply_now("NOT", actor="kim")
        case "problems":
            desk.path("NOT").write_text(desk.path("NOT").read_text() + "x: 1\n")
            desk.settle("NOT")
    state, number, text = one.state, one.row["generations"]["file"], one.track.newest.text
    desk.service.orders.override("NOT", "params.max_daily_trades", 7, lasts=HOUR, actor="kim", reason="news")
    for _ in range(1 if what == "refused" else 2):  # a start tries again what could not be prepared
        assert (one.state, one.row["generations"]["file"], one.track.newest.text) == (state, number, text)
        assert one.condition("Applied")[0] == "False"
        desk = restart(desk)
        one = One(desk, "NOT")


def test_a_row_that_lost_the_word_of_its_manager_stops_no_start(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk()
    first.write("OTHER", params=params())
    started(first, "LOST")

    def spoil(desk: Desk) -> None:
        with get_ac(desk.manager.config.store_uri) as store:
            write_row(store, "LOST", managed_by="", file="", base="", spec_hash="")

    second = restart(first, spoil)
    assert names(second) == {"LOST", "OTHER"} and One(second, "LOST").stored.managed_by == "runner"


def test_a_plan_knows_that_a_folder_which_is_away_removes_nothing(make_desk: Any) -> None:
    desk: Desk = make_desk()
    desk.write("TWO", params=params())
    started(desk, "ONE")
    shutil.move(desk.folder, f"{desk.folder}.away")
    plan = ReloadVerbs(desk.service)._plan([])
    assert plan["changes"] == 0 and {row["action"] for row in plan["strategies"]} == {"kept"}
    shutil.move(f"{desk.folder}.away", desk.folder)
    assert ReloadVerbs(desk.service)._plan([])["strategies"] == []
