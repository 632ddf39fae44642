"""docs/hazards.md names tests that exist, and the source keeps its promises that no test can run."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs/hazards.md").read_text()
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert named and {name for name in named if f"def {name}(" not in tests} == set()


def test_every_hazard_test_is_on_the_page() -> None:
    page = (ROOT / "docs/hazards.md").read_text()
    source = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert {name for name in re.findall(r"def (test_h\d+_\w+)\(", source) if name not in page} == set()


def test_h12_no_blocking_call_of_ib_async_is_used() -> None:
    forbidden = re.compile(
        r"util\.run|startLoop|nest_asyncio|\bib\.sleep|\bib\.run\b|\.waitOnUpdate|\.loopUntil"
        r"|\bib\.(req\w+|qualifyContracts|connect)\((?!.*Async)"
    )
    allowed = re.compile(r"Async\(")
    found = [
        f"{path.name}:{number}"
        for path in (ROOT / "runner").rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "gateway" not in path.parts and forbidden.search(line) and not allowed.search(line)
    ]
    assert found == []
