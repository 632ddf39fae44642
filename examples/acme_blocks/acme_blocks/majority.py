"""The majority of the signals."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import check_fields, param
from runner.model.panel import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Majority:
    """Long or short when more than `share` of the signals say so, whatever the size of their scores.

    Returns: (T, N) scores: +1, -1 or 0; NaN while one of the signals is.
    """

    name: ClassVar[str] = "majority"
    example: ClassVar[Mapping[str, Any]] = {"share": 0.5}

    share: float = param(0.5, "part of the signals that has to be exceeded", unit="fraction", minimum=0.5, maximum=1)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.share >= 1.0:
            raise ValueError("share must be below 1, or no majority is ever large enough")

    def check(self, signals: Collection[str]) -> None:
        if len(signals) < 2:
            raise ValueError("a majority needs at least two signals")

    def compute(self, scores: Mapping[str, FloatArray]) -> FloatArray:
        votes = np.stack(list(scores.values()))
        needed = self.share * len(votes)
        long, short = (votes > 0.0).sum(axis=0) > needed, (votes < 0.0).sum(axis=0) > needed
        result = np.where(long, 1.0, np.where(short, -1.0, 0.0))
        return np.where(np.isnan(votes).any(axis=0), np.nan, result)
