"""runner.yaml while the runner runs: what counts at once is taken over, and what needs a restart is named.

An edit is taken over as a whole or not at all: one that changes a limit and the gateway's port changes neither before
the runner is started again. Nothing of it waits for an approval, since the file is what says which changes do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from runner.errors import ConfigError
from runner.manager.reload.files import first_problem, keys_in
from runner.manager.reload.plan import change_row
from runner.manager.watch.events import (
    FileEvent,
    Gone,
    MassDeletionHeld,
    MassDeletionReleased,
    Readable,
    Settled,
    Unreadable,
)
from runner.manager.watch.looks import Looks
from runner.manager.watch.machine import FileMachine, Settling
from runner.manager.watch.scan import Scan, read_file, reason_of, take_scan_of
from runner.manager.watch.watcher import Watcher, WatchMode
from runner.model.clock import Clock
from runner.spec.changes import Direction, direction_of
from runner.spec.config import CONFIG_NAME, ConfigFileError, RunnerConfig, read_config
from runner.spec.config_changes import config_changes

log = logging.getLogger("runner.reload")


class ConfigState(StrEnum):
    """What became of the newest content of the file. The words are those of conditions."""

    IN_FORCE = "InForce"
    PROBLEMS = "Problems"
    RESTART_REQUIRED = "RestartRequired"
    UNREADABLE = "Unreadable"
    MISSING = "FileMissing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigStatus:
    """`fields` are the settings that need a restart, by dotted path."""

    state: ConfigState = ConfigState.IN_FORCE
    text: str = ""
    fields: tuple[str, ...] = ()
    at: datetime | None = None
    """When that was found; None since the start."""

    @property
    def is_good(self) -> bool:
        return self.state is ConfigState.IN_FORCE


class ConfigFile:
    """The file that `config` was read from, or would be if there were one. `start` begins to watch it; without, only
    `rescan` looks."""

    def __init__(
        self,
        config: RunnerConfig,
        *,
        apply: Callable[[RunnerConfig], None],
        notice: Callable[[str, str], None],
        system: Clock,
    ) -> None:
        """`apply` puts a changed deployment in force, `notice` is told under a code what there is to say. Both are
        called on the thread that looks, one at a time."""
        self.path = config.file or config.strategies_dir.parent / CONFIG_NAME
        self._in_force = config
        self._apply = apply
        self._notice = notice
        self._system = system
        self._content = config.source.encode("utf-8", "surrogatepass") if config.file is not None else None
        self._judged = ConfigStatus()
        """Of the newest content."""
        self._absent: ConfigStatus | None = None
        """While the file is missing or cannot be read."""
        self._settling = Settling()
        self._machine = FileMachine(
            self._settling.asked, read=read_file, is_risky=self._is_risky, identity=lambda content: None
        )
        if self._content is not None:
            self._machine.remember(self.path, self._content)
        self._looks = Looks(self.path.parent, self._machine, self.on_events, clock=system, scan=self._scan)
        self._watcher: Watcher | None = None

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self, mode: WatchMode) -> None:
        """Begins to watch the file."""
        self._looks.stop()
        self._machine.use(self._settling)
        self._watcher = Watcher(
            self.path.parent,
            self._machine,
            self.on_events,
            clock=self._system,
            mode=mode,
            scan=self._scan,
            deep=False,
        )
        self._watcher.start()

    def close(self) -> None:
        """Ends that. May be called twice."""
        self._looker.stop()

    def use(self, mode: WatchMode) -> None:
        """Watch it in this way from now on."""
        if self._watcher is not None:
            self._watcher.use(mode)

    def rescan(self, timeout_s: float) -> bool:
        """Looks at the file now, and takes over what it says. False when it is still in the writing."""
        return self._looker.settle(timeout_s)

    @property
    def _looker(self) -> Watcher | Looks:
        """Who looks at the file."""
        return self._looks if self._watcher is None else self._watcher

    def _scan(self, folder: Path) -> Scan:
        return take_scan_of(self.path)

    # -- what it says --------------------------------------------------------------------------------------------

    def on_events(self, events: Sequence[FileEvent]) -> None:
        """What the watcher has found. A file that is missing is never let go of: what it said last is kept."""
        for event in events:
            match event:
                case Settled(content=content):
                    self._take(content)
                case MassDeletionHeld():
                    self._miss()
                case Unreadable(reason=reason):
                    self._cannot_be_read(reason)
                case MassDeletionReleased() | Readable() | Gone():
                    self._absent = None
                case _:
                    log.debug("%s: %s", self.path, event)

    def _take(self, content: bytes) -> None:
        self._absent = None
        if content == self._content:
            return
        self._content = content
        before, self._judged = self._judged, self._judge(content)
        after = self._judged
        if after.text and after.text != before.text:
            self._notice("config", f"{self.path.name}: {after.text}")
        elif after.is_good and not before.is_good:
            self._notice("config", f"{self.path.name} says what is in force again")

    def _judge(self, content: bytes) -> ConfigStatus:
        """What becomes of a content; what can be is in force afterwards."""
        now = self._system.now()
        try:
            wanted = self._read(content)
        except ConfigFileError as error:
            text = f"not taken over: {first_problem(error.problems, self.path.parent)}"
            return ConfigStatus(state=ConfigState.PROBLEMS, text=text, at=now)
        except ConfigError as error:
            return ConfigStatus(state=ConfigState.PROBLEMS, text=f"not taken over: {error.message}", at=now)
        found = config_changes(self._in_force, wanted)
        fixed = tuple(change.path for change in found if change.apply == "process")
        if fixed:
            text = f"not taken over before the runner is started again, because of {', '.join(fixed)}"
            return ConfigStatus(state=ConfigState.RESTART_REQUIRED, text=text, fields=fixed, at=now)
        self._in_force = wanted
        if not found:
            return ConfigStatus(at=now)
        self._apply(wanted)
        return ConfigStatus(text="; ".join(str(change) for change in found), at=now)

    def _miss(self) -> None:
        self._is_absent(ConfigState.MISSING, "the file is missing; what it said last is kept until the next start")

    def _cannot_be_read(self, reason: str) -> None:
        self._is_absent(ConfigState.UNREADABLE, f"the file cannot be read: {reason}; what it said last is kept")

    def _is_absent(self, state: ConfigState, text: str) -> None:
        if self._absent is None or self._absent.text != text:
            self._absent = ConfigStatus(state=state, text=text, at=self._system.now())
            self._notice("config", f"{self.path.name}: {text}")

    def _is_risky(self, path: Path, content: bytes) -> bool:
        """Half of it is often a valid one, without its limits."""
        if self._content is None or keys_in(self._content) - keys_in(content):
            return True
        try:
            return direction_of(config_changes(self._in_force, self._read(content))) is Direction.LOOSER
        except ConfigError:
            return False

    def _read(self, content: bytes) -> RunnerConfig:
        return read_config(content, self.path, shown=self._in_force.shown)

    # -- looking -------------------------------------------------------------------------------------------------

    def plan(self) -> dict[str, Any]:
        """What the file as it is on disk at this moment would change, as plain data."""
        row: dict[str, Any] = {"file": self.path.name, "action": "none", "changes": [], "problems": []}
        try:
            wanted = self._read(read_file(self.path).content)
        except FileNotFoundError:
            return row
        except OSError as error:
            return row | {"action": "refuse", "problems": [f"it cannot be read: {reason_of(error)}"]}
        except ConfigFileError as error:
            return row | {
                "action": "refuse",
                "problems": [first_problem(error.problems, self.path.parent)],
            }
        except ConfigError as error:
            return row | {"action": "refuse", "problems": [error.message]}
        found = config_changes(self._in_force, wanted)
        fixed = {change.path for change in found if change.apply == "process"}
        action = "restart" if fixed else "apply" if found else "none"
        # What is said about how to reach the gateway and the store may be a secret.
        shown = [replace(change, old=None, new=None) if change.path in fixed else change for change in found]
        rows = [change_row(change, wanted.locate(tuple(change.path.split(".")))) for change in shown]
        return row | {"action": action, "changes": rows}

    @property
    def status(self) -> ConfigStatus:
        return self._absent or self._judged

    @property
    def blind(self) -> Mapping[str, int]:
        """How often a change was found of which nothing had told, by cause."""
        return self._looker.status().blind

    def view(self) -> dict[str, Any]:
        """As plain data."""
        status = self.status
        return {
            "file": self.path.name,
            "state": status.state.value,
            "text": status.text,
            "fields": list(status.fields),
            "at": None if status.at is None else status.at.isoformat(),
        }
