"""What the runner starts with: each file where it may be applied, else the version that ran last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import ConfigError
from runner.manager.reload.carrier import Occasion
from runner.manager.reload.decision import Begin, Change, Hold
from runner.manager.reload.files import by_name, content, owner
from runner.manager.reload.removal import HELD
from runner.manager.reload.track import overlaid
from runner.manager.sync import row_of
from runner.model.events import ReloadResult
from runner.spec.folder import Folder, Loaded
from runner.spec.spec import StrategySpec
from runner.store.generations import GenerationState
from runner.store.strategies import StrategyRow

if TYPE_CHECKING:
    from runner.manager.reload.engine import ReloadEngine

NOT_USABLE = "its file has problems; it runs as it did last, and opens nothing"
MISSING = "many strategy files are missing at once; nothing is removed before `runner approve --all-deletes`"
MASS_FRACTION = 0.3
"""Of all strategies: as many missing at once, and more than one, look like an accident."""


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
        self.missing: set[str] = set()
        """Strategies whose files were missing when the runner started, too many at once to be believed."""

    def begin(self, folder: Folder, *, only: str | None = None) -> list[Start]:
        """What to start with: the file where it may be applied, else the version that ran last.

        The rows of the store are brought up to date with one write. ConfigError when a file has the name of a
        hand-written strategy.
        """
        starts = []
        for name, loaded in by_name(folder.loaded).items():
            if only in (None, name):
                start = self._begin_one(name, loaded)
                if start is not None:
                    starts.append(start)
        known = self._engine.manager.journal.generations.strategies()
        gone = [name for name in known if name not in self._engine.tracks() and only in (None, name)]
        starts += [start for name in gone if (start := self._begin_without_file(name, gone, known)) is not None]
        self._write_rows(starts)
        return starts

    def _begin_one(self, name: str, loaded: Loaded) -> Start | None:
        track = self._engine.track_of(name)
        track.wanted, track.judged = loaded, content(loaded)
        last = self._engine.manager.journal.generations.running(name)
        ran = None if last is None else self._engine.revived(last)
        if last is not None:
            track.applied, track.running = ran, last.generation
        if loaded.spec is None:
            self._engine.refuse(track, loaded, Occasion(cause="start", actor=owner(loaded.path)))
            if ran is None or track.in_force is None:
                return None
            return Start(spec=track.in_force, generation=track.running, reduce_only=NOT_USABLE)
        if loaded.spec.spec_hash == track.superseded and track.in_force is not None:
            return Start(spec=track.in_force, generation=track.running)
        occasion = Occasion(cause="start", actor=owner(loaded.path))
        self._engine.in_place.drop_stale(track, loaded.spec)
        wanted = overlaid(loaded.spec, track.overlays)
        decision = self._engine.decision(track, loaded.spec)
        match decision:
            case Hold(changes=found):
                self._engine.hold(track, loaded.spec, decision, occasion, found)
                assert track.in_force is not None
                return Start(spec=track.in_force, generation=track.running)
            case Begin() | Change():
                found = decision.changes if isinstance(decision, Change) else ()
                generation = self._engine.carrier.number(track, loaded.spec, GenerationState.APPLYING, occasion, found)
                self._engine.carrier.mark(track, GenerationState.APPLIED)
                track.applied, track.running = loaded.spec, generation.generation
                self._engine.carrier.report(track, ReloadResult.APPLIED, occasion, found)
            case _:
                track.applied = loaded.spec
                self._engine.withdraw(track)
                track.newest = last
        self._engine.note_valid(track)
        return Start(spec=wanted, generation=track.running)

    def _begin_without_file(self, name: str, gone: Sequence[str], known: Sequence[str]) -> Start | None:
        """A strategy whose file went away while the runner was not running."""
        last = self._engine.manager.journal.generations.running(name)
        row = self._engine.manager.strategies.get(name)
        if last is None or (row is not None and row.state == "removed"):
            return None
        track = self._engine.track_of(name)
        track.applied, track.running = self._engine.revived(last), last.generation
        if track.in_force is None:
            return None
        exposed = self._engine.carrier.exposed(name)
        many = len(gone) > 1 and len(gone) >= MASS_FRACTION * len(known)
        if not exposed and not many:
            self._engine.removal.forget(track, Occasion(cause="remove"))
            self._engine.drop(name)
            return None
        if many:
            self.missing.add(name)
            return Start(spec=track.in_force, generation=track.running, reduce_only=MISSING)
        return Start(spec=track.in_force, generation=track.running, reduce_only=HELD, held=True)

    def _write_rows(self, starts: Sequence[Start]) -> None:
        rows = []
        for start in starts:
            known = self._engine.manager.strategies.get(start.spec.name)
            if known is not None and known.hand_written:
                raise ConfigError(
                    f"{start.spec.file.name}: {start.spec.name} is already a hand-written strategy ({known.filename})",
                    hint="give one of them another name",
                )
            known = known or StrategyRow(strategy=start.spec.name)
            rows.append(row_of(start.spec, known, self._engine.root, generation=start.generation))
            self._engine.track_of(start.spec.name).stored_generation = start.generation
        self._engine.manager.strategies.upsert(rows)
