"""Always long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import LONG, Sides, by_instrument
from runner.model.panel import FloatArray, Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class BuyAndHold:
    """Long from the first bar on.

    Returns: (T, N) scores, +1 from each instrument's first bar, NaN before it.
    """

    name: ClassVar[str] = "buy_and_hold"
    example: ClassVar[Mapping[str, Any]] = {}

    @property
    def sides(self) -> Sides:
        return LONG

    @property
    def warmup(self) -> int:
        return 1

    def compute(self, panel: Panel) -> FloatArray:
        return by_instrument(panel, self.warmup, lambda bars: np.ones_like(bars.close))
