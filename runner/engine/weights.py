"""From prices to wanted weights: signals, combine and sizing of one strategy in a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from runner.base_params import BaseParams
from runner.blocks import CombineBlock, SignalBlock, SizingBlock
from runner.model.panel import FloatArray, Panel

ROUNDING = 1e-9
"""How far outside [-1, 1] a score may be by rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Every step of one evaluation, (T, N) each; the last row is what a live strategy acts on."""

    scores: dict[str, FloatArray]
    """By the signal's name in the strategy."""
    combined: FloatArray
    weights: FloatArray
    """Signed fractions of strategy equity; NaN = no opinion, 0 = hold nothing."""


class Pipeline:
    """The pure part of a strategy: `evaluate(panel)` gives wanted weights.

    Raises ValueError when combine or sizing do not fit the signals and parameters.
    """

    def __init__(
        self, signals: Mapping[str, SignalBlock], combine: CombineBlock, sizing: SizingBlock, params: BaseParams
    ) -> None:
        combine.check(tuple(signals))
        sizing.check((), params)
        self.signals = dict(signals)
        self.combine = combine
        self.sizing = sizing
        self.params = params
        self.warmup: int = max(sizing.warmup, *(signal.warmup for signal in signals.values()))
        """Bars of history before every instrument has a wanted weight."""

    def evaluate(self, panel: Panel) -> Evaluation:
        """Scores and weights of every row of the panel.

        Raises what a block raises, with a note that names it; ValueError for an array of the wrong shape and for scores
        outside [-1, 1].
        """
        scores: dict[str, FloatArray] = {}
        for name, signal in self.signals.items():
            try:
                scores[name] = _scores(signal.compute(panel), panel)
            except BaseException as error:
                error.add_note(f"in signal {name} ({signal.name})")
                raise
        try:
            combined = _scores(self.combine.compute(scores), panel)
        except BaseException as error:
            error.add_note(f"in combine ({self.combine.name})")
            raise
        try:
            weights = _shaped(self.sizing.compute(panel, combined, self.params), panel)
        except BaseException as error:
            error.add_note(f"in sizing ({self.sizing.name})")
            raise
        return Evaluation(scores=scores, combined=combined, weights=weights)


def _shaped(array: FloatArray, panel: Panel) -> FloatArray:
    if array.shape != panel.close.shape:
        raise ValueError(f"returned shape {array.shape} for a panel of shape {panel.close.shape}")
    return array


def _scores(array: FloatArray, panel: Panel) -> FloatArray:
    if np.any(np.abs(_shaped(array, panel)) > 1.0 + ROUNDING):
        raise ValueError(f"returned a score of {array[np.abs(array) > 1.0 + ROUNDING][0]:g}, outside [-1, 1]")
    return array
