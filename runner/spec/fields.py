"""Pieces of JSON Schema that the strategy's and the configuration's schemas share."""

from __future__ import annotations

from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def text(description: str, *, apply: str, pattern: str = "", maximum: int = 0, **more: Any) -> Schema:
    """A field that is read as it is written, whatever it looks like to YAML."""
    schema: Schema = {"type": "string", "description": description}
    if pattern:
        schema["pattern"] = pattern
    if maximum:
        schema["maxLength"] = maximum
    return schema | more | {"x-runner": {"apply": apply, "text": True}}


def choice(description: str, values: list[str], *, apply: str, default: str | None = None) -> Schema:
    """A field with a closed set of words."""
    schema: Schema = {"type": "string", "enum": values, "description": description}
    if default is not None:
        schema["default"] = default
    return schema | {"x-runner": {"apply": apply}}
