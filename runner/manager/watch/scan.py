"""One look at the strategies folder: which files it holds, and what the file system says of each."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from runner.spec.load import MAX_BYTES, is_open_to_others
from runner.spec.names import MAX_FILES, FileRole, entries, role_of

FILE_ROLES = (FileRole.STRATEGY, FileRole.BASE)


@dataclass(frozen=True, slots=True)
class FileStat:
    """What shows that a file may have changed. `ctime_ns` shows it where a copy preserves size and time of change."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Place:
    """Which folder it is that a path leads to at the moment. Another one under the same name is another place."""

    real: Path
    """The path without links."""
    device: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The folder as it was found. Paths begin with `root` as it was given, wherever links lead at the moment."""

    root: Path
    place: Place | None
    """None when there is no such folder, or it cannot be reached."""
    files: Mapping[Path, FileStat]
    """Strategies and bases; links are followed."""
    unreadable: Mapping[Path, str] = field(default_factory=dict)
    """Files, folders, or the root itself: what is there and cannot be looked at or into → why."""

    @property
    def is_missing(self) -> bool:
        """Whether there is no such folder, as opposed to one that cannot be read."""
        return self.place is None and not self.unreadable


@dataclass(frozen=True, slots=True)
class Reading:
    """A file's content, and what the file system says of its path after it was read."""

    content: bytes
    stat: FileStat
    others_may_write: bool = False
    """Its permissions let its group or everybody change it."""


def take_scan(root: Path) -> Scan:
    """Look at every file that counts under `root`. Never raises for what is there or is not."""
    files: dict[Path, FileStat] = {}
    unreadable: dict[Path, str] = {}
    place = None
    try:
        place = find_place(root)
        # The tree is walked where it really is: when a link is swapped meanwhile, this is the whole of one of the two.
        given, skipped = str(root), len(os.path.join(place.real, ""))

        def refuse(path: Path, error: OSError) -> None:
            if role_of(path.name) in FILE_ROLES or not path.is_symlink():
                unreadable[_path(given, str(path)[skipped:])] = reason_of(error)

        for entry in entries(place.real, unreadable=refuse):
            if role_of(entry.name) not in FILE_ROLES:
                continue
            found, path = _look_at(entry), _path(given, entry.path[skipped:])
            if isinstance(found, FileStat):
                files[path] = found
            elif found:
                unreadable[path] = found
            if len(files) > MAX_FILES:
                return Scan(
                    root=root, place=place, files={}, unreadable={root: f"it holds more than {MAX_FILES} files"}
                )
    except (FileNotFoundError, NotADirectoryError):
        return Scan(root=root, place=None, files={})
    except OSError as exc:
        return Scan(root=root, place=place, files={}, unreadable={root: reason_of(exc)})
    return Scan(root=root, place=place, files=files, unreadable=unreadable)


def take_scan_of(path: Path) -> Scan:
    """Look at one file alone, whatever it is called. Never raises for what is there or is not."""
    place = None
    try:
        place = find_place(path.parent)
        info = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        unreadable = {path: "the link leads nowhere"} if path.is_symlink() else {}
        return Scan(root=path.parent, place=place, files={}, unreadable=unreadable)
    except OSError as exc:
        return Scan(root=path.parent, place=place, files={}, unreadable={path: reason_of(exc)})
    if not stat.S_ISREG(info.st_mode):
        return Scan(root=path.parent, place=place, files={}, unreadable={path: "it is not a regular file"})
    return Scan(root=path.parent, place=place, files={path: _stat_of(info)})


def find_place(root: Path) -> Place:
    """Where `root` leads, and that it can be listed. Raises OSError."""
    real = Path(os.path.realpath(root))
    os.scandir(real).close()  # the operating system watches a folder that we may not list without a word, and in vain
    info = real.stat()
    return Place(real, info.st_dev, info.st_ino)


def read_file(path: Path) -> Reading:
    """Read a file, a little more than a strategy may have at most. Raises OSError, also for what is no regular file."""
    # Not blocking: a pipe that nobody writes to would stop us for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        with open(descriptor, "rb", closefd=False) as stream:
            content = stream.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    info = os.stat(path)
    return Reading(content, _stat_of(info), is_open_to_others(info.st_mode))


def reason_of(error: OSError) -> str:
    """Why the system refused, as a clause."""
    reason = error.strerror or str(error)
    return reason[:1].lower() + reason[1:]


@lru_cache(maxsize=2 * MAX_FILES)
def _path(root: str, below: str) -> Path:
    """The same objects in every scan: to make and hash them anew would be most of what a scan costs."""
    return Path(root, below)


def _look_at(entry: os.DirEntry[str]) -> FileStat | str:
    """Why not, when it cannot be looked at; empty when it is gone."""
    try:
        info = entry.stat()
    except FileNotFoundError:
        # What a link leads to may be on a volume that is not mounted: the file is there, its content is out of reach.
        return "the link leads nowhere" if os.path.islink(entry.path) else ""
    except OSError as exc:
        return reason_of(exc)
    return _stat_of(info) if stat.S_ISREG(info.st_mode) else "it is not a regular file"


def _stat_of(info: os.stat_result) -> FileStat:
    return FileStat(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
