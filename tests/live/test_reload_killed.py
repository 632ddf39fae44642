"""kill -9 at each step of a reload: whatever was begun, the next start ends where the file says, and only once."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from itertools import product
from pathlib import Path

from killed_run import STEPS
from live_support import HOLD, STEADY_MARKET, Process, Project, until

from runner.errors import RunnerError
from runner.spec.folder import load_file
from runner.store.generations import GenerationState
from runner.store.journal import Journal

KILLS = int(os.environ.get("RUNNER_RELOAD_KILLS", "4"))
"""How many of the steps and kinds of change; `make reload-kill-test` takes them all."""
SEED = int(os.environ.get("RUNNER_KILL_SEED", "7"))
CHILD = str(Path(__file__).with_name("killed_run.py"))

WEIGHT = "params.target_weight"
MOVES = """\
spec: 1
name: MOVES
universe: [{universe}]
bars: {{size: 1 day, history: 30}}
signals: {{cross: {{use: sma_cross, with: {{fast: 2, slow: {slow}}}}}}}
sizing: {{use: equal_weight}}
params: {{target_weight: {weight}, max_daily_trades: {trades}}}
schedule: {{calendar: XNYS}}
"""


class Editor:
    """Makes the next change of a kind: each is one that the file has not said just before."""

    def __init__(self) -> None:
        self._saves = 0
        self.overrides = 0
        self.values = {"universe": "AAPL, IBM", "slow": 3, "weight": 0.3, "trades": 100}

    @property
    def text(self) -> str:
        return MOVES.format(**self.values)

    def change(self, kind: str) -> str:
        self._saves += 1
        match kind:
            case "tightening":
                self.values["weight"] = round(0.3 - 0.001 * self._saves, 4)
            case "loosening":
                self.values["trades"] = 100 + self._saves
            case "rebuild":
                self.values["slow"] = 7 - int(str(self.values["slow"]))
            case "resubscribe":
                both = {"AAPL, IBM": "AAPL, IBM, MSFT", "AAPL, IBM, MSFT": "AAPL, IBM"}
                self.values["universe"] = both[str(self.values["universe"])]
        return self.text


KINDS = ("tightening", "loosening", "rebuild", "resubscribe")
OF_EVERY_RELOAD = [step for step in STEPS if not any(word in step for word in ("override", "tightened"))]
CASES = [
    *product(OF_EVERY_RELOAD, KINDS),
    ("caps tightened", "tightening"),
    *product(("before the override is kept", "override kept"), ("override",)),
    *product(("before an override is dropped", "override dropped"), ("restore",)),
    *product(OF_EVERY_RELOAD, ("rollback",)),
]


def chosen() -> list[tuple[str, str]]:
    """Some of them from run to run the same; the first is always one that leaves most to be mended."""
    if len(CASES) <= KILLS:
        return CASES
    return [("before the swap", "rebuild"), *random.Random(SEED).sample(CASES, KILLS - 1)]


def act(process: Process, editor: Editor, kind: str) -> None:
    """Begins something that the process is not going to survive."""
    try:
        match kind:
            case "override":
                editor.overrides += 1
                value = 0.1 + editor.overrides / 1000
                process.ask("override", name="MOVES", path=WEIGHT, value=value, lasts_s=86_400, reason="killed")
            case "restore":
                process.ask("restore", name="MOVES")
            case "rollback":
                process.ask("rollback", name="MOVES", generation=1, reason="killed")
            case _:
                process.project.save("moves.yaml", editor.change(kind))
    except RunnerError:
        pass  # it died over it


def check(process: Process, killed: str) -> int:
    """What runs is what the file says, or what was put in its place for good; everybody says so. Its newest number."""
    project = process.project
    spec = load_file(project.strategies / "moves.yaml", root=project.strategies).spec
    assert spec is not None
    row = process.row("MOVES")
    file, stored, running = process.generations("MOVES")
    assert file == stored == running, killed
    assert process.phases() == {"MOVES": "Running", "HOLD": "Running"}, killed
    assert process.ask("status")["locked"] == [], killed
    assert process.ask("drift")["drift"] == [], killed
    with Journal.read_only(project.journal) as journal:
        history = journal.generations.history("MOVES", 10_000)[::-1]
        set_aside = json.loads(journal.meta("reload:MOVES") or "{}").get("superseded")
    assert [one.generation for one in history] == list(range(1, len(history) + 1)), killed
    assert not [one for one in history if one.state is GenerationState.APPLYING], killed
    newest = next(one for one in history[::-1] if one.state is not GenerationState.REPLACED)
    assert newest.state is GenerationState.APPLIED and newest.generation == running, killed
    if set_aside:
        assert set_aside == spec.spec_hash and newest.spec_hash == history[0].spec_hash, killed
        assert process.target_weight("MOVES") == 0.3, killed
        return running
    assert newest.spec_hash == spec.spec_hash, killed
    held = {one["path"]: one["value"] for one in row["reload"]["overrides"]}
    assert process.target_weight("MOVES") == held.get(WEIGHT, spec.params.target_weight), killed
    return running


def test_every_step_is_one_of_the_product() -> None:
    """Only some of them are killed at in each run."""
    assert [step for step, (owner, name, _) in STEPS.items() if not hasattr(owner, name)] == []


def test_a_reload_that_is_killed_at_any_step_ends_as_the_file_says(projects: Callable[[], Project]) -> None:
    """Every start is the check of the kill before it."""
    editor = Editor()
    project = projects().write({"moves.yaml": editor.text, "hold.yaml": HOLD}, config=STEADY_MARKET)
    killed, before = "the first start", 0
    for step, kind in chosen():
        process = project.start_python(CHILD, step).ready()
        newest = check(process, killed)
        assert before <= newest <= before + 1, f"{killed}: {before} before, {newest} now"
        if kind == "restore":
            process.ask("override", name="MOVES", path=WEIGHT, value=0.05, lasts_s=86_400, reason="to be restored")
        if kind == "rollback":  # away from what it goes back to
            since = process.last_seq()
            project.save("moves.yaml", editor.change("tightening"))
            process.reloaded(since, "MOVES", result="applied")
        before, killed = process.generations("MOVES")[2], f"{kind}, {step}"
        (project.root / "armed").touch()
        act(process, editor, kind)
        until(lambda process=process: not process.running, f"it dies at: {killed}; stderr:\n{process.err}")
        process.wait()
        (project.root / "armed").unlink()
    process = project.start().ready()
    check(process, killed)
    process.event(process.started_at, type="fill", strategy="MOVES")
    assert process.end() == 0
    project.settle()
    project.audit()
