"""When and at what price a bar fills an order. Pure functions of floats; the one place that knows these rules.

Prices are plain float64 in any one unit: the paper exchange passes whole ticks, so that its comparisons are exact and
Decimal begins again at its edge; a backtest may pass prices. Everything here is in the subset that numba compiles.

A bar is met in three phases, and an order fills in the first that takes it:

1. `at_open`: the bar's first price. What gapped through its price fills at the open, never at the better price that
   was never there (limit orders gain by that, stops lose by it).
2. `inside`: from the open to the close. A limit fills at its price when the bar touches it (`Rules.fill_at_touch`, else
   when it trades through it). A stop fills at its price. Whoever holds several orders on one instrument asks the
   protective ones first (`PROTECTIVE`): when a bar holds both stop and target, the stop is taken to come first.
   A trailing stop meets the bar's adverse extreme with the stop it had before this bar; only then is it moved from the
   favourable extreme, and it fills at the moved price only if the close proves that the market came back through it.
   A stop-limit whose limit the trigger has passed fills inside the same bar only if the close proves the way back.
3. `at_close`: the closing auction, for MOC and LOC.

Orders that take liquidity pay half a spread, but not in an auction, and always pay slippage. `rest_of_bar` is what is
left of a bar for an order that becomes active by a fill inside it.
"""

from __future__ import annotations

from typing import NamedTuple

MARKET = 0
LIMIT = 1
STOP = 2
STOP_LIMIT = 3
TRAIL = 4
TRAIL_LIMIT = 5
IF_TOUCHED = 6
LIMIT_IF_TOUCHED = 7
ON_CLOSE = 8
LIMIT_ON_CLOSE = 9
RELATIVE = 10
"""Kinds of orders; `limit` and `stop` of `Working` are said to mean below."""

PROTECTIVE = (STOP, STOP_LIMIT, TRAIL, TRAIL_LIMIT)

NOT_FILLED = 0
AT_OPEN = 1
INSIDE = 2
AT_CLOSE = 3
"""Phases of a match."""

NAN = float("nan")


class Rules(NamedTuple):
    """What is assumed about the market."""

    half_spread: float = 0.0
    """In the unit of prices; paid by orders that take liquidity outside auctions."""
    slippage: float = 0.0
    """Fraction of price; paid by market, stop, trailing and touched orders everywhere."""
    fill_at_touch: bool = True
    """Whether a limit fills when its price is only touched; False: the bar must trade through it."""


class Working(NamedTuple):
    """One working order.

    `limit`: LIMIT, STOP_LIMIT, LIMIT_IF_TOUCHED, LIMIT_ON_CLOSE, and the cap of RELATIVE (NaN: none).
    `stop`: the trigger of STOP, STOP_LIMIT, IF_TOUCHED, LIMIT_IF_TOUCHED; the present stop of TRAIL and TRAIL_LIMIT
    (NaN: starts from the bar's open); the offset of RELATIVE.
    """

    kind: int
    side: int
    """+1 buys, −1 sells."""
    limit: float = NAN
    stop: float = NAN
    trail_amount: float = NAN
    """In the unit of prices; NaN when the trail is a fraction."""
    trail_fraction: float = NAN
    limit_offset: float = 0.0
    """TRAIL_LIMIT: how far beyond the stop the limit is."""
    triggered: bool = False


class Match(NamedTuple):
    """What a phase did. `stop` and `triggered` are the order's new state, also without a fill."""

    phase: int
    price: float
    triggered: bool
    stop: float
    direction: int
    """How the market reached the price inside the bar: +1 rising, −1 falling, 0 at an edge of the bar."""


def taken_price(side: int, price: float, spread: float, rules: Rules) -> float:
    """What an order that takes liquidity gets when the market is at `price`."""
    return price + side * (spread + price * rules.slippage)


def trail_distance(order: Working, price: float) -> float:
    """The distance of a trailing stop from `price`."""
    if order.trail_amount == order.trail_amount:
        return order.trail_amount
    return price * order.trail_fraction


def trailed_stop(order: Working, stop: float, price: float) -> float:
    """The stop after the market was at `price`: it only ever moves towards the market."""
    candidate = price + order.side * trail_distance(order, price)
    if stop != stop:
        return candidate
    if order.side > 0:
        return min(stop, candidate)
    return max(stop, candidate)


def at_open(order: Working, open_: float, auction: bool, rules: Rules) -> Match:
    """The first price of a bar (`auction`: of a session)."""
    side, kind = order.side, order.kind
    spread = 0.0 if auction else rules.half_spread
    triggered, stop = order.triggered, order.stop
    if kind == MARKET:
        return Match(AT_OPEN, taken_price(side, open_, spread, rules), True, stop, 0)
    if kind in (TRAIL, TRAIL_LIMIT):
        if not triggered:
            stop = trailed_stop(order, stop, open_)
            # A stop that begins here is behind the market; one from before may have been gapped through.
            triggered = side * (open_ - order.stop) >= 0.0
        if triggered:
            stop = order.stop
    elif kind in (STOP, STOP_LIMIT):
        triggered = triggered or side * (open_ - stop) >= 0.0
    elif kind in (IF_TOUCHED, LIMIT_IF_TOUCHED):
        triggered = triggered or side * (open_ - stop) <= 0.0
    if triggered and (kind in (STOP, TRAIL, IF_TOUCHED)):
        return Match(AT_OPEN, taken_price(side, open_, spread, rules), True, stop, 0)
    if kind == LIMIT or (triggered and (kind in (STOP_LIMIT, TRAIL_LIMIT, LIMIT_IF_TOUCHED))):
        limit = stop + side * order.limit_offset if kind == TRAIL_LIMIT else order.limit
        offered = open_ + side * spread
        if side * (limit - offered) >= 0.0:
            return Match(AT_OPEN, offered, triggered, stop, 0)
    return Match(NOT_FILLED, NAN, triggered, stop, 0)


def inside(order: Working, open_: float, high: float, low: float, close: float, rules: Rules) -> Match:
    """From the open to the close of a bar at whose open the order did not fill."""
    side, kind = order.side, order.kind
    with_us, against_us = (low, high) if side > 0 else (high, low)
    if kind == LIMIT or (order.triggered and (kind in (STOP_LIMIT, TRAIL_LIMIT, LIMIT_IF_TOUCHED))):
        limit = order.stop + side * order.limit_offset if kind == TRAIL_LIMIT else order.limit
        return _resting(order, limit, with_us, order.triggered, rules)
    if kind == RELATIVE:
        # Relative to the near side of the market, and never worse than the market itself.
        limit = open_ + side * min(order.stop - rules.half_spread, 0.0)
        if order.limit == order.limit:
            limit = min(limit, order.limit) if side > 0 else max(limit, order.limit)
        return _resting(order, limit, with_us, order.triggered, rules)
    if kind in (STOP, STOP_LIMIT):
        if side * (against_us - order.stop) < 0.0:
            return Match(NOT_FILLED, NAN, False, order.stop, 0)
        return _elected(order, order.stop, order.limit, close, rules)
    if kind in (TRAIL, TRAIL_LIMIT):
        return _trailing(order, with_us, against_us, close, rules)
    if kind in (IF_TOUCHED, LIMIT_IF_TOUCHED):
        if side * (with_us - order.stop) > 0.0:
            return Match(NOT_FILLED, NAN, False, order.stop, 0)
        if kind == IF_TOUCHED:
            return Match(INSIDE, taken_price(side, order.stop, rules.half_spread, rules), True, order.stop, -side)
        if side * (order.limit - order.stop) >= 0.0:
            return Match(INSIDE, order.stop, True, order.stop, -side)
        return _resting(order, order.limit, with_us, True, rules)
    return Match(NOT_FILLED, NAN, order.triggered, order.stop, 0)


def at_close(order: Working, close: float, rules: Rules) -> Match:
    """The closing auction of a session."""
    if order.kind == ON_CLOSE:
        return Match(AT_CLOSE, taken_price(order.side, close, 0.0, rules), True, order.stop, 0)
    if order.kind == LIMIT_ON_CLOSE and order.side * (order.limit - close) >= 0.0:
        return Match(AT_CLOSE, close, True, order.stop, 0)
    return Match(NOT_FILLED, NAN, order.triggered, order.stop, 0)


def rest_of_bar(
    price: float, direction: int, high: float, low: float, close: float
) -> tuple[float, float, float, float]:
    """Open, high, low and close of what is known to follow a fill at `price` inside a bar.

    The extreme towards which the market was moving surely comes after the fill; the other one may have come before,
    so only the close is counted on. With direction 0 the fill was the bar's first price and everything follows.
    """
    if direction == 0:
        return price, max(high, price), min(low, price), close
    if direction < 0:
        return price, max(price, close), min(low, price), close
    return price, max(high, price), min(price, close), close


def _resting(order: Working, limit: float, with_us: float, triggered: bool, rules: Rules) -> Match:
    """A limit that is behind the market: does the bar come to it?"""
    depth = order.side * (limit - with_us)
    if depth > 0.0 or (depth == 0.0 and rules.fill_at_touch):
        return Match(INSIDE, limit, triggered, order.stop, -order.side)
    return Match(NOT_FILLED, NAN, triggered, order.stop, 0)


def _elected(order: Working, stop: float, limit: float, close: float, rules: Rules) -> Match:
    """A stop that the bar reaches at `stop`."""
    side = order.side
    if order.kind == STOP or order.kind == TRAIL:
        return Match(INSIDE, taken_price(side, stop, rules.half_spread, rules), True, stop, side)
    if side * (limit - stop) >= 0.0:
        offered = stop + side * rules.half_spread
        return Match(INSIDE, min(offered, limit) if side > 0 else max(offered, limit), True, stop, side)
    if side * (limit - close) >= 0.0:
        return Match(INSIDE, limit, True, stop, -side)
    return Match(NOT_FILLED, NAN, True, stop, 0)


def _trailing(order: Working, with_us: float, against_us: float, close: float, rules: Rules) -> Match:
    side = order.side
    # For a trailing order the favourable extreme is the one that moves the stop, the adverse one elects it.
    if side * (against_us - order.stop) >= 0.0:
        return _elected(order, order.stop, order.stop + side * order.limit_offset, close, rules)
    moved = trailed_stop(order, order.stop, with_us)
    if moved != order.stop and side * (close - moved) >= 0.0:
        return _elected(order, moved, moved + side * order.limit_offset, close, rules)
    return Match(NOT_FILLED, NAN, False, moved, 0)
