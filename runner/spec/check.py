"""A document against its JSON Schema: jsonschema judges, and each verdict becomes a `Problem` at its own place.

Three things are ours on top of the standard: 14.0 is not a whole number; a pattern means the whole text, a trailing
line break included; and a field that is text by its schema is read as it is written before anything is judged, so
that a symbol called TRUE or 0700 stays one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry

from runner.spec.fields import Schema
from runner.spec.load import Entry, Node
from runner.spec.problems import NO_STEP, KeyPath, Problem, Span, Step, dotted, error, warning
from runner.spec.spelling import meant
from runner.spec.steps import form_step, fraction_hint, instead, part_colon, rename, type_step, write
from runner.spec.times import CLOCK_PATTERN, EVERY_PATTERN, TIME_PATTERN
from runner.spec.words import shown, types_named

MAX_LISTED = 8
"""Choices named in the message; more go into the hint."""
_FORMS = {
    CLOCK_PATTERN: 'a time such as "09:35"',
    TIME_PATTERN: 'a time such as "15:45", close-20m or open+5m',
    EVERY_PATTERN: "a duration such as 5m, 1h or 30s",
}
_GLUED_KEY = re.compile(r"\s[A-Za-z_][\w-]*:(?=\S)", re.ASCII)
"""Where a line `key:value` begins in lines that were read as one text."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """What jsonschema said, typed: keyword `keyword` with value `limit` in `schema` refused `value` at `path`."""

    keyword: str
    limit: Any
    value: Any
    path: KeyPath
    schema: Schema
    message: str
    of_key: bool
    """It is a mapping's key that was refused, at the path of the mapping."""


def _failure(exc: ValidationError) -> _Failure:
    schema: Any = exc.schema
    return _Failure(
        keyword=str(exc.validator),
        limit=exc.validator_value,
        value=exc.instance,
        path=tuple(exc.absolute_path),
        schema=schema if isinstance(schema, dict) else {},
        message=exc.message[:200],
        of_key="propertyNames" in exc.absolute_schema_path,
    )


class Checker:
    """One schema, compiled once. `known` lists, per kind of block, the names that `use` may have."""

    def __init__(
        self,
        schema: Schema,
        *,
        known: Mapping[str, Mapping[str, Any]] | None = None,
        moved: Mapping[str, str] | None = None,
    ) -> None:
        self._schema = schema
        self._validator = _validator_class()(schema, registry=Registry())
        self._known = known or {}
        self._moved = moved or {}
        """Dotted path of a key that does not belong there → what to write."""

    def check(self, root: Node) -> tuple[Node, list[Problem]]:
        problems: list[Problem] = []
        root = _read_text(root, self._schema, (), problems)
        if not root.is_mapping:
            problems.append(_no_mapping(root))
            return root, problems
        failures = _told_apart([_failure(exc) for exc in self._validator.iter_errors(root.data())])
        unknown: dict[KeyPath, set[str]] = {}
        for failure in failures:
            if failure.keyword == "additionalProperties":
                problems += self._unknown_keys(failure, root, unknown)
        for failure in failures:
            if failure.keyword != "additionalProperties":
                problems += self._problems(failure, root, unknown)
        return root, problems

    def _problems(self, failure: _Failure, root: Node, unknown: Mapping[KeyPath, set[str]]) -> Iterator[Problem]:
        path = failure.path
        if failure.keyword == "required":
            properties = failure.schema.get("properties", {}) | (self._schema["properties"] if not path else {})
            yield from _missing(failure, path, root, unknown, properties)
            return
        if failure.of_key:
            yield self._bad_key(failure, path, root)
            return
        name, value, label = failure.keyword, failure.value, dotted(path)
        node, span = root.find(path), root.locate(path)
        if name == "type":
            yield _wrong_type(failure, path, span, node)
        elif name == "anyOf":
            yield self._no_such_block(str(value), failure.schema["x-runner"]["kind"], path, span, node)
        elif name in ("enum", "const"):
            yield self._not_one_of(failure, path, span, node)
        elif name in _RANGES:
            limit = shown(failure.limit)
            hint = _fraction_hint(failure.schema, value)
            message = f"{label} must be {_RANGES[name]} {limit}, not {shown(value, node)}"
            yield error("S204", message, span, path=path, hint=hint)
        elif name == "pattern":
            yield _wrong_form(failure, path, span, node)
        elif name in _SIZES:
            yield error("S208", f"{label} {_SIZES[name](failure.limit)}", span, path=path, hint=_own_hint(failure))
        elif name == "uniqueItems":
            yield error("S208", f"{label} lists something twice", span, path=path)
        else:
            yield error("S200", f"{label or 'the file'} does not fit: {failure.message}", span, path=path)

    def _unknown_keys(self, failure: _Failure, root: Node, unknown: dict[KeyPath, set[str]]) -> Iterator[Problem]:
        path = failure.path
        schema: Schema = failure.schema
        known = schema.get("properties", {})
        present = failure.value
        for key in present:
            if key in known:
                continue
            here = (*path, key)
            span = root.key_span(here) or root.locate(path)
            where = f" in {dotted(path)}" if path else ""
            step, stands_for = self._key_step(key, here, span, known, present, root.find(here))
            if stands_for is not None:
                unknown.setdefault(path, set()).add(stands_for)
            yield error("S201", f'unknown key "{_short(key)}"{where}', span, path=here, hint=step.hint, fix=step.fix)

    def _key_step(
        self, key: str, here: KeyPath, span: Span, known: Schema, present: Mapping[str, Any], node: Node | None
    ) -> tuple[Step, str | None]:
        """What to do about an unknown key, and the known key that it stands for."""
        moved = self._moved.get(dotted(here)) or self._moved.get(f"*.{key}")
        if moved:
            return Step(moved), None
        # In a list of pairs between braces, `fast:20` is one word: a key without a value.
        glued = part_colon(key, span, known) if node is not None and not node.raw and node.value is None else None
        if glued is not None:
            return glued, key.partition(":")[0]
        guess = meant(key, known, present)
        if guess.word is not None:
            return rename(key, span, guess), guess.word
        if key.isdecimal():
            return Step('a comma ends a value between braces: write decimals with a point, numbers without ","'), None
        return Step(self._elsewhere(key, here[:-1]) or _known_keys(known)), None

    def _elsewhere(self, key: str, path: KeyPath) -> str:
        """Where a key that is unknown here would be right."""
        top = self._schema.get("properties", {})
        if path and key in top:
            return f'"{key}" belongs at the top level of the file'
        for section, below in top.items():
            if key in below.get("properties", {}) and (section,) != path:
                return f'"{key}" belongs under "{section}:"'
        return ""

    def _bad_key(self, failure: _Failure, path: KeyPath, root: Node) -> Problem:
        key = str(failure.value)
        here = (*path, key)
        span = root.key_span(here) or root.locate(path)
        hint = _own_hint(failure) or "begin with a letter; letters, digits and _ may follow, 32 at most"
        return error("S207", f'"{_short(key)}" cannot be a name in {dotted(path)}', span, path=here, hint=hint)

    def _not_one_of(self, failure: _Failure, path: KeyPath, span: Span, node: Node | None) -> Problem:
        value, schema = failure.value, failure.schema
        choices = [c for c in schema.get("enum", [schema.get("const")]) if c is not None]
        if path == ("spec",):
            version = shown(value, node)
            message = f"this file is in version {version} of the format; this runner reads version {choices[0]}"
            return error("S210", message, span, path=path, hint=f"write spec: {choices[0]}")
        step = instead(value, node, [c for c in choices if isinstance(c, str)]) if isinstance(value, str) else NO_STEP
        listed = ", ".join(str(c) for c in choices)
        if len(choices) <= MAX_LISTED:
            words = listed if len(choices) == 1 else f"one of {listed}"
            message = f"{dotted(path)} must be {words}, not {shown(value, node)}"
        else:
            message = f"{dotted(path)} cannot be {shown(value, node)}"
            step = step if step.hint else Step(f"there are: {listed}")
        return error("S205", message, span, path=path, hint=step.hint, fix=step.fix)

    def _no_such_block(self, value: str, kind: str, path: KeyPath, span: Span, node: Node | None) -> Problem:
        if ":" in value:
            message = f'"{_short(value)}" cannot name a {kind} block of another package'
            hint = "write package:name: its top-level package, without dots, and its name there"
            return error("S207", message, span, path=path, hint=hint)
        names = self._known.get(kind, {})
        other = next((k for k, there in self._known.items() if k != kind and value in there), None)
        if other is not None:
            step = Step(f'"{value}" is a {other} block')
        elif value in self._schema["properties"].get("params", {}).get("properties", {}):
            step = Step(f'"{value}" is a parameter: write it under "params:"')
        else:
            step = instead(value, node, names)
            step = step if step.hint else Step(f"there are: {', '.join(names)}")
        message = f'there is no {kind} block called "{_short(value)}"'
        return error("S206", message, span, path=path, hint=step.hint, fix=step.fix)


_RANGES = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
}


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


_SIZES: Mapping[str, Callable[[int], str]] = {
    "minItems": lambda n: "is empty" if n == 1 else f"must have {n} entries",
    "maxItems": lambda n: f"must have at most {_entries(n)}",
    "minProperties": lambda n: "is empty" if n == 1 else f"must have at least {n} entries",
    "maxProperties": lambda n: f"must have at most {_entries(n)}",
    "minLength": lambda n: "is empty" if n == 1 else f"must have at least {n} characters",
    "maxLength": lambda n: f"must have at most {n} characters",
}


@lru_cache(maxsize=1)
def _validator_class() -> Any:
    checker = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    make: Any = extend
    return make(Draft202012Validator, validators={"pattern": _whole_pattern}, type_checker=checker)


def _whole_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and (instance.endswith("\n") or not re.search(pattern, instance)):
        yield ValidationError("does not have the right form")


def _read_text(node: Node, schema: Any, path: KeyPath, problems: list[Problem]) -> Node:
    """`node` with the plain scalars of text fields replaced by what is written. Shares what did not change."""
    if not isinstance(schema, dict):
        return node
    value = node.value
    if isinstance(value, dict):
        properties, other = schema.get("properties", {}), schema.get("additionalProperties")
        changed = {}
        for key, entry in value.items():
            below = _read_text(entry.node, properties.get(key, other), (*path, key), problems)
            if below is not entry.node:
                changed[key] = Entry(entry.key, below)
        return Node(value | changed, node.span, size=node.size) if changed else node
    if isinstance(value, list):
        items = [_read_text(item, schema.get("items"), (*path, i), problems) for i, item in enumerate(value)]
        same = all(a is b for a, b in zip(items, value, strict=True))
        return node if same else Node(items, node.span, size=node.size)
    marks = schema.get("x-runner", {})
    if not marks.get("text") or not node.plain or isinstance(value, str) or node.raw in ("", "~"):
        return node
    if value is None or isinstance(value, bool):
        kind = "an empty value" if value is None else "true/false"
        message = f'{dotted(path)} {node.raw} looks like {kind} to YAML; it is read as the text "{node.raw}"'
        step = write(node, f'"{node.raw}"', after=" in quotes so that every tool agrees")
        problems.append(warning("W301", message, node.span, path=path, hint=step.hint, fix=step.fix))
    return Node(node.raw, node.span, node.raw, plain=False, alone=node.alone)


def _told_apart(failures: list[_Failure]) -> list[_Failure]:
    """Without what another failure at the same place says better: choices say more than a type, a type more than a
    constant, and of a value that is missing only its type is said."""
    at: dict[str, set[KeyPath]] = {"type": set(), "enum": set()}
    for failure in failures:
        if failure.keyword in at and not failure.of_key:
            at[failure.keyword].add(failure.path)

    def said(failure: _Failure) -> bool:
        if failure.keyword == "type":
            return failure.value is not None and failure.path in at["enum"]
        if failure.keyword == "enum":
            return failure.value is None and failure.path in at["type"]
        return failure.keyword == "const" and failure.path in at["type"]

    return [failure for failure in failures if not said(failure)]


def _no_mapping(root: Node) -> Problem:
    what = "a list" if root.is_list else "one piece of text" if isinstance(root.value, str) else "a single value"
    parted = None
    if isinstance(root.value, str) and root.plain and root.alone:
        # Lines without a colon of their own are one piece of text; its first line is what comes before another key.
        line, at = _GLUED_KEY.split(root.value, maxsplit=1)[0].rstrip(), root.span
        first = replace(at, end_line=at.line, end_column=at.column + len(line), end=at.start + len(line))
        parted = part_colon(line, first)
    step = parted or Step('write "key: value" lines')
    return error("S200", f"the file is {what}, not keys and values", root.locate(()), hint=step.hint, fix=step.fix)


def _missing(
    failure: _Failure, path: KeyPath, root: Node, unknown: Mapping[KeyPath, set[str]], properties: Schema
) -> Iterator[Problem]:
    misspelled = unknown.get(path, ())
    for key in failure.limit:
        if key in failure.value or key in misspelled or (not path and "extends" in misspelled):
            # A misspelled key that stands for this one, or for a base that would have it, is shown at its own place.
            continue
        described = properties.get(key, {}).get("description", "")
        where = f" in {dotted(path)}" if path else ""
        hint = f'add "{key}: …"' + (f": {_first_sentence(described)}" if described else "")
        yield error("S202", f'the key "{key}" is missing{where}', root.locate(path), path=(*path, key), hint=hint)


def _wrong_type(failure: _Failure, path: KeyPath, span: Span, node: Node | None) -> Problem:
    expected, value = failure.limit, failure.value
    step = type_step(failure.schema, expected, value, node)
    if value is None and node is not None and not node.raw:
        message = f"{dotted(path)} has no value; it must be {types_named(expected)}"
    else:
        message = f"{dotted(path)} must be {types_named(expected)}, not {shown(value, node)}"
    return error("S203", message, span, path=path, hint=step.hint or _own_hint(failure), fix=step.fix)


def _wrong_form(failure: _Failure, path: KeyPath, span: Span, node: Node | None) -> Problem:
    pattern, value = failure.limit, failure.value
    form, step = _FORMS.get(pattern), form_step(pattern, value, node)
    if form is not None or step.hint:
        message = f"{dotted(path)} {f'must be {form}, not' if form is not None else 'cannot be'} {shown(value, node)}"
        return error("S207", message, span, path=path, hint=step.hint, fix=step.fix)
    hint = _own_hint(failure) or _FORM_HINTS.get(str(path[-1]) if path else "", "")
    if not hint and path and path[0] == "hooks":
        hint = "write package.module:function"
    if not hint and path and path[0] == "universe":
        hint = _FORM_HINTS["symbol"]
    return error("S207", f"{dotted(path)} cannot be {shown(value, node)}", span, path=path, hint=hint)


def _own_hint(failure: _Failure) -> str:
    """The next step that the field itself names; else empty."""
    return str(failure.schema.get("x-runner", {}).get("hint", ""))


_FORM_HINTS = {
    "name": "begin with a letter; letters, digits, _ and - may follow, 32 at most",
    "symbol": "letters, digits and . & / _ - are allowed, 32 at most",
    "currency": "write a currency code such as USD",
    "expiry": "write yyyymm or yyyymmdd",
    "library": "letters, digits and . _ - are allowed, 64 at most",
}


def _fraction_hint(schema: Any, value: Any) -> str:
    unit = schema.get("x-runner", {}).get("unit", "") if isinstance(schema, dict) else ""
    return fraction_hint(value) if "fraction" in str(unit) else ""


def _known_keys(known: Mapping[str, Any]) -> str:
    return f"known here: {', '.join(known)}" if known else "no keys are known here"


def _first_sentence(text: str) -> str:
    sentence = text.split(". ")[0].rstrip(".")
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
