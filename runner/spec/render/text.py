"""Problems as text: each with its source line, carets under the place, and the next step.

No colour codes unless asked. Widths are those of display cells: tabs are shown as four columns, control characters are
escaped, so that a file cannot write to the reader's terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runner.spec.problems import Problem, Severity, Span

MAX_PER_FILE = 50
"""Problems shown in full for one file; the rest are counted."""
MAX_CELLS = 160
"""Widest source line shown; wider ones are cut around the caret."""
KEPT_CELLS = 60
"""What is kept in front of the caret of a line that is cut there."""
MAX_QUOTED = 60
"""As much of a value is repeated inside a sentence."""
_BREAKS = "\n\r\x85\u2028\u2029"
_RED, _YELLOW, _BLUE, _BOLD, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class _Label:
    span: Span
    mark: str
    text: str


def render_text(problems: Iterable[Problem], sources: Mapping[str, str], *, colour: bool = False) -> str:
    """Each problem with its source line, carets and hint, a blank line between them.

    `sources` maps a problem's file to its text; a problem of a file that is not there is shown without the line.
    """
    blocks: list[str] = []
    shown: dict[str, int] = {}
    hidden: dict[str, int] = {}
    for problem in problems:
        count = shown.get(problem.file, 0)
        if count >= MAX_PER_FILE:
            hidden[problem.file] = hidden.get(problem.file, 0) + 1
            continue
        shown[problem.file] = count + 1
        blocks.append(_block(problem, sources, colour))
    blocks.extend(f"{safe(file)}: and {count} more" for file, count in hidden.items())
    return "\n\n".join(blocks) + ("\n" if blocks else "")


def _block(problem: Problem, sources: Mapping[str, str], colour: bool) -> str:
    tint = _RED if problem.severity is Severity.ERROR else _YELLOW
    labels = [_Label(problem.span, "^", "")]
    elsewhere: list[_Label] = []
    for related in problem.related:
        label = _Label(related.span, "-", related.message)
        (labels if related.span.file == problem.file else elsewhere).append(label)
    gutter = max(len(str(label.span.line)) for label in (*labels, *elsewhere))
    head = f"{problem.severity}[{problem.code}]"
    lines = [f"{_paint(head, tint + _BOLD, colour)}: {safe(problem.message)}"]
    lines.append(f"{' ' * gutter}--> {safe(problem.file)}:{problem.line}:{problem.column}")
    lines += _snippet(labels, sources.get(problem.file), gutter, tint, colour)
    for label in elsewhere:
        lines.append(f"{' ' * gutter}::: {safe(label.span.file)}:{label.span.line}:{label.span.column}")
        lines += _snippet([label], sources.get(label.span.file), gutter, tint, colour)
    if problem.hint:
        lines.append(f"{' ' * gutter} = hint: {safe(problem.hint)}")
    return "\n".join(lines)


def _snippet(labels: list[_Label], source: str | None, gutter: int, tint: str, colour: bool) -> list[str]:
    if not source:
        return []
    lines: list[str] = []
    last: int | None = None
    for label in sorted(labels, key=lambda item: (item.span.line, item.span.column)):
        span = label.span
        start = max(0, span.start - (span.column - 1))
        end = start
        while end < len(source) and source[end] not in _BREAKS:
            end += 1
        shown, before, width = _window(source[start:end], span, start)
        if span.line != last:
            number = _paint(f"{span.line:>{gutter}} |", _BLUE, colour)
            lines.append(f"{number} {shown}".rstrip())
        last = span.line
        under = label.mark * width
        text = f" {safe(label.text)}" if label.text else ""
        bar = _paint(f"{'':>{gutter}} |", _BLUE, colour)
        lines.append(f"{bar} {' ' * before}{_paint(under, tint if label.mark == '^' else _BLUE, colour)}{text}")
    return lines


def _window(line: str, span: Span, start: int) -> tuple[str, int, int]:
    """The line as shown, the cells before the mark, and the mark's width in cells (at least one)."""
    a = min(max(span.start - start, 0), len(line))
    b = min(max(span.end - start, a), len(line))
    prefix, marked, suffix = _display(line[:a]), _display(line[a:b]), _display(line[b:])
    before, width = _cells(prefix), max(1, _cells(marked))
    if before + width > MAX_CELLS and before > KEPT_CELLS:
        prefix = "… " + _last_cells(prefix, KEPT_CELLS - 2)
        before = _cells(prefix)
    shown = prefix + marked + suffix
    if _cells(shown) > MAX_CELLS:
        shown = _last_cells(shown[::-1], MAX_CELLS - 2)[::-1] + " …"
        width = max(1, min(width, MAX_CELLS - 2 - before))
    return shown, before, width


def _last_cells(text: str, cells: int) -> str:
    """The end of `text`, no wider than `cells`."""
    start = len(text)
    while start and (cells := cells - _cells(text[start - 1])) >= 0:
        start -= 1
    return text[start:]


def _display(text: str) -> str:
    return "".join("    " if char == "\t" else char if char.isprintable() else _escape(char) for char in text)


def safe(text: str) -> str:
    """Text in which nothing controls a terminal: what cannot be printed is shown as its escape."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def brief(text: str) -> str:
    """Text of somebody else's inside a sentence: nothing in it controls a terminal, and a long one is cut."""
    shown = safe(text[: MAX_QUOTED + 1])
    return shown if len(shown) <= MAX_QUOTED else f"{shown[: MAX_QUOTED - 1]}…"


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _cells(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _paint(text: str, code: str, colour: bool) -> str:
    return f"{code}{text}{_RESET}" if colour else text
