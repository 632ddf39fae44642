"""A change of each exit, with a position open and an entry working: exits count at once, and touch nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from reload_support import RESTING, Desk, One

ONLY_SAW = "{use: fixed_weights, with: {weights: {SAW: 0.5}}}"
WITH_FLAT = "{use: fixed_weights, with: {weights: {SAW: 0.5, FLAT: 0.5}}}"


def begun(desk: Desk, begin: Any, name: str, *, even: bool, sessions: int = 1, **sections: str) -> One:
    """Holds SAW, bought in the first session, and has an entry in FLAT working `sessions` later."""
    one: One = begin(name, even=even, universe="[SAW, FLAT]", sizing=ONLY_SAW, **sections)
    desk.run_to("11:00")
    desk.edit(name, execution=RESTING, sizing=WITH_FLAT)
    desk.run_to("10:30", days=sessions - 1)
    assert one.held.keys() == {"SAW"} and one.resting.keys() == {"FLAT"}
    return one


def exits_at_once(desk: Desk, one: One, reason: str, before: dict[str, float], resting: dict[str, float]) -> None:
    """The newest version has closed what was held before, though the market has not moved; the entry rests as it
    did."""
    assert desk.settles(lambda: not one.held)
    exits = [intent for intent in one.orders if intent.request.reason == reason]
    assert [(i.request.side.value, float(i.request.quantity), i.generation) for i in exits] == [
        ("SELL", before["SAW"], one.generation)
    ]
    assert one.resting == resting and resting.keys() == {"FLAT"}
    desk.run_to("11:30")
    assert one.held == {} and one.resting == resting


@pytest.mark.parametrize(
    ("name", "parameter", "reason", "even", "sessions", "wide", "narrow", "direction"),
    [
        # bought at 100, and 96 in the next session
        ("STOP", "stop_loss", "stop_loss", True, 1, 0.1, 0.03, "tighter"),
        # bought at 96, 100 in the next session, and 96 in the one after
        ("TRAIL", "trailing_stop_loss", "trailing_stop_loss", False, 2, 0.1, 0.03, "tighter"),
        # bought at 96, and 100 in the next session
        ("TAKE", "take_profit", "take_profit", False, 1, 0.5, 0.03, "neutral"),
    ],
)
def test_a_nearer_exit_acts_at_once(
    desk: Desk,
    begin: Any,
    name: str,
    parameter: str,
    reason: str,
    even: bool,
    sessions: int,
    wide: float,
    narrow: float,
    direction: str,
) -> None:
    def params(value: float) -> str:
        return f"{{target_weight: 0.1, {parameter}: {value}}}"

    one = begun(desk, begin, name, even=even, sessions=sessions, params=params(wide))
    plan = desk.plan(name, params=params(narrow))["effect"]
    assert [(stop["symbol"], stop["reason"]) for stop in plan["stops"]] == [("SAW", reason)]
    farther = desk.edit(name, params=params(2 * wide if wide < 0.5 else 0.6))
    farther.took_over("live", "looser" if direction == "tighter" else "neutral")
    held, resting, orders = one.held, one.resting, one.orders
    desk.run_to("11:00")
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])

    desk.edit(name, params=params(narrow))
    one.took_over("live", direction)
    exits_at_once(desk, one, reason, held, resting)


def test_a_nearer_exit_of_the_file_acts_at_once(desk: Desk, begin: Any) -> None:
    def exits(mult: float) -> str:
        return f"{{hang: {{use: chandelier, with: {{window: 4, mult: {mult}}}}}}}"

    one = begun(desk, begin, "HANG", even=True, exits=exits(5))
    assert desk.plan("HANG", exits=exits(2))["effect"]["stops"][0]["reason"] == "exit_rule"
    held, resting = one.held, one.resting
    desk.edit("HANG", exits=exits(2))
    one.took_over("rebuild", "tighter")
    exits_at_once(desk, one, "exit_rule", held, resting)


def test_an_exit_that_is_added_acts_at_once_and_one_that_is_taken_away_no_more(desk: Desk, begin: Any) -> None:
    one = begun(desk, begin, "ADD", even=True)
    held, resting = one.held, one.resting
    desk.edit("ADD", exits="{hang: {use: chandelier, with: {window: 4, mult: 2}}}")
    one.took_over("rebuild", "tighter")
    exits_at_once(desk, one, "exit_rule", held, resting)

    other = begun(desk, begin, "TAKEN", even=True, exits="{hang: {use: chandelier, with: {window: 4, mult: 5}}}")
    desk.edit("TAKEN", exits="")
    other.took_over("rebuild", "looser")
    assert not other.version.watches and other.held.keys() == {"SAW"}
