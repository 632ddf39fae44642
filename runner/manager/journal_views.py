"""Answers of the control socket that the journal alone can give: orders, fills, events; and, when no runner runs,
status and positions in the same shapes, with None for every amount that depends on the market.

Nothing here needs the store, a price or a session with IB.
"""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Any

from runner.model.events import CommissionCharged, Filled, StrategyPhase
from runner.model.orders import OrderIntent
from runner.portfolio.positions import Books, Position
from runner.store.codec import decimal_text, event_to_json, time_text
from runner.store.journal import Journal, OrderRecord

PRICE_PLACES = 8
"""Decimals of averages and P&L in answers; the books themselves are exact."""


def status_view(journal: Journal, name: str | None) -> dict[str, Any]:
    """Strategies that have ever run here, none of them running now."""
    records = journal.intents(strategy=name)
    latest = {record.intent.strategy: record.intent for record in records}
    seen = [event.strategy for _, event in journal.events(kinds=["strategy"]) if event.strategy]
    names = sorted({strategy for strategy in (*seen, *latest) if name is None or strategy == name})
    held = [position for position in _books(journal, name).positions() if position.quantity]
    accounts = {intent.account for intent in latest.values()}
    account = journal.meta("account") or ", ".join(sorted(accounts))
    last = journal.events(since=max(0, journal.last_seq() - 1))
    return {
        "mode": "" if not account else "paper" if account.startswith("D") else "live",
        "account": account,
        "connected": False,
        "running": False,
        "gateway": "",
        "base_currency": "",
        "equity": None,
        "time": time_text(last[-1][1].at.astimezone(UTC)) if last else None,
        "warming": "",
        "locked": [],
        "watching": False,
        "strategies": [
            {
                "name": strategy,
                "kind": "",
                "file": "",
                "phase": StrategyPhase.STOPPED.value,
                "reason": _operator_word(journal.operator_state(strategy)),
                "generation": _generation(journal, strategy, latest.get(strategy)),
                "client_id": latest[strategy].client_id if strategy in latest else None,
                "positions": sum(1 for position in held if position.strategy == strategy),
                "day_pnl": None,
                "net_pnl": None,
                "orders_today": None,
                "exposure": None,
                "target_weight": None,
                "code": [],
                "code_changed": None,
            }
            for strategy in names
        ],
    }


def _generation(journal: Journal, strategy: str, order: OrderIntent | None) -> int | None:
    """The version that ran last; of a strategy without a file, what its last order carries."""
    ran = journal.generations.running(strategy)
    if ran is not None:
        return ran.generation
    return None if order is None else order.generation


def positions_view(journal: Journal, name: str | None) -> dict[str, Any]:
    """What the executions add up to. Without a session with IB no price is known, nor what is unassigned."""
    held = [position for position in _books(journal, name).positions() if position.quantity]
    return {"positions": [position_row(position, None) for position in held], "unassigned": []}


def position_row(position: Position, price: Decimal | None) -> dict[str, Any]:
    """One position in the shape of the `positions` answer; amounts in the contract's currency, before commissions."""
    return {
        "strategy": position.strategy,
        "symbol": position.instrument.symbol,
        "con_id": position.instrument.con_id,
        "currency": position.instrument.currency,
        "quantity": decimal_text(position.quantity),
        "average_price": decimal_text(round(position.average_price, PRICE_PLACES)),
        "market_price": None if price is None else decimal_text(price),
        "market_value": None if price is None else decimal_text(position.value(price)),
        "unrealized": None if price is None else decimal_text(round(position.unrealized(price), PRICE_PLACES)),
        "realized": decimal_text(round(position.realized, PRICE_PLACES)),
    }


def orders_view(journal: Journal, name: str | None, *, open_only: bool, limit: int) -> dict[str, Any]:
    """The newest `limit` orders, oldest first."""
    records = journal.intents(open_only=open_only, strategy=name)
    return {"orders": [order_row(record) for record in records[-limit:]]}


def order_row(record: OrderRecord) -> dict[str, Any]:
    """One order in the shape of the `orders` answer."""
    intent, request = record.intent, record.intent.request
    return {
        "order_ref": intent.order_ref,
        "strategy": intent.strategy,
        "symbol": request.instrument.symbol,
        "side": request.side.value,
        "quantity": decimal_text(request.quantity),
        "type": request.order_type.value,
        "limit_price": None if request.limit_price is None else decimal_text(request.limit_price),
        "state": record.state.value,
        "filled": decimal_text(record.filled),
        "reason": request.reason,
        "generation": intent.generation,
        "created_at": time_text(intent.created_at),
        "updated_at": time_text(record.updated_at),
        "text": record.text,
    }


def fills_view(journal: Journal, name: str | None, *, limit: int) -> dict[str, Any]:
    """The newest `limit` executions in their latest revision, oldest first."""
    books = _books(journal, name)
    return {"fills": [fill_row(fill, books.commission_of(fill)) for fill in books.fills()[-limit:]]}


def fill_row(fill: Filled, commission: CommissionCharged | None) -> dict[str, Any]:
    """One execution in the shape of the `fills` answer."""
    return {
        "at": time_text(fill.at),
        "strategy": fill.strategy,
        "symbol": fill.instrument.symbol,
        "side": fill.side.value,
        "quantity": decimal_text(fill.quantity),
        "price": decimal_text(fill.price),
        "currency": fill.instrument.currency,
        "commission": None if commission is None else decimal_text(commission.amount),
        "exec_id": fill.exec_id,
        "order_ref": fill.order_ref,
        "generation": fill.generation,
    }


def events_view(journal: Journal, *, since: int, limit: int | None) -> dict[str, Any]:
    """Events after `since`, oldest first."""
    return {"events": [event_to_json(event, seq) for seq, event in journal.events(since=since, limit=limit)]}


def _books(journal: Journal, name: str | None) -> Books:
    books = Books()
    for fill in journal.executions(strategy=name):
        books.record(fill)
    for commission in journal.commissions().values():
        books.charge(commission)
    return books


def _operator_word(state: str | None) -> str:
    return f"{state} by the operator" if state else ""
