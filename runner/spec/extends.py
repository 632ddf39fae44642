"""`extends`: a file starts from the settings of others.

Mappings merge key by key, lists and single values replace, `null` removes what a base has set. A block that names
another `use` than its base replaces it as a whole, because settings of one block mean nothing to another. Nodes keep
the file and position they were written at, so a problem in a merged document is shown where it was made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.spec.load import Document, Entry, Node, parse_bytes, read_document
from runner.spec.problems import NO_STEP, Problem, Related, Step, error
from runner.spec.steps import instead

MAX_DEPTH = 4
"""Longest chain of files: a strategy, and three bases above each other."""


@dataclass(slots=True)
class BaseFiles:
    """The bases met so far, each read and checked once. `root` is the strategies folder; nothing outside it is read.
    `closed`: no others than the `documents` exist, whatever is on disk."""

    root: Path
    documents: dict[Path, Document] = field(default_factory=dict)
    problems: dict[Path, tuple[Problem, ...]] = field(default_factory=dict)
    """What is wrong with each by itself, once it has been looked at."""
    closed: bool = False
    unsaved: Mapping[Path, bytes] = field(default_factory=dict)
    """Resolved path → what to read in place of what is on disk there, for bases and strategies."""

    def exists(self, path: Path) -> bool:
        return path in self.documents or (not self.closed and path.is_file())

    def read(self, path: Path, *, shown: str) -> Document:
        """The base at a resolved path."""
        if path not in self.documents:
            self.documents[path] = self.fresh(path, shown=shown)
        return self.documents[path]

    def fresh(self, path: Path, *, shown: str) -> Document:
        """The file at `path`, read now."""
        data = self.unsaved.get(path.resolve()) if self.unsaved else None
        return read_document(path, file=shown) if data is None else parse_bytes(data, file=shown)


@dataclass(frozen=True, slots=True)
class Extended:
    """A document with its bases merged in. `bases` are nearest first; `root` no longer has the key `extends`."""

    root: Node
    bases: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()


def extend(document: Document, path: Path, bases: BaseFiles) -> Extended:
    """Merge what `document` extends into it. A base that cannot be used is a problem at the word that names it."""
    assert document.root is not None
    problems: list[Problem] = []
    used: list[Path] = []
    root = _resolve(document.root, path, path, bases, (path.resolve(),), used, problems)
    return Extended(root, tuple(dict.fromkeys(used)), tuple(problems))


def _resolve(
    root: Node,
    path: Path,
    shown: Path,
    bases: BaseFiles,
    chain: tuple[Path, ...],
    used: list[Path],
    problems: list[Problem],
) -> Node:
    if not root.is_mapping or "extends" not in root.value:
        return root
    entry: Entry = root.value["extends"]
    own = Node({key: value for key, value in root.value.items() if key != "extends"}, root.span, size=root.size)
    words = entry.node.value if entry.node.is_list else [entry.node]
    merged: Node | None = None
    for word in words:
        if not isinstance(word.value, str) or not word.value:
            continue
        base = _base(word, path, shown, bases, chain, used, problems)
        if base is not None:
            merged = base if merged is None else merge(merged, base)
    return own if merged is None else merge(merged, own)


def _base(
    word: Node,
    path: Path,
    shown: Path,
    bases: BaseFiles,
    chain: tuple[Path, ...],
    used: list[Path],
    problems: list[Problem],
) -> Node | None:
    def refuse(code: str, message: str, step: Step = NO_STEP, related: tuple[Related, ...] = ()) -> None:
        problem = error(code, message, word.span, path=("extends",), hint=step.hint, fix=step.fix, related=related)
        problems.append(problem)

    text: str = word.value
    try:
        target = (path.parent / text).resolve()
        exists = bases.exists(target)
    except (OSError, ValueError, RuntimeError):
        refuse("M431", f'"{text[:60]}" cannot be the name of a file')
        return None
    if not target.is_relative_to(bases.root.resolve()):
        refuse("M434", f'"{text}" is outside the strategies folder', Step("a base lies in the strategies folder"))
        return None
    if not exists:
        refuse("M431", f'there is no file "{text}" to extend', _nearest_base(word, path.parent))
        return None
    if not target.name.startswith("_") or target.suffix not in (".yaml", ".yml"):
        refuse("M435", f'"{text}" is not a base', Step('the name of a base begins with "_" and ends in .yaml'))
        return None
    if target in chain:
        refuse("M432", f'"{text}" extends itself: {" → ".join(p.name for p in (*chain, target))}')
        return None
    if len(chain) >= MAX_DEPTH:
        refuse("M433", f"files extend each other more than {MAX_DEPTH} deep", Step("merge some of the bases"))
        return None
    where = Path(os.path.normpath(shown.parent / text))
    document = bases.read(target, shown=where.as_posix())
    used.append(target)
    if document.root is None:
        first = document.problems[0]
        refuse("M431", f'"{text}" cannot be used', related=(Related(first.message, first.span),))
        return None
    return _resolve(document.root, target, where, bases, (*chain, target), used, problems)


def _nearest_base(word: Node, folder: Path) -> Step:
    """The base in the same folder that was meant without a doubt, or which there are."""
    found = sorted(path.name for path in folder.glob("_*.y*ml")) if folder.is_dir() else []
    step = instead(word.value, word, found)
    return step if step.fix or not found else Step(f"there are: {', '.join(found[:8])}")


def merge(base: Node, own: Node) -> Node:
    """`own` on top of `base`. Where both are mappings their keys merge; else `own` replaces."""
    if not (base.is_mapping and own.is_mapping) or _other_block(base, own):
        return own
    result: dict[str, Entry] = dict(base.value)
    for key, entry in own.value.items():
        below: Entry | None = result.get(key)
        if below is None:
            result[key] = entry
        elif entry.node.value is None:
            del result[key]
        else:
            result[key] = Entry(entry.key, merge(below.node, entry.node))
    return Node(result, own.span, size=base.size + own.size)


def _other_block(base: Node, own: Node) -> bool:
    theirs, ours = base.child("use"), own.child("use")
    return theirs is not None and ours is not None and theirs.value != ours.value
