"""What the parts of the paper gateway tell each other. Values, and the two interfaces between them.

    wire ─ decode ─► OrderTerms ─► PaperExchange (market, order engine, books) ─► ExchangeListener ─► encode ─ wire

The protocol side (sessions, frames, versions) knows nothing of matching; the exchange knows nothing of frames. Money
and quantities are Decimal, times aware UTC, prices of bars and quotes Decimal on the contract's tick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One tradable or readable thing, with all that contract details report."""

    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    primary_exchange: str
    currency: str
    local_symbol: str
    trading_class: str
    multiplier: Decimal = Decimal(1)
    expiry: str = ""
    strike: Decimal = ZERO
    right: str = ""
    min_tick: Decimal = Decimal("0.01")
    min_size: Decimal = Decimal(1)
    size_increment: Decimal = Decimal(1)
    long_name: str = ""
    market_name: str = ""
    industry: str = ""
    category: str = ""
    subcategory: str = ""
    stock_type: str = ""
    under_con_id: int = 0
    valid_exchanges: tuple[str, ...] = ("SMART",)
    order_types: tuple[str, ...] = ()
    time_zone: str = "US/Eastern"
    calendar: str = "XNYS"
    """exchange_calendars code of its regular sessions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractQuery:
    """A client's description of a contract; empty or zero means "not said"."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    strike: float = 0.0
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """One bar. `start` and `end` aware UTC; for a daily bar they are the session's open and close."""

    start: datetime
    end: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    wap: Decimal
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The market of one contract now. None where there is no price yet."""

    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    bid_size: Decimal
    ask_size: Decimal
    last_size: Decimal
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    previous_close: Decimal | None
    volume: Decimal
    at: datetime


@dataclass(slots=True, kw_only=True)
class OrderTerms:
    """One decoded placeOrder. Fields the exchange acts on by name; every other wire field, as text, in `echo`."""

    order_id: int
    contract: ContractQuery
    action: str
    quantity: Decimal
    order_type: str
    limit_price: Decimal | None
    aux_price: Decimal | None
    tif: str = "DAY"
    oca_group: str = ""
    oca_type: int = 0
    account: str = ""
    order_ref: str = ""
    transmit: bool = True
    parent_id: int = 0
    outside_rth: bool = False
    hidden: bool = False
    good_after_time: str = ""
    good_till_date: str = ""
    all_or_none: bool = False
    min_quantity: int | None = None
    trail_stop_price: Decimal | None = None
    trailing_percent: Decimal | None = None
    limit_price_offset: Decimal | None = None
    what_if: bool = False
    cash_quantity: Decimal | None = None
    echo: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class PaperOrder:
    """An order that the exchange holds. Only the exchange changes it; sessions read it."""

    client_id: int
    order_id: int
    perm_id: int
    contract: Contract
    terms: OrderTerms
    account: str
    status: str = "PendingSubmit"
    """IB's words: PendingSubmit, PreSubmitted, Submitted, PendingCancel, Cancelled, Filled, Inactive."""
    why_held: str = ""
    filled: Decimal = ZERO
    average_price: Decimal = ZERO
    last_price: Decimal = ZERO
    trail_stop: Decimal | None = None
    """The moving stop of TRAIL and TRAIL LIMIT."""
    triggered: bool = False
    transmitted: bool = True
    completed_at: datetime | None = None
    completed_status: str = ""

    @property
    def remaining(self) -> Decimal:
        return self.terms.quantity - self.filled

    @property
    def active(self) -> bool:
        return self.status not in ("Filled", "Cancelled", "ApiCancelled", "Inactive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill. `exec_id` has IB's shape `0000e0d5.69dd7411.01.01`."""

    exec_id: str
    order: PaperOrder
    account: str
    at: datetime
    exchange: str
    side: str
    """BOT or SLD."""
    quantity: Decimal
    price: Decimal
    cumulative: Decimal
    average_price: Decimal
    commission: Decimal
    commission_currency: str
    realized: Decimal | None
    """Realised P&L in the contract's currency; None when the fill opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionLine:
    """One position in one account. `average_cost` is IB's: price × multiplier, commission included."""

    account: str
    contract: Contract
    quantity: Decimal
    average_cost: Decimal
    market_price: Decimal
    market_value: Decimal
    unrealized: Decimal
    realized: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """One account value as IB sends it: `("NetLiquidation", "1000000.00", "USD")`."""

    tag: str
    value: str
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The margin answer to a what-if order, in the account's base currency."""

    init_before: Decimal
    maint_before: Decimal
    equity_before: Decimal
    init_change: Decimal
    maint_change: Decimal
    equity_change: Decimal
    commission: Decimal
    commission_currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStep:
    """What one step of the market's clock did: the bars of [start, end] of every contract that traded."""

    start: datetime
    end: datetime
    bars: dict[int, BarRow]
    session_closed: frozenset[str] = frozenset()
    """Calendars whose session ended at `end`."""


class ExchangeListener(Protocol):
    """What the exchange tells the protocol side. Called synchronously, in the order in which things happened."""

    def order_changed(self, order: PaperOrder, *, with_terms: bool) -> None:
        """openOrder (when `with_terms`) and orderStatus to whoever may see the order."""

    def executed(self, execution: Execution) -> None: ...

    def commission_charged(self, execution: Execution) -> None: ...

    def order_error(self, client_id: int, order_id: int, code: int, text: str) -> None: ...

    def position_changed(self, line: PositionLine) -> None: ...

    def account_changed(self, account: str) -> None:
        """Cash, equity or margin of the account moved."""

    def stepped(self, step: MarketStep) -> None:
        """The market's clock moved; quotes and bars are those of `step.end`."""


class RequestRefused(Exception):
    """A request that IB answers with an error: `code` and `text` are IB's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Exchange(Protocol):
    """What the protocol side asks of the exchange. One event loop, no blocking, no threads."""

    listener: ExchangeListener
    accounts: Sequence[str]

    # market
    def now(self) -> datetime: ...

    def find(self, query: ContractQuery) -> list[Contract]: ...

    def search(self, pattern: str) -> list[Contract]:
        """reqMatchingSymbols: by symbol prefix or part of the name."""
        ...

    def quote(self, con_id: int) -> Quote: ...

    def history(
        self, con_id: int, *, end: datetime | None, duration: str, bar_size: str, what: str, regular_hours: bool
    ) -> list[BarRow]:
        """Bars that end at or before `end` (None: now), oldest first; the last may be in progress. RequestRefused."""
        ...

    def bar_in_progress(self, con_id: int, bar_size: str, *, what: str, regular_hours: bool) -> BarRow | None:
        """The bar that `now` is in, or that ended exactly now."""
        ...

    def head_timestamp(self, con_id: int) -> datetime: ...

    def schedule(self, con_id: int, first: datetime, last: datetime) -> list[tuple[datetime, datetime]]:
        """Regular sessions [open, close) that overlap [first, last]."""
        ...

    # orders
    def next_order_id(self, client_id: int) -> int: ...

    def place(self, client_id: int, terms: OrderTerms) -> None:
        """New order or modification. All outcomes, errors included, come through the listener."""
        ...

    def what_if(self, client_id: int, terms: OrderTerms) -> tuple[PaperOrder, WhatIf]: ...

    def cancel(self, client_id: int, order_id: int, *, master: bool = False) -> None: ...

    def global_cancel(self) -> None: ...

    def open_orders(self, client_id: int | None = None) -> list[PaperOrder]:
        """Working, transmitted orders of one client, or of all."""
        ...

    def completed_orders(self) -> list[PaperOrder]: ...

    def executions(self, client_id: int | None = None) -> list[Execution]:
        """Since the start of the exchange's day."""
        ...

    # books
    def positions(self, account: str | None = None) -> list[PositionLine]: ...

    def account_rows(self, account: str) -> list[AccountRow]:
        """All values, per currency rows and BASE included, in IB's order."""
        ...

    def pnl(self, account: str) -> tuple[Decimal, Decimal, Decimal]:
        """(daily, unrealised, realised) in base currency."""
        ...

    def pnl_single(self, account: str, con_id: int) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal] | None:
        """(position, daily, unrealised, realised, market value), or None without a position."""
        ...
