"""What the runner makes of files at its start that cannot be read, cannot say their name, or are being written."""

from __future__ import annotations

import os
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from runner.manager.app import reloading

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
