"""When the content of a file counts: each file's way from being written to being settled, and from missing to gone.

              seen                 quiet, read, known content
    (absent) ─────► SETTLING ◄───────────────────────────────► SETTLED
                     ▲  ▲  └─ cannot be read ─► UNREADABLE        │
        back again   │  └────────── changed ────────┘             │
                     │                                            │ not there
                     └──────────────── MISSING ◄──────────────────┘
                                          └─ grace is over ─► Gone, or held

Pure but for the file contents that it reads through a callable: time comes in with each scan.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

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
    Waiting,
)
from runner.manager.watch.scan import FILE_ROLES, FileStat, Place, Reading, Scan, reason_of
from runner.spec.names import role_of

END_MARKER = b"..."
"""YAML's own mark for the end of a document."""

log = logging.getLogger("runner.watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """How long a file must stand still, and how long a missing one is waited for."""

    quiet_s: float = 0.25
    """Without a change before a file is read. It begins anew with every change."""
    brake_s: float = 2.0
    """Without a change before a risky content is taken: half a file is often a valid one without its caps."""
    blank_s: float = 5.0
    """Without a change before an empty file is taken for what it is: most writers empty a file first."""
    unsettled_s: float = 30.0
    """In the writing before it is said."""
    grace_s: float = 5.0
    """How long a file must be missing before it is gone."""
    hash_all_s: float = 60.0
    """Between two readings of every file, whatever the file system says of them."""
    retry_s: float = 5.0
    """Between two attempts to read a file that cannot be read."""
    mass_fraction: float = 0.30
    """Of all files: when as many of them are missing within one grace, and more than one, it looks like an accident."""
    require_end_marker: bool = False
    """Whether a file is in the writing until its last line is `...`: for slow copies and network file systems."""

    @property
    def asked(self) -> Settling:
        """For looks that somebody asks for, and says with it that the files are as they are meant to be."""
        return replace(self, quiet_s=0.0, brake_s=0.0, grace_s=0.0, retry_s=0.0)


class Phase(StrEnum):
    """Where a file stands."""

    SETTLING = "settling"
    SETTLED = "settled"
    UNREADABLE = "unreadable"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class _Content:
    data: bytes
    sha256: str
    others_may_write: bool


@dataclass(slots=True)
class _File:
    since: float
    """When it came into its phase."""
    changed_at: float
    """When its latest change was seen."""
    look_at: float
    """When it is to be read next, while it is settling or unreadable."""
    phase: Phase = Phase.SETTLING
    stat: FileStat | None = None
    settled: _Content | None = None
    read: str = ""
    """Hash of the content that was read since its latest change; empty before."""
    waiting: Waiting = Waiting.CHANGING
    judged: str = ""
    """Hash of the content of which it was asked whether it is risky."""
    is_risky: bool = False
    in_sight: bool = True
    """False while it is in a folder that cannot be read: it is neither there nor missing then."""
    unreadable: bool = False
    """Said to be unreadable, and not yet readable again."""
    unsettled: bool = False
    """Said to be unsettled, and not yet settled."""


class FileMachine:
    """Turns scans into file events.

    `read` gives a file's content and its stat afterwards, or raises OSError; what it says of who may write counts as
    part of the content. `is_risky(path, content)` is asked once
    per content, before a content that is new is taken: does it take away or loosen anything of what runs? For a file
    that nothing runs of yet, yes is the careful answer. `identity(content)` says whose content it is, so that a file
    that was renamed and edited is known again; None when it cannot say.
    """

    def __init__(
        self,
        settings: Settling,
        *,
        read: Callable[[Path], Reading],
        is_risky: Callable[[Path, bytes], bool],
        identity: Callable[[bytes], str | None],
    ) -> None:
        self._settings = self._next_settings = settings
        self._read = read
        self._is_risky = is_risky
        self._identity = identity
        self._files: dict[Path, _File] = {}
        self._missing: dict[Path, _File] = {}
        """Those of them that the last scan did not find."""
        self._blocked: dict[Path, str] = {}
        """Folders that cannot be read → why."""
        self._held: set[Path] = set()
        self._device: int | None = None
        """Of the folder, when no file was missing."""
        self._now = -math.inf
        self._hash_all_at: float | None = None
        self._hash_all = False

    def use(self, settings: Settling) -> None:
        """From the next scan on; what is in the writing is judged by them anew. From any thread."""
        self._next_settings = settings

    def remember(self, path: Path, content: bytes, *, others_may_write: bool = False) -> None:
        """Before the first scan: what was settled at `path` when a machine last ran. A file that has not changed since
        is no event, and one that is not there any more is judged like any that goes missing."""
        file = _File(since=self._now, changed_at=self._now, look_at=math.inf, phase=Phase.SETTLED)
        file.settled = _Content(content, _sha256(content), others_may_write)
        self._files[path] = file

    def observe(self, scan: Scan, now: float) -> tuple[FileEvent, ...]:
        """What follows from the folder being as `scan` says at `now` (seconds, never going back)."""
        self._now = now
        if self._settings is not self._next_settings:
            self._settings = self._next_settings
            for file in self._files.values():
                file.look_at = min(file.look_at, now) if file.phase is Phase.SETTLING else file.look_at
        hash_all = self._hash_all or self._hash_all_at is None or now >= self._hash_all_at
        if hash_all:
            self._hash_all, self._hash_all_at = False, now + self._settings.hash_all_s
        events: list[FileEvent] = []
        self._take_in(scan, events)
        self._missing = {path: file for path, file in self._files.items() if file.phase is Phase.MISSING}
        for path, file in list(self._files.items()):
            if not file.in_sight:
                continue
            if file.phase in (Phase.SETTLING, Phase.UNREADABLE) and now >= file.look_at:
                self._look(path, file, events)
            elif file.phase is Phase.SETTLED and hash_all:
                self._verify(path, file, events)
            if file.phase is Phase.SETTLING and not file.unsettled and now >= file.since + self._settings.unsettled_s:
                file.unsettled = True
                events.append(Unsettled(path=path, waiting=file.waiting))
        self._judge_missing(scan.place, events)
        return tuple(events)

    def next_due(self) -> float | None:
        """When the next scan is needed at the latest, if nothing changes; None before the first."""
        if self._hash_all_at is None:
            return None
        settings = self._settings
        due = [self._hash_all_at]
        for path, file in self._files.items():
            if not file.in_sight:
                continue
            if file.phase in (Phase.SETTLING, Phase.UNREADABLE):
                due.append(file.look_at)
            if file.phase is Phase.SETTLING and not file.unsettled:
                due.append(file.since + settings.unsettled_s)
            if file.phase is Phase.MISSING and path not in self._held:
                grace_ends = file.since + settings.grace_s
                due.append(grace_ends if grace_ends > self._now else file.since + settings.unsettled_s)
        return min(due)

    def hash_all(self) -> None:
        """With the next scan, read every file, whatever the file system says of them."""
        self._hash_all = True

    def approve_deletions(self) -> tuple[FileEvent, ...]:
        """Let what is held be gone, but for what the last scan could not look for."""
        paths = tuple(sorted(path for path in self._held if self._files[path].in_sight))
        if not paths:
            return ()
        self._held.difference_update(paths)
        for path in paths:
            del self._files[path], self._missing[path]
        return (MassDeletionReleased(paths=paths, approved=True), *(Gone(path=path) for path in paths))

    @property
    def count(self) -> int:
        """Files that have a settled content."""
        return sum(1 for file in self._files.values() if file.settled is not None)

    @property
    def settling(self) -> Mapping[Path, Waiting]:
        """Files in the writing → what they are waiting for."""
        return {path: file.waiting for path, file in self._files.items() if self._is_settling(file)}

    @property
    def missing(self) -> tuple[Path, ...]:
        """Files that are missing and may come back: those of which nothing has been said yet."""
        return tuple(sorted(self._missing.keys() - self._held))

    @property
    def held(self) -> tuple[Path, ...]:
        """Files that are missing and are not reported gone."""
        return tuple(sorted(self._held))

    @property
    def unreadable(self) -> tuple[Path, ...]:
        """Files and folders that have been reported unreadable."""
        return tuple(sorted([*self._blocked, *(path for path, file in self._files.items() if file.unreadable)]))

    # What is there

    def _take_in(self, scan: Scan, events: list[FileEvent]) -> None:
        for path, stat in scan.files.items():
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = _File(since=self._now, changed_at=self._now, look_at=math.inf)
            file.in_sight = True
            if file.stat != stat:
                self._changed(file, stat)
        self._take_in_unreadable(scan, events)
        for path in [path for path in self._files if path not in scan.files and path not in scan.unreadable]:
            file = self._files[path]
            was_in_sight, file.in_sight = file.in_sight, scan.unreadable.keys().isdisjoint(path.parents)
            if not file.in_sight:
                continue
            self._not_there(path, file, events)
            if not was_in_sight:
                file.since = self._now  # whether it was missing meanwhile cannot be known: its grace begins

    def _take_in_unreadable(self, scan: Scan, events: list[FileEvent]) -> None:
        blocked: dict[Path, str] = {}
        for path, reason in scan.unreadable.items():
            if role_of(path.name) not in FILE_ROLES:
                blocked[path] = reason
                if path not in self._blocked:
                    events.append(Unreadable(path=path, reason=reason))
                continue
            file = self._files.setdefault(path, _File(since=self._now, changed_at=self._now, look_at=math.inf))
            file.in_sight = True
            file.stat = None
            self._cannot_be_read(path, file, reason, events, retry_at=math.inf)  # the scan will say when it can
        events += [Readable(path=path) for path in self._blocked if path not in blocked]
        self._blocked = blocked

    def _changed(self, file: _File, stat: FileStat) -> None:
        file.stat = stat
        file.changed_at = self._now
        file.look_at = self._now + self._settings.quiet_s
        file.read, file.waiting = "", Waiting.CHANGING
        self._enter(file, Phase.SETTLING)

    def _enter(self, file: _File, phase: Phase) -> None:
        if file.phase is not phase:
            file.phase, file.since = phase, self._now

    def _not_there(self, path: Path, file: _File, events: list[FileEvent]) -> None:
        if file.settled is not None:
            file.stat = None
            self._enter(file, Phase.MISSING)
            return
        del self._files[path]
        if file.unreadable or file.unsettled:  # it has been spoken of
            events.append(Gone(path=path))

    # What it holds

    def _read_or_refuse(self, path: Path, file: _File, events: list[FileEvent]) -> _Content | None:
        """The content, when it can be read and has not changed since the scan."""
        try:
            reading = self._read(path)
        except FileNotFoundError:
            file.look_at = self._now + self._settings.quiet_s  # gone since the scan: the next one will say so
            return None
        except OSError as exc:
            retry_at = self._now + self._settings.retry_s
            self._cannot_be_read(path, file, reason_of(exc), events, retry_at=retry_at)
            return None
        if reading.stat != file.stat:
            self._changed(file, reading.stat)
            return None
        if file.unreadable:
            file.unreadable = False
            events.append(Readable(path=path))
        return _Content(reading.content, _sha256(reading.content), reading.others_may_write)

    def _cannot_be_read(
        self, path: Path, file: _File, reason: str, events: list[FileEvent], *, retry_at: float
    ) -> None:
        self._enter(file, Phase.UNREADABLE)
        file.look_at = retry_at
        if not file.unreadable:
            file.unreadable = True
            events.append(Unreadable(path=path, reason=reason))

    def _verify(self, path: Path, file: _File, events: list[FileEvent]) -> None:
        """Find a change of a settled file that the file system did not show."""
        content = self._read_or_refuse(path, file, events)
        if content is not None and content != file.settled:
            assert file.stat is not None
            self._changed(file, file.stat)
            file.read = content.sha256

    def _look(self, path: Path, file: _File, events: list[FileEvent]) -> None:
        """Read a file that has been quiet, and take its content or say until when it has to wait."""
        content = self._read_or_refuse(path, file, events)
        if content is None:
            return
        if file.read and file.read != content.sha256:  # written to behind an unchanged stat
            assert file.stat is not None
            self._changed(file, file.stat)
        file.read = content.sha256
        self._enter(file, Phase.SETTLING)
        if file.settled == content:
            self._settle(path, file, content, None, events)
            return
        # A content that was settled elsewhere is whole, whatever it was written over.
        is_other = file.settled is None or file.settled.sha256 != content.sha256
        old = self._missing_with(path, content) if is_other and content.data.strip() else None
        file.waiting, needed_s = self._needed(path, file, content) if old is None else (Waiting.CHANGING, 0.0)
        file.look_at = file.changed_at + needed_s
        if self._now >= file.look_at:
            self._settle(path, file, content, old or self._missing_as(path, file, content), events)

    def _needed(self, path: Path, file: _File, content: _Content) -> tuple[Waiting, float]:
        """How long the file must stand still for this content to be taken, and why."""
        settings = self._settings
        if settings.require_end_marker and not _has_end_marker(content.data):
            return Waiting.NO_END_MARKER, math.inf
        if not content.data.strip():
            return Waiting.BLANK, settings.blank_s
        if file.judged != content.sha256:
            file.judged, file.is_risky = content.sha256, self._ask_whether_risky(path, content.data)
        return (Waiting.RISKY, settings.brake_s) if file.is_risky else (Waiting.CHANGING, settings.quiet_s)

    def _ask_whether_risky(self, path: Path, content: bytes) -> bool:
        try:
            return self._is_risky(path, content)
        except Exception:  # one file that cannot be judged must not keep the others from settling
            log.exception("%s could not be compared with what runs; it is given %s s", path, self._settings.brake_s)
            return True

    def _settle(self, path: Path, file: _File, content: _Content, old: Path | None, events: list[FileEvent]) -> None:
        """Take a content. `old` is where it was before, if it was."""
        before = file.settled
        if old is not None:
            before = self._files.pop(old).settled
            del self._missing[old]
            events.append(Moved(old=old, new=path))
        if before != content or file.unsettled:
            events.append(
                Settled(
                    path=path,
                    content=content.data,
                    sha256=content.sha256,
                    others_may_write=content.others_may_write,
                )
            )
        file.settled = content
        file.unsettled, file.look_at, file.judged = False, math.inf, ""
        self._enter(file, Phase.SETTLED)

    def _missing_like(self, like: Path) -> list[tuple[Path, _Content]]:
        """Missing files that one at `like` may be: those of its name first, then by name."""
        role = role_of(like.name)
        missing = [
            (path, file.settled)
            for path, file in self._missing.items()
            if file.settled is not None and role_of(path.name) is role
        ]
        return sorted(missing, key=lambda one: (one[0].name != like.name, one[0]))

    def _missing_with(self, path: Path, content: _Content) -> Path | None:
        """The missing file that had this very content."""
        return next((other for other, settled in self._missing_like(path) if settled.sha256 == content.sha256), None)

    def _missing_as(self, path: Path, file: _File, content: _Content) -> Path | None:
        """The missing file whose strategy this content is, when the file has not been that strategy's already."""
        missing = self._missing_like(path)
        own = self._whose(content) if missing else None
        if own is None or (file.settled is not None and self._whose(file.settled) == own):
            return None
        return next((other for other, settled in missing if self._whose(settled) == own), None)

    def _whose(self, content: _Content) -> str | None:
        try:
            return self._identity(content.data)
        except Exception:  # as above
            log.exception("the strategy of a file could not be told")
            return None

    # What is missing

    def _judge_missing(self, place: Place | None, events: list[FileEvent]) -> None:
        settings, now, missing = self._settings, self._now, self._missing
        looks_like_accident = bool(missing) and self._is_mass(len(missing), place)
        back = self._held - missing.keys()
        if back:  # the others stay held: that some are back says nothing about them
            events.append(MassDeletionReleased(paths=tuple(sorted(back)), approved=False))
            self._held -= back
        # A file that is in the writing may be a missing one under another name: its content will tell.
        in_writing = any(self._is_settling(file) for file in self._files.values())
        patience_s = settings.unsettled_s if in_writing else settings.grace_s
        due = [
            path
            for path, file in missing.items()
            if file.in_sight and path not in self._held and now >= file.since + patience_s
        ]
        if due and looks_like_accident:
            self._held = set(missing)
            events.append(MassDeletionHeld(paths=tuple(sorted(missing))))
        elif due:
            for path in due:
                del self._files[path], missing[path]
                events.append(Gone(path=path))
        if place is not None and not missing:
            self._device = place.device

    def _is_mass(self, missing: int, place: Place | None) -> bool:
        """Whether this many missing files are more than somebody would delete at once, or the volume is another one."""
        count = self.count
        many = missing > 1 and missing >= self._settings.mass_fraction * count
        elsewhere = self._device is not None and (place is None or place.device != self._device)
        return many or missing == count or elsewhere

    @staticmethod
    def _is_settling(file: _File) -> bool:
        return file.phase is Phase.SETTLING and file.in_sight


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _has_end_marker(content: bytes) -> bool:
    return content.rstrip().rpartition(b"\n")[2].rstrip() == END_MARKER
