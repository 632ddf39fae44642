"""What may be sent when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.broker import pacing
from runner.broker.pacing import HistoryPacer, HistoryRules, Pacer, Priority, TokenBucket
from runner.errors import PacingLimit
from runner.model.clock import ManualClock

START = datetime(2024, 1, 2, tzinfo=UTC)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=300))
def test_no_second_ever_holds_more_than_ib_allows(gaps: list[float]) -> None:
    bucket = TokenBucket(pacing.RATE_PER_S, pacing.BURST)
    now, sent = 0.0, []
    for gap in gaps:
        now += gap
        now += bucket.take(now) or 0.0
        if not sent or bucket.take(now) == 0.0:
            sent.append(now)
    for at in sent:
        assert sum(at <= other < at + 1.0 for other in sent) <= 50


def test_tokens_come_back_with_time_and_never_exceed_the_burst() -> None:
    bucket = TokenBucket(10, 2)
    assert [bucket.take(0.0), bucket.take(0.0)] == [0.0, 0.0]
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert [bucket.take(100.0), bucket.take(100.0)] == [0.0, 0.0]
    assert bucket.take(100.0) > 0


async def test_with_tokens_at_hand_nothing_waits() -> None:
    pacer = Pacer(ManualClock(START), rate_per_s=1, burst=3)
    assert [pacer.try_take() for _ in range(4)] == [True, True, True, False]
    assert all(Pacer(ManualClock(START), None).try_take() for _ in range(1000))


async def test_who_waits_is_served_by_urgency_then_in_order() -> None:
    clock = ManualClock(START)
    pacer = Pacer(clock, rate_per_s=500, burst=1)
    pacer.try_take()
    served: list[str] = []

    async def one(priority: Priority, name: str) -> None:
        await pacer.slot(priority)
        served.append(name)

    wanted = [
        (Priority.HISTORY, "history"),
        (Priority.ENTRY, "entry 1"),
        (Priority.STATUS, "status"),
        (Priority.ENTRY, "entry 2"),
        (Priority.REDUCE, "reduce"),
        (Priority.EXIT, "exit"),
        (Priority.CANCEL, "cancel"),
    ]
    pending = {asyncio.ensure_future(one(priority, name)) for priority, name in wanted}
    await asyncio.sleep(0)
    assert pacer.waiting == len(wanted)
    while pending:  # a token for each of them, one after another
        clock.set(clock.now() + timedelta(seconds=1))
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    assert served == ["cancel", "exit", "reduce", "entry 1", "entry 2", "status", "history"]


async def test_a_waiter_that_gives_up_takes_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock(START)
    pacer = Pacer(clock, rate_per_s=100, burst=1)
    pacer.try_take()
    gone = asyncio.ensure_future(pacer.slot(Priority.CANCEL))
    stays = asyncio.ensure_future(pacer.slot(Priority.ENTRY))
    await asyncio.sleep(0)
    gone.cancel()
    clock.set(clock.now() + timedelta(seconds=1))
    await stays
    assert pacer.waiting == 0
    monkeypatch.setattr(pacing, "MAX_WAITING", 0)
    with pytest.raises(PacingLimit):
        await pacer.slot(Priority.ENTRY)


def test_historical_requests_keep_ibs_rules() -> None:
    rules = HistoryRules()
    rules.sent(0.0, "a", "X")
    assert rules.wait(1.0, "a", "Y") == pytest.approx(14.0)  # identical within 15 s
    for number in range(4):
        rules.sent(0.1, f"b{number}", "X")
    assert rules.wait(0.2, "c", "X") == pytest.approx(1.8)  # the sixth of one contract within 2 s
    assert rules.wait(0.2, "c", "Z") == 0.0
    for number in range(55):
        rules.sent(3.0, f"d{number}", f"C{number}")
    assert rules.wait(20.0, "e", "Q") == pytest.approx(580.0)  # 60 in ten minutes
    assert rules.wait(600.05, "e", "Q") == 0.0
    assert rules.wait(600.05, "e", "Q", weight=2) == pytest.approx(0.05, abs=1e-6)


async def test_longer_bars_are_not_held_back() -> None:
    pacer = HistoryPacer(ManualClock(START))
    for _ in range(100):
        await pacer.turn(request="same", contract="X", bar_seconds=60)
