"""Looking at the strategies folder when somebody asks, and only then.

The same scan, machine and events as a watcher's. Whoever asks says with it that the files are as they are meant to be,
so nothing is waited for: a file counts as it is, unless it is empty or changes while it is read, and one that is
missing is gone, unless it looks like an accident.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.manager.watch.events import FileEvent, Gone, Waiting
from runner.manager.watch.machine import FileMachine
from runner.manager.watch.scan import Scan, take_scan
from runner.manager.watch.watcher import APPROVAL_TIMEOUT_S, WatchStatus
from runner.model.clock import Clock

MOST_SCANS = 5
"""For one look, while files change under it."""

log = logging.getLogger("runner.watch")


class Looks:
    """What a `Watcher` is asked, answered without a thread. The machine's times should be those of `Settling.asked`.

    `on_events` is called on the thread that asks, by one at a time; what it raises is logged.
    """

    def __init__(
        self,
        root: Path,
        machine: FileMachine,
        on_events: Callable[[Sequence[FileEvent]], None],
        *,
        clock: Clock,
        scan: Callable[[Path], Scan] = take_scan,
    ) -> None:
        self._root = root
        self._machine = machine
        self._on_events = on_events
        self._clock = clock
        self._scan = scan
        self._lock = threading.Lock()
        self._stopped = False
        self._status = WatchStatus(mode=None)

    def status(self) -> WatchStatus:
        """As of the last look."""
        return self._status

    def settle(self, timeout_s: float) -> bool:
        """Looks now. False when something is still in the writing, which is not waited for; also when it is looked for
        others for longer than `timeout_s`, and after `stop`."""
        if not self._lock.acquire(timeout=timeout_s):
            return False
        try:
            return not self._stopped and self._look().is_settled
        finally:
            self._lock.release()

    def approve_deletions(self, timeout_s: float = APPROVAL_TIMEOUT_S) -> tuple[Path, ...]:
        """Let the files that are held be gone, after a last look whether they are back. Returns those that are gone;
        none after `stop`, TimeoutError when it is looked for others for longer than `timeout_s`."""
        if not self._lock.acquire(timeout=timeout_s):
            raise TimeoutError(f"{self._root} is still being looked at for somebody else")
        try:
            if self._stopped:
                return ()
            self._look()
            approved = self._machine.approve_deletions()
            self._hand_over(approved)
            self._status = self._status.after(self._machine, self._clock.now())
            return tuple(event.path for event in approved if isinstance(event, Gone))
        finally:
            self._lock.release()

    def stop(self) -> None:
        """Looks no more, once a look that is under way has ended: the machine is free for a watcher."""
        with self._lock:
            self._stopped = True

    def _look(self) -> WatchStatus:
        self._machine.hash_all()
        for _ in range(MOST_SCANS):
            self._hand_over(self._machine.observe(self._scan(self._root), self._clock.monotonic()))
            if Waiting.CHANGING not in self._machine.settling.values():
                break
        self._status = self._status.after(self._machine, self._clock.now())
        return self._status

    def _hand_over(self, events: Sequence[FileEvent]) -> None:
        try:
            if events:
                self._on_events(events)
        except Exception:
            log.exception("handling %d changes of files raised", len(events))
