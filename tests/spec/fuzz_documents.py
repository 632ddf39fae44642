"""Strategy files drawn at random from the schema, so that the rules behind it are reached and not only its keywords.

Most values obey the schema; now and then one does not, a key is missing or one too many is there. What the schema alone
cannot know (that a signal named in `combine` exists, that a block's numbers agree) is left to chance, which finds both.
"""

from __future__ import annotations

import json
import random
import re
from functools import cache
from re import _constants, _parser
from typing import Any

import yaml
from fuzz_support import REPOSITORY, Sample

from runner.spec.schema import strategy_schema

MISTAKES = 0.01
"""Share of values that are not what the schema asks for."""
OPTIONAL = 0.3
"""Share of the keys that may be left out and are there."""
_WRONG = (None, True, False, 0, -1, 1e9, 1.5, "", "x", "9:30", "10%", [], ["a"], {}, {"a": 1}, [[["deep"]]])
_ASCII = "".join(map(chr, range(32, 127)))
_CATEGORIES = {
    _constants.CATEGORY_DIGIT: r"\d",
    _constants.CATEGORY_NOT_DIGIT: r"\D",
    _constants.CATEGORY_SPACE: r"\s",
    _constants.CATEGORY_NOT_SPACE: r"\S",
    _constants.CATEGORY_WORD: r"\w",
    _constants.CATEGORY_NOT_WORD: r"\W",
}
_SERIES = ("100+1x260", "100+1x260", "100x260", "400-1x260", "100-1x260", "_x30 100x230", "100 101 _ 99", "100+1y260")
_SMALL = 0.7
"""Share of the numbers that lie near the beginning of their range, where warm-ups and histories meet."""


def document(seed: int, number: int) -> Sample:
    """A file drawn from the schema, as block YAML or as JSON."""
    source = random.Random(f"document {seed} {number}")
    data = _value(_schema(), source, ())
    if source.random() < 0.5:
        text = json.dumps(data, ensure_ascii=False)
    else:
        text = yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return Sample(f"document {seed}:{number}", text.encode(), REPOSITORY / "strategies.d")


@cache
def _schema() -> dict[str, Any]:
    """The schema with what its `then` demands written at the places themselves."""
    schema = strategy_schema()
    demanded = schema["then"]
    schema["required"] = demanded["required"]
    schema["properties"]["bars"]["required"] = demanded["properties"]["bars"]["required"]
    # Bases that exist are few; without them most files would stop at a base that does not.
    schema["properties"]["extends"] = {"enum": ["_us_equities.yaml", ["_us_equities.yaml"], "_none.yaml"]}
    return schema


def _value(schema: Any, source: random.Random, path: tuple[str, ...]) -> Any:
    if source.random() < MISTAKES:
        return source.choice(_WRONG)
    if not isinstance(schema, dict):
        return source.choice(_WRONG)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return source.choice(schema["enum"])
    if "anyOf" in schema:
        return _value(source.choice(schema["anyOf"]), source, path)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = source.choice(kind) if isinstance(kind, list) else kind
    match kind:
        case "object":
            return _mapping(schema, source, path)
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems", 4)
            count = source.randint(least, max(least, min(most, 4)))
            return [_value(schema.get("items"), source, path) for _ in range(count)]
        case "integer" | "number":
            return _number(schema, kind, source)
        case "boolean":
            return source.random() < 0.5
        case "null":
            return None
        case _:
            return _text(schema, source, path)


def _mapping(schema: dict[str, Any], source: random.Random, path: tuple[str, ...]) -> dict[str, Any]:
    required = schema.get("required", ())
    properties = dict(schema.get("properties", {}))
    other = schema.get("additionalProperties")
    if "use" in properties:
        case = source.choice([case for case in schema["allOf"] if "properties" in case.get("then", {})])
        properties |= case["then"]["properties"] | {"use": case["if"]["properties"]["use"]}
        required = ("use", *case["then"].get("required", ()))
    result: dict[str, Any] = {}
    for key, below in properties.items():
        if (key in required and source.random() > MISTAKES) or source.random() < OPTIONAL:
            result[key] = _value(below, source, (*path, key))
    if isinstance(other, dict) or (not properties and other is not False):
        names = _signal_ids(source) if path and path[-1] in ("signals", "weights") else ["a", "AAPL", "MSFT"]
        for name in names[: max(schema.get("minProperties", 0), source.choice((1, 1, 1, 2, 3)))]:
            result[name] = _value(other, source, (*path, name))
    if source.random() < MISTAKES:
        result[source.choice((*properties, "stop", "typo", "1", ""))] = source.choice(_WRONG)
    return result


def _signal_ids(source: random.Random) -> list[str]:
    return source.sample(["trend", "fast", "calm"], 3) if source.random() < 0.3 else ["trend", "fast", "calm"]


def _number(schema: dict[str, Any], kind: str, source: random.Random) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", max(1000, low + 1000))
    edge = source.random()
    if edge < 0.06:
        return low if edge < 0.03 else high
    if edge < 0.06 + MISTAKES:
        return source.choice((low - 1, high + 1, low + 0.5))
    if kind == "integer":
        high = min(high, low + 60) if source.random() < _SMALL else high
        return source.randint(int(low), int(high))
    high = min(high, low + 0.3) if source.random() < _SMALL else high
    return float(f"{source.uniform(low, high):.4g}")


def _text(schema: dict[str, Any], source: random.Random, path: tuple[str, ...]) -> str:
    if (
        path
        and path[0] == "universe"
        and source.random() < 0.9
        and "symbol" in str(schema.get("description", "")).lower()
    ):
        return source.choice(("AAPL", "MSFT", "IBM", "0700", "ON", "BRK B", "AAPL, MSFT", "us_stocks"))
    pattern = schema.get("pattern")
    if "given" in path[-3:] and pattern is None and source.random() < 0.9:
        return source.choice(_SERIES)
    if path and path[0] == "hooks" and source.random() < 0.9:
        return "acme_blocks.hooks:post"
    if pattern is None:
        return source.choice(("", "word", "two words", "é", "ON", "0700", "1e3", "null", "#", ": ", "'", '"', "- a"))
    return _matching(_parsed(pattern), source)


@cache
def _parsed(pattern: str) -> Any:
    return _parser.parse(pattern)


def _matching(parsed: Any, source: random.Random) -> str:
    """A text that a regular expression of our schemas matches; what it looks ahead for is left to chance."""
    text = ""
    for op, of in parsed:
        match op:
            case _constants.LITERAL:
                text += chr(of)
            case _constants.ANY:
                text += source.choice(_ASCII)
            case _constants.IN:
                text += source.choice([char for char in _ASCII if _accepts(of, char)])
            case _constants.SUBPATTERN:
                text += _matching(of[3], source)
            case _constants.BRANCH:
                text += _matching(source.choice(of[1]), source)
            case _constants.MAX_REPEAT | _constants.MIN_REPEAT:
                least, most, below = of
                text += "".join(_matching(below, source) for _ in range(source.randint(least, min(most, least + 3))))
            case _constants.AT | _constants.ASSERT | _constants.ASSERT_NOT:
                pass
            case _:
                raise ValueError(f"a pattern of the schema uses {op}, which is not known here")
    return text


def _accepts(parts: Any, char: str) -> bool:
    """Whether a character is in a class such as `[^A-Z_]`."""
    wanted, found = True, False
    for op, of in parts:
        match op:
            case _constants.NEGATE:
                wanted = False
            case _constants.LITERAL:
                found = found or ord(char) == of
            case _constants.RANGE:
                found = found or of[0] <= ord(char) <= of[1]
            case _constants.CATEGORY:
                found = found or bool(re.match(_CATEGORIES[of], char))
    return found is wanted
