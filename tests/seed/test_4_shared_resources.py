"""The seed, "Shared Resources Flow", "Shared Base Parameters", "Practical Notes" and "Suggested Extensions"."""

from __future__ import annotations

from typing import Any

import pytest

from runner.model.bars import BarSize
from runner.model.orders import OrderIntent
from runner.strategy.base_strategy import PARAMS, symbols_of


def test_all_components_share_a_single_arctic_client(system: Any) -> None:
    manager = system.manager
    assert manager.ac is manager.store.ac
    for runtime in manager.runtimes:
        assert runtime.instance.broker.ac is manager.ac


def test_all_strategies_share_one_fx_cache(system: Any) -> None:
    caches = {id(runtime.instance.fx_cache) for runtime in system.manager.runtimes}
    assert caches == {id(system.manager.portfolio_manager.fx_cache)}


@pytest.mark.parametrize(
    "name",
    [
        "universe", "min_weight", "max_weight", "target_weight", "max_position_size", "risk_per_trade",
        "max_daily_loss", "max_daily_trades", "stop_loss", "trailing_stop_loss", "take_profit",
    ],
)  # fmt: skip
def test_every_base_field_of_the_seed_is_in_params(name: str) -> None:
    assert name in PARAMS


@pytest.mark.parametrize(
    ("universe", "symbols"),
    [("AAPL", ["AAPL"]), ("AAPL, MSFT,IBM", ["AAPL", "MSFT", "IBM"]), (["AAPL", "GOOG"], ["AAPL", "GOOG"]), ("", [])],
)
def test_a_universe_is_a_symbol_or_several(universe: Any, symbols: list[str]) -> None:
    assert symbols_of(universe) == symbols


def test_the_template_buys_through_a_wrapper_and_is_sized_to_its_equity(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    assert isinstance(mine.placed, OrderIntent)
    bought = mine.placed.request.quantity * mine.placed.reference_price
    assert 0 <= mine.equity_at_start - bought < mine.placed.reference_price


def test_every_order_of_every_strategy_passed_the_gate_and_the_journal_first(system: Any) -> None:
    known = {record.intent.order_ref for record in system.manager.journal.intents()}
    executed = {fill.order_ref for fill in system.manager.journal.executions()}
    assert executed and executed <= known


def test_a_python_and_a_yaml_strategy_run_side_by_side(system: Any) -> None:
    assert {runtime.kind for runtime in system.manager.runtimes} == {"yaml", "python"}
    assert all(system.manager.journal.executions(runtime.name) for runtime in system.manager.runtimes)


def test_the_sum_of_the_strategies_is_the_gateways_position(system: Any) -> None:
    held = system.manager.portfolio_manager.held()
    theirs = {line.contract.con_id: line.quantity for line in system.gateway.exchange.positions() if line.quantity}
    assert held == theirs


def test_the_warm_up_helper_fetches_as_much_history_as_there_is(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance

    async def fetch() -> tuple[int, int]:
        few = await mine.warm_up(mine.instrument, BarSize.DAY_1, 30)
        everything = await mine.warm_up(mine.instrument, BarSize.DAY_1)
        return len(few), len(everything)

    import asyncio

    few, everything = asyncio.run_coroutine_threadsafe(fetch(), mine._loop).result(30)
    assert few == 30
    assert everything == 1919  # Google's sessions from its first, 2004-08-19, to the end of March 2012


def test_consolidated_views_cover_all_strategies(system: Any) -> None:
    rows = system.manager.portfolio_manager.consolidated_positions()
    assert {name for row in rows for name in row["strategies"]} == {"MINE", "TREND"}
