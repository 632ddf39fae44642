"""The seed, "Overview of the Main Components", read along sentence by sentence."""

from __future__ import annotations

import inspect
import json
import re
import threading
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import ib_async
import pandas as pd
from strategy_support import Seen, files, spec

from runner.broker.base_broker import Broker
from runner.broker.live_broker import LiveBroker
from runner.gateway.settings import UNLIMITED
from runner.manager.journal_views import events_view
from runner.model.events import Filled, OrderPlaced, StatusChanged
from runner.portfolio.fx_cache import FXCache
from runner.portfolio.portfolio_manager import PortfolioManager
from runner.store.arctic_manager import get_ac
from runner.strategy.base_strategy import PARAMS, BaseStrategy


def test_each_module_that_the_document_is_based_on_exists_once_in_the_folder_of_its_floor() -> None:
    names = ("strategy_manager", "base_strategy", "base_broker", "live_broker", "portfolio_manager", "arctic_manager")
    root = Path(inspect.getfile(PortfolioManager)).parents[1]
    assert [name for name in names if len(list(root.rglob(f"{name}.py"))) != 1] == []


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


def test_strategies_push_standardized_events_order_fill_and_status_change_to_message_queue(system: Any) -> None:
    for name in ("TREND", "MINE"):
        kinds = {event.type for event in system.events if event.strategy == name}
        assert {"order", "fill", "status_change"} <= kinds


def test_a_background_thread_consumes_the_queue_and_pushes_data_into_the_portfolio_manager(system: Any) -> None:
    manager = system.manager
    assert "message-queue" in {thread.name for thread in threading.enumerate()}
    fill = next(event for event in system.events if isinstance(event, Filled))
    again = replace(fill, exec_id="pushed.by.a.test.01", strategy="PUSHED")
    manager.publish(again)
    system.settle()
    assert manager.portfolio_manager.is_booked(again)


def test_and_into_the_layer_that_a_ui_listens_to_numbered_and_as_json(system: Any) -> None:
    rows = events_view(system.manager.journal, since=0, limit=None)["events"]
    assert [row["seq"] for row in rows] == sorted({row["seq"] for row in rows})
    assert {"order", "fill", "status_change"} <= {row["type"] for row in rows}
    assert json.loads(json.dumps(rows)) == rows
    heard: list[int] = []
    end = system.manager.journal.subscribe(lambda events: heard.extend(seq for seq, _ in events))
    system.manager.notice("said", "to whoever listens")
    system.settle()
    end()
    assert heard == [rows[-1]["seq"] + 1]


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


def test_equity_and_sizing_use_the_portfolio_managers_shared_fx_cache_and_base_currency(system: Any) -> None:
    for runtime in system.manager.runtimes:
        assert runtime.instance.fx_cache is system.manager.portfolio_manager.fx_cache
        assert runtime.instance.base_currency == "USD"


def test_a_position_in_another_currency_is_sized_across_currencies(build: Any) -> None:
    day = date(2012, 1, 6)
    text = spec("DOLLARS", "[AAPL]")
    running = build(files(text), end=day, base_currency="EUR", cash={"EUR": Decimal(1_000_000)}, liquidity=UNLIMITED)
    running.start()
    running.run_to(day)
    (fill,) = Seen(running, "DOLLARS").fills
    rate = running.manager.portfolio_manager.fx_cache.rate("USD")
    equity = running.manager.runtime("DOLLARS").instance.get_equity()
    assert Decimal("0.6") < rate < Decimal("0.9")  # euros for a dollar
    assert Decimal("0.95") < fill.quantity * fill.price * rate / equity < Decimal("1.05")


def test_the_module_level_params_can_be_imported_and_extended() -> None:
    assert {"universe", "target_weight", "stop_loss"} <= PARAMS.keys()
    assert {**PARAMS, "universe": "AAPL"}["universe"] == "AAPL"


# Broker


def test_broker_defines_the_cross_broker_interface_and_the_equity_allocation() -> None:
    assert issubclass(LiveBroker, Broker) and inspect.isabstract(Broker)
    assert "get_equity" in vars(Broker) and "get_equity" not in vars(LiveBroker)


def test_get_equity_prefers_the_strategys_equity_in_arcticdb(build: Any) -> None:
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


# LiveBroker


def test_live_broker_routes_orders_through_ib_async(system: Any) -> None:
    broker = system.manager.runtime("MINE").instance.broker
    assert isinstance(broker.ib_client, ib_async.IB)
    placed = {event.intent.order_ref for event in system.events if isinstance(event, OrderPlaced)}
    answered = {event.order_ref for event in system.events if isinstance(event, StatusChanged) and event.perm_id}
    assert placed and placed == answered  # the gateway gave each of them an id of its own


def test_live_broker_does_not_own_persistence_base_strategy_forwards_what_it_hears(system: Any) -> None:
    source = inspect.getsource(inspect.getmodule(LiveBroker))  # type: ignore[arg-type]
    assert "runner.store" not in source
    for runtime in system.manager.runtimes:
        broker, instance = runtime.instance.broker, runtime.instance
        assert (broker._on_fill, broker._on_status_change) == (instance.take_fill, instance.take_status_change)


def test_portfolio_manager_is_the_single_writer_of_what_was_traded() -> None:
    """Of everything under runner/, only the portfolio's projector is given the ledger's writing half."""
    root = Path(inspect.getfile(PortfolioManager)).parents[1]
    writers = {path.parent.name for path in root.rglob("*.py") if re.search(r"(?<!class )\bLedger\(", path.read_text())}
    assert writers == {"portfolio"}


def test_live_broker_receives_the_shared_arctic_client_for_reading(system: Any) -> None:
    broker = system.manager.runtime("MINE").instance.broker
    assert broker.ac is system.manager.ac
    assert "MINE" in broker.ac.get_library("fills").list_symbols()


# PortfolioManager


def test_portfolio_manager_consumes_events_and_records_fills_and_orders_per_strategy(system: Any) -> None:
    for name in ("TREND", "MINE"):
        fills = system.manager.store.read("fills", name)
        assert len(fills) == len(system.manager.journal.executions(name)) > 0
        assert len(system.manager.store.read("orders", name)) > 0


def test_portfolio_manager_maintains_positions_per_strategy(system: Any) -> None:
    books = system.manager.portfolio_manager
    for name in ("TREND", "MINE"):
        stored = system.manager.store.read("positions", name)
        held = {position.instrument.symbol: position.quantity for position in books.positions(name)}
        assert dict(zip(stored["symbol"], stored["quantity"], strict=True)) == held


def test_portfolio_manager_can_provide_consolidated_views(system: Any) -> None:
    books = system.manager.portfolio_manager
    rows = {row["symbol"]: row for row in books.consolidated_positions()}
    assert "MINE" in rows["GOOG"]["strategies"]
    assert len(books.consolidated_fills()) == len(system.manager.journal.executions())
    assert len(books.consolidated_orders()) == len(system.manager.journal.intents())


def test_portfolio_manager_owns_the_single_fx_cache_and_determines_the_base_currency(system: Any) -> None:
    books = system.manager.portfolio_manager
    assert isinstance(books.fx_cache, FXCache)
    assert books.base_currency == books.fx_cache.base_currency == "USD"


def test_strategies_reference_the_shared_fx_cache_for_consistent_conversions(system: Any) -> None:
    rates = {runtime.instance.fx_cache.rate("USD") for runtime in system.manager.runtimes}
    assert rates == {1}


# arctic_manager


def test_get_ac_creates_arcticdb_and_opens_it_again(tmp_path: Any) -> None:
    uri = f"lmdb://{tmp_path}/arctic?map_size=64MB"
    with get_ac(uri) as store:
        store.write_settings({"said": "once"})
    with get_ac(uri) as again:
        assert again.settings() == {"said": "once"}


def test_get_ac_opens_s3_if_that_is_configured_in_general_settings(tmp_path: Any, s3: Any) -> None:
    uri = f"lmdb://{tmp_path}/arctic?map_size=64MB"
    with get_ac(uri) as store:
        store.write_settings(s3.settings("the-document"))
    with get_ac(uri) as bucket:
        assert bucket.uri.startswith("s3://127.0.0.1:the-document")
        assert {"general", "fills", "orders", "positions"} <= set(bucket.list_libraries())


def test_get_ac_ensures_the_base_libraries_with_a_dynamic_schema(tmp_path: Any) -> None:
    with get_ac(f"lmdb://{tmp_path}/arctic?map_size=64MB") as store:
        for library in ("general", "fills", "orders", "positions"):
            assert library in store.list_libraries()
            assert store.library(library).options().dynamic_schema


def test_so_a_schema_can_evolve(tmp_path: Any) -> None:
    with get_ac(f"lmdb://{tmp_path}/arctic?map_size=64MB") as store:
        library = store.library("fills")
        at = pd.DatetimeIndex(["2012-01-03", "2012-01-04"])
        library.write("NEW", pd.DataFrame({"price": [1.0]}, index=at[:1]))
        library.append("NEW", pd.DataFrame({"price": [2.0], "venue": ["X"]}, index=at[1:]))
        assert list(library.read("NEW").data.columns) == ["price", "venue"]


_TEMPLATE = """
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS
PARAMS = {**BASE_PARAMS, "universe": "GOOG"}
class MyStrategy(BaseStrategy):
    async def initialize_strategy(self): pass
    async def run_strategy(self):
        import asyncio
        await asyncio.Event().wait()
"""
