"""The example package, built, installed into an empty folder and used as somebody else would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "acme_blocks"
TIMEOUT_S = 120
BLOCKS = {
    "acme_blocks:skip_month_momentum": "signal",
    "acme_blocks:majority": "combine",
    "acme_blocks:capped_equal_weight": "sizing",
    "acme_blocks:below_average": "exit",
}
HOOKS = ("acme_blocks:sector_cap", "acme_blocks:post_to_chat")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing in it but the package, as pip put it there. Nothing is fetched from anywhere."""
    target = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "acme_blocks")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *options, "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example's own configuration and strategy, away from its source."""
    shutil.copytree(EXAMPLE / "strategies.d", tmp_path / "strategies.d")
    shutil.copy(EXAMPLE / "runner.yaml", tmp_path)
    return tmp_path


def run(command: list[str], installed: Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("RUNNER_", "IB_", "IBKR_"))}
    variables |= {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    return subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def runner(*args: str, installed: Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-P", "-m", "runner", *args], installed, cwd, **environment)


def python(code: str, installed: Path, cwd: Path) -> Any:
    """What a few lines print as JSON."""
    done = run([sys.executable, "-P", "-c", code], installed, cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_its_own_tests_pass(installed: Path, tmp_path: Path) -> None:
    done = run([sys.executable, "-m", "pytest", "-q", str(EXAMPLE / "tests")], installed, REPOSITORY)
    assert done.returncode == 0, done.stdout[-3_000:]


def test_what_it_offers_is_listed_without_an_import(installed: Path, project: Path) -> None:
    found = python(
        """
import json, sys
from runner.plugins import installed
found = {one.reference: [one.kind, one.version] for one in installed()}
assert "acme_blocks" not in sys.modules
print(json.dumps(found))
""",
        installed,
        project,
    )
    assert found == {name: [kind, "0.1.0"] for name, kind in BLOCKS.items()} | {name: [None, "0.1.0"] for name in HOOKS}


JUDGE = """
import json, sys
from pathlib import Path
from runner.spec.code import check_code
from runner.spec.config import load_config
from runner.spec.deployment import Deployment
from runner.spec.folder import load_folder
deployment = Deployment.of(load_config(None, Path.cwd()))
folder = load_folder(Path("strategies.d"), deployment=deployment)
code = check_code(Path("strategies.d"), deployment, folder=folder)
assert "acme_blocks" not in sys.modules
print(json.dumps({
    "rules": [one.code for one in folder.problems],
    "not_loaded": folder.not_loaded,
    "code": [[one.code, one.path, one.message] for one in code],
}))
"""


def test_a_file_that_uses_it_is_good_at_level_rules_and_at_level_code(installed: Path, project: Path) -> None:
    found = python(JUDGE, installed, project)
    assert found == {"rules": [], "not_loaded": sorted(BLOCKS), "code": []}


@pytest.mark.parametrize(("level", "left"), [("rules", True), ("code", False)])
def test_the_command_says_which_settings_it_has_not_judged(
    installed: Path, project: Path, level: str, left: bool
) -> None:
    done = runner("validate", "--level", level, installed=installed, cwd=project)
    assert done.returncode == 0, done.stdout
    assert (f"settings of {', '.join(sorted(BLOCKS))}" in done.stdout) is left
    assert ("code of hooks" in done.stdout) is left


def test_the_command_lists_its_blocks(installed: Path, project: Path) -> None:
    listed = runner("blocks", installed=installed, cwd=project).stdout
    assert all(f"{name} " in listed for name in BLOCKS)


def test_its_settings_are_judged_at_level_code(installed: Path, project: Path) -> None:
    file = project / "strategies.d" / "sectors.yaml"
    text = file.read_text().replace("months: 3, skip: 1", "months: 3, skip: 4").replace("cap: 0.4", "cpa: 0.4")
    file.write_text(text)
    found = python(JUDGE, installed, project)
    assert found["rules"] == []
    assert found["code"] == [
        [
            "M403",
            "signals.momentum.with.skip",
            "signals.momentum (acme_blocks:skip_month_momentum): skip 4 must be below months 3",
        ],
        ["S201", "sizing.with.cpa", 'unknown key "cpa" in sizing.with'],
    ]


def test_without_the_permission_of_the_deployment_it_is_refused(installed: Path, project: Path) -> None:
    (project / "runner.yaml").write_text("plugins: {allow: []}\n")
    found = python(JUDGE, installed, project)
    assert found["rules"] == ["C504", "C504", "C504", "C504", "C503", "C503"]


def test_it_trades_on_the_paper_gateway_and_the_books_agree(installed: Path, project: Path) -> None:
    chat = project / "chat.txt"
    done = runner("demo", "--years", "0.5", "--json", installed=installed, cwd=project, ACME_CHAT_FILE=str(chat))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (line,) = result["strategies"]
    assert (line["name"], line["phase"]) == ("SECTORS", "Running")
    assert line["fills"] > 5 and len(chat.read_text().splitlines()) == line["fills"]
    assert all(row["agrees"] for row in result["reconciliation"])
    events = runner("--state-dir", ".runner/demo", "events", installed=installed, cwd=project)
    facts = [json.loads(line) for line in events.stdout.splitlines()]
    (noted,) = [fact["text"] for fact in facts if fact.get("code") == "code"]
    assert all(f"{name} 0.1.0 sha256:" in noted for name in (*BLOCKS, *HOOKS))
