"""What keeps the runner from starting: each has its exit code and a message that names what must be changed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from live_support import HOLD, WAIT_S, Project

from runner.store.arctic_manager import get_ac

EXITS = int(os.environ.get("RUNNER_EXITS", "4"))
"""How often a process that used the store must end without a crash; `make kill-test` sets more."""
READ_STORE = """
import sys
from runner.__main__ import _end
from runner.store.arctic_manager import get_ac
from runner.store.strategies import StrategyTable
store = get_ac(sys.argv[1])
assert [row.strategy for row in StrategyTable(store).all()] == ["HOLD"]
if sys.argv[2] == "closed":
    store.close()
_end(0)
"""
BROKEN = HOLD.replace("name: HOLD", "name: BROKEN").replace("target_weight", "target_wait")


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


REFUSALS = {
    "a runner.yaml with a mistake": ("ib:\n  prot: 4002\n", 78, ["runner.yaml:2:3", 'did you mean "port"?']),
    "a runner.yaml that is no YAML": ("ib: {port: 4002\n", 78, ["runner.yaml:1:"]),
    "live trading without an account": ("ib: {mode: live, port: 4001}\n", 78, ["runner.yaml:1:", "live_accounts"]),
    "an account that is not listed": (
        "ib: {mode: live, port: 4001, account: U7, live_accounts: [U1]}\n",
        78,
        ["runner.yaml:1:", "U7"],
    ),
    "nobody on the port": ("ib: {port: %(port)d}\n", 4, ["nothing listens on 127.0.0.1:%(port)d", "hint:"]),
    "another account": ("ib: {account: DU999}\n", 78, ["account DU999 is not one of this login's: DU1234567"]),
    "a paper login for live trading": (None, 78, ["mode is live, but account DU1234567 is a paper account"]),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_run_is_refused_with(project: Project, what: str) -> None:
    config, code, words = REFUSALS[what]
    numbers = {"port": free_port()}
    if config is None:
        gateway = project.start("gateway", "--port", str(numbers["port"]))
        project.wait_for_gateway(gateway)
        config = "ib: {mode: live, port: %(port)d, account: DU1234567, live_accounts: [DU1234567]}\n"
    project.write({"hold.yaml": HOLD}, config=config % numbers)
    said = project.say("run")
    assert said.code == code, said.err
    for text in words:
        assert text % numbers in said.err
    assert "Traceback" not in said.err


def test_only_files_with_problems_is_a_matter_of_configuration(project: Project) -> None:
    said = project.write({"broken.yaml": BROKEN}).say("run")
    assert said.code == 78
    assert "broken.yaml:7:" in said.err and "runner validate" in said.err


def test_a_damaged_journal_is_refused_and_left_alone(project: Project) -> None:
    project.write({"hold.yaml": HOLD}, config=f"ib: {{port: {free_port()}}}\n")
    project.state_dir.mkdir()
    project.journal.write_bytes(b"not a database" * 100)
    said = project.say("run")
    assert said.code == 78, said.err
    assert "journal.db" in said.err
    assert project.journal.read_bytes() == b"not a database" * 100


def test_a_damaged_gateway_state_is_refused_and_named(project: Project) -> None:
    project.write({"hold.yaml": HOLD})
    project.state_dir.mkdir()
    (project.state_dir / "gateway.db").write_bytes(b"not a database" * 100)
    said = project.say("run")
    assert said.code == 78, said.err
    assert "gateway.db" in said.err


def test_a_process_that_used_the_store_never_crashes_at_its_end(projects: Callable[[], Project]) -> None:
    project = projects().write({"hold.yaml": HOLD, "broken.yaml": BROKEN})
    said = project.say("run", "--once")
    assert said.code == 0, "it syncs what is right"
    assert "broken.yaml:7:" in said.err
    uri = f"lmdb://{project.state_dir / 'arctic'}"

    def ends(number: int) -> int:
        how = "closed" if number % 2 else "left open"
        return subprocess.run(
            [sys.executable, "-c", READ_STORE, uri, how], cwd=project.root, timeout=WAIT_S, check=False
        ).returncode

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ends, range(EXITS))) == [0] * EXITS
    with get_ac(uri) as store:  # none of them did any harm
        assert store.has_library("general")
