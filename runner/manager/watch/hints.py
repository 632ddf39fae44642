"""The operating system's word that something under a folder may have changed. It is late, wrong or missing at times."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

WRITES: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
"""What is listened to. Not that files were opened or read, which we do ourselves at every hint."""

log = logging.getLogger("runner.watch")

# watchdog 7.1 calls it an error when one of its own threads is told to end, and warns when it is told twice of a new
# folder in a new folder. Neither matters, and whether it still hears is looked at with every scan.
logging.getLogger("watchdog.observers.inotify").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)


class Hints:
    """Calls `heard` when something may have changed in the folder that is watched, on a thread of its own; `deep` when
    its sub-folders count as well."""

    def __init__(self, heard: Callable[[], None], *, deep: bool = True) -> None:
        self._handler = _Handler(heard)
        self._deep = deep
        self._observer: BaseObserver | None = None

    @property
    def active(self) -> bool:
        return self._observer is not None

    def watch(self, real: Path) -> None:
        """Watch a folder, by its path without links, and no other any more. Raises OSError when the system's limits
        do not allow it, or the folder is not there."""
        self.close()
        try:
            observer = Observer()
        except RuntimeError as exc:  # no more threads
            raise OSError(str(exc)) from exc
        try:
            observer.schedule(self._handler, str(real), recursive=self._deep, event_filter=WRITES)
            observer.start()
        except (OSError, RuntimeError) as exc:
            observer.stop()
            raise exc if isinstance(exc, OSError) else OSError(str(exc)) from exc
        self._observer = observer

    @property
    def dead(self) -> bool:
        """Whether it cannot hear any more: the system gave up on the folder, or a thread has ended."""
        observer = self._observer
        if observer is None:
            return False
        emitters = list(observer.emitters)
        return not observer.is_alive() or not emitters or not all(emitter.is_alive() for emitter in emitters)

    def close(self) -> None:
        """Listen no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer = None


class _Handler(FileSystemEventHandler):
    """Whatever is raised in a handler ends watchdog's thread for good, so nothing is."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard = heard

    def on_any_event(self, event: FileSystemEvent) -> None:
        try:
            self._heard()
        except Exception:
            log.exception("a hint that files may have changed was lost")
