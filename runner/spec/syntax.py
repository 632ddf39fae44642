"""What a YAML parser's refusal means to the person who wrote the file."""

from __future__ import annotations

import re

import yaml
from yaml.reader import ReaderError

from runner.spec.problems import Problem, Related, Span, error

_NO_SPACE = re.compile(r"^(\s*(?:- )?)([A-Za-z_][\w-]*):(\S.*)$")
_TOKENS = re.compile(r"""(?<![^\s,\[{:])"(?:[^"\\]|\\.)*"|(?<![^\s,\[{:])'[^']*'|(?<!\S)\#[^\n]*|[\[\]{}]""")
_EXPECTED = re.compile(r"expected ',' or '([\]}])'")


def explain(failure: yaml.YAMLError, text: str, file: str) -> Problem:
    """The problem behind a parser's exception: at its place, in plain words, with the fix when it is known."""
    if isinstance(failure, ReaderError):
        return _unreadable(failure, text, file)
    if not isinstance(failure, yaml.MarkedYAMLError):
        return error("Y101", "this is not YAML", _at(file, text, 0))
    mark = failure.problem_mark or failure.context_mark
    if mark is None:
        return error("Y101", _plain(failure.problem or "this is not YAML"), _at(file, text, 0))
    span = _mark(file, mark)
    context = failure.context or ""
    problem = (failure.problem or "").strip()
    start = failure.context_mark
    related: tuple[Related, ...] = ()
    if start is not None and start.line != mark.line:
        related = (Related("this began here", _mark(file, start)),)

    if "'\\t'" in problem or (text[mark.index : mark.index + 1] == "\t"):
        return error("Y101", "a tab cannot be used for indentation", span, hint="replace it with spaces")
    expected = _EXPECTED.search(problem)
    if expected is not None and start is not None:
        return _not_closed(expected[1], start, mark, file, at_end="stream end" in problem)
    opened = _still_open(text) if "flow node" in context and "found '<stream end>'" in problem else None
    if opened is not None:
        kind, closing = ("list", "]") if text[opened] == "[" else ("mapping", "}")
        return error("Y103", f'this {kind} is never closed: "{closing}" is missing', _at(file, text, opened))
    if "quoted scalar" in context and "unexpected end" in problem and start is not None:
        quote = text[start.index : start.index + 1]
        return error("Y103", f"this text is never closed: the closing {quote} is missing", _mark(file, start))
    if "mapping values are not allowed" in problem:
        return _second_colon(mark, span, text, file)
    if "'%'" in problem or "'@'" in problem or "'`'" in problem:
        char = text[mark.index : mark.index + 1]
        return error("Y101", f"plain text cannot begin with {char}", span, hint="put the value in quotes")
    if "could not find expected ':'" in problem:
        return error("Y101", "a key without a colon", related[0].span if related else span, hint='write "key: value"')
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
        span = _at(file, text, found)
        return error("Y102", f"the character U+{ord(text[found]):04X} is not allowed in YAML", span, hint="remove it")
    return error("Y102", "a character here is not allowed in YAML", _at(file, text, position))


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


def _not_closed(closing: str, start: yaml.Mark, mark: yaml.Mark, file: str, *, at_end: bool) -> Problem:
    kind = "list" if closing == "]" else "mapping"
    if mark.line == start.line and not at_end:
        hint = "put a comma between the values"
        message = f'a comma or "{closing}" is missing in this {kind}'
        return error(
            "Y101", message, _mark(file, mark), hint=hint, related=(Related("it begins here", _mark(file, start)),)
        )
    related = (Related("reading stopped here", _mark(file, mark)),)
    return error("Y103", f'this {kind} is never closed: "{closing}" is missing', _mark(file, start), related=related)


def _second_colon(mark: yaml.Mark, span: Span, text: str, file: str) -> Problem:
    lines = text.split("\n")
    above = mark.line - 1
    while above >= 0 and (not lines[above].strip() or lines[above].lstrip().startswith("#")):
        above -= 1
    match = _NO_SPACE.match(lines[above]) if above >= 0 else None
    if match is not None:
        offset = sum(len(line) + 1 for line in lines[:above]) + len(match[1]) + len(match[2])
        hint = f'write "{match[2]}: {match[3].rstrip()}"'
        return error("Y101", "a space is missing after the colon", _at(file, text, offset), hint=hint)
    message = 'a second ":" is not allowed in plain text'
    return error("Y101", message, span, hint="put the value in quotes, or begin a new line for a new key")


def _plain(words: str) -> str:
    """The parser's own words without its notation."""
    return re.sub(r"[<>]", "", words).strip().rstrip(".")


def _mark(file: str, mark: yaml.Mark) -> Span:
    return Span(file, mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2, mark.index, mark.index + 1)


def _at(file: str, text: str, offset: int) -> Span:
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    return Span(file, line, column, line, column + 1, offset, offset + 1)
