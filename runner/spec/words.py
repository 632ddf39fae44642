"""How values, fields and mistakes are called in messages: the author's words, no programmer's."""

from __future__ import annotations

import re
from typing import Any

from runner.spec.load import Node

_PERCENT = re.compile(r"\s*([-+]?[0-9]+(?:\.[0-9]+)?)\s*%\s*\Z", re.ASCII)
_SEPARATED = re.compile(r"[-+]?[0-9]{1,3}(?:[_,' ][0-9]{3})+(?:\.[0-9]+)?\Z|[0-9]+(?:_[0-9]+)+\Z", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})\Z", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\Z", re.ASCII)
_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
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


def type_hint(expected: str | list[str], value: Any, node: Node | None, *, time: bool = False) -> str:
    """The next step when a value has the wrong type; empty when there is nothing better than the message."""
    types = [expected] if isinstance(expected, str) else expected
    numeric = "number" in types or "integer" in types
    if isinstance(value, str):
        return _text_hint(value, types, numeric)
    if time and isinstance(value, int) and not isinstance(value, bool):
        digits = f"{value:04d}"
        plausible = len(digits) == 4 and int(digits[:2]) < 24 and int(digits[2:]) < 60
        return f'write times in quotes: "{digits[:2]}:{digits[2:]}"' if plausible else 'write times in quotes: "15:45"'
    if types == ["integer"] and isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"write {int(value)}"
    if numeric and value is False:
        return "write 0"
    if types == ["string"] and node is not None and node.plain and not isinstance(value, dict | list):
        return f'put it in quotes: "{node.raw}"' if node.raw else "write a value, or remove the key"
    if value is None:
        return "write a value, or remove the key"
    return ""


def _text_hint(value: str, types: list[str], numeric: bool) -> str:
    percent = _PERCENT.match(value)
    if numeric and percent is not None:
        return f"write the fraction {float(percent[1]) / 100:.10g}"
    if numeric and _SEPARATED.match(value):
        return f"write {re.sub('[_, ]', '', value)}, without separators".replace("'", "")
    if numeric and _DECIMAL_COMMA.match(value):
        return f"write {value.replace(',', '.')}, with a point"
    if numeric and _NUMBER.match(value):
        return f"write {value} without quotes"
    if "boolean" in types and value.casefold() in _YES_NO:
        return f"write {_YES_NO[value.casefold()]}; only true and false are yes and no in YAML 1.2"
    if "boolean" in types and value.casefold() in ("true", "false"):
        return f"write {value.casefold()} without quotes"
    if types == ["array"]:
        return f"write a list: [{value}]"
    return ""
