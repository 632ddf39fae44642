"""`runner validate` shows all problems of the strategy files, and says what it did not look at."""

from __future__ import annotations

import json

import pytest

from runner.spec.levels import Level, not_checked

GOOD = """\
spec: 1
name: {name}
universe: {{symbols: [AAPL, MSFT]}}
bars: {{size: 1 day, history: 120}}
signals:
  trend: {{use: sma_cross, with: {{fast: 20, slow: 100}}}}
sizing: {{use: equal_weight}}
params: {{target_weight: 0.10, max_weight: 0.15}}
"""
BAD = GOOD.replace("slow: 100", "slwo: 100").replace("target_weight: 0.10", "target_weight: 10")
NOT_CHECKED = "not checked: " + ", ".join(not_checked(Level.RULES))


@pytest.fixture
def folder(project):
    """A strategies folder; `folder(a=TEXT)` writes a.yaml."""
    path = project / "strategies.d"
    path.mkdir()

    def write(**files: str):
        for stem, text in files.items():
            (path / f"{stem}.yaml").write_text(text.format(name=stem.upper()))
        return path

    return write


def test_a_good_folder_ends_with_counts_and_what_was_not_checked(say, folder):
    folder(a=GOOD, b=GOOD)
    said = say("validate")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"2 files, 2 strategies: 0 errors, 0 warnings\n{NOT_CHECKED}\n"


def test_every_problem_is_shown_with_its_line_and_carets(say, folder):
    folder(good=GOOD, wrong=BAD)
    said = say("validate")
    assert said.code == 1
    assert "--> strategies.d/wrong.yaml:6:" in said.out
    assert "--> strategies.d/wrong.yaml:8:" in said.out
    assert "^^^^" in said.out
    assert 'did you mean "slow"?' in said.out
    assert said.out.endswith(f"2 files, 1 strategy: {said.out.count('error[')} errors, 0 warnings\n{NOT_CHECKED}\n")


WARNED = GOOD + "hook_params: {{a: 1}}\n"


@pytest.mark.parametrize(
    ("files", "args", "page"),
    [
        ({"good": GOOD}, [], ""),
        ({"good": WARNED}, [], "W304"),
        ({"a": WARNED, "wrong": BAD.replace("slwo: 100", "slow: 100")}, [], "S204"),
        ({"wrong": BAD}, ["-q"], ""),
        ({"wrong": BAD}, ["--format", "concise"], ""),
    ],
)
def test_a_terminal_is_told_which_page_says_more(say, folder, files, args, page):
    folder(**files)
    said = say("validate", "--color", "always", *args)
    told = [line for line in said.err.splitlines() if "runner explain" in line]
    assert told == ([f"why, an example and the fix: runner explain {page}"] if page else [])
    assert "runner explain" not in said.out + say("validate", *args).err


def test_concise_is_one_line_a_problem_on_stdout(say, folder):
    folder(wrong=BAD)
    said = say("validate", "--format", "concise")
    assert said.code == 1
    assert all(line.startswith("strategies.d/wrong.yaml:") for line in said.out.splitlines())
    assert NOT_CHECKED in said.err


@pytest.mark.parametrize("args", [["--json"], ["--format", "json"]])
def test_json_has_every_position(say, folder, args):
    folder(good=GOOD, wrong=BAD)
    found = say("validate", *args).json
    assert (found["ok"], found["format_version"]) == (False, "1.0")
    assert found["counts"] == {"files": 2, "strategies": 1, "tests": 0, "errors": len(found["problems"]), "warnings": 0}
    assert found["strategies"] == [{"name": "GOOD", "file": "strategies.d/good.yaml"}]
    ranges = {problem["path"]: problem["range"] for problem in found["problems"]}
    assert ranges["params.target_weight"]["start"]["line"] == 8
    assert found["not_checked"] == list(not_checked(Level.RULES))
    assert (found["level"], found["fixed"]) == ("rules", [])


def test_a_named_file_is_judged_with_its_neighbours_but_shown_alone(say, folder):
    folder(wrong=BAD, a=GOOD, b=GOOD.replace("{name}", "A"))
    said = say("validate", "strategies.d/a.yaml")
    assert said.code == 1
    assert "M410" in said.out
    assert "wrong.yaml" not in said.out
    assert "1 file, 0 strategies: 1 error," in said.out


def test_a_file_elsewhere_is_judged_alone(say, project):
    (project / "draft.yaml").write_text(GOOD.format(name="DRAFT"))
    assert say("validate", "draft.yaml").out.startswith("1 file, 1 strategy: 0 errors")


def test_a_folder_may_be_named(say, project, folder):
    folder(wrong=BAD)
    (project / "other").mkdir()
    (project / "other" / "x.yaml").write_text(GOOD.format(name="X"))
    assert say("validate", "other").code == 0


def test_a_warning_passes_unless_strict(say, folder):
    path = folder(a=GOOD)
    (path / "B.YAML").write_text(GOOD.format(name="B"))
    assert say("validate").code == 0
    assert say("validate", "--strict").code == 1


def test_the_folder_comes_from_the_configuration(say, project):
    (project / "runner.yaml").write_text("strategies_dir: mine\n")
    (project / "mine").mkdir()
    (project / "mine" / "a.yaml").write_text(GOOD.format(name="A"))
    assert say("validate").out.startswith("1 file, 1 strategy")


def test_a_missing_folder_is_a_problem_not_a_pass(say):
    said = say("validate")
    assert said.code == 1
    assert "there is no folder strategies.d" in said.err


def test_a_wrong_runner_yaml_is_one_more_file_with_problems(say, project, folder):
    folder(a=GOOD)
    (project / "runner.yaml").write_text("state_dri: x\n")
    said = say("validate")
    assert (said.code, said.err) == (1, "")
    assert "runner.yaml:1:1" in said.out
    assert said.out.count("state_dri: x") == 1
    assert said.out.endswith("1 file, 0 strategies: 1 error, 0 warnings\nnot checked: strategy files\n")
    assert say("validate", "--json").json["problems"][0]["fix"][0]["replacement"] == "state_dir"


def test_problems_are_coloured_only_when_asked(say, folder):
    folder(wrong=BAD)
    assert "\x1b[" not in say("validate").out
    assert "\x1b[31m" in say("validate", "--color", "always").out


def test_control_characters_of_a_file_do_not_reach_the_terminal(say, folder):
    folder(a=GOOD.replace("sma_cross", '"\\x1b[2Jx"'))
    assert "\x1b" not in say("validate").out
    assert "\x1b" not in json.dumps(say("validate", "--json").json)


TESTED = GOOD + "tests: [{{name: rises, given: {{AAPL: 100+1x120}}, expect: [{{at: last, signal: {{AAPL: 1}}}}]}}]\n"
BESIDE = "tests: [{{name: falls, given: {{AAPL: 400-1x120}}, expect: [{{at: last, signal: {{{symbol}: 0}}}}]}}]\n"


def test_tests_are_counted_and_said_not_to_have_been_run(say, folder):
    path = folder(a=TESTED, b=GOOD)
    (path / "a.test.yaml").write_text(BESIDE.format(symbol="AAPL"))
    assert say("validate").out == f"3 files, 2 strategies: 0 errors, 0 warnings\n{NOT_CHECKED}, 2 tests (not run)\n"
    assert say("validate", "strategies.d/a.yaml").out.endswith(", 2 tests (not run)\n")
    assert say("validate", "strategies.d/a.test.yaml").out.endswith(", 1 test (not run)\n")
    assert say("validate", "strategies.d/b.yaml").out.endswith(f"{NOT_CHECKED}\n")
    found = say("validate", "--json").json
    assert found["counts"]["tests"] == 2 and found["not_checked"][-1] == "2 tests (not run)"


def test_a_mistake_in_a_file_of_tests_is_an_error_though_the_strategy_is_good(say, folder):
    path = folder(a=GOOD)
    (path / "a.test.yaml").write_text(BESIDE.format(symbol="APPL"))
    for argument in ("strategies.d", "strategies.d/a.yaml", "strategies.d/a.test.yaml"):
        said = say("validate", argument)
        assert said.code == 1
        assert "error[M460]: APPL is not in the universe\n --> strategies.d/a.test.yaml:1:" in said.out
        assert 'did you mean "AAPL"?' in said.out


def test_a_file_of_tests_outside_the_folder_is_judged_with_its_strategy(say, project):
    (project / "draft.yaml").write_text(GOOD.format(name="DRAFT"))
    (project / "draft.test.yaml").write_text(BESIDE.format(symbol="AAPL"))
    (project / "lost.test.yaml").write_text(BESIDE.format(symbol="AAPL"))
    for name, files in (("draft.yaml", "2 files, 1 strategy"), ("draft.test.yaml", "1 file, 0 strategies")):
        assert say("validate", name).out == f"{files}: 0 errors, 0 warnings\n{NOT_CHECKED}, 1 test (not run)\n"
    assert "error[M473]: there is no lost.yaml beside" in say("validate", "lost.test.yaml").out


@pytest.mark.parametrize("level", ["rules", "code"])
def test_a_test_that_does_not_fit_leaves_the_strategy_usable(say, folder, level):
    path = folder(a=TESTED.replace("AAPL: 1}}", "IBM: 1}}"))
    (path / "a.test.yaml").write_text(BESIDE.format(symbol="IBM"))
    said = say("validate", "--level", level)
    assert said.code == 1
    assert "2 files, 1 strategy: 2 errors, 0 warnings\n" in said.out


def test_a_file_of_tests_is_fixed_too(say, folder):
    path = folder(a=GOOD)
    (path / "a.test.yaml").write_text(BESIDE.format(symbol="AAPLL").replace("expect", "expct"))
    assert say("validate", "--fix").code == 0
    assert (path / "a.test.yaml").read_text() == BESIDE.format(symbol="AAPL")
