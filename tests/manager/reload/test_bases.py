"""Changed bases: taken over by all files that extend them or by none, one by one, together, and under other names."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.manager.reload.bases import HALF_A_CHANGE, ChangedBases
from runner.spec.deployment import Deployment
from runner.spec.workspace import Saved, Workspace

TEXT = """spec: 1
name: {name}
extends: {bases}
universe: AAPL
bars: {{size: 1 day}}
signals: {{a: {{use: buy_and_hold}}}}
sizing: {{use: equal_weight}}
"""


class Bench:
    """A workspace with strategies that extend bases, and the changes that wait."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = Workspace(root, Deployment())
        self.bases = ChangedBases(self.workspace)

    def base(self, file: str, params: str) -> None:
        self.bases.put(self.root / file, Saved(f"params: {params}\n".encode()))

    def strategy(self, name: str, bases: str, more: str = "") -> None:
        text = TEXT.format(name=name, bases=bases) + more
        self.workspace.put(self.root / f"{name.lower()}.yaml", text.encode())

    def take_in(self) -> list[str]:
        """The bases of which something new is said."""
        return [path.relative_to(self.root).as_posix() for path in self.bases.take_in()]

    def value(self, name: str, param: str) -> float | None:
        """What a strategy's file says; it has to be valid."""
        (spec,) = [one for one in self.workspace.folder().specs if one.name == name]
        found: float | None = getattr(spec.params, param)
        return found

    @property
    def pending(self) -> dict[str, set[str]]:
        """Base → the strategies that it would break."""
        return {path.relative_to(self.root).as_posix(): set(one.broken) for path, one in self.bases.pending.items()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_change_that_breaks_one_file_is_applied_to_none_and_said_once(bench: Bench) -> None:
    bench.base("_b.yaml", "{max_position_size: 0.5}")
    bench.strategy("X", "_b.yaml")
    bench.strategy("Y", "_b.yaml", "params: {max_weight: 0.3}\n")
    bench.base("_b.yaml", "{max_position_size: 0.4, target_weight: 0.35}")
    assert bench.take_in() == ["_b.yaml"] and bench.pending == {"_b.yaml": {"Y"}}
    assert bench.value("X", "max_position_size") == bench.value("Y", "max_position_size") == 0.5
    assert bench.take_in() == []
    bench.strategy("Y", "_b.yaml")
    assert bench.take_in() == [] and bench.pending == {}
    assert bench.value("X", "max_position_size") == 0.4


def test_a_change_that_is_taken_back_waits_no_more(bench: Bench) -> None:
    bench.base("_b.yaml", "{max_position_size: 0.5}")
    bench.strategy("X", "_b.yaml", "params: {max_weight: 0.3}\n")
    bench.base("_b.yaml", "{target_weight: 0.35}")
    bench.take_in()
    assert bench.pending == {"_b.yaml": {"X"}}
    bench.base("_b.yaml", "{max_position_size: 0.5}")
    assert bench.take_in() == [] and bench.pending == {}


@pytest.mark.parametrize("order", [("_a.yaml", "_b.yaml"), ("_b.yaml", "_a.yaml")])
def test_two_that_only_fit_together_are_both_taken(bench: Bench, order: tuple[str, str]) -> None:
    bench.base("_a.yaml", "{target_weight: 0.1}")
    bench.base("_b.yaml", "{max_weight: 0.2}")
    bench.strategy("X", "[_a.yaml, _b.yaml]")
    saved = {"_a.yaml": "{target_weight: 0.3, min_weight: 0.3}", "_b.yaml": "{max_weight: 0.4}"}
    bench.base(order[0], saved[order[0]])
    bench.base(order[1], saved[order[1]])
    assert bench.take_in() == [] and bench.pending == {}
    assert (bench.value("X", "target_weight"), bench.value("X", "max_weight")) == (0.3, 0.4)


def test_one_that_waited_is_taken_with_the_one_that_it_needs(bench: Bench) -> None:
    bench.base("_a.yaml", "{target_weight: 0.1}")
    bench.base("_b.yaml", "{max_weight: 0.2}")
    bench.strategy("X", "[_a.yaml, _b.yaml]")
    bench.base("_a.yaml", "{target_weight: 0.3}")
    assert bench.take_in() == ["_a.yaml"] and bench.pending == {"_a.yaml": {"X"}}
    bench.base("_b.yaml", "{max_weight: 0.4}")
    assert bench.take_in() == [] and bench.pending == {}


def test_of_those_that_do_not_fit_together_the_most_that_break_nothing_are_taken(bench: Bench) -> None:
    for file in ("_a.yaml", "_b.yaml", "_c.yaml", "_d.yaml"):
        bench.base(file, "{risk_per_trade: 0.01}")
    bench.strategy("AB", "[_a.yaml, _b.yaml]", "params: {target_weight: 0.1}\n")
    bench.strategy("C", "_c.yaml", "params: {max_weight: 0.2}\n")
    bench.strategy("D", "_d.yaml")
    bench.base("_a.yaml", "{min_weight: 0.05}")
    bench.base("_b.yaml", "{max_position_size: 0.5}")
    bench.base("_c.yaml", "{target_weight: 0.3}")
    bench.base("_d.yaml", "{max_position_size: 0.4}")
    assert bench.take_in() == ["_c.yaml"] and bench.pending == {"_c.yaml": {"C"}}
    assert bench.value("AB", "min_weight") == 0.05 and bench.value("AB", "max_position_size") == 0.5
    assert bench.value("D", "max_position_size") == 0.4


def test_of_two_that_exclude_each_other_the_first_is_taken(bench: Bench) -> None:
    bench.base("_a.yaml", "{target_weight: 0.2}")
    bench.base("_b.yaml", "{max_weight: 0.5}")
    bench.strategy("X", "[_a.yaml, _b.yaml]")
    bench.base("_b.yaml", "{max_weight: 0.3}")
    bench.base("_a.yaml", "{target_weight: 0.4}")
    assert bench.take_in() == ["_a.yaml"] and bench.pending == {"_a.yaml": {"X"}}
    assert bench.value("X", "max_weight") == 0.3


def test_a_cap_on_its_way_from_one_base_to_another_is_never_away(bench: Bench) -> None:
    bench.base("_a.yaml", "{risk_per_trade: 0.01}")
    bench.base("_b.yaml", "{max_position_size: 0.5}")
    bench.strategy("X", "[_a.yaml, _b.yaml]")
    bench.strategy("Z", "_a.yaml", "params: {max_weight: 0.2}\n")
    bench.base("_b.yaml", "{risk_per_trade: 0.01}")
    bench.base("_a.yaml", "{max_position_size: 0.4, target_weight: 0.3}")  # which Z cannot follow
    bench.take_in()
    assert bench.pending == {"_b.yaml": {"X"}, "_a.yaml": {"X", "Z"}}
    assert bench.bases.pending[bench.root / "_b.yaml"].broken == {"X": HALF_A_CHANGE}
    assert bench.value("X", "max_position_size") == 0.5
    bench.base("_a.yaml", "{max_position_size: 0.4}")
    bench.take_in()
    assert bench.pending == {} and bench.value("X", "max_position_size") == 0.4


def test_a_cap_is_tightened_while_another_base_waits(bench: Bench) -> None:
    bench.base("_a.yaml", "{risk_per_trade: 0.01}")
    bench.base("_b.yaml", "{max_position_size: 0.5}")
    bench.strategy("X", "[_a.yaml, _b.yaml]", "params: {max_weight: 0.2}\n")
    bench.base("_a.yaml", "{target_weight: 0.3}")
    bench.take_in()
    bench.base("_b.yaml", "{max_position_size: 0.1}")
    bench.take_in()
    assert bench.pending == {"_a.yaml": {"X"}} and bench.value("X", "max_position_size") == 0.1


def test_a_base_renamed_over_another_changes_it_for_all_files_or_for_none(bench: Bench) -> None:
    bench.base("_b.yaml", "{max_position_size: 0.5}")
    bench.base("_new.yaml", "{max_position_size: 0.1, target_weight: 0.3}")
    bench.strategy("X", "_b.yaml")
    bench.strategy("Y", "_b.yaml", "params: {max_weight: 0.2}\n")
    bench.bases.move(bench.root / "_new.yaml", bench.root / "_b.yaml")
    assert bench.take_in() == ["_b.yaml"] and bench.pending == {"_b.yaml": {"Y"}}
    assert bench.value("X", "max_position_size") == bench.value("Y", "max_position_size") == 0.5
    assert bench.workspace.saved(bench.root / "_new.yaml") is None


def test_a_base_that_waits_and_is_renamed_is_what_was_saved_last_under_its_new_name(bench: Bench) -> None:
    bench.base("_b.yaml", "{max_position_size: 0.5}")
    bench.strategy("X", "_b.yaml")
    bench.strategy("Y", "_b.yaml", "params: {max_weight: 0.3}\n")
    bench.base("_b.yaml", "{max_position_size: 0.1, target_weight: 0.4}")
    bench.take_in()
    assert bench.pending == {"_b.yaml": {"Y"}}
    bench.bases.move(bench.root / "_b.yaml", bench.root / "_c.yaml")
    bench.strategy("X", "_c.yaml")
    bench.strategy("Y", "_c.yaml", "params: {max_weight: 0.5}\n")
    assert bench.take_in() == [] and bench.pending == {}
    assert bench.value("X", "max_position_size") == 0.1
    assert bench.workspace.saved(bench.root / "_b.yaml") is None and bench.workspace.count == 3


def test_a_base_that_waits_and_is_deleted_waits_no_more(bench: Bench) -> None:
    bench.base("_b.yaml", "{max_position_size: 0.5}")
    bench.strategy("X", "_b.yaml", "params: {max_weight: 0.3}\n")
    bench.base("_b.yaml", "{target_weight: 0.4}")
    bench.take_in()
    bench.bases.remove(bench.root / "_b.yaml")
    assert bench.take_in() == [] and bench.pending == {}
    assert [problem.code for one in bench.workspace.folder().loaded for problem in one.problems] == ["M431"]
