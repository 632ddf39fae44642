"""Everything that is simulated: random walks day by day, and paths inside a bar that add up to it exactly.

Prices are whole ticks and volumes whole units, both int, so that "exactly" needs no tolerance. The same key always
gives the same numbers: nothing depends on what was asked for before.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

MINUTE_S = 60
LONGEST_U_SHAPE_MINUTES = 600
"""Sessions up to this length trade most at their open and close; longer ones evenly."""
_OPENING_GAP = 0.35
"""Part of a day's standard deviation that happens while the market is closed."""


class Ticks(NamedTuple):
    """Open, high, low and close in ticks, and volume."""

    open: int
    high: int
    low: int
    close: int
    volume: int


class Path(NamedTuple):
    """Consecutive bars of equal length inside one larger bar; arrays of equal shape (n,)."""

    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints

    def bar(self, first: int, last: int) -> Ticks:
        """Bars first … last−1 put together."""
        return Ticks(
            int(self.open[first]),
            int(self.high[first:last].max()),
            int(self.low[first:last].min()),
            int(self.close[last - 1]),
            int(self.volume[first:last].sum()),
        )

    def at(self, index: int) -> Ticks:
        return Ticks(
            int(self.open[index]),
            int(self.high[index]),
            int(self.low[index]),
            int(self.close[index]),
            int(self.volume[index]),
        )


def join(bars: list[Ticks]) -> Ticks:
    """Consecutive bars as one. ValueError when there is none."""
    if not bars:
        raise ValueError("no bars to put together")
    return Ticks(
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum(bar.volume for bar in bars),
    )


def generator(*key: int) -> np.random.Generator:
    """A random generator that is a function of the key alone. The numbers of the key are not negative."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def minute_path(bar: Ticks, minutes: int, *key: int) -> Path:
    """The minutes of a session whose daily bar is `bar`."""
    if minutes <= LONGEST_U_SHAPE_MINUTES:
        x = np.linspace(-1.0, 1.0, minutes)
        profile = 0.6 + 1.8 * x * x
    else:
        profile = np.ones(minutes)
    return path(bar, minutes, profile, generator(*key))


def second_path(bar: Ticks, *key: int) -> Path:
    """The seconds of a minute whose bar is `bar`."""
    return path(bar, MINUTE_S, np.ones(MINUTE_S), generator(*key))


def path(bar: Ticks, n: int, profile: NDArray[np.float64], random: np.random.Generator) -> Path:
    """`n` bars whose first opens at the bar's open, whose last closes at its close, and that touch its high and low.

    Brownian bridges between open, high, low and close, the extremes in random order, kept inside [low, high]; the
    volume follows `profile` (n,) with noise and sums to the bar's.
    """
    if n < 1:
        raise ValueError(f"a path needs at least one bar, not {n}")
    if n == 1:
        return Path(*(np.array([value], dtype=np.int64) for value in bar))
    # Two bars have one point between them, too few for both extremes: there they are set as highs and lows below.
    inner = random.permutation(np.arange(1, n))[:2] if n > 2 else np.empty(0, dtype=np.int64)
    keys = np.array([0, *inner, n])
    values = np.array([bar.open, *((bar.high, bar.low) if n > 2 else ()), bar.close], dtype=np.float64)
    order = np.argsort(keys)
    keys, values = keys[order], values[order]
    index = np.arange(n + 1)
    noise = np.concatenate(([0.0], random.standard_normal(n).cumsum()))
    noise -= np.interp(index, keys, noise[keys])
    scale = 0.4 * (bar.high - bar.low) / math.sqrt(n)
    points = np.rint(np.interp(index, keys, values) + scale * noise)
    points = np.clip(points, bar.low, bar.high).astype(np.int64)
    points[keys] = values.astype(np.int64)
    opens, closes = points[:-1], points[1:]
    reach = np.floor(np.abs(random.standard_normal((2, n))) * (0.5 * scale)).astype(np.int64)
    highs = np.minimum(np.maximum(opens, closes) + reach[0], bar.high)
    lows = np.maximum(np.minimum(opens, closes) - reach[1], bar.low)
    if n == 2:
        highs[random.integers(2)] = bar.high
        lows[random.integers(2)] = bar.low
    return Path(opens.copy(), highs, lows, closes.copy(), _volumes(bar.volume, profile, random))


def _volumes(total: int, profile: NDArray[np.float64], random: np.random.Generator) -> Ints:
    weights = profile * (0.5 + random.random(len(profile)))
    share = weights.cumsum()
    edges = np.floor(share / share[-1] * total).astype(np.int64)
    edges[-1] = total
    result: Ints = np.diff(edges, prepend=np.int64(0))
    return result


class DayRule(NamedTuple):
    """How a random walk moves from one session to the next; prices in ticks."""

    level: float
    daily_volatility: float
    reversion: float
    volume: int


def walk_year(previous_close: int, rule: DayRule, skip: int, days: int, *key: int) -> list[Ticks]:
    """Sessions `skip` … `days`−1 of one year that follow a session which closed at `previous_close`.

    The random numbers belong to the key and the session's place in the year, so a walk that begins inside the year
    moves as one that came from the year before.
    """
    random = generator(*key)
    z = random.standard_normal((days, 4))
    busy = np.exp(0.35 * random.standard_normal(days))
    bars: list[Ticks] = []
    close = previous_close
    target = math.log(max(rule.level, 1.0))
    overnight, intraday = rule.daily_volatility * _OPENING_GAP, rule.daily_volatility * math.sqrt(1 - _OPENING_GAP**2)
    for i in range(skip, days):
        gap, move, above, below = z[i].tolist()
        pull = rule.reversion * (target - math.log(close))
        opened = max(1, round(close * math.exp(overnight * gap + pull)))
        closed = max(1, round(opened * math.exp(intraday * move)))
        high = max(opened, closed, round(max(opened, closed) * math.exp(0.5 * intraday * abs(above))))
        low = max(1, min(opened, closed, round(min(opened, closed) * math.exp(-0.5 * intraday * abs(below)))))
        bars.append(Ticks(opened, high, low, closed, round(rule.volume * float(busy[i]))))
        close = closed
    return bars
