"""What a strategy remembers from one bar to the next, and over a restart: per symbol, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runner.engine.decide import NO_PRICE, Decision
from runner.model.panel import FloatArray


@dataclass(frozen=True, slots=True)
class Mark:
    """The best price of one position. `before` is what it was when the bar that began at `bar` (epoch seconds) began:
    a bar's worst price must not be measured against a best price that may have come after it."""

    best: float
    bar: int
    before: float


@dataclass(slots=True)
class Memory:
    """High-water marks, sides that are blocked after an exit, and whether a decision is owed."""

    marks: dict[str, Mark] = field(default_factory=dict)
    blocked: dict[str, float] = field(default_factory=dict)
    owed: bool = False
    """A decision that fell due outside the window is made when it opens."""

    def best_prices(self, symbols: Sequence[str], bars: Sequence[int], whole: Sequence[bool]) -> FloatArray:
        """Per symbol the best price to measure its newest bar against: the one before the bar began where the bar is
        looked at as a whole, else the newest; NaN where nothing is remembered."""
        found = np.full(len(symbols), np.nan)
        for i, symbol in enumerate(symbols):
            mark = self.marks.get(symbol)
            if mark is not None:
                found[i] = mark.before if whole[i] and mark.bar == bars[i] else mark.best
        return found

    def blocked_sides(self, symbols: Sequence[str]) -> FloatArray:
        return np.array([self.blocked.get(symbol, 0.0) for symbol in symbols])

    def after(self, symbols: Sequence[str], bars: Sequence[int], decision: Decision) -> Memory:
        """What to remember once `decision`, made on these bars, stands."""
        marks: dict[str, Mark] = {}
        blocked: dict[str, float] = {}
        for i, (symbol, bar) in enumerate(zip(symbols, bars, strict=True)):
            best, side = float(decision.best_price[i]), float(decision.blocked[i])
            if int(decision.reason[i]) == NO_PRICE and symbol in self.marks:
                marks[symbol] = self.marks[symbol]
            elif best == best:
                known = self.marks.get(symbol)
                before = best if known is None else known.before if known.bar == bar else known.best
                marks[symbol] = Mark(best, bar, before)
            if side:
                blocked[symbol] = side
        return Memory(marks, blocked, self.owed)

    def to_plain(self) -> dict[str, Any]:
        return {
            "best_price": {symbol: [mark.best, mark.bar, mark.before] for symbol, mark in self.marks.items()},
            "blocked": dict(self.blocked),
            "owed": self.owed,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Memory:
        marks = {
            symbol: Mark(float(best), int(bar), float(before))
            for symbol, (best, bar, before) in plain.get("best_price", {}).items()
        }
        blocked = {symbol: float(side) for symbol, side in plain.get("blocked", {}).items()}
        return cls(marks, blocked, bool(plain.get("owed", False)))
