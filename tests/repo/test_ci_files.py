"""What CI uses works: the hook for pre-commit, the workflow for GitHub, and what their page says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pre_commit.clientlib import load_manifest

from runner.cli.report import FORMATS
from runner.spec.findings import Findings
from runner.spec.fix import mend
from runner.spec.folder import load_text
from runner.spec.levels import Level
from runner.spec.render.json import findings_as_data, to_json

PAGE = "docs/validate-in-ci.md"
WORKFLOW = "examples/github-workflow/validate.yaml"
GOOD = """\
spec: 1
name: A
universe: {symbols: [AAPL]}
bars: {size: 1 day}
signals:
  trend: {use: sma_cross}
sizing: {use: equal_weight}
"""
WARNED = GOOD + "execution: {limit_offset_bps: 3}\n"
WRONG = GOOD + "params:\n  stop_loss: 5%\n"


@pytest.fixture
def strategies(tmp_path: Path) -> Path:
    """A repository of strategies under git, with one good file."""
    repository = tmp_path / "repository"
    (repository / "strategies.d").mkdir(parents=True)
    (repository / "strategies.d" / "a.yaml").write_text(GOOD)
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    return repository


@pytest.fixture
def environment(tmp_path: Path, strategies: Path) -> dict[str, str]:
    """As on a machine where `runner` is installed, with nothing of this one's configuration."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT", "RUNNER", "IB"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"),
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(strategies),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }


# ------------------------------------------------------------------------------------------------------ pre-commit


def test_the_manifest_is_one_that_pre_commit_takes(root: Path) -> None:
    (hook,) = load_manifest(str(root / ".pre-commit-hooks.yaml"))
    assert (hook["id"], hook["entry"]) == ("runner-validate", "runner validate --format concise")
    assert (hook["language"], hook["files"]) == ("python", r"^strategies\.d/")
    assert (hook["pass_filenames"], hook["require_serial"]) == (False, True)


@pytest.mark.parametrize(
    ("changed", "text", "code", "shown"),
    [
        ("strategies.d/b.yaml", GOOD.replace("name: A", "name: B"), 0, "Passed"),
        ("strategies.d/b.yaml", WRONG, 1, "strategies.d/b.yaml:9:14: error[S203]"),
        ("strategies.d/b.yaml", GOOD, 1, "strategies.d/a.yaml:2:7: error[M410]"),
        ("notes.md", "x", 0, "Skipped"),
    ],
)
def test_the_hook_runs_when_a_strategy_changes_and_looks_at_all_of_them(
    root: Path, strategies: Path, environment: dict[str, str], changed: str, text: str, code: int, shown: str
) -> None:
    (hook,) = yaml.safe_load((root / ".pre-commit-hooks.yaml").read_text())
    # The same hook, taken from this environment: making one of its own would need the network.
    here = {key: value for key, value in hook.items() if key != "language_version"} | {"language": "system"}
    config = {"repos": [{"repo": "local", "hooks": [here]}]}
    (strategies / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    (strategies / changed).write_text(text)
    subprocess.run(
        ["git", "add", ".pre-commit-config.yaml", "strategies.d/a.yaml", changed], cwd=strategies, check=True
    )
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--files", changed],
        cwd=strategies,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert shown in done.stdout


# --------------------------------------------------------------------------------------------------------- workflow


@pytest.fixture(scope="module")
def workflow(root: Path) -> Any:
    found = yaml.load((root / WORKFLOW).read_text(), Loader=yaml.BaseLoader)
    assert set(found) == {"name", "on", "permissions", "env", "jobs"}
    return found


def steps(workflow: Any) -> list[dict[str, Any]]:
    (job,) = workflow["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


def test_the_workflow_checks_out_installs_validates_and_uploads(workflow: Any) -> None:
    used = [step.get("uses", step.get("run", "")) for step in steps(workflow)]
    assert [text.split("@")[0] for text in used] == [
        "actions/checkout",
        "actions/setup-python",
        'python -m pip install "$RUNNER"',
        "runner validate --strict --format sarif --output runner.sarif",
        "github/codeql-action/upload-sarif",
    ]
    assert all(re.search(r"@v\d+$", text) for text in used if "/" in text.split(" ")[0])
    assert steps(workflow)[1]["with"]["python-version"] == "3.11"
    written = shlex.split(used[3])[-1]
    assert steps(workflow)[4]["with"]["sarif_file"] == written and written in steps(workflow)[4]["if"]
    assert workflow["permissions"] == {"contents": "read", "security-events": "write"}
    assert set(workflow["on"]) == {"push", "pull_request"}


@pytest.mark.parametrize(("text", "code"), [(GOOD, 0), (WARNED, 1), (WRONG, 1)])
def test_the_validating_line_of_the_workflow_does_what_it_says(
    workflow: Any, strategies: Path, environment: dict[str, str], text: str, code: int
) -> None:
    (strategies / "strategies.d" / "a.yaml").write_text(text)
    (line,) = (step["run"] for step in steps(workflow) if step.get("name") == "Validate")
    done = subprocess.run(["bash", "-e", "-c", line], cwd=strategies, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    results = json.loads((strategies / "runner.sarif").read_text())["runs"][0]["results"]
    assert len(results) == done.stdout.count("title=") == code
    assert Path(environment["GITHUB_STEP_SUMMARY"]).read_text().startswith("### runner validate")


def test_the_installing_line_of_the_workflow_brings_the_command(
    workflow: Any, root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (line,) = (step["run"] for step in steps(workflow) if step.get("name") == "Install the runner")
    offline = {
        "RUNNER": str(root),
        "PIP_TARGET": str(tmp_path / "site"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # of an option that says no, pip takes 0 for set
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(["bash", "-e", "-c", line], env=environment | offline, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "bin" / "runner").exists()
    assert (tmp_path / "site" / "runner" / "spec" / "render" / "sarif.py").exists()


# ------------------------------------------------------------------------------------------------------------- page


def table(text: str, section: str) -> list[list[str]]:
    """The rows of the first table under a heading, the head left out."""
    part = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return rows[2:]


def test_the_page_lists_every_level_and_every_format(texts: dict[str, str]) -> None:
    def first(section: str) -> list[str]:
        return [re.findall(r"`(\w+)`", row[0])[0] for row in table(texts[PAGE], section)]

    assert first("Levels") == [level.value for level in Level]
    assert first("Formats") == list(FORMATS)


def test_the_problem_of_the_page_is_what_the_command_prints(texts: dict[str, str]) -> None:
    (shown,) = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", texts[PAGE], re.DOTALL))
    loaded = load_text(WRONG, path=Path("strategies.d/trend.yaml"))
    (found,) = json.loads(json.dumps(to_json(loaded.problems)))
    assert shown == found
    keys = set(findings_as_data(Findings())) - {"problems"} | {"fixed"}
    sentence = texts[PAGE].partition("Beside `problems` there are ")[2].partition(". The")[0]
    assert set(re.findall(r"`(\w+)`", sentence)) == keys


def test_the_fixes_of_the_page_are_made(texts: dict[str, str]) -> None:
    places = {
        "stop_loss": "params:\n  {0}",
        "history": "bars: {{size: 1 day, {0}}}",
        "enabled": "{0}",
        "evaluate": "schedule: {{calendar: XNYS, {0}}}",
        "order": "execution: {{{0}}}",
        "tif": "execution: {{order: moc, {0}}}",
        "symbols": "universe: {{{0}}}",
        "currency": "universe: {{symbols: [AAPL], defaults: {{{0}}}}}",
    }
    tried = 0
    for row in table(texts[PAGE], "Fixes"):
        wrong, right = (re.findall(r"`([^`]+)`", cell) for cell in row[:2])
        key = wrong[0].partition(":")[0] if wrong else ""
        for text in wrong if key in places else ():
            whole = text if ": " in text else f"{key}: {text}"
            place = places[whole.partition(":")[0]]
            assert any(written(place.format(whole)).endswith(f"\n{place.format(target)}\n") for target in right), whole
            tried += 1
    assert tried >= 12


def written(line: str) -> str:
    """A strategy file with that line, after its fixes."""
    key = line.partition(":")[0]
    others = [other for other in GOOD.splitlines() if not other.startswith(f"{key}:")]

    def look(fixed: Any) -> Findings:
        loaded = load_text(fixed.get("a.yaml", "\n".join([*others, line, ""])), path=Path("a.yaml"))
        return Findings(files=("a.yaml",), problems=loaded.problems, sources=loaded.sources)

    return mend(look).texts["a.yaml"]


def test_the_hook_configuration_of_the_page_names_the_hook(texts: dict[str, str], root: Path) -> None:
    (block,) = re.findall(r"```yaml\n(repos:.*?)```", texts[PAGE], re.DOTALL)
    (repository,) = yaml.safe_load(block)["repos"]
    (hook,) = load_manifest(str(root / ".pre-commit-hooks.yaml"))
    assert [used["id"] for used in repository["hooks"]] == [hook["id"]]
