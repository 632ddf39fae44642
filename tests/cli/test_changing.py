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
    ("plan", "words"),
    [
        ("no JSON", "kept.json is not a plan: Expecting value"),
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
    assert said.code == 78 and words in said.err and "runner plan --out FILE" in said.err
