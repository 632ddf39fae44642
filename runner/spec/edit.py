"""Changes a value inside a YAML file and leaves everything else as it was: comments, layout, the order of keys.

The text is cut at the positions of the parsed nodes; nothing is ever written anew from data. What comes out is parsed
again and compared with what was meant before anybody sees it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from runner.errors import SpecError
from runner.spec.load import Document, Node, parse_text
from runner.spec.problems import KeyPath, dotted
from runner.spec.write import INDENT, flow, key_text


class CannotEdit(SpecError):
    """The file cannot be changed at that place without changing more."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value to set, as data or as YAML that is written as it is; `REMOVE` takes the key away."""

    path: KeyPath
    value: Any


class _Remove:
    def __repr__(self) -> str:
        return "REMOVE"


REMOVE = _Remove()


def edited(document: Document, *changes: Change) -> str:
    """The text of the document with the changes made, one after the other.

    A missing key is written into its section, a missing section is made; a section that loses its last key goes too.
    Raises CannotEdit when the document has no usable text, a part of a path is a list or a value, or the result would
    not be what was meant.
    """
    if document.root is None or not document.root.is_mapping:
        raise CannotEdit(f"{document.file} cannot be read, so it cannot be changed", hint="mend it first")
    text = document.text
    for change in changes:
        text = _one(text, document.file, change)
    return text


def _one(text: str, file: str, change: Change) -> str:
    root = parse_text(text, file=file).root
    assert root is not None
    before = root.data()
    result = (
        _removed(text, root, change.path) if change.value is REMOVE else _set(text, root, change.path, change.value)
    )
    again = parse_text(result, file=file)
    if again.root is None or again.problems or again.root.data() != _meant(before, change):
        raise CannotEdit(
            f"{dotted(change.path)} cannot be changed in {file} without changing more", hint="edit the file by hand"
        )
    return result


def _meant(data: dict[str, Any], change: Change) -> dict[str, Any]:
    """The data with the change made, for comparing."""
    *parents, last = (str(part) for part in change.path)
    if change.value is REMOVE:
        sections = [data]
        for part in parents:
            sections.append(sections[-1][part])
        del sections[-1][last]
        for section, part in zip(reversed(sections[:-1]), reversed(parents), strict=True):
            if not section[part]:
                del section[part]
        return data
    here: Any = data
    for part in parents:
        if here.get(part) is None:
            here[part] = {}
        here = here[part]
    meant = parse_text(f"value: {flow(change.value)}\n", file="").root
    here[last] = None if meant is None else meant.data()["value"]
    return data


# --------------------------------------------------------------------------------------------------------- setting


def _set(text: str, root: Node, path: KeyPath, value: Any) -> str:
    depth = 0
    section = root
    while depth < len(path) - 1:
        below = section.child(path[depth])
        if below is None:
            break
        if not below.is_mapping and below.value is not None:
            raise CannotEdit(f"{dotted(path[: depth + 1])} is not a section with keys", hint="edit the file by hand")
        if below.value is None:
            return _fill(text, section, path[depth], path[depth + 1 :], value)
        section, depth = below, depth + 1
    found = section.child(path[depth]) if depth == len(path) - 1 else None
    if found is not None:
        return _replace(text, section, path[-1], found, value)
    return _add(text, section, path[depth:], value)


def _replace(text: str, section: Node, key: str | int, found: Node, value: Any) -> str:
    if found.value is None and not found.raw:
        return _fill(text, section, key, (), value)
    start, end = found.span.start, _end(text, found)
    new = flow(value, bracketed=not _is_block(text, section))
    if _is_block(text, found):
        # A block begins on a line of its own: the new value takes the place behind the colon.
        key_end = section.value[key].key.end
        start = text.index(":", key_end) + 1
        new = f" {new}"
    return text[:start] + new + _kept_in_column(text[end:], (end - start) - len(new))


def _kept_in_column(rest: str, gained: int) -> str:
    """What follows on the line; a comment stays in its column when there is room."""
    spaces = len(rest) - len(rest.lstrip(" "))
    if not spaces or rest[spaces : spaces + 1] != "#":
        return rest
    return " " * max(1, spaces + gained) + rest[spaces:]


def _fill(text: str, section: Node, key: str | int, rest: KeyPath, value: Any) -> str:
    """A key that has no value yet gets one, right behind its colon."""
    entry = section.value[key]
    colon = text.index(":", entry.key.end) + 1
    node: Node = entry.node
    end = node.span.end if node.raw else colon
    new = flow(_nested(rest, value), bracketed=not _is_block(text, section))
    return f"{text[:colon]} {new}{text[max(end, colon) :]}"


def _nested(path: KeyPath, value: Any) -> Any:
    for part in reversed(path):
        value = {part: value}
    return value


def _add(text: str, section: Node, path: KeyPath, value: Any) -> str:
    if not _is_block(text, section):
        last = max((_end(text, entry.node, entry.key.end) for entry in section.value.values()), default=None)
        new = f"{key_text(str(path[0]))}: {flow(_nested(path[1:], value), bracketed=True)}"
        if last is None:
            at = section.span.start + 1
            return text[:at] + new + text[at:]
        return f"{text[:last]}, {new}{text[last:]}"
    column = min(entry.key.column for entry in section.value.values())
    indent = " " * (column - 1)
    last = max(_end(text, entry.node, entry.key.end) for entry in section.value.values())
    line_end = text.find("\n", last)
    # A comment that goes on below, further in than the keys, belongs to the last of them.
    while line_end != -1 and (more := re.compile(rf" {{{column},}}#.*").match(text, line_end + 1)):
        line_end = text.find("\n", more.end())
    lines, step = [], indent
    for part in path[:-1]:
        lines.append(f"{step}{key_text(str(part))}:")
        step += INDENT
    lines.append(f"{step}{key_text(str(path[-1]))}: {flow(value)}")
    newline = "\r\n" if "\r\n" in text else "\n"
    new = newline.join(lines) + newline
    if line_end == -1:
        return text + newline + new
    return text[: line_end + 1] + new + text[line_end + 1 :]


# -------------------------------------------------------------------------------------------------------- removing


def _removed(text: str, root: Node, path: KeyPath) -> str:
    if root.find(path) is None or root.key_span(path) is None:
        raise CannotEdit(f"{dotted(path)} is not in the file", hint="it comes from a base, or is a default")
    while len(path) > 1:
        parent = root.find(path[:-1])
        assert parent is not None
        if len(parent.value) > 1:
            break
        path = path[:-1]
    parent = root.find(path[:-1])
    assert parent is not None
    entry = parent.value[path[-1]]
    start, end = entry.key.start, _end(text, entry.node, entry.key.end)
    if _is_block(text, parent):
        line_start = text.rfind("\n", 0, start) + 1
        if text[line_start:start].strip():
            raise CannotEdit(f"{dotted(path)} shares its line with something else", hint="edit the file by hand")
        line_end = text.find("\n", end)
        return text[:line_start] + (text[line_end + 1 :] if line_end != -1 else "")
    return _without(text, parent, path[-1])


def _without(text: str, section: Node, key: str | int) -> str:
    """An entry between brackets goes, with a comma and, where it has its line to itself, with the comment behind it.
    A comment behind several entries is that of the line, and stays."""
    entries = sorted(section.value.items(), key=lambda item: int(item[1].key.start))
    spans = [(entry.key.start, _end(text, entry.node, entry.key.end)) for _, entry in entries]
    at = [name for name, _ in entries].index(key)
    start, end = spans[at]
    last_end = spans[at - 1][1] if at else section.span.start + 1
    next_start = spans[at + 1][0] if at + 1 < len(spans) else section.span.end - 1
    behind, ahead = _comma(text, end, next_start), _comma(text, last_end, start)
    line_start, line_end = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    line_end = len(text) if line_end == -1 else line_end
    own = behind if behind is not None and (behind < line_end or ahead is None) else ahead
    if own is not None and own >= end:
        end, line_end = own + 1, max(line_end, text.find("\n", own))
    elif own is not None and own >= line_start:
        start = own
    if at and last_end > line_start:  # behind another on its line
        return text[:start].rstrip(" ") + text[end:]
    rest = text[end:line_end].lstrip()
    if rest and not rest.startswith("#"):  # in front of another, or of the end
        result = text[:start] + text[line_end - len(rest) :]
    elif not text[line_start:start].strip():  # alone on its line
        result = text[:line_start] + text[line_end + 1 :]
    else:  # behind the bracket
        below = text[line_end:next_start]
        result = text[:start] + (text[line_end:] if below.strip() else text[next_start:])
    return result if own is None or own >= line_start else result[:own] + result[own + 1 :]


def _comma(text: str, start: int, end: int) -> int | None:
    """Where the comma between two entries is, which may be behind a comment or in front of one."""
    at = start
    while at < end:
        if text[at] == ",":
            return at
        at = text.find("\n", at, end) if text[at] == "#" else at + 1
        if at == -1:
            break
    return None


# -------------------------------------------------------------------------------------------------------- positions


def _is_block(text: str, node: Node) -> bool:
    """Whether a mapping or list is written over lines, without brackets."""
    return isinstance(node.value, dict | list) and text[node.span.start : node.span.start + 1] not in ("{", "[")


def _end(text: str, node: Node, least: int = 0) -> int:
    """Where the last character of a value is written. A block's own mark is where the next thing begins."""
    if _is_block(text, node):
        below = (
            [(entry.node, entry.key.end) for entry in node.value.values()]
            if isinstance(node.value, dict)
            else [(item, 0) for item in node.value]
        )
        return max((_end(text, child, key_end) for child, key_end in below), default=max(node.span.start, least))
    end = max(node.span.end, least)
    if not isinstance(node.value, dict | list) and "\n" in text[node.span.start : end]:
        return node.span.start + len(text[node.span.start : end].rstrip())
    if node.value is None and not node.raw and text[least : least + 1] == ":":
        return least + 1
    return end
