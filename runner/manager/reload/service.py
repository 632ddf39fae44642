"""Files, watcher and engine together: from the first look at the folder to the last.

disk ──► Watcher, or Looks ──settled contents──► Workspace ──folder──► ReloadEngine ──► strategies
     └─► ConfigFile ──deployment──► all of them
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from runner.manager.reload.bases import ChangedBases
from runner.manager.reload.conditions import Status
from runner.manager.reload.config_file import ConfigFile
from runner.manager.reload.engine import ReloadEngine
from runner.manager.reload.files import keys_in, within
from runner.manager.reload.orders import Orders
from runner.manager.reload.settings import ReloadSettings
from runner.manager.reload.starting import Start, Starting
from runner.manager.reload.track import Track
from runner.manager.watch.events import (
    FileEvent,
    Gone,
    MassDeletionHeld,
    MassDeletionReleased,
    Moved,
    Readable,
    Settled,
    Unreadable,
    Unsettled,
)
from runner.manager.watch.looks import Looks
from runner.manager.watch.machine import FileMachine, Settling
from runner.manager.watch.scan import Reading, read_file, reason_of
from runner.manager.watch.watcher import Watcher, WatchMode
from runner.model.clock import Clock
from runner.spec.changes import Direction, changes, direction_of
from runner.spec.config import RunnerConfig
from runner.spec.deployment import Deployment
from runner.spec.folder import Folder, load_folder
from runner.spec.load import parse_bytes
from runner.spec.names import FileRole, role_of, walk
from runner.spec.workspace import Saved, Workspace
from runner.store.generations import Generation

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager

NAMED = 5
"""How many of many files a notice names."""
STAND_STILL_S = 5.0
"""Longest that a start waits for files that are being written."""

log = logging.getLogger("runner.reload")


class ReloadService:
    """Owns the watcher's thread and the engine. `begin` before anything runs, `start` once it does."""

    def __init__(
        self,
        manager: StrategyManager,
        deployment: Deployment,
        settings: ReloadSettings,
        system: Clock,
    ) -> None:
        config = manager.config
        self.root = config.strategies_dir
        self.engine = ReloadEngine(manager, deployment, settings, system)
        self.orders = Orders(self.engine)
        self._starting = Starting(self.engine)
        self._manager = manager
        self._deployment = deployment
        self._workspace = Workspace(self.root, deployment)
        self._lock = threading.RLock()
        self._bases = ChangedBases(self._workspace)
        self._unreadable: Mapping[Path, str] = {}
        """Replaced as a whole: others look at it."""
        self.config_file = ConfigFile(config, apply=self._configure, notice=manager.notice, system=system)
        self._settling = Settling(require_end_marker=config.require_end_marker)
        self._machine = FileMachine(self._settling.asked, read=self._read, is_risky=self._is_risky, identity=_name_in)
        self._looks = Looks(self.root, self._machine, self.on_events, clock=system)
        self._watcher: Watcher | None = None
        self._system = system
        self._mode = WatchMode(config.watch_mode)

    # -- life ----------------------------------------------------------------------------------------------------

    def begin(self, *, only: str | None = None) -> tuple[Folder, list[Start]]:
        """Reads the folder as it is now. What to start with, and what there is to say about the files."""
        self._stand_still()
        on_disk = load_folder(self.root, deployment=self._deployment)
        for path in self._files():
            reading = self._reading_of(path)
            if reading is None:
                self._workspace.put_unread(path)
            else:
                self._workspace.put(path, reading.content, others_may_write=reading.others_may_write)
                self._machine.remember(path, reading.content, others_may_write=reading.others_may_write)
        starts = self._starting.begin(self._with_names(self._workspace.folder()), only=only)
        return on_disk, starts

    def _stand_still(self) -> None:
        """A start in the middle of a save waits for its end, like a change does later."""
        deadline = self._system.monotonic() + STAND_STILL_S
        while self._system.monotonic() < deadline:
            newest = max((_changed_at(path) for path in self._files()), default=0.0)
            left = newest + self._settling.quiet_s - self._system.now().timestamp()
            if not 0.0 < left <= self._settling.quiet_s:  # a time in the future says nothing
                return
            threading.Event().wait(left)

    def _with_names(self, folder: Folder) -> Folder:
        """A file that cannot say whose it is, is that of the strategy that was seen in it last."""
        names = {self.root / one.file: one.strategy for one in self._newest_that_count() if one.file}
        loaded = tuple(one if one.name else replace(one, name=names.get(one.path, "")) for one in folder.loaded)
        return replace(folder, loaded=loaded)

    def _newest_that_count(self) -> list[Generation]:
        """The newest versions of the strategies that have run and were not removed since, by when they were seen."""
        generations, rows = self._manager.journal.generations, self.engine.carrier.rows
        found = []
        for name in generations.strategies():
            row, newest = rows.get(name), generations.newest(name)
            has_run = generations.running(name) is not None or (row is not None and bool(row.managed_by))
            if newest is not None and has_run and not rows.is_removed(name):
                found.append(newest)
        return sorted(found, key=lambda one: one.seen_at or datetime.min.replace(tzinfo=UTC))

    def _files(self) -> list[Path]:
        try:
            return [path for path in walk(self.root) if role_of(path.name) in (FileRole.STRATEGY, FileRole.BASE)]
        except OSError as error:
            log.warning("the strategies folder cannot be read: %s", error)
            return []

    def _read(self, path: Path) -> Reading:
        """Who may write a file matters where trading is live; elsewhere other permissions are no change of it."""
        reading = read_file(path)
        return reading if self._deployment.live else replace(reading, others_may_write=False)

    def _reading_of(self, path: Path) -> Reading | None:
        """None when the file cannot be read."""
        try:
            return self._read(path)
        except OSError as error:
            log.warning("%s cannot be read: %s", path, reason_of(error))
            return None

    def start(self, *, watch: bool = True) -> None:
        """Begins to look after what waits, and to watch the files."""
        self.engine.start()
        if not watch:
            return
        self._looks.stop()
        with self._lock:
            watcher = Watcher(self.root, self._machine, self.on_events, clock=self._system, mode=self._mode)
            self._machine.use(self._settling)
            self._watcher = watcher
        watcher.start()
        self.config_file.start(self._mode)

    def close(self) -> None:
        """Ends both, and lets go of everybody who waits for them. May be called twice."""
        self.config_file.close()
        self.engine.close()
        self._looker.stop()

    @property
    def watching(self) -> bool:
        return self._watcher is not None

    @property
    def _looker(self) -> Watcher | Looks:
        """Who looks at the files."""
        return self._looks if self._watcher is None else self._watcher

    def rescan(self, timeout_s: float) -> bool:
        """Looks at the files now and waits until all that follows is done. False when something is still in the
        writing, or being carried out, after `timeout_s`. While nobody watches, what is in the writing is not waited
        for."""
        deadline = self._system.monotonic() + timeout_s
        configured = self.config_file.rescan(timeout_s)
        settled = self._looker.settle(timeout_s)
        with self._lock:
            self._wish()  # also when no file has changed: whatever was lost on the way is compared anew
        carried_out = self.engine.settled(max(0.0, deadline - self._system.monotonic()))
        return configured and settled and carried_out

    def _configure(self, config: RunnerConfig) -> None:
        """Puts in force what runner.yaml says now of how files are found and taken over, and what they are judged
        against."""
        with self._lock:
            # How a file by itself is judged, and the versions that were, do not depend on the limits over all of them.
            self._deployment = replace(self._deployment, max_total_weight=config.max_total_weight)
            self._settling = replace(self._settling, require_end_marker=config.require_end_marker)
            self._mode = WatchMode(config.watch_mode)
            self._machine.use(self._settling.asked if self._watcher is None else self._settling)
        self.config_file.use(self._mode)
        if self._watcher is not None:
            self._watcher.use(self._mode)
            self._watcher.wake()
        self.engine.use(config.loosening)

    def read_folder(self) -> Folder:
        """The folder as it is on disk at this moment, settled or not."""
        return load_folder(self.root, deployment=self._deployment)

    def approve_deletions(self) -> list[str]:
        """Lets the files be gone that went missing many at once."""
        released = [self._shown(path) for path in self._looker.approve_deletions()]
        return released + self.engine.release_doubted()

    @property
    def held_files(self) -> tuple[Path, ...]:
        """Files that are missing and not let go of without an approval."""
        return self._looker.status().held

    def kept_files(self, folder: Folder) -> Collection[Path]:
        """Files that the folder lacks, and that a look would not let go of."""
        wanted = {one.wanted.path for one in self.engine.tracks().values() if one.wanted is not None}
        missing = wanted - {one.path for one in folder.loaded}
        many = len(missing) > 1 and len(missing) >= self._settling.mass_fraction * len(wanted)
        return missing if many or missing == wanted else self.held_files

    @property
    def deletions_held(self) -> list[str]:
        """The same, and strategies whose files were missing at the start."""
        return [*(self._shown(path) for path in self.held_files), *self.engine.doubted()]

    # -- what the watcher says -----------------------------------------------------------------------------------

    def on_events(self, events: Sequence[FileEvent]) -> None:
        """Takes in what has settled, and tells the engine how the folder looks now. On the watcher's thread."""
        with self._lock:
            changed = False
            for event in events:
                changed |= self._take(event)
            if changed:
                self._wish()

    def _wish(self) -> None:
        """Tells the engine what the files want, with as much of the changed bases as breaks none of them."""
        news = self._bases.take_in()
        self.engine.wish(self._workspace.folder())
        pending = self._bases.pending
        for path, one in news.items():
            text = f"the change of {self._shown(path)} is not applied to any file: {one.text}"
            self._notice("base_refused", text)
        self.engine.refuse_bases(pending, news)

    def _take(self, event: FileEvent) -> bool:
        """Whether the contents have changed."""
        match event:
            case Settled(path=path, content=content, others_may_write=others_may_write):
                if role_of(path.name) is FileRole.BASE:
                    self._bases.put(path, Saved(content, others_may_write))
                else:
                    self._workspace.put(path, content, others_may_write=others_may_write)
                return True
            case Moved(old=old, new=new):
                self._forget_unreadable(old)
                if role_of(new.name) is FileRole.BASE:
                    self._bases.move(old, new)
                else:
                    self._workspace.move(old, new)
                return True
            case Gone(path=path):
                self._forget_unreadable(path)
                self._bases.remove(path)
                return True
            case Unreadable(path=path, reason=reason):
                self._unreadable = {**self._unreadable, path: reason}
                self._notice("unreadable", f"{self._shown(path)} cannot be read: {reason}; what was read last is kept")
            case Readable(path=path):
                self._forget_unreadable(path)
            case Unsettled(path=path, waiting=waiting):
                self._notice("unsettled", f"{self._shown(path)} is not taken in: {waiting.value}")
            case MassDeletionHeld(paths=paths):
                names = ", ".join(self._shown(path) for path in paths[:NAMED]) + (" …" if len(paths) > NAMED else "")
                self._notice(
                    "deletions_held",
                    f"strategy files are missing in a way that looks like an accident ({names}); nothing is removed "
                    "before `runner approve --all-deletes`, or before they are back",
                )
                self.engine.doubt(paths, doubted=True)
            case MassDeletionReleased(paths=paths):
                self.engine.doubt(paths, doubted=False)
            case _:
                assert_never(event)
        return False

    def _forget_unreadable(self, path: Path) -> None:
        self._unreadable = {other: reason for other, reason in self._unreadable.items() if other != path}

    def _notice(self, code: str, text: str) -> None:
        self._manager.notice(code, text)

    # -- the brake -----------------------------------------------------------------------------------------------

    def _is_risky(self, path: Path, content: bytes) -> bool:
        """Whether a content loses settings against the one before, or lets a strategy risk more: half a file often
        does, and is often valid."""
        with self._lock:
            old = self._workspace.saved(path)
            if old is None:
                return True  # nobody knows yet how long it is going to be
            if keys_in(old.content) - keys_in(content):
                return True
            for loaded in self._workspace.judged_with({path: Saved(content)}):
                track = self.engine.tracks().get(loaded.name)
                running = None if track is None else track.applied
                if loaded.spec is None or running is None:
                    continue
                if direction_of(changes(running, loaded.spec)) is Direction.LOOSER:
                    return True
            return False

    # -- looking -------------------------------------------------------------------------------------------------

    def watch_view(self) -> dict[str, Any]:
        """How files are watched and what is in the way, as plain data."""
        status = self._looker.status()
        return {
            "watching": status.mode is not None,
            "mode": None if status.mode is None else status.mode.value,
            "reason": status.reason,
            "last_scan": _iso(status.last_scan),
            "files": self._workspace.count,
            "blind": dict(status.blind),
            "unreadable": {self._shown(path): reason for path, reason in self._unreadable.items()},
            "settling": {self._shown(path): why.value for path, why in status.settling.items()},
            "deletions_held": self.deletions_held,
            "bases_refused": {self._shown(path): one.text for path, one in self._bases.pending.items()},
        }

    def _shown(self, path: Path) -> str:
        return within(path, self.root)

    def metrics(self) -> str:
        """In the text format that Prometheus reads."""
        lines: list[str] = []

        def family(name: str, kind: str, about: str, rows: Sequence[tuple[Mapping[str, Any], float]]) -> None:
            lines.extend([f"# HELP {name} {about}", f"# TYPE {name} {kind}"])
            for labels, value in rows:
                said = ",".join(f'{key}="{_escaped(str(word))}"' for key, word in labels.items())
                lines.append(f"{name}{{{said}}} {value:.17g}" if said else f"{name} {value:.17g}")

        tracks = list(self.engine.tracks().values())
        family(
            "runner_spec_last_reload_success", "gauge", "1 when the newest version of the file is in force.",
            [({"strategy": t.name}, float(_is_in_force(t))) for t in tracks],
        )  # fmt: skip
        family(
            "runner_spec_last_reload_success_timestamp_seconds", "gauge", "When a version was put in force last.",
            [({"strategy": t.name}, t.last_success.timestamp()) for t in tracks if t.last_success is not None],
        )  # fmt: skip
        stages = []
        for t in tracks:
            newest = t.running if t.newest is None else t.newest.generation
            for stage, value in (("file", newest), ("store", t.stored_generation), ("running", t.running)):
                stages.append(({"strategy": t.name, "stage": stage}, float(value)))
        family("runner_spec_generation", "gauge", "Version of the file, in the store, and running.", stages)
        family(
            "runner_config_last_reload_success", "gauge", "1 when what runner.yaml says is in force.",
            [({}, float(self.config_file.status.is_good))],
        )  # fmt: skip
        blind = Counter(self._looker.status().blind)
        blind.update(self.config_file.blind)
        family(
            "runner_watch_blind_total", "counter", "Times that changes were found which nothing had announced.",
            [({"cause": cause}, float(count)) for cause, count in blind.items()],
        )  # fmt: skip
        return "\n".join(lines) + "\n"


def _is_in_force(track: Track) -> bool:
    applied = track.conditions.get("Applied")
    return applied is not None and applied.status is Status.TRUE


def _iso(at: Any) -> str | None:
    return None if at is None else str(at.isoformat())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _name_in(content: bytes) -> str | None:
    """The strategy that a file says it is; None when it does not."""
    root = parse_bytes(content, file="").root
    name = root.child("name") if root is not None else None
    return name.value if name is not None and isinstance(name.value, str) else None
