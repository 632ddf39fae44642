"""A real folder under a real watcher whose times are short, and what it has said."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fake_folder import identity, is_risky
from telling import told

from runner.manager.watch.events import FileEvent
from runner.manager.watch.machine import FileMachine, Settling
from runner.manager.watch.scan import read_file
from runner.manager.watch.watcher import Watcher, WatchMode
from runner.model.clock import SystemClock

WAIT_S = 10.0
LONG_S = 60.0
"""A time that no test waits for: what is found sooner was not found by the timer."""
QUICK = Settling(quiet_s=0.08, brake_s=0.4, blank_s=0.5, unsettled_s=3.0, grace_s=0.3, hash_all_s=LONG_S, retry_s=0.1)


class Watched:
    """Starts with the files in `root` settled and nothing said."""

    def __init__(
        self,
        root: Path,
        *,
        mode: WatchMode = WatchMode.AUTO,
        rescan_s: float = LONG_S,
        poll_s: float = 0.05,
        settings: Settling = QUICK,
        handle: Callable[[Sequence[FileEvent]], None] = lambda events: None,
    ) -> None:
        self.root = root
        self.handle = handle
        self.said: list[str] = []
        self._more = threading.Condition()
        machine = FileMachine(settings, read=read_file, is_risky=is_risky, identity=identity)
        self.watcher = Watcher(
            root, machine, self._take, clock=SystemClock(), mode=mode, rescan_s=rescan_s, poll_s=poll_s
        )
        self.watcher.start()
        self.settle()
        self.said.clear()

    def _take(self, events: Sequence[FileEvent]) -> None:
        with self._more:
            self.said += [told(event, self.root) for event in events]
            self._more.notify_all()
        self.handle(events)

    def settle(self) -> None:
        assert self.watcher.settle(WAIT_S), self.watcher.status()

    def hears(self, *expected: str) -> None:
        """Waits until as many events have been said, without waking the watcher, and that there are no others."""
        with self._more:
            self._more.wait_for(lambda: len(self.said) >= len(expected), WAIT_S)
        self.settle()
        assert self.said == list(expected)
        self.said.clear()


def write(path: Path, text: str) -> None:
    """In one go, where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def replace(path: Path, text: str, *, by_way_of: Path | None = None) -> None:
    """As careful programs save: another file, renamed over it."""
    other = by_way_of or path.with_name(f"{path.name}.tmp")
    other.write_text(text)
    os.replace(other, path)


def fill(root: Path, names: str = "abcde") -> Path:
    """a.yaml with A1, and so on."""
    for name in names:
        write(root / f"{name}.yaml", f"{name.upper()}1")
    return root


@contextmanager
def out_of_reach(path: Path) -> Iterator[None]:
    """Nobody may read `path`. The superuser may read anything, so it is somebody else meanwhile."""
    mode = path.stat().st_mode
    path.chmod(0)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        path.chmod(mode)
