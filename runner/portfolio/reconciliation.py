"""Our books beside IB's: positions per contract, cash per currency, realised P&L. Pure functions, exact to the cent.

IB keeps one position per account and contract, commissions inside its average cost; we keep one per strategy, without
them. So realised P&L is compared by folding all our executions the way IB does, not by adding up the strategies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from runner.model.events import CommissionCharged, Filled
from runner.model.instruments import SecType
from runner.model.money import CENT, ZERO
from runner.portfolio.positions import latest_revisions, split_exec_id

HELD_ON_MARGIN = (SecType.FUTURE,)
"""Contracts that cost no cash to hold: only their realised profit moves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookLine:
    """One number in our books beside IB's. Cash and P&L are rounded to the cent, quantities are exact."""

    what: str
    """`position AAPL`, `cash USD`, `realised P&L USD`."""
    ours: Decimal
    theirs: Decimal

    @property
    def agrees(self) -> bool:
        return self.ours == self.theirs


def compare_positions(
    fills: Iterable[Filled],
    theirs: Mapping[int, Decimal],
    *,
    before: Mapping[int, Decimal] | None = None,
    names: Mapping[int, str] | None = None,
) -> list[BookLine]:
    """Positions by con_id: what was there `before` plus our fills, against IB's. Contracts flat on both sides are left
    out unless we traded them. `names` label contracts that we never traded."""
    ours = dict(before or {})
    labels = dict(names or {})
    traded: set[int] = set()
    for fill in latest_revisions(fills):
        con_id = fill.instrument.con_id
        ours[con_id] = ours.get(con_id, ZERO) + fill.side.sign * fill.quantity
        labels[con_id] = str(fill.instrument)
        traded.add(con_id)
    lines = []
    for con_id in {*ours, *theirs}:
        line = BookLine(
            what=f"position {labels.get(con_id, con_id)}", ours=ours.get(con_id, ZERO), theirs=theirs.get(con_id, ZERO)
        )
        if line.ours or line.theirs or con_id in traded:
            lines.append(line)
    return sorted(lines, key=lambda line: line.what)


def expected_cash(
    start: Mapping[str, Decimal], fills: Iterable[Filled], commissions: Iterable[CommissionCharged]
) -> dict[str, Decimal]:
    """Cash per currency: `start` plus what executions and commissions did to it, unrounded.

    Stocks move the currency they are quoted in; a currency pair moves both of its currencies; a future moves cash only
    by the profit that closing it realises.
    """
    cash = dict(start)
    latest = latest_revisions(fills)
    for fill in latest:
        instrument = fill.instrument
        signed = fill.side.sign * fill.quantity
        if instrument.sec_type in HELD_ON_MARGIN:
            continue
        _add(cash, instrument.currency, -signed * fill.price * instrument.multiplier)
        if instrument.sec_type is SecType.FOREX:
            _add(cash, instrument.symbol, signed)
    margined = [fill for fill in latest if fill.instrument.sec_type in HELD_ON_MARGIN]
    for currency, profit in account_realized(margined, ()).items():
        _add(cash, currency, profit)
    for commission in charged(latest, commissions):
        _add(cash, commission.currency, -commission.amount)
    return cash


def compare_cash(
    start: Mapping[str, Decimal],
    fills: Iterable[Filled],
    commissions: Iterable[CommissionCharged],
    theirs: Mapping[str, Decimal],
) -> list[BookLine]:
    """Cash per currency to the cent: start cash + fills and commissions against IB's CashBalance rows."""
    ours = expected_cash(start, fills, commissions)
    return [_line(f"cash {currency}", ours, theirs, currency) for currency in sorted({*ours, *theirs})]


def compare_realized(
    fills: Iterable[Filled], commissions: Iterable[CommissionCharged], theirs: Mapping[str, Decimal]
) -> list[BookLine]:
    """Realised P&L per currency to the cent, counted as IB does."""
    ours = account_realized(fills, commissions)
    return [_line(f"realised P&L {currency}", ours, theirs, currency) for currency in sorted({*ours, *theirs})]


def account_realized(fills: Iterable[Filled], commissions: Iterable[CommissionCharged]) -> dict[str, Decimal]:
    """Realised P&L per currency as IB counts it: by account and contract over all strategies, average cost, the
    commissions of opening inside the cost and those of closing taken off the proceeds."""
    latest = latest_revisions(fills)
    costs = {split_exec_id(commission.exec_id)[0]: commission for commission in charged(latest, commissions)}
    held: dict[tuple[str, int], tuple[Decimal, Decimal]] = {}
    realized: dict[str, Decimal] = {}
    for fill in latest:
        if not fill.quantity:
            continue
        instrument = fill.instrument
        commission = costs.get(fill.exec_base)
        # IB books a commission in another currency separately; it is not part of this contract's cost.
        fee = commission.amount if commission is not None and commission.currency == instrument.currency else ZERO
        key = (fill.account, instrument.con_id)
        quantity, cost = held.get(key, (ZERO, ZERO))
        signed = fill.side.sign * fill.quantity
        closing = min(abs(signed), abs(quantity)) if quantity * signed < 0 else ZERO
        opening = abs(signed) - closing
        price = fill.price * instrument.multiplier
        fee_closing = fee * closing / abs(signed)
        if closing:
            part = cost * closing / abs(quantity)
            _add(realized, instrument.currency, -fill.side.sign * closing * price - part - fee_closing)
            cost -= part
            quantity += fill.side.sign * closing
        if opening:
            cost += fill.side.sign * opening * price + fee - fee_closing
            quantity += fill.side.sign * opening
        held[key] = (quantity, cost if quantity else ZERO)
    return realized


def charged(fills: Iterable[Filled], commissions: Iterable[CommissionCharged]) -> list[CommissionCharged]:
    """The commissions that count for these executions: of each, the one of its highest revision that has one."""
    bases = {fill.exec_base for fill in fills}
    latest: dict[str, tuple[int, CommissionCharged]] = {}
    for commission in commissions:
        base, revision = split_exec_id(commission.exec_id)
        if base in bases and (base not in latest or revision > latest[base][0]):
            latest[base] = (revision, commission)
    return [commission for _, commission in latest.values()]


def _line(what: str, ours: Mapping[str, Decimal], theirs: Mapping[str, Decimal], currency: str) -> BookLine:
    return BookLine(what=what, ours=_cents(ours.get(currency, ZERO)), theirs=_cents(theirs.get(currency, ZERO)))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_EVEN)


def _add(totals: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    totals[currency] = totals.get(currency, ZERO) + amount
