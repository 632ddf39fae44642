"""`runner validate` in the form that a machine reads: on stdout, in a file, in a workflow of GitHub Actions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest

GOOD = """\
spec: 1
name: A
universe: AAPL
bars: {size: 1 day}
signals:
  trend: {use: sma_cross}
sizing: {use: equal_weight}
"""
WRONG = GOOD + "params: {stop_los: 5}\n"
WARNED = GOOD + "execution: {limit_offset_bps: 3}\n"


@pytest.fixture
def folder(project):
    path = project / "strategies.d"
    path.mkdir()
    (path / "a.yaml").write_text(WRONG)
    return path


@pytest.fixture
def on_github(project, monkeypatch):
    """As in a step of a workflow whose repository is the project."""
    summary = project / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    return summary


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    for name in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


ANNOTATION = "::error file=strategies.d/a.yaml,line=8,col=10,endLine=8,endColumn=18,title=S201::unknown key"


def test_auto_is_text_here_and_annotations_on_github(say, folder, request):
    assert say("validate").out.startswith("error[S201]")
    summary = request.getfixturevalue("on_github")
    said = say("validate")
    assert said.out.startswith(ANNOTATION)
    assert "\n8 | params: {stop_los: 5}\n" in said.out
    assert "| error | S201 | strategies.d/a.yaml:8:10 |" in summary.read_text()
    assert said.code == 1


def test_the_summary_is_added_to_what_is_there(say, folder, on_github):
    on_github.write_text("before\n")
    say("validate")
    assert on_github.read_text().startswith("before\n### runner validate\n")


def test_a_summary_that_cannot_be_written_fails_nothing(say, folder, on_github, project, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project / "no" / "summary.md"))
    (folder / "a.yaml").write_text(GOOD)
    said = say("validate")
    assert said.code == 0
    assert "the summary of the job cannot be written" in said.err


def test_in_a_subfolder_of_the_repository_files_are_named_from_its_root(say, folder, on_github, project):
    bots = project / "bots"
    bots.mkdir()
    folder.rename(bots / "strategies.d")
    assert "file=bots/strategies.d/a.yaml,line=8" in say("-C", "bots", "validate").out
    os.chdir(project)
    log = json.loads(say("-C", "bots", "validate", "--format", "sarif").out)
    location = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "bots/strategies.d/a.yaml", "uriBaseId": "%SRCROOT%"}


@pytest.mark.parametrize("form", ["concise", "json", "github", "sarif", "junit"])
def test_a_form_can_go_into_a_file_beside_the_text(say, folder, project, form):
    alone = say("validate", "--format", form)
    said = say("validate", "--format", form, "--output", "report.out")
    assert (project / "report.out").read_text() == alone.out
    assert said.out == say("validate").out
    assert said.code == alone.code == 1
    assert sorted(os.listdir(project)) == ["report.out", "strategies.d"]


def test_on_github_the_file_comes_beside_the_annotations(say, folder, on_github, project):
    said = say("validate", "--format", "sarif", "--output", "runner.sarif")
    assert said.out.startswith(ANNOTATION)
    assert json.loads((project / "runner.sarif").read_text())["version"] == "2.1.0"


def test_a_report_is_written_when_there_is_nothing_to_report(say, folder, project):
    (folder / "a.yaml").write_text(GOOD)
    assert say("validate", "--format", "sarif", "--output", "x.sarif").code == 0
    assert json.loads((project / "x.sarif").read_text())["runs"][0]["results"] == []
    assert ElementTree.fromstring(say("validate", "--format", "junit").out).get("failures") == "0"


def test_what_was_fixed_is_in_the_log_on_github(say, folder, on_github):
    said = say("validate", "--fix")
    assert said.out.index("::stop-commands::") < said.out.index("fixed:\nstrategies.d/a.yaml:8:10: stop_los: →")
    assert (folder / "a.yaml").read_text() == WRONG.replace("stop_los", "stop_loss")


@pytest.mark.parametrize("args", [["--json"], ["--format", "json"]])
def test_a_refusal_is_data_when_data_was_asked_for(say, project, args):
    said = say("validate", *args)
    assert said.code == said.json["error"]["exit_code"] == 1


def test_text_has_no_machine_form(say, folder):
    said = say("validate", "--output", "x")
    assert said.code == 2
    assert "--output needs a --format other than text" in said.err


def test_a_file_that_cannot_be_written_is_said(say, folder):
    said = say("validate", "--format", "json", "--output", "no/such/folder/x.json")
    assert said.code == 1
    assert "no/such/folder/x.json cannot be written" in said.err


def test_a_link_or_a_pipe_as_output_stays_what_it_is(folder, project):
    (project / "real.json").write_text("old")
    (project / "link.json").symlink_to("real.json")
    command = [sys.executable, "-m", "runner", "validate", "--format", "json", "--output"]
    subprocess.run([*command, "link.json"], check=False, capture_output=True)
    assert (project / "link.json").is_symlink()
    assert json.loads((project / "real.json").read_text())["level"] == "rules"
    done = subprocess.run([*command, "/dev/stderr"], check=False, capture_output=True)
    assert json.loads(done.stderr)["ok"] is False


def test_strict_makes_warnings_failures_in_every_form(say, folder):
    (folder / "a.yaml").write_text(WARNED)
    assert say("validate", "--format", "junit").code == 0
    said = say("validate", "--strict", "--format", "junit")
    assert said.code == 1
    assert ElementTree.fromstring(said.out).get("failures") == "1"


def test_a_wrong_configuration_has_every_form_too(say, folder, project):
    (project / "runner.yaml").write_text("state_dri: x\n")
    log = json.loads(say("validate", "--format", "sarif").out)
    assert [result["ruleId"] for result in log["runs"][0]["results"]] == ["S201"]
    assert "testsuite name=&quot;" not in say("validate", "--format", "junit").out
    assert "::error file=runner.yaml,line=1" in say("validate", "--format", "github").out


def test_each_form_imports_what_it_needs_and_no_more(folder, project):
    code = (
        "import sys\nfrom runner.__main__ import invoke\n"
        "invoke(['validate'])\n"
        "forms = {'github', 'sarif', 'junit'}\n"
        "loaded = {name.rpartition('.')[2] for name in sys.modules if name.startswith('runner.spec.render.')}\n"
        "heavy = {'pandas', 'arcticdb', 'ib_async', 'talib', 'exchange_calendars', 'numba'} & set(sys.modules)\n"
        "heavy |= {'runner.spec.fix', 'runner.spec.code', 'runner.manager'} & set(sys.modules)\n"
        "sys.exit(3 if loaded & forms or heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, check=False, capture_output=True)
    assert done.returncode == 0
