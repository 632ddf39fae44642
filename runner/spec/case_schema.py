"""JSON Schema of `tests`: what a strategy should do with given prices. Reference: docs/spec.md, "Tests".

Tests change nothing about the strategy, so the whole section has the reload class `meta`.
"""

from __future__ import annotations

from runner.model.events import StrategyPhase
from runner.model.orders import Side
from runner.spec.fields import DIALECT, Schema, annotated, choice, marks, text
from runner.spec.notation import MAX_VALUE

MAX_CASES = 200
MAX_SYMBOLS = 100
"""Instruments that one test gives prices for."""
MAX_EXPECTATIONS = 200
NAME_LENGTH = 120
_AT = (
    r"^(first|last|bar [0-9]{1,6}|[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]([01]?[0-9]|2[0-3]):[0-5][0-9])?"
    r"|([01]?[0-9]|2[0-3]):[0-5][0-9])$"
)
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T]([01]?[0-9]|2[0-3]):[0-5][0-9])?$"
COLUMNS = ("close", "open", "high", "low", "volume")
BOUNDS = ("above", "below", "at_least", "at_most", "about")
ABOUT = 0.01
"""How far `about` may be missed, as a fraction of its number."""

_ACCOUNT_FRACTION = "fraction of account equity"


def cases_schema() -> Schema:
    """The schema of the list under `tests`."""
    return {
        "type": "array",
        "items": _case(),
        "maxItems": MAX_CASES,
        "description": "What the strategy should do with given prices; never changes what it does.",
        "examples": [[{"name": "a test", "given": {"AAPL": "100+1x260"}, "expect": [{"at": "last", "orders": []}]}]],
        "x-runner": marks("meta", "none"),
    }


def case_file_schema() -> Schema:
    """The schema of X.test.yaml, which holds tests of X.yaml and nothing else."""
    return annotated(
        {
            "$schema": DIALECT,
            "title": "Tests of a strategy",
            "description": "Tests of the strategy in the file of the same name. Reference: docs/spec.md",
            "type": "object",
            "additionalProperties": False,
            "required": ["tests"],
            "properties": {"tests": cases_schema()},
        }
    )


def _case() -> Schema:
    return _mapping(
        "One test.",
        {
            "name": _words(
                "What should happen, in words; two tests of a strategy cannot have one name.",
                NAME_LENGTH,
                "rising market goes long",
            ),
            "given": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": MAX_SYMBOLS,
                "additionalProperties": _prices(),
                "description": "Prices, by symbol. A symbol of the universe that is not here has no bars.",
                "examples": [{"AAPL": "100+1x260"}],
            },
            "fixture": _fixture("Prices of all symbols, in place of `given`", "fixtures/prices.parquet"),
            "as_of": _moment("Bars of the fixture after this moment are left out."),
            "clock": _moment("When the last bar of `given` completes; dates and times in `at` need it."),
            "account": _mapping("The account at the first bar.", _account()),
            "positions": {
                "type": "object",
                "maxProperties": MAX_SYMBOLS,
                "additionalProperties": _position(),
                "description": "What the strategy holds at the first bar, by symbol: negative when short.",
                "examples": [{"AAPL": 50}],
            },
            "expect": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_EXPECTATIONS,
                "items": _expectation(),
                "description": "What must be so, one entry a moment; what is not named may be anything.",
                "examples": [[{"at": "last", "orders": []}]],
            },
        },
        required=("name", "expect"),
    )


def _prices() -> Schema:
    notation = 'in the compact notation ("100+1x260", "100 101 _ 99") or as a list'
    columns = {
        "close": _series(f"Closing prices, {notation}; _ is a bar that is missing.", "100+1x260"),
        "open": _series("Opening prices; the close before when not said.", "99+1x260"),
        "high": _series("Highest prices; the higher of open and close when not said.", "102+1x260"),
        "low": _series("Lowest prices; the lower of open and close when not said.", "98+1x260"),
        "volume": _series("Shares or contracts; a million when not said.", "5e6x260"),
    }
    alone = _series(f"The closing prices alone, {notation}; or a mapping that says more.", "100+1x260")
    return alone | {
        "type": ["string", "array", "object"],
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {name: columns[name] for name in COLUMNS}
        | {
            "fixture": _fixture("Prices of this symbol from a file or the store", "us_stocks/AAPL"),
            "as_of": _moment("Bars of the fixture after this moment are left out."),
        },
    }


def _series(description: str, example: str) -> Schema:
    value: Schema = {
        "type": ["number", "string", "null"],
        "pattern": "^_$",
        "minimum": -MAX_VALUE,
        "maximum": MAX_VALUE,
        "x-runner": marks("meta", hint="a list holds numbers, and _ for a bar that is missing"),
    }
    return {
        "type": ["string", "array"],
        "items": value,
        "minItems": 1,
        "description": description,
        "examples": [example],
        "x-runner": marks("meta", text=True),
    }


def _fixture(what: str, example: str) -> Schema:
    return text(
        f"{what}: a path that ends in .csv or .parquet, relative to the folder of runner.yaml, or an ArcticDB "
        "library/symbol.",
        apply="meta",
        pattern=r"^[^\x00-\x1f]+$",
        maximum=400,
        examples=[example],
    )


def _moment(description: str) -> Schema:
    said = f'{description} A date, or a date and time of the exchange: 2025-12-31, "2025-12-31 15:45".'
    hint = "write a date such as 2025-12-31, or a date and time: 2025-12-31 15:45"
    return _hinted(text(said, apply="meta", pattern=_MOMENT, examples=["2025-12-31"]), hint)


def _account() -> Schema:
    return {
        "equity": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": MAX_VALUE,
            "default": 100_000,
            "description": "Its equity; the strategy's is target_weight of it.",
        },
        "currency": text(
            "Its currency; that of the first instrument when not said.",
            apply="meta",
            pattern=r"^[A-Z]{3}$",
            examples=["USD"],
        ),
        "fx": {
            "type": "object",
            "propertyNames": {
                "pattern": r"^[A-Z]{6}$",
                "x-runner": marks("meta", hint="write two currencies: EURUSD is dollars for a euro"),
            },
            "additionalProperties": {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_VALUE},
            "description": "Rates by currency pair: `EURUSD: 1.1` is 1.10 dollars for a euro.",
            "examples": [{"EURUSD": 1.1}],
        },
    }


def _position() -> Schema:
    quantity = {"type": "number", "minimum": -MAX_VALUE, "maximum": MAX_VALUE}
    return {
        "type": ["number", "object"],
        "minimum": -MAX_VALUE,
        "maximum": MAX_VALUE,
        "additionalProperties": False,
        "required": ["qty"],
        "properties": {
            "qty": quantity | {"description": "How many; negative when short.", "examples": [50]},
            "price": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": MAX_VALUE,
                "description": "What was paid for one; the first close when not said.",
                "examples": [98.5],
            },
        },
        "description": "How many, or a mapping that says more.",
    }


def _expectation() -> Schema:
    score = _number(minimum=-1, maximum=1, nullable=True)
    gross = _number(minimum=0, unit=_ACCOUNT_FRACTION)
    by_symbol: Schema = {"type": "object", "minProperties": 1}
    return _mapping(
        "What must be so at one moment.",
        {
            "at": _hinted(
                text(
                    "When: `last`, `first`, `bar 12` (counted from 1), a date, a date and time, or a time of day in "
                    "the last session.",
                    apply="meta",
                    pattern=_AT,
                    examples=["last"],
                ),
                'write last, first, bar 12, a date such as 2025-12-31, or a time such as "15:45"',
            ),
            "signal": by_symbol
            | {
                "additionalProperties": score,
                "description": "What the signals come to once combined, by symbol: -1 to 1; null while there is "
                "nothing to say.",
                "examples": [{"AAPL": 1}],
            },
            "score": by_symbol
            | {
                "additionalProperties": _hinted(
                    by_symbol | {"additionalProperties": score},
                    "write the signal first, score: {trend: {AAPL: 1}}; signal: {AAPL: 1} is what combine makes of all",
                ),
                "description": "The score of single signals, by id and symbol: -1 to 1; null while there is nothing "
                "to say.",
                "examples": [{"trend": {"AAPL": 1}}],
            },
            "target_weight": by_symbol
            | {
                "additionalProperties": _number(unit=_ACCOUNT_FRACTION, nullable=True),
                "description": "What is wanted of each, `max_position_size` applied: signed fractions of account "
                "equity; null for no opinion.",
                "examples": [{"AAPL": {"above": 0, "at_most": 0.1}}],
            },
            "gross_weight": gross
            | {
                "description": "The sum of what is wanted, signs left out: a fraction of account equity.",
                "examples": [{"at_most": 0.1}],
            },
            "position": by_symbol
            | {
                "additionalProperties": _number(),
                "description": "How many are held after the bar, by symbol.",
                "examples": [{"AAPL": 50}],
            },
            "orders": {
                "type": "array",
                "maxItems": MAX_SYMBOLS,
                "items": _one_symbol(_order()),
                "description": "All orders that the bar brings, in any order; [] for none.",
                "examples": [[{"AAPL": {"side": "BUY", "qty": {"about": 120}}}]],
            },
            "exits": {
                "type": "array",
                "maxItems": MAX_SYMBOLS,
                "items": _one_symbol(text("The exit that fired.", apply="meta", maximum=32)),
                "description": "All exits that fire at the bar, by the name of the parameter or the id under `exits`: "
                "[{AAPL: stop_loss}]; [] for none.",
                "examples": [[{"AAPL": "stop_loss"}]],
            },
            "state": choice(
                "The state of the strategy after the bar.", [phase.value for phase in StrategyPhase], apply="meta"
            ),
            "error": _words("Words of the message with which the strategy fails.", 400, "no exchange rate"),
        },
        required=("at",),
    )


def _order() -> Schema:
    quantity = _number(minimum=0) | {"description": "How many, above 0.", "examples": [120]}
    del quantity["minimum"]
    side = choice("Which way.", [side.value for side in Side], apply="meta", examples=[Side.BUY.value])
    return _mapping("An order.", {"side": side, "qty": quantity | {"exclusiveMinimum": 0}}, required=("side",))


def _one_symbol(value: Schema) -> Schema:
    schema: Schema = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": value}
    return _hinted(schema, "write an entry a symbol: [{AAPL: …}, {MSFT: …}]")


BOUND_MEANINGS = {
    "above": "More than this.",
    "below": "Less than this.",
    "at_least": "This or more.",
    "at_most": "This or less.",
    "about": f"This, give or take {ABOUT:.0%} of it.",
}


def _number(
    *,
    minimum: float = -MAX_VALUE,
    maximum: float = MAX_VALUE,
    unit: str = "",
    nullable: bool = False,
) -> Schema:
    """An expected number: exactly, or with bounds."""
    limits: Schema = {"minimum": minimum, "maximum": maximum}
    annotation: Schema = {"x-runner": marks("meta", unit=unit)} if unit else {}
    schema: Schema = {
        "type": ["number", "object"] + (["null"] if nullable else []),
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            name: {"type": "number", "title": BOUND_MEANINGS[name]} | limits | annotation for name in BOUNDS
        },
    }
    return schema | limits | annotation


def _mapping(description: str, properties: Schema, *, required: tuple[str, ...] = ()) -> Schema:
    schema: Schema = {
        "type": "object",
        "additionalProperties": False,
        "description": description,
        "properties": properties,
    }
    return schema | ({"required": list(required)} if required else {})


def _hinted(schema: Schema, hint: str) -> Schema:
    """With the next step for a value that does not fit."""
    return schema | {"x-runner": marks("meta") | schema.get("x-runner", {}) | {"hint": hint}}


def _words(description: str, maximum: int, example: str) -> Schema:
    return text(description, apply="meta", maximum=maximum, minLength=1, examples=[example])
