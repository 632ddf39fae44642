"""StrategyManager: owns the master session, the one store, `message_queue`, the order gate and the market-data hub."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date, datetime
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from runner.base_params import BaseParams, split_params
from runner.broker.clock import BrokerClock
from runner.broker.feed import Feed
from runner.broker.ib_connection import IBSettings
from runner.broker.live_broker import LiveBroker
from runner.broker.order_book import OrderBook, WorkingOrder
from runner.broker.order_facts import OrderFacts
from runner.broker.order_gate import GateSettings, OrderGate
from runner.broker.pacing import RATE_PER_S, Pacer
from runner.broker.recovery import restore
from runner.errors import ConfigError, UnknownName
from runner.manager.broker_loop import BrokerLoop, Errands
from runner.manager.code_trail import note_code
from runner.manager.identity import bind_account, runner_id
from runner.manager.loading import load_strategy_class, resolve_filename
from runner.manager.master import GatewayBooks, MasterSession
from runner.manager.message_queue import MessageQueue
from runner.manager.operator import Operator, paused_key
from runner.manager.risk import ManagerEquity, ManagerRisk
from runner.manager.runtime import Runtime, Runtimes, session_day
from runner.manager.sessions import StrategySessions
from runner.manager.sync import stored_params
from runner.manager.versions import Versions
from runner.manager.workers import HookWorkers
from runner.model.bars import Bar, BarSize
from runner.model.clock import Clock, SystemClock
from runner.model.events import Event, Notice, PhaseChanged, StrategyPhase
from runner.model.instruments import Instrument, InstrumentQuery
from runner.portfolio.portfolio_manager import PortfolioManager
from runner.spec.config import RunnerConfig
from runner.spec.spec import StrategySpec
from runner.store.arctic_manager import get_ac
from runner.store.bars import BarCache
from runner.store.journal import Journal
from runner.store.state_dir import StateDir
from runner.store.strategies import StrategyRow, StrategyTable
from runner.strategy.base_strategy import BaseStrategy
from runner.strategy.hooks import Hooks, load_hooks
from runner.strategy.host import HostedStrategy
from runner.strategy.spec_strategy import SpecStrategy

if TYPE_CHECKING:
    from runner.broker.session import Session

T = TypeVar("T")

DEFAULT_CALENDAR = "XNYS"
START_TIMEOUT_S = 90.0
log = logging.getLogger("runner.manager")


class StrategyManager:
    """Starts, hosts and stops strategies. Constructed, it is connected and its books are replayed.

    Raises what stands in the way: StoreLocked, StoreCorrupt, NotConnected, ClientIdInUse, WrongAccount. Its public
    methods may be called from any thread that does not run an event loop.
    """

    def __init__(
        self,
        config: RunnerConfig,
        ib: IBSettings,
        *,
        system: Clock | None = None,
        follow: bool = False,
        state: StateDir | None = None,
    ) -> None:
        """`state` is the state directory when the caller has locked it and will release it; else that is done here."""
        self.config = config
        self._system = system or SystemClock()
        self._exit = ExitStack()
        self._runtimes = Runtimes()
        self._ib_settings = ib
        self._phases = threading.Condition()
        self.stopping = False
        with ExitStack() as undo:
            undo.callback(self._exit.close)
            self.state = state or self._own(StateDir.open(config.state_dir))
            self.journal = self._own(Journal.open(self.state.journal_path, clock=self._system))
            self.store = self._own(get_ac(config.store_uri))
            self._broker_loop = BrokerLoop()
            self._exit.callback(self._broker_loop.close)
            self.clock = BrokerClock(self._system)
            self.sessions = StrategySessions(ib, config.ib.client_id_base)
            self.portfolio_manager = PortfolioManager(self, session_day=self.session_day)
            self.portfolio_manager.start()
            self._workers = self._own(HookWorkers())
            self._exit.callback(self.portfolio_manager.close)
            self.message_queue = MessageQueue(self._handle, self._overflowed)
            self.message_queue.start()
            self._exit.callback(self.message_queue.close)
            self.strategies = StrategyTable(
                self.store, self._system, self.journal.client_ids, lambda text: self.notice("store", text)
            )
            book, name = OrderBook(self.clock), runner_id(self.journal, config.state_dir)
            orphans = OrderFacts(
                book,
                self.clock,
                name,
                archive=self.journal,
                emit=self.publish,
                owns=self._is_idle,
                doubt=_left_to_its_strategy,
            )
            self.master = MasterSession(
                ib,
                self.clock,
                follow=follow,
                books=self.portfolio_manager,
                cache=BarCache(self.store),
                publish=self.publish,
                sessions_stand=self.sessions_stand,
                orphans=orphans,
            )
            risk = ManagerRisk(self._runtimes, self.portfolio_manager, self.clock, self.master)
            self.gate = OrderGate(self.journal, risk, self.clock, GateSettings(runner_id=name), book)
            self.versions = Versions(self._runtimes, Errands(self._broker_loop), self._hooks_of)
            self.operator = Operator(
                self._runtimes, self.journal, self.portfolio_manager, self.clock, self.publish, self.master.unlock
            )
            self._broker_loop.call(self._connect_master(book), 3 * ib.timeout_s + START_TIMEOUT_S)
            self._exit.callback(self._disconnect_master)
            bind_account(self.journal, config.state_dir, self.master.account)
            self.journal.next_ref_number()  # reserves the first block now, so that no order waits for the disk
            self._adopt_unassigned()
            undo.pop_all()

    async def _connect_master(self, book: OrderBook) -> None:
        """Every order is known before IB speaks: also those of strategies that will not run."""
        for strategy in self.portfolio_manager.strategies():
            await restore(self.journal, book, strategy, self.clock)
        await self.master.connect()

    def _is_idle(self, strategy: str) -> bool:
        """Whether nobody but the master session hears what becomes of the strategy's orders."""
        runtime = self._runtimes.get(strategy)
        return runtime is None or runtime.instance is None or not runtime.instance.is_running

    def _own(self, resource: T) -> T:
        self._exit.callback(resource.close)  # type: ignore[attr-defined]
        return resource

    # the seed's names ------------------------------------------------------------------------------------------

    @property
    def ac(self) -> Any:
        """The one ArcticDB client."""
        return self.store.ac

    @property
    def ib_client(self) -> Session:
        """The master session, client id 0. Used on the broker loop only."""
        return self.master.ib

    @property
    def broker_loop(self) -> asyncio.AbstractEventLoop:
        return self._broker_loop.loop

    def _get_strategy_filename(self, strategy_symbol: str) -> str:
        """The `filename` column of general/strategies; UnknownName when there is no such row."""
        row = self.strategies.get(strategy_symbol)
        if row is None or not row.filename:
            known = ", ".join(one.strategy for one in self.strategies.all()) or "none"
            raise UnknownName(
                f"general/strategies has no filename for {strategy_symbol!r} (known: {known})",
                hint="add a YAML file to strategies.d, or a row with strategy and filename",
            )
        return row.filename

    def load_strategy_class(self, filename: str) -> tuple[type[BaseStrategy], ModuleType]:
        """Imports the file from the strategy folders and picks its `*Strategy` class."""
        return load_strategy_class(resolve_filename(filename, self.config.strategies_python))

    def load_strategy_params(self, strategy_symbol: str, module: ModuleType) -> dict[str, Any]:
        """The stored parameters when there are any, else the module's PARAMS, which are then stored."""
        row = self.strategies.get(strategy_symbol)
        stored = row.params_dict() if row is not None else {}
        if stored:
            return stored
        params = dict(getattr(module, "PARAMS", {}) or {})
        if params:
            try:
                self.strategies.set_params(strategy_symbol, params)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"PARAMS of {strategy_symbol} cannot be stored as JSON: {error}") from None
            self._fill_weights(strategy_symbol, params)
        return params

    def _fill_weights(self, strategy_symbol: str, params: Mapping[str, Any]) -> None:
        """The weight columns of a row that has none yet, from the module's PARAMS."""
        row = self.strategies.get(strategy_symbol)
        if row is None:
            return

        def weight(stored: float | None, name: str) -> float | None:
            return float(params[name]) if stored is None and name in params else stored

        filled = row.saying(
            min_weight=weight(row.min_weight, "min_weight"),
            target_weight=weight(row.target_weight, "target_weight"),
            max_weight=weight(row.max_weight, "max_weight"),
        )
        self.strategies.upsert([filled])

    def start_strategy(
        self, strategy_symbol: str, spec: StrategySpec | None = None, *, generation: int = 0, reduce_only: str = ""
    ) -> None:
        """Starts one strategy; returns when its loop has begun, before it is warm. A running one is left alone.

        `spec` starts a YAML strategy as that `generation` of it, `reduce_only` says why it may open nothing; without
        it the row's Python file is loaded, or the spec it last ran is started again. Any RunnerError leaves the other
        strategies untouched.
        """
        runtime = self._runtimes.get(strategy_symbol)
        if runtime is not None and runtime.instance is not None and runtime.instance.is_running:
            if runtime.phase not in (StrategyPhase.FAILED, StrategyPhase.STOPPED):
                return
            runtime.instance.stop_strategy(runtime.reason)  # it is over, and only clearing up
        if spec is None and runtime is not None:
            spec, generation, reduce_only = runtime.spec, runtime.generation, runtime.reduce_only
        if spec is None:
            row = self.strategies.get(strategy_symbol)
            if row is not None and row.managed_by:
                raise ConfigError(f"{strategy_symbol} has no file any more", hint=f"put {row.file} back")
            self._get_strategy_filename(strategy_symbol)  # before anything is allocated for an unknown name
        client_id = self.strategies.client_id_for(strategy_symbol, self.config.ib.client_id_base)
        ahead = None if runtime is None else runtime.ahead
        runtime = self._spec_runtime(spec, client_id) if spec else self._python_runtime(strategy_symbol, client_id)
        assert runtime.instance is not None
        runtime.ahead = ahead
        if runtime.spec is not None:
            row = self.strategies.get(strategy_symbol)
            runtime.generation = generation or (0 if row is None else row.generation)
            runtime.instance.generation = runtime.generation
            runtime.reduce_only = reduce_only
        ordered = self.journal.operator_state(strategy_symbol)
        if ordered == "paused":
            runtime.operator_paused = "paused by the operator"
        elif ordered == "stopped":
            runtime.operator_paused = self.journal.meta(paused_key(strategy_symbol)) or ""
        today = self.today(runtime)
        if any(latch.kind == "daily_loss" for latch in self.journal.latches(strategy_symbol, today)):
            runtime.loss_latched_on = today
        self._runtimes.add(runtime)
        if runtime.spec is not None:
            runtime.code_changed = note_code(runtime.spec, self.journal, self.clock, self.publish)
        self.journal.set_operator_state(
            strategy_symbol, "paused" if runtime.operator_paused else None, runtime.operator_paused
        )
        runtime.instance.start_strategy()

    def stop_strategy(self, symbol: str, reason: str = "stopped", by_operator: bool = False) -> bool:
        """Stops one strategy and disconnects its session; positions and working orders stay. False when it hangs.

        What an operator stopped stays stopped over restarts of the runner, until `start_strategy`.
        """
        runtime = self.runtime(symbol)
        if by_operator:
            if runtime.operator_paused:
                self.journal.set_meta(paused_key(symbol), runtime.operator_paused)  # a pause outlives a stop
            self.journal.set_operator_state(symbol, "stopped", reason)
        if runtime.instance is None:
            return True
        return runtime.instance.stop_strategy(reason)

    def register_python(self, name: str, filename: str) -> None:
        """Gives a hand-written strategy its row. ConfigError for a file that is not there or a name that is taken."""
        resolve_filename(filename, self.config.strategies_python)
        row = self.strategies.get(name) or StrategyRow(strategy=name)
        if row.managed_by:
            raise ConfigError(f"{name} is a YAML strategy ({row.file})", hint="choose another name")
        try:
            self.strategies.upsert([row.saying(filename=filename)])
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def remember_stopped(
        self, name: str, spec: StrategySpec | None, *, generation: int = 0, reduce_only: str = ""
    ) -> None:
        """Lists a strategy that an operator stopped, so that `status` shows it and `start` can bring it back."""
        client_id = self.strategies.client_id_for(name, self.config.ib.client_id_base)
        runtime = self._spec_runtime(spec, client_id) if spec else self._python_runtime(name, client_id)
        runtime.instance, runtime.generation, runtime.reduce_only = None, generation, reduce_only
        runtime.phase, runtime.reason = StrategyPhase.STOPPED, "stopped by the operator"
        self._runtimes.add(runtime)

    def wait_until_warm(self, name: str, timeout_s: float) -> StrategyPhase:
        """Waits until the strategy runs or has failed; the phase then, or the one at the end of the time."""
        runtime = self.runtime(name)
        with self._phases:
            self._phases.wait_for(
                lambda: self.stopping or runtime.phase not in (StrategyPhase.PENDING, StrategyPhase.WARMING),
                timeout_s,
            )
        warming = (StrategyPhase.PENDING, StrategyPhase.WARMING)
        if all(one.phase not in warming for one in self._runtimes.all()):
            self._broker_loop.freeze()
        return runtime.phase

    def stop_waiting(self) -> None:
        """Lets go of everybody in `wait_until_warm`: the runner stops."""
        with self._phases:
            self.stopping = True
            self._phases.notify_all()

    def _python_runtime(self, name: str, client_id: int) -> Runtime:
        filename = self._get_strategy_filename(name)
        cls, module = self.load_strategy_class(filename)
        params = self.load_strategy_params(name, module)
        base, _ = split_params(params)
        try:
            checked = BaseParams.from_mapping(base)
        except ValueError as error:
            raise ConfigError(f"params of {name}: {error}", hint="correct params in general/strategies") from None
        instance = cls(client_id=client_id, strategy_manager=self, params=params, strategy_symbol=name)
        file = resolve_filename(filename, self.config.strategies_python)
        calendar = str(params.get("calendar", DEFAULT_CALENDAR))
        return Runtime(
            name=name,
            kind="python",
            file=file,
            client_id=client_id,
            own_params=checked,
            calendar=calendar,
            instance=instance,
        )

    def _hooks_of(self, spec: StrategySpec) -> Hooks:
        """The strategy's own code, ready to be called; ConfigError for code that came after the runner started."""
        if spec.not_loaded:
            raise ConfigError(
                f"{spec.name} uses {', '.join(spec.not_loaded)}, which was not there when the runner started",
                hint="restart the runner: plugged-in blocks are imported once",
            )
        return Hooks(spec.name, self, load_hooks(spec.hooks, self.config.plugins_allow))

    def _spec_runtime(self, spec: StrategySpec, client_id: int) -> Runtime:
        hooks = self._hooks_of(spec)
        instance = SpecStrategy(
            client_id=client_id,
            strategy_manager=self,
            params=stored_params(spec),
            strategy_symbol=spec.name,
            spec=spec,
            hooks=hooks,
        )
        calendar = spec.schedule.calendar or DEFAULT_CALENDAR
        return Runtime(
            name=spec.name,
            kind="yaml",
            file=spec.file,
            client_id=client_id,
            own_params=spec.params,
            calendar=calendar,
            own_enabled=spec.enabled,
            spec=spec,
            instance=instance,
        )

    def is_exposed(self, name: str) -> bool:
        """Whether a strategy has positions or working orders: there is something to guard, or to cancel."""
        held = any(position.quantity for position in self.portfolio_manager.positions(name))
        return held or bool(self.journal.intents(open_only=True, strategy=name))

    def forget(self, name: str) -> None:
        """Takes a strategy that has stopped off the list."""
        self._runtimes.remove(name)

    # the strategies --------------------------------------------------------------------------------------------

    def runtime(self, name: str) -> Runtime:
        """The strategy of that name; ConfigError with the known ones when there is none."""
        return self._runtimes.named(name)

    @property
    def runtimes(self) -> Sequence[Runtime]:
        return self._runtimes.all()

    def session_day(self, strategy: str, at: datetime) -> date:
        """The session date that `at` belongs to, on the strategy's calendar."""
        runtime = self._runtimes.get(strategy)
        return session_day(DEFAULT_CALENDAR, at) if runtime is None else runtime.session_day(at)

    def today(self, runtime: Runtime) -> date:
        """The session date that counts now, on the strategy's calendar."""
        return runtime.session_day(self.clock.now())

    # StrategyHost: what strategies ask for ---------------------------------------------------------------------

    def publish(self, event: Event) -> None:
        self.message_queue.put(event)

    async def settle(self) -> None:
        await asyncio.wrap_future(self.message_queue.barrier())

    async def connect_strategy(self, strategy: HostedStrategy) -> Session:
        self._runtimes.change(strategy.symbol, lambda runtime: setattr(runtime, "reconciling", True))
        return await self.sessions.open(strategy.symbol, strategy.client_id, may_share=strategy.placement == "broker")

    def session_reconciled(self, strategy: str) -> None:
        """A first session may trade once the strategy is warm; a new one of a running strategy may at once."""

        def change(runtime: Runtime) -> None:
            runtime.reconciling = runtime.phase is not StrategyPhase.RUNNING

        self._runtimes.change(strategy, change)

    async def release_session(self, strategy: HostedStrategy, ib: Session) -> None:
        await self.sessions.close(strategy.symbol, strategy.client_id, ib)

    def create_broker(self, strategy: HostedStrategy, ib: Session) -> LiveBroker:
        return LiveBroker(
            ib,
            strategy.symbol,
            ac=self.ac,
            gate=self.gate,
            journal=self.journal,
            pacer=Pacer(self.clock, None if self.master.following else RATE_PER_S),
            account=self.master.account,
            clock=self.clock,
            equity_source=ManagerEquity(self._runtimes, self.strategies, self.portfolio_manager),
            price_source=self.last_price,
            on_fill=strategy.take_fill,
            on_status_change=strategy.take_status_change,
            on_commission=strategy.on_commission,
            on_notice=strategy.on_notice,
            on_order=self.publish,
            instrument_of=self._instrument_of,
            generation=lambda: strategy.generation,
        )

    async def qualify(self, queries: Sequence[InstrumentQuery]) -> list[Instrument]:
        return await self._broker_loop.await_here(self.master.qualify(queries))

    async def _instrument_of(self, contract: Any) -> Instrument:
        return await self._broker_loop.await_here(self.master.resolver.resolve_contract(contract))

    async def history(
        self, instrument: Instrument, size: BarSize, bars: int | None, *, regular_hours: bool = True
    ) -> list[Bar]:
        return await self._broker_loop.await_here(self.master.history.bars(instrument, size, bars, rth=regular_hours))

    async def open_feed(
        self, strategy: str, instruments: Sequence[Instrument], size: BarSize, history: int, *, regular_hours: bool
    ) -> Feed:
        return await self._broker_loop.await_here(
            self.master.hub.open_feed(instruments, size, history, rth=regular_hours)
        )

    async def ensure_rates(self, currencies: Collection[str]) -> None:
        await self._broker_loop.await_here(self.master.ensure_rates(currencies))

    def may_open(self, strategy: str) -> bool:
        runtime = self._runtimes.get(strategy)
        if runtime is None or runtime.operator_paused or runtime.reduce_only or not runtime.enabled:
            return False
        return not self.loss_paused(strategy)

    def is_restricted(self, strategy: str) -> bool:
        runtime = self._runtimes.get(strategy)
        return runtime is not None and bool(runtime.reduce_only)

    def loss_paused(self, strategy: str) -> bool:
        runtime = self._runtimes.get(strategy)
        return runtime is not None and runtime.loss_latched_on == self.today(runtime)

    def last_price(self, con_id: int) -> Decimal | None:
        return self.master.last_price(con_id)

    def row(self, strategy: str) -> StrategyRow | None:
        return self.strategies.get(strategy)

    def library_symbols(self, library: str) -> list[str]:
        if not self.store.has_library(library):
            raise ConfigError(f"there is no ArcticDB library called {library!r}", hint="check universe.library")
        return self.store.symbols(library)

    def use_calendar(self, strategy: str, code: str) -> None:
        self._runtimes.change(strategy, lambda runtime: setattr(runtime, "calendar", code))

    async def session_mark(self, strategy: str, day: date, net: Decimal) -> Decimal:
        runtime = self.runtime(strategy)
        if day not in runtime.session_marks:
            if runtime.session_marks and day > max(runtime.session_marks):
                # This process has seen the session before: nobody can have marked this one, so there is nothing to
                # wait for. The mark is on disk no later than the next order's intent.
                self.journal.put_session_equity(strategy, day, net).add_done_callback(self._written)
                mark = net
            else:
                mark = await asyncio.to_thread(self.journal.session_equity, strategy, day, net)
            runtime.session_marks = {day: mark}
        return runtime.session_marks[day]

    async def latch_daily_loss(self, strategy: str, day: date, reason: str) -> None:
        runtime = self.runtime(strategy)
        if runtime.loss_latched_on == day:
            return
        runtime.loss_latched_on = day  # in force at once; the disk follows
        await asyncio.to_thread(self.journal.set_latch, strategy, day, "daily_loss", reason, "runner")
        self.publish(PhaseChanged(at=self.clock.now(), strategy=strategy, phase=StrategyPhase.PAUSED, reason=reason))

    def phase_changed(self, strategy: str, phase: StrategyPhase, reason: str) -> None:
        def change(runtime: Runtime) -> None:
            runtime.phase, runtime.reason = phase, reason
            if phase is StrategyPhase.RUNNING:
                runtime.reconciling = False

        self._runtimes.change(strategy, change)
        with self._phases:
            self._phases.notify_all()
        self.publish(PhaseChanged(at=self.clock.now(), strategy=strategy, phase=phase, reason=reason))
        level = logging.ERROR if phase is StrategyPhase.FAILED else logging.INFO
        log.log(level, "%s: %s%s", strategy, phase.value, f": {reason}" if reason else "")

    def load_memory(self, strategy: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.journal.meta(f"memory:{strategy}") or "{}")
        return found

    async def save_memory(self, strategy: str, memory: dict[str, Any]) -> None:
        # Not waited for: the journal writes in order, so it is on disk no later than the intent of the next order.
        written = self.journal.put_meta(f"memory:{strategy}", json.dumps(memory, sort_keys=True))
        written.add_done_callback(self._written)

    def _written(self, done: Future[None]) -> None:
        """Of a write that nobody waits for: a refusal is said, and the next order's commit meets it too."""
        error = done.exception()
        if error is not None and not self.stopping:
            self.notice("store", f"a strategy's memory could not be journalled: {error}")

    async def in_worker(self, strategy: str, call: Callable[[], T], timeout_s: float) -> T:
        return await self._workers.run(strategy, call, timeout_s)

    # the replay ------------------------------------------------------------------------------------------------

    def follow_market(self, stepped: Callable[[], None]) -> None:
        """Lets a replaying gateway move; `stepped` is called on the broker loop after each of its steps."""
        self.broker_loop.call_soon_threadsafe(self.master.start_following, stepped)

    def finish_following(self) -> None:
        """Holds the market where it is, with everything booked that happened before."""
        self._broker_loop.call(self.master.stop_following(), START_TIMEOUT_S)
        self.message_queue.barrier().result(START_TIMEOUT_S)

    def sessions_stand(self) -> bool:
        """Whether every running strategy has a session on which its orders have been reconciled."""
        return all(
            one.instance.is_connected and not one.reconciling
            for one in self._runtimes.all()
            if one.instance is not None and one.instance.is_running and one.phase is StrategyPhase.RUNNING
        )

    def compare_positions(self) -> None:
        """Compares the books with IB's positions now. What differs is locked: at once in a replay, whose market waits,
        and live when it still differs at the next regular comparison."""
        self.message_queue.barrier().result(START_TIMEOUT_S)
        self._broker_loop.call(self.master.compare_now(), START_TIMEOUT_S)

    def read_gateway_books(self) -> GatewayBooks:
        """The gateway's own positions and account values, asked for now."""
        return self._broker_loop.call(self.master.read_books(), START_TIMEOUT_S)

    # inside ----------------------------------------------------------------------------------------------------

    def _handle(self, events: Sequence[Event]) -> None:
        """The consumer thread: journal, fold, project."""
        self.portfolio_manager.process_events(events)

    def _overflowed(self, event: Event) -> None:
        log.critical("the message queue is full: %s of %s was not taken in", event.type, event.strategy)
        runtime = self._runtimes.get(event.strategy)
        if runtime is not None and runtime.instance is not None:
            runtime.instance.read_again()

    def notice(self, code: str, text: str, strategy: str = "") -> None:
        log.warning("%s", text)
        self.publish(Notice(at=self.clock.now(), strategy=strategy, code=code, text=text))

    def _adopt_unassigned(self) -> None:
        """At the very first start, what IB holds already is nobody's. Later differences lock their instrument."""
        if self.portfolio_manager.unassigned_book is not None:
            return
        held = self.portfolio_manager.adopt_unassigned(
            self._broker_loop.call(self.master.read_positions(), START_TIMEOUT_S)
        )
        if held:
            names = ", ".join(f"{quantity} of {con_id}" for con_id, quantity in held.items())
            self.notice("unassigned", f"the account holds positions of no strategy, which are left alone: {names}")

    def _disconnect_master(self) -> None:
        self._broker_loop.call(self.master.disconnect(), START_TIMEOUT_S)

    def close(self, reason: str = "the runner stops") -> list[str]:
        """Stops every strategy, then the session, the books and the store. Returns the strategies that hung."""
        hung = []
        stopping = [one for one in self._runtimes.all() if one.instance is not None and one.instance.is_running]
        with ThreadPoolExecutor(max(1, len(stopping)), thread_name_prefix="stop") as pool:
            for runtime, ended in zip(
                stopping, pool.map(lambda one: one.instance.stop_strategy(reason), stopping), strict=True
            ):
                if not ended:
                    hung.append(runtime.name)
        self._exit.close()
        return hung


def _left_to_its_strategy(_order: WorkingOrder, _why: str) -> None:
    """What is doubtful about an order of a strategy that does not run is asked when it runs again."""
