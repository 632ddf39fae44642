"""The demo's replay: wall time of a session, with all strategies of strategies.d.

Base of the ratio: the same market moved through the same sessions in this process, with nobody connected.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from common import ROOT, Table

from runner.gateway.exchange import PaperExchange
from runner.gateway.settings import GatewaySettings
from runner.manager.demo import run_demo
from runner.manager.results import DemoOptions, DemoProgress

START = date(2012, 1, 3)
DAYS_OF_A_SESSION = 365.25 / 252


def bare_market(first: date, last: date) -> float:
    """Seconds of a session when nobody watches."""
    exchange = PaperExchange(GatewaySettings(speed="max", step="day", start=first, end=last, enforce_limits=False))
    began, steps = time.perf_counter(), 0
    while exchange.step() is not None:
        steps += 1
    taken = (time.perf_counter() - began) / max(1, steps)
    exchange.close()
    return taken


def measure(sessions: int) -> Table:
    traded: list[float] = []

    def progress(at: DemoProgress) -> None:
        if at.phase in ("trade", "close"):
            traded.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as name:
        strategies = Path(name, "strategies.d")
        shutil.copytree(ROOT / "strategies.d", strategies, ignore=shutil.ignore_patterns("__pycache__"))
        years = sessions * DAYS_OF_A_SESSION / 365.25
        result = run_demo(
            DemoOptions(strategies_dir=strategies, state_dir=Path(name, "state"), years=years, start=START), progress
        )
    if not result.reconciled:
        raise SystemExit("the books of the demo do not agree with the gateway's")
    each_s = (traded[-1] - traded[0]) / max(1, len(traded) - 1)
    base_s = bare_market(result.first_session, result.first_session + timedelta(days=round(years * 365.25)))
    orders = sum(one.orders for one in result.strategies)
    table = Table(f"Replay of {result.sessions} sessions, {len(result.strategies)} strategies, {orders} orders")
    table.add("the market alone, per session", f"{base_s * 1e3:,.2f} ms")
    table.add("with the whole runner, per session", f"{each_s * 1e3:,.2f} ms", each_s / base_s, "the market alone")
    table.add("start, warm-up, replay and report together", f"{result.elapsed_s:,.1f} s")
    return table
