"""Trailing stop: leave when the price has come back `trailing_stop_loss` from the best price since entry."""

from __future__ import annotations


def trailing_stop_loss_hit(
    side: float, entry_price: float, best_price: float, adverse: float, favourable: float, close: float, fraction: float
) -> bool:
    """Close a position once the price has come back by `trailing_stop_loss` from its best price since entry, provided
    that this best price was a profit.

    The bar's worst price is measured against the best price before the bar, because nobody knows whether its high or
    its low came first; its close came last, and is measured against its own best price too. `side` is +1 for a long
    and -1 for a short position; `best_price` is the one before this bar, `adverse` and `favourable` are the bar's
    worst and best price for the position. Touching counts. A `fraction` of 0 is off; NaN prices never hit.
    """
    if not fraction > 0.0:
        return False
    keep = 1.0 - side * fraction
    if side * (best_price - entry_price) > 0.0 and side * (adverse - best_price * keep) <= 0.0:
        return True
    best = best_price_since(side, best_price, favourable)
    return side * (best - entry_price) > 0.0 and side * (close - best * keep) <= 0.0


def best_price_since(side: float, best_price: float, favourable: float) -> float:
    """The better of two prices for a position: the higher for a long, the lower for a short. NaN is never better."""
    return favourable if side * (favourable - best_price) > 0.0 else best_price
