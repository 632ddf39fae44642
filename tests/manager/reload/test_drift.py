"""The store against the file: what is honoured, what is only shown, and what cannot be used. Pure, a row a case."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import SpecError
from runner.manager.reload.drift import (
    OVERRIDE,
    STORE,
    Standing,
    against,
    drift_of,
    standing,
    with_foreign,
)
from runner.manager.reload.track import overlaid
from runner.manager.sync import row_of
from runner.spec.changes import Direction, changes, direction_of
from runner.spec.folder import load_text
from runner.spec.spec import StrategySpec
from runner.store.generations import Overlay
from runner.store.strategies import StrategyRow, StrategyTable

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


def row(spec: StrategySpec = SPEC, *, enabled: bool = True, **params: Any) -> StrategyRow:
    said = asdict(spec.params) | {"universe": "AAPL"} | params
    return StrategyRow(strategy="A", params=json.dumps(said), enabled=enabled)


def file(**params: Any) -> StrategySpec:
    return replace(SPEC, params=replace(SPEC.params, **params))


def stands(
    stored: StrategyRow, edited: StrategySpec = SPEC, overlays: tuple[Overlay, ...] = (), applied: StrategySpec = SPEC
) -> Standing:
    in_force = overlaid(applied, overlays)
    drift = drift_of(stored, in_force)
    return standing("A", edited, applied=applied, in_force=in_force, overlays=overlays, drift=drift)


def values(found: Standing) -> Mapping[str, Any]:
    return {one.path: one.value for one in found.goal.overlays}


@pytest.mark.parametrize(
    ("changed", "direction", "honoured"),
    [
        ({}, None, {}),
        ({"max_daily_loss": 0.01}, "tighter", {"params.max_daily_loss": 0.01}),
        ({"max_daily_loss": 0.03}, "looser", {}),
        ({"max_daily_loss": 0}, "looser", {}),
        ({"max_daily_trades": 3}, "tighter", {"params.max_daily_trades": 3}),
        ({"take_profit": 0.5}, "neutral", {}),
        ({"stop_loss": "5%"}, "neutral", {}),
        ({"stop_loss": 7}, "looser", {}),
        ({"max_weight": 0.15}, "tighter", {}),  # below target_weight: it does not fit
        ({"note": "of somebody's own"}, None, {}),
        ({"universe": "MSFT"}, "neutral", {}),
    ],
)
def test_a_field_of_the_row(changed: dict[str, Any], direction: str | None, honoured: dict[str, Any]) -> None:
    found = drift_of(row(**changed), SPEC)
    assert [one.direction for one in found] == ([] if direction is None else [direction])
    said = stands(row(**changed))
    assert values(said) == honoured
    assert [one.path for one in said.ignored] == ([one.path for one in found] if not honoured else [])


@pytest.mark.parametrize(
    ("in_file", "in_store", "runs", "conflict", "ignored"),
    [
        # file    store   runs
        (0.02, 0.02, 0.02, False, False),  # in sync
        (0.015, 0.02, 0.015, False, False),  # the file wins
        (0.03, 0.02, 0.03, False, False),
        (0.02, 0.01, 0.01, False, False),  # honoured
        (0.02, 0.04, 0.02, False, True),  # shown
        (0.01, 0.01, 0.01, False, False),  # both changed to the same
        (0.015, 0.01, 0.01, True, False),  # both changed: the tighter runs
        (0.015, 0.04, 0.015, True, True),
        (0.03, 0.01, 0.01, True, False),
        (0.03, 0.025, 0.025, True, False),
    ],
)
def test_file_and_store_against_what_was_applied(
    in_file: float, in_store: float, runs: float, conflict: bool, ignored: bool
) -> None:
    found = stands(row(max_daily_loss=in_store), file(max_daily_loss=in_file))
    assert found.goal.spec.params.max_daily_loss == runs
    assert (found.conflicts, bool(found.ignored)) == (("params.max_daily_loss",) if conflict else (), ignored)


def test_what_has_no_tighter_side_keeps_the_value_that_runs_when_both_change_it() -> None:
    found = stands(row(take_profit=0.3), file(take_profit=0.2))
    assert found.goal.spec.params.take_profit == SPEC.params.take_profit == 0.0
    assert found.conflicts == ("params.take_profit",)
    assert [one.stored for one in found.ignored] == [0.3]


TIGHTENED = (Overlay(strategy="A", path="params.max_daily_loss", value=0.01, source=STORE),)
FOR_A_WHILE = (Overlay(strategy="A", path="params.max_daily_loss", value=0.01, source=OVERRIDE),)


@pytest.mark.parametrize(
    ("in_file", "in_store", "runs"),
    [
        (0.02, 0.01, 0.01),  # as it was honoured
        (0.02, 0.005, 0.005),  # tightened again
        (0.02, 0.015, 0.015),  # still tighter than the file
        (0.02, 0.02, 0.02),  # taken back where it was made
        (0.02, 0.05, 0.01),  # looser than the file: in vain, and what was honoured stays
        (0.005, 0.01, 0.005),  # the file has become tighter
        (0.015, 0.01, 0.01),  # the file was edited and is not tighter
        (0.01, 0.01, 0.01),  # adopted
    ],
)
def test_what_was_honoured_holds_until_file_or_store_say_otherwise(
    in_file: float, in_store: float, runs: float
) -> None:
    found = stands(row(max_daily_loss=in_store), file(max_daily_loss=in_file), TIGHTENED)
    assert found.goal.spec.params.max_daily_loss == runs
    assert bool(found.goal.overlays) is (runs != in_file)


@pytest.mark.parametrize(
    ("in_file", "in_store", "runs"), [(0.02, 0.01, 0.01), (0.02, 0.005, 0.005), (0.03, 0.01, 0.03)]
)
def test_a_temporary_value_ends_with_an_edit_of_its_field(in_file: float, in_store: float, runs: float) -> None:
    found = stands(row(max_daily_loss=in_store), file(max_daily_loss=in_file), FOR_A_WHILE)
    assert found.goal.spec.params.max_daily_loss == runs
    assert [one.source for one in found.goal.overlays] == [
        {0.01: OVERRIDE, 0.005: STORE}[runs] for _ in range(runs != in_file)
    ]


def test_a_temporary_value_that_does_not_fit_a_new_version_is_named() -> None:
    weight = (Overlay(strategy="A", path="params.target_weight", value=0.4, source=OVERRIDE),)
    with pytest.raises(SpecError, match=r"target_weight 0\.4 is above max_weight 0\.3.*params\.target_weight 0\.4"):
        stands(row(target_weight=0.4), file(max_weight=0.3), weight)


def test_a_weight_may_be_changed_in_its_own_column() -> None:
    stored = replace(row(), target_weight=0.12)
    assert {one.path: one.stored for one in drift_of(stored, SPEC)} == {"params.target_weight": 0.12}
    assert values(stands(stored)) == {"params.target_weight": 0.12}


def test_a_strategy_that_is_switched_off_in_the_store_is_off() -> None:
    found = stands(row(enabled=False))
    assert values(found) == {"enabled": False}
    assert found.goal.spec.enabled is False and found.goal.spec.spec_hash == SPEC.spec_hash
    off = replace(SPEC, enabled=False)
    again = standing("A", off, applied=off, in_force=off, overlays=(), drift=drift_of(row(off), off))
    assert values(again) == {} and [one.path for one in again.ignored] == ["enabled"]


def test_tightenings_must_fit_together() -> None:
    found = stands(row(max_weight=0.15, target_weight=0.12))
    assert values(found) == {"params.target_weight": 0.12, "params.max_weight": 0.15}
    assert found.goal.spec.params.max_weight == 0.15


@pytest.mark.parametrize("text", ["not json", "[1]", '"x"'])
def test_parameters_that_cannot_be_read_change_nothing_and_are_said(text: str) -> None:
    stored = StrategyRow(strategy="A", params=text)
    (one,) = drift_of(stored, SPEC)
    assert one.problem == "not a JSON object"
    found = stands(stored)
    assert values(found) == {} and found.ignored == (one,)
    assert with_foreign(row(), found.ignored).params == text


def test_writing_a_row_keeps_what_others_wrote_and_nobody_has_decided_about() -> None:
    found = stands(row(max_daily_loss=0.04, stop_loss="5%", enabled=True))
    kept = json.loads(with_foreign(row(file(max_daily_trades=7)), found.ignored).params)
    assert (kept["max_daily_loss"], kept["stop_loss"], kept["max_daily_trades"]) == (0.04, "5%", 7)


def test_what_the_store_says_is_shown_against_the_file() -> None:
    drift = drift_of(row(max_daily_loss=0.01, stop_loss=0.2), overlaid(SPEC, TIGHTENED))
    found = {one.path: (one.running, one.stored, one.direction.value) for one in against(SPEC, TIGHTENED, drift)}
    assert found == {"params.max_daily_loss": (0.02, 0.01, "tighter"), "params.stop_loss": (0.05, 0.2, "looser")}


@pytest.mark.parametrize("stored", ["abc", None, [1], float("nan"), 0.04])
def test_what_was_honoured_is_taken_back_by_nothing_that_is_not_tighter(stored: Any) -> None:
    """An emergency cap is let go of by the value of the file, not by a slip of the keyboard."""
    found = stands(row(max_daily_loss=stored), overlays=TIGHTENED)
    assert [(one.path, one.value) for one in found.goal.overlays] == [("params.max_daily_loss", 0.01)]
    assert [one.path for one in found.ignored] == ["params.max_daily_loss"]


# -- what nobody can have meant


class OneTable:
    """A store that holds one frame."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def read(self, library: str, symbol: str) -> pd.DataFrame:
        return self.frame

    def write(self, library: str, symbol: str, frame: pd.DataFrame) -> None:
        self.frame = frame


WRITTEN = row_of(SPEC, StrategyRow(strategy="A"), Path(), generation=1)


def read_back(*, cells: Mapping[str, Any]) -> StrategyTable:
    """The table with the row as the runner writes it, in which somebody has then changed cells."""
    store = OneTable(pd.DataFrame({"strategy": []}))
    StrategyTable(store).upsert([WRITTEN])  # type: ignore[arg-type]
    for name, cell in cells.items():
        store.frame[name] = pd.Series([cell], dtype=object)
    return StrategyTable(store)  # type: ignore[arg-type]


HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("params", "paths"),
    [
        (f'{{"max_position_size": {HUGE}}}', ["params.max_position_size"]),
        (f'{{"max_daily_trades": -{HUGE}}}', ["params.max_daily_trades"]),
        ('{"max_position_size": NaN, "stop_loss": Infinity}', ["params.max_position_size", "params.stop_loss"]),
        ('{"max_position_size": 1e999}', ["params.max_position_size"]),
        ('{"max_weight": [0.1], "min_weight": {"x": 1}}', ["params.min_weight", "params.max_weight"]),
        ('{"max_position_size": null, "stop_loss": true}', ["params.max_position_size", "params.stop_loss"]),
        ('{"universe": {"x": [1]}}', ["universe"]),
        ('{"x": ' + "[" * 50 + "]" * 50 + "}", ["params"]),
        ("[" * 100_000, ["params"]),
        ("1" * 5_000, ["params"]),
        ("null", ["params"]),
    ],
)
def test_what_cannot_be_compared_is_shown_and_kept(params: str, paths: list[str]) -> None:
    stored = replace(WRITTEN, params=params)
    found = drift_of(stored, SPEC)
    assert [one.path for one in found] == paths
    assert all(one.problem and one.direction == "neutral" and len(str(one)) < 300 for one in found)
    said = stands(stored)
    assert said.goal.spec == SPEC and said.ignored == found
    assert drift_of(with_foreign(WRITTEN, found), SPEC) == found or "NaN" in params  # NaN is not itself


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"enabled": None}, "enabled true → – (neither true nor false)"),
        ({"enabled": "off!"}, "enabled true → off! (neither true nor false)"),
        ({"enabled": 7}, "enabled true → 7 (neither true nor false)"),
        ({"enabled": "no"}, "enabled true → false ()"),
        ({"max_weight": "10 %"}, "params.max_weight 0.5 → 10 % (not a number)"),
        ({"max_weight": float("inf")}, "params.max_weight 0.5 → inf (not a number)"),
        ({"max_weight": "0.3"}, "params.max_weight 0.5 → 0.3 ()"),
    ],
)
def test_a_cell_of_another_kind_is_shown_and_kept(cells: Mapping[str, Any], said: str) -> None:
    table = read_back(cells=cells)
    found = drift_of(table.get("A"), SPEC)
    assert [f"{one} ({one.problem})" for one in found] == [said]
    assert stands(table.get("A")).goal.spec.params.target_weight == SPEC.params.target_weight
    table.change(lambda rows: [with_foreign(row_of(SPEC, rows["A"], Path(), generation=2), found)])
    table.refresh()
    assert [str(one) for one in drift_of(table.get("A"), SPEC)] == [str(one) for one in found]
    table.change(lambda rows: [row_of(SPEC, rows["A"], Path(), generation=3)])  # decided: the file's values
    table.refresh()
    assert drift_of(table.get("A"), SPEC) == () and table.get("A").misfits == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.integers(min_value=10**300) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*asdict(SPEC.params), "enabled", "", "note"])
PARAMS = st.one_of(st.text(), JSON.map(json.dumps), st.dictionaries(NAMES, JSON, max_size=6).map(json.dumps))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(), st.text(), st.binary(), st.just(pd.NaT), st.datetimes(),
    st.sampled_from(["true", "no", "0.1", "nan", "-1", "0", "1e999"]),
)  # fmt: skip
COLUMNS = ("enabled", "min_weight", "target_weight", "max_weight", "equity", "client_id", "generation", "updated_at")


@given(params=PARAMS, cells=st.dictionaries(st.sampled_from(COLUMNS), SCALARS, max_size=4))
def test_nothing_in_a_row_raises_or_loosens(params: str, cells: Mapping[str, Any]) -> None:
    table = read_back(cells={"params": params, **cells})
    stored = table.get("A")
    assert stored is not None
    said = stands(stored)
    assert direction_of(changes(SPEC, said.goal.spec)) is not Direction.LOOSER
    drift = drift_of(stored, SPEC)
    assert all(len(str(one)) < 300 for one in drift)
    kept = with_foreign(row_of(SPEC, stored, Path(), generation=2), drift)
    table.change(lambda _: [kept])
    table.refresh()
    again = table.get("A")
    assert again is not None
    assert [(one.path, one.problem) for one in drift_of(again, SPEC)] == [(one.path, one.problem) for one in drift]
