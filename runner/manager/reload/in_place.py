"""Values that hold in place of a file's: temporary overrides, and caps that were tightened in the store."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from runner.base_params import BaseParams
from runner.blocks import params_of
from runner.errors import StoreError
from runner.manager.reload.carrier import Occasion
from runner.manager.reload.decision import Change, Keep, Situation, Wanted, decide
from runner.manager.reload.drift import STORE, drift_of, tightenings
from runner.manager.reload.files import owner
from runner.manager.reload.track import PARAMS, Track, overlaid
from runner.model.events import ReloadResult
from runner.spec.changes import Direction, by_size, changes, effective
from runner.spec.spec import StrategySpec
from runner.store.generations import GenerationState, Overlay

if TYPE_CHECKING:
    from runner.manager.reload.engine import ReloadEngine

log = logging.getLogger("runner.reload")


class InPlace:
    """Part of the engine; what changes a track is called under its lock."""

    def __init__(self, engine: ReloadEngine) -> None:
        self._engine = engine

    def put(
        self,
        track: Track,
        overlays: tuple[Overlay, ...],
        wanted: StrategySpec,
        decision: Change | Keep,
        occasion: Occasion,
    ) -> ReloadResult:
        """Makes these values hold, and keeps them. Under the track's lock."""
        assert track.applied is not None
        before, generations = track.overlays, self._engine.manager.journal.generations
        is_held = track.newest is not None and track.newest.state is GenerationState.HELD
        track.overlays = overlays
        result = ReloadResult.UNCHANGED
        if isinstance(decision, Change):
            result = self._engine.carrier.carry_out(track, track.applied, decision, occasion)
        if result is ReloadResult.REFUSED:
            track.overlays = before
            return result
        for gone in {one.path for one in before} - {one.path for one in overlays}:
            generations.drop_overlay(track.name, gone)
        track.overlays = tuple(one if one in before else generations.put_overlay(one) for one in overlays)
        self._engine.manager.versions.note(track.name, wanted, track.running)
        if is_held and track.wanted is not None and track.wanted.spec is not None:
            # Its number is taken, so what was held is asked for again under the next one.
            occasion = Occasion(cause="edit", actor=owner(track.wanted.path))
            self._engine.bring_together(track, track.wanted.spec, occasion, fresh=False)
        return result

    def look_at_row(self, track: Track) -> None:
        """What somebody changed in the row of this strategy, before its own next row is written over it. Under the
        track's lock."""
        try:
            self._engine.manager.strategies.refresh()
        except StoreError as error:
            log.info("the row of %s could not be compared: %s", track.name, error.message)
            return
        self._compare_row(track)

    def compare_with_store(self) -> None:
        """Reads the rows again and looks what somebody changed in them. What the store refuses is looked at later."""
        try:
            self._engine.manager.strategies.refresh()
        except StoreError as error:
            log.info("the rows could not be compared: %s", error.message)
            return
        for track in self._engine.tracks().values():
            with track.lock:
                self._compare_row(track)

    def _compare_row(self, track: Track) -> None:
        in_force, row = track.in_force, self._engine.manager.strategies.get(track.name)
        if in_force is None or track.wanted is None or track.stored_generation != track.running:
            return  # nothing to compare, or the row is not up to date itself
        if row is None:
            self._engine.manager.notice(
                "store", f"the row of {track.name} was missing and is written again", track.name
            )
            self._engine.carrier.store_row(track)
            return
        drift = drift_of(row, in_force)
        known = track.conditions.get("Drifted")
        if not drift:
            held = any(one.source == STORE for one in track.overlays)
            if known is not None and not held:
                track.set("Drifted", False, "InSync", "", self._engine.now())
            return
        message = "; ".join(str(one) for one in drift)
        honoured = tightenings(track.name, drift, in_force)
        if honoured:
            kept = tuple(one for one in track.overlays if one.path not in {new.path for new in honoured})
            overlays = (*kept, *honoured)
            wanted = overlaid(in_force, honoured)
            decision = decide(in_force, Wanted(spec=wanted), Situation(loosening=self._engine.loosening))
            if isinstance(decision, Change):
                said = "; ".join(f"{one.path} {one.value}" for one in honoured)
                self.put(track, overlays, wanted, decision, Occasion(cause="store", reason=said))
            track.set("Drifted", True, "StoreTightened", message, self._engine.now())
        elif known is None or known.message != message:
            track.set("Drifted", True, "StoreIgnored", message, self._engine.now())
            self._engine.carrier.report(
                track, ReloadResult.DRIFTED, Occasion(cause="store"), text=f"not applied: {message}"
            )

    def expire(self, track: Track) -> None:
        """Values whose time is over go back to the file's. That needs no approval: it was given with the time."""
        now = self._engine.system.now()
        kept = tuple(one for one in track.overlays if one.expires_at is None or one.expires_at > now)
        if kept == track.overlays or track.applied is None or track.in_force is None:
            return
        wanted = overlaid(track.applied, kept)
        decision = decide(
            track.in_force, Wanted(spec=wanted, approved=True), Situation(loosening=self._engine.loosening)
        )
        if isinstance(decision, Change | Keep):
            self.put(track, kept, wanted, decision, Occasion(cause="override", reason="its time is over"))

    def drop_stale(self, track: Track, spec: StrategySpec) -> None:
        """A value that holds in place of the file's ends when the author changes that very value in the file."""
        if not track.overlays or track.applied is None:
            return
        edited = {change.path for change in changes(track.applied, spec)}
        new = effective(spec)
        for overlay in track.overlays:
            if overlay.path in edited and not _stays(overlay, new[overlay.path]):
                self._engine.manager.journal.generations.drop_overlay(track.name, overlay.path)
                track.overlays = tuple(one for one in track.overlays if one.path != overlay.path)


def has_expired(track: Track, now: datetime) -> bool:
    """Whether the time of a value is over."""
    return any(one.expires_at is not None and one.expires_at <= now for one in track.overlays)


def _stays(overlay: Overlay, in_file: Any) -> bool:
    """Whether a value of the store still holds after the file's own was edited: the tighter of the two does."""
    info = next((one for one in params_of(BaseParams) if f"{PARAMS}{one.name}" == overlay.path), None)
    if overlay.source != STORE or info is None:
        return False
    return by_size(info.direction, in_file, overlay.value, zero_is_off=info.zero_is_off) is Direction.TIGHTER
