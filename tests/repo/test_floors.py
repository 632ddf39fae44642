"""The floors hold: a module imports only from lower ones, and every package has one."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES_WITHOUT_A_FLOOR = {"__init__"}


@pytest.fixture(scope="module")
def contracts(root):
    parser = configparser.ConfigParser()
    parser.read(root / ".importlinter")
    return {
        section.rpartition(":")[2]: dict(parser[section])
        for section in parser.sections()
        if section.startswith("importlinter:contract:")
    }


def modules(root: Path) -> set[str]:
    """The packages and modules directly under runner/."""
    found = {path.stem for path in (root / "runner").glob("*.py")}
    found |= {path.parent.name for path in (root / "runner").glob("*/__init__.py")}
    return found - PACKAGES_WITHOUT_A_FLOOR


def floors(contracts) -> list[list[str]]:
    lines = contracts["floors"]["layers"].strip().splitlines()
    return [[name.strip() for name in line.split("|")] for line in lines]


def test_every_contract_is_kept(root):
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([tool], cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_package_has_a_floor(root, contracts):
    assert {name for floor in floors(contracts) for name in floor} == modules(root)
    assert contracts["floors"]["exhaustive"] == "True"


@pytest.mark.parametrize(
    ("contract", "owners"),
    [
        ("ib_async", {"broker", "strategy"}),
        ("arcticdb", {"store"}),
        ("click", {"cli", "__main__"}),
    ],
)
def test_a_library_has_one_owner_and_nobody_is_left_out(root, contracts, contract, owners):
    bound = {name.removeprefix("runner.") for name in contracts[contract]["source_modules"].split()}
    assert bound == modules(root) - owners


def test_architecture_draws_the_same_floors(contracts, texts):
    drawn = "\n".join(" | ".join(floor) for floor in floors(contracts) if floor != ["__main__"])
    assert f"```text\n{drawn}\n```" in texts["ARCHITECTURE.md"]


def test_architecture_maps_every_package(root, texts):
    code_map = texts["ARCHITECTURE.md"].partition("## Code map")[2].partition("\n## ")[0]
    missing = {name for name in modules(root) if f"runner/{name}/`" not in code_map and f"{name}.py`" not in code_map}
    assert missing == set()


def test_there_is_no_drawer_for_odds_and_ends(root):
    names = {path.stem for path in (root / "runner").rglob("*.py")}
    assert names & {"utils", "util", "common", "misc", "helpers", "tools"} == set()
