"""The systems that the document is read along on. `system`: a YAML strategy, and one in the shape of the template,
through three months. `waiting`: a strategy that says what is done with it, and waits.

The files follow the document's sections, and the tests of a file its sentences.
"""

from __future__ import annotations

import sys
from datetime import date
from typing import Any

import pytest

TREND = """
spec: 1
name: TREND
universe: AAPL, IBM
bars: {size: 1 day, history: 60}
signals:
  trend:
    use: sma_cross
    with: {fast: 3, slow: 10}
sizing:
  use: equal_weight
params: {target_weight: 0.2, min_weight: 0.1, max_weight: 0.3}
schedule: {calendar: XNYS}
"""

TEMPLATE = """
import asyncio

from ib_async import Stock

from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS

PARAMS = {
    **BASE_PARAMS,
    "universe": "GOOG",
    "target_weight": 0.10,
    "min_weight": 0.05,
    "max_weight": 0.15,
    "stop_loss": 0.03,
    "take_profit": 0.20,
}


class Helper:
    pass


class MyStrategy(BaseStrategy):
    async def initialize_strategy(self):
        symbol = (self.params.get("universe", "AAPL").split(",")[0] or "AAPL").strip()
        self.seen = []
        self.contract = Stock(symbol, "SMART", "USD")
        if self.broker_type == "live" and self.ib and self.is_connected:
            await self.ib.qualifyContractsAsync(self.contract)
        (self.instrument,) = await self.qualify(symbol)
        self.equity_at_start = self.get_equity()
        from runner.model.bars import BarSize
        self.feed = await self.open_feed([self.instrument], BarSize.DAY_1, history=5)

    async def run_strategy(self):
        self.placed = await self.order_target_weight(self.instrument, 1.0, reason="template")
        while self.is_running:
            moment = await self.feed.next()

    def on_fill(self, fill):
        self.seen.append(fill)
        super().on_fill(fill)

    def on_status_change(self, change):
        self.seen.append(change)
        super().on_status_change(change)
"""

WAITING = """
import asyncio
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS

PARAMS = {**BASE_PARAMS, "universe": "IBM", "target_weight": 0.25}
STEPS = []


class FirstStrategy(BaseStrategy):
    async def initialize_strategy(self):
        STEPS.append(("initialize", self.is_connected, self.broker.ready, self.is_running))

    async def run_strategy(self):
        STEPS.append(("run",))
        await asyncio.Event().wait()

    async def finish_strategy(self):
        STEPS.append(("finish", self.is_connected))


class SecondStrategy(FirstStrategy):
    pass
"""

LAST = date(2012, 3, 30)


@pytest.fixture(scope="module")
def system(build: Any) -> Any:
    """Started, and traded to the end of March 2012."""
    running = build({"trend.yaml": TREND, "my_strategy.py": TEMPLATE})
    running.manager.register_python("MINE", "my_strategy.py")
    running.params_before = running.manager.strategies.get("MINE").params
    running.start("TREND", "MINE")
    running.equity_before = running.manager.portfolio_manager.account.equity_with_loan
    running.run_to(LAST)
    running.manager.portfolio_manager.flush()
    return running


@pytest.fixture(scope="module")
def waiting(build: Any) -> Any:
    """A row with a filename, and nothing started."""
    running = build({"waiting.py": WAITING})
    running.manager.register_python("WAITING", "waiting.py")
    return running


def steps_of(running: Any, name: str) -> list[tuple[Any, ...]]:
    """What the module of a running strategy has noted."""
    module = type(running.manager.runtime(name).instance).__module__
    noted: list[tuple[Any, ...]] = sys.modules[module].STEPS
    return noted


@pytest.fixture
def steps() -> Any:
    return steps_of
