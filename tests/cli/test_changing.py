"""Commands that write strategy files, or carry out a kept plan, where no runner is running."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.cli import set as setting
from runner.cli.client import NotRunning
from runner.spec.explain import page_of

Say = Callable[..., Any]


@pytest.fixture
def trend(project: Path) -> Path:
    (project / "strategies.d").mkdir()
    path = project / "strategies.d" / "trend.yaml"
    path.write_text(page_of("Y100").files("right")["strategies.d/trend.yaml"])
    return path


def test_set_leaves_alone_what_somebody_has_saved_meanwhile(
    trend: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = trend.read_text() + "description: Theirs.\n"

    def meanwhile(*args: Any, **kwargs: Any) -> None:
        trend.write_text(theirs)
        raise NotRunning("no runner is running")

    monkeypatch.setattr(setting, "order", meanwhile)
    said = say("set", "TREND", "params.max_daily_trades", "3")
    assert said.code == 1 and "trend.yaml was changed by somebody else meanwhile; it was left as it is" in said.err
    assert trend.read_text() == theirs


def test_set_writes_the_file_where_nobody_else_does(trend: Path, say: Say) -> None:
    said = say("set", "TREND", "params.max_daily_trades", "3")
    assert said.code == 0 and "max_daily_trades: 3" in trend.read_text()


@pytest.mark.parametrize(
    ("field", "value", "line", "carets"),
    [
        ("params.max_daily_lossy", "0.05", "  max_daily_lossy: 0.05", "  ^^^^^^^^^^^^^^^"),
        ("params.stop_loss", "2%", "  stop_loss: 2%", "             ^^"),
        ("params.stop_loss", "[0.05]", "  stop_loss: [0.05]", "  ^^^^^^^^^"),
    ],
)
def test_what_set_would_make_wrong_is_shown_in_the_text_that_was_judged(
    trend: Path, say: Say, field: str, value: str, line: str, carets: str
) -> None:
    trend.write_text(trend.read_text() + "# The caps:\nparams:\n  stop_loss: 0.05  # of the entry price\n  # the end\n")
    before = trend.read_text()
    said = say("set", "TREND", field, value)
    shown = said.err.splitlines()
    assert said.code == 1 and trend.read_text() == before
    at = next(i for i, text in enumerate(shown) if text.partition(" | ")[2].startswith(line))
    assert shown[at + 1].partition(" | ")[2] == carets
    assert shown[-1] == f"error: {field} cannot be {value}; the file was left as it is"


def test_a_long_value_is_not_repeated_in_full(trend: Path, say: Say) -> None:
    said = say("set", "TREND", "params.stop_loss", "x" * 3000)
    assert said.code == 1 and max(map(len, said.err.splitlines())) < 200
    said = say("set", "TREND", "description", "x" * 1000)
    assert said.code == 0 and max(map(len, said.err.splitlines())) < 200
    assert f"description: {'x' * 1000}\n" in trend.read_text()


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("tags", "[a, b]", "tags: [a, b]"),
        ("tags", '["a", "b, c"]', 'tags: ["a", "b, c"]'),
        ("universe", "{symbols: [AAPL, MSFT]}", "universe: {symbols: [AAPL, MSFT]}"),
        ("description", '"Fed: 14:00"', 'description: "Fed: 14:00"'),
        ("description", "'a' # why", "description: 'a'"),
        ("description", "two words", "description: two words"),
        ("owner", '"null"', 'owner: "null"'),
        ("params.stop_loss", "0.050", "  stop_loss: 0.050"),
        ("enabled", "false", "enabled: false"),
    ],
)
def test_a_value_is_yaml_as_in_the_file(trend: Path, say: Say, field: str, value: str, line: str) -> None:
    said = say("set", "TREND", field, value)
    assert said.code == 0, said.err
    assert line in trend.read_text().splitlines()


@pytest.mark.parametrize("value", ["-1", "-.5", "-0.05"])
@pytest.mark.parametrize("before", [(), ("--reason", "-5"), ("--reason=x",)])
def test_a_negative_number_is_a_value_and_no_option(trend: Path, say: Say, value: str, before: tuple[str, ...]) -> None:
    said = say("set", *before, "TREND", "params.stop_loss", value)
    assert said.code == 1 and f"params.stop_loss must be at least 0, not {value}" in said.err
    after = say("set", "TREND", "params.stop_loss", value, *before)
    assert (after.code, after.err) == (said.code, said.err)


def test_an_option_that_there_is_not_is_still_one(trend: Path, say: Say) -> None:
    said = say("set", "TREND", "params.stop_loss", "0.1", "--raeson", "x")
    assert said.code == 2 and "No such option '--raeson'" in said.err and "'--reason'" in said.err


def test_null_takes_a_key_away(trend: Path, say: Say) -> None:
    text = trend.read_text()
    assert say("set", "TREND", "params.stop_loss", "0.03").code == 0
    said = say("set", "TREND", "params.stop_loss", "null")
    assert (said.code, said.err.splitlines()[0]) == (
        0, "strategies.d/trend.yaml: params.stop_loss is gone, its default holds"
    )  # fmt: skip
    assert trend.read_text() == text


def test_null_undoes_what_a_base_says_as_it_does_in_the_file(trend: Path, say: Say) -> None:
    (trend.parent / "_caps.yaml").write_text("params: {stop_loss: 0.05}\n")
    trend.write_text(trend.read_text().rstrip() + "\nextends: _caps.yaml\n")
    for _ in range(2):
        assert say("set", "TREND", "params.stop_loss", "null").code == 0
        assert trend.read_text().endswith("params:\n  stop_loss: null\n")
    (shown,) = [line for line in say("show", "TREND", "--origin").out.splitlines() if "params.stop_loss" in line]
    assert shown.split() == ["params.stop_loss", "0", "default"]


def test_what_is_nowhere_cannot_be_taken_away(trend: Path, say: Say) -> None:
    said = say("set", "TREND", "owner", "null")
    assert said.code == 1
    assert "neither strategies.d/trend.yaml nor a base of it says anything about owner" in said.err


def test_a_strategy_that_no_file_has_is_nothing_wrong_with_the_configuration(trend: Path, say: Say) -> None:
    said = say("set", "TRENT", "owner", "desk")
    assert (said.code, said.out) == (1, "")
    assert said.err == "error: no file in strategies.d has the strategy TRENT\n  hint: did you mean TREND?\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["owner", ""], "the value is empty; null takes owner away, '\"\"' is a text without characters"),
        (["tags", "[a"], '"[a" is not a value'),
        (["a..b", "1"], '"a..b" is not the path of a key'),
        (["params.stop_loss", "0.1", "--for", "1h"], "--for needs a --reason"),
        (["params.stop_loss", "0.1", "--for", "0s", "--reason", "x"], "'0s' is not a time; write it as 30m"),
        (["params.stop_loss", "0.1", "--for", "31d", "--reason", "x"], "--for 31d is longer than 30d"),
        (["params.stop_loss", "0.1", "--for", "99999999s", "--reason", "x"], "is longer than 30d"),
        (["params.stop_loss", "null", "--for", "1h", "--reason", "x"], "null is none"),
        (["tags", "a", "--for", "1h", "--reason", "x"], "tags is changed in the file, without --for"),
        (
            ["params.max_daily_lossy", "0.1", "--for", "1h", "--reason", "x"],
            "there is no parameter max_daily_lossy; did you mean params.max_daily_loss?",
        ),
        (
            ["max_daily_loss", "0.1", "--for", "1h", "--reason", "x"],
            "there is no field max_daily_loss; did you mean params.max_daily_loss?",
        ),
        (["enable", "false", "--for", "1h", "--reason", "x"], "there is no field enable; did you mean enabled?"),
        (["params.foo", "0.1", "--for", "1h", "--reason", "x"], "there is no parameter foo; there are: min_weight"),
    ],
)
def test_wrong_usage_of_set_is_told_before_anybody_is_asked(trend: Path, say: Say, args: list[str], words: str) -> None:
    before = trend.read_text()
    said = say("set", "TREND", *args)
    assert (said.code, said.out) == (2, "") and words in said.err
    assert trend.read_text() == before


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("no JSON", "kept.json is not a plan: Expecting value"),
        ("[" * 100_000, "kept.json is not a plan: "),
        ("[]", "kept.json is not a plan of this version"),
        ({"plan_format": "0.1"}, "kept.json is not a plan of this version"),
        (
            {"plan_format": "1.0"},
            "kept.json: this is not a plan that can be applied: the plan does not say 'strategies'",
        ),
        (
            {"plan_format": "1.0", "strategies": [{"strategy": "TREND", "action": "apply", "running": 1}]},
            "kept.json: this is not a plan that can be applied: strategy 1 of the plan does not say 'content'",
        ),
    ],
)
def test_a_damaged_plan_is_refused_before_anybody_is_asked(
    project: Path, say: Say, plan: str | dict[str, Any], words: str
) -> None:
    (project / "kept.json").write_text(plan if isinstance(plan, str) else json.dumps(plan))
    said = say("apply", "kept.json")
    assert said.code == 1 and words in said.err and "runner plan --out FILE" in said.err


def test_a_plan_that_there_is_not_is_wrong_usage(project: Path, say: Say) -> None:
    said = say("apply", "nix.json")
    assert (said.code, said.out) == (2, "") and "there is no file nix.json; make one with:" in said.err
