"""From target quantities to orders: what to send, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from runner.engine.decide import EXIT_SIGNAL
from runner.model.money import ZERO, toward_zero
from runner.model.orders import Purpose, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder:
    """One order to send. `quantity` is positive; `side` carries the sign."""

    index: int
    """Which instrument, as the arrays of the decision count them."""
    side: Side
    quantity: Decimal
    purpose: Purpose
    reason: int
    """A key of `runner.engine.decide.REASON_TEXT`."""


_RANK = {Purpose.EXIT: 0, Purpose.REDUCE: 1, Purpose.ENTRY: 2}


def order_plan(
    current: Sequence[Decimal],
    target: Sequence[Decimal],
    reason: Sequence[int],
    *,
    lots: Sequence[Decimal] | None = None,
) -> list[PlannedOrder]:
    """The orders that lead from the quantities held to the targets.

    Exits come first, then reductions, then what opens or increases; within each, sells before buys, because they free
    the money that buys need. A target on the other side of zero becomes two orders, one that closes (reason
    `exit_signal`) and one that opens, so that a refusal of the second never stops the first. With `lots` (smallest
    quantity step of each instrument) what is not an exit is rounded towards zero to it; an exit closes all that is
    held. Raises ValueError when the sequences differ in length or a quantity is not finite.
    """
    planned: list[PlannedOrder] = []
    for index, (held, wanted, why) in enumerate(zip(current, target, reason, strict=True)):
        if not (held.is_finite() and wanted.is_finite()):
            raise ValueError(f"instrument {index}: cannot go from {held} to {wanted}")
        lot = None if lots is None else lots[index]
        crossing = held * wanted < 0
        if crossing or (wanted == 0 and held != 0):
            code = EXIT_SIGNAL if crossing else why
            planned.append(_order(index, -held, Purpose.EXIT, code))
        if wanted != 0:
            base = ZERO if crossing else held
            change = wanted - base if lot is None else toward_zero(wanted - base, lot)
            if change != 0:
                purpose = Purpose.REDUCE if abs(wanted) < abs(base) else Purpose.ENTRY
                planned.append(_order(index, change, purpose, why))
    return sorted(planned, key=lambda order: (_RANK[order.purpose], order.side is Side.BUY, order.index))


def _order(index: int, change: Decimal, purpose: Purpose, reason: int) -> PlannedOrder:
    side = Side.BUY if change > 0 else Side.SELL
    return PlannedOrder(index=index, side=side, quantity=abs(change), purpose=purpose, reason=reason)
