"""What a strategy can come to, by what its blocks say of themselves: how large its weights, and on which sides.

A switch from one block to another cannot be judged by their settings, which mean different things. What both can come
to can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner import plugins
from runner.blocks import Bounded, SidedSizing, StopSized, WeightBounds
from runner.spec.rules.sides import instruments_of
from runner.spec.spec import StrategySpec

TOLERANCE = 1e-9
"""Two ways to compute one weight differ by less than this."""


def bounds_of(spec: StrategySpec) -> WeightBounds:
    """The weights that its sizing can ask for, with the parameters that are in force; nothing of one that does not
    say."""

    def ask(sizing: Any) -> Any:
        return sizing.bounds(instruments_of(spec.universe), spec.params) if isinstance(sizing, Bounded) else None

    found = _said(spec, ask)
    return found if isinstance(found, WeightBounds) else WeightBounds()


def sized_by_stop(spec: StrategySpec) -> bool | None:
    """Whether its weights become larger with a smaller `stop_loss`. None when its sizing does not say."""
    found = _said(spec, lambda sizing: sizing.sized_by_stop if isinstance(sizing, StopSized) else None)
    return found if isinstance(found, bool) else None


def _said(spec: StrategySpec, ask: Callable[[Any], Any]) -> Any:
    """What a sizing says of itself. A plugged-in one is foreign code: when it fails, or takes too long, it says
    nothing."""
    if type(spec.sizing) not in spec.plugged_in.values():
        return ask(spec.sizing)
    try:
        return plugins.bounded(lambda: ask(spec.sizing), plugins.CALL_DEADLINE_S)
    except (Exception, SystemExit):
        return None


def can_be_larger(old: StrategySpec, new: StrategySpec) -> bool | None:
    """Whether the weights of `new` can become larger than those of `old` could: that of one instrument, or their sum.
    None when the sizing of either does not say."""
    before, after = bounds_of(old), bounds_of(new)
    pairs = [(before.largest, after.largest), (before.gross, after.gross)]
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    if any(other > one * (1 + TOLERANCE) for one, other in known):
        return True
    return False if len(known) == len(pairs) else None


def has_new_side(old: StrategySpec, new: StrategySpec) -> bool | None:
    """Whether the score of `new` can have a sign that that of `old` could not. None when a block was not loaded."""
    if not old.claims.known or not new.claims.known:
        return None
    return bool(new.claims.sides - old.claims.sides)


def turns_to_new_side(old: StrategySpec, new: StrategySpec) -> bool | None:
    """Whether the sizing of `new` can take an instrument that both have to a side that `old` could not. None when a
    block was not loaded, or a sizing turns sides and nobody knows the symbols."""
    if not old.claims.known or not new.claims.known:
        return None
    both = old.claims.of_symbol.keys() & new.claims.of_symbol.keys()
    if not both:
        sizings: list[object] = [old.sizing, new.sizing]
        return None if any(isinstance(sizing, SidedSizing) for sizing in sizings) else False
    return any(new.claims.of_symbol[symbol] - old.claims.of_symbol[symbol] for symbol in both)
