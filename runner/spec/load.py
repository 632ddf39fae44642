"""Strict YAML: text to nodes with positions.

YAML 1.2 core scalars on PyYAML's C parser. The parser's events are read one by one into `Node`s, without recursion and
against a budget, so that neither deep nesting nor aliases that multiply can hurt. When the C parser refuses, the text
is parsed a second time by the pure parser, which explains itself better. Refused: duplicate keys, tags, directives,
merge keys, numbers that are not finite, several documents in one file, keys that are not plain text.
"""

from __future__ import annotations

import math
import os
import re
import stat
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import yaml
from yaml._yaml import CParser
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from runner.spec.problems import LINE_BREAKS, Edit, KeyPath, Problem, Related, Span, error, span_at, whole_file
from runner.spec.syntax import explain

MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
"""Counted after aliases are expanded."""
MAX_DEPTH = 40
MAX_DIGITS = 400
"""Longest number that is read; anything longer is a mistake."""
MAX_PROBLEMS = 200
"""Problems of the text of one file; reading stops there."""
EXPLAIN_BYTES = 64 * 1024
"""The slow second parse, for the better message, is only made up to this size."""

_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", re.ASCII)
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_INNER_TABS = re.compile(r"(?<=[^\s])[ \t]*\t[ \t]*")
_NO_TEXT = re.compile("[\ud800-\udfff\ufeff]")
"""What the parsers do not agree on, in counting or in refusing it."""
_CONFLICT = re.compile(r"^(?:<{7}|>{7}|\|{7})(?: .*)?$|^={7}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping: where the key is, and its value."""

    key: Span
    node: Node


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it was written.

    `value` is `dict[str, Entry]` for a mapping, `list[Node]` for a list, else text, int, float, bool or None. `raw` is
    a scalar's text as written and `plain` says that it had no quotes. `alone` says that `span` holds this value and
    nothing else, and that the value stands nowhere else: no anchor, no tag, no placeholder. `size` counts the nodes
    below and this one, with aliases expanded.
    """

    value: Any
    span: Span
    raw: str = ""
    plain: bool = False
    size: int = 1
    alone: bool = True

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list)

    def data(self) -> Any:
        """Plain dicts, lists and scalars."""
        value = self.value
        if isinstance(value, dict):
            return {key: entry.node.data() for key, entry in value.items()}
        if isinstance(value, list):
            return [node.data() for node in value]
        return value

    def child(self, part: str | int) -> Node | None:
        """The value under a key or at a position, or None."""
        value = self.value
        if isinstance(value, dict):
            entry = value.get(part)
            return None if entry is None else entry.node
        if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
            found: Node = value[part]
            return found
        return None

    def find(self, path: KeyPath) -> Node | None:
        """The value at `path`, or None."""
        node: Node | None = self
        for part in path:
            if node is None:
                return None
            node = node.child(part)
        return node

    def locate(self, path: KeyPath) -> Span:
        """Where the value at `path` is; where its nearest written ancestor's key is when it is not there."""
        node: Node = self
        span = self.span
        for i, part in enumerate(path):
            below = node.child(part)
            if below is None:
                return span
            node = below
            scalar = not isinstance(below.value, dict | list)
            span = below.span if i == len(path) - 1 and scalar else (self.key_span(path[: i + 1]) or below.span)
        return span if path else first_line(self.span)

    def key_span(self, path: KeyPath) -> Span | None:
        """Where the key at the end of `path` is written; None in a list or when it is not there."""
        if not path:
            return None
        parent = self.find(path[:-1])
        if parent is None or not isinstance(parent.value, dict):
            return None
        entry = parent.value.get(path[-1])
        return entry.key if isinstance(entry, Entry) else None


def first_line(span: Span) -> Span:
    """The start of a long span: one character is enough to point at."""
    return Span(span.file, span.line, span.column, span.line, span.column + 1, span.start, span.start + 1)


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed file. `root` is None when there is nothing to go on with; then `problems` says why."""

    file: str
    text: str
    root: Node | None
    problems: tuple[Problem, ...] = ()
    others_may_write: bool = False
    """The file's permissions let its group or everybody change it."""


def read_document(path: Path, *, file: str | None = None) -> Document:
    """Read and parse a file. Never raises for what the file is or holds. `file` is the name shown in problems."""
    name = file if file is not None else path.as_posix()
    try:
        with open(path, "rb", opener=_without_waiting) as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                return _refused(name, "Y112", "this is not a regular file")
            data = stream.read(MAX_BYTES + 1)
    except IsADirectoryError:
        return _refused(name, "Y112", "this is a folder, not a file")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        return _refused(name, "Y112", f"the file cannot be read: {reason[:1].lower()}{reason[1:]}")
    return replace(parse_bytes(data, file=name), others_may_write=is_open_to_others(mode))


def is_open_to_others(mode: int) -> bool:
    """Whether a file's permissions let others than its owner change it."""
    return bool(mode & (stat.S_IWGRP | stat.S_IWOTH))


def _without_waiting(path: str, flags: int) -> int:
    """Opening a pipe would wait for somebody to write to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def parse_bytes(data: bytes, *, file: str) -> Document:
    """Parse what a file holds. Never raises."""
    if len(data) > MAX_BYTES:
        return _refused(file, "Y111", f"the file is larger than {MAX_BYTES // 1024} KiB", hint="a strategy is one page")
    data = data.removeprefix(BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        hint = "save the file as UTF-8" + (
            " (it looks like UTF-16)" if data[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else ""
        )
        text = data.decode("utf-8", "replace")
        span = span_at(file, text, len(data[: exc.start].decode("utf-8")))
        message = f"byte 0x{data[exc.start]:02x} is not UTF-8"
        return Document(file, text, None, (error("Y102", message, span, hint=hint),))
    return parse_text(text, file=file)


def parse_text(text: str, *, file: str) -> Document:
    """Parse YAML text. Never raises."""
    if len(text) > MAX_BYTES:
        return _refused(file, "Y111", f"the file is larger than {MAX_BYTES // 1024} KiB", hint="a strategy is one page")
    text = text.removeprefix("\ufeff")
    bad = _NO_TEXT.search(text) if not text.isascii() else None
    if bad is not None:
        span = span_at(file, text, bad.start())
        inner_mark = "a byte order mark (U+FEFF) is only allowed at the very beginning"
        message = inner_mark if bad[0] == "\ufeff" else "half a character (a lone surrogate) is not text"
        return Document(file, text, None, (error("Y102", message, span, hint="remove it", fix=(Edit(span, ""),)),))
    marker = _CONFLICT.search(text) if "<<<<<<<" in text or ">>>>>>>" in text else None
    if marker is not None:
        span = span_at(file, text, marker.start(), length=7)
        hint = "finish the merge: keep one side and remove the marker lines"
        return Document(file, text, None, (error("Y110", "a merge conflict is still open here", span, hint=hint),))
    if not text.strip():
        return Document(file, text, None, (error("Y100", "the file is empty", whole_file(file)),))
    return _parse(text, file)


def resolve_plain(text: str) -> Any:
    """The YAML 1.2 core value of a scalar without quotes. Raises ValueError for a number that cannot be used."""
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text[0] in "tT"
    first = text[0]
    if not (first.isdigit() or first in "+-."):
        return text
    if _INT.match(text):
        if len(text) > MAX_DIGITS:
            raise ValueError("this number is too long")
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.match(text):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text[:40]} is too large for a number")
        return number
    if _NOT_FINITE.match(text):
        raise ValueError(f"{text} is not a finite number")
    return text


class _Events(Protocol):
    def get_event(self) -> Any: ...

    def dispose(self) -> None: ...


class _PureParser(Reader, Scanner, Parser):
    """PyYAML's own parser in Python: slow, and its messages say where a thing began."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


class _Stop(Exception):
    """Reading cannot go on; the problem says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def _parse(text: str, file: str) -> Document:
    builder = _Builder(file, text)
    try:
        root = builder.build(CParser(text))
    except _Stop as stop:
        return Document(file, text, None, (*builder.problems, stop.problem))
    except yaml.YAMLError as exc:
        failure: yaml.YAMLError = exc
        if len(text) <= EXPLAIN_BYTES:
            try:
                # The pure parser refuses tabs between words, which is not what is wrong here.
                _Builder(file, text).build(_PureParser(_INNER_TABS.sub(_as_spaces, text)))
            except yaml.YAMLError as better:
                failure = better
            except (_Stop, ValueError, IndexError, OverflowError):
                # The pure parser gets further on text that the C parser refuses: the first refusal stands.
                pass
        return Document(file, text, None, (explain(failure, text, file),))
    if root is None or (root.value is None and root.plain and not root.raw):
        return Document(file, text, None, (*builder.problems, error("Y100", "the file is empty", whole_file(file))))
    return Document(file, text, root, tuple(builder.problems))


def _as_spaces(match: re.Match[str]) -> str:
    return " " * len(match[0])


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read. `key` is the key that waits for its value."""

    start: Any
    anchor: str | None
    mapping: dict[str, Entry] | None = None
    items: list[Node] | None = None
    key: tuple[str, Span] | None = None
    skip: bool = False
    """The next value belongs to a key that was refused."""
    size: int = 1
    last: Span | None = None
    """Of what was read last in it."""


@dataclass(slots=True)
class _Builder:
    file: str
    text: str
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, Node | None] = field(default_factory=dict)
    """None while the anchored value is still open."""
    stack: list[_Open] = field(default_factory=list)
    total: int = 0
    root: Node | None = None
    documents: int = 0

    def build(self, parser: _Events) -> Node | None:
        try:
            while len(self.problems) < MAX_PROBLEMS:
                event = parser.get_event()
                if event is None or isinstance(event, yaml.StreamEndEvent):
                    return self.root
                self._take(event)
            raise _Stop(self.problems.pop())
        finally:
            parser.dispose()

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(event, _Open(event.start_mark, event.anchor, mapping={}), "map")
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(event, _Open(event.start_mark, event.anchor, items=[]), "seq")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._document(event)

    def _document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise _Stop(
                error("Y113", "a second document begins here", self._span(event), hint="one file holds one strategy")
            )
        if event.version is not None or event.tags:
            self.problems.append(
                error("Y105", "YAML directives are not allowed", self._span(event), hint='remove the line with "%"')
            )

    def _span(self, event: Any) -> Span:
        a, b = event.start_mark, event.end_mark
        if b.index >= len(self.text) and self.text[-1:] not in LINE_BREAKS:
            # The parsers end the last line themselves, and are then on one that the file does not have.
            end = span_at(self.file, self.text, len(self.text), length=0)
            if a.index >= end.start:
                return end
            return Span(self.file, a.line + 1, a.column + 1, end.line, end.column, a.index, end.end)
        return Span(self.file, a.line + 1, a.column + 1, b.line + 1, b.column + 1, a.index, b.index)

    def _count(self, nodes: int, event: Any) -> None:
        self.total += nodes
        if self.total > MAX_NODES:
            raise _Stop(
                error("Y109", f"the file holds more than {MAX_NODES} values, aliases expanded", self._span(event))
            )

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            hint = "remove it: the kind of a value follows from the field"
            shown = event.tag if len(event.tag) <= 40 else event.tag[:40] + "…"
            self.problems.append(
                error("Y105", f"YAML tags are not allowed: {shown}", self._span(event), path=self._path(), hint=hint)
            )

    def _open(self, event: Any, opened: _Open, kind: str) -> None:
        span = self._span(event)
        if self._wants_key():
            raise _Stop(error("Y106", "a key must be plain text", span))
        if len(self.stack) >= MAX_DEPTH:
            raise _Stop(error("Y109", f"the file is nested more than {MAX_DEPTH} deep", span))
        self._count(1, event)
        self._refuse_tag(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(opened)

    def _close(self, event: Any) -> None:
        opened = self.stack.pop()
        start, end = opened.start, self._span(event)
        if end.start == end.end and opened.last is not None:
            # Without brackets there is no end of its own: the parsers say where the next thing begins, which may be
            # lines below, or a line that the file does not have.
            end = opened.last
        span = Span(self.file, start.line + 1, start.column + 1, end.end_line, end.end_column, start.index, end.end)
        value: Any = opened.mapping if opened.mapping is not None else opened.items
        node = Node(value, span, size=opened.size)
        if opened.anchor is not None:
            self.anchors[opened.anchor] = node
        self._place(node, span)

    def _alias(self, event: Any) -> None:
        span = self._span(event)
        if event.anchor not in self.anchors:
            raise _Stop(error("Y101", f"the alias *{event.anchor} has no anchor before it", span))
        node = self.anchors[event.anchor]
        if node is None:
            raise _Stop(error("Y109", f"the alias *{event.anchor} contains itself", span))
        if self._wants_key():
            self._key_or_skip(node.raw if not isinstance(node.value, dict | list) else None, span)
            return
        self._count(node.size, event)
        self._place(node, span)

    def _wants_key(self) -> bool:
        return bool(self.stack) and self.stack[-1].mapping is not None and self.stack[-1].key is None

    def _scalar(self, event: Any) -> None:
        span = self._span(event)
        self._refuse_tag(event)
        self._count(1, event)
        text: str = event.value
        plain = bool(event.implicit[0])
        if self._wants_key():
            if event.anchor is not None:
                self.anchors[event.anchor] = Node(text, span, text, plain)
            self._key_or_skip(None if plain and not text else text, span, merge=plain and text == "<<")
            return
        value: Any = text
        if plain:
            try:
                value = resolve_plain(text)
            except ValueError as exc:
                hint = "limits must be ordinary numbers: NaN passes every comparison with a minimum or maximum"
                if _NOT_FINITE.match(text) is None:
                    hint = ""
                self.problems.append(error("Y108", str(exc), span, path=self._path(), hint=hint))
        node = Node(value, span, text, plain, alone=event.anchor is None and event.tag is None)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self._place(node, span)

    def _key_or_skip(self, text: str | None, span: Span, *, merge: bool = False) -> None:
        top = self.stack[-1]
        mapping = top.mapping
        assert mapping is not None
        top.key = (text or "", span)
        top.skip = True
        if text is None:
            self.problems.append(error("Y106", "a key must be plain text", span))
        elif merge:
            hint = 'use "extends:" to share settings between files'
            self.problems.append(error("Y107", "merge keys (<<) are not supported", span, hint=hint))
        elif text in mapping:
            path = (*self._path()[:-1], text)
            related = (Related("first set here", mapping[text].key),)
            hint = "YAML keeps the last one silently; remove one of them"
            problem = error("Y104", f'duplicate key "{text}"', span, path=path, hint=hint, related=related)
            self.problems.append(problem)
        else:
            top.skip = False

    def _place(self, node: Node, span: Span) -> None:
        """Put a value where it belongs; `span` is where it is used, which of an alias is not where it was written."""
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        top.size += node.size
        top.last = span
        if top.items is not None:
            top.items.append(node)
            return
        assert top.mapping is not None and top.key is not None
        if not top.skip:
            key, span = top.key
            top.mapping[key] = Entry(span, node)
        top.key = None
        top.skip = False

    def _path(self) -> KeyPath:
        return tuple(
            len(o.items) if o.items is not None else (o.key[0] if o.key is not None else "") for o in self.stack
        )


def _refused(file: str, code: str, message: str, *, hint: str = "") -> Document:
    return Document(file, "", None, (error(code, message, whole_file(file), hint=hint),))
