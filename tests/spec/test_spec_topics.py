"""Every word of the language can be explained, under every name that a person would give it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

from runner.blocks import Kind, check_fields, param
from runner.catalog import BUILT_IN, Catalog
from runner.engine.decide import REASON_MEANING
from runner.model.panel import FloatArray, Panel
from runner.spec.block_pages import blocks_of
from runner.spec.codes import CODES
from runner.spec.described import fields_of
from runner.spec.topics import find, guesses, topics

TOPICS = topics(REASON_MEANING)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("M401", ["code M401"]),
        ("m401", ["code M401"]),
        ("params.max_daily_loss", ["field params.max_daily_loss"]),
        ("max_daily_loss", ["field params.max_daily_loss"]),
        ("schedule.window", ["field schedule.window"]),
        ("window", ["field volatility_target.window", "field chandelier.window", "field schedule.window"]),
        ("universe.symbols[].currency", ["field universe.symbols[].currency"]),
        (
            "currency",
            [
                "field universe.symbols[].currency",
                "field universe.defaults.currency",
                "field tests[].account.currency",
            ],
        ),
        ("ib.port", ["field ib.port"]),
        ("signals.*.with.fast", ["field sma_cross.fast"]),
        ("sma_cross.fast", ["field sma_cross.fast"]),
        ("sma_cross", ["block sma_cross"]),
        ("stop_loss", ["field params.stop_loss", "block stop_loss", "reason stop_loss"]),
        ("capped", ["reason capped"]),
        ("band", ["reason band"]),
        ("sizing", ["field sizing"]),
        ("", []),
        ("nonsense", []),
    ],
)
def test_a_word_finds_everything_that_is_called_so(word: str, found: list[str]) -> None:
    assert [f"{topic.kind} {topic.name}" for topic in find(word, TOPICS)] == found


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("MM401", "M401"),
        ("max_dayli_loss", "params.max_daily_loss"),
        ("params.stop_los", "params.stop_loss"),
        ("sma_crosss", "sma_cross"),
        ("caped", "capped"),
        ("shedule.window", "schedule.window"),
    ],
)
def test_a_misspelled_word_is_guessed_from_all_of_them(word: str, meant: str) -> None:
    assert guesses(word, TOPICS)[0] == meant


def test_a_word_that_resembles_nothing_has_no_guess() -> None:
    assert guesses("qqqqqqqq", TOPICS) == []


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: f"{topic.kind} {topic.name}")
def test_every_topic_is_found_by_its_name_and_has_a_page_and_data(topic: Any) -> None:
    assert topic in find(topic.name, TOPICS)
    page = topic.page()
    assert isinstance(page[0], str) and page[0].startswith(f"## {topic.name}")
    assert topic.data()
    assert topic.summary


def test_all_there_is_can_be_explained() -> None:
    names = {(topic.kind, topic.name) for topic in TOPICS}
    assert names == {
        *(("code", code) for code in CODES),
        *(("field", field.short) for field in fields_of()),
        *(("block", block.name) for block in blocks_of()),
        *(("reason", reason) for reason in REASON_MEANING),
    }
    twice = Counter((topic.kind, topic.name) for topic in TOPICS) - Counter(names)
    in_both = {field.short for field in fields_of() if field.file == "runner.yaml"} & {
        field.short for field in fields_of() if field.file != "runner.yaml"
    }
    assert set(twice) == {("field", name) for name in in_both}


def test_the_page_of_a_field_says_what_a_change_does() -> None:
    (topic,) = find("params.max_position_size", TOPICS)
    text = "\n".join(part for part in topic.page() if isinstance(part, str))
    for words in (
        "largest value of one position",
        "**type:** number, ≥ 0, ≤ 10",
        "**unit:** fraction of strategy equity",
        "**default:** 1.0",
        "smaller is tighter",
        "0 is off, which is the loosest",
        "**a change:** live: ",
        "**working orders:** what opens or increases a position beyond the new value",
        "**open positions:** are not increased beyond the new value",
        "**since:** 0.1.0",
        "params:\n  max_position_size: 0.4\n",
        "A running runner takes over changes",
    ):
        assert words in text


def test_the_page_of_a_section_lists_its_keys() -> None:
    (topic,) = find("schedule", TOPICS)
    grid = next(part for part in topic.page() if not isinstance(part, str))
    assert [row[0] for row in grid.rows] == ["calendar", "window", "evaluate", "every", "on", "flatten_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Long on a coin that was tossed beforehand.

    Returns: (T, N) scores.
    """

    name: ClassVar[str] = "sampled"

    sides: int = param(2, "sides of the coin", unit="sides", minimum=2, direction="smaller_is_tighter")

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def warmup(self) -> int:
        return self.sides

    def compute(self, panel: Panel) -> FloatArray:
        return panel.close


def test_a_block_of_another_catalog_is_explained_like_ours() -> None:
    tables: dict[Kind, Mapping[str, type[Any]]] = {**BUILT_IN.tables}
    tables[Kind.SIGNAL] = {**tables[Kind.SIGNAL], "sampled": Sampled}
    catalog = Catalog(MappingProxyType(tables))
    (block,) = [block for block in blocks_of(catalog) if block.name == "sampled"]
    assert (block.kind, block.summary) == ("signal", "Long on a coin that was tossed beforehand.")
    assert (block.warmup, block.example_warmup) == (2, 2)
    assert block.example == "signals:\n  my_signal:\n    use: sampled\n"
    assert [field.short for field in block.parameters] == ["sampled.sides"]
    assert [topic.kind for topic in find("sampled.sides", topics({}, catalog))] == ["field"]


@pytest.mark.parametrize(
    ("name", "kind", "warmup", "example_warmup", "parameters"),
    [
        ("sma_cross", "signal", 50, 100, 3),
        ("all_of", "combine", None, None, 0),
        ("fixed_weights", "sizing", None, 1, 2),
        ("volatility_target", "sizing", 21, 21, 5),
        ("chandelier", "exit", 23, 23, 2),
        ("trailing_stop_loss", "exit", None, None, 1),
    ],
)
def test_a_block_says_what_it_needs(
    name: str, kind: str, warmup: int | None, example_warmup: int | None, parameters: int
) -> None:
    (block,) = [block for block in blocks_of() if block.name == name]
    assert (block.kind, block.warmup, block.example_warmup) == (kind, warmup, example_warmup)
    assert len(block.parameters) == parameters


def test_blocks_are_listed_by_kind() -> None:
    kinds = [block.kind for block in blocks_of()]
    assert kinds == sorted(kinds, key=list(Kind).index)
