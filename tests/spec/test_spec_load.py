"""What YAML text means here: YAML 1.2 core scalars with positions, within a budget, whatever the bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.spec.load import MAX_BYTES, MAX_DEPTH, parse_bytes, parse_text, read_document


def value_of(text: str) -> Any:
    document = parse_text(f"a: {text}\n", file="a.yaml")
    assert document.problems == () and document.root is not None
    return document.root.data()["a"]


def codes(text: str) -> list[str]:
    return [problem.code for problem in parse_text(text, file="a.yaml").problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9:30", "9:30"),
        ("09:30", "09:30"),
        ("16:00", "16:00"),
        ("9:30:00", "9:30:00"),
        ("ON", "ON"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("Y", "Y"),
        ("TRUE", True),
        ("false", False),
        ("NULL", None),
        ("~", None),
        ("", None),
        ("0700", 700),
        ("005930", 5930),
        ("0o17", 15),
        ("0x1F", 31),
        ("+5", 5),
        ("1e3", 1000.0),
        ("1e-3", 0.001),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1_000", "1_000"),
        ("1,000", "1,000"),
        ("10%", "10%"),
        ("5m", "5m"),
        ("2024-01-02", "2024-01-02"),
        ('"1"', "1"),
        ("'true'", "true"),
        ("١٢", "١٢"),
        ("{on: 1, no: 2, 1: 3, null: 4}", {"on": 1, "no": 2, "1": 3, "null": 4}),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: Any) -> None:
    found = value_of(text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "Y100"),
        ("  \n# nothing\n", "Y100"),
        ("a: b: c\n", "Y101"),
        ("a: @b\n", "Y101"),
        ("a: *unknown\n", "Y101"),
        (": a\n", "Y101"),
        ("a: \x07\n", "Y102"),
        ("a: \ud800\n", "Y102"),
        ('a: "\\ud800"\n', "Y101"),
        ("a: [1, 2\n", "Y103"),
        ("a: {b: 1\nc: 2\n", "Y103"),
        ("a: 'b\n", "Y103"),
        ("a: 1\na: 2\n", "Y104"),
        ("a: !!str 1\n", "Y105"),
        ("a: !python/object/apply:os.system [ls]\n", "Y105"),
        ("%YAML 1.1\n---\na: 1\n", "Y105"),
        ("[a]: 1\n", "Y106"),
        ("? {a: 1}\n: 2\n", "Y106"),
        ("b: &b {x: 1}\na:\n  <<: *b\n", "Y107"),
        ("a: .nan\n", "Y108"),
        ("a: -.INF\n", "Y108"),
        ("a: 1e999\n", "Y108"),
        (f"a: {'9' * 5000}\n", "Y108"),
        ("a: &a [*a]\n", "Y109"),
        ("[" * (MAX_DEPTH + 1), "Y109"),
        ("- " * 100_000, "Y109"),
        ("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> b\n", "Y110"),
        ("a" * (MAX_BYTES + 1), "Y111"),
        ("a: 1\n---\nb: 1\n", "Y113"),
    ],
)
def test_what_is_refused_has_its_code(text: str, code: str) -> None:
    assert code in codes(text)


def test_aliases_that_multiply_are_refused_before_they_grow() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert codes("\n".join(lines)) == ["Y109"]


def test_a_plain_alias_is_the_value_it_names() -> None:
    document = parse_text("a: &x {b: [1, 2]}\nc: *x\n*x : 3\n", file="a.yaml")
    assert [p.code for p in document.problems] == ["Y106"]
    assert document.root is not None
    assert document.root.data()["c"] == {"b": [1, 2]}


def test_positions_are_exact_for_keys_and_values() -> None:
    text = "# é\nüben:\n  - {x: 10, 'y': ten}\n  - 😀: \"a b\"\n"
    document = parse_text(text, file="a.yaml")
    root = document.root
    assert root is not None and document.problems == ()
    for path, key, value in [
        (("üben", 0, "x"), "x", "10"),
        (("üben", 0, "y"), "'y'", "ten"),
        (("üben", 1, "😀"), "😀", '"a b"'),
    ]:
        span, at = root.key_span(path), root.locate(path)
        assert span is not None
        assert text[span.start : span.end] == key
        assert text[at.start : at.end] == value
        assert text.split("\n")[at.line - 1][at.column - 1 : at.end_column - 1] == value


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    document = parse_bytes(b"\xef\xbb\xbfa: 1\n", file="a.yaml")
    assert document.root is not None and document.root.data() == {"a": 1}


def test_bytes_that_are_not_utf_8_are_named_with_their_place() -> None:
    (problem,) = parse_bytes(b"a: 1\nb: \xff\n", file="a.yaml").problems
    assert (problem.code, problem.line, problem.column) == ("Y102", 2, 4)
    (problem,) = parse_bytes("a: 1".encode("utf-16"), file="a.yaml").problems
    assert "UTF-16" in problem.hint


def test_what_is_not_a_file_is_a_problem(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.yaml", tmp_path / "\x00.yaml"):
        document = read_document(path)
        assert document.root is None
        assert [problem.code for problem in document.problems] == ["Y112"]


def test_a_flood_of_problems_ends() -> None:
    assert len(codes("a:\n" * 50_000)) <= 200
