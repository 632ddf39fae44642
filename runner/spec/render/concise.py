"""One line a problem, for tools that read lines and for editors that jump to them."""

from __future__ import annotations

from collections.abc import Iterable

from runner.spec.problems import Problem
from runner.spec.render.text import safe


def render_concise(problems: Iterable[Problem]) -> str:
    """One line each: `file:line:column: error[CODE] message`."""
    lines = [f"{safe(p.file)}:{p.line}:{p.column}: {p.severity}[{p.code}] {safe(p.message)}" for p in problems]
    return "\n".join(lines) + ("\n" if lines else "")
