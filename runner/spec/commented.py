"""A strategy file written out of the schemas: every comment, limit and default in it is the field's own.

What is said is written as it is; what could be said beside it, in the same sections, is written as commented-out lines
with defaults, so that the file shows what there is.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runner.catalog import BUILT_IN, Catalog
from runner.spec.described import OWN_IDS, Field, fields_of
from runner.spec.write import INDENT, flow, key_text

COMMENT_COLUMN = 30
"""Where comments begin, unless the line itself is longer."""
MAX_LINE = 116
LONGEST_CODE = 50
"""A line longer than this has its comment above it."""
LEAST_WIDTH = 40
MAX_CHOICES = 6
"""A closed set of more words is not listed in a comment."""
_SIGN = re.compile("([≥≤<>]) ")
STEP = len(INDENT)
ONE_OF_SEVERAL = ("universe",)
"""Sections in which one key excludes another, so that those that are not said are better not shown."""

EXPLAIN = (
    "Lines that are commented out show defaults, or an example where there is none. "
    "`runner explain params.stop_loss` says more about a key."
)


def commented(
    said: Mapping[str, Any], *, title: str, schema: str, shown: tuple[str, ...] = (), catalog: Catalog = BUILT_IN
) -> str:
    """The text of a strategy file that says `said`.

    `title` stands at its head, `schema` is the path to the JSON Schema for editors, `shown` are sections that are there
    as commented-out lines although nothing of them is said.
    """
    lines = [f"# yaml-language-server: $schema={schema}", "#"]
    lines += _comments(title, 0) + _comments(EXPLAIN, 0)
    for line in _Writer(said, shown, fields_of(catalog)).lines():
        lines += line.written()
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the file, with the comment after it. Without `text` the comment stands alone."""

    text: str
    indent: int = 0
    comment: str = ""
    off: int | None = None
    """The column of the mark that comments the line out; None for a line that counts."""

    def written(self) -> list[str]:
        if not self.text:
            return _comments(self.comment, self.indent) if self.comment else [""]
        left = " " * self.indent if self.off is None else f"{' ' * self.off}# {' ' * (self.indent - self.off)}"
        code = left + self.text
        if not self.comment:
            return [code]
        if len(code) > LONGEST_CODE:
            return [*_comments(self.comment, self.indent if self.off is None else self.off), code]
        column = max(COMMENT_COLUMN, len(code) + 2)
        first, *more = _comments(self.comment, column)
        return [code.ljust(column) + first.lstrip(), *more]


class _Writer:
    """What is said, line by line, and what could be said beside it."""

    def __init__(self, said: Mapping[str, Any], shown: tuple[str, ...], fields: tuple[Field, ...]) -> None:
        self._said = said
        self._shown = shown
        self._fields = [one for one in fields if one.file == "strategy"]

    def lines(self) -> Iterator[_Line]:
        known = {one.name: one for one in self._fields if "." not in one.path}
        apart = True
        for name in [*known, *(name for name in self._said if name not in known)]:
            if name not in self._said and name not in self._shown:
                continue
            whole = name in self._said and not isinstance(self._said[name], Mapping)
            if apart or not whole:
                yield _Line("")
            apart = not whole
            if whole:
                yield _Line(f"{key_text(name)}: {flow(self._said[name])}")
            else:
                if name in known:
                    yield _Line("", comment=known[name].description)
                yield from self._section(name)

    def _section(self, name: str) -> Iterator[_Line]:
        off = None if name in self._said else 0
        said = self._said.get(name, {})
        yield _Line(f"{key_text(name)}:", off=off)
        if name in OWN_IDS:
            for own_id, block in (said or {OWN_IDS[name]: {}}).items():
                yield _Line(f"{key_text(own_id)}:", STEP, off=off)
                yield from self._block(f"{name}.*", block, 2 * STEP, off)
        elif name in ("combine", "sizing"):
            yield from self._block(name, said, STEP, off)
        elif any(one.path.startswith(f"{name}.") for one in self._fields):
            yield from self._keys(name, "", said, STEP, off)
        else:
            example: Mapping[str, Any] = next(
                (one.schema["examples"][0] for one in self._fields if one.path == name), {}
            )
            yield from (_Line(f"{key_text(k)}: {flow(v)}", STEP, off=off) for k, v in (said or example).items())

    def _block(self, path: str, said: Any, indent: int, off: int | None) -> Iterator[_Line]:
        if not isinstance(said, Mapping):
            yield _Line(flow(said), indent)
            return
        if off is not None:
            use = next(one for one in self._fields if one.path == f"{path}.use")
            yield _Line(f"use: {use.choices[0]}", indent, use.kind, off)
            return
        settings = said.get("with", {})
        for name, value in said.items():
            if name != "with" or not isinstance(value, Mapping):
                yield _Line(f"{key_text(name)}: {flow(value)}", indent)
        if isinstance(settings, Mapping):
            unsaid = None if settings else indent
            lines = list(self._keys(f"{path}.with", str(said.get("use", "")), settings, indent + STEP, unsaid))
            if lines:
                yield _Line("with:", indent, off=unsaid)
                yield from lines

    def _keys(self, path: str, block: str, said: Mapping[str, Any], indent: int, off: int | None) -> Iterator[_Line]:
        """A line for every key there can be: those that are said, and the others commented out."""
        known = [one for one in self._fields if one.block == block and one.path == f"{path}.{one.name}"]
        for one in known:
            if one.name in said:
                yield _Line(f"{key_text(one.name)}: {flow(said[one.name])}", indent, _about(one), off)
            elif path not in ONE_OF_SEVERAL and (usual := _usual(one)) is not None:
                yield _Line(f"{key_text(one.name)}: {usual}", indent, _about(one), indent if off is None else off)
        names = {one.name for one in known}
        yield from (_Line(f"{key_text(k)}: {flow(v)}", indent, off=off) for k, v in said.items() if k not in names)


def _usual(one: Field) -> str | None:
    """What a commented-out line shows: the default, else an example."""
    if "default" in one.schema:
        return flow(one.schema["default"])
    examples = one.schema.get("examples", ())
    return flow(examples[0]) if examples else None


def _about(one: Field) -> str:
    numeric = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}
    limits = one.limits if numeric.intersection(one.schema) else ""
    choices = one.kind if 0 < len(one.choices) <= MAX_CHOICES else ""
    facts = ", ".join(fact for fact in (choices, one.unit, limits) if fact)
    return f"{one.description} ({facts})" if facts else one.description


def _comments(text: str, column: int) -> list[str]:
    width = max(MAX_LINE - column, LEAST_WIDTH)
    tied = _SIGN.sub("\\1\N{NO-BREAK SPACE}", text)  # a limit stays on one line
    lines = textwrap.wrap(tied, width, break_on_hyphens=False)
    return [f"{' ' * column}# {line}".replace("\N{NO-BREAK SPACE}", " ") for line in lines]
