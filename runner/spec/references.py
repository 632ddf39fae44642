"""The code that a file names: plugged-in blocks and hooks, and where each is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runner.blocks import Kind
from runner.spec.load import Entry, Node
from runner.spec.problems import KeyPath, Span
from runner.spec.spec import HOOK_POINTS

_ONE = {"combine": Kind.COMBINE, "sizing": Kind.SIZING}
_NAMED = {"signals": Kind.SIGNAL, "exits": Kind.EXIT}


@dataclass(frozen=True, slots=True)
class Reference:
    """Code that a file names."""

    kind: Kind | None
    """Kind of block; None: a hook."""
    text: str
    path: KeyPath
    """Of the block, or of the hook's place."""
    span: Span
    """Where the reference itself is written."""

    @property
    def label(self) -> str:
        """What messages call it: `signal block acme:thing`, `hook acme.hooks:cap`."""
        return f"{self.kind} block {self.text}" if self.kind is not None else f"hook {self.text}"


def is_reference(use: str) -> bool:
    """Whether a block's `use` names a plugged-in block."""
    return ":" in use


def references(root: Node) -> tuple[Reference, ...]:
    """Of a merged document of any shape, in the order of its sections."""
    return (*_blocks(root), *_hooks(root))


def _blocks(root: Node) -> Iterator[Reference]:
    places: list[tuple[Kind, KeyPath]] = [(kind, (section,)) for section, kind in _ONE.items()]
    for section, kind in _NAMED.items():
        places += [(kind, (section, name)) for name in _keys(root, section)]
    for kind, path in places:
        use = root.find((*path, "use"))
        if use is not None and isinstance(use.value, str) and is_reference(use.value):
            yield Reference(kind, use.value, path, use.span)


def _hooks(root: Node) -> Iterator[Reference]:
    for point, entry in _keys(root, "hooks").items():
        value = entry.node.value
        if point in HOOK_POINTS and isinstance(value, str) and is_reference(value):
            yield Reference(None, value, ("hooks", point), entry.node.span)


def _keys(root: Node, section: str) -> Mapping[str, Entry]:
    node = root.child(section)
    return node.value if node is not None and node.is_mapping else {}
