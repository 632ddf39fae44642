"""What one session has asked to be kept informed of. Values only; `publishing` sends the updates."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from runner.gateway.model import AccountRow, BarRow, Contract, Quote

MOST_OF_A_KIND = 2_000
"""Subscriptions of one kind in one session. IB's own limits are far lower; this one holds when those are off."""

SentRows = dict[tuple[str, str, str], str]
"""(account, tag, currency) → the value the client was told last."""


@dataclass(slots=True, kw_only=True)
class MarketDataLine:
    """Ticks of one contract."""

    request_id: int
    contract: Contract
    generic: frozenset[str]
    delayed: bool
    last: Quote | None = None


@dataclass(slots=True, kw_only=True)
class TickByTick:
    """Every trade, quote or midpoint of one contract."""

    request_id: int
    contract: Contract
    kind: int
    """1 last, 2 all last, 3 bid and ask, 4 midpoint."""
    last: Quote | None = None


@dataclass(slots=True, kw_only=True)
class RealTimeBars:
    """Five-second bars of one contract."""

    request_id: int
    contract: Contract
    what: str
    regular_hours: bool
    sent_until: datetime
    """The end of the last bar that was sent, or when the subscription began."""


@dataclass(slots=True, kw_only=True)
class LiveBars:
    """A historical request with keepUpToDate."""

    request_id: int
    contract: Contract
    bar_size: str
    bar_s: int
    what: str
    regular_hours: bool
    format_date: int
    last: BarRow | None
    sent_at: datetime
    """The market's time when `last` was sent: the bar is final when it had ended by then."""

    @property
    def daily(self) -> bool:
        return self.bar_s >= 86_400


@dataclass(slots=True, kw_only=True)
class AccountMulti:
    """reqAccountUpdatesMulti."""

    request_id: int
    accounts: tuple[str, ...]
    model: str
    ledger_only: bool
    sent: SentRows = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Summary:
    """reqAccountSummary."""

    request_id: int
    accounts: tuple[str, ...]
    tags: tuple[str, ...]
    sent: SentRows = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class ProfitAndLoss:
    """reqPnL, or reqPnLSingle when `con_id` is set."""

    request_id: int
    account: str
    con_id: int = 0
    sent: tuple[Decimal, ...] | None = None


@dataclass(slots=True)
class Subscriptions:
    """All subscriptions of one session, by request id."""

    market_data: dict[int, MarketDataLine] = field(default_factory=dict)
    tick_by_tick: dict[int, TickByTick] = field(default_factory=dict)
    real_time: dict[int, RealTimeBars] = field(default_factory=dict)
    bars: dict[int, LiveBars] = field(default_factory=dict)
    positions: bool = False
    positions_multi: dict[int, tuple[str, ...]] = field(default_factory=dict)
    account: str = ""
    """The account whose updates are sent (reqAccountUpdates); empty when none."""
    account_sent: SentRows = field(default_factory=dict)
    account_multi: dict[int, AccountMulti] = field(default_factory=dict)
    summaries: dict[int, Summary] = field(default_factory=dict)
    pnl: dict[int, ProfitAndLoss] = field(default_factory=dict)

    @property
    def lines(self) -> int:
        """Market data lines as IB counts them."""
        return len(self.market_data) + len(self.real_time) + len(self.tick_by_tick)

    @property
    def market(self) -> bool:
        """Whether anything that moves with the market is subscribed."""
        return bool(self.market_data or self.bars or self.real_time or self.tick_by_tick)

    @property
    def books(self) -> bool:
        """Whether anything that moves with the accounts is subscribed."""
        return bool(self.account or self.account_multi or self.summaries or self.pnl)


LEDGER_TAGS = frozenset(
    {
        "AccountOrGroup", "AccruedCash", "CashBalance", "CorporateBondValue", "Cryptocurrency", "Currency",
        "ExchangeRate", "FundValue", "FutureOptionValue", "FuturesPNL", "FxCashBalance", "IssuerOptionValue",
        "MoneyMarketFundValue", "MutualFundValue", "NetDividend", "NetLiquidationByCurrency", "OptionMarketValue",
        "RealCurrency", "RealizedPnL", "StockMarketValue", "TBillValue", "TBondValue", "TotalCashBalance",
        "UnrealizedPnL", "WarrantValue",
    }
)  # fmt: skip
"""The rows that exist once per currency, which `$LEDGER` asks for."""


_SECURITIES = "-S"
"""Some values exist only for the securities segment, `Leverage-S`; a summary shows them without the segment."""


def account_level(rows: list[AccountRow]) -> dict[str, AccountRow]:
    """The rows that describe the whole account: the first of each tag, BASE rows aside."""
    found: dict[str, AccountRow] = {}
    for row in rows:
        if row.currency != "BASE":
            found.setdefault(row.tag, row)
    return found


def ledger(rows: list[AccountRow], currency: str = "ALL") -> list[AccountRow]:
    """The rows per currency, of every currency (`ALL`) or of one."""
    whole_account = {id(row) for row in account_level(rows).values() if row.tag == "AccruedCash"}
    return [
        row
        for row in rows
        if row.tag in LEDGER_TAGS and row.currency and id(row) not in whole_account
        and (currency == "ALL" or row.currency == currency)
    ]  # fmt: skip


def summary_rows(rows: list[AccountRow], tags: tuple[str, ...]) -> list[AccountRow]:
    """The rows that a summary with these tags shows, in the order of the tags."""
    whole_account = account_level(rows)
    out: list[AccountRow] = []
    for tag in tags:
        if tag.startswith("$LEDGER"):
            out += ledger(rows, tag.partition(":")[2] or "BASE")
        elif (row := whole_account.get(tag) or whole_account.get(tag + _SECURITIES)) is not None:
            out.append(replace(row, tag=tag))
    return out


def changed_rows(rows: list[AccountRow], account: str, sent: SentRows) -> list[AccountRow]:
    """The rows whose value differs from what was sent; `sent` is brought up to date.

    AccruedCash exists once for the account and once in its ledger, both in the base currency: the second of two rows
    of the same name counts as another row.
    """
    changed = []
    met: set[tuple[str, str, str]] = set()
    for row in rows:
        key = (account, row.tag, row.currency)
        if key in met:
            key = (account, row.tag + "#2", row.currency)
        met.add(key)
        if sent.get(key) != row.value:
            sent[key] = row.value
            changed.append(row)
    return changed
