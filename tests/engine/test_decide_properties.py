"""What the decision kernel never does, whatever it is given, and that its compiled copy gives the same bits."""

from __future__ import annotations

import types
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.engine import decide as kernel
from runner.engine.decide import Decision, Limits, decide
from runner.engine.orders import order_plan
from runner.model.orders import Purpose

NAN = float("nan")
FIRED = (kernel.STOP_LOSS, kernel.TRAILING_STOP_LOSS, kernel.TAKE_PROFIT, kernel.EXIT_RULE)
LEAVES = st.sampled_from([0.0, 0.0, 0.0, 1.0, -1.0, 2.0, NAN])

prices = st.one_of(st.floats(0.01, 5_000.0), st.sampled_from([NAN, 0.0, -1.0, 100.0, float("inf")]))
lots = st.sampled_from([1.0, 1.0, 100.0, 0.1, 0.0001])
fractions = st.one_of(st.just(0.0), st.floats(0.001, 0.5))


@st.composite
def instruments(draw: st.DrawFn) -> tuple[float, ...]:
    """One column: held, entry, best, blocked, open, high, low, close, wanted, leave, tradable, unit, lot."""
    lot = draw(lots)
    close = draw(prices)
    bar = [close * draw(st.floats(0.8, 1.25)) for _ in range(3)]
    return (
        draw(st.one_of(st.just(0.0), st.integers(-5_000, 5_000).map(lambda n: n * lot), st.floats(-500.0, 500.0))),
        draw(prices),
        draw(prices),
        draw(st.sampled_from([0.0, 0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 16.0, -16.0])),
        bar[0],
        max(*bar, close),
        min(*bar, close),
        close,
        draw(st.one_of(st.sampled_from([NAN, 0.0, 0.1, -0.1, 1.0]), st.floats(-2.0, 2.0))),
        draw(LEAVES),
        draw(st.sampled_from([1.0, 1.0, 1.0, 0.0])),
        draw(st.sampled_from([1.0, 1.0, 0.85, 50.0, 0.0067, NAN])),
        lot,
    )


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    low, target, high = sorted(draw(st.tuples(*[st.floats(0.0, 1.0)] * 3)))
    return Limits(
        low,
        target,
        high,
        draw(st.one_of(st.just(0.0), st.floats(0.001, 2.0))),
        draw(fractions),
        float(draw(st.integers(0, 4))),
        draw(fractions),
        draw(fractions),
        draw(fractions),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, ...]:
    columns = draw(st.lists(instruments(), min_size=1, max_size=5))
    equity = draw(st.one_of(st.floats(100.0, 1e7), st.sampled_from([0.0, -5.0, NAN])))
    return (
        *(np.array(values, dtype=np.float64) for values in zip(*columns, strict=True)),
        equity,
        draw(st.one_of(st.just(equity), st.floats(100.0, 1e7))),
        float(draw(st.integers(0, 4))),
        draw(st.booleans()),
        draw(limits()),
        draw(st.booleans()),
    )


def compiled(function: Callable[..., Any], done: dict[Any, Any]) -> Any:
    """`function` and every function of ours that it calls, compiled by numba from the same code objects."""
    import numba

    if function not in done:
        names = dict(function.__globals__)
        for name in function.__code__.co_names:
            value = names.get(name)
            if isinstance(value, types.FunctionType) and value.__module__.startswith("runner."):
                names[name] = compiled(value, done)
        copy = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__)
        done[function] = numba.njit(copy)
    return done[function]


@pytest.fixture(scope="module")
def compiled_decide() -> Callable[..., Decision]:
    result: Callable[..., Decision] = compiled(decide, {})
    return result


@settings(max_examples=200, deadline=None)
@given(case=cases())
def test_the_compiled_copy_gives_the_same_bits(compiled_decide: Callable[..., Decision], case: tuple[Any, ...]) -> None:
    plain, fast = decide(*case), compiled_decide(*case)
    for name in ("target", "reason", "best_price", "blocked"):
        # NaN is one value to us; its sign and payload are nobody's business.
        one, other = getattr(plain, name), getattr(fast, name)
        np.testing.assert_array_equal(one, other)
        known = one == one
        assert one[known].tobytes() == other[known].tobytes(), name
    assert plain.paused == fast.paused


@settings(max_examples=200, deadline=None)
@given(case=cases())
def test_invariants(case: tuple[Any, ...]) -> None:
    qty, close, wanted, leave, tradable, unit, lot = case[0], *case[7:13]
    equity, day_start, trades, evaluate, limit, paused = case[13:]
    decision = decide(*case)
    opened = 0
    for i, (target, code) in enumerate(zip(decision.target, decision.reason, strict=True)):
        held = qty[i]
        assert int(code) in kernel.REASON_TEXT
        assert np.isfinite(target)
        grows = abs(target) > abs(held) or target * held < 0
        opened += grows
        priced = np.isfinite(close[i]) and close[i] > 0 and tradable[i]
        fired = code in FIRED and target != held
        if fired or code == kernel.EXIT_SIGNAL:
            assert target == 0.0
            assert held != 0.0
        if priced and held != 0.0 and leave[i] in (np.sign(held), 2.0):
            assert fired, "what must be left is left, whatever the caps, counts and pauses say"
        if not priced:
            assert target == held, "no price, no trade"
        if not evaluate and target != held:
            assert code in FIRED, "without an evaluation only exits act"
        if np.isnan(wanted[i]) and target != held:
            assert code in FIRED, "no opinion opens nothing"
        if target != 0.0 and target != held:
            assert target * wanted[i] > 0.0, "trades go to the wanted side, and reductions never cross zero"
            lots_held = target / lot[i]
            assert abs(lots_held - round(lots_held)) < 1e-6
        if grows:
            assert not decision.paused
            assert leave[i] not in (np.sign(target), 2.0), "a side that must be left is not entered"
            assert np.isfinite(equity) and equity > 0
            assert code in (kernel.ENTER, kernel.REBALANCE, kernel.CAPPED)
            if limit.max_position_size > 0:
                assert abs(target) * (close[i] * unit[i]) <= limit.max_position_size * equity
            exact = Fraction(abs(wanted[i])) * Fraction(equity) / Fraction(close[i]) / Fraction(unit[i])
            assert Fraction(abs(target)) <= exact + Fraction(lot[i]) / 10**8, "never more than wanted"
        if held != 0.0 and wanted[i] == 0.0 and evaluate and tradable[i] and 0 < close[i] < np.inf:
            assert target == 0.0, "a signal to leave is never refused"
        if abs(decision.blocked[i]) > 0 and evaluate and np.isfinite(wanted[i]):
            assert wanted[i] * decision.blocked[i] > 0, "blocked only while the weight stays on that side"
    if limit.max_daily_trades > 0:
        assert opened <= max(0.0, limit.max_daily_trades - trades)
    if paused:
        assert decision.paused
    if limit.max_daily_loss > 0 and equity <= day_start * (1 - limit.max_daily_loss):
        assert decision.paused


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_the_same_question_has_the_same_answer_and_changes_nothing(case: tuple[Any, ...]) -> None:
    before = [array.copy() for array in case[:13]]
    first, second = decide(*case), decide(*case)
    for name in Decision._fields:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for kept, array in zip(before, case[:13], strict=True):
        np.testing.assert_array_equal(kept, array)


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_shorts_mirror_longs(case: tuple[Any, ...]) -> None:
    """Turning quantities and weights round turns what depends on no exit price round too."""
    no_exits = case[17]._replace(stop_loss=0.0, trailing_stop_loss=0.0, take_profit=0.0)
    there = decide(*case[:17], no_exits, case[18])
    mirrored = list(case[:17])
    for index in (0, 3, 8):
        mirrored[index] = -mirrored[index]
    mirrored[9] = np.where(mirrored[9] == 2.0, 2.0, -mirrored[9])
    back = decide(*mirrored, no_exits, case[18])
    np.testing.assert_array_equal(there.target, -back.target)
    np.testing.assert_array_equal(there.reason, back.reason)
    np.testing.assert_array_equal(there.blocked, -back.blocked)


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_a_decision_that_is_carried_out_settles(case: tuple[Any, ...]) -> None:
    """On the same bar, holding what was decided, the kernel asks for no further exit and never turns back."""
    limit = case[17]._replace(stop_loss=0.0, trailing_stop_loss=0.0, take_profit=0.0, max_daily_trades=0.0)
    first = decide(*case[:17], limit, case[18])
    again = list(case[:17])
    again[0], again[2], again[3] = first.target, first.best_price, first.blocked
    second = decide(*again, limit, first.paused)
    for before, after, code in zip(first.target, second.target, second.reason, strict=True):
        if code != kernel.ENTER and code != kernel.CAPPED:
            assert abs(after) <= abs(before) or code == kernel.REBALANCE
        assert before * after >= 0.0


quantities = st.one_of(st.just(Decimal(0)), st.decimals(-1000, 1000, places=2))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(quantities, quantities), min_size=1, max_size=6))
@example([(Decimal(5), Decimal(-5)), (Decimal(0), Decimal(3)), (Decimal(4), Decimal(0))])
def test_orders_lead_exactly_to_the_targets_exits_first(pairs: list[tuple[Decimal, Decimal]]) -> None:
    current, target = [held for held, _ in pairs], [wanted for _, wanted in pairs]
    plan = order_plan(current, target, [kernel.ENTER] * len(pairs))
    reached = list(current)
    for order in plan:
        assert order.quantity > 0
        before = reached[order.index]
        reached[order.index] = before + order.side.sign * order.quantity
        if order.purpose is Purpose.EXIT:
            assert reached[order.index] == 0
        elif order.purpose is Purpose.REDUCE:
            assert 0 < abs(reached[order.index]) < abs(before)
        else:
            assert abs(reached[order.index]) > abs(before)
    assert reached == target
    ranks = [(list(Purpose).index(order.purpose), order.side.value == "BUY") for order in plan]
    assert ranks == sorted(ranks), "exits, reductions, entries; sells before buys in each"
