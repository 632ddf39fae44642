"""What the code of a strategy calls: shared resources, market data, and the wrappers through which it orders."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from runner.broker.feed import Feed
from runner.broker.live_broker import LiveBroker
from runner.broker.order_book import WorkingOrder
from runner.errors import NotConnected, RunnerError
from runner.model.bars import Bar, BarSize
from runner.model.instruments import Instrument, InstrumentQuery
from runner.model.money import ZERO, exact, toward_zero
from runner.model.orders import OrderIntent, OrderRequest, OrderType, Purpose, Refused, Side, TimeInForce
from runner.portfolio.fx_cache import FXCache
from runner.strategy.daily_loss import DayPnl
from runner.strategy.host import StrategyHost

if TYPE_CHECKING:
    from runner.broker.session import Session

DAY_LOSS = timedelta(seconds=1)
"""How often the day's loss of a hand-written strategy is looked at."""

log = logging.getLogger("runner.strategy")


class Trading(ABC):
    """The half of `BaseStrategy` that user code calls; the other half lives."""

    placement: ClassVar[Literal["thread", "broker"]] = "thread"
    """`thread`: an event loop in a thread of its own. `broker`: a coroutine on the broker loop, for code that never
    blocks."""

    symbol: str
    params: dict[str, Any]
    strategy_manager: StrategyHost
    instruments: dict[str, Instrument]
    ib: Session | None
    _broker: LiveBroker | None
    _feeds: list[Feed]
    _day_pnl: DayPnl

    @abstractmethod
    async def settle(self) -> None:
        """Returns when every fill that the gateway sent before now is in the books."""

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

    async def bracket(
        self,
        instrument: Instrument | str,
        quantity: Decimal | int | float,
        *,
        take_profit: Decimal | float | None = None,
        stop_loss: Decimal | float | None = None,
        **terms: Any,
    ) -> tuple[OrderIntent, ...] | Refused:
        """Opens `quantity` signed units together with a limit order that takes the profit, a stop order that ends the
        loss, or both, at these prices. IB holds the exits back until the entry fills, keeps them while the runner is
        not running, and cancels one when the other fills. ValueError when neither price is given, or for 0 units."""
        signed = exact(quantity)
        if signed == 0:
            raise ValueError("a bracket needs a quantity other than 0")
        entry = self._request(
            self._instrument(instrument), Side.BUY if signed > 0 else Side.SELL, abs(signed), Purpose.ENTRY, terms
        )
        await self._watch_day_loss()
        return await self.broker.place_bracket(
            entry,
            take_profit=None if take_profit is None else exact(take_profit),
            stop_loss=None if stop_loss is None else exact(stop_loss),
        )

    async def order_target_quantity(
        self, instrument: Instrument | str, target: Decimal | int | float, **terms: Any
    ) -> OrderIntent | Refused | None:
        """Brings the position, working orders included, to `target` signed units; None when it is there already.

        From long to short, or back, it takes two orders, one that closes and one that opens, so that a cap which
        refuses the second never stops the first; the result is the second one's.
        """
        found = self._instrument(instrument)
        delta = toward_zero(exact(target) - self.broker.expected(found.con_id), found.lot)
        if delta == 0:
            return None
        side, quantity = (Side.BUY, delta) if delta > 0 else (Side.SELL, -delta)
        closable = self.broker.exposure(found.con_id).closable(side)
        if ZERO < closable < quantity and "purpose" not in terms:
            closed = await self._order(found, side, closable, purpose=Purpose.EXIT, **terms)
            if isinstance(closed, Refused):
                return closed
            return await self._order(found, side, quantity - closable, purpose=Purpose.ENTRY, **terms)
        return await self._order(found, side, quantity, **terms)

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
        """Cancels what works in the instrument, then sells or buys back all of it at market. None when nothing is held,
        or when it is being closed already."""
        found = self._instrument(instrument)
        await self._cancel_but_exits(self.broker.open_orders(found.con_id))
        return await self.order_target_quantity(found, 0, reason=reason, purpose=Purpose.EXIT)

    async def cancel(self, order: OrderIntent | str) -> None:
        """Asks IB to cancel one order. It is over when its status says so, not when this returns."""
        await self.broker.cancel(order if isinstance(order, str) else order.order_ref)

    async def flatten(self, *, reason: str = "flatten") -> list[OrderIntent | Refused]:
        """Cancels the strategy's working orders and closes every position at market."""
        await self._cancel_but_exits(self.broker.open_orders())
        await self.settle()
        placed: list[OrderIntent | Refused] = []
        for held in self.strategy_manager.portfolio_manager.positions(self.symbol):
            if held.quantity == 0:
                continue
            result = await self.order_target_quantity(held.instrument, 0, reason=reason, purpose=Purpose.EXIT)
            if result is not None:
                placed.append(result)
        return placed

    async def _cancel_but_exits(self, orders: Sequence[WorkingOrder]) -> None:
        """Cancels these orders and waits for it. An exit on its way goes on; those of a bracket only stand in the way
        of another."""
        others = [
            order
            for order in orders
            if order.intent.request.purpose is not Purpose.EXIT or order.intent.request.parent_ref
        ]
        if others:
            await self.broker.cancel_all(others)
            await self.settle()

    async def _order(
        self, instrument: Instrument, side: Side, quantity: Decimal, *, purpose: Purpose | None = None, **terms: Any
    ) -> OrderIntent | Refused:
        """The one door: every wrapper and every planned order goes through here to the gate."""
        if purpose is None:
            exposure = self.broker.exposure(instrument.con_id)
            closing = quantity <= exposure.closable(side)
            complete = quantity == abs(exposure.position)
            purpose = Purpose.ENTRY if not closing else Purpose.EXIT if complete else Purpose.REDUCE
        if purpose is Purpose.ENTRY:
            await self._watch_day_loss()
        placed = await self.broker.place(self._request(instrument, side, quantity, purpose, terms))
        if self.placement == "thread" and self.clock.following and isinstance(placed, OrderIntent):
            # A replay's market goes on when the master session says so, on another socket: this one must have arrived.
            # Should the session be lost meanwhile, its next one finds out what became of the order.
            with suppress(NotConnected):
                await self.broker.fence()
        return placed

    @staticmethod
    def _request(
        instrument: Instrument, side: Side, quantity: Decimal, purpose: Purpose, terms: dict[str, Any]
    ) -> OrderRequest:
        known = dict(terms)
        for name in ("limit_price", "stop_price", "trailing_percent"):
            if known.get(name) is not None:
                known[name] = exact(known[name])
        return OrderRequest(
            instrument=instrument,
            side=side,
            quantity=quantity,
            order_type=OrderType(known.pop("order_type", OrderType.MARKET)),
            tif=TimeInForce(known.pop("tif", TimeInForce.DAY)),
            purpose=purpose,
            **known,
        )

    async def _watch_day_loss(self) -> None:
        """Pauses the strategy for the day once it has lost `max_daily_loss` of its equity. A declared strategy does
        this in its decisions."""
        limit = exact(self.params.get("max_daily_loss") or 0)
        if self.placement != "thread" or limit <= 0 or self.strategy_manager.loss_paused(self.symbol):
            return
        await self.settle()
        at = self.clock.now()
        day_pnl, equity = await self._day_pnl.look(at), self.get_equity()
        if equity <= (equity - day_pnl) * (1 - limit):  # the kernel's rule
            text = f"day's P&L {day_pnl:,.2f} {self.base_currency} of {equity:,.2f} equity"
            await self.strategy_manager.latch_daily_loss(
                self.symbol, self.strategy_manager.session_day(self.symbol, at), text
            )

    async def _keep_day_loss(self) -> None:
        """Looks at every step of a replay, and live at every DAY_LOSS_S, so that each session is measured from its
        beginning."""
        while True:
            try:
                await self._watch_day_loss()
            except RunnerError as error:
                log.warning("the day's loss of %s is not known: %s", self.symbol, error.message)
            await self.clock.sleep_until(self.clock.now() + DAY_LOSS)

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
