"""Momentum, absolute and relative."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from runner.blocks import EITHER, LONG, Series, Sides, by_instrument, check_fields, param
from runner.model.panel import FloatArray, Panel

ROUNDING = 1e-12
"""110 / 100 - 1 exceeds 0.1 by the last bits of a float, and by nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Momentum:
    """Long what has risen: the return from `lookback` bars ago to `skip` bars ago.

    Without `top` every instrument is judged by its own past (time-series momentum). With `top` only the strongest of
    the universe are held (cross-sectional), and `threshold` still applies to them: 0 holds winners only while they
    have risen (dual momentum), -1 holds them whatever they did.

    Returns: (T, N) scores: +1 long, -1 short with `allow_short`, 0 flat, NaN while warming.
    Raises: ValueError unless `skip` is below `lookback`.
    Source: Jegadeesh, Titman (1993), Journal of Finance 48; Moskowitz, Ooi, Pedersen (2012), JFE 104.
    """

    name: ClassVar[str] = "momentum"
    example: ClassVar[Mapping[str, Any]] = {"lookback": 252, "skip": 21, "top": 2}

    lookback: int = param(252, "bars ago at which the return starts", unit="bars", minimum=1, maximum=10_000)
    skip: int = param(0, "most recent bars left out, where returns tend to reverse", unit="bars", minimum=0)
    threshold: float = param(
        0.0,
        "return that has to be exceeded to be long (with the sign turned, to be short)",
        unit="fraction",
        minimum=-1,
        maximum=10,
    )
    top: int | None = param(
        None,
        "hold only the so many strongest instruments, and with allow_short the so many weakest; ties in the order of "
        "the universe",
        unit="instruments",
        minimum=1,
    )
    allow_short: bool = param(False, "go short what has fallen", direction="wider_is_looser")

    def __post_init__(self) -> None:
        check_fields(self)
        if self.skip >= self.lookback:
            raise ValueError(f"skip {self.skip} must be below lookback {self.lookback}")

    @property
    def sides(self) -> Sides:
        return EITHER if self.allow_short else LONG

    @property
    def most_held(self) -> int | None:
        return None if self.top is None else self.top * len(self.sides)

    @property
    def warmup(self) -> int:
        return self.lookback + 1

    def compute(self, panel: Panel) -> FloatArray:
        returns = by_instrument(panel, self.warmup, self._returns)
        known = np.isfinite(returns)
        long = known & (returns > self.threshold + ROUNDING)
        short = known & (returns < -self.threshold - ROUNDING) & self.allow_short
        if self.top is not None:
            long &= _strongest(returns, self.top)
            short &= _strongest(-returns, self.top)
        # In a small universe, or with a negative threshold, one instrument can pass both tests: long comes first.
        short &= ~long
        scores = np.where(long, 1.0, np.where(short, -1.0, 0.0))
        return np.where(known, scores, np.nan)

    def _returns(self, bars: Series) -> FloatArray:
        returns = np.full_like(bars.close, np.nan)
        end = len(bars.close) - self.skip
        with np.errstate(divide="ignore", invalid="ignore"):
            returns[self.lookback :] = bars.close[self.lookback - self.skip : end] / bars.close[: -self.lookback] - 1.0
        return returns


def _strongest(values: FloatArray, count: int) -> NDArray[np.bool_]:
    """(T, N) bool: whether a value is among the `count` largest of its row. NaN never is."""
    ranked = np.argsort(np.where(np.isfinite(values), -values, np.inf), axis=1, kind="stable")
    chosen = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(chosen, ranked[:, :count], True, axis=1)
    return chosen & np.isfinite(values)
