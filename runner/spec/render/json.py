"""Problems and findings as plain data, for `json.dumps`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.spec.findings import Findings
from runner.spec.problems import Problem, Span


def to_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """One mapping a problem. `fix` is a list of ranges with what belongs there, or null."""
    return [
        {
            "code": p.code,
            "severity": p.severity.value,
            "message": p.message,
            "path": p.path,
            "range": _range(p.span),
            "related": [{"message": r.message, "range": _range(r.span)} for r in p.related],
            "hint": p.hint or None,
            "fix": [{"range": _range(edit.span), "replacement": edit.text} for edit in p.fix] or None,
        }
        for p in problems
    ]


def findings_as_data(findings: Findings) -> dict[str, Any]:
    """Findings as the result of a command."""
    return {
        "ok": findings.errors == 0,
        "level": findings.level.value,
        "counts": {
            "files": len(findings.files),
            "strategies": len(findings.strategies),
            "tests": sum(findings.tests.values()),
            "errors": findings.errors,
            "warnings": findings.warnings,
        },
        "strategies": [{"name": name, "file": file} for name, file in findings.strategies],
        "problems": to_json(findings.problems),
        "not_checked": list(findings.not_checked),
    }


def _range(span: Span) -> dict[str, Any]:
    return {
        "file": span.file,
        "start": {"line": span.line, "column": span.column, "offset": span.start},
        "end": {"line": span.end_line, "column": span.end_column, "offset": span.end},
    }
