"""The generic strategy that a YAML file describes: bars → signals → combine → sizing → decide() → orders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

from runner.broker.bar_times import calendar_of
from runner.broker.feed import Feed, Moment
from runner.broker.order_book import WorkingOrder
from runner.engine.decide import REASON_TEXT
from runner.engine.exit_rules import ExitRules
from runner.engine.orders import PlannedOrder, order_plan
from runner.engine.panel import PanelBuffer
from runner.engine.weights import Pipeline
from runner.errors import HookError, NotConnected, RunnerError, SpecError
from runner.model.events import Filled, StatusChanged
from runner.model.instruments import Instrument, InstrumentQuery
from runner.model.money import exact
from runner.model.orders import OrderIntent, OrderState, OrderType, Purpose, Refused, Side, TimeInForce
from runner.model.sessions import CALENDAR_OF_EXCHANGE, sessions
from runner.spec.spec import ExecutionStyle, StrategySpec
from runner.strategy.base_strategy import BaseStrategy
from runner.strategy.deciding import Decider, Holding, Outcome, Situation, newest_rows, until, with_quiet_bars
from runner.strategy.hooks import HOOK_DEADLINE_S, HookContext, Hooks
from runner.strategy.host import StrategyHost
from runner.strategy.memory import Memory
from runner.strategy.rounds import Rounds, bar_began
from runner.strategy.timetable import Timetable

TICK_S = 1.0
"""Live: how often the schedule is looked at when no bar changes."""
EXIT_RETRY = timedelta(seconds=30)
"""How long an instrument rests after IB has rejected an exit in it: asking at every tick would change nothing."""
MIXED_ROWS = 4
"""Instruments of several exchanges miss each other's holidays: the panel gets one more row for so many."""

BASIS_POINT = Decimal("0.0001")

log = logging.getLogger("runner.strategy")


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
        self._hook_tasks: set[asyncio.Task[Any]] = set()
        self._hook_order = asyncio.Lock()
        self._pipeline = Pipeline(spec.signals, spec.combine, spec.sizing, spec.params)
        self._exit_rules = ExitRules(spec.exits)
        self._universe: list[Instrument] = []
        self._memory = Memory.from_plain(strategy_manager.load_memory(strategy_symbol))
        self._exits: dict[str, int] = {}
        """Exits that are not over: order reference → con_id."""
        self._resting: dict[int, datetime] = {}
        """con_id → until when no exit is tried, after a rejection."""
        self._without_equity = False

    # lifecycle -------------------------------------------------------------------------------------------------

    async def initialize_strategy(self) -> None:
        self._universe = await self.qualify(*await self._queries())
        # A currency without a rate stops the strategy here, before any order.
        await self.strategy_manager.ensure_rates({instrument.currency for instrument in self._universe})
        code = self._calendar()
        self._timetable = Timetable(self.spec.schedule, await asyncio.to_thread(sessions, code))
        self.strategy_manager.use_calendar(self.symbol, code)
        self._decider = Decider(self._universe, self._pipeline, self._exit_rules)
        bars = self.spec.bars
        self._rounds = Rounds(
            self._universe, bars.size, regular_hours=bars.regular_hours, following=self.clock.following
        )
        history = max(bars.history, self._pipeline.warmup + 1, self._exit_rules.warmup + 1)
        mixed = len({calendar_of(instrument) for instrument in self._universe}) > 1
        rows = history + history // MIXED_ROWS + 1 if mixed else history
        self._buffer = PanelBuffer(tuple(instrument.symbol for instrument in self._universe), capacity=rows)
        self._feed: Feed = await self.open_feed(self._universe, bars.size, history, regular_hours=bars.regular_hours)
        for instrument in self._universe:
            for bar in self._feed.warm[instrument.con_id]:
                self._buffer.put(instrument.symbol, bar)
        self._seen = self.clock.now()
        if not self.spec.enabled:
            await self._cancel(self.broker.open_orders())

    async def _queries(self) -> list[InstrumentQuery]:
        universe = self.spec.universe
        if universe.library is None:
            return list(universe.instruments)
        symbols = sorted(await asyncio.to_thread(self.strategy_manager.library_symbols, universe.library))
        if universe.max_symbols is not None:
            symbols = symbols[: universe.max_symbols]
        if not symbols:
            raise SpecError(f"{self.symbol}: library {universe.library} lists no symbols")
        try:
            self.spec.sizing.check(symbols, self.spec.params)
        except ValueError as error:
            raise SpecError(f"{self.symbol}: sizing does not fit library {universe.library}: {error}") from None
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

    async def finish_strategy(self) -> None:
        """Lets the observing hooks that are under way end, for as long as one call may take."""
        if self._hook_tasks:
            _, late = await asyncio.wait(self._hook_tasks, timeout=HOOK_DEADLINE_S)
            for task in late:
                task.cancel()

    async def _next_moment(self) -> Moment:
        """What the feed has, or, in a market that is silent, the bare passing of time: schedules must not wait for a
        tick. A replay sends every step of its clock itself."""
        if self.clock.following:
            return await self._feed.next()
        try:
            async with asyncio.timeout(TICK_S):
                return await self._feed.next()
        except TimeoutError:
            return Moment(at=self.clock.now())

    # one moment ------------------------------------------------------------------------------------------------

    async def on_moment(self, moment: Moment) -> None:
        """Takes in what changed, then does what has fallen due. What the loss of the session prevented is done once it
        is back."""
        for change in moment.changes:
            self._buffer.put(change.instrument.symbol, change.bar)
            self._rounds.note(change)
        # Live, moments may have waited for a session that was lost: what counts is the time now.
        at = moment.at if self.clock.following else self.clock.now()
        due = self._timetable.due(self._seen, at)
        self._seen = at
        whole = self._rounds.take(at)
        by_bar = whole is not None and self._timetable.by_bar and self._timetable.bar_counts(at, self.spec.bars.size)
        try:
            if due.flatten or (self._timetable.flat_now(at) and self._is_exposed()):
                await self._flatten_for_today()
                return
            evaluate = due.evaluate or by_bar or self._memory.owed
            if evaluate and not self._timetable.in_window(at):
                await self._owe(True)  # decided when the window opens
                evaluate = False
            if evaluate or (moment.changes and await self._has_something_to_watch()):
                completed = whole if by_bar and not due.evaluate and not self._memory.owed else None
                await self._decide(at, evaluate=evaluate, completed=completed)
        except NotConnected as error:
            log.warning("%s decides again when its session is back: %s", self.symbol, error.message)
            await self._owe(self._memory.owed or due.evaluate or by_bar)

    async def _owe(self, owed: bool) -> None:
        if self._memory.owed != owed:
            await self._remember(replace(self._memory, owed=owed))

    async def _flatten_for_today(self) -> None:
        """Closes everything; when the session is lost on the way, once it is back."""
        await self._owe(False)
        while True:
            try:
                await self.settle()
                await self.flatten(reason="flatten_at")
            except NotConnected as error:
                log.warning("%s closes its positions when its session is back: %s", self.symbol, error.message)
            else:
                return

    def _is_exposed(self) -> bool:
        """Whether something is held or may still be bought that no exit is taking care of."""
        closing = self._closing(self.clock.now())
        held = [one.quantity for one in self._holdings()]
        resting = [self._resting_orders(instrument) for instrument in self._universe]
        return any(
            (quantity or orders) and not under_way
            for quantity, orders, under_way in zip(held, resting, closing, strict=True)
        )

    async def _has_something_to_watch(self) -> bool:
        """Whether an exit could fire, or the day's loss reach its limit, between decisions."""
        params = self.spec.params
        rules = params.stop_loss or params.trailing_stop_loss or params.take_profit or params.max_daily_loss
        if not (rules or self._exit_rules):
            return False
        if self.clock.following:
            await self.settle()  # a replay must not depend on which of two sessions was faster
        return any(one.quantity for one in self._holdings())

    # one decision ----------------------------------------------------------------------------------------------

    async def _decide(self, at: datetime, *, evaluate: bool, completed: datetime | None) -> None:
        """Decides on what the books and the bars say, and sends what follows. `completed` names the bars that brought
        the decision; without it the bars in progress count too."""
        if evaluate:
            session = self.ib
            await self.settle()
            if self.ib is not session and not self.clock.following:
                await self._owe(True)  # the session was lost and is back: prices have moved on meanwhile
                return
            await self._cancel(self.broker.open_orders())
        panel = self._buffer.panel()
        evaluated = None
        if evaluate:
            evaluated = until(panel, completed) if completed else with_quiet_bars(panel)
        opinions = self._decider.opinions(panel, evaluated)
        rows = newest_rows(panel)
        began = [
            None if row is None else bar_began(panel.times[row], self.spec.bars.size, instrument)
            for instrument, row in zip(self._universe, rows, strict=True)
        ]
        situation = await self._situation(at)
        outcome = self._decider.decide(panel, opinions, began, situation, self._memory)
        self.decided = outcome.texts
        await self._remember(replace(outcome.memory, owed=outcome.memory.owed and not evaluate))
        if outcome.loss_reached:
            text = f"day's P&L {situation.day_pnl:,.2f} {self.base_currency} of {situation.equity:,.2f} equity"
            day = self.strategy_manager.session_day(self.symbol, at)
            await self.strategy_manager.latch_daily_loss(self.symbol, day, text)
        held = [one.quantity for one in situation.holdings]
        await self._clear_the_way(held, outcome, settled=evaluate)
        await self._carry_out(at, outcome, situation.equity, held)

    async def _situation(self, at: datetime) -> Situation:
        books, host = self.strategy_manager.portfolio_manager, self.strategy_manager
        day_pnl = await self._day_pnl.look(at)
        equity = self.get_equity()
        if (equity <= 0 < self.spec.params.target_weight) != self._without_equity:
            self._without_equity = not self._without_equity
            if self._without_equity:
                self._notice("no_equity", f"strategy equity is {equity} {self.base_currency}; nothing is opened")
        return Situation(
            holdings=self._holdings(),
            closing=self._closing(at),
            undecided=[bool(self._resting_orders(instrument)) for instrument in self._universe],
            unit_values=[i.multiplier * self.fx_cache.rate(i.currency) for i in self._universe],
            equity=equity,
            day_pnl=day_pnl,
            trades_today=books.trades_today(self.symbol, host.session_day(self.symbol, at)),
            may_open=self.spec.enabled
            and (host.may_open(self.symbol) or host.loss_paused(self.symbol))
            and not self._timetable.stays_flat(at, self.spec.bars.size),
            loss_paused=host.loss_paused(self.symbol),
        )

    def _holdings(self) -> list[Holding]:
        books = self.strategy_manager.portfolio_manager
        found = (books.position(self.symbol, instrument.con_id) for instrument in self._universe)
        return [
            Holding()
            if held is None
            else Holding(quantity=held.quantity, entry_price=held.average_price, changed_at=held.updated_at)
            for held in found
        ]

    def _closing(self, at: datetime) -> list[bool]:
        """Where an exit is on its way, or has just been rejected."""
        closing = {w.intent.request.instrument.con_id for w in self.broker.open_orders() if _is_exit(w)}
        return [
            i.con_id in closing or (i.con_id in self._resting and at < self._resting[i.con_id]) for i in self._universe
        ]

    def _resting_orders(self, instrument: Instrument) -> list[WorkingOrder]:
        """Entries, reductions and rebalances of an instrument that are not over."""
        return [working for working in self.broker.open_orders(instrument.con_id) if not _is_exit(working)]

    async def _cancel(self, orders: Sequence[WorkingOrder]) -> bool:
        """Cancels those that are not exits, and waits a while for the outcome. Whether there were any."""
        resting = [working for working in orders if not _is_exit(working)]
        if resting:
            await self.broker.cancel_all(resting)
            await self.settle()
        return bool(resting)

    async def _clear_the_way(self, held: list[Decimal], outcome: Outcome, *, settled: bool) -> None:
        """Exits are never held back by an order that rests: it is cancelled, and the exit closes what is held then."""
        exits = [i for i, quantity in enumerate(held) if quantity and not outcome.targets[i]]
        if not exits:
            return
        resting = [working for i in exits for working in self._resting_orders(self._universe[i])]
        if not await self._cancel(resting) and not settled:
            await self.settle()
        now = self._holdings()
        for i in exits:
            held[i] = now[i].quantity

    async def _remember(self, memory: Memory) -> None:
        if memory != self._memory:
            self._memory = memory
            await self.strategy_manager.save_memory(self.symbol, memory.to_plain())

    # from decision to orders -----------------------------------------------------------------------------------

    async def _carry_out(self, at: datetime, outcome: Outcome, equity: Decimal, held: list[Decimal]) -> None:
        targets = list(outcome.targets)
        if self._hooks.has("before_orders"):
            targets = await self._through_hook(at, equity, held, targets)
        planned = order_plan(held, targets, outcome.reasons, lots=[instrument.lot for instrument in self._universe])
        for order in planned:
            sent = await self._send(order)
            if isinstance(sent, Refused) and sent.control in ("session", "not_sent"):
                await self._owe(True)  # decided again once the session stands
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
        sent = await self._order(instrument, planned.side, planned.quantity, **terms)
        if planned.purpose is Purpose.EXIT and isinstance(sent, OrderIntent):
            self._exits[sent.order_ref] = instrument.con_id
        return sent

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
        if change.state.terminal:
            con_id = self._exits.pop(change.order_ref, None)
            if con_id is not None and change.state is OrderState.REJECTED:
                self._resting[con_id] = self.clock.now() + EXIT_RETRY
                self._notice("exit_rejected", f"an exit was rejected and is tried again: {change.text or change.code}")
        self._notify("on_status_change", change)

    def _notify(self, point: str, fact: Filled | StatusChanged) -> None:
        """Calls an observing hook without holding up the session's loop; its failure stops this strategy."""
        if not self._hooks.has(point) or self._loop is None:
            return
        task = self._loop.create_task(self._observe(point, fact), name=f"{point}-{self.symbol}")
        self._hook_tasks.add(task)
        task.add_done_callback(self._hook_done)

    async def _observe(self, point: str, fact: Filled | StatusChanged) -> None:
        async with self._hook_order:  # first come, first served: facts are told in their order
            await self._hooks.call(point, fact)

    def _hook_done(self, task: asyncio.Task[Any]) -> None:
        self._hook_tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        self._stop_because(error if isinstance(error, RunnerError) else HookError(str(error)))


def _is_exit(working: WorkingOrder) -> bool:
    return working.intent.request.purpose is Purpose.EXIT


_ORDER_TYPE = {
    ExecutionStyle.MARKET: OrderType.MARKET,
    ExecutionStyle.LIMIT: OrderType.LIMIT,
    ExecutionStyle.MOC: OrderType.MARKET_ON_CLOSE,
    ExecutionStyle.LOC: OrderType.LIMIT_ON_CLOSE,
    ExecutionStyle.REL: OrderType.RELATIVE,
}
