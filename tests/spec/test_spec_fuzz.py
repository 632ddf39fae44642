"""Whatever the bytes: problems, never an exception, at places that are in the file.

What is tried is in `fuzz_support` and `fuzz_documents`; `make fuzz` tries a million of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import yaml
from fuzz_documents import document
from fuzz_support import REPOSITORY, Sample, all_of, judge, judge_again, mutant, shipped
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.spec.load import parse_bytes, parse_text

SEED = 20120703
MUTANTS = 20_000
DOCUMENTS = 3_000
AGAIN = 20
"""One in so many is judged a second time."""
REACHED = (
    {f"Y{number}" for number in (*range(100, 111), 113)}
    | {f"S{number}" for number in range(200, 211)}
    | {f"W{number}" for number in range(301, 305)}
    | {f"M{number}" for number in (401, 402, 403, *range(405, 410), *range(411, 416), 431, 432, 434, 435)}
    | {f"M{number}" for number in (*range(460, 470), 471, 472)}
    | {"C503"}
)
"""Codes that the inputs must meet: a fuzz that stops at the first keyword proves nothing about the rules."""


@pytest.mark.parametrize("sample", shipped(), ids=lambda sample: sample.name)
def test_every_beginning_of_a_shipped_file_is_judged_without_an_exception(sample: Sample) -> None:
    for end in range(len(sample.data) + 1):
        tried(replace(sample, data=sample.data[:end]), end)


def test_damaged_files_are_judged_without_an_exception() -> None:
    met: Counter[str] = Counter()
    for number in range(MUTANTS):
        sample = mutant(SEED, number)
        met.update(problem.code for problem in all_of(tried(sample, number)))
    assert REACHED - set(met) == set()


def test_files_drawn_from_the_schema_reach_the_rules_and_are_judged_without_an_exception() -> None:
    met: Counter[str] = Counter()
    usable = 0
    for number in range(DOCUMENTS):
        loaded = tried(document(SEED, number), number)
        met.update(problem.code for problem in all_of(loaded))
        usable += loaded.spec is not None
    rules = {code for code in REACHED if code.startswith("M4") and code not in ("M432", "M434", "M435")}
    assert {code: met[code] for code in rules if met[code] < 10} == {}
    assert usable > DOCUMENTS / 30


def tried(sample: Sample, number: int):
    """What became of a sample; what went wrong is reported with the number that makes it again."""
    try:
        loaded = judge(sample)
        if number % AGAIN == 0:
            judge_again(sample, loaded)
    except Exception as failure:
        failure.add_note(f"number {number}, seed {SEED}: {sample}")
        raise
    return loaded


def test_an_input_is_made_again_by_its_numbers() -> None:
    for make in (mutant, document):
        assert make(1, 2) == make(1, 2)
        assert len({make(1, number).data for number in range(50)} | {make(2, 0).data}) > 45


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    parse_bytes(data, file="a.yaml")


@settings(max_examples=150)
@given(st.text(max_size=200))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    parse_text(text, file="a.yaml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["spec", "name", "universe", "bars", "signals", "sizing", "combine", "params", "schedule", "execution", "hooks"]
KEYS += ["tests"]


@settings(max_examples=150)
@given(st.sampled_from(KEYS), VALUES)
def test_any_value_under_any_key_is_judged_without_an_exception(key: str, value: object) -> None:
    text = (REPOSITORY / "tests/specs/valid/smallest.yaml").read_text(encoding="utf-8")
    changed = yaml.safe_dump(yaml.safe_load(text) | {key: value}, allow_unicode=True, sort_keys=False)
    judge(Sample(key, changed.encode("utf-8", "surrogatepass"), REPOSITORY / "strategies.d"))
