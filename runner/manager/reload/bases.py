"""Changes of bases: taken over by all files that extend them, or by none.

Several that wait are offered together, since one may only fit with another; of those that do not fit, as many are taken
in as break nothing, and nothing of the others is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.manager.reload.files import first_problem
from runner.spec.changes import Direction, changes, direction_of
from runner.spec.folder import Loaded
from runner.spec.workspace import Saved, Workspace

HALF_A_CHANGE = "it would risk more with this change alone, as that of another base that it extends is not applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingBase:
    """A change of a base that has been saved and is not taken in."""

    saved: Saved
    broken: Mapping[str, str] = field(default_factory=dict)
    """Strategy → what would be wrong with it. Empty before that was looked at."""

    @property
    def text(self) -> str:
        """For people: each problem once, with the strategies that it would break."""
        by_problem: dict[str, list[str]] = {}
        for name, problem in self.broken.items():
            by_problem.setdefault(problem, []).append(name)
        return "; ".join(f"{problem} (breaks {', '.join(names)})" for problem, names in by_problem.items())


class ChangedBases:
    """Those that wait to be taken into a workspace. Not thread-safe, but for looking at `pending`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.pending: Mapping[Path, PendingBase] = {}
        """In the order in which they were saved. Replaced as a whole."""

    def put(self, path: Path, saved: Saved) -> None:
        """A base is saved anew. One that is new, or could not be read, has nothing that it could break."""
        before = self.pending.get(path)
        self._forget(path)
        if self._workspace.saved(path) is None:
            self._workspace.put(path, saved.content, others_may_write=saved.others_may_write)
        else:
            broken = {} if before is None else before.broken
            self.pending = {**self.pending, path: PendingBase(saved=saved, broken=broken)}

    def move(self, old: Path, new: Path) -> None:
        """A base has another name: it is gone where it was, and what was saved there last is saved here."""
        pending = self.pending.get(old)
        saved = self._workspace.saved(old) if pending is None else pending.saved
        self.remove(old)
        if saved is not None:
            self.put(new, saved)

    def remove(self, path: Path) -> None:
        """A base is not there any more."""
        self._forget(path)
        self._workspace.remove(path)

    def _forget(self, path: Path) -> None:
        self.pending = {other: one for other, one in self.pending.items() if other != path}

    def take_in(self) -> Mapping[Path, PendingBase]:
        """Takes in the most changes that break nothing. Returns those of the others of which that is news."""
        while fitting := self._most_that_fit():
            for path, saved in fitting.items():
                self._workspace.put(path, saved.content, others_may_write=saved.others_may_write)
                self._forget(path)
        before = self.pending
        self.pending = {
            path: PendingBase(saved=one.saved, broken=self._broken_by({path: one.saved}))
            for path, one in before.items()
        }
        return {path: one for path, one in self.pending.items() if one.broken != before[path].broken}

    def _most_that_fit(self) -> dict[Path, Saved]:
        """All, else without the one that most is broken by, and so on; what was saved first goes last."""
        every = {path: one.saved for path, one in self.pending.items()}
        trying, broken = every, self._broken_by(every)
        while broken and len(trying) > 1:
            tried = [(self._broken_by(fewer), fewer) for fewer in _without_one(trying)]
            broken, trying = min(tried, key=lambda one: len(one[0]))
        if not broken:
            return trying
        if len(every) < 2:
            return {}
        return next((alone for path in every if not self._broken_by(alone := {path: every[path]})), {})

    def _broken_by(self, offered: Mapping[Path, Saved]) -> dict[str, str]:
        """Strategy → what would be wrong with it, were these taken in and the others that wait not."""
        if not offered:
            return {}
        before = {one.path: one for one in self._workspace.folder().loaded}
        left_out = {path.resolve() for path in self.pending if path not in offered}
        broken = {}
        for one in self._workspace.judged_with(offered):
            problem = self._problem(before.get(one.path), one, left_out)
            if problem:
                broken[one.name or one.path.name] = problem
        return broken

    def _problem(self, before: Loaded | None, after: Loaded, left_out: set[Path]) -> str:
        if before is None or before.spec is None:
            return ""
        if after.spec is None:
            return first_problem(after.problems, self._workspace.root)
        # A cap may be on its way from one base into another: without the one change, the other takes it away.
        halved = not left_out.isdisjoint(before.bases)
        if halved and direction_of(changes(before.spec, after.spec)) is Direction.LOOSER:
            return HALF_A_CHANGE
        return ""


def _without_one(offered: dict[Path, Saved]) -> Iterator[dict[Path, Saved]]:
    for left_out in reversed(offered):
        yield {path: saved for path, saved in offered.items() if path != left_out}
