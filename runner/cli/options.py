"""Kinds of option values that click does not have, as callbacks of options."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal, TypeVar

import click

T = TypeVar("T")

DAY = click.DateTime(["%Y-%m-%d"])


def day(_ctx: click.Context, _param: click.Parameter, value: datetime | None) -> date | None:
    """For options of type `DAY`: the date alone."""
    return None if value is None else value.date()


def speed(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | Literal["max"] | None:
    """A factor of real time, or `max`."""
    if value is None:
        return None
    if value == "max":
        return "max"
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if not (factor > 0 and math.isfinite(factor)):
        raise click.BadParameter(f"{value!r} is neither a number above 0 nor max")
    return factor


def cash(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> dict[str, Decimal]:
    """`USD=1000000`, once per currency."""
    amounts: dict[str, Decimal] = {}
    for value in values:
        currency, equals, text = value.partition("=")
        try:
            amount = Decimal(text)
        except InvalidOperation:
            amount = Decimal("NaN")
        if not (equals and amount.is_finite()):
            raise click.BadParameter(f"{value!r} is not of the form USD=1000000")
        if currency in amounts:
            raise click.BadParameter(f"{currency} is given twice")
        amounts[currency] = amount
    return amounts


def as_typed(ctx: click.Context, parse: Callable[[str], T], text: str) -> T:
    """What `parse` of `runner.spec.typed` makes of a part of the command line. UsageError when it refuses."""
    from runner.spec.typed import NotTyped

    try:
        return parse(text)
    except NotTyped as wrong:
        raise click.UsageError(f"{wrong.message}: {wrong.hint}" if wrong.hint else wrong.message, ctx) from None
