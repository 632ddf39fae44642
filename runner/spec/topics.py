"""Everything that `runner explain` can explain, under the words that it answers to.

Codes of problems, fields of the files, blocks and exits, and the reasons of decisions. The reasons come from the
decision kernel, which is on a higher floor, and are handed in.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runner.catalog import BUILT_IN, Catalog
from runner.spec.block_pages import Block, blocks_of
from runner.spec.codes import CODES
from runner.spec.described import Field, fields_of, matches, meaning
from runner.spec.explain import page_of
from runner.spec.parts import Grid, Part

MAX_GUESSES = 3

WHEN_READ = {
    "strategy": "A running runner takes over changes of strategy files by itself.",
    "runner.yaml": "A running runner takes over an edit of runner.yaml in which every change is live; any other waits "
    "for its next start.",
}
"""File → when a change of it counts."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that can be explained. `name` finds it and nothing else of its kind, but for the keys that strategy
    files and runner.yaml both have."""

    kind: Literal["code", "field", "block", "reason"]
    name: str
    summary: str
    answers_to: Callable[[str], bool]
    page: Callable[[], tuple[Part, ...]]
    data: Callable[[], dict[str, Any]]


def topics(reasons: Mapping[str, str], catalog: Catalog = BUILT_IN) -> tuple[Topic, ...]:
    """All of them, by kind. `reasons` are those of decisions, name → meaning."""
    return (
        *(_code(code, text) for code, text in CODES.items()),
        *(_field(field) for field in fields_of(catalog)),
        *(_block(block) for block in blocks_of(catalog)),
        *(_reason(name, text) for name, text in reasons.items()),
    )


def find(word: str, among: Iterable[Topic]) -> list[Topic]:
    """What `word` names. One word can be several things: stop_loss is a parameter, an exit and a reason."""
    return [topic for topic in among if topic.answers_to(word)]


def guesses(word: str, among: Iterable[Topic]) -> list[str]:
    """Names that `word` was probably meant to be, the likeliest first."""
    words: dict[str, str] = {}
    for topic in among:
        words.setdefault(topic.name.casefold(), topic.name)
        words.setdefault(topic.name.rpartition(".")[2].casefold(), topic.name)
    found = difflib.get_close_matches(word.casefold()[:80], words, n=MAX_GUESSES, cutoff=0.6)
    return list(dict.fromkeys(words[match] for match in found))


def _code(code: str, text: str) -> Topic:
    def page() -> tuple[Part, ...]:
        found = page_of(code)
        severity = "warning" if found.is_warning else "error"
        return (f"## {code} ({severity}): {text}\n\n{found.body()}",)

    def data() -> dict[str, Any]:
        return page_of(code).data()

    return Topic("code", code, text, lambda word: word.upper() == code, page, data)


def _field(field: Field) -> Topic:
    def answers_to(word: str) -> bool:
        return word == field.name or matches(field, word)

    return Topic("field", field.short, field.description, answers_to, lambda: tuple(_about(field)), field.data)


def _about(field: Field) -> Iterator[Part]:
    where = "runner.yaml" if field.file == "runner.yaml" else "strategy files"
    means = meaning(field)
    facts = {
        "written as": field.path if field.block else "",
        "type": field.kind_and_limits,
        "unit": field.unit,
        "default": "required" if field.required else field.default,
        "direction": means["direction"],
        "a change": f"{field.apply}: {means['apply']}",
        "working orders": means["working_orders"],
        "open positions": means["positions"],
        "since": field.since,
    }
    listed = "\n".join(f"- **{name}:** {value}" for name, value in facts.items() if value)
    yield f"## {field.short} (key of {where})\n\n{field.description}\n\n{listed}"
    if field.keys:
        below = field.schema["properties"]
        yield Grid(("key", "what it is"), tuple((key, _said(below[key])) for key in field.keys))
    if field.example:
        yield f"```yaml\n{field.example}```"
    yield WHEN_READ[field.file]


def _said(schema: Mapping[str, Any]) -> str:
    """What a key is; of one that is no field of its own, its title."""
    return str(schema.get("description") or schema["title"])


def _block(block: Block) -> Topic:
    return Topic("block", block.name, block.summary, lambda word: word == block.name, block.page, block.data)


def _reason(name: str, text: str) -> Topic:
    def page() -> tuple[Part, ...]:
        where = "`runner orders` shows the reason of each order."
        return (f"## {name} (reason of a decision)\n\n- **means:** {text}\n\n{where}",)

    def data() -> dict[str, Any]:
        return {"meaning": text}

    return Topic("reason", name, text, lambda word: word == name, page, data)
