"""Hooks as a user would write them, and some as nobody should."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

TOLD: dict[str, list[Any]] = {}
NEVER = threading.Event()
CONTEXTS: list[Any] = []


def halve(context: Any, targets: Mapping[str, Decimal]) -> dict[str, Decimal]:
    CONTEXTS.append(context)
    return {symbol: (target / context.hook_params["by"]) // 1 for symbol, target in targets.items()}


def double(context: Any, targets: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {symbol: 2 * target for symbol, target in targets.items()}


def drop(context: Any, targets: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {}


def nothing(context: Any, targets: Mapping[str, Decimal]) -> None:
    return None


def raises(*_: Any) -> None:
    raise LookupError("not today")


def blocks(*_: Any) -> None:
    NEVER.wait(30)


def remember(fact: Any) -> None:
    TOLD.setdefault(fact.strategy, []).append(fact)
