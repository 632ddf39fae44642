"""What somebody types on a command line to be set: a path of keys, and a value in YAML."""

from __future__ import annotations

import re
from typing import Any

from runner.errors import SpecError
from runner.spec.load import parse_text
from runner.spec.problems import KeyPath
from runner.spec.write import Verbatim, quoted

MAX_QUOTED = 40
"""Longest text that is shown again with the quotes that it needs."""
_KEY = re.compile(r"[^.\[\]\s](?:[^.\[\]]*[^.\[\]\s])?\Z")
_ENDS_FLOW = re.compile(r"[,\[\]{}]")


class NotTyped(SpecError):
    """What was typed is no path or no value."""


def parse_setting(text: str) -> tuple[KeyPath, Verbatim]:
    """`params.stop_loss=0.05`. Raises NotTyped."""
    path, mark, value = text.partition("=")
    if not mark:
        raise NotTyped(f'"{text[:80]}" is not of the form params.stop_loss=0.05')
    return parse_path(path.strip()), parse_value(value.strip())


def parse_path(text: str) -> KeyPath:
    """`signals.trend.with.fast` as a path of keys. Raises NotTyped."""
    parts = text.split(".")
    if not all(_KEY.match(part) for part in parts):
        hint = "the entries of a list are set as a whole" if "[" in text else ""
        raise NotTyped(f'"{text[:80]}" is not the path of a key, such as params.stop_loss', hint=hint)
    return tuple(parts)


def parse_value(text: str) -> Verbatim:
    """A value as YAML that can stand anywhere, kept as it was typed: 0700 stays a symbol. Raises NotTyped."""
    document = parse_text(f"value: {text}", file="")
    node = None if document.root is None else document.root.child("value")
    if document.problems or node is None or "\n" in text:
        reason = document.problems[0].message if document.problems else "it has to be one value on one line"
        number = any(problem.code == "Y108" for problem in document.problems)
        is_short = not number and len(text) <= MAX_QUOTED and "'" not in text
        hint = f"if it is meant as text, type '{quoted(text)}'" if is_short else ""
        raise NotTyped(f'"{text[:80]}" is not a value: {reason}', hint=hint)
    if not node.raw and node.value is None:
        return Verbatim("null")
    source = document.text[node.span.start : node.span.end].strip()
    # Between brackets a comma or a bracket would end plain text.
    return Verbatim(quoted(source) if node.plain and _ENDS_FLOW.search(source) else source)


def value_of(typed: Verbatim) -> Any:
    """What a value that was typed comes to, as data."""
    root = parse_text(f"value: {typed}", file="").root
    assert root is not None
    return root.data()["value"]
