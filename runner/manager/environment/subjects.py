"""What is looked at: the strategies of a folder, what each of them trades, and where in the files that is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.model.instruments import InstrumentQuery
from runner.spec.folder import Folder
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, Related, Severity, Span, dotted
from runner.spec.rules.markets import named
from runner.spec.spec import StrategySpec
from runner.spec.universe import symbol_places

Place = tuple[Span, KeyPath]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One strategy that could be used, and its file."""

    spec: StrategySpec
    root: Node
    """Its document with the bases merged in."""
    symbols: Mapping[str, Place]
    """Where each symbol is written; empty when a library lists them."""

    def place(self, path: KeyPath) -> Place:
        """Where the value at `path` is written, or the nearest key above it."""
        return self.root.locate(path), path

    def first_written(self, *paths: KeyPath) -> Place | None:
        """The first of these places at which a value is written."""
        return next((self.place(path) for path in paths if self.root.find(path) is not None), None)

    @property
    def library(self) -> Place:
        """Where the name of the library is written."""
        return self.first_written(("universe", "library")) or self.place(("universe",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One instrument that one strategy asks for."""

    subject: Subject
    query: InstrumentQuery

    @property
    def place(self) -> Place:
        """Where the symbol is written, or the library that lists it."""
        return self.subject.symbols.get(self.query.symbol) or self.subject.library

    def setting(self, name: str) -> Place:
        """Where a setting of the instrument is written, at the symbol or for all of them; else where the symbol is."""
        _, path = self.place
        return self.subject.first_written((*path, name), ("universe", "defaults", name)) or self.place


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with one instrument of one strategy."""

    asked: Asked
    code: str
    message: str
    hint: str = ""
    at: Place | None = None
    """The place that has to change, when that is not where the symbol is written."""


def subjects_of(folder: Folder) -> tuple[Subject, ...]:
    """Every strategy of the folder without an error, in its order."""
    return tuple(
        Subject(spec=one.spec, root=one.root, symbols=symbol_places(one.root, one.sources))
        for one in folder.loaded
        if one.spec is not None and one.root is not None
    )


def problem_at(
    place: Place,
    code: str,
    message: str,
    *,
    hint: str = "",
    severity: Severity = Severity.ERROR,
    related: Iterable[Related] = (),
) -> Problem:
    """A problem at a place."""
    span, path = place
    return Problem(
        code=code,
        severity=severity,
        message=message,
        span=span,
        path=dotted(path),
        hint=hint,
        related=tuple(related),
    )


def reported(findings: Sequence[Finding]) -> list[Problem]:
    """A problem for each finding; those of one library and code are one problem, because they have one place."""
    problems: list[Problem] = []
    shared: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.asked.query.symbol in finding.asked.subject.symbols:
            place = finding.at or finding.asked.place
            problems.append(problem_at(place, finding.code, finding.message, hint=finding.hint))
        else:
            shared.setdefault((finding.asked.subject.spec.name, finding.code), []).append(finding)
    for first, *others in shared.values():
        message = first.message
        if others:
            library = first.asked.subject.spec.universe.library
            message += f"; the same holds for {named([one.asked.query.symbol for one in others])} of library {library}"
        problems.append(problem_at(first.at or first.asked.place, first.code, message, hint=first.hint))
    return problems
