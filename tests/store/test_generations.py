"""The journal keeps every version of a strategy's file, what became of it, and what holds in place of the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.model.clock import ManualClock
from runner.store.generations import Generation, GenerationState, Overlay
from runner.store.journal import Journal

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def journal(tmp_path: Path, clock: ManualClock) -> Iterator[Journal]:
    journal = Journal.open(tmp_path / "journal.db", clock=clock)
    yield journal
    journal.close()


def version(state: GenerationState = GenerationState.APPLIED, **changes: object) -> Generation:
    values = {"strategy": "TREND", "state": state, "spec_hash": "abc", "document": '{"name": "TREND"}', "cause": "edit"}
    return Generation(**(values | changes))  # type: ignore[arg-type]


def test_versions_are_numbered_per_strategy_and_keep_what_they_say(journal: Journal, clock: ManualClock) -> None:
    kept = journal.generations
    first = kept.add(version(changes=("params.stop_loss 0 → 0.05",), actor="ana", reason="calmer", source="a: é\n"))
    clock.set(START + timedelta(minutes=1))
    second = kept.add(version(GenerationState.REFUSED, text="S204 at a.yaml:3:4"))
    other = kept.add(version(strategy="OTHER"))
    assert (first.generation, second.generation, other.generation) == (1, 2, 1)
    assert kept.get("TREND", 1) == first
    assert first.seen_at == START and second.seen_at == START + timedelta(minutes=1)
    assert kept.newest("TREND") == second
    assert kept.running("TREND") == first
    assert [one.generation for one in kept.history("TREND", 10)] == [2, 1]
    assert [one.generation for one in kept.history("TREND", 1)] == [2]
    assert kept.strategies() == ["OTHER", "TREND"]
    assert kept.get("TREND", 9) is None and kept.newest("NOBODY") is None and kept.running("NOBODY") is None


@pytest.mark.parametrize(
    ("before", "after"),
    [("held", "replaced"), ("waiting", "replaced"), ("applying", "replaced"), ("applied", "applied"),
     ("refused", "refused"), ("rejected", "rejected")],
)  # fmt: skip
def test_a_later_version_takes_the_place_of_one_that_still_waits(journal: Journal, before: str, after: str) -> None:
    kept = journal.generations
    kept.add(version(GenerationState(before)))
    kept.add(version())
    found = kept.get("TREND", 1)
    assert found is not None and found.state == after


@pytest.mark.parametrize(
    ("before", "after"), [("held", "held"), ("waiting", "waiting"), ("applying", "replaced"), ("applied", "applied")]
)
def test_a_version_that_puts_values_beside_a_file_leaves_what_is_asked_for(
    journal: Journal, before: str, after: str
) -> None:
    kept = journal.generations
    kept.add(version(GenerationState(before)))
    assert kept.add(version(), beside=True).generation == 2
    found = kept.get("TREND", 1)
    assert found is not None and found.state == after


def test_what_became_of_a_version_is_kept_over_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    with Journal.open(tmp_path / "j.db", clock=clock) as journal:
        held = journal.generations.add(version(GenerationState.HELD))
        journal.generations.mark("TREND", held.generation, GenerationState.APPLIED, "approved by ana")
    with Journal.open(tmp_path / "j.db", clock=clock) as journal:
        found = journal.generations.running("TREND")
        assert found is not None and (found.generation, found.text) == (1, "approved by ana")


def test_an_overlay_holds_one_value_of_one_field_until_it_is_taken_back(journal: Journal) -> None:
    kept = journal.generations
    expires = START + timedelta(hours=2)
    kept.put_overlay(
        Overlay(strategy="TREND", path="params.stop_loss", value=0.02, source="override", expires_at=expires)
    )
    put = kept.put_overlay(
        Overlay(strategy="TREND", path="params.stop_loss", value=0.01, source="store", reason="calm")
    )
    kept.put_overlay(Overlay(strategy="OTHER", path="params.max_daily_trades", value=3, source="override"))
    assert kept.overlays("TREND") == [put] and put.set_at == START
    assert [(one.strategy, one.value) for one in kept.overlays()] == [("OTHER", 3), ("TREND", 0.01)]
    assert kept.drop_overlay("TREND", "params.stop_loss") is True
    assert kept.drop_overlay("TREND", "params.stop_loss") is False
    assert kept.overlays("TREND") == []


def test_a_journal_of_the_first_format_gets_the_new_tables_and_keeps_its_events(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TABLE generation; DROP TABLE overlay; PRAGMA user_version = 1;")
        connection.execute("INSERT INTO meta VALUES ('kept', 'yes')")
    connection.close()
    with Journal.open(path) as journal:
        assert journal.meta("kept") == "yes"
        assert journal.generations.add(version()).generation == 1


# -- strategies that are no more


def test_a_removed_strategy_is_removed_until_a_version_of_it_is_applied(journal: Journal) -> None:
    kept = journal.generations
    first = kept.add(version())
    assert not kept.is_removed("TREND")
    kept.remove("TREND")
    kept.remove("TREND")
    kept.add(version(GenerationState.REFUSED))
    assert kept.is_removed("TREND") and not kept.is_removed("TREN") and kept.removed() == {"TREND"}
    assert kept.running("TREND") == first  # its history is there
    again = kept.add(version(GenerationState.APPLYING))
    assert kept.is_removed("TREND")
    kept.mark("TREND", again.generation, GenerationState.APPLIED)
    assert not kept.is_removed("TREND") and kept.removed() == frozenset()
    kept.remove("TREND")
    kept.add(version())
    assert not kept.is_removed("TREND")
    kept.remove("TREND")
    kept.restore("TREND")
    assert not kept.is_removed("TREND")


def test_what_is_removed_is_known_after_a_restart(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.generations.remove("TREND")
    with Journal.open(tmp_path / "journal.db") as journal:
        assert journal.generations.removed() == {"TREND"}
