"""Where the repository is, and which of its files are ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".git", ".venv", ".clients", ".editor", ".fuzz", ".runner", ".hypothesis", "dist", "build", "__pycache__"}
TEXT_SUFFIXES = {
    ".py", ".md", ".toml", ".yaml", ".yml", ".json", ".txt", ".lock", ".cfg", ".ini", ".csv", ".expected", "",
}  # fmt: skip


def our_files() -> Iterator[Path]:
    """Every text file of the repository, generated folders and installed packages left out."""
    for folder, names, files in os.walk(ROOT):
        names[:] = sorted(name for name in names if name not in NOT_OURS and not name.endswith("_cache"))
        for name in sorted(set(files) - NOT_OURS):
            path = Path(folder, name)
            if path.suffix in TEXT_SUFFIXES:
                yield path


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """Path from the root → text, of all our text files."""
    found = {}
    for path in our_files():
        try:
            found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found
