"""Weighted average of the signals."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import REQUIRED, Sides, check_fields, param, turned
from runner.model.panel import FloatArray

ROUNDING = 1e-12
"""Sums of decimal weights miss a threshold such as 0.5 by less than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """The average of the signals by weight, flat while its size is below `threshold`.

    Returns: (T, N) scores: sum of weight x score over the sum of the absolute weights; NaN where a signal is NaN.
    Raises: ValueError when all weights are 0; `check` when the weights and the signals are not the same names.
    """

    name: ClassVar[str] = "weighted"
    example: ClassVar[Mapping[str, Any]] = {"weights": {"trend": 0.7, "momentum": 0.3}, "threshold": 0.5}
    ordered: ClassVar[bool] = False

    weights: Mapping[str, float] = param(
        REQUIRED,
        "weight of each signal by its name; a negative weight turns a signal round",
        minimum=-1000,
        maximum=1000,
        direction="wider_is_looser",
    )
    threshold: float = param(0.0, "smallest size of the average that is an opinion", minimum=0, maximum=1)

    def __post_init__(self) -> None:
        check_fields(self)
        if not any(self.weights.values()):
            raise ValueError("weights must not all be 0")

    def check(self, signals: Collection[str]) -> None:
        for name in self.weights:
            if name not in signals:
                raise ValueError(f"weights has {name}, but there is no signal of that name; there are: "
                                 f"{', '.join(signals)}")  # fmt: skip
        for name in signals:
            if name not in self.weights:
                raise ValueError(f"weights has no weight for the signal {name}")

    def sides(self, signals: Mapping[str, Sides]) -> Sides:
        return frozenset().union(*(turned(sides, self.weights.get(name, 0.0)) for name, sides in signals.items()))

    def compute(self, scores: Mapping[str, FloatArray]) -> FloatArray:
        total = sum(abs(weight) for weight in self.weights.values())
        blend = np.zeros_like(next(iter(scores.values())))
        for name, array in scores.items():
            blend = blend + (self.weights[name] / total) * array
        blend = np.where(np.abs(blend) < self.threshold - ROUNDING, 0.0, blend)
        return np.clip(blend, -1.0, 1.0)
