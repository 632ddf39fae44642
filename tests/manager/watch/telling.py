"""File events in words, for tables of facts."""

from __future__ import annotations

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
)


def told(event: FileEvent, root: Path) -> str:
    """An event as a word and names under `root`: strategies.d/a.yaml is a."""

    def names(*paths: Path) -> str:
        return " ".join(path.relative_to(root).as_posix().removesuffix(".yaml") for path in paths)

    match event:
        case Settled(path=path, content=content, others_may_write=others_may_write):
            return f"Settled {names(path)}={content.decode()}{' (open to others)' if others_may_write else ''}"
        case Moved(old=old, new=new):
            return f"Moved {names(old)}>{names(new)}"
        case Unsettled(path=path, waiting=waiting):
            return f"Unsettled {names(path)}: {waiting.name}"
        case MassDeletionHeld(paths=paths):
            return f"Held {names(*paths)}"
        case MassDeletionReleased(paths=paths, approved=approved):
            return f"{'Approved' if approved else 'Released'} {names(*paths)}"
        case Gone(path=path) | Unreadable(path=path) | Readable(path=path):
            return f"{type(event).__name__} {names(path)}"
