"""Exact amounts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.money import Money, exact, floor_to, on_grid, toward_zero

FINITE = st.decimals(min_value=-(10**12), max_value=10**12, places=8)
STEP = st.sampled_from([Decimal(text) for text in ("0.01", "0.0001", "0.05", "0.25", "1", "100", "0.00005")])


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.1"), (5.0, "5"), (-3.0, "-3"), (1e-7, "1E-7"), (2, "2"), ("1.50", "1.50"), (0.0, "0")]
)
def test_exact_is_what_a_person_would_write(value: float | str, text: str) -> None:
    assert str(exact(value)) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "NaN", Decimal("Infinity")])
def test_what_is_no_number_is_refused(value: float | str | Decimal) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        exact(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_exact_gives_the_same_float_back(value: float) -> None:
    assert float(exact(value)) == value


@given(FINITE, STEP)
def test_rounding_lands_on_the_grid_and_never_beyond_what_was_asked(value: Decimal, step: Decimal) -> None:
    low, inner = floor_to(value, step), toward_zero(value, step)
    assert on_grid(low, step) and on_grid(inner, step)
    assert low <= value < low + step
    assert abs(inner) <= abs(value) < abs(inner) + step
    assert inner * value >= 0


@given(FINITE, FINITE)
def test_money_adds_exactly_within_one_currency_only(one: Decimal, other: Decimal) -> None:
    assert (Money(one, "USD") + Money(other, "USD") - Money(other, "USD")).amount == one
    with pytest.raises(ValueError, match="cannot add EUR to USD"):
        Money(one, "USD") + Money(other, "EUR")
