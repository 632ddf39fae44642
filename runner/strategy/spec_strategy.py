"""The generic strategy that a YAML file describes: bars → signals → combine → sizing → decide() → orders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

from runner.broker.feed import Feed, FeedClosed, Moment
from runner.broker.order_book import WorkingOrder
from runner.engine.decide import REASON_TEXT
from runner.engine.orders import PlannedOrder, order_plan
from runner.errors import HookError, NotConnected, RunnerError
from runner.model.bars import BarSize
from runner.model.events import Filled, StatusChanged
from runner.model.instruments import Instrument
from runner.model.money import ZERO, exact
from runner.model.orders import OrderIntent, OrderState, OrderType, Purpose, Refused, Side, TimeInForce
from runner.spec.spec import ExecutionStyle, StrategySpec
from runner.strategy.base_strategy import BaseStrategy
from runner.strategy.deciding import Holding, Outcome, Situation
from runner.strategy.hooks import HOOK_DEADLINE_S, HookContext, Hooks
from runner.strategy.host import StrategyHost
from runner.strategy.memory import Memory
from runner.strategy.preview import Foreseen, ForeseenOrder, Foresight, foresight
from runner.strategy.version import Outdated, Version, Workshop

TICK_S = 1.0
"""Live: how often the schedule is looked at when no bar changes."""
EXIT_RETRY = timedelta(seconds=30)
"""How long an instrument rests after IB has rejected an exit in it: asking at every tick would change nothing."""
CAP_SLACK = Decimal("1.005")
"""Relative, as the gate's own: a resting order is not beyond a cap because a tick has moved it."""

FLATTEN_AT_PASSED = "flatten_at has passed already in this session: what is held is kept, and nothing is opened"

BASIS_POINT = Decimal("0.0001")

log = logging.getLogger("runner.strategy")


class SpecStrategy(BaseStrategy):
    """Runs one `StrategySpec`. It never blocks, so it lives on the broker loop; its hooks and the blocks of other
    packages do not."""

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
        self.decided: dict[str, str] = {}
        """symbol → reason of the latest decision, for the status view."""
        self._first = (spec, hooks)
        self._version: Version | None = None
        self._next_version: tuple[Version, asyncio.Future[None]] | None = None
        self._succeeded: StrategySpec | None = None
        """What was in force before the newest version, until what that forbids has been seen to."""
        self._look = False
        """A new version has been put in force: what it forbids is to be seen to before the next bar."""
        self._flat_after: datetime | None = None
        """A `flatten_at` of before this moment had passed already when the file began to say it."""
        self._workshop = Workshop(
            strategy=strategy_symbol,
            host=strategy_manager,
            qualify=self.qualify,
            open_feed=self._open_feed,
            close_feed=self._close_feed,
        )
        self._hook_tasks: set[asyncio.Task[Any]] = set()
        self._hook_order = asyncio.Lock()
        self._memory = Memory.from_plain(strategy_manager.load_memory(strategy_symbol))
        self._exits: dict[str, int] = {}
        """Exits that are not over: order reference → con_id."""
        self._resting: dict[int, datetime] = {}
        """con_id → until when no exit is tried, after a rejection."""
        self._without_equity = False

    @property
    def version(self) -> Version:
        """What it decides with; NotConnected before it is warm."""
        if self._version is None:
            raise NotConnected(f"strategy {self.symbol} is not warm yet")
        return self._version

    @property
    def spec(self) -> StrategySpec:
        return self._first[0] if self._version is None else self._version.spec

    @property
    def _universe(self) -> tuple[Instrument, ...]:
        return self.version.universe

    @property
    def _hooks(self) -> Hooks:
        return self._first[1] if self._version is None else self._version.hooks

    def next_decision(self, at: datetime) -> datetime | None:
        """When it decides next by its timetable; None when it is not warm, or decides at each bar of a session."""
        version = self._version
        return None if version is None else version.timetable.next_decision(at, version.spec.bars.size)

    def at_work(self, at: datetime) -> bool:
        """Whether it may be deciding at that time."""
        return self._version is not None and self._version.timetable.at_work(at)

    # lifecycle -------------------------------------------------------------------------------------------------

    async def initialize_strategy(self) -> None:
        spec, hooks = self._first
        self._take(await self._workshop.build(spec, hooks, self.generation, held=self._exposed_instruments()))
        self._seen = self.clock.now()
        self._look = True  # the file may have changed while nothing ran
        with suppress(NotConnected):
            await self._see_to_new_version()

    async def _open_feed(
        self, instruments: Sequence[Instrument], size: BarSize, history: int, regular_hours: bool
    ) -> Feed:
        return await self.open_feed(instruments, size, history, regular_hours=regular_hours)

    def _exposed_instruments(self) -> list[Instrument]:
        """What it holds by its own fills, or may hold any moment because an order works."""
        books = self.strategy_manager.portfolio_manager
        held = [one.instrument for one in books.positions(self.symbol) if one.quantity]
        working = [working.intent.request.instrument for working in self.broker.open_orders()]
        return list({instrument.con_id: instrument for instrument in (*held, *working)}.values())

    # from one version of the file to the next ------------------------------------------------------------------

    async def prepare(self, spec: StrategySpec, hooks: Hooks, generation: int) -> Version:
        """A warm version of a changed file, while the one in force trades on. Called on the strategy's loop."""
        current = self.version
        version = await self._workshop.build(spec, hooks, generation, held=self._exposed_instruments(), current=current)
        if hooks.has("on_params"):
            try:
                await hooks.call("on_params", _plain_params(current.spec), _plain_params(spec))
            except BaseException:
                await self.discard(version)
                raise
        return version

    async def adopt(self, version: Version) -> None:
        """Puts a prepared version in force between two moments; returns when it is. A moment under way ends as it
        began. Where the bars come from another feed, everything that the old one has brought is dealt with first.
        Outdated when something has been traded meanwhile whose stops the version would not know."""
        if self._next_version is not None:
            raise RunnerError(f"{self.symbol} is already being given a new version")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._next_version = (version, done)
        if self.version.feed.idle:
            self._swap()
        try:
            await done
        finally:
            if self._next_version is not None and self._next_version[1] is done:
                self._next_version = None  # nobody waits for it any more, so it must not come into force later

    async def look_again(self) -> None:
        """Sees to what is forbidden now, as after a new version."""
        self._look = True
        self.version.feed.put(Moment(at=self.clock.now()))

    async def discard(self, version: Version) -> bool:
        """Lets go of a prepared version that is not going to be used. False when it is in force after all."""
        if self._version is version:
            return False
        if self._next_version is not None and self._next_version[0] is version:
            self._next_version = None
        if not version.shares_bars_with(self.version):
            await self._close_feed(version.feed)
        return True

    async def foresee(self, spec: StrategySpec, hooks: Hooks) -> Foreseen:
        """What a changed file would come to. Nothing is changed and nothing is sent; hooks are not asked."""
        current = self.version
        version = await self._workshop.build(
            spec, hooks, current.generation, held=self._exposed_instruments(), current=current
        )
        try:
            at_once = await self._foresight(version, evaluate=False)
            working = self.broker.open_orders()
            lost = [one for one in working if at_once.loss_reached and one.intent.request.purpose is Purpose.ENTRY]
            unwanted = [one for one in working if one in lost or self._is_unwanted(one, version, current.spec)]
            return Foreseen(
                then=await self._foresight(version, evaluate=True),
                now=await self._foresight(current, evaluate=True),
                at_once=at_once,
                cancelled=tuple(self._foreseen(one) for one in unwanted),
                working=len(working),
            )
        finally:
            await self.discard(version)

    def _foreseen(self, working: WorkingOrder) -> ForeseenOrder:
        request, left = working.intent.request, working.intent.request.quantity - working.filled
        instrument, price = request.instrument, self.strategy_manager.last_price(request.instrument.con_id)
        unit = instrument.multiplier * self.fx_cache.rate(instrument.currency)
        return ForeseenOrder(
            symbol=instrument.symbol,
            side=request.side,
            quantity=left,
            purpose=request.purpose,
            reason=request.reason,
            value=None if price is None else left * price * unit,
        )

    async def _foresight(self, version: Version, *, evaluate: bool) -> Foresight:
        panel = version.buffer.panel()
        opinions = await version.opinions(panel, version.evaluated(panel, None) if evaluate else None)
        at = self.clock.now()
        situation = await self._situation(version, at)
        outcome = version.decider.decide(panel, opinions, version.began(panel), situation, self._memory)
        prices = [self.strategy_manager.last_price(instrument.con_id) for instrument in version.universe]
        moved = version.spec.schedule.flatten_at != self.spec.schedule.flatten_at
        warnings = [FLATTEN_AT_PASSED] if moved and version.timetable.flattened_at(at) is not None else []
        if outcome.loss_reached:
            warnings.append(
                f"max_daily_loss is reached already, at {situation.day_pnl:,.2f} today: entries stop at once"
            )
        return foresight(version, situation, outcome, prices, tuple(warnings))

    def _swap(self) -> None:
        if self._next_version is None:
            return
        (version, done), old = self._next_version, self.version
        self._next_version = None
        if done.done():
            return
        try:
            version.check_knows(self._exposed_instruments())
        except Outdated as error:
            done.set_exception(error)
            return
        if version.spec.bars.size is old.spec.bars.size:
            version.rounds.begin_after(old.rounds.last)
        if version.spec.schedule.flatten_at != old.spec.schedule.flatten_at:
            self._flat_after = self.clock.now()
            if version.timetable.flattened_at(self._flat_after) is not None:
                self._notice("flatten_at_passed", FLATTEN_AT_PASSED)
        self._succeeded = old.spec if not self._look else self._succeeded
        self._look = True
        self._take(version)
        version.feed.put(Moment(at=self.clock.now()))  # wakes the loop; exits and the day's loss are looked at
        if not version.shares_bars_with(old):
            task = asyncio.get_running_loop().create_task(self._close_feed(old.feed))
            self._hook_tasks.add(task)
            task.add_done_callback(self._hook_done)
        done.set_result(None)

    def _take(self, version: Version) -> None:
        """One assignment is the swap; the attributes that other code reads follow in the same step."""
        self._version = version
        self.generation = version.generation
        params = version.spec.params
        self.params = _plain_params(version.spec)
        self.min_weight, self.target_weight, self.max_weight = (
            params.min_weight,
            params.target_weight,
            params.max_weight,
        )
        self.strategy_manager.use_calendar(self.symbol, version.calendar)

    async def _close_feed(self, feed: Feed) -> None:
        if feed in self._feeds:
            self._feeds.remove(feed)
        await feed.close()

    async def run_strategy(self) -> None:
        while self.is_running:
            try:
                moment = await self._next_moment(self.version.feed)
            except FeedClosed:
                if self.version.feed.closed:
                    raise
                continue  # a new version looks at another feed
            await self.on_moment(moment)
            if self._next_version is not None and (self.version.feed.drained or self._shares_next()):
                self._swap()

    def _shares_next(self) -> bool:
        return self._next_version is not None and self._next_version[0].shares_bars_with(self.version)

    async def finish_strategy(self) -> None:
        """Lets the observing hooks that are under way end, for as long as one call may take."""
        if self._next_version is not None and not self._next_version[1].done():
            self._next_version[1].set_exception(NotConnected(f"strategy {self.symbol} has stopped"))
        if self._hook_tasks:
            _, late = await asyncio.wait(self._hook_tasks, timeout=HOOK_DEADLINE_S)
            for task in late:
                task.cancel()

    async def _next_moment(self, feed: Feed) -> Moment:
        """What the feed has, or, in a market that is silent, the bare passing of time: schedules must not wait for a
        tick. A replay sends every step of its clock itself."""
        if self.clock.following:
            return await feed.next()
        try:
            async with asyncio.timeout(TICK_S):
                return await feed.next()
        except TimeoutError:
            return Moment(at=self.clock.now())

    # one moment ------------------------------------------------------------------------------------------------

    async def on_moment(self, moment: Moment) -> None:
        """Takes in what changed, then does what has fallen due. What the loss of the session prevented is done once it
        is back."""
        version = self.version
        timetable = version.timetable
        for change in moment.changes:
            version.buffer.put(change.instrument.symbol, change.bar)
            version.rounds.note(change)
        # Live, moments may have waited for a session that was lost: what counts is the time now.
        at = moment.at if self.clock.following else self.clock.now()
        due = timetable.due(self._seen, at)
        self._seen = at
        whole = version.rounds.take(at)
        by_bar = whole is not None and timetable.by_bar and timetable.bar_counts(at, version.spec.bars.size)
        look = self._look
        try:
            if look:
                await self._see_to_new_version()
            if due.flatten or (self._should_be_flat(at) and self._is_exposed()):
                await self._flatten_for_today()
                return
            evaluate = due.evaluate or by_bar or self._memory.owed
            if evaluate and not timetable.in_window(at):
                await self._owe(True)  # decided when the window opens
                evaluate = False
            if evaluate or ((moment.changes or look) and await self._has_something_to_watch(entries=look)):
                completed = whole if by_bar and not due.evaluate and not self._memory.owed else None
                await self._decide(at, evaluate=evaluate, completed=completed)
        except NotConnected as error:
            log.warning("%s decides again when its session is back: %s", self.symbol, error.message)
            await self._owe(self._memory.owed or due.evaluate or by_bar)

    async def _see_to_new_version(self) -> None:
        """Entries that rest and that the new version would not send are cancelled; the next decision sizes them anew.
        What has left the universe and is not to be held is closed. Tried again with the next moment when the session
        is lost on the way."""
        version = self.version
        restricted = self.strategy_manager.is_restricted(self.symbol)
        older = [
            working
            for working in self.broker.open_orders()
            if restricted or working.intent.generation != version.generation
        ]
        await self._cancel([working for working in older if self._is_unwanted(working, version, self._succeeded)])
        for instrument in version.leaving:
            closing = await self.close_position(instrument, reason="removed")
            if isinstance(closing, OrderIntent):
                self._exits[closing.order_ref] = instrument.con_id
        self._look, self._succeeded = False, None

    def _is_unwanted(self, working: WorkingOrder, version: Version, before: StrategySpec | None) -> bool:
        """Whether an order opens or increases what `version` would not; `before` is what ran before it, None when that
        is not known."""
        request = working.intent.request
        if request.purpose is not Purpose.ENTRY:
            return False
        if self.strategy_manager.is_restricted(self.symbol):
            return True
        listed = {instrument.con_id for instrument in version.universe[: version.listed]}
        allowed = version.spec.enabled and request.instrument.con_id in listed
        return not allowed or (_caps_more(version.spec, before) and self._is_beyond_cap(working, version.spec))

    def _is_beyond_cap(self, entry: WorkingOrder, spec: StrategySpec) -> bool:
        """Whether the position would be beyond `max_position_size` once all that rests on the entry's side has
        filled."""
        instrument, side = entry.intent.request.instrument, entry.intent.request.side
        cap, price = spec.params.max_position_size, self.strategy_manager.last_price(instrument.con_id)
        if not cap or price is None:
            return False
        units = abs(self.broker.exposure(instrument.con_id).after(side, ZERO))
        value = units * price * instrument.multiplier * self.fx_cache.rate(instrument.currency)
        return value > exact(cap) * self.broker.get_equity(exact(spec.params.target_weight)) * CAP_SLACK

    def _should_be_flat(self, at: datetime) -> bool:
        """Whether `flatten_at` has passed in this session, and the file said so before it did."""
        moment = self.version.timetable.flattened_at(at)
        return moment is not None and (self._flat_after is None or moment > self._flat_after)

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
        closing = self._closing(self._universe, self.clock.now())
        held = [one.quantity for one in self._holdings(self._universe)]
        resting = [self._resting_orders(instrument) for instrument in self._universe]
        return any(
            (quantity or orders) and not under_way
            for quantity, orders, under_way in zip(held, resting, closing, strict=True)
        )

    async def _has_something_to_watch(self, *, entries: bool) -> bool:
        """Whether an exit could fire, or the day's loss reach its limit, between decisions. With `entries` those that
        rest count too: a limit that has just been lowered may be reached already, without any position."""
        if not self.version.watches:
            return False
        if self.clock.following:
            await self.settle()  # a replay must not depend on which of two sessions was faster
        return any(one.quantity for one in self._holdings(self._universe)) or (
            entries and bool(self.broker.open_orders())
        )

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
        version = self.version
        panel = version.buffer.panel()
        opinions = await version.opinions(panel, version.evaluated(panel, completed) if evaluate else None)
        began = version.began(panel)
        situation = await self._situation(version, at)
        outcome = version.decider.decide(panel, opinions, began, situation, self._memory)
        self.decided = outcome.texts
        await self._remember(replace(outcome.memory, owed=outcome.memory.owed and not evaluate))
        if outcome.loss_reached:
            text = f"day's P&L {situation.day_pnl:,.2f} {self.base_currency} of {situation.equity:,.2f} equity"
            day = self.strategy_manager.session_day(self.symbol, at)
            await self.strategy_manager.latch_daily_loss(self.symbol, day, text)
            await self._cancel(self.broker.open_orders())
        held = [one.quantity for one in situation.holdings]
        await self._clear_the_way(held, outcome, settled=evaluate)
        await self._carry_out(at, outcome, situation.equity, held)

    async def _situation(self, version: Version, at: datetime) -> Situation:
        books, host = self.strategy_manager.portfolio_manager, self.strategy_manager
        day_pnl = await self._day_pnl.look(at)
        equity = self.broker.get_equity(exact(version.spec.params.target_weight))
        if (equity <= 0 < version.spec.params.target_weight) != self._without_equity:
            self._without_equity = not self._without_equity
            if self._without_equity:
                self._notice("no_equity", f"strategy equity is {equity} {self.base_currency}; nothing is opened")
        return Situation(
            holdings=self._holdings(version.universe),
            closing=self._closing(version.universe, at),
            undecided=[bool(self._resting_orders(instrument)) for instrument in version.universe],
            unit_values=[i.multiplier * self.fx_cache.rate(i.currency) for i in version.universe],
            equity=equity,
            day_pnl=day_pnl,
            trades_today=books.trades_today(self.symbol, host.session_day(self.symbol, at)),
            may_open=version.spec.enabled
            and (host.may_open(self.symbol) or host.loss_paused(self.symbol))
            and not version.timetable.stays_flat(at, version.spec.bars.size),
            loss_paused=host.loss_paused(self.symbol),
        )

    def _holdings(self, universe: Sequence[Instrument]) -> list[Holding]:
        books = self.strategy_manager.portfolio_manager
        found = (books.position(self.symbol, instrument.con_id) for instrument in universe)
        return [
            Holding()
            if held is None
            else Holding(quantity=held.quantity, entry_price=held.average_price, changed_at=held.updated_at)
            for held in found
        ]

    def _closing(self, universe: Sequence[Instrument], at: datetime) -> list[bool]:
        """Where an exit is on its way, or has just been rejected."""
        closing = {w.intent.request.instrument.con_id for w in self.broker.open_orders() if _is_exit(w)}
        return [i.con_id in closing or (i.con_id in self._resting and at < self._resting[i.con_id]) for i in universe]

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
        now = self._holdings(self._universe)
        for i in exits:
            held[i] = now[i].quantity

    async def _remember(self, memory: Memory) -> None:
        if memory != self._memory:
            self._memory = memory
            await self.strategy_manager.save_memory(self.symbol, memory.to_plain())

    # from decision to orders -----------------------------------------------------------------------------------

    async def _carry_out(self, at: datetime, outcome: Outcome, equity: Decimal, held: list[Decimal]) -> None:
        targets = list(outcome.targets)
        if self.version.hooks.has("before_orders"):
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
        shrunk = await self.version.hooks.shrink(context, current, dict(zip(symbols, targets, strict=True)))
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
        order_type = ORDER_TYPE[execution.order]
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


def _plain_params(spec: StrategySpec) -> dict[str, Any]:
    return {**asdict(spec.params), "universe": spec.universe.text}


def _caps_more(spec: StrategySpec, before: StrategySpec | None) -> bool:
    """Whether `max_position_size` is smaller than it was before; True when that is not known."""
    if before is None:
        return True
    old, new = before.params.max_position_size, spec.params.max_position_size
    return bool(new) and (new < old or not old)


def _is_exit(working: WorkingOrder) -> bool:
    return working.intent.request.purpose is Purpose.EXIT


ORDER_TYPE = {
    ExecutionStyle.MARKET: OrderType.MARKET,
    ExecutionStyle.LIMIT: OrderType.LIMIT,
    ExecutionStyle.MOC: OrderType.MARKET_ON_CLOSE,
    ExecutionStyle.LOC: OrderType.LIMIT_ON_CLOSE,
    ExecutionStyle.REL: OrderType.RELATIVE,
}
"""How `execution.order` is sent."""
