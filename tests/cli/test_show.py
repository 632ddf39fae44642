"""`runner show` writes out what a file comes to, and says where each value is from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

BASE = "params: {max_daily_loss: 0.02}\nschedule: {calendar: XNYS}\n"
FILE = """\
spec: 1
name: TREND
extends: _base.yaml
universe: AAPL   # one is enough
bars: {size: 1 day}
signals: {trend: {use: sma_cross, with: {fast: 10}}}
sizing: {use: equal_weight}
"""


@pytest.fixture
def folder(project):
    path = project / "strategies.d"
    path.mkdir()
    (path / "_base.yaml").write_text(BASE)
    (path / "a.yaml").write_text(FILE)
    return path


def test_the_effective_settings_are_a_file_of_their_own(say, folder, project):
    said = say("show", "TREND")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("# TREND, from strategies.d/a.yaml, strategies.d/_base.yaml\nspec: 1\nname: TREND\n")
    (project / "alone").mkdir()
    (project / "alone" / "trend.yaml").write_text(said.out)
    assert "\n1 file, 1 strategy: 0 errors" in say("validate", "alone").out


def test_origins_are_aligned(say, folder):
    said = say("show", "TREND", "--origin")
    lines = {line.split()[0]: line for line in said.out.splitlines()}
    assert lines["params.max_daily_loss"].split() == ["params.max_daily_loss", "0.02", "strategies.d/_base.yaml:1"]
    assert lines["signals.trend.with.slow"].endswith("  50            default of sma_cross")
    assert lines["bars.history"].endswith("needed by signals.trend")
    column = lines["KEY"].index("FROM")
    assert all(line[column - 2 : column] == "  " for line in lines.values())


def test_a_long_value_is_cut_beside_its_origin_and_whole_without(say, folder):
    (folder / "a.yaml").write_text(f"{FILE}description: {'x' * 200}\n")
    assert "x" * 59 + "…" in say("show", "TREND", "--origin").out
    assert "x" * 200 in say("show", "TREND").out


def test_the_raw_text_is_the_file(say, folder):
    assert say("show", "TREND", "--raw").out == FILE


@pytest.mark.parametrize("name", ["strategies.d/a.yaml", "a.yaml"])
def test_a_file_may_be_named_in_place_of_its_strategy(say, folder, name):
    assert say("show", name).out == say("show", "TREND").out


def test_a_file_with_mistakes_is_shown_as_far_as_it_can_be(say, folder):
    (folder / "a.yaml").write_text(FILE.replace("fast: 10", "fast: 1000, slwo: 5"))
    said = say("show", "TREND", "--origin")
    assert said.code == 1
    assert "params.max_daily_loss" in said.out
    assert 'unknown key "slwo"' in said.err
    assert "strategies.d/a.yaml is not used: this is as far as it can be resolved" in said.err


def test_a_file_that_is_no_yaml_can_be_shown_raw(say, folder):
    (folder / "a.yaml").write_text("name: [")
    said = say("show", "a.yaml")
    assert (said.code, said.out) == (1, "")
    assert "Y103" in said.err
    assert "nothing of strategies.d/a.yaml can be resolved" in said.err
    assert say("show", "a.yaml", "--raw").out == "name: ["


def test_a_warning_does_not_fail(say, folder):
    (folder / "a.yaml").write_text(f"{FILE}hook_params: {{a: 1}}\n")
    said = say("show", "TREND")
    assert said.code == 0
    assert "W304" in said.err


def test_show_as_json(say, folder):
    found = say("show", "TREND", "--json").json
    assert (found["name"], found["file"], found["bases"], found["usable"], found["problems"]) == (
        "TREND",
        "strategies.d/a.yaml",
        ["strategies.d/_base.yaml"],
        True,
        [],
    )
    values = {value["path"]: value for value in found["values"]}
    assert values["params.max_daily_loss"] == {
        "path": "params.max_daily_loss",
        "value": 0.02,
        "origin": {"kind": "file", "text": "strategies.d/_base.yaml:1", "file": "strategies.d/_base.yaml", "line": 1},
    }
    assert values["enabled"]["origin"] == {"kind": "default", "text": "default", "file": None, "line": None}
    assert found["document"]["params"]["max_daily_loss"] == 0.02
    assert say("show", "TREND", "--raw", "--json").json["text"] == FILE


def test_a_strategy_that_there_is_not(say, folder):
    said = say("show", "TRENT")
    assert (said.code, said.out) == (1, "")
    assert said.err == 'error: no file in strategies.d has the strategy "TRENT"\n  hint: did you mean TREND?\n'
    assert "`runner validate` lists the files" in say("show", "QQQ").err


def test_a_name_that_two_files_have(say, folder):
    (folder / "b.yaml").write_text(FILE)
    said = say("show", "TREND")
    assert said.code == 1
    assert said.err.splitlines() == [
        "error: strategies.d/a.yaml and strategies.d/b.yaml have the name TREND",
        "  hint: runner show strategies.d/a.yaml",
    ]
    assert "M410" in say("show", "b.yaml").err


def test_raw_text_has_no_origins(say, folder):
    assert say("show", "TREND", "--raw", "--origin").code == 2


def test_the_lines_in_the_documentation_are_what_is_shown(say, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    shown = {tuple(re.split(r"\s{2,}", line)) for line in say("show", "TREND", "--origin").out.splitlines()}
    page = (REPOSITORY / "docs" / "cli.md").read_text()
    example = re.search(r"what asks for it:\n\n```text\n(.*?)```", page, re.DOTALL)
    assert example is not None
    lines = {tuple(re.split(r"\s{2,}", line)) for line in example[1].splitlines()}
    assert len(lines) == 5
    assert lines <= shown
