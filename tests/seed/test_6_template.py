"""The seed, "Minimal Live Strategy Template", read along. The file is `TEMPLATE` in conftest.py, with wrappers."""

from __future__ import annotations

import ast
import threading
from typing import Any

from runner.model.events import Filled, StatusChanged, StrategyPhase
from runner.model.orders import OrderIntent
from runner.strategy.base_strategy import PARAMS

WITHIN_S = 30.0
IDLE = """
import asyncio

from ib_async import Stock

from runner.model.bars import BarSize
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS

PARAMS = {**BASE_PARAMS, "universe": "GOOG", "target_weight": 0.10}


class IdleStrategy(BaseStrategy):
    async def initialize_strategy(self):
        symbol = (self.params.get("universe", "AAPL").split(",")[0] or "AAPL").strip()
        self.contract = Stock(symbol, "SMART", "USD")
        if self.broker_type == "live" and self.ib and self.is_connected:
            await self.ib.qualifyContractsAsync(self.contract)
        (instrument,) = await self.qualify(symbol)
        feed = await self.open_feed([instrument], BarSize.DAY_1, history=1)
        await feed.close()  # it only wanted a price

    async def run_strategy(self):
        self.placed = await self.order_target_weight("GOOG", 1.0)
        while self.is_running:
            await asyncio.sleep(1)
"""


def test_params_extend_the_base_params(system: Any) -> None:
    params = system.manager.runtime("MINE").instance.params
    assert params == PARAMS | {
        "universe": "GOOG", "target_weight": 0.10, "min_weight": 0.05, "max_weight": 0.15, "stop_loss": 0.03,
        "take_profit": 0.20,
    }  # fmt: skip


def test_we_dont_want_to_use_broker_place_order_only_wrappers(system: Any) -> None:
    for filename in ("my_strategy.py",):
        tree = ast.parse((system.folder / filename).read_text())
        called = {
            node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "attr")
        }
        assert "order_target_weight" in called
        assert called & {"place_order", "placeOrder"} == set()


def test_initialize_strategy_takes_the_first_symbol_of_the_universe(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    assert mine.contract.symbol == mine.instrument.symbol == "GOOG"


def test_its_own_connection_qualifies_the_contract(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    assert mine.broker_type == "live" and mine.ib and mine.is_connected
    assert mine.contract.conId == mine.instrument.con_id > 0


def test_run_strategy_buys_at_market_once_with_all_of_its_allocated_equity(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    assert isinstance(mine.placed, OrderIntent)
    assert mine.placed.request.order_type == "MKT"
    bought = mine.placed.request.quantity * mine.placed.reference_price
    assert 0 <= mine.equity_at_start - bought < mine.placed.reference_price
    assert len(system.manager.journal.intents(strategy="MINE")) == 1


def test_then_it_relies_on_event_driven_updates(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    assert mine.is_running and [type(fact).__name__ for fact in mine.seen].count("Filled") == 1


def test_a_bare_idle_loop_holds_nobody_up_and_ends_when_it_is_stopped(build: Any) -> None:
    running = build({"idle.py": IDLE})
    running.manager.register_python("IDLE", "idle.py")
    acknowledged, filled = threading.Event(), threading.Event()

    def hear(events: list[tuple[int, Any]]) -> None:
        for _, event in events:
            if isinstance(event, StatusChanged) and event.perm_id:
                acknowledged.set()
            if isinstance(event, Filled):
                filled.set()

    running.manager.journal.subscribe(hear)
    running.start("IDLE")
    assert acknowledged.wait(WITHIN_S)  # the market waits for nobody here: it must not be over before the order
    running.let_market_run()
    assert filled.wait(WITHIN_S)
    assert running.manager.stop_strategy("IDLE")
    assert running.phase("IDLE") is StrategyPhase.STOPPED


def test_a_strategy_in_this_shape_and_a_yaml_strategy_run_side_by_side(system: Any) -> None:
    assert {runtime.kind for runtime in system.manager.runtimes} == {"yaml", "python"}
    assert all(system.manager.journal.executions(runtime.name) for runtime in system.manager.runtimes)
