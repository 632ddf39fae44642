"""`runner new` writes a file to start from, and nothing that would not be valid."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner.spec.load import parse_text
from runner.spec.templates import TEMPLATES

REPOSITORY = Path(__file__).resolve().parents[2]


def data(path: Path):
    document = parse_text(path.read_text(), file="")
    assert document.root is not None
    return document.root.data()


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_becomes_a_file_that_validates(say, project, template):
    said = say("new", "MINE", "--template", template)
    assert (said.code, said.out) == (0, "wrote strategies.d/mine.yaml\nnext: runner validate strategies.d/mine.yaml\n")
    checked = say("validate", "--strict")
    assert checked.code == 0
    assert checked.out.startswith("1 file, 1 strategy: 0 errors, 0 warnings\n")


def test_the_next_command_that_is_named_works_in_a_real_process(project):
    command = [sys.executable, "-m", "runner"]
    done = subprocess.run(
        [*command, "new", "MINE"], capture_output=True, text=True, timeout=60, cwd=project, check=True
    )
    following = done.stdout.splitlines()[-1].removeprefix("next: runner ").split()
    again = subprocess.run([*command, *following], capture_output=True, text=True, timeout=60, cwd=project, check=True)
    assert again.stdout.startswith("1 file, 1 strategy: 0 errors")


def test_editors_are_told_where_the_schema_is_and_how_to_get_it(say, project):
    said = say("new", "MINE")
    assert "`runner schema --write` makes it" in said.err
    first = (project / "strategies.d" / "mine.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schemas/strategy.schema.json"
    assert say("schema", "--write").code == 0
    assert (project / "strategies.d" / first.partition("=")[2]).is_file()
    assert say("new", "OTHER").err == ""


def test_the_schema_is_found_from_another_folder_of_strategies_too(say, project):
    (project / "runner.yaml").write_text("strategies_dir: desk/equities\n")
    assert say("new", "MINE").out.startswith("wrote desk/equities/mine.yaml\n")
    first = (project / "desk/equities/mine.yaml").read_text().splitlines()[0]
    assert first.endswith("$schema=../../schemas/strategy.schema.json")


def test_more_can_be_said_at_once(say, project):
    said = say("new", "MINE", "--set", "params.stop_loss=0.03", "--set", "universe.symbols=[AAPL]")
    assert said.code == 0
    found = data(project / "strategies.d" / "mine.yaml")
    assert (found["params"]["stop_loss"], found["universe"]["symbols"]) == (0.03, ["AAPL"])


def test_what_would_not_be_valid_is_shown_and_not_written(say, project):
    said = say("new", "MINE", "--set", "params.stop_loss=5%", "--set", "params.max_dayly_loss=0.02")
    assert (said.code, said.out) == (1, "")
    assert "S203" in said.err and "S201" in said.err
    assert "strategies.d/mine.yaml would not be valid" in said.err
    assert not (project / "strategies.d").exists()


def test_nothing_is_overwritten(say, project):
    (project / "strategies.d").mkdir()
    file = project / "strategies.d" / "mine.yaml"
    file.write_text("not even YAML: [")
    said = say("new", "MINE")
    assert (said.code, said.out) == (1, "")
    assert "there is a file strategies.d/mine.yaml already" in said.err
    assert file.read_text() == "not even YAML: ["


def test_a_folder_that_cannot_be_made_is_said(say, project):
    (project / "strategies.d").write_text("")
    said = say("new", "MINE")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: strategies.d/mine.yaml cannot be written: strategies.d is a file and no folder")


def test_a_name_that_another_file_has_is_refused_because_neither_would_trade(say, project):
    assert say("new", "MINE").code == 0
    (project / "strategies.d" / "mine.yaml").rename(project / "strategies.d" / "other.yaml")
    said = say("new", "mine")
    assert said.code == 1
    assert said.err.startswith("error: strategies.d/other.yaml is the strategy MINE already\n")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["9X"], "cannot be the name of a strategy"),
        (["A B"], "cannot be the name of a strategy"),
        (["../X"], "cannot be the name of a strategy"),
        (["X" * 33], "32 at most"),
        (["X", "--set", "params.stop_loss"], "is not of the form params.stop_loss=0.05"),
        (["X", "--set", "params..stop_loss=1"], "is not the path of a key"),
        (["X", "--set", "params.stop_loss=[1"], "is not a value"),
        (["X", "--template", "trend", "--from", "Y"], "not both"),
        (["X", "--template", "trendy"], "is not one of"),
    ],
)
def test_wrong_usage(say, args, words):
    said = say("new", *args)
    assert (said.code, said.out) == (2, "")
    assert words in said.err


def test_a_strategy_is_copied_with_its_comments(say, project):
    folder = project / "strategies.d"
    folder.mkdir()
    for name in ("_us_equities.yaml", "breakout.yaml"):
        (folder / name).write_text((REPOSITORY / "strategies.d" / name).read_text())
    said = say("new", "FASTER", "--from", "BREAKOUT", "--set", "signals.regime.with.slow=50", "--set", "owner=desk")
    assert said.out.startswith("wrote strategies.d/faster.yaml\n")
    original, copied = (folder / "breakout.yaml").read_text(), (folder / "faster.yaml").read_text()
    expected = original.replace("name: BREAKOUT", "name: FASTER").replace("slow: 100", "slow: 50") + "owner: desk\n"
    assert copied == expected
    assert say("validate", "--strict").code == 0


def test_a_copy_lies_beside_its_original_so_that_it_finds_its_bases(say, project):
    folder = project / "strategies.d" / "us"
    folder.mkdir(parents=True)
    for name in ("_us_equities.yaml", "trend.yaml"):
        (folder / name).write_text((REPOSITORY / "strategies.d" / name).read_text())
    assert say("new", "TREND2", "--from", "TREND").out.startswith("wrote strategies.d/us/trend2.yaml\n")


def test_a_strategy_that_there_is_not_cannot_be_copied(say):
    say("new", "TREND")
    said = say("new", "X", "--from", "TRENT")
    assert (said.code, said.err) == (1, 'error: no file has the strategy "TRENT"\n  hint: did you mean TREND?\n')


def test_what_an_edit_of_the_copy_cannot_do_is_said(say):
    say("new", "TREND")
    said = say("new", "X", "--from", "TREND", "--set", "universe.symbols.first=IBM")
    assert said.code == 1
    assert said.err.startswith("error: universe.symbols is not a section with keys\n")


def test_new_as_json(say):
    assert say("new", "MINE", "--json").json == {
        "format_version": "1.0",
        "name": "MINE",
        "file": "strategies.d/mine.yaml",
        "next": "runner validate strategies.d/mine.yaml",
    }
