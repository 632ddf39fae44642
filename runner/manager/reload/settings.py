"""How a deployment wants changes of files to be treated."""

from __future__ import annotations

from dataclasses import dataclass

from runner.model.annotations import Loosening

RETRY_FIRST_S, RETRY_LAST_S = 1.0, 60.0
"""How soon a version is tried again that has to wait: doubled from the first to the last."""
STORE_RETRY_S = 5.0
"""How soon a row is written again that the store refused, of a version that is in force already."""
START_WAIT_S = 5.0
"""How long it is waited for that a strategy which is started runs or fails; what takes longer is seen later."""
REVIVE_FIRST_S, REVIVE_LAST_S = 5.0, 300.0
"""How soon a strategy is started again that failed for want of a session: doubled from the first to the last."""
DRIFT_INTERVAL_S = 15.0
"""How often the rows of the store are compared with what was written into them."""
LANES = 8
"""Strategies whose changes are carried out at the same time."""


def growing(first_s: float, tries: int, last_s: float) -> float:
    """The pause after so many tries: doubled from the first to the last."""
    return min(first_s * 2.0 ** min(tries, 16), last_s)


@dataclass(frozen=True, slots=True)
class ReloadSettings:
    """`loosening` is what runner.yaml says, or follows from its mode: held on live accounts, applied on paper."""

    loosening: Loosening = Loosening.AUTO
    drift_interval_s: float = DRIFT_INTERVAL_S
