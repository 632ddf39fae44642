"""The seed, "Where Parameters Come From and When They're Loaded", read along."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from runner.strategy.base_strategy import PARAMS


def test_the_source_of_truth_is_general_strategies_with_filename_target_weight_and_params(waiting: Any) -> None:
    table = waiting.manager.store.read("general", "strategies")
    assert {"filename", "target_weight", "params"} <= set(table.columns)


def test_load_order_1_a_non_empty_json_string_in_the_row_is_parsed_and_returned(waiting: Any) -> None:
    _, module = waiting.manager.load_strategy_class("waiting.py")
    row = waiting.manager.strategies.get("WAITING")
    stored = {**PARAMS, "universe": "IBM", "target_weight": 0.05, "mine": [1, "two"]}
    waiting.manager.strategies.upsert([replace(row, params=json.dumps(stored))])
    assert waiting.manager.load_strategy_params("WAITING", module) == stored


def test_load_order_2_otherwise_the_modules_params_are_used_and_persisted_as_a_json_string(waiting: Any) -> None:
    waiting.manager.register_python("FRESH", "waiting.py")
    _, module = waiting.manager.load_strategy_class("waiting.py")
    assert waiting.manager.load_strategy_params("FRESH", module) == module.PARAMS
    table = waiting.manager.store.read("general", "strategies")
    (stored,) = table[table["strategy"] == "FRESH"]["params"]
    assert json.loads(stored) == module.PARAMS


def test_params_that_are_not_json_stop_that_strategy_with_a_clear_message(waiting: Any) -> None:
    row = waiting.manager.strategies.get("WAITING")
    waiting.manager.strategies.upsert([replace(row, strategy="BROKEN", client_id=None, params="{oops")])
    with pytest.raises(Exception, match="params of BROKEN in general/strategies are not JSON"):
        waiting.manager.start_strategy("BROKEN")


def test_at_construction_the_resolved_params_are_passed_to_base_strategy(waiting: Any) -> None:
    waiting.start("WAITING")
    instance = waiting.manager.runtime("WAITING").instance
    assert instance.params == json.loads(waiting.manager.strategies.get("WAITING").params)
    waiting.manager.stop_strategy("WAITING")


def test_base_strategy_reads_the_weights_of_the_row_and_exposes_them_as_attributes(waiting: Any) -> None:
    row = waiting.manager.strategies.get("WAITING")
    waiting.manager.strategies.upsert([replace(row, min_weight=0.01, target_weight=0.02, max_weight=0.03)])
    waiting.start("WAITING")
    instance = waiting.manager.runtime("WAITING").instance
    assert (instance.min_weight, instance.target_weight, instance.max_weight) == (0.01, 0.02, 0.03)
    assert instance.params["target_weight"] == 0.05  # the row's own columns come first
    waiting.manager.stop_strategy("WAITING")


def test_base_strategy_is_resilient_if_ever_instantiated_without_passed_params(waiting: Any) -> None:
    cls, _ = waiting.manager.load_strategy_class("waiting.py")
    stored = cls(client_id=9, strategy_manager=waiting.manager, strategy_symbol="WAITING")
    assert stored.params["mine"] == [1, "two"]
    unknown = cls(client_id=9, strategy_manager=waiting.manager, strategy_symbol="NOWHERE")
    assert unknown.params == PARAMS
