"""Rules for every file: documented names, no host or machine written into it, nothing left unfinished."""

from __future__ import annotations

import ast
import json
import re

import pytest

UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX)\b|raise NotImplementedError")
MACHINE = re.compile(r"(?<![\w.])/(?:home/(?!me\b)|(?:Users|root|work|tmp|mnt|srv)/)\w+")
HOST = re.compile(r"https?://|--(?:extra-)?index-url|--find-links|--trusted-host|\bfile:/")
PROTOCOL_MESSAGES = re.compile(r"runner/gateway/(?:wire|encode\w*|requests_\w+)\.py$")


@pytest.fixture(scope="module")
def trees(texts):
    return {
        name: ast.parse(text) for name, text in texts.items() if name.startswith("runner/") and name.endswith(".py")
    }


def test_every_module_says_what_it_is_for(trees):
    assert [name for name, tree in trees.items() if not ast.get_docstring(tree)] == []


def test_every_public_class_and_function_is_documented(trees):
    missing = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not says_itself(name, node)
    ]
    assert missing == []


def says_itself(name: str, node: ast.stmt) -> bool:
    """A function of three lines at most, or one that is named after the message of the protocol that it handles."""
    if isinstance(node, ast.ClassDef):
        return False
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno < 3 or bool(PROTOCOL_MESSAGES.match(name))


def test_names_that_a_module_exports_are_sorted_and_exist(trees):
    for name, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.Assign) and any(
                isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
            ):
                exported = ast.literal_eval(node.value)
                assert len(set(exported)) == len(exported), name


def test_the_lock_file_pins_everything_by_hash_and_names_no_host(texts):
    lock = texts["requirements.lock"]
    assert HOST.search(lock) is None
    pins = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(pins) > 30
    assert [pin.split()[0] for pin in pins if "==" not in pin.split()[0] or "--hash=sha256:" not in pin] == []


def test_the_lock_file_of_node_pins_everything_by_hash_and_names_no_host(texts):
    lock = json.loads(texts["tests/editor/package-lock.json"])
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert [name for name, package in packages.items() if not package.get("integrity", "").startswith("sha512-")] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []


def test_no_file_knows_a_path_of_a_machine(texts):
    found = [
        f"{name}: {match.group()}"
        for name, text in texts.items()
        if not name.startswith("tests/")
        for match in [MACHINE.search(text)]
        if match
    ]
    assert found == []


def test_nothing_is_left_unfinished(texts):
    found = [name for name, text in texts.items() if name.startswith("runner/") and UNFINISHED.search(text)]
    assert found == []


def test_no_file_is_larger_than_a_megabyte(root, texts):
    shipped = [path for path in (root / "runner").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [path.name for path in shipped if path.stat().st_size > 1_000_000] == []
    assert [name for name, text in texts.items() if len(text.encode()) > 1_000_000] == []
