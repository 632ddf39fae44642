"""X.test.yaml: tests kept beside the strategy in X.yaml.

What is wrong in such a file is reported like anything else and counts as much, but does not refuse the strategy: what
it trades does not depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from runner.spec.levels import Level
from runner.spec.load import Document, Node
from runner.spec.names import case_path, strategy_path
from runner.spec.problems import Problem, Related, Span, error, in_order, whole_file

if TYPE_CHECKING:
    from runner.spec.cases import Case
    from runner.spec.check import Checker
    from runner.spec.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """What became of a file of tests. `cases` are those that can be used."""

    path: Path
    cases: tuple[Case, ...] = ()
    problems: tuple[Problem, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    """File → text, for showing problems."""


def judge_case_file(
    document: Document,
    path: Path,
    *,
    subject: Subject,
    named: Mapping[str, Span],
    repository: Path,
    level: Level,
) -> CaseFile:
    """Check and judge the tests of one strategy, in the file at `path`. Never raises for what the file holds.

    `subject` is the strategy as far as it could be read; `named` are the tests in the strategy's own file, and where;
    fixtures lie under `repository`.
    """
    root, problems = _shape(document, level)
    cases: tuple[Case, ...] = ()
    if root is not None and level.includes(Level.RULES):
        from runner.spec.rules.cases import judge_cases

        cases = judge_cases(root, document, subject, repository, problems)
        for case in cases:
            if case.name in named:
                first = named[case.name]
                message = f'a test in {first.file} is called "{case.name}" too'
                related = (Related("the other one", first),)
                problems.append(error("M467", message, case.span, hint="rename one of them", related=related))
        cases = tuple(case for case in cases if case.name not in named)
    return CaseFile(path=path, cases=cases, problems=in_order(problems), sources={document.file: document.text})


def lost_case_file(document: Document, path: Path, level: Level) -> CaseFile:
    """A file of tests that lies beside no strategy: M473."""
    _, problems = _shape(document, level)
    strategy = strategy_path(path)
    assert strategy is not None
    other = strategy.with_suffix(".yml" if strategy.suffix == ".yaml" else ".yaml")
    hint = f"a file of tests has the name of its strategy's file: {strategy.name}"
    if other.is_file():
        hint = f"rename it to {case_path(other).name}: the strategy is in {other.name}"
    message = f"there is no {strategy.name} beside this file of tests"
    problems.append(error("M473", message, whole_file(document.file), hint=hint))
    return CaseFile(path=path, problems=in_order(problems), sources={document.file: document.text})


def _shape(document: Document, level: Level) -> tuple[Node | None, list[Problem]]:
    """The document as its schema reads it, and what is wrong so far."""
    problems = list(document.problems)
    if document.root is None or not level.includes(Level.SCHEMA):
        return None, problems
    root, wrong = _checker().check(document.root)
    explained = {problem.span for problem in problems}
    return root, problems + [problem for problem in wrong if problem.span not in explained]


@lru_cache(maxsize=1)
def _checker() -> Checker:
    from runner.catalog import BUILT_IN
    from runner.spec.case_schema import case_file_schema
    from runner.spec.check import Checker
    from runner.spec.schema import strategy_schema

    belongs = "a file of tests has tests alone; this belongs in the strategy's own file"
    keys = strategy_schema(BUILT_IN)["properties"]
    return Checker(case_file_schema(), moved={key: belongs for key in keys if key != "tests"})
