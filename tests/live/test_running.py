"""One runner on its embedded gateway, looked at and ordered about from other processes, and started a second time."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from live_support import FLIP, HOLD, SWING, WAIT_S, Process, Project, alive, until

from runner.store.arctic_manager import get_ac

UNKNOWN = HOLD.replace("name: HOLD", "name: UNKNOWN").replace("universe: IBM", "universe: NOSUCH")
BROKEN = HOLD.replace("name: HOLD", "name: BROKEN").replace("target_weight: 0.1", "target_wait: 0.1")
BLOCKING = '''\
import time

from runner.strategy.base_strategy import PARAMS as BASE_PARAMS
from runner.strategy.base_strategy import BaseStrategy

PARAMS = {**BASE_PARAMS}


class BlockingStrategy(BaseStrategy):
    """Never gives its loop back."""

    async def initialize_strategy(self):
        pass

    async def run_strategy(self):
        while True:
            time.sleep(3600)
'''


@pytest.fixture(scope="module")
def project(projects: Callable[[], Project]) -> Project:
    return projects().write(
        {
            "hold.yaml": HOLD,
            "swing.yaml": SWING,
            "unknown.yaml": UNKNOWN,
            "broken.yaml": BROKEN,
            "flip.py": FLIP,
            "blocking.py": BLOCKING,
        }
    )


@pytest.fixture(scope="module")
def running(project: Project) -> Iterator[Process]:
    """A runner that has traded."""
    process = project.start().ready()
    for name in ("HOLD", "SWING"):
        process.event(type="fill", strategy=name)
    yield process


def test_a_file_with_problems_is_named_and_the_others_run(running: Process) -> None:
    assert "broken.yaml:7:" in running.err
    assert "target_wait" in running.err and "target_weight" in running.err
    assert running.phases() == {"HOLD": "Running", "SWING": "Running", "UNKNOWN": "Failed"}
    assert running.row("BROKEN")["phase"] is None and running.row("BROKEN")["reload"]["state"] == "refused"


def test_status_says_why_a_strategy_failed(running: Process) -> None:
    said = running.project.say("status", "--json")
    assert said.code == 0
    rows = {row["name"]: row for row in said.json["strategies"]}
    assert rows["UNKNOWN"]["phase"] == "Failed" and "NOSUCH" in rows["UNKNOWN"]["reason"]
    assert rows["HOLD"]["phase"] == "Running" and rows["HOLD"]["positions"] == 1
    assert said.json["connected"] is True and Decimal(said.json["equity"]) > 0


def test_positions_orders_and_fills_tell_one_story(running: Process) -> None:
    project = running.project
    positions = project.say("positions", "HOLD", "--json").json["positions"]
    fills = project.say("fills", "HOLD", "--json").json["fills"]
    orders = project.say("orders", "HOLD", "--json").json["orders"]
    assert [row["symbol"] for row in positions] == ["IBM"]
    assert sum(Decimal(row["quantity"]) for row in fills) == Decimal(positions[0]["quantity"])
    assert {row["order_ref"] for row in fills} <= {row["order_ref"] for row in orders}
    assert project.say("positions", "--json").json["unassigned"] == []


def test_tables_are_plain_in_a_pipe(running: Process) -> None:
    said = running.project.say("status")
    assert said.out.splitlines()[0].split()[:2] == ["STRATEGY", "PHASE"]
    assert "\x1b" not in said.out


def test_events_are_followed_from_where_a_reader_stopped(running: Process) -> None:
    kept = running.project.say("events", "--limit", "3").out.splitlines()
    since = json.loads(kept[1])["seq"]
    follower = subprocess.Popen(
        [sys.executable, "-m", "runner", "events", "--follow", "--since", str(since)],
        cwd=running.project.root,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    try:
        assert json.loads(follower.stdout.readline()) == json.loads(kept[2])
        running.ask("pause", name="SWING", reason="a look around")
        seqs = [json.loads(kept[2])["seq"]]
        for line in follower.stdout:
            event = json.loads(line)
            seqs.append(event["seq"])
            if event["type"] == "strategy" and event.get("reason") == "a look around":
                break
        assert seqs == sorted(set(seqs))
    finally:
        running.ask("resume", name="SWING")
        follower.send_signal(signal.SIGINT)
        follower.stdout.close()
        assert follower.wait(WAIT_S) == 130


def test_the_socket_is_its_owners_alone(running: Process) -> None:
    assert stat.S_IMODE((running.project.state_dir / "runner.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(running.project.state_dir.stat().st_mode) == 0o700


def test_a_second_runner_is_refused_and_told_the_first_ones_pid(running: Process) -> None:
    said = running.project.say("run")
    assert said.code == 4
    assert f"in use by process {running.pid}" in said.err
    assert running.running and alive(running.gateway)


def test_a_paused_strategy_opens_nothing(running: Process) -> None:
    assert running.project.say("pause", "SWING", "--reason", "test").code == 0
    assert running.phases()["SWING"] == "Paused"
    until(lambda: not running.ask("orders", name="SWING", open=True)["orders"], "its orders are over")
    paused = running.last_seq()
    # HOLD's next decisions show that the market goes on; FLIP trades every day and shows it better.
    assert running.project.say("start", "FLIP", "--file", "flip.py").code == 0
    for _ in range(4):
        paused_at = running.event(paused, type="fill", strategy="FLIP")["seq"]
        orders = [
            event
            for event in running.ask("events", since=paused)["events"]
            if event["type"] == "order" and event["strategy"] == "SWING"
        ]
        assert [order for order in orders if order["purpose"] not in ("exit", "reduce")] == []
        paused = paused_at
    assert running.project.say("resume", "SWING").code == 0
    running.event(paused, type="order", strategy="SWING")


def test_flatten_closes_everything_and_pauses(running: Process) -> None:
    assert running.project.say("flatten", "HOLD", "--yes", "--reason", "enough").code == 0
    until(lambda: not running.ask("positions", name="HOLD")["positions"], "HOLD is flat")
    assert running.phases()["HOLD"] == "Paused"


def test_stop_ends_the_session_and_start_brings_it_back_paused_as_it_was(running: Process) -> None:
    said = running.project.say("stop", "HOLD", "--json")
    assert (said.code, said.json["changed"][0]["phase"]) == (0, "Stopped")
    running.event(running.last_seq(), type="fill", strategy="SWING")
    assert running.phases()["HOLD"] == "Stopped"
    assert running.project.say("start", "HOLD").code == 0
    assert running.phases()["HOLD"] == "Paused"


def test_a_gateway_that_is_killed_is_started_again_and_trading_goes_on(running: Process) -> None:
    running.event(running.last_seq(), type="fill", strategy="SWING")
    killed = running.last_seq()
    os.kill(running.gateway, signal.SIGKILL)
    assert "killed by signal 9" in running.event(killed, type="notice", code="gateway_ended")["text"]
    restored = running.event(killed, type="notice", code="connection_restored")["seq"]
    for name in ("SWING", "FLIP"):
        running.event(killed, type="notice", code="session_restored", strategy=name)
        running.event(restored, type="fill", strategy=name)
    assert running.phases() == {"FLIP": "Running", "HOLD": "Paused", "SWING": "Running", "UNKNOWN": "Failed"}
    assert alive(running.gateway)


def test_orders_to_unknown_strategies_are_refused_with_the_known_names(running: Process) -> None:
    for words, code in (
        (["pause", "NOBODY"], 1),
        (["start", "NOBODY"], 1),
        (["start", "NEW", "--file", "nofile.py"], 78),
    ):
        said = running.project.say(*words)
        assert said.code == code, said
    assert "HOLD" in running.project.say("pause", "NOBODY").err
    said = running.project.say("start", "UNKNOWN")
    assert said.code == 1, "a start that fails is not a success"
    assert "NOSUCH" in said.out


def test_what_an_operator_ordered_and_what_is_held_survive_a_restart(running: Process) -> None:
    """HOLD was flattened and is stopped; SWING is paused; FLIP goes on trading."""
    running.ask("stop", name="HOLD", reason="for the night")
    running.ask("pause", name="SWING", reason="too wild")
    gateway = running.gateway
    assert running.end(signal.SIGTERM) == 0
    assert not alive(gateway)
    fills = running.project.audit()
    held: Counter[tuple[str, str]] = Counter()
    for fill in fills:
        held[fill.strategy, fill.instrument.symbol] += fill.side.sign * fill.quantity
    told = running.project.say("positions", "--json").json["positions"]
    assert {(row["strategy"], row["symbol"]): Decimal(row["quantity"]) for row in told} == {
        key: quantity for key, quantity in held.items() if quantity
    }
    with get_ac(f"lmdb://{running.project.state_dir / 'arctic'}") as store:
        for name in ("HOLD", "SWING", "FLIP"):
            projected = store.read("fills", name)
            assert list(projected["exec_id"]) == [fill.exec_id for fill in fills if fill.strategy == name]

    again = running.project.start().ready()
    assert again.phases() == {"HOLD": "Stopped", "SWING": "Paused", "FLIP": "Running", "UNKNOWN": "Failed"}
    since = again.last_seq()
    again.event(since, type="fill", strategy="FLIP")
    again.ask("resume", name="SWING")
    again.event(since, type="fill", strategy="SWING")
    again.ask("start", name="HOLD")
    assert again.phases()["HOLD"] == "Paused", "flatten pauses until resume, whatever comes between"
    again.ask("resume", name="HOLD")
    again.event(since, type="fill", strategy="HOLD")

    again.ask("start", name="BLOCKING", file="blocking.py")
    gateway = again.gateway
    assert again.end(signal.SIGINT) == 0, "a strategy that blocks for ever does not hold up the end"
    assert "BLOCKING did not stop" in again.err
    assert not alive(gateway)
    again.project.audit()
