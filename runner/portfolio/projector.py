"""The thread that writes behind: from the journal and the books into ArcticDB, in batches.

When ArcticDB refuses, it says so once as a notice in the journal, waits longer each time, and catches up when the store
is back. Nothing is lost meanwhile: the journal has it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runner.errors import RunnerError, StoreError
from runner.model.clock import Clock
from runner.model.events import Notice
from runner.store.journal import Journal
from runner.store.ledger import Ledger
from runner.store.tables import Row

log = logging.getLogger(__name__)

FLUSH_INTERVAL_S = 0.5
BUSY_SHARE = 0.2
"""Most of the time that writing may take. It shares the interpreter with the sessions, whose orders it would hold up;
waiting makes the batches larger, not more."""
REST_LIMIT_S = 10.0
"""Longest pause that a slow write brings about."""
RETRY_LIMIT_S = 60.0
"""Longest wait between two tries while the store refuses."""
SAMPLES_LIMIT = 20_000
"""Equity samples that may wait; beyond it the oldest are dropped."""
JOIN_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Position tables that changed, as of journal event `seq`."""

    seq: int
    tables: Mapping[str, Sequence[Row]]


@dataclass(frozen=True, slots=True)
class EquitySample:
    """One row per symbol of the library `equity` at one moment."""

    at: datetime
    rows: Mapping[str, Row]


class Projector:
    """Writes what is new every interval. `flush` may be called from any thread and raises what the store says."""

    def __init__(self, ledger: Ledger, journal: Journal, clock: Clock, snapshot: Callable[[], Snapshot]) -> None:
        self._ledger = ledger
        self._journal = journal
        self._clock = clock
        self._snapshot = snapshot
        self._pending: dict[str, Sequence[Row]] = {}
        self._samples: deque[EquitySample] = deque(maxlen=SAMPLES_LIMIT)
        self._flushing = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._told = ""
        self._told_blocked: set[tuple[str, str]] = set()

    @property
    def seq(self) -> int:
        return self._ledger.seq

    def start(self, interval_s: float) -> None:
        self._thread = threading.Thread(target=self._run, args=(interval_s,), name="arctic-writer", daemon=True)
        self._thread.start()

    def sample(self, sample: EquitySample) -> None:
        """Queue an equity sample for the next flush."""
        self._samples.append(sample)

    def flush(self) -> None:
        """Write everything there is to write now; StoreError when the store refuses."""
        with self._flushing:
            snapshot = self._snapshot()
            self._pending.update(snapshot.tables)
            self._ledger.catch_up()
            for strategy in sorted(self._pending):
                self._ledger.write_positions(strategy, self._pending[strategy], snapshot.seq)
                del self._pending[strategy]
            waiting = list(self._samples)
            if waiting:
                self._ledger.append_equity([(sample.at, sample.rows) for sample in waiting])
                for _ in waiting:
                    self._samples.popleft()
        self._tell_blocked()

    def rebuild(self) -> int:
        """Write the event tables anew from the journal."""
        with self._flushing:
            done = self._ledger.rebuild()
        self.flush()
        return done

    def close(self) -> None:
        """Stop the thread and write what is left."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT_S)
            if self._thread.is_alive():
                # A store that hangs (object storage away) must not keep the runner from stopping.
                log.error("ArcticDB does not answer; what is missing there is caught up at the next start")
                return
        try:
            self.flush()
            self._ledger.note_mark()
        except StoreError as error:
            self._tell(error)

    def _run(self, interval_s: float) -> None:
        wait_s = interval_s
        while not self._stop.wait(wait_s):
            began = self._clock.monotonic()
            try:
                self.flush()
            except RunnerError as error:
                wait_s = min(max(2 * wait_s, 1.0), RETRY_LIMIT_S)
                self._tell(error)
            except Exception as error:  # the thread must outlive what nobody thought of; trading does not need it
                wait_s = RETRY_LIMIT_S
                log.exception("writing to ArcticDB failed")
                self._tell(StoreError(f"writing to ArcticDB failed: {error!r}"))
            else:
                rest_s = (self._clock.monotonic() - began) * (1 / BUSY_SHARE - 1)
                wait_s = max(interval_s, min(rest_s, REST_LIMIT_S))
                self._told = ""

    def _tell(self, error: RunnerError) -> None:
        """Say it once, in the log and in the event stream, until the store works again."""
        if error.message == self._told:
            return
        self._told = error.message
        log.error("%s", error)
        self._notice("store", str(error))

    def _tell_blocked(self) -> None:
        for key, error in self._ledger.blocked.items():
            if key not in self._told_blocked:
                self._told_blocked.add(key)
                self._notice("store", f"{error.message}; it is left as it is until it is rebuilt")

    def _notice(self, code: str, text: str) -> None:
        self._journal.append([Notice(at=self._clock.now(), strategy="", code=code, text=text)])
