"""The runner and its gateway, killed at any moment: after the next start everything has been kept, and kept once."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
from collections.abc import Callable

from live_support import FLIP, HOLD, STOP_S, SWING, Process, Project, alive, children, until

from runner.store.journal import Journal

KILLS = int(os.environ.get("RUNNER_KILLS", "2"))
"""How often the runner is killed; `make kill-test` sets more."""
SEED = int(os.environ.get("RUNNER_KILL_SEED", "7"))
MOMENTS = ("order", "status_change", "fill", "commission", "strategy")
"""The kinds of events right after which it is killed; `strategy` is while it is still starting."""


def kill_after(process: Process, kind: str, count: int) -> None:
    """kill -9 as soon as `count` events of the kind have been kept since the start, and see its gateway end too."""
    gateway = int(until(lambda: children(process.pid), "the gateway")[0])
    with Journal.read_only(process.project.journal) as journal:
        until(
            lambda: len(journal.events(process.started_at, kinds=(kind,))) >= count,
            f"{count} events of kind {kind}; stderr:\n{process.err}",
        )
        process.kill()
    until(lambda: not alive(gateway), "the gateway of a killed runner ends by itself")


def test_nothing_is_lost_or_doubled_however_often_the_runner_is_killed(projects: Callable[[], Project]) -> None:
    project = projects().write({"hold.yaml": HOLD, "swing.yaml": SWING, "flip.py": FLIP})
    chance = random.Random(SEED)
    process = project.start().ready()
    process.ask("start", name="FLIP", file="flip.py")
    for _ in range(KILLS):
        kind = chance.choice(MOMENTS)
        kill_after(process, kind, 1 if kind == "strategy" else chance.randint(1, 40))
        process = project.start()
    process.ready()
    for name in ("SWING", "FLIP"):
        process.event(process.started_at, type="fill", strategy=name)
    gateway = process.gateway
    assert process.end() == 0
    assert not alive(gateway)
    fills = project.audit()
    assert {fill.strategy for fill in fills} == {"HOLD", "SWING", "FLIP"}


def test_a_signal_while_it_starts_ends_it_as_cleanly(projects: Callable[[], Project]) -> None:
    project = projects().write({"hold.yaml": HOLD})
    process = project.start()
    gateway = int(until(lambda: children(process.pid), "the gateway")[0])
    assert process.end() == 0, process.err
    assert "Traceback" not in process.err
    until(lambda: not alive(gateway), "its gateway ends too")


def test_a_terminal_that_goes_away_ends_it_as_cleanly(projects: Callable[[], Project]) -> None:
    """While it is there, SIGHUP is somebody who wants the files looked at."""
    project = projects().write({"hold.yaml": HOLD})
    ours, theirs = os.openpty()
    process = project.start("run", "--no-watch", terminal=theirs).ready()
    os.close(theirs)
    gateway, since = process.gateway, process.last_seq()
    project.edit("hold.yaml", "target_weight: 0.1", "target_weight: 0.05")
    process.send(signal.SIGHUP)
    process.reloaded(since, "HOLD", result="applied")
    os.close(ours)
    assert process.wait(STOP_S) == 0
    assert not alive(gateway)
    project.audit()


def test_it_ends_in_time_while_a_command_waits_for_a_file_that_is_being_written(
    projects: Callable[[], Project],
) -> None:
    project = projects().write({"hold.yaml": HOLD})
    process = project.start().ready()
    (project.strategies / "hold.yaml").write_text("")  # empty: an editor is at it
    until(lambda: process.ask("status")["watch"]["settling"], "the watcher has seen it")
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(project.state_dir / "runner.sock"))
        asking.settimeout(STOP_S)
        asking.sendall(b'{"verb": "reload"}\n')
        process.ask("status")  # it has come after the other request
        assert process.end(signal.SIGINT) == 0
        answer = json.loads(asking.makefile().readline())
    assert answer["result"]["settled"] is False
    project.audit()


def test_a_gateway_of_ones_own_may_go_and_come_back(projects: Callable[[], Project]) -> None:
    """The configured gateway is not ours to start: the runner says that it is gone, waits, and trades on."""
    project = projects()
    serve = ("gateway", "--speed", "1", "--state", "own.db", "--no-limits")
    gateway = project.start(*serve, "--port", "0")
    port = str(project.wait_for_gateway(gateway))
    project.write({"hold.yaml": HOLD, "keeper.py": KEEPER}, config=f"ib: {{port: {port}}}\n")
    process = project.start().ready()
    process.ask("start", name="KEEPER", file="keeper.py")
    process.event(type="fill", strategy="KEEPER")

    gateway.kill()
    process.event(type="notice", code="connection_lost")
    assert process.ask("status")["connected"] is False
    said = project.say("flatten", "KEEPER", "--yes")
    assert said.code == 4 and "no session" in said.err

    lost = process.last_seq()
    gateway = project.start(*serve, "--port", port)
    process.event(lost, type="notice", code="connection_restored")
    process.event(lost, type="notice", code="session_restored", strategy="KEEPER")
    assert process.phases() == {"HOLD": "Running", "KEEPER": "Running"}
    assert project.say("flatten", "KEEPER", "--yes").code == 0
    process.event(lost, type="fill", strategy="KEEPER")
    until(lambda: not process.ask("positions", name="KEEPER")["positions"], "KEEPER is flat")
    assert process.end(signal.SIGINT) == 0
    assert gateway.running, "the gateway is not the runner's to stop"
    assert gateway.end() == 0


KEEPER = '''\
from runner.model.bars import BarSize
from runner.strategy.base_strategy import PARAMS as BASE_PARAMS
from runner.strategy.base_strategy import BaseStrategy

PARAMS = {**BASE_PARAMS, "universe": "IBM", "target_weight": 0.1}


class KeeperStrategy(BaseStrategy):
    """Buys ten when it begins with none."""

    async def initialize_strategy(self):
        (self.contract,) = await self.qualify("IBM")
        self.feed = await self.open_feed([self.contract], BarSize.DAY_1, history=3)

    async def run_strategy(self):
        await self.order_target_quantity(self.contract, 10, reason="keep")
        while self.is_running:
            await self.feed.next()
'''
