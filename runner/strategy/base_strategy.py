"""What every live strategy is: a lifecycle, its own IB session, its broker, and wrappers that order safely.

A hand-written strategy extends `BaseStrategy`, extends `PARAMS`, and overrides `initialize_strategy` and
`run_strategy`. It never calls `broker.place_order()`: it uses `buy`, `sell`, `order_target_quantity`,
`order_target_weight`, `close_position`, `cancel` and `flatten`, which size, check, journal and send.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from runner.base_params import BASE_PARAMS
from runner.broker.feed import Feed
from runner.broker.live_broker import LiveBroker
from runner.errors import GatewayError, HookError, NotConnected, RunnerError
from runner.model.bars import Bar, BarSize
from runner.model.events import CommissionCharged, Filled, Notice, StatusChanged, StrategyPhase
from runner.model.instruments import Instrument, InstrumentQuery
from runner.model.money import ZERO, exact, toward_zero
from runner.model.orders import OrderIntent, OrderRequest, OrderType, Purpose, Refused, Side, TimeInForce
from runner.portfolio.fx_cache import FXCache
from runner.strategy.host import StrategyHost

if TYPE_CHECKING:
    from runner.broker.session import Session

PARAMS: dict[str, Any] = dict(BASE_PARAMS)
"""The base parameters, with their defaults; `runner.base_params.BaseParams` documents each with its unit.

    PARAMS = {**BASE_PARAMS, "universe": "AAPL", "target_weight": 0.10}
"""

STOP_TIMEOUT_S = 8.0
"""How long `stop_strategy` waits for the strategy's own loop to end."""
RECONNECT_FIRST_S, RECONNECT_LAST_S = 1.0, 30.0
"""Back-off of a lost session: doubled from the first to the last."""

T = TypeVar("T")

log = logging.getLogger("runner.strategy")


class BaseStrategy(ABC):
    """One strategy. The manager constructs it, starts it and stops it; user code fills in two coroutines.

    Attributes for user code: `symbol` (the strategy's name), `params`, `min_weight`, `target_weight`, `max_weight`
    (fractions of account equity), `ib` and `is_connected` (its own session), `broker` and `broker_type` (`live`),
    `is_running`, `instruments` (by symbol, once qualified), `base_currency`, `fx_cache`, `clock`.
    """

    placement: ClassVar[Literal["thread", "broker"]] = "thread"
    """`thread`: an event loop in a thread of its own. `broker`: a coroutine on the broker loop, for code that never
    blocks."""

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
        self._broker: LiveBroker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._ended: Future[None] = Future()
        self._feeds: list[Feed] = []
        self._lost = asyncio.Event()
        self._stop_reason = ""
        self._failure: RunnerError | None = None
        """Set by work beside the main coroutine before it cancels it."""
        self._handing: Filled | StatusChanged | None = None
        """The fact that a handler is being told of, until it has been published."""

    # what user code writes -------------------------------------------------------------------------------------

    @abstractmethod
    async def initialize_strategy(self) -> None:
        """Qualify contracts, subscribe to bars, warm up. Called once, connected."""

    @abstractmethod
    async def run_strategy(self) -> None:
        """The core logic. Returning ends the strategy."""

    async def finish_strategy(self) -> None:  # noqa: B027  # optional on purpose
        """Called on the way out, still connected when the session is; for what user code wants to put away."""

    # shared resources ------------------------------------------------------------------------------------------

    @property
    def broker(self) -> LiveBroker:
        """Its broker; NotConnected before the session stands."""
        if self._broker is None:
            raise NotConnected(f"strategy {self.symbol} has no broker yet", hint="use it from initialize_strategy on")
        return self._broker

    @property
    def is_connected(self) -> bool:
        return self.ib is not None and self.ib.isConnected()

    @property
    def fx_cache(self) -> FXCache:
        """The one FX cache, owned by the portfolio manager."""
        return self.strategy_manager.portfolio_manager.fx_cache

    @property
    def base_currency(self) -> str:
        return self.strategy_manager.portfolio_manager.base_currency

    @property
    def clock(self) -> Any:
        """The market's clock: `now()` and `await sleep_until(at)`."""
        return self.strategy_manager.clock

    def get_equity(self) -> Decimal:
        """Strategy equity in base currency; see `Broker.get_equity`."""
        return self.broker.get_equity()

    # market ----------------------------------------------------------------------------------------------------

    async def qualify(self, *queries: InstrumentQuery | str) -> list[Instrument]:
        """Contracts as IB knows them, kept in `self.instruments`. A text is a US stock's symbol. ContractNotFound."""
        asked = [InstrumentQuery(symbol=q.strip()) if isinstance(q, str) else q for q in queries]
        found = await self.strategy_manager.qualify(asked)
        for query, instrument in zip(asked, found, strict=True):
            self.instruments[query.symbol] = instrument
        return found

    async def warm_up(
        self, instrument: Instrument, size: BarSize, bars: int | None = None, *, regular_hours: bool = True
    ) -> list[Bar]:
        """The last `bars` completed bars, oldest first; None fetches as much history as IB has.

        Goes through the one history service: paced inside IB's limits, shared with other strategies, cached.
        """
        return await self.strategy_manager.history(instrument, size, bars, regular_hours=regular_hours)

    async def open_feed(
        self, instruments: Sequence[Instrument], size: BarSize, history: int, *, regular_hours: bool = True
    ) -> Feed:
        """History and live bars of some instruments, through the one market-data hub. Closed with the strategy."""
        feed = await self.strategy_manager.open_feed(
            self.symbol, instruments, size, history, regular_hours=regular_hours
        )
        self._feeds.append(feed)
        return feed

    def last_price(self, instrument: Instrument | str) -> Decimal:
        """Last known price in the instrument's currency; RunnerError when there is none, never NaN or zero."""
        found = self._instrument(instrument)
        price = self.strategy_manager.last_price(found.con_id)
        if price is None:
            raise RunnerError(f"{self.symbol}: there is no price for {found}", hint="subscribe to its bars first")
        return price

    def position(self, instrument: Instrument | str) -> Decimal:
        """Signed quantity that this strategy holds, from its own fills."""
        held = self.strategy_manager.portfolio_manager.position(self.symbol, self._instrument(instrument).con_id)
        return held.quantity if held is not None else ZERO

    async def settle(self) -> None:
        """Returns when every fill that the gateway sent before now is in the books."""
        await self.broker.fence()
        await self.strategy_manager.settle()

    # orders ----------------------------------------------------------------------------------------------------

    async def buy(
        self, instrument: Instrument | str, quantity: Decimal | int | float, **terms: Any
    ) -> OrderIntent | Refused:
        """Buys `quantity` units. `terms` are fields of `OrderRequest`: order_type, limit_price, tif, reason, …"""
        return await self._order(self._instrument(instrument), Side.BUY, exact(quantity), **terms)

    async def sell(
        self, instrument: Instrument | str, quantity: Decimal | int | float, **terms: Any
    ) -> OrderIntent | Refused:
        """Sells `quantity` units; more than is held goes short, when the gate allows it."""
        return await self._order(self._instrument(instrument), Side.SELL, exact(quantity), **terms)

    async def order_target_quantity(
        self, instrument: Instrument | str, target: Decimal | int | float, **terms: Any
    ) -> OrderIntent | Refused | None:
        """Brings the position, working orders included, to `target` signed units; None when it is there already."""
        found = self._instrument(instrument)
        expected = self.position(found) + self.broker.working(found.con_id)
        delta = toward_zero(exact(target) - expected, found.lot)
        if delta == 0:
            return None
        return await self._order(found, Side.BUY if delta > 0 else Side.SELL, abs(delta), **terms)

    async def order_target_weight(
        self, instrument: Instrument | str, weight: float, **terms: Any
    ) -> OrderIntent | Refused | None:
        """Brings the position to `weight` × strategy equity at the last price, converted by the shared FX cache."""
        found = self._instrument(instrument)
        unit = self.last_price(found) * found.multiplier * self.fx_cache.rate(found.currency)
        target = toward_zero(exact(weight) * self.get_equity() / unit, found.lot)
        return await self.order_target_quantity(found, target, **terms)

    async def close_position(
        self, instrument: Instrument | str, *, reason: str = "close"
    ) -> OrderIntent | Refused | None:
        """Sells or buys back all of it at market."""
        return await self.order_target_quantity(instrument, 0, reason=reason, purpose=Purpose.EXIT)

    async def cancel(self, order: OrderIntent | str) -> None:
        """Asks IB to cancel one order. It is over when its status says so, not when this returns."""
        await self.broker.cancel(order if isinstance(order, str) else order.order_ref)

    async def flatten(self, *, reason: str = "flatten") -> list[OrderIntent | Refused]:
        """Cancels the strategy's working orders and closes every position at market."""
        await self.broker.cancel_all()
        await self.settle()
        placed: list[OrderIntent | Refused] = []
        for held in self.strategy_manager.portfolio_manager.positions(self.symbol):
            if held.quantity == 0:
                continue
            result = await self.close_position(held.instrument, reason=reason)
            if result is not None:
                placed.append(result)
        return placed

    async def _order(
        self, instrument: Instrument, side: Side, quantity: Decimal, *, purpose: Purpose | None = None, **terms: Any
    ) -> OrderIntent | Refused:
        """The one door: every wrapper and every planned order goes through here to the gate."""
        if purpose is None:
            held = self.position(instrument)
            closing = held * side.sign < 0 and quantity <= abs(held)
            purpose = Purpose.ENTRY if not closing else Purpose.EXIT if quantity == abs(held) else Purpose.REDUCE
        for name in ("limit_price", "stop_price", "trailing_percent"):
            if terms.get(name) is not None:
                terms[name] = exact(terms[name])
        request = OrderRequest(
            instrument=instrument,
            side=side,
            quantity=quantity,
            order_type=OrderType(terms.pop("order_type", OrderType.MARKET)),
            tif=TimeInForce(terms.pop("tif", TimeInForce.DAY)),
            purpose=purpose,
            **terms,
        )
        return await self.broker.place(request)

    def _instrument(self, instrument: Instrument | str) -> Instrument:
        if isinstance(instrument, Instrument):
            return instrument
        found = self.instruments.get(instrument)
        if found is None:
            known = ", ".join(sorted(self.instruments)) or "none"
            raise RunnerError(
                f"{self.symbol}: {instrument} is not a qualified instrument (known: {known})",
                hint=f'call await self.qualify("{instrument}") first',
            )
        return found

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
        self._failure = self._failure or failure
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
        self.is_running = False
        loop, task = self._loop, self._task
        if loop is not None and task is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:  # the loop closed between the check and the call
                return True
        elif self._task is None and self._thread is None and self._loop is None:
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
        self._lost = asyncio.Event()
        self.is_running = True
        keeper: asyncio.Task[None] | None = None
        try:
            self._enter(StrategyPhase.WARMING, "connecting")
            await self._connect()
            keeper = asyncio.create_task(self._keep_connected(), name=f"session-{self.symbol}")
            await self.initialize_strategy()
            self._enter(StrategyPhase.RUNNING, "")
            await self.run_strategy()
            self._enter(StrategyPhase.STOPPED, "finished")
        except asyncio.CancelledError:
            if self._failure is not None:
                self._failed(self._failure)
            else:
                self._enter(StrategyPhase.STOPPED, self._stop_reason or "cancelled")
        except RunnerError as error:
            self._failed(error)
        except Exception as error:  # a strategy's edge: user code may raise anything, and only it must stop
            error.add_note(f"in strategy {self.symbol}")
            log.exception("strategy %s raised", self.symbol)
            self._failed(HookError(f"{type(error).__name__}: {error}"))
        finally:
            if keeper is not None:
                keeper.cancel()
            await asyncio.shield(self._cleanup())
            self.is_running = False
            self._ended.set_result(None)

    async def _connect(self) -> None:
        """Opens the session, then folds in what IB knows of this strategy's orders. Start and reconnect alike."""
        self.ib = await self.strategy_manager.connect_strategy(self)
        self.ib.disconnectedEvent += self._lost.set
        self._initialize_broker(self.ib)
        await self.broker.recover()
        await self.strategy_manager.settle()

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
            self._lost.clear()
            self._notice("session_lost", f"session with client id {self.client_id} was lost")
            delay = RECONNECT_FIRST_S
            while not self.is_connected:
                await asyncio.sleep(delay)
                try:
                    await self._connect()
                except GatewayError as error:
                    log.warning("strategy %s: %s", self.symbol, error.message)
                    delay = min(delay * 2, RECONNECT_LAST_S)
            self._notice("session_restored", f"session with client id {self.client_id} stands again")

    async def _cleanup(self) -> None:
        """Closes feeds, lets user code finish, disconnects the session. Never raises."""
        for feed in self._feeds:
            await _quietly(feed.close(), f"closing a feed of {self.symbol}")
        self._feeds.clear()
        await _quietly(self.finish_strategy(), f"finish_strategy of {self.symbol}")
        if self._broker is not None:
            self._broker.detach()
        if self.ib is not None:
            self.ib.disconnectedEvent -= self._lost.set
            await _quietly(self.strategy_manager.release_session(self, self.ib), f"disconnecting {self.symbol}")

    def _enter(self, phase: StrategyPhase, reason: str) -> None:
        self.strategy_manager.phase_changed(self.symbol, phase, reason)

    def _failed(self, error: RunnerError) -> None:
        self._enter(StrategyPhase.FAILED, str(error).replace("\n", " "))

    def _notice(self, code: str, text: str) -> None:
        self.on_notice(Notice(at=self.clock.now(), strategy=self.symbol, code=code, text=text))


async def _quietly(work: Any, what: str) -> None:
    """Awaits a step of the clean-up; a step that raises must not keep the others from running."""
    try:
        await work
    except Exception:
        log.exception("%s raised", what)


def _weight(stored: float | None, params: dict[str, Any], name: str) -> float:
    """The row of general/strategies first, then the parameters, then the base default."""
    if stored is not None:
        return float(stored)
    return float(params.get(name, BASE_PARAMS[name]))


def symbols_of(universe: str | Iterable[str]) -> list[str]:
    """The symbols of a seed-style universe: one, several separated by commas, or a list."""
    parts = universe.split(",") if isinstance(universe, str) else list(universe)
    return [part.strip() for part in parts if part.strip()]
