"""Pieces of JSON Schema that the strategy's and the configuration's schemas share, and what every field carries.

A field's annotations are under `x-runner`: `apply`, `direction`, `orders` (words of `runner.model.annotations`) and
`since`; where they mean something, `unit`, `zero_is_off`, `kind` (of the block that `use` names), `text` (a plain
scalar is read as it is written, so that the symbol TRUE stays a symbol) and `hint` (the next step after a value that
does not fit). A field that does not declare `apply`, `orders` or `since` has its section's; one without `direction` is
neutral. `annotated()` writes them all out.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from runner.model.annotations import FIRST_VERSION, Apply, Direction, Orders

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def text(
    description: str,
    *,
    apply: Apply,
    orders: Orders | None = None,
    direction: Direction | None = None,
    pattern: str = "",
    maximum: int = 0,
    **more: Any,
) -> Schema:
    """A field that is read as it is written, whatever it looks like to YAML."""
    schema: Schema = {"type": "string", "description": description}
    if pattern:
        schema["pattern"] = pattern
    if maximum:
        schema["maxLength"] = maximum
    return schema | more | {"x-runner": marks(apply, orders, direction, text=True)}


def choice(
    description: str,
    values: list[str],
    *,
    apply: Apply,
    orders: Orders | None = None,
    direction: Direction | None = None,
    default: str | None = None,
    **more: Any,
) -> Schema:
    """A field with a closed set of words."""
    schema: Schema = {"type": "string", "enum": values, "description": description}
    if default is not None:
        schema["default"] = default
    return schema | more | {"x-runner": marks(apply, orders, direction)}


def marks(
    apply: Apply, orders: Orders | None = None, direction: Direction | None = None, **more: Any
) -> dict[str, Any]:
    """The annotations that a field declares itself."""
    said: dict[str, Any] = {"apply": apply}
    if orders is not None:
        said["orders"] = orders
    if direction is not None:
        said["direction"] = direction
    return said | more


def annotated(schema: Schema) -> Schema:
    """`schema` with every annotation of every described field written out, what it inherits included.

    Raises TypeError for a field that neither declares nor inherits what a change of it takes and does: that is a
    mistake in this program.
    """
    return schema | _below(schema, {"since": FIRST_VERSION}, "")


def _annotated(schema: Schema, inherited: dict[str, str], path: str) -> Schema:
    own: dict[str, Any] = schema.get("x-runner", {})
    passed_on = inherited | {key: own[key] for key in ("apply", "orders", "since") if key in own}
    whole = schema | _below(schema, passed_on, path)
    if "description" not in schema:
        return whole
    for key in ("apply", "orders"):
        if key not in passed_on:
            raise TypeError(f"{path} does not say: {key}")
    said = {
        "apply": passed_on["apply"],
        "direction": own.get("direction"),
        "orders": passed_on["orders"],
        "since": passed_on["since"],
    }
    return whole | {"x-runner": said | own}


def _below(schema: Schema, inherited: dict[str, str], path: str) -> Schema:
    """The keywords of `schema` that hold fields, with these annotated."""
    changed: Schema = {}
    if "properties" in schema:
        changed["properties"] = {
            name: _annotated(field, inherited, f"{path}.{name}" if path else name)
            for name, field in schema["properties"].items()
        }
    for keyword, mark in (("additionalProperties", ".*"), ("items", "[]")):
        if isinstance(schema.get(keyword), dict):
            changed[keyword] = _annotated(schema[keyword], inherited, path + mark)
    if "allOf" in schema:
        changed["allOf"] = [case | {"then": _annotated(case["then"], inherited, path)} for case in schema["allOf"]]
    return changed


def words_of(schema: Schema) -> tuple[Any, ...]:
    """The words of a closed set, or those that are known of an open one: `anyOf` them and a form."""
    return tuple(word for form in schema.get("anyOf", (schema,)) for word in form.get("enum", ()))
