"""From a save to its settled event in a folder of many strategies, and what looking at such a folder costs.

Bases: the quiet period that every file has to stand still for; bare `os.stat` of the same files for the looks.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from common import ROOT, Table, best_of, microseconds, percentile

from runner.manager.watch.events import FileEvent
from runner.manager.watch.machine import FileMachine, Settling
from runner.manager.watch.scan import read_file, take_scan
from runner.manager.watch.watcher import Watcher
from runner.model.clock import SystemClock

FILES = 500
TIMEOUT_S = 30.0
BETWEEN_SAVES_S = 0.1
"""A person's saves do not follow each other within the pause after a scan."""


def fill(root: Path) -> list[Path]:
    """The same strategy under many names."""
    text = (ROOT / "strategies.d" / "trend.yaml").read_text()
    paths = [root / f"s{number:03}.yaml" for number in range(FILES)]
    for number, path in enumerate(paths):
        path.write_text(text.replace("name: TREND", f"name: S{number:03}"))
    return paths


def machine_of() -> FileMachine:
    return FileMachine(
        Settling(),
        read=read_file,
        is_risky=lambda path, content: False,
        identity=lambda content: None,
    )


def latencies_of(root: Path, paths: Sequence[Path], saves: int) -> list[float]:
    """Seconds from the rename that saves a file until its event has been handed over."""
    settled = threading.Event()
    handed_over = 0.0

    def take(events: Sequence[FileEvent]) -> None:
        nonlocal handed_over
        handed_over = time.perf_counter()
        settled.set()

    watcher = Watcher(root, machine_of(), take, clock=SystemClock())
    watcher.start()
    try:
        if not watcher.settle(TIMEOUT_S):
            raise SystemExit("the folder did not settle")
        taken = []
        for number in range(saves):
            time.sleep(BETWEEN_SAVES_S)
            path = paths[number % len(paths)]
            other = path.with_suffix(".tmp")
            other.write_text(f"{path.read_text()}# {number}\n")
            settled.clear()
            began = time.perf_counter()
            os.replace(other, path)
            if not settled.wait(TIMEOUT_S):
                raise SystemExit(f"{path.name} did not settle")
            taken.append(handed_over - began)
        return taken
    finally:
        watcher.stop()


def measure(saves: int, repeats: int) -> Table:
    table = Table(f"Watching a folder of {FILES} strategies")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        paths = fill(root)
        names = [str(path) for path in paths]
        base_s = best_of(lambda: [os.stat(name) for name in names], repeats=repeats)
        scan_s = best_of(lambda: take_scan(root), repeats=repeats)
        machine = machine_of()
        for now in (0.0, 1.0):
            machine.observe(take_scan(root), now)
        scan = take_scan(root)
        look_s = best_of(lambda: machine.observe(scan, 2.0), repeats=repeats)

        def read_all() -> None:
            machine.hash_all()
            machine.observe(scan, 2.0)

        all_s = best_of(read_all, repeats=repeats)
        taken = latencies_of(root, paths, saves)
    of = "bare os.stat of each file"
    table.add("a scan", microseconds(scan_s), scan_s / base_s, of)
    table.add("what follows from it, when nothing has changed", microseconds(look_s), look_s / base_s, of)
    table.add("the same with reading every file, once a minute", microseconds(all_s), all_s / base_s, of)
    quiet_s = Settling().quiet_s
    for share, what in ((0.5, "p50"), (0.99, "p99")):
        took = percentile(taken, share)
        table.add(f"from a save until it is settled, {what}", f"{took * 1e3:,.0f} ms", took / quiet_s, "quiet period")
    return table
