"""A strategies folder as it stands settled, file by file. What has not changed is not judged again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.spec.deployment import Deployment
from runner.spec.extends import BaseFiles
from runner.spec.folder import Folder, Loaded, judge, refuse_shared_names
from runner.spec.load import Document, parse_bytes, read_document
from runner.spec.names import FileRole, role_of

_MISSING_BASE = ("M431", "M432", "M433", "M434", "M435")
"""What is wrong with `extends` may be mended by another file: such a verdict is not kept."""


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
        self._contents: dict[Path, bytes] = {}
        self._verdicts: dict[Path, _Verdict] = {}

    def put(self, path: Path, content: bytes) -> None:
        """The content of a file from now on. Files whose names do not count are not taken in."""
        if role_of(path.name) in (FileRole.STRATEGY, FileRole.BASE):
            self._contents[path] = content
            if path not in self._documents:
                self._strategies = None
            self._documents[path] = parse_bytes(content, file=path.as_posix())

    def put_unread(self, path: Path) -> None:
        """A file that is there and cannot be read: it is a file with a problem, not one that is gone."""
        if role_of(path.name) in (FileRole.STRATEGY, FileRole.BASE):
            self._documents[path] = read_document(path)

    def remove(self, path: Path) -> None:
        """A file that is not there any more."""
        self._strategies = None
        for known in (self._contents, self._documents, self._verdicts):
            known.pop(path, None)

    def move(self, old: Path, new: Path) -> None:
        """A file has another name."""
        content = self._contents.get(old)
        self.remove(old)
        if content is not None:
            self.put(new, content)

    def content(self, path: Path) -> bytes | None:
        """What a file holds here; None when it is not there."""
        return self._contents.get(path)

    def contents(self) -> dict[Path, bytes]:
        """Every file and what it holds."""
        return dict(self._contents)

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

    def judged_with(self, path: Path, content: bytes) -> list[Loaded]:
        """What the files that depend on `path`, itself included, would be with another content of it. Nothing is
        kept."""
        old = self._documents.get(path)
        self._documents[path] = parse_bytes(content, file=path.as_posix())
        if old is None:
            self._strategies = None
        try:
            bases = self._bases()
            if _is_strategy(path):
                return [judge(self._documents[path], path, bases, self._deployment)]
            return [
                judge(self._documents[one], one, bases, self._deployment)
                for one in self._strategy_paths()
                if self._depends(one, path)
            ]
        finally:
            if old is None:
                del self._documents[path]
                self._strategies = None
            else:
                self._documents[path] = old

    def _depends(self, path: Path, base: Path) -> bool:
        verdict = self._verdicts.get(path)
        return verdict is None or base.resolve() in verdict.loaded.bases

    def _bases(self) -> BaseFiles:
        bases = self._documents.keys() - set(self._strategy_paths())
        found = {path.resolve(): self._documents[path] for path in bases}
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
