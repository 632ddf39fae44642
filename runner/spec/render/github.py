"""Findings in a workflow of GitHub Actions: annotations, the log below them, and the table of the job's summary.

What a file holds must not reach GitHub as a command of its own, so everything but the annotations is printed between
`::stop-commands::` and its end mark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from runner.spec.findings import Findings
from runner.spec.problems import Problem, Severity
from runner.spec.render.text import render_text, safe

MAX_ANNOTATIONS = 10
"""Of one severity; GitHub shows no more of a step."""
MAX_SUMMARY_BYTES = 900_000
"""GitHub refuses a step's summary of more than a megabyte as a whole."""


def render_github(findings: Findings, *, below: str = "", before: Iterable[str] = (), colour: bool = False) -> str:
    """Annotations, most severe first, then the lines of `before`, the problems and the counts as text.

    `below` is where file names begin in the repository; empty for its root.
    """
    lines: list[str] = []
    for severity in (Severity.ERROR, Severity.WARNING):
        problems = [problem for problem in findings.problems if problem.severity is severity]
        lines += [_annotation(problem, below) for problem in problems[:MAX_ANNOTATIONS]]
        if len(problems) > MAX_ANNOTATIONS:
            more = len(problems) - MAX_ANNOTATIONS
            have = f"more {severity} has" if more == 1 else f"more {severity}s have"
            lines.append(f"{more} {have} no annotation: GitHub shows {MAX_ANNOTATIONS} of a kind")
    text = render_text(findings.problems, findings.sources, colour=colour)
    log = "\n".join([*before, *([text] if text else []), *findings.summary()])
    # No text can contain the hash of itself.
    mark = hashlib.sha256(log.encode("utf-8", "backslashreplace")).hexdigest()[:32]
    return "\n".join([*lines, f"::stop-commands::{mark}", log, f"::{mark}::"]) + "\n"


def summary_table(findings: Findings, *, below: str = "") -> str:
    """All problems as a table in Markdown, for the file that `GITHUB_STEP_SUMMARY` names."""
    lines = ["### runner validate", ""]
    for line in findings.summary():
        lines += [_cell(line), ""]
    if not findings.problems:
        return "\n".join(lines)
    lines += ["| | code | where | what | next step |", "| --- | --- | --- | --- | --- |"]
    size = sum(len(line.encode()) for line in lines)
    for number, row in enumerate(_rows(findings, below)):
        size += len(row.encode("utf-8", "replace")) + 1
        if size > MAX_SUMMARY_BYTES:
            lines += ["", f"and {len(findings.problems) - number} more"]
            break
        lines.append(row)
    return "\n".join(lines) + "\n"


def _rows(findings: Findings, below: str) -> Iterator[str]:
    for problem in sorted(findings.problems, key=lambda p: not p.is_error):
        where = f"{below}{problem.file}:{problem.line}:{problem.column}"
        cells = (problem.severity.value, problem.code, where, problem.message, problem.hint)
        yield "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _annotation(problem: Problem, below: str) -> str:
    properties = {
        "file": below + problem.file,
        "line": problem.line,
        "col": problem.column,
        "endLine": problem.end_line,
        "endColumn": problem.end_column,
        "title": problem.code,
    }
    named = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    message = safe(problem.message) + (f"\nhint: {safe(problem.hint)}" if problem.hint else "")
    return f"::{problem.severity} {named}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(safe(text)).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    """Text in which Markdown and HTML mean nothing."""
    text = safe(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join("\\" + char if char in "\\`*_[]|#~@!$" else char for char in text)
