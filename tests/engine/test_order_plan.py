"""Orders from targets."""

from __future__ import annotations

from decimal import Decimal

import pytest

from runner.engine.decide import ENTER, EXIT_SIGNAL, HOLD, REBALANCE, STOP_LOSS
from runner.engine.orders import order_plan


def plan(current: list[str], target: list[str], reason: list[int], lots: list[str] | None = None) -> list[str]:
    orders = order_plan(
        [Decimal(text) for text in current],
        [Decimal(text) for text in target],
        reason,
        lots=None if lots is None else [Decimal(text) for text in lots],
    )
    return [f"{order.index} {order.side} {order.quantity} {order.purpose} {order.reason}" for order in orders]


def test_targets_that_are_held_need_no_order() -> None:
    assert plan(["5", "0"], ["5", "0"], [HOLD, HOLD]) == []


def test_exits_come_first_then_reductions_then_entries_and_sells_before_buys() -> None:
    assert plan(
        ["0", "0", "10", "-10", "-4", "7"],
        ["5", "-5", "6", "-6", "0", "0"],
        [ENTER, ENTER, REBALANCE, REBALANCE, STOP_LOSS, EXIT_SIGNAL],
    ) == [
        f"5 SELL 7 exit {EXIT_SIGNAL}",
        f"4 BUY 4 exit {STOP_LOSS}",
        f"2 SELL 4 reduce {REBALANCE}",
        f"3 BUY 4 reduce {REBALANCE}",
        f"1 SELL 5 entry {ENTER}",
        f"0 BUY 5 entry {ENTER}",
    ]


def test_turning_round_is_a_close_and_an_entry() -> None:
    assert plan(["10"], ["-4"], [ENTER]) == [f"0 SELL 10 exit {EXIT_SIGNAL}", f"0 SELL 4 entry {ENTER}"]


def test_entries_and_reductions_are_whole_lots_and_exits_are_all_of_it() -> None:
    assert plan(["0.5"], ["120"], [REBALANCE], ["1"]) == [f"0 BUY 119 entry {REBALANCE}"]
    assert plan(["0.5"], ["1"], [REBALANCE], ["1"]) == []
    assert plan(["100.5"], ["0"], [STOP_LOSS], ["1"]) == [f"0 SELL 100.5 exit {STOP_LOSS}"]
    assert plan(["0"], ["1.2345000000000002"], [ENTER], ["0.0001"]) == [f"0 BUY 1.2345 entry {ENTER}"]


def test_quantities_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="instrument 0: cannot go from 5 to NaN"):
        plan(["5"], ["NaN"], [ENTER])
    with pytest.raises(ValueError):
        plan(["5"], ["5", "6"], [HOLD])
