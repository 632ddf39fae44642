"""Every parameter of `params:` acts, on made-up daily prices: January and February 2012, decided at each close and
filled at the next open."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from strategy_support import Seen, files, spec, write_prices

from runner.gateway.settings import UNLIMITED

START, END = date(2012, 1, 3), date(2012, 1, 31)
PRICES = {
    # sessions:   3     4     5     6     9   | 10 …
    "DROP": [100.0] * 5 + [(100, 101, 88, 95)] + [95.0] * 14,
    "PEAK": [100.0, 100.0, 110.0, 120.0, 130.0, (128, 128, 116, 118)] + [118.0] * 14,
    "GAIN": [100.0] * 4 + [(101, 113, 101, 109)] + [108.0] * 15,
    "TRIPLE": [100.0] * 3 + [300.0] * 17,
    "FLAT": [50.0] * 20,
    "FLAT2": [51.0] * 20,
    "FLAT3": [52.0] * 20,
    "CRASH": [100.0, 101.0, 102.0, 103.0, 104.0, 94.0] + [93.0 - i for i in range(14)],
    "JUMP": [100.0, 99.0, 98.0, 97.0, 96.0, 97.0] + [98.0 + i for i in range(14)],
    "HOLE": [100.0] * 20,
}
ONE = "{use: momentum, with: {lookback: 1}}"

STRATEGIES = files(
    spec("PLAIN", "FLAT"),
    spec("STOP", "DROP", params="{target_weight: 0.1, stop_loss: 0.1}"),
    spec("NOSTOP", "DROP"),
    spec("TRAIL", "PEAK", params="{target_weight: 0.1, trailing_stop_loss: 0.1}"),
    spec("TAKE", "GAIN", params="{target_weight: 0.1, take_profit: 0.12}"),
    spec("BAND", "TRIPLE", params="{target_weight: 0.1, min_weight: 0.08, max_weight: 0.12}"),
    spec("NOBAND", "TRIPLE"),
    spec("CAP", "FLAT", params="{target_weight: 0.1, max_position_size: 0.3}"),
    spec("RISK", "FLAT", sizing="{use: risk_per_trade}", params="{risk_per_trade: 0.01, stop_loss: 0.05}"),
    spec("FEW", "[FLAT, FLAT2, FLAT3]", params="{target_weight: 0.1, max_daily_trades: 1}"),
    spec("LOSS", "[CRASH, JUMP]", signals=f"{{m: {ONE}}}", params="{target_weight: 0.1, max_daily_loss: 0.05}"),
    spec("NOLOSS", "[CRASH, JUMP]", signals=f"{{m: {ONE}}}"),
    spec("SHUT", "FLAT", params="{target_weight: 0, min_weight: 0}"),
    spec(
        "BOTH",
        "[JUMP, FLAT]",
        signals=f"{{up: {ONE}, hold: {{use: buy_and_hold}}}}",
        combine="{use: all_of}",
    ),
    spec("SPLIT", "[FLAT, FLAT2]", sizing="{use: fixed_weights, with: {weights: {FLAT: 0.6, FLAT2: -0.3}}}"),
)


@pytest.fixture(scope="module")
def system(build: Any, tmp_path_factory: Any) -> Any:
    data = write_prices(tmp_path_factory.mktemp("prices"), START, PRICES)
    running = build(STRATEGIES, data=data, start=START, end=END, liquidity=UNLIMITED, cash={"USD": Decimal(10_000_000)})
    running.start()
    running.run_to(END)
    return running


@pytest.fixture
def seen(system: Any) -> Any:
    return lambda name: Seen(system, name)


def test_equity_is_target_weight_of_the_account_and_is_invested_whole(seen: Any) -> None:
    one = seen("PLAIN")
    assert one.story == [("01-03 16:00", "BUY", "enter", Decimal(20_000))]  # 10 % of 10 million at 50
    assert one.held == {"FLAT": 20_000}


def test_a_stop_loss_sells_at_the_next_open_and_the_side_stays_blocked(seen: Any) -> None:
    one = seen("STOP")
    assert one.story == [
        ("01-03 16:00", "BUY", "enter", Decimal(10_000)),
        ("01-10 16:00", "SELL", "stop_loss", Decimal(10_000)),
    ]
    assert one.held == {} and one.decided == {"DROP": "blocked"}
    assert seen("NOSTOP").held == {"DROP": 10_000}


def test_a_trailing_stop_sells_after_the_fall_from_the_peak(seen: Any) -> None:
    assert [(at, reason) for at, _, reason, _ in seen("TRAIL").story] == [
        ("01-03 16:00", "enter"),
        ("01-10 16:00", "trailing_stop_loss"),
    ]


def test_a_profit_target_sells_when_a_bars_high_has_reached_it(seen: Any) -> None:
    assert [(at, reason) for at, _, reason, _ in seen("TAKE").story] == [
        ("01-03 16:00", "enter"),
        ("01-09 16:00", "take_profit"),
    ]


def test_a_position_that_leaves_its_band_is_brought_back_to_its_target(seen: Any) -> None:
    (bought, trimmed) = seen("BAND").orders
    assert (trimmed.request.reason, trimmed.request.side.value) == ("rebalance", "SELL")
    assert trimmed.request.purpose.value == "reduce"
    # Two strategies made two millions each with it, so a tenth of the account is about 1.4 millions.
    assert 1_390_000 < (bought.request.quantity - trimmed.request.quantity) * 300 < 1_450_000
    assert len(seen("NOBAND").orders) == 1


def test_max_position_size_caps_the_value_of_a_position(seen: Any) -> None:
    one = seen("CAP")
    assert one.held == {"FLAT": 6_000} and one.reasons == ["capped"]


def test_risk_per_trade_sizes_by_the_distance_of_the_stop(seen: Any) -> None:
    assert seen("RISK").held == {"FLAT": 4_000}  # 0.01 / 0.05 of a million


def test_max_daily_trades_spreads_entries_over_sessions(seen: Any) -> None:
    story = seen("FEW").story
    assert [at for at, _, _, _ in story] == ["01-03 16:00", "01-04 16:00", "01-05 16:00"]
    assert len(seen("FEW").held) == 3 and seen("FEW").refused == []


def test_max_daily_loss_pauses_for_the_day_lets_exits_go_and_resumes(seen: Any) -> None:
    def days(name: str) -> list[tuple[str, str, str]]:
        return [(at[:5], i.request.instrument.symbol, reason)
                for (at, _, reason, _), i in zip(seen(name).story, seen(name).orders, strict=True)]  # fmt: skip

    assert days("NOLOSS")[:3] == [
        ("01-04", "CRASH", "enter"),
        ("01-10", "CRASH", "exit_signal"),
        ("01-10", "JUMP", "enter"),
    ]
    assert days("LOSS")[:3] == [
        ("01-04", "CRASH", "enter"),
        ("01-10", "CRASH", "exit_signal"),
        ("01-11", "JUMP", "enter"),
    ]
    paused = [e for e in seen("LOSS").running.events if getattr(e, "phase", None) == "Paused"]
    assert [(e.strategy, f"{e.at:%m-%d}") for e in paused] == [("LOSS", "01-10")]


def test_a_target_weight_of_zero_wants_nothing(seen: Any) -> None:
    assert seen("SHUT").orders == [] and seen("SHUT").phase == "Running"


def test_combined_signals_trade_what_all_want(seen: Any) -> None:
    assert seen("BOTH").held.keys() == {"JUMP"}


def test_fixed_weights_may_be_short(seen: Any) -> None:
    held = seen("SPLIT").held
    assert held["FLAT"] == 12_000 and held["FLAT2"] == -5_882
