"""The account as IB reports it: equity, cash per currency, exchange rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Protocol

from runner.errors import RunnerError

NOT_A_CURRENCY = ("", "BASE")
"""`BASE` rows are IB's totals converted into the base currency."""
UNSET = Decimal("1.7976931348623157E+308")
"""IB's "no number"."""


class AccountValueRow(Protocol):
    """One line of IB's account values, all of it text: `("EquityWithLoanValue", "1000000.00", "USD", "DU1")`."""

    @property
    def tag(self) -> str: ...

    @property
    def value(self) -> str: ...

    @property
    def currency(self) -> str: ...

    @property
    def account(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """The account at `at`. Equity in base currency, cash in each currency."""

    equity_with_loan: Decimal
    net_liquidation: Decimal
    cash: Mapping[str, Decimal] = field(default_factory=dict)
    base_currency: str
    at: datetime


def base_currency_of(rows: Sequence[AccountValueRow], hint: str = "") -> str:
    """The currency of the EquityWithLoanValue rows.

    `hint` settles it when they name several, and must be among them if they name any; RunnerError otherwise.
    """
    found = sorted(
        {row.currency for row in rows if row.tag == "EquityWithLoanValue" and row.currency not in NOT_A_CURRENCY}
    )
    if hint:
        if found and hint not in found:
            raise RunnerError(
                f"the configured base currency is {hint}, but the account reports equity in {', '.join(found)}",
                hint="correct the base currency in the configuration or leave it out",
            )
        return hint
    if len(found) == 1:
        return found[0]
    if found:
        raise RunnerError(
            f"the account reports equity in several currencies: {', '.join(found)}",
            hint="name one account, or set its base currency in the configuration",
        )
    raise RunnerError(
        "the account reports no EquityWithLoanValue with a currency, so its base currency is not known",
        hint="check that the session may read account data, or set the base currency in the configuration",
    )


def read_account(
    rows: Sequence[AccountValueRow], base_currency: str, at: datetime, before: AccountState | None
) -> tuple[AccountState | None, dict[str, Decimal]]:
    """(the account, exchange rates by currency) from account rows laid over what was known `before`.

    The account is None while neither these rows nor earlier ones say its equity. Exchange rates are base units per
    unit of the currency.
    """
    equity = before.equity_with_loan if before else None
    liquidation = before.net_liquidation if before else None
    cash = dict(before.cash) if before else {}
    rates: dict[str, Decimal] = {}
    for row in rows:
        value = _number(row.value)
        if value is None:
            continue
        if row.tag == "EquityWithLoanValue" and row.currency in (base_currency, ""):
            equity = value
        elif row.tag == "NetLiquidation" and row.currency in (base_currency, ""):
            liquidation = value
        elif row.tag in ("CashBalance", "$LEDGER-CashBalance") and row.currency not in NOT_A_CURRENCY:
            cash[row.currency] = value
        elif row.tag in ("ExchangeRate", "$LEDGER-ExchangeRate") and row.currency not in NOT_A_CURRENCY:
            rates[row.currency] = value
    if equity is None:
        return None, rates
    state = AccountState(
        equity_with_loan=equity,
        net_liquidation=equity if liquidation is None else liquidation,
        cash=cash,
        base_currency=base_currency,
        at=at,
    )
    return state, rates


def _number(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and abs(value) < UNSET else None
