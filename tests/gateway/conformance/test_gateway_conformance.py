"""Clients that nobody here wrote, unmodified, do their whole work against the paper gateway.

Each runs one scripted session in a process of its own: contract details, history, live bars, ticks, orders of every
type, books. What it saw comes back as JSON; no client may log a problem of its decoder.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.gateway import GatewayServer, GatewaySettings, PaperExchange

HERE = Path(__file__).parent
CLIENTS = HERE.parents[2] / ".clients"
WITHIN_S = 30.0

# client, the folder of .clients it is in (None: this environment), script, arguments, server version
CASES = [
    ("ib_async", None, "scenario_insync.py", ["ib_async"], 178),
    ("ib_insync", "ib_insync", "scenario_insync.py", ["ib_insync"], 176),
    ("ibapi 9.81.1", "ibapi", "scenario_ibapi.py", [], 157),
    ("ibapi 10.46.1", "nautilus_ibapi", "scenario_ibapi.py", [], 178),
]
EXPECTED_CODES = {162, 200, 202, 322}
"""Cancelled bars, unknown symbol, cancelled orders, the histogram that is not served."""


async def run_client(port: int, folder: str | None, script: str, arguments: list[str]) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    if folder is not None:
        target = CLIENTS / folder
        if not target.is_dir():
            pytest.fail(f"{target} is missing: the client libraries are not installed; run `make clients`")
        environment["PYTHONPATH"] = str(target)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", str(HERE / script), *arguments, str(port),
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        pytest.fail(f"{script} {arguments} did not end within {WITHIN_S} s")
    assert process.returncode == 0, err.decode()[-3000:]
    result: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.mark.parametrize(("name", "folder", "script", "arguments", "version"), CASES, ids=[case[0] for case in CASES])
async def test_unmodified_client_works(
    name: str, folder: str | None, script: str, arguments: list[str], version: int, recordings: Path
) -> None:
    record = recordings / name
    settings = GatewaySettings(speed=200.0, step="5s", record=record)
    server = GatewayServer(PaperExchange(settings), settings)
    port = await server.start()
    try:
        seen = await run_client(port, folder, script, arguments)
    finally:
        await server.stop()
    assert server.failed is None
    assert seen["version"] == version
    assert seen["logged"] == [], "the client's decoder complained"
    assert seen.get("died", []) == []
    assert set(seen["codes"]) == EXPECTED_CODES
    assert seen["minTick"] == 0.01
    assert seen["position"] == 10.0
    assert seen["bars"] > 5
    if script == "scenario_insync.py":
        check_insync(seen)
    else:
        check_ibapi(seen)
    assert shapes(next(record.glob("*.txt"))) == shapes(HERE / "golden" / f"frames-{version}-{script[9:-3]}.txt")


def check_insync(seen: dict[str, Any]) -> None:
    assert seen["ids"] == [True, True, True]
    assert seen["multiplier"] == "50"
    assert seen["realTime"] == 5.0
    assert all(seen[key] for key in ("ordered", "snapshot", "delayed", "sessions", "commission", "whatIf"))
    assert seen["ticks"] == 10
    assert (seen["samples"], seen["rule"]) == (["AAPL"], [0.01])
    assert (seen["options"], seen["news"], seen["histogram"], seen["scanner"]) == ([], [], [], 0)
    assert seen["open"] == [True]
    assert seen["completed"] == ["Cancelled", "Filled"]
    assert seen["executions"] == [["BOT", 10.0, "ref-1"]]
    assert (seen["portfolio"], seen["single"]) == (10.0, 10.0)
    assert seen["base"] == ["USD"]
    assert "BASE" in seen["ledger"]


def check_ibapi(seen: dict[str, Any]) -> None:
    assert [seen["details"][key] for key in ("1", "2", "4")] == ["AAPL", "EUR.USD", "SPX"]
    assert seen["ticks"] == [10, 10]
    assert seen["sequence"] == [True, True], "openOrder, execDetails, commission: in this order"
    assert seen["whatIf"]
    assert seen["completed"] == ["Cancelled"] * 4 + ["Filled"]
    assert (seen["executions"], seen["orderRef"], seen["base"]) == (1, "ref-1", "USD")


VARIABLE = {"S10", "S17", "S79", "S81", "S93", "S96", "S97", "S98", "S106"}
"""Messages whose length depends on the market, and those that the timing of the market decides about."""


def shapes(file: Path) -> set[tuple[str, int]]:
    """(direction and message id, number of fields) of every message in a recording."""
    found = set()
    for line in file.read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        fields = line[3:].split("|")
        message = line[0] + fields[0]
        found.add(("hello", 2) if line[0] == "S" and len(fields) == 2 and len(fields[0]) == 3 and " " in fields[1]
                  else (message, 0 if message in VARIABLE else len(fields)))  # fmt: skip
    return found


def test_golden_frames_have_the_lengths_of_a_real_gateway() -> None:
    """Plain openOrder 128 fields at 157 and 135 at 178, completedOrder 96 and 100, placeOrder 110 and 114."""
    old = shapes(HERE / "golden" / "frames-157-ibapi.txt")
    new = shapes(HERE / "golden" / "frames-178-insync.txt")
    assert {("S5", 128), ("S101", 96), ("C3", 110)} <= old
    assert {("S5", 135), ("S101", 100), ("C3", 114)} <= new
