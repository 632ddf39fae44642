"""An account's values as IB sends them: tags, texts to the cent, currencies, in IB's order."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from runner.gateway.books import Account, Books
from runner.gateway.model import ZERO, AccountRow

LEDGER_TAGS = (
    "CashBalance", "TotalCashBalance", "AccruedCash", "StockMarketValue", "OptionMarketValue",
    "FutureOptionValue", "FuturesPNL", "NetLiquidationByCurrency", "UnrealizedPnL", "RealizedPnL", "ExchangeRate",
    "FundValue", "NetDividend", "MutualFundValue", "MoneyMarketFundValue", "CorporateBondValue", "TBondValue",
    "TBillValue", "WarrantValue", "FxCashBalance", "AccountOrGroup", "RealCurrency", "IssuerOptionValue",
)  # fmt: skip
"""Rows of each currency and of BASE, after `Currency`."""
_CENT = Decimal("0.01")
_LEVERAGE = Decimal(4)
"""Buying power is this times the available funds, as in a Reg T account intraday."""


def account_rows(books: Books, account: Account) -> list[AccountRow]:
    """All values of one account: summary first, then per currency, BASE last."""
    return [*_summary(books, account), *_ledgers(books, account)]


def _summary(books: Books, account: Account) -> list[AccountRow]:
    base = books.rates.base
    equity = books.equity(account)
    margins = books.margins(account)
    cash = sum((books.base(amount, currency) for currency, amount in account.cash.items()), ZERO)
    gross = sum(
        (abs(books.base(books.own_value(h), h.contract.currency)) for h in books.paid_in_full(account)),
        ZERO,
    )
    available, excess = equity - margins.initial, equity - margins.maintenance
    texts = [
        ("AccountCode", account.name, ""),
        ("AccountReady", "true", ""),
        ("AccountType", "INDIVIDUAL", ""),
        ("Cushion", f"{_share(excess, equity):f}", ""),
        ("DayTradesRemaining", "-1", ""),
        ("LookAheadNextChange", "0", ""),
        ("AccruedCash", "0.00", base),
    ]
    money = {
        "AvailableFunds": available,
        "BuyingPower": max(available, ZERO) * _LEVERAGE,
        "EquityWithLoanValue": equity,
        "ExcessLiquidity": excess,
        "FullAvailableFunds": available,
        "FullExcessLiquidity": excess,
        "FullInitMarginReq": margins.initial,
        "FullMaintMarginReq": margins.maintenance,
        "GrossPositionValue": gross,
        "InitMarginReq": margins.initial,
        "LookAheadAvailableFunds": available,
        "LookAheadExcessLiquidity": excess,
        "LookAheadInitMarginReq": margins.initial,
        "LookAheadMaintMarginReq": margins.maintenance,
        "MaintMarginReq": margins.maintenance,
        "NetLiquidation": equity,
        "PreviousDayEquityWithLoanValue": account.day_equity,
        "SettledCash": cash,
        "TotalCashValue": cash,
    }
    rows = [AccountRow(tag=tag, value=value, currency=currency) for tag, value, currency in texts]
    rows += [AccountRow(tag=tag, value=_money(value), currency=base) for tag, value in money.items()]
    rows.append(AccountRow(tag="Leverage-S", value=f"{_share(gross, equity):.2f}", currency=""))
    return rows


def _ledgers(books: Books, account: Account) -> list[AccountRow]:
    base = books.rates.base
    currencies = {base: None} | dict.fromkeys(account.cash)
    currencies |= dict.fromkeys(h.contract.currency for h in account.holdings.values() if h.quantity)
    total: dict[str, Decimal] = {}
    rows: list[AccountRow] = []
    for currency in currencies:
        rate = books.rates.rate_or_none(currency)
        ledger = _ledger(books, account, currency)
        for tag, amount in ledger.items():
            total[tag] = total.get(tag, ZERO) + (amount * rate if rate is not None else ZERO)
        # A currency without a pair has no rate: an empty text, never an invented number.
        rows += _rows(
            ledger,
            currency,
            "" if rate is None else f"{rate.quantize(Decimal('0.0000001'), ROUND_HALF_EVEN)}",
            account.name,
        )
    return [*rows, *_rows(total, "BASE", "1.00", account.name)]


def _ledger(books: Books, account: Account, currency: str) -> dict[str, Decimal]:
    """Money of one currency in itself."""
    cash = account.cash.get(currency, ZERO)
    stocks = futures = unrealized = ZERO
    for holding in account.holdings.values():
        if holding.contract.currency != currency or not holding.quantity:
            continue
        value = books.own_value(holding)
        unrealized += books.unrealized(holding)
        if holding.contract.sec_type == "FUT":
            futures += value
        else:
            stocks += value
    return {
        "CashBalance": cash,
        "TotalCashBalance": cash,
        "StockMarketValue": stocks,
        "FuturesPNL": futures,
        "NetLiquidationByCurrency": cash + stocks + futures,
        "UnrealizedPnL": unrealized,
        "RealizedPnL": account.realized_closed.get(currency, ZERO),
    }


def _rows(ledger: dict[str, Decimal], currency: str, rate: str, name: str) -> list[AccountRow]:
    special = {"ExchangeRate": rate, "AccountOrGroup": name, "RealCurrency": currency}
    rows = [AccountRow(tag="Currency", value=currency, currency=currency)]
    for tag in LEDGER_TAGS:
        text = special[tag] if tag in special else _money(ledger.get(tag, ZERO))
        rows.append(AccountRow(tag=tag, value=text, currency=currency))
    return rows


def _money(amount: Decimal) -> str:
    return f"{amount.quantize(_CENT, ROUND_HALF_EVEN):f}"


def _share(part: Decimal, whole: Decimal) -> Decimal:
    return (part / whole).quantize(Decimal("0.0001"), ROUND_HALF_EVEN) if whole > 0 else ZERO
