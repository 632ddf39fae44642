"""A plan that was kept in a file: what it says of each strategy, and what it was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from runner.errors import ConfigError, ExitCode, RunnerError
from runner.manager.reload.files import within
from runner.spec.folder import Loaded

AGAIN = "make the plan again"
WITHOUT_FILE = ("remove", "gone", "kept")
"""What a plan can say of a strategy whose file is not there."""
ACTIONS = (*WITHOUT_FILE, "start", "apply", "hold", "held", "wait", "refuse", "note", "aside", "rejected", "none")
"""All that a plan can say."""
APPROVES = ("start", "apply", "hold", "held", "wait")
"""Those that applying a plan puts in force; the others leave what runs as it is."""

T = TypeVar("T")


class StalePlan(RunnerError):
    """Something moved since the plan was made."""

    exit_code = ExitCode.STALE_PLAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a kept plan says of one strategy."""

    strategy: str
    action: str
    running: int
    """The generation that ran when it was made; 0 for none."""
    content: str = ""
    """`content_id` of its file; empty without one."""

    @property
    def approves(self) -> bool:
        """Whether applying the plan puts the file's version in force."""
        return self.action in APPROVES


def planned(plan: Any) -> list[Planned]:
    """What a kept plan says. ConfigError when it is no plan, or not all of one."""
    rows = _part(plan, "strategies", list, "the plan")
    found = []
    for number, row in enumerate(rows, start=1):
        where = f"strategy {number} of the plan"
        action = _part(row, "action", str, where)
        if action not in ACTIONS:
            raise _no_plan(f"{where} has the action {action!r}, which there is not")
        found.append(
            Planned(
                strategy=_part(row, "strategy", str, where),
                action=action,
                running=_part(row, "running", int, where),
                content="" if action in WITHOUT_FILE else _part(row, "content", str, where),
            )
        )
    return found


def _part(found: Any, key: str, kind: type[T], where: str) -> T:
    if not isinstance(found, Mapping):
        raise _no_plan(f"{where} is not a JSON object")
    if key not in found:
        raise _no_plan(f"{where} does not say {key!r}")
    value = found[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _no_plan(f"{where} has {value!r} as {key!r}")
    return value


def _no_plan(text: str) -> ConfigError:
    return ConfigError(f"this is not a plan that can be applied: {text}", hint="make one with: runner plan --out FILE")


def content_id(loaded: Loaded, root: Path) -> str:
    """Identifies what a file says with its bases, and what that comes to, wherever the folder is seen from.

    The same for a file that the runner has taken in and for one that was read from disk just now: what is only
    remarked on, or depends on how it was read, does not count.
    """
    digest = hashlib.sha256()
    texts = {within(file, root): text for file, text in loaded.sources.items()}
    for file in sorted(texts):
        digest.update(file.encode() + b"\0" + texts[file].encode("utf-8", "surrogatepass") + b"\0")
    errors = sorted(problem.code for problem in loaded.problems if problem.is_error)
    digest.update((" ".join(errors) if loaded.spec is None else loaded.spec.spec_hash).encode())
    return digest.hexdigest()
