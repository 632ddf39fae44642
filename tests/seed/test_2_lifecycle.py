"""The seed, "Live Strategy Lifecycle (Step-by-Step)", read along. The number is the step's."""

from __future__ import annotations

import json
import sys
import threading
from decimal import Decimal
from typing import Any

import pytest

from runner.broker.live_broker import LiveBroker
from runner.errors import ConfigError
from runner.manager.strategy_manager import StrategyManager
from runner.model.events import Filled, StatusChanged, StrategyPhase
from runner.model.orders import OrderState
from runner.portfolio.fx_cache import FXCache
from runner.portfolio.portfolio_manager import PortfolioManager
from runner.store.arctic_manager import get_ac
from runner.strategy.base_strategy import PARAMS

WITHIN_S = 10.0

# 1 StrategyManager starts up


def test_1_it_creates_or_reuses_the_arcticdb_client(system: Any) -> None:
    manager: StrategyManager = system.manager
    with get_ac(manager.config.store_uri) as again:
        assert again is manager.store
    assert manager.ac is manager.store.ac


def test_1_it_creates_the_portfolio_manager_which_reads_its_client_and_its_session(system: Any) -> None:
    manager: StrategyManager = system.manager
    assert isinstance(manager.portfolio_manager, PortfolioManager)
    assert manager.portfolio_manager._host is manager
    assert manager.ac is not None and manager.ib_client is not None


def test_1_it_connects_to_ib_as_client_0_and_stores_the_session_as_ib_client(system: Any) -> None:
    assert system.manager.ib_client.isConnected()
    assert system.manager.ib_client.client.clientId == 0


def test_1_the_portfolio_manager_determines_the_base_currency_and_initializes_the_fx_cache(build: Any) -> None:
    running = build({}, base_currency="EUR", cash={"EUR": Decimal(500_000)})
    assert running.manager.portfolio_manager.base_currency == "EUR"
    assert isinstance(running.manager.portfolio_manager.fx_cache, FXCache)
    assert running.manager.portfolio_manager.fx_cache.base_currency == "EUR"


def test_1_it_starts_a_background_thread_for_the_message_queue(system: Any) -> None:
    assert system.manager.message_queue._thread.is_alive()
    assert system.manager.message_queue._thread is not threading.current_thread()


# 2 Starting an individual strategy


def test_2_start_strategy_takes_the_strategys_symbol(system: Any) -> None:
    with pytest.raises(ConfigError, match=r"no filename for 'NOBODY' \(known: MINE, TREND\)"):
        system.manager.start_strategy("NOBODY")


def test_2_the_strategys_file_comes_from_the_filename_column(system: Any) -> None:
    assert system.manager._get_strategy_filename("MINE") == "my_strategy.py"
    table = system.manager.store.read("general", "strategies")
    assert dict(zip(table["strategy"], table["filename"], strict=True))["MINE"] == "my_strategy.py"


def test_2_the_first_class_ending_with_strategy_is_selected_and_base_strategy_excluded(
    system: Any, waiting: Any
) -> None:
    cls, module = system.manager.load_strategy_class("my_strategy.py")
    assert cls.__name__ == "MyStrategy"
    assert module.BaseStrategy is not cls
    assert waiting.manager.load_strategy_class("waiting.py")[0].__name__ == "FirstStrategy"


def test_2_non_empty_params_of_the_row_are_used_as_the_source_of_truth(waiting: Any) -> None:
    _, module = waiting.manager.load_strategy_class("waiting.py")
    waiting.manager.strategies.set_params("WAITING", {**PARAMS, "universe": "IBM", "target_weight": 0.05})
    assert waiting.manager.load_strategy_params("WAITING", module)["target_weight"] == 0.05
    assert module.PARAMS["target_weight"] == 0.25


def test_2_else_the_modules_params_are_used_and_persisted_back(waiting: Any) -> None:
    waiting.manager.register_python("FRESH", "waiting.py")
    _, module = waiting.manager.load_strategy_class("waiting.py")
    assert waiting.manager.strategies.get("FRESH").params == ""
    assert waiting.manager.load_strategy_params("FRESH", module) == module.PARAMS
    assert json.loads(waiting.manager.strategies.get("FRESH").params) == module.PARAMS


def test_2_the_instance_gets_a_unique_client_id_the_manager_and_the_resolved_params(waiting: Any) -> None:
    waiting.start("WAITING")
    instance = waiting.manager.runtime("WAITING").instance
    assert instance.client_id == waiting.manager.strategies.get("WAITING").client_id
    assert instance.strategy_manager is waiting.manager
    assert instance.params["target_weight"] == 0.05


def test_2_a_client_id_is_stored_and_never_given_to_another_strategy(waiting: Any) -> None:
    first = waiting.manager.strategies.client_id_for("WAITING", 1)
    second = waiting.manager.strategies.client_id_for("ANOTHER", 1)
    assert first != second
    assert waiting.manager.strategies.client_id_for("WAITING", 1) == first


def test_2_the_strategy_symbol_is_exposed_as_symbol(waiting: Any) -> None:
    assert waiting.manager.runtime("WAITING").instance.symbol == "WAITING"


def test_2_start_strategy_begins_the_dedicated_thread_and_loop(waiting: Any) -> None:
    instance = waiting.manager.runtime("WAITING").instance
    assert waiting.phase("WAITING") is StrategyPhase.RUNNING
    assert instance._thread.name == "strategy-WAITING" and instance._thread.is_alive()
    assert instance._loop.is_running() and instance._loop is not waiting.manager.broker_loop


# 3 Inside BaseStrategy._main_strategy_loop()


def test_3_it_has_its_own_ib_connection_under_its_client_id(waiting: Any) -> None:
    instance = waiting.manager.runtime("WAITING").instance
    assert instance.ib.isConnected() and instance.ib is not waiting.manager.ib_client
    assert instance.ib.client.clientId == instance.client_id


def test_3_the_broker_is_a_live_broker_on_that_connection_for_that_symbol(waiting: Any) -> None:
    instance = waiting.manager.runtime("WAITING").instance
    assert isinstance(instance.broker, LiveBroker)
    assert instance.broker.ib_client is instance.ib
    assert instance.broker.strategy_symbol == instance.symbol


def test_3_the_strategy_references_the_shared_fx_cache_and_base_currency(waiting: Any) -> None:
    instance = waiting.manager.runtime("WAITING").instance
    assert instance.fx_cache is waiting.manager.portfolio_manager.fx_cache
    assert instance.base_currency == "USD"


def test_3_initialize_strategy_is_called_connected_and_with_its_broker(waiting: Any, steps: Any) -> None:
    connected = ready = running = True
    assert steps(waiting, "WAITING")[0] == ("initialize", connected, ready, running)


def test_3_then_run_strategy_is_called(waiting: Any, steps: Any) -> None:
    assert steps(waiting, "WAITING")[1:] == [("run",)]


# 4 Event flow from IB to PortfolioManager


def test_4_orders_are_placed_through_live_broker_under_the_strategys_client_id(system: Any) -> None:
    for runtime in system.manager.runtimes:
        fills = system.manager.journal.executions(runtime.name)
        assert {fill.client_id for fill in fills} == {runtime.instance.broker.ib_client.client.clientId}


def test_4_the_strategy_forwards_status_and_fills_to_the_message_queue(system: Any) -> None:
    seen = system.manager.runtime("MINE").instance.seen
    told = [e for e in system.events if e.strategy == "MINE" and isinstance(e, Filled | StatusChanged)]
    assert told and all(fact in seen for fact in told if getattr(fact, "state", None) is not OrderState.INTENT)


def test_4_process_fill_records_a_fill_and_updates_the_position_once(system: Any) -> None:
    books = system.manager.portfolio_manager
    filled = [event for event in system.events if isinstance(event, Filled) and event.strategy == "MINE"]
    assert sum(fill.side.sign * fill.quantity for fill in filled) == books.positions("MINE")[0].quantity
    before = books.held()
    assert not books.process_fill(filled[0]).new
    assert books.held() == before


def test_4_a_coroutine_may_hand_over_a_fill_without_holding_up_its_loop(system: Any) -> None:
    books = system.manager.portfolio_manager
    fill = next(event for event in system.events if isinstance(event, Filled))
    on_another_loop = system.manager._broker_loop.call(books.handle_fill_event_async(fill), WITHIN_S)
    assert not on_another_loop.new


def test_4_record_status_change_persists_the_transitions_of_an_order(system: Any) -> None:
    books = system.manager.portfolio_manager
    change = [event for event in system.events if isinstance(event, StatusChanged)][-1]
    assert not books.record_status_change(change).new  # it is there already
    stored = system.manager.store.read("orders", change.strategy)
    states = stored[(stored["order_ref"] == change.order_ref) & (stored["event"] == "status_change")]["state"]
    told = [e.state.value for e in system.events if isinstance(e, StatusChanged) and e.order_ref == change.order_ref]
    assert states.tolist() == told
    assert len(told) > 1


# 5 Stopping and cleanup


def test_5_stop_strategy_of_the_manager_calls_the_strategys_stop_strategy(waiting: Any) -> None:
    instance = waiting.manager.runtime("WAITING").instance
    assert waiting.manager.stop_strategy("WAITING")
    assert not instance.is_running
    instance._thread.join(WITHIN_S)
    assert not instance._thread.is_alive()
    assert waiting.phase("WAITING") is StrategyPhase.STOPPED


def test_5_cleanup_disconnects_the_strategys_session_and_finalizes(waiting: Any) -> None:
    instance = waiting.manager.runtime("WAITING").instance
    assert not instance.is_connected
    assert sys.modules[type(instance).__module__].STEPS[-1] == ("finish", True)  # called while still connected
    assert waiting.manager.ib_client.isConnected()  # the master stays


def test_5_a_stopped_strategy_can_be_started_again_under_its_client_id(waiting: Any) -> None:
    before = waiting.manager.strategies.get("WAITING").client_id
    waiting.start("WAITING")
    assert waiting.phase("WAITING") is StrategyPhase.RUNNING
    assert waiting.manager.runtime("WAITING").instance.ib.client.clientId == before
    waiting.manager.stop_strategy("WAITING")
