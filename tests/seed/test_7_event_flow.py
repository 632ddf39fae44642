"""The seed, "Event and Data Flow": the arrows of its diagram, from the top to the bottom."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from runner.broker.live_broker import LiveBroker
from runner.model.events import Filled, OrderPlaced, StatusChanged
from runner.model.orders import OrderState

NOTING = """
import asyncio

from runner.model.bars import BarSize
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS

PARAMS = {**BASE_PARAMS, "universe": "AAPL", "target_weight": 0.1}
STEPS = []


class NotingStrategy(BaseStrategy):
    def __init__(self, client_id, strategy_manager, params, strategy_symbol):
        super().__init__(client_id, strategy_manager, params, strategy_symbol)
        STEPS.append(("instantiate", client_id, strategy_manager, params, strategy_symbol))

    def start_strategy(self):
        STEPS.append(("start_strategy",))
        super().start_strategy()

    def _initialize_broker(self, ib):
        STEPS.append(("connect_to_ib", ib.isConnected(), ib.client.clientId))
        super()._initialize_broker(ib)
        STEPS.append(("_initialize_broker", self.broker.ib_client is ib, self.broker.ac))

    async def initialize_strategy(self):
        STEPS.append(("initialize_strategy",))
        (self.stock,) = await self.qualify("AAPL")
        self.feed = await self.open_feed([self.stock], BarSize.DAY_1, history=1)

    async def run_strategy(self):
        STEPS.append(("run_strategy",))
        STEPS.append(("placeOrder",))
        self.placed = await self.order_target_weight(self.stock, 1.0)
        while self.is_running:
            await self.feed.next()

    def on_fill(self, fill):
        STEPS.append(("fill", fill))
        super().on_fill(fill)

    def on_status_change(self, change):
        STEPS.append(("status_change", change))
        super().on_status_change(change)
"""
END = date(2012, 1, 6)


@pytest.fixture(scope="module")
def flow(build: Any) -> Any:
    running = build({"noting.py": NOTING}, end=END)
    running.manager.register_python("AAPL", "noting.py")
    running.start("AAPL")
    running.run_to(END)
    running.manager.portfolio_manager.flush()
    return running


@pytest.fixture
def noted(flow: Any, steps: Any) -> Any:
    """All steps, or those of one name."""

    def of(name: str | None = None) -> list[tuple[Any, ...]]:
        return [step for step in steps(flow, "AAPL") if name in (None, step[0])]

    return of


def test_the_arrows_follow_one_another(noted: Any) -> None:
    names = list(dict.fromkeys(step[0] for step in noted() if step[0] != "status_change"))
    assert names == [
        "instantiate", "start_strategy", "connect_to_ib", "_initialize_broker", "initialize_strategy", "run_strategy",
        "placeOrder", "fill",
    ]  # fmt: skip


def test_ui_to_strategy_manager_start_strategy(flow: Any) -> None:
    before = flow.manager.runtime("AAPL").instance
    flow.manager.start_strategy("AAPL")  # what `runner start AAPL` asks for; it runs already
    assert flow.manager.runtime("AAPL").instance is before


def test_strategy_manager_to_arcticdb_filename_and_params_of_general_strategies(flow: Any) -> None:
    row = flow.manager.strategies.get("AAPL")
    assert row.filename == "noting.py" and row.params_dict()["target_weight"] == 0.1


def test_strategy_manager_to_base_strategy_instantiate(flow: Any, noted: Any) -> None:
    ((_, client_id, manager, params, symbol),) = noted("instantiate")
    row = flow.manager.strategies.get("AAPL")
    assert (client_id, params, symbol) == (row.client_id, row.params_dict(), "AAPL")
    assert manager is flow.manager


def test_strategy_manager_to_base_strategy_start_strategy(noted: Any) -> None:
    assert len(noted("start_strategy")) == 1


def test_base_strategy_to_ib_connect_with_its_client_id(flow: Any, noted: Any) -> None:
    assert noted("connect_to_ib") == [("connect_to_ib", True, flow.manager.strategies.get("AAPL").client_id)]


def test_base_strategy_to_live_broker_initialize_broker_with_the_managers_ac(flow: Any, noted: Any) -> None:
    ((_, on_its_session, ac),) = noted("_initialize_broker")
    assert on_its_session and ac is flow.manager.ac
    assert isinstance(flow.manager.runtime("AAPL").instance.broker, LiveBroker)


def test_account_libraries_and_persistence_are_handled_centrally(flow: Any) -> None:
    """They were there before any broker was, and their one writer is told by the journal."""
    assert {"fills", "orders", "positions"} <= set(flow.manager.store.list_libraries())
    assert flow.manager.portfolio_manager.projection_seq == flow.manager.journal.last_seq()


def test_base_strategy_initializes_and_runs(noted: Any) -> None:
    assert len(noted("initialize_strategy")) == len(noted("run_strategy")) == 1


def test_live_broker_to_ib_place_order(flow: Any) -> None:
    (placed,) = [event for event in flow.events if isinstance(event, OrderPlaced)]
    assert placed.intent == flow.manager.runtime("AAPL").instance.placed
    acknowledged = [event for event in flow.events if isinstance(event, StatusChanged) and event.perm_id]
    assert {event.order_ref for event in acknowledged} == {placed.intent.order_ref}


def test_ib_to_base_strategy_fills_and_status(noted: Any) -> None:
    ((_, fill),) = noted("fill")
    assert fill.instrument.symbol == "AAPL"
    states = [change.state for _, change in noted("status_change")]
    assert states[-1] is OrderState.FILLED and OrderState.ACKED in states


def test_base_strategy_to_message_queue_fill_and_status_change(flow: Any, noted: Any) -> None:
    told = [fact for _, fact in [*noted("fill"), *noted("status_change")]]
    queued = [event for event in flow.events if event.type in ("fill", "status_change")]
    assert len(queued) == len(told) and all(event in told for event in queued)


def test_strategy_manager_to_portfolio_manager_fill_and_status_change(flow: Any) -> None:
    books = flow.manager.portfolio_manager
    fill = next(event for event in flow.events if isinstance(event, Filled))
    assert books.is_booked(fill)
    (order,) = books.consolidated_orders("AAPL")
    last = [event for event in flow.events if isinstance(event, StatusChanged)][-1]
    assert order["state"] == last.state.value


def test_portfolio_manager_to_arcticdb_fills_orders_and_positions(flow: Any) -> None:
    fill = next(event for event in flow.events if isinstance(event, Filled))
    assert flow.manager.store.read("fills", "AAPL")["exec_id"].tolist() == [fill.exec_id]
    assert flow.manager.store.read("orders", "AAPL")["event"].tolist()[0] == "order"
    assert flow.manager.store.read("positions", "AAPL")["quantity"].tolist() == [float(fill.quantity)]
