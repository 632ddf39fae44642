"""One session of ib_insync or ib_async, which have the same classes.

Run as `python scenario_insync.py ib_async PORT`. Prints what happened as one line of JSON.
"""

import asyncio
import importlib
import json
import logging
import re
import sys

WITHIN_S = 15.0
EXPECTED = re.compile(r"^(Error|Canceled order|API connection|Peer closed)")
"""What the libraries log as errors although it is the answer that was asked for."""


class Collector(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        text = record.getMessage()
        if record.exc_info or (record.levelno >= logging.ERROR and not EXPECTED.match(text)):
            self.lines.append(f"{record.name}: {text} {record.exc_info}"[:400])


async def until(what, test):
    for _ in range(int(WITHIN_S / 0.005)):
        if test():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{what} did not come")


async def within(what, awaitable):
    try:
        return await asyncio.wait_for(awaitable, WITHIN_S)
    except TimeoutError:
        raise AssertionError(f"{what} did not come") from None


async def scenario(lib, ib, out):
    aapl = lib.Stock("AAPL", "SMART", "USD")
    wanted = [aapl, lib.Forex("EURUSD"), lib.Index("SPX", "CBOE", "USD")]
    await within("qualifyContracts", ib.qualifyContractsAsync(*wanted))
    out["ids"] = [contract.conId > 0 for contract in wanted]
    futures = await within("futures", ib.reqContractDetailsAsync(lib.Future("ES", exchange="CME")))
    out["multiplier"] = futures[0].contract.multiplier
    details = (await within("details", ib.reqContractDetailsAsync(aapl)))[0]
    out["minTick"] = details.minTick
    assert await within("unknown", ib.reqContractDetailsAsync(lib.Stock("NOSUCH", "SMART", "USD"))) == []
    await market(lib, ib, aapl, out)
    await orders(lib, ib, aapl, out)
    await books(ib, out)


async def market(lib, ib, aapl, out):
    bars = await within("history", ib.reqHistoricalDataAsync(aapl, "", "2 D", "1 hour", "TRADES", True))
    out["bars"] = len(bars)
    live = await within(
        "keepUpToDate", ib.reqHistoricalDataAsync(aapl, "", "1 D", "1 min", "TRADES", True, keepUpToDate=True)
    )
    real_time = ib.reqRealTimeBars(aapl, 5, "TRADES", False)
    ticker = ib.reqMktData(aapl, "233")
    if "ib_async" in lib.__name__:
        ib.reqTickByTickData(aapl, "MidPoint")
    updates = []
    live.updateEvent += lambda bars, new: updates.append(new)
    await until("bar updates", lambda: len(updates) >= 3)
    await until("5-second bars", lambda: len(real_time) >= 2)
    out["realTime"] = (real_time[1].time - real_time[0].time).total_seconds()
    await until("ticks", lambda: ticker.bid > 0 and ticker.last > 0)
    out["ordered"] = ticker.bid < ticker.ask
    snapshot = (await within("snapshot", ib.reqTickersAsync(aapl)))[0]
    out["snapshot"] = snapshot.last > 0
    ib.reqMarketDataType(3)
    out["delayed"] = (await within("delayed", ib.reqTickersAsync(aapl)))[0].bid > 0
    ib.reqMarketDataType(1)
    ticks = await within("ticks", ib.reqHistoricalTicksAsync(aapl, "", "20130301 15:00:00 UTC", 10, "BID_ASK", True))
    out["ticks"] = len(ticks)
    out["head"] = str(await within("head", ib.reqHeadTimeStampAsync(aapl, "TRADES", True, 1)))
    schedule = await within("schedule", ib.reqHistoricalScheduleAsync(aapl, 5))
    out["sessions"] = len(schedule.sessions) > 0
    out["samples"] = [d.contract.symbol for d in await within("samples", ib.reqMatchingSymbolsAsync("AAPL"))]
    out["rule"] = [r.increment for r in await within("rule", ib.reqMarketRuleAsync(26))]
    out["options"] = await within("options", ib.reqSecDefOptParamsAsync("AAPL", "", "STK", aapl.conId))
    out["news"] = await within("news", ib.reqNewsProvidersAsync())
    out["histogram"] = await within("histogram", ib.reqHistogramDataAsync(aapl, True, "3 days"))
    out["scanner"] = len(await within("scanner", ib.reqScannerDataAsync(lib.ScannerSubscription())))
    await within("current time", ib.reqCurrentTimeAsync())
    if hasattr(ib, "reqUserInfoAsync"):
        await within("user info", ib.reqUserInfoAsync())
    ib.cancelMktData(aapl)
    ib.cancelRealTimeBars(real_time)
    ib.cancelHistoricalData(live)


async def orders(lib, ib, aapl, out):
    price = (await ib.reqTickersAsync(aapl))[0].last
    low, high = round(price * 0.9, 2), round(price * 1.2, 2)
    trade = ib.placeOrder(aapl, lib.MarketOrder("BUY", 10, orderRef="ref-1"))
    await until("fill", lambda: trade.orderStatus.status == "Filled" and trade.fills[0].commissionReport.execId)
    out["commission"] = trade.fills[0].commissionReport.commission > 0
    out["log"] = trade.log[-1].status
    resting = ib.placeOrder(aapl, lib.LimitOrder("BUY", 5, low, tif="GTC"))
    await until("resting", lambda: resting.orderStatus.status == "Submitted")
    resting.order.lmtPrice = round(price * 0.91, 2)
    ib.placeOrder(aapl, resting.order)
    await until("modified", lambda: resting.log[-1].message == "Modified")
    open_orders = await within("open orders", ib.reqAllOpenOrdersAsync())
    out["open"] = [t.order.lmtPrice == resting.order.lmtPrice for t in open_orders]
    ib.cancelOrder(resting.order)
    await until("cancelled", lambda: resting.orderStatus.status == "Cancelled")
    bracket = [ib.placeOrder(aapl, each) for each in ib.bracketOrder("BUY", 3, low, high, round(price * 0.8, 2))]
    await until("bracket", lambda: all(t.orderStatus.permId for t in bracket))
    oca = ib.oneCancelsAll([lib.LimitOrder("BUY", 1, low), lib.StopOrder("SELL", 1, low)], "group", 1)
    group = [ib.placeOrder(aapl, each) for each in oca]
    others = [
        lib.StopLimitOrder("SELL", 1, low, low),
        lib.Order(action="SELL", orderType="TRAIL", totalQuantity=1, trailingPercent=5),
        lib.Order(action="SELL", orderType="MIT", totalQuantity=1, auxPrice=high),
        lib.Order(action="SELL", orderType="LIT", totalQuantity=1, auxPrice=high, lmtPrice=high),
        lib.Order(action="SELL", orderType="MOC", totalQuantity=1),
        lib.Order(action="SELL", orderType="LOC", totalQuantity=1, lmtPrice=high),
        lib.Order(action="BUY", orderType="REL", totalQuantity=1, lmtPrice=low, auxPrice=0.01),
    ]
    others = [ib.placeOrder(aapl, each) for each in others]
    await until("every type", lambda: all(t.orderStatus.permId for t in [*group, *others]))
    state = await within("whatIf", ib.whatIfOrderAsync(aapl, lib.MarketOrder("BUY", 100)))
    out["whatIf"] = float(state.initMarginChange) > 0
    ib.reqGlobalCancel()
    everything = [*bracket, *group, *others]
    await until("global cancel", lambda: all(t.orderStatus.status == "Cancelled" for t in everything))
    completed = await within("completed", ib.reqCompletedOrdersAsync(False))
    out["completed"] = sorted({t.orderStatus.status for t in completed})
    fills = await within("executions", ib.reqExecutionsAsync())
    out["executions"] = [(f.execution.side, f.execution.shares, f.execution.orderRef) for f in fills]


async def books(ib, out):
    account = ib.managedAccounts()[0]
    await until("position", lambda: ib.positions())
    out["position"] = ib.positions()[0].position
    await until("portfolio", lambda: ib.portfolio())
    out["portfolio"] = ib.portfolio()[0].position
    summary = await within("summary", ib.accountSummaryAsync())
    out["base"] = [v.currency for v in summary if v.tag == "EquityWithLoanValue"]
    out["ledger"] = sorted({v.currency for v in summary if v.tag == "CashBalance"})
    pnl = ib.reqPnL(account)
    single = ib.reqPnLSingle(account, "", ib.positions()[0].contract.conId)
    await until("pnl", lambda: pnl.unrealizedPnL == pnl.unrealizedPnL and single.value == single.value)
    out["single"] = single.position


async def main():
    lib = importlib.import_module(sys.argv[1])
    problems = Collector()
    logging.getLogger().addHandler(problems)
    ib = lib.IB()
    await ib.connectAsync("127.0.0.1", int(sys.argv[2]), clientId=3, timeout=WITHIN_S)
    out = {"version": ib.client.serverVersion()}
    codes = set()
    ib.errorEvent += lambda request, code, *rest: codes.add(code)
    await scenario(lib, ib, out)
    ib.disconnect()
    out["logged"] = problems.lines
    out["codes"] = sorted(codes)
    print(json.dumps(out))


asyncio.run(main())
