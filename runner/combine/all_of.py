"""Unanimity."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import Sides
from runner.model.panel import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    """Long only when every signal is long, short only when every signal is short, else flat.

    Returns: (T, N) scores with the size of the weakest signal; NaN where any signal is NaN.
    """

    name: ClassVar[str] = "all_of"
    example: ClassVar[Mapping[str, Any]] = {}
    ordered: ClassVar[bool] = False

    def check(self, signals: Collection[str]) -> None:
        if not signals:
            raise ValueError("all_of needs at least one signal")

    def sides(self, signals: Mapping[str, Sides]) -> Sides:
        return frozenset.intersection(*signals.values())

    def compute(self, scores: Mapping[str, FloatArray]) -> FloatArray:
        stack = np.stack(list(scores.values()))
        low, high = stack.min(axis=0), stack.max(axis=0)
        agreed = np.where(low > 0.0, low, np.where(high < 0.0, high, 0.0))
        return np.where(np.isnan(stack).any(axis=0), np.nan, agreed)
