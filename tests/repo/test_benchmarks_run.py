"""`make bench` works: every benchmark runs through and prints its figures. What they are is not looked at."""

from __future__ import annotations

import subprocess
import sys

import pytest

TIMEOUT_S = 120
FIGURES = (
    "runner, all of it",
    "Pipeline.evaluate, 4 instruments",
    "decide(), 4 instruments, per instrument",
    "runner.spec, 20 files",
    "runner validate FILE, cold, CPU",
    "message_queue → journal → books",
    "… and in ArcticDB",
    "market order until it is filled, p50",
    "one step with 10 keepUpToDate subscriptions",
    "with the whole runner, per session",
    "a scan",
    "from a save until it is settled, p50",
    "from a save until it is settled, p99",
    "bare ib_async placeOrder, p50 / p99",
    "1 strategy, p50",
    "1 strategy, p99",
    "25 strategies at once, p50",
    "25 strategies at once, p99",
    "longest garbage collection",
    "journal commit, synced",
    "per strategy",
    "save → cap in force, p50",
    "save → cap in force, p99",
    "Where the time of a reload goes",
)


@pytest.fixture(scope="module")
def printed(root):
    command = [sys.executable, str(root / "benchmarks" / "run.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=root)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


@pytest.mark.parametrize("figure", FIGURES)
def test_the_benchmarks_print(printed, figure):
    assert figure in printed


def test_every_figure_that_has_a_base_is_printed_as_a_ratio_too(printed):
    assert printed.count(" × ") >= 20
    assert "Only ratios compare between machines" in printed


def test_the_scripts_are_no_package(root):
    """ArcticDB's wheel brings a stray top-level package of the same name."""
    assert not (root / "benchmarks" / "__init__.py").exists()
