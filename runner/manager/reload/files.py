"""What the files of a folder say, strategy by strategy."""

from __future__ import annotations

import hashlib
import json
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.spec.folder import Loaded
from runner.spec.load import parse_bytes
from runner.spec.problems import Problem


def by_name(loaded: Sequence[Loaded], known: Mapping[str, Loaded | None] | None = None) -> dict[str, Loaded]:
    """The file of each strategy. One that cannot even say its name keeps the one it had; of several with one name, all
    refused, the one that had the strategy before counts."""
    paths = {one.path: name for name, one in (known or {}).items() if one is not None}
    found: dict[str, Loaded] = {}
    for one in loaded:
        name = one.name or paths.get(one.path, "")
        if not name:
            continue
        other = found.get(name)
        if other is None or paths.get(one.path) == name:
            found[name] = one
    return found


def content(loaded: Loaded) -> str:
    """Identifies everything that a file's verdict was made from: its own text, its bases', and what was said."""
    digest = hashlib.sha256()
    for name in sorted(loaded.sources):
        digest.update(name.encode() + b"\0" + loaded.sources[name].encode("utf-8", "surrogatepass") + b"\0")
    digest.update(json.dumps([(p.code, p.message) for p in loaded.problems]).encode())
    return digest.hexdigest()


def text_sha256(text: str) -> str:
    """Identifies the text of a file."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def keys_in(content: bytes) -> set[str]:
    """The settings that a file says, by dotted path, whatever their values."""
    root = parse_bytes(content, file="").root
    return set(leaves(root.data())) if root is not None and root.is_mapping else set()


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Dotted path → value of everything in a document that is not a mapping itself."""
    if isinstance(value, Mapping) and value:
        found: dict[str, Any] = {}
        for key, below in value.items():
            found |= leaves(below, f"{path}.{key}" if path else str(key))
        return found
    return {path: value}


def within(file: Path | str, root: Path) -> str:
    """What people call a file: `strategies.d/trend.yaml`, when it is in the strategies folder."""
    path = Path(file)
    return path.relative_to(root.parent).as_posix() if path.is_relative_to(root) else path.as_posix()


def placed(problem: Problem, root: Path) -> str:
    """A problem in one line, with its place."""
    return f"{problem.code} at {within(problem.file, root)}:{problem.line}:{problem.column}: {problem.message}"


def first_problem(problems: Sequence[Problem], root: Path) -> str:
    """The first error with its place, and how many more there are."""
    errors = [problem for problem in problems if problem.is_error]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{placed(errors[0], root)}{more}"


def owner(path: Path) -> str:
    """Who wrote the file, as far as the system tells."""
    try:
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except (OSError, KeyError):
        return ""
