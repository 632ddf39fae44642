"""Problems as plain data and back again, nothing lost: how a process of its own hands them over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.spec.problems import Edit, Problem, Related, Severity, Span


def problem_to_plain(problem: Problem) -> dict[str, Any]:
    """For `json.dumps`."""
    return {
        "code": problem.code,
        "severity": problem.severity.value,
        "message": problem.message,
        "span": _plain(problem.span),
        "path": problem.path,
        "hint": problem.hint,
        "related": [{"message": one.message, "span": _plain(one.span)} for one in problem.related],
        "fix": [{"span": _plain(edit.span), "text": edit.text} for edit in problem.fix],
    }


def problem_from_plain(data: Mapping[str, Any]) -> Problem:
    """What `problem_to_plain` made. KeyError, TypeError or ValueError for anything else."""
    return Problem(
        code=str(data["code"]),
        severity=Severity(data["severity"]),
        message=str(data["message"]),
        span=_span(data["span"]),
        path=str(data["path"]),
        hint=str(data["hint"]),
        related=tuple(Related(str(one["message"]), _span(one["span"])) for one in data["related"]),
        fix=tuple(Edit(_span(edit["span"]), str(edit["text"])) for edit in data["fix"]),
    )


def _plain(span: Span) -> list[str | int]:
    return [span.file, span.line, span.column, span.end_line, span.end_column, span.start, span.end]


def _span(data: list[Any]) -> Span:
    file, *numbers = data
    line, column, end_line, end_column, start, end = (int(number) for number in numbers)
    return Span(str(file), line, column, end_line, end_column, start, end)
