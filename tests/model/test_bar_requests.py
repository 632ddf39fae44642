"""How many requests a history takes, and how far back it reaches, by IB's rules."""

from __future__ import annotations

import pytest

from runner.model.bar_requests import most_years, pacing_s, requests_for, years_of
from runner.model.bars import BarSize


@pytest.mark.parametrize(
    ("bars", "size", "requests"),
    [
        (1, BarSize.DAY_1, 1),
        (252, BarSize.DAY_1, 1),
        (600, BarSize.DAY_1, 3),
        (52, BarSize.WEEK_1, 1),
        (120, BarSize.MONTH_1, 10),
        (390, BarSize.MIN_1, 1),
        (391, BarSize.MIN_1, 2),
        (390, BarSize.MIN_5, 1),
        (1_800, BarSize.SEC_1, 1),
        (20_000, BarSize.SEC_1, 12),
        (20_000, BarSize.SEC_5, 28),
    ],
)
def test_a_history_is_asked_for_in_pieces_that_ib_answers(bars: int, size: BarSize, requests: int) -> None:
    assert requests_for(bars, size, True) == requests


@pytest.mark.parametrize(
    ("requests", "size", "seconds"),
    [(60, BarSize.SEC_5, 0), (61, BarSize.SEC_5, 600), (181, BarSize.SEC_30, 1_800), (1_000, BarSize.MIN_1, 0)],
)
def test_small_bars_wait_for_their_turn(requests: int, size: BarSize, seconds: float) -> None:
    assert pacing_s(requests, size) == seconds


@pytest.mark.parametrize(
    ("bars", "size", "years"),
    [
        (252, BarSize.DAY_1, 0.97),
        (52, BarSize.WEEK_1, 1.0),
        (12, BarSize.MONTH_1, 0.99),
        (390 * 252, BarSize.MIN_1, 0.97),
    ],
)
def test_bars_reach_back_in_calendar_time(bars: int, size: BarSize, years: float) -> None:
    assert years_of(bars, size, True) == pytest.approx(years, abs=0.01)


def test_the_shorter_the_bars_the_less_far_back() -> None:
    assert most_years(BarSize.SEC_30) < most_years(BarSize.MIN_1) < most_years(BarSize.DAY_1)
