"""What the runner makes of files at its start that cannot be read, cannot say their name, or are being written."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.manager.app import reloading
from runner.model.clock import ManualClock
from runner.store.generations import Generation, GenerationState

START = date(2012, 1, 3)
TEXT = """spec: 1
name: TREND
universe: AAPL
bars: {size: 1 day}
signals: {a: {use: buy_and_hold}}
sizing: {use: equal_weight}
params: {target_weight: 0.1, max_position_size: 0.5}
schedule: {calendar: XNYS}
"""


@pytest.fixture
def running(build: Any, tmp_path: Path) -> Any:
    """A manager whose journal has seen the file once."""
    running = build({"t.yaml": TEXT}, state=tmp_path, start=START, end=START)
    with reloading(running.manager) as service:
        service.begin()
    return running


@pytest.mark.parametrize(
    "damage", ["name: [\n", "\x00", "- not a mapping\n", None], ids=["yaml", "byte", "list", "link"]
)
def test_a_file_that_cannot_say_its_name_is_still_that_strategys(running: Any, damage: str | None) -> None:
    file = running.folder / "t.yaml"
    file.unlink()
    if damage is None:
        os.symlink(running.folder / "nowhere", file)
    else:
        file.write_text(damage)
    with reloading(running.manager) as service:
        _, starts = service.begin()
        assert [(one.spec.name, one.generation, bool(one.reduce_only), one.held) for one in starts] == [
            ("TREND", 1, True, False)
        ]
    row = running.manager.strategies.get("TREND")
    assert row is not None and row.state == ""


def test_a_file_that_cannot_say_its_name_is_that_of_the_strategy_that_was_seen_in_it_last(running: Any) -> None:
    """It said another name before, whose strategy was removed, and once one that never came to run."""
    file, generations = running.folder / "t.yaml", running.manager.journal.generations
    file.write_text(TEXT.replace("TREND", "ZETA"))
    with reloading(running.manager) as service:
        service.begin()
    assert running.manager.strategies.get("TREND").state == "removed"
    file.write_text(TEXT.replace("TREND", "ALPHA"))
    with reloading(running.manager) as service:
        service.begin()
    file.write_text(TEXT.replace("TREND", "ZZZ") + "x: 1\n")
    with reloading(running.manager) as service:
        service.begin()
    assert (generations.newest("ZZZ").state, generations.running("ZZZ")) == ("refused", None)
    assert running.manager.strategies.get("ALPHA").state == "removed"
    file.write_text(TEXT.replace("TREND", "ALPHA"))
    with reloading(running.manager) as service:
        service.begin()
    file.write_text("name: [\n")
    with reloading(running.manager) as service:
        _, starts = service.begin()
    assert [(one.spec.name, bool(one.reduce_only)) for one in starts] == [("ALPHA", True)]


def test_of_two_strategies_that_ran_from_a_file_it_is_that_of_the_later(running: Any) -> None:
    seen_at = datetime(2030, 1, 2, tzinfo=UTC)
    for name in ("ZETA", "ALPHA"):
        seen_at += timedelta(hours=1)
        generations = replace(running.manager.journal.generations, clock=ManualClock(seen_at))
        generations.add(Generation(strategy=name, state=GenerationState.APPLIED, file="t.yaml"))
    (running.folder / "t.yaml").write_text("name: [\n")
    with reloading(running.manager) as service:
        service.begin()
        wanted = {name: track.wanted for name, track in service.engine.tracks().items()}
    assert [name for name, one in wanted.items() if one is not None] == ["ALPHA"]


def test_a_start_in_the_middle_of_a_save_waits_for_its_end(running: Any) -> None:
    file = running.folder / "t.yaml"
    cut = TEXT[: TEXT.index("params")]
    whole = TEXT.replace("0.5", "0.4")
    file.write_text(cut)
    writer = threading.Timer(0.1, lambda: file.write_text(whole))
    writer.start()
    with reloading(running.manager) as service:
        _, (start,) = service.begin()
    writer.join()
    assert start.spec.params.max_position_size == 0.4
