"""Tests inside a strategy file and beside it: what they come to, what they are held against, and what they never do."""

from __future__ import annotations

import math
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.model.events import StrategyPhase
from runner.model.orders import Side
from runner.spec.case_schema import BOUNDS
from runner.spec.cases import AtKind, Bounds, Case, Fixture, Format, Moment, Series
from runner.spec.changes import changes, strongest
from runner.spec.deployment import Deployment
from runner.spec.folder import Loaded, load_alone, load_file, load_folder, load_text
from runner.spec.levels import Level, not_run
from runner.spec.notation import Notation, parse_notation
from runner.spec.problems import whole_file
from runner.spec.render import render_text
from runner.spec.schema import base_schema

SPECS = Path(__file__).resolve().parents[1] / "specs"
NAN = math.nan
HERE = whole_file("a.yaml")

SMALL = """spec: 1
name: SMALL
universe: AAPL, MSFT
bars: {size: 1 day}
signals:
  trend: {use: sma_cross, with: {fast: 5, slow: 20}}
sizing: {use: equal_weight}
"""
ONE = """tests:
  - name: one
    given: {AAPL: "100+1x60"}
    expect: [{at: last, signal: {AAPL: 1}}]
"""


def load(text: str, path: Path = Path("strategies.d/small.yaml")) -> Loaded:
    return load_text(text, path=path)


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def codes(loaded: Loaded) -> list[str]:
    return [problem.code for problem in (*loaded.problems, *loaded.case_problems)]


# ---------------------------------------------------------------------------------------------------------- the values


@pytest.fixture(scope="module")
def forms() -> dict[str, Case]:
    """The tests of the file that has every form, by name."""
    loaded = load_file(SPECS / "valid" / "tests.yaml", root=SPECS / "valid")
    assert loaded.problems == (), render_text(loaded.problems, loaded.sources)
    return {case.name: case for case in loaded.cases}


def test_a_test_comes_out_typed(forms: dict[str, Case]) -> None:
    case = forms["every column, as pieces and as lists"]
    assert list(case.given) == ["AAPL", "0700", "SPX"] and case.bars == 5
    assert case.clock == Moment(day=date(2025, 12, 31), clock=time(16))
    assert case.account.equity == Decimal("50000.5") and case.account.fx == {"EURUSD": Decimal("1.1")}
    assert case.positions["AAPL"].quantity == 50 and case.positions["AAPL"].price is None
    assert case.positions["0700"].quantity == -100 and case.positions["0700"].price == Decimal("399.5")
    first, second, day, moment, clock = case.expect
    assert (first.at.kind, first.orders, first.exits) == (AtKind.FIRST, (), None)
    assert (second.at.bar, second.state, second.says) == (2, StrategyPhase.WARMING, ("state", "signal"))
    assert second.signal["AAPL"].nothing
    assert (day.at.moment, day.exits) == (Moment(day=date(2025, 12, 31)), ())
    assert moment.at.moment == Moment(day=date(2025, 12, 31), clock=time(15, 50))
    assert set(moment.score) == {"trend", "strength"}
    assert clock.at.clock == time(15, 55) and clock.gross_weight is not None and clock.gross_weight.exactly == 0


def test_orders_and_exits_come_out_typed(forms: dict[str, Case]) -> None:
    (order,) = forms["another currency, bounds of every kind"].expect[0].orders or ()
    assert (order.symbol, order.side) == ("DBK", Side.BUY)
    assert order.quantity is not None and order.quantity.about == 900
    expectation = forms["exits of both kinds"].expect[0]
    assert [(fired.symbol, fired.exit) for fired in expectation.exits or ()] == [
        ("AAPL", "stop_loss"),
        ("AAPL", "hang"),
    ]
    assert expectation.orders is not None and expectation.orders[0].quantity is None


def test_a_fixture_is_a_file_of_the_repository_or_a_symbol_of_a_library(forms: dict[str, Case]) -> None:
    file = forms["prices from a file"].fixture
    assert file is not None and file.format is Format.CSV and file.as_of == Moment(day=date(2025, 12, 31))
    assert file.path is not None and file.path.resolve() == SPECS / "fixtures" / "aapl.csv"
    stored = forms["prices of one symbol from the store"].given
    apple, bank = stored["AAPL"], stored["DBK"]
    assert isinstance(apple, Fixture) and isinstance(bank, Fixture)
    assert (apple.format, apple.library, apple.symbol) == (Format.ARCTIC, "us_stocks", "AAPL")
    assert (bank.library, bank.symbol, bank.as_of) == ("de_stocks", "DBK.DE", None)
    assert forms["prices of one symbol from the store"].bars is None


def test_an_expectation_knows_where_it_is_written(forms: dict[str, Case]) -> None:
    case = forms["another currency, bounds of every kind"]
    text = (SPECS / "valid" / "tests.yaml").read_text(encoding="utf-8")

    def written(span: Any) -> str:
        return text[span.start : span.end]

    expectation = case.expect[0]
    assert written(case.span) == case.name
    assert written(expectation.at.span) == "bar 101"
    assert written(expectation.signal["DBK"].span) == "DBK" and written(expectation.target_weight["AAPL"].span) == "0"
    assert written(expectation.spans["gross_weight"]) == "gross_weight"
    assert expectation.path == (*case.path, "expect", 0)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"close": "100 102 99"},
            {"open": [100, 100, 102], "high": [100, 102, 102], "low": [100, 100, 99], "volume": [1e6] * 3},
        ),
        (
            {"close": "100 _ 99", "volume": "5x2"},
            {"open": [100, NAN, 100], "high": [100, NAN, 100], "low": [100, NAN, 99], "volume": [5, NAN, 5]},
        ),
        ({"close": "_ 100"}, {"open": [NAN, 100], "high": [NAN, 100], "low": [NAN, 100], "volume": [NAN, 1e6]}),
        # A bar that opens where the last one closed would leave the range that is written: it opens at its edge.
        ({"close": "100 90", "high": "101 95"}, {"open": [100, 95], "high": [101, 95], "low": [100, 90]}),
        ({"close": "100 120", "low": "99 110"}, {"open": [100, 110], "high": [100, 120], "low": [99, 110]}),
        ({"close": "100 90", "open": "98 _", "high": "_ 101"}, {"open": [98, 100], "high": [100, 101]}),
    ],
)
def test_columns_that_are_not_written_derive_from_the_close(
    columns: dict[str, str], expected: dict[str, list[float]]
) -> None:
    bars = Series(**{name: parse_notation(text) for name, text in columns.items()}).columns()
    for name, values in expected.items():
        np.testing.assert_array_equal(getattr(bars, name), np.array(values, dtype=float), err_msg=name)


PRICES = st.lists(st.none() | st.floats(1, 1000), min_size=1, max_size=20)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(PRICES)
def test_derived_bars_hold_together(close: list[float | None]) -> None:
    bars = Series(close=Notation.of(close)).columns()
    there = np.isfinite(bars.close)
    assert [value is not None for value in close] == there.tolist()
    for name in ("open", "high", "low", "volume"):
        np.testing.assert_array_equal(np.isfinite(getattr(bars, name)), there)
    assert (bars.low <= np.fmin(bars.open, bars.close))[there].all()
    assert (bars.high >= np.fmax(bars.open, bars.close))[there].all()


@pytest.mark.parametrize(
    ("said", "fits", "does_not"),
    [
        ({"exactly": 0.3}, [0.1 + 0.2, 0.3], [0.3001, None, NAN]),
        ({"exactly": 0.0}, [0.0, -0.0], [0.001]),
        ({"above": 0, "at_most": 0.1}, [0.05, 0.1, 0.1 + 1e-17], [0.0, 0.11, -1, NAN]),
        ({"at_least": -1, "below": 0}, [-1, -0.5], [0.0, -1.1]),
        ({"about": 120}, [119, 120, 121.2, 118.8], [118, 122]),
        ({"about": -120}, [-119, -121.2], [-122, 120]),
        ({"about": 100, "below": 100}, [99.5], [100.5]),
        ({}, [None, NAN], [0.0, 1.0]),
    ],
)
def test_a_number_fits_or_does_not(
    said: dict[str, float], fits: list[float | None], does_not: list[float | None]
) -> None:
    bounds = Bounds(span=HERE, **said)
    assert [value for value in fits if not bounds.allows(value)] == []
    assert [value for value in does_not if bounds.allows(value)] == []


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(BOUNDS), st.integers(-3, 3).map(float), min_size=1))
def test_bounds_are_possible_when_some_number_fits(said: dict[str, float]) -> None:
    bounds = Bounds(span=HERE, **said)
    tried = [value + step for value in (-4, *said.values(), 4) for step in (-0.5, -0.001, 0.0, 0.001, 0.5)]
    assert bounds.possible == any(bounds.allows(value) for value in tried)


# ------------------------------------------------------------------------------------------------- trading is the same


def test_tests_and_words_about_a_strategy_make_no_new_version_of_it() -> None:
    plain = load(SMALL).spec
    assert plain is not None
    described = load(SMALL + ONE + "description: words\nowner: me\ntags: [a]\n")
    spec = described.spec
    assert spec is not None and len(described.cases) == 1
    assert spec.spec_hash == plain.spec_hash
    assert "tests" in spec.document
    assert strongest(changes(plain, spec)) == "meta"
    assert load(SMALL.replace("slow: 20", "slow: 21")).spec.spec_hash != plain.spec_hash  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------------------------ in the file


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("universe: AAPL, MSFT", "universe: MSFT", "M460"),
        ("signals:", "params: {target_weight: 0}\nsignals:", "M469"),
        ("slow: 20", "slow: 90", "M462"),
        ("100+1x60", "1o0", "M472"),
    ],
)
def test_no_test_keeps_a_strategy_from_changing(old: str, new: str, code: str) -> None:
    tests = ONE.replace("signal: {AAPL: 1}", "signal: {AAPL: 1}, target_weight: {AAPL: {above: 0}}")
    assert codes(load(SMALL + tests)) == []
    loaded = load((SMALL + tests).replace(old, new))
    assert set(codes(loaded)) == {code} and all(problem.is_error for problem in loaded.case_problems)
    assert loaded.spec is not None and loaded.problems == () and loaded.cases == ()


def test_a_misspelt_key_of_a_test_refuses_the_file_like_any_other() -> None:
    loaded = load(SMALL + ONE.replace("expect:", "expct:"))
    assert loaded.spec is None and [problem.code for problem in loaded.problems] == ["S201"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = SMALL + ONE.replace("100+1x60", "100+1y60").replace("at: last", "at: lst") + "typo: 1\n"
    assert sorted(codes(load(text))) == ["M472", "S201", "S207"]


def test_a_test_is_judged_by_what_can_be_read_of_its_strategy() -> None:
    broken = SMALL.replace("slow: 20", "slow: 2").replace("universe: AAPL, MSFT", "universe: AAPL")
    loaded = load(broken + ONE.replace("signal: {AAPL: 1}", "signal: {MSFT: 1}").replace("1x60", "1x2"))
    # Nobody knows the warm-up of a signal that cannot be built, so the two bars are not too few.
    assert codes(loaded) == ["M403", "M460"]


def test_the_warm_up_of_a_block_that_was_not_imported_is_not_known() -> None:
    text = SMALL.replace("sma_cross, with: {fast: 5, slow: 20}", "acme_blocks:own") + ONE.replace("1x60", "1x2")
    loaded = load_text(text, path=Path("a.yaml"), deployment=Deployment(allowed_packages={"acme_blocks"}))
    assert "M462" not in codes(loaded)


def test_the_universe_of_a_library_is_not_known_here() -> None:
    text = SMALL.replace("universe: AAPL, MSFT", "universe: {library: us_stocks, defaults: {currency: EUR}}") + ONE
    assert codes(load(text)) == []
    usd = text.replace("    expect", "    account: {currency: USD}\n    expect")
    assert codes(load(usd)) == ["M470"]


@pytest.mark.parametrize(
    ("size", "bars", "at", "code"),
    [
        ("1 day", 60, "2025-10-10", None),
        ("1 day", 60, "2025-08-01", "M463"),
        ("1W", 60, "2024-12-01", None),
        ("1W", 60, "2024-10-01", "M463"),
        ("1M", 60, "2021-02-01", None),
        ("1M", 60, "2020-01-01", "M463"),
        ("5 mins", 60, '"15:45"', None),
        ("1 day", 60, '"15:45"', "M463"),
        ("5 mins", 60, "2025-12-31 16:05", "M463"),
        ("5 mins", 60, "2025-12-31 16:00", None),
    ],
)
def test_a_moment_must_be_able_to_be_in_the_bars(size: str, bars: int, at: str, code: str | None) -> None:
    text = SMALL.replace("1 day", size) + ONE.replace("1x60", f"1x{bars - 1}").replace("at: last", f"at: {at}")
    text = text.replace("    expect", "    clock: 2025-12-31 16:00\n    expect")
    assert codes(load(text)) == ([] if code is None else [code])


@pytest.mark.parametrize(
    "expectation",
    [
        "{at: last, state: Warming, signal: {AAPL: 1}}",
        "{at: last, error: boom, signal: {AAPL: 1}}",
        "{at: last, signal: {AAPL: null}, orders: [], gross_weight: 0}",
        "{at: last, position: {AAPL: 0}, exits: []}",
    ],
)
def test_a_test_of_the_warm_up_may_be_short(expectation: str) -> None:
    text = SMALL + ONE.replace("{at: last, signal: {AAPL: 1}}", expectation).replace("1x60", "1x10")
    assert codes(load(text)) == []


@pytest.mark.parametrize(
    "expectation",
    [
        "{at: last, score: {trend: {AAPL: 1}}}",
        "{at: last, target_weight: {AAPL: 0}}",
        "{at: last, gross_weight: {above: 0}}",
        "{at: last, orders: [{AAPL: {side: BUY}}]}",
    ],
)
def test_nothing_is_decided_during_the_warm_up(expectation: str) -> None:
    text = SMALL + ONE.replace("{at: last, signal: {AAPL: 1}}", expectation)
    assert codes(load(text.replace("1x60", "1x19"))) == ["M462"]
    assert codes(load(text.replace("1x60", "1x20"))) == []


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('"100+1y60"', "y"),
        ("'100+1y60'", "y"),
        ("100+1y60", "y"),
        ('"100+1\\x79 60"', '"100+1\\x79 60"'),
        ('&a "100+1y60"', '&a "100+1y60"'),
        ("'1''0'", "'1''0'"),
    ],
)
def test_a_place_inside_a_scalar_is_shown_where_it_stands_in_the_file(written: str, shown: str) -> None:
    text = SMALL + ONE.replace('"100+1x60"', written)
    (problem,) = load(text).case_problems
    assert problem.code == "M472"
    assert text[problem.span.start : problem.span.end] == shown
    line = text.split("\n")[problem.line - 1]
    assert line[problem.column - 1 : problem.end_column - 1] == shown


def test_a_file_cannot_hold_series_without_end() -> None:
    many = ", ".join(f"S{i}: 1x49999" for i in range(101))
    text = SMALL.replace("universe: AAPL, MSFT", f"universe: [{', '.join(f'S{i}' for i in range(101))}]")
    loaded = load(text + f"tests: [{{name: a, given: {{{many}}}, expect: [{{at: last, orders: []}}]}}]\n")
    assert set(codes(loaded)) == {"M461", "S208"}


# ------------------------------------------------------------------------------------------------------- beside it


def test_tests_beside_a_file_are_its_tests(tmp_path: Path) -> None:
    put(tmp_path, "a.yaml", SMALL + ONE)
    put(tmp_path, "a.test.yaml", ONE.replace("one", "two"))
    put(tmp_path, "sub/b.yml", SMALL.replace("SMALL", "B"))
    put(tmp_path, "sub/b.test.yml", ONE)
    folder = load_folder(tmp_path)
    assert folder.problems == () and len(folder.specs) == 2 and folder.ignored == ()
    assert [[case.name for case in one.cases] for one in folder.loaded] == [["one", "two"], ["one"]]
    names = {"a.yaml": 1, "a.test.yaml": 1, "sub/b.test.yml": 1}
    assert folder.tests == {(tmp_path / name).as_posix(): count for name, count in names.items()}
    assert load_file(tmp_path / "a.yaml", root=tmp_path).cases == folder.loaded[0].cases
    for name in ("a.yaml", "a.test.yaml"):
        assert load_alone(tmp_path / name, root=tmp_path).tests == {
            (tmp_path / name).as_posix(): 1 for name in ("a.yaml", "a.test.yaml")
        }


def test_a_mistake_beside_a_file_is_an_error_and_the_strategy_trades_on(tmp_path: Path) -> None:
    put(tmp_path, "a.yaml", SMALL + ONE)
    put(tmp_path, "a.test.yaml", ONE.replace("one", "two") + ONE.replace("tests:\n", "").replace("AAPL: 1", "IBM: 1"))
    folder = load_folder(tmp_path)
    assert [(p.code, Path(p.file).name, p.is_error) for p in folder.problems] == [("M460", "a.test.yaml", True)]
    assert [spec.name for spec in folder.specs] == ["SMALL"]
    (one,) = folder.loaded
    assert one.problems == () and [case.name for case in one.cases] == ["one", "two"]


@pytest.mark.parametrize("text", ["", "tests: [", "tests: 5\n", "tests:\n", "[]\n", "a: &a [*a]\n", "tests: []\n\x01"])
def test_whatever_is_beside_a_file_the_strategy_trades_on(tmp_path: Path, text: str) -> None:
    put(tmp_path, "a.yaml", SMALL)
    put(tmp_path, "a.test.yaml", text)
    folder = load_folder(tmp_path)
    assert len(folder.specs) == 1
    assert folder.problems and {Path(problem.file).name for problem in folder.problems} == {"a.test.yaml"}


@pytest.mark.parametrize(
    ("name", "hint"),
    [("b.test.yaml", "b.yaml"), ("a.test.yml", "rename it to a.test.yaml")],
)
def test_tests_without_their_strategy_are_an_error(tmp_path: Path, name: str, hint: str) -> None:
    put(tmp_path, "a.yaml", SMALL)
    put(tmp_path, name, ONE)
    folder = load_folder(tmp_path)
    (problem,) = folder.problems
    assert problem.code == "M473" and hint in problem.hint
    assert load_alone(tmp_path / name, root=tmp_path).problems == folder.problems


def test_a_base_has_no_tests(tmp_path: Path) -> None:
    assert "tests" not in base_schema()["properties"]
    put(tmp_path, "_a.yaml", ONE)
    put(tmp_path, "_a.test.yaml", ONE)
    put(tmp_path, "b.yaml", SMALL + "extends: _a.yaml\n")
    folder = load_folder(tmp_path)
    assert folder.specs == ()
    assert sorted(problem.code for problem in folder.problems) == ["S201", "W305"]
    assert all("base is never started" in problem.hint for problem in folder.problems)


@pytest.mark.parametrize(
    ("level", "expected"), [("syntax", []), ("schema", ["S207"]), ("rules", ["M460", "M466", "S207"])]
)
def test_tests_are_looked_at_as_deep_as_their_strategy(tmp_path: Path, level: str, expected: list[str]) -> None:
    put(tmp_path, "a.yaml", SMALL)
    put(tmp_path, "a.test.yaml", ONE.replace("AAPL: 1", "IBM: 1") + "  - {name: b, clock: now, expect: [{at: last}]}\n")
    assert sorted(problem.code for problem in load_folder(tmp_path, level=Level(level)).problems) == expected


def test_a_fixture_lies_where_the_deployment_says(tmp_path: Path) -> None:
    put(tmp_path, "prices/a.csv", "")
    text = SMALL + "tests: [{name: a, fixture: prices/a.csv, expect: [{at: last, orders: []}]}]\n"
    path = put(tmp_path, "deep/er/strategies.d/a.yaml", text)
    assert codes(load_file(path, root=path.parent)) == ["M465"]
    inside = load_file(path, root=path.parent, deployment=Deployment(repository=tmp_path))
    assert codes(inside) == [] and inside.cases[0].fixture is not None
    (tmp_path / "prices" / "link.csv").symlink_to("/etc/passwd")
    put(path.parent, "a.yaml", text.replace("a.csv", "link.csv"))
    assert codes(load_file(path, root=path.parent, deployment=Deployment(repository=tmp_path))) == ["M465"]


@pytest.mark.parametrize("name", ["a" * 300 + ".csv", "/etc/passwd.csv", "../x.csv", "x.csv/y.csv"])
def test_no_name_of_a_fixture_makes_reading_fail(tmp_path: Path, name: str) -> None:
    text = SMALL + yaml.safe_dump({"tests": [{"name": "a", "fixture": name, "expect": [{"at": "last", "orders": []}]}]})
    path = put(tmp_path, "strategies.d/a.yaml", text)
    assert codes(load_file(path, root=path.parent)) == ["M465"]


def test_that_tests_were_not_run_is_said() -> None:
    assert not_run(0) == ()
    assert not_run(1) == ("1 test (not run)",)
    assert not_run(3) == ("3 tests (not run)",)
