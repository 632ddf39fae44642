"""The product in small: past years through the real client, the real gateway process and the real books."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from runner.errors import ConfigError
from runner.gateway.recorded import load as load_recorded
from runner.manager.app import first_look, open_manager, reloading, start_all
from runner.manager.results import (
    DemoOptions,
    DemoProgress,
    DemoResult,
    PositionRow,
    ReconciliationLine,
    StrategyReport,
)
from runner.manager.runtime import Runtime
from runner.manager.strategy_manager import StrategyManager
from runner.model.events import Event, OrderPlaced, OrderRefused
from runner.model.money import CENT, ZERO
from runner.model.sessions import Session, sessions
from runner.portfolio.positions import Books
from runner.portfolio.reconciliation import compare_cash, compare_positions
from runner.portfolio.report import books_of, strategy_line
from runner.spec.config import GatewayConfig, RunnerConfig

DEFAULT_STATE = Path(".runner") / "demo"
MARKER = ".demo"
"""Says that a state directory was made by the demo, which may therefore begin it anew."""
CALENDAR = "XNYS"
WARM_TIMEOUT_S = 60.0
STALL_TIMEOUT_S = 30.0
"""A replay whose market has not moved for so long is given up, with what it has."""

log = logging.getLogger("runner.demo")


@dataclass(slots=True)
class _Exposure:
    """Gross exposure of one strategy, sampled at every close, as fractions of account equity."""

    samples: list[float] = field(default_factory=list)

    @property
    def average(self) -> float:
        return sum(self.samples) / len(self.samples) if self.samples else 0.0

    @property
    def highest(self) -> float:
        return max(self.samples, default=0.0)


def run_demo(options: DemoOptions, progress: Callable[[DemoProgress], None]) -> DemoResult:
    """Trades the strategies of a folder through recorded sessions and reports. Blocks; `progress` is called often.

    Raises ConfigError for a folder or dates that cannot work, and what `StrategyManager` raises.
    """
    began = time.monotonic()
    progress(DemoProgress(phase="start"))
    days = replayed_sessions(options)
    state_dir = prepared_state_dir(options.state_dir)
    config = RunnerConfig(
        state_dir=state_dir,
        strategies_dir=options.strategies_dir,
        strategies_python=(options.strategies_dir,),
        plugins_allow=options.plugins_allow,
    )
    gateway = GatewayConfig(speed="max", step="day", start=days[0].day, end=days[-1].day, enforce_limits=False)
    with open_manager(config, gateway=gateway) as manager, reloading(manager) as service:
        starts = first_look(service, None)
        register_python(manager, options.strategies_dir)
        problems = [f"{name} could not start" for name in start_all(manager, starts, None)]
        if not manager.runtimes:
            raise ConfigError(f"{options.strategies_dir} has no strategy to run", hint="add a YAML file")
        progress(DemoProgress(phase="warm-up", total=len(manager.runtimes)))
        for done, runtime in enumerate(manager.runtimes, 1):
            manager.wait_until_warm(runtime.name, WARM_TIMEOUT_S)
            progress(DemoProgress(phase="warm-up", done=done, total=len(manager.runtimes), text=runtime.name))
        replay = _Replay(manager, days, progress)
        replay.run()
        progress(DemoProgress(phase="close", market_time=manager.clock.now()))
        result = replay.report(began, str(state_dir))
    problems += [f"{one.name} {one.phase.lower()}" for one in result.strategies if one.phase == "Failed"]
    return replace(result, problems=(*problems, *result.problems), elapsed_s=time.monotonic() - began)


def replayed_sessions(options: DemoOptions) -> list[Session]:
    """The sessions to trade: from `start`, or the last `years` of the recorded data."""
    recorded = [day for recording in load_recorded() for day, _ in recording.bars]
    first_recorded, last_recorded = min(recorded), max(recorded)
    start = options.start or last_recorded - timedelta(days=round(options.years * 365.25))
    last = last_recorded
    if options.start is not None:
        last = min(last_recorded, options.start + timedelta(days=round(options.years * 365.25)))
    found = sessions(CALENDAR).between(start, last)
    if not found or start <= first_recorded:
        raise ConfigError(
            f"there is nothing to replay from {start}",
            hint=f"prices are shipped from {first_recorded} to {last_recorded}",
        )
    return found


def prepared_state_dir(wanted: Path | None) -> Path:
    """An empty state directory. One that an earlier demo made is begun anew; anything else is left alone."""
    path = (wanted or DEFAULT_STATE).absolute()
    if path.exists() and any(path.iterdir()):
        if not (path / MARKER).exists():
            raise ConfigError(f"{path} is not empty and not a demo's", hint="give another --state-dir")
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / MARKER).touch()
    return path


def register_python(manager: StrategyManager, folder: Path) -> None:
    """Gives every hand-written strategy file of the folder its row, named after the file."""
    for file in sorted(folder.glob("*.py")):
        if not file.name.startswith("_"):
            manager.register_python(file.stem.upper(), file.name)


class _Replay:
    """Follows the market through the sessions and samples what the report needs."""

    def __init__(self, manager: StrategyManager, days: list[Session], progress: Callable[[DemoProgress], None]) -> None:
        self._manager = manager
        self._days = days
        self._progress = progress
        self._closes = [day.close for day in days]
        self._done = 0
        self._handled: datetime | None = None
        self._moved = threading.Event()
        self._exposure: dict[str, _Exposure] = {one.name: _Exposure() for one in manager.runtimes}
        self._start = manager.read_gateway_books()
        self._problems: list[str] = []
        self._counted = {"order": 0, "fill": 0}
        manager.journal.subscribe(self._count)

    def _count(self, events: list[tuple[int, Event]]) -> None:
        for _, event in events:
            if event.type in self._counted:
                self._counted[event.type] += 1

    def run(self) -> None:
        """Returns when everything at the last close has been dealt with, or when the market stands still for
        STALL_TIMEOUT_S."""
        self._manager.follow_market(self._stepped)
        last = self._days[-1].close
        while self._handled is None or self._handled < last:
            self._moved.clear()
            if self._handled is not None and self._handled >= last:
                break
            if not self._moved.wait(STALL_TIMEOUT_S):
                self._problems.append(f"the market stood still at {self._manager.clock.now():%Y-%m-%d}")
                break
        self._manager.finish_following()

    def _stepped(self) -> None:
        """After every step has been dealt with; on the broker loop, so it only samples."""
        manager = self._manager
        books = manager.portfolio_manager
        equity = books.account.equity_with_loan
        self._handled = manager.clock.now()
        self._done = bisect_right(self._closes, self._handled)
        for name, sampled in self._exposure.items():
            sampled.samples.append(float(books.exposure(name) / equity) if equity else 0.0)
        self._progress(
            DemoProgress(
                phase="trade",
                done=self._done,
                total=len(self._days),
                market_time=manager.clock.now(),
                orders=self._counted["order"],
                fills=self._counted["fill"],
                equity=equity,
            )
        )
        self._moved.set()

    def report(self, began: float, state_dir: str) -> DemoResult:
        """The books beside the gateway's own."""
        manager = self._manager
        theirs = manager.read_gateway_books()
        fills, charges = manager.journal.executions(), list(manager.journal.commissions().values())
        books = books_of(fills, charges)
        strategies = tuple(self._strategy_report(one, books) for one in manager.runtimes)
        net = sum((one.net for one in strategies), ZERO)
        compared = [
            *compare_positions(fills, theirs.positions, before=self._start.positions, names=theirs.symbols),
            *compare_cash(self._start.cash, fills, charges, theirs.cash),
        ]
        lines = [ReconciliationLine(what=line.what, ours=line.ours, theirs=line.theirs) for line in compared]
        ours = (self._start.equity + net).quantize(CENT)
        lines.append(ReconciliationLine(what="equity", ours=ours, theirs=theirs.equity.quantize(CENT)))
        return DemoResult(
            account=manager.master.account,
            base_currency=manager.portfolio_manager.base_currency,
            first_session=self._days[0].day,
            last_session=self._days[max(self._done - 1, 0)].day,
            sessions=self._done,
            start_equity=self._start.equity,
            end_equity=theirs.equity,
            strategies=strategies,
            reconciliation=tuple(lines),
            events=manager.journal.last_seq(),
            elapsed_s=time.monotonic() - began,
            state_dir=state_dir,
            problems=tuple(self._problems),
        )

    def _strategy_report(self, runtime: Runtime, books: Books) -> StrategyReport:
        manager = self._manager
        name = runtime.name
        prices = {
            held.instrument.con_id: price
            for held in books.positions(name)
            if (price := manager.last_price(held.instrument.con_id)) is not None
        }
        fills = [fill for fill in books.fills() if fill.strategy == name]
        line = strategy_line(name, books.positions(name), fills, prices, manager.portfolio_manager.fx_cache.rate)
        facts = [event for _, event in manager.journal.events(kinds=("order", "refused")) if event.strategy == name]
        exposure = self._exposure[name]
        return StrategyReport(
            name=name,
            kind=runtime.kind,
            file=runtime.file.name,
            phase=runtime.phase.value,
            orders=sum(isinstance(fact, OrderPlaced) for fact in facts),
            fills=line.fills,
            refused=sum(isinstance(fact, OrderRefused) for fact in facts),
            realized=line.realized,
            unrealized=line.unrealized,
            commissions=line.commissions,
            net=line.net,
            average_exposure=exposure.average,
            max_exposure=exposure.highest,
            positions=tuple(
                PositionRow(
                    symbol=held.symbol,
                    quantity=held.quantity,
                    average_price=held.average_price,
                    market_price=held.market_price,
                    market_value=held.market_value,
                    unrealized=held.unrealized,
                )
                for held in line.positions
            ),
        )
