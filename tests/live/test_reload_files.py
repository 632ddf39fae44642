"""Files are saved, broken, copied, renamed and deleted under a running runner, and what runs follows or stays."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from live_support import HOLD, STEADY_MARKET, SWING, WAIT_S, Process, Project, until

BASE = "params: {target_weight: 0.02, min_weight: 0.01, max_weight: 0.05}\n"
HEIR = """\
spec: 1
name: {name}
extends: _base.yaml
universe: {symbol}
bars: {{size: 1 day, history: 30}}
signals: {{hold: {{use: buy_and_hold}}}}
sizing: {{use: equal_weight}}
schedule: {{calendar: XNYS}}
"""
FLAT = """\
spec: 1
name: {name}
universe: IBM
bars: {{size: 1 day, history: 30}}
signals: {{hold: {{use: buy_and_hold}}}}
sizing: {{use: fixed_weights, with: {{weights: {{IBM: 0.0}}}}}}
params: {{target_weight: 0.01}}
schedule: {{calendar: XNYS}}
"""
HEIRS = {"KEPT": "GOOG", "CLOSED": "MSFT", "NARROW": "AAPL"}
FLATS = ("EMPTY", "RENAMED", "PARKED", "BEFORE", *(f"SPARE_{number}" for number in range(11)))
"""Enough of them that a handful of deletions does not look like an accident."""


def flat(name: str) -> str:
    return FLAT.format(name=name)


def heir(name: str) -> str:
    text = HEIR.format(name=name, symbol=HEIRS[name])
    if name == "CLOSED":
        text += "on_remove: flatten\n"
    if name == "NARROW":  # the base must not go below it
        text += "params: {max_weight: 0.03}\n"
    return text


@pytest.fixture(scope="module")
def project(projects: Callable[[], Project]) -> Project:
    files = {"hold.yaml": HOLD, "swing.yaml": SWING, "_base.yaml": BASE}
    files |= {f"{name.lower()}.yaml": heir(name) for name in HEIRS}
    files |= {f"{name.lower()}.yaml": flat(name) for name in FLATS}
    return projects().write(files, config=STEADY_MARKET)


@pytest.fixture(scope="module")
def running(project: Project) -> Iterator[Process]:
    process = project.start().ready()
    for name in ("HOLD", "KEPT", "CLOSED"):
        process.event(type="fill", strategy=name)
    yield process
    assert process.end(signal.SIGTERM) == 0
    project.settle()
    project.audit()


def test_a_saved_file_is_in_force_and_its_generation_is_the_same_everywhere(running: Process) -> None:
    since = running.last_seq()
    running.project.edit("swing.yaml", "target_weight: 0.3", "target_weight: 0.1")
    event = running.reloaded(since, "SWING")
    assert (event["result"], event["generation"], event["running"], event["direction"]) == ("applied", 2, 2, "tighter")
    assert event["changes"] == ["params.target_weight 0.3 → 0.1"]
    assert running.target_weight("SWING") == 0.1
    assert running.generations("SWING") == (2, 2, 2)
    shown = running.project.say("status", "SWING")
    assert shown.out.splitlines()[1].split()[:4] == ["SWING", "Running", "yes", "2"]
    assert running.event(event["seq"], type="order", strategy="SWING")["generation"] == 2


def test_followers_are_shown_every_reload(running: Process) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "runner", "events", "--follow", "--since", str(running.last_seq())],
        cwd=running.project.root,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    try:
        running.project.edit("hold.yaml", "target_weight: 0.1", "target_weight: 0.12")
        found = next(event for line in follower.stdout if (event := json.loads(line))["type"] == "reload")
        assert (found["strategy"], found["result"], found["direction"]) == ("HOLD", "applied", "looser")
    finally:
        follower.send_signal(signal.SIGINT)
        follower.communicate(timeout=WAIT_S)
        assert follower.returncode == 130


def test_a_broken_file_is_refused_with_its_place_and_changes_nothing(running: Process) -> None:
    project, since = running.project, running.last_seq()
    before = running.generations("HOLD")[2]
    good = project.read("hold.yaml")
    project.edit("hold.yaml", "target_weight", "target_wait")
    event = running.reloaded(since, "HOLD")
    assert event["result"] == "refused"
    assert "hold.yaml:7:10" in event["text"] and "target_wait" in event["text"]
    assert running.generations("HOLD") == (before + 1, before, before)
    assert running.target_weight("HOLD") == 0.12 and running.phases()["HOLD"] == "Running"
    said = project.say("status", "HOLD")
    assert f"{before + 1}/{before}/{before}" in said.out and "hold.yaml:7:10" in said.out
    assert project.say("reload", "HOLD").code == 1
    project.save("hold.yaml", good)
    assert running.reloaded(event["seq"], "HOLD")["result"] == "unchanged"
    assert project.say("reload", "HOLD").code == 0


def test_a_base_is_taken_over_by_all_its_files_or_by_none(running: Process) -> None:
    project, since = running.project, running.last_seq()
    project.edit("_base.yaml", "target_weight: 0.02", "target_weight: 0.04")  # above NARROW's own max_weight
    refused = running.event(since, type="notice", code="base_refused")
    assert "NARROW" in refused["text"] and "max_weight" in refused["text"]
    assert {name: running.target_weight(name) for name in HEIRS} == dict.fromkeys(HEIRS, 0.02)
    assert "_base.yaml: its change is not applied" in project.say("status").out
    project.edit("_base.yaml", "target_weight: 0.04", "target_weight: 0.015")
    for name in HEIRS:
        assert running.reloaded(since, name, result="applied")["changes"] == ["params.target_weight 0.02 → 0.015"]
    assert {name: running.target_weight(name) for name in HEIRS} == dict.fromkeys(HEIRS, 0.015)
    assert "not applied" not in project.say("status").out


def test_a_copy_with_the_same_name_is_refused_on_both_and_what_runs_goes_on(running: Process) -> None:
    project, since = running.project, running.last_seq()
    before = running.generations("HOLD")[2]
    shutil.copy(project.strategies / "hold.yaml", project.strategies / "hold2.yaml")
    refused = running.reloaded(since, "HOLD")
    assert refused["result"] == "refused" and "M410" in refused["text"]
    assert project.say("validate").out.count("M410") == 2
    assert running.phases()["HOLD"] == "Running" and running.generations("HOLD")[2] == before
    # The copy is deleted with the next test's files, which saves one grace.


def test_deleted_files_end_hold_or_close_what_they_ran(running: Process) -> None:
    project, since = running.project, running.last_seq()
    (project.strategies / "hold2.yaml").unlink()  # not this one: HOLD runs on from its own file
    for name in ("empty", "kept", "closed"):
        (project.strategies / f"{name}.yaml").unlink()
    (project.strategies / "before.yaml").rename(project.strategies / "after.yaml")
    (project.strategies / "renamed.yaml").rename(project.strategies / "_renamed.yaml")
    (project.strategies / "parked.yaml").rename(project.strategies / "parked.yaml.disabled")
    moved = running.reloaded(since, "BEFORE")
    assert (moved["result"], moved["text"]) == ("moved", "before.yaml is after.yaml now")
    for name in ("EMPTY", "RENAMED", "PARKED"):
        event = running.reloaded(since, name)
        assert (event["result"], event["text"]) == ("removed", "nothing was held; it has ended")
    held = running.reloaded(since, "KEPT")
    assert held["result"] == "removed" and "positions are kept" in held["text"]
    closed = running.reloaded(since, "CLOSED")
    assert closed["result"] == "removed" and "being closed" in closed["text"]
    assert running.reloaded(since, "HOLD")["result"] == "unchanged"
    until(lambda: "CLOSED" not in running.phases(), "it is closed and has ended")

    phases = running.phases()
    assert phases["KEPT"] == "Held" and phases["HOLD"] == phases["BEFORE"] == "Running"
    assert not {"EMPTY", "PARKED", "RENAMED", "CLOSED"} & set(phases)
    assert running.ask("positions", name="KEPT")["positions"]
    orders = running.ask("events", since=since, limit=100_000)["events"]
    assert not [one for one in orders if one["type"] == "strategy" and one["strategy"] == "HOLD"], "no flap"


def test_a_file_that_is_back_takes_over_what_was_held(running: Process) -> None:
    since = running.last_seq()
    running.project.save("kept.yaml", heir("KEPT"))
    assert running.reloaded(since, "KEPT")["result"] in ("applied", "unchanged")
    until(lambda: running.phases()["KEPT"] == "Running", "KEPT runs again")
    running.project.save("empty.yaml", flat("EMPTY"))
    until(lambda: running.phases().get("EMPTY") == "Running", "EMPTY is started again")
    first, second = running.ask("history", name="EMPTY")["generations"][::-1]
    assert (first["generation"], second["generation"]) == (1, 2)


def test_a_folder_that_vanishes_removes_nothing_until_it_is_approved(running: Process) -> None:
    project, since = running.project, running.last_seq()
    running_before = running.phases()
    aside = project.root / "aside"
    project.strategies.rename(aside)
    running.event(since, type="notice", code="deletions_held")
    assert running.phases() == running_before
    assert "runner approve --all-deletes" in project.say("status").out
    assert project.say("apply").code == 5
    aside.rename(project.strategies)
    until(lambda: not running.ask("status")["watch"]["deletions_held"], "the files are back")
    assert project.say("apply").code == 0
    assert running.phases() == running_before

    since = running.last_seq()
    shutil.rmtree(project.strategies)
    running.event(since, type="notice", code="deletions_held")
    said = project.say("approve", "--all-deletes")
    assert said.code == 0 and "hold.yaml" in said.out
    until(lambda: set(running.phases().values()) == {"Held"}, "what holds something is held, the rest has ended")
    assert {"HOLD", "KEPT"} <= set(running.phases())
    project.strategies.mkdir()
