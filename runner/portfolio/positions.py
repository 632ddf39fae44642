"""Positions as folds over executions: the same set of facts gives the same books, in any order and however often told.

Profit is counted by average cost, per strategy and contract, in the contract's currency, before commissions. All of it
is exact: `cash_flow` is what the executions brought in and paid out, `cost` what the open quantity cost, and realised
P&L is their sum, so P&L and cash can never drift apart.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from runner.model.events import CommissionCharged, Filled
from runner.model.instruments import Instrument
from runner.model.money import ZERO

COST_STEP = Decimal("1e-10")
"""The cost that stays when part of a position is closed is rounded to this; what is rounded off is realised."""

PositionKey: TypeAlias = tuple[str, int]
"""(strategy, con_id)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What one strategy has in one contract. `quantity` is signed; amounts are in the contract's currency."""

    strategy: str
    instrument: Instrument
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    """Σ quantity × price × multiplier of the open quantity; negative for a short position."""
    cash_flow: Decimal = ZERO
    """Received from sales minus paid for purchases, before commissions."""
    last_price: Decimal = ZERO
    """Price of the last execution."""
    updated_at: datetime | None = None
    fills: int = 0
    commissions: Mapping[str, Decimal] = field(default_factory=dict)
    """Currency → charged so far."""

    @property
    def average_price(self) -> Decimal:
        """Average price of the open quantity, per unit before the multiplier; 0 when flat."""
        return self.cost / (self.quantity * self.instrument.multiplier) if self.quantity else ZERO

    @property
    def realized(self) -> Decimal:
        """Realised P&L before commissions."""
        return self.cash_flow + self.cost

    def unrealized(self, price: Decimal) -> Decimal:
        """Unrealised P&L at `price`."""
        return self.quantity * price * self.instrument.multiplier - self.cost

    def value(self, price: Decimal) -> Decimal:
        """Market value at `price`, signed."""
        return self.quantity * price * self.instrument.multiplier


def apply(position: Position | None, fill: Filled) -> Position:
    """The position after one more execution, the latest in time. For others use `fold` or `Books`."""
    before = position or Position(strategy=fill.strategy, instrument=fill.instrument)
    signed = fill.side.sign * fill.quantity
    value = signed * fill.price * fill.instrument.multiplier
    quantity = before.quantity + signed
    if before.quantity * signed >= 0:
        cost = before.cost + value
    elif quantity * before.quantity >= 0:
        cost = (before.cost * quantity / before.quantity).quantize(COST_STEP) if quantity else ZERO
    else:  # through zero: what remains was opened at this price
        cost = quantity * fill.price * fill.instrument.multiplier
    return replace(
        before,
        instrument=fill.instrument,
        quantity=quantity,
        cost=cost,
        cash_flow=before.cash_flow - value,
        last_price=fill.price if signed else before.last_price,
        updated_at=fill.at,
        fills=before.fills + (1 if signed else 0),
    )


def latest_revisions(fills: Iterable[Filled]) -> list[Filled]:
    """The highest revision of each execution, in the order in which they happened."""
    latest: dict[tuple[str, str], Filled] = {}
    for fill in fills:
        known = latest.get((fill.account, fill.exec_base))
        if known is None or fill.revision > known.revision:
            latest[fill.account, fill.exec_base] = fill
    return sorted(latest.values(), key=_moment)


def fold(fills: Iterable[Filled]) -> dict[PositionKey, Position]:
    """Positions by (strategy, con_id) from any collection of executions. Commissions are not part of it."""
    positions: dict[PositionKey, Position] = {}
    for fill in latest_revisions(fills):
        key = (fill.strategy, fill.instrument.con_id)
        positions[key] = apply(positions.get(key), fill)
    return positions


def split_exec_id(exec_id: str) -> tuple[str, int]:
    """(base, revision) of an execution id, as `Filled` has them."""
    base, _, tail = exec_id.rpartition(".")
    return base or exec_id, int(tail) if tail.isdigit() else 0


def _moment(fill: Filled) -> tuple[datetime, str, str]:
    """Order of executions. Those of one instant are ordered by id, so that the order never depends on arrival."""
    return fill.at, fill.exec_base, fill.account


class Books:
    """The positions of all strategies, kept up to date event by event. Not thread-safe.

    A new execution that is the latest of its position is applied to it; anything else (a correction, a late one)
    recomputes that position from its executions.
    """

    def __init__(self) -> None:
        self._fills: dict[str, Filled] = {}
        self._identity_of: dict[str, str] = {}
        self._by_position: dict[PositionKey, list[tuple[tuple[datetime, str, str], str]]] = {}
        self._positions: dict[PositionKey, Position] = {}
        self._charges: dict[str, dict[int, CommissionCharged]] = {}
        self._charged: dict[str, tuple[PositionKey, str, Decimal]] = {}
        self._commissions: dict[PositionKey, dict[str, Decimal]] = {}
        self._executed: dict[str, Decimal] = {}

    def record(self, fill: Filled) -> bool:
        """Take in an execution; False when this or a later revision of it is known already."""
        identity = f"{fill.account}/{fill.exec_base}"
        known = self._fills.get(identity)
        if known is not None and known.revision >= fill.revision:
            return False
        self._fills[identity] = fill
        self._identity_of.setdefault(fill.exec_base, identity)
        key = (fill.strategy, fill.instrument.con_id)
        if known is not None:
            old_key = (known.strategy, known.instrument.con_id)
            self._by_position[old_key].remove((_moment(known), identity))
            self._executed[known.order_ref] -= known.quantity
            if old_key != key:
                self._recompute(old_key)
        self._executed[fill.order_ref] = self._executed.get(fill.order_ref, ZERO) + fill.quantity
        entries = self._by_position.setdefault(key, [])
        insort(entries, (_moment(fill), identity))
        if entries[-1][1] == identity and known is None:
            self._positions[key] = apply(self._positions.get(key), fill)
        else:
            self._recompute(key)
        self._charge(fill.exec_base)
        return True

    def charge(self, commission: CommissionCharged) -> bool:
        """Take in a commission, before or after its execution; False when it is known already.

        A corrected execution is charged once: the commission of its highest revision that has one counts.
        """
        base, revision = split_exec_id(commission.exec_id)
        charges = self._charges.setdefault(base, {})
        if revision in charges:
            return False
        charges[revision] = commission
        self._charge(base)
        return True

    def position(self, strategy: str, con_id: int) -> Position | None:
        """What a strategy has in a contract, also when it is flat by now; None when it never had any."""
        return self._positions.get((strategy, con_id))

    def positions(self, strategy: str | None = None) -> list[Position]:
        """Every position, flat ones included, by strategy and contract."""
        return [self._positions[key] for key in sorted(self._positions) if strategy is None or key[0] == strategy]

    def knows(self, fill: Filled) -> bool:
        """Whether this revision of the execution, or a later one, has been taken in."""
        known = self._fills.get(f"{fill.account}/{fill.exec_base}")
        return known is not None and known.revision >= fill.revision

    def executed(self, order_ref: str) -> Decimal:
        """Quantity executed of an order."""
        return self._executed.get(order_ref, ZERO)

    def fills(self) -> list[Filled]:
        """The latest revision of every execution, in the order in which they happened."""
        return sorted(self._fills.values(), key=_moment)

    def commission_of(self, fill: Filled) -> CommissionCharged | None:
        """The commission that counts for an execution."""
        charges = self._charges.get(fill.exec_base)
        return charges[max(charges)] if charges else None

    def strategies(self) -> list[str]:
        return sorted({key[0] for key in self._positions})

    def _recompute(self, key: PositionKey) -> None:
        position: Position | None = None
        for _, identity in self._by_position[key]:
            position = apply(position, self._fills[identity])
        if position is None:
            self._positions.pop(key, None)
            return
        self._positions[key] = replace(position, commissions=dict(self._commissions.get(key, {})))

    def _charge(self, base: str) -> None:
        charges = self._charges.get(base)
        fill = self._fills.get(self._identity_of.get(base, ""))
        if not charges or fill is None:
            return
        old = self._charged.pop(base, None)
        if old is not None:
            self._add_commission(old[0], old[1], -old[2])
        commission = charges[max(charges)]
        key = (fill.strategy, fill.instrument.con_id)
        self._charged[base] = (key, commission.currency, commission.amount)
        self._add_commission(key, commission.currency, commission.amount)

    def _add_commission(self, key: PositionKey, currency: str, amount: Decimal) -> None:
        totals = self._commissions.setdefault(key, {})
        totals[currency] = totals.get(currency, ZERO) + amount
        position = self._positions.get(key)
        if position is not None:
            self._positions[key] = replace(position, commissions=dict(totals))
