"""A very small exchange: two stocks, a future, a currency pair; market orders fill at once, others rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from runner.gateway import GatewaySettings
from runner.gateway.model import (
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

BASE = GatewaySettings(speed="max", step="1m", accounts=("DU1234567", "DU7654321"), enforce_limits=False)
"""Settings that fit this exchange."""
START = datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
D = Decimal


def stock(con_id: int, symbol: str, name: str) -> Contract:
    return Contract(
        con_id=con_id, symbol=symbol, sec_type="STK", exchange="SMART", primary_exchange="NASDAQ", currency="USD",
        local_symbol=symbol, trading_class="NMS", long_name=name, market_name="NMS", stock_type="COMMON",
        valid_exchanges=("SMART", "NASDAQ"), order_types=("MKT", "LMT"),
    )  # fmt: skip


CONTRACTS = (
    stock(265598, "AAPL", "Apple Inc."),
    stock(272093, "MSFT", "Micro\\soft é Corp."),
    Contract(
        con_id=551601561, symbol="ES", sec_type="FUT", exchange="CME", primary_exchange="", currency="USD",
        local_symbol="ESH3", trading_class="ES", multiplier=D(50), expiry="20130315", min_tick=D("0.25"),
        long_name="E-mini S&P 500", time_zone="US/Central", valid_exchanges=("CME",), calendar="CMES",
    ),
    Contract(
        con_id=12087792, symbol="EUR", sec_type="CASH", exchange="IDEALPRO", primary_exchange="", currency="USD",
        local_symbol="EUR.USD", trading_class="EUR.USD", min_tick=D("0.00005"), valid_exchanges=("IDEALPRO",),
        calendar="24/5",
    ),
    Contract(
        con_id=416904, symbol="SPX", sec_type="IND", exchange="CBOE", primary_exchange="", currency="USD",
        local_symbol="SPX", trading_class="SPX", valid_exchanges=("CBOE",),
    ),
)  # fmt: skip


class SmallExchange:
    """Enough of an exchange to see every message. Steps of one minute, one tick up each."""

    def __init__(self, steps: int = 1_000_000) -> None:
        self.listener: ExchangeListener
        self.accounts = ("DU1234567", "DU7654321")
        self.clock = START
        self.steps_left = steps
        self.price = D("100")
        self.orders: list[PaperOrder] = []
        self.by_key: dict[tuple[int, int], PaperOrder] = {}
        self.fills: list[Execution] = []
        self.held: dict[int, Decimal] = {}
        self.cash = D(1_000_000)
        self.last_ids: dict[int, int] = {}
        self.by_id = {contract.con_id: contract for contract in CONTRACTS}
        self.closed = False

    # market
    def now(self) -> datetime:
        return self.clock

    def step(self) -> MarketStep | None:
        if self.steps_left == 0:
            return None
        self.steps_left -= 1
        start, self.clock = self.clock, self.clock + timedelta(minutes=1)
        self.price += D("0.01")
        step = MarketStep(start=start, end=self.clock, bars={265598: self._bar(start, 60)})
        self.listener.stepped(step)
        return step

    def find(self, query: ContractQuery) -> list[Contract]:
        if query.con_id:
            return [self.by_id[query.con_id]] if query.con_id in self.by_id else []
        return [
            contract
            for contract in CONTRACTS
            if query.symbol in ("", contract.symbol)
            and query.sec_type in ("", contract.sec_type)
            and query.currency in ("", contract.currency)
        ]

    def search(self, pattern: str) -> list[Contract]:
        return [contract for contract in CONTRACTS if contract.symbol.startswith(pattern.upper())]

    def quote(self, con_id: int) -> Quote:
        tick = D("0.01")
        return Quote(
            bid=self.price - tick, ask=self.price + tick, last=self.price, bid_size=D(100), ask_size=D("200.5"),
            last_size=D(10), open=D(99), high=D(120), low=D(90), previous_close=D(98), volume=D(12345), at=self.clock,
        )  # fmt: skip

    def _bar(self, start: datetime, seconds: int) -> BarRow:
        return BarRow(
            start=start, end=start + timedelta(seconds=seconds), open=self.price, high=self.price + 1,
            low=self.price - 1, close=self.price, volume=D("1000.0"), wap=self.price, count=42,
        )  # fmt: skip

    def history(
        self, con_id: int, *, end: datetime | None, duration: str, bar_size: str, what: str, regular_hours: bool
    ) -> list[BarRow]:
        if what == "NOTHING":
            return []
        seconds = {"1 min": 60, "5 secs": 5, "5 mins": 300, "1 hour": 3600, "1 day": 86_400}.get(bar_size)
        if seconds is None:
            raise RequestRefused(321, "bad bar size")
        until = min(end or self.clock, self.clock)
        many = 12 if seconds == 5 else 3
        return [self._bar(until - timedelta(seconds=seconds * back), seconds) for back in range(many, 0, -1)]

    def bar_in_progress(self, con_id: int, bar_size: str, *, what: str, regular_hours: bool) -> BarRow | None:
        seconds = {"1 min": 60, "5 secs": 5, "5 mins": 300, "1 hour": 3600, "1 day": 86_400}[bar_size]
        passed = int((self.clock - START).total_seconds())
        return self._bar(START + timedelta(seconds=max(passed - 1, 0) // seconds * seconds), seconds)

    def head_timestamp(self, con_id: int) -> datetime:
        return datetime(2000, 1, 3, 14, 30, tzinfo=UTC)

    def schedule(self, con_id: int, first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
        opened = START.replace(hour=14, minute=30)
        sessions = [(opened + timedelta(days=n), opened + timedelta(days=n, hours=6.5)) for n in (-1, 0, 3)]
        return [(a, b) for a, b in sessions if b > first and a < last]

    # orders
    def next_order_id(self, client_id: int) -> int:
        return self.last_ids.get(client_id, 0) + 1

    def _order(self, client_id: int, terms: OrderTerms) -> PaperOrder:
        found = self.find(terms.contract)
        if not found:
            raise RequestRefused(200, "No security definition has been found for the request")
        return PaperOrder(
            client_id=client_id, order_id=terms.order_id, perm_id=1_426_086_000 + len(self.orders), contract=found[0],
            terms=terms, account=terms.account or self.accounts[0],
        )  # fmt: skip

    def place(self, client_id: int, terms: OrderTerms) -> None:
        known = self.by_key.get((client_id, terms.order_id))
        if known is not None and known.active:
            known.terms = terms
            self.listener.order_changed(known, with_terms=True)
            return
        order = self._order(client_id, terms)
        self.orders.append(order)
        self.by_key[client_id, terms.order_id] = order
        self.last_ids[client_id] = max(self.last_ids.get(client_id, 0), terms.order_id)
        order.status = "PreSubmitted" if terms.order_type == "MKT" else "Submitted"
        self.listener.order_changed(order, with_terms=True)
        if terms.order_type == "MKT":
            self._fill(order)

    def _fill(self, order: PaperOrder) -> None:
        quantity, price = order.remaining, self.price
        sign = 1 if order.terms.action == "BUY" else -1
        con_id = order.contract.con_id
        self.held[con_id] = self.held.get(con_id, D(0)) + sign * quantity
        self.cash -= sign * quantity * price
        order.filled, order.average_price, order.last_price, order.status = quantity, price, price, "Filled"
        order.completed_at, order.completed_status = self.clock, f"Filled Size: {quantity}"
        fill = Execution(
            exec_id=f"0000e0d5.{len(self.fills):08x}.01.01", order=order, account=order.account, at=self.clock,
            exchange="ISLAND", side="BOT" if sign > 0 else "SLD", quantity=quantity, price=price, cumulative=quantity,
            average_price=price, commission=D("1.00"), commission_currency="USD", realized=None,
        )  # fmt: skip
        self.fills.append(fill)
        self.listener.executed(fill)
        self.listener.order_changed(order, with_terms=True)
        self.listener.commission_charged(fill)
        self.listener.position_changed(self._line(con_id))
        self.listener.account_changed(order.account)

    def what_if(self, client_id: int, terms: OrderTerms) -> tuple[PaperOrder, WhatIf]:
        order = self._order(client_id, terms)
        order.status = "PreSubmitted"
        return order, WhatIf(
            init_before=D(0), maint_before=D(0), equity_before=D(1000), init_change=D("25.5"), maint_change=D(20),
            equity_change=D(-1), commission=D(1), commission_currency="USD",
        )  # fmt: skip

    def cancel(self, client_id: int, order_id: int, *, master: bool = False) -> None:
        for order in self.orders:
            if (order.client_id, order.order_id) == (client_id, order_id) and order.active:
                order.status, order.completed_at = "Cancelled", self.clock
                order.completed_status = "Cancelled by Trader"
                self.listener.order_changed(order, with_terms=False)
                self.listener.order_error(client_id, order_id, 202, "Order Canceled - reason:")
                return
        text = f"OrderId {order_id} that needs to be cancelled is not found."
        self.listener.order_error(client_id, order_id, 10147, text)

    def global_cancel(self) -> None:
        for order in self.open_orders():
            self.cancel(order.client_id, order.order_id)

    def open_orders(self, client_id: int | None = None) -> list[PaperOrder]:
        return [order for order in self.orders if order.active and client_id in (None, order.client_id)]

    def completed_orders(self) -> list[PaperOrder]:
        return [order for order in self.orders if not order.active]

    def executions(self, client_id: int | None = None) -> list[Execution]:
        return [fill for fill in self.fills if client_id in (None, fill.order.client_id)]

    # books
    def _line(self, con_id: int) -> PositionLine:
        held = self.held[con_id]
        return PositionLine(
            account=self.accounts[0], contract=self.by_id[con_id], quantity=held, average_cost=D("100.01"),
            market_price=self.price, market_value=held * self.price, unrealized=D("-0.1"), realized=D(0),
        )  # fmt: skip

    def positions(self, account: str | None = None) -> list[PositionLine]:
        return [self._line(con_id) for con_id in self.held] if account in (None, self.accounts[0]) else []

    def account_rows(self, account: str) -> list[AccountRow]:
        cash = f"{self.cash:.2f}"
        rows = [("AccountType", "INDIVIDUAL", ""), ("NetLiquidation", cash, "USD"), ("AccruedCash", "0.00", "USD")]
        rows += [("EquityWithLoanValue", cash, "USD")]
        for currency in ("BASE", "USD"):
            rows += [("Currency", currency, currency), ("CashBalance", cash, currency), ("AccruedCash", "0", currency)]
            rows += [("ExchangeRate", "1.00", currency)]
        return [AccountRow(tag=tag, value=value, currency=currency) for tag, value, currency in rows]

    def pnl(self, account: str) -> tuple[Decimal, Decimal, Decimal]:
        return self.price - 100, D(1), D(2)

    def pnl_single(self, account: str, con_id: int) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal] | None:
        held = self.held.get(con_id)
        return None if held is None else (held, D(1), D(2), D(3), held * self.price)

    def close(self) -> None:
        self.closed = True
