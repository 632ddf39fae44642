"""Every key that a file may have, read from the schemas: what pages, tables and `explain` say about a field.

Paths are dotted; `*` stands for an id of the author's own and `[]` for an entry of a list: `signals.*.with.fast`,
`universe.symbols[].currency`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from runner.catalog import BUILT_IN, Catalog
from runner.model.annotations import APPLY, DIRECTION, NEUTRAL, ORDERS, Direction, Effect, tighter
from runner.spec.config_schema import runner_schema
from runner.spec.fields import Schema, words_of
from runner.spec.notation import MAX_VALUE
from runner.spec.schema import strategy_schema
from runner.spec.write import block

File: TypeAlias = Literal["strategy", "runner.yaml"]

MAX_CHOICES = 24
"""A closed set of more words than this is not listed."""
OWN_IDS = {"signals": "my_signal", "exits": "my_exit", "given": "AAPL", "positions": "AAPL", "orders": "AAPL"}
"""Section → what stands for an id of the author's own, or for a symbol, in examples."""

_TYPES = {
    "string": "text",
    "object": "mapping",
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
}
_TOKEN = re.compile(r"[^.\[\]]+|\[\]")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One key that a file may have."""

    path: str
    file: File
    block: str
    """The block whose setting it is; empty for a key of the format itself."""
    schema: Schema
    required: bool
    samples: Mapping[str, Any]
    """What the keys beside it need before an example of this one is whole: `use` beside `with`, `symbol` in a list."""

    @property
    def name(self) -> str:
        """The key itself."""
        return str(_TOKEN.findall(self.path)[-1])

    @property
    def short(self) -> str:
        """`sma_cross.fast` for a setting of a block, else the path."""
        return f"{self.block}.{self.name}" if self.block else self.path

    @property
    def description(self) -> str:
        return str(self.schema["description"])

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys below it."""
        return tuple(self.schema.get("properties", ()))

    @property
    def choices(self) -> tuple[Any, ...]:
        """The words that it knows, when these are a closed set, or one but for what is `besides`."""
        return words_of(self.schema)

    @property
    def besides(self) -> str:
        """What may be written in place of a known word: a block of another package."""
        return ", or package:name" if "anyOf" in self.schema else ""

    @property
    def kind(self) -> str:
        """What may be written, in words, limits left out: `whole number`, `one of …`."""
        if self.choices:
            words = [str(word) for word in self.choices if word is not None]
            nothing = ", or null" if None in self.choices else ""
            return ("one of " + ", ".join(words) if len(words) <= MAX_CHOICES else "a code") + nothing + self.besides
        if "const" in self.schema:
            return str(self.schema["const"])
        types = self.schema.get("type", "")
        return " or ".join(_TYPES.get(name, name) for name in ([types] if isinstance(types, str) else types))

    @property
    def limits(self) -> str:
        """`≥ 0, ≤ 1`; of names with numbers, those of the numbers; of text and lists, how long they may be."""
        other = self.schema.get("additionalProperties")
        return _limits(self.schema) or (_limits(other) if isinstance(other, dict) else "")

    @property
    def kind_and_limits(self) -> str:
        return f"{self.kind}, {self.limits}" if self.limits else self.kind

    @property
    def default(self) -> str:
        """As it would be written; empty when there is none."""
        return written(self.schema["default"]) if "default" in self.schema else ""

    @property
    def unit(self) -> str:
        return str(self._marks.get("unit", ""))

    @property
    def zero_is_off(self) -> bool:
        """0 switches it off, so that 0 is its loosest value whatever the direction says."""
        return bool(self._marks.get("zero_is_off"))

    @property
    def apply(self) -> str:
        return str(self._marks["apply"])

    @property
    def orders(self) -> str:
        return str(self._marks["orders"])

    @property
    def effect(self) -> Effect:
        """What a change does to orders and positions."""
        return ORDERS[self._marks["orders"]]

    @property
    def direction(self) -> Direction | None:
        found: Direction | None = self._marks["direction"]
        return found

    @property
    def tighter(self) -> str:
        """Which way is tighter, in one word for a table; empty when neither is."""
        return tighter(self.direction)

    @property
    def since(self) -> str:
        return str(self._marks["since"])

    @property
    def _marks(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.schema["x-runner"]
        return found

    def data(self) -> dict[str, Any]:
        """All there is to say, as plain data."""
        return {
            "path": self.path,
            "file": self.file,
            "block": self.block or None,
            "key": self.name,
            "description": self.description,
            "type": self.kind,
            "limits": self.limits or None,
            "unit": self.unit or None,
            "required": self.required,
            "default": self.schema.get("default"),
            "zero_is_off": self.zero_is_off,
            "apply": self.apply,
            "direction": self.direction,
            "orders": self.orders,
            "since": self.since,
            "means": meaning(self),
            "keys": list(self.keys),
            "example": self.example or None,
        }

    @cached_property
    def example(self) -> str:
        """A piece of YAML with the key in its place; empty for a section."""
        values = [*self.schema.get("examples", ()), *self.choices]
        values += [self.schema[key] for key in ("const", "default") if key in self.schema]
        if not values:
            return ""
        data: Any = values[0]
        tokens = _TOKEN.findall(self.path)
        for i in range(len(tokens) - 1, -1, -1):
            here = "".join(token if token == "[]" else f".{token}" for token in tokens[:i]).lstrip(".")
            if tokens[i] == "[]":
                data = [data]
            else:
                beside = {key: value for key, value in self.samples.get(here, {}).items() if key != tokens[i]}
                section = next((token for token in reversed(tokens[:i]) if token != "[]"), "")
                data = beside | {OWN_IDS[section] if tokens[i] == "*" else tokens[i]: data}
        return block(data)


def fields_of(catalog: Catalog = BUILT_IN) -> tuple[Field, ...]:
    """Every field of strategy files, settings of blocks included, then every field of runner.yaml."""
    strategy, config = strategy_schema(catalog), runner_schema()
    return (
        *_walk(strategy, strategy.get("then", {}), "", "strategy", "", {}),
        *_walk(config, {}, "", "runner.yaml", "", {}),
    )


def matches(field: Field, word: str) -> bool:
    """Whether `word` names the field: its path, also with ids and numbers in place of `*` and `[]`, or `block.key`."""
    if word in (field.path, field.short):
        return True
    word = re.sub(r"^universe(?=\[)", "universe.symbols", word)
    return re.fullmatch(_pattern(field.path), word) is not None


def meaning(field: Field) -> dict[str, str]:
    """What the field's annotations say, in sentences."""
    way = DIRECTION[field.direction] if field.direction is not None else NEUTRAL
    if field.zero_is_off and field.direction is not None:
        way += "; 0 is off, which is the loosest"
    return {
        "direction": way,
        "apply": APPLY[field._marks["apply"]],
        "working_orders": field.effect.working_orders,
        "positions": field.effect.positions,
    }


def written(value: Any) -> str:
    """A default as a file would have it; text without quotes."""
    return value if isinstance(value, str) else json.dumps(value)


def _limits(schema: Schema) -> str:
    signs = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
    # What any number is below is not worth a word.
    parts = [f"{sign} {schema[key]:.12g}" for key, sign in signs if key in schema and abs(schema[key]) < MAX_VALUE]
    if "maxLength" in schema:
        parts.append(f"at most {schema['maxLength']} characters")
    if "maxItems" in schema:
        low, high = schema.get("minItems", 0), schema["maxItems"]
        parts.append(f"exactly {high} entries" if low == high else f"at most {high} entries")
    return ", ".join(parts)


def _pattern(path: str) -> str:
    parts = []
    for token in _TOKEN.findall(path):
        if token == "[]":
            parts.append(r"(?:\[(?:[0-9]*|\*)\])?")
        else:
            parts.append((r"\." if parts else "") + (r"[^.\[\]]+" if token == "*" else re.escape(token)))
    return "".join(parts)


def _walk(
    schema: Schema, demanded: Schema, path: str, file: File, block_name: str, samples: Mapping[str, Any]
) -> Iterator[Field]:
    """The fields below `path`. `demanded` is what the merged file has to have beyond `schema`."""
    required = {*schema.get("required", ()), *demanded.get("required", ())}
    for name, below in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        further = demanded.get("properties", {}).get(name, {})
        if "description" in below:
            yield Field(
                path=here, file=file, block=block_name, schema=below, required=name in required, samples=samples
            )
        yield from _walk(below, further, here, file, block_name, samples)
    for case in schema.get("allOf", ()):
        use = case["if"]["properties"]["use"]["const"]
        settings = case["then"]["properties"]["with"]
        beside = {**samples, path: {"use": use}, **_needed(settings, f"{path}.with")}
        yield from _walk(settings, {}, f"{path}.with", file, use, beside)
    other = schema.get("additionalProperties")
    if isinstance(other, dict):
        beside = {**samples, **_needed(other, f"{path}.*")}
        yield from _walk(other, demanded.get("additionalProperties", {}), f"{path}.*", file, block_name, beside)
    items = schema.get("items")
    # A list directly under `universe` is the short form of `universe.symbols`; its fields are described there.
    if isinstance(items, dict) and path != "universe":
        beside = {**samples, **_needed(items, f"{path}[]")}
        yield from _walk(items, {}, f"{path}[]", file, block_name, beside)


def _needed(schema: Schema, path: str) -> dict[str, Any]:
    """Examples of what has to be beside any of the keys of `schema`."""
    values = {name: schema["properties"][name].get("examples", [None])[0] for name in schema.get("required", ())}
    return {path: values}
