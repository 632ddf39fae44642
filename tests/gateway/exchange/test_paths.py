"""Simulated paths add up to the bars they are made for, exactly, at every level and in every cut."""

from __future__ import annotations

import itertools
from datetime import date
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.gateway.market import Market, Series
from runner.gateway.settings import GatewaySettings
from runner.gateway.synth import DayRule, Ticks, generator, join, path, walk_year

AAPL, EURUSD = 265598, 12087792


@st.composite
def bars(draw: st.DrawFn) -> Ticks:
    low = draw(st.integers(1, 50_000))
    high = low + draw(st.integers(0, 3_000))
    opened, closed = draw(st.integers(low, high)), draw(st.integers(low, high))
    return Ticks(opened, high, low, closed, draw(st.integers(0, 10**9)))


@settings(max_examples=200, deadline=None)
@given(bar=bars(), n=st.integers(1, 400), seed=st.integers(0, 2**32))
def test_a_path_re_aggregates_to_its_bar(bar: Ticks, n: int, seed: int) -> None:
    made = path(bar, n, np.ones(n), generator(seed))
    assert made.bar(0, n) == bar
    assert (made.low <= np.minimum(made.open, made.close)).all()
    assert (made.high >= np.maximum(made.open, made.close)).all()
    assert (made.open[1:] == made.close[:-1]).all()
    assert (made.volume >= 0).all()


@lru_cache(maxsize=1)
def market() -> Market:
    return Market(GatewaySettings(start=date(2013, 2, 25), step="day"))


def series(con_id: int) -> Series:
    return market().series(con_id)


@settings(max_examples=60, deadline=None)
@given(
    con_id=st.sampled_from([AAPL, EURUSD]),
    day=st.dates(date(2012, 11, 20), date(2013, 4, 30)),
    cuts=st.lists(st.integers(0, 86_400), max_size=8),
)
def test_a_session_cut_anywhere_adds_up_to_its_daily_bar(con_id: int, day: date, cuts: list[int]) -> None:
    one = series(con_id)
    i = one.timeline.on_or_before(day)
    opened, closed = one.timeline.opens[i], one.timeline.closes[i]
    edges = sorted({opened, closed, *(opened + cut % (closed - opened) for cut in cuts)})
    parts = [one.between(a, b) for a, b in itertools.pairwise(edges)]
    assert join([part for part in parts if part is not None]) == one.daily(i)


def test_the_same_seed_gives_the_same_market_whatever_was_asked_for_before() -> None:
    first, second = Market(GatewaySettings()), Market(GatewaySettings())
    i = first.series(AAPL).timeline.index[date(2013, 6, 3)]
    second.series(AAPL).daily(i + 100)
    second.series(AAPL).minutes(i - 1)
    assert first.series(AAPL).daily(i) == second.series(AAPL).daily(i)
    assert first.series(AAPL).minutes(i).bar(10, 20) == second.series(AAPL).minutes(i).bar(10, 20)
    assert Market(GatewaySettings(seed=2)).series(AAPL).daily(i) != first.series(AAPL).daily(i)


def test_recorded_days_are_as_recorded_and_a_walk_continues_from_the_last_close() -> None:
    one = series(AAPL)
    last = one.timeline.index[date(2013, 3, 1)]
    assert one.daily(last) == Ticks(43800, 43818, 42998, 43047, 19730300)
    following = one.daily(last + 1)
    assert following is not None and abs(following.open / 43047 - 1) < 0.05


def test_a_walk_that_begins_inside_a_year_draws_the_numbers_of_its_days() -> None:
    rule = DayRule(10_000.0, 0.01, 0.0, 1000)
    whole = walk_year(10_000, rule, 0, 250, 1, 2, 2013)
    part = walk_year(whole[99].close, rule, 100, 250, 1, 2, 2013)
    assert part == whole[100:]


@pytest.mark.parametrize("con_id", [AAPL, EURUSD])
def test_the_last_price_at_any_second_is_the_close_of_what_traded_before_it(con_id: int) -> None:
    one = series(con_id)
    i = one.timeline.on_or_before(date(2013, 2, 26))
    opened = one.timeline.opens[i]
    for second in (1, 59, 60, 61, 3600, 10_000):
        traded = one.between(opened, opened + second)
        assert traded is not None and one.last_price(opened + second) == traded.close
    assert one.last_price(opened) == one.close_before(i)
