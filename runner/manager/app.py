"""The one place that builds the real pieces: gateway, manager, control socket; and what `runner run` does with them."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.broker.ib_connection import IBSettings
from runner.errors import ConfigError, ExitCode, RunnerError
from runner.manager.control import ControlServer
from runner.manager.embedded_gateway import EmbeddedGateway
from runner.manager.strategy_manager import StrategyManager
from runner.manager.sync import sync_rows
from runner.manager.verbs import Verbs
from runner.spec.config import GatewayConfig, RunnerConfig
from runner.spec.folder import Folder, load_folder
from runner.spec.render import render_text
from runner.spec.spec import StrategySpec

GATEWAY_STATE = "gateway.db"
WARM_TIMEOUT_S = 3_600.0
"""How long the start waits for one strategy's history, which IB's pacing may stretch to many minutes."""

log = logging.getLogger("runner.app")


def run_daemon(
    config: RunnerConfig, *, only: str | None = None, once: bool = False, ready: Callable[[], None] | None = None
) -> int:
    """Runs the strategies until SIGINT or SIGTERM, and returns the exit code.

    A file with problems is reported and left out; the others run. With no strategy at all that could run it raises
    ConfigError, whose exit code 78 keeps a supervisor from trying again.
    """
    specs = read_specs(config, only)
    with open_manager(config) as manager:
        failures = start_all(manager, specs, only, start=not once)
        if once:
            if ready is not None:
                ready()
            return ExitCode.PROBLEMS if failures else ExitCode.OK
        return asyncio.run(_serve(manager, ready))


def read_specs(config: RunnerConfig, only: str | None) -> tuple[StrategySpec, ...]:
    """The valid specs of the folder, problems of the others on stderr."""
    folder = load_folder(config.strategies_dir, allowed_packages=config.plugins_allow)
    report_problems(folder)
    specs = tuple(spec for spec in folder.specs if only in (None, spec.name))
    if not specs and only is None and any(problem.is_error for problem in folder.problems):
        raise ConfigError(
            f"no strategy in {config.strategies_dir} can run: every file has problems", hint="run `runner validate`"
        )
    return specs


def report_problems(folder: Folder) -> None:
    if folder.problems:
        print(render_text(folder.problems, folder.sources), file=sys.stderr)


def start_all(manager: StrategyManager, specs: tuple[StrategySpec, ...], only: str | None, *, start: bool) -> list[str]:
    """Syncs the store, then starts every enabled strategy, YAML and hand-written. Returns those that could not start.

    One that cannot start keeps nobody else from starting.
    """
    sync_rows(manager.strategies, specs, manager.config.strategies_dir)
    if not start:
        return []
    by_name = {spec.name: spec for spec in specs}
    names = [spec.name for spec in specs if spec.enabled]
    names += [
        row.strategy
        for row in manager.strategies.all()
        if row.managed_by == "" and row.filename and row.enabled and only in (None, row.strategy)
    ]
    if only is not None and only not in names:
        raise ConfigError(
            f"there is no enabled strategy called {only!r}", hint="runner validate lists the files' names"
        )
    failed = []
    for name in names:
        if manager.journal.operator_state(name) == "stopped":
            log.info("%s stays stopped, as the operator ordered", name)
            manager.remember_stopped(name, by_name.get(name))
            continue
        try:
            manager.start_strategy(name, by_name.get(name))
        except RunnerError as error:
            failed.append(name)
            manager.notice("start_failed", f"{name} could not start: {error.message}", name)
    return failed


@contextmanager
def open_manager(config: RunnerConfig, *, gateway: GatewayConfig | None = None) -> Iterator[StrategyManager]:
    """A connected manager, with the embedded gateway in front of it when no other gateway is configured.

    Everything is closed in the reverse order, whatever happens inside.
    """
    gateway = gateway or config.gateway
    if not gateway.embedded:
        if config.ib.port is None:
            raise ConfigError("ib.port is not set and gateway.embedded is false", hint="set one of them in runner.yaml")
        with _manager(config, config.ib.port, follow=False) as manager:
            yield manager
        return
    if config.ib.mode == "live":
        raise ConfigError("mode live cannot use the embedded paper gateway", hint="set ib.port to the live gateway's")
    embedded = EmbeddedGateway(gateway_arguments(gateway, config.state_dir), config.state_dir / "gateway.log")
    try:
        log.info("%s", embedded.banner)
        with _manager(config, embedded.port, follow=True) as manager:
            yield manager
    finally:
        embedded.close()


@contextmanager
def _manager(config: RunnerConfig, port: int, *, follow: bool) -> Iterator[StrategyManager]:
    ib = config.ib
    settings = IBSettings(
        host=ib.host if not follow else "127.0.0.1",
        port=port,
        timeout_s=ib.timeout_s,
        account=ib.account,
        mode=ib.mode,
        live_accounts=ib.live_accounts,
    )
    manager = StrategyManager(config, settings, follow=follow)
    try:
        yield manager
    finally:
        for name in manager.close():
            log.error("%s did not stop and was abandoned", name)


def gateway_arguments(gateway: GatewayConfig, state_dir: Path) -> list[str]:
    """Command-line arguments of the embedded gateway. It keeps its books beside ours, so that they agree later."""
    said = gateway.said()
    arguments = ["--port", "0", "--state", str(state_dir / GATEWAY_STATE)]
    for name in ("data", "speed", "start", "end", "step", "seed", "base_currency"):
        if name in said:
            arguments += [f"--{name.replace('_', '-')}", str(said[name])]
    for account in said.get("accounts", ()):
        arguments += ["--account", account]
    for currency, amount in said.get("cash", {}).items():
        arguments += ["--cash", f"{currency}={amount}"]
    if said.get("enforce_limits") is False:
        arguments.append("--no-limits")
    return arguments


async def _serve(manager: StrategyManager, ready: Callable[[], None] | None) -> int:
    """Answers on the control socket until a signal comes. A second signal ends at once; a restart finds everything."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def asked(number: int) -> None:
        log.info("%s: stopping", signal.Signals(number).name)
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked, number)
    verbs = Verbs(manager)
    server = ControlServer(manager.config.state_dir, verbs.verbs(), verbs.streams())
    await server.start()
    opening = asyncio.create_task(asyncio.to_thread(_open_market, manager, ready))
    try:
        await stop.wait()
    finally:
        manager.stop_waiting()
        await opening
        await server.close()
    return ExitCode.OK


def _open_market(manager: StrategyManager, ready: Callable[[], None] | None) -> None:
    """Once every strategy is warm or has failed: lets the embedded market move, and says that all is ready."""
    for runtime in manager.runtimes:
        manager.wait_until_warm(runtime.name, WARM_TIMEOUT_S)
    if manager.stopping:
        return
    if manager.master.following:
        manager.follow_market(lambda: None)
    if ready is not None:
        ready()
