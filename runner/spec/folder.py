"""Strategy files on disk: which are read, and what becomes of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from runner.blocks import Kind
from runner.catalog import Catalog
from runner.spec.build import Builder
from runner.spec.case_file import CaseFile, judge_case_file, lost_case_file
from runner.spec.check import Checker
from runner.spec.deployment import Deployment
from runner.spec.extends import BaseFiles, extend
from runner.spec.levels import Level
from runner.spec.load import Document, Node, parse_text
from runner.spec.names import MAX_FILES, FileRole, case_path, role_of, strategy_path, walk
from runner.spec.problems import Problem, Related, Span, error, in_order, warning, whole_file
from runner.spec.references import Reference, references
from runner.spec.rules.between_files import check_folder
from runner.spec.schema import base_schema, strategy_schema
from runner.spec.spec import StrategySpec
from runner.spec.subject import Subject

if TYPE_CHECKING:
    from runner.spec.cases import Case

ANYWHERE = Deployment()
"""Nothing is known of runner.yaml; the built-in blocks are there."""

_ALL_SAVED: Mapping[Path, bytes] = MappingProxyType({})
_MOVED = {
    "params.universe": 'write "universe:" at the top level of the file',
    "*.stop": 'stops are parameters: "params: {stop_loss: 0.03}"',
}
_MOVED_IN_BASES = _MOVED | {"tests": "a base is never started; write tests in the files that extend it"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of one file. `spec` is None when `problems` has any error; warnings leave it usable."""

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
    subject: Subject = field(default_factory=Subject)
    """What its tests can be held against."""
    cases: tuple[Case, ...] = ()
    """The tests of the strategy that could be run: those in the file, then those beside it."""
    case_problems: tuple[Problem, ...] = ()
    """What is wrong with what the tests in the file say. It does not refuse the strategy: else no cap could be lowered
    that a test still expects to be higher."""
    case_file: CaseFile | None = None
    """The file of tests beside it, with problems of its own, which do not refuse the strategy either."""

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """What is wrong with the file, with the tests in it, and with those beside it."""
        beside = () if self.case_file is None else self.case_file.problems
        return (*self.problems, *self.case_problems, *beside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What became of a strategies folder. `specs` are the usable ones, by file name; `problems` are those of all."""

    specs: tuple[StrategySpec, ...]
    problems: tuple[Problem, ...]
    ignored: tuple[str, ...] = ()
    """Files that look like strategies and are not read, because of their names."""
    loaded: tuple[Loaded, ...] = ()
    """Every strategy file, usable or not."""
    case_files: tuple[CaseFile, ...] = ()
    """Every file of tests, beside a strategy or lost."""
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def not_loaded(self) -> tuple[str, ...]:
        """Plugged-in blocks whose packages were not imported: their settings were not judged."""
        return tuple(sorted({name for spec in self.specs for name in spec.not_loaded}))

    @property
    def tests(self) -> dict[str, int]:
        """File → how many tests it holds that could be run; files without are left out."""
        return dict(Counter(case.span.file for one in self.loaded for case in one.cases))


@lru_cache(maxsize=2)
def _checkers(catalog: Catalog) -> tuple[Checker, Checker]:
    """For strategies and for bases."""
    known = {kind.value: catalog.blocks(kind) for kind in Kind}
    return (
        Checker(strategy_schema(catalog), known=known, moved=_MOVED),
        Checker(base_schema(catalog), known=known, moved=_MOVED_IN_BASES),
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
    """Read, extend, check and build one strategy file, and read the tests beside it. Never raises for what they hold.

    `root` is the strategies folder, which bases may not leave. Problems name the file as `path` does, or as `shown`.
    Below `Level.RULES` nothing is built: `spec` is None.
    """
    files = bases or BaseFiles(root)
    loaded = judge(files.fresh(path, shown=shown or path.as_posix()), path, files, deployment, level)
    beside = case_path(path)
    return _with_tests(loaded, beside, files, deployment, level) if beside.is_file() else loaded


def load_alone(
    path: Path,
    *,
    root: Path,
    deployment: Deployment = ANYWHERE,
    level: Level = Level.RULES,
    bases: BaseFiles | None = None,
    shown: str | None = None,
) -> Folder:
    """One strategy and its tests, of which `path` names either file, without the rest of its folder.

    Problems name the strategy's file as its path does, or as `shown`.
    """
    files = bases or BaseFiles(root)
    strategy = strategy_path(path)
    if strategy is not None and not strategy.is_file():
        lost = lost_case_file(files.fresh(path, shown=path.as_posix()), path, level)
        return folder_of([], [], deployment, level, lost=[lost])
    loaded = load_file(strategy or path, root=root, deployment=deployment, level=level, bases=files, shown=shown)
    return folder_of([loaded], [], deployment, level)


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
    test_paths: list[Path] = []
    try:
        for path in walk(root):
            match role_of(path.name):
                case FileRole.STRATEGY:
                    files.append(path)
                case FileRole.BASE:
                    base_paths.append(path)
                case FileRole.TESTS:
                    test_paths.append(path)
                case FileRole.LOOKALIKE:
                    ignored.append(path.as_posix())
                    problems.append(_not_read(path))
    except OSError as exc:
        reason = (exc.strerror or "it cannot be read").lower()
        message = f"the strategies folder cannot be read: {reason}"
        return Folder(specs=(), problems=(error("E601", message, whole_file(root.as_posix())),))
    if max(len(files), len(test_paths)) > MAX_FILES:
        message = f"the strategies folder holds more than {MAX_FILES} files"
        return Folder(specs=(), problems=(error("E602", message, whole_file(root.as_posix())),))
    bases = BaseFiles(root, unsaved=unsaved)
    documents = [bases.read(path.resolve(), shown=path.as_posix()) for path in base_paths]
    loaded = {path: judge(bases.fresh(path, shown=path.as_posix()), path, bases, deployment, level) for path in files}
    lost = []
    for path in test_paths:
        strategy = strategy_path(path)
        if strategy in loaded:
            loaded[strategy] = _with_tests(loaded[strategy], path, bases, deployment, level)
        else:
            lost.append(lost_case_file(bases.fresh(path, shown=path.as_posix()), path, level))
    found = folder_of(list(loaded.values()), documents, deployment, level, lost=lost)
    return replace(found, problems=in_order([*problems, *found.problems]), ignored=tuple(ignored))


def folder_of(
    loaded: Sequence[Loaded],
    bases: Sequence[Document],
    deployment: Deployment,
    level: Level = Level.RULES,
    *,
    lost: Sequence[CaseFile] = (),
) -> Folder:
    """The files of one folder together: `bases` by themselves, and what must hold between the strategies.

    `lost` are files of tests that lie beside no strategy.
    """
    problems: list[Problem] = []
    sources: dict[str, str] = {}
    for document in bases:
        sources[document.file] = document.text
        problems += _check_base(document, deployment, level)
    judged = refuse_shared_names(list(loaded))
    case_files = [*(one.case_file for one in judged if one.case_file is not None), *lost]
    for one in judged:
        problems += [*one.problems, *one.case_problems]
        sources.update(one.sources)
    for case_file in case_files:
        problems += case_file.problems
        sources.update(case_file.sources)
    members = [(one.spec, one.root) for one in judged if one.spec is not None and one.root is not None]
    problems += check_folder(members, deployment)
    return Folder(
        specs=tuple(one.spec for one in judged if one.spec is not None),
        problems=in_order(problems),
        loaded=tuple(judged),
        case_files=tuple(case_files),
        sources=sources,
    )


def judge(
    document: Document, path: Path, bases: BaseFiles, deployment: Deployment, level: Level = Level.RULES
) -> Loaded:
    """What becomes of one document: extended, checked and built. What lies beside it is not looked at."""
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
    builder = Builder(root, document, path, used, deployment, _repository(deployment, bases), problems)
    builds = whole and root.is_mapping and level.includes(Level.RULES)
    spec = builder.build() if builds else None
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
        subject=builder.subject,
        cases=builder.cases,
        case_problems=in_order(builder.case_problems),
    )


def _with_tests(loaded: Loaded, path: Path, files: BaseFiles, deployment: Deployment, level: Level) -> Loaded:
    """The strategy with the file of tests at `path`, which lies beside it."""
    case_file = judge_case_file(
        files.fresh(path, shown=path.as_posix()),
        path,
        subject=loaded.subject,
        named={case.name: case.span for case in loaded.cases},
        repository=_repository(deployment, files),
        level=level,
    )
    return replace(loaded, cases=(*loaded.cases, *case_file.cases), case_file=case_file)


def _repository(deployment: Deployment, files: BaseFiles) -> Path:
    return deployment.repository or files.root.parent


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
    if path.name.startswith("_") and ".test." in path.name:
        message = "this file is not read: a base has no tests"
        hint = "a base is never started; keep tests beside the files that extend it"
    else:
        message = "this file is not read because of its name"
        hint = "a strategy's file is named with letters, digits, _ and -, and ends in .yaml or .yml"
    return warning("W305", message, whole_file(path.as_posix()), hint=hint)
