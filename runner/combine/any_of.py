"""One signal is enough."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.model.panel import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """Long when at least one signal is long and none is short, short when at least one is short and none is long.

    Returns: (T, N) scores with the size of the strongest signal, 0 where signals contradict each other; NaN where any
    signal is NaN, because a signal that is still warming might contradict.
    """

    name: ClassVar[str] = "any_of"
    example: ClassVar[Mapping[str, Any]] = {}
    ordered: ClassVar[bool] = False

    def check(self, signals: Collection[str]) -> None:
        if not signals:
            raise ValueError("any_of needs at least one signal")

    def compute(self, scores: Mapping[str, FloatArray]) -> FloatArray:
        stack = np.stack(list(scores.values()))
        low, high = stack.min(axis=0), stack.max(axis=0)
        chosen = np.where(low >= 0.0, high, np.where(high <= 0.0, low, 0.0))
        return np.where(np.isnan(stack).any(axis=0), np.nan, chosen)
