"""`runner explain` and `runner blocks` tell what the words of the language mean."""

from __future__ import annotations

import importlib
import sys

import pytest

from runner.cli.blocks import plugged_in
from runner.engine.decide import REASON_MEANING
from runner.plugins import installed
from runner.spec.codes import CODES
from runner.spec.explain import page_of


def test_a_code_has_its_page(say):
    said = say("explain", "m401")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("## M401 (error): min_weight ≤ target_weight ≤ max_weight does not hold\n\n")
    assert said.out.endswith(f"{page_of('M401').fix}\n")
    assert said.out.count("```yaml\n") == 2


def test_a_key_has_its_facts(say):
    said = say("explain", "params.max_daily_loss")
    assert said.code == 0
    assert "- **unit:** fraction of strategy equity\n" in said.out
    assert "- **since:** 0.1.0\n" in said.out


def test_a_word_that_is_several_things_has_all_its_pages(say):
    headings = [line for line in say("explain", "stop_loss").out.splitlines() if line.startswith("## ")]
    assert headings == [
        "## params.stop_loss (key of strategy files)",
        "## stop_loss (exit)",
        "## stop_loss (reason of a decision)",
    ]


def test_an_unknown_word_ends_with_1_and_a_guess(say):
    said = say("explain", "max_dayli_loss")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        'error: nothing is called "max_dayli_loss"\n  hint: did you mean params.max_daily_loss or daily_loss?\n'
    )


def test_an_unknown_word_without_a_guess_says_where_to_look(say):
    assert "hint: `runner explain` lists what there is" in say("explain", "qqqq").err


def test_without_a_word_everything_is_listed(say):
    out = say("explain").out
    for word in (*CODES, "params.max_daily_loss", "sma_cross.fast", "ib.port", "sma_cross", *REASON_MEANING):
        assert f"\n{word} " in out


def test_explanations_as_json(say):
    (topic,) = say("explain", "universe.symbols[3].currency", "--json").json["topics"]
    assert (topic["topic"], topic["name"]) == ("field", "universe.symbols[].currency")
    assert (topic["default"], topic["apply"], topic["orders"], topic["direction"], topic["since"]) == (
        "USD",
        "resubscribe",
        "universe",
        "any_is_looser",
        "0.1.0",
    )
    (page,) = say("explain", "M410", "--json").json["topics"]
    assert [example["file"] for example in page["examples"]][:2] == [
        "strategies.d/trend.yaml",
        "strategies.d/trend_copy.yaml",
    ]
    assert page["link"] == "docs/problems.md#m410"
    listed = say("explain", "--json").json["topics"]
    assert {"topic": "reason", "name": "band", "summary": REASON_MEANING["band"]} in listed
    assert say("explain", "zzz", "--json").json["error"]["exit_code"] == 1


def test_on_a_terminal_the_page_is_laid_out(say):
    out = say("explain", "M401", "--color", "always").out
    assert "\x1b[1mM401 (error)" in out
    assert "```" not in out
    assert "[40m" not in out, "no painted backgrounds"


@pytest.mark.parametrize("args", [("blocks", "sma_cross"), ("blocks", "signal", "sma_cross"), ("explain", "sma_cross")])
def test_a_block_has_its_page_however_it_is_asked_for(say, args):
    said = say(*args)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("## sma_cross (signal)\n\nLong while the fast average")
    assert "\nfast         whole number, ≥ 1, ≤ 10000  20" in said.out
    assert said.out.endswith(
        "Needs 50 bars before its first value with its defaults, 100 bars with the settings above.\n"
    )


def test_blocks_are_listed_a_line_each(say):
    lines = say("blocks").out.splitlines()
    assert lines[0].split() == ["KIND", "NAME", "FROM", "NEEDS", "WHAT", "IT", "DOES"]
    assert [line.split()[0] for line in lines[1:]] == ["signal"] * 5 + ["combine"] * 4 + ["sizing"] * 4 + ["exit"] * 4


EXITS = ("chandelier", "stop_loss", "trailing_stop_loss", "take_profit")


@pytest.mark.parametrize("kind", ["exit", "exits", "EXIT"])
def test_one_kind_alone(say, kind):
    rows = [line.split()[:2] for line in say("blocks", kind).out.splitlines()[1:]]
    assert rows == [["exit", name] for name in EXITS]


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["sma_crosss"], 'there is no block called "sma_crosss"', "did you mean sma_cross?"),
        (["combin"], 'there is no block called "combin"', "did you mean combine?"),
        (["sizing", "sma_cross"], 'there is no sizing block called "sma_cross"', "sma_cross is a signal block"),
        (
            ["indicator", "x"],
            'there is no kind of block called "indicator"',
            "there are: signal, combine, sizing, exit",
        ),
        (["qqqq"], 'there is no block called "qqqq"', "`runner blocks` lists what there is"),
    ],
)
def test_what_there_is_not_ends_with_1(say, args, message, hint):
    said = say("blocks", *args)
    assert (said.code, said.out) == (1, "")
    assert said.err == f"error: {message}\n  hint: {hint}\n"


def test_blocks_as_json(say):
    listed = say("blocks", "sizing", "--json").json["blocks"]
    assert [block["name"] for block in listed] == [
        "equal_weight",
        "fixed_weights",
        "risk_per_trade",
        "volatility_target",
    ]
    (block,) = say("blocks", "sma_cross", "--json").json["blocks"]
    assert (block["kind"], block["warmup_bars"], block["example_warmup_bars"]) == ("signal", 50, 100)
    assert [(field["key"], field["default"]) for field in block["parameters"]] == [
        ("fast", 20),
        ("slow", 50),
        ("allow_short", False),
    ]


@pytest.fixture
def announced(tmp_path, monkeypatch):
    """An installed package that announces blocks, and would fail if it were imported."""
    info = tmp_path / "site" / "acme_blocks-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-blocks\nVersion: 1.0\n")
    points = "[runner.signals]\nskip_month = acme_blocks.signals:SkipMonth\n"
    points += "[runner.sizing]\nkelly = acme_blocks.size:Kelly\n"
    (info / "entry_points.txt").write_text(points)
    (tmp_path / "site" / "acme_blocks.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()
    installed.cache_clear()
    yield
    installed.cache_clear()


def test_blocks_of_installed_packages_are_listed_without_being_imported(say, announced):
    assert [(one.kind, one.package, one.name) for one in plugged_in()] == [
        ("signal", "acme_blocks", "skip_month"),
        ("sizing", "acme_blocks", "kelly"),
    ]
    out = say("blocks", "signal").out
    assert "acme_blocks:skip_month" in out
    assert "kelly" not in out
    assert "acme_blocks" not in sys.modules
    found = say("blocks", "--json").json["blocks"]
    assert {"kind": "sizing", "name": "kelly", "package": "acme_blocks", "summary": None} in found
