"""A strategy as its file says it, checked and typed. Immutable: a change is another value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from runner.base_params import BaseParams
from runner.blocks import (
    EITHER,
    CombineBlock,
    ExitBlock,
    Kind,
    NotLoaded,
    Sides,
    SignalBlock,
    SizingBlock,
    WeightBounds,
)
from runner.model.annotations import Loosening
from runner.model.bars import BarSize
from runner.model.instruments import InstrumentQuery
from runner.model.orders import TimeInForce
from runner.spec.times import TimeRef

SPEC_VERSION = 1

HOOK_POINTS: Mapping[str, str] = {
    "before_orders": "before the orders of a decision are sent: may shrink or drop them",
    "on_params": "before a changed file takes over, with the old and the new parameters: raising refuses it",
    "on_fill": "after an execution of this strategy",
    "on_status_change": "after a change in the state of one of its orders",
}
"""Where a strategy's own code can be called, and when."""
HOOK_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "before_orders": ("context", "targets"),
    "on_params": ("old", "new"),
    "on_fill": ("fill",),
    "on_status_change": ("change",),
}
"""What is handed to it there."""


class EvaluateOn(StrEnum):
    """Which bars or sessions bring a decision."""

    BAR = "bar"
    SESSION = "session"
    WEEK_END = "week_end"
    """The last session of a week."""
    MONTH_END = "month_end"
    """The last session of a month."""


class ExecutionStyle(StrEnum):
    """How an entry, a reduction or a rebalance is sent. Exits by stop, target or flatten are always market orders."""

    MARKET = "market"
    LIMIT = "limit"
    MOC = "moc"
    LOC = "loc"
    REL = "rel"


class OnRemove(StrEnum):
    """What happens to the positions when the file goes away."""

    HOLD = "hold"
    FLATTEN = "flatten"


@dataclass(frozen=True, slots=True, kw_only=True)
class UniverseSpec:
    """What the strategy may trade: listed instruments, or the symbols of an ArcticDB library. One of the two is set."""

    instruments: tuple[InstrumentQuery, ...] = ()
    library: str | None = None
    max_symbols: int | None = None
    """Of a library: the first so many symbols in alphabetical order; None for all."""
    defaults: InstrumentQuery = field(default_factory=lambda: InstrumentQuery(symbol=""))
    """Exchange, currency and type of what the library lists; its symbol is empty."""

    def of_library(self, symbols: Iterable[str]) -> tuple[InstrumentQuery, ...]:
        """The instruments of the library, when these are the symbols that it lists."""
        return tuple(replace(self.defaults, symbol=symbol) for symbol in sorted(symbols)[: self.max_symbols])

    @property
    def text(self) -> str:
        """In the form of the seed's `universe` parameter: symbols with commas, or the library's name."""
        return self.library or ",".join(query.symbol for query in self.instruments)


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsSpec:
    """The bars that signals see. `history` is how many of them are loaded and kept."""

    size: BarSize
    history: int
    regular_hours: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupCost:
    """What loading a strategy's history takes when nothing of it is cached."""

    requests: int
    minutes: float
    """That IB's pacing makes it take; the answers come on top."""

    def __str__(self) -> str:
        count = f"{self.requests:,} request" + ("" if self.requests == 1 else "s")
        return f"{count} and at least {self.minutes:,.0f} minutes" if self.minutes else count


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """When decisions are made and orders may be sent; docs/spec.md, "Schedule", has the exact meaning.

    `window` and clock times are in the zone of `calendar`, which is set whenever one of them is.
    """

    calendar: str | None = None
    window: tuple[time, time] | None = None
    evaluate: TimeRef | None = None
    """None: when a bar completes."""
    every: timedelta | None = None
    on: EvaluateOn = EvaluateOn.BAR
    flatten_at: TimeRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSpec:
    """How orders are sent. `limit_offset_bps` is in basis points of the reference price."""

    order: ExecutionStyle = ExecutionStyle.MARKET
    limit_offset_bps: float = 0.0
    tif: TimeInForce = TimeInForce.DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadSpec:
    """How changes of a strategy are taken over while it runs."""

    loosening: Loosening | None = None
    """None: as the deployment says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the blocks of a strategy say about themselves, for the rules: asked once, because some are foreign code."""

    sides: Sides = EITHER
    """Signs that the combined score can have."""
    of_symbol: Mapping[str, Sides] = field(default_factory=dict)
    """Signs that the weight of each listed symbol can have; empty for one that is never traded."""
    bounds: WeightBounds = field(default_factory=WeightBounds)
    most_held: int | None = None
    """Instruments that are held at the same time at most, as far as blocks limit them."""
    known: bool = True
    """False when a block was not loaded: then nothing is said that a rule could warn of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec:
    """One strategy. `spec_hash` is the sha256 of what `document` says about trading, as canonical JSON."""

    name: str
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    enabled: bool = True
    file: Path
    spec_hash: str
    universe: UniverseSpec
    bars: BarsSpec
    signals: Mapping[str, SignalBlock]
    """By their ids in the file, in the order of the file."""
    combine: CombineBlock
    sizing: SizingBlock
    exits: Mapping[str, ExitBlock] = field(default_factory=dict)
    """By their ids in the file; the exits among the parameters are in `params`."""
    params: BaseParams
    schedule: ScheduleSpec
    execution: ExecutionSpec
    hooks: Mapping[str, str]
    """Hook point → `package.module:function` or `package:name`."""
    hook_params: Mapping[str, Any]
    on_remove: OnRemove = OnRemove.HOLD
    reload: ReloadSpec = ReloadSpec()
    document: Mapping[str, Any]
    """The file after `extends`, as plain data."""
    source: str
    """The text of the file itself."""
    bases: tuple[Path, ...] = ()
    """Files that it extends, nearest first."""
    warmup_cost: WarmupCost | None = None
    """None when the size of its universe is not known yet."""

    claims: Claims = field(default_factory=Claims)
    plugged_in: Mapping[tuple[Kind, str], type[Any]] = field(default_factory=dict)
    """The plugged-in blocks that it uses: kind and reference → class."""

    def use_of(self, block: object) -> str:
        """What the file calls one of its blocks: its name, or the reference of a plugged-in one."""
        plugged = {cls: reference for (_, reference), cls in self.plugged_in.items() if cls is not NotLoaded}
        name: str = block.name  # type: ignore[attr-defined]
        return plugged.get(type(block), name)

    @property
    def not_loaded(self) -> tuple[str, ...]:
        """References of the blocks whose packages were not imported: such a spec can be looked at and not run."""
        return tuple(sorted({name for (_, name), cls in self.plugged_in.items() if cls is NotLoaded}))

    @property
    def warmup(self) -> int:
        """Bars that the slowest of signals, sizing and exits needs before its first value."""
        named = [block.warmup for block in self.signals.values()] + [block.warmup for block in self.exits.values()]
        return max([self.sizing.warmup, *named])
