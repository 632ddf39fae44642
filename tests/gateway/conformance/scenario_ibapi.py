"""One session of the official client: ibapi 9.81.1, and nautilus_ibapi 10, which has the same classes.

Run as `python scenario_ibapi.py PORT`, with the client on PYTHONPATH. Prints what happened as one line of JSON.
"""

import json
import logging
import os
import sys
import threading
import time
from decimal import Decimal

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.wrapper import EWrapper

WITHIN_S = 15.0


class Collector(logging.Handler):
    def __init__(self):
        super().__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        self.lines.append(f"{record.name}: {record.getMessage()}"[:300])


class Client(EWrapper, EClient):
    """Counts every callback and keeps the last arguments."""

    def __init__(self):
        EClient.__init__(self, self)
        self.seen = {}
        self.calls = []
        self.arrived = threading.Condition()

    def note(self, name, *args):
        with self.arrived:
            self.seen.setdefault(name, []).append(args)
            self.calls.append(name)
            self.arrived.notify_all()

    def wait(self, name, count=1, test=None):
        """Until `name` was called `count` times (with arguments that pass `test`)."""

        def done():
            calls = self.seen.get(name, [])
            return len([c for c in calls if test is None or test(*c)]) >= count

        with self.arrived:
            if not self.arrived.wait_for(done, WITHIN_S):
                print(f"{name} did not come; came: {self.calls[-30:]}; {self.seen.get('error')}", file=sys.stderr)
                os._exit(1)  # the client's threads would keep the process
            return [c for c in self.seen[name] if test is None or test(*c)]


def recording(name):
    def callback(self, *args):
        self.note(name, *args)

    return callback


CALLBACKS = """
    error managedAccounts nextValidId contractDetails contractDetailsEnd tickPrice tickSize tickString tickGeneric
    tickSnapshotEnd tickReqParams marketDataType historicalData historicalDataEnd historicalDataUpdate realtimeBar
    historicalTicks historicalTicksBidAsk historicalTicksLast headTimestamp historicalSchedule openOrder orderStatus
    openOrderEnd execDetails execDetailsEnd commissionReport commissionAndFeesReport completedOrder
    completedOrdersEnd position positionEnd positionMulti positionMultiEnd updateAccountValue updatePortfolio
    updateAccountTime accountDownloadEnd accountUpdateMulti accountUpdateMultiEnd accountSummary accountSummaryEnd
    pnl pnlSingle symbolSamples marketRule securityDefinitionOptionParameterEnd currentTime userInfo histogramData
    tickByTickAllLast tickByTickBidAsk tickByTickMidPoint connectionClosed newsProviders familyCodes
"""
for callback_name in CALLBACKS.split():
    setattr(Client, callback_name, recording(callback_name))


def contract(symbol, sec_type="STK", exchange="SMART", currency="USD", **more):
    made = Contract()
    made.symbol, made.secType, made.exchange, made.currency = symbol, sec_type, exchange, currency
    for name, value in more.items():
        setattr(made, name, value)
    return made


def order(action, kind, quantity, **more):
    made = Order()
    made.action, made.orderType = action, kind
    made.totalQuantity = Decimal(quantity) if sys.modules["ibapi"].__file__.find("nautilus") >= 0 else quantity
    for name, value in more.items():
        setattr(made, name, value)
    return made


def scenario(client, out):
    aapl = contract("AAPL")
    client.reqContractDetails(1, aapl)
    client.reqContractDetails(2, contract("EUR", "CASH", "IDEALPRO"))
    client.reqContractDetails(3, contract("ES", "FUT", "CME"))
    client.reqContractDetails(4, contract("SPX", "IND", "CBOE"))
    client.wait("contractDetailsEnd", 4)
    details = {args[0]: args[1] for args in client.seen["contractDetails"]}
    out["details"] = {key: d.contract.localSymbol for key, d in details.items()}
    out["minTick"] = float(details[1].minTick)
    client.reqContractDetails(5, contract("NOSUCH"))
    client.wait("error", test=lambda *a: a[0] == 5 and 200 in a)
    client.reqHistoricalData(10, aapl, "", "2 D", "1 hour", "TRADES", 1, 1, False, [])
    client.wait("historicalDataEnd")
    out["bars"] = len(client.seen["historicalData"])
    client.reqHistoricalData(11, aapl, "", "1 D", "5 mins", "TRADES", 1, 2, True, [])
    client.wait("historicalDataEnd", 2)
    client.reqRealTimeBars(12, aapl, 5, "TRADES", False, [])
    client.reqMktData(13, aapl, "233", False, False, [])
    client.reqMktData(14, aapl, "", True, False, [])
    client.wait("tickSnapshotEnd")
    client.reqTickByTickData(15, aapl, "BidAsk", 0, True)
    client.wait("tickByTickBidAsk")
    client.wait("historicalDataUpdate")
    client.wait("realtimeBar", 2)
    client.reqHeadTimeStamp(16, aapl, "TRADES", 1, 1)
    client.wait("headTimestamp")
    for number, what in ((17, "TRADES"), (18, "MIDPOINT"), (19, "BID_ASK")):
        client.reqHistoricalTicks(number, aapl, "", "20130301 15:00:00", 10, what, 1, True, [])
    client.wait("historicalTicksLast")
    client.wait("historicalTicks")
    client.wait("historicalTicksBidAsk")
    out["ticks"] = [len(client.seen[n][0][1]) for n in ("historicalTicksLast", "historicalTicksBidAsk")]
    client.cancelMktData(13)
    client.cancelRealTimeBars(12)
    client.cancelHistoricalData(11)
    client.cancelTickByTickData(15)
    orders(client, aapl, out)
    books(client, out)
    client.reqMatchingSymbols(60, "AA")
    client.wait("symbolSamples")
    client.reqMarketRule(26)
    client.wait("marketRule")
    client.reqSecDefOptParams(61, "AAPL", "", "STK", 265598)
    client.wait("securityDefinitionOptionParameterEnd")
    client.reqHistogramData(62, aapl, True, "3 days")
    client.wait("histogramData")
    client.reqNewsProviders()
    client.wait("newsProviders")
    client.reqCurrentTime()
    client.wait("currentTime")
    if client.serverVersion() >= 167:
        client.reqUserInfo(63)
        client.wait("userInfo")
        client.reqHistoricalData(64, aapl, "", "5 D", "1 day", "SCHEDULE", 1, 1, False, [])
        client.wait("historicalSchedule")


def orders(client, aapl, out):
    first = client.wait("nextValidId")[0][0]
    price = [a for a in client.seen["tickPrice"] if a[1] == 4][-1][2]
    client.placeOrder(first, aapl, order("BUY", "MKT", 10, orderRef="ref-1"))
    client.wait("orderStatus", test=lambda *a: a[0] == first and a[1] == "Filled")
    client.wait("execDetails", test=lambda *a: a[0] == -1)
    client.wait("commissionReport" if client.serverVersion() == 157 else "commissionAndFeesReport")
    names = [
        n for n in client.calls if n in ("openOrder", "execDetails", "commissionReport", "commissionAndFeesReport")
    ]
    out["sequence"] = [names.index("openOrder") < names.index("execDetails"), names[-1].startswith("commission")]
    client.placeOrder(first + 1, aapl, order("BUY", "LMT", 5, lmtPrice=round(price * 0.9, 2), tif="GTC"))
    client.wait("orderStatus", test=lambda *a: a[0] == first + 1 and a[1] == "Submitted")
    client.placeOrder(first + 1, aapl, order("BUY", "LMT", 6, lmtPrice=round(price * 0.91, 2), tif="GTC"))
    client.wait("openOrder", test=lambda *a: a[0] == first + 1 and float(a[2].totalQuantity) == 6)
    client.reqOpenOrders()
    client.wait("openOrderEnd")
    if client.serverVersion() == 157:
        client.cancelOrder(first + 1)
    else:
        from ibapi.order_cancel import OrderCancel

        client.cancelOrder(first + 1, OrderCancel())
    client.wait("error", test=lambda *a: a[0] == first + 1 and 202 in a)
    parent = order("BUY", "LMT", 3, lmtPrice=round(price * 0.9, 2), transmit=False)
    target = order("SELL", "LMT", 3, lmtPrice=round(price * 1.2, 2), parentId=first + 2, transmit=False)
    stop = order("SELL", "STP", 3, auxPrice=round(price * 0.8, 2), parentId=first + 2)
    for number, each in enumerate((parent, target, stop), first + 2):
        client.placeOrder(number, aapl, each)
    client.wait("orderStatus", test=lambda *a: a[0] == first + 4)
    client.placeOrder(first + 5, aapl, order("BUY", "MKT", 100, whatIf=True))
    what_if = client.wait("openOrder", test=lambda *a: a[0] == first + 5)[0]
    out["whatIf"] = float(what_if[3].initMarginChange) > 0
    if client.serverVersion() == 157:
        client.reqGlobalCancel()
    else:
        from ibapi.order_cancel import OrderCancel

        client.reqGlobalCancel(OrderCancel())
    client.wait("error", 3, test=lambda *a: a[0] in (first + 2, first + 3, first + 4) and 202 in a)
    client.reqCompletedOrders(False)
    client.wait("completedOrdersEnd")
    out["completed"] = sorted(a[2].status for a in client.seen["completedOrder"])
    client.reqExecutions(50, ExecutionFilter())
    client.wait("execDetailsEnd")
    out["executions"] = len([a for a in client.seen["execDetails"] if a[0] == 50])
    out["orderRef"] = client.seen["execDetails"][0][2].orderRef


def books(client, out):
    client.reqPositions()
    client.wait("positionEnd")
    out["position"] = float(client.seen["position"][-1][2])
    account = client.seen["managedAccounts"][0][0].split(",")[0]
    client.reqAccountUpdates(True, account)
    client.wait("accountDownloadEnd")
    client.wait("updatePortfolio")
    client.reqAccountUpdates(False, account)
    client.reqAccountUpdatesMulti(51, account, "", False)
    client.wait("accountUpdateMultiEnd")
    client.reqPositionsMulti(52, account, "")
    client.wait("positionMultiEnd")
    client.reqAccountSummary(53, "All", "NetLiquidation,EquityWithLoanValue,$LEDGER:ALL")
    client.wait("accountSummaryEnd")
    out["base"] = next(a[4] for a in client.seen["accountSummary"] if a[2] == "EquityWithLoanValue")
    client.reqPnL(54, account, "")
    client.wait("pnl")
    client.reqPnLSingle(55, account, "", 265598)
    client.wait("pnlSingle")


def main():
    errors = Collector()
    logging.getLogger().addHandler(errors)
    client = Client()
    died = []

    def run():
        try:
            client.run()
        except BaseException as problem:
            died.append(repr(problem))

    client.connect("127.0.0.1", int(sys.argv[1]), 7)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    client.wait("nextValidId")
    out = {"version": client.serverVersion()}
    started = time.monotonic()
    scenario(client, out)
    out["seconds"] = round(time.monotonic() - started, 2)
    client.disconnect()
    thread.join(5)
    out["died"] = died
    out["logged"] = errors.lines
    codes = [a[1] if out["version"] == 157 else a[2] for a in client.seen["error"] if a[0] != -1]
    out["codes"] = sorted({int(code) for code in codes})
    print(json.dumps(out))


main()
