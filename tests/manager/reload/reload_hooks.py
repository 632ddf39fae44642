"""Hooks of the strategies under test. What they do is put in by the tests, by the strategy's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

BEFORE: dict[str, Callable[[Any, Mapping[str, Decimal]], Mapping[str, Decimal] | None]] = {}
"""Strategy → what happens in the middle of its decisions, between sizing and sending."""
ON_PARAMS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], None]] = {}
"""Universe, as the parameters name it → what is said to a change of them."""
TOLD: list[tuple[str, str]] = []


def before_orders(context: Any, targets: Mapping[str, Decimal]) -> Mapping[str, Decimal] | None:
    TOLD.append((context.strategy, str(context.hook_params.get("desk", ""))))
    act = BEFORE.get(context.strategy)
    return None if act is None else act(context, targets)


def half(context: Any, targets: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    return {symbol: (target / 2) // 1 for symbol, target in targets.items()}


def on_params(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    act = ON_PARAMS.get(str(new["universe"]))
    if act is not None:
        act(old, new)
