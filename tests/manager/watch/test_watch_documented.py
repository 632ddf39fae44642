"""The page on reloading says the times and limits that the code has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from runner.manager.watch.machine import Settling
from runner.manager.watch.mounts import _REMOTE
from runner.manager.watch.watcher import HINTS_RETRY_S, Watcher
from runner.spec.names import MAX_FILES, MAX_FOLDER_DEPTH

PAGE = (Path(__file__).resolve().parents[3] / "docs/reload.md").read_text()
SECTION = PAGE.partition("## What counts as a change")[2].partition("\n## ")[0]
TIMES = Settling()
LOOKS = {name: parameter.default for name, parameter in inspect.signature(Watcher).parameters.items()}


def row(beginning: str) -> str:
    """The last cell of the row that begins so."""
    (found,) = (line for line in SECTION.splitlines() if line.startswith(f"| {beginning}"))
    return found.rstrip("| ").rpartition("| ")[2]


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        ("a file stands still", f"{TIMES.quiet_s:g} s"),
        ("… and its content takes", f"{TIMES.brake_s:g} s"),
        ("… and it is empty", f"{TIMES.blank_s:g} s"),
        ("a file keeps changing", f"{TIMES.unsettled_s:g} s"),
        ("a file is missing", f"{TIMES.grace_s:g} s"),
        ("between two attempts", f"{TIMES.retry_s:g} s"),
        ("between two readings", f"{TIMES.hash_all_s:g} s"),
        ("the folder replaced", f"within {LOOKS['rescan_s']:g} s"),
        ("the target of a linked file", f"within {LOOKS['rescan_s']:g} s"),
        ("a change of which", f"within {LOOKS['rescan_s']:g} s"),
        ("the folder missing", f"within {LOOKS['poll_s']:g} s of its return"),
        ("a change that leaves", f"within {TIMES.hash_all_s:g} s"),
    ],
)
def test_the_times_are_those_of_the_code(beginning: str, expected: str) -> None:
    assert row(beginning) == expected


def test_the_limits_are_those_of_the_code() -> None:
    text = " ".join(SECTION.split())
    assert f"at least {TIMES.mass_fraction:.0%} of all".replace("%", " %") in text
    assert f"for {TIMES.unsettled_s:g} seconds at most" in text
    assert f"More than {MAX_FILES} strategy files" in text
    assert "eight deep" in text and MAX_FOLDER_DEPTH == 8
    assert "once a second" in text and LOOKS["poll_s"] == 1.0
    assert "again every minute" in text and HINTS_RETRY_S == 60.0
    named = re.search(r"\(NFS, (.+?) and others\)", text)
    assert named is not None
    for kind in ("nfs", *(word.lower() for word in named[1].split(", "))):
        assert any(_REMOTE.fullmatch(one) for one in (kind, f"{kind}3", f"{kind}.x")), kind
