"""The paper exchange: market, order engine and books put together behind the interface the protocol side asks.

    step():  clock = start ─ openings ─ inside the bars ─ closings ─ clock = end ─ expiries ─ listener.stepped

Everything happens inside the call, in one thread, and is a function of the settings and of what clients did at which
market time. Whoever wants to disturb what clients see (delays, losses, repetitions) wraps the listener.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from runner.errors import StoreCorrupt
from runner.gateway.account_rows import account_rows
from runner.gateway.books import Books, Rates
from runner.gateway.commissions import order_commission
from runner.gateway.held import Held, Key
from runner.gateway.history import History
from runner.gateway.market import Interval, Market, Series, epoch, instant
from runner.gateway.model import (
    ZERO,
    AccountRow,
    BarRow,
    Contract,
    ContractQuery,
    ExchangeListener,
    Execution,
    MarketStep,
    OrderTerms,
    PaperOrder,
    PositionLine,
    Quote,
    RequestRefused,
    WhatIf,
)
from runner.gateway.order_engine import OrderEngine
from runner.gateway.persistence import StateFile
from runner.gateway.settings import GatewaySettings
from runner.gateway.synth import Ticks

EXECUTION_PREFIX = "0000e0d5"
FIRST_EXECUTION = 0x69DD0000
FIRST_PERM_ID = 1_100_000_000
"""Perm ids count up from here; they fit into 31 bits."""
_AVERAGE_PLACES = Decimal("0.00000001")


class SilentListener:
    """Hears everything and says nothing; what an exchange has until somebody listens."""

    def order_changed(self, order: PaperOrder, *, with_terms: bool) -> None:
        pass

    def executed(self, execution: Execution) -> None:
        pass

    def commission_charged(self, execution: Execution) -> None:
        pass

    def order_error(self, client_id: int, order_id: int, code: int, text: str) -> None:
        pass

    def position_changed(self, line: PositionLine) -> None:
        pass

    def account_changed(self, account: str) -> None:
        pass

    def stepped(self, step: MarketStep) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Bar:
    """What one contract trades in the step under way. Times in epoch seconds."""

    series: Series
    ticks: Ticks
    start: int
    end: int
    auction: bool
    """Whether its first price is a session's opening."""


class PaperExchange:
    """Implements `runner.gateway.model.Exchange`. Raises ConfigError for settings and data that cannot work,
    StoreLocked and StoreCorrupt for a state file that cannot be used."""

    def __init__(self, settings: GatewaySettings, listener: ExchangeListener | None = None) -> None:
        self.settings = settings
        self.listener: ExchangeListener = listener if listener is not None else SilentListener()
        self.accounts: Sequence[str] = settings.accounts
        self._market = Market(settings)
        self._history = History(self._market, settings.liquidity.half_spread_ticks)
        self.missing_rates: set[str] = set()
        """Currencies that were valued at nothing because no FX contract leads to the base currency."""
        rates = Rates(settings.base_currency, self._pairs(), self._market)
        self._books = Books(settings.accounts, settings.cash, rates, self._market, self.missing_rates.add)
        self._engine = OrderEngine(
            self._market,
            settings,
            listener=lambda: self.listener,
            new_perm_id=self._next_perm_id,
            fill=self._fill,
            margin=self._beyond_margin,
            resolve=self._resolve,
        )
        self._executions: list[Execution] = []
        self._perm_ids = 0
        self._executed = 0
        self._day = self._market.today()
        self._changed_accounts: set[str] = set(settings.accounts)
        self._saved_executions = 0
        self._gone: list[Key] = []
        self._forget = False
        self._state = StateFile(settings.state_file) if settings.state_file is not None else None
        if self._state is not None:
            try:
                self._restore(self._state)
            except BaseException:
                self._state.close()
                raise
            self._save()

    def close(self) -> None:
        """Write what is unsaved and let go of the state file."""
        self._save()
        if self._state is not None:
            self._state.close()
            self._state = None

    # market

    def now(self) -> datetime:
        return self._market.now()

    def find(self, query: ContractQuery) -> list[Contract]:
        return self._market.listings.find(query, self._market.today())

    def search(self, pattern: str) -> list[Contract]:
        return self._market.listings.search(pattern, self._market.today())

    def quote(self, con_id: int) -> Quote:
        return self._market.quote(con_id)

    def history(
        self, con_id: int, *, end: datetime | None, duration: str, bar_size: str, what: str, regular_hours: bool
    ) -> list[BarRow]:
        return self._history.bars(con_id, end=end, duration=duration, bar_size=bar_size, what=what)

    def bar_in_progress(self, con_id: int, bar_size: str, *, what: str, regular_hours: bool) -> BarRow | None:
        return self._history.in_progress(con_id, bar_size, what=what)

    def head_timestamp(self, con_id: int) -> datetime:
        return self._history.head(con_id)

    def schedule(self, con_id: int, first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
        timeline = self._market.series(con_id).timeline
        a, b = epoch(first), epoch(last)
        found: list[tuple[datetime, datetime]] = []
        i = timeline.at_or_after(a)
        while i < len(timeline.days) and timeline.opens[i] <= b:
            found.append((instant(timeline.opens[i]), instant(timeline.closes[i])))
            i += 1
        return found

    def step(self) -> MarketStep | None:
        """Move the clock by one step and do all that happens in it. None, and nothing done, when the data are over."""
        interval = self._market.next_interval()
        if interval is None:
            return None
        market, engine = self._market, self._engine
        market.now_s = interval.start
        self._new_day_if_due()
        bars = self._bars(interval)
        market.marks = {con_id: bar.ticks.open for con_id, bar in bars.items()}
        engine.stepping(True)
        engine.begin({con_id: self._budget(bar) for con_id, bar in bars.items()})
        for con_id in engine.book.contracts():
            if con_id in bars:
                engine.open_bar(con_id, bars[con_id].ticks.open, bars[con_id].auction)
        # The middle of the step stands for every moment inside it: fills there are stamped so.
        market.now_s = (interval.start + interval.end) // 2
        for con_id in engine.book.contracts():
            if con_id in bars:
                opened, high, low, close, _ = bars[con_id].ticks
                engine.inside_bar(con_id, high, low, close, opened)
        self._close_sessions(interval, bars)
        market.now_s = interval.end
        market.marks = {}
        engine.stepping(False)
        engine.expire()
        self._settle_expired()
        step = MarketStep(
            start=instant(interval.start),
            end=instant(interval.end),
            bars={con_id: bar.series.row(bar.start, bar.end, bar.ticks) for con_id, bar in bars.items()},
            session_closed=market.closed_between(interval.start, interval.end),
        )
        for name, account in self._books.accounts.items():
            if any(holding.quantity for holding in account.holdings.values()):
                self.listener.account_changed(name)
        self.listener.stepped(step)
        self._save()
        return step

    # orders

    def next_order_id(self, client_id: int) -> int:
        return self._engine.ids.next(client_id)

    def place(self, client_id: int, terms: OrderTerms) -> None:
        self._engine.place(client_id, terms)
        self._save()

    def what_if(self, client_id: int, terms: OrderTerms) -> tuple[PaperOrder, WhatIf]:
        """The order as it would be shown, and its margins. Nothing is kept. RequestRefused."""
        held = self._engine.prepare(client_id, terms)
        order, contract = held.order, held.order.contract
        order.status = "PreSubmitted"
        if not held.series.listing.tradable:
            raise RequestRefused(201, f"Order rejected - reason:{contract.local_symbol} is not available for trading")
        account = self._books.accounts[order.account]
        price = terms.limit_price or self._market.price(contract.con_id) or ZERO
        before = self._books.margins(account)
        after = self._books.margins(account, {contract.con_id: (contract, held.side * terms.quantity)})
        commission, currency = self._order_commission(contract, terms.quantity, price * terms.quantity)
        return order, WhatIf(
            init_before=before.initial,
            maint_before=before.maintenance,
            equity_before=self._books.equity(account),
            init_change=after.initial - before.initial,
            maint_change=after.maintenance - before.maintenance,
            equity_change=-self._books.base(commission, currency),
            commission=commission,
            commission_currency=currency,
        )

    def cancel(self, client_id: int, order_id: int, *, master: bool = False) -> None:
        self._engine.cancel(client_id, order_id, master=master)
        self._save()

    def global_cancel(self) -> None:
        self._engine.cancel_all()
        self._save()

    def open_orders(self, client_id: int | None = None) -> list[PaperOrder]:
        return [h.order for h in self._engine.book.working() if client_id is None or h.order.client_id == client_id]

    def completed_orders(self) -> list[PaperOrder]:
        """Transmitted orders that were done today, in the order in which they were placed."""
        done = [h for h in self._engine.book.orders.values() if not h.order.active and h.order.transmitted]
        return [held.order for held in sorted(done, key=lambda held: held.sequence)]

    def executions(self, client_id: int | None = None) -> list[Execution]:
        return [e for e in self._executions if client_id is None or e.order.client_id == client_id]

    # books

    def positions(self, account: str | None = None) -> list[PositionLine]:
        return self._books.lines(account)

    def account_rows(self, account: str) -> list[AccountRow]:
        return account_rows(self._books, self._books.accounts[account])

    def pnl(self, account: str) -> tuple[Decimal, Decimal, Decimal]:
        return self._books.pnl(self._books.accounts[account])

    def pnl_single(self, account: str, con_id: int) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal] | None:
        holding = self._books.accounts[account].holdings.get(con_id)
        if holding is None or (not holding.quantity and not holding.day_flow):
            return None
        value = holding.value(self._market.price(con_id)) if holding.quantity else ZERO
        daily = value - holding.day_value - holding.day_flow
        return holding.quantity, daily, self._books.unrealized(holding), holding.realized, value

    # inside a step

    def _bars(self, interval: Interval) -> dict[int, _Bar]:
        bars: dict[int, _Bar] = {}
        for series in self._market.opened():
            ticks = series.between(interval.start, interval.end)
            if ticks is None:
                continue
            timeline = series.timeline
            opened = timeline.opens[timeline.at_or_after(interval.start)]
            last = timeline.closes[timeline.started(interval.end)]
            bars[series.contract.con_id] = _Bar(
                series, ticks, max(opened, interval.start), min(last, interval.end), opened >= interval.start
            )
        return bars

    def _budget(self, bar: _Bar) -> int | None:
        participation = self.settings.liquidity.participation
        return None if participation is None else int(bar.ticks.volume * participation)

    def _close_sessions(self, interval: Interval, bars: dict[int, _Bar]) -> None:
        """Closing auctions, a second before the end, so that their fills belong to the session that they close."""
        market = self._market
        for con_id in self._engine.book.contracts():
            if con_id not in bars:
                continue
            timeline = bars[con_id].series.timeline
            i = timeline.started(interval.end)
            if interval.start < timeline.closes[i] <= interval.end:
                market.now_s = max(market.now_s, timeline.closes[i] - 1)
                market.marks[con_id] = bars[con_id].ticks.close
                self._engine.close_session(con_id, bars[con_id].ticks.close)

    def _new_day_if_due(self) -> None:
        day = self._market.today()
        if day == self._day:
            return
        self._day = day
        self._books.new_day()
        self._changed_accounts.update(self.accounts)
        self._executions.clear()
        self._saved_executions = 0
        self._forget = True
        self._gone += self._engine.book.forget_done()

    def _settle_expired(self) -> None:
        """Positions in contracts that have expired become cash at the last price."""
        for name, account in self._books.accounts.items():
            for con_id, holding in list(account.holdings.items()):
                if not holding.contract.expiry or not holding.quantity:
                    continue
                series = self._market.series(con_id)
                if series.timeline.closes[series.last] > self._market.now_s:
                    continue
                price = self._market.price(con_id)
                if price is not None:
                    self._books.fill(name, holding.contract, -holding.quantity, price, ZERO, holding.contract.currency)
                    self._changed_accounts.add(name)
                    self.listener.position_changed(self._books.line(name, con_id))
                    self.listener.account_changed(name)

    def _fill(self, held: Held, quantity: Decimal, price: Decimal) -> None:
        """Book a fill and tell everybody: execution, order, commission, position, account."""
        order, contract = held.order, held.order.contract
        order.filled += quantity
        held.value += price * quantity
        average = held.value / order.filled
        order.average_price = price if average == price else average.quantize(_AVERAGE_PLACES).normalize()
        order.last_price = price
        order.status = "Filled" if order.remaining == 0 else "Submitted"
        order.why_held = ""
        commission, currency = self._order_commission(contract, order.filled, held.value)
        charged, held.commission = commission - held.commission, commission
        signed = held.side * quantity
        if self._market.marks:
            self._market.marks[contract.con_id] = int(price / held.series.tick)
        realized = self._books.fill(order.account, contract, signed, price, charged, currency)
        self._executed += 1
        execution = Execution(
            exec_id=f"{EXECUTION_PREFIX}.{FIRST_EXECUTION + self._executed:08x}.01.01",
            order=order,
            account=order.account,
            at=self._market.now(),
            exchange=contract.primary_exchange if contract.exchange == "SMART" else contract.exchange,
            side="BOT" if held.side > 0 else "SLD",
            quantity=quantity,
            price=price,
            cumulative=order.filled,
            average_price=order.average_price,
            commission=charged,
            commission_currency=currency,
            realized=realized,
        )
        self._executions.append(execution)
        self._changed_accounts.add(order.account)
        self.listener.executed(execution)
        self.listener.order_changed(order, with_terms=True)
        self.listener.commission_charged(execution)
        self.listener.position_changed(self._books.line(order.account, contract.con_id))
        self.listener.account_changed(order.account)
        self._engine.after_fill(held, quantity)

    def _order_commission(self, contract: Contract, quantity: Decimal, value: Decimal) -> tuple[Decimal, str]:
        """Commission of a whole order so far and its currency. `value` is price × quantity."""
        value = abs(value) * contract.multiplier
        if contract.sec_type == "CASH":
            base = self.settings.base_currency
            return order_commission(contract, quantity, self._books.base(value, contract.currency)), base
        return order_commission(contract, quantity, value), contract.currency

    # what the engine asks

    def _resolve(self, terms: OrderTerms) -> Contract:
        found = self.find(terms.contract)
        if not found:
            raise RequestRefused(200, "No security definition has been found for the request")
        if len(found) > 1:
            raise RequestRefused(
                200,
                f"The contract description specified for {terms.contract.symbol or terms.contract.local_symbol} is "
                "ambiguous; you must specify the multiplier or trading class.",
            )
        return found[0]

    def _next_perm_id(self) -> int:
        self._perm_ids += 1
        return FIRST_PERM_ID + self._perm_ids

    def _beyond_margin(self, name: str, contract: Contract, quantity: Decimal) -> tuple[Decimal, Decimal] | None:
        """Equity and initial margin when the order would take the account beyond it; never for one that reduces.

        The orders that already work count as filled, per contract the side that leaves more exposure.
        """
        account = self._books.accounts[name]
        extra: dict[int, tuple[Contract, Decimal]] = {}
        same_side = ZERO
        for pending in self._engine.book.pending(name):
            con_id = pending.contract.con_id
            have = account.held(con_id)
            worst = pending.buys if abs(have + pending.buys) >= abs(have + pending.sells) else pending.sells
            extra[con_id] = (pending.contract, worst)
            if con_id == contract.con_id:
                same_side = pending.buys if quantity > 0 else pending.sells
        position = account.held(contract.con_id)
        with_it = same_side + quantity
        if abs(position + with_it) <= abs(position):
            return None
        other = extra.get(contract.con_id, (contract, ZERO))[1]
        if abs(position + with_it) > abs(position + other):
            extra[contract.con_id] = (contract, with_it)
        needed = self._books.margins(account, extra).initial
        equity = self._books.equity(account)
        return (equity, needed) if needed > equity else None

    def _pairs(self) -> dict[tuple[str, str], int]:
        return {
            (c.symbol, c.currency): c.con_id
            for c in (listing.contract for listing in self._market.listings)
            if c.sec_type == "CASH"
        }

    # across a restart

    def _identity(self) -> dict[str, str | int]:
        """What a saved state must have in common with these settings."""
        s = self.settings
        return {"seed": s.seed, "data": str(s.data or "shipped"), "calendar": s.calendar, "base": s.base_currency}

    def _restore(self, state: StateFile) -> None:
        meta = state.meta()
        if not meta:
            return
        if meta["identity"] != self._identity():
            raise StoreCorrupt(
                f"the gateway state {state.path} belongs to another market: {meta['identity']}, not {self._identity()}",
                hint="use the settings it was made with, or another state file",
            )
        self._market.now_s = max(meta["now"], self._market.now_s)
        self._day = date.fromisoformat(meta["day"])
        self._perm_ids, self._executed = meta["perm_ids"], meta["executed"]
        self._engine.ids.highest.update({int(client): highest for client, highest in meta["ids"].items()})
        for held in state.orders(self._market):
            self._engine.adopt(held)
        self._executions = state.executions(self._engine.book.orders)
        self._saved_executions = len(self._executions)
        for account in state.accounts(self._market):
            if account.name in self._books.accounts:
                self._books.accounts[account.name] = account

    def _save(self) -> None:
        state, engine = self._state, self._engine
        if state is None:
            self._gone.clear()
            engine.book.dirty.clear()
            return
        state.save(
            meta={
                "identity": self._identity(),
                "now": self._market.now_s,
                "day": self._day.isoformat(),
                "perm_ids": self._perm_ids,
                "executed": self._executed,
                "ids": {str(client): highest for client, highest in engine.ids.highest.items()},
            },
            orders=[engine.book.orders[key] for key in sorted(engine.book.dirty) if key in engine.book.orders],
            gone=self._gone,
            executions=self._executions[self._saved_executions :],
            forget_executions=self._forget,
            accounts=[self._books.accounts[name] for name in sorted(self._changed_accounts)],
        )
        engine.book.dirty.clear()
        self._gone.clear()
        self._changed_accounts.clear()
        self._saved_executions, self._forget = len(self._executions), False
