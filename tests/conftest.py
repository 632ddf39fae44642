"""What every test may use: a paper gateway in a thread, and a manager that trades against it over TCP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from s3_server import S3Server, s3_server

from runner.broker.ib_connection import IBSettings
from runner.gateway.exchange import PaperExchange
from runner.gateway.server import GatewayServer
from runner.gateway.settings import GatewaySettings
from runner.manager.app import deployment_of
from runner.manager.strategy_manager import StrategyManager
from runner.manager.sync import row_of
from runner.model.events import Event, StrategyPhase
from runner.model.sessions import sessions
from runner.spec.config import GatewayConfig, RunnerConfig
from runner.spec.folder import load_folder
from runner.spec.spec import StrategySpec
from runner.store.strategies import StrategyRow

settings.register_profile("runner", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("runner")

WAIT_S = 30.0


class GatewayThread:
    """A real gateway on a free port, in a thread of its own."""

    def __init__(self, options: GatewaySettings) -> None:
        self.exchange = PaperExchange(options)
        self.server = GatewayServer(self.exchange, options)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="gateway", daemon=True)
        self._thread.start()
        self.port: int = self.call(self.server.start())

    def call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT_S)

    def stop(self) -> None:
        self.call(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(WAIT_S)
        self.loop.close()


class MarketHeld(Exception):
    """Keeps a following manager from letting the market go on."""


@dataclass
class Running:
    """A manager, its gateway, and how far the market has come."""

    gateway: GatewayThread
    manager: StrategyManager
    folder: Path
    events: list[Event] = field(default_factory=list)
    _stepped: threading.Condition = field(default_factory=threading.Condition)
    _handled: datetime | None = None
    """The market time whose consequences have all been dealt with."""

    def start(self, *names: str) -> None:
        """Writes the rows of the folder's specs and starts these strategies, or all; returns when they are warm or have
        failed."""
        specs = {
            spec.name: spec for spec in load_folder(self.folder, deployment=deployment_of(self.manager.config)).specs
        }
        self.write_rows(specs.values())
        for name in names or sorted(specs):
            self.manager.start_strategy(name, specs.get(name))
        for name in names or sorted(specs):
            self.manager.wait_until_warm(name, WAIT_S)

    def write_rows(self, specs: Iterable[StrategySpec]) -> None:
        """Writes the rows of these specs. A changed file gets the next generation."""
        rows = []
        for spec in specs:
            known = self.manager.strategies.get(spec.name) or StrategyRow(strategy=spec.name)
            generation = known.generation + (known.spec_hash != spec.spec_hash)
            rows.append(row_of(spec, known, self.folder, generation=generation))
        self.manager.strategies.upsert(rows)

    def phase(self, name: str) -> StrategyPhase:
        return self.manager.runtime(name).phase

    def reason(self, name: str) -> str:
        return self.manager.runtime(name).reason

    def let_market_run(self, at_step: Callable[[], None] = lambda: None) -> None:
        """`at_step` is called on the broker loop after each step of the market, which waits for it."""

        def stepped() -> None:
            with self._stepped:
                self._handled = self.manager.clock.now()
                self._stepped.notify_all()
            at_step()

        self.manager.follow_market(stepped)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits, step by step of the market, until the condition holds."""
        with self._stepped:
            assert self._stepped.wait_for(condition, WAIT_S), what

    def run_to(self, day: date, at_step: Callable[[], None] = lambda: None) -> None:
        """Trades until the close of `day`, then holds the market."""
        self.let_market_run(at_step)
        last = self.gateway.server.settings.end
        assert last is not None and last <= day
        self.until(self._at_end, f"the market did not reach {day}")
        self.manager.finish_following()

    def hold_at(self, at: datetime, at_step: Callable[[], None] = lambda: None) -> None:
        """Trades until the market's clock is at `at` or just after it, and holds the market there. `at_step` as in
        `let_market_run`."""
        held = threading.Event()

        def hold() -> None:
            if self.manager.clock.now() >= at:
                held.set()
                raise MarketHeld
            at_step()

        self.let_market_run(hold)
        assert held.wait(WAIT_S), f"the market did not reach {at}"
        self.manager.finish_following()

    def cut_session(self, name: str) -> None:
        """The gateway drops the connection of one strategy, without a word."""

        async def cut() -> None:
            self.gateway.server.by_client_id[client_id].abort()

        client_id = self.manager.runtime(name).client_id
        self.gateway.call(cut())

    def _at_end(self) -> bool:
        last = self.gateway.server.settings.end
        session = sessions(self.gateway.server.settings.calendar).on(last) if last is not None else None
        return session is not None and self._handled is not None and self._handled >= session.close

    def settle(self) -> None:
        self.manager.message_queue.barrier().result(WAIT_S)


Serve = Callable[..., GatewayThread]


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """`serve(speed="max", …)` makes a gateway with these settings; all are stopped with the module."""
    with ExitStack() as stack:

        def make(**options: Any) -> GatewayThread:
            gateway = GatewayThread(GatewaySettings(**options))
            stack.callback(gateway.stop)
            return gateway

        yield make


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server for the whole run; each test makes buckets of its own in it."""
    with pytest.MonkeyPatch.context() as patch, s3_server() as server:
        patch.setenv("TEST_S3_SECRET", "hidden-in-the-environment")
        yield server


Build = Callable[..., Running]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """`build(files, start=…, end=…)` makes a running system; everything is closed with the module."""
    with ExitStack() as stack:

        def make(files: dict[str, str], state: Path | None = None, **options: Any) -> Running:
            root = state or tmp_path_factory.mktemp("system")
            folder = root / "strategies.d"
            folder.mkdir(exist_ok=True)
            for name, text in files.items():
                (folder / name).write_text(text)
            defaults: dict[str, Any] = {
                "speed": "max", "step": "day", "start": date(2012, 1, 3), "end": date(2012, 3, 30),
                "enforce_limits": False,
            }  # fmt: skip
            gateway = options.pop("gateway", None)
            plugins = options.pop("plugins", ())
            follow = options.pop("follow", True)
            if gateway is None:
                gateway = GatewayThread(GatewaySettings(**(defaults | options)))
                stack.callback(gateway.stop)
            config = RunnerConfig(
                state_dir=root / ".runner",
                strategies_dir=folder,
                strategies_python=(folder,),
                gateway=GatewayConfig(embedded=False),
                plugins_allow=plugins,
            )
            manager = StrategyManager(config, IBSettings(port=gateway.port, timeout_s=10.0), follow=follow)
            stack.callback(manager.close)
            running = Running(gateway, manager, folder)
            manager.journal.subscribe(lambda events: running.events.extend(event for _, event in events))
            return running

        yield make
