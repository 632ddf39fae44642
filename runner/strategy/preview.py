"""What a version would do now, without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from runner.engine.decide import REASON_TEXT
from runner.engine.orders import order_plan
from runner.model.instruments import Instrument
from runner.model.orders import Purpose, Side
from runner.strategy.deciding import Outcome, Situation
from runner.strategy.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeseenOrder:
    """An order that a decision would send. Quantities are units; `value` is in base currency, None without a price."""

    symbol: str
    side: Side
    quantity: Decimal
    purpose: Purpose
    reason: str
    value: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What a decision on the newest bars would come to."""

    targets: dict[str, Decimal]
    """symbol → signed units."""
    orders: tuple[ForeseenOrder, ...]
    equity: Decimal
    """Of the strategy, base currency."""
    loss_reached: bool = False
    """The day's loss is beyond `max_daily_loss`: entries end, working ones too."""
    warnings: tuple[str, ...] = ()
    """What else the author may not expect."""

    @property
    def turnover(self) -> float | None:
        """Value of the orders as a fraction of strategy equity; None where a price or equity is missing."""
        values = [order.value for order in self.orders]
        if self.equity <= 0 or any(value is None for value in values):
            return None
        return float(sum((value for value in values if value is not None), Decimal(0)) / self.equity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What a change of a strategy's file would come to."""

    then: Foresight
    """A decision now by the changed file."""
    now: Foresight
    """A decision now by the version in force."""
    at_once: Foresight
    """What the changed file would do without a decision: the stops that would trigger."""
    cancelled: tuple[ForeseenOrder, ...]
    """Working orders that would be cancelled at once, with what is left of them."""
    working: int
    """How many orders are working."""


def foresight(
    version: Version,
    situation: Situation,
    outcome: Outcome,
    prices: Sequence[Decimal | None],
    warnings: tuple[str, ...] = (),
) -> Foresight:
    """The decision as orders with their values."""
    held = [one.quantity for one in situation.holdings]
    lots = [instrument.lot for instrument in version.universe]
    planned = order_plan(held, list(outcome.targets), outcome.reasons, lots=lots)
    orders = []
    for order in planned:
        instrument: Instrument = version.universe[order.index]
        price, unit = prices[order.index], situation.unit_values[order.index]
        orders.append(
            ForeseenOrder(
                symbol=instrument.symbol,
                side=order.side,
                quantity=order.quantity,
                purpose=order.purpose,
                reason=REASON_TEXT[order.reason],
                value=None if price is None else order.quantity * price * unit,
            )
        )
    symbols = [instrument.symbol for instrument in version.universe]
    return Foresight(
        targets=dict(zip(symbols, outcome.targets, strict=True)),
        orders=tuple(orders),
        equity=situation.equity,
        loss_reached=outcome.loss_reached,
        warnings=warnings,
    )
