"""The journal's one writer: a thread that takes whatever waits and commits it as one group.

A job is a function of the connection. Every job runs under its own savepoint, so that a refused one leaves the others
of its group alone; a job's future is done after the group's commit has been synced to disk, never before.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from runner.errors import RunnerError, StoreError

log = logging.getLogger(__name__)

QUEUE_LIMIT = 50_000
"""Jobs that may wait. Beyond it the producer blocks; facts are never dropped."""
ENQUEUE_TIMEOUT_S = 5.0
"""How long a producer blocks before its job is refused."""
GROUP_LIMIT = 2_000
"""Most jobs in one transaction."""
CLOSE_TIMEOUT_S = 10.0

T = TypeVar("T")


@dataclass(slots=True)
class Job(Generic[T]):
    """One piece of writing: `run` inside a transaction, its result into `future`, then `published`."""

    run: Callable[[sqlite3.Connection], T]
    future: Future[T]
    published: Callable[[T], None] | None
    """Called after the commit and before the future is done."""


class JournalWriter:
    """Owns the writing connection and its thread."""

    def __init__(self, connection: sqlite3.Connection, path: str, epoch: int) -> None:
        self._connection = connection
        self._path = path
        self._epoch = str(epoch)
        self._waiting: deque[Job[Any]] = deque()
        self._condition = threading.Condition()
        self._closing = False
        self._failure: StoreError | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, run: Callable[[sqlite3.Connection], T], published: Callable[[T], None] | None = None) -> Future[T]:
        """Queue a job. The future cannot be cancelled: what was handed over is written."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        job = Job(run, future, published)
        if threading.current_thread() is self._thread:
            # A callback of a future that wants more: the group is committed, so the connection is free, and waiting
            # for ourselves would never end.
            self._write_group([job])
            return future
        with self._condition:
            if not self._condition.wait_for(self._has_room, ENQUEUE_TIMEOUT_S):
                future.set_exception(StoreError(f"the journal {self._path} has {QUEUE_LIMIT} writes waiting"))
            elif self._closing or self._failure is not None:
                future.set_exception(self._failure or StoreError(f"the journal {self._path} is closed"))
            else:
                self._waiting.append(job)
                self._condition.notify_all()
        return future

    def finish(self) -> None:
        """Write what waits, then end the thread. StoreError when that takes longer than 10 s."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            raise StoreError(f"the journal {self._path} did not finish writing within {CLOSE_TIMEOUT_S:g} s")

    def close(self) -> None:
        """`finish`, then close the connection; the last one to close folds the write-ahead log into the file."""
        self.finish()
        self._connection.close()

    def _has_room(self) -> bool:
        return len(self._waiting) < QUEUE_LIMIT or self._closing or self._failure is not None

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP_LIMIT))]
                self._condition.notify_all()
            self._write_group(group)

    def _write_group(self, group: list[Job[Any]]) -> None:
        if self._failure is not None:
            for job in group:
                job.future.set_exception(self._failure)
            return
        try:
            outcomes = self._commit(group)
        except sqlite3.Error as error:
            refusal = self._refusal(error)
            for job in group:
                job.future.set_exception(refusal)
            return
        except StoreError as error:
            self._failure = error
            for job in group:
                job.future.set_exception(error)
            return
        for job, (result, failure) in zip(group, outcomes, strict=True):
            if failure is not None:
                job.future.set_exception(failure)
                continue
            if job.published is not None:
                job.published(result)
            job.future.set_result(result)

    def _commit(self, group: list[Job[Any]]) -> list[tuple[Any, Exception | None]]:
        connection = self._connection
        outcomes: list[tuple[Any, Exception | None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._refuse_other_epoch()
            for job in group:
                connection.execute("SAVEPOINT job")
                try:
                    outcomes.append((job.run(connection), None))
                except (RunnerError, ValueError) as error:
                    connection.execute("ROLLBACK TO job")
                    outcomes.append((None, error))
                connection.execute("RELEASE job")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return outcomes

    def _refuse_other_epoch(self) -> None:
        (epoch,) = self._connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        if epoch != self._epoch:
            raise StoreError(
                f"another process has taken over the journal {self._path} (epoch {epoch}, ours {self._epoch})",
                hint="only one runner may use a state directory; stop this one",
            )

    def _refusal(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return StoreError(
                f"the disk under the journal {self._path} is full: nothing was written",
                hint="free space; new orders are refused until the journal can be written again",
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreError(f"the journal {self._path} is locked by another program: {error}")
        # After a failed sync nobody knows what is on the disk: only opening it again tells.
        self._failure = StoreError(
            f"writing the journal {self._path} failed: {error}", hint="check the disk, then restart the runner"
        )
        log.error("%s", self._failure.message)
        return self._failure
