"""Without a running runner: the files against what the journal says ran last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from runner.errors import SpecError
from runner.manager.reload.decision import Decision, Situation, Wanted, begin, decide_beside
from runner.manager.reload.drift import standing
from runner.manager.reload.edits import text_of_version
from runner.manager.reload.files import within
from runner.manager.reload.history import version_of
from runner.manager.reload.plan import plan_of
from runner.manager.reload.record import Record
from runner.manager.reload.track import Goal, Track
from runner.model.events import Reloaded
from runner.spec.config import RunnerConfig
from runner.spec.deployment import Deployment
from runner.spec.folder import Folder, Loaded, load_folder
from runner.spec.spec import StrategySpec
from runner.store.journal import Journal
from runner.store.strategies import StrategyRow


def offline_plan(config: RunnerConfig, journal: Journal, names: Sequence[str]) -> dict[str, Any]:
    """Like `plan_view`, without the orders: those need prices and positions."""
    folder = load_folder(config.strategies_dir, deployment=Deployment.of(config))
    return plan_of(RanLast(config, journal, folder), folder, names)


@dataclass(frozen=True, slots=True)
class _JournalAlone:
    """What `Record` asks of the manager, where nothing runs and nobody has opened the store."""

    config: RunnerConfig
    journal: Journal
    strategies: Mapping[str, StrategyRow] = field(default_factory=dict)


def record_of(config: RunnerConfig, journal: Journal) -> Record:
    """What the journal has of strategies."""
    return Record(cast("Any", _JournalAlone(config, journal)), Deployment.of(config))


def text_to_write(config: RunnerConfig, journal: Journal, name: str, generation: int) -> tuple[Path, str, str]:
    """The file that a strategy has now, what it says, and the text of an old version for it. SpecError when the
    strategy has no file, or several, or when the file would not be that version."""
    version = version_of(journal, name, generation)
    deployment = Deployment.of(config)
    spec = record_of(config, journal).revived(version) if version.document else None
    if spec is None:
        why = "has been refused" if not version.document else "cannot be built any more"
        raise SpecError(f"{name}@{generation} {why}, so there is nothing to go back to", hint=f"runner history {name}")
    loaded = _file_of(config, journal, load_folder(config.strategies_dir, deployment=deployment), name)
    text = text_of_version(spec, generation, path=loaded.path, root=config.strategies_dir, deployment=deployment)
    return loaded.path, loaded.sources[loaded.path.as_posix()], text


def _file_of(config: RunnerConfig, journal: Journal, folder: Folder, name: str) -> Loaded:
    """A file that cannot say whose it is, is that of the strategy that had it last."""
    newest, root = journal.generations.newest(name), config.strategies_dir
    had = None if newest is None else root / newest.file
    found = [one for one in folder.loaded if one.name == name or (not one.name and one.path == had)]
    if len(found) == 1:
        return found[0]
    if found:
        files = " and ".join(within(one.path, root) for one in found)
        raise SpecError(f"{files} both have the strategy {name}; none was changed", hint="only one can have the name")
    was = "" if had is None else f"; it was {within(had, root)} that had it last"
    raise SpecError(
        f"no file in {root.name} has the strategy {name}{was}",
        hint=f"runner diff {name}@… --text shows what it said; write the file, or start the runner and roll back there",
    )


class RanLast:
    """What the next start will find of every strategy, as far as the journal has it."""

    def __init__(self, config: RunnerConfig, journal: Journal, folder: Folder) -> None:
        self.root = config.strategies_dir
        self._config = config
        self._journal = journal
        self._record = record_of(config, journal)
        self._ended = _ended(journal)
        files = {one.path: one for one in folder.loaded}
        self._tracks = {name: self._track(name, files) for name in journal.generations.strategies()}

    def tracks(self) -> Mapping[str, Track]:
        return self._tracks

    def track(self, name: str) -> Track:
        return self._tracks.get(name) or Track(name=name)

    def goal(self, track: Track, file: StrategySpec) -> Goal:
        now = datetime.now(UTC)
        lasting = tuple(one for one in track.overlays if one.expires_at is None or one.expires_at > now)
        if track.applied is None or track.in_force is None:
            return Goal.of(file, lasting)
        return standing(
            track.name, file, applied=track.applied, in_force=track.in_force, overlays=lasting, drift=()
        ).goal

    def decision(self, track: Track, goal: Goal) -> Decision:
        approval, newest = track.approval, track.newest
        said = approval is not None and newest is not None and newest.generation == approval.generation
        said = said and newest is not None and newest.spec_hash == goal.file.spec_hash
        wanted = Wanted(spec=goal.spec, approved=said, at_once=said)
        situation = Situation(loosening=self._config.loosening)
        if track.applied is None or track.in_force is None:
            return begin(self._record.ran_last(track.name), wanted, situation)
        return decide_beside(
            applied=track.applied, in_force=track.in_force, file=goal.file, wanted=wanted, situation=situation
        )

    def effect(self, name: str, wanted: StrategySpec) -> dict[str, Any]:
        return {"effect": None, "effect_missing": "no runner is running"}

    def _track(self, name: str, files: Mapping[Path, Loaded]) -> Track:
        generations = self._journal.generations
        track, last = self._record.track(name), generations.running(name)
        if track.newest is not None:
            track.wanted = files.get(self.root / track.newest.file)
        ended = last is None or last.generation <= self._ended.get(name, 0)
        spec = None if last is None or ended else self._record.revived(last)
        if last is not None and spec is not None:
            track.take(_in_force(spec, track), last.generation)
        return track


def _in_force(spec: StrategySpec, track: Track) -> Goal:
    try:
        return Goal.of(spec, track.overlays)
    except SpecError:
        return Goal.of(spec)


def _ended(journal: Journal) -> dict[str, int]:
    """The newest version that was known of each strategy when nothing of it ran any more."""
    found: dict[str, int] = {}
    for _, event in journal.events(kinds=[Reloaded.type]):
        assert isinstance(event, Reloaded)
        if event.running == 0:
            found[event.strategy] = event.generation
        else:
            found.pop(event.strategy, None)
    return found
