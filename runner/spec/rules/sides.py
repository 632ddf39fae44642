"""Which way a strategy can stand: what its signals, combine and sizing say of themselves."""

from __future__ import annotations

from collections.abc import Mapping

from runner.blocks import EITHER, CombineBlock, Sided, SidedCombine, SidedSizing, Sides, SignalBlock, SizingBlock


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
