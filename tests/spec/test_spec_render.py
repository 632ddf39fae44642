"""How problems are shown: carets under the right cells, nothing that can write to a terminal, plain data."""

from __future__ import annotations

import json

import pytest

from runner.spec.load import parse_text
from runner.spec.problems import Problem, closest, error
from runner.spec.render import render_concise, render_text, to_json
from runner.spec.render.text import brief


def problem_at(text: str, needle: str, message: str = "wrong") -> Problem:
    root = parse_text(text, file="a.yaml").root
    assert root is not None
    start = text.index(needle)
    span = next(
        entry.node.span for entry in root.value.values() if entry.node.span.start == start
    )  # fmt: skip
    return error("S200", message, span)


@pytest.mark.parametrize(
    ("text", "under"),
    [
        ("a: bad\n", "  |    ^^^"),
        ("日本: bad\n", "  |       ^^^"),
        ("a: 日本\n", "  |    ^^^^"),
        ('{a: 1,\tb: "x"}', '  |              ^^^'),
    ],
)  # fmt: skip
def test_carets_stand_under_the_value(text: str, under: str) -> None:
    needle = next(word for word in ("bad", '"x"', "日本") if word in text.partition(":")[2])
    shown = render_text([problem_at(text, needle)], {"a.yaml": text})
    assert shown.split("\n")[3] == under


def test_control_characters_and_escapes_are_shown_not_sent() -> None:
    shown = render_text([problem_at("a: bad\n", "bad", "found \x1b[31m\u202e")], {"a.yaml": "a: bad\x1b[0m\n"})
    assert "\x1b" not in shown and "\u202e" not in shown


def test_colour_comes_only_when_asked_for() -> None:
    problem = problem_at("a: bad\n", "bad")
    plain, coloured = (render_text([problem], {"a.yaml": "a: bad\n"}, colour=c) for c in (False, True))
    assert "\x1b" not in plain and "\x1b[31m" in coloured


def test_a_long_line_is_cut_around_the_caret() -> None:
    text = "a: [" + "x, " * 500 + "bad]\n"
    root = parse_text(text, file="a.yaml").root
    assert root is not None
    shown = render_text([error("S200", "wrong", root.locate(("a", 500)))], {"a.yaml": text}).split("\n")
    assert len(shown[2]) < 180
    assert shown[2][shown[3].index("^") :].startswith("bad")


def test_a_value_that_is_repeated_in_a_sentence_is_cut_and_cannot_write_to_a_terminal() -> None:
    assert brief("0.05") == "0.05"
    assert brief("x" * 60) == "x" * 60
    assert brief("x" * 3000) == "x" * 59 + "…"
    assert brief("\x1b[31m") == "\\x1b[31m"


def test_one_line_and_data_say_the_same() -> None:
    problem = problem_at("a: bad\n", "bad")
    assert render_concise([problem]) == "a.yaml:1:4: error[S200] wrong\n"
    (data,) = json.loads(json.dumps(to_json([problem])))
    assert (data["code"], data["range"]["start"]) == ("S200", {"line": 1, "column": 4, "offset": 3})


def test_no_more_than_fifty_problems_of_a_file_are_shown() -> None:
    text = "a:\n" * 100
    problems = parse_text(text, file="a.yaml").problems
    assert render_text(problems, {"a.yaml": text}).endswith("a.yaml: and 49 more\n")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("slwo", "slow"), ("Market", "market"), ("stoploss", "stop_loss"), ("xyz", None), ("", None)],
)
def test_the_nearest_known_word_is_suggested(word: str, meant: str | None) -> None:
    assert closest(word, ["slow", "fast", "market", "limit", "stop_loss"]) == meant
