"""Strategy files on disk: which are read, and what becomes of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from runner.blocks import Kind
from runner.catalog import Catalog
from runner.spec.build import Builder
from runner.spec.check import Checker
from runner.spec.deployment import Deployment
from runner.spec.extends import BaseFiles, extend
from runner.spec.levels import Level
from runner.spec.load import Document, Node, parse_text
from runner.spec.names import MAX_FILES, FileRole, role_of, walk
from runner.spec.problems import Problem, Related, Span, error, in_order, warning, whole_file
from runner.spec.references import Reference, references
from runner.spec.rules.between_files import check_folder
from runner.spec.schema import base_schema, strategy_schema
from runner.spec.spec import StrategySpec

ANYWHERE = Deployment()
"""Nothing is known of runner.yaml; the built-in blocks are there."""

_ALL_SAVED: Mapping[Path, bytes] = MappingProxyType({})
_MOVED = {
    "params.universe": 'write "universe:" at the top level of the file',
    "*.stop": 'stops are parameters: "params: {stop_loss: 0.03}"',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of one file. `spec` is None when there is any error; warnings leave it usable."""

    path: Path
    spec: StrategySpec | None
    problems: tuple[Problem, ...]
    sources: Mapping[str, str] = field(default_factory=dict)
    """File → text, of the file and its bases, for showing problems."""
    bases: tuple[Path, ...] = ()
    """Files that it extends, usable or not: a change in one of them is a change here."""
    name: str = ""
    """The strategy's name, of a refused file too when it can be read; else empty."""
    name_span: Span | None = None
    """Where the name is written."""
    root: Node | None = None
    """The document with its bases merged in; None when the text could not be read."""
    references: tuple[Reference, ...] = ()
    """The plugged-in blocks and hooks that it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What became of a strategies folder. `specs` are the usable ones, by file name; `problems` are those of all."""

    specs: tuple[StrategySpec, ...]
    problems: tuple[Problem, ...]
    ignored: tuple[str, ...] = ()
    """Files that look like strategies and are not read, because of their names."""
    loaded: tuple[Loaded, ...] = ()
    """Every strategy file, usable or not."""
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def not_loaded(self) -> tuple[str, ...]:
        """Plugged-in blocks whose packages were not imported: their settings were not judged."""
        return tuple(sorted({name for spec in self.specs for name in spec.not_loaded}))


@lru_cache(maxsize=2)
def _checkers(catalog: Catalog) -> tuple[Checker, Checker]:
    """For strategies and for bases."""
    known = {kind.value: catalog.blocks(kind) for kind in Kind}
    return (
        Checker(strategy_schema(catalog), known=known, moved=_MOVED),
        Checker(base_schema(catalog), known=known, moved=_MOVED),
    )


def load_file(
    path: Path,
    *,
    root: Path,
    deployment: Deployment = ANYWHERE,
    level: Level = Level.RULES,
    bases: BaseFiles | None = None,
    shown: str | None = None,
) -> Loaded:
    """Read, extend, check and build one strategy file. Never raises for what the file holds.

    `root` is the strategies folder, which bases may not leave. Problems name the file as `path` does, or as `shown`.
    Below `Level.RULES` nothing is built: `spec` is None.
    """
    files = bases or BaseFiles(root)
    return judge(files.fresh(path, shown=shown or path.as_posix()), path, files, deployment, level)


def load_base(
    path: Path,
    *,
    root: Path,
    deployment: Deployment = ANYWHERE,
    level: Level = Level.RULES,
    bases: BaseFiles | None = None,
) -> Loaded:
    """Read and check one base by itself: what strategies that extend it make of it is not known here."""
    document = (bases or BaseFiles(root)).read(path.resolve(), shown=path.as_posix())
    problems = _check_base(document, deployment, level)
    return Loaded(path=path, spec=None, problems=in_order(problems), sources={document.file: document.text})


def load_text(
    text: str,
    *,
    path: Path,
    root: Path | None = None,
    deployment: Deployment = ANYWHERE,
    level: Level = Level.RULES,
) -> Loaded:
    """As `load_file`, for text that is not on disk, or not yet, at `path`."""
    document = parse_text(text, file=path.as_posix())
    return judge(document, path, BaseFiles(root or path.parent), deployment, level)


def load_folder(
    root: Path,
    *,
    deployment: Deployment = ANYWHERE,
    level: Level = Level.RULES,
    unsaved: Mapping[Path, bytes] = _ALL_SAVED,
) -> Folder:
    """Load every strategy file under `root`. Never raises for what the files hold.

    Two files with one `name` are both refused: nobody could say which one is meant. `unsaved` is what to judge in
    place of what is on disk, by resolved path.
    """
    problems: list[Problem] = []
    ignored: list[str] = []
    files: list[Path] = []
    base_paths: list[Path] = []
    try:
        for path in walk(root):
            match role_of(path.name):
                case FileRole.STRATEGY:
                    files.append(path)
                case FileRole.BASE:
                    base_paths.append(path)
                case FileRole.LOOKALIKE:
                    ignored.append(path.as_posix())
                    problems.append(_not_read(path))
    except OSError as exc:
        reason = (exc.strerror or "it cannot be read").lower()
        message = f"the strategies folder cannot be read: {reason}"
        return Folder(specs=(), problems=(error("E601", message, whole_file(root.as_posix())),))
    if len(files) > MAX_FILES:
        message = f"the strategies folder holds more than {MAX_FILES} files"
        return Folder(specs=(), problems=(error("E602", message, whole_file(root.as_posix())),))
    bases = BaseFiles(root, unsaved=unsaved)
    documents = [bases.read(path.resolve(), shown=path.as_posix()) for path in base_paths]
    loaded = [load_file(path, root=root, deployment=deployment, level=level, bases=bases) for path in files]
    found = folder_of(loaded, documents, deployment, level)
    return replace(found, problems=in_order([*problems, *found.problems]), ignored=tuple(ignored))


def folder_of(
    loaded: Sequence[Loaded], bases: Sequence[Document], deployment: Deployment, level: Level = Level.RULES
) -> Folder:
    """The files of one folder together: `bases` by themselves, and what must hold between the strategies."""
    problems: list[Problem] = []
    sources: dict[str, str] = {}
    for document in bases:
        sources[document.file] = document.text
        problems += _check_base(document, deployment, level)
    judged = refuse_shared_names(list(loaded))
    for one in judged:
        problems += one.problems
        sources.update(one.sources)
    members = [(one.spec, one.root) for one in judged if one.spec is not None and one.root is not None]
    problems += check_folder(members, deployment)
    return Folder(
        specs=tuple(one.spec for one in judged if one.spec is not None),
        problems=in_order(problems),
        loaded=tuple(judged),
        sources=sources,
    )


def judge(
    document: Document, path: Path, bases: BaseFiles, deployment: Deployment, level: Level = Level.RULES
) -> Loaded:
    """What becomes of one document: extended, checked and built."""
    sources = {document.file: document.text}
    if document.root is None or not level.includes(Level.SCHEMA):
        return Loaded(path=path, spec=None, problems=in_order(document.problems), sources=sources)
    problems = list(document.problems)
    root = document.root
    strategy_checker, base_checker = _checkers(deployment.catalog)
    used: tuple[Path, ...] = ()
    whole = True
    if "${" in document.text:
        problems += list(_placeholders(document))
    if root.is_mapping and "extends" in root.value:
        problems += _check_extends(document, base_checker)
        extended = extend(document, path, bases)
        root, used = extended.root, extended.bases
        problems += extended.problems
        whole = not extended.problems
        for base in used:
            base_document = bases.documents[base]
            sources[base_document.file] = base_document.text
            if base not in bases.problems:
                bases.problems[base] = tuple(_check_base(base_document, deployment, level))
            problems += bases.problems[base]
    if deployment.live:
        problems += _open_to_others(document, *(bases.documents[base] for base in used))
    root, wrong = strategy_checker.check(root)
    if not whole:
        # What a base that cannot be read would have said is not missing here.
        wrong = [problem for problem in wrong if problem.code != "S202"]
    explained = {problem.span for problem in problems}
    # A value that is refused already is judged all the same, so that its section counts as wrong; it is shown once.
    repeated = {id(problem) for problem in wrong if problem.span in explained}
    problems += wrong
    builds = whole and root.is_mapping and level.includes(Level.RULES)
    spec = Builder(root, document, path, used, deployment, problems).build() if builds else None
    name = root.child("name")
    known = name is not None and isinstance(name.value, str)
    return Loaded(
        path=path,
        spec=spec,
        problems=in_order(problem for problem in problems if id(problem) not in repeated),
        sources=sources,
        bases=used,
        name=name.value if name is not None and known else "",
        name_span=name.span if name is not None and known else None,
        root=root,
        references=references(root),
    )


def _check_base(document: Document, deployment: Deployment, level: Level) -> list[Problem]:
    if document.root is None or not level.includes(Level.SCHEMA):
        return list(document.problems)
    problems = [*document.problems, *_checkers(deployment.catalog)[1].check(document.root)[1]]
    if "${" in document.text:
        problems += list(_placeholders(document))
    return problems


def _check_extends(document: Document, checker: Checker) -> list[Problem]:
    """The shape of `extends` itself, which is gone from the merged document."""
    assert document.root is not None
    entry = document.root.value["extends"]
    only = replace(document.root, value={"extends": entry})
    return checker.check(only)[1]


def _open_to_others(*documents: Document) -> Iterator[Problem]:
    """E604: where trading is live, who may write a strategy's file is who may trade."""
    for document in documents:
        if document.others_may_write:
            message = "trading is live, and others than its owner may change this file"
            yield error("E604", message, whole_file(document.file), hint=f"chmod go-w {document.file}")


def _placeholders(document: Document) -> Iterator[Problem]:
    """S209: specs are copied into the store and its versions keep them for ever, so no secret may enter one."""
    assert document.root is not None
    stack = [document.root]
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.is_mapping:
            stack += [entry.node for entry in node.value.values()]
        elif node.is_list:
            stack += node.value
        elif isinstance(node.value, str) and re.search(r"\$\{(?:env|file):", node.value):
            hint = "specs are kept in the store for ever; such values belong in runner.yaml"
            yield error("S209", "${…} is not replaced in a strategy file", node.span, hint=hint)


def refuse_shared_names(loaded: list[Loaded]) -> list[Loaded]:
    """M410 on every file whose `name` another file has too."""
    by_name: dict[str, list[int]] = {}
    for i, one in enumerate(loaded):
        if one.name:
            by_name.setdefault(one.name.casefold(), []).append(i)
    result = list(loaded)
    for same in by_name.values():
        for i in same if len(same) > 1 else ():
            one, other = loaded[i], loaded[next(j for j in same if j != i)]
            assert one.name_span is not None and other.name_span is not None
            what = "is already used by" if other.name == one.name else "differs only in case from the one in"
            message = f"strategy name {one.name} {what} {other.name_span.file}"
            hint = "neither file is applied; a strategy that is running keeps its last good spec"
            related = (Related("the other one", other.name_span),)
            problem = error("M410", message, one.name_span, path=("name",), hint=hint, related=related)
            result[i] = replace(one, spec=None, problems=in_order([*one.problems, problem]))
    return result


def _not_read(path: Path) -> Problem:
    if ".test." in path.name:
        message, hint = "files of tests are not run by this version", ""
    else:
        message = "this file is not read because of its name"
        hint = "a strategy's file is named with letters, digits, _ and -, and ends in .yaml or .yml"
    return warning("W305", message, whole_file(path.as_posix()), hint=hint)
