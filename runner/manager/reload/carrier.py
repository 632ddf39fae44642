"""Carries out what was decided about one strategy: prepare, persist, swap, confirm.

The order follows from the direction. A tightening is in force first and written down after, because a store that is
away must not keep a looser cap alive. Anything else is written down first. Whatever fails leaves the version in force
as it is, and says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigError, NotConnected, PacingLimit, RunnerError, StoreError
from runner.manager.reload.blame import explained
from runner.manager.reload.decision import Change
from runner.manager.reload.drift import OVERRIDE, STORE
from runner.manager.reload.rows import Rows
from runner.manager.reload.settings import RETRY_FIRST_S, RETRY_LAST_S, growing
from runner.manager.reload.track import Goal, Track, Trial, Waiting
from runner.manager.reload.trials import NOT_USABLE, Trials
from runner.manager.versions import Busy
from runner.model.clock import Clock
from runner.model.events import Reloaded, ReloadResult
from runner.spec.changes import FieldChange, direction_of, strongest
from runner.spec.spec import StrategySpec
from runner.store.generations import Generation, GenerationState
from runner.strategy.version import Outdated

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager

PREPARATIONS = 3
"""How often a version is prepared anew because the strategy went on trading meanwhile."""

log = logging.getLogger("runner.reload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Why something is done, and by whom."""

    cause: str
    actor: str = ""
    reason: str = ""

    @classmethod
    def of(cls, generation: Generation) -> Occasion:
        """As kept with a version."""
        return cls(cause=generation.cause, actor=generation.actor, reason=generation.reason)

    @property
    def approval(self) -> str:
        """Who let it through and why, for the record of a version; empty when nobody had to."""
        if self.cause != "approve":
            return ""
        return f"approved by {self.actor}" + (f": {self.reason}" if self.reason else "")


class Overtaken(RunnerError):
    """A later edit has come while a version was being prepared."""


class Carrier:
    """Used by the lanes; every method is called under the lock of its track."""

    def __init__(
        self, manager: StrategyManager, root: Path, system: Clock, *, look_ahead: Callable[[Track], None]
    ) -> None:
        """`look_ahead` has the gate ask the caps of what is to run before it does, where that only tightens."""
        self._manager = manager
        self._look_ahead = look_ahead
        self._root = root
        self._system = system
        self.rows = Rows(manager, root, system.monotonic)
        self.trials = Trials(manager, system, self._fell_through)

    # -- versions ------------------------------------------------------------------------------------------------

    def number(
        self,
        track: Track,
        spec: StrategySpec,
        state: GenerationState,
        occasion: Occasion,
        changes: Sequence[FieldChange] = (),
        text: str = "",
    ) -> Generation:
        """The version of this spec: the newest one when it is that, seen before and not decided, else a new one. What
        runs has a larger number than what ran before it."""
        newest = track.newest
        if newest is not None and track.is_undecided(spec):
            if state is not GenerationState.APPLYING or newest.generation > track.running:
                if (newest.state, newest.text) != (state, text):
                    self.mark(track, state, text)
                return newest
            self.mark(track, GenerationState.REPLACED, "put in force under a later number")
        track.newest = self._manager.journal.generations.add(
            Generation(
                strategy=track.name,
                state=state,
                content_sha=track.judged,
                spec_hash=spec.spec_hash,
                file=self.shown(spec.file),
                source=spec.source,
                document=json.dumps(dict(spec.document), ensure_ascii=False, default=str),
                changes=tuple(str(change) for change in changes),
                apply=strongest(changes),
                direction=direction_of(changes).value,
                cause=occasion.cause,
                actor=occasion.actor,
                reason=occasion.reason,
                text=text,
            ),
            after=track.stored_generation,
            beside=occasion.cause in (OVERRIDE, STORE),
        )
        track.waiting = None
        approval = track.approval
        same = newest is not None and newest.spec_hash == spec.spec_hash
        if approval is not None and newest is not None and same and approval.generation == newest.generation:
            track.approval = replace(approval, generation=track.newest.generation)
        return track.newest

    def mark(self, track: Track, state: GenerationState, text: str = "") -> None:
        """Say what became of the newest version."""
        assert track.newest is not None
        self._manager.journal.generations.mark(track.name, track.newest.generation, state, text)
        track.newest = replace(track.newest, state=state, text=text)

    # -- changes -------------------------------------------------------------------------------------------------

    def carry_out(self, track: Track, goal: Goal, change: Change, occasion: Occasion) -> ReloadResult:
        """Puts the goal in force; `change` is what differs from what runs."""
        generation = self.number(track, goal.file, GenerationState.APPLYING, occasion, change.changes).generation
        if change.in_force_first:
            track.ahead = goal.spec
            self._look_ahead(track)

        def carry() -> None:
            if change.in_force_first:
                self._swap(track, goal, generation)
                self._took_over(track, goal, generation, occasion)
                self.rows.sync(track)
            else:
                self._swap(track, goal, generation, lambda: self.rows.write(track, goal, generation))
                self._took_over(track, goal, generation, occasion)

        return self._through(track, goal, occasion, change.changes, carry)

    def begin(self, track: Track, goal: Goal, occasion: Occasion) -> ReloadResult:
        """Starts a strategy whose file is new, or had been gone."""
        generation = self.number(track, goal.file, GenerationState.APPLYING, occasion).generation

        def carry() -> None:
            row = self.rows.hand_written(track.name)
            if row is not None:
                raise ConfigError(
                    f"{track.name} is already a hand-written strategy ({row.filename})", hint="give one another name"
                )
            self._swap(track, goal, generation, lambda: self.rows.write(track, goal, generation))
            self._took_over(track, goal, generation, occasion)

        return self._through(track, goal, occasion, (), carry)

    def _through(
        self, track: Track, goal: Goal, occasion: Occasion, changes: Sequence[FieldChange], carry: Callable[[], None]
    ) -> ReloadResult:
        """What becomes of a version that `carry` puts in force. What stands in the way leaves what runs as it is."""
        try:
            carry()
        except StoreError as error:
            return self.wait(track, f"the store is not there: {error.message}", occasion, changes, kind="store")
        except (NotConnected, PacingLimit, Busy, Outdated) as error:
            self._take_back(track, goal)
            return self.wait(track, error.message, occasion, changes, kind=type(error).__name__)
        except Overtaken as error:
            self._take_back(track, goal)
            track.ahead = None
            self.mark(track, GenerationState.REPLACED, error.message)
            return ReloadResult.UNCHANGED
        except Exception as error:
            # What a block of the author's, or one of ours on data nobody thought of, raises ends this version alone.
            self._take_back(track, goal)
            return self._refused(track, goal, error, occasion, changes)
        return self.report(track, ReloadResult.APPLIED, occasion, changes)

    def _swap(self, track: Track, goal: Goal, generation: int, persist: Callable[[], None] = lambda: None) -> None:
        """Puts the goal in force, where it runs by a version that is prepared beside the one that trades. `persist` is
        called when nothing but the swap is left to do."""
        versions, wanted = self._manager.versions, track.wanted
        if not versions.is_running(track.name):
            persist()
            self.trials.start(track, goal.spec, generation)
            return
        for left in reversed(range(PREPARATIONS)):
            version = versions.prepare(track.name, goal.spec, generation)
            try:
                if track.wanted is not wanted:
                    raise Overtaken("a later edit took its place")
                persist()
            except BaseException:
                versions.discard(track.name, version)
                raise
            try:
                versions.adopt(track.name, version)
            except Outdated:
                if left:
                    continue
                raise
            return

    def _fell_through(self, track: Track, trial: Trial, failure: RunnerError) -> None:
        """A version that a strategy was started with did not come to run. What ran before is started again, and opens
        nothing: what the strategy holds must not be without its stops."""
        failed, before = track.goal, trial.before
        if failed is None:
            return
        text = self._explained(track, failed, failure)
        self._manager.journal.generations.mark(track.name, track.running, GenerationState.REFUSED, text)
        track.newest = self._manager.journal.generations.newest(track.name)
        if before is None:
            track.forget()
        else:
            track.take(before.goal, before.generation)
            self.rows.sync(track)
            self._manager.start_strategy(
                track.name, before.goal.spec, generation=before.generation, reduce_only=NOT_USABLE
            )
        self.report(track, ReloadResult.REFUSED, Occasion(cause="start"), text=text)

    def _take_back(self, track: Track, goal: Goal) -> None:
        """The row says what runs again, when it said already what was to run."""
        if track.written is not goal.spec:
            return
        if track.goal is not None:
            self.rows.sync(track)
        else:
            track.written = None
            self.rows.mark(track.name, "removed")

    def _took_over(self, track: Track, goal: Goal, generation: int, occasion: Occasion) -> None:
        self.keep(track, goal, generation)
        track.approval = None
        self.mark(track, GenerationState.APPLIED, occasion.approval)

    def keep(self, track: Track, goal: Goal, generation: int) -> None:
        """The goal is in force; what holds in place of the file's values is kept over a restart."""
        generations = self._manager.journal.generations
        for gone in {one.path for one in track.overlays} - {one.path for one in goal.overlays}:
            generations.drop_overlay(track.name, gone)
        kept = tuple(one if one in track.overlays else generations.put_overlay(one) for one in goal.overlays)
        track.take(Goal(file=goal.file, overlays=kept, spec=goal.spec), generation)
        track.waiting = track.ahead = None
        self._manager.versions.note(track.name, goal.spec, generation)
        self._look_ahead(track)

    def _refused(
        self, track: Track, goal: Goal, error: Exception, occasion: Occasion, changes: Sequence[FieldChange]
    ) -> ReloadResult:
        """A version that could not be prepared or started: what runs goes on, with its own caps."""
        if not isinstance(error, RunnerError):
            log.error("the new version of %s was not applied", track.name, exc_info=error)
        if track.in_force is not None:
            self._manager.versions.note(track.name, track.in_force, track.running)
        text = self._explained(track, goal, error)
        self.mark(track, GenerationState.REFUSED, text)
        track.waiting = track.approval = track.ahead = None
        return self.report(track, ReloadResult.REFUSED, occasion, changes, text)

    def _explained(self, track: Track, goal: Goal, error: Exception) -> str:
        loaded = track.wanted
        of_file = loaded is not None and loaded.spec is not None and loaded.spec.spec_hash == goal.file.spec_hash
        return explained(error, loaded if of_file else None, goal.file, self._root)

    def wait(
        self,
        track: Track,
        text: str,
        occasion: Occasion,
        changes: Sequence[FieldChange] = (),
        *,
        kind: str,
        timed: bool = True,
    ) -> ReloadResult:
        """The newest version waits. It is tried again with growing pauses or, when it is not `timed`, once something
        else says that its time has come. Said once for each `kind` of reason, however often it is tried."""
        before = track.waiting
        tries = 1 if before is None else before.tries + 1
        pause = growing(RETRY_FIRST_S, tries - 1, RETRY_LAST_S)
        due = self._system.monotonic() + pause if timed else None
        track.waiting = Waiting(text=text, kind=kind, tries=tries, due=due)
        self.mark(track, GenerationState.WAITING, text)
        if before is None or before.kind != kind:
            self.report(track, ReloadResult.WAITING, occasion, changes, text)
        return ReloadResult.WAITING

    # -- saying so -----------------------------------------------------------------------------------------------

    def report(
        self,
        track: Track,
        result: ReloadResult,
        occasion: Occasion,
        changes: Sequence[FieldChange] = (),
        text: str = "",
    ) -> ReloadResult:
        """Publishes what became of the newest version, and notes it on the track."""
        newest = track.newest
        event = Reloaded(
            at=self._manager.clock.now(),
            strategy=track.name,
            result=result,
            generation=newest.generation if newest is not None else track.running,
            running=track.running,
            cause=occasion.cause,
            actor=occasion.actor,
            file=newest.file if newest is not None else "",
            spec_hash=newest.spec_hash if newest is not None else "",
            apply=strongest(changes) if changes else "",
            direction=direction_of(changes).value if changes else "",
            changes=tuple(str(change) for change in changes),
            reason=occasion.reason,
            text=text or (newest.text if newest is not None else ""),
        )
        self._manager.publish(event)
        track.last_result, track.last_at = result.value, self._system.now()
        if result in (ReloadResult.APPLIED, ReloadResult.UNCHANGED, ReloadResult.MOVED):
            track.last_success = track.last_at
        level = logging.WARNING if result in (ReloadResult.REFUSED, ReloadResult.HELD) else logging.INFO
        log.log(level, "%s: generation %d %s%s", track.name, event.generation, result.value, _tail(event))
        return result

    def shown(self, path: Path) -> str:
        """A file as it is kept: relative to the strategies folder."""
        resolved, root = path.resolve(), self._root.resolve()
        return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(resolved)


def _tail(event: Reloaded) -> str:
    said = [*event.changes, *([event.text] if event.text else [])]
    return f": {'; '.join(said)}" if said else ""
