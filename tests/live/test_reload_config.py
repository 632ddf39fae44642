"""runner.yaml, edited under the real runner, and what every command says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from live_support import HOLD, STEADY_MARKET, Process, Project, until

CONFIRM = STEADY_MARKET + "reload: {loosening: confirm}\n"
LOOSE = HOLD.replace("target_weight: 0.1", "target_weight: 0.2")


@pytest.fixture(scope="module")
def running(projects: Callable[[], Project]) -> Iterator[Process]:
    project = projects().write({"hold.yaml": HOLD}, config=STEADY_MARKET)
    yield project.start("run").ready()


@pytest.fixture(autouse=True)
def as_before(running: Process) -> Iterator[None]:
    yield
    running.project.save("hold.yaml", HOLD)
    configure(running, STEADY_MARKET)
    until(lambda: running.ask("reload")["settled"], "the files as they were")


def configure(running: Process, text: str) -> None:
    """Saved as an editor does."""
    beside = running.project.root / ".runner.yaml.tmp"
    beside.write_text(text)
    beside.replace(running.project.root / "runner.yaml")


def config(running: Process) -> dict[str, Any]:
    return dict(running.ask("status")["config"])


def test_what_is_to_be_held_is_decided_by_the_file_as_it_is_now(running: Process) -> None:
    project, since = running.project, running.last_seq()
    configure(running, CONFIRM)
    running.event(since, type="notice", code="config", text="runner.yaml: reload.loosening auto → confirm")
    project.save("hold.yaml", LOOSE)
    held = running.reloaded(since, "HOLD", result="held")
    assert running.target_weight("HOLD") == 0.1
    assert project.say("reload").code == 5

    configure(running, STEADY_MARKET)  # nobody has to approve any more what is held
    applied = running.reloaded(since, "HOLD", result="applied")
    assert applied["generation"] == held["generation"]
    assert running.target_weight("HOLD") == 0.2


def test_a_strategy_may_ask_for_approvals_of_its_own_and_cannot_approve_itself(running: Process) -> None:
    project, since = running.project, running.last_seq()
    careful = HOLD + "reload: {loosening: confirm}\n"
    project.save("hold.yaml", careful)
    running.reloaded(since, "HOLD", result="applied", changes=["reload.loosening – → confirm"])
    since = running.last_seq()
    project.save("hold.yaml", LOOSE + "reload: {loosening: auto}\n")
    held = running.reloaded(since, "HOLD", result="held")
    assert "loosens params.target_weight 0.1 → 0.2; reload.loosening confirm → auto" in held["text"]
    assert running.target_weight("HOLD") == 0.1
    assert project.say("approve", f"HOLD@{held['generation']}").code == 0
    assert running.target_weight("HOLD") == 0.2


def test_what_needs_a_restart_is_named_by_every_command_that_looks(running: Process) -> None:
    project = running.project
    configure(running, STEADY_MARKET.replace("60000", "50000") + "reload: {loosening: confirm}\n")
    said = project.say("plan", "--exit-code")
    assert said.code == 3
    assert "runner.yaml: takes effect when the runner is started again" in said.out
    assert [line.split()[:2] for line in said.out.splitlines() if line.startswith("  ")] == [
        ["runner.yaml:1", "gateway.speed"],
        ["runner.yaml:2", "reload.loosening"],
    ]
    said = project.say("reload")
    assert (said.code, "because of gateway.speed" in said.err) == (1, True)
    assert config(running)["state"] == "RestartRequired" and config(running)["fields"] == ["gateway.speed"]
    assert "runner.yaml: not taken over before the runner is started again" in project.say("status").out
    assert "runner_config_last_reload_success 0" in project.say("metrics").out
    project.save("hold.yaml", LOOSE)  # the rest of the edit is not in force either
    assert project.say("reload", "HOLD").code == 0
    assert running.target_weight("HOLD") == 0.2

    configure(running, STEADY_MARKET)
    assert project.say("reload").code == 0
    assert config(running)["state"] == "InForce"
    assert "runner_config_last_reload_success 1" in project.say("metrics").out


def test_a_mistake_is_said_with_its_place(running: Process) -> None:
    project = running.project
    configure(running, STEADY_MARKET + "reload: {loosening: confrm}\n")
    said = project.say("apply")
    assert said.code == 1
    assert "runner.yaml: not taken over: S205 at runner.yaml:2:21" in said.err
    assert config(running)["state"] == "Problems"


@pytest.mark.parametrize("mistake", ["reload: {loosening: confrm}\n", "ib: [\n"])
def test_a_mistake_in_it_keeps_nobody_from_looking_and_stopping(running: Process, mistake: str) -> None:
    project = running.project
    configure(running, STEADY_MARKET + mistake)
    said = project.say("pause", "HOLD", "--reason", "a mistake in runner.yaml")
    assert (said.code, running.phases()["HOLD"]) == (0, "Paused"), said.err
    assert "runner.yaml has a problem" in said.err
    assert project.say("status").code == 0
    assert project.say("resume", "HOLD").code == 0
    assert project.say("run").code == 78  # a start is another matter


def test_the_files_can_be_polled_from_now_on(running: Process) -> None:
    since = running.last_seq()
    configure(running, STEADY_MARKET + "watch: {mode: poll}\n")
    running.event(since, type="notice", code="config", text="runner.yaml: watch.mode auto → poll")
    until(lambda: running.ask("status")["watch"]["mode"] == "poll", "polling")
    running.project.save("hold.yaml", LOOSE)
    running.reloaded(since, "HOLD", result="applied")
    configure(running, STEADY_MARKET)
    until(lambda: running.ask("status")["watch"]["mode"] == "inotify", "listening again")


def test_an_end_marker_is_asked_for_from_now_on(running: Process) -> None:
    project, since = running.project, running.last_seq()
    configure(running, STEADY_MARKET + "watch: {require_end_marker: true}\n")
    running.event(since, type="notice", code="config", text="runner.yaml: watch.require_end_marker false → true")
    project.save("hold.yaml", LOOSE)
    until(lambda: 'its last line is not "..."' in running.ask("status")["watch"]["settling"].values(), "waiting for it")
    configure(running, STEADY_MARKET)  # what was waited for is not needed any more
    running.reloaded(since, "HOLD", result="applied")
