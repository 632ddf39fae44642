"""The seed, "Live Strategy Lifecycle (Step-by-Step)" and "Where Parameters Come From", read along."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from runner.errors import ConfigError
from runner.manager.strategy_manager import StrategyManager
from runner.model.events import Filled, StatusChanged, StrategyPhase
from runner.portfolio.portfolio_manager import PortfolioManager
from runner.strategy.base_strategy import PARAMS

WAITING = """
import asyncio
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS
PARAMS = {**BASE_PARAMS, "universe": "IBM", "target_weight": 0.25}
STEPS = []
class FirstStrategy(BaseStrategy):
    async def initialize_strategy(self):
        STEPS.append(("initialize", self.is_connected, self.broker.ready, self.is_running))
    async def run_strategy(self):
        STEPS.append(("run",))
        await asyncio.Event().wait()
    async def finish_strategy(self):
        STEPS.append(("finish", self.is_connected))
class SecondStrategy(FirstStrategy):
    pass
"""


# 1 StrategyManager starts up


def test_1_the_manager_creates_store_and_portfolio_manager_and_stores_the_ib_client(system: Any) -> None:
    manager: StrategyManager = system.manager
    assert manager.ac is not None
    assert isinstance(manager.portfolio_manager, PortfolioManager)
    assert manager.ib_client.isConnected()


def test_1_the_base_currency_comes_from_equity_with_loan_value(build: Any) -> None:
    running = build({}, base_currency="EUR", cash={"EUR": __import__("decimal").Decimal(500_000)})
    assert running.manager.portfolio_manager.base_currency == "EUR"
    assert running.manager.portfolio_manager.fx_cache.base_currency == "EUR"


# 2 Starting an individual strategy


def test_2_the_strategys_file_comes_from_the_filename_column(system: Any) -> None:
    assert system.manager._get_strategy_filename("MINE") == "my_strategy.py"


def test_2_a_strategy_without_a_row_is_named_with_those_that_are_known(system: Any) -> None:
    with pytest.raises(ConfigError, match=r"no filename for 'NOBODY' \(known: MINE, TREND\)"):
        system.manager.start_strategy("NOBODY")


def test_2_the_first_class_ending_with_strategy_is_selected_and_base_strategy_excluded(system: Any) -> None:
    cls, module = system.manager.load_strategy_class("my_strategy.py")
    assert cls.__name__ == "MyStrategy"
    assert module.BaseStrategy is not cls


@pytest.fixture(scope="module")
def waiting(build: Any) -> Any:
    running = build({"waiting.py": WAITING})
    running.manager.register_python("WAITING", "waiting.py")
    return running


def test_2_stored_params_are_the_source_of_truth(waiting: Any) -> None:
    _, module = waiting.manager.load_strategy_class("waiting.py")
    assert waiting.manager.load_strategy_params("WAITING", module)["target_weight"] == 0.25  # persisted by this call
    assert json.loads(waiting.manager.strategies.get("WAITING").params)["target_weight"] == 0.25
    waiting.manager.strategies.set_params("WAITING", {**PARAMS, "universe": "IBM", "target_weight": 0.05})
    assert waiting.manager.load_strategy_params("WAITING", module)["target_weight"] == 0.05


def test_2_the_instance_gets_client_id_manager_params_and_symbol_and_starts(waiting: Any) -> None:
    waiting.start("WAITING")
    instance = waiting.manager.runtime("WAITING").instance
    assert instance.symbol == "WAITING"
    assert instance.strategy_manager is waiting.manager
    assert instance.params["target_weight"] == 0.05
    assert instance.client_id == waiting.manager.strategies.get("WAITING").client_id
    assert waiting.phase("WAITING") is StrategyPhase.RUNNING


def test_2_a_client_id_is_stored_and_never_given_to_another_strategy(waiting: Any) -> None:
    first = waiting.manager.strategies.client_id_for("WAITING", 1)
    second = waiting.manager.strategies.client_id_for("ANOTHER", 1)
    assert first != second
    assert waiting.manager.strategies.client_id_for("WAITING", 1) == first


# 3 Inside BaseStrategy._main_strategy_loop()


def test_3_connection_then_broker_then_initialize_then_run(waiting: Any) -> None:
    module = type(waiting.manager.runtime("WAITING").instance).__module__
    steps = __import__("sys").modules[module].STEPS
    assert steps[:2] == [("initialize", True, True, True), ("run",)]


def test_3_the_strategy_references_the_shared_fx_cache_and_base_currency(waiting: Any) -> None:
    instance = waiting.manager.runtime("WAITING").instance
    assert instance.fx_cache is waiting.manager.portfolio_manager.fx_cache
    assert instance.base_currency == "USD"


# 5 Stopping and cleanup


def test_5_stop_strategy_cleans_up_and_disconnects(waiting: Any) -> None:
    instance = waiting.manager.runtime("WAITING").instance
    assert waiting.manager.stop_strategy("WAITING")
    module = __import__("sys").modules[type(instance).__module__]
    assert module.STEPS[-1] == ("finish", True)
    assert not instance.is_connected and not instance.is_running
    assert waiting.phase("WAITING") is StrategyPhase.STOPPED
    assert waiting.manager.ib_client.isConnected()  # the master stays


def test_5_a_stopped_strategy_can_be_started_again_under_its_client_id(waiting: Any) -> None:
    before = waiting.manager.strategies.get("WAITING").client_id
    waiting.start("WAITING")
    assert waiting.phase("WAITING") is StrategyPhase.RUNNING
    assert waiting.manager.runtime("WAITING").instance.ib.client.clientId == before
    waiting.manager.stop_strategy("WAITING")


# 4 Event flow from IB to PortfolioManager


def test_4_fills_and_status_changes_go_through_the_queue_into_the_books(system: Any) -> None:
    books = system.manager.portfolio_manager
    filled = [event for event in system.events if isinstance(event, Filled) and event.strategy == "MINE"]
    assert sum(fill.side.sign * fill.quantity for fill in filled) == books.positions("MINE")[0].quantity
    refs = {event.order_ref for event in system.events if isinstance(event, StatusChanged)}
    assert {fill.order_ref for fill in filled} <= refs


def test_4_process_fill_and_record_status_change_are_idempotent(system: Any) -> None:
    books = system.manager.portfolio_manager
    fill = next(event for event in system.events if isinstance(event, Filled))
    change = [event for event in system.events if isinstance(event, StatusChanged)][-1]
    before = books.held()
    assert not books.process_fill(fill).new
    assert not books.record_status_change(change).new
    assert books.held() == before


# Where parameters come from


def test_weights_of_the_row_win_over_those_of_the_params(waiting: Any) -> None:
    row = waiting.manager.strategies.get("WAITING")
    waiting.manager.strategies.upsert([replace(row, min_weight=0.01, target_weight=0.02, max_weight=0.03)])
    waiting.start("WAITING")
    instance = waiting.manager.runtime("WAITING").instance
    assert (instance.min_weight, instance.target_weight, instance.max_weight) == (0.01, 0.02, 0.03)
    waiting.manager.stop_strategy("WAITING")


def test_base_strategy_reads_arcticdb_params_as_a_fallback(waiting: Any) -> None:
    cls, _ = waiting.manager.load_strategy_class("waiting.py")
    instance = cls(client_id=9, strategy_manager=waiting.manager, strategy_symbol="WAITING")
    assert instance.params["target_weight"] == 0.05


def test_params_that_are_not_json_stop_that_strategy_with_a_clear_message(waiting: Any) -> None:
    row = waiting.manager.strategies.get("WAITING")
    waiting.manager.strategies.upsert([replace(row, strategy="BROKEN", client_id=None, params="{oops")])
    with pytest.raises(Exception, match="params of BROKEN in general/strategies are not JSON"):
        waiting.manager.start_strategy("BROKEN")
