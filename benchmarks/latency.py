"""From a bar on the master's socket to the order on the strategy's, through everything in between.

Each number of strategies has a process of its own, as `runner run` would be: the real gateway in another process, the
real client, the journal synced at every commit. Every strategy rebalances one stock at every bar of a minute, so each
bar makes as many orders as there are strategies, all at once: the figures of many strategies hold the queue of one
burst. Base of the ratios is ib_async alone, in the same process: `IB.placeOrder`, from the call to the socket.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import ROOT, Table, gateway_process, microseconds, percentile, write_market
from ib_async import IB, LimitOrder, Stock
from ib_async.connection import Connection

from runner.broker.clock import BrokerClock
from runner.broker.ib_connection import IBSettings
from runner.broker.live_broker import LiveBroker
from runner.broker.order_gate import OrderGate
from runner.broker.session import Session
from runner.engine.decide import decide
from runner.engine.weights import Pipeline
from runner.manager.strategy_manager import StrategyManager
from runner.manager.sync import row_of
from runner.spec.config import GatewayConfig, RunnerConfig
from runner.spec.folder import load_folder
from runner.store.strategies import StrategyRow

SYMBOLS = 20
WARM_BARS = 3
"""The first bars open the positions and fill caches; they are not counted."""
PLACE_ORDER = b"3\0"
BASE_CLIENT = 1
TIMEOUT_S = 120.0

SPEC = """\
spec: 1
name: {name}
universe: {symbol}
bars: {{size: 1 min, history: 30}}
signals:
  trend: {{use: sma_cross, with: {{fast: 5, slow: 20}}}}
  own: {{use: buy_and_hold}}
combine: {{use: any_of}}
sizing: {{use: fixed_weights, with: {{weights: {{{symbol}: 0.9}}}}}}
params: {{target_weight: {weight}, min_weight: {weight}, max_weight: {weight}}}
schedule: {{calendar: XNYS}}
"""


@dataclass
class Probe:
    """Stamps at the two sockets, and the time that each task spends in the steps between them."""

    master: Connection | None = None
    arrived: float = 0.0
    bar_at: float = 0.0
    decoded: float = 0.0
    placing: float = 0.0
    counting: bool = False
    totals: list[float] = field(default_factory=list)
    splits: list[dict[str, float]] = field(default_factory=list)
    written: list[float] = field(default_factory=list)
    """Stamps of every PLACE_ORDER, for the base."""
    pauses: list[float] = field(default_factory=list)
    """Seconds of every garbage collection while orders were measured."""
    _pause_began: float = 0.0
    _spans: defaultdict[Any, defaultdict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def install(self) -> None:
        """Wraps the two ends and the steps between them."""
        gc.callbacks.append(self.collected)
        received: Any = Connection.data_received
        send: Any = Connection.sendMsg
        place: Any = Session.placeOrder
        advance = BrokerClock.advance
        probe = self

        def data_received(connection: Any, data: bytes) -> None:
            if connection is probe.master:
                probe.arrived = time.perf_counter()
            received(connection, data)

        def send_message(connection: Any, message: bytes) -> None:
            send(connection, message)
            if message[4:6] == PLACE_ORDER:
                probe.order_written(time.perf_counter())

        def place_order(session: Any, *arguments: Any) -> Any:
            probe.placing = time.perf_counter()
            return place(session, *arguments)

        def advanced(clock: BrokerClock, to: Any) -> None:
            # The time comes after the bars of its step, in the same packet.
            probe.bar_at = probe.arrived
            probe.decoded = time.perf_counter() - probe.arrived
            probe._spans.clear()
            advance(clock, to)

        replacements: list[tuple[Any, str, Callable[..., Any]]] = [
            (Connection, "data_received", data_received),
            (Connection, "sendMsg", send_message),
            (BrokerClock, "advance", advanced),
            (LiveBroker, "fence", self._timed_coroutine(LiveBroker.fence, "fence")),
            (StrategyManager, "settle", self._timed_coroutine(StrategyManager.settle, "books")),
            (StrategyManager, "session_mark", self._timed_coroutine(StrategyManager.session_mark, "memory")),
            (StrategyManager, "save_memory", self._timed_coroutine(StrategyManager.save_memory, "memory")),
            (Session, "placeOrder", place_order),
            (OrderGate, "commit", self._timed_coroutine(OrderGate.commit, "commit")),
            (OrderGate, "admit_all", self._timed(OrderGate.admit_all, "gate")),
            (Pipeline, "evaluate", self._timed(Pipeline.evaluate, "pipeline")),
        ]
        timed_decide = self._timed(decide, "decide")
        replacements += [
            (module, "decide", timed_decide)
            for name, module in list(sys.modules.items())
            if name.startswith("runner.") and getattr(module, "decide", None) is decide
        ]
        for owner, name, wrapped in replacements:
            setattr(owner, name, wrapped)

    def collected(self, phase: str, _info: object) -> None:
        """Fits `gc.callbacks`."""
        if phase == "start":
            self._pause_began = time.perf_counter()
        elif self.counting:
            self.pauses.append(time.perf_counter() - self._pause_began)

    def order_written(self, at: float) -> None:
        self.written.append(at)
        task = asyncio.current_task()
        spans = self._spans.pop(task, None)
        if self.counting and self.bar_at:
            self.totals.append(at - self.bar_at)
            self.splits.append({**(spans or {}), "decode": self.decoded, "place": at - self.placing})

    def _add(self, step: str, taken: float) -> None:
        with self._lock:
            self._spans[asyncio.current_task()][step] += taken

    def _timed(self, call: Callable[..., Any], step: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                self._add(step, time.perf_counter() - began)

        return timed

    def _timed_coroutine(self, call: Callable[..., Any], step: str) -> Callable[..., Any]:
        async def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return await call(*arguments, **named)
            finally:
                self._add(step, time.perf_counter() - began)

        return timed


def rss_mb() -> float:
    """Resident memory of this process now, without mapped files: ArcticDB's are as large as they like."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 / (1024 if sys.platform == "darwin" else 1)


@contextmanager
def system(folder: Path, strategies: int) -> Iterator[StrategyManager]:
    """A connected manager with its specs written and synced, before any strategy."""
    symbols = write_market(folder / "data", SYMBOLS)
    specs = folder / "strategies.d"
    specs.mkdir()
    for number in range(strategies):
        name = f"S{number:03}"
        text = SPEC.format(name=name, symbol=symbols[number % SYMBOLS], weight=0.9 / strategies)
        (specs / f"{name.lower()}.yaml").write_text(text)
    arguments = ("--data", str(folder / "data"), "--speed", "max", "--step", "1m", "--start", "2012-06-01")
    with gateway_process(*arguments, "--cash", f"USD={2_000_000 * strategies}") as port:
        config = RunnerConfig(
            state_dir=folder / "state",
            strategies_dir=specs,
            strategies_python=(specs,),
            gateway=GatewayConfig(embedded=False),
        )
        manager = StrategyManager(config, IBSettings(port=port, timeout_s=TIMEOUT_S), follow=True)
        try:
            yield manager
        finally:
            manager.close()


async def base(probe: Probe, port: int, orders: int) -> list[float]:
    """Seconds from the call of ib_async's own placeOrder to the socket, orders far from the market."""
    ib = IB()
    ib.client.MaxRequests = 0
    await ib.connectAsync("127.0.0.1", port, BASE_CLIENT, timeout=TIMEOUT_S)
    contract = Stock("BM00", "SMART", "USD")
    await ib.qualifyContractsAsync(contract)
    taken = []
    for _ in range(orders):
        order = LimitOrder("BUY", 1, 1.0)
        began = time.perf_counter()
        trade = ib.placeOrder(contract, order)
        taken.append(probe.written[-1] - began)
        await asyncio.wait_for(trade.statusEvent, TIMEOUT_S)
        ib.cancelOrder(order)
        await asyncio.wait_for(trade.cancelledEvent, TIMEOUT_S)
    ib.disconnect()
    return taken[orders // 10 :]


def work(strategies: int, bars: int, base_orders: int) -> dict[str, Any]:
    """One measurement, in this process."""
    probe = Probe()
    probe.install()
    with tempfile.TemporaryDirectory() as folder, system(Path(folder), strategies) as manager:
        without = rss_mb()
        specs = {spec.name: spec for spec in load_folder(manager.config.strategies_dir).specs}
        root = manager.config.strategies_dir
        rows = (row_of(one, StrategyRow(strategy=one.name), root, generation=1) for one in specs.values())
        manager.strategies.upsert(rows)
        for one in specs.values():
            manager.start_strategy(one.name, one)
        for name in specs:
            phase = manager.wait_until_warm(name, TIMEOUT_S)
            if phase.value != "Running":
                raise SystemExit(f"{name} is {phase.value}: {manager.runtime(name).reason}")
        warm = rss_mb()
        # A gateway of its own: the other one has no client to spare, and its sessions would be sent these orders.
        with gateway_process("--data", str(Path(folder, "data")), "--start", "2012-06-01") as port:
            bare = asyncio.run_coroutine_threadsafe(base(probe, port, base_orders), manager.broker_loop).result(
                TIMEOUT_S
            )
        probe.master = manager.master.ib.client.conn
        probe.bar_at = 0.0
        done = threading.Event()
        seen = 0

        def stepped() -> None:
            nonlocal seen
            seen += 1
            probe.counting = seen >= WARM_BARS
            if seen >= WARM_BARS + bars:
                probe.counting = False
                done.set()

        began = time.perf_counter()
        manager.follow_market(stepped)
        if not done.wait(TIMEOUT_S):
            raise SystemExit(f"only {seen} bars in {TIMEOUT_S:g} s")
        elapsed = time.perf_counter() - began
        manager.finish_following()
        memory = rss_mb()
        runtimes = list(manager.runtimes)
    if not probe.totals:
        raise SystemExit(f"no order was sent; {[(one.name, one.phase.value, one.reason) for one in runtimes]}")
    steps = sorted({step for split in probe.splits for step in split})
    return {
        "strategies": strategies,
        "orders": len(probe.totals),
        "p50": percentile(probe.totals, 0.5),
        "p99": percentile(probe.totals, 0.99),
        "base_p50": percentile(bare, 0.5),
        "base_p99": percentile(bare, 0.99),
        "gc_longest": max(probe.pauses, default=0.0),
        "gc_total": sum(probe.pauses) / elapsed,
        "bar_s": elapsed / (WARM_BARS + bars),
        "rss_without": without,
        "rss_warm": warm,
        "rss": memory,
        "mean": sum(probe.totals) / len(probe.totals),
        "split": {step: sum(split.get(step, 0.0) for split in probe.splits) / len(probe.splits) for step in steps},
    }


def measure_each(counts: dict[int, int], base_orders: int, *, together: bool) -> list[dict[str, Any]]:
    """Strategies → bars to measure; one process after the other, or `together` when the figures do not matter."""
    found = []
    running: list[subprocess.Popen[str]] = []
    for strategies, bars in counts.items():
        command = [sys.executable, __file__, str(strategies), str(bars), str(base_orders)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT))
        if not together:
            found.append(_result(running.pop()))
    return found + [_result(process) for process in running]


def _result(process: subprocess.Popen[str]) -> dict[str, Any]:
    with process:
        output, _ = process.communicate(timeout=3 * TIMEOUT_S)
    if process.returncode:
        raise SystemExit(f"{process.args!r} ended with {process.returncode}")
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


STEPS = {
    "decode": "ib_async decodes the bars, account values and time of the step",
    "fence": "round trip that brings in all earlier fills",
    "books": "those fills into journal and books",
    "pipeline": "signals, combine, sizing",
    "decide": "decide()",
    "gate": "order gate",
    "memory": "what must survive a restart, synced",
    "commit": "journal commit, synced",
    "place": "ib_async encodes and writes",
}


def tables(results: list[dict[str, Any]]) -> list[Table]:
    """What was measured, as lines."""
    latency = Table("Bar on the master's socket → order on the strategy's socket")
    for one in results:
        of = "bare ib_async placeOrder"
        latency.add("bare ib_async placeOrder, p50 / p99", f"{_pair(one['base_p50'], one['base_p99'])}")
        label = f"{one['strategies']} strategies at once" if one["strategies"] > 1 else "1 strategy"
        latency.add(f"{label}, p50", microseconds(one["p50"]), one["p50"] / one["base_p50"], f"{of} p50")
        latency.add(f"{label}, p99", microseconds(one["p99"]), one["p99"] / one["base_p99"], f"{of} p99")
        if one["strategies"] > 1:
            latency.add(f"{label}, the bar's time per order", microseconds(one["bar_s"] / one["strategies"]))
        collecting = f"{one['gc_total']:.1%} of the time"
        latency.add(f"{label}, longest garbage collection", microseconds(one["gc_longest"]), note=collecting)
    first = results[0]
    split = Table(f"Where the time of {first['strategies']} strategy goes, mean")
    spent = {step: first["split"].get(step, 0.0) for step in STEPS}
    for step, text in STEPS.items():
        split.add(text, microseconds(spent[step]), spent[step] / first["mean"], "the whole")
    rest = first["mean"] - sum(spent.values())
    split.add("delivery, sizes and books looked up, the rest", microseconds(rest), rest / first["mean"], "the whole")
    memory = Table("Memory of the trading process (RSS without mapped files)")
    of = "a runner without strategies"
    for one in results:
        label = f"{one['strategies']} strategies" if one["strategies"] > 1 else "1 strategy"
        memory.add(f"{label}, warm", f"{one['rss_warm']:,.1f} MB", one["rss_warm"] / one["rss_without"], of)
        memory.add(
            f"{label}, {one['orders']:,} orders later", f"{one['rss']:,.1f} MB", one["rss"] / one["rss_without"], of
        )
    last = results[-1]
    if last is not first:
        each = (last["rss_warm"] - first["rss_warm"]) / (last["strategies"] - first["strategies"])
        memory.add("per strategy, warm", f"{each * 1024:,.0f} kB", each / first["rss_without"], of)
    return [latency, split, memory]


def _pair(p50: float, p99: float) -> str:
    return f"{p50 * 1e6:,.0f} / {p99 * 1e6:,.0f} µs"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for argument in ("strategies", "bars", "base_orders"):
        parser.add_argument(argument, type=int)
    asked = parser.parse_args()
    logging.disable(logging.ERROR)  # ib_async logs every cancellation as an error
    print(json.dumps(work(asked.strategies, asked.bars, asked.base_orders)))
