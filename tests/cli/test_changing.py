"""Commands that write strategy files, or carry out a kept plan, where no runner is running."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Say = Callable[..., Any]


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
