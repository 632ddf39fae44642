"""Turns: one strategy's never at the same time, several strategies' side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from runner.manager.reload.settings import LANES


class Lanes:
    """`schedule` asks for a turn; one that is under way is followed by another. Threads are only taken by turns, never
    by what waits for one."""

    def __init__(self, turn: Callable[[str], None]) -> None:
        """`turn` is called with the name of a strategy, on a thread of the pool. It must not raise."""
        self._turn = turn
        self._lock = threading.Lock()
        self._due: set[str] = set()
        self._under_way: set[str] = set()
        self._ended = False
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(LANES, thread_name_prefix="reload")

    def schedule(self, name: str) -> None:
        """Asks for a turn of the strategy, unless one is asked for already."""
        with self._lock:
            if name in self._due or self._ended:
                return
            self._due.add(name)
            if name not in self._under_way:
                self._pool.submit(self._run, name)

    def submit(self, work: Callable[[], None]) -> None:
        """Something that concerns no strategy in particular."""
        with self._lock:
            if not self._ended:
                self._pool.submit(work)

    def is_due(self, name: str) -> bool:
        """Whether a turn is asked for that has not begun."""
        with self._lock:
            return name in self._due

    def busy(self) -> frozenset[str]:
        """Strategies whose turn is asked for or under way."""
        with self._lock:
            return frozenset(self._due | self._under_way)

    def notify(self) -> None:
        """Something has ended that `wait` may wait for."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, quiet: Callable[[], bool], timeout_s: float) -> bool:
        """Waits until no turn is asked for or under way and `quiet` holds; False when it takes longer, or all ends."""

        def all_quiet() -> bool:
            return not self.busy() and quiet()

        with self._changed:
            self._changed.wait_for(lambda: self._ended or all_quiet(), timeout_s)
        return all_quiet()

    def end(self) -> None:
        """No turn begins any more, and nobody waits for one."""
        with self._lock:
            self._ended = True
        self.notify()

    def join(self) -> None:
        """Waits for the turns that are under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, name: str) -> None:
        with self._lock:
            self._under_way.add(name)
            self._due.discard(name)
        self._turn(name)
        with self._lock:
            self._under_way.discard(name)
            if name in self._due and not self._ended:
                self._pool.submit(self._run, name)
        self.notify()
