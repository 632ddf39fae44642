"""What PyYAML makes of a text, what a trader means by it, and what is read here: one row a fact.

PyYAML's side is asked too, so that a new version of it which changes a fact is noticed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runner.spec import load as loading
from runner.spec.folder import Loaded, load_text
from runner.spec.load import EXPLAIN_BYTES, MAX_BYTES, MAX_DEPTH, MAX_NODES, Document, Node, parse_text
from runner.spec.render import render_text
from runner.spec.spec import StrategySpec

SMALL = """\
spec: 1
name: A
universe: {universe}
bars: {{size: 1 day}}
signals:
  trend: {{use: sma_cross}}
sizing: {{use: equal_weight}}
{more}
"""


def loaded(more: str = "", *, universe: str = "AAPL") -> Loaded:
    """What becomes of a small strategy with `more` in it."""
    return load_text(SMALL.format(universe=universe, more=more), path=Path("a.yaml"))


def spec_of(one: Loaded) -> StrategySpec:
    assert one.spec is not None, render_text(one.problems, one.sources)
    return one.spec


def codes(text: str) -> list[str]:
    return [problem.code for problem in parse_text(text, file="a.yaml").problems]


def python(text: str) -> Any:
    """PyYAML's reading of a value."""
    return yaml.safe_load(f"a: {text}\n")["a"]


REFUSED = object()
TRUE_KEY = {True: 1}


@pytest.mark.parametrize(
    ("text", "pyyaml", "here"),
    [
        ("9:30", 570, "9:30"),
        ("09:30", "09:30", "09:30"),
        ("16:00", 960, "16:00"),
        ("9:30:00", 34200, "9:30:00"),
        ("1e3", "1e3", 1000.0),
        ("1e-3", "1e-3", 0.001),
        ("1.5e3", "1.5e3", 1500.0),
        ("1.0e-3", 0.001, 0.001),
        (".5", 0.5, 0.5),
        ("5.", 5.0, 5.0),
        ("2024-01-02", date(2024, 1, 2), "2024-01-02"),
        ("2024-01-02 09:30", "2024-01-02 09:30", "2024-01-02 09:30"),
        ("{on: 1}", TRUE_KEY, {"on": 1}),
        ("ON", True, "ON"),
        ("NO", False, "NO"),
        ("yes", True, "yes"),
        ("off", False, "off"),
        ("TRUE", True, True),
        ("NULL", None, None),
        ("~", None, None),
        ("", None, None),
        ("Y", "Y", "Y"),
        ("N", "N", "N"),
        ("NA", "NA", "NA"),
        ("0700", 448, 700),
        ("00700", 448, 700),
        ("005930", "005930", 5930),
        ("0o17", "0o17", 15),
        ("0b101", 5, "0b101"),
        ("1_000", 1000, "1_000"),
        ("1,000", "1,000", "1,000"),
        ("10%", "10%", "10%"),
        ("5m", "5m", "5m"),
        (".nan", float, REFUSED),
        (".inf", float, REFUSED),
        ("-.INF", float, REFUSED),
        ("!!float 1", 1.0, REFUSED),
        ("=", None, "="),
    ],
)
def test_a_plain_value_means_what_yaml_1_2_says(text: str, pyyaml: Any, here: Any) -> None:
    if pyyaml is float:
        assert isinstance(python(text), float)
    elif text != "=":  # which PyYAML's safe loader cannot construct at all
        assert python(text) == pyyaml
        assert type(python(text)) is type(pyyaml)
    document = parse_text(f"a: {text}\n", file="a.yaml")
    if here is REFUSED:
        assert document.problems != ()
    else:
        assert document.problems == () and document.root is not None
        found = document.root.data()["a"]
        assert found == here
        assert type(found) is type(here)


# ---------------------------------------------------------------------------------- the same where a spec has a use


@pytest.mark.parametrize(
    "text", ["0700", "00700", "005930", "ON", "NO", "Y", "N", "NA", "1e3", "0x1F", "5.", "2024-01-02"]
)
def test_a_symbol_is_read_as_it_is_written(text: str) -> None:
    for form in (f"[{text}]", f"[{{symbol: {text}}}]", f"{{symbols: [{text}]}}", f"{{symbols: {text}}}"):
        one = loaded(universe=form)
        assert [query.symbol for query in spec_of(one).universe.instruments] == [text]
        assert one.problems == ()


@pytest.mark.parametrize("text", ["TRUE", "true", "False", "NULL", "Null"])
def test_a_symbol_that_yaml_takes_for_something_else_is_read_with_a_warning(text: str) -> None:
    one = loaded(universe=f"[{text}]")
    assert [query.symbol for query in spec_of(one).universe.instruments] == [text]
    assert [problem.code for problem in one.problems] == ["W301"]


@pytest.mark.parametrize("text", ["~", '""', ""])
def test_nothing_is_not_a_symbol(text: str) -> None:
    assert loaded(universe=f"\n  symbols:\n    - {text}").spec is None


@pytest.mark.parametrize(
    ("text", "at"),
    [("9:30", time(9, 30)), ("09:30", time(9, 30)), ("16:00", time(16)), ('"9:30"', time(9, 30))],
)
def test_a_time_of_day_needs_no_quotes(text: str, at: time) -> None:
    schedule = spec_of(loaded(f"schedule: {{calendar: XNYS, evaluate: {text}}}")).schedule
    assert schedule.evaluate is not None
    assert schedule.evaluate.clock == at


@pytest.mark.parametrize("text", ["9:30:00", "1600", "960", "2024-01-02", "24:00", "9.30"])
def test_what_is_no_time_of_day_is_refused_with_the_form(text: str) -> None:
    (problem,) = loaded(f"schedule: {{calendar: XNYS, evaluate: {text}}}").problems
    assert problem.code in ("S203", "S207")
    assert '"' in problem.message + problem.hint


def test_a_window_may_be_written_without_quotes() -> None:
    schedule = spec_of(loaded("schedule: {calendar: XNYS, window: [9:35, 15:50]}")).schedule
    assert schedule.window == (time(9, 35), time(15, 50))


def test_the_key_on_is_a_word() -> None:
    assert spec_of(loaded("schedule:\n  on: month_end\n")).schedule.on.value == "month_end"


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("stop_loss", "1e-2", 0.01),
        ("stop_loss", ".05", 0.05),
        ("stop_loss", "1.", 1.0),
        ("stop_loss", "0", 0.0),
        ("max_daily_trades", "010", 10),
        ("max_daily_trades", "0x10", 16),
    ],
)
def test_a_number_of_a_spec(field: str, text: str, value: float) -> None:
    assert getattr(spec_of(loaded(f"params: {{{field}: {text}}}")).params, field) == value


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10%", "write the fraction 0.1"),
        ("1_000", "write 1000, without separators"),
        ("0,01", "write 0.01, with a point"),
        ('"0.1"', "write 0.1 without quotes"),
        ("yes", ""),
        ("TRUE", ""),
        ("5m", ""),
        ("", "write a value, or remove the key"),
        ("~", "write a value, or remove the key"),
    ],
)
def test_what_is_no_number_is_refused_with_what_to_write(text: str, hint: str) -> None:
    (problem,) = loaded(f"params:\n  stop_loss: {text}\n").problems
    assert (problem.code, problem.hint) == ("S203", hint)


@pytest.mark.parametrize("text", ["yes", "on", "y", "no", "off", "1", "0"])
def test_only_true_and_false_are_yes_and_no(text: str) -> None:
    (problem,) = loaded(f"enabled: {text}").problems
    assert problem.code == "S203"


# ------------------------------------------------------------------------------------------------- whole documents


def test_a_document_without_a_space_after_the_colon_is_one_text() -> None:
    assert yaml.safe_load("a:1") == "a:1"
    (problem,) = load_text("name:TREND", path=Path("a.yaml")).problems
    assert problem.code == "S200"
    assert problem.hint == 'a space is missing after the colon: write "name: TREND"'


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "---\n...\n", "\ufeff"])
def test_an_empty_file_is_a_problem_and_not_nothing(text: str) -> None:
    if text != "\ufeff":
        assert yaml.safe_load(text) is None
    one = load_text(text, path=Path("a.yaml"))
    assert one.spec is None
    assert [problem.message for problem in one.problems] == ["the file is empty"]


def test_a_key_twice_is_refused_at_its_second_place_with_the_first() -> None:
    text = "params:\n  max_daily_loss: 0.02\n  stop_loss: 0.1\n  max_daily_loss: 0.20\n"
    assert yaml.safe_load(text)["params"]["max_daily_loss"] == 0.20
    document = parse_text(text, file="a.yaml")
    (problem,) = document.problems
    assert (problem.code, problem.line, problem.column) == ("Y104", 4, 3)
    assert [(related.span.line, related.span.column) for related in problem.related] == [(2, 3)]
    assert document.root is not None
    assert document.root.data()["params"]["max_daily_loss"] == 0.02


@pytest.mark.parametrize(
    "text", ["a: 1\n'a': 2\n", 'a: 1\n"a": 2\n', "1: x\n'1': y\n", "~: x\n~: y\n", "a: 1\n? a\n: 2\n"]
)
def test_keys_that_are_written_differently_are_the_same(text: str) -> None:
    assert codes(text) == ["Y104"]


def test_merge_keys_do_not_concatenate_and_are_refused() -> None:
    text = "base: &b {tags: [a]}\nmine:\n  <<: *b\n  tags: [b]\n"
    assert yaml.safe_load(text)["mine"] == {"tags": ["b"]}
    (problem,) = parse_text(text, file="a.yaml").problems
    assert (problem.code, problem.line, problem.column) == ("Y107", 3, 3)
    assert "extends" in problem.hint
    assert codes('"<<": 1\n') == []


# ------------------------------------------------------------------------------------------------ what could hurt


@pytest.mark.parametrize(
    "text", ["[" * 500 + "]" * 500, "[" * 100_000, "{a: " * 500, "- " * 500 + "x", "&a " * 500 + "x"]
)
def test_nesting_that_ends_pyyaml_is_a_problem_here(text: str) -> None:
    if text.startswith("[[") and text.endswith("]"):
        with pytest.raises(RecursionError):
            yaml.safe_load(text)
    document = parse_text(text, file="a.yaml")
    assert document.root is None
    assert [problem.code for problem in document.problems] in (["Y109"], ["Y101"])


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_the_depth_has_a_limit() -> None:
    assert codes(nested(MAX_DEPTH)) == []
    assert codes(nested(MAX_DEPTH + 1)) == ["Y109"]


def test_the_size_has_a_limit_in_values() -> None:
    assert codes(f"[{'1,' * (MAX_NODES - 1)}]") == []
    assert codes(f"[{'1,' * MAX_NODES}]") == ["Y109"]


def test_the_size_has_a_limit_in_bytes() -> None:
    assert codes("# " + "x" * (MAX_BYTES - 7) + "\na: 1") == []
    assert codes("# " + "x" * (MAX_BYTES - 6) + "\na: 1") == ["Y111"]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many nodes have been made."""
    made = 0

    def counting(*args: Any, **kwargs: Any) -> Node:
        nonlocal made
        made += 1
        return Node(*args, **kwargs)

    monkeypatch.setattr(loading, "Node", counting)
    return lambda: made


def laughs(levels: int, each: int = 9) -> str:
    """Lists of aliases of lists of aliases: `each` to the power of `levels` values, in a few lines."""
    lines = [f"a0: &a0 [{', '.join(['x'] * each)}]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * each)}]" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


def test_a_billion_laughs_make_a_hundred_nodes(counted: Callable[[], int]) -> None:
    assert codes(laughs(10)) == ["Y109"]
    assert counted() <= 100


def test_a_thousand_laughs_are_counted_in_full() -> None:
    document = parse_text(laughs(3), file="a.yaml")
    assert document.problems == () and document.root is not None
    assert document.root.size == 1 + (1 + 9) + (1 + 9 * 10) + (1 + 9 * 91)


def test_merge_keys_that_multiply_stay_small(counted: Callable[[], int]) -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{i}: 1" for i in range(8)) + "}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 8)}]}}" for i in range(1, 10)]
    assert codes("\n".join(lines)) == ["Y107"] * 4 + ["Y109"]
    assert counted() <= 100


def test_aliases_in_a_circle_are_refused() -> None:
    assert codes("a: &a [1, *a]") == ["Y109"]
    assert codes("a: &a {b: *a}") == ["Y109"]


# ---------------------------------------------------------------------------------------------------- two parsers


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: \x07", 1, 4),
        ("a: 1\nb: \x1b[0m", 2, 4),
        ("a: 1\r\nb: \x00", 2, 4),
        ("a: 1\rb: 2\rc: \x7f", 3, 4),
        ("a: 1\x85b: \x01", 2, 4),
        ("a: 1\u2028b: \x01", 2, 4),
        ("é: 日本 😀\nb: 😀\ufffe", 2, 5),
        ("# " + "x" * 5000 + "\nb: \x01", 2, 4),
        ("a: 1\nb: \ufeff2", 2, 4),
    ],
)
def test_a_character_that_is_not_allowed_is_found_though_the_parser_only_counts(
    text: str, line: int, column: int
) -> None:
    (problem,) = parse_text(text, file="a.yaml").problems
    assert (problem.code, problem.line, problem.column) == ("Y102", line, column)
    assert text[problem.span.start] in problem.message or f"U+{ord(text[problem.span.start]):04X}" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: [AAPL, MSFT\nb: 1\n", 1, 4, 'this list is never closed: "]" is missing'),
        ("a: {b: 1\nc: 2\n", 1, 4, 'this mapping is never closed: "}" is missing'),
        ("a: 'b\nc: 2\n", 1, 4, "this text is never closed: the closing ' is missing"),
        ("a: 1\n\tb: 2\n", 2, 1, "a tab cannot be used for indentation"),
        ("a: b: c\n", 1, 5, 'a second ":" is not allowed in plain text'),
        ("spec:1\nname: A\n", 1, 5, "a space is missing after the colon"),
        ("a: 1\n  b: 2\nc: 3\n", 2, 4, 'a second ":" is not allowed in plain text'),
        ("a:\n    b: 1\n  c: 2\n", 3, 3, "the indentation does not fit the lines above"),
        ("a: @b\n", 1, 4, "plain text cannot begin with @"),
        ("a: 1\nb\nc: 2\n", 2, 1, "a key without a colon"),
    ],
)
def test_what_the_c_parser_refuses_is_explained_from_the_pure_one(
    text: str, line: int, column: int, words: str
) -> None:
    (problem,) = parse_text(text, file="a.yaml").problems
    assert (problem.message, problem.line, problem.column) == (words, line, column)


def test_a_large_file_is_refused_with_the_c_parsers_own_words() -> None:
    text = "# " + "x" * EXPLAIN_BYTES + "\na: [1\nb: 2\n"
    (problem,) = parse_text(text, file="a.yaml").problems
    assert (problem.code, problem.line, problem.column) == ("Y103", 2, 4)


def test_what_only_one_of_the_two_parsers_refuses_keeps_the_first_refusal() -> None:
    """The pure parser reads on where the C parser stopped, and may come to something else or to nothing."""
    for text in ('a: "\\ud800"\n', "%TAG ! x\n---\na: 1\n", "a: !<x\n", "- - -\n-\t-\n", "a: |\n\t b\n"):
        document = parse_text(text, file="a.yaml")
        assert document.root is not None or len(document.problems) == 1


# ----------------------------------------------------------------------------------------------------- positions

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Co", "Cn")), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
STYLES = st.fixed_dictionaries(
    {
        "default_flow_style": st.sampled_from([None, True, False]),
        "default_style": st.sampled_from([None, None, "'", '"', "|", ">"]),
        "indent": st.integers(2, 6),
        "width": st.sampled_from([10, 40, 1000]),
        "allow_unicode": st.booleans(),
        "explicit_start": st.booleans(),
    }
)


@settings(max_examples=400)
@given(VALUES, STYLES, st.integers(0, 2**32))
def test_the_text_of_every_node_means_its_value(value: Any, style: dict[str, Any], seed: int) -> None:
    text = with_remarks(yaml.dump({"a": value}, sort_keys=False, **style), random.Random(seed))
    document = parse_text(text, file="a.yaml")
    # PyYAML writes tags for what it would misread without, and not every key is text.
    assume(document.root is not None and not document.problems)
    assert document.root is not None
    for node in nodes(document.root):
        span = node.span
        assert position(text, span.start) == (span.line, span.column)
        assert position(text, span.end) == (span.end_line, span.end_column)
        if isinstance(node.value, str) and not node.plain and text[span.start] in "|>":
            continue  # a block of text means something only under its key's indentation
        again = parse_text(" " * (span.column - 1) + text[span.start : span.end], file="a.yaml")
        assert value_of(again) == node.data()


@pytest.mark.parametrize(
    "text", ["a: 1", "a:", "a: [1]", "a:\n  - b", "? a\n   b", "a: |\n  b", "a: 'b'", "a: b\n  c", "- a\n-"]
)
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r", "\x85", "\u2028", "\n\n", "  ", " # remark", "\n# remark"])
def test_no_place_is_beyond_the_last_line_of_a_file(text: str, end: str) -> None:
    document = parse_text(text + end, file="a.yaml")
    assert document.root is not None
    for node in nodes(document.root):
        assert position(text + end, node.span.start) == (node.span.line, node.span.column)
        assert position(text + end, node.span.end) == (node.span.end_line, node.span.end_column)


def nodes(node: Node) -> list[Node]:
    below = [e.node for e in node.value.values()] if node.is_mapping else node.value if node.is_list else []
    return [node, *(found for child in below for found in nodes(child))]


def value_of(document: Document) -> Any:
    if document.root is None:
        assert [problem.code for problem in document.problems] == ["Y100"]
        return None
    assert document.problems == ()
    return document.root.data()


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, counted one character at a time."""
    line = column = 1
    for i, char in enumerate(text[:offset]):
        if char in "\n\x85\u2028\u2029" or (char == "\r" and text[i + 1 : i + 2] != "\n"):
            line, column = line + 1, 1
        else:
            column += 1
    return line, column


def with_remarks(text: str, source: random.Random) -> str:
    """Empty lines and comments between lines where they change nothing, and sometimes no break at the end."""
    if source.random() < 0.3:
        text = text.rstrip("\n")
    if any(mark in text for mark in ("'", '"', "|", ">", "?")):
        return text
    lines = text.split("\n")
    return "\n".join(line + source.choice(["", "", "\n", "\n# remark"]) for line in lines[:-1]) + "\n" + lines[-1]
