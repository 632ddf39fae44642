"""Exits: when a position is left, whatever the signals want of it.

`RULES` are scalar rules in the subset of Python that numba compiles, used by the decision kernel and nowhere else; each
is switched by the base parameter of its own name. `EXITS` are blocks like signals and sizing, one file each, named
under `exits` in a strategy file.
"""

from __future__ import annotations

from collections.abc import Callable

from runner.blocks import ExitBlock
from runner.exits.chandelier import Chandelier
from runner.exits.stop_loss import stop_loss_hit
from runner.exits.take_profit import take_profit_hit
from runner.exits.trailing_stop_loss import trailing_stop_loss_hit

RULES: dict[str, Callable[..., bool]] = {
    "stop_loss": stop_loss_hit,
    "trailing_stop_loss": trailing_stop_loss_hit,
    "take_profit": take_profit_hit,
}
"""Base parameter → rule, in the order in which the kernel asks them."""

EXITS: tuple[type[ExitBlock], ...] = (Chandelier,)
