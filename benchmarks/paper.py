"""The paper gateway: orders there and back, and one step of its market with ten live subscriptions.

Base of the ratios: a bare round trip between two asyncio protocols on loopback.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from common import Table, gateway_process, loopback_round_trip, microseconds, percentile, write_market
from ib_async import IB, MarketOrder, Stock

SUBSCRIPTIONS = 10
TIMEOUT_S = 60.0


async def _measure(port: int, names: list[str], orders: int, steps: int) -> Table:
    loopback_s = await loopback_round_trip(max(100, orders))
    follower, trader = IB(), IB()
    follower.client.optCapab = "follow"
    for number, ib in enumerate((follower, trader)):
        ib.client.MaxRequests = 0
        await ib.connectAsync("127.0.0.1", port, number + 1, timeout=TIMEOUT_S)
    for _ in range(2):  # the second answer comes after a step, inside the first session
        await follower.reqCurrentTimeAsync()
    contracts = [Stock(name, "SMART", "USD") for name in names]
    await trader.qualifyContractsAsync(*contracts)
    taken = []
    for number in range(orders):
        began = time.perf_counter()
        trade = trader.placeOrder(contracts[0], MarketOrder("BUY" if number % 2 == 0 else "SELL", 10))
        filled = asyncio.get_running_loop().create_future()
        trade.filledEvent += lambda _trade, filled=filled: filled.done() or filled.set_result(None)
        await asyncio.wait_for(filled, TIMEOUT_S)
        taken.append(time.perf_counter() - began)
    trader.disconnect()
    moved = {0: await _steps(follower, steps)}
    for contract in contracts[:SUBSCRIPTIONS]:
        await follower.reqHistoricalDataAsync(
            contract, "", "1 D", "1 min", "TRADES", True, formatDate=2, keepUpToDate=True, timeout=TIMEOUT_S
        )
    moved[SUBSCRIPTIONS] = await _steps(follower, steps)
    follower.disconnect()
    of = "a bare loopback round trip"
    table = Table("The paper gateway, in its own process, with ib_async as client")
    table.add("a bare loopback round trip, p50", microseconds(loopback_s))
    p50 = percentile(taken, 0.5)
    table.add("market order until it is filled, p50", microseconds(p50), p50 / loopback_s, of)
    p99 = percentile(taken, 0.99)
    table.add("market order until it is filled, p99", microseconds(p99), p99 / loopback_s, of)
    table.add("orders there and back, one after the other", f"{1 / (sum(taken) / len(taken)):,.0f} /s")
    for number, step_s in moved.items():
        text = f"one step with {number} keepUpToDate subscriptions" if number else "one step with nobody subscribed"
        table.add(text, microseconds(step_s), step_s / loopback_s, of)
    return table


async def _steps(follower: IB, steps: int) -> float:
    """Median seconds of a step: everything of it has been sent, decoded and handled when the time comes."""
    taken = []
    for _ in range(steps):
        began = time.perf_counter()
        await asyncio.wait_for(follower.reqCurrentTimeAsync(), TIMEOUT_S)
        taken.append(time.perf_counter() - began)
    return percentile(taken, 0.5)


def measure(orders: int, steps: int) -> Table:
    with tempfile.TemporaryDirectory() as name:
        names = write_market(Path(name), SUBSCRIPTIONS)
        arguments = ("--data", name, "--speed", "max", "--step", "1m", "--start", "2012-06-01")
        with gateway_process(*arguments) as port:
            return asyncio.run(_measure(port, names, orders, steps))
