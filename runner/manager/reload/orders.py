"""What an operator decides about versions: approve, reject, roll back, override, adopt, revert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from runner.base_params import BaseParams
from runner.blocks import params_of
from runner.errors import ConfigError, ExitCode, RunnerError, SpecError
from runner.manager.reload.carrier import Occasion
from runner.manager.reload.decision import Change, Keep
from runner.manager.reload.drift import OVERRIDE, STORE, UNIVERSE, FieldDrift, value_at
from runner.manager.reload.edits import edited_text, text_of_version
from runner.manager.reload.engine import DONE, ReloadEngine
from runner.manager.reload.files import content, first_problem, text_sha256
from runner.manager.reload.kept_plan import AGAIN, Planned, StalePlan, content_id
from runner.manager.reload.track import ENABLED, PARAMS, Announced, Approval, Goal, Track
from runner.model.events import ReloadResult
from runner.spec.changes import Direction, changes, direction_of_param, shown
from runner.spec.deployment import Deployment
from runner.spec.edit import Change as Edit
from runner.spec.files import rewrite
from runner.spec.folder import Loaded
from runner.spec.load import read_document
from runner.spec.problems import closest
from runner.spec.spec import StrategySpec
from runner.store.generations import Generation, GenerationState, Overlay

MAX_OVERRIDE = timedelta(days=30)
"""Longest that a temporary value may hold; a longer wish belongs in the file."""
OVERRIDABLE = tuple(info.name for info in params_of(BaseParams) if info.name != UNIVERSE)
"""Parameters that may have a value in place of the file's."""
OPEN = (GenerationState.HELD, GenerationState.WAITING, GenerationState.REFUSED)
"""What became of a version that may still come into force without an edit."""


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
        with self._engine.turn(name) as track:
            track.announced = Announced(sha256=sha256, cause=cause, actor=actor, reason=reason)

    def approve(self, name: str, generation: int, *, actor: str, reason: str = "") -> ReloadResult:
        """Puts a held version in force. NotDecided when that version is not the one that is held, or its file says
        something else by now."""
        with self._engine.turn(name) as track:
            newest = self._held(track, generation)
            if not self._engine.is_asked_for(track, newest):
                raise NotDecided(
                    f"the file of {name} does not say any more what {name}@{generation} does",
                    hint="look at it with: runner plan",
                )
            track.approval = Approval(generation=generation)
            return self._carry_out_newest(track, Occasion(cause="approve", actor=actor, reason=reason))

    def reject(self, name: str, generation: int, *, actor: str, reason: str = "") -> ReloadResult:
        """Says no to a held version. It stays so until the file is edited."""
        with self._engine.turn(name) as track:
            newest = self._held(track, generation)
            if self._is_of_file(track, newest):
                track.rejected = newest.spec_hash
            else:
                self._engine.supersede(track, "")  # a rollback that is not to be: the file counts again
            self._engine.carrier.mark(track, GenerationState.REJECTED, reason or f"rejected by {actor}")
            occasion = Occasion(cause="reject", actor=actor, reason=reason)
            return self._engine.carrier.report(track, ReloadResult.REJECTED, occasion)

    def apply_now(self, name: str, *, actor: str, reason: str = "") -> ReloadResult:
        """What waits for the end of the trading window is applied at once, what is held is approved, and what could not
        be prepared is tried again."""
        with self._engine.turn(name) as track:
            if track.newest is not None:
                track.approval = Approval(generation=track.newest.generation)
            return self._carry_out_newest(track, Occasion(cause="approve", actor=actor, reason=reason))

    def rollback(self, name: str, generation: int, *, actor: str, reason: str = "") -> ReloadResult:
        """Puts an old version in force, under a new number. The file's own version is set aside until it is edited.
        A rollback that loosens is held as an edit that does."""
        with self._engine.turn(name) as track:
            if track.wanted is None:
                raise NotDecided(
                    f"{name} has no file", hint=f"runner rollback {name}@{generation} --file writes it, and starts it"
                )
            spec = self._version(track, generation)
            if spec.spec_hash == track.rejected:
                track.rejected = ""  # this order is younger
            occasion = Occasion(cause="rollback", actor=actor, reason=reason or f"back to generation {generation}")
            before = track.superseded
            # First, so that a rollback which is cut short is carried on by the next start, and not undone by the file.
            track.rolling_back = True
            aside = self._set_file_aside(track, spec)
            result = self._engine.aim(track, spec, occasion)
            track.rolling_back = False
            if result is ReloadResult.REFUSED:
                self._engine.supersede(track, before)
            elif aside:
                text = f"{name} goes back to generation {generation}; its file says something else"
                self._engine.manager.notice("rollback", text, name)
            return result

    def rollback_file(self, name: str, generation: int, *, actor: str, reason: str = "") -> Path:
        """Writes the text of an old version back into the strategy's file; the change then takes its normal way.
        SpecError when the file would not be that version with it, ChangedMeanwhile when it was edited just now."""
        with self._engine.turn(name) as track:
            spec = self._version(track, generation)
            path = track.wanted.path if track.wanted is not None else spec.file
            text = text_of_version(spec, generation, path=path, root=self._engine.root, deployment=self._deployment)
            # Over what was taken in, and so is kept: an edit that nobody has seen yet is not lost.
            rewrite(path, text, over=None if track.wanted is None else track.wanted.sources[path.as_posix()])
            track.announced = Announced(
                sha256=text_sha256(text),
                cause="rollback",
                actor=actor,
                reason=reason or f"back to generation {generation}",
            )
            return path

    def override(self, name: str, path: str, value: Any, *, lasts: timedelta, actor: str, reason: str) -> ReloadResult:
        """A value in place of the file's that goes back by itself. Loosens when it would need an approval, SpecError
        when it is none that the field can have."""
        value = _fitting(path, value)
        if not timedelta(0) < lasts <= MAX_OVERRIDE:
            raise ConfigError(
                f"an override lasts up to {MAX_OVERRIDE.days} days", hint="a longer wish belongs in the file"
            )
        with self._engine.turn(name) as track:
            overlay = Overlay(
                strategy=name,
                path=path,
                value=value,
                source=OVERRIDE,
                actor=actor,
                reason=reason,
                expires_at=self._engine.system.now() + lasts,
            )
            if track.ended is not None:  # it is put after the edit that would have ended it
                track.ended = replace(track.ended, paths=track.ended.paths - {path})
            others = tuple(one for one in track.overlays if one.path != path)
            occasion = Occasion(cause="override", actor=actor, reason=reason)
            return self._hold_in_place(track, (*others, overlay), occasion)

    def restore(self, name: str, path: str | None, *, actor: str, reason: str = "") -> ReloadResult:
        """The file's values hold again: of one field, or of all."""
        with self._engine.turn(name) as track:
            ended = [one.path for one in track.overlays if path in (None, one.path)]
            if not ended:
                what = f"{path} of {name}" if path else name
                raise NotDecided(f"nothing holds in place of the file for {what}")
            return self._end(track, ended, Occasion(cause="override", actor=actor, reason=reason))

    def revert(self, name: str, *, actor: str, reason: str = "") -> ReloadResult:
        """The file's values go back into the store, and hold again."""
        with self._engine.turn(name) as track:
            foreign = [one.path for one in self._engine.carrier.rows.foreign(track)]
            honoured = [one.path for one in track.overlays if one.source == STORE]
            result = self._end(track, [*foreign, *honoured], Occasion(cause="store", actor=actor, reason=reason))
            track.drift, track.conflicts = "", ()
            return result

    def adopt(
        self, name: str, paths: tuple[str, ...] = (), *, actor: str, reason: str = ""
    ) -> tuple[list[str], list[str]]:
        """Writes what the store says into the strategy's file, in place; the change then takes its normal way. Returns
        what was written, and what the store says that no file can. NotDecided when the store says nothing else than
        the file."""
        with self._engine.turn(name) as track:
            if track.applied is None or track.wanted is None:
                raise NotDecided(f"{name} has no file and row to compare")
            chosen = self._adoptable(track, paths)
            path = track.wanted.path
            document = read_document(path)
            edits = [Edit(tuple(one.path.split(".")), one.stored) for one in chosen]
            text, wrong = edited_text(document, *edits, path=path, root=self._engine.root, deployment=self._deployment)
            if wrong:
                raise SpecError(
                    f"{name}: {'; '.join(map(str, chosen))} cannot be adopted, the file was left as it is:"
                    f" {first_problem(wrong, self._engine.root)}",
                    hint=f"name the fields to adopt, or put the file's values back: runner revert {name}",
                )
            rewrite(path, text, over=document.text)
            track.announced = Announced(sha256=text_sha256(text), cause="adopt", actor=actor, reason=reason)
            said = [] if paths else self._engine.in_place.said_by_store(track)
            return [str(one) for one in chosen], [f"{one}: {one.problem}" for one in said if one.problem]

    def apply_planned(self, planned: Planned, *, actor: str, reason: str = "") -> ReloadResult:
        """Approves what a kept plan shows of a strategy, in the trading window too, and nothing else. StalePlan when
        the file or what runs has moved since: then nothing is approved."""
        with self._engine.turn(planned.strategy) as track:
            loaded, spec = self._as_planned(track, planned)
            if track.judged != content(loaded):  # its turn has not come yet
                self._engine.look_over(track)
                loaded, spec = self._as_planned(track, planned)
            newest = track.newest
            if newest is None or newest.spec_hash != spec.spec_hash or newest.state not in OPEN:
                return ReloadResult.UNCHANGED
            track.approval = Approval(generation=newest.generation)
            return self._engine.aim(track, spec, Occasion(cause="approve", actor=actor, reason=reason))

    # -- inside --------------------------------------------------------------------------------------------------

    @property
    def _deployment(self) -> Deployment:
        return self._engine.record.deployment

    def _as_planned(self, track: Track, planned: Planned) -> tuple[Loaded, StrategySpec]:
        """The file as the engine has it. StalePlan unless it is what the plan was made from, over what ran then."""
        name, loaded = track.name, track.wanted
        if loaded is None or loaded.spec is None or content_id(loaded, self._engine.root) != planned.content:
            said = track.base_refused or "its file has changed since the plan was made"
            raise StalePlan(f"{name}: {said}", hint=AGAIN)
        if loaded.spec.spec_hash in (track.rejected, track.superseded):
            raise StalePlan(f"{name}: somebody has decided about its file since the plan was made", hint=AGAIN)
        if track.running != planned.running and (track.applied is None or changes(track.applied, loaded.spec)):
            raise StalePlan(
                f"{name}: generation {track.running} runs now; the plan was made when {planned.running} did",
                hint=AGAIN,
            )
        return loaded, loaded.spec

    def _adoptable(self, track: Track, paths: Sequence[str]) -> list[FieldDrift]:
        """What the store says otherwise than the file: at these paths, or everywhere."""
        said = {one.path: one for one in self._engine.in_place.said_by_store(track)}
        usable = {path: one for path, one in said.items() if not one.problem}
        for path in paths:
            if path not in usable:
                why = f": {said[path].problem}" if path in said else ""
                others = (
                    f"it does about {', '.join(usable)}" if usable else f"runner drift {track.name} shows what it says"
                )
                raise NotDecided(
                    f"the store says nothing about {path} of {track.name} that could be adopted{why}", hint=others
                )
        if not usable:
            raise NotDecided(f"the store says nothing about {track.name} that could be adopted")
        return [one for path, one in usable.items() if not paths or path in paths]

    def _carry_out_newest(self, track: Track, occasion: Occasion) -> ReloadResult:
        """The newest version: the file's own, or an old one that a rollback has asked for."""
        newest = track.newest
        if newest is None or self._is_of_file(track, newest) or not newest.document:
            return self._engine.aim(track, self._file_spec(track), occasion)
        return self._engine.aim(track, self._version(track, newest.generation), occasion)

    def _is_of_file(self, track: Track, generation: Generation) -> bool:
        spec = None if track.wanted is None else track.wanted.spec
        return spec is not None and spec.spec_hash == generation.spec_hash

    def _set_file_aside(self, track: Track, spec: StrategySpec) -> bool:
        """Whether the file says something else than this version: then it does not count until it is edited."""
        in_file = None if track.wanted is None else track.wanted.spec
        differs = in_file is not None and in_file.spec_hash != spec.spec_hash
        self._engine.supersede(track, in_file.spec_hash if in_file is not None and differs else "")
        return differs

    def _end(self, track: Track, paths: Sequence[str], occasion: Occasion) -> ReloadResult:
        """The file's values hold again at these paths. The store says so first, or it would be honoured anew.
        StoreError when it refuses."""
        if track.applied is None:
            raise NotDecided(f"{track.name} does not run")
        self._check_file(track, paths)
        kept = tuple(one for one in track.overlays if one.path not in paths)
        goal = Goal.of(track.applied, kept)
        self._engine.carrier.rows.write(track, goal, track.running, ours=paths)
        return self._hold_in_place(track, kept, occasion, approved=True)

    def _check_file(self, track: Track, paths: Sequence[str]) -> None:
        """The values that are to hold again are those of the version in force. Where the file says something tighter by
        now, in a version that is not in force yet, they would be nobody's wish."""
        file = None if track.wanted is None else track.wanted.spec
        if file is None or track.applied is None or file.spec_hash in (track.superseded, track.rejected):
            return
        for path in paths:
            try:
                now, then = value_at(track.applied, path), value_at(file, path)
            except AttributeError:  # the universe, say, or a row that cannot be read
                continue
            if direction_of_param(file, path, now, then) is Direction.TIGHTER:
                raise NotDecided(
                    f"the file of {track.name} says {path} {shown(then)}, in a version that is not in force yet",
                    hint=f"approve or reject that version first: runner status {track.name}",
                )

    def _hold_in_place(
        self, track: Track, overlays: tuple[Overlay, ...], occasion: Occasion, *, approved: bool = False
    ) -> ReloadResult:
        """Other values hold in place of the file's from now on. A version that is held is asked for again after it."""
        if track.applied is None or track.in_force is None:
            raise NotDecided(f"{track.name} does not run")
        goal = Goal.of(track.applied, overlays)  # SpecError when they do not fit together
        decision = self._engine.decision(track, goal, approved=approved)
        if not isinstance(decision, Change | Keep):
            raise Loosens(
                f"{track.name}: this {getattr(decision, 'why', 'needs an approval')}",
                hint="loosen it in the file, and approve that version",
            )
        before = (track.newest, track.waiting, track.ahead)
        with self._engine.beside(track):
            result = self._engine.bring_together(track, goal, occasion, fresh=False, approved=approved)
        if result not in DONE and track.waiting is not None:
            text = track.waiting.text
            self._engine.carrier.mark(track, GenerationState.REPLACED, text)
            track.newest, track.waiting, track.ahead = before  # what waited before waits on
            raise NotDecided(f"{track.name}: it cannot be done now: {text}", hint="try again")
        self._engine.look_over(track)
        return result

    def _held(self, track: Track, generation: int) -> Generation:
        newest = track.newest
        if newest is None or newest.state is not GenerationState.HELD:
            raise NotDecided(f"nothing of {track.name} is held", hint="runner status shows what is")
        if newest.generation != generation:
            raise NotDecided(
                f"{track.name}@{generation} is not what is held: {track.name}@{newest.generation} is",
                hint="look at it with: runner plan",
            )
        return newest

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
        spec = self._engine.record.version(track, found)
        if spec is None:
            raise NotDecided(f"generation {generation} of {track.name} cannot be built any more")
        return spec


def _fitting(path: str, value: Any) -> Any:
    """The value in the type of the field. ConfigError when there is no such field, SpecError when it cannot have that
    value."""
    if path == ENABLED:
        if isinstance(value, bool):
            return value
        wanted = {"yes": "true", "on": "true", "no": "false", "off": "false"}
        hint = f"write {wanted.get(str(value).lower(), 'true or false')}"
        raise SpecError(f"{path} cannot be {shown(value)}: it must be true or false", hint=hint)
    name = path.removeprefix(PARAMS)
    if name == path or name not in OVERRIDABLE:
        guess = closest(name, OVERRIDABLE)
        known = f"enabled and params.… can: {', '.join(OVERRIDABLE)}; edit the file for others"
        raise ConfigError(f"{path} cannot be overridden", hint=f"did you mean {PARAMS}{guess}?" if guess else known)
    # Between limits that let every weight be what it likes: whether they fit together shows with the file's own.
    around = {"min_weight": 0.0, "target_weight": 1.0 if name == "min_weight" else 0.0, "max_weight": 1.0}
    try:
        return getattr(BaseParams.from_mapping(around | {name: value}), name)
    except (ValueError, OverflowError) as error:
        raise SpecError(f"{path} cannot be {shown(value)}: {error}") from None
