"""Which files of a strategies folder count, and as what. Their names decide, and nothing inside them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

MAX_FILES = 5_000
"""Files in one strategies folder; more is a wrong folder."""
MAX_FOLDER_DEPTH = 8

_STRATEGY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.ya?ml\Z")
_BASE = re.compile(r"_[A-Za-z0-9][A-Za-z0-9_-]*\.ya?ml\Z")
_TESTS = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*)\.test(\.ya?ml)\Z")
_DROPPING = re.compile(r"\.|.*~\Z|#.*#\Z|.*\.(?:swp|swx|tmp|bak|orig|rej)\Z|4913\Z")
_LOOKS_LIKE = re.compile(r".*\.ya?ml(?:\W.*)?\Z|.*conflicted copy.*", re.IGNORECASE)


class FileRole(StrEnum):
    """What a file in the strategies folder is taken for."""

    STRATEGY = "strategy"
    BASE = "base"
    """Extended by strategies, never started."""
    TESTS = "tests"
    """Tests of the strategy that it is named after; says nothing about its trading."""
    LOOKALIKE = "lookalike"
    """Not read, though its author may expect it to be."""


def role_of(name: str) -> FileRole | None:
    """The role that a file's name gives it; None for what has nothing to do with strategies."""
    if _DROPPING.match(name):
        return None
    if _STRATEGY.match(name):
        return FileRole.STRATEGY
    if _BASE.match(name):
        return FileRole.BASE
    if _TESTS.match(name):
        return FileRole.TESTS
    return FileRole.LOOKALIKE if _LOOKS_LIKE.match(name) else None


def strategy_path(path: Path) -> Path | None:
    """Where the strategy of a file of tests is, there or not; None when `path` is not named like one."""
    match = _TESTS.match(path.name)
    return None if match is None else path.with_name(match[1] + match[2])


def case_path(path: Path) -> Path:
    """Where tests of the strategy in `path` would be kept."""
    return path.with_name(f"{path.stem}.test{path.suffix}")


def walk(root: Path) -> Iterator[Path]:
    """The paths of `entries`."""
    return (Path(entry.path) for entry in entries(root))


def entries(root: Path, *, unreadable: Callable[[Path, OSError], None] | None = None) -> Iterator[os.DirEntry[str]]:
    """Files under `root` by name, editors' droppings left out; folders that a link leads outside are not entered.

    Raises OSError when `root` cannot be listed. A folder below it, or an entry that cannot even be looked at, is handed
    to `unreadable`; without that, a folder raises and an entry is left out.
    """
    return _entries(str(root), Path(os.path.realpath(root)), 0, unreadable)


def _entries(
    folder: str, within: Path, depth: int, unreadable: Callable[[Path, OSError], None] | None
) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listed:
            found = sorted(listed, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        if depth == 0:
            raise
        return  # it was removed while its parent was being walked
    except OSError as exc:
        if depth == 0 or unreadable is None:
            raise
        unreadable(Path(folder), exc)
        return
    for entry in found:
        if _DROPPING.match(entry.name) or entry.name == "__pycache__":
            continue
        try:
            is_folder = entry.is_dir()
            inside = is_folder and (not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(within))
        except (OSError, RuntimeError) as exc:  # RuntimeError: links in a circle
            if unreadable is not None:
                unreadable(Path(entry.path), exc if isinstance(exc, OSError) else OSError(str(exc)))
            continue
        if not is_folder:
            yield entry
        elif inside and depth < MAX_FOLDER_DEPTH:
            yield from _entries(entry.path, within, depth + 1, unreadable)
