"""The whole gateway on real daily bars: a following client sees each session once, and a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import date

import ib_async

from runner.gateway import GatewayServer, GatewaySettings, PaperExchange

DAYS = 40


async def replay(seed: int) -> list[tuple[object, ...]]:
    """A client that follows and buys at every tenth close; everything that it saw, in order."""
    settings = GatewaySettings(
        speed="max", step="day", start=date(2012, 1, 3), end=date(2012, 12, 31), enforce_limits=False, seed=seed
    )
    server = GatewayServer(PaperExchange(settings), settings)
    ib = ib_async.IB()
    ib.client.optCapab = "follow"
    ib.client.MaxRequests = 0
    seen: list[tuple[object, ...]] = []
    try:
        await ib.connectAsync("127.0.0.1", await server.start(), clientId=1, timeout=5, raiseSyncErrors=True)
        contracts = [ib_async.Stock(symbol, "SMART", "USD") for symbol in ("AAPL", "IBM")]
        await ib.qualifyContractsAsync(*contracts)
        for contract in contracts:
            bars = await ib.reqHistoricalDataAsync(contract, "", "10 D", "1 day", "TRADES", True, keepUpToDate=True)
            bars.updateEvent += lambda bars, new: seen.append(
                (bars.contract.symbol, bars[-1].date, bars[-1].close, new)
            )
        ib.execDetailsEvent += lambda trade, fill: seen.append(("fill", fill.execution.time, fill.execution.price))
        await ib.reqCurrentTimeAsync()
        for day in range(DAYS):
            async with asyncio.timeout(5):
                seen.append(("time", await ib.reqCurrentTimeAsync()))
            if day % 10 == 0:
                ib.placeOrder(contracts[0], ib_async.MarketOrder("BUY", 10))
    finally:
        ib.disconnect()
        await server.stop()
    assert server.failed is None
    return seen


async def test_a_follower_sees_one_bar_per_contract_and_session_and_every_run_is_the_same() -> None:
    first, second = await replay(1), await replay(1)
    assert first == second
    times = [entry[1] for entry in first if entry[0] == "time"]
    assert times == sorted(set(times))
    bars = [entry for entry in first if entry[0] in ("AAPL", "IBM")]
    assert [entry[3] for entry in bars] == [True] * 2 * DAYS, "one update, with the whole bar of a new day, each"
    assert [entry[1] for entry in bars if entry[0] == "AAPL"] == [moment.date() for moment in times]
    fills = [entry for entry in first if entry[0] == "fill"]
    assert len(fills) >= DAYS // 10, "an order placed at a close fills at the next open"


async def test_the_gateway_as_a_process_says_one_line_and_stops_cleanly() -> None:
    code = "from runner.gateway import *; raise SystemExit(run_gateway(GatewaySettings()))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        line = (await process.stdout.readline()).decode()
        assert line.startswith("gateway listening on 127.0.0.1:")
        assert " · paper account DU1234567 · market 2013-03-01 09:30 US/Eastern ×1" in line
        ib = ib_async.IB()
        await ib.connectAsync("127.0.0.1", int(line.split(":")[1].split(" ")[0]), clientId=1, timeout=5)
        process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
    ib.disconnect()
    assert (process.returncode, out, err) == (0, b"", b"")
