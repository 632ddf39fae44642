"""A table of weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import REQUIRED, Sides, SizingParams, WeightBounds, check_fields, param, turned
from runner.model.panel import FloatArray, Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedWeights:
    """The weight that the table gives to each symbol, times its score.

    Returns: (T, N) weights; 0 for a symbol that the table does not name, NaN where the score is NaN.
    Raises: ValueError when the absolute weights add up to more than `max_leverage`; `check` when the table names a
    symbol that is not in the universe.
    """

    name: ClassVar[str] = "fixed_weights"
    example: ClassVar[Mapping[str, Any]] = {"weights": {"AAPL": 0.6, "IBM": 0.4}}
    sized_by_stop: ClassVar[bool] = False

    weights: Mapping[str, float] = param(
        REQUIRED,
        "weight of each symbol; negative is short",
        unit="fraction of strategy equity",
        minimum=-10,
        maximum=10,
        direction="smaller_is_tighter",
    )
    max_leverage: float = param(
        1.0,
        "largest sum of the absolute weights",
        unit="multiple of strategy equity",
        exclusive_minimum=0,
        maximum=10,
        direction="smaller_is_tighter",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        total = sum(abs(weight) for weight in self.weights.values())
        if total > self.max_leverage * (1 + 1e-9):
            raise ValueError(f"weights add up to {total:.12g}, above max_leverage {self.max_leverage:g}")

    @property
    def warmup(self) -> int:
        return 1

    def sides(self, symbol: str, score: Sides) -> Sides:
        return turned(score, self.weights.get(symbol, 0.0))

    def bounds(self, instruments: int | None, params: SizingParams) -> WeightBounds:
        sizes = [abs(weight) for weight in self.weights.values() if weight]
        return WeightBounds(largest=max(sizes, default=0.0), smallest=min(sizes, default=0.0), gross=sum(sizes))

    def check(self, symbols: Collection[str], params: SizingParams) -> None:
        for symbol in self.weights:
            if symbols and symbol not in symbols:
                raise ValueError(f"weights has {symbol}, which is not in the universe: {', '.join(symbols)}")

    def compute(self, panel: Panel, scores: FloatArray, params: SizingParams) -> FloatArray:
        row = np.array([self.weights.get(symbol, 0.0) for symbol in panel.symbols], dtype=np.float64)
        return scores * row
