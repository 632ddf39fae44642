"""What bringing files and running strategies together would do: fields, what each needs, and the orders that follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from runner.errors import RunnerError, SpecError, UnknownName
from runner.manager.reload.blame import span_of
from runner.manager.reload.decision import (
    Begin,
    Change,
    Decision,
    Hold,
    Keep,
    Wait,
)
from runner.manager.reload.engine import ReloadEngine
from runner.manager.reload.files import by_name, placed
from runner.manager.reload.kept_plan import AGAIN, Planned, StalePlan, content_id, planned
from runner.manager.reload.removal import MISSING
from runner.manager.reload.track import UNDECIDED, Goal, Track
from runner.model.money import CENT
from runner.model.orders import Purpose
from runner.spec.changes import FieldChange, changes, direction_of, strongest
from runner.spec.folder import Folder, Loaded
from runner.spec.problems import Span
from runner.spec.spec import StrategySpec
from runner.store.codec import decimal_text
from runner.store.generations import Generation, GenerationState
from runner.strategy.preview import ForeseenOrder, Foresight

UNCHANGED = ("none", "aside", "rejected", "held", "gone", "kept")
"""Actions of rows in which nothing would change by itself: somebody has decided already, or is asked to."""


class Ground(Protocol):
    """What the files are compared with: what runs, or what is known to have run last."""

    @property
    def root(self) -> Path:
        """The strategies folder."""
        ...

    def tracks(self) -> Mapping[str, Track]:
        """Every strategy that is known."""
        ...

    def track(self, name: str) -> Track:
        """What is known of a strategy, as far as anything is."""
        ...

    def goal(self, track: Track, file: StrategySpec) -> Goal:
        """What a version of the file comes to with what holds in place of its values. SpecError when it does not."""
        ...

    def decision(self, track: Track, goal: Goal) -> Decision:
        """What would be done to reach a goal."""
        ...

    def effect(self, name: str, wanted: StrategySpec) -> dict[str, Any]:
        """The orders that would follow, under `effect`; None there and why under `effect_missing`."""
        ...


def plan_view(
    engine: ReloadEngine, folder: Folder, names: Sequence[str] = (), held: Collection[Path] = ()
) -> dict[str, Any]:
    """The files against what runs."""
    return plan_of(_Running(engine), folder, names, held)


def plan_of(ground: Ground, folder: Folder, names: Sequence[str] = (), held: Collection[Path] = ()) -> dict[str, Any]:
    """One row per strategy whose file says something else than it runs with; all of `names` when some are given. `held`
    are files that are missing and not let go of.

    UnknownName for a name that nothing is known of.
    """
    tracks = ground.tracks()
    files = _files(folder, tracks)
    for name in names:
        if name not in files and name not in tracks:
            known = ", ".join(sorted({*files, *tracks})) or "none"
            raise UnknownName(f"there is no YAML strategy called {name!r} (known: {known})")
    rows = [
        _file_row(ground, name, loaded, tracks.get(name) or ground.track(name))
        for name, loaded in files.items()
        if not names or name in names
    ]
    rows += [
        _removal_row(track, held)
        for name, track in sorted(tracks.items())
        if name not in files and track.applied is not None and (not names or name in names)
    ]
    return {
        "changes": sum(row["action"] not in UNCHANGED for row in rows),
        "held": sum(row["action"] == "held" for row in rows),
        "strategies": [row for row in rows if names or row["action"] != "none"],
    }


def _files(folder: Folder, tracks: Mapping[str, Track]) -> dict[str, Loaded]:
    """The file of each strategy, as a turn would find it."""
    return by_name(folder.loaded, known={name: track.wanted for name, track in tracks.items()})


def _removal_row(track: Track, held: Collection[Path]) -> dict[str, Any]:
    assert track.applied is not None
    row = {"strategy": track.name, "running": track.running, "changes": []}
    if track.gone:  # all has been done about it
        return row | {"action": "gone", "why": track.gone}
    if track.doubted or (track.wanted is not None and track.wanted.path in held):
        return row | {"action": "kept", "why": MISSING}
    return row | {"action": "remove", "on_remove": track.applied.on_remove.value}


def _file_row(ground: Ground, name: str, loaded: Loaded, track: Track) -> dict[str, Any]:
    """What would become of one file."""
    row: dict[str, Any] = {
        "strategy": name,
        "file": loaded.path.name,
        "running": track.running,
        "content": content_id(loaded, ground.root),
        "changes": [],
    }
    if loaded.spec is None:
        problems = [placed(problem, ground.root) for problem in loaded.problems if problem.is_error]
        return row | {"action": "refuse", "problems": problems}
    row["spec_hash"] = loaded.spec.spec_hash
    if track.applied is not None and loaded.spec.spec_hash == track.superseded:
        found = changes(track.applied, loaded.spec)
        return row | {"action": "aside", "why": _why_aside(track), "changes": _field_rows(found, loaded)}
    if loaded.spec.spec_hash == track.rejected:
        found = () if track.applied is None else changes(track.applied, loaded.spec)
        return row | {"action": "rejected", "why": _why_rejected(track), "changes": _field_rows(found, loaded)}
    try:
        goal = ground.goal(track, loaded.spec)
    except SpecError as error:
        return row | {"action": "refuse", "problems": [error.message]}
    decision = ground.decision(track, goal)
    row |= {"action": _action(decision)}
    if isinstance(decision, Keep):
        row["changes"] = _field_rows(decision.noted, loaded)
    if isinstance(decision, Change | Hold | Wait):
        found = decision.changes
        row["changes"] = _field_rows(found, loaded)
        row |= {"apply": strongest(found), "direction": direction_of(found).value}
        row |= ground.effect(name, goal.spec)
    if isinstance(decision, Hold):
        row |= _held(track, loaded.spec, decision)
    if isinstance(decision, Wait):
        row["why"] = "applied when the trading window is over"
    return row


def _why_aside(track: Track) -> str:
    """Why the file does not count."""
    newest = track.newest
    if newest is not None and newest.state in UNDECIDED and newest.spec_hash != track.superseded:
        done = f"generation {newest.generation} puts an old version back, and is {newest.state.value}"
    else:
        done = f"rolled back to generation {track.running}"
    return f"{done}; the file counts again when it is edited"


def _why_rejected(track: Track) -> str:
    newest = track.newest
    is_newest = newest is not None and newest.state is GenerationState.REJECTED
    said = newest.text if newest is not None and is_newest and newest.text else "an operator has said no"
    return f"{said}; it is asked for again when the file is edited"


def _held(track: Track, file: StrategySpec, decision: Hold) -> dict[str, Any]:
    """Whether somebody is asked already."""
    newest = track.newest
    if newest is not None and newest.spec_hash == file.spec_hash and newest.state is GenerationState.HELD:
        return {"action": "held", "generation": newest.generation, "why": f"{decision.why}: {_approve(newest)}"}
    return {"why": decision.why}


def _approve(newest: Generation) -> str:
    return f"runner approve {newest.strategy}@{newest.generation}"


def _action(decision: Decision) -> str:
    match decision:
        case Begin():
            return "start"
        case Keep(noted=noted):
            return "note" if noted else "none"
        case Change():
            return "apply"
        case Hold():
            return "hold"
        case Wait():
            return "wait"


def _field_rows(found: Sequence[FieldChange], loaded: Loaded) -> list[dict[str, Any]]:
    """Fields of a strategy's file as plain data."""
    return [change_row(change, span_of(change.path, loaded)) for change in found]


def change_row(change: FieldChange, span: Span | None = None) -> dict[str, Any]:
    """One field as plain data, and where its file says it, when that is known."""
    return {
        "path": change.path,
        "where": None if span is None else f"{Path(span.file).name}:{span.line}",
        "old": change.old,
        "new": change.new,
        "apply": change.apply,
        "direction": change.direction.value,
    }


class _Running:
    """The strategies that run."""

    def __init__(self, engine: ReloadEngine) -> None:
        self._engine = engine
        self.root = engine.root

    def tracks(self) -> Mapping[str, Track]:
        return self._engine.tracks()

    def track(self, name: str) -> Track:
        return self.tracks().get(name) or self._engine.record.track(name)

    def goal(self, track: Track, file: StrategySpec) -> Goal:
        return self._engine.in_place.standing(track, file).goal

    def decision(self, track: Track, goal: Goal) -> Decision:
        return self._engine.decision(track, goal)

    def effect(self, name: str, wanted: StrategySpec) -> dict[str, Any]:
        return _effect(self._engine, name, wanted)


def _effect(engine: ReloadEngine, name: str, wanted: StrategySpec) -> dict[str, Any]:
    """The orders that would follow, as far as the strategy is there to be asked."""
    versions = engine.manager.versions
    at = engine.now()
    if not versions.is_running(name):
        return {"effect": None, "effect_missing": "the strategy is not running"}
    try:
        foreseen = versions.foresee(name, wanted)
    except RunnerError as error:
        return {"effect": None, "effect_missing": error.message}
    then = foreseen.then
    decides = versions.next_decision(name, at)
    return {
        "effect": {
            "at": None if decides is None else decides.isoformat(),
            "prices_of": at.isoformat(),
            "targets": _targets(foreseen.now, then),
            "orders": [_order_row(order) for order in then.orders],
            "stops": [_order_row(order) for order in foreseen.at_once.orders if order.purpose is Purpose.EXIT],
            "cancelled": [_order_row(order) for order in foreseen.cancelled],
            "working": foreseen.working,
            "turnover": then.turnover,
            "warnings": list(then.warnings),
            "equity": decimal_text(then.equity.quantize(CENT)),
        }
    }


def _targets(now: Foresight, then: Foresight) -> list[dict[str, Any]]:
    """Per symbol, what is aimed at by the version in force and by the new one."""
    symbols = dict.fromkeys([*then.targets, *now.targets])
    return [
        {
            "symbol": symbol,
            "now": decimal_text(now.targets[symbol]) if symbol in now.targets else None,
            "then": decimal_text(then.targets[symbol]) if symbol in then.targets else None,
        }
        for symbol in symbols
    ]


def _order_row(order: ForeseenOrder) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "side": order.side.value,
        "quantity": decimal_text(order.quantity),
        "purpose": order.purpose.value,
        "reason": order.reason,
        "value": None if order.value is None else decimal_text(order.value.quantize(CENT)),
    }


def check_fresh(engine: ReloadEngine, folder: Folder, plan: dict[str, Any]) -> list[str]:
    """The strategies of a kept plan. StalePlan when a file, or what runs, is not what the plan was made from."""
    found, tracks = planned(plan), engine.tracks()
    files = _files(folder, tracks)
    for one in found:
        _check_one(one, tracks.get(one.strategy), files.get(one.strategy), engine.root)
    return [one.strategy for one in found]


def _check_one(one: Planned, track: Track | None, file: Loaded | None, root: Path) -> None:
    name, running = one.strategy, 0 if track is None else track.running
    if running != one.running:
        raise StalePlan(
            f"{name} runs generation {running} now; the plan was made when it ran {one.running}", hint=AGAIN
        )
    if one.content != ("" if file is None else content_id(file, root)):
        raise StalePlan(f"the file of {name} has changed since the plan was made", hint=AGAIN)
