"""What bringing files and running strategies together would do: fields, what each needs, and the orders that follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.errors import ExitCode, RunnerError, SpecError
from runner.manager.reload.blame import span_of
from runner.manager.reload.decision import (
    Begin,
    Change,
    Decision,
    Hold,
    Keep,
    Refuse,
    Wait,
)
from runner.manager.reload.engine import ReloadEngine
from runner.manager.reload.files import content, placed
from runner.manager.reload.track import Goal
from runner.model.money import CENT
from runner.model.orders import Purpose
from runner.spec.changes import FieldChange, direction_of, strongest
from runner.spec.folder import Folder, Loaded
from runner.spec.problems import Span
from runner.spec.spec import StrategySpec
from runner.store.codec import decimal_text
from runner.strategy.preview import ForeseenOrder, Foresight


class StalePlan(RunnerError):
    """Something moved since the plan was made."""

    exit_code = ExitCode.STALE_PLAN


def plan_view(engine: ReloadEngine, folder: Folder, names: Sequence[str] = ()) -> dict[str, Any]:
    """One row per strategy whose file and running version differ; all of `names` when some are given."""
    rows = []
    seen = set()
    for loaded in folder.loaded:
        if not loaded.name or (names and loaded.name not in names):
            continue
        seen.add(loaded.name)
        row = plan_row(engine, loaded)
        if row["action"] != "none" or names:
            rows.append(row)
    for name, track in sorted(engine.tracks().items()):
        if name not in seen and track.applied is not None and (not names or name in names):
            rows.append({"strategy": name, "action": "remove", "on_remove": track.applied.on_remove.value,
                         "running": track.running, "changes": []})  # fmt: skip
    return {"changes": len([row for row in rows if row["action"] != "none"]), "strategies": rows}


def plan_row(engine: ReloadEngine, loaded: Loaded) -> dict[str, Any]:
    """What would become of one file."""
    track = engine.tracks().get(loaded.name)
    row: dict[str, Any] = {
        "strategy": loaded.name,
        "file": loaded.path.name,
        "running": 0 if track is None else track.running,
        "content": content(loaded),
        "changes": [],
    }
    if loaded.spec is None:
        problems = [placed(problem, engine.root) for problem in loaded.problems if problem.is_error]
        return row | {"action": "refuse", "problems": problems}
    try:
        goal = Goal.of(loaded.spec) if track is None else engine.in_place.standing(track, loaded.spec).goal
    except SpecError as error:
        return row | {"action": "refuse", "problems": [error.message]}
    decision = Begin(goal.spec) if track is None else engine.decision(track, goal)
    row |= {"spec_hash": loaded.spec.spec_hash, "action": _action(decision)}
    if isinstance(decision, Keep):
        row["changes"] = [field_row(change, loaded) for change in decision.noted]
    if isinstance(decision, Change | Hold | Wait):
        found = decision.changes
        row["changes"] = [field_row(change, loaded) for change in found]
        row |= {"apply": strongest(found), "direction": direction_of(found).value}
        row |= _effect(engine, loaded.name, goal.spec)
    if isinstance(decision, Hold):
        row["why"] = decision.why
    if isinstance(decision, Wait):
        row["why"] = "applied when the trading window is over"
    return row


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
        case Refuse():
            return "refuse"


def field_row(change: FieldChange, loaded: Loaded) -> dict[str, Any]:
    """One field of a strategy's file as plain data."""
    return change_row(change, span_of(change.path, loaded))


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
    """The strategies of a saved plan. StalePlan when a file, or what runs, is not what the plan was made from."""
    loaded = {one.name: one for one in folder.loaded}
    names = []
    for row in plan.get("strategies", ()):
        name = str(row["strategy"])
        track, file = engine.tracks().get(name), loaded.get(name)
        running = 0 if track is None else track.running
        if running != row["running"]:
            raise StalePlan(
                f"{name} runs generation {running} now; the plan was made when it ran {row['running']}",
                hint="make the plan again",
            )
        if (file is None) != (row["action"] == "remove") or (file is not None and content(file) != row["content"]):
            raise StalePlan(f"the file of {name} has changed since the plan was made", hint="make the plan again")
        names.append(name)
    return names
