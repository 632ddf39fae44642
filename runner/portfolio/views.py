"""The books as plain rows: one dict per contract, order or execution. Amounts are Decimal, times aware UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from runner.model.events import CommissionCharged, Filled
from runner.model.money import ZERO
from runner.portfolio.positions import Position
from runner.store.journal import OrderRecord
from runner.store.tables import Row, instrument_columns


def position_rows(positions: Iterable[Position], price_of: Callable[[Position], Decimal]) -> list[dict[str, Any]]:
    """Open positions netted per contract, in the contract's currency; `strategies` says who has how much.

    A contract in which the strategies' positions cancel out is listed with quantity 0.
    """
    rows: dict[int, dict[str, Any]] = {}
    for position in positions:
        if not position.quantity:
            continue
        price = price_of(position)
        blank = {
            **instrument_columns(position.instrument),
            "quantity": ZERO,
            "market_price": price,
            "market_value": ZERO,
            "unrealized": ZERO,
            "strategies": {},
        }
        row = rows.setdefault(position.instrument.con_id, blank)
        row["quantity"] += position.quantity
        row["market_value"] += position.value(price)
        row["unrealized"] += position.unrealized(price)
        row["strategies"][position.strategy] = position.quantity
    return [rows[con_id] for con_id in sorted(rows)]


def order_row(record: OrderRecord) -> dict[str, Any]:
    """One order with its state and what was filled of it."""
    intent, request = record.intent, record.intent.request
    return {
        "order_ref": intent.order_ref,
        "strategy": intent.strategy,
        **instrument_columns(request.instrument),
        "side": request.side.value,
        "quantity": request.quantity,
        "order_type": request.order_type.value,
        "limit_price": request.limit_price,
        "purpose": request.purpose.value,
        "reason": request.reason,
        "state": record.state.value,
        "filled": record.filled,
        "generation": intent.generation,
        "created_at": intent.created_at,
        "updated_at": record.updated_at,
        "text": record.text,
    }


def fill_row(fill: Filled, commission: CommissionCharged | None) -> dict[str, Any]:
    """One execution; `commission` is None while it is not known."""
    return {
        "at": fill.at,
        "strategy": fill.strategy,
        **instrument_columns(fill.instrument),
        "side": fill.side.value,
        "quantity": fill.quantity,
        "price": fill.price,
        "commission": None if commission is None else commission.amount,
        "commission_currency": "" if commission is None else commission.currency,
        "exec_id": fill.exec_id,
        "order_ref": fill.order_ref,
        "generation": fill.generation,
        "account": fill.account,
    }


def stored_position(position: Position) -> Row:
    """The row of a position in ArcticDB; its commissions are those charged in the contract's own currency."""
    return {
        "strategy": position.strategy,
        **instrument_columns(position.instrument),
        "quantity": position.quantity,
        "average_price": position.average_price,
        "realized": position.realized,
        "commissions": position.commissions.get(position.instrument.currency, ZERO),
        "last_price": position.last_price,
        "updated_at": position.updated_at,
    }
