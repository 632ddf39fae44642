"""An order as the exchange holds it: the order the clients see, and what matching needs to know of it.

Prices here are whole ticks as floats, so that comparisons are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from runner.engine import matching
from runner.engine.matching import NAN, Working
from runner.gateway.market import Series
from runner.gateway.model import ZERO, OrderTerms, PaperOrder
from runner.gateway.order_checks import KINDS

Key = tuple[int, int]
"""Client id and order id."""

HELD_UNTIL_CONDITION = "conditions"
"""`why_held` of an order with conditions: they are stored and shown, and never come true here."""


@dataclass(slots=True, kw_only=True, eq=False)
class Held:
    """One order and its place in the book. Compared by identity."""

    order: PaperOrder
    series: Series
    sequence: int
    working: Working
    expires: int | None = None
    """Epoch second at which the order dies; None for good till cancelled."""
    active_from: int = 0
    session: int = 0
    """The first session (of the contract's calendar) in which it can trade."""
    parent: Key | None = None
    waiting: bool = False
    """A child whose parent is not filled yet."""
    at_exchange: bool = False
    """Whether it was in the market while that was open."""
    commission: Decimal = ZERO
    """Charged so far: an order's minimum is charged once."""
    value: Decimal = ZERO
    """Σ price × quantity of its fills."""

    @property
    def key(self) -> Key:
        return self.order.client_id, self.order.order_id

    @property
    def side(self) -> int:
        return self.working.side

    @property
    def protective(self) -> bool:
        return self.working.kind in matching.PROTECTIVE

    @property
    def auction_only(self) -> bool:
        return self.order.terms.tif == "OPG"


def working_of(terms: OrderTerms, series: Series, trail_stop: float = NAN) -> Working:
    """How an order is matched. `trail_stop` keeps where a trailing stop already is."""
    tick = series.tick
    kind = KINDS[terms.order_type]

    def ticks(price: Decimal | None) -> float:
        return NAN if price is None else float(round(price / tick))

    limit = ticks(terms.limit_price)
    stop, amount, fraction, offset = ticks(terms.aux_price), NAN, NAN, 0.0
    if kind == matching.RELATIVE:
        stop = 0.0 if terms.aux_price is None else stop
        limit = limit or NAN
    if kind in (matching.TRAIL, matching.TRAIL_LIMIT):
        if terms.trailing_percent:
            fraction = float(terms.trailing_percent) / 100.0
        else:
            amount = stop
        stop = trail_stop if trail_stop == trail_stop else ticks(terms.trail_stop_price or None)
        if terms.limit_price_offset is not None:
            offset = ticks(terms.limit_price_offset)
        elif kind == matching.TRAIL_LIMIT and terms.limit_price and terms.trail_stop_price:
            offset = abs(ticks(terms.trail_stop_price) - limit)
    return Working(
        kind=kind,
        side=1 if terms.action == "BUY" else -1,
        limit=limit,
        stop=stop,
        trail_amount=amount,
        trail_fraction=fraction,
        limit_offset=offset,
    )
