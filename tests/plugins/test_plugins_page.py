"""docs/plugins.md says what is so: its example is the real one, its limits are those of the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from runner import plugins
from runner.blocks import CombineBlock, ExitBlock, Kind, SignalBlock, SizingBlock
from runner.spec import code
from runner.spec.codes import CODES
from runner.spec.spec import HOOK_ARGUMENTS, HOOK_POINTS
from runner.strategy import foreign, hooks

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "acme_blocks"
PAGE = (REPOSITORY / "docs" / "plugins.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_block_is_the_one_of_the_example_package() -> None:
    source = (EXAMPLE / "acme_blocks" / "below_average.py").read_text(encoding="utf-8")
    assert blocks("python")[0] == f"# acme_blocks/below_average.py\n{source}"


def test_the_entry_points_and_the_configuration_are_those_of_the_example_package() -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert tomllib.loads(blocks("toml")[0])["project"] == {"entry-points": project["entry-points"]}
    assert set(project["entry-points"]) == set(plugins.GROUPS)
    strategy = yaml.safe_load((EXAMPLE / "strategies.d" / "sectors.yaml").read_text(encoding="utf-8"))
    shown = yaml.safe_load(blocks("yaml")[0])
    assert shown["signals"]["momentum"] == strategy["signals"]["momentum"]
    assert shown["hooks"].items() <= strategy["hooks"].items()
    assert yaml.safe_load(blocks("yaml")[1]) == yaml.safe_load((EXAMPLE / "runner.yaml").read_text(encoding="utf-8"))


def test_every_place_of_a_hook_is_listed_with_its_arguments() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE.partition("## A hook")[2].partition("\n## ")[0], re.MULTILINE)
    listed = {point: tuple(re.findall(r"`(\w+)`", arguments)) for point, arguments in rows}
    assert listed == dict(HOOK_ARGUMENTS)
    assert set(HOOK_ARGUMENTS) == set(HOOK_POINTS)


@pytest.mark.parametrize(
    ("row", "limits"),
    [
        ("level `code`", [code.STEP_DEADLINE_S]),
        ("start of the runner", [plugins.IMPORT_DEADLINE_S, plugins.CALL_DEADLINE_S]),
        ("every look at the bars", [foreign.BLOCK_DEADLINE_S]),
        ("decisions, fills, order states", [hooks.HOOK_DEADLINE_S]),
    ],
)
def test_the_limits_are_those_of_the_code(row: str, limits: list[float]) -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| {row}"))
    assert [float(number) for number in re.findall(r"(\d+) s\b", line)] == limits


def test_every_code_is_listed() -> None:
    section = PAGE.partition("## What can be wrong")[2]
    assert set(re.findall(r"`(C5\d\d)`", section)) == {one for one in CODES if "C503" <= one <= "C510"}


def test_every_kind_of_block_is_listed_with_its_members() -> None:
    protocols = {
        Kind.SIGNAL: SignalBlock, Kind.COMBINE: CombineBlock, Kind.SIZING: SizingBlock, Kind.EXIT: ExitBlock
    }  # fmt: skip
    section = PAGE.partition("| kind | members")[2].partition("\n\n")[0]
    for kind, protocol in protocols.items():
        line = next(line for line in section.splitlines() if line.startswith(f"| {kind} |"))
        members = {name for name in vars(protocol) if not name.startswith("_")}
        assert set(re.findall(r"`(\w+)", line)) == members == set(plugins._MEMBERS[kind])
