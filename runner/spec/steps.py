"""The next step after a problem with a value: in words, and as an edit when there is one way to write what was meant.

Never an edit for a guess: `1,500` is fifteen hundred to one reader and one and a half to another, and `10` where a
fraction belongs is only probably 10 %. Such steps are said and left to the author.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from runner.spec.fields import Schema, words_of
from runner.spec.load import Node
from runner.spec.problems import NO_STEP, Edit, Span, Step
from runner.spec.spelling import Guess, meant
from runner.spec.times import CLOCK_PATTERN, EVERY_PATTERN, TIME_PATTERN
from runner.spec.write import flow, scalar

TIME_PATTERNS = frozenset({CLOCK_PATTERN, TIME_PATTERN})

_PERCENT = re.compile(r"([-+]?[0-9]+(?:[.,][0-9]+)?)\s*%", re.ASCII)
_GROUPED = re.compile(r"[-+]?[1-9][0-9]{0,2}([_,' ])[0-9]{3}(?:\1[0-9]{3})*(?:\.[0-9]+)?", re.ASCII)
_UNDERSCORED = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)+", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+", re.ASCII)
_COMMA_IN_DOUBT = re.compile(r"[-+]?[1-9][0-9]{0,2},[0-9]{3}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_GLUED = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*):([^\s/\\].*)", re.ASCII)
_WHOLE_VALUE = re.compile(r"""[\w.+-][^:#"']*|"[^"\\]*"|'[^']*'""")
_DURATION = re.compile(r"([1-9][0-9]{0,3})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)", re.ASCII)
_WORDS = re.compile(r"[\w.+-]+(?: [\w.+-]+)*")
_LIST_OF_WORDS = re.compile(r"[\w.:-]+(?: [\w.:-]+)*(?:, ?[\w.:-]+(?: [\w.:-]+)*)*")


# -------------------------------------------------------------------------------------------------- writing something


def write(node: Node | None, text: str, *, before: str = "", after: str = "") -> Step:
    """`write 0.15`: `text`, which is YAML, in place of the whole scalar at `node`."""
    return Step(f"write {before}{text}{after}", _replace(node, text))


def write_word(node: Node | None, word: str) -> Step:
    """`write "EUR"`: another word in place of the scalar at `node`, whose quotes stay."""
    return Step(f'write "{word}"', _reword(node, word))


def rename(key: str, span: Span, guess: Guess) -> Step:
    """`did you mean "slow"?`: another word in place of a key that is written at `span`."""
    quotes = span.end - span.start - len(key)
    if not guess.sure or guess.word is None or span.line != span.end_line or quotes not in (0, 2):
        return Step(guess.hint)
    return Step(guess.hint, (Edit(_inside(span) if quotes else span, guess.word),))


def instead(word: str, node: Node | None, known: Iterable[str]) -> Step:
    """`did you mean "market"?`: the known word that `word` was meant to be, in its place when there is no doubt."""
    guess = meant(word, known)
    return Step(guess.hint, _reword(node, guess.word) if guess.sure and guess.word is not None else ())


def part_colon(text: str, span: Span, known: Collection[str] | None = None) -> Step | None:
    """`a space is missing after the colon`, when `text`, written at the beginning of `span`, is a key and its value.

    `known` are the keys that may stand there; None for any.
    """
    match = _GLUED.fullmatch(text)
    if match is None or (known is not None and match[1] not in known) or span.line != span.end_line:
        return None
    hint = f'a space is missing after the colon: write "{match[1]}: {match[2].rstrip()}"'
    if span.end - span.start != len(text) or not _WHOLE_VALUE.fullmatch(match[2]):
        return Step(hint)
    at = len(match[1]) + 1
    gap = replace(
        span, column=span.column + at, end_column=span.column + at, start=span.start + at, end=span.start + at
    )
    return Step(hint, (Edit(gap, " "),))


def _replace(node: Node | None, text: str) -> tuple[Edit, ...]:
    if node is None or not node.alone or node.span.line != node.span.end_line or node.span.start == node.span.end:
        return ()
    return (Edit(node.span, text),)


def _reword(node: Node | None, word: str) -> tuple[Edit, ...]:
    if node is None or not node.alone or node.span.line != node.span.end_line:
        return ()
    if node.span.end - node.span.start == len(node.raw) + 2 and word.isprintable() and not {'"', "'", "\\"} & set(word):
        return (Edit(_inside(node.span), word),)
    return _replace(node, scalar(word, bracketed=True))


def _inside(span: Span) -> Span:
    """Without the quotes around it."""
    return replace(span, column=span.column + 1, end_column=span.end_column - 1, start=span.start + 1, end=span.end - 1)


# ------------------------------------------------------------------------------------------- values of the wrong kind


def type_step(schema: Schema, expected: str | list[str], value: Any, node: Node | None) -> Step:
    """What to do when `value` is none of the `expected` JSON types of a field; no hint when the message says it all."""
    types = [expected] if isinstance(expected, str) else expected
    if isinstance(value, str):
        return _text_step(schema, types, value, node)
    if value is None:
        return Step("write a value, or remove the key")
    if schema.get("pattern") in TIME_PATTERNS and isinstance(value, int) and not isinstance(value, bool):
        return _time_step(value, node)
    if types == ["integer"] and isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return write(node, str(int(value)))
    if value is False and schema.get("x-runner", {}).get("zero_is_off"):
        return Step("write 0, which switches it off")
    if types == ["string"] and node is not None and node.plain and not isinstance(value, dict | list):
        quoted = f'"{node.raw}"'
        fits = not words_of(schema) and re.search(schema.get("pattern", ""), node.raw)
        return Step(f"put it in quotes: {quoted}", _replace(node, quoted) if fits else ())
    return NO_STEP


def _text_step(schema: Schema, types: list[str], value: str, node: Node | None) -> Step:
    text = value.strip()
    if "number" in types or "integer" in types:
        return _number_step(schema, text, node, whole="number" not in types)
    if "boolean" in types and text.casefold() in _YES_NO:
        return write(node, _YES_NO[text.casefold()], after="; only true and false are yes and no in YAML 1.2")
    if "boolean" in types and text.casefold() in ("true", "false"):
        return write(node, text.casefold(), after=" without quotes")
    if types == ["array"]:
        return _list_step(schema, text, node)
    if types == ["object"]:
        return _mapping_step(schema, value, node)
    return NO_STEP


def _number_step(schema: Schema, text: str, node: Node | None, *, whole: bool) -> Step:
    unit = str(schema.get("x-runner", {}).get("unit", ""))
    percent = _PERCENT.fullmatch(text)
    if percent is not None:
        if whole or not ("fraction" in unit or "multiple" in unit):
            return Step('write the number alone, without "%"')
        return write(node, f"{(Decimal(percent[1].replace(',', '.')) / 100).normalize():f}", before="the fraction ")
    if _COMMA_IN_DOUBT.fullmatch(text) and not whole:
        return Step(f"write {text.replace(',', '')}, or {text.replace(',', '.')} with a point")
    if _GROUPED.fullmatch(text) or _UNDERSCORED.fullmatch(text):
        number, after = re.sub("[_,' ]", "", text), ", without separators"
    elif _DECIMAL_COMMA.fullmatch(text):
        number, after = text.replace(",", "."), ", with a point"
    elif _NUMBER.fullmatch(text):
        number, after = text, " without quotes"
    else:
        return NO_STEP
    if whole:
        amount = Decimal(number)
        if amount != amount.to_integral_value() or abs(amount) >= 10**15:
            return Step("write a whole number")
        number = str(int(amount))
    return write(node, number, after=after)


def fraction_hint(value: Any) -> str:
    """That a fraction was probably written in per cent; else empty."""
    if isinstance(value, int | float) and 1 < abs(value) <= 100:
        return f"weights and risk are fractions: {value:g}% is {value / 100:g}"
    return ""


def _time_step(value: int, node: Node | None) -> Step:
    """1600 and 930 are times without their colon."""
    hours, minutes = divmod(value, 100)
    if not (node is not None and node.raw.isdigit() and value >= 100 and hours < 24 and minutes < 60):
        return Step('write times in quotes: "15:45"')
    text = f'"{hours:02d}:{minutes:02d}"'
    return Step(f"write times in quotes: {text}", _replace(node, text))


def _list_step(schema: Schema, text: str, node: Node | None) -> Step:
    parts = [part.strip() for part in text.split(",")]
    item = schema.get("items", {})
    few, many = schema.get("minItems", 0), schema.get("maxItems", len(parts))
    fits = item.get("type") == "string" and all(re.search(item.get("pattern", ""), part) for part in parts)
    if not (_LIST_OF_WORDS.fullmatch(text) and fits and few <= len(parts) <= many):
        return Step("write a list: [first, second]" if few != 1 else "write a list: [first]")
    return write(node, flow(parts), before="a list: ")


def _mapping_step(schema: Schema, text: str, node: Node | None) -> Step:
    properties = schema.get("properties", {})
    glued = _GLUED.fullmatch(text)
    if glued is not None and glued[1] in properties and _WORDS.fullmatch(glued[2]):
        return write(node, f"{{{glued[1]}: {glued[2]}}}", before="a space after the colon: ")
    if text in words_of(properties.get("use", {})):
        return write(node, f"{{use: {text}}}")
    return NO_STEP


# ------------------------------------------------------------------------------------------------ text of a wrong form


def form_step(pattern: str, value: Any, node: Node | None) -> Step:
    """What to do when `value` does not have the form of `pattern`, and another spelling of it has."""
    if not isinstance(value, str):
        return NO_STEP
    tight = "".join(value.split()).casefold()
    duration = _DURATION.fullmatch(value.strip())
    spellings = [value.strip(), value.strip().upper()]
    if pattern in TIME_PATTERNS:
        spellings = [tight, f"{tight}m", re.sub(r"(:[0-5][0-9]):00$", r"\1", tight)]
    elif pattern == EVERY_PATTERN:
        spellings = [f"{duration[1]}{duration[2][0]}"] if duration is not None else []
    found = next((text for text in spellings if re.search(pattern, text)), None)
    return NO_STEP if found is None else write_word(node, found)
