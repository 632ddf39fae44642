"""The seed, "Practical Notes and Conventions", read along."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from runner.model.events import Filled, StatusChanged
from runner.strategy.base_strategy import symbols_of

SILENT = """
from runner.model.bars import BarSize
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS

PARAMS = {**BASE_PARAMS, "universe": "the two that begin with the letters A and I", "target_weight": 0.1}


class SilentStrategy(BaseStrategy):
    async def initialize_strategy(self):
        words = self.params["universe"].split()
        self.meant = [symbol for symbol in ("AAPL", "GOOG", "IBM") if symbol[0] in words]
        self.stocks = await self.qualify(*self.meant)
        self.feed = await self.open_feed(self.stocks, BarSize.DAY_1, history=1)

    async def run_strategy(self):
        await self.buy("AAPL", 10)
        while self.is_running:
            await self.feed.next()

    def on_fill(self, fill):
        pass  # forgets super()

    def on_status_change(self, change):
        pass
"""
END = date(2012, 1, 6)


@pytest.fixture(scope="module")
def silent(build: Any) -> Any:
    running = build({"silent.py": SILENT}, end=END)
    running.manager.register_python("SILENT", "silent.py")
    running.params_before = running.manager.strategies.get("SILENT").params
    running.start("SILENT")
    running.run_to(END)
    return running


def test_centralized_param_loading_the_manager_persists_the_modules_params_into_arcticdb(silent: Any) -> None:
    assert silent.params_before == ""
    instance = silent.manager.runtime("SILENT").instance
    assert silent.manager.strategies.get("SILENT").params_dict() == instance.params


def test_and_base_strategy_only_reads_arcticdb_params_as_a_fallback(silent: Any) -> None:
    cls = type(silent.manager.runtime("SILENT").instance)
    passed = cls(9, silent.manager, {"universe": "passed"}, "SILENT")
    assert passed.params == {"universe": "passed"}
    fallback = cls(9, silent.manager, None, "SILENT")
    assert fallback.params == silent.manager.strategies.get("SILENT").params_dict()


def test_arcticdb_client_reuse_one_ac_throughout_brokers_and_portfolio_manager(silent: Any) -> None:
    manager = silent.manager
    clients = {id(manager.ac), id(manager.runtime("SILENT").instance.broker.ac), id(manager.portfolio_manager._host.ac)}
    assert len(clients) == 1


def test_equity_allocation_without_an_equity_of_its_own_is_target_weight_of_total_equity(silent: Any) -> None:
    assert silent.manager.strategies.get("SILENT").equity is None
    total = silent.manager.portfolio_manager.account.equity_with_loan
    assert silent.manager.runtime("SILENT").instance.get_equity() == Decimal("0.1") * total


def test_message_queue_a_strategy_that_does_not_keep_on_fill_loses_nothing(silent: Any) -> None:
    events = [event for event in silent.events if event.strategy == "SILENT"]
    assert any(isinstance(event, Filled) for event in events)
    assert any(isinstance(event, StatusChanged) and event.perm_id for event in events)
    (held,) = silent.manager.portfolio_manager.positions("SILENT")
    assert held.quantity == 10


@pytest.mark.parametrize(
    ("universe", "symbols"),
    [("AAPL", ["AAPL"]), ("AAPL, MSFT,IBM", ["AAPL", "MSFT", "IBM"]), (["AAPL", "GOOG"], ["AAPL", "GOOG"]), ("", [])],
)
def test_universe_handling_a_symbol_a_comma_separated_list_or_a_list(universe: Any, symbols: list[str]) -> None:
    assert symbols_of(universe) == symbols


def test_strategies_may_implement_their_own_interpretation_of_the_universe(silent: Any) -> None:
    assert silent.manager.runtime("SILENT").instance.meant == ["AAPL", "IBM"]


def test_every_order_of_every_strategy_passed_the_gate_and_the_journal_first(system: Any) -> None:
    known = {record.intent.order_ref for record in system.manager.journal.intents()}
    executed = {fill.order_ref for fill in system.manager.journal.executions()}
    assert executed and executed <= known
