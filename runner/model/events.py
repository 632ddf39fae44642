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
    generation: int = 0
    """Of the version that sent its order; 0 for hand-written strategies, and in journals from before it was kept."""

    @property
    def exec_base(self) -> str:
        return identity_of(self.exec_id)[0]

    @property
    def revision(self) -> int:
        return identity_of(self.exec_id)[1]


def identity_of(exec_id: str) -> tuple[str, int]:
    """The base of an exec id and its revision."""
    base, _, tail = exec_id.rpartition(".")
    return base or exec_id, int(tail) if tail.isdigit() else 0


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
    HELD = "Held"
    """Its file is gone and it still holds positions: their stops act, nothing else."""
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


class ReloadResult(StrEnum):
    """What became of a version of a strategy's file, or of an order about one."""

    APPLIED = "applied"
    REFUSED = "refused"
    """It has problems, or could not be prepared; what ran runs on."""
    HELD = "held"
    """It loosens something and waits for an approval."""
    WAITING = "waiting"
    """It waits for the store or for the end of the trading window."""
    REJECTED = "rejected"
    UNCHANGED = "unchanged"
    """The text changed, and nothing that the strategy runs with."""
    MOVED = "moved"
    """The file has another name; the strategy is the same."""
    REMOVED = "removed"
    DRIFTED = "drifted"
    """Somebody changed the strategy's row in the store."""
    OVERRIDDEN = "overridden"
    """A value holds in place of the file's for a while."""
    RESTORED = "restored"
    """The file's value holds again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """A strategy's file was changed, or somebody decided about a change."""

    type: ClassVar[str] = "reload"
    at: datetime
    strategy: str
    result: ReloadResult
    generation: int
    """The version that this is about."""
    running: int
    """The version in force afterwards; 0 when none is."""
    cause: str = ""
    """edit, start, approve, reject, rollback, override, store or remove."""
    actor: str = ""
    """Who: the file's owner, or the user of the command."""
    file: str = ""
    spec_hash: str = ""
    apply: str = ""
    """The strongest class among the changed fields."""
    direction: str = ""
    changes: tuple[str, ...] = ()
    """`params.stop_loss 0.05 → 0.03`, one a field."""
    reason: str = ""
    text: str = ""
    """Why it was refused, or what it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something the operator should read: a connection change, a mismatch, a store that refuses."""

    type: ClassVar[str] = "notice"
    at: datetime
    strategy: str
    """Empty when it concerns the whole runner."""
    code: str
    text: str


Event: TypeAlias = (
    OrderPlaced | OrderRefused | StatusChanged | Filled | CommissionCharged | PhaseChanged | Reloaded | Notice
)
