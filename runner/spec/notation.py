"""The compact notation of a series in a test: `100+1x260` is 100, 101, … 360.

The notation is promtool's. `100+1x3` is 100 and three more, each 1 above the one before: four values. `100-1x3` falls,
`100x3` stays, four values again. `_` is a bar that is missing and `_x3` three of them. Pieces stand one after another
with spaces between them. promtool adds the step up value by value; here the n-th value is start + n x step, so that
0.1 does not gather rounding.

A series is kept as its pieces: `1x40000` is one piece until somebody asks for the array.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from runner.model.panel import FloatArray

MAX_BARS = 50_000
"""Longest series: twice the longest history, and more than two years of bars of five minutes."""
MAX_VALUE = 1e15
"""Largest number in a series; float64 still counts in steps of an eighth there."""

_SPACE = " \t\r\n"
_PIECE = re.compile(r"[^ \t\r\n]+")
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_START = re.compile(rf"[+-]?{_NUMBER}", re.ASCII)
_STEP = re.compile(rf"[+-]{_NUMBER}", re.ASCII)
_COUNT = re.compile(r"x([0-9]+)", re.ASCII)
_WORDS = frozenset({"nan", ".nan", "null", "none", "stale", "-", "na", "n/a", "?"})
"""What others write for a value that is not there."""
_AFTER_NUMBER = "a space, a step such as +1, or x and a count"
_AFTER_STEP = "x and a count"
_AFTER_BLANK = "a space, or x and a count"


class NotationError(ValueError):
    """Text that is no series. `start` and `end` are the characters that are wrong; `hint` may be empty."""

    def __init__(self, message: str, start: int, end: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of a series: `count` values from `first` on, each `step` above the one before; None: missing bars.

    `start` and `end` are the characters that say so, both 0 for a value that was not written in this notation.
    """

    first: float | None
    step: float = 0.0
    count: int = 1
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    def __str__(self) -> str:
        if self.first is None:
            return "_" if self.count == 1 else f"_x{self.count}"
        number = _written(self.first)
        if self.count == 1:
            return number
        step = "" if self.step == 0.0 else f"{'-' if self.step < 0 else '+'}{_written(abs(self.step))}"
        return f"{number}{step}x{self.count - 1}"

    @property
    def last(self) -> float | None:
        """The last of the values."""
        return None if self.first is None else self.first + self.step * (self.count - 1)


@dataclass(frozen=True, slots=True)
class Notation:
    """A series: its pieces one after another."""

    runs: tuple[Run, ...]

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Notation:
        """The series of these values; None is a missing bar. Raises ValueError for one that is not finite."""
        for value in values:
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{value} is not a finite number")
        return cls(tuple(Run(None if value is None else float(value)) for value in values))

    def __len__(self) -> int:
        return sum(run.count for run in self.runs)

    def __str__(self) -> str:
        return " ".join(str(run) for run in self.runs)

    def present(self, bars: int = MAX_BARS) -> int:
        """How many of the first `bars` bars are not missing."""
        found = 0
        for run in self.runs:
            if run.first is not None:
                found += min(run.count, bars)
            bars -= min(run.count, bars)
        return found

    def values(self) -> FloatArray:
        """(n,) float64, NaN for a missing bar."""
        pieces = [
            np.full(run.count, np.nan) if run.first is None else run.first + run.step * np.arange(run.count)
            for run in self.runs
        ]
        return np.concatenate(pieces) if pieces else np.empty(0)

    def first_below(self, limit: float, *, or_at: bool = False) -> tuple[int, Run] | None:
        """The first bar (from 0) whose value is below `limit`, or at it, and the piece it is in; without expanding."""
        before = 0
        for run in self.runs:
            if run.first is not None and run.last is not None:
                found = _first_below(run.first, run.step, run.count, limit, or_at)
                if found is not None:
                    return before + found, run
            before += run.count
        return None

    def run_at(self, bar: int) -> Run:
        """The piece that holds a bar, counted from 0. Raises IndexError."""
        for run in self.runs:
            if bar < run.count:
                return run
            bar -= run.count
        raise IndexError(bar)


def parse_notation(text: str) -> Notation:
    """Read a series. Raises NotationError, and nothing else, for text that is none."""
    runs: list[Run] = []
    length = 0
    for match in _PIECE.finditer(text):
        run = _run(text, match.start(), match.end())
        length += run.count
        if length > MAX_BARS:
            raise NotationError(
                f"a series of more than {MAX_BARS:,} bars", run.start, run.end, "a test is about a few hundred bars"
            )
        if run.count:
            runs.append(run)
    if not runs:
        raise NotationError("there is no value", 0, len(text), 'write values such as "100 101 102", or "100+1x260"')
    return Notation(tuple(runs))


def _run(text: str, start: int, end: int) -> Run:
    """The piece that stands there."""
    if text[start] == "_":
        count = _count(text, start + 1, end, extra=0, allowed=_AFTER_BLANK) if start + 1 < end else 1
        return Run(None, 0.0, count, start, end)
    number = _START.match(text, start, end)
    if number is None:
        raise _no_number(text, start, end)
    first, at = _finite(number), number.end()
    step = 0.0
    stepped = _STEP.match(text, at, end)
    if stepped is not None:
        step, at = _finite(stepped), stepped.end()
    elif at < end and text[at] in "+-":
        raise NotationError('a number is missing after the sign, as in "100+1x260"', at, at + 1)
    if at == end:
        if stepped is None:
            return Run(first, 0.0, 1, start, end)
        piece = text[start:end][:40]
        raise NotationError(f"how often {piece} goes on is missing", start, end, f'write "{piece}x260"')
    count = _count(text, at, end, extra=1, allowed=_AFTER_NUMBER if stepped is None else _AFTER_STEP)
    run = Run(first, step if count > 1 else 0.0, count, start, end)
    if abs(first + step * (count - 1)) > MAX_VALUE:
        raise NotationError(f"the series goes beyond {MAX_VALUE:g}", start, end)
    return run


def _count(text: str, at: int, end: int, *, extra: int, allowed: str) -> int:
    """Values of a piece whose `x` and number stand from `at` to `end`; `allowed` is what could stand at `at`."""
    match = _COUNT.match(text, at, end)
    if match is None:
        raise _unexpected(text, at, allowed)
    if match.end() < end:
        raise _unexpected(text, match.end(), "a space")
    digits = match[1].lstrip("0") or "0"
    if len(digits) > len(str(MAX_BARS)) or int(digits) + extra > MAX_BARS:
        raise NotationError(f"a series of more than {MAX_BARS:,} bars", at, end, "a test is about a few hundred bars")
    return int(digits) + extra


def _finite(match: re.Match[str]) -> float:
    value = float(match[0])
    if not abs(value) <= MAX_VALUE:
        raise NotationError(f"a number in a series is at most {MAX_VALUE:g}", match.start(), match.end())
    return value


def _no_number(text: str, start: int, end: int) -> NotationError:
    piece = text[start:end]
    if piece.casefold() in _WORDS:
        return NotationError(f'"{piece}" is not a number', start, end, 'a bar that is missing is written "_"')
    at = start + 1 if text[start] in "+-" and start + 1 < end else start
    return NotationError(f'"{_shown(text[at])}" cannot begin a number', at, at + 1, _hint(text[at]))


def _unexpected(text: str, at: int, allowed: str) -> NotationError:
    char = text[at]
    if char == "x" and allowed != "a space":
        return NotationError('a whole number is missing after "x", as in "100+1x260"', at, at + 1)
    return NotationError(f'"{_shown(char)}" cannot stand here, only {allowed}', at, at + 1, _hint(char))


def _hint(char: str) -> str:
    return {
        ",": 'separate values with spaces: "100 101 102"',
        ";": 'separate values with spaces: "100 101 102"',
        "X": 'write a small "x"',
        "*": 'write "x": "100+1x260"',
        "×": 'write "x": "100+1x260"',
        "%": "write numbers without %",
        "$": "write prices without a currency",
        "−": 'write a plain "-"',
    }.get(char, "")


def _shown(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


def _first_below(first: float, step: float, count: int, limit: float, or_at: bool) -> int | None:
    def below(value: float) -> bool:
        return value < limit or (or_at and value == limit)

    if below(first):
        return 0
    if step >= 0.0 or not below(first + step * (count - 1)):
        return None
    # The quotient is within a bar of the answer; rounding decides on which side.
    bar = max(1, min(count - 1, int((first - limit) / -step) - 1))
    while not below(first + step * bar):
        bar += 1
    return bar


def _written(value: float) -> str:
    """The shortest text that reads as this number."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
