"""What `runner validate` looks at: levels, and paths of every kind."""

from __future__ import annotations

import io
import sys

import pytest

import runner.cli.validate as command
from runner.errors import NotConnected
from runner.manager.environment import Environment
from runner.spec.deployment import Deployment
from runner.spec.folder import load_folder
from runner.spec.levels import Level, not_checked
from runner.spec.problems import error, whole_file

GOOD = """\
spec: 1
name: {name}
universe: AAPL
bars: {{size: 1 day}}
signals:
  trend: {{use: sma_cross}}
sizing: {{use: equal_weight}}
"""
HOOK = GOOD + "hooks: {{on_fill: acme.hooks:post}}\n"


@pytest.fixture
def put(project):
    """`put("strategies.d/a.yaml", TEXT)` writes a file of the project, its name filled in."""

    def write(name: str, text: str = GOOD):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(name=path.stem.upper().strip("_")))
        return path

    return write


@pytest.fixture
def typed(monkeypatch):
    """`typed(TEXT)` is what standard input holds."""

    def give(data: str | bytes) -> None:
        raw = data.encode() if isinstance(data, str) else data
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    return give


def lines(said) -> list[str]:
    """Where the problems are and which."""
    return [line.split(" ")[0] + " " + line.split("[")[1][:4] for line in said.out.splitlines()]


# ----------------------------------------------------------------------------------------------------------- levels


@pytest.mark.parametrize(
    ("level", "codes", "counts"),
    [
        ("syntax", ["Y103"], "3 files: 1 error, 0 warnings"),
        ("schema", ["S204", "Y103"], "3 files: 2 errors, 0 warnings"),
        ("rules", ["M401", "S204", "Y103"], "3 files, 0 strategies: 3 errors, 0 warnings"),
    ],
)
def test_a_level_looks_as_deep_as_it_says_and_names_the_rest(say, put, level, codes, counts):
    put("strategies.d/a.yaml", GOOD + "params: {{min_weight: 0.5}}\n")
    put("strategies.d/b.yaml", GOOD + "params: {{stop_loss: 5}}\n")
    put("strategies.d/c.yaml", "name: [\n")
    said = say("validate", "--level", level)
    assert said.code == 1
    assert sorted(line[6:10] for line in said.out.splitlines() if line.startswith("error[")) == codes
    between = "; " if level == "syntax" else ", "  # there one of them has a comma itself
    assert said.out.endswith(f"{counts}\nnot checked: {between.join(not_checked(Level(level)))}\n")


def test_files_are_judged_against_what_the_configuration_says(say, put, project):
    put("strategies.d/a.yaml", HOOK)
    assert "C503" in say("validate").out
    (project / "runner.yaml").write_text("plugins: {allow: [acme]}\n")
    assert say("validate").code == 0


def test_problems_of_level_code_replace_those_of_rules(say, put, monkeypatch):
    put("strategies.d/a.yaml", HOOK)
    seen = []

    def with_code(folder, deployment):
        seen.append((folder.as_posix(), deployment.allowed_packages))
        found = load_folder(folder, deployment=Deployment()).problems
        spans = [one.name_span for one in load_folder(folder).loaded]
        return (*found, *(error("C503", "the code says no", span, path=("hooks",)) for span in spans))

    monkeypatch.setattr(command, "code_problems", with_code)
    said = say("validate", "--level", "code")
    assert seen == [("strategies.d", frozenset())]
    assert "the code says no" in said.out and "outside the allowed" not in said.out
    assert said.out.endswith(f"not checked: {', '.join(not_checked(Level.CODE))}\n")


def test_a_file_elsewhere_and_standard_input_are_seen_with_their_code_too(say, put, monkeypatch, typed):
    put("elsewhere/_base.yaml", "tags: [x]\n")
    put("elsewhere/draft.txt", HOOK + "extends: _base.yaml\n")
    (put("strategies.d/_base.yaml", "tags: [y]\n"))
    typed(HOOK.format(name="TYPED") + "extends: _base.yaml\n")

    def with_code(folder, deployment):
        loaded = load_folder(folder, deployment=Deployment()).loaded
        assert len(loaded) == 1 and loaded[0].spec is not None and loaded[0].bases
        return (error("C503", f"seen {loaded[0].name}", loaded[0].name_span, path=("hooks",)),)

    monkeypatch.setattr(command, "code_problems", with_code)
    said = say("validate", "--level", "code", "--format", "concise", "elsewhere/draft.txt", "-")
    assert said.out == ("elsewhere/draft.txt:2:7: error[C503] seen DRAFT\n<stdin>:2:7: error[C503] seen TYPED\n")


def test_a_link_is_seen_with_its_code_where_it_stands(say, put, project):
    put("kept/real.yaml", GOOD + "extends: _base.yaml\n")
    put("kept/_real.yaml", "tags: [x]\n")
    (project / "drafts").mkdir()
    (project / "drafts" / "a.yaml").symlink_to(project / "kept" / "real.yaml")
    (project / "drafts" / "_base.yaml").write_text("tags: [x]\n")
    assert say("validate", "--level", "code", "drafts/a.yaml").out.startswith("1 file, 1 strategy: 0 errors")


def test_the_environment_is_asked_about_what_was_named_and_says_what_it_was_not_asked(say, put, monkeypatch):
    put("strategies.d/a.yaml")
    put("strategies.d/b.yaml")
    asked = []

    def answer(config, folder):
        asked.append([spec.name for spec in folder.specs])
        span = folder.loaded[0].name_span
        wrong = error("E616", "no such account", whole_file("runner.yaml"))
        return Environment(
            problems=(error("E610", "IB knows no AAPL", span), wrong),
            not_checked=("limits of the account, today", "more"),
            sources={"runner.yaml": "ib: {}\n"},
        )

    monkeypatch.setattr(command, "environment", answer)
    said = say("validate", "--level", "env", "strategies.d/b.yaml")
    assert asked == [["B"]]
    assert said.code == 1
    assert "IB knows no AAPL" in said.out
    assert "--> runner.yaml:1:1\n1 | ib: {}" in said.out
    assert said.out.endswith(
        "1 file, 0 strategies: 2 errors, 0 warnings\nnot checked: limits of the account, today; more\n"
    )


def test_an_environment_that_is_not_there_ends_with_its_own_code(say, put, monkeypatch):
    put("strategies.d/a.yaml")

    def absent(config, folder):
        raise NotConnected("no gateway answers at 127.0.0.1:4002", hint="start it")

    monkeypatch.setattr(command, "environment", absent)
    said = say("validate", "--level", "env")
    assert said.code == 4
    assert "no gateway answers" in said.err


# ------------------------------------------------------------------------------------------------------------ paths


def test_several_paths_show_their_problems_and_those_of_their_bases(say, put):
    put("strategies.d/_base.yaml", "params: {{stop_loss: 5}}\n")
    put("strategies.d/_other.yaml", "params: {{stop_loss: 6}}\n")
    for name in ("a", "b", "c"):
        put(f"strategies.d/{name}.yaml", GOOD + ("extends: _base.yaml\n" if name == "a" else "nope: 1\n"))
    said = say("validate", "--format", "concise", "strategies.d/a.yaml", "strategies.d/b.yaml")
    assert lines(said) == ["strategies.d/_base.yaml:1:21: S204", "strategies.d/b.yaml:8:1: S201"]
    assert "2 files, 0 strategies: 2 errors" in said.err


def test_a_base_can_be_named(say, put):
    put("strategies.d/_base.yaml", "params: {{stop_loss: 5}}\n")
    put("strategies.d/a.yaml", GOOD + "nope: 1\n")
    assert lines(say("validate", "--format", "concise", "strategies.d/_base.yaml")) == [
        "strategies.d/_base.yaml:1:21: S204"
    ]
    put("drafts/_base.yaml", "params: {{stop_loss: 0.5}}\n")
    assert say("validate", "drafts/_base.yaml").out.startswith("1 file, 0 strategies: 0 errors")


def test_a_folder_inside_the_folder_is_checked_with_all_of_it(say, put):
    put("strategies.d/_base.yaml", "tags: [x]\n")
    put("strategies.d/eu/b.yaml", GOOD + "extends: ../_base.yaml\n")
    put("strategies.d/a.yaml", GOOD.replace("{name}", "B"))
    said = say("validate", "--format", "concise", "strategies.d/eu")
    assert lines(said) == ["strategies.d/eu/b.yaml:2:7: M410"]
    assert "1 file, 0 strategies" in said.err


def test_a_named_file_is_read_whatever_its_name(say, put):
    put("strategies.d/a.yaml")
    put("strategies.d/.hidden.yaml", "nope: 1\n")
    put("strategies.d/B.YAML", GOOD)
    assert say("validate", "strategies.d/.hidden.yaml").code == 1
    assert "W305" in say("validate", "strategies.d/B.YAML").out
    put("plain.txt")
    assert say("validate", "plain.txt").code == 0


def test_the_whole_folder_counts_its_bases(say, put):
    put("strategies.d/_base.yaml", "tags: [x]\n")
    put("strategies.d/a.yaml", GOOD + "extends: _base.yaml\n")
    assert say("validate").out.startswith("2 files, 1 strategy: 0 errors")


def test_standard_input_is_judged_as_if_it_lay_in_the_folder(say, put, typed):
    put("strategies.d/_base.yaml", "params: {{stop_loss: 5}}\n")
    put("strategies.d/typed.yaml")
    typed(GOOD.format(name="TYPED") + "extends: _base.yaml\nnope: 1\n")
    said = say("validate", "--format", "concise", "-")
    assert lines(said) == ["<stdin>:9:1: S201", "strategies.d/_base.yaml:1:21: S204"]
    typed(GOOD.format(name="TYPED"))
    assert say("validate", "-", "strategies.d/typed.yaml").out.startswith("2 files, 2 strategies: 0 errors")


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "Y100"), (b"a: \xff", "Y102"), (b"x" * 300_000, "Y111"), (b"\xef\xbb\xbfspec: [", "Y103")]
)
def test_standard_input_may_hold_anything(say, project, typed, data, code):
    typed(data)
    said = say("validate", "-", "--level", "code")
    assert said.code == 1
    assert f"error[{code}]" in said.out
