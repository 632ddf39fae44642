"""Turns of the engine: none undoes what another has done, none is the last one, and none begins for nothing."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from reload_support import HELD_ONLY, WAIT_S, Desk, One, params, text_of
from test_coming_to_run import deaf

from runner.errors import NotConnected
from runner.manager.reload.files import text_sha256
from runner.manager.reload.orders import NotDecided
from runner.manager.versions import Versions
from runner.model.annotations import Loosening

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def desk(make_desk: Any) -> Desk:
    """For a live account."""
    found: Desk = make_desk(plugins=("reload_hooks",), loosening=Loosening.CONFIRM)
    found.begin()
    return found


def refuse_to_prepare(*_: Any) -> Any:
    raise NotConnected("the session is lost")


def test_an_override_that_fails_leaves_a_waiting_tightening_in_force(
    desk: Desk, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = begin("WAITS", params=params())
    with monkeypatch.context() as patch:
        patch.setattr(Versions, "prepare", refuse_to_prepare)
        desk.edit("WAITS", params=params(max_position_size=0.2))
        assert one.state == "waiting" and one.runtime.params.max_position_size == 0.2
        with pytest.raises(NotDecided, match="the session is lost"):
            desk.service.orders.override("WAITS", "params.max_daily_trades", 3, lasts=HOUR, actor="kim", reason="news")
        assert one.state == "waiting" and one.runtime.params.max_position_size == 0.2
    desk.later(120)
    assert one.version.spec.params.max_position_size == 0.2 and one.condition("Applied") == ("True", "Applied")


def test_the_end_of_another_turn_does_not_loosen_what_was_just_tightened(
    desk: Desk, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = begin("UNDO", params=params())
    entered, leave, reading, read = (threading.Event() for _ in range(4))

    def hold() -> None:
        with desk.engine.turn("UNDO"):
            entered.set()
            leave.wait(WAIT_S)

    turn = threading.Thread(target=hold)
    turn.start()
    entered.wait(WAIT_S)
    refresh = desk.manager.strategies.refresh

    def slowly() -> None:
        reading.set()
        read.wait(WAIT_S)
        refresh()

    monkeypatch.setattr(desk.manager.strategies, "refresh", slowly)
    desk.write("UNDO", params=params(max_position_size=0.2))
    desk.engine.wish(desk.look_at_files())
    assert one.runtime.params.max_position_size == 0.2
    leave.set()
    turn.join(WAIT_S)
    assert reading.wait(WAIT_S)  # the lane has the turn now, and has not judged the file yet
    assert one.runtime.params.max_position_size == 0.2
    read.set()
    assert desk.engine.settled(WAIT_S)


def test_a_held_version_that_was_edited_away_cannot_be_approved(
    desk: Desk, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = begin("STALE", params=params())
    desk.edit("STALE", params=params(max_position_size=0.9))
    desk.write("STALE", params=params(max_position_size=0.2))
    with monkeypatch.context() as patch:
        patch.setattr(desk.engine, "schedule", lambda name: None)  # its turn comes in a moment
        desk.engine.wish(desk.look_at_files())
    with pytest.raises(NotDecided, match="does not say any more what STALE@2 does"):
        desk.service.orders.approve("STALE", 2, actor="kim")
    assert one.runtime.params.max_position_size == 0.2
    desk.engine.schedule("STALE")
    assert desk.engine.settled(WAIT_S) and one.version.spec.params.max_position_size == 0.2


def test_a_held_rollback_cannot_be_approved_once_the_file_was_edited(
    desk: Desk, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = begin("EDITED", params=params())
    desk.edit("EDITED", params=params(max_position_size=0.5))
    assert desk.service.orders.rollback("EDITED", 1, actor="kim").value == "held"
    desk.write("EDITED", params=params(max_position_size=0.2))
    with monkeypatch.context() as patch:
        patch.setattr(desk.engine, "schedule", lambda name: None)  # its turn comes in a moment
        desk.engine.wish(desk.look_at_files())
    with pytest.raises(NotDecided, match="does not say any more what EDITED@3 does"):
        desk.service.orders.approve("EDITED", 3, actor="kim")
    assert one.runtime.params.max_position_size == 0.2


def test_a_temporary_value_ends_in_its_time_though_a_version_waits_for_the_window(make_desk: Any) -> None:
    desk: Desk = make_desk(plugins=("reload_hooks",))
    desk.write("EXPIRES", params=params())
    desk.run_to_close()
    desk.begin()
    desk.run_to("11:00")
    one = One(desk, "EXPIRES")
    desk.edit("EXPIRES", hooks="{before_orders: reload_hooks:half}")
    assert one.state == "waiting"
    minutes = timedelta(minutes=5)
    desk.service.orders.override("EXPIRES", "params.max_position_size", 5.0, lasts=minutes, actor="kim", reason="x")
    assert one.runtime.params.max_position_size == 5.0
    desk.later(600)
    assert one.runtime.params.max_position_size == 0.6 and one.state == "waiting"


def test_the_actor_of_an_announced_edit_is_not_lost_to_a_turn_before_it(desk: Desk, begin: Any) -> None:
    one = begin("SAID", params=params())
    text = text_of("SAID", **(desk.sections["SAID"] | {"params": params(max_position_size=0.3)}))
    desk.service.orders.announce("SAID", text_sha256(text), cause="set", actor="kim", reason="CPI")
    desk.engine.schedule("SAID")
    assert desk.engine.settled(WAIT_S)
    desk.edit("SAID", params=params(max_position_size=0.3))
    assert (one.last.cause, one.last.actor, one.last.reason) == ("set", "kim", "CPI")


def test_an_order_that_fails_lets_go_of_everybody_who_waits(desk: Desk, begin: Any) -> None:
    begin("FAILS", params=params())
    entered, leave, settled = (threading.Event() for _ in range(3))

    def fail() -> None:
        with pytest.raises(NotDecided), desk.engine.turn("FAILS"):
            entered.set()
            leave.wait(WAIT_S)
            raise NotDecided("no")

    def wait() -> None:
        assert desk.engine.settled(10 * WAIT_S)
        settled.set()

    threads = [threading.Thread(target=fail), threading.Thread(target=wait)]
    threads[0].start()
    entered.wait(WAIT_S)
    threads[1].start()
    leave.set()
    assert settled.wait(WAIT_S)
    for thread in threads:
        thread.join(WAIT_S)


def turns_of(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    turns: list[str] = []
    look_over = desk.engine.look_over

    def count(track: Any) -> None:
        turns.append(track.name)
        look_over(track)

    monkeypatch.setattr(desk.engine, "look_over", count)
    for _ in range(10):
        desk.engine.look()
        assert desk.engine.settled(WAIT_S)
    return turns


def test_a_file_that_is_back_with_problems_ends_the_wait_for_its_return(
    desk: Desk, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = begin("BACK", params=params(), sizing=HELD_ONLY)
    desk.run_to("11:00")
    assert one.held
    desk.remove("BACK")
    assert one.phase == "Held"
    desk.path("BACK").write_text(text_of("BACK", **desk.sections["BACK"]) + "x: 1\n")
    desk.settle("BACK")
    assert (one.state, one.phase) == ("refused", "Paused") and "its file has problems" in one.runtime.reduce_only
    assert turns_of(desk, monkeypatch) == []


def test_an_error_that_nobody_thought_of_is_tried_again_once(
    desk: Desk, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin("ONCE", params=params())
    desk.path("ONCE").write_text(desk.path("ONCE").read_text() + "x: 1\n")
    desk.settle("ONCE")
    with monkeypatch.context() as patch:
        patch.setattr(desk.engine.in_place, "settle", lambda track: 1 / 0)
        desk.engine.schedule("ONCE")
        assert desk.engine.settled(WAIT_S)
    assert desk.engine.track("ONCE").waiting is not None
    desk.system.set(desk.system.now() + timedelta(seconds=61))
    assert turns_of(desk, monkeypatch) == ["ONCE"]


def test_one_failing_look_is_not_the_last(make_desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk: Desk = make_desk()
    desk.write("TICKS", params=params())
    desk.begin()
    looks = threading.Semaphore(0)

    def fail(track: Any) -> bool:
        looks.release()
        raise OSError("disk I/O error")

    monkeypatch.setattr(desk.engine.in_place, "has_expired", fail)
    desk.engine.start()
    assert all(looks.acquire(timeout=WAIT_S) for _ in range(3))


def test_what_an_operator_stopped_is_not_started_again_with_the_session(make_desk: Any) -> None:
    desk: Desk = make_desk()
    desk.write("DEAF", params=params())
    one = One(desk, "DEAF")
    with deaf(desk):
        desk.begin()
        desk.engine.start()
        assert desk.settles(lambda: one.track.revival is not None)
        desk.manager.stop_strategy("DEAF", "by hand", True)
    for _ in range(3):
        desk.later(60)
    assert desk.manager.journal.operator_state("DEAF") == "stopped" and one.phase == "Failed"
    desk.manager.start_strategy("DEAF")
    assert desk.manager.wait_until_warm("DEAF", WAIT_S) == "Running"
    assert desk.settles(lambda: one.track.revival is None)
