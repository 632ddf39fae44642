"""What can be said of a strategy follows from facts: a row a fact."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner.manager.reload.conditions import Condition, Facts, conditions_of
from runner.model.events import StrategyPhase
from runner.store.generations import GenerationState

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
GOOD = Facts(
    has_file=True,
    problem="",
    newest=7,
    state=GenerationState.APPLIED,
    text="",
    running=7,
    file_runs=True,
    rolled_back=False,
    rejected=False,
    base_refused="",
    is_written=True,
    unsynced="",
    tightened="",
    ignored="",
    conflicts=(),
    gone="",
    phase=StrategyPhase.RUNNING,
    phase_reason="",
    enabled=True,
    gateway_connected=True,
    has_session=True,
    reconciling=False,
    stopped_by="",
    stopped_text="",
)
ALL_WELL = {
    "Valid": "True/Checked",
    "Synced": "True/Stored",
    "Applied": "True/Applied",
    "Warm": "True/Warm",
    "Connected": "True/SessionStands",
    "Ready": "True/Ready",
    "Drifted": "False/InSync",
    "Held": "False/NothingHeld",
}


def said(found: dict[str, Condition]) -> dict[str, str]:
    return {kind: f"{one.status.value}/{one.reason}" for kind, one in found.items()}


def pending(state: GenerationState, text: str = "why") -> dict[str, Any]:
    return {"newest": 8, "state": state, "text": text, "file_runs": False}


@pytest.mark.parametrize(
    ("facts", "otherwise"),
    [
        ({}, {}),
        (
            pending(GenerationState.REFUSED) | {"problem": "S204 at a.yaml:3:1: too much"},
            {"Valid": "False/Problems", "Applied": "False/Refused"},
        ),
        (pending(GenerationState.REFUSED), {"Applied": "False/Refused"}),
        (pending(GenerationState.HELD), {"Applied": "False/Held", "Held": "True/Loosening"}),
        (pending(GenerationState.WAITING), {"Applied": "False/Waiting"}),
        (pending(GenerationState.APPLYING), {"Applied": "False/Applying"}),
        (pending(GenerationState.REJECTED) | {"rejected": True}, {"Applied": "False/Rejected"}),
        ({"rolled_back": True, "file_runs": False}, {"Applied": "False/RolledBack"}),
        ({"base_refused": "why"}, {"Applied": "False/BaseRefused"}),
        ({"unsynced": "no space"}, {"Synced": "False/StoreUnavailable"}),
        ({"is_written": False}, {"Synced": "Unknown/NotStored"}),
        ({"tightened": "params.stop_loss 0.1"}, {"Drifted": "True/StoreTightened"}),
        ({"ignored": "params.stop_loss 0.1 → 0.2"}, {"Drifted": "True/StoreIgnored"}),
        ({"ignored": "x", "tightened": "y", "conflicts": ("params.stop_loss",)}, {"Drifted": "True/Conflict"}),
        (
            {"has_file": False, "gone": "why", "stopped_by": "FileMissing"},
            {"Valid": "Unknown/FileMissing", "Applied": "Unknown/FileMissing", "Held": "True/FileMissing",
             "Ready": "False/FileMissing"},
        ),
        (
            {"phase": StrategyPhase.WARMING, "reconciling": True},
            {"Warm": "False/Warming", "Ready": "False/Warming"},
        ),
        (
            {"phase": StrategyPhase.WARMING, "has_session": False},
            {"Warm": "False/Warming", "Connected": "False/SessionLost", "Ready": "False/Warming"},
        ),
        (
            {"phase": StrategyPhase.FAILED, "has_session": False},
            {"Warm": "False/Failed", "Connected": "Unknown/NotRunning", "Ready": "False/Failed"},
        ),
        (
            {"phase": StrategyPhase.STOPPED, "has_session": False},
            {"Warm": "False/Stopped", "Connected": "Unknown/NotRunning", "Ready": "False/Stopped"},
        ),
        (
            {"phase": None, "has_session": False},
            {"Warm": "Unknown/NotStarted", "Connected": "Unknown/NotRunning", "Ready": "False/NotStarted"},
        ),
        ({"has_session": False}, {"Connected": "False/SessionLost", "Ready": "False/SessionLost"}),
        ({"reconciling": True}, {"Connected": "False/Reconciling", "Ready": "False/Reconciling"}),
        ({"gateway_connected": False}, {"Connected": "False/GatewayLost", "Ready": "False/GatewayLost"}),
        ({"stopped_by": "DailyLoss", "stopped_text": "why"}, {"Ready": "False/DailyLoss"}),
    ],
)  # fmt: skip
def test_what_is_said(facts: dict[str, Any], otherwise: dict[str, str]) -> None:
    assert said(conditions_of(replace(GOOD, **facts), {}, NOW)) == ALL_WELL | otherwise


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = conditions_of(GOOD, {}, NOW)
    later = NOW + timedelta(minutes=1)
    second = conditions_of(replace(GOOD, stopped_by="Paused", tightened="x"), first, later)
    assert {kind for kind, one in second.items() if one.since == later} == {"Ready", "Drifted"}
    third = conditions_of(replace(GOOD, stopped_by="DailyLoss"), second, later + timedelta(minutes=1))
    assert third["Ready"].since == later and third["Ready"].reason == "DailyLoss"  # as false as before


def test_a_condition_names_the_version_that_it_was_seen_on() -> None:
    found = conditions_of(replace(GOOD, **pending(GenerationState.HELD)), {}, NOW)
    assert {kind: one.generation for kind, one in found.items()} == dict.fromkeys(ALL_WELL, 8) | {
        "Warm": 7, "Connected": 7, "Ready": 7,
    }  # fmt: skip
    assert found["Held"].view() == {
        "type": "Held", "status": "True", "reason": "Loosening", "message": "why",
        "last_transition": NOW.isoformat(), "observed_generation": 8,
    }  # fmt: skip
