"""The pages of foreign code: what a wrong example does is found when its code is tried out, and a right one passes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from plugin_support import install

from runner.spec.code import check_code
from runner.spec.codes import CODES
from runner.spec.config import load_config
from runner.spec.deployment import Deployment
from runner.spec.explain import USUAL_FILE, page_of
from runner.spec.folder import load_folder
from runner.spec.problems import Problem

FOREIGN = [code for code in CODES if "C504" <= code < "C6"]
KNOWN_WITHOUT_IMPORT = ("C504", "C505")
BOTH = page_of("C505").files("right")[USUAL_FILE] + "hooks: {on_fill: 'acme_blocks.hooks:told'}\n"
USUAL = {
    "runner.yaml": "plugins: {allow: [acme_blocks]}\n",
    USUAL_FILE: BOTH,
    **page_of("C509").files("right"),
    **page_of("C510").files("right"),
}
"""The files that a page does not show."""
OFFERED = {"runner.signals": {"dip": "acme_blocks.dip:Dip"}}


def write(root: Path, site: Path, files: Mapping[str, str]) -> Path:
    """The project, and its package as if it were installed; the strategies folder."""
    modules = {}
    for name, text in (USUAL | dict(files)).items():
        package, _, module = name.partition("/")
        if package == "acme_blocks":
            modules[module] = text
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
    install(site, "acme_blocks", modules, OFFERED)
    return root / "strategies.d"


def deployment(root: Path) -> Deployment:
    return Deployment.of(load_config(None, root, env={}))


@pytest.mark.parametrize("code", FOREIGN)
def test_the_wrong_example_yields_the_code_and_the_right_one_nothing(code: str, site: Path, tmp_path: Path) -> None:
    page = page_of(code)
    folder = write(tmp_path, site, page.files("wrong"))
    found = check_code(folder, deployment(tmp_path))
    assert {(problem.code, problem.is_error) for problem in found} == {(code, True)}
    folder = write(tmp_path, site, page.files("right"))
    assert check_code(folder, deployment(tmp_path)) == ()


@pytest.mark.parametrize("code", FOREIGN)
def test_only_what_takes_no_import_is_known_without_one(code: str, site: Path, tmp_path: Path) -> None:
    folder = write(tmp_path, site, page_of(code).files("wrong"))
    found: tuple[Problem, ...] = load_folder(folder, deployment=deployment(tmp_path)).problems
    assert [problem.code for problem in found] == ([code] if code in KNOWN_WITHOUT_IMPORT else [])
