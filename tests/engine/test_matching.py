"""Facts about when and at what price a bar fills an order. Prices are in dollars here; any unit does."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.engine import matching as m
from runner.engine.matching import Match, Rules, Working

EXACT = Rules()
SPREAD = Rules(half_spread=0.5)


def meet(order: Working, open_: float, high: float, low: float, close: float, *, auction: bool, rules: Rules) -> Match:
    """A whole bar: open, inside, close."""
    match = m.at_open(order, open_, auction, rules)
    if match.phase == m.NOT_FILLED:
        moved = order._replace(stop=match.stop, triggered=match.triggered)
        match = m.inside(moved, open_, high, low, close, rules)
        if match.phase == m.NOT_FILLED:
            moved = moved._replace(stop=match.stop, triggered=match.triggered)
            closing = m.at_close(moved, close, rules)
            match = closing if closing.phase else match
    return match


BAR = (100.0, 110.0, 90.0, 104.0)
FACTS = [
    # what, order, phase, price
    ("market", Working(m.MARKET, 1), m.AT_OPEN, 100.0),
    ("limit buy below touched", Working(m.LIMIT, 1, 95.0), m.INSIDE, 95.0),
    ("limit buy above gains at the open", Working(m.LIMIT, 1, 105.0), m.AT_OPEN, 100.0),
    ("limit buy at the low is touched", Working(m.LIMIT, 1, 90.0), m.INSIDE, 90.0),
    ("limit buy below the low", Working(m.LIMIT, 1, 89.0), m.NOT_FILLED, None),
    ("limit sell above touched", Working(m.LIMIT, -1, 108.0), m.INSIDE, 108.0),
    ("limit sell below gains at the open", Working(m.LIMIT, -1, 99.0), m.AT_OPEN, 100.0),
    ("stop sell inside", Working(m.STOP, -1, stop=95.0), m.INSIDE, 95.0),
    ("stop sell gapped through fills at the open", Working(m.STOP, -1, stop=101.0), m.AT_OPEN, 100.0),
    ("stop buy inside", Working(m.STOP, 1, stop=108.0), m.INSIDE, 108.0),
    ("stop buy beyond the high", Working(m.STOP, 1, stop=111.0), m.NOT_FILLED, None),
    ("stop limit with room", Working(m.STOP_LIMIT, 1, 109.0, 108.0), m.INSIDE, 108.0),
    ("stop limit passed, close comes back", Working(m.STOP_LIMIT, 1, 105.0, 108.0), m.INSIDE, 105.0),
    ("stop limit passed, close stays away", Working(m.STOP_LIMIT, 1, 103.0, 108.0), m.NOT_FILLED, None),
    ("stop limit gapped beyond its limit", Working(m.STOP_LIMIT, -1, 100.5, 101.0), m.INSIDE, 100.5),
    ("touched buy", Working(m.IF_TOUCHED, 1, stop=95.0), m.INSIDE, 95.0),
    ("touched buy at the open", Working(m.IF_TOUCHED, 1, stop=101.0), m.AT_OPEN, 100.0),
    ("limit if touched, limit is better", Working(m.LIMIT_IF_TOUCHED, 1, 92.0, 95.0), m.INSIDE, 92.0),
    ("limit if touched, limit is worse", Working(m.LIMIT_IF_TOUCHED, 1, 96.0, 95.0), m.INSIDE, 95.0),
    ("limit if touched, only touched", Working(m.LIMIT_IF_TOUCHED, 1, 89.0, 95.0), m.NOT_FILLED, None),
    ("trail meets the low with its old stop", Working(m.TRAIL, -1, stop=95.0, trail_amount=5.0), m.INSIDE, 95.0),
    ("trail gapped through", Working(m.TRAIL, -1, stop=101.0, trail_amount=5.0), m.AT_OPEN, 100.0),
    ("trail moved by the high to 99", Working(m.TRAIL, -1, stop=80.0, trail_amount=11.0), m.NOT_FILLED, None),
    ("relative buy rests at its offset", Working(m.RELATIVE, 1, stop=0.0), m.INSIDE, 100.0),
    ("market on close", Working(m.ON_CLOSE, 1), m.AT_CLOSE, 104.0),
    ("limit on close", Working(m.LIMIT_ON_CLOSE, 1, 104.0), m.AT_CLOSE, 104.0),
    ("limit on close too low", Working(m.LIMIT_ON_CLOSE, 1, 103.0), m.NOT_FILLED, None),
]  # fmt: skip


@pytest.mark.parametrize(("order", "phase", "price"), [row[1:] for row in FACTS], ids=[row[0] for row in FACTS])
def test_a_bar_of_100_110_90_104_fills(order: Working, phase: int, price: float | None) -> None:
    match = meet(order, *BAR, auction=True, rules=EXACT)
    assert match.phase == phase
    assert math.isnan(match.price) if price is None else match.price == price


def test_a_trailing_stop_follows_the_high_and_fills_when_the_close_proves_the_way_back() -> None:
    order = Working(m.TRAIL, -1, stop=80.0, trail_amount=5.0)
    quiet = m.inside(order, 100.0, 110.0, 99.0, 108.0, EXACT)
    assert (quiet.phase, quiet.stop) == (m.NOT_FILLED, 105.0)
    proven = m.inside(order, 100.0, 110.0, 99.0, 104.0, EXACT)
    assert (proven.phase, proven.price) == (m.INSIDE, 105.0)


def test_a_new_trailing_stop_begins_at_the_open_and_a_percentage_follows_the_price() -> None:
    assert m.at_open(Working(m.TRAIL, -1, trail_amount=5.0), 100.0, True, EXACT).stop == 95.0
    assert m.at_open(Working(m.TRAIL, 1, trail_fraction=0.1), 100.0, True, EXACT).stop == pytest.approx(110.0)


def test_a_trailing_limit_rests_beyond_its_stop_once_it_was_gapped_through() -> None:
    order = Working(m.TRAIL_LIMIT, -1, stop=101.0, trail_amount=5.0, limit_offset=0.5)
    opened = m.at_open(order, 99.0, True, EXACT)
    assert (opened.phase, opened.triggered, opened.stop) == (m.NOT_FILLED, True, 101.0)
    later = m.inside(order._replace(triggered=True), 99.0, 102.0, 98.0, 99.0, EXACT)
    assert (later.phase, later.price) == (m.INSIDE, 100.5)


def test_spread_is_paid_by_takers_outside_auctions_and_slippage_everywhere() -> None:
    market = Working(m.MARKET, 1)
    assert m.at_open(market, 100.0, False, SPREAD).price == 100.5
    assert m.at_open(market, 100.0, True, SPREAD).price == 100.0
    assert m.at_open(market, 100.0, True, Rules(slippage=0.001)).price == pytest.approx(100.1)
    assert m.at_open(Working(m.LIMIT, 1, 100.2), 100.0, False, SPREAD).phase == m.NOT_FILLED
    assert m.inside(Working(m.STOP, -1, stop=95.0), *BAR, SPREAD).price == 94.5
    assert m.inside(Working(m.LIMIT, -1, 105.0), *BAR, SPREAD).price == 105.0


def test_a_limit_may_be_asked_to_be_traded_through() -> None:
    assert m.inside(Working(m.LIMIT, 1, 90.0), *BAR, Rules(fill_at_touch=False)).phase == m.NOT_FILLED


def test_what_is_left_of_a_bar_counts_only_on_what_surely_follows() -> None:
    assert m.rest_of_bar(95.0, -1, 110.0, 90.0, 104.0) == (95.0, 104.0, 90.0, 104.0)
    assert m.rest_of_bar(105.0, 1, 110.0, 90.0, 104.0) == (105.0, 110.0, 104.0, 104.0)
    assert m.rest_of_bar(100.0, 0, 110.0, 90.0, 104.0) == (100.0, 110.0, 90.0, 104.0)


PRICE = st.integers(1, 60).map(float)
ORDER = st.builds(
    Working, kind=st.integers(0, 10), side=st.sampled_from([1, -1]), limit=PRICE, stop=PRICE,
    trail_amount=PRICE, limit_offset=st.integers(0, 3).map(float), triggered=st.booleans(),
)  # fmt: skip
PRICES = st.lists(PRICE, min_size=4, max_size=4).map(lambda v: (v[0], max(v), min(v), v[3]))


@settings(max_examples=300, deadline=None)
@given(order=ORDER, bar=PRICES, auction=st.booleans())
def test_no_order_fills_outside_the_bar_or_beyond_its_limit(
    order: Working, bar: tuple[float, float, float, float], auction: bool
) -> None:
    match = meet(order, *bar, auction=auction, rules=EXACT)
    if match.phase == m.NOT_FILLED:
        return
    assert bar[2] <= match.price <= bar[1]
    if order.kind in (m.LIMIT, m.STOP_LIMIT, m.LIMIT_IF_TOUCHED, m.LIMIT_ON_CLOSE, m.RELATIVE):
        assert order.side * (order.limit - match.price) >= 0


@settings(max_examples=200, deadline=None)
@given(order=ORDER, bar=PRICES)
def test_a_trailing_stop_never_moves_away_from_the_market(
    order: Working, bar: tuple[float, float, float, float]
) -> None:
    order = order._replace(kind=m.TRAIL, triggered=False)
    match = meet(order, *bar, auction=True, rules=EXACT)
    assert order.side * (order.stop - match.stop) >= 0


@pytest.fixture(scope="module")
def compiled() -> Any:
    """A copy of the module whose functions are compiled."""
    import numba

    spec = importlib.util.find_spec("runner.engine.matching")
    assert spec is not None and spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    for name in FUNCTIONS:
        setattr(copy, name, numba.njit(getattr(copy, name)))
    return copy


FUNCTIONS = ("taken_price", "trail_distance", "trailed_stop", "_resting", "_elected", "_trailing", "at_open", "inside")


@pytest.mark.parametrize("order", [row[1] for row in FACTS], ids=[row[0] for row in FACTS])
def test_compiled_by_numba_the_rules_say_the_same(compiled: Any, order: Working) -> None:
    typed = compiled.Working(*order)._replace(limit_offset=float(order.limit_offset))
    rules = compiled.Rules(0.5, 0.001, True)
    for auction in (True, False):
        assert repr(compiled.at_open(typed, 100.0, auction, rules)) == repr(
            m.at_open(order, 100.0, auction, Rules(*rules))
        )
    assert repr(compiled.inside(typed, *BAR, rules)) == repr(m.inside(order, *BAR, Rules(*rules)))
