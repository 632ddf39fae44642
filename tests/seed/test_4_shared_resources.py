"""The seed, "Shared Resources Flow", read along."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from runner.portfolio.portfolio_manager import PortfolioManager

# ArcticDB client


def test_the_manager_creates_and_owns_the_arctic_client(system: Any) -> None:
    assert system.manager.ac is system.manager.store.ac


def test_the_portfolio_manager_has_it_through_the_manager(system: Any) -> None:
    assert system.manager.portfolio_manager._host.store.ac is system.manager.ac


def test_initialize_broker_passes_it_to_live_broker_so_that_all_share_one_client(system: Any) -> None:
    for runtime in system.manager.runtimes:
        assert runtime.instance.broker.ac is runtime.instance.strategy_manager.ac is system.manager.ac


# FX cache and base currency


def test_the_base_currency_is_that_of_equity_with_loan_value(system: Any) -> None:
    summary = system.manager.ib_client.wrapper.acctSummary.values()
    rows = [row for row in summary if row.tag == "EquityWithLoanValue"]
    assert {row.currency for row in rows} == {system.manager.portfolio_manager.base_currency} == {"USD"}


def test_the_portfolio_manager_owns_one_fx_cache_with_that_base_currency(build: Any) -> None:
    running = build({}, base_currency="EUR", cash={"EUR": Decimal(500_000)})
    books: PortfolioManager = running.manager.portfolio_manager
    assert books.fx_cache is books.fx_cache
    assert books.fx_cache.base_currency == books.base_currency == "EUR"
    assert books.fx_cache.rate("EUR") == 1


def test_all_strategies_access_it_via_the_managers_portfolio_manager(system: Any) -> None:
    for runtime in system.manager.runtimes:
        assert runtime.instance.fx_cache is runtime.instance.strategy_manager.portfolio_manager.fx_cache


def test_so_conversions_are_consistent_and_no_rate_is_looked_up_twice(system: Any) -> None:
    first, second = (runtime.instance.fx_cache for runtime in system.manager.runtimes)
    assert first is second
    future = system.manager._broker_loop
    future.call(system.manager.master.ensure_rates({"EUR"}), 30)
    sent = system.manager.ib_client.client.conn.numMsgSent
    future.call(system.manager.master.ensure_rates({"EUR"}), 30)
    assert system.manager.ib_client.client.conn.numMsgSent == sent
    assert first.rate("EUR") == second.rate("EUR") > 1
