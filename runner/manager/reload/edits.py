"""Texts that the runner writes into strategy files itself: each is judged before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.spec.deployment import Deployment
from runner.spec.edit import Change, edited
from runner.spec.folder import load_text
from runner.spec.load import Document
from runner.spec.problems import Problem


def edited_text(
    document: Document, *edits: Change, path: Path, root: Path, deployment: Deployment
) -> tuple[str, tuple[Problem, ...]]:
    """The text of a file with values set in it, and what would be wrong with it that was not wrong before. CannotEdit
    when the text cannot be changed at those places."""
    text = edited(document, *edits)
    before = _errors(document.text, path, root, deployment)
    known = {(problem.code, problem.message) for problem in before}
    found = _errors(text, path, root, deployment)
    return text, tuple(problem for problem in found if (problem.code, problem.message) not in known)


def _errors(text: str, path: Path, root: Path, deployment: Deployment) -> Sequence[Problem]:
    judged = load_text(text, path=path, root=root, deployment=deployment)
    return [problem for problem in judged.problems if problem.is_error]
