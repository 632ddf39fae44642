"""Parameters: one declaration gives the checks, the schema, the table and the defaults."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest

from runner import base_params, catalog
from runner.blocks import REQUIRED, Kind, build, check_fields, json_schema, param, params_of

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample with every type of parameter.

    More text.
    """

    name: ClassVar[str] = "sample"
    count: int = param(3, "a count", minimum=1, maximum=9, unit="bars")
    level: float = param(0.5, "a level", exclusive_minimum=0, maximum=1, direction="smaller_is_tighter", apply="live")
    cap: int | None = param(None, "a cap", minimum=1)
    flag: bool = param(False, "a flag")
    mode: str = param("a", "a mode", choices=("a", "b"))
    table: Mapping[str, float] = param(REQUIRED, "a table", minimum=-1, maximum=1)

    def __post_init__(self) -> None:
        check_fields(self)


GOOD: dict[str, Any] = {"table": {"x": 0.5}}

REFUSED = [
    ({}, "sample needs the parameter table: a table"),
    (GOOD | {"cuont": 3}, 'sample has no parameter "cuont"; its parameters are: count, level, cap, flag, mode, table'),
    (GOOD | {"count": 0}, "count must be at least 1, not 0"),
    (GOOD | {"count": 10}, "count must be at most 9, not 10"),
    (GOOD | {"count": 2.5}, "count must be a whole number, not 2.5"),
    (GOOD | {"count": True}, "count must be a whole number, not true"),
    (GOOD | {"count": "3"}, 'count must be a whole number, not "3"'),
    (GOOD | {"count": None}, "count must be a whole number, not null"),
    (GOOD | {"level": 0}, "level must be above 0, not 0"),
    (GOOD | {"level": float("nan")}, "level must be a finite number, not nan"),
    (GOOD | {"level": float("inf")}, "level must be a finite number, not inf"),
    (GOOD | {"level": [1]}, "level must be a number, not a list"),
    (GOOD | {"cap": 0}, "cap must be at least 1, not 0"),
    (GOOD | {"flag": 1}, "flag must be true or false, not 1"),
    (GOOD | {"mode": "c"}, 'mode must be one of a, b, not "c"'),
    (GOOD | {"mode": 1}, "mode must be text, not 1"),
    ({"table": {}}, "table must map names to numbers, not an empty mapping"),
    ({"table": 3}, "table must map names to numbers, not 3"),
    ({"table": {"x": 2}}, "table.x must be at most 1, not 2"),
    ({"table": {1: 0.5}}, "table must have names as keys, not 1"),
]


@pytest.mark.parametrize(("mapping", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_a_bad_value_is_refused_with_one_plain_sentence(mapping: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(Sample, mapping)
    assert str(caught.value) == sentence


IN_JSON = [(mapping, sentence) for mapping, sentence in REFUSED if "nan" not in sentence and "keys" not in sentence]


@pytest.mark.parametrize("mapping", [mapping for mapping, _ in IN_JSON], ids=[sentence for _, sentence in IN_JSON])
def test_the_schema_refuses_what_build_refuses(mapping: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(json_schema(Sample)).is_valid(mapping)


def test_whole_floats_become_counts_and_counts_become_numbers() -> None:
    block = build(Sample, GOOD | {"count": 4.0, "level": 1, "table": {"x": 1}})
    assert (block.count, type(block.count)) == (4, int)
    assert (block.level, type(block.level)) == (1.0, float)
    assert type(block.table["x"]) is float


def test_a_block_made_directly_is_checked_too() -> None:
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        Sample(count=0, table={"x": 0.5})


def test_the_schema_carries_text_limits_defaults_and_reload_class() -> None:
    schema = json_schema(Sample)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["description"] == "A sample with every type of parameter."
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["table"]
    assert schema["properties"]["count"] == {
        "description": "a count",
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "default": 3,
        "x-runner": {
            "apply": "rebuild",
            "direction": None,
            "since": "0.1.0",
            "unit": "bars",
        },
    }
    assert schema["properties"]["level"]["exclusiveMinimum"] == 0
    assert schema["properties"]["level"]["x-runner"] == {
        "apply": "live",
        "direction": "smaller_is_tighter",
        "since": "0.1.0",
        "unit": "",
    }
    assert schema["properties"]["cap"]["type"] == ["integer", "null"]
    assert schema["properties"]["mode"]["enum"] == ["a", "b"]
    assert schema["properties"]["table"]["additionalProperties"] == {"type": "number", "minimum": -1, "maximum": 1}


def test_a_field_without_param_is_a_programming_error() -> None:
    @dataclass(frozen=True)
    class Undeclared:
        x: int = 3

    with pytest.raises(TypeError, match="not declared with param"):
        params_of(Undeclared)


def test_find_names_what_there_is() -> None:
    assert catalog.BUILT_IN.find(Kind.SIGNAL, "sma_cross").name == "sma_cross"
    with pytest.raises(ValueError, match='no sizing block called "sma_cross"; there are: equal_weight'):
        catalog.BUILT_IN.find(Kind.SIZING, "sma_cross")


@pytest.mark.parametrize(("page", "text"), [("blocks.md", catalog.reference), ("params.md", base_params.reference)])
def test_the_reference_pages_are_fresh(page: str, text: Any) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == text(), (
        "run: python -m runner.catalog > docs/blocks.md; python -m runner.base_params > docs/params.md"
    )


def test_the_catalog_is_importable_without_heavy_packages() -> None:
    code = (
        "import sys, runner.catalog, runner.base_params, runner.engine.decide, runner.engine.weights;"
        "heavy = {'pandas', 'arcticdb', 'ib_async', 'talib', 'numba', 'exchange_calendars'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
