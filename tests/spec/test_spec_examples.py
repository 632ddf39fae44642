"""A file under tests/specs is a test by being there: valid ones load, others say what their `.expected` says.

`RUNNER_UPDATE_EXPECTED=1 pytest tests/spec/test_spec_examples.py` writes the expected texts anew; read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from runner.spec.codes import CODES
from runner.spec.deployment import Deployment
from runner.spec.folder import load_alone, load_file
from runner.spec.problems import Problem
from runner.spec.render import render_text

REPOSITORY = Path(__file__).resolve().parents[2]
SPECS = Path("tests/specs")


def names(folder: str) -> list[str]:
    """Strategy files; those of tests are read with the strategy that they lie beside."""
    found = sorted(p.name for p in (REPOSITORY / SPECS / folder).glob("[!_]*.yaml"))
    return [name for name in found if not name.endswith(".test.yaml")]


VALID, WARNED, INVALID = names("valid"), names("warned"), names("invalid")
TESTED = [*names("tested"), "lost.test.yaml"]


@pytest.fixture(autouse=True)
def in_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.parametrize("name", VALID)
def test_a_valid_file_loads_without_a_word(name: str) -> None:
    loaded = load_file(
        SPECS / "valid" / name, root=SPECS / "valid", deployment=Deployment(allowed_packages={"acme_blocks"})
    )
    assert render_text(loaded.problems, loaded.sources) == ""
    assert loaded.case_problems == () and (loaded.case_file is None or loaded.case_file.problems == ())
    assert loaded.spec is not None
    assert loaded.spec.name == name.removesuffix(".yaml").upper()


@pytest.mark.parametrize("name", WARNED)
def test_a_doubtful_file_loads_and_says_what_is_doubtful(name: str) -> None:
    loaded = load_file(SPECS / "warned" / name, root=SPECS / "warned")
    assert loaded.spec is not None
    assert loaded.problems and not any(problem.is_error for problem in loaded.problems)
    compare(SPECS / "warned" / name, loaded.problems, loaded.sources)


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_file_says_all_that_is_wrong_with_it(name: str) -> None:
    path = SPECS / "invalid" / name
    loaded = load_file(path, root=SPECS / "invalid", deployment=Deployment(allowed_packages=frozenset()))
    assert loaded.spec is None
    assert any(problem.is_error for problem in loaded.problems)
    compare(path, loaded.problems, loaded.sources)


@pytest.mark.parametrize("name", TESTED)
def test_wrong_tests_say_all_that_is_wrong_with_them_and_refuse_nothing(name: str) -> None:
    path = SPECS / "tested" / name
    folder = load_alone(path, root=path.parent)
    assert any(problem.is_error for problem in folder.problems)
    assert [one.spec is not None for one in folder.loaded] == [not one.problems for one in folder.loaded]
    compare(path, folder.problems, folder.sources)


def compare(path: Path, problems: Sequence[Problem], sources: Mapping[str, str]) -> None:
    text = render_text(problems, sources)
    expected = path.with_suffix(".expected")
    if os.environ.get("RUNNER_UPDATE_EXPECTED"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    for problem in problems:
        assert problem.code in CODES
        assert not problem.message.endswith(".") and "None" not in problem.message and "dict" not in problem.message
