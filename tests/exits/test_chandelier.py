"""The chandelier exit: where its level hangs, for longs and mirrored for shorts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from runner.exits.chandelier import Chandelier
from runner.model.panel import Panel

NAN = float("nan")
Candle = tuple[float, float, float]


def panel(*candles: Candle) -> Panel:
    """One instrument's bars: high, low, close."""
    high, low, close = (np.array(values, dtype=np.float64)[:, None] for values in zip(*candles, strict=True))
    return Panel(
        symbols=("X",),
        times=np.arange(len(candles)).astype("datetime64[D]").astype("datetime64[ns]"),
        open=close, high=high, low=low, close=close, volume=np.ones_like(close),
    )  # fmt: skip


def sides(block: Chandelier, *candles: Candle) -> list[str]:
    """Per bar `L`, `S`, both or nothing."""
    long, short = block.compute(panel(*candles))
    return ["L" * bool(a) + "S" * bool(b) for a, b in zip(long[:, 0], short[:, 0], strict=True)]


# Every bar has a range of 2 and touches the one before it, so the average true range is 2 throughout.
CALM: Sequence[Candle] = [(101, 99, 100)] * 4


@pytest.mark.parametrize(
    ("last", "expected", "why"),
    [
        ((101, 99, 99), "", "the level of a long is 101 - 1.5 x 2 = 98"),
        ((101, 99, 98.5), "", "above it"),
        ((101, 98.5, 98.0), "", "touching is not enough: the range is 2.5 here, the level 97.625"),
        ((100, 97, 97.0), "L", "the average is 7 / 3, the level 97.5"),
        ((103, 100, 103.0), "S", "mirrored: the lowest low 99 and 3.5 above it"),
    ],
)
def test_a_side_is_left_beyond_its_level(last: Candle, expected: str, why: str) -> None:
    assert sides(Chandelier(window=3, mult=1.5), *CALM, last)[-1] == expected, why


def test_the_level_follows_the_highs_up_and_never_the_close() -> None:
    rising = [(100.0 + i, 98.0 + i, 99.0 + i) for i in range(10)]
    assert set(sides(Chandelier(window=3, mult=1.5), *rising)) == {""}
    fall = (109.0, 103.0, 103.5)
    assert sides(Chandelier(window=3, mult=1.5), *rising, fall)[-1] == "L"


def test_a_wide_enough_swing_leaves_both_sides() -> None:
    swing = [(130.0, 128.0, 129.0), (102.0, 100.0, 101.0), *[(116.0, 114.0, 115.0)] * 3]
    assert sides(Chandelier(window=5, mult=0.1), (130.0, 128.0, 129.0), *swing)[-1] == "LS"


def test_nothing_is_said_before_the_first_average_range() -> None:
    block = Chandelier(window=3, mult=0.1)
    fall = [(100.0 - 5 * i, 98.0 - 5 * i, 98.0 - 5 * i) for i in range(6)]
    assert sides(block, *fall) == ["", "", "", "L", "L", "L"]
    assert block.warmup == 4


def test_a_bar_that_is_missing_repeats_what_was_said() -> None:
    fall = [(100.0 - 5 * i, 98.0 - 5 * i, 98.0 - 5 * i) for i in range(5)]
    assert sides(Chandelier(window=3, mult=0.1), *fall, (NAN, NAN, NAN))[-2:] == ["L", "L"]
