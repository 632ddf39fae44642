"""Strategies that do not run yet, or no more, while their files are edited; and what can be said of them meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
import reload_hooks
from reload_support import WAIT_S, Desk, One

from runner.gateway.session import Session
from runner.manager.reload import trials

HOOKED = "{before_orders: reload_hooks:before_orders}"


@contextmanager
def deaf(desk: Desk) -> Iterator[None]:
    """The gateway takes no new connections; those that stand go on."""
    server = desk.running.gateway.server
    port = desk.running.gateway.port

    async def close() -> None:
        server._server.close()

    async def listen() -> None:
        server._server = await server.loop.create_server(lambda: Session(server), server.host, port)

    desk.running.gateway.call(close())
    try:
        yield
    finally:
        desk.running.gateway.call(listen())


@pytest.fixture(scope="module")
def desk(make_desk: Any) -> Desk:
    """As `desk`, with everything looked after that a runner looks after."""
    found: Desk = make_desk(plugins=("reload_hooks",))
    found.begin()
    found.engine.start()
    return found


def came_to(desk: Desk, one: One, *, condition: str, status: str, reason: str) -> None:
    assert desk.settles(lambda: one.condition(condition) == (status, reason)), one.condition(condition)


def test_a_new_file_that_cannot_run_is_refused_at_its_line_and_runs_once_it_is_mended(desk: Desk, begin: Any) -> None:
    one = begin("NEWBAD", universe="[CALM, NOSUCH]")
    assert (one.state, one.last.result.value, one.track.running) == ("refused", "refused", 0)
    assert one.text.startswith(f"at {desk.shown('NEWBAD')}:3:18: ") and "NOSUCH" in one.text
    assert one.condition("Warm") == ("False", "Failed") and one.condition("Ready") == ("False", "Failed")
    desk.edit("NEWBAD", universe="[CALM, FLAT]")
    assert one.last.result.value == "applied" and one.generation == 2 and one.phase == "Running"
    assert one.condition("Warm") == ("True", "Warm") and one.condition("Ready") == ("True", "Ready")


def test_a_strategy_that_failed_is_started_again_by_the_edit_that_mends_it(desk: Desk, at_work: Any) -> None:
    one = at_work("MENDED", hooks=HOOKED)
    held = one.held

    def fail(_context: Any, _targets: Mapping[str, Decimal]) -> None:
        raise LookupError("not today")

    reload_hooks.BEFORE["MENDED"] = fail
    desk.run_to("11:00")
    del reload_hooks.BEFORE["MENDED"]
    came_to(desk, one, condition="Warm", status="False", reason="Failed")
    assert "not today" in one.runtime.reason and one.held == held and one.condition("Applied") == ("True", "Applied")
    assert one.runtime.trading_state(desk.manager.today(one.runtime)) == "reducing"
    desk.edit("MENDED", description="Nothing of it is mended.")
    assert one.phase == "Failed"
    desk.edit("MENDED", hooks="")
    assert one.last.result.value == "applied" and one.last.apply == "restart"  # at once: it is not at work
    assert one.generation == 3 and one.phase == "Running" and one.held == held
    assert one.condition("Ready") == ("True", "Ready")


def test_a_failed_strategy_and_an_edit_that_does_not_mend_it(desk: Desk, begin: Any) -> None:
    one = begin("STILLBAD", hooks=HOOKED)

    def fail(_context: Any, _targets: Mapping[str, Decimal]) -> None:
        raise LookupError("not today")

    reload_hooks.BEFORE["STILLBAD"] = fail
    desk.run_to("10:30")
    del reload_hooks.BEFORE["STILLBAD"]
    came_to(desk, one, condition="Warm", status="False", reason="Failed")
    desk.edit("STILLBAD", universe="[CALM, NOSUCH]")
    assert (one.state, one.track.running, one.phase) == ("refused", 1, "Failed") and "NOSUCH" in one.text
    assert one.stored.generation == 1
    desk.edit("STILLBAD", universe="[CALM]")
    assert one.phase == "Running" and one.last.result.value == "applied"


@pytest.fixture
def slow_library(desk: Desk, monkeypatch: Any) -> Iterator[tuple[threading.Event, list[str]]]:
    """A library whose symbols are listed once the event is set: until then its strategies are warming."""
    listed, symbols = threading.Event(), ["CALM", "FLAT"]

    def library_symbols(library: str) -> list[str]:
        listed.wait(WAIT_S)
        return list(symbols)

    monkeypatch.setattr(desk.manager, "library_symbols", library_symbols)
    monkeypatch.setattr(trials, "START_WAIT_S", 0.05)
    yield listed, symbols
    listed.set()


def test_an_edit_waits_for_a_strategy_that_is_warming_and_its_tighter_cap_does_not(
    desk: Desk, begin: Any, slow_library: Any
) -> None:
    listed, _ = slow_library
    one = begin("WARMING", universe="{library: slow}", params="{target_weight: 0.1, max_position_size: 0.6}")
    assert one.state == "applied" and one.condition("Warm") == ("False", "Warming")
    assert one.condition("Ready") == ("False", "Warming") and one.condition("Connected") == ("True", "SessionStands")
    desk.edit("WARMING", params="{target_weight: 0.1, max_position_size: 0.3}")
    assert (one.state, one.last.result.value) == ("waiting", "waiting") and "is not warm yet" in one.text
    assert one.runtime.params.max_position_size == 0.3
    for _ in range(3):
        desk.later(120)
    assert [event.result.value for event in one.reloads].count("waiting") == 1
    listed.set()
    assert desk.settles(lambda: one.track.running == 2)  # nobody has to wait for the next try
    assert desk.engine.settled(WAIT_S)
    one.took_over("live", "tighter")
    assert one.condition("Warm") == ("True", "Warm")


def test_a_version_that_fails_after_a_long_warm_up_is_refused_then(desk: Desk, begin: Any, slow_library: Any) -> None:
    listed, symbols = slow_library
    one = begin("LATEFAIL", universe="{library: slow}")
    assert one.condition("Warm") == ("False", "Warming") and one.track.running == 1
    symbols.append("NOSUCH")
    listed.set()
    assert desk.settles(lambda: one.state == "refused") and desk.engine.settled(WAIT_S)
    assert one.track.running == 0 and "NOSUCH" in one.text and one.text.startswith(f"at {desk.shown('LATEFAIL')}:3:")
    assert [event.result.value for event in one.reloads] == ["applied", "refused"]


def test_a_strategy_that_cannot_connect_is_started_again_with_growing_pauses(desk: Desk, begin: Any) -> None:
    with deaf(desk):
        one = begin("NOSESSION")
        assert one.state == "waiting" and one.condition("Warm") == ("False", "Failed")
        desk.later(2)
        assert one.state == "waiting"
    desk.later(10)
    assert one.state == "applied", (one.text, one.track.waiting, desk.system.monotonic())
    assert one.generation == 1 and one.condition("Ready") == ("True", "Ready")


def test_a_lost_session_shows_and_an_edit_is_in_force_before_it_is_back(desk: Desk, at_work: Any) -> None:
    one = at_work("CUT", params="{target_weight: 0.1, max_position_size: 0.6}")
    (before,) = [c for c in one.row["conditions"] if c["type"] == "Connected"]
    with deaf(desk):
        desk.running.cut_session("CUT")
        came_to(desk, one, condition="Connected", status="False", reason="SessionLost")
        assert one.condition("Ready") == ("False", "SessionLost") and one.condition("Warm") == ("True", "Warm")
        desk.edit("CUT", params="{target_weight: 0.1, max_position_size: 0.3}")
        assert one.generation == 3 and one.runtime.params.max_position_size == 0.3
    assert desk.settles(lambda: one.condition("Ready") == ("True", "Ready"))
    desk.run_to("11:30")
    assert one.resting == {}  # as soon as there is somebody to tell
    (after,) = [c for c in one.row["conditions"] if c["type"] == "Connected"]
    assert after["status"] == before["status"] == "True"


def test_a_lost_gateway_shows_and_an_edit_that_needs_it_waits(desk: Desk, at_work: Any) -> None:
    one = at_work("LOSTGW")

    async def cut() -> None:
        desk.running.gateway.server.by_client_id[0].abort()

    with deaf(desk):
        desk.running.gateway.call(cut())
        came_to(desk, one, condition="Connected", status="False", reason="GatewayLost")
        desk.edit("LOSTGW", universe="[CALM, FLAT, SAW]", bars="{size: 1 hour, history: 6}")
        assert one.state == "waiting" and one.generation == 2, one.text
    came_to(desk, one, condition="Connected", status="True", reason="SessionStands")
    desk.later(120)
    assert one.state == "applied" and one.generation == 3


def test_conditions_keep_their_time_until_they_change(desk: Desk, begin: Any) -> None:
    one = begin("TIMES")

    def since(kind: str) -> str:
        desk.engine.observing.observe(one.track)
        return str(next(c["last_transition"] for c in one.row["conditions"] if c["type"] == kind))

    first = {kind: since(kind) for kind in ("Valid", "Applied", "Ready", "Held")}
    desk.later(60)
    desk.edit("TIMES", params="{target_weight: 0.05}")
    assert {kind: since(kind) for kind in first} == first  # another version, and as true as before
    desk.path("TIMES").write_text(desk.path("TIMES").read_text() + "x: 1\n")
    desk.settle("TIMES")
    assert since("Valid") > first["Valid"] and since("Applied") > first["Applied"]
    assert (since("Ready"), since("Held")) == (first["Ready"], first["Held"])


def test_a_file_with_the_name_of_a_hand_written_strategy_is_refused(desk: Desk, begin: Any) -> None:
    (desk.folder / "mine.py").write_text("class MineStrategy: pass\n")
    desk.manager.register_python("MINE", "mine.py")
    one = begin("MINE")
    assert one.state == "refused" and "MINE is already a hand-written strategy (mine.py)" in one.text
    row = one.stored
    assert (row.filename, row.managed_by, row.params) == ("mine.py", "", "")


def test_an_operator_who_stopped_a_strategy_is_not_overruled_by_an_edit(desk: Desk, begin: Any) -> None:
    one = begin("STOPPED", params="{target_weight: 0.1, max_position_size: 0.6}")
    desk.manager.stop_strategy("STOPPED", "lunch", by_operator=True)
    desk.edit("STOPPED", params="{target_weight: 0.1, max_position_size: 0.3}")
    assert one.last.result.value == "applied" and one.track.running == 2 and one.phase == "Stopped"
    assert one.condition("Warm") == ("False", "Stopped") and one.stored.generation == 2
    desk.manager.start_strategy("STOPPED")
    desk.manager.wait_until_warm("STOPPED", WAIT_S)
    assert one.version.spec.params.max_position_size == 0.3 and one.generation == 2
