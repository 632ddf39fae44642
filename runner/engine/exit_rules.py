"""From prices to what must be left: all exits of one strategy, as the one array that `decide()` reads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from runner.blocks import ExitBlock
from runner.engine.decide import LEAVE_BOTH, LEAVE_LONG, LEAVE_SHORT
from runner.model.panel import BoolArray, FloatArray, Panel


class ExitRules:
    """The exits of one strategy, by their ids in the file. What one of them says to leave is left."""

    def __init__(self, exits: Mapping[str, ExitBlock]) -> None:
        self.exits = dict(exits)
        self.warmup: int = max((block.warmup for block in exits.values()), default=0)
        """Bars of history before every exit can say something; 0 without exits."""

    def __bool__(self) -> bool:
        return bool(self.exits)

    def leave(self, panel: Panel) -> FloatArray:
        """(T, N) what must be left after each bar: `LEAVE_LONG`, `LEAVE_SHORT`, `LEAVE_BOTH`, else 0.

        Raises what a block raises, with a note that names it; ValueError for arrays that are not two of bools in the
        panel's shape.
        """
        long = np.zeros(panel.close.shape, dtype=bool)
        short = long.copy()
        for name, block in self.exits.items():
            try:
                leave_long, leave_short = block.compute(panel)
                long |= _sides(leave_long, panel)
                short |= _sides(leave_short, panel)
            except BaseException as error:
                error.add_note(f"in exit {name} ({block.name})")
                raise
        return np.where(long & short, LEAVE_BOTH, np.where(long, LEAVE_LONG, np.where(short, LEAVE_SHORT, 0.0)))


def _sides(array: BoolArray, panel: Panel) -> BoolArray:
    if array.shape != panel.close.shape or array.dtype != np.bool_:
        raise ValueError(
            f"returned {array.dtype} of shape {array.shape} for a panel of shape {panel.close.shape}; expected bool"
        )
    return array
