"""The cap on the sum of weights."""

from __future__ import annotations

import numpy as np

from runner.model.panel import FloatArray


def capped(weights: FloatArray, max_leverage: float) -> FloatArray:
    """(T, N) weights, each row scaled down as a whole where its absolute weights add up to more than `max_leverage`.

    NaN weights are left out of the sum and stay NaN.
    """
    gross = np.nansum(np.abs(weights), axis=1, keepdims=True)
    scale = np.where(gross > max_leverage, max_leverage / np.maximum(gross, max_leverage), 1.0)
    return weights * scale
