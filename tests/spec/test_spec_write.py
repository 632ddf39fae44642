"""What is written as YAML reads back as the same data, here and by a reader of YAML 1.1."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.spec.load import parse_text
from runner.spec.write import Verbatim, block, flow, key_text, scalar

SCALARS = [
    (None, "null"),
    (True, "true"),
    (0.1, "0.1"),
    (1.0, "1"),
    (1e22, "1.0e+22"),
    (1e-05, "1.0e-05"),
    (1e16, "1.0e+16"),
    (-3, "-3"),
    ("é", '"é"'),
    ("#x", '"#x"'),
    (260, "260"),
    ("AAPL", "AAPL"),
    ("1 day", "1 day"),
    ("close-20m", "close-20m"),
    ("us_stocks", "us_stocks"),
    ("acme_hooks.desk:before_orders", "acme_hooks.desk:before_orders"),
    ("Buys dips; out on recovery, at the stop.", "Buys dips; out on recovery, at the stop."),
    ("ON", '"ON"'),
    ("no", '"no"'),
    ("y", '"y"'),
    ("TRUE", '"TRUE"'),
    ("null", '"null"'),
    ("~", '"~"'),
    ("", '""'),
    ("0700", '"0700"'),
    ("005930", '"005930"'),
    ("202612", '"202612"'),
    ("9:30", '"9:30"'),
    ("09:35", '"09:35"'),
    ("1e3", '"1e3"'),
    ("0x1F", '"0x1F"'),
    ("2011-03-01", '"2011-03-01"'),
    ("a: b", '"a: b"'),
    ("a # b", '"a # b"'),
    (" a", '" a"'),
    ("- a", '"- a"'),
    ("[a", '"[a"'),
    ('say "so"\n', '"say \\"so\\"\\n"'),
    ("\x1b[2J", '"\\x1b[2J"'),
    ("\u2028", '"\\u2028"'),
]


@pytest.mark.parametrize(("value", "text"), SCALARS, ids=[text for _, text in SCALARS])
def test_a_value_is_quoted_when_any_reader_would_take_it_for_something_else(value: Any, text: str) -> None:
    assert scalar(value) == text
    document = parse_text(f"key: {text}", file="")
    assert document.root is not None
    assert document.root.data() == {"key": value}
    assert yaml.safe_load(f"key: {text}") == {"key": value}


def test_commas_and_brackets_are_quoted_between_brackets_only() -> None:
    assert scalar("a, b") == "a, b"
    assert flow(["a, b", "c"]) == '["a, b", c]'
    assert flow({"a": "b]"}) == '{a: "b]"}'


def test_keys_are_words_and_quoted_only_when_they_are_not() -> None:
    assert (key_text("on"), key_text("BRK B"), key_text("0700")) == ("on", "BRK B", '"0700"')


def test_what_was_typed_is_written_as_it_is() -> None:
    assert flow({"stop_loss": Verbatim("0.050")}) == "{stop_loss: 0.050}"


def test_a_mapping_is_a_key_a_line_and_a_list_one_line_while_it_fits() -> None:
    data = {
        "universe": {"symbols": ["AAPL", "ON"], "long": [f"SYMBOL{i}" for i in range(12)]},
        "mixed": ["BNP", {"symbol": "DBK", "currency": "EUR"}],
        "nothing": {},
    }
    assert block(data) == (
        'universe:\n  symbols: [AAPL, "ON"]\n  long:\n'
        + "".join(f"    - SYMBOL{i}\n" for i in range(12))
        + "mixed:\n  - BNP\n  - {symbol: DBK, currency: EUR}\nnothing: {}\n"
    )


TEXT = st.text(
    st.characters(exclude_categories=("Cs",)) | st.sampled_from("#:,[]{}&*!|>'\"%@` -?~.0123456789eEtrufalsn\n\t"),
    max_size=20,
)
PLAIN = (
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
DATA = st.dictionaries(
    TEXT.filter(lambda text: len(text) > 0),
    st.recursive(
        PLAIN, lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3), max_leaves=8
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(DATA)
def test_whatever_is_written_reads_back_the_same(data: dict[str, Any]) -> None:
    document = parse_text(block(data), file="")
    assert document.problems == ()
    assert document.root is not None
    assert document.root.data() == data
