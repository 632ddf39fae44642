"""The store against the file: what is honoured, what is only shown, and what cannot be used."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from runner.manager.reload.drift import drift_of, tightenings
from runner.manager.reload.track import overlaid
from runner.spec.folder import load_text
from runner.store.strategies import StrategyRow

TEXT = """spec: 1
name: A
universe: AAPL
bars: {size: 1 day}
signals: {a: {use: sma_cross}}
sizing: {use: equal_weight}
params:
  {target_weight: 0.2, min_weight: 0.1, max_weight: 0.5, max_position_size: 0.5, max_daily_loss: 0.02, stop_loss: 0.05}
"""
LOADED = load_text(TEXT, path=Path("a.yaml")).spec
assert LOADED is not None
SPEC = LOADED


def row(enabled: bool = True, **params: Any) -> StrategyRow:
    said = asdict(SPEC.params) | {"universe": "AAPL"} | params
    return StrategyRow(strategy="A", params=json.dumps(said), enabled=enabled)


@pytest.mark.parametrize(
    ("changed", "direction", "honoured"),
    [
        ({}, None, []),
        ({"max_daily_loss": 0.01}, "tighter", ["params.max_daily_loss"]),
        ({"max_daily_loss": 0.03}, "looser", []),
        ({"max_daily_loss": 0}, "looser", []),
        ({"max_daily_trades": 3}, "tighter", ["params.max_daily_trades"]),
        ({"take_profit": 0.5}, "neutral", []),
        ({"stop_loss": "5%"}, "neutral", []),
        ({"stop_loss": 7}, "looser", []),
        ({"max_weight": 0.15}, "tighter", []),  # below target_weight: it does not fit
        ({"note": "of somebody's own"}, None, []),
        ({"universe": "MSFT"}, None, []),
    ],
)
def test_a_field_of_the_row(changed: dict[str, Any], direction: str | None, honoured: list[str]) -> None:
    found = drift_of(row(**changed), SPEC)
    assert [one.direction for one in found] == ([] if direction is None else [direction])
    assert [one.path for one in tightenings("A", found, SPEC)] == honoured


def test_a_strategy_that_is_switched_off_in_the_store_is_off() -> None:
    found = drift_of(row(enabled=False), SPEC)
    overlays = tightenings("A", found, SPEC)
    assert [(one.path, one.value) for one in overlays] == [("enabled", False)]
    assert overlaid(SPEC, overlays).enabled is False
    assert overlaid(SPEC, overlays).spec_hash == SPEC.spec_hash


def test_tightenings_must_fit_together() -> None:
    found = drift_of(row(max_weight=0.15, target_weight=0.12), SPEC)
    overlays = tightenings("A", found, SPEC)
    assert {one.path: one.value for one in overlays} == {"params.target_weight": 0.12, "params.max_weight": 0.15}
    assert overlaid(SPEC, overlays).params.max_weight == 0.15


@pytest.mark.parametrize("text", ["not json", "[1]", '"x"'])
def test_parameters_that_cannot_be_read_change_nothing_and_are_said(text: str) -> None:
    (one,) = drift_of(StrategyRow(strategy="A", params=text), SPEC)
    assert one.problem == "not a JSON object"
    assert tightenings("A", (one,), SPEC) == ()
