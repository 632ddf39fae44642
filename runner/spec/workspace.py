"""A strategies folder as it stands settled, file by file. What has not changed is not judged again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from runner.spec.deployment import Deployment
from runner.spec.extends import BaseFiles
from runner.spec.folder import Folder, Loaded, judge, refuse_shared_names
from runner.spec.load import Document, parse_bytes, read_document
from runner.spec.names import FileRole, role_of

_MISSING_BASE = ("M431", "M432", "M433", "M434", "M435")
"""What is wrong with `extends` may be mended by another file: such a verdict is not kept."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A file as it was saved: what it holds, and whether others than its owner may write to it."""

    content: bytes
    others_may_write: bool = False

    def at(self, path: Path) -> Document:
        """Parsed, as the file at `path`."""
        document = parse_bytes(self.content, file=path.as_posix())
        return replace(document, others_may_write=self.others_may_write)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What became of a file, and the documents that it was made from."""

    document: Document
    bases: Mapping[Path, Document]
    loaded: Loaded


class Workspace:
    """The contents that were handed in, never the disk's. Not thread-safe."""

    def __init__(self, root: Path, deployment: Deployment) -> None:
        self.root = root
        self._deployment = deployment
        self._documents: dict[Path, Document] = {}
        self._strategies: list[Path] | None = None
        """Those of the documents that are strategies, in order; None when that is to be found out anew."""
        self._saved: dict[Path, Saved] = {}
        self._verdicts: dict[Path, _Verdict] = {}

    def put(self, path: Path, content: bytes, *, others_may_write: bool = False) -> None:
        """The content of a file from now on. Files whose names do not count are not taken in."""
        if role_of(path.name) in (FileRole.STRATEGY, FileRole.BASE):
            self._saved[path] = Saved(content, others_may_write)
            if path not in self._documents:
                self._strategies = None
            self._documents[path] = self._saved[path].at(path)

    def put_unread(self, path: Path) -> None:
        """A file that is there and cannot be read: it is a file with a problem, not one that is gone."""
        if role_of(path.name) in (FileRole.STRATEGY, FileRole.BASE):
            self._documents[path] = read_document(path)

    def remove(self, path: Path) -> None:
        """A file that is not there any more."""
        self._strategies = None
        for known in (self._saved, self._documents, self._verdicts):
            known.pop(path, None)

    def move(self, old: Path, new: Path) -> None:
        """A file has another name."""
        saved = self._saved.get(old)
        self.remove(old)
        if saved is not None:
            self.put(new, saved.content, others_may_write=saved.others_may_write)

    def saved(self, path: Path) -> Saved | None:
        """A file as it is here; None when it is not, or could not be read."""
        return self._saved.get(path)

    @property
    def count(self) -> int:
        """Files that could be read."""
        return len(self._saved)

    def folder(self) -> Folder:
        """What became of every strategy file. Not what `load_folder` says besides: of bases by themselves, and of
        strategies that run well but not well together. That takes as long as many files do, and holds up no change."""
        bases = self._bases()
        loaded = refuse_shared_names([self._judged(path, bases) for path in self._strategy_paths()])
        return Folder(
            specs=tuple(one.spec for one in loaded if one.spec is not None), problems=(), loaded=tuple(loaded)
        )

    def _strategy_paths(self) -> list[Path]:
        if self._strategies is None:
            self._strategies = sorted(path for path in self._documents if _is_strategy(path))
        return self._strategies

    def judged_with(self, changes: Mapping[Path, Saved]) -> list[Loaded]:
        """What the files that depend on these, themselves included, would be with these changes. Nothing is kept."""
        now, changed = self._bases(), {path.resolve() for path in changes}
        documents = {path: saved.at(path) for path, saved in changes.items()}
        bases = self._bases({path: one for path, one in documents.items() if not _is_strategy(path)})
        return [
            judge(documents.get(one) or self._documents[one], one, bases, self._deployment)
            for one in sorted({*self._strategy_paths(), *filter(_is_strategy, changes)})
            if one in changes or not changed.isdisjoint(self._judged(one, now).bases)
        ]

    def _bases(self, changes: Mapping[Path, Document] = MappingProxyType({})) -> BaseFiles:
        bases = (self._documents.keys() | changes.keys()) - set(self._strategy_paths())
        found = {path.resolve(): changes.get(path) or self._documents[path] for path in bases}
        return BaseFiles(self.root, found, closed=True)

    def _judged(self, path: Path, bases: BaseFiles) -> Loaded:
        document, known = self._documents[path], self._verdicts.get(path)
        if known is not None and known.document is document:
            same = all(bases.documents.get(base) is used for base, used in known.bases.items())
            if same and not any(problem.code in _MISSING_BASE for problem in known.loaded.problems):
                return known.loaded
        loaded = judge(document, path, bases, self._deployment)
        used = {base: bases.documents[base] for base in loaded.bases if base in bases.documents}
        self._verdicts[path] = _Verdict(document, used, loaded)
        return loaded


def _is_strategy(path: Path) -> bool:
    return role_of(path.name) is FileRole.STRATEGY
