"""The seed, "Suggested Extensions", read along: all of them are there."""

from __future__ import annotations

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from strategy_support import Seen, files, spec, write_prices

from runner.broker import pacing
from runner.broker.pacing import HistoryRules
from runner.gateway.settings import UNLIMITED
from runner.model.bars import BarSize
from runner.model.sessions import sessions

START, END = date(2012, 1, 3), date(2012, 1, 4)
PRICES = {"WAVE": [(100, 104, 97, 101), (101, 106, 99, 104)], "TRIPLE": [100.0, 300.0]}
FIVE = "{size: 5 mins, history: 5}"


def in_its_loop(strategy: Any, work: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(work, strategy._loop).result(30)


# a helper for maximum available warm-up


def test_warm_up_fetches_as_many_bars_as_are_wanted(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    assert len(in_its_loop(mine, mine.warm_up(mine.instrument, BarSize.DAY_1, 30))) == 30


def test_warm_up_without_a_number_fetches_the_maximum_that_is_available(system: Any) -> None:
    mine = system.manager.runtime("MINE").instance
    everything = in_its_loop(mine, mine.warm_up(mine.instrument, BarSize.DAY_1))
    assert len(everything) == 1919  # Google's sessions from its first, 2004-08-19, to the end of March 2012


def test_warm_up_is_aligned_with_ibs_rate_limits() -> None:
    """Sixty requests for small bars in ten minutes and one equal request in fifteen seconds are what IB allows; the one
    service that every warm-up goes through waits for them. The paper gateway refuses what comes sooner."""
    rules, clock = HistoryRules(), 0.0
    sent: list[float] = []
    for number in range(150):
        clock += rules.wait(clock, f"request {number}", f"contract {number}", 1)
        rules.sent(clock, f"request {number}", f"contract {number}", 1)
        sent.append(clock)
    assert all(later - earlier >= 600 for earlier, later in zip(sent, sent[60:], strict=False))
    assert rules.wait(clock, "request 149", "contract 149", 1) >= 15
    assert pacing.SMALL_BAR_S >= 30


def test_warm_up_gets_its_history_from_a_gateway_that_enforces_ibs_limits(build: Any) -> None:
    text = spec("WARM", "[AAPL, GOOG, IBM]", bars="{size: 1 hour, history: 400}")
    running = build(files(text), end=date(2012, 1, 3), enforce_limits=True)
    running.start()
    assert running.phase("WARM").value == "Running"


# consolidated views and metrics


def test_consolidated_views_cover_positions_orders_and_fills_of_all_strategies(system: Any) -> None:
    books = system.manager.portfolio_manager
    assert {name for row in books.consolidated_positions() for name in row["strategies"]} == {"MINE", "TREND"}
    assert {row["strategy"] for row in books.consolidated_orders()} == {"MINE", "TREND"}
    assert {row["strategy"] for row in books.consolidated_fills()} == {"MINE", "TREND"}


def test_consolidated_positions_are_the_gateways(system: Any) -> None:
    held = {row["con_id"]: row["quantity"] for row in system.manager.portfolio_manager.consolidated_positions()}
    theirs = {line.contract.con_id: line.quantity for line in system.gateway.exchange.positions() if line.quantity}
    assert held == theirs == system.manager.portfolio_manager.held()


def test_metrics_per_strategy_realized_and_unrealized_pnl_commissions_and_exposure(system: Any) -> None:
    books = system.manager.portfolio_manager
    for name in ("MINE", "TREND"):
        pnl = books.strategy_pnl(name)
        assert pnl.net == pnl.realized + pnl.unrealized - pnl.commissions
        assert pnl.commissions > 0 and books.exposure(name) >= 0
    earned = sum(books.strategy_pnl(name).net for name in ("MINE", "TREND"))
    cash = system.gateway.exchange.settings.cash["USD"]
    assert abs(books.account.equity_with_loan - cash - earned) < Decimal("0.01")


def test_metrics_over_time_are_samples_in_the_library_equity(system: Any) -> None:
    for symbol in ("account", "MINE", "TREND"):
        assert len(system.manager.store.read("equity", symbol)) > 0


# trading windows and automated rebalancing


@pytest.fixture(scope="module")
def market(build: Any, tmp_path_factory: Any) -> Any:
    band = "{target_weight: 0.1, min_weight: 0.08, max_weight: 0.12}"
    texts = files(
        spec("WINDOW", "WAVE", bars=FIVE, schedule='{calendar: XNYS, window: ["10:00", "15:00"]}'),
        spec("BALANCE", "TRIPLE", bars=FIVE, params=band),
        spec("BOTH", "TRIPLE", bars=FIVE, params=band, schedule='{calendar: XNYS, window: ["11:00", "11:30"]}'),
    )
    data = write_prices(tmp_path_factory.mktemp("prices"), START, PRICES)
    running = build(
        texts, data=data, start=START, end=END, step="5m", liquidity=UNLIMITED, cash={"USD": Decimal(10_000_000)}
    )
    running.start()
    running.run_to(END)
    return running


def test_a_strategy_level_setting_for_trading_windows(market: Any) -> None:
    zone = sessions("XNYS").zone
    times = [intent.created_at.astimezone(zone) for intent in Seen(market, "WINDOW").orders]
    assert times and all("10:00" <= f"{at:%H:%M}" <= "15:00" for at in times)
    assert f"{times[0]:%d %H:%M}" == "03 10:00"


def test_automated_rebalancing_respects_min_weight_max_weight_and_target_weight(market: Any) -> None:
    one = Seen(market, "BALANCE")
    assert one.reasons[0] == "enter" and set(one.reasons[1:]) == {"rebalance"}
    account = market.manager.portfolio_manager.account.equity_with_loan
    assert Decimal("0.08") < one.held["TRIPLE"] * 300 / account < Decimal("0.12")


def test_and_both_together_a_rebalance_waits_for_its_window(market: Any) -> None:
    story = Seen(market, "BOTH").story
    assert {reason for _, _, reason, _ in story} == {"enter", "rebalance"}
    assert all("11:00" <= at[6:] <= "11:30" for at, _, _, _ in story)
