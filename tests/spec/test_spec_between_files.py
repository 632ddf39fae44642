"""What strategies of one folder owe each other: weights of one account, and not to trade against each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.spec.deployment import Deployment
from runner.spec.folder import load_folder

LONG = "signals: {a: {use: sma_cross}}\nsizing: {use: equal_weight}\n"
SHORT = "signals: {a: {use: sma_cross, with: {allow_short: true}}}\nsizing: {use: equal_weight}\n"
TURNED = "signals: {a: {use: buy_and_hold}}\nsizing: {use: fixed_weights, with: {weights: {AAPL: -0.5}}}\n"
BOTH = (
    "signals: {a: {use: sma_cross, with: {allow_short: true}}, b: {use: buy_and_hold}}\n"
    "combine: {use: all_of}\nsizing: {use: equal_weight}\n"
)
AGAINST = (
    "signals: {a: {use: buy_and_hold}}\ncombine: {use: weighted, with: {weights: {a: -1}}}\n"
    "sizing: {use: equal_weight}\n"
)


def put(folder: Path, name: str, how: str, *, universe: str = "AAPL", weight: float = 0.1, more: str = "") -> None:
    head = f"spec: 1\nname: {name}\nuniverse: {universe}\nbars: {{size: 1 day}}\n"
    text = f"{head}{how}params: {{target_weight: {weight}}}\n{more}"
    (folder / f"{name.lower()}.yaml").write_text(text, encoding="utf-8")


def warned(folder: Path, deployment: Deployment | None = None) -> list[str]:
    found = load_folder(folder, deployment=deployment or Deployment())
    assert not any(problem.is_error for problem in found.problems)
    return [f"{Path(problem.file).stem} {problem.code}: {problem.message}" for problem in found.problems]


def test_target_weights_above_the_whole_account_are_warned_of_at_the_largest(tmp_path: Path) -> None:
    for name, weight in (("A", 0.4), ("B", 0.5), ("C", 0.2)):
        put(tmp_path, name, LONG, universe=name, weight=weight)
    message = "the target weights of 3 strategies add up to 1.1, more than portfolio.max_total_weight 1"
    assert warned(tmp_path) == [f"b W318: {message}"]
    (problem,) = load_folder(tmp_path).problems
    assert (problem.line, problem.column) == (7, 25)
    assert [related.message for related in problem.related] == ["A has 0.4", "C has 0.2"]


def test_the_sum_may_reach_the_limit_and_the_limit_may_be_raised(tmp_path: Path) -> None:
    for name, weight in (("A", 0.1), ("B", 0.2), ("C", 0.7)):  # 0.1 + 0.2 + 0.7 in binary is not 1
        put(tmp_path, name, LONG, universe=name, weight=weight)
    assert warned(tmp_path) == []
    put(tmp_path, "D", LONG, universe="D", weight=0.5)
    assert warned(tmp_path, Deployment(max_total_weight=1.5)) == []
    assert len(warned(tmp_path, Deployment(max_total_weight=1.4))) == 1


def test_a_disabled_strategy_weighs_nothing_and_opposes_nobody(tmp_path: Path) -> None:
    put(tmp_path, "A", LONG, weight=0.6)
    put(tmp_path, "B", SHORT, weight=0.6, more="enabled: false\n")
    assert warned(tmp_path) == []


@pytest.mark.parametrize(
    ("first", "second", "opposed"),
    [
        (LONG, LONG, []),
        (LONG, SHORT, ["b"]),
        (SHORT, SHORT, ["a", "b"]),
        (LONG, TURNED, ["b"]),
        (LONG, BOTH, []),
        (LONG, AGAINST, ["b"]),
        (TURNED, AGAINST, []),
    ],
)
def test_a_strategy_that_can_be_short_where_another_can_be_long_is_named(
    tmp_path: Path, first: str, second: str, opposed: list[str]
) -> None:
    put(tmp_path, "A", first)
    put(tmp_path, "B", second)
    found = warned(tmp_path)
    assert [line.split()[0] for line in found] == opposed
    assert all(" W319: " in line and "can be short AAPL while" in line for line in found)


@pytest.mark.parametrize(
    "universe",
    ["MSFT", "[{symbol: AAPL, exchange: IBIS, currency: EUR}]", "us_stocks"],
    ids=["another symbol", "another currency", "a library"],
)
def test_strategies_on_different_instruments_cannot_trade_against_each_other(tmp_path: Path, universe: str) -> None:
    put(tmp_path, "A", LONG)
    put(tmp_path, "B", SHORT, universe=universe)
    assert [line for line in warned(tmp_path) if "W319" in line] == []


def test_a_sizing_that_leaves_a_symbol_out_does_not_trade_it(tmp_path: Path) -> None:
    put(tmp_path, "A", LONG, universe="MSFT")
    put(tmp_path, "B", TURNED, universe="[AAPL, MSFT]")
    assert warned(tmp_path) == []


def test_many_opposed_strategies_give_one_line_each(tmp_path: Path) -> None:
    for i in range(40):
        put(tmp_path, f"S{i:02}", SHORT, weight=0.01)
    found = warned(tmp_path)
    assert len(found) == 40
    assert all(len(line) < 200 for line in found)
