"""Tests that a strategy's author wrote, checked and typed: prices in, expectations out.

A `Case` is what `tests:` holds once it is read; nothing in it needs a second look at the text. Prices stay in the
compact notation until `Series.columns()` makes arrays of them, so that reading a thousand tests is cheap. Spans say
where an expectation is written, for whoever reports that it was not met.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

import numpy as np

from runner.model.events import StrategyPhase
from runner.model.orders import Side
from runner.model.panel import FloatArray
from runner.spec.case_schema import ABOUT
from runner.spec.notation import Notation
from runner.spec.problems import KeyPath, Span

DEFAULT_VOLUME = 1e6
EXACT = 1e-9
"""Numbers match exactly up to this fraction: what the last bits of 0.1 + 0.2 say is nobody's expectation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A date, and a time of that day on the exchange's clock when one is said."""

    day: date
    clock: time | None = None

    def __str__(self) -> str:
        return f"{self.day}" if self.clock is None else f"{self.day} {self.clock:%H:%M}"


# ------------------------------------------------------------------------------------------------------------- prices


@dataclass(frozen=True, slots=True)
class Columns:
    """Bars of one instrument as arrays: (n,) float64 each, NaN in all of them where the bar is missing."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Prices of one instrument as they were written; columns that were not are derived from the close.

    All columns that are there have one length.
    """

    close: Notation
    open: Notation | None = None
    high: Notation | None = None
    low: Notation | None = None
    volume: Notation | None = None

    def __len__(self) -> int:
        return len(self.close)

    def columns(self) -> Columns:
        """The bars. What is not written: open is the close before, and stays inside a high and low that are written;
        high and low are the higher and lower of open and close; volume is a million."""
        close = self.close.values()
        there = np.isfinite(close)
        high, low = _written(self.high, close), _written(self.low, close)
        before = np.fmax(np.fmin(_close_before(close), high), low)
        open_ = _or(_written(self.open, close), before)
        high = _or(high, np.fmax(open_, close))
        low = _or(low, np.fmin(open_, close))
        volume = _or(_written(self.volume, close), np.full(len(close), DEFAULT_VOLUME))
        return Columns(*(np.where(there, column, np.nan) for column in (open_, high, low, close, volume)))


def _written(column: Notation | None, close: FloatArray) -> FloatArray:
    return np.full(len(close), np.nan) if column is None else column.values()


def _or(written: FloatArray, derived: FloatArray) -> FloatArray:
    return np.where(np.isfinite(written), written, derived)


def _close_before(close: FloatArray) -> FloatArray:
    """The close of the bar before, missing bars skipped; of the first bar its own."""
    there = np.isfinite(close)
    result = np.full(len(close), np.nan)
    known = close[there]
    if len(known):
        result[there] = np.concatenate(([known[0]], known[:-1]))
    return result


class Format(StrEnum):
    """Where the bars of a fixture come from."""

    CSV = "csv"
    PARQUET = "parquet"
    ARCTIC = "arctic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixture:
    """Bars that are kept elsewhere: a file, or a symbol of an ArcticDB library. `as_of` leaves out what came after."""

    format: Format
    path: Path | None = None
    library: str = ""
    symbol: str = ""
    as_of: Moment | None = None


# ---------------------------------------------------------------------------------------------------------- beginning


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account at the first bar."""

    equity: Decimal = Decimal(100_000)
    currency: str = ""
    """Empty: that of the first instrument."""
    fx: Mapping[str, Decimal] = field(default_factory=dict)
    """`EURUSD` → dollars for a euro."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What is held at the first bar. `price` is what was paid for one; None: the first close."""

    quantity: Decimal
    price: Decimal | None = None


# ------------------------------------------------------------------------------------------------------- expectations


class AtKind(StrEnum):
    """How a moment is named."""

    FIRST = "first"
    LAST = "last"
    BAR = "bar"
    DAY = "day"
    """A date, perhaps with a time of that day."""
    CLOCK = "clock"
    """A time of day in the last session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """When something is expected. `bar` counts from 1."""

    kind: AtKind
    span: Span
    bar: int | None = None
    moment: Moment | None = None
    clock: time | None = None

    def index(self, length: int) -> int | None:
        """The bar of `length` bars, counted from 0; None for a moment that depends on the times of the bars."""
        if self.kind is AtKind.FIRST:
            return 0
        if self.kind is AtKind.LAST:
            return length - 1
        return None if self.bar is None else self.bar - 1

    def __str__(self) -> str:
        if self.bar is not None:
            return f"bar {self.bar}"
        return str(self.moment or (f"{self.clock:%H:%M}" if self.clock else self.kind.value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A number that is expected: exactly, or inside bounds that all hold. With nothing set: that there is no value."""

    span: Span
    exactly: float | None = None
    above: float | None = None
    below: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    about: float | None = None

    @property
    def nothing(self) -> bool:
        """Whether it is expected that there is no value."""
        said = (self.exactly, self.above, self.below, self.at_least, self.at_most, self.about)
        return all(value is None for value in said)

    @property
    def lowest(self) -> tuple[float, bool]:
        """The lower end, and whether a number may be as low as that."""
        ends = [(value, allowed) for value, allowed in self._lower() if value is not None]
        return max(ends, key=lambda end: (end[0], not end[1]), default=(-math.inf, False))

    @property
    def highest(self) -> tuple[float, bool]:
        """The upper end, and whether a number may be as high as that."""
        ends = [(value, allowed) for value, allowed in self._upper() if value is not None]
        return min(ends, key=lambda end: (end[0], end[1]), default=(math.inf, False))

    @property
    def possible(self) -> bool:
        """Whether there is a number that fits."""
        (low, low_allowed), (high, high_allowed) = self.lowest, self.highest
        return low < high or (low == high and low_allowed and high_allowed)

    def allows(self, value: float | None) -> bool:
        """Whether `value` is what is expected; None and NaN are no value."""
        if value is None or math.isnan(value):
            return self.nothing
        if self.nothing:
            return False
        if self.exactly is not None:
            return math.isclose(value, self.exactly, rel_tol=EXACT, abs_tol=EXACT)
        (low, low_allowed), (high, high_allowed) = self.lowest, self.highest
        return (low < value or (low_allowed and math.isclose(value, low, rel_tol=EXACT, abs_tol=EXACT))) and (
            value < high or (high_allowed and math.isclose(value, high, rel_tol=EXACT, abs_tol=EXACT))
        )

    def _lower(self) -> tuple[tuple[float | None, bool], ...]:
        about = None if self.about is None else self.about - ABOUT * abs(self.about)
        return ((self.exactly, True), (self.above, False), (self.at_least, True), (about, True))

    def _upper(self) -> tuple[tuple[float | None, bool], ...]:
        about = None if self.about is None else self.about + ABOUT * abs(self.about)
        return ((self.exactly, True), (self.below, False), (self.at_most, True), (about, True))

    def __str__(self) -> str:
        if self.nothing:
            return "no value"
        if self.exactly is not None:
            return f"{self.exactly:g}"
        words = {
            "above": self.above,
            "below": self.below,
            "at least": self.at_least,
            "at most": self.at_most,
            "about": self.about,
        }
        return " and ".join(f"{word} {value:g}" for word, value in words.items() if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOrder:
    """An order that is expected. `quantity` is positive; None: whatever it is."""

    symbol: str
    side: Side
    quantity: Bounds | None
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedExit:
    """An exit that is expected to fire: `exit` is the name of a base parameter, or an id under `exits`."""

    symbol: str
    exit: str
    span: Span


BySymbol: TypeAlias = Mapping[str, Bounds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What must be so at one moment; what is empty or None may be anything. `path` is where it is in its file."""

    path: KeyPath
    at: At
    signal: BySymbol = field(default_factory=dict)
    """What the signals come to once combined."""
    score: Mapping[str, BySymbol] = field(default_factory=dict)
    """Of single signals, by id."""
    target_weight: BySymbol = field(default_factory=dict)
    """Signed fractions of account equity, `max_position_size` applied."""
    gross_weight: Bounds | None = None
    position: BySymbol = field(default_factory=dict)
    orders: tuple[ExpectedOrder, ...] | None = None
    """All of them; () for none."""
    exits: tuple[ExpectedExit, ...] | None = None
    """All of them; () for none."""
    state: StrategyPhase | None = None
    error: str | None = None
    """Part of the message with which the strategy fails."""
    spans: Mapping[str, Span] = field(default_factory=dict)
    """Where each key is written."""

    @property
    def says(self) -> tuple[str, ...]:
        """The keys that it expects something of."""
        return tuple(key for key in self.spans if key != "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test. It has either `given` or `fixture`; `path` is where it is in its file, `span` where its name is."""

    path: KeyPath
    name: str
    span: Span
    given: Mapping[str, Series | Fixture] = field(default_factory=dict)
    fixture: Fixture | None = None
    clock: Moment | None = None
    """When the last bar of `given` completes."""
    account: Account = field(default_factory=Account)
    positions: Mapping[str, Holding] = field(default_factory=dict)
    expect: tuple[Expectation, ...]

    @property
    def series(self) -> Mapping[str, Series]:
        """What `given` says itself, fixtures left out."""
        return {symbol: prices for symbol, prices in self.given.items() if isinstance(prices, Series)}

    @property
    def bars(self) -> int | None:
        """How many bars it has, missing ones included; None when only a fixture knows."""
        series = self.series
        return len(next(iter(series.values()))) if series else None
