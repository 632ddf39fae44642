"""What the runner starts with: each file where it may be applied, else the version that ran last."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import ConfigError, SpecError
from runner.manager.reload.carrier import Occasion
from runner.manager.reload.decision import Begin, Change, Decision, Hold
from runner.manager.reload.files import by_name, content, owner
from runner.manager.reload.in_place import occasion_of
from runner.manager.reload.removal import MISSING, gone_text
from runner.manager.reload.track import UNDECIDED, Goal, LastGood, Track, Trial
from runner.manager.reload.trials import NOT_USABLE
from runner.model.events import ReloadResult
from runner.spec.folder import Folder, Loaded
from runner.spec.spec import StrategySpec
from runner.store.generations import Generation, GenerationState
from runner.store.strategies import StrategyRow

if TYPE_CHECKING:
    from runner.manager.reload.engine import ReloadEngine

MASS_FRACTION = 0.3
"""Of all strategies: as many missing at once, and more than one, look like an accident."""
FROM_STORE = "known from the store alone: the journal does not have it"

log = logging.getLogger("runner.reload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A strategy to start: with which spec, as which version, and why it may open nothing, if so."""

    spec: StrategySpec
    generation: int
    reduce_only: str = ""
    held: bool = False


class Starting:
    """Used once, before anything runs."""

    def __init__(self, engine: ReloadEngine) -> None:
        self._engine = engine

    def begin(self, folder: Folder, *, only: str | None = None) -> list[Start]:
        """What to start with: the file where it may be applied, else the version that ran last.

        The rows of the store are brought up to date with one write. ConfigError when a file has the name of a
        hand-written strategy.
        """
        self._engine.only = only
        self._engine.manager.strategies.refresh()
        files = {name: one for name, one in by_name(folder.loaded).items() if only in (None, name)}
        for name in files:
            self._check_name(name, files[name])
        starts = [start for name, loaded in files.items() if (start := self._with_file(name, loaded)) is not None]
        known = [name for name in self._ever_run() if only in (None, name)]
        gone = [name for name in known if name not in files]
        many = bool(gone) and ((len(gone) > 1 and len(gone) >= MASS_FRACTION * len(known)) or not folder.loaded)
        starts += [start for name in gone if (start := self._without_file(name, many=many)) is not None]
        tracks = [self._engine.track_of(start.spec.name) for start in starts]
        goals = [(track, track.goal, track.running) for track in tracks]
        self._engine.carrier.rows.write_all((track, goal, number) for track, goal, number in goals if goal is not None)
        for track in tracks:
            self._engine.record.keep(track)
            self._engine.observing.observe(track)
        return starts

    def _check_name(self, name: str, loaded: Loaded) -> None:
        row = self._engine.carrier.rows.hand_written(name)
        if row is not None:
            raise ConfigError(
                f"{loaded.path.name}: {name} is already a hand-written strategy ({row.filename})",
                hint="give one of them another name",
            )

    def _ever_run(self) -> list[str]:
        """Every strategy of a file that ran, and was not removed since."""
        manager = self._engine.manager
        rows = {row.strategy: row for row in manager.strategies.all()}
        names = {*manager.journal.generations.strategies(), *(n for n, row in rows.items() if row.managed_by)}
        return sorted(
            name for name in names
            if not self._engine.carrier.rows.is_removed(name) and self._last(name, rows.get(name)) is not None
        )  # fmt: skip

    def _with_file(self, name: str, loaded: Loaded) -> Start | None:
        track = self._engine.track_of(name)
        track.wanted, track.judged, track.doubted = loaded, content(loaded), False
        self._recall(track)
        self._bring_up_to_date(track)
        occasion = Occasion(cause="start", actor=owner(loaded.path))
        if loaded.spec is None:
            start = self._as_before(track, NOT_USABLE)
            self._engine.refuse(track, loaded, occasion)
            return start
        if track.rejected != loaded.spec.spec_hash:
            track.rejected = ""
        if loaded.spec.spec_hash == track.superseded and track.goal is not None:
            return self._set_aside(track)
        return self._aim(track, loaded.spec, occasion)

    def _set_aside(self, track: Track) -> Start | None:
        """A rollback has set the file aside. One that was cut short, or had to wait, is carried on."""
        newest = track.newest
        spec = None if newest is None or newest.state not in UNDECIDED else self._engine.record.version(track, newest)
        if newest is None or spec is None:
            return self._as_before(track)
        return self._aim(track, spec, Occasion.of(newest))

    def _aim(self, track: Track, spec: StrategySpec, occasion: Occasion) -> Start | None:
        if spec.spec_hash == track.rejected:
            return self._as_before(track)
        try:
            standing = self._engine.in_place.standing(track, spec)
        except SpecError as error:
            start = self._as_before(track)
            self._engine.carrier.number(track, spec, GenerationState.REFUSED, occasion, text=error.message)
            self._engine.carrier.report(track, ReloadResult.REFUSED, occasion, text=error.message)
            return start
        decision = self._engine.decision(track, standing.goal)
        if isinstance(decision, Hold):
            start = self._as_before(track)
            self._engine.hold(track, standing.goal.file, decision, occasion)
            return start
        start = self._decided(track, standing.goal, decision, occasion)
        self._engine.in_place.note(track, standing)
        return start

    def _decided(self, track: Track, goal: Goal, decision: Decision, occasion: Occasion) -> Start:
        before = track.goal
        match decision:
            case Begin() | Change():
                found = decision.changes if isinstance(decision, Change) else ()
                self._engine.carrier.number(track, goal.file, GenerationState.APPLYING, occasion, found)
                assert track.newest is not None
                if track.trial is None or track.trial.before is None:
                    # Else what it ran with last has not come to run either, and what it ran with before that counts.
                    last = None if before is None else LastGood(goal=before, generation=track.running)
                    track.trial = Trial(before=last)
                self._engine.record.keep(track)
                self._engine.carrier.keep(track, goal, track.newest.generation)
                self._engine.carrier.mark(track, GenerationState.APPLIED)
                self._engine.carrier.report(track, ReloadResult.APPLIED, occasion, found)
            case _:
                self._engine.carrier.keep(track, goal, track.running)
                self._engine.withdraw(track)
        return Start(spec=goal.spec, generation=track.running)

    def _as_before(self, track: Track, reduce_only: str = "") -> Start | None:
        """As it ran last, with what the store has tightened since; None when it never ran."""
        if track.applied is None:
            return None
        assert track.in_force is not None
        return Start(spec=track.in_force, generation=track.running, reduce_only=reduce_only)

    def _without_file(self, name: str, *, many: bool) -> Start | None:
        """A strategy whose file went away while the runner was not running."""
        track = self._engine.track_of(name)
        self._recall(track)
        if track.goal is None:
            return None
        self._bring_up_to_date(track)
        track.doubted |= many
        if not self._engine.manager.is_exposed(name) and not track.doubted:
            self._engine.removal.forget(track, Occasion(cause="remove"))
            self._engine.record.keep(track)
            self._engine.drop(name)
            return None
        if track.doubted:
            return self._as_before(track, MISSING)
        track.gone = gone_text(track)
        start = self._as_before(track, track.gone)
        return None if start is None else Start(
            spec=start.spec, generation=start.generation, reduce_only=track.gone, held=True
        )  # fmt: skip

    # -- what ran before -----------------------------------------------------------------------------------------

    def _recall(self, track: Track) -> None:
        """What ran last, with what held in place of it; and what was written into the row, to compare it with."""
        row = self._engine.manager.strategies.get(track.name)
        if self._engine.carrier.rows.is_removed(track.name):
            return  # it has ended: a file that brings it back is one that begins
        last = self._last(track.name, row)
        spec = None if last is None else self._engine.record.revived(last)
        if last is None or spec is None:
            return
        try:
            goal = Goal.of(spec, track.overlays)
        except SpecError as error:
            log.warning("%s", error.message)
            goal = Goal.of(spec)
        track.take(goal, last.generation)
        track.written = self._written(track, row, goal)

    def _bring_up_to_date(self, track: Track) -> None:
        """What the store has tightened since, and the temporary values whose time has come, hold before the file is
        looked at, in a version of its own, as they would while the runner runs."""
        if track.applied is None:
            return
        try:
            found = self._engine.in_place.standing(track, track.applied)
        except SpecError as error:
            log.warning("%s", error.message)
            return
        carrier = self._engine.carrier
        if found.goal.overlays == track.overlays:
            carrier.keep(track, found.goal, track.running)
        else:
            occasion = occasion_of(track.overlays, found.goal.overlays)
            with self._engine.beside(track):
                number = carrier.number(track, track.applied, GenerationState.APPLYING, occasion).generation
                carrier.keep(track, found.goal, number)
                carrier.mark(track, GenerationState.APPLIED)
                carrier.report(track, ReloadResult.APPLIED, occasion)
        self._engine.in_place.note(track, found)

    def _last(self, name: str, row: StrategyRow | None) -> Generation | None:
        """The version that ran last. The row knows it too, should the journal have been lost."""
        generations = self._engine.manager.journal.generations
        last = generations.running(name)
        known = last is not None or generations.newest(name) is not None
        if known or row is None or not row.managed_by or not row.base:
            return last
        return generations.add(
            Generation(
                strategy=name,
                state=GenerationState.APPLIED,
                spec_hash=row.spec_hash,
                file=row.file,
                document=row.base,
                cause="start",
                text=FROM_STORE,
            ),
            after=row.generation - 1,
        )

    def _written(self, track: Track, row: StrategyRow | None, goal: Goal) -> StrategySpec | None:
        """What the row was brought up to date with last. That may be older than what ran, when the store was away."""
        if row is None or not row.managed_by:
            return None
        if row.generation == track.running:
            return goal.spec
        found = self._engine.manager.journal.generations.get(track.name, row.generation)
        spec = None if found is None or not found.document else self._engine.record.revived(found)
        try:
            return None if spec is None else Goal.of(spec, track.overlays).spec
        except SpecError:
            return spec
