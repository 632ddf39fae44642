"""Blocks and exits as a list and as pages for people: what `runner blocks` and `runner explain` show of them.

It works off a catalog, so one with plugged-in blocks is shown like the built-in one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runner.blocks import Kind, build, summary
from runner.catalog import BUILT_IN, Catalog, bars, example_of, prose, settings_of_example
from runner.exits import RULES
from runner.spec.described import Field, fields_of
from runner.spec.parts import Grid, Part

SECTIONS: Mapping[Kind, str] = {
    Kind.SIGNAL: "signals.*.",
    Kind.COMBINE: "combine.",
    Kind.SIZING: "sizing.",
    Kind.EXIT: "exits.*.",
}
"""How the paths of the settings of a kind's blocks begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block or exit. `about` is Markdown, `example` a piece of a strategy file."""

    kind: Kind
    """Of an exit among the parameters too, which is switched on and not used."""
    name: str
    summary: str
    about: str
    parameters: tuple[Field, ...]
    example: str
    warmup: int | None
    """Bars it needs before its first value with its defaults; None when it needs none, or has no defaults."""
    example_warmup: int | None
    """The same with the settings of the example."""

    def page(self) -> tuple[Part, ...]:
        """All there is to say."""
        parts: list[Part] = [f"## {self.name} ({self.kind})\n\n{self.about}"]
        if self.parameters:
            heads = ("parameter", "type", "default", "unit", "tighter is", "what it is")
            rows = tuple(_row(field) for field in self.parameters)
            parts.append(Grid(heads, rows, folding=("type", "unit", "what it is")))
        else:
            parts.append("No parameters.")
        parts.append(f"```yaml\n{self.example}```")
        if history := self._history():
            parts.append(history)
        return tuple(parts)

    def data(self) -> dict[str, Any]:
        """All there is to say, as plain data."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "summary": self.summary,
            "about": self.about,
            "parameters": [field.data() for field in self.parameters],
            "warmup_bars": self.warmup,
            "example": self.example,
            "example_warmup_bars": self.example_warmup,
        }

    def _history(self) -> str:
        if self.example_warmup is None:
            return ""
        if self.warmup is None or self.warmup == self.example_warmup:
            return f"Needs {bars(self.example_warmup)} before its first value."
        return (
            f"Needs {bars(self.warmup)} before its first value with its defaults, "
            f"{bars(self.example_warmup)} with the settings above."
        )


def blocks_of(catalog: Catalog = BUILT_IN) -> tuple[Block, ...]:
    """Every block of the catalog by kind, then the exits among the parameters."""
    fields = fields_of(catalog)
    return (*_blocks(catalog, fields), *_rules(fields))


def _blocks(catalog: Catalog, fields: tuple[Field, ...]) -> Iterator[Block]:
    for kind, classes in catalog.tables.items():
        for name, cls in classes.items():
            yield Block(
                kind=kind,
                name=name,
                summary=summary(cls),
                about=prose(cls),
                parameters=tuple(f for f in fields if f.block == name and f.path.startswith(SECTIONS[kind])),
                example=example_of(kind, cls),
                warmup=_warmup(kind, cls, {}),
                example_warmup=_warmup(kind, cls, settings_of_example(cls)),
            )


def _rules(fields: tuple[Field, ...]) -> Iterator[Block]:
    by_path = {field.path: field for field in fields}
    for name, rule in RULES.items():
        switch = by_path[f"params.{name}"]
        about = inspect.getdoc(rule) or ""
        yield Block(
            kind=Kind.EXIT,
            name=name,
            summary=" ".join(about.split("\n\n")[0].split()),
            about=about,
            parameters=(switch,),
            example=switch.example,
            warmup=None,
            example_warmup=None,
        )


def _warmup(kind: Kind, cls: type[Any], settings: Mapping[str, Any]) -> int | None:
    if kind is Kind.COMBINE:
        return None
    try:
        found: int = build(cls, settings).warmup
    except ValueError:
        # A block with a parameter that has to be given has no defaults to speak of.
        return None
    return found


def _row(field: Field) -> tuple[str, ...]:
    default = "required" if field.required else field.default
    return (field.name, field.kind_and_limits, default, field.unit, field.tighter, field.description)
