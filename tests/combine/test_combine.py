"""Combiners: truth tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runner.combine.all_of import AllOf
from runner.combine.any_of import AnyOf
from runner.combine.first import First
from runner.combine.weighted import Weighted

NAN = float("nan")


@pytest.mark.parametrize(
    ("first", "second", "all_of", "any_of", "first_of"),
    [
        (1, 1, 1, 1, 1),
        (1, 0.5, 0.5, 1, 1),
        (1, 0, 0, 1, 1),
        (0, 1, 0, 1, 1),
        (0, 0, 0, 0, 0),
        (1, -1, 0, 0, 1),
        (-1, -0.5, -0.5, -1, -1),
        (-1, 0, 0, -1, -1),
        (0, -1, 0, -1, -1),
        (NAN, 1, NAN, NAN, NAN),
        (1, NAN, NAN, NAN, 1),
        (0, NAN, NAN, NAN, NAN),
    ],
)
def test_two_signals(first: float, second: float, all_of: float, any_of: float, first_of: float) -> None:
    scores = {"a": np.array([[first]], dtype=float), "b": np.array([[second]], dtype=float)}
    np.testing.assert_array_equal(AllOf().compute(scores), [[all_of]])
    np.testing.assert_array_equal(AnyOf().compute(scores), [[any_of]])
    np.testing.assert_array_equal(First().compute(scores), [[first_of]])


@pytest.mark.parametrize(
    ("weights", "threshold", "scores", "expected"),
    [
        ({"a": 0.8, "b": 0.2}, 0.5, (1, 0), 0.8),
        ({"a": 0.8, "b": 0.2}, 0.5, (0, 1), 0.0),
        ({"a": 1, "b": 1}, 0.5, (1, 0), 0.5),
        ({"a": 0.3, "b": 0.3, "c": 0.6}, 0.5, (1, 1, 0), 0.5),
        ({"a": 1, "b": -1}, 0.0, (1, -1), 1.0),
        ({"a": 0.8, "b": 0.2}, 0.5, (1, NAN), NAN),
        ({"a": 3, "b": 1}, 0.0, (-1, 1), -0.5),
    ],
)
def test_weighted(weights: dict[str, float], threshold: float, scores: tuple[float, ...], expected: float) -> None:
    block = Weighted(weights=weights, threshold=threshold)
    arrays = {name: np.array([[score]], dtype=float) for name, score in zip(weights, scores, strict=True)}
    np.testing.assert_allclose(block.compute(arrays), [[expected]], rtol=1e-15)


@pytest.mark.parametrize(
    ("block", "signals", "sentence"),
    [
        (Weighted(weights={"a": 1.0}), ("a", "b"), "weights has no weight for the signal b"),
        (Weighted(weights={"a": 1.0, "x": 1.0}), ("a",), "weights has x, but there is no signal of that name"),
        (AllOf(), (), "all_of needs at least one signal"),
        (AnyOf(), (), "any_of needs at least one signal"),
        (First(), (), "first needs at least one signal"),
    ],
)
def test_signals_that_do_not_fit_are_refused(block: Any, signals: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        block.check(signals)


def test_weights_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="weights must not all be 0"):
        Weighted(weights={"a": 0.0})
