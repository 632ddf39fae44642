"""Signals: tables of facts, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runner.model.panel import FloatArray, Panel
from runner.signals.buy_and_hold import BuyAndHold
from runner.signals.donchian_breakout import DonchianBreakout
from runner.signals.episodes import episodes
from runner.signals.momentum import Momentum
from runner.signals.rsi import Rsi
from runner.signals.sma_cross import SmaCross

NAN = float("nan")


def panel(*columns: list[float]) -> Panel:
    """Closes of each instrument; the high is 1 above, the low 1 below."""
    close = np.array(columns, dtype=np.float64).T
    return Panel(
        symbols=tuple("ABCDEFGH"[: len(columns)]),
        times=np.arange(len(close)).astype("datetime64[D]").astype("datetime64[ns]"),
        open=close,
        high=close + 1,
        low=close - 1,
        close=close,
        volume=np.full(close.shape, 100.0),
    )


def check(block: Any, column: list[float], expected: list[float]) -> None:
    np.testing.assert_array_equal(block.compute(panel(column))[:, 0], expected)


def test_buy_and_hold_is_long_from_the_first_bar() -> None:
    check(BuyAndHold(), [NAN, 10, NAN, 11], [NAN, 1, 1, 1])


@pytest.mark.parametrize(
    ("column", "allow_short", "expected"),
    [
        ([1, 2, 3, 4], False, [NAN, NAN, 1, 1]),
        ([4, 3, 2, 1], False, [NAN, NAN, 0, 0]),
        ([4, 3, 2, 1], True, [NAN, NAN, -1, -1]),
        ([5, 5, 5, 5], True, [NAN, NAN, 0, 0]),
        ([1, 2, 3, NAN, 4], False, [NAN, NAN, 1, 1, 1]),
    ],
)
def test_sma_cross_follows_the_sign_of_the_gap(column: list[float], allow_short: bool, expected: list[float]) -> None:
    check(SmaCross(fast=2, slow=3, allow_short=allow_short), column, expected)


def test_averages_that_differ_in_their_last_bits_touch() -> None:
    column = [0.1, 0.2, 0.3] * 40
    result = SmaCross(fast=3, slow=6, allow_short=True).compute(panel(column))[5:, 0]
    assert (result == 0.0).all()


def test_sma_cross_refuses_a_fast_average_that_is_not_faster() -> None:
    with pytest.raises(ValueError, match="fast 50 must be below slow 50"):
        SmaCross(fast=50, slow=50)


def test_momentum_measures_from_lookback_to_skip() -> None:
    # At the last bar: from 3 bars ago (100) to 1 bar ago (120); the last close does not count.
    check(Momentum(lookback=3, skip=1), [100, 90, 120, 50], [NAN, NAN, NAN, 1])
    check(Momentum(lookback=3, skip=0), [100, 90, 120, 50], [NAN, NAN, NAN, 0])
    check(Momentum(lookback=3, skip=0, allow_short=True), [100, 90, 120, 50], [NAN, NAN, NAN, -1])
    check(Momentum(lookback=1, threshold=0.1), [100, 110, 122], [NAN, 0, 1])


@pytest.mark.parametrize(
    ("returns", "settings", "expected"),
    [
        ([0.3, 0.2, 0.1, 0.05], {"top": 2}, [1, 1, 0, 0]),
        ([0.3, -0.2, -0.1, -0.05], {"top": 2}, [1, 0, 0, 0]),
        ([0.3, -0.2, -0.1, -0.05], {"top": 2, "threshold": -1}, [1, 0, 0, 1]),
        ([0.1, 0.1, 0.1, 0.1], {"top": 1}, [1, 0, 0, 0]),
        ([0.3, -0.2, -0.1, 0.2], {"top": 1, "allow_short": True}, [1, -1, 0, 0]),
        ([NAN, 0.1, 0.2, 0.3], {"top": 2}, [NAN, 0, 1, 1]),
        ([0.1, 0.2, 0.3, 0.4], {"top": 9}, [1, 1, 1, 1]),
    ],
)
def test_momentum_with_top_keeps_the_strongest(
    returns: list[float], settings: dict[str, Any], expected: list[float]
) -> None:
    columns = [[100.0, 100.0 * (1 + value)] for value in returns]
    result = Momentum(lookback=1, **settings).compute(panel(*columns))
    np.testing.assert_array_equal(result[1], expected)


def test_momentum_refuses_to_skip_everything() -> None:
    with pytest.raises(ValueError, match="skip 21 must be below lookback 21"):
        Momentum(lookback=21, skip=21)


@pytest.mark.parametrize(
    ("starts", "ends", "max_hold", "expected"),
    [
        ("100000", "000100", 9, "111000"),
        ("100000", "000000", 2, "111000"),
        ("101000", "000000", 2, "111110"),
        ("100000", "100000", 9, "000000"),
        ("000000", "010000", 9, "000000"),
        ("100100", "010000", 9, "100111"),
    ],
)
def test_an_episode_lasts_from_a_start_to_an_end(starts: str, ends: str, max_hold: int, expected: str) -> None:
    def flags(text: str) -> Any:
        return np.array([char == "1" for char in text])

    np.testing.assert_array_equal(episodes(flags(starts), flags(ends), max_hold), flags(expected).astype(float))


def zigzag(block: Rsi, *legs: tuple[float, int]) -> FloatArray:
    """Closes made of legs (step, bars) after a warm-up that neither rises nor falls."""
    steps = [1.0, -1.0] * (block.warmup // 2 + 1)
    for step, bars in legs:
        steps += [step] * bars
    return 100.0 + np.cumsum(steps)


def test_rsi_is_long_from_oversold_until_the_exit_level() -> None:
    block = Rsi(period=5, low=30, exit=50, high=70, max_hold=30)
    column = zigzag(block, (-1.0, 8), (1.0, 8))
    scores = block.compute(panel(list(column)))[:, 0]
    fall, rise = len(column) - 16, len(column) - 8
    assert scores[fall - 1] == 0.0
    assert scores[rise - 1] == 1.0, "oversold at the end of the fall"
    assert scores[rise] == 1.0, "still long on the first bar of the recovery, above low and below exit"
    assert scores[-1] == 0.0, "recovered"


def test_rsi_mirrors_its_rule_for_shorts() -> None:
    block = Rsi(period=5, low=30, exit=50, high=70, max_hold=30, allow_short=True)
    column = zigzag(block, (1.0, 8), (-1.0, 1))
    scores = block.compute(panel(list(column)))[:, 0]
    assert scores[-2:].tolist() == [-1.0, -1.0]
    assert (Rsi(period=5, max_hold=30).compute(panel(list(column)))[-2:] == 0.0).all()


def test_rsi_gives_up_after_max_hold() -> None:
    block = Rsi(period=2, low=20, exit=99, high=99, max_hold=3)
    column = zigzag(block, (-1.0, 4), (0.6, 1), (0.0, 6))
    scores = block.compute(panel(list(column)))[:, 0]
    assert 1.0 in scores[-8:-4]
    assert scores[-1] == 0.0


def test_rsi_refuses_levels_in_the_wrong_order() -> None:
    with pytest.raises(ValueError, match="exit 80 must be between low 30 and high 70"):
        Rsi(exit=80)


def test_donchian_compares_with_the_bars_before() -> None:
    block = DonchianBreakout(entry=3, exit=2, max_hold=50)
    flat = [100.0] * block.warmup
    # Highs are 1 above the closes, so the channel's top is 101: touching it is no breakout.
    assert block.compute(panel([*flat, 101.0]))[-1, 0] == 0.0
    # Now the top is 102, lifted by the bar before; a bar is never measured against its own high.
    assert block.compute(panel([*flat, 101.0, 101.5]))[-1, 0] == 0.0
    scores = block.compute(panel([*flat, 101.5, 103.0, 102.5, 101.9, 98.0]))[-5:, 0]
    assert scores.tolist() == [1.0, 1.0, 1.0, 1.0, 0.0], "long from the breakout to the two-bar low"


def test_donchian_goes_short_only_when_allowed() -> None:
    column = [100.0] * DonchianBreakout(entry=3, exit=2, max_hold=5).warmup + [98.0]
    assert DonchianBreakout(entry=3, exit=2, max_hold=5).compute(panel(column))[-1, 0] == 0.0
    assert DonchianBreakout(entry=3, exit=2, max_hold=5, allow_short=True).compute(panel(column))[-1, 0] == -1.0


def test_donchian_leaves_a_breakout_that_is_not_renewed() -> None:
    block = DonchianBreakout(entry=3, exit=2, max_hold=4)
    column = [100.0] * block.warmup + [102.0] * 7
    assert block.compute(panel(column))[-7:, 0].tolist() == [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]


def test_donchian_refuses_an_exit_longer_than_the_entry() -> None:
    with pytest.raises(ValueError, match="exit 20 must be at most entry 10"):
        DonchianBreakout(entry=10)
