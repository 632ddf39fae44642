"""Strategy files with plugged-in code loaded."""

from __future__ import annotations

from pathlib import Path

from runner.spec.deployment import Deployment
from runner.spec.folder import load_folder
from runner.spec.problems import Problem


def check_code(root: Path, deployment: Deployment) -> tuple[Problem, ...]:
    """All problems of the folder; of level rules, as no code is loaded here."""
    return load_folder(root, deployment=deployment).problems
