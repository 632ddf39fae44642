"""The committed schemas in an editor: the YAML language server completes, explains and flags what they say.

The server is the real one, pinned in `package-lock.json`; `make editor` installs it when node is here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from language_server import LanguageServer

from runner.blocks import Kind, params_of
from runner.catalog import BUILT_IN
from runner.spec.folder import load_file
from runner.spec.schema import BASE_FILE, RUNNER_FILE, STRATEGY_FILE, strategy_schema

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / ".editor" / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
DRAFT = ROOT / "strategies.d" / "draft.yaml"
"""Where the texts of these tests would be; nothing is written."""
SHIPPED = sorted(ROOT.glob("strategies.d/*.yaml"))
MODELINE = "# yaml-language-server: $schema=../schemas/{}\n"
SECTION = {
    Kind.SIGNAL: "signals:\n  mine:\n    ",
    Kind.COMBINE: "combine:\n    ",
    Kind.SIZING: "sizing:\n    ",
    Kind.EXIT: "exits:\n  mine:\n    ",
}
BLOCKS = [
    pytest.param(kind, name, id=f"{kind}-{name}")
    for kind in Kind
    for name, cls in BUILT_IN.blocks(kind).items()
    if params_of(cls)
]


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageServer]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not here, and the YAML language server runs on it")
    if not SERVER.exists():
        pytest.fail("the YAML language server is not installed; run `make editor`")
    running = LanguageServer([node, str(SERVER), "--stdio"], ROOT)
    yield running
    running.close()


def offered(server: LanguageServer, text: str, schema: str = STRATEGY_FILE) -> list[str]:
    """What completion at the mark lists."""
    return [
        item["label"] for item in server.at("textDocument/completion", DRAFT, MODELINE.format(schema) + text)["items"]
    ]


def flagged(server: LanguageServer, text: str, path: Path = DRAFT) -> dict[tuple[int, int], str]:
    """Line and column, from 1, of each squiggle → its words."""
    found = {}
    for diagnostic in server.diagnostics(path, text):
        start = diagnostic["range"]["start"]
        found[start["line"] + 1, start["character"] + 1] = diagnostic["message"]
    return found


def test_the_top_level_offers_each_key_once_with_what_it_is(server):
    items = server.at("textDocument/completion", DRAFT, MODELINE.format(STRATEGY_FILE) + "|\n")["items"]
    properties = strategy_schema()["properties"]
    assert [item["label"] for item in items] == list(properties)
    assert [item["documentation"] for item in items] == [schema["description"] for schema in properties.values()]


@pytest.mark.parametrize("kind", Kind)
def test_use_offers_exactly_the_blocks_of_its_section(server, kind):
    assert offered(server, f"{SECTION[kind]}use: |\n") == list(BUILT_IN.blocks(kind))


@pytest.mark.parametrize(("kind", "name"), BLOCKS)
def test_with_offers_exactly_the_parameters_of_the_block_that_use_names(server, kind, name):
    """Where some have to be given, a skeleton of them is offered too, under the block's name."""
    infos = params_of(BUILT_IN.find(kind, name))
    skeleton = {name} if any(info.required for info in infos) else set()
    labels = offered(server, f"{SECTION[kind]}use: {name}\n    with:\n      |\n")
    assert [label for label in labels if label not in skeleton] == [info.name for info in infos]
    assert skeleton <= set(labels)


def test_with_is_offered_once_the_block_is_known_and_brings_its_settings(server):
    assert offered(server, "sizing:\n  |\n") == ["use"]
    text = MODELINE.format(STRATEGY_FILE) + "sizing:\n  use: equal_weight\n  |\n"
    (item,) = server.at("textDocument/completion", DRAFT, text)["items"]
    assert item["label"] == "with" and "share_of: ${" in item["insertText"]


def test_a_parameter_that_is_there_is_not_offered_again(server):
    text = "signals:\n  mine:\n    use: sma_cross\n    with:\n      fast: 20\n      |\n"
    assert offered(server, text) == ["slow", "allow_short"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params:\n  max_dai|ly_loss: 0.1\n", "loss since the session's first equity that pauses the strategy"),
        ("signals:\n  a:\n    use: sma_cross\n    with: {fa|st: 3}\n", "bars in the fast average"),
        ("on_rem|ove: hold\n", "What happens to its positions when the file goes away"),
        ("schedule:\n  wind|ow: ['09:35', '15:50']\n", "Decisions are made only in this part of the session"),
    ],
)
def test_hovering_over_a_key_shows_its_text(server, text, words):
    shown = server.at("textDocument/hover", DRAFT, MODELINE.format(STRATEGY_FILE) + text)
    assert words in shown["contents"]["value"]


def test_every_mistake_of_shape_is_flagged_at_its_place(server):
    text = MODELINE.format(STRATEGY_FILE) + (
        "spec: 1\n"
        "name: 1st\n"
        "universe: {symbols: [AAPL], libary: x}\n"
        "bars: {size: 1 days, history: 0}\n"
        "signals:\n"
        "  trend: {use: sma_crosss}\n"
        "  other: {use: rsi, with: {perod: 14, low: '30'}}\n"
        "sizing: {use: equal_weight}\n"
        "params:\n"
        "  target_weight: 10\n"
        "  stop_loss: 5%\n"
        "execution: {order: Market}\n"
        "schedule: {evaluate: noon}\n"
        "typo: 1\n"
    )
    found = flagged(server, text)
    assert sorted(found) == [
        (3, 7),  # name begins with a digit
        (4, 29),  # libary
        (5, 14),  # 1 days
        (5, 31),  # no history
        (7, 16),  # sma_crosss
        (8, 28),  # perod
        (8, 44),  # low is text
        (11, 18),  # 10
        (12, 14),  # 5%
        (13, 20),  # Market
        (14, 22),  # noon
        (15, 1),  # typo
    ]
    assert "libary" in found[4, 29]
    assert "sma_cross" in found[7, 16]


SAME = "blocks choices empty_values hooks missing_keys not_a_mapping ranges times unknown_keys version"


@pytest.mark.parametrize("stem", SAME.split())
def test_the_editor_and_the_runner_flag_the_same_places(server, stem):
    """Of files that are wrong in their shape alone; positions in lists and mappings differ, which these have not.

    Which packages with blocks are installed (C505) is nothing that a schema knows.
    """
    path = ROOT / "tests" / "specs" / "invalid" / f"{stem}.yaml"
    problems = load_file(path, root=path.parent).problems
    ours = {(problem.line + 1, problem.column) for problem in problems if problem.code != "C505"}
    assert set(flagged(server, MODELINE.format(STRATEGY_FILE) + path.read_text("utf-8"))) == ours


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_file_names_its_schema_and_is_not_flagged(server, path):
    text = path.read_text("utf-8")
    schema = BASE_FILE if path.name.startswith("_") else STRATEGY_FILE
    assert text.startswith(MODELINE.format(schema))
    assert flagged(server, text, path) == {}


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('universe: ["0700", "TRUE"]\n', []),
        ("universe: [0700]\n", [(3, 12)]),
        ("universe: [TRUE]\n", [(3, 12)]),
        ("params: {stop_loss: null}\n", [(3, 21)]),
    ],
)
def test_what_an_editor_reads_by_its_own_lights_is_flagged_as_the_page_says(server, text, places):
    assert sorted(flagged(server, MODELINE.format(STRATEGY_FILE) + "extends: _base.yaml\n" + text)) == places


def test_a_base_is_not_asked_for_what_its_strategies_bring(server):
    text = "sizing: {with: {window: 30}}\nbars: {history: 200}\n"
    assert flagged(server, MODELINE.format(BASE_FILE) + text) == {}
    missing = "".join(flagged_messages(server, MODELINE.format(STRATEGY_FILE) + text))
    assert all(f'Missing property "{key}"' in missing for key in ("spec", "name", "universe", "signals", "size"))
    assert flagged(server, MODELINE.format(STRATEGY_FILE) + "extends: _base.yaml\n" + text) == {}


def flagged_messages(server: LanguageServer, text: str) -> list[str]:
    """The words of every squiggle; several may be at one place."""
    return [diagnostic["message"] for diagnostic in server.diagnostics(DRAFT, text)]


def test_runner_yaml_is_completed_and_the_readmes_is_not_flagged(server):
    assert offered(server, "ib:\n  |\n", RUNNER_FILE)[:2] == ["host", "port"]
    readme = (ROOT / "README.md").read_text("utf-8")
    example = next(text for text in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if "arctic:" in text)
    assert flagged(server, MODELINE.format(RUNNER_FILE) + example) == {}
    assert list(flagged(server, MODELINE.format(RUNNER_FILE) + "ib:\n  prot: 4002\n")) == [(3, 3)]
