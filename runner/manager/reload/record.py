"""What the journal has of strategies: their versions, as specs that can run again, and what was decided about them."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import SpecError
from runner.manager.reload.decision import LastRun
from runner.manager.reload.drift import OVERRIDE, STORE
from runner.manager.reload.track import NOT_IN_FORCE, Approval, Ended, Goal, LastGood, Track, Trial
from runner.spec.deployment import Deployment
from runner.spec.folder import load_text
from runner.spec.spec import StrategySpec
from runner.store.generations import Generation

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager

TRIAL = "trial"
"""Of what is kept, the one that means something when it is 0: nothing ran before."""

log = logging.getLogger("runner.reload")


class Record:
    """Reads versions and tracks from the journal, and keeps what else is known of a track there."""

    def __init__(self, manager: StrategyManager, deployment: Deployment) -> None:
        self._manager = manager
        self.deployment = deployment
        """What texts are judged against."""
        self._root: Path = manager.config.strategies_dir

    # -- versions ------------------------------------------------------------------------------------------------

    def revived(self, generation: Generation) -> StrategySpec | None:
        """The spec of a version, from the document that is kept of it; None when it cannot be built any more."""
        loaded = load_text(
            generation.document, path=self._root / generation.file, root=self._root, deployment=self.deployment
        )
        if loaded.spec is None:
            log.warning("generation %d of %s cannot be built any more", generation.generation, generation.strategy)
            return None
        return replace(loaded.spec, spec_hash=generation.spec_hash, source=generation.source)

    def version(self, track: Track, generation: Generation) -> StrategySpec | None:
        """The same, of the strategy's file as it is called now."""
        spec = self.revived(generation)
        return spec if spec is None or track.wanted is None else replace(spec, file=track.wanted.path)

    def ran_last(self, name: str) -> LastRun:
        """What a strategy that does not run ran with, before its file went away or since it cannot be built."""
        last = self._manager.journal.generations.running(name)
        return LastRun() if last is None else LastRun(ran=True, spec=self.revived(last))

    def _newest(self, name: str) -> Generation | None:
        """The newest version; one that is not in force before those that only put other values in its file's place."""
        generations = self._manager.journal.generations
        of_file = generations.newest(name, but_for=(OVERRIDE, STORE))
        if of_file is not None and of_file.state in NOT_IN_FORCE:
            return of_file
        return generations.newest(name)

    # -- decisions -----------------------------------------------------------------------------------------------

    def track(self, name: str) -> Track:
        """A new track, with everything that was kept of the strategy."""
        row, newest = self._manager.strategies.get(name), self._newest(name)
        track = Track(
            name=name,
            newest=newest,
            overlays=tuple(self._manager.journal.generations.overlays(name)),
            stored_generation=0 if row is None else row.generation,
        )
        self._recall(track)
        if track.rolling_back and newest is not None and newest.spec_hash == track.superseded:
            track.superseded = ""  # it was cut short before it had a number: it has not happened
        track.rolling_back = False
        return track

    def keep(self, track: Track) -> None:
        """What is known of a track beside its file and its versions. Written before anything that builds on it, and at
        the end of each turn; only when it has changed."""
        before = None if track.trial is None else track.trial.before
        said: dict[str, Any] = {
            "superseded": track.superseded,
            "rolling_back": track.rolling_back,
            "doubted": track.doubted,
            "rejected": track.rejected,
            "conflicts": list(track.conflicts),
            "ended": None if track.ended is None else [track.ended.spec_hash, *sorted(track.ended.paths)],
            "approval": None if track.approval is None else [track.approval.generation, track.approval.at_once],
            TRIAL: None if track.trial is None else 0 if before is None else before.generation,
        }
        text = json.dumps({key: value for key, value in said.items() if value or (key == TRIAL and value is not None)})
        if text != track.kept:
            track.kept = text
            self._manager.journal.set_meta(_key(track.name), text)

    def _recall(self, track: Track) -> None:
        track.kept = self._manager.journal.meta(_key(track.name)) or "{}"
        said = json.loads(track.kept)
        track.superseded, track.rejected = said.get("superseded", ""), said.get("rejected", "")
        track.rolling_back, track.doubted = said.get("rolling_back", False), said.get("doubted", False)
        track.conflicts = tuple(said.get("conflicts", ()))
        if "ended" in said:
            spec_hash, *paths = said["ended"]
            track.ended = Ended(spec_hash=spec_hash, paths=frozenset(paths))
        if "approval" in said:
            generation, at_once = said["approval"]
            track.approval = Approval(generation=generation, at_once=at_once)
        if TRIAL in said:
            track.trial = Trial(before=self._last_good(track, said[TRIAL]))

    def _last_good(self, track: Track, number: int) -> LastGood | None:
        """What a strategy ran with before a version that was on trial; None for a new one, which has the number 0."""
        generation = self._manager.journal.generations.get(track.name, number)
        spec = None if generation is None else self.revived(generation)
        if spec is None:
            return None
        try:
            return LastGood(goal=Goal.of(spec, track.overlays), generation=number)
        except SpecError:
            return LastGood(goal=Goal.of(spec), generation=number)


def _key(name: str) -> str:
    return f"reload:{name}"
