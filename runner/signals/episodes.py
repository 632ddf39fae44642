"""Episodes: how a signal stays on between an event that starts it and one that ends it, with a bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runner.model.panel import FloatArray


def episodes(starts: NDArray[np.bool_], ends: NDArray[np.bool_], max_hold: int) -> FloatArray:
    """(n,) of 1.0 and 0.0: on from a start until the first later end, or `max_hold` bars after the latest start.

    A start inside an episode renews it; where both fall on one bar the end wins. The memory is bounded so that a
    window of history gives the same answer as all of it: without `max_hold` an episode that began before the window
    would be invisible to a live strategy and seen by a backtest.
    """
    rows = np.arange(len(starts))
    last_start = np.maximum.accumulate(np.where(starts, rows, -1))
    last_end = np.maximum.accumulate(np.where(ends, rows, -1))
    on = (last_start > last_end) & (rows - last_start <= max_hold)
    return on.astype(np.float64)
