"""What a YAML parser's refusal means to the person who wrote the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import yaml
from yaml.reader import ReaderError

from runner.spec.problems import LINE_BREAKS, Edit, Problem, Related, Span, Step, error, line_starts, span_at

MAX_MENDED = 64 * 1024
"""Largest text that is parsed again to see what its tabs stand for."""
TAB_WIDTHS = (2, 4, 8, 1, 3, 5, 6, 7)

_NO_SPACE = re.compile(r"^(\s*(?:- )?)([A-Za-z_][\w-]*):([^\s/\\].*)$")
_LEADING_TAB = re.compile(r"^ *\t[ \t]*", re.MULTILINE)
_LEADING_SPACES = re.compile(r"^ +(?=[^\s#])", re.MULTILINE)
_NOT_PLAIN = re.compile(r"""^\s*(?:- )?(?:[\w-]+: +)?(?=[%@`])([^\s"\\#](?:[^"\\\n#]*[^\s"\\#])?)[ \t\r]*$""")
_REST_OF_LINE = re.compile(f"[^{''.join(LINE_BREAKS)}]*")
_TOKENS = re.compile(r"""(?<![^\s,\[{:])"(?:[^"\\]|\\.)*"|(?<![^\s,\[{:])'[^']*'|(?<!\S)\#[^\n]*|[\[\]{}]""")
_EXPECTED = re.compile(r"expected ',' or '([\]}])'")


def explain(failure: yaml.YAMLError, text: str, file: str) -> Problem:
    """The problem behind a parser's exception: at its place, in plain words, with the fix when it is known."""
    if isinstance(failure, ReaderError):
        return _unreadable(failure, text, file)
    if not isinstance(failure, yaml.MarkedYAMLError):
        return error("Y101", "this is not YAML", span_at(file, text, 0))
    mark = failure.problem_mark or failure.context_mark
    if mark is None:
        return error("Y101", _plain(failure.problem or "this is not YAML"), span_at(file, text, 0))
    span = span_at(file, text, mark.index)
    context = failure.context or ""
    problem = (failure.problem or "").strip()
    start = failure.context_mark
    began = span if start is None else span_at(file, text, start.index)
    related = (Related("this began here", began),) if began.line != span.line else ()

    if "'\\t'" in problem or (text[mark.index : mark.index + 1] == "\t"):
        step = _without_tabs(text, file, mark)
        return error("Y101", "a tab cannot be used for indentation", span, hint=step.hint, fix=step.fix)
    expected = _EXPECTED.search(problem)
    if expected is not None and start is not None:
        return _not_closed(expected[1], began, span, at_end="stream end" in problem)
    opened = _still_open(text) if "flow node" in context and "found '<stream end>'" in problem else None
    if opened is not None:
        kind, closing = ("list", "]") if text[opened] == "[" else ("mapping", "}")
        return error("Y103", f'this {kind} is never closed: "{closing}" is missing', span_at(file, text, opened))
    if "quoted scalar" in context and "unexpected end" in problem and start is not None:
        quote = text[start.index : start.index + 1]
        return error("Y103", f"this text is never closed: the closing {quote} is missing", began)
    if "mapping values are not allowed" in problem:
        return _second_colon(mark, span, text, file)
    if "'%'" in problem or "'@'" in problem or "'`'" in problem:
        char = text[mark.index : mark.index + 1]
        step = _in_quotes(text, mark, file)
        return error("Y101", f"plain text cannot begin with {char}", span, hint=step.hint, fix=step.fix)
    if "could not find expected ':'" in problem:
        glued = _glued(text, line_starts(text, began.start)[-1], file)
        if glued is not None:
            return glued
        return error("Y101", "a key without a colon", began, hint='write "key: value"')
    if "expected <block end>" in problem and "found ':'" in problem:
        return error("Y101", "a key is missing before the colon", span)
    if "parsing a block" in context and "expected <block end>" in problem:
        hint = "keys of one mapping begin in the same column"
        return error("Y101", "the indentation does not fit the lines above", span, hint=hint, related=related)
    return error("Y101", _plain(problem) or "this is not YAML", span, related=related)


def _unreadable(failure: ReaderError, text: str, file: str) -> Problem:
    position = min(max(int(failure.position or 0), 0), len(text))
    found = next((i for i, char in enumerate(text) if not _printable(char)), position)
    if found < len(text):
        span = span_at(file, text, found)
        message = f"the character U+{ord(text[found]):04X} is not allowed in YAML"
        return error("Y102", message, span, hint="remove it", fix=(Edit(span, ""),))
    return error("Y102", "a character here is not allowed in YAML", span_at(file, text, position))


def _printable(char: str) -> bool:
    return char in "\t\n\r\x85" or " " <= char <= "~" or (char >= "\xa0" and char not in "\ufffe\uffff\ufeff")


def _still_open(text: str) -> int | None:
    """Where the innermost bracket that is not closed stands; quotes and comments are skipped roughly."""
    stack: list[int] = []
    for match in _TOKENS.finditer(text):
        token = match[0]
        if token in "[{":
            stack.append(match.start())
        elif token in "]}" and stack:
            stack.pop()
    return stack[-1] if stack else None


def _not_closed(closing: str, opened: Span, stopped: Span, *, at_end: bool) -> Problem:
    kind = "list" if closing == "]" else "mapping"
    if stopped.line == opened.line and not at_end:
        hint = "put a comma between the values"
        message = f'a comma or "{closing}" is missing in this {kind}'
        return error("Y101", message, stopped, hint=hint, related=(Related("it begins here", opened),))
    message = f'this {kind} is never closed: "{closing}" is missing'
    return error("Y103", message, opened, related=(Related("reading stopped here", stopped),))


def _second_colon(mark: yaml.Mark, span: Span, text: str, file: str) -> Problem:
    for start, end in reversed(list(pairwise(line_starts(text, mark.index)))):
        line = text[start:end].strip()
        if line and not line.startswith("#"):
            glued = _glued(text, start, file)
            if glued is not None:
                return glued
            break
    message = 'a second ":" is not allowed in plain text'
    return error("Y101", message, span, hint="put the value in quotes, or begin a new line for a new key")


def _glued(text: str, start: int, file: str) -> Problem | None:
    """The problem of `spec:1` in the line that begins at `start`; None when it does not look so."""
    match = _NO_SPACE.match(_line(text, start))
    if match is None:
        return None
    colon = start + match.end(2)
    hint = f'write "{match[2]}: {match[3].rstrip()}"'
    fix = (Edit(span_at(file, text, colon + 1, length=0), " "),)
    return error("Y101", "a space is missing after the colon", span_at(file, text, colon), hint=hint, fix=fix)


def _in_quotes(text: str, mark: yaml.Mark, file: str) -> Step:
    """Quotes around a value that begins with a character that plain text may not begin with."""
    start = line_starts(text, mark.index)[-1]
    match = _NOT_PLAIN.match(_line(text, start))
    if match is None or start + match.start(1) != mark.index:
        return Step("put the value in quotes")
    span = span_at(file, text, start + match.start(1), length=len(match[1]))
    return Step(f'put it in quotes: "{match[1]}"', (Edit(span, f'"{match[1]}"'),))


def _without_tabs(text: str, file: str, mark: yaml.Mark) -> Step:
    """Spaces for the tabs, as far down as every width that makes most of the text YAML means the same."""
    tabs = [(match.start(), match[0]) for match in _LEADING_TAB.finditer(text)]
    if text[mark.index : mark.index + 1] == "\t" and not any(a <= mark.index < a + len(lead) for a, lead in tabs):
        tabs.append((mark.index, "\t"))
    if len(text) > MAX_MENDED:
        return Step(_TAB_HINTS[len(tabs) > 1])
    usual = min((len(match[0]) for match in _LEADING_SPACES.finditer(text)), default=TAB_WIDTHS[0])
    readings = {w: _read("".join(_with_spaces(text, tabs, w))) for w in dict.fromkeys((usual, *TAB_WIDTHS))}
    whole = {width: reading for width, reading in readings.items() if reading.stopped is None}
    last = max((reading.stopped for reading in readings.values() if reading.stopped is not None), default=0)
    agree = whole or {width: reading for width, reading in readings.items() if reading.stopped == last}
    width, reading = next(iter(agree.items()))
    if any(other != reading for other in agree.values()) or not reading.further_than(_read(text)):
        return Step(_TAB_HINTS[len(tabs) > 1])
    reached = [(at, lead) for at, lead in tabs if whole or len(line_starts(text, at)) - 1 <= last]
    edits = [Edit(span_at(file, text, at, length=len(lead)), _spaces(lead, width)) for at, lead in reached]
    return Step(_TAB_HINTS[len(edits) > 1], tuple(edits))


_TAB_HINTS = ("replace it with spaces", "replace the tabs with spaces")


def _with_spaces(text: str, tabs: list[tuple[int, str]], width: int) -> Iterator[str]:
    done = 0
    for at, lead in sorted(tabs):
        yield text[done:at]
        yield _spaces(lead, width)
        done = at + len(lead)
    yield text[done:]


def _spaces(lead: str, width: int) -> str:
    return lead.replace("\t", " " * width)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a text says, layout left out, up to the line where it stops being YAML; None when it does not."""

    events: tuple[object, ...]
    stopped: int | None

    def further_than(self, other: _Reading) -> bool:
        """Whether more of the text is YAML."""
        return self.stopped is None or len(self.events) > len(other.events)


def _read(text: str) -> _Reading:
    events: list[object] = []
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            events.append((type(event).__name__, getattr(event, "value", None), getattr(event, "anchor", None)))
    except yaml.YAMLError as exc:
        mark = exc.problem_mark if isinstance(exc, yaml.MarkedYAMLError) else None
        return _Reading(tuple(events), mark.line if mark is not None else 0)
    return _Reading(tuple(events), None)


def _line(text: str, start: int) -> str:
    """From an offset to the end of its line."""
    match = _REST_OF_LINE.match(text, start)
    return "" if match is None else match[0]


def _plain(words: str) -> str:
    """The parser's own words without its notation."""
    return re.sub(r"<([a-z -]+)>", r"\1", words).strip().rstrip(".")
