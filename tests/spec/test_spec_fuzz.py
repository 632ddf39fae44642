"""Whatever the bytes: problems, never an exception. A small, seeded share of what a longer run tries."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.spec.findings import Findings
from runner.spec.folder import load_text
from runner.spec.load import parse_bytes, parse_text
from runner.spec.render import render_concise, render_text, to_json
from runner.spec.render.github import render_github, summary_table
from runner.spec.render.junit import render_junit
from runner.spec.render.sarif import to_sarif

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = sorted(REPOSITORY.glob("strategies.d/*.yaml")) + sorted(REPOSITORY.glob("tests/specs/valid/*.yaml"))
MUTATIONS = int(os.environ.get("RUNNER_FUZZ_MUTATIONS", "1500"))
WORDS = (
    "[ ] { } : - # & * ! | > ' \" % @ ` , ? << .nan null true 1e9 -1 \t \n \x00 \x85 \u2028 ${env:A} spec use with é 😀"
)


def try_it(text: str) -> None:
    loaded = load_text(text, path=Path("strategies.d/fuzz.yaml"), root=REPOSITORY / "strategies.d")
    assert (loaded.spec is None) == any(problem.is_error for problem in loaded.problems)
    for problem in loaded.problems:
        span = problem.span
        source = loaded.sources.get(span.file, "")
        assert 0 <= span.start <= span.end <= len(source) + 1 and span.line >= 1 and span.column >= 1
    render_text(loaded.problems, loaded.sources)
    render_concise(loaded.problems)
    to_json(loaded.problems)
    found = Findings(files=tuple(loaded.sources), problems=loaded.problems, sources=loaded.sources)
    render_github(found)
    summary_table(found)
    ElementTree.fromstring(render_junit(found))
    json.dumps(to_sarif(found, version="0"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_beginning_of_a_shipped_file_is_read_without_an_exception(path: Path) -> None:
    data = path.read_bytes()
    step = 1 if path.parent.name == "strategies.d" else 5
    for end in range(0, len(data), step):
        parse_bytes(data[:end], file="a.yaml")
    for end in range(0, len(data), 11 * step):
        try_it(data[:end].decode("utf-8", "ignore"))


def test_mutations_of_shipped_files_are_read_without_an_exception() -> None:
    random_source = random.Random(20120703)
    texts = [path.read_text(encoding="utf-8") for path in FILES]
    words = [*WORDS.split(" "), " ", "  "]
    for _ in range(MUTATIONS):
        text = random_source.choice(texts)
        for _ in range(random_source.randint(1, 4)):
            a, b = sorted(random_source.randrange(len(text) + 1) for _ in range(2))
            b = min(b, a + 12)
            match random_source.randrange(4):
                case 0:
                    text = text[:a] + text[b:]
                case 1:
                    text = text[:a] + random_source.choice(words) + text[a:]
                case 2:
                    text = text[:a] + random_source.choice(words) + text[b:]
                case _:
                    text = text[:a] + text[a:b] * 2 + text[b:]
        try_it(text)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    parse_bytes(data, file="a.yaml")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    parse_text(text, file="a.yaml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["spec", "name", "universe", "bars", "signals", "sizing", "combine", "params", "schedule", "execution", "hooks"]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(KEYS), VALUES)
def test_any_value_under_any_key_is_judged_without_an_exception(key: str, value: object) -> None:
    import yaml

    document = yaml.safe_load((REPOSITORY / "tests/specs/valid/smallest.yaml").read_text(encoding="utf-8"))
    try_it(yaml.safe_dump(document | {key: value}, allow_unicode=True, sort_keys=False))
