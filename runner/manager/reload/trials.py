"""Strategies that are started with a version: it is on trial until it has come to run, or has failed to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from runner.errors import NotConnected, PacingLimit, RunnerError
from runner.manager.reload.settings import REVIVE_FIRST_S, REVIVE_LAST_S, START_WAIT_S, growing
from runner.manager.reload.track import LastGood, Track, Trial, Waiting
from runner.model.clock import Clock
from runner.model.events import StrategyPhase
from runner.spec.spec import StrategySpec

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager

NOT_USABLE = "its file has problems; it runs as it did last, and opens nothing"

log = logging.getLogger("runner.reload")


class NotStarted(RunnerError):
    """A strategy that was started with a version did not come to run."""


class Trials:
    """Every method is called under the lock of its track."""

    def __init__(
        self, manager: StrategyManager, system: Clock, failed: Callable[[Track, Trial, RunnerError], None]
    ) -> None:
        """`failed` is told of a version that did not come to run, and of what ran before it."""
        self._manager = manager
        self._system = system
        self._failed = failed

    def start(self, track: Track, spec: StrategySpec, generation: int) -> None:
        """A strategy that does not run learns of its new version, and is started with it unless an operator stopped
        it: it may be new, have been disabled, or have failed because of what has just been mended. Raises what it
        fails with, as far as that shows within START_WAIT_S; the rest is seen later."""
        manager = self._manager
        manager.versions.note(track.name, spec, generation)
        if manager.journal.operator_state(track.name) == "stopped":
            manager.remember_stopped(track.name, spec, generation=generation)
            return
        if not (spec.enabled or manager.is_exposed(track.name)):
            return
        manager.start_strategy(track.name, spec, generation=generation)
        phase = manager.wait_until_warm(track.name, START_WAIT_S)
        if phase is StrategyPhase.FAILED:
            raise self._failure(track.name)
        if phase is not StrategyPhase.RUNNING:
            goal = track.goal
            track.trial = Trial(before=None if goal is None else LastGood(goal=goal, generation=track.running))

    def is_due(self, track: Track, now: float, *, phased: bool) -> bool:
        """Whether something may have become of a version on trial, or of a strategy that is to be started again."""
        if track.revival is not None and track.revival.due is not None and track.revival.due <= now:
            return True
        if phased and (track.trial is not None or track.revival is not None):
            return True
        # Not only when its phase has just changed: it may have been clearing up then.
        return track.revival is None and track.in_force is not None and self._fell(track.name) is not None

    def look(self, track: Track) -> None:
        """What has become of the strategy since it was started."""
        runtime = self._manager.versions.runtimes.get(track.name)
        if runtime is None or runtime.phase in (StrategyPhase.PENDING, StrategyPhase.WARMING):
            return
        fell = self._fell(track.name)
        if fell is not None and track.in_force is not None:
            self._revive(track, fell)
        if fell is not None:
            return
        trial, track.trial, track.revival = track.trial, None, None
        if trial is not None and runtime.phase is StrategyPhase.FAILED:
            self._failed(track, trial, self._failure(track.name))

    def _revive(self, track: Track, fell: RunnerError) -> None:
        """It failed for want of a session, which it would with any version: it is started again, with growing
        pauses, unless an operator has stopped it."""
        if self._manager.journal.operator_state(track.name) == "stopped":
            track.revival = Waiting(text=fell.message, due=None)
            return
        before, now = track.revival, self._system.monotonic()
        if before is None:
            track.revival = Waiting(text=fell.message, tries=0, due=now + REVIVE_FIRST_S)
            return
        if before.due is not None and before.due > now:
            return
        tries = before.tries + 1
        pause = growing(REVIVE_FIRST_S, tries, REVIVE_LAST_S)
        track.revival = Waiting(text=fell.message, tries=tries, due=now + pause)
        log.info("%s is started again: %s", track.name, fell.message)
        self._manager.start_strategy(track.name)

    def _fell(self, name: str) -> RunnerError | None:
        """What a strategy failed with that has no session, or was refused an answer; None for any other."""
        runtime = self._manager.versions.runtimes.get(name)
        instance = None if runtime is None else runtime.instance
        if runtime is None or instance is None or instance.is_running or runtime.phase is not StrategyPhase.FAILED:
            return None
        return instance.failure if isinstance(instance.failure, NotConnected | PacingLimit) else None

    def _failure(self, name: str) -> RunnerError:
        runtime = self._manager.runtime(name)
        failure = None if runtime.instance is None else runtime.instance.failure
        return failure or NotStarted(runtime.reason)
