"""What an operator decides about versions: approve, reject, roll back, override, adopt, revert."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from runner.errors import ConfigError, ExitCode, RunnerError, SpecError
from runner.manager.reload.carrier import Occasion
from runner.manager.reload.decision import Change, Keep, Situation, Wanted, decide
from runner.manager.reload.drift import STORE, drift_of
from runner.manager.reload.engine import ReloadEngine
from runner.manager.reload.files import text_sha256
from runner.manager.reload.track import PARAMS, Announced, Track, overlaid
from runner.model.events import ReloadResult
from runner.spec.edit import Change as Edit
from runner.spec.edit import edited
from runner.spec.files import rewrite
from runner.spec.load import read_document
from runner.spec.spec import StrategySpec
from runner.store.generations import GenerationState, Overlay

MAX_OVERRIDE = timedelta(days=30)
"""Longest that a temporary value may hold; a longer wish belongs in the file."""


class NotDecided(RunnerError):
    """The order does not fit what is there."""

    exit_code = ExitCode.PROBLEMS


class Loosens(RunnerError):
    """It would let the strategy risk more, and that needs an approval."""

    exit_code = ExitCode.HELD


class Orders:
    """Every method blocks until it is carried out and returns what became of it. For threads without a loop."""

    def __init__(self, engine: ReloadEngine) -> None:
        self._engine = engine

    def announce(self, name: str, sha256: str, *, cause: str, actor: str, reason: str = "") -> None:
        """The text with this hash is about to be written into the strategy's file: the version that comes of it is
        kept with this actor and reason."""
        track = self._engine.track(name)
        with track.lock:
            track.announced = Announced(sha256=sha256, cause=cause, actor=actor, reason=reason)

    def approve(self, name: str, generation: int, *, actor: str, reason: str = "") -> ReloadResult:
        """Puts a held version in force. NotDecided when that version is not the one that is held."""
        track = self._engine.track(name)
        with track.lock:
            self._held(track, generation)
            return self._release(track, Occasion(cause="approve", actor=actor, reason=reason))

    def reject(self, name: str, generation: int, *, actor: str, reason: str = "") -> ReloadResult:
        """Says no to a held version. It stays so until the file is edited."""
        track = self._engine.track(name)
        with track.lock:
            self._held(track, generation)
            self._engine.carrier.mark(track, GenerationState.REJECTED, reason or f"rejected by {actor}")
            track.set("Held", False, "Rejected", reason, self._engine.now())
            occasion = Occasion(cause="reject", actor=actor, reason=reason)
            return self._engine.carrier.report(track, ReloadResult.REJECTED, occasion)

    def apply_now(self, name: str, *, actor: str, reason: str = "") -> ReloadResult:
        """What waits for the end of the trading window is applied at once; what is held is approved."""
        track = self._engine.track(name)
        with track.lock:
            return self._release(track, Occasion(cause="approve", actor=actor, reason=reason))

    def rollback(self, name: str, generation: int, *, actor: str, reason: str = "") -> ReloadResult:
        """Puts an old version in force, under a new number. The file's own version is set aside until it is edited."""
        track = self._engine.track(name)
        with track.lock:
            occasion = Occasion(cause="rollback", actor=actor, reason=reason or f"back to generation {generation}")
            return self._bring_back(track, self._version(track, generation), occasion)

    def rollback_file(self, name: str, generation: int, *, actor: str, reason: str = "") -> Path:
        """Writes the text of an old version back into the strategy's file; the change then takes its normal way."""
        track = self._engine.track(name)
        with track.lock:
            spec = self._version(track, generation)
            path = track.wanted.path if track.wanted is not None else spec.file
            track.announced = Announced(
                sha256=text_sha256(spec.source),
                cause="rollback",
                actor=actor,
                reason=reason or f"back to generation {generation}",
            )
            rewrite(path, spec.source)
            return path

    def override(self, name: str, path: str, value: Any, *, lasts: timedelta, actor: str, reason: str) -> ReloadResult:
        """A value in place of the file's that goes back by itself. Loosens when it would need an approval."""
        if path != "enabled" and not path.startswith(PARAMS):
            raise ConfigError(f"{path} cannot be overridden", hint="params.… and enabled can; edit the file for others")
        if not timedelta(0) < lasts <= MAX_OVERRIDE:
            raise ConfigError(
                f"an override lasts up to {MAX_OVERRIDE.days} days", hint="a longer wish belongs in the file"
            )
        track = self._engine.track(name)
        with track.lock:
            self._engine.in_place.look_at_row(track)
            overlay = Overlay(
                strategy=name,
                path=path,
                value=value,
                source="override",
                actor=actor,
                reason=reason,
                expires_at=self._engine.system.now() + lasts,
            )
            others = tuple(one for one in track.overlays if one.path != path)
            return self._hold_in_place(
                track, (*others, overlay), Occasion(cause="override", actor=actor, reason=reason)
            )

    def restore(self, name: str, path: str | None, *, actor: str, reason: str = "") -> ReloadResult:
        """The file's values hold again: of one field, or of all."""
        track = self._engine.track(name)
        with track.lock:
            self._engine.in_place.look_at_row(track)
            kept = tuple(one for one in track.overlays if path is not None and one.path != path)
            if kept == track.overlays:
                what = f"{path} of {name}" if path else name
                raise NotDecided(f"nothing holds in place of the file for {what}")
            occasion = Occasion(cause="override", actor=actor, reason=reason)
            return self._hold_in_place(track, kept, occasion, approved=True)

    def revert(self, name: str, *, actor: str, reason: str = "") -> ReloadResult:
        """The file's values go back into the store, and hold again."""
        track = self._engine.track(name)
        with track.lock:
            kept = tuple(one for one in track.overlays if one.source != STORE)
            result = ReloadResult.UNCHANGED
            if kept != track.overlays:
                occasion = Occasion(cause="store", actor=actor, reason=reason)
                result = self._hold_in_place(track, kept, occasion, approved=True)
            self._engine.carrier.store_row(track)
            track.set("Drifted", False, "Reverted", "", self._engine.now())
            return result

    def adopt(self, name: str, paths: tuple[str, ...] = (), *, actor: str, reason: str = "") -> list[str]:
        """Writes what the store says into the strategy's file, in place; the change then takes its normal way. Returns
        what was written. NotDecided when the store says nothing else than the file."""
        track = self._engine.track(name)
        with track.lock:
            row = self._engine.manager.strategies.get(name)
            if row is None or track.applied is None or track.wanted is None:
                raise NotDecided(f"{name} has no file and row to compare")
            found = [one for one in drift_of(row, track.applied) if not one.problem]
            chosen = [one for one in found if not paths or one.path in paths]
            if not chosen:
                raise NotDecided(f"the store says nothing about {name} that could be adopted")
            document = read_document(track.wanted.path)
            text = edited(document, *(Edit(tuple(one.path.split(".")), one.stored) for one in chosen))
            track.announced = Announced(sha256=text_sha256(text), cause="adopt", actor=actor, reason=reason)
            rewrite(track.wanted.path, text)
            return [str(one) for one in chosen]

    # -- inside --------------------------------------------------------------------------------------------------

    def _hold_in_place(
        self, track: Track, overlays: tuple[Overlay, ...], occasion: Occasion, *, approved: bool = False
    ) -> ReloadResult:
        """Other values hold in place of the file's from now on. Called under the track's lock."""
        if track.applied is None or track.in_force is None:
            raise NotDecided(f"{track.name} does not run")
        wanted = overlaid(track.applied, overlays)  # SpecError when they do not fit together
        decision = decide(
            track.in_force, Wanted(spec=wanted, approved=approved), Situation(loosening=self._engine.loosening)
        )
        if not isinstance(decision, Change | Keep):
            raise Loosens(
                f"{track.name}: this {getattr(decision, 'why', 'needs an approval')}",
                hint="loosen it in the file, and approve that version",
            )
        return self._engine.in_place.put(track, overlays, wanted, decision, occasion)

    def _release(self, track: Track, occasion: Occasion) -> ReloadResult:
        """Puts the newest version in force, whatever it waits for: the file's, or that of a rollback."""
        newest, spec = track.newest, self._file_spec(track)
        track.at_once = True
        track.approved = 0 if newest is None else newest.generation
        if newest is not None and newest.spec_hash != spec.spec_hash:
            spec = self._version(track, newest.generation)
        return self._bring_back(track, spec, occasion)

    def _bring_back(self, track: Track, spec: StrategySpec, occasion: Occasion) -> ReloadResult:
        """Puts a version in force; one that the file does not say sets the file aside, so that it is not undone."""
        self._engine.in_place.look_at_row(track)
        result = self._engine.bring_together(track, spec, occasion)
        in_file = None if track.wanted is None else track.wanted.spec
        done = result in (ReloadResult.APPLIED, ReloadResult.UNCHANGED)
        if done and in_file is not None and in_file.spec_hash != spec.spec_hash:
            self._engine.supersede(track, in_file.spec_hash)
            self._engine.manager.notice(
                "rollback", f"{track.name} runs an old version again; its file says something else", track.name
            )
        return result

    def _held(self, track: Track, generation: int) -> None:
        newest = track.newest
        if newest is None or newest.state is not GenerationState.HELD:
            raise NotDecided(f"nothing of {track.name} is held", hint="runner status shows what is")
        if newest.generation != generation:
            raise NotDecided(
                f"{track.name}@{generation} is not what is held: {track.name}@{newest.generation} is",
                hint="look at it with: runner plan",
            )

    def _file_spec(self, track: Track) -> StrategySpec:
        loaded = track.wanted
        if loaded is None or loaded.spec is None:
            raise SpecError(f"the file of {track.name} cannot be used", hint="runner validate says why")
        return loaded.spec

    def _version(self, track: Track, generation: int) -> StrategySpec:
        found = self._engine.manager.journal.generations.get(track.name, generation)
        if found is None or not found.document:
            raise NotDecided(
                f"there is no generation {generation} of {track.name}", hint=f"runner history {track.name}"
            )
        spec = self._engine.revived(found)
        if spec is None:
            raise NotDecided(f"generation {generation} of {track.name} cannot be built any more")
        return replace(spec, source=found.source)
