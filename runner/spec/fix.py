"""Apply the fixes that problems carry, in passes, and never make a file worse.

What is fixed can bring to light what could not be judged before: a file whose text is not YAML has no fields, a
misspelled key has no known ones below it, a section of the wrong shape breaks no rules. Therefore errors are counted by
depth, and a fix is refused when there would be more of them at the first depth where the counts differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from runner.spec.findings import Findings
from runner.spec.levels import Level, level_of
from runner.spec.problems import Edit, Problem

MAX_PASSES = 100
"""A parser stops at the first line that is no YAML, so a file may need a pass a line; more than this is a circle."""
DEEPEST = 12
"""Where errors of rules are counted; fields are not nested so deep."""
READ_PAST = frozenset({"Y104", "Y105", "Y106", "Y107", "Y108"})
"""Problems of the text that do not end the reading of it."""
NO_MAPPING = "S200"

Texts: TypeAlias = Mapping[str, str]
"""File → its text, as changed and not yet saved."""
Look: TypeAlias = Callable[[Texts], Findings]
"""Judge the files, some of them with other texts than on disk."""


@dataclass(frozen=True, slots=True)
class Change:
    """One fix that was applied, at the place where it was when it was applied."""

    file: str
    line: int
    column: int
    what: str
    """`15% → 0.15`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What came of it: the texts that changed, how, and what is found in them now."""

    findings: Findings
    texts: Texts = field(default_factory=dict)
    before: Texts = field(default_factory=dict)
    """The same files as they were read."""
    changes: tuple[Change, ...] = ()


def mend(look: Look) -> Mended:
    """Apply every fix of what `look` finds until there is none left that helps. Nothing is written."""
    found = look({})
    texts: dict[str, str] = {}
    before: dict[str, str] = {}
    changes: list[Change] = []
    for _ in range(MAX_PASSES):
        accepted, after = _accepted([problem for problem in found.problems if problem.fix], found, texts, look)
        if not accepted:
            break
        for file in {edit.span.file for problem in accepted for edit in problem.fix}:
            before.setdefault(file, found.sources[file])
        changes += [_change(problem, found.sources) for problem in accepted]
        texts |= _edited(accepted, found.sources)
        found = after
    changes.sort(key=lambda change: (change.file, change.line, change.column))
    return Mended(findings=found, texts=texts, before=before, changes=tuple(changes))


def _accepted(fixable: Sequence[Problem], found: Findings, texts: Texts, look: Look) -> tuple[list[Problem], Findings]:
    """The fixes that may be applied together, but for those that do harm, and what is found then."""
    accepted: list[Problem] = []
    best = found

    def add(some: Sequence[Problem]) -> None:
        # By halves: a harmful fix among many costs a look for each halving, not one for every other fix.
        nonlocal accepted, best
        tried = _apart([*accepted, *some])
        if len(tried) == len(accepted):
            return
        after = look({**texts, **_edited(tried, found.sources)})
        if not _worse(after, best):
            accepted, best = tried, after
        elif len(some) > 1:
            add(some[: len(some) // 2])
            add(some[len(some) // 2 :])

    add(fixable)
    return accepted, best


def _worse(after: Findings, before: Findings) -> bool:
    """Whether there are more errors in what was judged before. A base that is only met now is as bad as it was."""
    judged = before.by_file()
    seen = [problem for problem in after.problems if problem.file in judged]
    return _errors_by_depth(seen) > _errors_by_depth(before.problems)


def _errors_by_depth(problems: Iterable[Problem]) -> list[int]:
    found = [_depth(problem) for problem in problems if problem.is_error]
    return [found.count(depth) for depth in range(DEEPEST + 1)]


def _depth(problem: Problem) -> int:
    """The text, then each mapping in the next, then the rules."""
    level = level_of(problem.code, Level.RULES)
    if problem.code == NO_MAPPING or (level is Level.SYNTAX and problem.code not in READ_PAST):
        return 0
    path = problem.path.partition(":")[0]  # a key such as `size:1.5` is one word, whatever is in it
    nested = path.count(".") + path.count("[") + 1
    return DEEPEST if level is Level.RULES else min(nested, DEEPEST - 1)


def _apart(problems: Iterable[Problem]) -> list[Problem]:
    """Problems, in their order, whose edits touch none of those before."""
    taken: dict[str, list[Edit]] = {}
    chosen = []
    for problem in problems:
        free = all(
            edit.span.end < other.span.start or other.span.end < edit.span.start
            for edit in problem.fix
            for other in taken.get(edit.span.file, ())
        )
        if free:
            chosen.append(problem)
            for edit in problem.fix:
                taken.setdefault(edit.span.file, []).append(edit)
    return chosen


def _edited(problems: Iterable[Problem], sources: Texts) -> dict[str, str]:
    """The texts of the files that the fixes change, with all of them applied."""
    edits = sorted((edit for problem in problems for edit in problem.fix), key=lambda e: e.span.start, reverse=True)
    texts: dict[str, str] = {}
    for edit in edits:
        text = texts.get(edit.span.file, sources[edit.span.file])
        texts[edit.span.file] = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return texts


def _change(problem: Problem, sources: Texts) -> Change:
    span = problem.fix[0].span
    return Change(span.file, span.line, span.column, _what(problem.fix, sources[span.file]))


def _what(fix: Sequence[Edit], text: str) -> str:
    """The words around the edit before and after it; of indentation, what kind it is."""
    if any("\t" in text[edit.span.start : edit.span.end] for edit in fix):
        return f"tabs → spaces ({len(fix)} {'line' if len(fix) == 1 else 'lines'})"
    edit = fix[0]
    start, end = edit.span.start, edit.span.end
    while start and not (text[start - 1].isspace() or text[start - 1] in "[{,"):
        start -= 1
    while end < len(text) and not (text[end].isspace() or text[end] in "]},"):
        end += 1
    return f"{text[start:end]} → {text[start : edit.span.start]}{edit.text}{text[edit.span.end : end]}"
