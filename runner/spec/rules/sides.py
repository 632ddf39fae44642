"""What the blocks of a strategy say of themselves: which way it can stand, how large, and how many at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runner.blocks import (
    EITHER,
    Bounded,
    CombineBlock,
    Limited,
    NotLoaded,
    Sided,
    SidedCombine,
    SidedSizing,
    Sides,
    SignalBlock,
    SizingBlock,
    SizingParams,
    WeightBounds,
)
from runner.spec.spec import Claims, UniverseSpec


def claims_of(
    signals: Mapping[str, SignalBlock],
    combine: CombineBlock,
    sizing: SizingBlock,
    universe: UniverseSpec,
    params: SizingParams,
) -> Claims:
    """Asks the blocks everything that the rules want to know. TypeError for an answer of the wrong kind."""
    if any(isinstance(block, NotLoaded) for block in (*signals.values(), combine, sizing)):
        return Claims(sides=frozenset(), known=False)
    score = _sides(score_sides(signals, combine))
    listed = [query.symbol for query in universe.instruments]
    asked: Any = sizing
    bounds = asked.bounds(instruments_of(universe), params) if isinstance(asked, Bounded) else WeightBounds()
    if not isinstance(bounds, WeightBounds):
        raise TypeError("bounds must be WeightBounds")
    limiting: list[Any] = [sizing, *(signals.values() if len(signals) == 1 else ())]
    limits = [block.most_held for block in limiting if isinstance(block, Limited)]
    counts = [int(limit) for limit in limits if limit is not None]
    return Claims(
        sides=score,
        of_symbol={symbol: _sides(symbol_sides(symbol, score, sizing)) for symbol in listed},
        bounds=bounds,
        most_held=min(counts, default=None),
    )


def instruments_of(universe: UniverseSpec) -> int | None:
    """How many can be traded; None for a library of unknown size."""
    return universe.max_symbols if universe.library is not None else len(universe.instruments)


def score_sides(signals: Mapping[str, SignalBlock], combine: CombineBlock) -> Sides:
    """The signs that the combined score can have."""
    said = {name: signal.sides if isinstance(signal, Sided) else EITHER for name, signal in signals.items()}
    how: object = combine
    if isinstance(how, SidedCombine):
        return how.sides(said)
    return frozenset().union(*said.values())


def symbol_sides(symbol: str, score: Sides, sizing: SizingBlock) -> Sides:
    """The signs that the weight of one symbol can have; empty when it is never traded."""
    how: object = sizing
    return how.sides(symbol, score) if isinstance(how, SidedSizing) else score


def _sides(said: Iterable[Any]) -> Sides:
    return frozenset(said) & EITHER
