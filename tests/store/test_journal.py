"""What the journal keeps, what it refuses to keep twice, and what it answers."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from runner.errors import StoreError
from runner.model.events import Source, StatusChanged
from runner.model.orders import OrderState as S
from runner.store import journal_writer
from runner.store.journal import Journal

DAY = date(2024, 3, 1)


def add(journal: Journal, *events):
    return journal.append(events).result(5)


def test_events_come_back_equal_in_order_and_numbered(journal, facts) -> None:
    events = [
        facts.placed("r1"),
        facts.status("r1", S.SENT),
        facts.filled("a.1"),
        facts.charged("a.1"),
        facts.notice("x"),
    ]
    recorded = add(journal, *events)
    assert [one.seq for one in recorded] == [1, 2, 3, 4, 5] and all(one.new for one in recorded)
    assert journal.events() == list(enumerate(events, 1))
    assert journal.last_seq() == 5
    assert journal.events(since=2, limit=2) == [(3, events[2]), (4, events[3])]
    assert journal.events(kinds=["fill", "notice"]) == [(3, events[2]), (5, events[4])]


def test_an_empty_append_is_done_at_once(journal) -> None:
    assert add(journal) == [] and journal.last_seq() == 0


@pytest.mark.parametrize("make", ["filled", "charged", "placed"])
def test_a_second_arrival_of_a_fact_is_not_new(journal, facts, make: str) -> None:
    event = getattr(facts, make)("a.b.01")
    assert [(one.seq, one.new) for one in add(journal, event, event)] == [(1, True), (0, False)]
    assert not add(journal, event)[0].new
    assert journal.last_seq() == 1


def test_only_the_latest_revision_of_an_execution_counts_and_all_are_kept(journal, facts) -> None:
    late, first, second = facts.filled("e.02", quantity="90"), facts.filled("e.01"), facts.filled("f.01", quantity="5")
    assert all(one.new for one in add(journal, late, first, second))
    assert journal.executions() == [late, second]
    assert journal.executions(strategy="other") == []
    assert journal.last_seq() == 3


def test_one_exec_id_in_two_accounts_is_two_executions(journal, facts) -> None:
    assert all(one.new for one in add(journal, facts.filled("e.1"), facts.filled("e.1", account="DU2")))
    assert len(journal.executions()) == 2


@pytest.mark.parametrize("account", [None, "DU1"])
def test_one_order_and_what_belongs_to_it_are_found_without_reading_the_rest(journal, facts, account) -> None:
    if account is not None:
        journal.set_meta("account", account)
    first, corrected, other = facts.filled("e.1.01"), facts.filled("e.1.02", quantity="90"), facts.filled("f.1.01")
    add(journal, facts.placed("r1"), first, corrected, facts.charged("e.1.01"), facts.placed("r2"))
    add(journal, replace(other, order_ref="r2"))
    assert journal.executions_of("r1") == [corrected]
    assert journal.executions_of("r9") == []
    assert [journal.order_of(one) for one in ("e.1.01", "e.1.02", "f.1.01", "e.1.03")] == ["r1", "r1", "r2", None]
    assert [journal.is_charged(one) for one in ("e.1.01", "e.1.02")] == [True, False]


def test_commissions_are_found_by_exec_id(journal, facts) -> None:
    add(journal, facts.charged("e.1", "1.5"), facts.charged("e.1", "9.9"), facts.charged("e.2"))
    assert {key: one.amount for key, one in journal.commissions().items()} == {
        "e.1": Decimal("1.5"),
        "e.2": Decimal("1.00"),
    }


@pytest.mark.parametrize(
    ("history", "change", "new", "state"),
    [
        ((S.SENT,), {"state": S.ACKED}, True, S.ACKED),
        ((S.ACKED,), {"state": S.ACKED}, False, S.ACKED),
        ((S.ACKED,), {"state": S.ACKED, "perm_id": 77}, True, S.ACKED),
        ((S.ACKED,), {"state": S.ACKED, "code": 399, "text": "held"}, True, S.ACKED),
        ((S.ACKED,), {"state": S.SENT, "source": Source.LOCAL}, False, S.ACKED),
        ((S.CANCELLED,), {"state": S.ACKED}, True, S.ACKED),
        ((S.FILLED,), {"state": S.CANCELLED}, False, S.FILLED),
        ((S.FILLED,), {"state": S.FILLED, "perm_id": 5}, True, S.FILLED),
        ((), {"state": S.NOT_SENT}, True, S.NOT_SENT),
    ],
)
def test_which_status_is_new(journal, facts, history, change, new: bool, state: S) -> None:
    add(journal, facts.placed("r1"), *(facts.status("r1", one) for one in history))
    change = {"source": Source.WIRE} | change
    assert add(journal, facts.status("r1", **change))[0].new is new
    assert journal.order("r1").state is state


def test_ids_that_a_status_does_not_say_are_kept(journal, facts) -> None:
    add(journal, facts.placed("r1"), facts.status("r1", S.ACKED, perm_id=9, order_id=3, remaining=Decimal(10)))
    assert not add(journal, facts.status("r1", S.ACKED))[0].new
    record = journal.order("r1")
    assert (record.perm_id, record.order_id, record.client_id, record.remaining) == (9, 3, 1, Decimal(10))


def test_executions_always_count_even_after_a_terminal_state(journal, facts) -> None:
    add(journal, facts.placed("r1"), facts.status("r1", S.CANCELLED), facts.filled("e.1"), facts.filled("f.1"))
    assert journal.order("r1").filled == Decimal(20)


def test_filled_is_the_sum_of_latest_executions_not_what_a_status_said(journal, facts) -> None:
    add(journal, facts.placed("r1"), facts.filled("e.01"), facts.filled("e.02", quantity="4"))
    add(journal, facts.status("r1", S.PARTIAL, filled=Decimal(7)))
    assert journal.order("r1").filled == Decimal(4)


def test_open_orders_are_those_not_in_a_terminal_state(journal, facts) -> None:
    add(journal, *(facts.placed(ref) for ref in ("a", "b", "c")), facts.placed("d", strategy="other"))
    add(journal, facts.status("a", S.REJECTED), facts.status("b", S.UNKNOWN))
    assert [one.intent.order_ref for one in journal.intents()] == ["a", "b", "c", "d"]
    assert [one.intent.order_ref for one in journal.intents(open_only=True)] == ["b", "c", "d"]
    assert [one.intent.order_ref for one in journal.intents(open_only=True, strategy="trend")] == ["b", "c"]
    assert journal.order("nobody") is None


def test_orders_that_are_not_ours_are_told_apart_by_permanent_id(journal, facts) -> None:
    first = [facts.status("", S.ACKED, strategy="", perm_id=1), facts.status("", S.ACKED, strategy="", perm_id=2)]
    assert [one.new for one in add(journal, *first, *first)] == [True, True, False, False]


def test_a_used_reference_with_another_order_is_refused_and_the_rest_of_the_group_is_kept(journal, facts) -> None:
    add(journal, facts.placed("r1"))
    futures = [
        journal.append([facts.filled("e.1")]),
        journal.append([facts.notice("lost"), facts.placed("r1", quantity="99")]),
    ]
    futures.append(journal.append([facts.filled("e.2")]))
    assert futures[0].result(5)[0].new and futures[2].result(5)[0].new
    with pytest.raises(StoreError, match="r1 already belongs"):
        futures[1].result(5)
    assert [event.type for _, event in journal.events()] == ["order", "fill", "fill"]


@pytest.mark.parametrize("bad", [{"price": Decimal("NaN")}, {"quantity": "Infinity"}, {"at": datetime(2024, 1, 1)}])
def test_an_event_that_cannot_be_written_is_refused_and_nothing_of_its_append_is_kept(journal, facts, bad) -> None:
    with pytest.raises(ValueError):
        add(journal, facts.notice("x"), facts.filled("e.1", **bad))
    assert journal.last_seq() == 0


def test_reference_numbers_are_never_given_out_twice_not_even_after_a_restart(tmp_path: Path) -> None:
    numbers: list[int] = []
    for _ in range(3):
        with Journal.open(tmp_path / "j.db") as journal:
            numbers += [journal.next_ref_number() for _ in range(1500)]
    assert len(set(numbers)) == 4500 and numbers == sorted(numbers)


def test_the_epoch_grows_and_an_older_writer_is_fenced_off(tmp_path: Path, facts) -> None:
    first = Journal.open(tmp_path / "j.db")
    add(first, facts.notice("mine"))
    second = Journal.open(tmp_path / "j.db")
    assert second.epoch == first.epoch + 1
    with pytest.raises(StoreError, match="taken over"):
        add(first, facts.notice("late"))
    add(second, facts.notice("new"))
    assert [event.text for _, event in second.events()] == ["mine", "new"]
    first.close()
    second.close()


def test_session_equity_is_written_once(journal) -> None:
    assert journal.session_equity("trend", DAY, Decimal("100.5")) == Decimal("100.5")
    assert journal.session_equity("trend", DAY, Decimal("90")) == Decimal("100.5")
    assert journal.session_equity("trend", date(2024, 3, 4), Decimal("-1")) == Decimal("-1")


def test_a_latch_stays_until_it_is_cleared_with_a_reason(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.db") as journal:
        assert journal.set_latch("trend", DAY, "daily_loss", "-3.1 %", "runner")
        assert not journal.set_latch("trend", DAY, "daily_loss", "again", "runner")
    with Journal.open(tmp_path / "j.db") as journal:
        (latch,) = journal.latches("trend", DAY)
        assert (latch.kind, latch.reason, latch.day) == ("daily_loss", "-3.1 %", DAY)
        assert journal.latches("other") == [] and journal.latches(day=date(2024, 3, 2)) == []
        assert journal.clear_latch("trend", DAY, "daily_loss", "checked", "operator")
        assert not journal.clear_latch("trend", DAY, "daily_loss", "checked", "operator")
        assert journal.latches() == []
        assert journal.set_latch("trend", DAY, "daily_loss", "second breach", "runner")


def test_operator_state_and_meta_survive(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j.db") as journal:
        journal.set_operator_state("a", "paused", "lunch")
        journal.set_operator_state("b", "stopped")
        journal.set_operator_state("b", None)
        journal.set_meta("account", "DU1")
        with pytest.raises(ValueError):
            journal.set_operator_state("a", "sleeping")
    with Journal.read_only(tmp_path / "j.db") as journal:
        assert (journal.operator_state("a"), journal.operator_state("b"), journal.operator_state("c")) == (
            "paused",
            None,
            None,
        )
        assert journal.meta("account") == "DU1" and journal.meta("nothing") is None


def test_wait_for_returns_when_the_event_is_on_disk(journal, facts) -> None:
    seen: list[bool] = []
    follower = threading.Thread(target=lambda: seen.append(journal.wait_for(2, 10)))
    follower.start()
    add(journal, facts.notice("1"), facts.notice("2"))
    follower.join(10)
    assert seen == [True] and not journal.wait_for(3, 0.01)


def test_a_listener_hears_every_new_event_before_its_future_is_done(journal, facts) -> None:
    heard: list[int] = []

    def faulty(_events) -> None:
        raise RuntimeError("a bad listener")

    journal.subscribe(faulty)
    unsubscribe = journal.subscribe(lambda events: heard.extend(seq for seq, _ in events))
    add(journal, facts.filled("e.1"), facts.filled("e.1"), facts.filled("e.2"))
    assert heard == [1, 2]
    unsubscribe()
    add(journal, facts.filled("e.3"))
    assert heard == [1, 2]


def test_a_callback_may_append_and_wait_without_a_deadlock(journal, facts) -> None:
    done = threading.Event()

    def callback(_future) -> None:
        add(journal, facts.notice("from the callback"))
        journal.set_meta("k", "v")
        done.set()

    journal.append([facts.notice("first")]).add_done_callback(callback)
    assert done.wait(10)
    assert journal.last_seq() == 2 and journal.meta("k") == "v"


async def test_cancelling_a_wrapped_future_neither_unwrites_nor_harms_the_journal(journal, facts) -> None:
    futures = [asyncio.wrap_future(journal.append([facts.filled(f"e{i}.1")])) for i in range(50)]
    for future in futures[::2]:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)
    await asyncio.wrap_future(journal.append([facts.notice("after")]))
    assert journal.last_seq() == 51


def test_many_threads_may_append_at_once(journal, facts) -> None:
    def work(name: int) -> None:
        for i in range(50):
            add(journal, facts.filled(f"{name}.{i}.1"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [seq for seq, _ in journal.events()] == list(range(1, 401))
    assert len(journal.executions()) == 400


def test_a_full_queue_blocks_the_producer_and_then_refuses(journal, facts, monkeypatch) -> None:
    monkeypatch.setattr(journal_writer, "QUEUE_LIMIT", 1)
    monkeypatch.setattr(journal_writer, "ENQUEUE_TIMEOUT_S", 0.05)
    go, entered = threading.Event(), threading.Event()
    journal.subscribe(lambda _events: (entered.set(), go.wait(10)))
    first = journal.append([facts.notice("1")])
    assert entered.wait(10)
    second, third = journal.append([facts.notice("2")]), journal.append([facts.notice("3")])
    with pytest.raises(StoreError, match="waiting"):
        third.result(5)
    go.set()
    assert first.result(5)[0].new and second.result(5)[0].new


def test_a_reader_in_another_process_sees_what_is_committed_and_cannot_write(journal, facts) -> None:
    add(journal, facts.placed("r1"))
    with Journal.read_only(journal.path) as reader:
        assert reader.last_seq() == 1 and reader.epoch == journal.epoch
        add(journal, facts.filled("e.1"))
        assert reader.wait_for(2, 5) and not reader.wait_for(3, 0.1)
        assert reader.order("r1").filled == Decimal(10)
        for write in (
            lambda: reader.append([facts.notice("x")]),
            lambda: reader.set_meta("a", "b"),
            reader.next_ref_number,
        ):
            with pytest.raises(StoreError, match="reading only"):
                write()


def test_a_closed_journal_refuses_and_what_was_handed_over_is_written(tmp_path: Path, facts) -> None:
    journal = Journal.open(tmp_path / "j.db")
    futures = [journal.append([facts.filled(f"e{i}.1")]) for i in range(200)]
    journal.close()
    journal.close()
    assert all(future.result(0)[0].new for future in futures)
    with pytest.raises(StoreError, match="closed"):
        add(journal, facts.notice("late"))
    with pytest.raises(StoreError, match="closed"):
        journal.events()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j.db"]


def test_a_status_is_an_event_with_its_own_time(journal, facts) -> None:
    change = StatusChanged(at=facts.now + facts.later, strategy="trend", order_ref="r1", state=S.ACKED)
    add(journal, facts.placed("r1"), change)
    assert journal.order("r1").updated_at == change.at
