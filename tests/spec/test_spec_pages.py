"""Every code has a page, and every page is true: its wrong example yields the code, its right one nothing.

A page is found by its file being there. A code that the loader cannot find in files as they stand in a page has no
examples there, and a function here that builds the case: `BUILT` names them. What takes a gateway, a store or installed
code is held to its page where these are: `ELSEWHERE`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pytest

from runner import plugins
from runner.spec import folder as folders
from runner.spec.code import check_code
from runner.spec.codes import CODES
from runner.spec.config import ConfigFileError, load_config
from runner.spec.deployment import Deployment
from runner.spec.explain import GROUPS, PAGES, USUAL_FILE, Page, document, page_of, parse_page
from runner.spec.folder import load_folder
from runner.spec.problems import Problem

REPOSITORY = Path(__file__).resolve().parents[2]
GOOD = page_of("Y100").files("right")[USUAL_FILE]


def problems_of(root: Path) -> Collection[Problem]:
    """What the loader says of a project: of its runner.yaml, and of its strategies when that can be used."""
    try:
        config = load_config(None, root, env={})
    except ConfigFileError as error:
        return error.problems
    return load_folder(config.strategies_dir, deployment=Deployment.of(config)).problems


def problems_with_code(root: Path) -> Collection[Problem]:
    """The same, with the code that the strategies name."""
    config = load_config(None, root, env={})
    return check_code(config.strategies_dir, Deployment.of(config))


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    (root / "strategies.d").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def _not_utf8(root: Path, _: pytest.MonkeyPatch) -> None:
    write(root, {USUAL_FILE: GOOD.encode() + b"description: caf\xe9\n"})


def _too_large(root: Path, _: pytest.MonkeyPatch) -> None:
    write(root, {USUAL_FILE: GOOD + "# more\n" * 50_000})


def _unreadable(root: Path, _: pytest.MonkeyPatch) -> None:
    write(root, {})
    os.symlink("gone.yaml", root / USUAL_FILE)


def _unlistable(root: Path, _: pytest.MonkeyPatch) -> None:
    (root / "strategies.d").write_text("a file in place of the folder")


def _too_many(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MAX_FILES", 2)
    write(root, {f"strategies.d/{stem}.yaml": GOOD.replace("TREND", stem) for stem in "abc"})


def _open_to_others(root: Path, _: pytest.MonkeyPatch) -> None:
    live = "ib: {mode: live, port: 4001, account: U1234567, live_accounts: [U1234567]}\n"
    write(root, {"runner.yaml": live, USUAL_FILE: GOOD})
    (root / USUAL_FILE).chmod(0o664)


SIGNAL = """
from dataclasses import dataclass
import numpy as np
from runner.blocks import param

@dataclass(frozen=True)
class Block:
    name = "block"
    example = {}
    bars: int = param(1, "bars", minimum=1)
    warmup = 1
    def compute(self, panel):
        return ANSWER
"""


def _package(root: Path, monkeypatch: pytest.MonkeyPatch, source: str, *, allow: str = "acme", use: str = "") -> None:
    """A project that uses a block of an installed package, whose module has this source."""
    info = root / "site" / "acme-1.0.dist-info"
    points = "[runner.signals]\nblock = acme:Block\n"
    write(
        root,
        {
            "site/acme.py": source,
            f"site/{info.name}/METADATA": "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n",
            f"site/{info.name}/entry_points.txt": points,
            "runner.yaml": f"plugins: {{allow: [{allow}]}}\n",
            USUAL_FILE: GOOD.replace("use: sma_cross", f"use: '{use or 'acme:block'}'"),
        },
    )
    monkeypatch.syspath_prepend(root / "site")
    monkeypatch.setenv("PYTHONPATH", str(root / "site"))
    plugins.installed.cache_clear()


def _hook(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package(root, monkeypatch, "def told(): ...")
    write(root, {USUAL_FILE: GOOD + "hooks: {on_fill: 'acme:told'}\n"})


BUILT: Mapping[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "Y102": _not_utf8,
    "Y111": _too_large,
    "Y112": _unreadable,
    "E601": _unlistable,
    "E602": _too_many,
    "E604": _open_to_others,
    "C504": lambda root, patch: _package(root, patch, "", allow=""),
    "C505": lambda root, patch: _package(root, patch, "", use="acme:blok"),
    "C506": lambda root, patch: _package(root, patch, "import no_such_thing"),
    "C507": lambda root, patch: _package(root, patch, "import os; os._exit(1)"),
    "C508": lambda root, patch: _package(root, patch, "Block = 1"),
    "C509": _hook,
    "C510": lambda root, patch: _package(root, patch, SIGNAL.replace("ANSWER", "np.ones(3)")),
}


ELSEWHERE: Mapping[str, Collection[str]] = {
    "tests/manager/test_environment_pages.py": [code for code in CODES if "E610" <= code < "E7"],
}
"""Test file → the codes whose pages it holds to what is found."""
JUDGED_ELSEWHERE = [code for codes in ELSEWHERE.values() for code in codes]
LOADED = [code for code in CODES if code not in JUDGED_ELSEWHERE]
"""Codes that the loader finds."""


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert {path.name for path in PAGES.iterdir()} == {f"{code}.md" for code in CODES}
    assert {code[0] for code in CODES} <= set(GROUPS)


@pytest.mark.parametrize("code", LOADED)
def test_a_page_has_examples_or_a_test_that_builds_the_case(code: str) -> None:
    page = page_of(code)
    assert bool(page.files("wrong")) == bool(page.files("right")) == (code not in BUILT)


@pytest.mark.parametrize("code", [code for code in LOADED if code not in BUILT])
def test_the_wrong_example_yields_the_code_and_the_right_one_nothing(code: str, tmp_path: Path) -> None:
    page = page_of(code)
    write(tmp_path / "wrong", page.files("wrong"))
    found = [problem for problem in problems_of(tmp_path / "wrong") if problem.code == code]
    assert found
    assert all(problem.is_error != page.is_warning for problem in found)
    write(tmp_path / "right", page.files("right"))
    left = problems_of(tmp_path / "right")
    assert [f"{problem.code} {problem.message}" for problem in left] == []


@pytest.mark.parametrize("code", JUDGED_ELSEWHERE)
def test_what_the_loader_cannot_know_it_does_not_refuse(code: str, tmp_path: Path) -> None:
    page = page_of(code)
    for verdict in ("wrong", "right"):
        write(tmp_path / verdict, {USUAL_FILE: GOOD, **page.files(verdict)})
        assert [problem.code for problem in problems_of(tmp_path / verdict) if problem.is_error] == []


@pytest.mark.parametrize("code", BUILT)
def test_what_no_file_in_a_page_can_show_yields_the_code(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BUILT[code](tmp_path, monkeypatch)
    look = problems_with_code if code[0] == "C" else problems_of
    assert [problem.code for problem in look(tmp_path)] == [code]
    plugins.installed.cache_clear()


@pytest.mark.parametrize("code", CODES)
def test_a_page_is_prose_for_people(code: str) -> None:
    page = page_of(code)
    for text in (page.cause, page.fix):
        assert text[-1] == "."
        assert max(len(line) for line in text.splitlines()) <= 120
        assert not re.search(r"\bdict\b|\bNone\b|[Tt]raceback", text)


def test_the_document_is_fresh_and_has_an_anchor_for_every_code() -> None:
    committed = (REPOSITORY / "docs" / "problems.md").read_text(encoding="utf-8")
    assert committed == document(), "run: python -m runner.spec.explain > docs/problems.md"
    assert re.findall(r"^## ([A-Z]\d{3})$", committed, re.MULTILINE) == list(CODES)


PAGE = """\
Why.

```yaml wrong
a: 1
```

```yaml right runner.yaml
b: 2
```

The fix.
"""


def test_a_page_is_a_cause_examples_and_a_fix() -> None:
    page = parse_page("M999", "a meaning", PAGE)
    assert (page.cause, page.fix) == ("Why.", "The fix.")
    assert page.files("wrong") == {USUAL_FILE: "a: 1\n"}
    assert page.files("right") == {"runner.yaml": "b: 2\n"}
    assert (
        page.body() == "Why.\n\nWrong:\n\n```yaml\na: 1\n```\n\nRight, `runner.yaml`:\n\n```yaml\nb: 2\n```\n\nThe fix."
    )


@pytest.mark.parametrize(
    "text",
    ["", "Why.", PAGE.replace("Why.\n", ""), PAGE.replace("The fix.\n", ""), PAGE.replace(" wrong", " wrogn")],
)
def test_anything_else_is_no_page(text: str) -> None:
    with pytest.raises(ValueError, match="the page of M999"):
        parse_page("M999", "a meaning", text)


def test_the_pages_are_part_of_the_package() -> None:
    """The build takes whole packages, so a page is shipped when it lies inside one."""
    assert PAGES.is_relative_to(REPOSITORY / "runner")
    assert isinstance(page_of("M401"), Page)
