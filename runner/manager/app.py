"""The one place that builds the real pieces: gateway, manager, control socket; and what `runner run` does with them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from runner import plugins
from runner.broker.ib_connection import IBSettings
from runner.errors import ConfigError, ExitCode, RunnerError
from runner.manager.control import ControlServer
from runner.manager.embedded_gateway import EmbeddedGateway
from runner.manager.reload.service import ReloadService
from runner.manager.reload.settings import ReloadSettings
from runner.manager.reload.starting import Start
from runner.manager.reload.verbs import ReloadVerbs
from runner.manager.strategy_manager import StrategyManager
from runner.manager.verbs import Verbs
from runner.model.clock import SystemClock
from runner.spec.config import GatewayConfig, RunnerConfig
from runner.spec.deployment import Deployment
from runner.spec.folder import Folder
from runner.spec.render import render_text
from runner.store.state_dir import StateDir

GATEWAY_STATE = "gateway.db"
WARM_TIMEOUT_S = 3_600.0
"""How long the start waits for one strategy's history, which IB's pacing may stretch to many minutes."""
LOOK_TIMEOUT_S = 60.0
"""How long one look at the files may take, with everything that follows from it."""

log = logging.getLogger("runner.app")


def run_daemon(
    config: RunnerConfig,
    *,
    only: str | None = None,
    once: bool = False,
    watch: bool = True,
    ready: Callable[[], None] | None = None,
) -> int:
    """Runs the strategies until SIGINT or SIGTERM, and returns the exit code. SIGHUP looks at the files.

    A file with problems is reported; its strategy runs as it did last and opens nothing, the others run. With no
    strategy at all that could run it raises ConfigError, whose exit code 78 keeps a supervisor from trying again.
    """
    with Signals() as signals:
        try:
            with open_manager(config) as manager, reloading(manager) as service:
                starts = first_look(service, only)
                failures = start_all(manager, starts, only, start=not once)
                if once:
                    if ready is not None:
                        ready()
                    return ExitCode.PROBLEMS if failures else ExitCode.OK
                return asyncio.run(_serve(manager, service, signals, watch=watch, ready=ready))
        except _Stopped:
            return ExitCode.OK


@contextmanager
def reloading(manager: StrategyManager) -> Iterator[ReloadService]:
    """The reload service of a manager; what it carries out has ended when the context is left."""
    config = manager.config
    service = ReloadService(manager, deployment_of(config), ReloadSettings(loosening=config.loosening), SystemClock())
    try:
        yield service
    finally:
        service.close()


def first_look(service: ReloadService, only: str | None) -> list[Start]:
    """What to start with, problems of the files on stderr. ConfigError when nothing at all could run."""
    folder, starts = service.begin(only=only)
    report_problems(folder)
    if not starts and only is None and any(problem.is_error for problem in folder.problems):
        raise ConfigError(
            f"no strategy in {service.root} can run: every file has problems", hint="run `runner validate`"
        )
    return starts


class _Stopped(BaseException):
    """A signal came before there was anything that could be told to stop."""


class Signals:
    """SIGINT and SIGTERM end the runner in good order, whatever it is doing. A second one ends it at once, which loses
    nothing either: the next start finds everything in the journal and at IB.

    SIGHUP means two things. The system sends it when the terminal is gone that the runner was started in: that ends the
    runner as Ctrl-C does. Anybody else sends it to have the files looked at now, as to any daemon.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._asked = False
        self._tell: Callable[[], object] | None = None
        self._look: Callable[[], object] | None = None
        self._had_terminal = has_terminal()

    def __enter__(self) -> Signals:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_stop(self, tell: Callable[[], object]) -> None:
        """From now on a signal calls `tell`, in the main thread between two instructions; before, it raises."""
        self._tell = tell

    def on_look(self, look: Callable[[], object]) -> None:
        """From now on SIGHUP calls `look`, as above; before, the files have not been read for the last time."""
        self._look = look

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            return  # the system and the shell both tell of a terminal that is gone
        if self._had_terminal and not has_terminal():
            self._stop(number, frame)
        elif self._look is not None:
            log.info("SIGHUP: looking at the files")
            self._look()

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._asked:
            os._exit(ExitCode.INTERRUPTED)
        self._asked = True
        log.info("%s: stopping", signal.Signals(number).name)
        if self._tell is None:
            raise _Stopped
        self._tell()


def deployment_of(config: RunnerConfig) -> Deployment:
    """What files are judged against, with the plugged-in blocks of the allowed packages. These are imported here, once
    for the life of the process: what is installed or changed later needs a restart."""
    return Deployment.of(config, plugins.load(config.plugins_allow))


def has_terminal() -> bool:
    """Whether this process has a terminal that controls it: one that can be hung up, and was not yet."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def report_problems(folder: Folder) -> None:
    if folder.problems:
        print(render_text(folder.problems, folder.sources), file=sys.stderr)


def start_all(manager: StrategyManager, starts: Sequence[Start], only: str | None, *, start: bool = True) -> list[str]:
    """Starts every strategy that is enabled or has something to guard. Returns those that could not start.

    One that cannot start keeps nobody else from starting.
    """
    if not start:
        return []
    by_name = {one.spec.name: one for one in starts}
    names = [name for name, one in by_name.items() if one.spec.enabled or manager.is_exposed(name)]
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
            known = by_name.get(name)
            if known is None:
                manager.remember_stopped(name, None)
            else:
                manager.remember_stopped(name, known.spec, generation=known.generation, reduce_only=known.reduce_only)
            continue
        try:
            _start_one(manager, name, by_name.get(name))
        except RunnerError as error:
            failed.append(name)
            manager.notice("start_failed", f"{name} could not start: {error.message}", name)
    return failed


def _start_one(manager: StrategyManager, name: str, wanted: Start | None) -> None:
    if wanted is None:
        manager.start_strategy(name)
        return
    manager.start_strategy(name, wanted.spec, generation=wanted.generation, reduce_only=wanted.reduce_only)
    if wanted.held:
        manager.versions.restrict(name, wanted.reduce_only, held=True)


@contextmanager
def open_manager(config: RunnerConfig, *, gateway: GatewayConfig | None = None) -> Iterator[StrategyManager]:
    """A connected manager, with the embedded gateway in front of it when no other gateway is configured.

    The state directory is locked first and released last, so that everything in it has one owner at a time. Everything
    is closed in the reverse order, whatever happens inside.
    """
    gateway = gateway or config.gateway
    check_gateway(config, gateway)
    with StateDir.open(config.state_dir) as state:
        if not gateway.embedded:
            with _manager(config, state, None) as manager:
                yield manager
            return
        embedded = EmbeddedGateway(gateway_arguments(gateway, config.state_dir), config.state_dir / "gateway.log")
        try:
            log.info("%s", embedded.banner)
            with _manager(config, state, embedded.port) as manager:
                embedded.keep_alive(manager.notice)
                yield manager
        finally:
            embedded.close()


def check_gateway(config: RunnerConfig, gateway: GatewayConfig) -> None:
    """ConfigError unless there is a gateway that the mode may use."""
    if not gateway.embedded and config.ib.port is None:
        raise ConfigError("ib.port is not set and gateway.embedded is false", hint="set one of them in runner.yaml")
    if gateway.embedded and config.ib.mode == "live":
        raise ConfigError("mode live cannot use the embedded paper gateway", hint="set ib.port to the live gateway's")


def ib_settings(config: RunnerConfig, embedded_port: int | None) -> IBSettings:
    """How to connect to the configured gateway, or to the embedded one when that listens on `embedded_port`."""
    ib = config.ib
    port = embedded_port or ib.port
    assert port is not None
    return IBSettings(
        host=ib.host if embedded_port is None else "127.0.0.1",
        port=port,
        timeout_s=ib.timeout_s,
        account=ib.account,
        mode=ib.mode,
        live_accounts=ib.live_accounts,
    )


@contextmanager
def _manager(config: RunnerConfig, state: StateDir, embedded_port: int | None) -> Iterator[StrategyManager]:
    settings = ib_settings(config, embedded_port)
    manager = StrategyManager(config, settings, follow=embedded_port is not None, state=state)
    try:
        yield manager
    finally:
        for name in manager.close():
            log.error("%s did not stop and was abandoned", name)


def gateway_arguments(gateway: GatewayConfig, state_dir: Path) -> list[str]:
    """Command-line arguments of the embedded gateway. It keeps its books beside ours, so that they agree later."""
    said = gateway.said()
    arguments = ["--state", str(state_dir / GATEWAY_STATE)]
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


async def _serve(
    manager: StrategyManager,
    service: ReloadService,
    signals: Signals,
    *,
    watch: bool,
    ready: Callable[[], None] | None,
) -> int:
    """Answers on the control socket, and looks at the files when SIGHUP comes, until a signal ends it."""
    loop = asyncio.get_running_loop()
    stop, look = asyncio.Event(), asyncio.Event()
    signals.on_stop(lambda: loop.call_soon_threadsafe(stop.set))
    signals.on_look(lambda: loop.call_soon_threadsafe(look.set))
    verbs = Verbs(manager, service)
    asked = verbs.verbs() | ReloadVerbs(service).verbs()
    server = ControlServer(manager.config.state_dir, asked, verbs.streams())
    await server.start()
    service.start(watch=watch)
    opening = asyncio.create_task(asyncio.to_thread(_open_market, manager, ready))
    opening.add_done_callback(lambda task: stop.set() if task.exception() is not None else None)
    looking = asyncio.create_task(_look_when_told(service, look))
    try:
        await stop.wait()
    finally:
        looking.cancel()
        manager.stop_waiting()
        await asyncio.to_thread(service.close)  # before the socket: commands that wait for a change get their answer
        await server.close()
        await opening
        if manager.master.following:
            # The market must not go on without the strategies: what it did meanwhile would come late into the books.
            await asyncio.to_thread(manager.finish_following)
    return ExitCode.OK


async def _look_when_told(service: ReloadService, look: asyncio.Event) -> None:
    """Looks at the files whenever `look` is set; once more when it is set meanwhile."""
    while True:
        await look.wait()
        look.clear()
        await asyncio.to_thread(service.rescan, LOOK_TIMEOUT_S)


def _open_market(manager: StrategyManager, ready: Callable[[], None] | None) -> None:
    """Once every strategy is warm or has failed: lets the embedded market move, and says that all is ready."""
    for runtime in manager.runtimes:
        manager.wait_until_warm(runtime.name, WARM_TIMEOUT_S)
    if manager.stopping:
        return
    manager.compare_positions()
    if manager.master.following:
        manager.follow_market(lambda: None)
    if ready is not None:
        ready()
