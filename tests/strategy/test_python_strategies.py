"""Hand-written strategies: the wrappers, one after the other, and the example of the user's page."""

from __future__ import annotations

import re
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from strategy_support import Seen, write_prices

from runner.gateway.settings import UNLIMITED
from runner.model.orders import OrderIntent, Purpose, Refused

PAGE = Path(__file__).parents[2] / "docs" / "python-strategies.md"
START, END = date(2012, 1, 3), date(2012, 2, 15)

HEAD = """
from runner.errors import RunnerError
from runner.model.bars import BarSize
from runner.strategy.base_strategy import PARAMS as BASE_PARAMS
from runner.strategy.base_strategy import BaseStrategy
DONE = {}
PARAMS = {**BASE_PARAMS, %s}
class DailyStrategy(BaseStrategy):
    async def initialize_strategy(self):
        self.flat, self.fall = await self.qualify("FLAT", "FALL")
        self.feed = await self.open_feed([self.flat, self.fall], BarSize.DAY_1, history=2)
    async def run_strategy(self):
        for step in self.steps():
            await self.feed.next()
            await self.settle()
            DONE[step.__name__] = await step()
            if self.clock.now().month == 1:
                await self.settle()
        while True:
            await self.feed.next()
"""
WRAPPERS = (
    HEAD % '"target_weight": 0.1'
    + """
    def steps(self):
        return [self.bought, self.targeted, self.again, self.reversed, self.closed, self.closed_again, self.weighted,
                self.resting, self.cancelled, self.bracketed, self.stopped, self.bracketed2, self.flattened, self.over]
    async def bought(self):
        return await self.buy("FLAT", 100, reason="first")
    async def targeted(self):
        return self.position("FLAT"), await self.order_target_quantity(self.flat, 150)
    async def again(self):
        held = self.position("FLAT")
        await self.sell("FLAT", 50)
        return held, await self.order_target_quantity("FLAT", 100)
    async def reversed(self):
        return self.position("FLAT"), await self.order_target_quantity("FLAT", -30)
    async def closed(self):
        return self.position("FLAT"), await self.close_position("FLAT"), await self.close_position("FLAT")
    async def closed_again(self):
        return await self.close_position("FLAT")
    async def weighted(self):
        return await self.order_target_weight("FLAT", 0.5)
    async def resting(self):
        return await self.buy("FLAT", 10, order_type="LMT", limit_price=40, tif="GTC")
    async def cancelled(self):
        await self.cancel(DONE["resting"])
        await self.settle()
        return self.broker.open_orders()
    async def bracketed(self):
        return await self.bracket("FALL", 100, take_profit=200, stop_loss=80.5)
    async def stopped(self):
        return self.position("FALL"), [o.intent.request.order_type.value for o in self.broker.open_orders()]
    async def bracketed2(self):
        return self.position("FALL"), await self.bracket("FLAT", -10, take_profit=30)
    async def flattened(self):
        return await self.flatten()
    async def over(self):
        return self.position("FLAT"), self.position("FALL"), self.broker.open_orders()
"""
)
LIMITED = (
    HEAD % '"target_weight": 0.1, "max_position_size": 0.5, "max_daily_trades": 1, "max_daily_loss": 0.03'
    + """
    def steps(self):
        return [self.too_much, self.one, *4 * [self.hold], self.lost, self.reduced, self.next_day]
    async def hold(self):
        pass
    async def too_much(self):
        return await self.order_target_weight("FALL", 0.6)
    async def one(self):
        return await self.order_target_weight("FALL", 0.4), await self.buy("FLAT", 1)
    async def lost(self):
        return self.last_price("FALL"), await self.buy("FLAT", 1), self.strategy_manager.loss_paused(self.symbol)
    async def reduced(self):
        return await self.sell("FALL", 1)
    async def next_day(self):
        return await self.buy("FLAT", 1)
"""
)
UNKNOWN = (
    HEAD % '"target_weight": 0.1'
    + """
    def steps(self):
        return [self.named]
    async def named(self):
        await self.buy("OTHER", 1)
"""
)


def example() -> str:
    """The strategy of docs/python-strategies.md."""
    found = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def system(build: Any, tmp_path_factory: Any) -> Any:
    prices = {
        "FLAT": [50.0] * 40,
        "FALL": [100.0] * 6 + [90.0] * 5 + [(90, 90, 80, 82)] + [82.0] * 28,
        "AAPL": [100.0, 101.0, 99.0, 105.0, (105, 115, 105, 115)] + [110.0] * 35,
    }
    data = write_prices(tmp_path_factory.mktemp("prices"), START, prices)
    sources = {"wrappers.py": WRAPPERS, "limited.py": LIMITED, "unknown.py": UNKNOWN, "breakout.py": example()}
    running = build(sources, data=data, start=START, end=END, liquidity=UNLIMITED, cash={"USD": Decimal(10_000_000)})
    for file in sources:
        running.manager.register_python(file.removesuffix(".py").upper(), file)
    running.start("WRAPPERS", "LIMITED", "UNKNOWN", "BREAKOUT")
    running.run_to(END)
    return running


def done(system: Any, name: str) -> dict[str, Any]:
    module = type(system.manager.runtime(name).instance).__module__
    return dict(sys.modules[module].DONE)


def test_the_wrappers_do_what_the_page_says(system: Any) -> None:
    got = done(system, "WRAPPERS")
    assert system.phase("WRAPPERS").value == "Running", system.reason("WRAPPERS")
    assert isinstance(got["bought"], OrderIntent) and got["bought"].request.reason == "first"
    assert got["targeted"][0] == 100 and got["targeted"][1].request.quantity == 50
    assert got["again"] == (150, None)  # what works is counted
    held, opened = got["reversed"]
    assert held == 100 and (opened.request.purpose, opened.request.quantity) == (Purpose.ENTRY, 30)
    held, closing, second = got["closed"]
    assert held == -30 and (closing.request.purpose, closing.request.quantity, second) == (Purpose.EXIT, 30, None)
    assert got["closed_again"] is None
    assert got["weighted"].request.quantity * 50 == pytest.approx(500_000, rel=0.01)
    assert got["resting"].request.limit_price == 40 and got["cancelled"] == []


def test_a_bracket_protects_its_position_at_ib(system: Any) -> None:
    got = done(system, "WRAPPERS")
    entry, profit, loss = got["bracketed"]
    assert [leg.request.order_type.value for leg in (entry, profit, loss)] == ["MKT", "LMT", "STP"]
    assert profit.request.parent_ref == loss.request.parent_ref == entry.order_ref
    assert got["stopped"] == (100, ["LMT", "STP"])
    assert got["bracketed2"][0] == 0  # the stop has been hit since
    assert [(order.request.instrument.symbol, order.request.purpose) for order in got["flattened"]] == [
        ("FLAT", Purpose.EXIT)
    ]
    assert got["over"] == (0, 0, [])


def test_caps_refuse_what_opens_and_never_what_reduces(system: Any) -> None:
    got = done(system, "LIMITED")
    assert isinstance(got["too_much"], Refused) and got["too_much"].control == "max_position_size"
    first, second = got["one"]
    assert isinstance(first, OrderIntent) and second.control == "max_daily_trades"
    price, refused, paused = got["lost"]
    assert (price, refused.control, paused) == (90, "state", True)  # 4 % of its equity are lost
    assert got["reduced"].request.purpose is Purpose.REDUCE
    assert isinstance(got["next_day"], OrderIntent)


def test_an_instrument_that_was_not_qualified_is_named(system: Any) -> None:
    assert system.phase("UNKNOWN").value == "Failed"
    assert "OTHER is not a qualified instrument (known: FALL, FLAT)" in system.reason("UNKNOWN")


def test_the_example_of_the_page_trades(system: Any) -> None:
    one = Seen(system, "BREAKOUT")
    assert one.phase == "Running", system.reason("BREAKOUT")
    assert [order.request.order_type.value for order in one.orders[:3]] == ["MKT", "LMT", "STP"]
    bought, sold = one.fills[:2]
    assert (bought.side.value, bought.price) == ("BUY", 99)
    assert (sold.side.value, sold.quantity) == ("SELL", bought.quantity) and sold.price >= Decimal("109.08")
    assert one.held == {}
