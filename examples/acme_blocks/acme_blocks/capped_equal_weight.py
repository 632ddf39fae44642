"""Equal weights with a cap on each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import SizingParams, WeightBounds, check_fields, param
from runner.model.panel import FloatArray, Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class CappedEqualWeight:
    """Equity in equal parts over the instruments that are wanted, and at most `cap` in each.

    Returns: (T, N) weights; what the cap cuts off stays in cash. NaN where the score is.
    """

    name: ClassVar[str] = "capped_equal_weight"
    example: ClassVar[Mapping[str, Any]] = {"cap": 0.25}
    sized_by_stop: ClassVar[bool] = False

    cap: float = param(
        0.25,
        "largest weight of one instrument",
        unit="fraction of strategy equity",
        exclusive_minimum=0,
        maximum=1,
        direction="smaller_is_tighter",
    )

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def warmup(self) -> int:
        return 1

    def check(self, symbols: Collection[str], params: SizingParams) -> None:
        """Any universe will do."""

    def bounds(self, instruments: int | None, params: SizingParams) -> WeightBounds:
        """So that a max_position_size above the cap is known never to act, and another sizing in the place of this one
        is held when it can come to more."""
        return WeightBounds(largest=self.cap, gross=1.0 if instruments is None else min(1.0, instruments * self.cap))

    def compute(self, panel: Panel, scores: FloatArray, params: SizingParams) -> FloatArray:
        wanted = np.nan_to_num(np.abs(scores)) > 0.0
        count = np.maximum(wanted.sum(axis=1, keepdims=True), 1)
        return scores * np.minimum(1.0 / count, self.cap)
