"""The tables of docs/spec.md, made from the schemas: `python -m runner.spec.reference docs/spec.md` rewrites them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runner.spec.codes import CODES
from runner.spec.config_schema import runner_schema
from runner.spec.fields import Schema
from runner.spec.schema import REQUIRED, params_schema, strategy_schema

_SECTION = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_DIRECTIONS = {"smaller_is_tighter": "smaller", "larger_is_tighter": "larger"}
_SKIPPED = re.compile(r"^params\.|\.with$")


def tables() -> dict[str, str]:
    """Name of a table in the page → its Markdown."""
    return {"keys": _keys(), "params": _params(), "codes": _codes(), "runner": _runner()}


def refreshed(page: str) -> str:
    """The page with every table between `<!-- table: NAME -->` and `<!-- end -->` made anew."""
    made = tables()
    return _SECTION.sub(lambda match: f"{match[1]}\n{made[match[2]]}\n{match[3]}", page)


def described(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Dotted path and schema of every described field; `*` stands for any key, `[]` for an entry of a list."""
    for name, below in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        if "description" in below:
            yield here, below
        yield from described(below, here)
    other = schema.get("additionalProperties")
    if isinstance(other, dict):
        yield from described(other, f"{path}.*")
    items = schema.get("items")
    if isinstance(items, dict) and "properties" in items:
        yield from described(items, f"{path}[]")


def _keys() -> str:
    rows = [
        (f"`{path}`", _kind(field), _default(path, field), field["description"])
        for path, field in described(strategy_schema())
        if not _SKIPPED.search(path) and not path.startswith("universe[]")
    ]
    return _table(("key", "kind", "default", "meaning"), rows)


def _params() -> str:
    rows = []
    for name, field in params_schema()["properties"].items():
        marks = field.get("x-runner", {})
        tighter = _DIRECTIONS.get(marks.get("direction") or "", "–")
        rows.append(
            (
                f"`{name}`",
                _plain(field["default"]),
                _limits(field),
                marks.get("unit", ""),
                tighter,
                field["description"],
            )
        )
    return _table(("parameter", "default", "limits", "unit", "tighter is", "meaning"), rows)


def _codes() -> str:
    return _table(("code", "meaning"), [(f"`{code}`", meaning) for code, meaning in CODES.items()])


def _runner() -> str:
    rows = [
        (f"`{path}`", _kind(field), _plain(field["default"]) if "default" in field else "", field["description"])
        for path, field in described(runner_schema())
    ]
    return _table(("key", "kind", "default", "meaning"), rows)


_WORDS = {
    "string": "text",
    "object": "mapping",
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
}


def _kind(field: Schema) -> str:
    if "enum" in field:
        choices = [str(word) for word in field["enum"]]
        return "one of " + ", ".join(f"`{word}`" for word in choices) if len(choices) <= 24 else "a code"
    if "const" in field:
        return f"`{field['const']}`"
    types = field.get("type", "")
    names = [_WORDS.get(name, name) for name in ([types] if isinstance(types, str) else types)]
    limits = _limits(field)
    return " or ".join(names) + (f", {limits}" if limits else "")


def _default(path: str, field: Schema) -> str:
    if path in REQUIRED or path == "bars.size":
        return "required"
    return _plain(field["default"]) if "default" in field else ""


def _limits(field: Schema) -> str:
    parts = []
    for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤")):
        if key in field:
            parts.append(f"{sign} {field[key]:g}")
    return ", ".join(parts)


def _plain(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def main(arguments: list[str]) -> int:
    """Rewrite the tables of the named page."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m runner.spec.reference docs/spec.md\n")
        return 2
    page = Path(arguments[0])
    page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
