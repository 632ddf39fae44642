"""A file that is gone: what becomes of its strategy follows `on_remove`. What is held is never just let go of."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runner.errors import RunnerError
from runner.manager.reload.carrier import Carrier, Occasion
from runner.manager.reload.track import Track
from runner.model.events import ReloadResult
from runner.spec.spec import OnRemove

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager

HELD = "its file is gone; positions are kept, stops are active"
FLATTENING = "its file is gone; positions are being closed"

log = logging.getLogger("runner.reload")


class Removal:
    """Used by the lanes, under the lock of the track."""

    def __init__(self, manager: StrategyManager, carrier: Carrier) -> None:
        self._manager = manager
        self._carrier = carrier

    def remove(self, track: Track, occasion: Occasion) -> None:
        """The file is gone for good. A strategy with nothing to guard ends; one with positions is held or closed."""
        runtime = self._manager.versions.runtimes.get(track.name)
        now = self._manager.clock.now()
        if not self._carrier.exposed(track.name):
            self.forget(track, occasion)
            return
        if runtime is None or runtime.held:
            return
        flattens = track.applied is not None and track.applied.on_remove is OnRemove.FLATTEN
        self._manager.versions.restrict(track.name, FLATTENING if flattens else HELD, held=True)
        track.set("Held", True, "FileMissing", FLATTENING if flattens else HELD, now)
        self._carrier.report(track, ReloadResult.REMOVED, occasion, text=FLATTENING if flattens else HELD)
        if flattens:
            try:
                self._manager.versions.flatten(track.name)
            except RunnerError as error:
                self._manager.notice("remove", f"{track.name} could not be closed: {error.message}", track.name)

    def forget(self, track: Track, occasion: Occasion) -> None:
        """Ends a strategy that holds nothing. Its row and its history stay."""
        if self._manager.versions.is_running(track.name):
            self._manager.stop_strategy(track.name, "its file is gone")
        self._manager.forget(track.name)
        self._carrier.mark_row(track.name, "removed")
        running, track.running, track.applied = track.running, 0, None
        if running:
            self._carrier.report(track, ReloadResult.REMOVED, occasion, text="nothing was held; it has ended")

    def is_over(self, name: str) -> bool:
        """Whether a strategy that was kept for its positions holds none any more."""
        runtime = self._manager.versions.runtimes.get(name)
        return runtime is not None and runtime.held and not self._carrier.exposed(name)
