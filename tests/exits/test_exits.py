"""Exits: where each fires, for longs and mirrored for shorts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.exits.stop_loss import stop_loss_hit
from runner.exits.take_profit import take_profit_hit
from runner.exits.trailing_stop_loss import best_price_since, trailing_stop_loss_hit

NAN = float("nan")


@pytest.mark.parametrize(
    ("side", "entry", "adverse", "fraction", "hit"),
    [
        (1, 100, 95.01, 0.05, False),
        (1, 100, 95.0, 0.05, True),
        (1, 100, 60.0, 0.05, True),
        (1, 100, 60.0, 0.0, False),
        (1, 100, NAN, 0.05, False),
        (1, NAN, 60.0, 0.05, False),
        (-1, 100, 104.99, 0.05, False),
        (-1, 100, 105.0, 0.05, True),
    ],
)
def test_stop_loss(side: float, entry: float, adverse: float, fraction: float, hit: bool) -> None:
    assert stop_loss_hit(side, entry, adverse, fraction) is hit


@pytest.mark.parametrize(
    ("side", "entry", "favourable", "fraction", "hit"),
    [
        (1, 100, 119.99, 0.2, False),
        (1, 100, 120.0, 0.2, True),
        (1, 100, 500.0, 0.0, False),
        (1, 100, NAN, 0.2, False),
        (-1, 100, 80.01, 0.2, False),
        (-1, 100, 80.0, 0.2, True),
    ],
)
def test_take_profit(side: float, entry: float, favourable: float, fraction: float, hit: bool) -> None:
    assert take_profit_hit(side, entry, favourable, fraction) is hit


@pytest.mark.parametrize(
    ("side", "best", "bad", "good", "close", "hit", "why"),
    [
        (1, 100, 90, 100, 90, False, "never a profit: the stop loss is for that"),
        (1, 120, 113, 119, 115, True, "low is 5 % under the best before the bar"),
        (1, 120, 115, 119, 116, False, "not yet"),
        (1, 100, 99, 130, 129, False, "a new best on this bar does not stop at its own low"),
        (1, 100, 99, 130, 123, True, "but its close came after its high"),
        (1, 100, 99, 100.5, 99, False, "a hair of profit, close not far enough"),
        (1, 100, NAN, NAN, NAN, False, "no price"),
        (-1, 80, 84.1, 81, 83, True, "mirrored"),
        (-1, 100, 110, 100, 110, False, "mirrored, never a profit"),
        (-1, 100, 101, 70, 74, True, "mirrored, close after the low"),
    ],
)
def test_trailing_stop_loss(
    side: float, best: float, bad: float, good: float, close: float, hit: bool, why: str
) -> None:
    assert trailing_stop_loss_hit(side, 100.0, best, bad, good, close, 0.05) is hit, why


prices = st.floats(1.0, 1000.0)
fractions = st.floats(0.0, 0.5)


@settings(max_examples=100, deadline=None)
@given(prices, prices, prices, fractions)
def test_a_worse_price_never_undoes_an_exit(entry: float, price: float, other: float, fraction: float) -> None:
    low, high = min(price, other), max(price, other)
    for side, better, worse in ((1.0, high, low), (-1.0, low, high)):
        assert stop_loss_hit(side, entry, worse, fraction) or not stop_loss_hit(side, entry, better, fraction)
        assert take_profit_hit(side, entry, better, fraction) or not take_profit_hit(side, entry, worse, fraction)


@settings(max_examples=100, deadline=None)
@given(prices, prices)
def test_the_best_price_only_gets_better(best: float, favourable: float) -> None:
    assert best_price_since(1.0, best, favourable) == max(best, favourable)
    assert best_price_since(-1.0, best, favourable) == min(best, favourable)
    assert best_price_since(1.0, best, NAN) == best
