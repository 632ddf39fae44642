"""What a demo run is asked for and reports: plain values, so that a command can use them without the machinery."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the demo is asked to do."""

    strategies_dir: Path
    state_dir: Path | None = None
    """Where journal, store and socket go; None leaves the choice to the demo."""
    years: float = 2.0
    """Length of market history to trade through, above 0."""
    start: date | None = None
    """First session to trade, or None: the last `years` of the shipped data."""
    plugins_allow: tuple[str, ...] = ()
    """Packages whose hooks and blocks the strategies may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoProgress:
    """Where the replay stands. `market_time` is the gateway's clock."""

    phase: str
    """`start`, `warm-up`, `trade` or `close`."""
    done: int = 0
    total: int = 0
    """Sessions, while trading; history requests, while warming up."""
    market_time: datetime | None = None
    orders: int = 0
    fills: int = 0
    equity: Decimal | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRow:
    """What a strategy holds of one instrument; short is negative, prices are in the instrument's currency."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    market_price: Decimal
    market_value: Decimal
    """In base currency."""
    unrealized: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyReport:
    """One strategy over the whole run. Money in base currency; weights are fractions of account equity."""

    name: str
    kind: str
    """`yaml` or `python`."""
    file: str
    phase: str
    orders: int
    fills: int
    refused: int
    realized: Decimal
    """Before commissions."""
    unrealized: Decimal
    commissions: Decimal
    net: Decimal
    """realized + unrealized - commissions."""
    average_exposure: float
    """Mean over sessions of gross position value / account equity."""
    max_exposure: float
    positions: tuple[PositionRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationLine:
    """One number in our books beside the gateway's own."""

    what: str
    """`position AAPL`, `cash USD`, `commissions USD`, `realised P&L`, `executions`."""
    ours: Decimal
    theirs: Decimal

    @property
    def agrees(self) -> bool:
        return self.ours == self.theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """The whole run."""

    account: str
    base_currency: str
    first_session: date
    last_session: date
    sessions: int
    start_equity: Decimal
    end_equity: Decimal
    strategies: tuple[StrategyReport, ...]
    reconciliation: tuple[ReconciliationLine, ...]
    events: int
    """Rows in the journal's event log."""
    elapsed_s: float
    state_dir: str
    problems: tuple[str, ...] = field(default=())
    """Anything that went wrong, in words; empty on a good run."""

    @property
    def reconciled(self) -> bool:
        """Whether the books were compared and agree in every number."""
        return bool(self.reconciliation) and all(line.agrees for line in self.reconciliation)
