"""The effective settings of a strategy, each with where it comes from.

Works off the merged document, whose nodes know the file and line they were written at, and fills in what nobody wrote:
defaults of blocks, of parameters and of the format. A file with mistakes is resolved as far as it goes. The result is
a list of values by path; what lies above the files, such as a row of the store or an overlay of a running strategy,
replaces values of the list under origins of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runner.blocks import Kind, build
from runner.catalog import BUILT_IN, Catalog
from runner.model.instruments import SecType
from runner.spec.build import DEFAULT_COMBINE
from runner.spec.fields import Schema
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Span, dotted
from runner.spec.schema import strategy_schema
from runner.spec.universe import default_exchange, lists_symbols


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: a line of a file, a default, or what other settings make of it."""

    kind: Literal["file", "default", "derived"]
    text: str
    """In words: `strategies.d/trend.yaml:9`, `default of sma_cross`, `needed by signals.trend`."""
    span: Span | None = None
    """Where it is written; None for what nobody wrote."""


@dataclass(frozen=True, slots=True)
class Value:
    """One setting. `value` is plain data; lists of single values are one setting."""

    path: KeyPath
    value: Any
    origin: Origin

    @property
    def name(self) -> str:
        """The path, dotted."""
        return dotted(self.path)


DEFAULT = Origin("default", "default")
NO_SETTINGS = ("extends", "tests")
"""Keys that say where settings are from, or what they should bring about."""


def resolved(root: Node, catalog: Catalog = BUILT_IN) -> tuple[Value, ...]:
    """Every setting of a strategy that has a value, in the order of the format. `root` has its bases merged in."""
    if not root.is_mapping:
        return ()
    schema = strategy_schema(catalog)
    found: list[Value] = []
    for name, below in schema["properties"].items():
        node, path = root.child(name), (name,)
        if name == "universe":
            found += _universe(below, node)
        elif name == "bars":
            found += _bars(below, node, root, catalog)
        elif name == "combine" and node is None:
            found.append(Value((*path, "use"), DEFAULT_COMBINE, DEFAULT))
        elif name not in NO_SETTINGS:
            found += _walk(below, node, path, DEFAULT)
    return tuple(found)


def nested(values: Iterable[Value]) -> dict[str, Any]:
    """The values as one document: the strategy as it would be written in a single file, with nothing left out."""
    document: dict[str, Any] = {}
    for value in values:
        here: Any = document
        for part, following in zip(value.path, value.path[1:], strict=False):
            empty: Any = [] if isinstance(following, int) else {}
            here = _below(here, part, empty)
        _below(here, value.path[-1], value.value)
    return document


def _below(container: Any, part: str | int, value: Any) -> Any:
    """What is at `part` of a mapping or list, put there first when nothing is."""
    if isinstance(part, int):
        # An entry in which nothing is written has no values, and still counts.
        container += [{} for _ in range(part - len(container))]
        if part == len(container):
            container.append(value)
        return container[part]
    return container.setdefault(part, value)


def _walk(schema: Any, node: Node | None, path: KeyPath, default: Origin) -> Iterator[Value]:
    """The settings at and below `path`: what is written, else defaults, which come from `default`."""
    if not isinstance(schema, dict):
        schema = {}
    if node is None and "default" in schema:
        yield Value(path, schema["default"], default)
    elif "allOf" in schema and node is not None and node.is_mapping:
        yield from _block(schema, node, path)
    elif "properties" in schema and (node is None or node.is_mapping):
        for name, below in schema["properties"].items():
            yield from _walk(below, None if node is None else node.child(name), (*path, name), default)
        if node is not None and isinstance(schema.get("additionalProperties"), dict):
            yield from _keys(schema["additionalProperties"], node, path, default)
    elif node is not None:
        yield from _written(schema, node, path, default)


def _written(schema: Schema, node: Node, path: KeyPath, default: Origin) -> Iterator[Value]:
    if node.is_mapping and node.value:
        yield from _keys(schema.get("additionalProperties"), node, path, default)
    elif node.is_list and any(item.is_mapping or item.is_list for item in node.value):
        for i, item in enumerate(node.value):
            yield from _walk(schema.get("items"), item, (*path, i), default)
    else:
        yield Value(path, node.data(), _line(node))


def _keys(schema: Any, node: Node, path: KeyPath, default: Origin) -> Iterator[Value]:
    for name, entry in node.value.items():
        yield from _walk(schema, entry.node, (*path, name), default)


def _block(schema: Schema, node: Node, path: KeyPath) -> Iterator[Value]:
    """A block: the settings that it takes follow from the name under `use`."""
    use, settings = node.child("use"), node.child("with")
    if use is not None:
        yield Value((*path, "use"), use.data(), _line(use))
    for case in schema["allOf"]:
        if use is not None and case["if"]["properties"]["use"]["const"] == use.value:
            origin = Origin("default", f"default of {use.value}")
            yield from _walk(case["then"]["properties"]["with"], settings, (*path, "with"), origin)
            return
    if settings is not None:
        yield from _walk({}, settings, (*path, "with"), DEFAULT)


def _bars(schema: Schema, node: Node | None, root: Node, catalog: Catalog) -> Iterator[Value]:
    yield from _walk(schema, node, ("bars",), DEFAULT)
    if node is not None and node.is_mapping and node.child("history") is None:
        needs = _needs(root, catalog)
        if needs:
            path = max(needs, key=lambda path: needs[path])
            yield Value(("bars", "history"), needs[path], Origin("derived", f"needed by {dotted(path)}"))


def _needs(root: Node, catalog: Catalog) -> Mapping[KeyPath, int]:
    """Bars that each block needs; empty when one of them cannot be built, because then nobody knows."""
    places: list[tuple[Kind, KeyPath]] = []
    for kind, section in ((Kind.SIGNAL, "signals"), (Kind.EXIT, "exits")):
        named = root.child(section)
        if named is not None and named.is_mapping:
            places += [(kind, (section, name)) for name in named.value]
    places.append((Kind.SIZING, ("sizing",)))
    needs: dict[KeyPath, int] = {}
    for kind, path in places:
        use, settings = root.find((*path, "use")), root.find((*path, "with"))
        try:
            block = build(
                catalog.find(kind, "" if use is None else use.value), {} if settings is None else settings.data()
            )
        except (ValueError, TypeError):
            return {}
        needs[path] = block.warmup
    return needs


def _universe(schema: Schema, node: Node | None) -> Iterator[Value]:
    """The universe in its long form, whichever form it is written in, with what holds for each instrument."""
    if node is None:
        return
    defaults: Node | None = None
    symbols: Node | None = None
    if node.is_mapping:
        symbols, defaults = node.child("symbols"), node.child("defaults")
        for name in ("library", "max_symbols"):
            yield from _walk(schema["properties"][name], node.child(name), ("universe", name), DEFAULT)
    elif isinstance(node.value, str) and not lists_symbols(node.value):
        yield Value(("universe", "library"), node.value.strip(), _line(node))
    else:
        symbols = node
    if symbols is not None:
        yield from _symbols(schema, symbols, defaults)
    fields = schema["properties"]["defaults"]["properties"]
    yield from _instrument(fields, (defaults,), ("universe", "defaults"))


def _symbols(schema: Schema, node: Node, defaults: Node | None) -> Iterator[Value]:
    path: KeyPath = ("universe", "symbols")
    if not node.is_list:
        text = node.value
        listed = [part.strip() for part in text.split(",")] if isinstance(text, str) else node.data()
        yield Value(path, listed, _line(node))
        return
    if not any(item.is_mapping for item in node.value):
        yield Value(path, node.data(), _line(node))
        return
    fields = schema["properties"]["symbols"]["items"]["properties"]
    for i, item in enumerate(node.value):
        if item.is_mapping:
            yield from _instrument(fields, (item, defaults), (*path, i))
        else:
            yield Value((*path, i), item.data(), _line(item))


def _instrument(fields: Schema, said: tuple[Node | None, ...], path: KeyPath) -> Iterator[Value]:
    """What is known of an instrument: from the first of the mappings that says it, else by default."""

    def find(name: str) -> Node | None:
        nodes = (mapping.child(name) for mapping in said if mapping is not None and mapping.is_mapping)
        return next((node for node in nodes if node is not None), None)

    for name, schema in fields.items():
        node = find(name)
        if node is not None:
            yield Value((*path, name), node.data(), _line(node))
        elif name == "exchange":
            sec_type = find("sec_type")
            exchange = _exchange("" if sec_type is None else sec_type.value)
            if exchange is not None:
                yield Value((*path, name), exchange, DEFAULT)
        elif "default" in schema:
            yield Value((*path, name), schema["default"], DEFAULT)


def _exchange(sec_type: str) -> str | None:
    known = {kind.value: kind for kind in SecType}
    return default_exchange(known.get(sec_type, SecType.STOCK))


def _line(node: Node) -> Origin:
    span = node.span
    return Origin("file", f"{span.file}:{span.line}", span)
