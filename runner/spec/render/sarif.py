"""Findings as SARIF 2.1.0, for GitHub code scanning and for editors.

A rule for each code that occurs, a location for each result (GitHub refuses results without one), addresses relative to
the root of the repository, columns in characters, and fixes where there are any.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runner.spec.explain import page_of
from runner.spec.findings import Findings
from runner.spec.problems import Problem, Span
from runner.spec.render.text import safe

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT = "%SRCROOT%"


def to_sarif(findings: Findings, *, version: str, below: str = "", documentation: str = "") -> dict[str, Any]:
    """Findings as a SARIF log of one run, for `json.dumps`.

    `version` is the runner's; `below` is where file names begin in the repository, empty for its root;
    `documentation` is the address of the folder of our pages, for the links of the rules.
    """
    codes = sorted({problem.code for problem in findings.problems})
    driver: dict[str, Any] = {
        "name": "runner",
        "fullName": "runner validate",
        "semanticVersion": version,
        "rules": [_rule(code, findings.problems, documentation) for code in codes],
    }
    if documentation:
        driver["informationUri"] = documentation
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "runner/validate/"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {ROOT: {"description": {"text": "The root of the repository."}}},
        "artifacts": [{"location": _artifact(file, below)} for file in findings.by_file()],
        "invocations": [{"executionSuccessful": True}],
        "results": [_result(problem, codes, below) for problem in findings.problems],
        "properties": {
            "level": findings.level.value,
            "notChecked": list(findings.not_checked),
            "strategies": [name for name, _ in findings.strategies],
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str, problems: Iterable[Problem], documentation: str) -> dict[str, Any]:
    page = page_of(code)
    severe = any(problem.is_error for problem in problems if problem.code == code)
    rule: dict[str, Any] = {
        "id": code,
        "shortDescription": {"text": _sentence(page.meaning)},
        "fullDescription": {"text": _sentence(page.meaning)},
        "help": {"text": f"{page.cause}\n\n{page.fix}", "markdown": page.body()},
        "defaultConfiguration": {"level": "error" if severe else "warning"},
    }
    if documentation:
        rule["helpUri"] = f"{documentation.rstrip('/')}/{page.link.removeprefix('docs/')}"
    return rule


def _sentence(words: str) -> str:
    first = words.split(" ")[0]
    return f"{words[:1].upper()}{words[1:]}." if first.isalpha() else f"{words}."


def _result(problem: Problem, codes: list[str], below: str) -> dict[str, Any]:
    place: dict[str, Any] = {"physicalLocation": _physical(problem.span, below)}
    if problem.path:
        place["logicalLocations"] = [{"fullyQualifiedName": problem.path, "kind": "member"}]
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": codes.index(problem.code),
        "level": problem.severity.value,
        "message": {"text": _message(problem)},
        "locations": [place],
    }
    if problem.related:
        result["relatedLocations"] = [
            {"id": i, "physicalLocation": _physical(r.span, below), "message": {"text": safe(r.message)}}
            for i, r in enumerate(problem.related)
        ]
    if problem.fix:
        result["fixes"] = [{"description": {"text": safe(problem.hint)}, "artifactChanges": _changes(problem, below)}]
    return result


def _message(problem: Problem) -> str:
    return f"{safe(problem.message)}." + (f" Hint: {safe(problem.hint)}" if problem.hint else "")


def _changes(problem: Problem, below: str) -> list[dict[str, Any]]:
    by_file: dict[str, list[dict[str, Any]]] = {}
    for edit in problem.fix:
        replacement = {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}}
        by_file.setdefault(edit.span.file, []).append(replacement)
    return [{"artifactLocation": _artifact(file, below), "replacements": items} for file, items in by_file.items()]


def _physical(span: Span, below: str) -> dict[str, Any]:
    return {"artifactLocation": _artifact(span.file, below), "region": _region(span)}


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _artifact(file: str, below: str) -> dict[str, str]:
    path = os.path.normpath(below + file)
    if os.path.isabs(path) or path.startswith(os.pardir):
        return {"uri": Path(file).absolute().resolve().as_uri()}
    return {"uri": quote(os.fsencode(Path(path).as_posix())), "uriBaseId": ROOT}
