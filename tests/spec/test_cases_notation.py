"""The compact notation of series: what it means, where it is wrong, and that nothing makes it raise anything else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.spec.notation import MAX_BARS, MAX_VALUE, Notation, NotationError, Run, parse_notation

NAN = math.nan


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("100", [100]),
        ("100 101 _ 99", [100, 101, NAN, 99]),
        ("-2+4x3", [-2, 2, 6, 10]),
        ("1-2x4", [1, -1, -3, -5, -7]),
        ("1x4", [1, 1, 1, 1, 1]),
        ("1 _x3 2", [1, NAN, NAN, NAN, 2]),
        ("1x0 2+1x0", [1, 2]),
        ("_x0 5", [5]),
        ("  1\t2\n 3 ", [1, 2, 3]),
        (".5+.25x2 5.", [0.5, 0.75, 1.0, 5.0]),
        ("1e2-1e1x2", [100, 90, 80]),
        ("1e-3x1 -1e-3-1e-3x1", [0.001, 0.001, -0.001, -0.002]),
        ("+1+1x1", [1, 2]),
        ("007x0", [7]),
        ("100x002", [100, 100, 100]),
    ],
)
def test_a_series_means_what_promtool_means(text: str, values: list[float]) -> None:
    np.testing.assert_array_equal(parse_notation(text).values(), np.array(values, dtype=float))


def test_steps_do_not_gather_rounding() -> None:
    assert parse_notation("100+0.1x1000").values()[1000] == 100 + 0.1 * 1000 == 200.0


@pytest.mark.parametrize(
    ("text", "wrong", "words"),
    [
        ("100+1y260", "y", "x and a count"),
        ("100, 101", ",", "only a space"),
        ("100 1O1", "O", "only a space"),
        ("100+1", "100+1", "how often"),
        ("100+", "+", "a number is missing"),
        ("100+-1x3", "+", "a number is missing"),
        ("100x", "x", "a whole number is missing"),
        ("100+1xx", "x", "a whole number is missing"),
        ("100x3.5", ".", "only a space"),
        ("100x3x4", "x", "only a space"),
        ("_5", "5", "a space, or x and a count"),
        ("_x", "x", "a whole number is missing"),
        ("1 nan", "nan", "is not a number"),
        ("1 stale", "stale", "is not a number"),
        ("1 .inf", ".", "cannot begin a number"),
        ("abc", "a", "cannot begin a number"),
        ("１", "１", "cannot begin a number"),
        ("100X3", "X", "x and a count"),
        ("5%", "%", "only a space"),
        ("$5", "$", "cannot begin"),
        ("1e999", "1e999", "at most"),
        ("1+1e15x2", "1+1e15x2", "goes beyond"),
        (f"1x{MAX_BARS}", f"x{MAX_BARS}", "more than 50,000 bars"),
        ("1x" + "9" * 5000, "x" + "9" * 5000, "more than 50,000 bars"),
        ("1x40000 2x40000", "2x40000", "more than 50,000 bars"),
    ],
)
def test_what_is_wrong_is_shown_at_its_characters(text: str, wrong: str, words: str) -> None:
    with pytest.raises(NotationError, match=words) as caught:
        parse_notation(text)
    assert text[caught.value.start : caught.value.end] == wrong


@pytest.mark.parametrize("text", ["", " ", "\n", "_x0"])
def test_a_series_without_a_value_is_none(text: str) -> None:
    with pytest.raises(NotationError, match="no value"):
        parse_notation(text)


NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: value + 0.0)
RUNS = st.one_of(
    st.builds(lambda count: Run(None, 0.0, count), st.integers(1, 50)),
    st.builds(lambda first: Run(first), NUMBERS),
    st.builds(Run, NUMBERS, NUMBERS, st.integers(2, 50)),
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(RUNS, min_size=1, max_size=8))
def test_a_series_that_is_written_reads_as_itself(runs: list[Run]) -> None:
    series = Notation(tuple(runs))
    again = parse_notation(str(series))
    assert again == series
    values = series.values()
    assert len(values) == len(series) == sum(run.count for run in runs) and values.dtype == np.float64
    for bars in (0, 1, len(series) // 2, len(series)):
        assert series.present(bars) == np.count_nonzero(np.isfinite(values[:bars]))
    assert [series.run_at(bar) for bar in (0, len(series) - 1)] == [runs[0], runs[-1]]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(RUNS, min_size=1, max_size=6), NUMBERS, st.booleans())
def test_the_first_bar_below_a_limit_is_found_without_expanding(runs: list[Run], limit: float, or_at: bool) -> None:
    series = Notation(tuple(runs))
    values = series.values()
    below = np.flatnonzero((values < limit) | ((values == limit) & or_at))
    found = series.first_below(limit, or_at=or_at)
    assert (None if found is None else found[0]) == (None if len(below) == 0 else int(below[0]))
    if found is not None:
        assert found[1] == series.run_at(found[0])


ALPHABET = st.one_of(st.text(max_size=40), st.text(alphabet="0123456789+-x_.eE \n,Xna", max_size=40))


@settings(max_examples=600, deadline=None, derandomize=True)
@given(ALPHABET)
def test_any_text_is_a_series_or_says_where_it_is_none(text: str) -> None:
    try:
        series = parse_notation(text)
    except NotationError as exc:
        assert 0 <= exc.start <= exc.end <= len(text)
        assert exc.message and not exc.message.endswith(".")
        return
    values = series.values()
    assert 1 <= len(values) <= MAX_BARS
    assert not np.isinf(values).any() and np.nanmax(np.abs(values), initial=0.0) <= MAX_VALUE
    assert parse_notation(str(series)) == Notation(tuple(series.runs))


def test_a_list_of_numbers_is_a_series() -> None:
    assert str(Notation.of([100, 100.5, None])) == "100 100.5 _"
    with pytest.raises(ValueError, match="finite"):
        Notation.of([math.inf])


def test_the_piece_of_a_bar_beyond_the_end_is_an_error() -> None:
    with pytest.raises(IndexError):
        parse_notation("1x3").run_at(4)
