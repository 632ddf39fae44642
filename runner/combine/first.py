"""The first signal with an opinion."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.model.panel import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The score of the first signal, in the order of the file, that is not flat; with one signal, its score.

    Returns: (T, N) scores. A signal that is still warming (NaN) decides too: what comes after it is not asked.
    """

    name: ClassVar[str] = "first"
    example: ClassVar[Mapping[str, Any]] = {}

    def check(self, signals: Collection[str]) -> None:
        if not signals:
            raise ValueError("first needs at least one signal")

    def compute(self, scores: Mapping[str, FloatArray]) -> FloatArray:
        arrays = list(scores.values())
        result = np.array(arrays[0], dtype=np.float64)
        for array in arrays[1:]:
            result = np.where(result == 0.0, array, result)
        return result
