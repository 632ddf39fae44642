"""The orders of an exchange, and what has to be found among them quickly: by contract, by parent, by OCA group.

Children of one parent are a one-cancels-all group among themselves without being asked. OCA types, IB's numbers: 1
cancels the others at the first fill of any size; 2 and 3 reduce them by what filled, in proportion to their sizes.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from runner.gateway.held import Held, Key
from runner.gateway.model import ZERO, Contract, RequestRefused
from runner.gateway.order_checks import LARGEST_ORDER_ID

CANCEL_WITH_BLOCK = 1
MOST_REFUSED_IDS = 1000
"""Ids of refused orders that are remembered per client, because they may be used again."""


class Pending(NamedTuple):
    """What the working orders of one account may still buy (≥ 0) and sell (≤ 0) of a contract."""

    contract: Contract
    buys: Decimal
    sells: Decimal


class OrderIds:
    """Which order ids each client has used: every number once, and none below the highest."""

    def __init__(self) -> None:
        self.highest: dict[int, int] = {}
        self._refused: dict[int, dict[int, None]] = {}

    def next(self, client_id: int) -> int:
        return self.highest.get(client_id, 0) + 1

    def check(self, client_id: int, order_id: int) -> None:
        """RequestRefused 103 for a number that is used up. One whose order never existed may come again."""
        if 0 < order_id <= self.highest.get(client_id, 0) and order_id not in self._refused.get(client_id, {}):
            raise RequestRefused(103, "Duplicate order id")

    def use(self, client_id: int, order_id: int, *, refused: bool) -> None:
        """The number was seen in an order, which `refused` says never came to exist."""
        if not 0 < order_id <= LARGEST_ORDER_ID:
            return
        self.highest[client_id] = max(self.highest.get(client_id, 0), order_id)
        again = self._refused.setdefault(client_id, {})
        if not refused:
            again.pop(order_id, None)
            return
        again[order_id] = None
        while len(again) > MOST_REFUSED_IDS:
            del again[next(iter(again))]


class OrderBook:
    """Every order that is not forgotten yet. `touched` must be called after a change of quantity or fill."""

    def __init__(self) -> None:
        self.orders: dict[Key, Held] = {}
        self.dirty: set[Key] = set()
        """Orders that changed since somebody emptied this."""
        self._at_work: dict[int, list[Held]] = {}
        self._held_back: dict[Key, Held] = {}
        self._children: dict[Key, list[Held]] = {}
        self._oca: dict[tuple[str, str], list[Held]] = {}
        self._pending: dict[int, dict[str, Pending]] = {}

    def add(self, held: Held) -> None:
        """A new order, held back until `enter`."""
        self.orders[held.key] = held
        self._held_back[held.key] = held
        self._group(held)
        self.touched(held)

    def enter(self, held: Held) -> None:
        """The order is transmitted: it is at work from now on."""
        self._held_back.pop(held.key, None)
        self._at_work.setdefault(held.order.contract.con_id, []).append(held)
        self.touched(held)

    def leave(self, held: Held) -> None:
        """The order is done."""
        self._held_back.pop(held.key, None)
        con_id = held.order.contract.con_id
        orders = self._at_work.get(con_id, [])
        if held in orders:
            orders.remove(held)
            if not orders:
                del self._at_work[con_id]
        self.touched(held)

    def touched(self, held: Held) -> None:
        self.dirty.add(held.key)
        self._pending.pop(held.order.contract.con_id, None)

    def forget_done(self) -> list[Key]:
        """Drop the orders that are done. Returns their keys."""
        gone = [key for key, held in self.orders.items() if not held.order.active]
        for key in gone:
            del self.orders[key]
            self.dirty.discard(key)
        self._children.clear()
        self._oca.clear()
        for held in self.orders.values():
            self._group(held)
        return gone

    def _group(self, held: Held) -> None:
        if held.parent is not None:
            self._children.setdefault(held.parent, []).append(held)
        group = held.order.terms.oca_group
        if group:
            self._oca.setdefault((held.order.account, group), []).append(held)

    # who there is

    def contracts(self) -> list[int]:
        """Contracts with orders at work."""
        return list(self._at_work)

    def at_work(self, con_id: int) -> list[Held]:
        """Transmitted orders of a contract that are not done, oldest first."""
        return list(self._at_work.get(con_id, ()))

    def working(self) -> list[Held]:
        """All orders at work, oldest first."""
        return sorted((held for orders in self._at_work.values() for held in orders), key=lambda held: held.sequence)

    def held_back(self) -> list[Held]:
        """Orders that wait to be transmitted."""
        return list(self._held_back.values())

    def family(self, held: Held) -> list[Held]:
        """The parent of a child, and its siblings, as far as they are held back."""
        if held.parent is None:
            return []
        members = [self.orders.get(held.parent), *self._children.get(held.parent, ())]
        return [
            member for member in members if member is not None and member is not held and member.key in self._held_back
        ]

    def children(self, held: Held) -> list[Held]:
        """Active children, oldest first."""
        return [child for child in self._children.get(held.key, ()) if child.order.active]

    def pending(self, account: str) -> list[Pending]:
        """What may still fill, children left out: they close what their parents open."""
        found: list[Pending] = []
        for con_id, orders in self._at_work.items():
            sums = self._pending.get(con_id)
            if sums is None:
                sums = self._pending[con_id] = _sums(orders)
            if account in sums:
                found.append(sums[account])
        return found

    def affected(self, held: Held, quantity: Decimal) -> list[tuple[Held, Decimal | None]]:
        """Who is cancelled (None) or reduced (by how much) when `held` fills `quantity`."""
        terms, order = held.order.terms, held.order
        siblings = self._children.get(held.parent, []) if held.parent is not None else []
        grouped = self._oca.get((order.account, terms.oca_group), []) if terms.oca_group else []
        found: dict[int, tuple[Held, Decimal | None]] = {}
        for members, at_once in ((siblings, False), (grouped, terms.oca_type in (0, CANCEL_WITH_BLOCK))):
            for other in members:
                if other is held or not other.order.active or other.sequence in found:
                    continue
                ends = at_once or order.status == "Filled"
                found[other.sequence] = (other, None if ends else _share(held, other, quantity))
        return list(found.values())


def _sums(orders: list[Held]) -> dict[str, Pending]:
    sums: dict[str, Pending] = {}
    for held in orders:
        if held.parent is not None:
            continue
        account, remaining = held.order.account, held.order.remaining
        have = sums.get(account) or Pending(held.order.contract, ZERO, ZERO)
        if held.side > 0:
            sums[account] = have._replace(buys=have.buys + remaining)
        else:
            sums[account] = have._replace(sells=have.sells - remaining)
    return sums


def _share(held: Held, other: Held, quantity: Decimal) -> Decimal:
    """The part of `other` that goes with a fill of `quantity`, in whole lots."""
    step = other.order.contract.size_increment
    share = quantity * other.order.remaining / (held.order.remaining + quantity)
    return (share / step).to_integral_value(ROUND_HALF_UP) * step
