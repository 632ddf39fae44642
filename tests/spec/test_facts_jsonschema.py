"""What jsonschema says of a wrong value, and what is said here: one test a fact.

jsonschema's side is asked too, so that a new version of it which changes a fact is noticed.
"""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from runner.spec.check import Checker
from runner.spec.folder import Loaded, load_folder, load_text
from runner.spec.load import MAX_DEPTH, parse_text
from runner.spec.problems import Problem
from runner.spec.schema import MAX_SYMBOLS, schema_texts

ROOT = Path(__file__).resolve().parents[2]
SMALL = """\
spec: 1
name: A
universe: AAPL
bars: {size: 1 day}
signals:
  trend: {use: sma_cross}
sizing: {use: equal_weight}
"""


def loaded(more: str = "", *, text: str = SMALL) -> Loaded:
    return load_text(text + more, path=Path("a.yaml"))


def problems(more: str = "", *, text: str = SMALL) -> list[tuple[str, int, int]]:
    """Code, line and column of each."""
    return [(problem.code, problem.line, problem.column) for problem in loaded(more, text=text).problems]


def one(more: str) -> Problem:
    (problem,) = loaded(more).problems
    return problem


def errors(schema: Any, value: Any) -> list[str]:
    """What bare jsonschema says."""
    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]


def keywords(node: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a schema with its value, names of properties among them."""
    if isinstance(node, dict):
        for key, below in node.items():
            yield key, below
            yield from keywords(below)
    elif isinstance(node, list):
        for below in node:
            yield from keywords(below)


OURS = [pytest.param(json.loads(text), id=name) for name, text in schema_texts().items()]


# --------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_can_pass_a_minimum_and_a_maximum(value: float) -> None:
    limits = {"type": "number", "minimum": 0, "maximum": 1}
    assert (errors(limits, value) == []) == math.isnan(value)
    assert errors({"type": "number", "minimum": 0}, math.inf) == []


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.inf", "1e999"])
def test_what_is_not_finite_is_refused_before_it_is_judged(text: str) -> None:
    assert "Y108" in [code for code, _, _ in problems(f"params: {{stop_loss: {text}}}\n")]
    assert one("hook_params: {a: " + text + "}\n" + "hooks: {on_fill: a.b:c}\n").code == "Y108"


def test_a_float_without_a_fraction_is_no_whole_number_here() -> None:
    assert errors({"type": "integer"}, 14.0) == []
    problem = one("params: {max_daily_trades: 14.0}\n")
    assert (problem.code, problem.hint) == ("S203", "write 14")


@pytest.mark.parametrize("field", ["max_daily_trades", "stop_loss"])
def test_true_is_no_number(field: str) -> None:
    assert errors({"type": "number"}, True) != []
    assert one(f"params: {{{field}: true}}\n").code == "S203"


@pytest.mark.parametrize("schema", OURS)
def test_no_schema_asks_for_multiples_of_a_float(schema: Any) -> None:
    assert errors({"multipleOf": 0.1}, 0.3) != []
    assert "multipleOf" not in dict(keywords(schema))


# ------------------------------------------------------------------------------------------------------------ text


@pytest.mark.parametrize("schema", OURS)
def test_no_schema_trusts_in_a_format(schema: Any) -> None:
    assert errors({"type": "string", "format": "time"}, "noon") == []
    assert not any(key == "format" and isinstance(value, str) for key, value in keywords(schema))


def test_a_pattern_means_the_whole_text() -> None:
    assert errors({"pattern": "^a$"}, "a\n") == []
    assert one('schedule: {calendar: XNYS, evaluate: "15:45\\n"}\n').code == "S207"


# ------------------------------------------------------------------------------------------------------- choices of


TWO = {
    "oneOf": [
        {"properties": {"type": {"const": "rsi"}, "period": {"type": "integer"}}, "additionalProperties": False},
        {"properties": {"type": {"const": "sma"}, "fast": {"type": "integer"}}, "additionalProperties": False},
    ]
}


def test_one_of_blames_the_whole_or_the_only_right_line() -> None:
    wrong = {"type": "sma", "fsat": 1}
    (error,) = Draft202012Validator(TWO).iter_errors(wrong)
    assert str(wrong) in error.message
    assert best_match([error]).json_path != "$"


def test_if_then_and_unevaluated_properties_blame_the_keys_beside() -> None:
    case = {
        "if": {"properties": {"use": {"const": "sma"}}},
        "then": {"properties": {"fast": {"minimum": 1}, "slow": {"minimum": 1}}},
    }
    schema = {"properties": {"use": {}}, "allOf": [case], "unevaluatedProperties": False}
    assert errors(schema, {"use": "sma", "fast": 1, "slow": 20}) == []
    assert any("slow" in message for message in errors(schema, {"use": "sma", "fast": 0, "slow": 20}))


@pytest.mark.parametrize("schema", OURS)
def test_no_schema_uses_what_blames_the_wrong_place(schema: Any) -> None:
    found = list(keywords(schema))
    assert {"oneOf", "unevaluatedProperties", "unevaluatedItems"} & {key for key, _ in found} == set()
    branches = [branch for key, value in found if key == "anyOf" for branch in value]
    assert [branch for branch in branches if "properties" in branch or "items" in branch] == []


def test_a_misspelled_block_is_one_problem_at_its_word() -> None:
    text = SMALL.replace("sma_cross}", "sma_crosss, with: {fast: 20, slow: 50}}")
    assert problems(text=text) == [("S206", 6, 16)]


def test_a_bad_setting_is_one_problem_and_leaves_its_neighbours_alone() -> None:
    text = SMALL.replace("sma_cross}", "sma_cross, with: {fast: 0, slow: 50}}")
    assert problems(text=text) == [("S204", 6, 40)]


def test_a_misspelled_setting_is_one_problem_at_its_key() -> None:
    text = SMALL.replace("sma_cross}", "sma_cross, with: {fsat: 20, slow: 50}}")
    assert problems(text=text) == [("S201", 6, 34)]


def test_mistakes_in_several_branches_are_all_there() -> None:
    text = SMALL.replace("sma_cross}", "sma_cross, with: {fast: 0, slwo: 50}}\n  other: {use: rsi, with: {period: x}}")
    assert [code for code, _, _ in problems("combine: {use: all_off}\n", text=text)] == ["S204", "S201", "S203", "S206"]


# ------------------------------------------------------------------------------------------------- keys and places


def test_unknown_keys_are_a_problem_each_at_their_own_places() -> None:
    schema = {"properties": {"a": {}}, "additionalProperties": False}
    assert len(errors(schema, {"b": 1, "c": 2})) == 1
    assert problems("params:\n  stoploss: 0.1\n  take_proft: 0.1\ntypo: 1\nschedule: {clendar: XNYS}\n") == [
        ("S201", 9, 3),
        ("S201", 10, 3),
        ("S201", 11, 1),
        ("S201", 12, 12),
    ]


def test_a_missing_key_is_shown_at_the_key_that_should_hold_it() -> None:
    text = SMALL.replace("bars: {size: 1 day}", "bars:\n  history: 100").replace("name: A\n", "")
    assert problems(text=text) == [("S202", 1, 1), ("S202", 3, 1)]
    text = SMALL.replace("universe: AAPL", "universe:\n  symbols:\n    - {exchange: SMART}")
    assert problems(text=text) == [("S202", 5, 7)]


def test_a_misspelled_key_stands_for_the_missing_one() -> None:
    (problem,) = loaded(text=SMALL.replace("sizing:", "sizng:")).problems
    assert (problem.code, problem.hint) == ("S201", 'did you mean "sizing"?')


def test_problems_are_in_the_order_of_the_file() -> None:
    places = [place for _, *place in problems("typo: 1\nparams: {stop_loss: x}\nbars2: 1\nexecution: {order: x}\n")]
    assert len(places) == 4
    assert places == sorted(places)


def test_keys_that_are_no_text_elsewhere_are_text_here() -> None:
    assert [code for code, _, _ in problems("1: x\ntrue: y\n1.5: z\n")] == ["S201"] * 3
    assert [problem.message for problem in loaded("true: y\n").problems] == ['unknown key "true"']


def test_a_default_of_the_schema_reaches_the_strategy() -> None:
    schema = {"properties": {"a": {"default": 1}}}
    value: dict[str, Any] = {}
    assert errors(schema, value) == [] and value == {}
    spec = loaded().spec
    assert spec is not None
    assert spec.params.max_weight == 1.0 and spec.bars.regular_hours and spec.signals["trend"].fast == 20


# ----------------------------------------------------------------------------------------------- network and depth


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a socket was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.mark.parametrize("schema", OURS)
def test_no_schema_refers_to_another(schema: Any) -> None:
    assert {"$ref", "$dynamicRef", "$recursiveRef", "$id", "$anchor"} & set(dict(keywords(schema))) == set()


def test_a_reference_to_an_address_is_not_fetched(no_network: None) -> None:
    from referencing.exceptions import Unresolvable

    checker = Checker({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}})
    root = parse_text("a: 1\n", file="a.yaml").root
    assert root is not None
    with pytest.raises(Exception) as caught:
        checker.check(root)
    assert isinstance(caught.value, Unresolvable)


def test_nothing_is_fetched_while_files_are_checked(no_network: None) -> None:
    assert load_folder(ROOT / "strategies.d").specs
    assert load_folder(ROOT / "tests" / "specs" / "invalid").problems


def test_a_recursive_schema_ends_jsonschema_and_the_loaders_depth_does_not_let_it() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    schema = {"items": {"$ref": "#"}}
    with pytest.raises(RecursionError):
        errors(schema, deep)
    nested = "[" * (MAX_DEPTH - 2) + "]" * (MAX_DEPTH - 2)
    assert loaded("hooks: {on_fill: a.b:c}\nhook_params: {a: " + nested + "}\n").spec is not None
    assert [code for code, _, _ in problems(f"hook_params: {{a: [{nested}]}}\n")] == ["Y109"]


# -------------------------------------------------------------------------------------------------- large universes


def universe(count: int) -> str:
    symbols = ", ".join(f"S{number}" for number in range(count))
    return SMALL.replace("universe: AAPL", f"universe: [{symbols}]")


def test_a_universe_of_five_hundred_symbols_is_read() -> None:
    spec = loaded(text=universe(500)).spec
    assert spec is not None and len(spec.universe.instruments) == 500


def test_a_universe_has_a_limit() -> None:
    assert loaded(text=universe(MAX_SYMBOLS)).spec is not None
    assert problems(text=universe(MAX_SYMBOLS + 1)) == [("S208", 3, 1)]
