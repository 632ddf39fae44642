"""Stop loss: leave when the price has gone `stop_loss` of the entry price against the position."""

from __future__ import annotations


def stop_loss_hit(side: float, entry_price: float, adverse: float, fraction: float) -> bool:
    """Close a position once the price has touched `entry_price x (1 - stop_loss)`; for a short `x (1 + stop_loss)`.

    `side` is +1 for a long and -1 for a short position, `adverse` the worst price of the bar for it: a long's low, a
    short's high. Touching counts. A `fraction` of 0 is off; NaN prices never hit.
    """
    return fraction > 0.0 and side * (adverse - entry_price * (1.0 - side * fraction)) <= 0.0
