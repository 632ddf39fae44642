"""From the save of a file to its cap in force, with a folder full of strategies that run.

The real manager, watcher and store in a process of their own, against the real gateway in another. A save is the
rename of a whole file over the old one; the cap is in force when `runtime.params` has it, which is what the order gate
reads for every order. The next save comes when everything that follows from the last one is done. Bases of the ratios:
the quiet period, for which a file must stand still before it is read, and the bare reading of that one file with
PyYAML's C loader.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from common import ROOT, Table, best_of, gateway_process, microseconds, percentile, write_market

from runner.broker.ib_connection import IBSettings
from runner.manager.app import start_all
from runner.manager.reload.engine import ReloadEngine
from runner.manager.reload.in_place import InPlace
from runner.manager.reload.service import ReloadService
from runner.manager.reload.settings import ReloadSettings
from runner.manager.strategy_manager import StrategyManager
from runner.manager.versions import Versions
from runner.manager.watch.machine import Settling
from runner.model.clock import SystemClock
from runner.spec.config import GatewayConfig, RunnerConfig
from runner.spec.deployment import Deployment
from runner.spec.workspace import Workspace
from runner.store.generations import Generations
from runner.store.strategies import StrategyTable

SYMBOLS = 20
TIMEOUT_S = 600.0
POLL_S = 0.0005
SEED = 5

BASE = "schedule: {calendar: XNYS}\nsizing: {use: equal_weight}\n"
SPEC = """\
spec: 1
name: S{number:03}
extends: _base.yaml
description: One of many
universe: {symbol}
bars: {{size: 1 day, history: 30}}
signals: {{trend: {{use: sma_cross, with: {{fast: 5, slow: 20}}}}}}
params:
  target_weight: {weight}     # what is saved
  max_daily_trades: 50
"""
STEPS = {
    "judge": "the folder judged: the one file read, checked and built, the others known",
    "wish": "compared with what runs, decided",
    "tighten": "the cap handed to the order gate",
    "compare": "the row compared with the store's",
    "journal": "its version into the journal, synced, and confirmed",
    "prepare": "the version built beside the one in force",
    "swap": "swapped between two moments of the strategy",
    "store": "the table of strategies written",
}


class Probe:
    """Time spent in the steps of one reload, by whichever thread."""

    def __init__(self) -> None:
        self.handed_over = 0.0
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def install(self) -> None:
        on_events = ReloadService.on_events
        probe = self

        def handed_over(service: ReloadService, events: Sequence[Any]) -> None:
            probe.handed_over = time.perf_counter()
            on_events(service, events)

        places: list[tuple[type, str, str]] = [
            (Workspace, "put", "judge"),
            (Workspace, "folder", "judge"),
            (ReloadEngine, "wish", "wish"),
            (Versions, "look_ahead", "tighten"),
            (InPlace, "read_row", "compare"),
            (Generations, "add", "journal"),
            (Generations, "mark", "journal"),
            (Versions, "prepare", "prepare"),
            (Versions, "adopt", "swap"),
            (StrategyTable, "change", "store"),
        ]
        ReloadService.on_events = handed_over  # type: ignore[method-assign]
        for owner, name, step in places:
            setattr(owner, name, self._timed(getattr(owner, name), step))

    def _timed(self, call: Callable[..., Any], step: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                with self._lock:
                    self.spent[step] += time.perf_counter() - began

        return timed


def text_of(number: int, symbols: Sequence[str], weight: float) -> str:
    return SPEC.format(number=number, symbol=symbols[number % len(symbols)], weight=round(weight, 9))


def work(strategies: int, saves: int) -> dict[str, Any]:
    """One measurement, in this process."""
    probe = Probe()
    probe.install()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        symbols = write_market(folder / "data", SYMBOLS)
        specs = folder / "strategies.d"
        specs.mkdir()
        (specs / "_base.yaml").write_text(BASE)
        weights = [0.9 / strategies] * strategies
        for number in range(strategies):
            (specs / f"s{number:03}.yaml").write_text(text_of(number, symbols, weights[number]))
        arguments = ("--data", str(folder / "data"), "--speed", "1", "--start", "2012-06-01")
        with gateway_process(*arguments, "--cash", f"USD={2_000_000 * strategies}") as port:
            config = RunnerConfig(
                state_dir=folder / "state",
                strategies_dir=specs,
                strategies_python=(specs,),
                gateway=GatewayConfig(embedded=False),
            )
            manager = StrategyManager(config, IBSettings(port=port, timeout_s=60.0))
            service = ReloadService(manager, Deployment.of(config), ReloadSettings(), SystemClock())
            try:
                began = time.perf_counter()
                _, starts = service.begin()
                start_all(manager, starts, None)
                for runtime in manager.runtimes:
                    manager.wait_until_warm(runtime.name, TIMEOUT_S)
                phases = [runtime.phase.value for runtime in manager.runtimes]
                started_s = time.perf_counter() - began
                service.start()
                if not service.rescan(TIMEOUT_S):
                    raise SystemExit("the files do not settle")
                measured = measure_saves(manager, service, probe, symbols, weights, saves)
            finally:
                service.close()
                manager.close()
        path = specs / "s000.yaml"
        bare_s = best_of(lambda: yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader), repeats=20, inner=20)
    return {
        **measured,
        "strategies": strategies,
        "running": phases.count("Running"),
        "started_s": started_s,
        "quiet_s": Settling().quiet_s,
        "bare_s": bare_s,
    }


def measure_saves(
    manager: StrategyManager,
    service: ReloadService,
    probe: Probe,
    symbols: Sequence[str],
    weights: list[float],
    saves: int,
) -> dict[str, Any]:
    """Saves, one after the other, each a smaller cap of a strategy chosen at random."""
    chance = random.Random(SEED)
    totals, settles, whole, inside = [], [], [], []
    steps: defaultdict[str, float] = defaultdict(float)
    for _ in range(saves):
        number = chance.randrange(len(weights))
        weights[number] *= 0.999
        text = text_of(number, symbols, weights[number])
        wanted = round(weights[number], 9)
        path = service.root / f"s{number:03}.yaml"
        beside = path.with_name(f".{path.name}.tmp")
        beside.write_text(text)
        runtime, track = manager.runtime(f"S{number:03}"), service.engine.track(f"S{number:03}")
        before = track.running
        time.sleep(chance.uniform(0.0, 0.05))  # not in step with the watcher
        probe.spent.clear()
        saved = time.perf_counter()
        beside.replace(path)
        _wait(lambda runtime=runtime, wanted=wanted: runtime.params.target_weight == wanted, "the cap")
        in_force = time.perf_counter()
        _wait(lambda track=track, before=before: track.running > before, "the version")
        _wait(lambda track=track: track.stored_generation == track.running, "the row")
        stored = time.perf_counter()
        if not service.engine.settled(TIMEOUT_S):
            raise SystemExit("a reload does not end")
        totals.append(in_force - saved)
        settles.append(probe.handed_over - saved)
        inside.append(in_force - probe.handed_over)
        whole.append(stored - saved)
        for step, taken in probe.spent.items():
            steps[step] += taken / saves
    steps["wish"] -= steps["tighten"]
    return {
        "saves": saves,
        "p50": percentile(totals, 0.5),
        "p99": percentile(totals, 0.99),
        "settle": percentile(settles, 0.5),
        "inside": percentile(inside, 0.5),
        "whole_p50": percentile(whole, 0.5),
        "whole_p99": percentile(whole, 0.99),
        "steps": dict(steps),
    }


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.perf_counter() + TIMEOUT_S
    while not condition():
        if time.perf_counter() > deadline:
            raise SystemExit(f"{what} is not in force after {TIMEOUT_S:g} s")
        time.sleep(POLL_S)


def measure(strategies: int, saves: int) -> list[Table]:
    """In a process of its own, as the runner is."""
    command = [sys.executable, __file__, str(strategies), str(saves)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=3 * TIMEOUT_S, check=False)
    if done.returncode:
        raise SystemExit(f"{command!r} ended with {done.returncode}")
    return tables(json.loads(done.stdout.splitlines()[-1]))


def tables(one: dict[str, Any]) -> list[Table]:
    """What was measured, as lines."""
    title = f"Save of a file → its cap in force ({one['strategies']} strategies, {one['saves']} saves)"
    table = Table(title)
    of, bare = "the quiet period", "bare read and C load of the file"
    table.add("quiet period", f"{one['quiet_s'] * 1e3:,.0f} ms")
    table.add("bare read and C load of the one file", microseconds(one["bare_s"]))
    for name, text in (("p50", "save → cap in force, p50"), ("p99", "save → cap in force, p99")):
        table.add(text, f"{one[name] * 1e3:,.0f} ms", one[name] / one["quiet_s"], of)
    for name, text in (("whole_p50", "save → row in the store, p50"), ("whole_p99", "save → row in the store, p99")):
        table.add(text, f"{one[name] * 1e3:,.0f} ms", one[name] / one["quiet_s"], of)
    table.add("settled → cap in force, p50", microseconds(one["inside"]), one["inside"] / one["bare_s"], bare)
    table.add("strategies running", f"{one['running']}", note=f"all warm after {one['started_s']:,.0f} s")
    split = Table("Where the time of a reload goes, mean")
    split.add("settling: told, quiet, scanned, hashed", microseconds(one["settle"]), one["settle"] / one["quiet_s"], of)
    for step, text in STEPS.items():
        taken = one["steps"].get(step, 0.0)
        split.add(text, microseconds(taken), taken / one["bare_s"], bare)
    return [table, split]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strategies", type=int)
    parser.add_argument("saves", type=int)
    asked = parser.parse_args()
    logging.disable(logging.ERROR)
    print(json.dumps(work(asked.strategies, asked.saves)))
