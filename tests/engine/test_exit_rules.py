"""Several exits become the one array that the kernel reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from runner.engine.exit_rules import ExitRules
from runner.model.panel import BoolArray, Panel

ONE = np.ones((3, 2))
PANEL = Panel(
    symbols=("A", "B"),
    times=np.arange(3).astype("datetime64[D]").astype("datetime64[ns]"),
    open=ONE, high=ONE, low=ONE, close=ONE, volume=ONE,
)  # fmt: skip


@dataclass(frozen=True)
class Says:
    """An exit with a canned answer."""

    name: ClassVar[str] = "says"
    long: Any
    short: Any
    warmup: int = 1

    def compute(self, panel: Panel) -> tuple[BoolArray, BoolArray]:
        if isinstance(self.long, Exception):
            raise self.long
        return np.array(self.long), np.array(self.short)


def test_what_any_exit_says_to_leave_is_left() -> None:
    nothing = [[False, False]] * 3
    first = Says([[False, False], [True, False], [True, False]], nothing)
    second = Says(nothing, [[False, False], [False, True], [True, False]], warmup=7)
    rules = ExitRules({"first": first, "second": second})
    assert rules.leave(PANEL).tolist() == [[0.0, 0.0], [1.0, -1.0], [2.0, 0.0]]
    assert rules.warmup == 7 and rules


def test_without_exits_nothing_must_be_left() -> None:
    rules = ExitRules({})
    assert not rules and rules.warmup == 0 and not rules.leave(PANEL).any()


@pytest.mark.parametrize(
    ("long", "error"),
    [
        ([[True, False]], "returned bool of shape (1, 2) for a panel of shape (3, 2)"),
        ([[1.0, 0.0]] * 3, "returned float64 of shape (3, 2)"),
        (LookupError("gone"), "gone"),
    ],
)
def test_an_exit_that_breaks_its_promise_is_named(long: Any, error: str) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        ExitRules({"mine": Says(long, [[False, False]] * 3)}).leave(PANEL)
    assert error in str(caught.value)
    assert caught.value.__notes__ == ["in exit mine (says)"]
