"""What an edit of a file means for what runs: every case, without anything running."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.manager.reload.decision import (
    Begin,
    Change,
    Hold,
    Keep,
    LastRun,
    Situation,
    Wait,
    Wanted,
    begin,
    decide,
)
from runner.model.annotations import Loosening
from runner.spec.folder import load_text
from runner.spec.spec import StrategySpec

BASE = {
    "params": "{target_weight: 0.2, max_position_size: 0.5, stop_loss: 0.05}",
    "signals": "{a: {use: sma_cross}}",
    "hooks": "{}",
    "tags": "[]",
    "enabled": "true",
}


def spec(**changes: str) -> StrategySpec:
    lines = "".join(f"{key}: {value}\n" for key, value in (BASE | changes).items())
    text = f"spec: 1\nname: A\nuniverse: AAPL\nbars: {{size: 1 day}}\nsizing: {{use: equal_weight}}\n{lines}"
    loaded = load_text(text, path=Path("a.yaml"))
    assert loaded.spec is not None, loaded.problems
    return loaded.spec


TIGHTER = spec(params="{target_weight: 0.2, max_position_size: 0.4, stop_loss: 0.05}")
LOOSER = spec(params="{target_weight: 0.2, max_position_size: 0.6, stop_loss: 0.05}")
MIXED = spec(params="{target_weight: 0.2, max_position_size: 0.6, stop_loss: 0.01}")
NEUTRAL = spec(signals="{a: {use: rsi}}")
TIGHTER_AND_REBUILT = spec(
    signals="{a: {use: rsi}}", params="{target_weight: 0.2, max_position_size: 0.4, stop_loss: 0.05}"
)
HOOKED = spec(hooks="{on_fill: acme.hooks:say}")
TAGGED = spec(tags="[x]")
OFF = spec(enabled="false")
AUTO, CONFIRM = Situation(loosening=Loosening.AUTO), Situation(loosening=Loosening.CONFIRM)
AT_WORK = Situation(loosening=Loosening.AUTO, in_window=True)


@pytest.mark.parametrize(
    ("new", "situation", "wanted", "kind", "in_force_first"),
    [
        (spec(), CONFIRM, {}, Keep, None),
        (TAGGED, CONFIRM, {}, Keep, None),
        (TIGHTER, CONFIRM, {}, Change, True),
        (OFF, CONFIRM, {}, Change, True),
        (LOOSER, AUTO, {}, Change, False),
        (LOOSER, CONFIRM, {}, Hold, None),
        (LOOSER, CONFIRM, {"approved": True}, Change, False),
        (MIXED, CONFIRM, {}, Hold, None),
        (MIXED, AUTO, {}, Change, False),
        (NEUTRAL, CONFIRM, {}, Change, False),
        (TIGHTER_AND_REBUILT, CONFIRM, {}, Change, True),
        (HOOKED, AUTO, {}, Change, False),
        (HOOKED, CONFIRM, {}, Hold, None),
        (HOOKED, AT_WORK, {}, Wait, None),
        (HOOKED, AT_WORK, {"at_once": True}, Change, False),
        (TIGHTER, AT_WORK, {}, Change, True),
    ],
)
def test_an_edit_of_what_runs(
    new: StrategySpec, situation: Situation, wanted: dict[str, bool], kind: type, in_force_first: bool | None
) -> None:
    decision = decide(spec(), Wanted(spec=new, **wanted), situation)
    assert type(decision) is kind
    if isinstance(decision, Change):
        assert decision.in_force_first is in_force_first


@pytest.mark.parametrize("situation", [AUTO, CONFIRM])
def test_what_never_ran_begins(situation: Situation) -> None:
    assert begin(LastRun(), Wanted(spec=LOOSER), situation) == Begin(LOOSER)


@pytest.mark.parametrize(
    ("last", "new", "situation", "approved", "kind"),
    [
        (spec(), LOOSER, CONFIRM, False, Hold),
        (spec(), LOOSER, CONFIRM, True, Begin),
        (spec(), LOOSER, AUTO, False, Begin),
        (spec(), TIGHTER, CONFIRM, False, Begin),
        (spec(), NEUTRAL, CONFIRM, False, Begin),
        (spec(), spec(), CONFIRM, False, Begin),
        (spec(reload="{loosening: confirm}"), LOOSER, AUTO, False, Hold),
        (None, TIGHTER, CONFIRM, False, Hold),  # nobody can compare
        (None, TIGHTER, CONFIRM, True, Begin),
        (None, TIGHTER, AUTO, False, Begin),
    ],
)
def test_what_comes_back_may_not_have_more_than_it_had(
    last: StrategySpec | None, new: StrategySpec, situation: Situation, approved: bool, kind: type
) -> None:
    assert type(begin(LastRun(ran=True, spec=last), Wanted(spec=new, approved=approved), situation)) is kind


def test_what_is_held_says_what_it_loosens_and_nothing_else() -> None:
    decision = decide(spec(), Wanted(spec=MIXED), CONFIRM)
    assert isinstance(decision, Hold)
    assert decision.why == "loosens params.max_position_size 0.5 → 0.6"
    assert len(decision.changes) == 2
