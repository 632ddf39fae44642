"""A file that is gone: what becomes of its strategy follows `on_remove`. What is held is never just let go of."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runner.errors import RunnerError
from runner.manager.reload.carrier import Occasion
from runner.manager.reload.settings import RETRY_FIRST_S, RETRY_LAST_S, growing
from runner.manager.reload.track import Track, Waiting
from runner.model.events import ReloadResult
from runner.spec.spec import OnRemove

if TYPE_CHECKING:
    from runner.manager.reload.engine import ReloadEngine

HELD = "its file is gone; positions are kept, stops are active"
FLATTENING = "its file is gone; positions are being closed"
MISSING = "its file is missing in a way that looks like an accident; `runner approve --all-deletes` lets it go"
UNGUARDED = "its file is gone; positions are kept, and as it does not run nothing guards them"

log = logging.getLogger("runner.reload")


def gone_text(track: Track) -> str:
    """What becomes of a strategy that holds something and has no file."""
    flattens = track.applied is not None and track.applied.on_remove is OnRemove.FLATTEN
    return FLATTENING if flattens else HELD


class Removal:
    """Part of the engine; what changes a track is called under its lock."""

    def __init__(self, engine: ReloadEngine) -> None:
        self._engine = engine

    def is_due(self, track: Track, *, phased: bool) -> bool:
        """Whether a strategy without a file may have come to its end, or can be closed now."""
        if not track.gone or track.wanted is not None:
            return False
        return phased or not self._engine.manager.is_exposed(track.name)

    def look(self, track: Track, occasion: Occasion) -> None:
        """The file is gone for good. A strategy with nothing to guard ends; one with positions is held or closed."""
        self._engine.withdraw(track)  # nobody asks any more for what its file said last
        if track.applied is None:
            return
        if not self._engine.manager.is_exposed(track.name):
            self.forget(track, occasion)
            return
        versions = self._engine.manager.versions
        runs = versions.is_running(track.name)
        text = gone_text(track) if runs else UNGUARDED
        runtime = versions.runtimes.get(track.name)
        if runtime is not None and not runtime.held:
            versions.restrict(track.name, text, held=True)  # anew, too, when it was started again
        if track.gone != text:
            track.gone = text
            self._engine.carrier.report(track, ReloadResult.REMOVED, occasion, text=text)
        if text == FLATTENING:
            self._flatten(track)
        else:
            track.waiting = None

    def _flatten(self, track: Track) -> None:
        """Sends the orders, and looks again later: they may not get through, or end without a fill."""
        now = self._engine.system.monotonic()
        try:
            self._engine.manager.versions.flatten(track.name)
            track.waiting = Waiting(text=FLATTENING, due=now + RETRY_LAST_S)
        except RunnerError as error:
            before = track.waiting
            if before is None or before.kind != type(error).__name__:
                self._engine.manager.notice("remove", f"{track.name} cannot be closed yet: {error.message}", track.name)
            tries = 1 if before is None else before.tries + 1
            pause = growing(RETRY_FIRST_S, tries - 1, RETRY_LAST_S)
            kind = type(error).__name__
            track.waiting = Waiting(text=error.message, kind=kind, tries=tries, due=now + pause)

    def forget(self, track: Track, occasion: Occasion) -> None:
        """Ends a strategy that holds nothing. Its row and its history stay."""
        manager, runs = self._engine.manager, bool(track.running)
        if manager.versions.is_running(track.name):
            manager.stop_strategy(track.name, "its file is gone")
        manager.forget(track.name)
        self._engine.carrier.rows.mark(track.name, "removed")
        track.forget()
        if runs:
            self._engine.carrier.report(track, ReloadResult.REMOVED, occasion, text="nothing was held; it has ended")
