"""The columns of the event tables in ArcticDB, and how an event becomes a row.

This is the one crossing from exact decimals to the store's float64, lossless to 15 digits; the exact values stay in
the journal. Every frame has all the columns of its table with the types declared here, because ArcticDB fixes a
column's type at its first row and fills a missing number with 0 without a word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runner.model.events import CommissionCharged, Event, Filled, OrderPlaced, OrderRefused, Reloaded, StatusChanged
from runner.model.instruments import Instrument
from runner.model.orders import OrderIntent, OrderRequest

if TYPE_CHECKING:
    import pandas as pd

TEXT, INT, FLOAT, BOOL, TIME = "str", "int64", "float64", "bool", "datetime64[ns]"

UNASSIGNED = "_unassigned"
"""Symbol of facts that belong to no strategy, such as orders given by hand in TWS."""

_INSTRUMENT = {
    "con_id": INT,
    "symbol": TEXT,
    "sec_type": TEXT,
    "exchange": TEXT,
    "currency": TEXT,
    "expiry": TEXT,
    "multiplier": FLOAT,
}
_IDS = {"perm_id": INT, "order_id": INT, "client_id": INT, "source": TEXT}

FILLS = {
    "seq": INT,
    "at": TIME,
    "strategy": TEXT,
    "order_ref": TEXT,
    "account": TEXT,
    "exec_id": TEXT,
    "exec_base": TEXT,
    "revision": INT,
    **_INSTRUMENT,
    "side": TEXT,
    "quantity": FLOAT,
    "price": FLOAT,
    "executed_on": TEXT,
    "generation": INT,
    **_IDS,
}
COMMISSIONS = {
    "seq": INT,
    "at": TIME,
    "strategy": TEXT,
    "exec_id": TEXT,
    "amount": FLOAT,
    "currency": TEXT,
    "source": TEXT,
}
ORDERS = {
    "seq": INT,
    "at": TIME,
    "event": TEXT,
    "strategy": TEXT,
    "order_ref": TEXT,
    "state": TEXT,
    **_INSTRUMENT,
    "side": TEXT,
    "quantity": FLOAT,
    "order_type": TEXT,
    "limit_price": FLOAT,
    "stop_price": FLOAT,
    "trailing_percent": FLOAT,
    "tif": TEXT,
    "purpose": TEXT,
    "reason": TEXT,
    "parent_ref": TEXT,
    "oca_group": TEXT,
    "reference_price": FLOAT,
    "generation": INT,
    "account": TEXT,
    "filled": FLOAT,
    "remaining": FLOAT,
    "code": INT,
    "text": TEXT,
    **_IDS,
}
POSITIONS = {
    "strategy": TEXT,
    **_INSTRUMENT,
    "quantity": FLOAT,
    "average_price": FLOAT,
    "realized": FLOAT,
    "commissions": FLOAT,
    "last_price": FLOAT,
    "updated_at": TIME,
}
AUDIT = {
    "seq": INT,
    "at": TIME,
    "strategy": TEXT,
    "result": TEXT,
    "generation": INT,
    "running": INT,
    "cause": TEXT,
    "actor": TEXT,
    "file": TEXT,
    "spec_hash": TEXT,
    "apply": TEXT,
    "direction": TEXT,
    "changes": TEXT,
    "reason": TEXT,
    "text": TEXT,
}
EQUITY = {
    "strategy": TEXT,
    "currency": TEXT,
    "equity_with_loan": FLOAT,
    "net_liquidation": FLOAT,
    "realized": FLOAT,
    "unrealized": FLOAT,
    "commissions": FLOAT,
    "net": FLOAT,
    "exposure": FLOAT,
}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a row goes and what columns it has."""

    library: str
    symbol: str
    columns: Mapping[str, str]


_TABLE_OF: dict[str, tuple[str, str, Mapping[str, str]]] = {
    Filled.type: ("fills", "", FILLS),
    CommissionCharged.type: ("fills", ".commissions", COMMISSIONS),
    OrderPlaced.type: ("orders", "", ORDERS),
    OrderRefused.type: ("orders", "", ORDERS),
    StatusChanged.type: ("orders", "", ORDERS),
    Reloaded.type: ("audit", "", AUDIT),
}

KINDS = tuple(_TABLE_OF)
"""Event types that have a table; the others only the journal keeps."""


def target_of(kind: str, strategy: str) -> Target:
    """The table for events of type `kind`, one of `KINDS`."""
    library, suffix, columns = _TABLE_OF[kind]
    return Target(library, f"{strategy or UNASSIGNED}{suffix}", columns)


def row_of(seq: int, event: Event, order: OrderIntent | None) -> Row:
    """The row of an event; `order` is the one that a status or an execution is about, when it is known."""
    row: Row = {"seq": seq, "at": event.at, "strategy": event.strategy}
    match event:
        case Filled():
            row |= instrument_columns(event.instrument)
            for name in ("order_ref", "account", "exec_id", "exec_base", "revision", "side", "quantity", "price"):
                row[name] = getattr(event, name)
            row["executed_on"] = event.exchange
            row["generation"] = 0 if order is None else order.generation
            row |= _ids(event)
        case CommissionCharged():
            row |= {"exec_id": event.exec_id, "amount": event.amount, "currency": event.currency}
            row["source"] = event.source
        case OrderPlaced():
            intent = event.intent
            row |= {"event": event.type, "order_ref": intent.order_ref, "state": "Intent"}
            row |= _request_columns(intent.request)
            row |= {
                "reference_price": intent.reference_price,
                "generation": intent.generation,
                "account": intent.account,
                "client_id": intent.client_id,
                "remaining": intent.request.quantity,
            }
        case StatusChanged():
            row |= {} if order is None else _request_columns(order.request) | {"generation": order.generation}
            row["event"] = event.type
            for name in ("order_ref", "state", "filled", "remaining", "code", "text"):
                row[name] = getattr(event, name)
            row |= _ids(event)
        case OrderRefused():
            row |= instrument_columns(event.instrument)
            row |= {"event": event.type, "state": "Refused", "side": event.side, "quantity": event.quantity}
            row["text"] = str(event.refused)
        case Reloaded():
            for name in AUDIT.keys() - {"seq", "at", "strategy", "changes"}:
                row[name] = getattr(event, name)
            row["changes"] = "\n".join(event.changes)
        case _:
            raise ValueError(f"{event.type} events have no table")
    return row


def instrument_columns(instrument: Instrument) -> Row:
    return {name: getattr(instrument, name) for name in _INSTRUMENT}


def frame_of(rows: Sequence[Row], columns: Mapping[str, str], stamps_ns: Sequence[int] | None = None) -> pd.DataFrame:
    """Rows as a frame with exactly `columns`; `stamps_ns` become its UTC index `ts`, without them it is numbered.

    What a row does not say is NaN, 0, False, empty text or no time.
    """
    import numpy as np
    import pandas as pd

    data: dict[str, Any] = {}
    for name, kind in columns.items():
        values = [row.get(name) for row in rows]
        if kind == TEXT:
            # str() also turns enum members into plain text, which ArcticDB would refuse.
            data[name] = np.array(["" if value is None else str(value) for value in values], dtype=object)
        elif kind == FLOAT:
            data[name] = np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)
        elif kind == TIME:
            data[name] = np.array([_naive(value) for value in values], dtype="datetime64[ns]")
        else:
            data[name] = np.array([value or 0 for value in values], dtype=np.int64 if kind == INT else np.bool_)
    if stamps_ns is None:
        return pd.DataFrame(data)
    index = pd.DatetimeIndex(np.array(stamps_ns, dtype="datetime64[ns]"), tz="UTC", name="ts")
    return pd.DataFrame(data, index=index)


def nanoseconds(at: datetime) -> int:
    """Since 1970, exact to the microsecond that a datetime holds."""
    return (int(at.replace(microsecond=0).timestamp()) * 1_000_000 + at.microsecond) * 1_000


def _naive(at: datetime | None) -> datetime | None:
    """ArcticDB keeps no time zone in columns: UTC without saying so."""
    return None if at is None else at.astimezone(UTC).replace(tzinfo=None)


def _request_columns(request: OrderRequest) -> Row:
    row = instrument_columns(request.instrument)
    for name in ("side", "quantity", "order_type", "limit_price", "stop_price", "trailing_percent", "tif"):
        row[name] = getattr(request, name)
    for name in ("purpose", "reason", "parent_ref", "oca_group"):
        row[name] = getattr(request, name)
    return row


def _ids(event: Filled | StatusChanged) -> Row:
    return {name: getattr(event, name) for name in _IDS}
