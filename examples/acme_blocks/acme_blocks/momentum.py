"""Cross-sectional momentum that leaves the latest month out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import LONG, Series, Sides, by_instrument, check_fields, param
from runner.model.panel import FloatArray, Panel

BARS_A_MONTH = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipMonthMomentum:
    """Long the part of the universe that rose most over `months` months, the latest `skip` of them left out.

    A month is 21 bars, so this is for daily bars. Ties are in the order of the universe.

    Returns: (T, N) scores: +1 for the strongest, 0 for the rest, NaN while warming.
    Raises: ValueError unless `skip` is below `months`.
    Source: Jegadeesh, Titman (1993), Journal of Finance 48; the skipped month after Asness (1994).
    """

    name: ClassVar[str] = "skip_month_momentum"
    example: ClassVar[Mapping[str, Any]] = {"months": 12, "skip": 1, "top": 0.1}

    months: int = param(12, "months ago at which the return starts", unit="months", minimum=1, maximum=60)
    skip: int = param(1, "latest months left out, where returns tend to reverse", unit="months", minimum=0, maximum=59)
    top: float = param(
        0.1,
        "part of the universe that is held, at least one instrument",
        unit="fraction of the universe",
        exclusive_minimum=0,
        maximum=1,
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.skip >= self.months:
            raise ValueError(f"skip {self.skip} must be below months {self.months}")

    @property
    def warmup(self) -> int:
        return self.months * BARS_A_MONTH + 1

    @property
    def sides(self) -> Sides:
        """Never short: so that nobody is warned of a strategy that could be."""
        return LONG

    def compute(self, panel: Panel) -> FloatArray:
        returns = by_instrument(panel, self.warmup, self._returns)
        known = np.isfinite(returns)
        held = np.ceil(self.top * known.sum(axis=1))
        order = np.argsort(np.where(known, -returns, np.inf), axis=1, kind="stable")
        rank = np.argsort(order, axis=1, kind="stable")
        return np.where(known, np.where(rank < held[:, None], 1.0, 0.0), np.nan)

    def _returns(self, bars: Series) -> FloatArray:
        returns = np.full_like(bars.close, np.nan)
        start, end = self.months * BARS_A_MONTH, self.skip * BARS_A_MONTH
        returns[start:] = bars.close[start - end : len(bars.close) - end] / bars.close[:-start] - 1.0
        return returns
