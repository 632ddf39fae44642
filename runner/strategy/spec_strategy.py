"""The generic strategy that a YAML file describes: bars → signals → combine → sizing → decide() → orders."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

import numpy as np

from runner.broker.feed import Feed, Moment
from runner.engine.decide import REASON_TEXT, Decision, Limits, decide
from runner.engine.orders import PlannedOrder, order_plan
from runner.engine.panel import PanelBuffer
from runner.engine.weights import Pipeline
from runner.errors import HookError, RunnerError, SpecError
from runner.model.events import Filled, StatusChanged
from runner.model.instruments import Instrument
from runner.model.money import ZERO, exact
from runner.model.orders import OrderIntent, OrderType, Purpose, Refused, Side, TimeInForce
from runner.model.panel import FloatArray, Panel
from runner.model.sessions import CALENDAR_OF_EXCHANGE, sessions
from runner.spec.spec import ExecutionStyle, StrategySpec
from runner.strategy.base_strategy import BaseStrategy
from runner.strategy.hooks import HookContext, Hooks
from runner.strategy.host import StrategyHost
from runner.strategy.timetable import Timetable

ROUND_GRACE = timedelta(seconds=2)
"""How long a round of bars waits for an instrument that has none, before it is acted on without it."""

TICK_S = 1.0
"""Live: how often the schedule is looked at when no bar changes."""

BASIS_POINT = Decimal("0.0001")

log = logging.getLogger("runner.strategy")


@dataclass(slots=True)
class _Memory:
    """What the kernel must remember between bars, per symbol; it survives a restart."""

    best_price: dict[str, float] = field(default_factory=dict)
    blocked: dict[str, float] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        return {"best_price": self.best_price, "blocked": self.blocked}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> _Memory:
        return cls(dict(plain.get("best_price", {})), dict(plain.get("blocked", {})))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prices:
    """The prices of one decision, one number per instrument, float64 (N,); NaN where there is none."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray


class SpecStrategy(BaseStrategy):
    """Runs one `StrategySpec`. It never blocks, so it lives on the broker loop; its hooks do not."""

    placement: ClassVar[Literal["thread", "broker"]] = "broker"

    def __init__(
        self,
        client_id: int,
        strategy_manager: StrategyHost,
        params: dict[str, Any] | None = None,
        strategy_symbol: str = "",
        *,
        spec: StrategySpec,
        hooks: Hooks,
    ) -> None:
        super().__init__(client_id, strategy_manager, params, strategy_symbol)
        self.spec = spec
        self.decided: dict[str, str] = {}
        """symbol → reason of the latest decision, for the status view."""
        self._hooks = hooks
        self._pipeline = Pipeline(spec.signals, spec.combine, spec.sizing, spec.params)
        self._limits = Limits.of(spec.params)
        self._universe: list[Instrument] = []
        self._memory = _Memory.from_plain(strategy_manager.load_memory(strategy_symbol))
        self._rounds: dict[datetime, set[int]] = {}
        self._round_since: datetime | None = None
        self._owed = False
        self._flattened_on: date | None = None
        """The session in which `flatten_at` has closed everything: nothing is opened in the rest of it."""
        self._hook_tasks: set[asyncio.Task[Any]] = set()

    # lifecycle -------------------------------------------------------------------------------------------------

    async def initialize_strategy(self) -> None:
        self._universe = await self.qualify(*self._queries())
        # A currency without a rate stops the strategy here, before any order.
        await self.strategy_manager.ensure_rates({instrument.currency for instrument in self._universe})
        self._timetable = Timetable(self.spec.schedule, sessions(self._calendar()))
        symbols = tuple(instrument.symbol for instrument in self._universe)
        history = max(self.spec.bars.history, self._pipeline.warmup + 1)
        self._buffer = PanelBuffer(symbols, capacity=history)
        self._feed: Feed = await self.open_feed(
            self._universe, self.spec.bars.size, history, regular_hours=self.spec.bars.regular_hours
        )
        for instrument in self._universe:
            for bar in self._feed.warm[instrument.con_id]:
                self._buffer.put(instrument.symbol, bar)
        self._seen = self.clock.now()

    def _queries(self) -> list[Any]:
        universe = self.spec.universe
        if universe.library is None:
            return list(universe.instruments)
        symbols = sorted(self.strategy_manager.library_symbols(universe.library))
        if universe.max_symbols is not None:
            symbols = symbols[: universe.max_symbols]
        if not symbols:
            raise SpecError(f"{self.symbol}: library {universe.library} lists no symbols")
        return [replace(universe.defaults, symbol=symbol) for symbol in symbols]

    def _calendar(self) -> str:
        """The file's calendar, else the one of the first instrument's exchange."""
        if self.spec.schedule.calendar is not None:
            return self.spec.schedule.calendar
        first = self._universe[0]
        for exchange in (first.primary_exchange, first.exchange):
            if exchange in CALENDAR_OF_EXCHANGE:
                return CALENDAR_OF_EXCHANGE[exchange]
        raise SpecError(
            f"{self.symbol}: no calendar is known for {first.exchange}", hint="set schedule.calendar in the file"
        )

    async def run_strategy(self) -> None:
        while self.is_running:
            await self.on_moment(await self._next_moment())

    async def _next_moment(self) -> Moment:
        """What the feed has, or, in a market that is silent, the bare passing of time: schedules must not wait for a
        tick. A replay sends every step of its clock itself."""
        if self.clock.following:
            return await self._feed.next()
        try:
            return await asyncio.wait_for(self._feed.next(), TICK_S)
        except TimeoutError:
            return Moment(at=self.clock.now())

    # one moment ------------------------------------------------------------------------------------------------

    async def on_moment(self, moment: Moment) -> None:
        """Takes in what changed, then does what has fallen due."""
        full_bars = False
        for change in moment.changes:
            self._buffer.put(change.instrument.symbol, change.bar)
            if change.complete:
                self._rounds.setdefault(change.bar.start, set()).add(change.instrument.con_id)
                self._round_since = self._round_since or moment.at
                full_bars = True
        due = self._timetable.due(self._seen, moment.at)
        self._seen = moment.at
        if due.flatten:
            self._owed = False
            self._flattened_on = self._timetable.today(moment.at)
            await self.settle()
            await self.flatten(reason="flatten_at")
            return
        evaluate = due.evaluate
        if self._round_complete(moment.at) and self._timetable.by_bar and self._timetable.bar_counts(moment.at):
            evaluate = True
        if (evaluate or self._owed) and not self._timetable.in_window(moment.at):
            self._owed = True  # acted on when the window opens
            evaluate = False
        elif evaluate or self._owed:
            self._owed = False
            evaluate = True
        if self._flattened_on == self._timetable.today(moment.at) or not self.strategy_manager.may_open(self.symbol):
            evaluate = False
        if evaluate or (moment.changes and self._guards_positions()):
            await self._decide(moment.at, entries=evaluate, full_bars=full_bars)

    def _round_complete(self, at: datetime) -> bool:
        """Whether the newest round of bars is whole, or has waited long enough. True once a round."""
        if not self._rounds:
            return False
        newest = max(self._rounds)
        whole = len(self._rounds[newest]) == len(self._universe)
        waited = self._round_since is not None and at - self._round_since >= ROUND_GRACE
        if whole or waited or len(self._rounds) > 1:
            self._rounds.clear()
            self._round_since = None
            return True
        return False

    def _guards_positions(self) -> bool:
        """Whether an exit could fire between evaluations."""
        params = self.spec.params
        if not (params.stop_loss or params.trailing_stop_loss or params.take_profit):
            return False
        return any(held.quantity for held in self.strategy_manager.portfolio_manager.positions(self.symbol))

    # one decision ----------------------------------------------------------------------------------------------

    async def _decide(self, at: datetime, *, entries: bool, full_bars: bool) -> None:
        await self.settle()
        if entries:
            await self._cancel_leftovers()
        equity = self.get_equity()
        if equity <= 0:
            self._notice("no_equity", f"strategy equity is {equity} {self.base_currency}; nothing was decided")
            return
        day = self._timetable.today(at)
        books = self.strategy_manager.portfolio_manager
        self._mark()
        day_pnl = books.strategy_pnl(self.symbol).net - await self.strategy_manager.session_mark(self.symbol, day)
        panel = self._buffer.panel()
        wanted = np.full(len(self._universe), np.nan)
        if entries:
            wanted = self._pipeline.evaluate(panel).weights[-1]
        prices = self._prices(panel, full_bars)
        held = self._held()
        decision = decide(
            np.array([float(quantity) for quantity, _ in held]),
            np.array([float(price) for _, price in held]),
            self._recall(self._memory.best_price, np.nan),
            self._recall(self._memory.blocked, 0.0),
            prices.open,
            prices.high,
            prices.low,
            prices.close,
            wanted,
            self._tradable(),
            self._unit_values(),
            np.array([float(instrument.lot) for instrument in self._universe]),
            float(equity),
            float(equity - day_pnl),
            books.trades_today(self.symbol, day),
            entries,
            self._limits,
            self.strategy_manager.loss_paused(self.symbol),
        )
        await self._remember(decision)
        if decision.paused:
            await self.strategy_manager.latch_daily_loss(
                self.symbol, day, f"day's P&L {day_pnl:,.2f} {self.base_currency} of {equity:,.2f} equity"
            )
        await self._carry_out(at, decision, equity, [quantity for quantity, _ in held])

    def _mark(self) -> None:
        """Values what is held at the newest prices."""
        prices = {i.con_id: self.strategy_manager.last_price(i.con_id) for i in self._universe}
        self.strategy_manager.portfolio_manager.mark({c: price for c, price in prices.items() if price is not None})

    def _prices(self, panel: Panel, full_bars: bool) -> _Prices:
        """The newest bar, as far as it is about the positions held.

        A bar in progress, or one in whose middle a position was entered, has highs and lows of before the entry: for
        those the last price is the only fact.
        """
        last = panel.close[-1]
        opened, high, low = panel.open[-1].copy(), panel.high[-1].copy(), panel.low[-1].copy()
        first = self._timetable.bar_began(panel.times[-1], self.spec.bars.size)
        books = self.strategy_manager.portfolio_manager
        for i, instrument in enumerate(self._universe):
            held = books.position(self.symbol, instrument.con_id)
            entered = held.updated_at if held is not None else None
            if not full_bars or (entered is not None and entered > first):
                opened[i] = high[i] = low[i] = last[i]
        return _Prices(open=opened, high=high, low=low, close=last)

    def _held(self) -> list[tuple[Decimal, Decimal]]:
        """(signed quantity, average entry price) per instrument."""
        books = self.strategy_manager.portfolio_manager
        found = (books.position(self.symbol, instrument.con_id) for instrument in self._universe)
        return [(held.quantity, held.average_price) if held is not None else (ZERO, ZERO) for held in found]

    def _tradable(self) -> FloatArray:
        """0 where an order of ours is still open: its outcome must be known before the next one."""
        return np.array([0.0 if self.broker.open_orders(i.con_id) else 1.0 for i in self._universe])

    def _unit_values(self) -> FloatArray:
        return np.array([float(i.multiplier * self.fx_cache.rate(i.currency)) for i in self._universe])

    def _recall(self, values: dict[str, float], default: float) -> FloatArray:
        return np.array([values.get(instrument.symbol, default) for instrument in self._universe])

    async def _remember(self, decision: Decision) -> None:
        best = {i.symbol: float(v) for i, v in zip(self._universe, decision.best_price, strict=True) if v == v}
        blocked = {i.symbol: float(v) for i, v in zip(self._universe, decision.blocked, strict=True) if v}
        self.decided = {
            i.symbol: REASON_TEXT[int(code)] for i, code in zip(self._universe, decision.reason, strict=True)
        }
        if best != self._memory.best_price or blocked != self._memory.blocked:
            self._memory = _Memory(best, blocked)
            await self.strategy_manager.save_memory(self.symbol, self._memory.to_plain())

    async def _cancel_leftovers(self) -> None:
        """Cancels what the last evaluation left working. What is still undecided afterwards is not tradable."""
        leftovers = [w for w in self.broker.open_orders() if w.intent.request.purpose is not Purpose.EXIT]
        for working in leftovers:
            await self.broker.cancel(working.intent.order_ref)
        if leftovers:
            await self.settle()

    # from decision to orders -----------------------------------------------------------------------------------

    async def _carry_out(self, at: datetime, decision: Decision, equity: Decimal, held: list[Decimal]) -> None:
        targets = [exact(float(value)) for value in decision.target]
        reasons = [int(code) for code in decision.reason]
        if self._hooks.has("before_orders"):
            targets = await self._through_hook(at, equity, held, targets)
        planned = order_plan(held, targets, reasons, lots=[instrument.lot for instrument in self._universe])
        for order in planned:
            await self._send(order)
        if planned:
            await self.settle()

    async def _through_hook(
        self, at: datetime, equity: Decimal, held: list[Decimal], targets: list[Decimal]
    ) -> list[Decimal]:
        symbols = [instrument.symbol for instrument in self._universe]
        current = dict(zip(symbols, held, strict=True))
        prices = {i.symbol: self.strategy_manager.last_price(i.con_id) for i in self._universe}
        context = HookContext(
            strategy=self.symbol,
            at=at,
            equity=equity,
            positions=current,
            prices={symbol: price for symbol, price in prices.items() if price is not None},
            params=dict(self.params),
            hook_params=self.spec.hook_params,
        )
        shrunk = await self._hooks.shrink(context, current, dict(zip(symbols, targets, strict=True)))
        return [shrunk[symbol] for symbol in symbols]

    async def _send(self, planned: PlannedOrder) -> OrderIntent | Refused:
        instrument = self._universe[planned.index]
        terms: dict[str, Any] = {"purpose": planned.purpose, "reason": REASON_TEXT[planned.reason]}
        if planned.purpose is not Purpose.EXIT:
            terms |= self._execution_terms(instrument, planned.side)
        return await self._order(instrument, planned.side, planned.quantity, **terms)

    def _execution_terms(self, instrument: Instrument, side: Side) -> dict[str, Any]:
        """How the file wants entries, reductions and rebalances sent. Exits are always market orders."""
        execution = self.spec.execution
        order_type = _ORDER_TYPE[execution.order]
        terms: dict[str, Any] = {"order_type": order_type, "tif": TimeInForce(execution.tif)}
        offset = exact(execution.limit_offset_bps) * BASIS_POINT
        price = self.last_price(instrument)
        if order_type in (OrderType.LIMIT, OrderType.LIMIT_ON_CLOSE):
            terms["limit_price"] = price * (1 + side.sign * offset)
        elif order_type is OrderType.RELATIVE:
            terms["stop_price"] = price * offset
        return terms

    # facts -----------------------------------------------------------------------------------------------------

    def on_fill(self, fill: Filled) -> None:
        super().on_fill(fill)
        self._notify("on_fill", fill)

    def on_status_change(self, change: StatusChanged) -> None:
        super().on_status_change(change)
        self._notify("on_status_change", change)

    def _notify(self, point: str, fact: Filled | StatusChanged) -> None:
        """Calls an observing hook without holding up the session's loop; its failure stops this strategy."""
        if not self._hooks.has(point) or self._loop is None:
            return
        task = self._loop.create_task(self._hooks.call(point, fact), name=f"{point}-{self.symbol}")
        self._hook_tasks.add(task)
        task.add_done_callback(self._hook_done)

    def _hook_done(self, task: asyncio.Task[Any]) -> None:
        self._hook_tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        self._stop_because(error if isinstance(error, RunnerError) else HookError(str(error)))


_ORDER_TYPE = {
    ExecutionStyle.MARKET: OrderType.MARKET,
    ExecutionStyle.LIMIT: OrderType.LIMIT,
    ExecutionStyle.MOC: OrderType.MARKET_ON_CLOSE,
    ExecutionStyle.LOC: OrderType.LIMIT_ON_CLOSE,
    ExecutionStyle.REL: OrderType.RELATIVE,
}
