"""Every field of an order travels: what ib_async sends comes back in openOrder and completedOrder."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import ib_async
import pytest
from raw_client import RawClient, place_order

Serve = Callable[..., Awaitable[Any]]

ODD: dict[str, Any] = {
    "action": "SELL", "totalQuantity": 12.5, "orderType": "LMT", "lmtPrice": 101.25, "auxPrice": 7.5, "tif": "GTD",
    "ocaGroup": "group", "ocaType": 2, "orderRef": "alpha:1|2", "parentId": 77, "blockOrder": True,
    "sweepToFill": True, "displaySize": 3, "triggerMethod": 4, "outsideRth": True, "hidden": True,
    "goodAfterTime": "20130301 15:00:00 US/Eastern", "goodTillDate": "20130401 15:00:00 US/Eastern", "rule80A": "A",
    "allOrNone": True, "minQty": 2, "percentOffset": 0.05, "trailStopPrice": 99.5, "trailingPercent": 1.5,
    "faGroup": "G", "faMethod": "NetLiq", "faPercentage": "10", "designatedLocation": "L", "openClose": "C",
    "origin": 1, "shortSaleSlot": 2, "exemptCode": 5, "discretionaryAmt": 0.25, "eTradeOnly": True,
    "firmQuoteOnly": True, "nbboPriceCap": 1.25, "optOutSmartRouting": True, "auctionStrategy": 2,
    "startingPrice": 98.0, "stockRefPrice": 97.0, "delta": 0.5, "stockRangeLower": 90.0, "stockRangeUpper": 110.0,
    "randomizePrice": True, "randomizeSize": True, "volatilityType": 2, "continuousUpdate": True,
    "referencePriceType": 1, "deltaNeutralOrderType": "MKT", "deltaNeutralAuxPrice": 3.5, "deltaNeutralConId": 8314,
    "deltaNeutralSettlingFirm": "S", "deltaNeutralClearingAccount": "CA", "deltaNeutralClearingIntent": "CI",
    "deltaNeutralOpenClose": "O", "deltaNeutralShortSale": True, "deltaNeutralShortSaleSlot": 1,
    "deltaNeutralDesignatedLocation": "DL", "scaleInitLevelSize": 100, "scaleSubsLevelSize": 50,
    "scalePriceIncrement": 0.5, "scalePriceAdjustValue": 0.1, "scalePriceAdjustInterval": 60,
    "scaleProfitOffset": 1.0, "scaleAutoReset": True, "scaleInitPosition": 10, "scaleInitFillQty": 5,
    "scaleRandomPercent": True, "hedgeType": "B", "hedgeParam": "1.5", "settlingFirm": "SF",
    "clearingAccount": "ACC", "clearingIntent": "Away", "algoStrategy": "Adaptive", "notHeld": True,
    "solicited": True, "modelCode": "M", "adjustedOrderType": "STP", "triggerPrice": 95.5, "lmtPriceOffset": 0.75,
    "adjustedStopPrice": 94.0, "adjustedStopLimitPrice": 93.0, "adjustedTrailingAmount": 2.0,
    "adjustableTrailingUnit": 1, "cashQty": 5000.0, "dontUseAutoPriceForHedge": True, "isOmsContainer": True,
    "discretionaryUpToLimitPrice": True, "usePriceMgmtAlgo": True, "duration": 60, "postToAts": 2,
    "autoCancelParent": True, "conditionsIgnoreRth": True, "conditionsCancelOrder": True,
}  # fmt: skip
"""A value that is not the default for every field that openOrder can carry."""
NOT_IN_COMPLETED = {
    "parentId", "blockOrder", "eTradeOnly", "firmQuoteOnly", "nbboPriceCap", "optOutSmartRouting", "auctionStrategy",
    "adjustedOrderType", "triggerPrice", "adjustedStopPrice", "adjustedStopLimitPrice", "adjustedTrailingAmount",
    "adjustableTrailingUnit", "discretionaryUpToLimitPrice", "usePriceMgmtAlgo", "duration", "postToAts",
    "deltaNeutralSettlingFirm", "deltaNeutralClearingAccount", "deltaNeutralClearingIntent", "deltaNeutralOpenClose",
}  # fmt: skip
SINCE = {"duration": 159, "postToAts": 160, "autoCancelParent": 162}
CONDITIONS = [
    ib_async.PriceCondition(price=150.5, conId=265598, exch="SMART", triggerMethod=2, isMore=False, conjunction="o"),
    ib_async.TimeCondition(time="20130301 15:00:00 US/Eastern"),
    ib_async.MarginCondition(percent=20),
    ib_async.ExecutionCondition(secType="STK", exch="SMART", symbol="AAPL"),
    ib_async.VolumeCondition(volume=1000, conId=265598, exch="SMART"),
    ib_async.PercentChangeCondition(changePercent=2.5, conId=265598, exch="SMART"),
]
CONTRACT = ib_async.Stock("AAPL", "SMART", "USD", conId=265598)


async def connect(port: int, client_id: int, version: int) -> ib_async.IB:
    ib = ib_async.IB()
    ib.client.MaxClientVersion = version
    await ib.connectAsync("127.0.0.1", port, clientId=client_id, timeout=5, raiseSyncErrors=True)
    assert ib.client.serverVersion() == version
    return ib


def odd_order(**changes: Any) -> ib_async.Order:
    order = ib_async.Order(**{**ODD, **changes})
    order.algoParams = [ib_async.TagValue("adaptivePriority", "Urgent")]
    order.conditions = list(CONDITIONS)
    order.softDollarTier = ib_async.SoftDollarTier("tier", "value", "")
    return order


def differences(sent: dict[str, Any], back: ib_async.Order, version: int, skip: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    return [
        f"{name}: sent {value!r}, came back {getattr(back, name)!r}"
        for name, value in sent.items()
        if name not in skip and version >= SINCE.get(name, 0) and getattr(back, name) != value
    ]


@pytest.mark.parametrize("version", [157, 159, 160, 162, 163, 164, 166, 169, 170, 173, 176, 177, 178])
async def test_every_field_of_an_order_comes_back(serve: Serve, version: int, caplog: pytest.LogCaptureFixture) -> None:
    _, _, port = await serve()
    caplog.set_level(logging.ERROR)
    placing = await connect(port, 1, version)
    watching = await connect(port, 2, version)
    trade = placing.placeOrder(CONTRACT, odd_order())
    await asyncio.wait_for(trade.statusEvent, 5)
    seen = (await watching.reqAllOpenOrdersAsync())[0]
    assert differences(ODD, seen.order, version) == []
    assert seen.order.conditions == CONDITIONS
    assert seen.order.algoParams == [ib_async.TagValue("adaptivePriority", "Urgent")]
    assert (seen.order.softDollarTier.name, seen.order.softDollarTier.val) == ("tier", "value")
    placing.cancelOrder(trade.order)
    await asyncio.wait_for(trade.cancelledEvent, 5)
    done = (await watching.reqCompletedOrdersAsync(False))[0]
    assert differences(ODD, done.order, version, NOT_IN_COMPLETED) == []
    assert done.order.conditions == CONDITIONS
    assert done.orderStatus.status == "Cancelled"
    placing.disconnect()
    watching.disconnect()
    assert [record.getMessage() for record in caplog.records if "Decoder" in record.name] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"orderType": "PEG BENCH", "referenceContractId": 8314, "isPeggedChangeAmountDecrease": True,
         "peggedChangeAmount": 0.5, "referenceChangeAmount": 0.25, "referenceExchangeId": "NYSE"},
        {"orderType": "PEG BEST", "minCompeteSize": 10, "competeAgainstBestOffset": 0.02},
        {"orderType": "PEG BEST", "minCompeteSize": 10, "competeAgainstBestOffset": float("inf"),
         "midOffsetAtWhole": 0.01, "midOffsetAtHalf": 0.005},
        {"orderType": "PEG MID", "midOffsetAtWhole": 0.01, "midOffsetAtHalf": 0.005},
    ],
)  # fmt: skip
async def test_pegged_orders_keep_their_own_fields(serve: Serve, fields: dict[str, Any]) -> None:
    _, _, port = await serve()
    ib = await connect(port, 1, 178)
    trade = ib.placeOrder(CONTRACT, ib_async.Order(action="BUY", totalQuantity=1, lmtPrice=1.0, **fields))
    await asyncio.wait_for(trade.statusEvent, 5)
    other = await connect(port, 2, 178)
    back = (await other.reqAllOpenOrdersAsync())[0].order
    assert [(name, getattr(back, name)) for name in fields if getattr(back, name) != fields[name]] == []
    ib.disconnect()
    other.disconnect()


@pytest.mark.parametrize(("version", "place", "open_fields", "completed"), [(157, 110, 128, 96), (178, 114, 135, 100)])
async def test_plain_orders_have_the_lengths_of_real_frames(
    serve: Serve, version: int, place: int, open_fields: int, completed: int
) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port, high=version)
    order = place_order(1, version=version)
    assert len(order) == place
    client.send(*order)
    opened = await client.until("5")
    assert len(opened) == open_fields
    client.send(99, 1)
    assert len(await client.until("101")) == completed


async def test_a_market_order_is_told_in_the_real_sequence(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    client.send(61, 1)
    await client.until("62")
    client.send(*place_order(1))
    told = await client.fence()
    assert [fields[0] for fields in told] == ["5", "3", "11", "5", "3", "59", "61"]
    assert [fields[2] for fields in told if fields[0] == "3"] == ["PreSubmitted", "Filled"]


async def test_what_if_is_one_open_order_and_takes_no_slot(serve: Serve) -> None:
    _, exchange, port = await serve()
    client = await RawClient.connect(port)
    client.send(*place_order(5, whatIf="1"))
    told = await client.fence()
    assert [fields[0] for fields in told] == ["5"]
    margins = told[0][told[0].index("PreSubmitted") + 1 :][:9]
    assert margins == ["0.00", "0.00", "1000.00", "25.50", "20.00", "-1.00", "25.50", "20.00", "999.00"]
    assert exchange.orders == []


async def test_an_order_with_a_number_that_is_none_is_refused_and_nothing_is_placed(serve: Serve) -> None:
    _, exchange, port = await serve()
    client = await RawClient.connect(port)
    for changes in ({"quantity": "ten"}, {"limit": "nan"}, {"aux": "1e999"}):
        client.send(*place_order(9, **changes))
        error = await client.until("4")
        assert error[2:4] == ["9", "320"]
    client.send(*place_order(9)[:-1])
    assert (await client.until("4"))[2:4] == ["9", "320"]
    client.send(*place_order(9), "extra")
    assert (await client.until("4"))[2:4] == ["9", "320"]
    assert exchange.orders == []
