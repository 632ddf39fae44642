"""What a validation looked at and found, as every format shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runner.spec.levels import Level
from runner.spec.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Files, strategies and problems, in the order they are shown. File names are as a person would type them."""

    files: tuple[str, ...] = ()
    strategies: tuple[tuple[str, str], ...] = ()
    """(name, file) of every file that can be used. Below level rules nobody knows, so there are none."""
    problems: tuple[Problem, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    """The text of every file that a problem points at."""
    tests: Mapping[str, int] = field(default_factory=dict)
    """File → how many tests in it were checked. None was run."""
    level: Level = Level.RULES
    not_checked: tuple[str, ...] = ()
    """What was not looked at, in words."""
    not_loaded: tuple[str, ...] = ()
    """The plugged-in blocks whose settings were not judged, because their packages were not imported."""

    @property
    def errors(self) -> int:
        return sum(problem.is_error for problem in self.problems)

    @property
    def warnings(self) -> int:
        return len(self.problems) - self.errors

    def failed(self, *, strict: bool) -> bool:
        """Whether the command ends as failed; with `strict` a warning is enough."""
        return bool(self.problems if strict else self.errors)

    def summary(self) -> list[str]:
        """The closing lines: counts, then what was not looked at."""
        counted = [_count(len(self.files), "file")]
        if self.level.includes(Level.RULES):
            counted.append(_count(len(self.strategies), "strategy", "strategies"))
        lines = [f"{', '.join(counted)}: {_count(self.errors, 'error')}, {_count(self.warnings, 'warning')}"]
        if self.not_checked:
            between = "; " if any("," in what for what in self.not_checked) else ", "
            lines.append(f"not checked: {between.join(self.not_checked)}")
        return lines

    def by_file(self) -> dict[str, list[Problem]]:
        """Every file that was looked at or has a problem → its problems."""
        found: dict[str, list[Problem]] = {file: [] for file in self.files}
        for problem in self.problems:
            found.setdefault(problem.file, []).append(problem)
        return found


def together(parts: Iterable[Findings], *, level: Level, not_checked: tuple[str, ...]) -> Findings:
    """Several findings as one, each file and problem once."""
    parts = tuple(parts)
    return Findings(
        files=tuple(dict.fromkeys(file for part in parts for file in part.files)),
        strategies=tuple(dict.fromkeys(pair for part in parts for pair in part.strategies)),
        problems=tuple(dict.fromkeys(problem for part in parts for problem in part.problems)),
        sources={file: text for part in parts for file, text in part.sources.items()},
        tests={file: count for part in parts for file, count in part.tests.items()},
        level=level,
        not_checked=not_checked,
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
