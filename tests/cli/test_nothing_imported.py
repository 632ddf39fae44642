"""A repository that is looked at is data: no file of it is imported, whatever it is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TIMEOUT_S = 30
MARKER = "imported.txt"
TRAP = f"""\
with open({MARKER!r}, "a") as marker:
    marker.write(__name__ + "\\n")
"""
TRAPS = (
    "yaml", "click", "json", "rich", "jsonschema", "referencing", "numpy", "pandas", "arcticdb", "ib_async", "talib",
    "__future__", "traceback", "select", "signal", "typing", "dataclasses", "difflib", "hashlib", "exchange_calendars",
    "sitecustomize", "usercustomize", "conftest", "my_hooks", "acme",
)  # fmt: skip
BEFORE_US = ("types", "functools", "contextlib", "runner")
"""What `python -m` itself imports before it comes to our first line. Only `runner` and `python -P` keep these out."""
SPEC = """\
spec: 1
name: HOOKED
universe: AAPL
bars: {size: 1 day}
signals:
  a: {use: sma_cross}
  b: {use: 'acme:signal'}
combine: {use: first}
sizing: {use: equal_weight}
hooks: {before_orders: 'my_hooks:f', on_fill: 'acme.hooks:g'}
"""
COMMANDS = {
    "runner": [str(Path(sys.executable).with_name("runner"))],
    "python -m runner": [sys.executable, "-m", "runner"],
    "python -P -m runner": [sys.executable, "-P", "-m", "runner"],
}


@pytest.fixture
def repository(project: Path) -> Path:
    for name in TRAPS:
        (project / f"{name}.py").write_text(TRAP)
    (project / "strategies.d").mkdir()
    (project / "strategies.d" / "hooked.yaml").write_text(SPEC)
    (project / "strategies.d" / "hand_written.py").write_text(TRAP)
    (project / "runner.yaml").write_text("plugins: {allow: [my_hooks, acme]}\n")
    return project


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("args", [["validate"], ["validate", "--json"], ["status"], ["--help"]], ids=" ".join)
def test_no_file_of_the_repository_is_imported(repository: Path, command: str, args: list[str]) -> None:
    if command != "python -m runner":
        for name in BEFORE_US:
            (repository / f"{name}.py").write_text(TRAP)
    done = subprocess.run(
        [*COMMANDS[command], *args], cwd=repository, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode in (0, 1, 4) and "Traceback" not in done.stderr, done.stderr
    assert not (repository / MARKER).exists(), (repository / MARKER).read_text()


def test_the_traps_would_be_found_by_a_careless_interpreter(repository: Path) -> None:
    subprocess.run([sys.executable, "-c", "import yaml"], cwd=repository, timeout=TIMEOUT_S, check=True)
    assert (repository / MARKER).read_text() == "yaml\n"
