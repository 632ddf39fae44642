"""The queue between the sessions and the books."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from runner.manager import message_queue
from runner.manager.message_queue import MessageQueue
from runner.model.events import Event, Notice


def notice(number: int) -> Notice:
    return Notice(at=datetime(2026, 1, 2, tzinfo=UTC), strategy="S", code="n", text=str(number))


def test_events_are_handled_in_order_and_a_barrier_waits_for_those_before_it() -> None:
    seen: list[str] = []
    queue = MessageQueue(lambda batch: seen.extend(e.text for e in batch if isinstance(e, Notice)), lambda _: None)
    queue.start()
    for number in range(5_000):
        queue.put(notice(number))
    queue.barrier().result(10)
    assert seen == [str(number) for number in range(5_000)]
    queue.close()


def test_a_barrier_whose_waiter_was_stopped_does_no_harm() -> None:
    """A strategy that is stopped while it settles cancels its barrier; every later fill must still be booked."""
    gate, seen = threading.Event(), []

    def handle(batch: Sequence[Event]) -> None:
        gate.wait(10)
        seen.extend(batch)

    queue = MessageQueue(handle, lambda _: None)
    queue.start()
    queue.put(notice(0))
    assert queue.barrier().cancel()
    gate.set()
    queue.put(notice(1))
    queue.barrier().result(10)
    assert len(seen) == 2
    queue.close()


def test_closing_handles_what_is_queued() -> None:
    gate, seen = threading.Event(), []

    def handle(batch: Sequence[Event]) -> None:
        gate.wait(10)
        seen.extend(batch)

    queue = MessageQueue(handle, lambda _: None)
    queue.start()
    for number in range(10):
        queue.put(notice(number))
    gate.set()
    queue.close()
    assert len(seen) == 10


def test_a_batch_that_raises_does_not_end_the_consumer(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Event] = []

    def handle(batch: Sequence[Event]) -> None:
        if not seen:
            seen.extend(batch)
            raise RuntimeError("boom")
        seen.extend(batch)

    queue = MessageQueue(handle, lambda _: None)
    queue.start()
    queue.put(notice(1))
    queue.barrier().result(10)
    queue.put(notice(2))
    queue.barrier().result(10)
    queue.close()
    assert len(seen) == 2
    assert "boom" in caplog.text


def test_a_full_queue_tells_instead_of_blocking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_queue, "CAPACITY", 3)
    refused: list[Event] = []
    queue = MessageQueue(lambda _: None, refused.append)  # never started: nothing is taken out
    for number in range(5):
        queue.put(notice(number))
    assert [event.text for event in refused if isinstance(event, Notice)] == ["3", "4"]
