"""Values that hold in place of a file's: temporary overrides, and caps that were tightened in the store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from runner.errors import SpecError, StoreError
from runner.manager.reload.carrier import Occasion
from runner.manager.reload.drift import STORE, FieldDrift, Standing, against, edited_paths, standing
from runner.manager.reload.track import Ended, Goal, Track
from runner.model.events import ReloadResult
from runner.spec.spec import StrategySpec
from runner.store.generations import Overlay

if TYPE_CHECKING:
    from runner.manager.reload.engine import ReloadEngine

log = logging.getLogger("runner.reload")


class InPlace:
    """Part of the engine; what changes a track is called under its lock."""

    def __init__(self, engine: ReloadEngine) -> None:
        self._engine = engine

    def standing(self, track: Track, file: StrategySpec, *, expiring: bool = True) -> Standing:
        """What holds once this version of the file is in force, by the row as it was read last; `expiring`: without the
        values whose time is over. SpecError when a temporary value does not fit that version."""
        overlays = self._lasting(track) if expiring else track.overlays
        if track.applied is None or track.in_force is None:
            return Standing(goal=Goal.of(file, overlays))
        known = track.ended if track.ended is not None and track.ended.spec_hash == file.spec_hash else None
        return standing(
            track.name,
            file,
            applied=track.applied,
            in_force=track.in_force,
            overlays=overlays,
            drift=self._engine.carrier.rows.foreign(track),
            ended=None if known is None else known.paths,
        )

    def note_edit(self, track: Track, file: StrategySpec) -> None:
        """The author has edited the file: what is overridden now in the fields that were changed ends with it."""
        if track.applied is None or (track.ended is not None and track.ended.spec_hash == file.spec_hash):
            return
        overridden = {one.path for one in track.overlays if one.source != STORE}
        paths = edited_paths(track.applied, file) & overridden
        track.ended = Ended(spec_hash=file.spec_hash, paths=paths)

    def _lasting(self, track: Track) -> tuple[Overlay, ...]:
        now = self._engine.system.now()
        return tuple(one for one in track.overlays if one.expires_at is None or one.expires_at > now)

    def has_expired(self, track: Track) -> bool:
        """Whether the time of a value is over."""
        return bool(track.overlays) and len(self._lasting(track)) < len(track.overlays)

    def settle(self, track: Track) -> ReloadResult:
        """Makes what holds in place of the file's values hold over the version that is in force: before the file is
        looked at, because that may be held, refused or gone. Nothing here needs an approval: a value whose time is over
        goes back to one that was approved, and the store only ever tightens."""
        if track.applied is None:
            return ReloadResult.UNCHANGED
        self._write_missing_row(track)
        try:
            found = self.standing(track, track.applied)
        except SpecError:
            log.exception("what holds in place of the file of %s does not fit", track.name)
            return ReloadResult.UNCHANGED
        result = ReloadResult.UNCHANGED
        if found.goal.overlays != track.overlays:
            occasion = occasion_of(track.overlays, found.goal.overlays)
            with self._engine.beside(track):
                result = self._engine.bring_together(track, found.goal, occasion, fresh=False, approved=True)
        self.note(track, found)
        return result

    def note(self, track: Track, found: Standing) -> None:
        """What the store says in vain is said once."""
        ignored = "; ".join(str(one) + (f" ({one.problem})" if one.problem else "") for one in found.ignored)
        told = track.drift
        track.drift = ignored
        foreign = {one.path for one in found.ignored} | {one.path for one in track.overlays if one.source == STORE}
        before = track.conflicts
        lasting = tuple(path for path in dict.fromkeys((*before, *found.conflicts)) if path in foreign)
        track.conflicts = lasting
        if (ignored and ignored != told) or set(track.conflicts) - set(before):
            text = f"not applied: {ignored}" if ignored else ""
            if track.conflicts:
                text = f"changed in the file and in the store: {', '.join(track.conflicts)}; {text}".rstrip("; ")
            self._engine.carrier.report(track, ReloadResult.DRIFTED, Occasion(cause="store"), text=text)

    def _write_missing_row(self, track: Track) -> None:
        """A row that somebody deleted, or a store that was wiped."""
        rows = self._engine.carrier.rows
        if track.wanted is None or rows.get(track.name) is not None:
            return
        track.written = None
        text = f"the row of {track.name} was missing and is written again"
        self._engine.manager.notice("store", text, track.name)
        rows.sync(track)

    def said_by_store(self, track: Track) -> list[FieldDrift]:
        """What the store says otherwise than the file, honoured or in vain."""
        if track.applied is None:
            return []
        return against(track.applied, track.overlays, self._engine.carrier.rows.foreign(track))

    def read_row(self) -> bool:
        """Reads the table again, so that what is done next knows what somebody has changed in it meanwhile. False when
        the store refuses: it is looked at later."""
        try:
            self._engine.manager.strategies.refresh()
        except StoreError as error:
            log.info("the rows could not be compared: %s", error.message)
            return False
        return True

    def read_rows(self) -> None:
        """The same, and gives every strategy a turn whose row says something else than was written into it. Never
        raises."""
        if not self.read_row():
            return
        rows = self._engine.carrier.rows
        rows.remark()
        for name, track in self._engine.tracks().items():
            missing = track.wanted is not None and rows.get(name) is None
            if track.applied is not None and (missing or rows.foreign(track) or track.drift):
                self._engine.schedule(name)

    def compare_with_store(self, timeout_s: float) -> bool:
        """The same, and waits for what follows. False when that takes longer."""
        self.read_rows()
        return self._engine.settled(timeout_s)


def occasion_of(before: tuple[Overlay, ...], after: tuple[Overlay, ...]) -> Occasion:
    """Why other values hold than before."""
    new = [one for one in after if one not in before and one.source == STORE]
    if new:
        return Occasion(cause="store", reason="; ".join(f"{one.path} {one.value}" for one in new))
    gone = [one for one in before if one not in after]
    if all(one.source == STORE for one in gone):
        return Occasion(cause="store", reason="the store says again what the file says")
    return Occasion(cause="override", reason="its time is over")
