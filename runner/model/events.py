"""Standardized facts: what strategies push into `message_queue`, what the journal keeps, what `runner events` streams.

All are immutable and keyword-only; times are aware UTC. A fact carries its identity so that a second arrival changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, TypeAlias

from runner.model.instruments import Instrument
from runner.model.orders import OrderIntent, OrderState, Refused, Side


class Source(StrEnum):
    """Where a fact was seen."""

    LOCAL = "local"
    WIRE = "wire"
    SNAPSHOT = "snapshot"
    """Folded in after a connect or reconnect."""
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """An intent was committed."""

    type: ClassVar[str] = "order"
    at: datetime
    strategy: str
    intent: OrderIntent


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRefused:
    """The pre-trade gate said no; nothing was sent."""

    type: ClassVar[str] = "refused"
    at: datetime
    strategy: str
    instrument: Instrument
    side: Side
    quantity: Decimal
    refused: Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChanged:
    """An order went from one state to another."""

    type: ClassVar[str] = "status_change"
    at: datetime
    strategy: str
    order_ref: str
    state: OrderState
    filled: Decimal = Decimal(0)
    remaining: Decimal | None = None
    perm_id: int = 0
    order_id: int = 0
    client_id: int = 0
    code: int = 0
    """IB's error code when one came with it, else 0."""
    text: str = ""
    source: Source = Source.WIRE


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """An execution, or a corrected revision of one.

    `exec_id` is IB's; `exec_base` is all of it but the last group, `revision` the last group. The highest revision of
    a base is the truth. `side` carries the sign; `quantity` and `price` are positive, `price` in the instrument's
    currency per unit (before the multiplier).
    """

    type: ClassVar[str] = "fill"
    at: datetime
    """IB's execution time."""
    strategy: str
    order_ref: str
    account: str
    instrument: Instrument
    exec_id: str
    side: Side
    quantity: Decimal
    price: Decimal
    perm_id: int = 0
    order_id: int = 0
    client_id: int = 0
    exchange: str = ""
    source: Source = Source.WIRE

    @property
    def exec_base(self) -> str:
        return self.exec_id.rpartition(".")[0] or self.exec_id

    @property
    def revision(self) -> int:
        tail = self.exec_id.rpartition(".")[2]
        return int(tail) if tail.isdigit() else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommissionCharged:
    """The commission of one execution; may come long after it. `amount` is positive for a cost."""

    type: ClassVar[str] = "commission"
    at: datetime
    strategy: str
    exec_id: str
    amount: Decimal
    currency: str
    source: Source = Source.WIRE


class StrategyPhase(StrEnum):
    """Where a strategy is in its life. Paused: exits go on, nothing is opened."""

    PENDING = "Pending"
    WARMING = "Warming"
    RUNNING = "Running"
    PAUSED = "Paused"
    STOPPED = "Stopped"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChanged:
    """A strategy started, paused, stopped or failed."""

    type: ClassVar[str] = "strategy"
    at: datetime
    strategy: str
    phase: StrategyPhase
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the operator should read: a connection change, a mismatch, a store that refuses."""

    type: ClassVar[str] = "notice"
    at: datetime
    strategy: str
    """Empty when it concerns the whole runner."""
    code: str
    text: str


Event: TypeAlias = OrderPlaced | OrderRefused | StatusChanged | Filled | CommissionCharged | PhaseChanged | Notice
