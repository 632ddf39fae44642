"""One thing that is wrong with a file, and where.

Codes are stable and never reused: Y1xx text and YAML, S2xx shape, W3xx warnings, M4xx meaning (between fields and
between files), C5xx code that a spec names, E6xx environment.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import TypeAlias

LINE_BREAKS = ("\n", "\r", "\x85", "\u2028", "\u2029")
"""What ends a line in YAML, and so in the positions of its parsers; CR and LF together are one."""
_LINE_BREAK = re.compile(f"\r\n|[{''.join(LINE_BREAKS)}]")

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value is in a document: keys, and 0-based positions in lists."""


class Severity(StrEnum):
    """How much a problem matters."""

    ERROR = "error"
    """The file is not used."""
    WARNING = "warning"
    """The file is used as the message says."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text in a file.

    Lines and columns count from 1, columns in characters; `start` and `end` are character offsets from 0; the end is
    exclusive.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that explains the first, with its reason: `first set here`."""

    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of text in place of what stands in `span`; an empty span is an insertion."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """The next step after a problem: `hint` says it, `fix` does it where there is one way to do it.

    Both are made in one place, from one text, so that they cannot disagree.
    """

    hint: str = ""
    fix: tuple[Edit, ...] = ()


NO_STEP = Step()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong, in the author's words, with the value; where; and one concrete next step.

    `message` is a sentence without a full stop; `hint` is empty when there is nothing useful to add; `path` is the
    field's dotted path (`params.stop_loss`, `universe.symbols[2]`), empty for the whole file. `fix` is there only when
    there is one way to write what was meant: its edits do exactly what the hint says.
    """

    code: str
    severity: Severity
    message: str
    span: Span
    path: str = ""
    hint: str = ""
    related: tuple[Related, ...] = ()
    fix: tuple[Edit, ...] = ()

    @property
    def file(self) -> str:
        return self.span.file

    @property
    def line(self) -> int:
        return self.span.line

    @property
    def column(self) -> int:
        return self.span.column

    @property
    def end_line(self) -> int:
        return self.span.end_line

    @property
    def end_column(self) -> int:
        return self.span.end_column

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR


def error(
    code: str,
    message: str,
    span: Span,
    *,
    path: KeyPath = (),
    hint: str = "",
    related: Iterable[Related] = (),
    fix: Iterable[Edit] = (),
) -> Problem:
    """A problem that keeps the file from being used."""
    return Problem(
        code=code,
        severity=Severity.ERROR,
        message=message,
        span=span,
        path=dotted(path),
        hint=hint,
        related=tuple(related),
        fix=tuple(fix),
    )


def warning(
    code: str,
    message: str,
    span: Span,
    *,
    path: KeyPath = (),
    hint: str = "",
    related: Iterable[Related] = (),
    fix: Iterable[Edit] = (),
) -> Problem:
    """A problem that the author should know of; the file is used."""
    return Problem(
        code=code,
        severity=Severity.WARNING,
        message=message,
        span=span,
        path=dotted(path),
        hint=hint,
        related=tuple(related),
        fix=tuple(fix),
    )


def line_starts(text: str, end: int) -> list[int]:
    """Where the lines of `text` begin, up to the one that holds the offset `end`; lines as YAML counts them."""
    return [0, *takewhile(lambda start: start <= end, (found.end() for found in _LINE_BREAK.finditer(text)))]


def span_at(file: str, text: str, start: int, *, length: int = 1) -> Span:
    """A stretch of one line, `length` characters from the offset `start`."""
    starts = line_starts(text, start)
    line, column = len(starts), start - starts[-1] + 1
    return Span(file, line, column, line, column + length, start, start + length)


def whole_file(file: str) -> Span:
    """Line 1, column 1: where a problem of the file itself is shown."""
    return Span(file, 1, 1, 1, 1, 0, 0)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By file and position, each once."""
    unique = {(p.code, p.span, p.message): p for p in problems}
    return tuple(sorted(unique.values(), key=lambda p: (p.span.file, p.span.start, p.code, p.message)))


def dotted(path: KeyPath) -> str:
    """`("universe", "symbols", 2)` as `universe.symbols[2]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def is_clean(problems: Sequence[Problem], path: KeyPath) -> bool:
    """Whether nothing is wrong at `path` and below; warnings do not count."""
    if not problems:
        return True  # of most files, which are asked this dozens of times
    here = dotted(path)
    below = (f"{here}.", f"{here}[")
    return not any(p.is_error and (p.path == here or p.path.startswith(below)) for p in problems)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` was probably meant to be: best ratio of at least 0.6, case folded."""
    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(name.casefold(), name)
    matches = difflib.get_close_matches(word.casefold()[:64], folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None
