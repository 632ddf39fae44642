"""`message_queue`: where strategies push standardized events, and the thread that hands them to the books."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from runner.model.events import Event

CAPACITY = 100_000
"""Events that may wait. Far beyond what IB can send in the time that a batch takes."""
BATCH = 1_024
"""Events that are journalled in one go."""
CLOSE_TIMEOUT_S = 5.0

log = logging.getLogger("runner.queue")


class _Stop:
    pass


class MessageQueue:
    """A bounded queue with one consumer thread.

    `handle` gets the events in the order in which they were put, in batches; it may block. Nothing that is put is
    dropped silently: when the queue is full, `overflow` is called, and the caller's session must be read again.
    """

    def __init__(self, handle: Callable[[Sequence[Event]], None], overflow: Callable[[Event], None]) -> None:
        self._handle = handle
        self._overflow = overflow
        self._queue: queue.Queue[Event | Future[None] | _Stop] = queue.Queue(CAPACITY)
        self._thread = threading.Thread(target=self._consume, name="message-queue", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, event: Event) -> None:
        """Never blocks, from any thread."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._overflow(event)

    def barrier(self) -> Future[None]:
        """A future that is done when everything put before it has been handled."""
        mark: Future[None] = Future()
        try:
            self._queue.put_nowait(mark)
        except queue.Full:
            mark.set_exception(RuntimeError("the message queue is full"))
        return mark

    def close(self) -> None:
        """Handles what is queued, then ends the thread."""
        if self._thread.is_alive():
            self._queue.put(_Stop(), timeout=CLOSE_TIMEOUT_S)
            self._thread.join(CLOSE_TIMEOUT_S)

    def _consume(self) -> None:
        while True:
            batch: list[Event] = []
            item = self._queue.get()
            while True:
                if isinstance(item, Future):
                    self._deliver(batch)
                    batch = []
                    if item.set_running_or_notify_cancel():  # whoever waited may have been stopped meanwhile
                        item.set_result(None)
                elif isinstance(item, _Stop):
                    self._deliver(batch)
                    return
                else:
                    batch.append(item)
                if len(batch) >= BATCH:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            self._deliver(batch)

    def _deliver(self, batch: list[Event]) -> None:
        if not batch:
            return
        try:
            self._handle(batch)
        except Exception:  # the thread must outlive one bad batch; the journal keeps what was committed
            log.exception("handling %d events raised", len(batch))
