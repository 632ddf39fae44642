"""Exits of the file act on made-up daily prices: on every bar, also where nothing is decided, and after the stops."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from strategy_support import Seen, files, spec, write_prices

from runner.gateway.settings import UNLIMITED

START, END = date(2012, 1, 3), date(2012, 1, 31)
PRICES = {
    # sessions:   3     4     5     6     9     10    11 …
    "FALL": [100.0, 101.0, 102.0, 103.0, 104.0, 97.0, 96.0, 95.0] + [95.0] * 12,
    "RISE": [100.0, 99.0, 98.0, 97.0, 96.0, 103.0, 104.0, 105.0] + [105.0] * 12,
}
EXIT = "{hang: {use: chandelier, with: {window: 3, mult: 1.5}}}"

STRATEGIES = files(
    spec("LONG", "FALL", exits=EXIT),
    spec("WEEKLY", "FALL", exits=EXIT, schedule="{calendar: XNYS, on: week_end}"),
    spec("SHORT", "RISE", exits=EXIT, sizing="{use: fixed_weights, with: {weights: {RISE: -0.5}}}"),
    spec("CAPPED", "FALL", exits=EXIT, params="{target_weight: 0.1, max_daily_trades: 1, max_daily_loss: 0.001}"),
    spec("STOPPED", "FALL", exits=EXIT, params="{target_weight: 0.1, stop_loss: 0.01}"),
    spec("NONE", "FALL"),
)


@pytest.fixture(scope="module")
def system(build: Any, tmp_path_factory: Any) -> Any:
    data = write_prices(tmp_path_factory.mktemp("prices"), START, PRICES)
    running = build(STRATEGIES, data=data, start=START, end=END, liquidity=UNLIMITED, cash={"USD": Decimal(10_000_000)})
    running.start()
    running.run_to(END)
    return running


@pytest.fixture
def told(system: Any) -> Any:
    """(day and time, reason) of every order of a strategy."""
    return lambda name: [(at, reason) for at, _, reason, _ in Seen(system, name).story]


def test_a_long_is_left_when_the_close_falls_through_the_level_and_its_side_stays_blocked(
    system: Any, told: Any
) -> None:
    assert told("LONG") == [("01-03 16:00", "enter"), ("01-10 16:00", "exit_rule")]
    assert Seen(system, "LONG").held == {} and Seen(system, "LONG").decided == {"FALL": "blocked"}
    assert told("NONE") == [("01-03 16:00", "enter")]


def test_an_exit_is_no_decision_and_acts_between_them(told: Any) -> None:
    assert told("WEEKLY") == [("01-06 16:00", "enter"), ("01-10 16:00", "exit_rule")]


def test_a_short_is_left_above_the_level(told: Any) -> None:
    assert told("SHORT") == [("01-03 16:00", "enter"), ("01-10 16:00", "exit_rule")]


def test_no_cap_holds_an_exit_back(system: Any, told: Any) -> None:
    assert told("CAPPED")[-1] == ("01-10 16:00", "exit_rule") and Seen(system, "CAPPED").held == {}
    assert Seen(system, "CAPPED").refused == []


def test_stops_are_asked_first(told: Any) -> None:
    assert told("STOPPED") == [("01-03 16:00", "enter"), ("01-10 16:00", "stop_loss")]
