"""runner.yaml edited under a running runner: what is taken over, what needs a restart, what is refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.manager.reload.config_file import ConfigFile, ConfigState
from runner.manager.watch.watcher import WatchMode
from runner.model.clock import SystemClock
from runner.spec.config import RunnerConfig, load_config

WAIT_S = 20.0
BASE = "ib: {port: 4002}\nreload: {loosening: confirm}\nportfolio: {max_total_weight: 0.8}\n"


@dataclass
class Deployed:
    """A runner.yaml, what was put in force of it, and what was said about it."""

    folder: Path
    configs: list[RunnerConfig] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    told: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.file = ConfigFile(
            load_config(None, self.folder, env={}),
            apply=self.configs.append,
            notice=self._hear,
            system=SystemClock(),
        )

    def _hear(self, code: str, text: str) -> None:
        assert code == "config"
        with self.told:
            self.notices.append(text)
            self.told.notify_all()

    def write(self, text: str) -> None:
        """Saved as careful programs save."""
        other = self.folder / "runner.yaml.new"
        other.write_text(text)
        os.replace(other, self.folder / "runner.yaml")

    def save(self, text: str) -> ConfigState:
        """Saved, and looked at as `runner reload` does."""
        self.write(text)
        assert self.file.rescan(WAIT_S)
        return self.file.status.state

    def hears(self, part: str) -> None:
        with self.told:
            found = self.told.wait_for(lambda: any(part in text for text in self.notices), WAIT_S)
        assert found, self.notices


@pytest.fixture
def deployed(tmp_path: Path) -> Deployed:
    (tmp_path / "runner.yaml").write_text(BASE)
    return Deployed(tmp_path)


@pytest.fixture
def watched(deployed: Deployed) -> Iterator[Deployed]:
    deployed.file.start(WatchMode.AUTO)
    yield deployed
    deployed.file.close()


def test_a_live_setting_is_in_force_at_once_and_said(deployed: Deployed) -> None:
    assert deployed.save(BASE.replace("0.8", "0.5")) is ConfigState.IN_FORCE
    assert [config.max_total_weight for config in deployed.configs] == [0.5]
    assert deployed.notices == ["runner.yaml: portfolio.max_total_weight 0.8 → 0.5"]


def test_what_needs_a_restart_is_named_and_nothing_of_the_edit_is_applied(deployed: Deployed) -> None:
    edited = BASE.replace("0.8", "0.5").replace("4002", "4010") + "plugins: {allow: [acme]}\n"
    assert deployed.save(edited) is ConfigState.RESTART_REQUIRED
    assert deployed.configs == []
    assert deployed.file.status.fields == ("ib.port", "plugins.allow")
    assert "ib.port, plugins.allow" in deployed.notices[0]
    assert "4010" not in deployed.notices[0]  # how to get anywhere may be a secret


def test_going_back_to_what_is_in_force_ends_that(deployed: Deployed) -> None:
    deployed.save(BASE.replace("4002", "4010"))
    assert deployed.save(BASE + "# as before\n") is ConfigState.IN_FORCE
    assert deployed.notices[1:] == ["runner.yaml says what is in force again"]
    assert deployed.configs == []


def test_problems_are_said_with_their_place_once_and_what_is_in_force_stays(deployed: Deployed) -> None:
    wrong = BASE.replace("0.8", "eleven")
    for _ in range(2):
        assert deployed.save(wrong) is ConfigState.PROBLEMS
    (text,) = deployed.notices
    assert "not taken over: S" in text and "runner.yaml:3:" in text
    assert deployed.configs == []


def test_a_missing_file_changes_nothing_and_one_that_is_back_counts(deployed: Deployed) -> None:
    (deployed.folder / "runner.yaml").unlink()
    assert deployed.file.rescan(WAIT_S)
    assert deployed.file.status.state is ConfigState.MISSING
    assert deployed.configs == []
    assert deployed.save(BASE.replace("confirm", "auto")) is ConfigState.IN_FORCE
    assert [config.loosening for config in deployed.configs] == ["auto"]


def test_what_cannot_be_read_changes_nothing(deployed: Deployed) -> None:
    path = deployed.folder / "runner.yaml"
    path.unlink()
    path.mkdir()
    assert deployed.file.rescan(WAIT_S)
    assert deployed.file.status.state is ConfigState.UNREADABLE
    path.rmdir()
    assert deployed.save(BASE) is ConfigState.IN_FORCE


def test_an_empty_file_is_in_the_writing_and_changes_nothing(deployed: Deployed) -> None:
    deployed.write("")
    assert not deployed.file.rescan(WAIT_S)
    assert deployed.file.status.state is ConfigState.IN_FORCE and deployed.configs == []
    assert deployed.save(BASE.replace("0.8", "0.5")) is ConfigState.IN_FORCE
    assert [config.max_total_weight for config in deployed.configs] == [0.5]


def test_a_file_that_is_new_is_taken_in(tmp_path: Path) -> None:
    deployed = Deployed(tmp_path)
    assert deployed.save("reload: {loosening: confirm}\n") is ConfigState.IN_FORCE
    assert [config.loosening for config in deployed.configs] == ["confirm"]


def test_a_placeholder_that_leads_nowhere_is_a_problem(deployed: Deployed) -> None:
    assert deployed.save(BASE + "arctic: {uri: '${env:RUNNER_TEST_NOT_SET}'}\n") is ConfigState.PROBLEMS
    assert "RUNNER_TEST_NOT_SET" in deployed.notices[0]


def test_the_plan_says_what_the_file_would_do_without_doing_it(deployed: Deployed) -> None:
    assert deployed.file.plan()["action"] == "none"
    deployed.write(BASE.replace("0.8", "0.5"))
    plan = deployed.file.plan()
    assert plan["action"] == "apply"
    assert [(row["path"], row["old"], row["new"], row["direction"]) for row in plan["changes"]] == [
        ("portfolio.max_total_weight", 0.8, 0.5, "tighter")
    ]
    deployed.write(BASE.replace("4002", "4010"))
    plan = deployed.file.plan()
    assert plan["action"] == "restart"
    assert [(row["path"], row["old"], row["new"]) for row in plan["changes"]] == [("ib.port", None, None)]
    deployed.write("ib: [")
    assert deployed.file.plan()["action"] == "refuse"
    assert deployed.configs == [] and deployed.notices == []


# ------------------------------------------------------------------------------------------------------------ watched


def rename(folder: Path, text: str) -> None:
    (folder / "other").write_text(text)
    os.replace(folder / "other", folder / "runner.yaml")


def in_place(folder: Path, text: str) -> None:
    (folder / "runner.yaml").write_text(text)


def swapped_link(folder: Path, text: str) -> None:
    """As Kubernetes updates a ConfigMap."""
    data = folder / "..data"
    new = folder / f"..{len(list(folder.iterdir()))}"
    new.mkdir()
    (new / "runner.yaml").write_text(text)
    (folder / "..new").symlink_to(new.name)
    os.replace(folder / "..new", data)
    if not (folder / "runner.yaml").is_symlink():
        (folder / "runner.yaml").unlink()
        (folder / "runner.yaml").symlink_to("..data/runner.yaml")


@pytest.mark.parametrize("way", [rename, in_place, swapped_link])
def test_every_way_of_saving_is_seen(watched: Deployed, way: Callable[[Path, str], None]) -> None:
    way(watched.folder, BASE.replace("0.8", "0.5"))
    watched.hears("portfolio.max_total_weight 0.8 → 0.5")
    way(watched.folder, BASE.replace("0.8", "0.4"))
    watched.hears("portfolio.max_total_weight 0.5 → 0.4")


def test_half_a_file_is_not_taken_in(watched: Deployed) -> None:
    """It is valid, and says less: it stands still for two seconds before it counts, in which the rest arrives."""
    whole = BASE.replace("0.8", "0.5")
    in_place(watched.folder, whole[: whole.index("portfolio")])
    in_place(watched.folder, whole)
    watched.hears("0.8 → 0.5")
    assert [config.max_total_weight for config in watched.configs] == [0.5]


def test_a_file_that_goes_is_said_to_be_missing_and_never_let_go_of(watched: Deployed) -> None:
    (watched.folder / "runner.yaml").unlink()
    watched.hears("the file is missing")
    assert watched.configs == []
    rename(watched.folder, BASE.replace("confirm", "auto"))
    watched.hears("reload.loosening confirm → auto")
    assert watched.file.status.state is ConfigState.IN_FORCE
