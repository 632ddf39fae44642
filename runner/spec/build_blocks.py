"""The blocks of a file: built-in ones, plugged-in ones, and those whose package was not imported."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner import plugins
from runner.blocks import CombineBlock, Kind, NotLoaded, SignalBlock, SizingBlock, SizingParams, build
from runner.catalog import Fault, Unusable
from runner.spec.deployment import Deployment
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, dotted, error, is_clean
from runner.spec.references import Reference, is_reference
from runner.spec.rules.plugins import check_plugin, misbehaved, unusable_code
from runner.spec.rules.sides import claims_of
from runner.spec.spec import Claims, UniverseSpec


class _Refused(Exception):
    """What was asked cannot be; the problem is recorded."""


@dataclass(slots=True)
class BlockBuilder:
    """Builds what a document says under `use` and `with`; what cannot be built has its problems recorded.

    A plugged-in block is foreign code: each call of it has a deadline, and whatever it raises is a problem of the file.
    """

    root: Node
    deployment: Deployment
    problems: list[Problem]
    plugged_in: dict[tuple[Kind, str], type[Any]] = field(default_factory=dict)
    """Kind and reference → class; `NotLoaded` where the package was not imported."""
    _foreign: dict[KeyPath, Reference] = field(default_factory=dict)

    def good(self, path: KeyPath) -> Node | None:
        """The node at `path` when it is there and nothing in it is wrong so far."""
        return self.root.find(path) if is_clean(self.problems, path) else None

    def names(self, section: str) -> tuple[str, ...]:
        """The ids in a section, those of wrong blocks included."""
        node = self.root.child(section)
        return tuple(node.value) if node is not None and node.is_mapping else ()

    def named(self, kind: Kind, section: str) -> dict[str, Any]:
        """The blocks of a section by their ids; those that cannot be built are left out."""
        found = {name: self.one(kind, (section, name)) for name in self.names(section)}
        return {name: block for name, block in found.items() if block is not None}

    def one(self, kind: Kind, path: KeyPath) -> Any:
        """The block at `path`, or None."""
        node = self.good(path)
        use = None if node is None else node.child("use")
        if node is None or use is None:
            return None
        name: str = use.value
        written = node.child("with")
        settings = {} if written is None else written.data()
        try:
            cls = self._class(Reference(kind, name, path, use.span))
            if cls is NotLoaded:
                return NotLoaded(reference=name, settings=settings)
            block = self._ask(lambda: build(cls, settings), "M403", path, f"{dotted(path)} ({name})")
            if path in self._foreign and kind is not Kind.COMBINE:
                self._check_warmup(block, path)
        except _Refused:
            return None
        return block

    def agrees(self, check: Callable[[], None], code: str, path: KeyPath) -> bool:
        """Whether the block at `path` accepts what `check` asks it; else the problem with `code` is recorded."""
        try:
            self._ask(check, code, path, dotted(path))
        except _Refused:
            return False
        return True

    def claims(
        self,
        signals: Mapping[str, SignalBlock],
        combine: CombineBlock,
        sizing: SizingBlock,
        universe: UniverseSpec,
        params: SizingParams,
    ) -> Claims | None:
        """What the blocks say about themselves; None with the problem recorded when a plugged-in one fails at it."""

        def ask() -> Claims:
            return claims_of(signals, combine, sizing, universe, params)

        if not self._foreign:
            return ask()
        try:
            return plugins.bounded(ask, plugins.CALL_DEADLINE_S)
        except (Exception, SystemExit) as exc:
            self.problems.append(_failure(self._blamed(exc), exc))
            return None

    def _blamed(self, exc: BaseException) -> Reference:
        """The plugged-in block that most probably raised it: the first of the package whose code it came from."""
        for reference in self._foreign.values():
            if plugins.raised_in(exc, plugins.package_of(reference.text)):
                return reference
        return next(iter(self._foreign.values()))

    def refused(self, code: str, message: str, path: KeyPath, label: str) -> None:
        """Report what a block said, at the first of its settings that the sentence names."""
        here: KeyPath = path
        for word in re.findall(r"\w+", message):
            if self.root.find((*here, word)) is not None:
                here = (*here, word)
        self.problems.append(error(code, f"{label}: {message}", self.root.locate(here), path=here))

    def _class(self, reference: Reference) -> type[Any]:
        catalog, kind, name = self.deployment.catalog, reference.kind, reference.text
        assert kind is not None
        if not is_reference(name):
            return catalog.find(kind, name)
        cls = catalog.blocks(kind).get(name)
        if cls is None:
            problem = check_plugin(reference, self.deployment.allowed_packages, catalog)
            if problem is not None:
                self.problems.append(problem)
                raise _Refused
            cls = NotLoaded
        else:
            self._foreign[reference.path] = reference
        self.plugged_in[kind, name] = cls
        return cls

    def _check_warmup(self, block: Any, path: KeyPath) -> None:
        wrong = self._ask(lambda: plugins.no_warmup(block), "M403", path, dotted(path))
        if wrong is not None:
            self.problems.append(misbehaved(self._foreign[path], f"cannot be used: {wrong}"))
            raise _Refused

    def _ask(self, call: Callable[[], Any], code: str, path: KeyPath, label: str) -> Any:
        """What the block at `path` answers. A ValueError is its refusal and becomes a problem with `code`. Raises
        _Refused once a problem is recorded."""
        foreign = self._foreign.get(path)
        try:
            return call() if foreign is None else plugins.bounded(call, plugins.CALL_DEADLINE_S)
        except ValueError as exc:
            self.refused(code, str(exc), (*path, "with"), label)
        except (Exception, SystemExit) as exc:
            if foreign is None:
                raise
            self.problems.append(_failure(foreign, exc))
        raise _Refused


def _failure(foreign: Reference, exc: BaseException) -> Problem:
    if isinstance(exc, plugins.TooLate):
        late = f"takes longer than {plugins.CALL_DEADLINE_S:g} s to look at its settings"
        return unusable_code(foreign, Unusable(Fault.LATE, late))
    return misbehaved(foreign, f"raises {plugins.said(exc, plugins.package_of(foreign.text))}")
