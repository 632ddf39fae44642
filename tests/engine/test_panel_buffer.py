"""The window of bars: order of arrival does not matter, memory is bounded, copies are safe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.engine.panel import PanelBuffer
from runner.model.bars import Bar

START = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)


def bar(minute: int, close: float, **other: float) -> Bar:
    prices = {"open": close, "high": close, "low": close} | other
    return Bar(start=START + timedelta(minutes=minute), close=close, volume=10.0, **prices)


def test_bars_are_aligned_on_the_union_of_their_times() -> None:
    buffer = PanelBuffer(("A", "B"), capacity=10)
    for minute, close in ((0, 1.0), (2, 3.0)):
        buffer.put("A", bar(minute, close))
    buffer.put("B", bar(1, 20.0))
    buffer.put("B", bar(2, 30.0))
    panel = buffer.panel()
    np.testing.assert_array_equal(panel.close, [[1, np.nan], [np.nan, 20], [3, 30]])
    expected = [np.datetime64((START + timedelta(minutes=m)).replace(tzinfo=None), "ns") for m in range(3)]
    assert panel.times.tolist() == [stamp.astype(int) for stamp in expected]
    assert panel.times.dtype == np.dtype("datetime64[ns]")


def test_a_bar_of_the_same_start_replaces_the_earlier_one() -> None:
    buffer = PanelBuffer(("A",), capacity=3)
    buffer.put("A", bar(0, 1.0))
    buffer.put("A", bar(0, 2.0, high=5.0))
    panel = buffer.panel()
    assert (panel.close[0, 0], panel.high[0, 0], panel.bars) == (2.0, 5.0, 1)


def test_rows_are_complete_when_every_symbol_has_its_bar() -> None:
    buffer = PanelBuffer(("A", "B"), capacity=3)
    buffer.put("A", bar(0, 1.0))
    assert not buffer.rows_complete(bar(0, 1.0).start)
    assert buffer.missing(bar(0, 1.0).start) == ("B",)
    assert buffer.missing(bar(5, 1.0).start) == ("A", "B")
    buffer.put("B", bar(0, 1.0))
    assert buffer.rows_complete(bar(0, 1.0).start)


def test_prices_that_are_none_are_not_taken() -> None:
    buffer = PanelBuffer(("A",), capacity=3)
    for close in (float("nan"), -1.0, 0.0, float("inf")):
        assert not buffer.put("A", bar(0, close))
    assert len(buffer) == 0
    assert buffer.put("A", bar(0, 5.0, high=-1.0, low=float("nan")))
    panel = buffer.panel()
    assert np.isnan(panel.high[0, 0]) and np.isnan(panel.low[0, 0]) and panel.open[0, 0] == 5.0


def test_a_copy_does_not_change_with_later_bars() -> None:
    buffer = PanelBuffer(("A",), capacity=2)
    buffer.put("A", bar(0, 1.0))
    before = buffer.panel()
    buffer.put("A", bar(0, 2.0))
    assert before.close[0, 0] == 1.0


def test_what_cannot_be_a_buffer_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity must be at least 1"):
        PanelBuffer(("A",), capacity=0)
    with pytest.raises(ValueError, match="a symbol appears twice"):
        PanelBuffer(("A", "A"), capacity=5)
    with pytest.raises(KeyError):
        PanelBuffer(("A",), capacity=5).put("B", bar(0, 1.0))


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from("AB"), st.integers(1, 99)), max_size=60),
)
def test_the_buffer_is_the_newest_times_of_a_plain_dict(capacity: int, puts: list[tuple[int, str, int]]) -> None:
    buffer = PanelBuffer(("A", "B"), capacity=capacity)
    model: dict[int, dict[str, float]] = {}
    for minute, symbol, close in puts:
        taken = buffer.put(symbol, bar(minute, float(close)))
        full = len(model) == capacity and minute not in model
        assert taken == (not full or minute > min(model))
        if taken:
            model.setdefault(minute, {})[symbol] = float(close)
            if len(model) > capacity:
                del model[min(model)]
    panel = buffer.panel()
    rows = [[model[minute].get(symbol, np.nan) for symbol in "AB"] for minute in sorted(model)]
    np.testing.assert_array_equal(panel.close, np.array(rows).reshape(-1, 2))
    assert len(buffer) == panel.bars == len(model)
