"""How a deployment wants changes of files to be treated."""

from __future__ import annotations

from dataclasses import dataclass

from runner.manager.reload.decision import Loosening

STORE_RETRY_S = 5.0
"""How soon something that the store refused is tried again."""
WARM_RETRY_S = 0.5
"""How soon a change is tried again of a strategy that is not warm yet."""
WINDOW_RETRY_S = 15.0
"""How soon it is looked again whether the trading window is over."""
DRIFT_INTERVAL_S = 15.0
"""How often the rows of the store are compared with what was written into them."""
LANES = 8
"""Strategies whose changes are carried out at the same time."""


@dataclass(frozen=True, slots=True)
class ReloadSettings:
    """`loosening` is what runner.yaml says, or follows from its mode: held on live accounts, applied on paper."""

    loosening: Loosening = Loosening.AUTO
    drift_interval_s: float = DRIFT_INTERVAL_S
