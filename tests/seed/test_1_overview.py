"""The seed, "Overview of the Main Components", read along sentence by sentence."""

from __future__ import annotations

import inspect
import json
import threading
from decimal import Decimal
from typing import Any

import ib_async

from runner.broker.base_broker import Broker
from runner.broker.live_broker import LiveBroker
from runner.model.events import Filled, OrderPlaced, StatusChanged
from runner.portfolio.fx_cache import FXCache
from runner.store.arctic_manager import get_ac, s3_uri
from runner.strategy.base_strategy import PARAMS, BaseStrategy

# StrategyManager


def test_strategy_manager_owns_the_master_ib_connection_with_client_id_0(system: Any) -> None:
    assert system.manager.ib_client.client.clientId == 0
    assert system.manager.ib_client.isConnected()


def test_strategy_manager_owns_a_single_arcticdb_client(system: Any) -> None:
    assert system.manager.ac is system.manager.store.ac
    assert system.manager.runtime("MINE").instance.broker.ac is system.manager.ac


def test_strategy_manager_loads_parameters_from_arcticdb_or_falls_back_to_the_modules_params(system: Any) -> None:
    assert system.params_before == ""  # nothing was stored, so the module's PARAMS were taken
    stored = json.loads(system.manager.strategies.get("MINE").params)
    assert stored["stop_loss"] == 0.03
    assert stored == system.manager.runtime("MINE").instance.params


def test_strategy_manager_loads_instantiates_injects_itself_and_starts_it_in_its_own_thread(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    assert type(mine).__name__ == "MyStrategy"
    assert mine.strategy_manager is system.manager
    assert "strategy-MINE" in {thread.name for thread in threading.enumerate()}
    assert mine._loop is not system.manager.broker_loop


def test_message_queue_takes_standardized_events_and_a_background_thread_consumes_them(system: Any) -> None:
    assert "message-queue" in {thread.name for thread in threading.enumerate()}
    kinds = {event.type for event in system.events}
    assert {"order", "fill", "status_change"} <= kinds


# BaseStrategy


def test_base_strategy_is_abstract_with_lifecycle_and_cleanup() -> None:
    assert inspect.isabstract(BaseStrategy)
    for name in ("start_strategy", "stop_strategy", "_main_strategy_loop", "_cleanup", "_initialize_broker"):
        assert callable(getattr(BaseStrategy, name))


def test_each_strategy_has_an_ib_connection_with_a_unique_client_id(system: Any) -> None:
    instances = [runtime.instance for runtime in system.manager.runtimes]
    ids = [instance.ib.client.clientId for instance in instances]
    assert len(set(ids)) == len(ids) and 0 not in ids
    assert ids == [instance.client_id for instance in instances]


def test_broker_initialization_live_gives_a_live_broker(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    assert mine.broker_type == "live"
    assert isinstance(mine.broker, LiveBroker)


def test_on_fill_and_on_status_change_forward_events_to_the_message_queue(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    fills = [fact for fact in mine.seen if isinstance(fact, Filled)]
    assert fills
    assert all(fill in system.events for fill in fills)
    assert any(isinstance(fact, StatusChanged) for fact in mine.seen)


def test_base_strategy_exposes_the_weights_from_arcticdb(system: Any) -> None:
    trend = system.manager.runtime("TREND").instance
    assert (trend.min_weight, trend.target_weight, trend.max_weight) == (0.1, 0.2, 0.3)


def test_fx_aware_sizing_uses_the_portfolio_managers_shared_cache_and_base_currency(system: Any) -> None:
    for runtime in system.manager.runtimes:
        assert runtime.instance.fx_cache is system.manager.portfolio_manager.fx_cache
        assert runtime.instance.base_currency == "USD"


def test_the_module_level_params_can_be_imported_and_extended() -> None:
    assert {"universe", "target_weight", "stop_loss"} <= PARAMS.keys()
    assert {**PARAMS, "universe": "AAPL"}["universe"] == "AAPL"


# Broker


def test_get_equity_prefers_the_strategys_equity_in_arcticdb(build: Any) -> None:
    from dataclasses import replace

    running = build({})
    (running.folder / "my_strategy.py").write_text(_TEMPLATE)
    running.manager.register_python("MINE", "my_strategy.py")
    row = running.manager.strategies.get("MINE")
    running.manager.strategies.upsert([replace(row, equity=12_345.0)])
    running.start("MINE")
    assert running.manager.runtime("MINE").instance.get_equity() == Decimal("12345.0")


def test_get_equity_falls_back_to_target_weight_of_the_accounts_equity(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    assert mine.equity_at_start == Decimal("0.10") * system.equity_before


def test_broker_is_the_cross_broker_interface() -> None:
    assert issubclass(LiveBroker, Broker) and inspect.isabstract(Broker)


# LiveBroker


def test_live_broker_routes_orders_through_ib_async(system: Any) -> None:
    broker = system.manager.runtime("MINE").instance.broker
    assert isinstance(broker.ib_client, ib_async.IB)
    placed = {event.intent.order_ref for event in system.events if isinstance(event, OrderPlaced)}
    answered = {event.order_ref for event in system.events if isinstance(event, StatusChanged) and event.perm_id}
    assert placed and placed == answered  # the gateway gave each of them an id of its own


def test_live_broker_does_not_own_persistence() -> None:
    source = inspect.getsource(inspect.getmodule(LiveBroker))  # type: ignore[arg-type]
    assert "runner.store" not in source


# PortfolioManager


def test_portfolio_manager_records_fills_and_orders_per_strategy(system: Any) -> None:
    for name in ("TREND", "MINE"):
        fills = system.manager.store.read("fills", name)
        assert len(fills) == len(system.manager.journal.executions(name)) > 0
        assert len(system.manager.store.read("orders", name)) > 0


def test_portfolio_manager_maintains_positions_and_consolidated_views(system: Any) -> None:
    books = system.manager.portfolio_manager
    assert system.manager.store.read("positions", "MINE") is not None
    rows = {row["symbol"]: row for row in books.consolidated_positions()}
    assert "MINE" in rows["GOOG"]["strategies"]
    assert len(books.consolidated_fills()) == len(system.manager.journal.executions())
    assert len(books.consolidated_orders()) == len(system.manager.journal.intents())


def test_portfolio_manager_owns_the_single_fx_cache_and_the_base_currency(system: Any) -> None:
    books = system.manager.portfolio_manager
    assert isinstance(books.fx_cache, FXCache)
    assert books.base_currency == books.fx_cache.base_currency == "USD"


# arctic_manager


def test_get_ac_opens_or_creates_arcticdb_with_dynamic_schema(tmp_path: Any) -> None:
    store = get_ac(f"lmdb://{tmp_path}/arctic")
    try:
        for library in ("general", "fills", "orders", "positions"):
            assert library in store.list_libraries()
            assert store.library(library).options().dynamic_schema
    finally:
        store.close()


def test_get_ac_can_be_pointed_to_s3_through_general_settings() -> None:
    settings = {"s3.endpoint": "localhost", "s3.bucket": "book", "s3.access": "a", "s3.secret": "b", "s3.tls": False}
    assert s3_uri(settings).startswith("s3://localhost:book?")


_TEMPLATE = """
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS
PARAMS = {**BASE_PARAMS, "universe": "GOOG"}
class MyStrategy(BaseStrategy):
    async def initialize_strategy(self): pass
    async def run_strategy(self):
        import asyncio
        await asyncio.Event().wait()
"""
