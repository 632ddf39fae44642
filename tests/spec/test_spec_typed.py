"""What is typed as KEY=VALUE is a path and a value that is kept as it was typed."""

from __future__ import annotations

import pytest

from runner.spec.typed import NotTyped, parse_path, parse_setting, parse_value, value_of


def test_a_setting_is_a_path_and_a_value() -> None:
    assert parse_setting("params.stop_loss = 0.050") == (("params", "stop_loss"), "0.050")


def test_a_setting_without_a_value_is_refused() -> None:
    with pytest.raises(NotTyped, match=r"is not of the form params\.stop_loss=0\.05"):
        parse_setting("params.stop_loss")


@pytest.mark.parametrize("text", ["", ".a", "a..b", "a.", "a[0]", "a[0].b", " a.b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(NotTyped, match="is not the path of a key"):
        parse_path(text)


def test_a_path_into_a_list_says_what_can_be_done() -> None:
    with pytest.raises(NotTyped) as caught:
        parse_path("universe.symbols[2]")
    assert caught.value.hint == "the entries of a list are set as a whole"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("0.050", "0.050"),
        ("TRUE", "TRUE"),
        ("0700", "0700"),
        ("[0700, ON]", "[0700, ON]"),
        ("AAPL, MSFT", '"AAPL, MSFT"'),
        ('"15:45"', '"15:45"'),
        ("0.02 # a cap", "0.02"),
        ("", "null"),
        ("NULL", "NULL"),
        ("=", "="),
        ("-.5", "-.5"),
    ],
)
def test_a_value_is_kept_as_it_was_typed(typed: str, kept: str) -> None:
    assert parse_value(typed) == kept


@pytest.mark.parametrize("typed", ["[1", "a: b", "1\nb: 2", "!!str x", ".nan", "*a", "%"])
def test_what_is_no_value_is_refused(typed: str) -> None:
    with pytest.raises(NotTyped, match="is not a value"):
        parse_value(typed)


def test_what_may_have_been_meant_as_text_says_how_text_is_typed() -> None:
    with pytest.raises(NotTyped) as caught:
        parse_value("Fed: 14:00")
    assert caught.value.hint == "if it is meant as text, type '\"Fed: 14:00\"'"
    with pytest.raises(NotTyped) as caught:
        parse_value(".nan")
    assert caught.value.hint == ""


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("0.050", 0.05),
        ("-1", -1),
        ("true", True),
        ("no", "no"),
        ("'0.05'", "0.05"),
        ("[a, 1]", ["a", 1]),
        ("{a: {b: 0x10}}", {"a": {"b": 16}}),
        ("AAPL, MSFT", "AAPL, MSFT"),
        ("null", None),
    ],
)
def test_what_was_typed_is_data_as_a_file_would_have_it(typed: str, value: object) -> None:
    assert value_of(parse_value(typed)) == value
