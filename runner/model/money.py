"""Exact amounts. Quantities, prices and money are `Decimal`; signals and weights are float64 and live elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

ZERO = Decimal(0)
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in one currency. Adding another currency raises ValueError."""

    amount: Decimal
    currency: str

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        return self + -other

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __mul__(self, factor: Decimal | int) -> Money:
        return Money(self.amount * factor, self.currency)

    def quantized(self) -> Money:
        """To the cent, half to even."""
        return Money(self.amount.quantize(CENT, ROUND_HALF_EVEN), self.currency)

    def __str__(self) -> str:
        return f"{self.amount:,.2f} {self.currency}"


def exact(value: float | int | str | Decimal) -> Decimal:
    """The decimal a person would write for `value`: 0.1 is `Decimal("0.1")`, 5.0 is `Decimal("5")`.

    Not-a-number and infinities are refused with ValueError.
    """
    if isinstance(value, Decimal):
        result = value
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a finite number")
        result = Decimal(int(value)) if value.is_integer() else Decimal(repr(value))
    else:
        result = Decimal(value)
    if not result.is_finite():
        raise ValueError(f"{value} is not a finite number")
    return result


def floor_to(value: Decimal, increment: Decimal) -> Decimal:
    """Largest multiple of `increment` that is not above `value`."""
    return (value / increment).to_integral_value(ROUND_FLOOR) * increment


def toward_zero(value: Decimal, increment: Decimal) -> Decimal:
    """Multiple of `increment` nearest to `value` on the side of zero: a quantity that is never larger than asked."""
    return (value / increment).to_integral_value(ROUND_DOWN) * increment


def on_grid(value: Decimal, increment: Decimal) -> bool:
    """Whether `value` is a multiple of `increment`."""
    return (value / increment) % 1 == 0
