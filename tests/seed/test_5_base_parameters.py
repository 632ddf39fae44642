"""The seed, "Shared Base Parameters", read along: every base field acts, on made-up daily prices of January 2012.

A strategy decides at each close and is filled at the next open; the account begins with ten millions.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from strategy_support import Seen, files, spec, write_prices

from runner.gateway.settings import UNLIMITED
from runner.strategy.base_strategy import PARAMS, symbols_of

START, END = date(2012, 1, 3), date(2012, 1, 20)
PRICES = {
    # sessions:  3      4      5      6      9   | 10 …
    "FLAT": [50.0] * 14,
    "FLAT2": [51.0] * 14,
    "FLAT3": [52.0] * 14,
    "HALF": [100.0] * 3 + [60.0] * 11,
    "TRIPLE": [100.0] * 3 + [300.0] * 11,
    "WOBBLE": [100.0] * 3 + [110.0, 95.0] * 5 + [100.0],
    "DROP": [100.0] * 5 + [(100, 101, 88, 95)] + [95.0] * 8,
    "PEAK": [100.0, 100.0, 110.0, 120.0, 130.0, (128, 128, 116, 118)] + [118.0] * 8,
    "GAIN": [100.0] * 4 + [(101, 113, 101, 109)] + [108.0] * 9,
    "CRASH": [100.0, 101.0, 102.0, 103.0, 104.0, 94.0] + [93.0 - i for i in range(8)],
    "JUMP": [100.0, 99.0, 98.0, 97.0, 96.0, 97.0] + [98.0 + i for i in range(8)],
}
BAND = "{target_weight: 0.1, min_weight: 0.08, max_weight: 0.12}"
MOMENTUM = "{m: {use: momentum, with: {lookback: 1}}}"

STRATEGIES = files(
    spec("ONE", "FLAT"),
    spec("SEVERAL", "FLAT, FLAT2"),
    spec("LIBRARY", "us_stocks"),
    spec("TARGET", "FLAT", params="{target_weight: 0.2}"),
    spec("BELOW", "HALF", params=BAND),
    spec("ABOVE", "TRIPLE", params=BAND),
    spec("INSIDE", "WOBBLE", params="{target_weight: 0.1, min_weight: 0.05, max_weight: 0.2}"),
    spec("CAP", "FLAT", params="{target_weight: 0.1, max_position_size: 0.3}"),
    spec("RISK", "FLAT", sizing="{use: risk_per_trade}", params="{risk_per_trade: 0.01, stop_loss: 0.05}"),
    spec("RISK2", "FLAT", sizing="{use: risk_per_trade}", params="{risk_per_trade: 0.01, stop_loss: 0.02}"),
    spec("LOSS", "[CRASH, JUMP]", signals=MOMENTUM, params="{target_weight: 0.1, max_daily_loss: 0.05}"),
    spec("NOLOSS", "[CRASH, JUMP]", signals=MOMENTUM),
    spec("FEW", "[FLAT, FLAT2, FLAT3]", params="{target_weight: 0.1, max_daily_trades: 1}"),
    spec("STOP", "DROP", params="{target_weight: 0.1, stop_loss: 0.1}"),
    spec("WIDE", "DROP", params="{target_weight: 0.1, stop_loss: 0.2}"),
    spec("TRAIL", "PEAK", params="{target_weight: 0.1, trailing_stop_loss: 0.1}"),
    spec("NEVER", "DROP", params="{target_weight: 0.1, trailing_stop_loss: 0.1}"),
    spec("TAKE", "GAIN", params="{target_weight: 0.1, take_profit: 0.12}"),
)


@pytest.fixture(scope="module")
def market(build: Any, tmp_path_factory: Any) -> Any:
    data = write_prices(tmp_path_factory.mktemp("prices"), START, PRICES)
    running = build(STRATEGIES, data=data, start=START, end=END, liquidity=UNLIMITED, cash={"USD": Decimal(10_000_000)})
    library = running.manager.ac.get_library("us_stocks", create_if_missing=True)
    for symbol in ("FLAT2", "FLAT3"):
        library.write(symbol, pd.DataFrame({"close": [1.0]}))
    running.start()
    running.run_to(END)
    return running


@pytest.fixture
def seen(market: Any) -> Any:
    return lambda name: Seen(market, name)


def test_params_is_a_module_level_dict_that_strategies_import_and_extend() -> None:
    assert type(PARAMS) is dict
    extended = {**PARAMS, "universe": "AAPL", "target_weight": 0.10}
    assert extended.keys() == PARAMS.keys()


@pytest.mark.parametrize(
    "name",
    [
        "universe", "min_weight", "max_weight", "target_weight", "max_position_size", "risk_per_trade",
        "max_daily_loss", "max_daily_trades", "stop_loss", "trailing_stop_loss", "take_profit",
    ],
)  # fmt: skip
def test_the_base_fields_include(name: str) -> None:
    assert name in PARAMS


# identification and universe


def test_universe_is_a_single_symbol(seen: Any) -> None:
    assert symbols_of("AAPL") == ["AAPL"]
    assert seen("ONE").held.keys() == {"FLAT"}


def test_universe_is_a_comma_separated_list_of_symbols(seen: Any) -> None:
    assert symbols_of("AAPL, MSFT,IBM") == ["AAPL", "MSFT", "IBM"]
    assert seen("SEVERAL").held.keys() == {"FLAT", "FLAT2"}


def test_universe_is_an_arcticdb_library_identifier(seen: Any) -> None:
    assert seen("LIBRARY").held.keys() == {"FLAT2", "FLAT3"}


# allocation and rebalancing


def test_min_weight_is_the_lower_bound_of_allocation(seen: Any) -> None:
    bought, more = seen("BELOW").orders  # at 60 the position is worth 6 % of the account
    assert (more.request.side, more.request.reason) == ("BUY", "rebalance")
    assert more.request.quantity > 0.6 * float(bought.request.quantity)


def test_max_weight_is_the_upper_bound_of_allocation(seen: Any) -> None:
    bought, less = seen("ABOVE").orders  # at 300 the position is worth some 25 % of the account
    assert (less.request.side, less.request.reason) == ("SELL", "rebalance")
    assert bought.request.quantity > less.request.quantity


def test_target_weight_is_the_target_allocation(seen: Any) -> None:
    assert seen("ONE").held == {"FLAT": 20_000}  # a tenth of ten millions at 50
    assert seen("TARGET").held == {"FLAT": 40_000}


@pytest.mark.parametrize(("name", "price"), [("BELOW", 60), ("ABOVE", 300)])
def test_and_is_used_for_rebalancing(seen: Any, name: str, price: int) -> None:
    (quantity,) = seen(name).held.values()
    account = seen(name).running.manager.portfolio_manager.account.equity_with_loan
    assert Decimal("0.095") < quantity * price / account < Decimal("0.105")


def test_between_the_bounds_a_position_is_left_alone(seen: Any) -> None:
    assert seen("INSIDE").reasons == ["enter"]


# position sizing and risk caps


def test_max_position_size_is_a_fraction_of_strategy_equity_for_a_single_position(seen: Any) -> None:
    assert seen("CAP").held == {"FLAT": 6_000}  # 0.3 of a million at 50


@pytest.mark.parametrize(("name", "quantity"), [("RISK", 4_000), ("RISK2", 10_000)])
def test_risk_per_trade_is_a_fraction_of_strategy_equity_to_risk_with_the_stop(
    seen: Any, name: str, quantity: int
) -> None:
    assert seen(name).held == {"FLAT": quantity}  # a hundredth of a million is lost when the stop is hit


def test_max_daily_loss_pauses_trading_for_the_day(seen: Any) -> None:
    def entries(name: str) -> list[tuple[str, str]]:
        return [
            (at[:5], intent.request.instrument.symbol)
            for (at, _, reason, _), intent in zip(seen(name).story, seen(name).orders, strict=True)
            if reason == "enter"
        ]

    assert entries("NOLOSS")[:2] == [("01-04", "CRASH"), ("01-10", "JUMP")]
    assert entries("LOSS")[:2] == [("01-04", "CRASH"), ("01-11", "JUMP")]
    paused = [e for e in seen("LOSS").running.events if getattr(e, "phase", None) == "Paused"]
    assert [(event.strategy, f"{event.at:%m-%d}") for event in paused] == [("LOSS", "01-10")]


def test_max_daily_trades_is_a_guardrail_that_limits_churn(seen: Any) -> None:
    assert [at for at, _, _, _ in seen("FEW").story] == ["01-03 16:00", "01-04 16:00", "01-05 16:00"]


# exits and risk management


def test_stop_loss_is_the_initial_stop(seen: Any) -> None:
    assert seen("STOP").reasons == ["enter", "stop_loss"] and seen("STOP").held == {}


def test_trailing_stop_loss_is_used_once_a_position_is_profitable(seen: Any) -> None:
    assert seen("TRAIL").reasons == ["enter", "trailing_stop_loss"]
    assert seen("NEVER").reasons == ["enter"]  # fell by as much, and had never gained anything


def test_take_profit_closes_a_position_to_realize_gains(seen: Any) -> None:
    assert seen("TAKE").reasons == ["enter", "take_profit"] and seen("TAKE").held == {}


def test_each_strategy_may_override_them(seen: Any) -> None:
    assert seen("STOP").held == {} and seen("WIDE").held == {"DROP": 10_000}
