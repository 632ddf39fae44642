"""What the watcher says about files. Applied one after the other, they give the settled content of the whole folder.

    Settled  contents[path] = content
    Moved    contents[new] = contents.pop(old), in place of what was at `new`
    Gone     contents.pop(path)

The others change no content: they say why it is not newer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Waiting(StrEnum):
    """What keeps a file from being settled."""

    CHANGING = "it keeps changing"
    BLANK = "it is empty"
    RISKY = "it takes settings away, and may be half-written"
    NO_END_MARKER = 'its last line is not "..."'


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A file stands still with a content that is not the one it had, or others may write to it now, or not any more.

    Once more with the old content when that ends what `Unsettled` has reported.
    """

    path: Path
    content: bytes
    sha256: str
    others_may_write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was settled at `old` is at `new` now. When its content has changed as well, `Settled` follows."""

    old: Path
    new: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A file was deleted and has not come back within the grace, neither there nor elsewhere."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A file, or a folder with all that is in it, cannot be read. The settled content stays."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """What was unreadable can be read again; a folder may also have been removed meanwhile."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A file has been in the writing for too long. The settled content stays; the next `Settled` ends this."""

    path: Path
    waiting: Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class MassDeletionHeld:
    """So many files are missing that it looks like an accident: none of them is reported gone.

    `paths` are all that are held; said again when there are more. One that comes back is no longer held without a word.
    """

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MassDeletionReleased:
    """These are not held any more. Approved: `Gone` follows for each. Else they are back, here or under another
    name."""

    paths: tuple[Path, ...]
    approved: bool


FileEvent = Settled | Moved | Gone | Unreadable | Readable | Unsettled | MassDeletionHeld | MassDeletionReleased
