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

from runner.errors import NotConnected, RunnerError, StoreError
from runner.manager.reload.decision import Change
from runner.manager.reload.settings import STORE_RETRY_S, WARM_RETRY_S
from runner.manager.reload.track import Track, overlaid
from runner.manager.sync import row_of
from runner.model.events import Reloaded, ReloadResult
from runner.spec.changes import FieldChange, direction_of, strongest
from runner.spec.spec import StrategySpec
from runner.store.generations import Generation, GenerationState
from runner.store.strategies import StrategyRow

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager

log = logging.getLogger("runner.reload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Why something is done, and by whom."""

    cause: str
    actor: str = ""
    reason: str = ""


class Carrier:
    """Used by the lanes; every method is called under the lock of its track."""

    def __init__(self, manager: StrategyManager, root: Path, monotonic: Callable[[], float]) -> None:
        self._manager = manager
        self._root = root
        self._monotonic = monotonic

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
        """The version of this spec: the newest one when it is that, seen before and not decided, else a new one."""
        newest = track.newest
        undecided = (GenerationState.HELD, GenerationState.WAITING, GenerationState.APPLYING)
        if newest is not None and newest.spec_hash == spec.spec_hash and newest.state in undecided:
            self._manager.journal.generations.mark(track.name, newest.generation, state, text)
            track.newest = replace(newest, state=state, text=text)
            return track.newest
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
        )
        return track.newest

    def mark(self, track: Track, state: GenerationState, text: str = "") -> None:
        """Say what became of the newest version."""
        assert track.newest is not None
        self._manager.journal.generations.mark(track.name, track.newest.generation, state, text)
        track.newest = replace(track.newest, state=state, text=text)

    # -- changes -------------------------------------------------------------------------------------------------

    def carry_out(self, track: Track, spec: StrategySpec, change: Change, occasion: Occasion) -> ReloadResult:
        """Puts `spec`, the file's own, in force; `change` is what differs from what runs, overlays included."""
        generation = self.number(track, spec, GenerationState.APPLYING, occasion, change.changes)
        wanted = change.spec
        try:
            if change.in_force_first:
                self._manager.versions.tighten(track.name, wanted)
                self._swap(track, wanted, generation.generation)
                self._took_over(track, spec, generation)
                self.store_row(track)
            else:
                result = self._written_first(track, spec, wanted, generation)
                if result is not None:
                    return self.report(track, result, occasion, change.changes)
        except (RunnerError, ValueError, ArithmeticError, TypeError, LookupError) as error:
            # A block of the author's, or one of ours on data nobody thought of, may raise anything of this kind.
            return self._not_taken(track, error, occasion, change.changes)
        return self.report(track, ReloadResult.APPLIED, occasion, change.changes)

    def _written_first(
        self, track: Track, spec: StrategySpec, wanted: StrategySpec, generation: Generation
    ) -> ReloadResult | None:
        """None when all is done."""
        versions = self._manager.versions
        version = versions.prepare(track.name, wanted, generation.generation) if self._lives(track) else None
        before = self._manager.strategies.get(track.name)
        try:
            self._upsert(track, spec, generation.generation)
        except StoreError as error:
            if version is not None:
                versions.discard(track.name, version)
            return self.wait(track, f"the store is not there: {error.message}", STORE_RETRY_S)
        try:
            if version is not None:
                versions.adopt(track.name, version)
            else:
                self._bring_up(track, wanted, generation.generation)
        except BaseException:
            if before is not None:
                self._put_back(before)
            raise
        self._took_over(track, spec, generation)
        return None

    def _swap(self, track: Track, wanted: StrategySpec, generation: int) -> None:
        versions = self._manager.versions
        if self._lives(track):
            versions.adopt(track.name, versions.prepare(track.name, wanted, generation))
        else:
            self._bring_up(track, wanted, generation)

    def _bring_up(self, track: Track, wanted: StrategySpec, generation: int) -> None:
        """A strategy that does not run learns of its new version, and is started with it unless an operator stopped
        it: it may have been disabled, or have failed because of what has just been mended."""
        self._manager.versions.note(track.name, wanted, generation)
        stopped = self._manager.journal.operator_state(track.name) == "stopped"
        if not stopped and (wanted.enabled or self.exposed(track.name)):
            self._manager.start_strategy(track.name, wanted, generation=generation)

    def exposed(self, name: str) -> bool:
        """Whether the strategy has positions or working orders."""
        held = any(position.quantity for position in self._manager.portfolio_manager.positions(name))
        return held or bool(self._manager.journal.intents(open_only=True, strategy=name))

    def _lives(self, track: Track) -> bool:
        return self._manager.versions.is_running(track.name)

    def _took_over(self, track: Track, spec: StrategySpec, generation: Generation) -> None:
        track.applied, track.running = spec, generation.generation
        track.approved, track.at_once, track.retry_at = 0, False, None
        self.mark(track, GenerationState.APPLIED)

    def _not_taken(
        self, track: Track, error: Exception, occasion: Occasion, changes: Sequence[FieldChange]
    ) -> ReloadResult:
        """A version that could not be prepared or adopted: what runs goes on, with its own caps."""
        in_force = track.in_force
        if in_force is not None:
            self._manager.versions.tighten(track.name, in_force)
        if isinstance(error, NotConnected):
            return self.report(track, self.wait(track, error.message, WARM_RETRY_S), occasion, changes)
        text = error.message if isinstance(error, RunnerError) else f"{type(error).__name__}: {error}"
        notes = "; ".join(getattr(error, "__notes__", ()))
        text = f"{text} ({notes})" if notes else text
        if not isinstance(error, RunnerError):
            log.exception("the new version of %s was not applied", track.name)
        self.mark(track, GenerationState.REFUSED, text)
        return self.report(track, ReloadResult.REFUSED, occasion, changes, text)

    def wait(self, track: Track, text: str, retry_s: float) -> ReloadResult:
        """The newest version waits; it is tried again after `retry_s`."""
        self.mark(track, GenerationState.WAITING, text)
        track.retry_at = self._monotonic() + retry_s
        return ReloadResult.WAITING

    # -- the store -----------------------------------------------------------------------------------------------

    def store_row(self, track: Track) -> bool:
        """Brings the strategy's row up to date; False when the store refuses, and it is tried again later."""
        assert track.applied is not None
        now = self._manager.clock.now()
        try:
            self._upsert(track, track.applied, track.running)
        except StoreError as error:
            track.retry_at = self._monotonic() + STORE_RETRY_S
            track.set("Synced", False, "StoreUnavailable", error.message, now)
            return False
        track.set("Synced", True, "Stored", "", now)
        return True

    def _upsert(self, track: Track, spec: StrategySpec, generation: int) -> None:
        known = self._manager.strategies.get(track.name) or StrategyRow(strategy=track.name)
        in_force = overlaid(spec, track.overlays)
        row = row_of(in_force, known, self._root, generation=generation)
        self._manager.strategies.upsert([row])
        track.stored_generation = generation
        track.set("Synced", True, "Stored", "", self._manager.clock.now())

    def _put_back(self, row: StrategyRow) -> None:
        try:
            self._manager.strategies.upsert([row])
        except StoreError as error:
            self._manager.notice("store", f"the row of {row.strategy} is ahead of what runs: {error.message}")

    def mark_row(self, name: str, state: str) -> None:
        """Note in the strategy's row that it was removed, or is back. What the store refuses is said, not raised."""
        row = self._manager.strategies.get(name)
        if row is None or row.state == state:
            return
        try:
            self._manager.strategies.upsert([replace(row, state=state)])
        except StoreError as error:
            self._manager.notice("store", f"the row of {name} could not be marked {state or 'active'}: {error.message}")

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
        at = self._manager.clock.now()
        event = Reloaded(
            at=at,
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
        track.last_result, track.last_at = result.value, at
        if result in (ReloadResult.APPLIED, ReloadResult.UNCHANGED, ReloadResult.MOVED):
            track.last_success = at
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
