"""How one event is recorded: which are new, and what they change in the tables beside the stream.

- An order intent is new once per `order_ref`; the same reference for another order is refused.
- A status is new when it says something that the current state of its order does not; a terminal FILLED is never left,
  and "sent" only follows "intent". Zero ids in a status mean "not said" and keep what is known.
- An execution is new once per (account, exec_base, revision), a commission once per exec_id.
- Everything else is always new.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import dataclass
from typing import assert_never

from runner.errors import StoreError
from runner.model.events import (
    CommissionCharged,
    Event,
    Filled,
    Notice,
    OrderPlaced,
    OrderRefused,
    PhaseChanged,
    Reloaded,
    Source,
    StatusChanged,
)
from runner.model.orders import OrderState
from runner.store.codec import decimal_text, event_to_json, time_text


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of one event: its number in the journal, or 0 and `new` False when it was known already."""

    seq: int
    event: Event
    new: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event with its JSON, made in the producer's thread so that bad values are refused there."""

    event: Event
    ts: str
    body: str
    crc: int


def prepare(event: Event) -> Prepared:
    """ValueError when the event cannot be written as JSON and read back."""
    data = event_to_json(event)
    del data["seq"]
    body = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Prepared(event, data["ts"], body, zlib.crc32(body.encode()))


def record(connection: sqlite3.Connection, prepared: Prepared) -> Recorded:
    """Write one event inside the transaction under way."""
    event = prepared.event
    match event:
        case OrderPlaced():
            seq = _record_intent(connection, prepared, event)
        case StatusChanged():
            seq = _record_status(connection, prepared, event)
        case Filled():
            seq = _record_execution(connection, prepared, event)
        case CommissionCharged():
            seq = _record_commission(connection, prepared, event)
        case OrderRefused() | PhaseChanged() | Reloaded() | Notice():
            seq = _insert_event(connection, prepared, "")
        case _:
            assert_never(event)
    return Recorded(seq, event, seq > 0)


def order_key(event: StatusChanged | Filled) -> str:
    """What identifies the order of an event: our reference, or IB's permanent id for orders that are not ours."""
    return event.order_ref or f"perm:{event.perm_id}"


def _insert_event(connection: sqlite3.Connection, prepared: Prepared, key: str) -> int:
    event = prepared.event
    cursor = connection.execute(
        "INSERT INTO event (ts, type, strategy, key, body, crc) VALUES (?, ?, ?, ?, ?, ?)",
        (prepared.ts, event.type, event.strategy, key, prepared.body, prepared.crc),
    )
    return int(cursor.lastrowid or 0)


def _record_intent(connection: sqlite3.Connection, prepared: Prepared, event: OrderPlaced) -> int:
    intent = event.intent
    known = connection.execute(
        "SELECT event.body FROM intent JOIN event USING (seq) WHERE order_ref = ?", (intent.order_ref,)
    ).fetchone()
    if known is not None:
        if _intent_part(known[0]) != _intent_part(prepared.body):
            raise StoreError(f"order reference {intent.order_ref} already belongs to another order")
        return 0
    seq = _insert_event(connection, prepared, intent.order_ref)
    connection.execute(
        "INSERT INTO intent (order_ref, strategy, account, con_id, parent_ref, generation, seq)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            intent.order_ref,
            intent.strategy,
            intent.account,
            intent.request.instrument.con_id,
            intent.request.parent_ref,
            intent.generation,
            seq,
        ),
    )
    connection.execute(
        "INSERT OR IGNORE INTO order_state VALUES (?, ?, ?, 0, '0', ?, 0, 0, ?, 0, '', ?, ?)",
        (
            intent.order_ref,
            intent.strategy,
            OrderState.INTENT.value,
            decimal_text(intent.request.quantity),
            intent.client_id,
            prepared.ts,
            seq,
        ),
    )
    return seq


def _intent_part(body: str) -> dict[str, object]:
    """An intent without the time of the event around it."""
    data: dict[str, object] = json.loads(body)
    del data["ts"]
    return data


def _record_status(connection: sqlite3.Connection, prepared: Prepared, event: StatusChanged) -> int:
    key = order_key(event)
    known = connection.execute(
        "SELECT state, filled, remaining, perm_id, order_id, client_id, code, text FROM order_state"
        " WHERE order_key = ?",
        (key,),
    ).fetchone()
    remaining = None if event.remaining is None else decimal_text(event.remaining)
    perm_id, order_id, client_id = event.perm_id, event.order_id, event.client_id
    if known is not None:
        if known[0] == OrderState.FILLED and event.state is not OrderState.FILLED:
            return 0
        if event.state is OrderState.SENT and event.source is Source.LOCAL and known[0] != OrderState.INTENT:
            return 0
        perm_id, order_id, client_id = perm_id or known[3], order_id or known[4], client_id or known[5]
        if remaining is None:
            remaining = known[2]
    row = (
        event.state.value,
        decimal_text(event.filled),
        remaining,
        perm_id,
        order_id,
        client_id,
        event.code,
        event.text,
    )
    if known == row:
        return 0
    seq = _insert_event(connection, prepared, key)
    connection.execute(
        "INSERT OR REPLACE INTO order_state (order_key, strategy, terminal, state, filled, remaining, perm_id,"
        " order_id, client_id, code, text, updated_at, seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (key, event.strategy, int(event.state.terminal), *row, time_text(event.at), seq),
    )
    return seq


def _record_execution(connection: sqlite3.Connection, prepared: Prepared, event: Filled) -> int:
    identity = (event.account, event.exec_base, event.revision)
    if connection.execute(
        "SELECT 1 FROM execution WHERE account = ? AND exec_base = ? AND revision = ?", identity
    ).fetchone():
        return 0
    seq = _insert_event(connection, prepared, event.exec_id)
    connection.execute(
        "INSERT INTO execution (account, exec_base, revision, exec_id, order_ref, strategy, con_id, quantity, seq)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *identity,
            event.exec_id,
            order_key(event),
            event.strategy,
            event.instrument.con_id,
            decimal_text(event.quantity),
            seq,
        ),
    )
    return seq


def _record_commission(connection: sqlite3.Connection, prepared: Prepared, event: CommissionCharged) -> int:
    if connection.execute("SELECT 1 FROM commission WHERE exec_id = ?", (event.exec_id,)).fetchone():
        return 0
    seq = _insert_event(connection, prepared, event.exec_id)
    connection.execute("INSERT INTO commission (exec_id, seq) VALUES (?, ?)", (event.exec_id, seq))
    return seq
