"""Commands that only read and write files import nothing that trading needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from runner.spec.explain import page_of

HEAVY = ("pandas", "arcticdb", "ib_async", "talib", "exchange_calendars", "numba")


@pytest.mark.parametrize(
    "args",
    [
        ["explain"],
        ["explain", "M401"],
        ["explain", "stop_loss"],
        ["explain", "M401", "--color", "always"],
        ["blocks"],
        ["blocks", "rsi"],
        ["new", "MINE", "--template", "custom"],
        ["new", "COPY", "--from", "TREND"],
        ["show", "TREND"],
        ["show", "TREND", "--origin", "--json"],
        ["schema", "--write"],
    ],
    ids=" ".join,
)
def test_none_of_these_commands_imports_what_trading_needs(project, args):
    (project / "strategies.d").mkdir()
    (project / "strategies.d" / "trend.yaml").write_text(page_of("Y100").files("right")["strategies.d/trend.yaml"])
    code = (
        "import sys, json; from runner.__main__ import invoke; code = invoke(sys.argv[2:]); "
        "print(json.dumps([code, sorted(set(sys.argv[1].split(',')) & set(sys.modules))]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ",".join(HEAVY), *args],
        cwd=project,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]
