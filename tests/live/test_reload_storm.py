"""A storm of edits: whatever is saved, half-saved and broken meanwhile, the last content runs and nothing is left over.

The runner is a process of its own; its gateway is a real one in this process, so that what it holds open can be seen.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from live_support import Process, Project, until

from runner.store.generations import GenerationState
from runner.store.journal import Journal

SECONDS = float(os.environ.get("RUNNER_STORM_S", "4"))
"""How long it rages; `make reload-soak` takes a minute."""
RATE = 100
"""Edits a second."""
SEED = int(os.environ.get("RUNNER_STORM_SEED", "11"))
STRATEGIES = 20
SETTLE_S = 60.0
SLOW_S = 0.1
"""A slow writer's pause in the middle of a file."""
MEMORY_MB = 30.0
"""What the runner's own memory may have grown by, per second of the storm 1 MB more: the journal keeps all versions."""

BASE = "schedule: {calendar: XNYS}\nsizing: {use: equal_weight}\n"
SPEC = """\
spec: 1
name: S{number:02}
extends: _base.yaml
description: save {save}
universe: [{universe}]
bars: {{size: 1 day, history: {history}}}
signals: {{cross: {{use: sma_cross, with: {{fast: 2, slow: {slow}}}}}}}
params:
  target_weight: {weight}
  max_daily_trades: {trades}
"""
UNIVERSES = ("AAPL", "IBM", "MSFT", "AAPL, IBM", "GOOG, MSFT", "AAPL, GOOG, IBM")


@dataclass
class Writers:
    """Everybody who edits the folder, none of them knowing of the others."""

    folder: Path
    chance: random.Random
    written: set[str] = field(default_factory=set)
    """Every whole content that was meant to be one."""
    counts: Counter[str] = field(default_factory=Counter)
    _saves: int = 0
    _unfinished: dict[Path, tuple[float, str]] = field(default_factory=dict)
    """File → when its slow writer goes on, and with what."""

    def path(self, number: int) -> Path:
        return self.folder / f"s{number:02}.yaml"

    def text(self, number: int) -> str:
        """A valid content that nobody has written before."""
        self._saves += 1
        chance = self.chance
        text = SPEC.format(
            number=number,
            save=self._saves,
            universe=chance.choice(UNIVERSES),
            history=chance.choice((20, 30, 40)),
            slow=chance.randint(3, 6),
            weight=round(chance.uniform(0.005, 0.04), 4),
            trades=chance.randint(20, 90),
        )
        self.written.add(text)
        return text

    def edit(self, now: float) -> None:
        """One edit of one kind, or the end of one that was begun."""
        for path, (at, text) in list(self._unfinished.items()):
            if now >= at:
                del self._unfinished[path]
                path.write_text(text)
        number = self.chance.randrange(STRATEGIES)
        path = self.path(number)
        kind = self.chance.choice(("rename", "rename", "in place", "slow", "broken", "empty", "gone", "touch", "base"))
        self.counts[kind] += 1
        match kind:
            case "rename":
                self.save(path, self.text(number))
            case "in place":
                self._unfinished.pop(path, None)
                path.write_text(self.text(number))
            case "slow" | "empty":
                text = self.text(number)
                path.write_text(text[: self.chance.randrange(len(text))] if kind == "slow" else "")
                self._unfinished[path] = (now + SLOW_S, text)
            case "broken":
                wrong = self.chance.choice(("target_weight: heavy", "target_weight: 0.1, x", "\ttarget_weight: 1"))
                self.save(path, re.sub(r"target_weight: \S+", wrong, self.text(number)))
            case "gone":
                path.unlink(missing_ok=True)
                self._unfinished[path] = (now + SLOW_S, self.text(number))
            case "touch":
                path.touch() if path.exists() else None
            case "base":
                self.save(self.folder / "_base.yaml", BASE + f"tags: [save{self._saves}]\n")

    def save(self, path: Path, text: str) -> None:
        self._unfinished.pop(path, None)
        beside = path.with_name(f".{path.name}.tmp")
        beside.write_text(text)
        beside.replace(path)

    def storm(self, seconds: float) -> None:
        """At a steady rate; a writer that falls behind catches up."""
        began = time.monotonic()
        for count in range(int(seconds * RATE)):
            time.sleep(max(0.0, began + count / RATE - time.monotonic()))
            self.edit(time.monotonic())

    def calm(self) -> dict[str, float]:
        """Everybody saves for the last time. Strategy → its target weight."""
        self._unfinished.clear()
        self.save(self.folder / "_base.yaml", BASE)
        for number in range(STRATEGIES):
            self.save(self.path(number), self.text(number))
        return {
            f"S{number:02}": float(str(re.findall(r"target_weight: (\S+)", self.path(number).read_text())[0]))
            for number in range(STRATEGIES)
        }


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    threads: int
    files: int
    memory_mb: float

    @staticmethod
    def by(pid: int) -> Held:
        status = Path(f"/proc/{pid}/status").read_text()
        anonymous = re.search(r"RssAnon:\s+(\d+) kB", status)
        assert anonymous is not None
        return Held(
            threads=len(os.listdir(f"/proc/{pid}/task")),
            files=len(os.listdir(f"/proc/{pid}/fd")),
            memory_mb=int(anonymous[1]) / 1024,
        )


@pytest.fixture
def gateway(serve: Callable[..., Any]) -> Iterator[Any]:
    yield serve(speed=60_000, step="day", start=date(2012, 1, 3), enforce_limits=False)


def in_force(process: Process, weights: dict[str, float]) -> bool:
    rows = {row["name"]: row for row in process.ask("status")["strategies"]}
    return all(
        name in rows
        and rows[name]["target_weight"] == weight
        and len(set(rows[name]["reload"]["generations"].values())) == 1
        for name, weight in weights.items()
    )


def streams(gateway: Any) -> int:
    """Live bars that are subscribed to at the gateway."""

    async def count() -> int:
        return sum(len(session.subscriptions.bars) for session in gateway.server.sessions.values())

    return int(gateway.call(count()))


def test_the_last_content_runs_and_nothing_is_left_over(projects: Callable[[], Project], gateway: Any) -> None:
    project = projects()
    writers = Writers(project.strategies, random.Random(SEED))
    (project.strategies / "_base.yaml").write_text(BASE)
    files = {f"s{number:02}.yaml": writers.text(number) for number in range(STRATEGIES)}
    project.write(files, config=f"ib: {{port: {gateway.port}}}\n")
    process = project.start().ready()

    writers.storm(1)  # pools have their threads, caches are filled
    weights = writers.calm()
    until(lambda: in_force(process, weights), "the first content is in force", SETTLE_S)
    before = Held.by(process.pid)

    writers.storm(SECONDS)
    weights = writers.calm()
    until(lambda: in_force(process, weights), "the last content is in force", SETTLE_S)
    assert process.ask("plan")["changes"] == 0
    rows = process.ask("status")["strategies"]
    assert {row["phase"] for row in rows} == {"Running"}
    after = Held.by(process.pid)
    assert after.threads <= before.threads + 8, (before, after)
    assert after.files <= before.files + 4, (before, after)
    assert after.memory_mb <= before.memory_mb + MEMORY_MB + SECONDS, (before, after)
    needed = {symbol for name in weights for symbol in universe_of(project, name)}
    until(lambda: streams(gateway) <= len(needed), f"{streams(gateway)} streams for {len(needed)} instruments")

    with Journal.read_only(project.journal) as journal:
        for name in weights:
            history = journal.generations.history(name, 100_000)[::-1]
            assert [one.generation for one in history] == list(range(1, len(history) + 1))
            for one in history:
                if one.state is GenerationState.APPLIED:
                    assert one.source in writers.written, f"{name}@{one.generation} was never written as a whole"
            assert history[-1].state is GenerationState.APPLIED
    assert process.end() == 0
    assert min(writers.counts.values()) > 0


def universe_of(project: Project, name: str) -> list[str]:
    found = re.search(r"universe: \[(.+)\]", (project.strategies / f"{name.lower()}.yaml").read_text())
    assert found is not None
    return found[1].split(", ")
