"""A value is changed inside a file; comments, layout and everything else stay."""

from __future__ import annotations

import copy
import difflib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.spec.edit import REMOVE, CannotEdit, Change, edited
from runner.spec.load import parse_text
from runner.spec.write import Verbatim

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = """# top
name: TREND          # the name
params:
  target_weight: 0.25         # a quarter
  # about the next one
  max_weight: 0.32
universe:
  symbols:
    - AAPL             # first
    - MSFT
signals:
  trend: {use: sma_cross, with: {fast: 20, slow: 60}}   # flow
combine: {}
execution:
schedule:
  window: ["09:35", "15:50"]
description: >
  folded
  text
"""


def change(path: str, value: Any, text: str = TEXT) -> list[str]:
    """The lines taken away and put in."""
    result = edited(parse_text(text, file="a.yaml"), Change(tuple(path.split(".")), value))
    lines = difflib.unified_diff(text.splitlines(), result.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize(
    ("path", "value", "lines"),
    [
        ("name", "OTHER", ["-name: TREND          # the name", "+name: OTHER          # the name"]),
        ("params.target_weight", 0.2,
         ["-  target_weight: 0.25         # a quarter", "+  target_weight: 0.2          # a quarter"]),
        ("params.target_weight", 0.123456789012,
         ["-  target_weight: 0.25         # a quarter", "+  target_weight: 0.123456789012 # a quarter"]),
        ("params.stop_loss", 0.05, ["+  stop_loss: 0.05"]),
        ("params.max_weight", REMOVE, ["-  max_weight: 0.32"]),
        ("signals.trend.with.slow", 90,
         ["-  trend: {use: sma_cross, with: {fast: 20, slow: 60}}   # flow",
          "+  trend: {use: sma_cross, with: {fast: 20, slow: 90}}   # flow"]),
        ("signals.trend.with.allow_short", True,
         ["-  trend: {use: sma_cross, with: {fast: 20, slow: 60}}   # flow",
          "+  trend: {use: sma_cross, with: {fast: 20, slow: 60, allow_short: true}}   # flow"]),
        ("signals.trend.with.fast", REMOVE,
         ["-  trend: {use: sma_cross, with: {fast: 20, slow: 60}}   # flow",
          "+  trend: {use: sma_cross, with: {slow: 60}}   # flow"]),
        ("signals.trend.with.slow", REMOVE,
         ["-  trend: {use: sma_cross, with: {fast: 20, slow: 60}}   # flow",
          "+  trend: {use: sma_cross, with: {fast: 20}}   # flow"]),
        ("universe.symbols", ["AAPL", "ON"],
         ["-  symbols:", "-    - AAPL             # first", "-    - MSFT", '+  symbols: [AAPL, "ON"]']),
        ("combine.use", "all_of", ["-combine: {}", "+combine: {use: all_of}"]),
        ("execution.order", "limit", ["-execution:", "+execution: {order: limit}"]),
        ("schedule.window", REMOVE, ["-schedule:", '-  window: ["09:35", "15:50"]']),
        ("schedule.calendar", "XNYS", ["+  calendar: XNYS"]),
        ("hooks.on_fill", "acme.hooks:say", ["+hooks:", "+  on_fill: acme.hooks:say"]),
        ("description", "short", ["-description: >", "-  folded", "-  text", "+description: short"]),
        ("enabled", False, ["+enabled: false"]),
    ],
)  # fmt: skip
def test_only_the_lines_of_the_value_change(path: str, value: Any, lines: list[str]) -> None:
    assert change(path, value) == lines


@pytest.mark.parametrize(
    ("path", "value", "text", "message"),
    [
        ("params.nothing", REMOVE, TEXT, "is not in the file"),
        ("name.first", 1, TEXT, "is not a section with keys"),
        ("universe.symbols.first", 1, TEXT, "is not a section with keys"),
        ("b", 2, "a: &x 1\nb: *x\n", "without changing more"),
        ("a", 2, "a: [1\n", "cannot be read"),
    ],
)
def test_what_cannot_be_changed_alone_is_refused_with_the_place(path: str, value: Any, text: str, message: str) -> None:
    with pytest.raises(CannotEdit, match=message):
        edited(parse_text(text, file="a.yaml"), Change(tuple(path.split(".")), value))


OWN_LINES = "x: {{\n  a: 1{0} # of a\n  {1}b: {{q: 2,\n    r: '#,'}}{0} # of b\n  {1}c: 3{2} # of c\n}}\n"


@pytest.mark.parametrize(
    "text",
    [OWN_LINES.format(",", "", ""), OWN_LINES.format(",", "", ","), OWN_LINES.format("", ", ", "")],
    ids=["commas", "a last comma", "commas in front"],
)
@pytest.mark.parametrize("gone", ["a", "b", "c"])
def test_an_entry_between_brackets_goes_with_its_own_comment(text: str, gone: str) -> None:
    lines = edited(parse_text(text, file="a.yaml"), Change(("x", gone), REMOVE)).splitlines()
    kept = [line for line in text.splitlines() if f"# of {gone}" not in line and (gone != "b" or "b: {" not in line)]
    assert [without_comma(line) for line in lines] == [without_comma(line) for line in kept]


def without_comma(line: str) -> str:
    return re.sub(r"^( +), |,(?= #|$)", r"\1", line)


@pytest.mark.parametrize(
    ("text", "gone", "left"),
    [
        ("x: {a: 1, # one\n  b: 2 # two\n  }\n", "a", "x: {b: 2 # two\n  }\n"),
        ("x: {a: 1, # one\n  b: 2 # two\n  }\n", "b", "x: {a: 1 # one\n  }\n"),
        ("x: {a: 1, # one\n  # above\n  b: 2} # end\n", "a", "x: {\n  # above\n  b: 2} # end\n"),
        ("x: {a: 1, # one\r\n  b: 2} # end\r\n", "b", "x: {a: 1 # one\r\n  } # end\r\n"),
        ("x: {a: 1, b: 2, # both\n  c: 3}\n", "b", "x: {a: 1, # both\n  c: 3}\n"),
        ("x: {a: 1, b: 2, # both\n  c: 3}\n", "a", "x: {b: 2, # both\n  c: 3}\n"),
        ("x: {a: 1, # one\n  b: 2, c: 3 # both\n  }\n", "b", "x: {a: 1, # one\n  c: 3 # both\n  }\n"),
        ("x: {a: 1, b: 2,}\n", "b", "x: {a: 1,}\n"),
    ],
)  # fmt: skip
def test_comments_of_what_stays_stay(text: str, gone: str, left: str) -> None:
    assert edited(parse_text(text, file="a.yaml"), Change(("x", gone), REMOVE)) == left


def test_line_ends_stay_those_of_the_file() -> None:
    text = TEXT.replace("\n", "\r\n")
    result = edited(parse_text(text, file="a.yaml"), Change(("params", "stop_loss"), 0.05), Change(("a", "b"), 1))
    assert "\n" not in result.replace("\r\n", "")


def test_yaml_is_written_as_it_is() -> None:
    assert change("params.max_weight", Verbatim("0.320")) == ["-  max_weight: 0.32", "+  max_weight: 0.320"]
    assert change("params.max_weight", Verbatim("[0700, TRUE]"))[1] == "+  max_weight: [0700, TRUE]"


def test_a_comment_that_goes_on_stays_with_its_line() -> None:
    text = "params:\n  stop_loss: 0.05   # a stop\n                    # that goes on\n  # another\n"
    added = text.replace("goes on\n", "goes on\n  max_weight: 1\n")
    assert edited(parse_text(text, file="a.yaml"), Change(("params", "max_weight"), 1)) == added


def test_text_with_a_comma_is_quoted_between_brackets_only() -> None:
    assert change("description", "a, b")[-1] == "+description: a, b"
    assert change("signals.trend.with.note", "a, b")[-1].endswith('slow: 60, note: "a, b"}}   # flow')


SCALARS = st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.text(max_size=6)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
PATHS = st.lists(st.sampled_from(["params", "with", "a", "use", "trend", "signals", "x y"]), min_size=1, max_size=3)
FILES = [*sorted(REPOSITORY.glob("strategies.d/*.yaml")), *sorted(REPOSITORY.glob("tests/specs/valid/*.yaml"))]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(FILES), PATHS, VALUES)
def test_setting_any_value_anywhere_changes_that_value_alone_or_is_refused(
    file: Path, path: list[str], value: Any
) -> None:
    document = parse_text(file.read_text(encoding="utf-8"), file=file.name)
    assert document.root is not None
    data = document.root.data()
    try:
        result = edited(document, Change(tuple(path), value))
    except CannotEdit:
        return
    again = parse_text(result, file=file.name)
    assert again.root is not None and again.problems == ()
    expected = copy.deepcopy(data)
    here = expected
    for part in path[:-1]:
        here = here.setdefault(part, {})
    here[path[-1]] = value
    assert again.root.data() == expected
    kept = [line.partition("#")[2] for line in document.text.splitlines() if line.lstrip().startswith("#")]
    assert [line.partition("#")[2] for line in result.splitlines() if line.lstrip().startswith("#")] == kept


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(FILES), st.randoms(use_true_random=False))
def test_removing_any_key_that_is_there_removes_it_alone(file: Path, random: Any) -> None:
    document = parse_text(file.read_text(encoding="utf-8"), file=file.name)
    assert document.root is not None
    path: list[str] = []
    node = document.root
    while node.is_mapping and node.value and (not path or random.random() < 0.7):
        path.append(random.choice(list(node.value)))
        node = node.value[path[-1]].node
    try:
        result = edited(document, Change(tuple(path), REMOVE))
    except CannotEdit:
        return
    root = parse_text(result, file=file.name).root
    assert root is None or root.find(tuple(path)) is None
