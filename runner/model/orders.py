"""Orders as the runner means them. IB's own spelling stays in `runner.broker`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from runner.model.instruments import Instrument


class Side(StrEnum):
    """Buy or sell; `sign` is +1 or -1."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """IB's names of the order types."""

    MARKET = "MKT"
    LIMIT = "LMT"
    STOP = "STP"
    STOP_LIMIT = "STP LMT"
    TRAIL = "TRAIL"
    MARKET_ON_CLOSE = "MOC"
    LIMIT_ON_CLOSE = "LOC"
    MARKET_IF_TOUCHED = "MIT"
    RELATIVE = "REL"


class TimeInForce(StrEnum):
    """IB's names: day, good till cancelled, immediate or cancel, fill or kill, at the opening."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    OPG = "OPG"


class Purpose(StrEnum):
    """Why the order exists; it decides its place in the send queue, cancels being ahead of all."""

    EXIT = "exit"
    """A stop, a target, a flatten: leaves the position."""
    REDUCE = "reduce"
    ENTRY = "entry"
    """Opens or increases a position."""


class OrderState(StrEnum):
    """The runner's own state of an order. Only evidence from the wire makes a terminal state."""

    INTENT = "Intent"
    """Committed to the journal, not sent."""
    SENT = "Sent"
    ACKED = "Acknowledged"
    PARTIAL = "PartiallyFilled"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    REJECTED = "Rejected"
    UNKNOWN = "Unknown"
    """Sent, and nobody has said what became of it. Counts in exposure in full."""
    NOT_SENT = "NotSent"
    """Certain: it never left."""
    ABSENT = "Absent"
    """Two complete snapshots do not know it."""

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset(
    {OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.NOT_SENT, OrderState.ABSENT}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What a strategy wants, before caps and rounding. `quantity` is positive; `side` carries the sign."""

    instrument: Instrument
    side: Side
    quantity: Decimal
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    """Trigger of STP, STP LMT and MIT; the trailing amount of TRAIL; the offset of REL."""
    trailing_percent: Decimal | None = None
    tif: TimeInForce = TimeInForce.DAY
    purpose: Purpose = Purpose.ENTRY
    reason: str = ""
    """Why, in the strategy's words: `signal`, `stop_loss`, `flatten`."""
    parent_ref: str = ""
    oca_group: str = ""
    outside_rth: bool = False
    transmit: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """An order request that passed the gate: it is committed to the journal before it is sent.

    `order_ref` identifies the order for ever and is never reused; IB hands it back with every order and execution.
    """

    order_ref: str
    strategy: str
    account: str
    client_id: int
    request: OrderRequest
    created_at: datetime
    reference_price: Decimal
    """Price used by the gate, in the instrument's currency."""
    generation: int = 0
    """Generation of the spec that asked for it; 0 for hand-written strategies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A control said no. Recorded as a fact, never raised."""

    control: str
    """Name of the cap or check, as in the parameters: `max_daily_trades`."""
    limit: str
    asked: str
    detail: str = ""

    def __str__(self) -> str:
        text = f"{self.control}: asked {self.asked}, limit {self.limit}"
        return f"{text} ({self.detail})" if self.detail else text
