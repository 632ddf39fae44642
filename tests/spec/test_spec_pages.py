"""Every code has a page, and every page is true: its wrong example yields the code, its right one nothing.

A page is found by its file being there. A code that the loader cannot find in files as they stand in a page has no
examples there, and a function here that builds the case: `BUILT` names them. What takes a gateway, a store or installed
code is held to its page where these are: `ASKED`, `TRIED`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import pytest

from runner.spec import folder as folders
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


BUILT: Mapping[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "Y102": _not_utf8,
    "Y111": _too_large,
    "Y112": _unreadable,
    "E601": _unlistable,
    "E602": _too_many,
    "E604": _open_to_others,
}

ASKED = [code for code in CODES if "E610" <= code < "E7"]
"""What the gateway or the store tells: tests/manager/test_environment_pages.py holds its pages to it."""
TRIED = [code for code in CODES if "C504" <= code < "C6"]
"""What is found in installed code: tests/plugins/test_code_pages.py does the same for it."""
LOADED = [code for code in CODES if code not in (*ASKED, *TRIED)]


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


@pytest.mark.parametrize("code", ASKED)
def test_what_only_the_gateway_knows_the_loader_does_not_refuse(code: str, tmp_path: Path) -> None:
    page = page_of(code)
    for verdict in ("wrong", "right"):
        write(tmp_path / verdict, {USUAL_FILE: GOOD, **page.files(verdict)})
        assert [problem.code for problem in problems_of(tmp_path / verdict) if problem.is_error] == []


@pytest.mark.parametrize("code", BUILT)
def test_what_no_file_in_a_page_can_show_yields_the_code(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BUILT[code](tmp_path, monkeypatch)
    assert [problem.code for problem in problems_of(tmp_path)] == [code]


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
