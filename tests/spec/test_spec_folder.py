"""A folder of strategies: which files count, what they share, and that one never hurts another."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.spec.folder import load_file, load_folder
from runner.spec.levels import Level, not_checked
from runner.spec.render import render_text

SMALL = """spec: 1
name: {name}
universe: AAPL
bars: {{size: 1 day}}
signals:
  trend: {{use: sma_cross}}
sizing: {{use: equal_weight}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "strategies.d"
    folder.mkdir()
    return folder


def put(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def codes(root: Path) -> list[str]:
    return [problem.code for problem in load_folder(root).problems]


def test_names_decide_which_files_are_read(root: Path) -> None:
    for i, name in enumerate(["a.yaml", "b_2-c.yml", "deep/er/c.yaml"]):
        put(root, name, SMALL.format(name=f"S{i}"))
    for name in [
        ".a.yaml",
        "a.yaml~",
        "#a.yaml#",
        ".a.yaml.swp",
        "a.yaml.bak",
        "a.yaml.tmp",
        "4913",
        "notes.md",
        "x.py",
    ]:
        put(root, name, "not: [yaml")
    reported = ["a b.yaml", "d.YAML", "e.yaml.disabled", "f.yml.txt", "g (conflicted copy).yaml", "h.tests.yaml"]
    for name in reported:
        put(root, name, "not: [yaml")
    folder = load_folder(root)
    assert [spec.name for spec in folder.specs] == ["S0", "S1", "S2"]
    assert [Path(name).name for name in folder.ignored] == reported
    assert {problem.code for problem in folder.problems} == {"W305"}


def test_one_broken_file_touches_no_other(root: Path) -> None:
    put(root, "a.yaml", SMALL.format(name="A"))
    put(root, "b.yaml", "spec: [")
    folder = load_folder(root)
    assert [spec.name for spec in folder.specs] == ["A"]
    assert [one.spec is None for one in folder.loaded] == [False, True]


def test_one_name_in_two_files_refuses_both(root: Path) -> None:
    put(root, "a.yaml", SMALL.format(name="SAME"))
    put(root, "b.yaml", SMALL.format(name="SAME"))
    put(root, "c.yaml", SMALL.format(name="OTHER"))
    folder = load_folder(root)
    assert [spec.name for spec in folder.specs] == ["OTHER"]
    assert [(p.code, Path(p.file).name) for p in folder.problems] == [("M410", "a.yaml"), ("M410", "b.yaml")]
    assert "b.yaml" in folder.problems[0].message


def test_a_name_is_taken_by_a_broken_file_too_and_case_does_not_help(root: Path) -> None:
    put(root, "a.yaml", SMALL.format(name="SAME"))
    put(root, "b.yaml", SMALL.format(name="Same") + "typo: 1\n")
    folder = load_folder(root)
    assert folder.specs == ()
    assert [p.code for p in folder.problems] == ["M410", "M410", "S201"]


def test_bases_merge_from_left_to_right_and_the_file_wins(root: Path) -> None:
    put(root, "_a.yaml", "params: {stop_loss: 0.1, take_profit: 0.3, max_daily_loss: 0.05}\ntags: [a, b]\n")
    put(root, "_b.yaml", "params: {stop_loss: 0.2}\ntags: [c]\nsizing: {use: volatility_target, with: {window: 30}}\n")
    path = put(
        root,
        "s.yaml",
        SMALL.format(name="S") + "extends: [_a.yaml, _b.yaml]\nparams: {take_profit: null, max_weight: 0.5}\n",
    )
    loaded = load_file(path, root=root)
    spec = loaded.spec
    assert spec is not None, render_text(loaded.problems, loaded.sources)
    assert (spec.params.stop_loss, spec.params.take_profit, spec.params.max_weight) == (0.2, 0.0, 0.5)
    assert spec.params.max_daily_loss == 0.05
    assert spec.tags == ("c",)
    assert spec.sizing.name == "equal_weight"
    assert "extends" not in spec.document
    assert [base.name for base in spec.bases] == ["_a.yaml", "_b.yaml"]


def test_settings_of_a_block_merge_only_into_the_same_block(root: Path) -> None:
    put(root, "_a.yaml", "sizing: {use: volatility_target, with: {window: 30, annual_vol: 0.1}}\n")
    same = SMALL.format(name="S").replace("{use: equal_weight}", "{with: {window: 40}}")
    loaded = load_file(put(root, "s.yaml", same + "extends: _a.yaml\n"), root=root)
    assert loaded.spec is not None
    assert loaded.spec.document["sizing"]["with"] == {"window": 40, "annual_vol": 0.1}


def test_a_problem_of_a_merged_value_is_shown_where_it_was_written(root: Path) -> None:
    put(root, "_a.yaml", "params:\n  min_weight: 0.5\n")
    path = put(root, "s.yaml", SMALL.format(name="S") + "extends: _a.yaml\n")
    (problem,) = load_file(path, root=root).problems
    assert (problem.code, Path(problem.file).name, problem.line) == ("M401", "_a.yaml", 2)


def test_a_missing_key_is_only_missing_after_all_bases(root: Path) -> None:
    put(root, "_a.yaml", "universe: AAPL\nbars: {size: 1 day}\nsizing: {use: equal_weight}\n")
    put(root, "s.yaml", "spec: 1\nname: S\nextends: _a.yaml\nsignals: {a: {use: sma_cross}}\n")
    folder = load_folder(root)
    assert folder.problems == () and len(folder.specs) == 1


def test_a_wrong_base_refuses_what_extends_it_and_is_reported_once(root: Path) -> None:
    put(root, "_a.yaml", "params: {stop_los: 0.5}\n")
    put(root, "s.yaml", SMALL.format(name="S") + "extends: _a.yaml\n")
    put(root, "t.yaml", SMALL.format(name="T") + "extends: _a.yaml\n")
    put(root, "u.yaml", SMALL.format(name="U"))
    folder = load_folder(root)
    assert [spec.name for spec in folder.specs] == ["U"]
    assert [problem.code for problem in folder.problems] == ["S201"]


def test_bases_may_be_nested_but_not_too_deep(root: Path) -> None:
    put(root, "_1.yaml", "params: {stop_loss: 0.1}\n")
    for i in (2, 3, 4):
        put(root, f"_{i}.yaml", f"extends: _{i - 1}.yaml\n")
    assert load_file(put(root, "s.yaml", SMALL.format(name="S") + "extends: _3.yaml\n"), root=root).spec is not None
    loaded = load_file(put(root, "t.yaml", SMALL.format(name="T") + "extends: _4.yaml\n"), root=root)
    assert [problem.code for problem in loaded.problems] == ["M433"]


def test_nothing_outside_the_folder_is_read(root: Path) -> None:
    put(root.parent, "_secret.yaml", "owner: somebody\n")
    put(root.parent, "elsewhere/x.yaml", SMALL.format(name="X"))
    (root / "link").symlink_to(root.parent / "elsewhere")
    (root / "_link.yaml").symlink_to(root.parent / "_secret.yaml")
    put(root, "a.yaml", SMALL.format(name="A") + "extends: ../_secret.yaml\n")
    put(root, "b.yaml", SMALL.format(name="B") + "extends: _link.yaml\n")
    folder = load_folder(root)
    assert folder.specs == ()
    assert [problem.code for problem in folder.problems] == ["M434", "M434"]


def test_a_loop_of_links_ends(root: Path) -> None:
    (root / "loop").symlink_to(root)
    put(root, "a.yaml", SMALL.format(name="A"))
    assert "A" in {one.name for one in load_folder(root).loaded}


def test_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert codes(tmp_path / "nowhere") == ["E601"]


def test_an_empty_folder_is_fine(root: Path) -> None:
    assert load_folder(root).specs == ()


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("name: [\n", {"syntax": ["Y103"], "schema": ["Y103"], "rules": ["Y103"]}),
        ("name: A\n", {"syntax": [], "schema": ["S202"], "rules": ["S202"]}),
        (None, {"syntax": [], "schema": [], "rules": ["M401"]}),
    ],
)
def test_a_level_looks_no_deeper_than_it_says(tmp_path: Path, text: str | None, codes: dict[str, list[str]]) -> None:
    broken_rule = SMALL.format(name="A") + "params: {min_weight: 0.5}\n"
    (tmp_path / "a.yaml").write_text(text or broken_rule, encoding="utf-8")
    for level, expected in codes.items():
        found = load_folder(tmp_path, level=Level(level))
        assert sorted({problem.code for problem in found.problems}) == expected
        assert found.specs == ()


def test_what_a_level_leaves_out_is_named() -> None:
    assert not_checked(Level.ENV) == ()
    assert "contracts at IB" in not_checked(Level.CODE) and "code of hooks" not in not_checked(Level.CODE)
    assert "code of hooks" in not_checked(Level.RULES) and len(not_checked(Level.SYNTAX)) == 8
    assert "settings of acme:a, acme:b" in not_checked(Level.RULES, ["acme:a", "acme:b"])
    assert not_checked(Level.CODE, ["acme:a"]) == not_checked(Level.CODE)
