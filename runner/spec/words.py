"""How values, fields and mistakes are called in messages: the author's words, no programmer's."""

from __future__ import annotations

from typing import Any

from runner.spec.load import Node

_TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping (keys and values)",
    "null": "null",
}


def types_named(types: str | list[str]) -> str:
    """JSON Schema's types in words: `text, a list or a mapping`."""
    names = [_TYPES.get(name, name) for name in ([types] if isinstance(types, str) else types)]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]


def shown(value: Any, node: Node | None = None) -> str:
    """A value as the author wrote it, short enough for one line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if node is not None and node.plain and node.raw and not isinstance(value, str):
        return node.raw
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.12g}" if abs(value) < 1e15 else repr(value)[:40]
    text = str(value)
    return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}…"'
