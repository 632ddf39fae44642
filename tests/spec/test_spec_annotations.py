"""Every field says what a change of it takes and does; the words are the documented ones, and nothing is said twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from runner.model.annotations import APPLY, DIRECTION, ORDERS, Apply, Direction, Orders
from runner.spec.case_schema import case_file_schema
from runner.spec.config_schema import runner_schema
from runner.spec.described import Field, fields_of, matches
from runner.spec.fields import annotated
from runner.spec.folder import load_file
from runner.spec.levels import Level
from runner.spec.render import render_text
from runner.spec.schema import base_schema, strategy_schema

FIELDS = fields_of()


def described(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a schema that has a description, wherever it is; the whole schema itself left out."""
    if isinstance(schema, dict):
        if path and isinstance(schema.get("description"), str):
            yield path, schema
        for key, below in schema.items():
            if key != "x-runner":
                yield from described(below, f"{path}/{key}")
    elif isinstance(schema, list):
        for i, below in enumerate(schema):
            yield from described(below, f"{path}/{i}")


@pytest.mark.parametrize(
    "schema",
    [strategy_schema(), base_schema(), case_file_schema(), runner_schema()],
    ids=["strategy", "base", "tests", "runner"],
)
def test_every_described_field_has_every_annotation_in_the_documented_words(schema: dict[str, Any]) -> None:
    found = list(described(schema))
    assert len(found) > 30
    for path, field in found:
        marks = field["x-runner"]
        assert list(marks)[:4] == ["apply", "direction", "orders", "since"], path
        assert marks["apply"] in APPLY, path
        assert marks["direction"] is None or marks["direction"] in DIRECTION, path
        assert marks["orders"] in ORDERS, path
        assert marks["since"].count(".") == 2, path


@pytest.mark.parametrize(
    ("words", "table"), [(Apply, APPLY), (Direction, DIRECTION), (Orders, ORDERS)], ids=["apply", "direction", "orders"]
)
def test_every_word_has_a_meaning(words: Any, table: Any) -> None:
    assert list(get_args(words)) == list(table)


def test_every_word_is_used_by_some_field() -> None:
    assert {field.apply for field in FIELDS} == set(APPLY)
    assert {field.orders for field in FIELDS} == set(ORDERS)
    assert {field.direction for field in FIELDS} == {*DIRECTION, None}


def test_a_field_has_its_sections_annotations_unless_it_has_its_own() -> None:
    section = {
        "type": "object",
        "description": "a section",
        "x-runner": {"apply": "live", "orders": "keep", "direction": "smaller_is_tighter", "since": "0.2.0"},
        "properties": {
            "plain": {"description": "a field"},
            "own": {"description": "another", "x-runner": {"orders": "exits", "since": "0.3.0", "unit": "bars"}},
        },
    }
    below = annotated({"properties": {"section": section}})["properties"]["section"]["properties"]
    assert below["plain"]["x-runner"] == {"apply": "live", "direction": None, "orders": "keep", "since": "0.2.0"}
    own = {"apply": "live", "direction": None, "orders": "exits", "since": "0.3.0", "unit": "bars"}
    assert below["own"]["x-runner"] == own


def test_a_field_of_which_nothing_is_known_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match=r"section\.key does not say: orders"):
        annotated(
            {
                "properties": {
                    "section": {"properties": {"key": {"description": "a field", "x-runner": {"apply": "live"}}}}
                }
            }
        )


BY_PATH = {field.short: field for field in reversed(FIELDS)}  # of a strategy file, where runner.yaml has the key too


@pytest.mark.parametrize(
    ("path", "apply", "direction", "orders"),
    [
        ("description", "meta", None, "none"),
        ("on_remove", "live", None, "universe"),
        ("name", "identity", None, "identity"),
        ("enabled", "live", "smaller_is_tighter", "entry_stop"),
        ("universe.symbols", "resubscribe", "smaller_is_tighter", "universe"),
        ("universe.symbols[].currency", "resubscribe", "any_is_looser", "universe"),
        ("universe.library", "resubscribe", "any_is_looser", "universe"),
        ("universe.max_symbols", "resubscribe", "smaller_is_tighter", "universe"),
        ("bars.history", "resubscribe", None, "keep"),
        ("signals.*.use", "rebuild", "wider_is_looser", "next_decision"),
        ("sma_cross.allow_short", "rebuild", "wider_is_looser", "next_decision"),
        ("combine.use", "rebuild", "wider_is_looser", "next_decision"),
        ("sizing.use", "rebuild", "wider_is_looser", "next_decision"),
        ("equal_weight.max_names", "rebuild", "wider_is_looser", "next_decision"),
        ("fixed_weights.weights", "rebuild", "smaller_is_tighter", "next_decision"),
        ("volatility_target.bars_per_year", "rebuild", "larger_is_tighter", "next_decision"),
        ("sma_cross.fast", "rebuild", None, "next_decision"),
        ("exits", "rebuild", "larger_is_tighter", "exits"),
        ("exits.*.use", "rebuild", "any_is_looser", "exits"),
        ("chandelier.mult", "rebuild", "smaller_is_tighter", "exits"),
        ("volatility_target.max_leverage", "rebuild", "smaller_is_tighter", "next_decision"),
        ("params.target_weight", "live", "smaller_is_tighter", "next_decision"),
        ("params.max_position_size", "live", "smaller_is_tighter", "entry_cap"),
        ("params.max_daily_loss", "live", "smaller_is_tighter", "entry_stop"),
        ("params.max_daily_trades", "live", "smaller_is_tighter", "keep"),
        ("params.stop_loss", "live", "smaller_is_tighter", "exits"),
        ("params.take_profit", "live", None, "exits"),
        ("schedule.window", "live", "smaller_is_tighter", "keep"),
        ("schedule.flatten_at", "live", "smaller_is_tighter", "keep"),
        ("schedule.on", "live", None, "keep"),
        ("execution.order", "live", None, "keep"),
        ("hooks.before_orders", "restart", "any_is_looser", "handover"),
        ("hook_params", "restart", "any_is_looser", "handover"),
        ("ib.port", "process", None, "handover"),
        ("plugins.allow", "process", "smaller_is_tighter", "handover"),
        ("tests[].expect[].at", "meta", None, "none"),
        ("portfolio.max_total_weight", "live", "smaller_is_tighter", "none"),
    ],
)
def test_what_a_change_takes_and_does(path: str, apply: str, direction: str | None, orders: str) -> None:
    field = BY_PATH[path]
    assert (field.apply, field.direction, field.orders) == (apply, direction, orders)


SHORTING = ("donchian_breakout", "momentum", "rsi", "sma_cross")


def test_no_two_fields_of_a_file_are_called_the_same() -> None:
    assert len({(field.file, field.short) for field in FIELDS}) == len(FIELDS)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("params.max_daily_loss", ["params.max_daily_loss"]),
        ("sma_cross.fast", ["sma_cross.fast"]),
        ("signals.*.with.fast", ["sma_cross.fast"]),
        ("signals.my_trend.with.fast", ["sma_cross.fast"]),
        ("universe.symbols[].currency", ["universe.symbols[].currency"]),
        ("universe.symbols[12].currency", ["universe.symbols[].currency"]),
        ("universe.symbols.currency", ["universe.symbols[].currency"]),
        ("universe[0].currency", ["universe.symbols[].currency"]),
        ("combine.with.weights", ["weighted.weights"]),
        ("signals.x.with.allow_short", [f"{name}.allow_short" for name in SHORTING]),
        ("ib.port", ["ib.port"]),
        ("signals.with.fast", []),
        ("max_daily_loss", []),
        ("", []),
    ],
)  # fmt: skip
def test_a_field_is_found_by_its_path_also_with_real_ids_and_numbers(word: str, found: list[str]) -> None:
    assert [field.short for field in FIELDS if matches(field, word)] == found


BASE = """\
spec: 1
name: TREND
universe: {symbols: [AAPL]}
bars: {size: 1 day}

sizing: {use: equal_weight}
"""
LEAVES = [field for field in FIELDS if field.file == "strategy" and field.example and field.path != "extends"]


@pytest.mark.parametrize("field", LEAVES, ids=lambda field: field.short)
def test_the_example_of_a_field_of_a_strategy_can_be_written(field: Field, tmp_path: Path) -> None:
    (tmp_path / "_base.yaml").write_text(BASE)
    missing = "" if field.path.startswith("signals") else "signals: {trend: {use: sma_cross}}\n"
    (tmp_path / "a.yaml").write_text(f"extends: _base.yaml\n{field.example}{missing}")
    loaded = load_file(tmp_path / "a.yaml", root=tmp_path, level=Level.SCHEMA)
    assert render_text(loaded.problems, loaded.sources) == ""


@pytest.mark.parametrize("field", [f for f in FIELDS if f.file == "runner.yaml" and f.example], ids=lambda f: f.short)
def test_the_example_of_a_field_of_runner_yaml_can_be_written(field: Field, tmp_path: Path) -> None:
    from runner.spec.config import load_config

    (tmp_path / "runner.yaml").write_text(field.example)
    load_config(None, tmp_path, env={})


def test_only_sections_are_without_an_example() -> None:
    without = [field.path for field in FIELDS if not field.example and not field.keys and field.name != "with"]
    assert without == ["signals", "exits"]
