"""Equal shares."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import SizingParams, WeightBounds, check_fields, param
from runner.model.panel import FloatArray, Panel


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualWeight:
    """The same share of equity for every instrument with a score, long or short by the sign of the score.

    Returns: (T, N) weights; the absolute weights of a row add up to at most `gross`. A score of 0 is a weight of 0,
    a NaN score a NaN weight.
    """

    name: ClassVar[str] = "equal_weight"
    example: ClassVar[Mapping[str, Any]] = {"max_names": 10}
    sized_by_stop: ClassVar[bool] = False

    max_names: int | None = param(
        None,
        "hold at most so many instruments, those with the strongest scores, ties in the order of the universe",
        unit="instruments",
        minimum=1,
        # Fewer names are no less risk: what is there is shared by them, and with fixed shares each gets more.
        direction="wider_is_looser",
    )
    gross: float = param(
        1.0,
        "sum of the absolute weights when everything is held",
        unit="fraction of strategy equity",
        exclusive_minimum=0,
        maximum=10,
        direction="smaller_is_tighter",
    )
    share_of: str = param(
        "active",
        "active: equity is shared by the instruments held now; universe: every instrument of the universe has its "
        "fixed share (of max_names when given), and equity of those not held stays in cash",
        choices=("active", "universe"),
        direction="wider_is_looser",
    )

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def warmup(self) -> int:
        return 1

    @property
    def most_held(self) -> int | None:
        return self.max_names

    def bounds(self, instruments: int | None, params: SizingParams) -> WeightBounds:
        counts = [count for count in (instruments, self.max_names) if count is not None]
        share = self.gross / max(1, min(counts)) if counts else None
        largest = share if self.share_of == "universe" else self.gross
        return WeightBounds(largest=largest, smallest=share, gross=self.gross)

    def check(self, symbols: Collection[str], params: SizingParams) -> None:
        """Any symbols and parameters do."""

    def compute(self, panel: Panel, scores: FloatArray, params: SizingParams) -> FloatArray:
        sides = np.sign(scores)
        instruments = scores.shape[1]
        if self.max_names is not None and self.max_names < instruments:
            strength = np.where(np.isfinite(scores), -np.abs(scores), 0.0)
            beyond = np.argsort(strength, axis=1, kind="stable")[:, self.max_names :]
            kept = np.ones(scores.shape, dtype=bool)
            np.put_along_axis(kept, beyond, False, axis=1)
            sides = np.where(kept | ~np.isfinite(scores), sides, 0.0)
        if self.share_of == "universe":
            names = instruments if self.max_names is None else min(instruments, self.max_names)
            return np.asarray(sides * (self.gross / max(1, names)), dtype=np.float64)
        active = np.count_nonzero(np.abs(sides) > 0.0, axis=1, keepdims=True)
        return np.asarray(sides * (self.gross / np.maximum(active, 1)), dtype=np.float64)
