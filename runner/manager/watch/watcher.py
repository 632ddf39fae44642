"""The thread that keeps looking at the strategies folder, and who wakes it."""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from runner.manager.watch.events import FileEvent, Gone, Moved, Readable, Settled, Waiting
from runner.manager.watch.hints import Hints
from runner.manager.watch.machine import FileMachine
from runner.manager.watch.mounts import remote_type
from runner.manager.watch.scan import Place, Scan, find_place, reason_of, take_scan
from runner.model.clock import Clock

STOP_TIMEOUT_S = 5.0
APPROVAL_TIMEOUT_S = 10.0
BURST_S = 0.005
"""From a hint to the scan: a save is a handful of changes, and the last one is the one that matters."""
MIN_GAP_S = 0.02
"""Between two scans."""
LOAD = 0.2
"""Share of the time that scans and what follows from them take at most, however often they are asked for."""
HINTS_RETRY_S = 60.0
"""Between two attempts to be told of changes after the system's limits did not allow it: they can be raised."""

log = logging.getLogger("runner.watch")


class WatchMode(StrEnum):
    """How changes are found. INOTIFY is every system's own way of telling; on Linux that is inotify."""

    AUTO = "auto"
    """INOTIFY where it can be relied on, else POLL."""
    INOTIFY = "inotify"
    """Also on file systems on which others write unnoticed; POLL only where the system refuses it."""
    POLL = "poll"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchStatus:
    """How well the watcher sees, and what has not settled."""

    mode: WatchMode | None
    """INOTIFY or POLL, as it is at the moment; None while nobody watches."""
    reason: str = ""
    """Why it is polling."""
    watching_since: datetime | None = None
    """Since when the system tells of changes in this very folder; None while it does not."""
    last_scan: datetime | None = None
    look_s: float = 0.0
    """How long the last scan took, with what followed from it."""
    last_hint: datetime | None = None
    """When the system last told of something."""
    blind: Mapping[str, int] = field(default_factory=dict)
    """How often it was found that the system had not been telling → by cause."""
    files: int = 0
    """Files with a settled content."""
    settling: Mapping[Path, Waiting] = field(default_factory=dict)
    missing: tuple[Path, ...] = ()
    """Files that went missing a moment ago."""
    unreadable: tuple[Path, ...] = ()
    held: tuple[Path, ...] = ()
    """Files that are missing and not reported gone, because so many are."""

    @property
    def is_settled(self) -> bool:
        """Whether everything that could be decided has been."""
        return not self.settling and not self.missing

    def after(self, machine: FileMachine, at: datetime) -> WatchStatus:
        """With what the machine has seen at that time."""
        return replace(
            self,
            last_scan=at,
            files=machine.count,
            settling=machine.settling,
            missing=machine.missing,
            unreadable=machine.unreadable,
            held=machine.held,
        )


class Watcher:
    """Scans the folder when the system hints at a change, when the machine needs it, and every `rescan_s` seconds all
    the same; every `poll_s` while no hints are to be had. `scan` says what of the folder counts; what is not `deep`
    needs no word of sub-folders.

    `on_events` is called on the watcher's thread with what followed from one scan, never with nothing. What it raises
    is logged, and the watcher goes on.
    """

    def __init__(
        self,
        root: Path,
        machine: FileMachine,
        on_events: Callable[[Sequence[FileEvent]], None],
        *,
        clock: Clock,
        mode: WatchMode = WatchMode.AUTO,
        rescan_s: float = 5.0,
        poll_s: float = 1.0,
        scan: Callable[[Path], Scan] = take_scan,
        deep: bool = True,
    ) -> None:
        self._root = root
        self._scan = scan
        self._machine = machine
        self._on_events = on_events
        self._clock = clock
        self._mode = WatchMode(mode)
        self._rescan_s, self._poll_s = rescan_s, poll_s
        self._hints = Hints(self._heard, deep=deep)
        self._place: Place | None = None
        """What the hints are about."""
        self._retry_hints_at = 0.0
        self._blind: Counter[str] = Counter()
        self._announced = True
        """Whether the system has told of anything since all was settled; the start needs no telling."""
        # A SimpleQueue may be put to from a signal handler, whatever the interrupted thread is doing.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._hinted = False
        self._mode_changed = False
        self._approvals: queue.SimpleQueue[Future[tuple[Path, ...]]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._looked = threading.Condition()
        self._begun = self._done = 0
        """Scans. What was written before a scan began is in it."""
        self._status = WatchStatus(mode=WatchMode.POLL, reason="not started")
        self._thread = threading.Thread(target=self._run, name="strategies-watch", daemon=True)

    def start(self) -> None:
        """Begin. The files that are there settle first, like any others."""
        self._thread.start()

    def stop(self) -> bool:
        """End within STOP_TIMEOUT_S. False when `on_events` did not come back; the thread is left behind then."""
        self._stopping.set()
        self.wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(STOP_TIMEOUT_S)
        return not self._thread.is_alive()

    def use(self, mode: WatchMode) -> None:
        """Find changes in this way from now on. From any thread."""
        if mode is not self._mode:
            self._mode, self._mode_changed = mode, True
            self.wake()

    def wake(self) -> None:
        """Scan now, without being told why. From any thread, and from a signal handler."""
        self._wakes.put(None)

    def status(self) -> WatchStatus:
        """As of the last scan."""
        return self._status

    def settle(self, timeout_s: float) -> bool:
        """Wait until all that was written before this call is settled, or gone, and has been handed to `on_events`.

        False when something is still in the writing, or the watcher does not run. Not for the watcher's own thread.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("the watcher's own thread cannot wait for itself")
        with self._looked:
            scan = self._begun + 1
            self.wake()
            self._looked.wait_for(lambda: self._ended or (self._done >= scan and self._status.is_settled), timeout_s)
            return not self._ended and self._done >= scan and self._status.is_settled

    def approve_deletions(self, timeout_s: float = APPROVAL_TIMEOUT_S) -> tuple[Path, ...]:
        """Let the files that are held be gone, after a last look whether they are back. Returns those that are gone
        once `on_events` has been told; none when the watcher does not run, TimeoutError after `timeout_s`."""
        if self._ended:
            return ()
        request: Future[tuple[Path, ...]] = Future()
        self._approvals.put(request)
        self.wake()
        return request.result(timeout_s)

    @property
    def _ended(self) -> bool:
        return self._stopping.is_set() or not self._thread.is_alive()

    def _heard(self) -> None:
        """On the thread of the hints: only notes it."""
        if not self._hinted:
            self._hinted = True
            self._wakes.put(None)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._look()
                except Exception:  # the thread must outlive what nobody has thought of
                    log.exception("a look at %s failed", self._root)
                self._sleep()
        finally:
            self._hints.close()
            with self._looked:
                self._stopping.set()
                self._looked.notify_all()

    def _sleep(self) -> None:
        """Until the next scan is due or wanted, but for the gap that bounds the load."""
        status = self._status
        ended = self._clock.monotonic()
        self._stopping.wait(max(MIN_GAP_S, status.look_s * (1 - LOAD) / LOAD))
        at = ended + (self._rescan_s if self._hints.active else self._poll_s)
        due = self._machine.next_due()
        left = (at if due is None else min(at, due)) - self._clock.monotonic()
        try:
            self._wakes.get(timeout=max(0.0, left))
            if self._hinted:
                self._stopping.wait(BURST_S)
            while True:
                self._wakes.get_nowait()
        except queue.Empty:
            pass

    def _look(self) -> None:
        with self._looked:
            self._begun += 1
        last_hint = self._status.last_hint
        if self._hinted:
            # Before the scan: what is hinted at from here on may not be in it.
            self._hinted, self._announced, last_hint = False, True, self._clock.now()
        self._keep_hearing(self._clock.monotonic())
        began = self._clock.monotonic()
        scan = self._scan(self._root)
        events = self._machine.observe(scan, self._clock.monotonic())
        took_s = self._clock.monotonic() - began
        self._notice_silence(events)
        requests = self._asked_for_approval()
        approved = self._machine.approve_deletions() if requests else ()
        if events or approved:
            self._hand_over((*events, *approved))
        self._publish(last_hint, took_s)
        for request in requests:
            request.set_result(tuple(event.path for event in approved if isinstance(event, Gone)))

    def _asked_for_approval(self) -> list[Future[tuple[Path, ...]]]:
        requests = []
        while not self._approvals.empty():
            requests.append(self._approvals.get())
        return [request for request in requests if request.set_running_or_notify_cancel()]

    def _hand_over(self, events: Sequence[FileEvent]) -> None:
        try:
            self._on_events(events)
        except Exception:
            log.exception("handling %d changes of files raised", len(events))

    def _publish(self, last_hint: datetime | None, look_s: float) -> None:
        seen = self._status.after(self._machine, self._clock.now())
        status = replace(seen, look_s=look_s, last_hint=last_hint, blind=dict(self._blind))
        with self._looked:
            self._status = status
            self._done = self._begun
            self._looked.notify_all()
        if status.is_settled:
            self._announced = False

    # Hearing of changes

    def _keep_hearing(self, now: float) -> None:
        """See that hints come, and from the folder that is there now. Before the scan: later changes are heard."""
        if self._mode_changed:
            self._mode_changed = False
            self._hear_anew()
        if self._mode is WatchMode.POLL:
            self._poll("so configured")
            return
        try:
            place = find_place(self._root)
        except OSError as exc:
            if self._place is not None:
                gone = isinstance(exc, FileNotFoundError | NotADirectoryError)
                self._went_blind("folder gone" if gone else "folder unreadable")
            self._poll(reason_of(exc))
            return
        if self._place is not None and self._place != place:
            self._went_blind("folder replaced")
        elif self._hints.dead:
            self._went_blind("system gave up")
        if self._hints.active or now < self._retry_hints_at:
            return
        kind = remote_type(place.real) if self._mode is WatchMode.AUTO else ""
        if kind:
            self._poll(f"what others write on {kind} is not announced", retry_at=now + HINTS_RETRY_S)
            return
        try:
            self._hints.watch(place.real)
        except OSError as exc:
            self._poll(reason_of(exc), retry_at=now + HINTS_RETRY_S)
            return
        self._place = place
        self._announced = True
        self._machine.hash_all()
        self._status = replace(self._status, mode=WatchMode.INOTIFY, reason="", watching_since=self._clock.now())

    def _poll(self, reason: str, *, retry_at: float = 0.0) -> None:
        if self._status.reason != reason:
            log.log(logging.INFO if self._mode is WatchMode.POLL else logging.WARNING, "polling: %s", reason)
        self._hints.close()
        self._place, self._retry_hints_at = None, retry_at
        self._status = replace(self._status, mode=WatchMode.POLL, reason=reason, watching_since=None)

    def _went_blind(self, cause: str) -> None:
        """Changes may have been missed; the scan finds them."""
        log.warning("changes in %s were not announced: %s", self._root, cause)
        self._blind[cause] += 1
        self._hear_anew()

    def _hear_anew(self) -> None:
        """Set the hints up again with the next scan."""
        self._hints.close()
        self._place, self._retry_hints_at = None, 0.0

    def _notice_silence(self, events: Sequence[FileEvent]) -> None:
        """Find out that hints are missing from changes that nothing had hinted at."""
        changed = any(isinstance(event, Settled | Moved | Gone) for event in events)
        if self._hints.active and changed and not self._announced and not self._hinted:
            self._went_blind("change not announced")
            self.wake()
        elif any(isinstance(event, Readable) for event in events):
            # The system was asked to watch what could not be read, and has not refused.
            self._hear_anew()
            self.wake()
