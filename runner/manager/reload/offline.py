"""A plan without a running runner: the files against what the journal says ran last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.manager.reload.decision import Begin, Hold, Keep, LastRun, Situation, Wanted, begin, decide
from runner.manager.reload.files import placed
from runner.manager.reload.plan import field_row
from runner.manager.reload.track import overlaid
from runner.spec.changes import changes, direction_of, strongest
from runner.spec.config import RunnerConfig
from runner.spec.deployment import Deployment
from runner.spec.folder import load_folder, load_text
from runner.spec.spec import StrategySpec
from runner.store.journal import Journal


def offline_plan(config: RunnerConfig, journal: Journal, names: Sequence[str]) -> dict[str, Any]:
    """Like `plan_view`, without the orders: those need prices and positions."""
    deployment = Deployment.of(config)
    folder = load_folder(config.strategies_dir, deployment=deployment)
    rows = []
    for loaded in folder.loaded:
        if not loaded.name or (names and loaded.name not in names):
            continue
        running, number = _ran_last(config, journal, deployment, loaded.name)
        row: dict[str, Any] = {"strategy": loaded.name, "file": loaded.path.name, "running": number, "changes": []}
        if loaded.spec is None:
            said = [placed(problem, config.strategies_dir) for problem in loaded.problems if problem.is_error]
            rows.append(row | {"action": "refuse", "problems": said})
            continue
        wanted, situation = Wanted(spec=loaded.spec), Situation(loosening=config.loosening)
        decision = begin(LastRun(), wanted, situation) if running is None else decide(running, wanted, situation)
        found = () if running is None else changes(running, loaded.spec)
        row["changes"] = [field_row(change, loaded) for change in found]
        match decision:
            case Begin():
                row["action"] = "start"
            case Keep():
                row["action"] = "note" if found else "none"
            case Hold(why=why):
                row |= {"action": "hold", "why": why}
            case _:
                row["action"] = "apply"
        if row["action"] in ("apply", "hold"):
            row |= {"apply": strongest(found), "direction": direction_of(found).value}
            row |= {"effect": None, "effect_missing": "no runner is running"}
        if row["action"] != "none" or names:
            rows.append(row)
    return {"changes": len([row for row in rows if row["action"] != "none"]), "strategies": rows}


def _ran_last(
    config: RunnerConfig, journal: Journal, deployment: Deployment, name: str
) -> tuple[StrategySpec | None, int]:
    last = journal.generations.running(name)
    if last is None:
        return None, 0
    loaded = load_text(
        last.document,
        path=config.strategies_dir / last.file,
        root=config.strategies_dir,
        deployment=deployment,
    )
    if loaded.spec is None:
        return None, last.generation
    return overlaid(loaded.spec, tuple(journal.generations.overlays(name))), last.generation
