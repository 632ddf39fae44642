"""What every live strategy is: a lifecycle, its own IB session, its broker, and wrappers that order safely.

A hand-written strategy extends `BaseStrategy`, extends `PARAMS`, and overrides `initialize_strategy` and
`run_strategy`. It never calls `broker.place_order()`: it uses `buy`, `sell`, `order_target_quantity`,
`order_target_weight`, `close_position`, `cancel` and `flatten`, which size, check, journal and send.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from runner.base_params import BASE_PARAMS
from runner.broker.feed import Feed
from runner.broker.ib_connection import disconnect
from runner.broker.live_broker import LiveBroker
from runner.errors import HookError, NotConnected, RunnerError
from runner.model.events import CommissionCharged, Filled, Notice, StatusChanged, StrategyPhase
from runner.model.instruments import Instrument
from runner.strategy.daily_loss import DayPnl
from runner.strategy.host import StrategyHost
from runner.strategy.trading import Trading

if TYPE_CHECKING:
    from runner.broker.session import Session

PARAMS: dict[str, Any] = dict(BASE_PARAMS)
"""The base parameters, with their defaults; `runner.base_params.BaseParams` documents each with its unit.

    PARAMS = {**BASE_PARAMS, "universe": "AAPL", "target_weight": 0.10}
"""

STOP_TIMEOUT_S = 6.0
"""How long `stop_strategy` waits for the strategy's own loop to end."""
LAST_WORDS_S = 1.0
"""How long the end waits for what IB has said on the session; the rest is found when the strategy starts again."""
RECONNECT_FIRST_S, RECONNECT_LAST_S = 1.0, 30.0
"""Back-off of a lost session: doubled from the first to the last."""
FINISH_TIMEOUT_S = 5.0
"""How long each step of the clean-up may take, `finish_strategy` included."""

T = TypeVar("T")

log = logging.getLogger("runner.strategy")


class BaseStrategy(Trading):
    """One strategy. The manager constructs it, starts it and stops it; user code fills in two coroutines.

    Attributes for user code: `symbol` (the strategy's name), `params`, `min_weight`, `target_weight`, `max_weight`
    (fractions of account equity), `ib` and `is_connected` (its own session), `broker` and `broker_type` (`live`),
    `is_running`, `instruments` (by symbol, once qualified), `base_currency`, `fx_cache`, `clock`.
    """

    def __init__(
        self,
        client_id: int,
        strategy_manager: StrategyHost,
        params: dict[str, Any] | None = None,
        strategy_symbol: str = "",
    ) -> None:
        self.client_id = client_id
        self.strategy_manager = strategy_manager
        self.symbol = strategy_symbol
        row = strategy_manager.row(strategy_symbol)
        if params is None:
            # Normally the manager passes them; this keeps a strategy usable on its own.
            params = (row.params_dict() if row is not None else {}) or dict(PARAMS)
        self.params: dict[str, Any] = params
        self.min_weight = _weight(row.min_weight if row is not None else None, params, "min_weight")
        self.target_weight = _weight(row.target_weight if row is not None else None, params, "target_weight")
        self.max_weight = _weight(row.max_weight if row is not None else None, params, "max_weight")
        self.broker_type = "live"
        self.is_running = False
        self.ib: Session | None = None
        self.instruments: dict[str, Instrument] = {}
        self.generation = 0
        self._day_pnl = DayPnl(strategy_symbol, strategy_manager)
        self._broker: LiveBroker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._ended: Future[None] = Future()
        self._feeds: list[Feed] = []
        self._lost = asyncio.Event()
        self._stands = asyncio.Event()
        """Set while the session is there and has been reconciled."""
        self._ending = False
        self._started = self._stop_asked = False
        self._stop_reason = ""
        self.failure: RunnerError | None = None
        """What it has failed with; set by work beside the main coroutine before it cancels it."""
        self._handing: Filled | StatusChanged | None = None
        """The fact that a handler is being told of, until it has been published."""

    # what user code writes -------------------------------------------------------------------------------------

    @abstractmethod
    async def initialize_strategy(self) -> None:
        """Qualify contracts, subscribe to bars, warm up. Called once, connected."""

    @abstractmethod
    async def run_strategy(self) -> None:
        """The core logic. Returning ends the strategy."""

    async def finish_strategy(self) -> None:  # optional on purpose
        """Called on the way out, still connected when the session is; for what user code wants to put away."""

    # its session ------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Returns when every fill that the gateway sent before now is in the books. Waits while the session is lost."""
        while True:
            if not self._ending:
                await self._stands.wait()
            session = self.broker.ib_client
            try:
                await self.broker.fence()
                break
            except NotConnected as error:
                if self._ending:
                    raise
                if session.isConnected():
                    # A frozen gateway keeps its socket open; a new session is the only way to learn what it did.
                    log.warning("strategy %s begins a new session: %s", self.symbol, error.message)
                    await disconnect(session)
                self._session_lost()
        await self.strategy_manager.settle()

    # facts from the wire ---------------------------------------------------------------------------------------

    def on_fill(self, fill: Filled) -> None:
        """Forwards an execution to `message_queue`. Called on the session's loop; an override calls super()."""
        self._publish_fact(fill)

    def on_status_change(self, change: StatusChanged) -> None:
        """Forwards an order's new state to `message_queue`. An override calls super()."""
        self._publish_fact(change)

    def take_fill(self, fill: Filled) -> None:
        """From the broker: hands the fill to `on_fill`. It reaches the books whatever an override does."""
        self._handing = fill
        self._hand("on_fill", self.on_fill, fill)

    def take_status_change(self, change: StatusChanged) -> None:
        """From the broker: hands the change to `on_status_change`, as `take_fill` does."""
        self._handing = change
        self._hand("on_status_change", self.on_status_change, change)

    def _hand(self, name: str, handler: Callable[[Any], None], fact: Filled | StatusChanged) -> None:
        try:
            handler(fact)
        except Exception as error:  # user code; its strategy stops, the fact goes on
            error.add_note(f"in {name} of {self.symbol}")
            log.exception("%s of %s raised", name, self.symbol)
            self._stop_because(HookError(f"{name} raised {type(error).__name__}: {error}"))
        if self._handing is not None:
            self._publish_fact(fact)

    def _publish_fact(self, fact: Filled | StatusChanged) -> None:
        self._handing = None
        self.strategy_manager.publish(fact)

    def _stop_because(self, failure: RunnerError) -> None:
        """Ends the strategy as failed, from work beside its main coroutine on the same loop."""
        self.failure = self.failure or failure
        if self._task is not None:
            self._task.cancel()

    def on_commission(self, commission: CommissionCharged) -> None:
        """Forwards a commission report to `message_queue`."""
        self.strategy_manager.publish(commission)

    def on_notice(self, notice: Notice) -> None:
        self.strategy_manager.publish(notice)

    # lifecycle -------------------------------------------------------------------------------------------------

    def start_strategy(self) -> None:
        """Begins the dedicated thread and loop, or the coroutine on the broker loop. Returns at once."""
        self._started = True
        if self.placement == "broker":
            self._ended = Future()
            asyncio.run_coroutine_threadsafe(self._main_strategy_loop(), self.strategy_manager.broker_loop)
            return
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main_strategy_loop()), name=f"strategy-{self.symbol}", daemon=True
        )
        self._thread.start()

    def stop_strategy(self, reason: str = "stopped", timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Ends the strategy and disconnects its session. Positions and working orders stay as they are.

        Called from any thread but the strategy's own loop. False when the loop did not end inside `timeout_s`, as
        when user code blocks; the strategy is then abandoned.
        """
        self._stop_reason = reason
        self._stop_asked = True
        self.is_running = False
        loop, task = self._loop, self._task
        if loop is not None and task is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:  # the loop closed between the check and the call
                return True
        elif not self._started:
            return True
        try:
            self._ended.result(timeout_s)
        except TimeoutError:
            log.error("strategy %s did not stop in %.0f s and was abandoned", self.symbol, timeout_s)
            return False
        return True

    def read_again(self) -> None:
        """Asks IB once more for its orders and executions, soon; for when facts may have been missed. Any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed() and self._broker is not None:
            asyncio.run_coroutine_threadsafe(self._broker.recover(), loop)

    async def run_inside(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits `work` on the strategy's own loop, from any other."""
        loop = self._loop
        if loop is None or loop.is_closed():
            work.close()
            raise NotConnected(f"strategy {self.symbol} is not running")
        if loop is asyncio.get_running_loop():
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    async def _main_strategy_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._lost, self._stands = asyncio.Event(), asyncio.Event()
        self.is_running = True
        beside: list[asyncio.Task[None]] = []
        try:
            if self._stop_asked:  # between the start and now
                raise asyncio.CancelledError
            self._enter(StrategyPhase.WARMING, "connecting")
            await self._connect()
            beside.append(asyncio.create_task(self._keep_connected(), name=f"session-{self.symbol}"))
            if self.placement == "thread" and self.params.get("max_daily_loss"):
                beside.append(asyncio.create_task(self._keep_day_loss(), name=f"day-loss-{self.symbol}"))
            await self.initialize_strategy()
            self._enter(StrategyPhase.RUNNING, "")
            await self.run_strategy()
            self._enter(StrategyPhase.STOPPED, self._stop_reason or "finished")
        except asyncio.CancelledError:
            if self.failure is not None:
                self._failed(self.failure)
            else:
                self._enter(StrategyPhase.STOPPED, self._stop_reason or "cancelled")
        except RunnerError as error:
            self._failed(error)
        except Exception as error:  # a strategy's edge: user code may raise anything, and only it must stop
            error.add_note(f"in strategy {self.symbol}")
            log.exception("strategy %s raised", self.symbol)
            failure = HookError(f"{type(error).__name__}: {error}")
            for note in error.__notes__:
                failure.add_note(note)
            self._failed(failure)
        finally:
            self._ending = True
            for task in beside:
                task.cancel()
            await _whatever_happens(self._cleanup())
            self.is_running = False
            self._ended.set_result(None)

    async def _connect(self) -> None:
        """Opens the session, then folds in what IB knows of this strategy's orders. Start and reconnect alike."""
        self.ib = await self.strategy_manager.connect_strategy(self)
        self.ib.disconnectedEvent += self._session_lost
        self._initialize_broker(self.ib)
        await self.broker.recover()
        await self.strategy_manager.settle()
        self.strategy_manager.session_reconciled(self.symbol)
        self._stands.set()

    def _session_lost(self) -> None:
        self._stands.clear()
        self._lost.set()

    def _initialize_broker(self, ib: Session) -> None:
        """Builds the LiveBroker on the session, or gives the one we have its new session."""
        if self._broker is None:
            self._broker = self.strategy_manager.create_broker(self, ib)
        else:
            self._broker.attach(ib)

    async def _keep_connected(self) -> None:
        """Reconnects a lost session with back-off, for as long as the strategy runs."""
        while True:
            await self._lost.wait()
            self._notice("session_lost", f"session with client id {self.client_id} was lost")
            delay = RECONNECT_FIRST_S
            while not self._stands.is_set():
                await asyncio.sleep(delay)
                delay = min(delay * 2, RECONNECT_LAST_S)
                try:
                    await self._leave_session()
                    self._lost.clear()
                    await self._connect()
                except RunnerError as error:
                    log.warning("strategy %s: %s", self.symbol, error.message)
                except Exception:  # whatever it was, the strategy must not be without a session for ever
                    log.exception("strategy %s could not reconnect", self.symbol)
            self._notice("session_restored", f"session with client id {self.client_id} stands again")

    async def _leave_session(self) -> None:
        """Lets go of the session, whether it stands or not."""
        if self._broker is not None:
            self._broker.detach()
        if self.ib is not None:
            self.ib.disconnectedEvent -= self._session_lost
            await _quietly(self.strategy_manager.release_session(self, self.ib), f"disconnecting {self.symbol}")

    async def _cleanup(self) -> None:
        """Closes feeds, lets user code finish, disconnects the session. Never raises."""
        for feed in self._feeds:
            await _quietly(feed.close(), f"closing a feed of {self.symbol}")
        self._feeds.clear()
        await _quietly(self.finish_strategy(), f"finish_strategy of {self.symbol}")
        if self._broker is not None and self.is_connected:
            # What IB has said already, such as the fill of an order sent a moment ago, is read before the session ends.
            await _quietly(asyncio.wait_for(self.broker.fence(), LAST_WORDS_S), f"the last fence of {self.symbol}")
        await self._leave_session()

    def _enter(self, phase: StrategyPhase, reason: str) -> None:
        self.strategy_manager.phase_changed(self.symbol, phase, reason)

    def _failed(self, error: RunnerError) -> None:
        self.failure = error
        self._enter(StrategyPhase.FAILED, str(error).replace("\n", " "))

    def _notice(self, code: str, text: str) -> None:
        self.on_notice(Notice(at=self.clock.now(), strategy=self.symbol, code=code, text=text))


async def _quietly(work: Any, what: str) -> None:
    """Awaits a step of the clean-up; a step that raises must not keep the others from running."""
    try:
        async with asyncio.timeout(FINISH_TIMEOUT_S):
            await work
    except TimeoutError:
        log.error("%s took longer than %.0f s", what, FINISH_TIMEOUT_S)
    except Exception:
        log.exception("%s raised", what)


async def _whatever_happens(work: Coroutine[Any, Any, None]) -> None:
    """Awaits `work` to its end, however often the awaiting task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue


def _weight(stored: float | None, params: dict[str, Any], name: str) -> float:
    """The row of general/strategies first, then the parameters, then the base default."""
    if stored is not None:
        return float(stored)
    return float(params.get(name, BASE_PARAMS[name]))


def symbols_of(universe: str | Iterable[str]) -> list[str]:
    """The symbols of a seed-style universe: one, several separated by commas, or a list."""
    parts = universe.split(",") if isinstance(universe, str) else list(universe)
    return [part.strip() for part in parts if part.strip()]
