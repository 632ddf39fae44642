"""Take profit: leave when the price has gone `take_profit` of the entry price in the position's favour."""

from __future__ import annotations


def take_profit_hit(side: float, entry_price: float, favourable: float, fraction: float) -> bool:
    """Close a position once the price has touched `entry_price x (1 + take_profit)`; for a short `x (1 - take_profit)`.

    `side` is +1 for a long and -1 for a short position, `favourable` the best price of the bar for it: a long's high,
    a short's low. Touching counts. A `fraction` of 0 is off; NaN prices never hit.
    """
    return fraction > 0.0 and side * (favourable - entry_price * (1.0 + side * fraction)) >= 0.0
