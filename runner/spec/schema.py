"""JSON Schema 2020-12 of strategy files and of runner.yaml, made from the blocks' and parameters' own fields.

One source: what validation checks is what editors complete and what the reference tables list. A block is
`{use: NAME, with: {…}}`, and each name brings its `with` through `if use is NAME then with is …`, the form that
editors understand and whose errors stay at the wrong value. Annotations of ours are under `x-runner`; which there are,
and how a section passes its own on to its fields, is in `runner.spec.fields`.

Two forms of the strategy schema: `strategy_schema()` demands the required keys unless the file extends another, for
editors and for merged files; `base_schema()` demands none, for the bases of `extends`. `case_schema` has the tests of a
strategy, which may also be in a file of their own.

`python -m runner.spec.schema schemas` writes the committed copies.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

from runner.base_params import BaseParams
from runner.blocks import Kind, json_schema
from runner.catalog import BUILT_IN, Catalog
from runner.model.annotations import Direction, Loosening, Orders
from runner.model.bars import BarSize
from runner.model.instruments import SecType
from runner.model.orders import TimeInForce
from runner.spec.calendars import CALENDARS
from runner.spec.case_schema import case_file_schema, cases_schema
from runner.spec.fields import DIALECT, Schema, annotated, choice, marks, text
from runner.spec.spec import HOOK_POINTS, SPEC_VERSION, EvaluateOn, ExecutionStyle, OnRemove
from runner.spec.times import CLOCK_PATTERN, EVERY_PATTERN, TIME_PATTERN

STRATEGY_FILE = "strategy.schema.json"
BASE_FILE = "strategy-base.schema.json"
CASE_FILE = "strategy-test.schema.json"
RUNNER_FILE = "runner.schema.json"
REQUIRED = ("spec", "name", "universe", "bars", "signals", "sizing")
ORDERS_OF: Mapping[Kind, Orders] = {
    Kind.SIGNAL: "next_decision",
    Kind.COMBINE: "next_decision",
    Kind.SIZING: "next_decision",
    Kind.EXIT: "exits",
}
"""What a change of a kind's blocks does to orders and positions, unless a parameter says otherwise."""
MAX_HISTORY = 20_000
MAX_SYMBOLS = 1_000
UNOFFERED: Schema = {"doNotSuggest": True}
"""For editors, which complete keys from every place of a schema that names them: this one is described elsewhere."""
NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]{0,31}$"
BLOCK_ID_PATTERN = r"^[A-Za-z][A-Za-z0-9_]{0,31}$"
SYMBOL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9 .&/_-]{0,31}$"
SYMBOLS_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9 .,&/_-]{0,2000}$"
REFERENCE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*$"
HOOK_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"


def strategy_schema(catalog: Catalog = BUILT_IN) -> Schema:
    """For a strategy file: the required keys are demanded of files that do not extend another."""
    schema = _strategy(catalog, "A strategy", "One strategy of the runner. Reference: docs/spec.md")
    schema["if"] = {"not": {"required": ["extends"]}}
    use = {"required": ["use"]}
    schema["then"] = {
        "required": list(REQUIRED),
        "properties": {
            "bars": {"required": ["size"]} | UNOFFERED,
            "signals": {"additionalProperties": use} | UNOFFERED,
            "combine": use | UNOFFERED,
            "sizing": use | UNOFFERED,
            "exits": {"additionalProperties": use} | UNOFFERED,
        },
    }
    return schema


def base_schema(catalog: Catalog = BUILT_IN) -> Schema:
    """For a file whose name begins with "_": a base of `extends`, in which no key is required.

    It has no tests: it is nothing that could be tested, and what extends it may trade something else.
    """
    schema = _strategy(
        catalog, "A base of strategies", "Settings that strategies share through `extends`; never started itself."
    )
    properties = schema["properties"]
    del properties["tests"]
    named = [properties[section]["additionalProperties"] for section in ("signals", "exits")]
    for block in (*named, properties["combine"], properties["sizing"]):
        for case in block["allOf"]:
            case["then"].pop("required", None)
            case["then"]["properties"]["with"].pop("required", None)
    return schema


def write_schemas(folder: Path) -> list[Path]:
    """Write the schema files; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in schema_texts().items():
        target = folder / name
        target.write_text(content, encoding="utf-8")
        written.append(target)
    return written


def schema_texts() -> dict[str, str]:
    """File name → content, as committed under `schemas/`."""
    from runner.spec.config_schema import runner_schema

    schemas = {
        STRATEGY_FILE: strategy_schema(),
        BASE_FILE: base_schema(),
        CASE_FILE: case_file_schema(),
        RUNNER_FILE: runner_schema(),
    }
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas.items()}


@lru_cache(maxsize=1)
def meta_keys() -> frozenset[str]:
    """The keys of a file that say nothing about its trading: a change in them alone is no new version of it."""
    properties = _properties(Catalog({kind: {} for kind in Kind}))
    return frozenset(key for key, field in properties.items() if field.get("x-runner", {}).get("apply") == "meta")


@lru_cache(maxsize=1)
def params_schema() -> Schema:
    """The schema of `params`: all base parameters except `universe`, which has its own key in a file."""
    schema = deepcopy(json_schema(BaseParams))
    schema["properties"].pop("universe", None)
    if "required" in schema:
        schema["required"] = [name for name in schema["required"] if name != "universe"]
    schema["description"] = "Weights, risk caps and exits; what is not said keeps its default."
    schema["x-runner"] = marks("live", "next_decision")
    return schema


def _strategy(catalog: Catalog, title: str, description: str) -> Schema:
    return annotated(
        {
            "$schema": DIALECT,
            "title": title,
            "description": description,
            "type": "object",
            "additionalProperties": False,
            "properties": _properties(catalog),
        }
    )


def _properties(catalog: Catalog) -> Schema:
    return {
        "spec": {
            "type": "integer",
            "const": SPEC_VERSION,
            "description": "Version of the format of this file.",
            "x-runner": marks("identity", "none"),
        },
        "name": text(
            "Identity of the strategy: its positions, orders and rows in the store go by this name, not by the file's.",
            apply="identity",
            orders="identity",
            pattern=NAME_PATTERN,
            examples=["TREND"],
        ),
        "description": text(
            "What it does, for people.",
            apply="meta",
            orders="none",
            maximum=2000,
            examples=["Trend following on four large technology companies."],
        ),
        "owner": text("Who answers for it.", apply="meta", orders="none", maximum=200, examples=["research desk"]),
        "tags": {
            "type": "array",
            "items": text("A word to find it by.", apply="meta", maximum=64),
            "maxItems": 32,
            "uniqueItems": True,
            "description": "Words to find it by.",
            "examples": [["daily", "trend"]],
            "x-runner": marks("meta", "none"),
        },
        "extends": {
            "type": ["string", "array"],
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": 8,
            "description": "A file, or several, whose settings this one starts from: relative to this file, inside "
            "the strategies folder. Mappings merge, lists and single values replace, null removes.",
            "examples": ["_us_equities.yaml"],
            "x-runner": marks("meta", "none"),
        },
        "enabled": {
            "type": "boolean",
            "default": True,
            "description": "false: no entries; stops and targets of open positions stay active.",
            "x-runner": marks("live", "entry_stop", "smaller_is_tighter"),
        },
        "universe": _universe(),
        "bars": _bars(),
        "signals": _named_blocks(
            catalog,
            Kind.SIGNAL,
            "The signals, each under an id of your own.",
            section="wider_is_looser",
            use="wider_is_looser",
        ),
        "combine": _block(catalog, Kind.COMBINE, "wider_is_looser")
        | {"description": "How several signals become one score."},
        "sizing": _block(catalog, Kind.SIZING, "wider_is_looser")
        | {"description": "How scores become weights: fractions of the strategy's equity."},
        "exits": _named_blocks(
            catalog,
            Kind.EXIT,
            "When a position is left whatever the signals want, beside the exits among the parameters; each under an "
            "id of your own.",
            # The more there are, the sooner a position is left; whether another one leaves as soon, nobody can tell.
            section="larger_is_tighter",
            use="any_is_looser",
        ),
        "params": params_schema(),
        "schedule": _schedule(),
        "execution": _execution(),
        "hooks": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                point: {
                    "type": "string",
                    "pattern": HOOK_PATTERN,
                    "description": f"package.module:function or package:name, called {when}.",
                    "examples": [f"acme_hooks.desk:{point}"],
                    "x-runner": marks("restart", direction="any_is_looser"),
                }
                for point, when in HOOK_POINTS.items()
            },
            "description": "The strategy's own Python code. Its package must be in plugins.allow of runner.yaml.",
            "x-runner": marks("restart", "handover", "any_is_looser"),
        },
        "hook_params": {
            "type": "object",
            "description": "Settings that hooks receive as they are.",
            "examples": [{"sector_cap": 0.25}],
            "x-runner": marks("restart", "handover", "any_is_looser"),
        },
        "on_remove": choice(
            "What happens to its positions when the file goes away, and to those in a symbol that leaves its universe.",
            [value.value for value in OnRemove],
            apply="live",
            orders="universe",
            default=OnRemove.HOLD.value,
        ),
        "reload": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "loosening": choice(
                    "What happens to a later change of this strategy that lets it risk more: confirm holds it for "
                    "`runner approve`, auto applies it. When not said: as `reload.loosening` of runner.yaml says. "
                    "What is in force decides, so to loosen this is itself a change that may be held.",
                    [value.value for value in Loosening],
                    apply="live",
                    direction="first_is_tightest",
                    examples=["confirm"],
                )
            },
            "description": "How changes of this strategy are taken over while it runs.",
            "x-runner": marks("live", "none"),
        },
        "tests": cases_schema(),
    }


def _instrument_fields() -> Schema:
    """What says which instrument a symbol is: with any of it changed, another one is traded."""
    return {
        "sec_type": choice(
            "IB's security type: STK stock, CASH currency pair, FUT future, IND index (data only).",
            [value.value for value in SecType],
            apply="resubscribe",
            direction="any_is_looser",
            default=SecType.STOCK.value,
        ),
        "exchange": text(
            "IB's exchange; SMART routes. Currency pairs trade on IDEALPRO.",
            apply="resubscribe",
            direction="any_is_looser",
            pattern=r"^[A-Z0-9][A-Z0-9._]{0,15}$",
            default="SMART",
        ),
        "primary": text(
            "Primary exchange, where SMART alone is ambiguous.",
            apply="resubscribe",
            direction="any_is_looser",
            pattern=r"^[A-Z0-9][A-Z0-9._]{0,15}$",
            examples=["NASDAQ"],
        ),
        "currency": text(
            "Trading currency; of a currency pair, the second one.",
            apply="resubscribe",
            direction="any_is_looser",
            pattern=r"^[A-Z]{3}$",
            default="USD",
        ),
        "expiry": text(
            "Futures: contract month yyyymm or last trade date yyyymmdd.",
            apply="resubscribe",
            direction="any_is_looser",
            pattern=r"^[0-9]{6}([0-9]{2})?$",
            examples=["202612"],
        ),
    }


def _universe() -> Schema:
    symbol = text(
        "IB's symbol.", apply="resubscribe", direction="any_is_looser", pattern=SYMBOL_PATTERN, examples=["AAPL"]
    )
    instrument: Schema = {
        "type": ["string", "object"],
        "pattern": SYMBOL_PATTERN,
        "required": ["symbol"],
        "additionalProperties": False,
        "properties": {"symbol": symbol} | _instrument_fields(),
        "description": "A symbol, or a mapping that says more.",
        "x-runner": marks("resubscribe", text=True),
    }
    symbols: Schema = {
        "type": ["string", "array"],
        "pattern": SYMBOLS_PATTERN,
        "items": instrument,
        "minItems": 1,
        "maxItems": MAX_SYMBOLS,
        "description": "The instruments: a list, or symbols with commas between them.",
        "examples": [["AAPL", "MSFT"]],
        "x-runner": marks("resubscribe", direction="smaller_is_tighter", text=True),
    }
    return {
        "type": ["string", "array", "object"],
        "pattern": SYMBOLS_PATTERN,
        "items": instrument,
        "minItems": 1,
        "maxItems": MAX_SYMBOLS,
        "additionalProperties": False,
        "properties": {
            "symbols": symbols,
            "library": text(
                "An ArcticDB library; its symbols are the universe.",
                apply="resubscribe",
                direction="any_is_looser",
                pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
                examples=["us_stocks"],
            ),
            "max_symbols": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_SYMBOLS,
                "description": "Of a library: only the first so many symbols in alphabetical order.",
                "examples": [50],
                "x-runner": marks("resubscribe", direction="smaller_is_tighter", unit="instruments"),
            },
            "defaults": {
                "type": "object",
                "additionalProperties": False,
                "properties": _instrument_fields(),
                "description": "What holds for each symbol that does not say otherwise.",
                "x-runner": marks("resubscribe", direction="any_is_looser"),
            },
        },
        "description": "What may be traded: `AAPL`, `AAPL, MSFT`, a list, the name of an ArcticDB library, or a "
        "mapping with `symbols` or `library`.",
        "examples": ["AAPL, MSFT"],
        "x-runner": marks("resubscribe", "universe", "smaller_is_tighter", text=True),
    }


def _bars() -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "size": choice("IB's bar size.", [size.value for size in BarSize], apply="resubscribe", examples=["1 day"]),
            "history": {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_HISTORY,
                "description": "Bars that are loaded before trading and kept; as many as the slowest signal or the "
                "sizing needs when not said.",
                "examples": [260],
                "x-runner": marks("resubscribe", unit="bars"),
            },
            "regular_hours": {
                "type": "boolean",
                "default": True,
                "description": "Only trades of regular trading hours.",
                "x-runner": marks("resubscribe"),
            },
        },
        "description": "The bars that signals see.",
        "x-runner": marks("resubscribe", "keep"),
    }


def _named_blocks(
    catalog: Catalog, kind: Kind, description: str, *, section: Direction | None = None, use: Direction | None = None
) -> Schema:
    """A section of blocks under ids of the author's own. `section` is the direction of one more or less of them, `use`
    that of another block in the place of one."""
    return {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 16,
        "propertyNames": {"pattern": BLOCK_ID_PATTERN},
        "additionalProperties": _block(catalog, kind, use),
        "description": description,
        "x-runner": marks("rebuild", ORDERS_OF[kind], section),
    }


def _block(catalog: Catalog, kind: Kind, use: Direction | None) -> Schema:
    classes = catalog.blocks(kind)
    cases = []
    for name, cls in classes.items():
        settings: Schema = {"title": name} | deepcopy(json_schema(cls))
        then: Schema = {"title": name, "properties": {"with": settings}}
        if settings.get("required"):
            then["required"] = ["with"]
        cases.append({"if": {"required": ["use"], "properties": {"use": {"const": name}}}, "then": then})
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "use": {
                "type": "string",
                "anyOf": [{"enum": list(classes)}, {"pattern": REFERENCE_PATTERN}],
                "description": f"Name of the {kind} block; docs/blocks.md lists them. One of another package is "
                "package:name.",
                "x-runner": marks("rebuild", direction=use, kind=kind.value),
            },
            "with": {
                "type": "object",
                "description": "Its settings; what is not said keeps the block's default.",
                "x-runner": marks("rebuild"),
                **UNOFFERED,
            },
        },
        "allOf": cases,
        "x-runner": marks("rebuild", ORDERS_OF[kind]),
    }


def _schedule() -> Schema:
    """How often is decided has no direction: who decides more often enters sooner and leaves sooner, and may hold the
    same."""
    moment = {"type": "string", "pattern": TIME_PATTERN}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "calendar": choice(
                "exchange_calendars code; times below are in its zone.",
                list(CALENDARS),
                apply="live",
                examples=["XNYS"],
            ),
            "window": {
                "type": "array",
                "items": {"type": "string", "pattern": CLOCK_PATTERN},
                "minItems": 2,
                "maxItems": 2,
                "description": "Decisions are made only in this part of the session, one that falls due outside when "
                'it begins; stops and targets act always: ["09:35", "15:50"].',
                "examples": [["09:35", "15:50"]],
                "x-runner": marks("live", direction="smaller_is_tighter"),
            },
            "evaluate": moment
            | {
                "description": 'Decide once a session, at "15:45", close-20m or open+5m; the bar in progress is the '
                "last one then. Without it: when a bar completes.",
                "examples": ["close-20m"],
                "x-runner": marks("live"),
            },
            "every": {
                "type": "string",
                "pattern": EVERY_PATTERN,
                "description": "Intraday bars: decide at multiples of this from the open, or from where the window "
                "begins: 15m, 1h.",
                "examples": ["15m"],
                "x-runner": marks("live"),
            },
            "on": choice(
                "Decide at each bar, once a session, or only in the last session of a week or month.",
                [value.value for value in EvaluateOn],
                apply="live",
                default=EvaluateOn.BAR.value,
            ),
            "flatten_at": moment
            | {
                "description": 'Close all positions at this moment of each session; no entries after it: "15:55", '
                "close-5m.",
                "examples": ["close-5m"],
                "x-runner": marks("live", direction="smaller_is_tighter"),
            },
        },
        "description": "When decisions are made and orders may be sent.",
        "x-runner": marks("live", "keep"),
    }


def _execution() -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "order": choice(
                "How entries, reductions and rebalancing are sent; exits are always market orders.",
                [value.value for value in ExecutionStyle],
                apply="live",
                default=ExecutionStyle.MARKET.value,
            ),
            "limit_offset_bps": {
                "type": "number",
                "minimum": -500,
                "maximum": 300,
                "default": 0,
                "description": "limit, loc: distance of the limit from the reference price, in basis points, towards "
                "a fill; negative waits for a better price. rel: offset from the best quote.",
                "examples": [5],
                "x-runner": marks("live", unit="basis points"),
            },
            "tif": choice(
                "Time in force.",
                [value.value for value in TimeInForce],
                apply="live",
                default=TimeInForce.DAY.value,
            ),
        },
        "description": "How orders are sent.",
        "x-runner": marks("live", "keep"),
    }


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas"))
