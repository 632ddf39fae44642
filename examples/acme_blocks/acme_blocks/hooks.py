"""Hooks: code between the steps of a strategy file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

CHAT_FILE = "ACME_CHAT_FILE"
"""Environment variable: where `post_to_chat` writes. A program of its own can pass the lines on."""


def sector_cap(context: Any, targets: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """before_orders: no sector gets more than `hook_params.sector_cap` of the strategy's equity.

    `hook_params.sectors` says which symbol is in which sector; a symbol that it does not list is a sector of its own.
    What is too much is cut from all of the sector alike; nothing is ever enlarged.
    """
    cap = Decimal(str(context.hook_params["sector_cap"])) * context.equity
    sectors: Mapping[str, str] = context.hook_params.get("sectors", {})
    values: dict[str, Decimal] = defaultdict(Decimal)
    for symbol, quantity in targets.items():
        values[sectors.get(symbol, symbol)] += abs(quantity) * context.prices.get(symbol, Decimal(0))
    allowed: dict[str, Decimal] = {}
    for symbol, quantity in targets.items():
        value = values[sectors.get(symbol, symbol)]
        share = min(Decimal(1), cap / value) if value else Decimal(1)
        allowed[symbol] = quantity if share == 1 else (quantity * share).to_integral_value(rounding="ROUND_DOWN")
    return allowed


def post_to_chat(fill: Any) -> None:
    """on_fill: tells people what was traded. A hook must not wait for a network, so this only writes a line."""
    target = os.environ.get(CHAT_FILE)
    if target:
        line = f"{fill.strategy}: {fill.side.value} {fill.quantity} {fill.instrument.symbol} at {fill.price}\n"
        with Path(target).open("a", encoding="utf-8") as chat:
            chat.write(line)
