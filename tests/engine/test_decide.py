"""The decision kernel: one table of facts per rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runner.base_params import BaseParams
from runner.engine import decide as kernel
from runner.engine.decide import REASON_MEANING, REASON_TEXT, Decision, Limits, decide

NAN = float("nan")
EQUITY = 100_000.0


def ask(**given: Any) -> Decision:
    """A decision on one instrument at a price of 100 with 100,000 of equity; every input can be given."""
    close = given.get("close", 100.0)
    params = BaseParams(**given.get("params", {}))

    def one(name: str, default: float) -> Any:
        return np.array([given.get(name, default)], dtype=np.float64)

    return decide(
        one("qty", 0.0),
        one("entry", 100.0),
        one("best", NAN),
        one("blocked", 0.0),
        one("open", close),
        one("high", close),
        one("low", close),
        one("close", close),
        one("wanted", NAN),
        one("leave", 0.0),
        one("tradable", 1.0),
        one("unit_value", 1.0),
        one("lot", 1.0),
        given.get("equity", EQUITY),
        given.get("day_start", EQUITY),
        given.get("trades", 0),
        given.get("evaluate", True),
        Limits.of(params),
        given.get("paused", False),
    )


def check(expected_target: float, expected_reason: str, **given: Any) -> Decision:
    decision = ask(**given)
    assert (decision.target[0], REASON_TEXT[int(decision.reason[0])]) == (expected_target, expected_reason)
    return decision


def test_every_reason_has_a_stable_name_and_a_meaning() -> None:
    codes = {value for name, value in vars(kernel).items() if name.isupper() and isinstance(value, int)}
    assert set(REASON_TEXT) == codes
    assert list(REASON_MEANING) == list(REASON_TEXT.values())


@pytest.mark.parametrize(
    ("target", "reason", "given"),
    [
        (0, "hold", {"wanted": NAN}),
        (0, "hold", {"wanted": 0.0}),
        (200, "enter", {"wanted": 0.2}),
        (-200, "enter", {"wanted": -0.2}),
        (50, "hold", {"qty": 50, "wanted": NAN}),
        (50, "hold", {"qty": 50, "wanted": float("inf")}),
        (0, "exit_signal", {"qty": 50, "wanted": 0.0}),
        (-200, "enter", {"qty": 50, "wanted": -0.2}),
        (50, "hold", {"qty": 50, "wanted": 0.0, "evaluate": False}),
        (0, "hold", {"wanted": 0.2, "evaluate": False}),
        (100, "enter", {"wanted": 0.2, "unit_value": 2.0}),
        (29, "enter", {"wanted": 0.29, "close": 1000.0}),
    ],
)
def test_a_wanted_weight_becomes_a_quantity(target: float, reason: str, given: dict[str, Any]) -> None:
    check(target, reason, **given)


@pytest.mark.parametrize(
    ("target", "reason", "given"),
    [
        (0, "no_price", {"wanted": 0.2, "close": NAN}),
        (0, "no_price", {"wanted": 0.2, "close": -1.0}),
        (0, "no_price", {"wanted": 0.2, "close": 0.0}),
        (0, "no_price", {"wanted": 0.2, "close": float("inf")}),
        (0, "no_price", {"wanted": 0.2, "tradable": 0.0}),
        (50, "no_price", {"qty": 50, "wanted": 0.0, "tradable": 0.0}),
        (0, "no_rate", {"wanted": 0.2, "unit_value": NAN}),
        (0, "no_rate", {"wanted": 0.2, "lot": 0.0}),
        (0, "exit_signal", {"qty": 50, "wanted": 0.0, "unit_value": NAN}),
        (0, "exit_signal", {"qty": -50, "wanted": 0.2, "unit_value": NAN}),
        (0, "no_equity", {"wanted": 0.2, "equity": 0.0}),
        (0, "no_equity", {"wanted": 0.2, "equity": NAN}),
        (50, "no_equity", {"qty": 50, "wanted": 0.2, "equity": -5.0}),
        (0, "stop_loss", {"qty": 50, "equity": NAN, "unit_value": NAN, "close": 90.0, "params": {"stop_loss": 0.05}}),
        (0, "stop_loss", {"qty": 50, "high": NAN, "low": NAN, "close": 90.0, "params": {"stop_loss": 0.05}}),
        (50, "hold", {"qty": 50, "entry": NAN, "close": 90.0, "params": {"stop_loss": 0.05}}),
        (50, "hold", {"qty": 50, "entry": 0.0, "close": 90.0, "params": {"take_profit": 0.05}}),
    ],
)
def test_what_is_not_known_is_not_traded(target: float, reason: str, given: dict[str, Any]) -> None:
    check(target, reason, **given)


EXITS = {"stop_loss": 0.05, "trailing_stop_loss": 0.04, "take_profit": 0.20}


@pytest.mark.parametrize(
    ("target", "reason", "given"),
    [
        (0, "stop_loss", {"qty": 50, "low": 95.0}),
        (0, "stop_loss", {"qty": -50, "high": 105.0}),
        (0, "take_profit", {"qty": 50, "close": 119.0, "high": 120.0, "best": 119.0}),
        (0, "take_profit", {"qty": -50, "close": 81.0, "low": 80.0, "best": 81.0}),
        (0, "trailing_stop_loss", {"qty": 50, "best": 110.0, "close": 106.0, "low": 105.0}),
        (0, "trailing_stop_loss", {"qty": -50, "best": 90.0, "close": 93.0, "high": 94.0}),
        (0, "stop_loss", {"qty": 50, "low": 94.0, "high": 121.0}),
        (0, "take_profit", {"qty": 50, "open": 121.0, "low": 94.0, "high": 121.0}),
        (50, "hold", {"qty": 50, "low": 97.0}),
        (0, "stop_loss", {"qty": 50, "low": 90.0, "wanted": 0.2}),
        (0, "stop_loss", {"qty": 50, "low": 90.0, "evaluate": False}),
        (0, "stop_loss", {"qty": 50, "low": 90.0, "wanted": -0.2}),
    ],
)
def test_exits_close_the_position(target: float, reason: str, given: dict[str, Any]) -> None:
    check(target, reason, params=EXITS, **given)


def test_no_cap_count_or_pause_stops_an_exit() -> None:
    params = EXITS | {"max_daily_trades": 1, "max_daily_loss": 0.01, "max_position_size": 0.001}
    refusing: dict[str, Any] = {"params": params, "trades": 9, "equity": 50_000.0, "paused": True}
    check(0, "exit_rule", qty=50, leave=1.0, **refusing)
    check(0, "stop_loss", qty=50, low=90.0, **refusing)
    check(0, "exit_signal", qty=50, wanted=0.0, **refusing)
    check(0, "exit_signal", qty=50, wanted=-0.2, **refusing)
    check(0, "exit_signal", qty=-50, wanted=0.2, **refusing)


def test_the_best_price_follows_the_position() -> None:
    assert np.isnan(ask(qty=0, best=120.0).best_price[0]), "flat: forgotten"
    assert ask(qty=50, best=NAN, high=99.0, close=98.0).best_price[0] == 100.0, "new: the entry price"
    assert ask(qty=50, best=NAN, high=103.0).best_price[0] == 103.0
    assert ask(qty=50, best=110.0, high=103.0).best_price[0] == 110.0
    assert ask(qty=-50, best=90.0, low=88.0).best_price[0] == 88.0
    assert ask(qty=50, best=110.0, close=NAN).best_price[0] == 110.0, "no price teaches nothing"
    assert np.isnan(ask(qty=50, best=110.0, wanted=-0.2).best_price[0]), "turned round: begins again"
    assert ask(qty=-50, entry=NAN, best=NAN).best_price[0] == 100.0, "unknown entry: the price"


@pytest.mark.parametrize(
    ("target", "reason", "given"),
    [
        (0, "exit_rule", {"qty": 50, "leave": 1.0}),
        (0, "exit_rule", {"qty": -50, "leave": -1.0}),
        (0, "exit_rule", {"qty": 50, "leave": 2.0}),
        (0, "exit_rule", {"qty": -50, "leave": 2.0}),
        (0, "exit_rule", {"qty": 50, "leave": 1.0, "evaluate": False}),
        (0, "exit_rule", {"qty": 50, "leave": 1.0, "wanted": 0.2}),
        (0, "exit_rule", {"qty": 50, "leave": 1.0, "wanted": -0.2}),
        (0, "exit_rule", {"qty": 50, "leave": 1.0, "entry": NAN, "equity": NAN, "unit_value": NAN}),
        (0, "stop_loss", {"qty": 50, "leave": 1.0, "low": 90.0}),
        (50, "hold", {"qty": 50, "leave": -1.0}),
        (-50, "hold", {"qty": -50, "leave": 1.0}),
        (50, "hold", {"qty": 50, "leave": NAN}),
        (50, "hold", {"qty": 50, "leave": 0.5}),
        (50, "no_price", {"qty": 50, "leave": 1.0, "close": NAN}),
        (50, "no_price", {"qty": 50, "leave": 1.0, "tradable": 0.0}),
    ],
)
def test_what_an_exit_of_the_file_says_to_leave_is_left(target: float, reason: str, given: dict[str, Any]) -> None:
    check(target, reason, **{"params": EXITS, **given})


@pytest.mark.parametrize(
    ("target", "reason", "given"),
    [
        (0, "exit_rule", {"wanted": 0.2, "leave": 1.0}),
        (0, "exit_rule", {"wanted": -0.2, "leave": 2.0}),
        (200, "enter", {"wanted": 0.2, "leave": -1.0}),
        (0, "exit_signal", {"wanted": -0.2, "qty": 50, "leave": -1.0}),
        (0, "hold", {"wanted": 0.0, "leave": 2.0}),
    ],
)
def test_a_side_that_must_be_left_is_not_entered(target: float, reason: str, given: dict[str, Any]) -> None:
    assert check(target, reason, **given).blocked[0] == 0.0, "and is free as soon as nothing has to be left"


def test_an_exit_blocks_its_side_until_the_weight_has_left_it() -> None:
    stopped = check(0, "stop_loss", qty=50, low=90.0, wanted=0.2, params=EXITS)
    blocked = stopped.blocked[0]
    assert blocked > 0
    still = check(0, "blocked", wanted=0.2, blocked=blocked, params=EXITS)
    assert still.blocked[0] == blocked
    silent = check(0, "hold", wanted=NAN, blocked=blocked, params=EXITS)
    assert silent.blocked[0] == blocked, "no opinion has not left the side"
    between = check(0, "hold", wanted=0.0, blocked=blocked, evaluate=False, params=EXITS)
    assert between.blocked[0] == blocked, "nothing was evaluated"
    left = check(0, "hold", wanted=0.0, blocked=blocked, params=EXITS)
    assert left.blocked[0] == 0.0
    check(200, "enter", wanted=0.2, blocked=left.blocked[0], params=EXITS)
    turned = check(-200, "enter", wanted=-0.2, blocked=blocked, params=EXITS)
    assert turned.blocked[0] == 0.0, "the other side is free at once"
    assert ask(qty=50, low=90.0, wanted=0.0, params=EXITS).blocked[0] == 0.0, "has left it already"
    assert ask(qty=-50, high=110.0, params=EXITS).blocked[0] < 0.0


@pytest.mark.parametrize(
    ("bar", "reason"),
    [
        ({"low": 95.0}, "stop_loss"),
        ({"high": 120.0, "close": 119.0}, "take_profit"),
        ({"best": 110.0, "low": 105.0, "close": 106.0}, "trailing_stop_loss"),
        ({"leave": 1.0}, "exit_rule"),
    ],
)
def test_an_exit_goes_on_until_the_position_is_gone(bar: dict[str, Any], reason: str) -> None:
    fired = check(0, reason, qty=50, wanted=0.2, params=EXITS, **bar)
    rest = check(0, reason, qty=20, wanted=0.2, best=102.0, blocked=fired.blocked[0], close=101.0, params=EXITS)
    assert rest.blocked[0] == fired.blocked[0]


BAND = {"target_weight": 0.10, "min_weight": 0.05, "max_weight": 0.15, "max_position_size": 0.0}


@pytest.mark.parametrize(
    ("target", "reason", "given"),
    [
        (100, "band", {"qty": 100, "wanted": 0.1}),
        (150, "band", {"qty": 150, "wanted": 0.1}),
        (100, "rebalance", {"qty": 151, "wanted": 0.1}),
        (50, "band", {"qty": 50, "wanted": 0.1}),
        (100, "rebalance", {"qty": 49, "wanted": 0.1}),
        (-100, "rebalance", {"qty": -49, "wanted": -0.1}),
        (-100, "rebalance", {"qty": -151, "wanted": -0.1}),
        (100, "band", {"qty": 100, "wanted": 0.15}),
        (300, "rebalance", {"qty": 100, "wanted": 0.3}),
    ],
)
def test_positions_are_left_alone_inside_the_band(target: float, reason: str, given: dict[str, Any]) -> None:
    check(target, reason, params=BAND, **given)


def test_a_band_of_no_width_rebalances_every_lot() -> None:
    params = BAND | {"min_weight": 0.10, "max_weight": 0.10}
    check(100, "rebalance", qty=99, wanted=0.1, params=params)
    check(100, "rebalance", qty=101, wanted=0.1, params=params)
    check(100, "band", qty=100, wanted=0.1, params=params)
    check(100, "below_lot", qty=100, wanted=0.1005, params=params)


def test_a_target_weight_of_0_holds_nothing() -> None:
    params = {"target_weight": 0.0}
    check(0, "exit_signal", qty=50, wanted=0.2, params=params)
    check(0, "hold", wanted=0.2, params=params)
    check(50, "hold", qty=50, wanted=NAN, params=params)


@pytest.mark.parametrize(
    ("target", "reason", "given"),
    [
        (200, "capped", {"wanted": 0.5}),
        (-200, "capped", {"wanted": -0.5}),
        (200, "enter", {"wanted": 0.2}),
        (200, "capped", {"qty": 200, "wanted": 0.5}),
        (150, "band", {"qty": 150, "wanted": 0.5}),
        (200, "capped", {"qty": 50, "wanted": 0.5}),
        (300, "capped", {"qty": 300, "wanted": 0.3}),
        (250, "capped", {"qty": 250, "wanted": 0.5}),
        (200, "rebalance", {"qty": 800, "wanted": 0.5}),
        (-200, "capped", {"qty": 100, "wanted": -0.5}),
        (0, "capped", {"wanted": 0.5, "close": 25_000.0}),
    ],
)
def test_max_position_size_caps_trades_and_cuts_nothing(target: float, reason: str, given: dict[str, Any]) -> None:
    check(target, reason, params=BAND | {"max_position_size": 0.2}, **given)


def test_no_cap_at_0() -> None:
    check(5000, "enter", wanted=5.0, params=BAND)


@pytest.mark.parametrize(
    ("paused", "target", "reason", "given"),
    [
        (False, 200, "enter", {"equity": 98_001.0, "wanted": 200 * 100 / 98_001}),
        (True, 0, "daily_loss", {"equity": 98_000.0, "wanted": 0.2}),
        (True, 50, "daily_loss", {"equity": 98_000.0, "wanted": 0.5, "qty": 50}),
        (True, 98, "rebalance", {"equity": 98_000.0, "wanted": 0.1, "qty": 300}),
        (True, 0, "daily_loss", {"equity": 100_000.0, "wanted": 0.2, "paused": True}),
        (False, 0, "no_equity", {"equity": NAN, "wanted": 0.2}),
        (False, 200, "enter", {"day_start": NAN, "wanted": 0.2}),
    ],
)
def test_a_daily_loss_pauses_what_opens(paused: bool, target: float, reason: str, given: dict[str, Any]) -> None:
    assert check(target, reason, params=BAND | {"max_daily_loss": 0.02}, **given).paused is paused


@pytest.mark.parametrize(
    ("target", "reason", "given"),
    [
        (200, "enter", {"wanted": 0.2, "trades": 2}),
        (0, "daily_trades", {"wanted": 0.2, "trades": 3}),
        (50, "daily_trades", {"wanted": 0.5, "qty": 50, "trades": 3}),
        (100, "rebalance", {"wanted": 0.1, "qty": 300, "trades": 3}),
        (0, "exit_signal", {"wanted": 0.0, "qty": 300, "trades": 3}),
        (0, "exit_signal", {"wanted": -0.2, "qty": 300, "trades": 3}),
    ],
)
def test_trades_of_the_day_are_counted_for_what_opens(target: float, reason: str, given: dict[str, Any]) -> None:
    check(target, reason, params=BAND | {"max_daily_trades": 3}, **given)


def test_instruments_compete_for_the_last_trades_in_their_order() -> None:
    n = 5
    full = np.full(n, 100.0)
    decision = decide(
        np.array([0.0, 0.0, 50.0, -50.0, 0.0]),
        full,
        np.full(n, NAN),
        np.zeros(n),
        full,
        full,
        full,
        full,
        np.array([0.2, NAN, 0.0, 0.1, 0.2]),
        np.zeros(n),
        np.ones(n),
        np.ones(n),
        np.ones(n),
        EQUITY,
        EQUITY,
        1,
        True,
        Limits.of(BaseParams(max_daily_trades=3)),
    )
    assert decision.target.tolist() == [200.0, 0.0, 0.0, 100.0, 0.0]
    assert [REASON_TEXT[int(code)] for code in decision.reason] == [
        "enter",
        "hold",
        "exit_signal",
        "enter",
        "daily_trades",
    ]


@pytest.mark.parametrize(
    ("target", "reason", "given"),
    [
        (0, "below_lot", {"wanted": 0.0009}),
        (100, "enter", {"wanted": 0.1999, "lot": 100.0}),
        (0, "below_lot", {"wanted": 0.05, "lot": 100.0}),
        (0, "exit_signal", {"wanted": -0.05, "qty": 30, "lot": 100.0}),
        (12.3, "enter", {"wanted": 0.01234, "lot": 0.1}),
        (0, "rebalance", {"wanted": 0.0005, "qty": 3}),
        (100.5, "below_lot", {"wanted": 0.1009, "qty": 100.5, "params": {"min_weight": 0.1, "max_weight": 0.1}}),
    ],
)
def test_quantities_are_whole_lots_towards_zero(target: float, reason: str, given: dict[str, Any]) -> None:
    given = {"params": BAND, **given}
    decision = ask(**given)
    assert decision.target[0] == pytest.approx(target, rel=1e-12)
    assert REASON_TEXT[int(decision.reason[0])] == reason


def test_a_remembered_block_that_is_nonsense_blocks_nothing() -> None:
    check(200, "enter", wanted=0.2, blocked=NAN)


def test_no_instruments_no_decision() -> None:
    none = np.empty(0)
    decision = decide(*([none] * 13), EQUITY, EQUITY, 0, True, Limits.of(BaseParams()))
    assert decision.target.shape == (0,)
