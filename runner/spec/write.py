"""Plain data as YAML text that reads back as the same data.

Values are quoted wherever YAML 1.1 or 1.2 would take them for something else; keys, which are always text to this
runner, only where they are no plain word, so that `on:` looks as everywhere. Mappings are written a key a line, lists
of single values on one line when it is short enough, mappings inside lists in one line each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

MAX_LINE = 100
"""Longest line that a list is written on."""
INDENT = "  "
MAX_WHOLE = 1e15
"""Below it a number without a fraction is written without a point."""

_PLAIN = re.compile(r"[A-Za-z0-9_./$][^\x00-\x1f\x7f#:\\]*\Z")
_ENDS_FLOW = re.compile(r"[,\[\]{}]")
"""Between brackets these end plain text."""
_KEY = re.compile(r"[A-Za-z_][\w-]*\Z", re.ASCII)
_COLON_INSIDE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z", re.ASCII)
"""`package.module:function` needs no quotes."""
_CORE_NUMBER = re.compile(r"[-+]?[0-9.][0-9eExXoOa-fA-F.+-]*\Z")
_OLD_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"])


class Verbatim(str):
    """YAML text of one line that is written as it is."""

    __slots__ = ()


def scalar(value: Any, *, bracketed: bool = False) -> str:
    """One value that is neither a mapping nor a list; `bracketed` when it stands between brackets."""
    if isinstance(value, Verbatim):
        return str(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return text if _is_plain(text) and not (bracketed and _ENDS_FLOW.search(text)) else quoted(text)


def key_text(name: str) -> str:
    """A key."""
    return name if _KEY.match(name) else scalar(name, bracketed=True)


def quoted(text: str) -> str:
    """Text in double quotes."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(char) or (char if char.isprintable() else _escaped(char)) for char in text) + '"'


def flow(value: Any, *, bracketed: bool = False) -> str:
    """Any value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key_text(name)}: {flow(item, bracketed=True)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item, bracketed=True) for item in value) + "]"
    return scalar(value, bracketed=bracketed)


def block(data: Mapping[str, Any], depth: int = 0) -> str:
    """A mapping a key a line, each line ended, `depth` levels indented."""
    return "".join(line + "\n" for name, value in data.items() for line in _entry(name, value, INDENT * depth))


def _entry(name: str, value: Any, indent: str) -> list[str]:
    head = f"{indent}{key_text(name)}:"
    inner = indent + INDENT
    if isinstance(value, Mapping) and value:
        return [head, *(line for below, item in value.items() for line in _entry(below, item, inner))]
    if isinstance(value, list | tuple) and value:
        line = f"{head} {flow(value)}"
        if len(line) <= MAX_LINE and not any(isinstance(item, Mapping) for item in value):
            return [line]
        return [head, *(f"{inner}- {flow(item)}" for item in value)]
    return [f"{head} {flow(value)}"]


def _is_plain(text: str) -> bool:
    if _COLON_INSIDE.match(text):
        return True
    if not _PLAIN.match(text) or text != text.strip() or not text.isprintable():
        return False
    if text.casefold() in _OLD_WORDS or _CORE_NUMBER.match(text):
        return False
    resolvers: Mapping[str | None, list[tuple[str, re.Pattern[str]]]] = yaml.SafeLoader.yaml_implicit_resolvers
    return not any(pattern.match(text) for _, pattern in resolvers.get(text[0], []))


def _float(value: float) -> str:
    if value.is_integer() and abs(value) < MAX_WHOLE:
        return str(int(value))
    text = repr(value)
    mantissa, mark, exponent = text.partition("e")
    # Without the point YAML 1.1 takes 1e-05 for text.
    return f"{mantissa}.0e{exponent}" if mark and "." not in mantissa else text


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
