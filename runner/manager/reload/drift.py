"""The store against the file: what somebody changed in a strategy's row, per field and three-way.

    written   what the runner wrote into the row last
    stored    what the row says now
    file      what the file says, and what it said when it was applied last

A cap that was tightened in the store (from a dashboard, in an emergency) is honoured at once and holds until it is
adopted, reverted or edited in the file. Anything looser, or of another kind, is shown and not applied: for rows that a
file manages, the file is the source of truth. Where both were changed, the tighter of the two runs, and a field without
a tighter side keeps the value that runs. What makes no sense is shown with its problem, and is never an error of the
runner's: one row must not stop the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from runner.base_params import BaseParams
from runner.blocks import params_of
from runner.errors import SpecError
from runner.manager.reload.track import ENABLED, PARAMS, Goal
from runner.spec.changes import Direction, changes, direction_of_param, shown
from runner.spec.spec import StrategySpec
from runner.store.generations import Overlay
from runner.store.strategies import StrategyRow

STORE = "store"
OVERRIDE = "override"
UNIVERSE = "universe"
WEIGHTS = ("min_weight", "target_weight", "max_weight")
"""Parameters that have a column of their own beside `params`."""
SHOWN_CHARS = 100
"""As much of a value of somebody else's is said."""
DEPTH = 20
"""Objects and lists in one another; more are not parameters."""
_INFOS = {info.name: info for info in params_of(BaseParams)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDrift:
    """One field that the store says differently than what was written into it."""

    path: str
    running: Any
    stored: Any
    direction: Direction
    """Which way the stored value goes, seen from what runs."""
    problem: str = ""
    """Why the stored value could not be used even if it were wanted."""
    cell: str = ""
    """The column whose cell holds something of another kind; empty for what can be read."""

    def __str__(self) -> str:
        return f"{self.path} {_brief(self.running)} → {_brief(self.stored)}"


def _brief(value: Any) -> str:
    """A value for people, who may have put anything there."""
    text = shown(value).encode(errors="backslashreplace").decode()
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} …"


def drift_of(row: StrategyRow, written: StrategySpec) -> tuple[FieldDrift, ...]:
    """The fields in which the row differs from what was written into it. Raises for nothing that a row may hold."""
    said = _said(row.params)
    if said is None:
        return (_unusable("params", "", row.params, "not a JSON object"),)
    ours, found = asdict(written.params), []
    for name in _INFOS:
        if name == UNIVERSE:
            continue
        stored = said.get(name, ours[name])
        if stored == ours[name] and name in WEIGHTS:
            column = getattr(row, name)
            stored = ours[name] if column is None else column
        if stored != ours[name]:
            found.append(_field(written, name, stored))
        elif name in row.misfits:
            path = f"{PARAMS}{name}"
            found.append(_unusable(path, ours[name], row.misfits[name], "not a number", cell=name))
    if said.get(UNIVERSE, written.universe.text) != written.universe.text:
        problem = "the universe is changed in the file"
        found.append(_unusable(UNIVERSE, written.universe.text, said[UNIVERSE], problem))
    if ENABLED in row.misfits:
        problem = "neither true nor false"
        found.append(_unusable(ENABLED, written.enabled, row.misfits[ENABLED], problem, cell=ENABLED))
    elif row.enabled != written.enabled:
        direction = direction_of_param(written, ENABLED, written.enabled, row.enabled)
        found.append(FieldDrift(path=ENABLED, running=written.enabled, stored=row.enabled, direction=direction))
    return tuple(found)


def _said(params: str) -> dict[str, Any] | None:
    """The parameters of a row; None when they are not an object that could be written again."""
    try:
        said = json.loads(params or "{}")
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and not _is_deep(said) else None


def _is_deep(value: Any) -> bool:
    inside = [value]
    for _ in range(DEPTH):
        inside = [one for outer in inside if isinstance(outer, dict | list) for one in _members(outer)]
        if not inside:
            return False
    return True


def _members(outer: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer


def _unusable(path: str, running: Any, stored: Any, problem: str, *, cell: str = "") -> FieldDrift:
    return FieldDrift(
        path=path, running=running, stored=stored, direction=Direction.NEUTRAL, problem=problem, cell=cell
    )  # fmt: skip


def _field(written: StrategySpec, name: str, stored: Any) -> FieldDrift:
    path, ours = f"{PARAMS}{name}", getattr(written.params, name)
    if not _is_number(stored):
        return _unusable(path, ours, stored, "not a number")
    problem = ""
    try:
        BaseParams.from_mapping({"min_weight": 0.0, "max_weight": 1.0, name: stored})
    except ValueError as error:
        problem = str(error)
    direction = direction_of_param(written, path, ours, stored)
    return FieldDrift(path=path, running=ours, stored=stored, direction=direction, problem=problem)


def _is_number(value: Any) -> bool:
    """Whether it can be compared: JSON knows integers beyond all floats, and Python's also infinities and NaN."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What holds in place of a file's values, and what the store says in vain."""

    goal: Goal
    ignored: tuple[FieldDrift, ...] = ()
    """Looser, of no direction, or not usable."""
    conflicts: tuple[str, ...] = ()
    """Paths of fields that were changed both in the file and in the store, to different values."""


def standing(
    name: str,
    file: StrategySpec,
    *,
    applied: StrategySpec,
    in_force: StrategySpec,
    overlays: Sequence[Overlay],
    drift: Sequence[FieldDrift],
    ended: Collection[str] | None = None,
) -> Standing:
    """What holds once `file` is in force, where `applied` was the file before and `in_force` is what runs now. `ended`
    are the fields whose temporary values that file ends; those that it changes when not said.

    SpecError when a temporary value does not fit the file any more.
    """
    edited = edited_paths(applied, file)
    ended = edited if ended is None else ended
    said = _said_by_the_store(overlays, drift)
    kept = {one.path: one for one in overlays if one.source != STORE and one.path not in ended}
    honoured: list[Overlay] = []
    ignored: list[FieldDrift] = []
    conflicts: list[str] = []
    for path, one in said.items():
        before = next((old for old in overlays if old.path == path and old.source == STORE), None)
        if one.problem:  # it takes nothing back that was honoured
            honoured += [before] if before is not None and path not in edited else []
            ignored.append(one)
            continue
        ours = value_at(file, path)
        if one.stored == ours and path not in kept:
            continue  # both say the same
        direction = direction_of_param(file, path, kept[path].value if path in kept else ours, one.stored)
        if path in edited and before is not None and before.value == one.stored and direction is Direction.LOOSER:
            continue  # the file has become tighter than what was honoured: nothing is left to decide
        if path in edited:
            conflicts.append(path)
        if direction is Direction.TIGHTER:
            honoured.append(_honoured(name, path, one.stored, before))
        elif path in edited and direction is Direction.NEUTRAL:
            honoured.append(_honoured(name, path, value_at(in_force, path), before))
            ignored.append(one)
        else:
            honoured += [before] if before is not None and path not in edited else []
            ignored.append(one)
    goal, misfits = _fitted(file, list(kept.values()), honoured)
    ignored += [said[overlay.path] for overlay in misfits if said[overlay.path] not in ignored]
    return Standing(goal=goal, ignored=tuple(ignored), conflicts=tuple(conflicts))


def edited_paths(applied: StrategySpec, file: StrategySpec) -> frozenset[str]:
    """The fields that the author has changed."""
    return frozenset(change.path for change in changes(applied, file))


def against(file: StrategySpec, overlays: Sequence[Overlay], drift: Sequence[FieldDrift]) -> list[FieldDrift]:
    """What the store says, seen from the file's own values."""
    found = []
    for path, one in _said_by_the_store(overlays, drift).items():
        if one.problem:
            found.append(one)
            continue
        ours = value_at(file, path)
        if ours != one.stored:
            found.append(replace(one, running=ours, direction=direction_of_param(file, path, ours, one.stored)))
    return found


def _said_by_the_store(overlays: Iterable[Overlay], drift: Iterable[FieldDrift]) -> dict[str, FieldDrift]:
    """What is foreign in the row: what differs from what was written, and what was honoured before and written so."""
    said = {
        one.path: FieldDrift(path=one.path, running=one.value, stored=one.value, direction=Direction.NEUTRAL)
        for one in overlays
        if one.source == STORE
    }
    return said | {one.path: one for one in drift}


def _honoured(name: str, path: str, value: Any, before: Overlay | None) -> Overlay:
    if before is not None and before.value == value:
        return before
    return Overlay(strategy=name, path=path, value=value, source=STORE, reason="changed in the store")


def _fitted(file: StrategySpec, kept: list[Overlay], candidates: list[Overlay]) -> tuple[Goal, list[Overlay]]:
    """As many of the candidates as fit together with the file and with what is kept; the others too."""
    goal = Goal.of(file, tuple(kept))
    left, found = list(candidates), True
    while found:  # one may only fit once another is in: max_weight after target_weight
        found = False
        for one in list(left):
            try:
                others = [old for old in goal.overlays if old.path != one.path]
                goal = Goal.of(file, (*others, one))
            except SpecError:
                continue
            left.remove(one)
            found = True
    return goal, left


def value_at(spec: StrategySpec, path: str) -> Any:
    """What a spec says of a field that may be overridden."""
    return spec.enabled if path == ENABLED else getattr(spec.params, path.removeprefix(PARAMS))


def with_foreign(row: StrategyRow, foreign: Iterable[FieldDrift]) -> StrategyRow:
    """The row with what others wrote into it and nobody has decided about: writing a row must not undo that."""
    for one in foreign:
        if one.cell:
            row = replace(row, misfits={**row.misfits, one.cell: one.stored})
        elif one.path == "params":
            row = replace(row, params=one.stored)
        elif one.path == ENABLED:
            row = replace(row, enabled=one.stored)
        else:
            name = one.path.removeprefix(PARAMS)
            row = replace(row, params=json.dumps(json.loads(row.params) | {name: one.stored}, sort_keys=True))
            if name in WEIGHTS and not one.problem:
                column: dict[str, Any] = {name: float(one.stored)}
                row = replace(row, **column)
    return row
