"""The accounts: cash per currency, positions with IB's average cost, P&L, margins.

Cash moves by exactly what executions and their commission reports say, in Decimal without rounding: price × quantity
× multiplier is finite and commissions are whole cents. Stocks are paid in full; futures settle their result when they
are closed; an FX trade moves the cash of two currencies and leaves a virtual position that has no value of its own.
Signed quantities: above zero is long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Protocol

from runner.gateway.model import ZERO, Contract, PositionLine

COST_PLACES = Decimal("0.00000001")
STOCK_INITIAL = Decimal("0.50")
STOCK_MAINTENANCE = Decimal("0.25")
FUTURE_INITIAL = Decimal("0.08")
FUTURE_MAINTENANCE = Decimal("0.07")
FX_INITIAL = Decimal("0.025")
FX_MAINTENANCE = Decimal("0.02")
FX_INITIAL_MINOR = Decimal("0.05")
"""Of pairs outside the dollar's and euro's own. All margins are fractions of the position's value."""
_MAJOR = frozenset({"USD", "EUR", "GBP", "JPY", "CHF", "AUD"})


class Prices(Protocol):
    """What the books ask of the market."""

    def price(self, con_id: int) -> Decimal | None:
        """The last price now."""


@dataclass(slots=True, kw_only=True)
class Holding:
    """One contract in one account. `cost` and `fees` belong to what is open, both signed as money paid out."""

    contract: Contract
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    """Σ signed quantity × price × multiplier."""
    fees: Decimal = ZERO
    """Commissions of what is open."""
    realized: Decimal = ZERO
    """Today's realised P&L, commissions included, in the contract's currency."""
    day_value: Decimal = ZERO
    """Market value at the previous close."""
    day_flow: Decimal = ZERO
    """What today's fills paid out, commissions included."""

    @property
    def average_cost(self) -> Decimal:
        """IB's: price × multiplier with the commission in it; 0 when flat."""
        if not self.quantity:
            return ZERO
        return _exact((self.cost + self.fees) / self.quantity)

    def value(self, price: Decimal | None) -> Decimal:
        """Market value; at cost while there is no price."""
        return self.cost if price is None else self.quantity * price * self.contract.multiplier


@dataclass(slots=True, kw_only=True)
class Account:
    """One account's books."""

    name: str
    cash: dict[str, Decimal] = field(default_factory=dict)
    holdings: dict[int, Holding] = field(default_factory=dict)
    day_equity: Decimal = ZERO
    """Equity at the previous close, base currency."""
    realized_closed: dict[str, Decimal] = field(default_factory=dict)
    """Today's realised P&L per currency."""

    def held(self, con_id: int) -> Decimal:
        """Signed position in a contract."""
        holding = self.holdings.get(con_id)
        return ZERO if holding is None else holding.quantity

    def add_cash(self, currency: str, amount: Decimal) -> None:
        self.cash[currency] = self.cash.get(currency, ZERO) + amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """Base currency."""

    initial: Decimal
    maintenance: Decimal


class CurrencyWithoutPair(Exception):
    """There is no FX contract from which a rate of `currency` to the base follows."""

    def __init__(self, currency: str) -> None:
        super().__init__(currency)
        self.currency = currency


class Rates:
    """Exchange rates from the FX contracts' last prices, through the dollar where there is no direct pair."""

    def __init__(self, base: str, pairs: Mapping[tuple[str, str], int], prices: Prices) -> None:
        self.base = base
        self._pairs = pairs
        self._prices = prices

    def rate(self, currency: str) -> Decimal:
        """Units of base currency for one of `currency`. CurrencyWithoutPair."""
        if currency == self.base:
            return Decimal(1)
        direct = self._direct(currency, self.base)
        if direct is not None:
            return direct
        first, second = self._direct(currency, "USD"), self._direct("USD", self.base)
        if first is None or second is None:
            raise CurrencyWithoutPair(currency)
        return first * second

    def rate_or_none(self, currency: str) -> Decimal | None:
        try:
            return self.rate(currency)
        except CurrencyWithoutPair:
            return None

    def _direct(self, base: str, quote: str) -> Decimal | None:
        if base == quote:
            return Decimal(1)
        con_id = self._pairs.get((base, quote))
        if con_id is not None:
            return self._prices.price(con_id)
        con_id = self._pairs.get((quote, base))
        price = self._prices.price(con_id) if con_id is not None else None
        return None if price is None else 1 / price


class Books:
    """All accounts and what follows from them."""

    def __init__(
        self, names: Iterable[str], cash: Mapping[str, Decimal], rates: Rates, prices: Prices,
        missing_rate: Callable[[str], None] = lambda currency: None,
    ) -> None:  # fmt: skip
        self.rates = rates
        self._prices = prices
        self._missing_rate = missing_rate
        self.accounts = {name: Account(name=name, cash=dict(cash)) for name in names}
        for account in self.accounts.values():
            account.day_equity = self.equity(account)

    # fills

    def fill(
        self, name: str, contract: Contract, quantity: Decimal, price: Decimal, commission: Decimal, charged_in: str
    ) -> Decimal | None:
        """Book `quantity` (signed) at `price`. Returns the realised P&L in the contract's currency, None when the
        fill only opens. The commission leaves the cash of `charged_in`."""
        account = self.accounts[name]
        holding = account.holdings.get(contract.con_id)
        if holding is None:
            holding = account.holdings[contract.con_id] = Holding(contract=contract)
        fee = commission if charged_in == contract.currency else self._cross(commission, charged_in, contract.currency)
        money = quantity * price * contract.multiplier
        account.add_cash(charged_in, -commission)
        holding.day_flow += money + fee
        closing = ZERO
        if holding.quantity and (holding.quantity > 0) != (quantity > 0):
            closing = min(abs(quantity), abs(holding.quantity)).copy_sign(quantity)
        realized: Decimal | None = None
        settled = ZERO
        if closing:
            part = fee if closing == quantity else _exact(fee * closing / quantity)
            settled, realized = self._close(holding, closing, price, part)
            fee -= part
        opening = quantity - closing
        holding.quantity += opening
        holding.cost += opening * price * contract.multiplier
        holding.fees += fee
        if contract.sec_type == "CASH":
            account.add_cash(contract.symbol, quantity)
            account.add_cash(contract.currency, -money)
        elif contract.sec_type == "FUT":
            account.add_cash(contract.currency, settled)
        else:
            account.add_cash(contract.currency, -money)
        if realized is not None:
            holding.realized += realized
            today = account.realized_closed
            today[contract.currency] = today.get(contract.currency, ZERO) + realized
        return realized

    def _close(self, holding: Holding, closing: Decimal, price: Decimal, fee: Decimal) -> tuple[Decimal, Decimal]:
        """Take `closing` (signed against the holding) out of it: (result before fees, realised P&L after fees)."""
        left = holding.quantity + closing
        if left:
            cost, fees = (
                _exact(holding.cost * -closing / holding.quantity),
                _exact(holding.fees * -closing / holding.quantity),
            )
        else:
            cost, fees = holding.cost, holding.fees
        result = -closing * price * holding.contract.multiplier - cost
        holding.quantity = left
        holding.cost -= cost
        holding.fees -= fees
        return result, result - fees - fee

    def _cross(self, amount: Decimal, currency: str, to: str) -> Decimal:
        """`amount` in another currency; as it is when a rate is missing (only an FX pair's own fee meets this)."""
        rate, other = self.rates.rate_or_none(currency), self.rates.rate_or_none(to)
        return _exact(amount * rate / other) if rate is not None and other else amount

    # values, in base currency

    def base(self, amount: Decimal, currency: str) -> Decimal:
        """In base currency. A currency without a pair counts as nothing, and is reported."""
        if not amount:
            return ZERO
        try:
            return amount * self.rates.rate(currency)
        except CurrencyWithoutPair:
            self._missing_rate(currency)
            return ZERO

    def equity(self, account: Account) -> Decimal:
        """Cash plus stocks plus the open result of futures: NetLiquidation and EquityWithLoanValue."""
        total = sum((self.base(amount, currency) for currency, amount in account.cash.items()), ZERO)
        for holding in account.holdings.values():
            total += self.base(self.own_value(holding), holding.contract.currency)
        return total

    def own_value(self, holding: Holding) -> Decimal:
        """What a holding adds to equity beyond cash, in its currency."""
        if not holding.quantity or holding.contract.sec_type == "CASH":
            return ZERO
        value = holding.value(self._prices.price(holding.contract.con_id))
        return value - holding.cost if holding.contract.sec_type == "FUT" else value

    def paid_in_full(self, account: Account) -> list[Holding]:
        """Open positions that are worth their whole price: not futures, not FX."""
        return [h for h in account.holdings.values() if h.quantity and h.contract.sec_type not in ("FUT", "CASH")]

    def unrealized(self, holding: Holding) -> Decimal:
        """In the contract's currency, after the commissions of opening it."""
        if not holding.quantity:
            return ZERO
        return holding.value(self._prices.price(holding.contract.con_id)) - holding.cost - holding.fees

    def margins(self, account: Account, extra: Mapping[int, tuple[Contract, Decimal]] | None = None) -> Margins:
        """Of the account's positions, with the signed quantities in `extra` added to them."""
        quantities = {c: (h.contract, h.quantity) for c, h in account.holdings.items()}
        for con_id, (contract, more) in (extra or {}).items():
            quantities[con_id] = (contract, quantities.get(con_id, (contract, ZERO))[1] + more)
        initial = maintenance = ZERO
        for contract, quantity in quantities.values():
            price = self._prices.price(contract.con_id) if quantity else None
            if price is None:
                continue
            value = self.base(abs(quantity) * price * contract.multiplier, contract.currency)
            first, second = margin_fractions(contract)
            initial += value * first
            maintenance += value * second
        return Margins(initial=initial, maintenance=maintenance)

    def line(self, name: str, con_id: int) -> PositionLine:
        """The position in a contract, zero when flat. KeyError when the account never held it."""
        holding = self.accounts[name].holdings[con_id]
        price = self._prices.price(con_id)
        return PositionLine(
            account=name,
            contract=holding.contract,
            quantity=holding.quantity,
            average_cost=holding.average_cost,
            market_price=price if price is not None else ZERO,
            market_value=holding.value(price) if holding.quantity else ZERO,
            unrealized=self.unrealized(holding),
            realized=holding.realized,
        )

    def lines(self, account: str | None) -> list[PositionLine]:
        """Open positions of one account, or of all."""
        names = self.accounts if account is None else [account]
        return [
            self.line(name, con_id)
            for name in names
            for con_id, holding in self.accounts[name].holdings.items()
            if holding.quantity
        ]

    def pnl(self, account: Account) -> tuple[Decimal, Decimal, Decimal]:
        """Daily, unrealised and realised P&L of the account in base currency."""
        unrealized = sum((self.base(self.unrealized(h), h.contract.currency) for h in account.holdings.values()), ZERO)
        return self.equity(account) - account.day_equity, unrealized, self.realized(account)

    def realized(self, account: Account) -> Decimal:
        return sum((self.base(amount, ccy) for ccy, amount in account.realized_closed.items()), ZERO)

    def new_day(self) -> None:
        """Today's P&L starts again from the prices of now."""
        for account in self.accounts.values():
            account.day_equity = self.equity(account)
            account.realized_closed.clear()
            for con_id in [c for c, holding in account.holdings.items() if not holding.quantity]:
                del account.holdings[con_id]
            for con_id, holding in account.holdings.items():
                holding.realized = holding.day_flow = ZERO
                holding.day_value = holding.value(self._prices.price(con_id))


def margin_fractions(contract: Contract) -> tuple[Decimal, Decimal]:
    """Initial and maintenance margin as fractions of value."""
    if contract.sec_type == "FUT":
        return FUTURE_INITIAL, FUTURE_MAINTENANCE
    if contract.sec_type == "CASH":
        major = {contract.symbol, contract.currency} <= _MAJOR
        return (FX_INITIAL, FX_MAINTENANCE) if major else (FX_INITIAL_MINOR, FX_INITIAL_MINOR)
    return STOCK_INITIAL, STOCK_MAINTENANCE


def _exact(amount: Decimal) -> Decimal:
    """To eight places, enough to be put together again without loss of a cent."""
    with localcontext() as context:
        context.prec = 40
        return amount.quantize(COST_PLACES, ROUND_HALF_EVEN)
