"""Texts that the runner writes into strategy files itself: each is judged before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.errors import SpecError
from runner.manager.reload.files import first_problem, within
from runner.spec.changes import changes
from runner.spec.deployment import Deployment
from runner.spec.edit import Change, edited
from runner.spec.folder import load_text
from runner.spec.load import Document
from runner.spec.problems import Problem
from runner.spec.spec import StrategySpec


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


def text_of_version(version: StrategySpec, generation: int, *, path: Path, root: Path, deployment: Deployment) -> str:
    """The text of an old version, for the file at `path`. SpecError when that file would not be that version with it:
    its text is not known, or the bases that it extends, or the language, are not what they were."""
    name = f"{version.name}@{generation}"
    if not version.source:
        raise SpecError(
            f"the text of {name} is not known, only what it came to", hint="roll back without --file, or edit the file"
        )
    judged = load_text(version.source, path=path, root=root, deployment=deployment)
    if judged.spec is None:
        raise SpecError(
            f"the file was left as it is: with the text of {name} it would be refused:"
            f" {first_problem(judged.problems, root)}",
            hint="roll back without --file",
        )
    if judged.spec.spec_hash != version.spec_hash:
        differing = "; ".join(map(str, changes(version, judged.spec))) or "the same settings in another order"
        bases = ", ".join(within(base, root.resolve()) for base in judged.bases)
        raise SpecError(
            f"the file was left as it is: with the text of {name} it would say something else than that version:"
            f" {differing}",
            hint=f"edit {bases or 'the file'}, or roll back without --file",
        )
    return version.source
