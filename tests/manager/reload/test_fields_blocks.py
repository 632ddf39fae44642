"""A change of signals, combine and sizing: the blocks are built anew beside those that trade, and decide at the next
decision. Nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
from reload_support import BOTH, Desk

ANY = "{use: momentum, with: {lookback: 1, threshold: -0.5}}"
NONE = "{use: momentum, with: {lookback: 1, threshold: 0.5}}"
HOLD = "{use: buy_and_hold}"


@pytest.mark.parametrize(
    ("name", "before", "after", "direction"),
    [
        ("WITH", {"signals": f"{{m: {ANY}}}"}, {"signals": f"{{m: {NONE}}}"}, "neutral"),
        ("USE", {"signals": f"{{m: {HOLD}}}"}, {"signals": f"{{m: {NONE}}}"}, "neutral"),
        (
            "MORE",
            {"signals": f"{{m: {HOLD}}}"},
            {"signals": f"{{m: {HOLD}, n: {NONE}}}", "combine": "{use: all_of}"},
            "neutral",
        ),
        (
            "FEWER",
            {"signals": f"{{m: {HOLD}, n: {NONE}}}", "combine": "{use: any_of}"},
            {"signals": f"{{n: {NONE}}}", "combine": ""},
            "neutral",
        ),
        (
            "COMBINE",
            {"signals": f"{{m: {HOLD}, n: {NONE}}}", "combine": "{use: any_of}"},
            {"combine": "{use: all_of}"},
            "neutral",
        ),
        (
            "WEIGHTED",
            {
                "signals": f"{{m: {HOLD}, n: {NONE}}}",
                "combine": "{use: weighted, with: {weights: {m: 1, n: 0}, threshold: 0.6}}",
            },
            {"combine": "{use: weighted, with: {weights: {m: 1, n: 1}, threshold: 0.6}}"},
            "neutral",
        ),
    ],
)
def test_signals_and_combine_count_at_the_next_decision(
    desk: Desk, at_work: Any, name: str, before: dict[str, str], after: dict[str, str], direction: str
) -> None:
    one = at_work(name, **before)
    held, resting, orders = one.held, one.resting, one.orders
    plan = desk.plan(name, **after)
    assert (plan["apply"], plan["direction"]) == ("rebuild", direction)
    assert [(o["symbol"], o["reason"]) for o in plan["effect"]["orders"]] == [("CALM", "exit_signal")]
    assert one.generation == 2  # foreseeing is not doing

    desk.edit(name, **after)
    one.took_over("rebuild", direction)
    desk.run_to("11:30")
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])
    desk.run_to("11:00")
    assert one.held == {} and one.resting == {}
    assert [(symbol, reason, number) for symbol, _, reason, _, number in one.since(orders)] == [
        ("CALM", "exit_signal", 3)
    ]


@pytest.mark.parametrize(
    ("name", "before", "after", "direction"),
    [
        ("GROSS", "{use: equal_weight, with: {gross: 1.0}}", "{use: equal_weight, with: {gross: 0.5}}", "tighter"),
        ("MORE2", "{use: equal_weight, with: {gross: 0.5}}", "{use: equal_weight, with: {gross: 1.0}}", "looser"),
        ("TABLE", BOTH, "{use: fixed_weights, with: {weights: {CALM: 0.25, FLAT: 0.25}}}", "tighter"),
    ],
)
def test_sizing_counts_at_the_next_decision(
    desk: Desk, begin: Any, name: str, before: str, after: str, direction: str
) -> None:
    one = begin(name, sizing=before, params="{target_weight: 0.1, min_weight: 0.09, max_weight: 0.11}")
    desk.run_to("11:00")
    held, orders = one.held, one.orders
    desk.edit(name, sizing=after)
    one.took_over("rebuild", direction)
    desk.run_to("11:30")
    assert (one.held, one.since(orders)) == (held, [])
    desk.run_to("11:00")
    change = {symbol: one.held[symbol] / held[symbol] for symbol in held}
    wanted = 2.0 if direction == "looser" else 0.5
    assert change == {"CALM": pytest.approx(wanted, rel=0.02), "FLAT": pytest.approx(wanted, rel=0.02)}
    assert {number for *_, number in one.since(orders)} == {2}


def test_another_sizing_takes_the_place_of_one(desk: Desk, at_work: Any) -> None:
    one = at_work("SIZING", params="{target_weight: 0.1, stop_loss: 0.05, risk_per_trade: 0.01}")
    held, resting, orders = one.held, one.resting, one.orders
    desk.edit("SIZING", sizing="{use: risk_per_trade}")
    assert (one.last.result.value, one.last.apply, one.generation) == ("applied", "rebuild", 3)
    desk.run_to("11:30")
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])
    desk.run_to("11:00")
    assert one.resting == {"FLAT": pytest.approx(2000, rel=0.05)}  # a fifth of the equity


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "ORDER",
            {"signals": f"{{m: {HOLD}, n: {ANY}}}", "combine": "{use: first}"},
            {"signals": f"{{n: {ANY}, m: {HOLD}}}"},
        ),
        ("SYMBOLS", {"universe": "[CALM, FLAT]"}, {"universe": "[FLAT, CALM]"}),
    ],
)
def test_another_order_is_taken_over(
    desk: Desk, at_work: Any, name: str, before: dict[str, str], after: dict[str, str]
) -> None:
    one = at_work(name, **before)
    held, resting, generation = one.held, one.resting, one.generation
    desk.edit(name, **after)
    one.took_over("rebuild", "neutral")
    assert one.generation == generation + 1
    assert (one.held, one.resting) == (held, resting)
    runs = one.version.spec.signals if name == "ORDER" else [one.symbol for one in one.version.universe]
    assert list(runs) == (["n", "m"] if name == "ORDER" else ["FLAT", "CALM"])
