"""The store against the file: what somebody changed in a strategy's row, per field and three-way.

A cap that was tightened in the store (from a dashboard, in an emergency) is honoured at once and holds until it is
adopted, reverted or edited in the file. Anything looser, or of another kind, is shown and not applied: for rows that a
file manages, the file is the source of truth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from runner.base_params import BaseParams
from runner.blocks import params_of
from runner.manager.reload.track import PARAMS
from runner.spec.changes import Direction, by_size, shown
from runner.spec.spec import StrategySpec
from runner.store.generations import Overlay
from runner.store.strategies import StrategyRow

STORE = "store"
_INFOS = {info.name: info for info in params_of(BaseParams)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDrift:
    """One field that the store says differently than what runs."""

    path: str
    running: Any
    stored: Any
    direction: Direction
    """Which way the stored value goes, seen from what runs."""
    problem: str = ""
    """Why the stored value could not be used even if it were wanted."""

    def __str__(self) -> str:
        return f"{self.path} {shown(self.running)} → {shown(self.stored)}"


def drift_of(row: StrategyRow, in_force: StrategySpec) -> tuple[FieldDrift, ...]:
    """The fields in which the row differs from what was written into it."""
    said = _stored(row)
    if said is None:
        return (
            FieldDrift(
                path="params", running="", stored=row.params, direction=Direction.NEUTRAL, problem="not a JSON object"
            ),
        )
    ours = asdict(in_force.params)
    found = []
    for name, stored in said.items():
        if name == "universe" or name not in _INFOS:
            continue
        if stored != ours[name]:
            found.append(_field(name, ours[name], stored))
    if row.enabled != in_force.enabled:
        direction = Direction.LOOSER if row.enabled else Direction.TIGHTER
        found.append(FieldDrift(path="enabled", running=in_force.enabled, stored=row.enabled, direction=direction))
    return tuple(found)


def _stored(row: StrategyRow) -> Mapping[str, Any] | None:
    try:
        found = json.loads(row.params or "{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _field(name: str, ours: Any, stored: Any) -> FieldDrift:
    info = _INFOS[name]
    number = isinstance(stored, int | float) and not isinstance(stored, bool)
    if not number:
        return FieldDrift(
            path=f"{PARAMS}{name}", running=ours, stored=stored, direction=Direction.NEUTRAL, problem="not a number"
        )
    direction = by_size(info.direction, ours, stored, zero_is_off=info.zero_is_off)
    problem = ""
    try:
        BaseParams.from_mapping({"min_weight": 0.0, "max_weight": 1.0, name: stored})
    except ValueError as error:
        problem = str(error)
    return FieldDrift(path=f"{PARAMS}{name}", running=ours, stored=stored, direction=direction, problem=problem)


def tightenings(name: str, drift: tuple[FieldDrift, ...], in_force: StrategySpec) -> tuple[Overlay, ...]:
    """What of it is honoured: the fields that get tighter, as long as they fit together with the rest."""
    candidates = [one for one in drift if one.direction is Direction.TIGHTER and not one.problem]
    honoured: list[Overlay] = []
    values = asdict(in_force.params)
    found = True
    while found:  # one may only fit once another is in: max_weight after target_weight
        found = False
        for one in list(candidates):
            trial = values | ({one.path.removeprefix(PARAMS): one.stored} if one.path.startswith(PARAMS) else {})
            try:
                BaseParams.from_mapping(trial)
            except ValueError:
                continue
            values, found = trial, True
            candidates.remove(one)
            honoured.append(
                Overlay(strategy=name, path=one.path, value=one.stored, source=STORE, reason="tightened in the store")
            )
    return tuple(honoured)
