"""A strategies folder and a clock in memory, and a machine that looks at them the way the watcher does."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from telling import told

from runner.manager.watch.events import FileEvent
from runner.manager.watch.machine import FileMachine, Settling
from runner.manager.watch.scan import FileStat, Place, Reading, Scan

ROOT = Path("strategies.d")


def path_of(name: str) -> Path:
    """`a` → strategies.d/a.yaml; a name with a suffix or the root itself stays as it is."""
    if name == ".":
        return ROOT
    return ROOT / (name if Path(name).suffix or name.endswith("/") else f"{name}.yaml")


@dataclass
class FakeFolder:
    """Files with a stat that changes with every write, unless told to keep it."""

    files: dict[Path, tuple[bytes, FileStat]] = field(default_factory=dict)
    unreadable: dict[Path, str] = field(default_factory=dict)
    """What a scan cannot look at."""
    refused: dict[Path, str] = field(default_factory=dict)
    """What a scan sees and nobody may read."""
    open_to_others: set[Path] = field(default_factory=set)
    """What others than its owner may write to."""
    place: Place | None = field(default_factory=lambda: Place(ROOT, 1, 1))
    before_read: Callable[[Path], None] = lambda path: None
    _ticks: itertools.count[int] = field(default_factory=itertools.count)

    def write(self, name: str, text: str) -> None:
        tick = next(self._ticks)
        self.files[path_of(name)] = (text.encode(), FileStat(1, tick, len(text), tick, tick))

    def write_unseen(self, name: str, text: str) -> None:
        """Another content behind the same stat."""
        path = path_of(name)
        self.files[path] = (text.encode(), self.files[path][1])

    def touch(self, name: str) -> None:
        path = path_of(name)
        content, stat = self.files[path]
        self.files[path] = (content, replace(stat, mtime_ns=next(self._ticks)))

    def chmod(self, name: str, *, others_may_write: bool) -> None:
        path = path_of(name)
        content, stat = self.files[path]
        self.files[path] = (content, replace(stat, ctime_ns=next(self._ticks)))
        (self.open_to_others.add if others_may_write else self.open_to_others.discard)(path)

    def delete(self, *names: str) -> None:
        for name in names:
            del self.files[path_of(name)]

    def move(self, old: str, new: str) -> None:
        content, stat = self.files.pop(path_of(old))
        self.files[path_of(new)] = (content, replace(stat, ctime_ns=next(self._ticks)))

    def scan(self) -> Scan:
        files = {path: stat for path, (_, stat) in self.files.items()}
        if self.place is None:
            files = {}
        hidden = [path for path in files if not self.unreadable.keys().isdisjoint((path, *path.parents))]
        for path in hidden:
            del files[path]
        return Scan(root=ROOT, place=self.place, files=files, unreadable=dict(self.unreadable))

    def read(self, path: Path) -> Reading:
        self.before_read(path)
        if path in self.refused:
            raise PermissionError(13, self.refused[path])
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory")
        content, stat = self.files[path]
        return Reading(content, stat, path in self.open_to_others)


def identity(content: bytes) -> str | None:
    """The first letter of a content is the strategy's name: A1 and A2 are versions of A."""
    first = content[:1].decode()
    return first if first.isalpha() else None


def is_risky(path: Path, content: bytes) -> bool:
    return b"?" in content


class World:
    """Folder, machine and time. The machine looks after every step, as if hinted at it, and whenever it is due."""

    def __init__(self, settings: Settling, **files: str) -> None:
        self.folder = FakeFolder()
        self.asked: list[bytes] = []
        self.machine = FileMachine(settings, read=self.folder.read, is_risky=self._is_risky, identity=identity)
        self.now = 0.0
        self.events: list[tuple[float, str]] = []
        if files:
            for name, text in files.items():
                self.folder.write(name, text)
            self.look()
            self.until(40.0)  # longer than anything is waited for
        self.asked.clear()
        self.events.clear()
        self._zero = self.now

    def _is_risky(self, path: Path, content: bytes) -> bool:
        self.asked.append(content)
        return is_risky(path, content)

    def look(self) -> None:
        self.note(self.machine.observe(self.folder.scan(), self.now))
        due = self.machine.next_due()
        assert due is not None and due > self.now, "it would look again and again"

    def note(self, events: tuple[FileEvent, ...]) -> None:
        self.events += [(round(self.now - getattr(self, "_zero", 0.0), 3), told(event, ROOT)) for event in events]

    def until(self, at: float) -> None:
        """Let time pass, looking when something is due."""
        at += getattr(self, "_zero", 0.0)
        while (due := self.machine.next_due()) is not None and due <= at:
            self.now = due
            self.look()
        self.now = at
