"""The one list of blocks: what a strategy file can `use`, and the reference page made from it.

`python -m runner.catalog` prints docs/blocks.md.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from runner.blocks import Kind, build, parameter_table
from runner.combine import COMBINES
from runner.exits import EXITS, RULES
from runner.signals import SIGNALS
from runner.sizing import SIZINGS


class Fault(StrEnum):
    """What can be wrong with code that was plugged in."""

    NOT_ALLOWED = "not allowed"
    IMPORT = "import"
    MISSING = "missing"
    LATE = "late"
    ENDED = "ended"
    """It ends the process."""
    NOT_A_BLOCK = "not a block"
    NO_HOOK = "no hook"


@dataclass(frozen=True, slots=True)
class Unusable:
    """Plugged-in code that was asked for and cannot be used. `message` goes on from its name: `is missing: …`."""

    fault: Fault
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """The blocks that a file may use, by kind and name. `BUILT_IN` has ours; plugged-in ones are `package:name`."""

    tables: Mapping[Kind, Mapping[str, type[Any]]]
    unusable: Mapping[tuple[Kind, str], Unusable] = field(default_factory=dict)
    """Plugged-in blocks that were imported, or were to be, and cannot be used."""

    def blocks(self, kind: Kind) -> Mapping[str, type[Any]]:
        """Blocks of one kind by name."""
        return self.tables[kind]

    def find(self, kind: Kind, name: str) -> type[Any]:
        """The block class of that name; ValueError when there is none."""
        found = self.tables[kind].get(name)
        if found is None:
            raise ValueError(f'there is no {kind} block called "{name}"; there are: {", ".join(self.tables[kind])}')
        return found


def _by_name(classes: Iterable[Any]) -> Mapping[str, type[Any]]:
    return MappingProxyType({cls.name: cls for cls in classes})


BUILT_IN = Catalog(
    MappingProxyType(
        {
            Kind.SIGNAL: _by_name(SIGNALS),
            Kind.COMBINE: _by_name(COMBINES),
            Kind.SIZING: _by_name(SIZINGS),
            Kind.EXIT: _by_name(EXITS),
        }
    )
)


def reference() -> str:
    """The reference page of all blocks and of the exits among the parameters, in Markdown."""
    parts = [_INTRODUCTION]
    for kind, introduction in _SECTIONS.items():
        parts.append(f"## {introduction}")
        parts += [_block_page(kind, cls) for cls in BUILT_IN.blocks(kind).values()]
    parts.append(f"## {_RULES_SECTION}")
    parts += [f"### {name}\n\n{prose(rule)}" for name, rule in RULES.items()]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """# Blocks

What a strategy file can `use`. This page is generated from the blocks themselves: `python -m runner.catalog`.

Scores are in [-1, 1]: +1 long, -1 short, 0 flat. Weights are signed fractions of strategy equity. A value at a bar
depends on that bar and earlier ones only. An instrument without a bar keeps its last score; nothing is said before its
warm-up is over. The warm-up below each example is what that example needs."""

_SECTIONS = {
    Kind.SIGNAL: "Signals: prices to scores",
    Kind.COMBINE: "Combine: several scores to one",
    Kind.SIZING: "Sizing: scores to weights",
    Kind.EXIT: """Exits: prices to what must be left

Named under `exits`, each under an id of your own; several may be. What one of them says to leave is left, whatever the
signals want, and not entered while it says so. After an exit its side is not entered again until the wanted weight has
left it. They are asked at every look at the bars, like the exits among the parameters and after them.""",
}

_RULES_SECTION = """Exits among the parameters

Each is switched on by the parameter of its name under `params`. After an exit its side is not entered again until the
wanted weight has left it. Asked in this order; a bar that opened beyond the profit target had reached it first."""


def _block_page(kind: Kind, cls: type[Any]) -> str:
    lines = [f"### {cls.name}", prose(cls), parameter_table(cls), f"```yaml\n{example_of(kind, cls)}```"]
    if kind is not Kind.COMBINE:
        lines.append(f"Warm-up: {bars(build(cls, settings_of_example(cls)).warmup)}.")
    return "\n\n".join(lines)


def bars(count: int) -> str:
    """`1 bar`, `50 bars`."""
    return f"{count} bar{'s' if count != 1 else ''}"


def prose(thing: Any) -> str:
    """A docstring as Markdown; its Returns, Raises and Source lines become a list."""
    return re.sub(r"(?m)^(Returns|Raises|Source):", r"- \1:", inspect.getdoc(thing) or "")


def settings_of_example(cls: type[Any]) -> Mapping[str, Any]:
    """The settings that a block gives as its example; none when it gives none."""
    found: Mapping[str, Any] = getattr(cls, "example", {})
    return found


def example_of(kind: Kind, cls: type[Any]) -> str:
    """How a file uses the block, with the settings of its example, as YAML."""
    named = kind in (Kind.SIGNAL, Kind.EXIT)
    indent = "    " if named else "  "
    settings = settings_of_example(cls)
    lines = [f"{kind}s:", f"  my_{kind}:"] if named else [f"{kind}:"]
    lines.append(f"{indent}use: {cls.name}")
    if settings:
        lines.append(f"{indent}with: {_flow(settings)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """A value in YAML's one-line form."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    print(reference(), end="")
