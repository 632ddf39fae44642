"""Positions that somebody else makes in the account: seen, named, and in nobody's way but their own."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from ib_async import LimitOrder, Stock

from runner.broker.ib_connection import IBSettings, connect_to_ib, disconnect
from runner.model.events import Notice
from runner.model.orders import Refused

HOLD = """
from runner.model.bars import BarSize
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS
PARAMS = {**BASE_PARAMS, "target_weight": 0.5}
class HoldStrategy(BaseStrategy):
    async def initialize_strategy(self):
        self.ibm, self.aapl = await self.qualify("IBM", "AAPL")
        self.feed = await self.open_feed([self.ibm, self.aapl], BarSize.DAY_1, history=3)
    async def run_strategy(self):
        while True:
            await self.feed.next()
"""


def trade_by_hand(port: int, symbol: str, quantity: int) -> None:
    """Another program on the same account buys."""

    async def trade() -> None:
        ib = await connect_to_ib(IBSettings(port=port), 77)
        contract = Stock(symbol, "SMART", "USD")
        await ib.qualifyContractsAsync(contract)
        ib.placeOrder(contract, LimitOrder("BUY", quantity, 1_000))
        await ib.server_time()
        await disconnect(ib)

    asyncio.run(trade())


def inside(running: Any, work: Any) -> Any:
    instance = running.manager.runtime("HOLD").instance
    return asyncio.run_coroutine_threadsafe(work(instance), instance._loop).result(30)


def test_a_position_that_no_strategy_made_locks_its_instrument_until_an_operator_accepts_it(build: Any) -> None:
    running = build({"hold.py": HOLD}, step="1m", speed=1200.0)
    manager = running.manager
    manager.register_python("HOLD", "hold.py")
    running.start("HOLD")
    running.let_market_run()
    inside(running, lambda hold: hold.buy(hold.ibm, 5))
    running.until(lambda: manager.portfolio_manager.held() == {8314: Decimal(5)}, "IBM was not bought")
    trade_by_hand(running.gateway.port, "IBM", 7)
    running.until(lambda: manager.master.positions().get(8314) == 12, "IB did not report the foreign position")

    manager.compare_positions()
    assert manager.master.locked == ["IBM: the books say 5, IB holds 12; nothing is opened in it"]
    running.settle()
    assert any(isinstance(event, Notice) and event.code == "position_mismatch" for event in running.events)

    refused = inside(running, lambda hold: hold.buy(hold.ibm, 1))
    assert isinstance(refused, Refused) and refused.control == "instrument_locked"
    assert not isinstance(inside(running, lambda hold: hold.sell(hold.ibm, 1)), Refused)  # what is held may be sold
    assert not isinstance(inside(running, lambda hold: hold.buy(hold.aapl, 1)), Refused)  # and others are untouched
    running.until(lambda: manager.portfolio_manager.position("HOLD", 8314).quantity == 4, "the sale was not booked")

    manager.operator.resume("HOLD", "bought by hand")
    assert manager.master.locked == []
    assert manager.portfolio_manager.unassigned_book == {8314: Decimal(7)}
    assert not isinstance(inside(running, lambda hold: hold.buy(hold.ibm, 1)), Refused)
    manager.finish_following()
