"""The effective settings are all there, each with where it comes from, and are a strategy file themselves."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from runner.spec.deployment import Deployment
from runner.spec.folder import Loaded, load_file, load_text
from runner.spec.origin import Value, nested, resolved
from runner.spec.render import render_text
from runner.spec.write import block

REPOSITORY = Path(__file__).resolve().parents[2]
VALID = sorted(
    path
    for folder in ("strategies.d", "tests/specs/valid")
    for path in (REPOSITORY / folder).glob("[!_]*.yaml")
    if not path.name.endswith(".test.yaml")
)
INVALID = sorted((REPOSITORY / "tests/specs/invalid").glob("[!_]*.yaml"))
ANY_CODE = Deployment(allowed_packages={"acme_blocks"})
OF_THE_FILE = {"file", "spec_hash", "document", "source", "bases"}
"""What differs when the same strategy is written differently."""


def load(path: Path) -> Loaded:
    return load_file(path, root=path.parent, deployment=ANY_CODE)


def values(text: str, tmp_path: Path, **bases: str) -> dict[str, tuple[Any, str]]:
    """Name → value and origin, with the folder left out."""
    for stem, base in bases.items():
        (tmp_path / f"_{stem}.yaml").write_text(base)
    loaded = load_text(text, path=tmp_path / "a.yaml")
    assert loaded.root is not None
    found = resolved(loaded.root)
    return {value.name: (value.value, value.origin.text.replace(f"{tmp_path.as_posix()}/", "")) for value in found}


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_the_effective_settings_are_the_same_strategy_written_in_one_file(path: Path) -> None:
    loaded = load(path)
    assert loaded.spec is not None and loaded.root is not None
    text = block(nested(resolved(loaded.root)))
    again = load_text(text, path=path, deployment=ANY_CODE)
    assert again.spec is not None, render_text(again.problems, again.sources)
    for field in dataclasses.fields(loaded.spec):
        if field.name not in OF_THE_FILE:
            assert getattr(again.spec, field.name) == getattr(loaded.spec, field.name), field.name


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_resolving_what_is_resolved_changes_nothing(path: Path) -> None:
    loaded = load(path)
    assert loaded.root is not None
    document = nested(resolved(loaded.root))
    again = load_text(block(document), path=path, deployment=ANY_CODE)
    assert again.root is not None
    assert nested(resolved(again.root)) == document


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.name)
def test_a_file_with_mistakes_is_resolved_as_far_as_it_goes(path: Path) -> None:
    loaded = load(path)
    if loaded.root is not None:
        found = resolved(loaded.root)
        assert isinstance(nested(found), dict)
        assert all(isinstance(value, Value) for value in found)


BASE = """\
spec: 1
bars: {size: 1 day}
schedule: {calendar: XNYS}
sizing:
  use: volatility_target
  with: {annual_vol: 0.10}
params:
  max_daily_loss: 0.02
  stop_loss: 0.05
"""
FILE = """\
name: GENTLE
extends: _daily.yaml
universe: AAPL, MSFT
signals:
  trend: {use: sma_cross, with: {fast: 50, slow: 200}}
sizing:
  with: {window: 60}
params:
  stop_loss: null
"""


@pytest.mark.parametrize(
    ("name", "value", "origin"),
    [
        ("name", "GENTLE", "a.yaml:1"),
        ("spec", 1, "_daily.yaml:1"),
        ("enabled", True, "default"),
        ("universe.symbols", ["AAPL", "MSFT"], "a.yaml:3"),
        ("universe.defaults.exchange", "SMART", "default"),
        ("bars.size", "1 day", "_daily.yaml:2"),
        ("bars.history", 200, "needed by signals.trend"),
        ("signals.trend.with.fast", 50, "a.yaml:5"),
        ("signals.trend.with.allow_short", False, "default of sma_cross"),
        ("combine.use", "first", "default"),
        ("sizing.use", "volatility_target", "_daily.yaml:5"),
        ("sizing.with.annual_vol", 0.1, "_daily.yaml:6"),
        ("sizing.with.window", 60, "a.yaml:7"),
        ("sizing.with.min_vol", 0.02, "default of volatility_target"),
        ("params.max_daily_loss", 0.02, "_daily.yaml:8"),
        ("params.stop_loss", 0.0, "default"),
        ("params.target_weight", 0.1, "default"),
        ("schedule.calendar", "XNYS", "_daily.yaml:3"),
        ("execution.order", "market", "default"),
        ("on_remove", "hold", "default"),
    ],
)
def test_every_value_says_where_it_comes_from(tmp_path: Path, name: str, value: Any, origin: str) -> None:
    assert values(FILE, tmp_path, daily=BASE)[name] == (value, origin)


def test_what_nobody_said_and_has_no_default_is_not_listed(tmp_path: Path) -> None:
    found = values(FILE, tmp_path, daily=BASE)
    assert not {"owner", "schedule.window", "schedule.evaluate", "hooks", "extends"} & set(found)


WITH_UNIVERSE = "name: A\nspec: 1\nbars: {size: 1 day}\nsignals: {t: {use: sma_cross}}\nsizing: {use: equal_weight}\n"


@pytest.mark.parametrize(
    ("universe", "found"),
    [
        ("us_stocks", {"library": ("us_stocks", 6), "defaults.currency": ("USD", 0)}),
        ("AAPL", {"symbols": (["AAPL"], 6)}),
        ("[AAPL, TRUE]", {"symbols": (["AAPL", "TRUE"], 6)}),
        ("{library: us_stocks, max_symbols: 9}", {"library": ("us_stocks", 6), "max_symbols": (9, 6)}),
        (
            "\n  symbols:\n  - BNP\n  - {symbol: DBK, exchange: IBIS}\n  defaults: {exchange: SBF, currency: EUR}",
            {
                "symbols[0]": ("BNP", 8),
                "symbols[1].symbol": ("DBK", 9),
                "symbols[1].exchange": ("IBIS", 9),
                "symbols[1].currency": ("EUR", 10),
                "symbols[1].sec_type": ("STK", 0),
                "defaults.exchange": ("SBF", 10),
                "defaults.sec_type": ("STK", 0),
            },
        ),
        (
            "[{symbol: EUR, sec_type: CASH}]",
            {"symbols[0].exchange": ("IDEALPRO", 0), "defaults.exchange": ("SMART", 0)},
        ),
        ("{symbols: [EUR], defaults: {sec_type: CASH}}", {"defaults.exchange": ("IDEALPRO", 0)}),
    ],
)
def test_a_universe_is_resolved_from_every_form(tmp_path: Path, universe: str, found: dict[str, Any]) -> None:
    resolved = values(f"{WITH_UNIVERSE}universe: {universe}\n", tmp_path)
    for name, (value, line) in found.items():
        assert resolved[f"universe.{name}"] == (value, f"a.yaml:{line}" if line else "default")


def test_a_future_has_no_exchange_that_nobody_said(tmp_path: Path) -> None:
    found = values(f"{WITH_UNIVERSE}universe: [{{symbol: ES, sec_type: FUT}}]\n", tmp_path)
    assert "universe.symbols[0].exchange" not in found


def test_history_is_not_guessed_when_a_block_cannot_be_built(tmp_path: Path) -> None:
    text = f"{WITH_UNIVERSE}universe: AAPL\n".replace("use: sma_cross", "use: sma_cros")
    assert "bars.history" not in values(text, tmp_path)


def test_settings_of_an_unknown_block_are_shown_as_they_are(tmp_path: Path) -> None:
    text = f"{WITH_UNIVERSE}universe: AAPL\n".replace("{use: sma_cross}", "{use: mine, with: {a: {b: [1, {c: 2}]}}}")
    assert values(text, tmp_path)["signals.t.with.a.b[1].c"] == (2, "a.yaml:4")
