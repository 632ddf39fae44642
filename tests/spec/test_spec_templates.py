"""Every template is a valid file whose comments, limits and defaults are the fields' own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runner.base_params import BaseParams
from runner.blocks import params_of
from runner.catalog import BUILT_IN
from runner.cli.new import TEMPLATE_NAMES
from runner.spec.commented import commented
from runner.spec.edit import CannotEdit
from runner.spec.folder import load_text
from runner.spec.load import parse_text
from runner.spec.render import render_text
from runner.spec.spec import HOOK_POINTS
from runner.spec.templates import SYMBOLS, TEMPLATES, put
from runner.spec.typed import parse_setting

HERE = Path("strategies.d/mine.yaml")


def text_of(name: str, *changes: str) -> str:
    template = TEMPLATES[name]
    said = template.said("MINE")
    for change in changes:
        put(said, *parse_setting(change))
    schema = "../schemas/strategy.schema.json"
    return commented(said, title=template.title, schema=schema, shown=template.shown)


def data_of(text: str) -> Any:
    document = parse_text(text, file="")
    assert document.root is not None
    return document.root.data()


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_is_valid_without_a_word(name: str) -> None:
    loaded = load_text(text_of(name), path=HERE)
    assert render_text(loaded.problems, loaded.sources) == ""
    assert loaded.spec is not None
    assert loaded.spec.name == "MINE"
    assert [query.symbol for query in loaded.spec.universe.instruments] == list(SYMBOLS)


def test_the_command_offers_exactly_these() -> None:
    assert tuple(TEMPLATES) == TEMPLATE_NAMES


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_file_is_short_enough_to_read_and_begins_with_what_editors_look_for(name: str) -> None:
    text = text_of(name)
    assert text.startswith("# yaml-language-server: $schema=../schemas/strategy.schema.json\n")
    assert max(len(line) for line in text.splitlines()) <= 120
    assert len(text.splitlines()) < 130


def uncommented(text: str, section: str) -> str:
    """The file with the commented-out keys of one section switched on, and what they exclude left off."""
    head, mark, rest = text.partition(f"\n{section}:\n")
    body, blank, tail = rest.partition("\n\n")
    return head + mark + re.sub(r"(?m)^  # (?=\w+: )", "  ", body) + blank + tail


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_parameter_is_in_the_file_with_its_own_default_and_text(name: str) -> None:
    said = TEMPLATES[name].params
    everything = data_of(uncommented(text_of(name), "params"))["params"]
    defaults = {info.name: info.default for info in params_of(BaseParams) if info.name != "universe"}
    assert everything == defaults | dict(said)
    plain = " ".join(re.sub(r"\n\s*#", "", text_of(name)).split())
    for info in params_of(BaseParams):
        assert info.name == "universe" or info.description in plain


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_defaults_that_are_commented_out_are_valid_when_switched_on(name: str) -> None:
    loaded = load_text(uncommented(text_of(name), "params"), path=HERE)
    assert loaded.spec is not None, render_text(loaded.problems, loaded.sources)


def test_a_section_of_hooks_is_there_to_be_switched_on() -> None:
    text = text_of("custom")
    assert "hooks" not in data_of(text)
    head, _, rest = text.partition("# hooks:\n")
    switched = head + "hooks:\n" + re.sub(r"(?m)^#(?=   ?\w+: )", "", rest.partition("\n\n")[0]) + "\n"
    assert set(data_of(switched)["hooks"]) == set(HOOK_POINTS)


SETTINGS = [
    ("trend", ["params.stop_loss=0.03"], "params.stop_loss", 0.03),
    ("trend", ["params.take_profit=0.2"], "params.take_profit", 0.2),
    ("trend", ["signals.trend.with.allow_short=true"], "signals.trend.with.allow_short", True),
    ("trend", ["universe.symbols=[AAPL, IBM]"], "universe.symbols", ["AAPL", "IBM"]),
    ("trend", ["universe=AAPL, IBM"], "universe", "AAPL, IBM"),
    ("trend", ["universe={library: us_stocks}"], "universe.library", "us_stocks"),
    ("trend", ["execution.order=limit", "execution.limit_offset_bps=5"], "execution.order", "limit"),
    ("trend", ["schedule.evaluate=close-20m"], "schedule.evaluate", "close-20m"),
    ("trend", ["on_remove=flatten"], "on_remove", "flatten"),
    ("trend", ["enabled=false"], "enabled", False),
    ("trend", ["description=Up, and away"], "description", "Up, and away"),
    ("trend", ["sizing.use=equal_weight"], "sizing", {"use": "equal_weight"}),
    ("trend", ["sizing.use=equal_weight", "sizing.with.max_names=2"], "sizing.with.max_names", 2),
    ("trend", ["sizing.use=volatility_target"], "sizing.with.window", 20),
    ("custom", ["hooks.on_fill='a.b:c'", "hook_params.x=1"], "hooks", {"on_fill": "a.b:c"}),
    ("custom", ["signals.dip.use=rsi", "combine.use=any_of"], "signals.dip.use", "rsi"),
    ("custom", ["signals.dip={use: rsi}", "combine={use: any_of}"], "signals.dip.use", "rsi"),
    ("rebalance", ["sizing.with.weights={AAPL: 1}"], "sizing.with.weights", {"AAPL": 1}),
]


@pytest.mark.parametrize(("name", "changes", "path", "value"), SETTINGS, ids=[" ".join(s[1]) for s in SETTINGS])
def test_what_is_said_beside_the_template_is_in_the_file(name: str, changes: list[str], path: str, value: Any) -> None:
    text = text_of(name, *changes)
    found = data_of(text)
    for part in path.split("."):
        found = found[part]
    assert found == value
    loaded = load_text(text, path=HERE)
    assert loaded.spec is not None, render_text(loaded.problems, loaded.sources)


def test_a_key_that_there_is_not_is_written_so_that_validation_can_name_it() -> None:
    text = text_of("trend", "params.stopp=1", "schedul.on=bar", "sizing.wiht=1", "sizing.with.windw=2")
    paths = {problem.path for problem in load_text(text, path=HERE).problems}
    assert paths == {"params.stopp", "schedul", "sizing.wiht", "sizing.with.windw"}


@pytest.mark.parametrize("change", ["name.first=X", "universe.symbols.first=X"])
def test_what_has_no_place_is_refused(change: str) -> None:
    with pytest.raises(CannotEdit, match="cannot be set"):
        text_of("trend", change)


def test_the_blocks_of_the_templates_are_the_catalogs() -> None:
    used = {use for template in TEMPLATES.values() for use, _ in (*template.signals.values(), template.sizing)}
    assert used <= {name for classes in BUILT_IN.tables.values() for name in classes}
