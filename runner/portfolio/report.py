"""What each strategy did, as rows for a report. Pure functions of the books; money in base currency."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from runner.model.events import CommissionCharged, Filled
from runner.model.money import ZERO
from runner.portfolio.positions import Books, Position

RateOf = Callable[[str], Decimal]
"""Currency → base units per unit of it, as `FXCache.rate`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionLine:
    """One open position. Prices and `unrealized` in the contract's currency, `market_value` in base currency."""

    symbol: str
    con_id: int
    currency: str
    quantity: Decimal
    average_price: Decimal
    market_price: Decimal
    market_value: Decimal
    unrealized: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyLine:
    """One strategy over the period of its fills. All money in base currency."""

    strategy: str
    orders: int
    """Orders with at least one fill."""
    fills: int
    bought: Decimal
    """Value of all purchases."""
    sold: Decimal
    realized: Decimal
    unrealized: Decimal
    gross: Decimal
    """realized + unrealized, before commissions."""
    commissions: Decimal
    net: Decimal
    """gross − commissions."""
    gross_exposure: Decimal
    """Σ |market value| of the open positions."""
    net_exposure: Decimal
    positions: tuple[PositionLine, ...]


def books_of(fills: Iterable[Filled], commissions: Iterable[CommissionCharged]) -> Books:
    """Books from any collection of facts, such as `journal.executions()` and `journal.commissions().values()`."""
    books = Books()
    for fill in fills:
        books.record(fill)
    for commission in commissions:
        books.charge(commission)
    return books


def strategy_lines(books: Books, prices: Mapping[int, Decimal], rate_of: RateOf) -> list[StrategyLine]:
    """One line per strategy that ever had a fill, by name. A contract without a price is valued at its last fill."""
    fills = books.fills()
    return [
        strategy_line(name, books.positions(name), [fill for fill in fills if fill.strategy == name], prices, rate_of)
        for name in books.strategies()
    ]


def strategy_line(
    name: str,
    positions: Sequence[Position],
    fills: Sequence[Filled],
    prices: Mapping[int, Decimal],
    rate_of: RateOf,
) -> StrategyLine:
    """The line of one strategy from its positions and the latest revisions of its fills."""
    realized = unrealized = commissions = long_value = short_value = ZERO
    lines: list[PositionLine] = []
    for position in positions:
        instrument = position.instrument
        price = prices.get(instrument.con_id, position.last_price)
        realized += _base(position.realized, instrument.currency, rate_of)
        open_profit = position.unrealized(price)
        unrealized += _base(open_profit, instrument.currency, rate_of)
        for currency, amount in position.commissions.items():
            commissions += _base(amount, currency, rate_of)
        value = _base(position.value(price), instrument.currency, rate_of)
        long_value += max(value, ZERO)
        short_value += min(value, ZERO)
        if position.quantity:
            lines.append(
                PositionLine(
                    symbol=instrument.symbol,
                    con_id=instrument.con_id,
                    currency=instrument.currency,
                    quantity=position.quantity,
                    average_price=position.average_price,
                    market_price=price,
                    market_value=value,
                    unrealized=open_profit,
                )
            )
    traded = [(fill.side.sign, _base(_value(fill), fill.instrument.currency, rate_of)) for fill in fills]
    return StrategyLine(
        strategy=name,
        orders=len({fill.order_ref or fill.perm_id for fill in fills if fill.quantity}),
        fills=sum(1 for fill in fills if fill.quantity),
        bought=sum((value for sign, value in traded if sign > 0), ZERO),
        sold=sum((value for sign, value in traded if sign < 0), ZERO),
        realized=realized,
        unrealized=unrealized,
        gross=realized + unrealized,
        commissions=commissions,
        net=realized + unrealized - commissions,
        gross_exposure=long_value - short_value,
        net_exposure=long_value + short_value,
        positions=tuple(sorted(lines, key=lambda line: line.symbol)),
    )


def _value(fill: Filled) -> Decimal:
    return fill.quantity * fill.price * fill.instrument.multiplier


def _base(amount: Decimal, currency: str, rate_of: RateOf) -> Decimal:
    """In base currency. An amount of 0 needs no rate."""
    return amount * rate_of(currency) if amount else ZERO
