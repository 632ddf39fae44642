"""The one crossing between the runner's exact values and IB's floats and spellings.

Outwards, prices go to the contract's tick and quantities to its lot, always to the side that is less aggressive, and
only then become floats; text with control characters or beyond ASCII is refused, because a NUL would add a field to the
message. Inwards, the numbers by which IB says "not set" (1.797e308, 2147483647, NaN) become None and go no further.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, time
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache

from ib_async import BarData, CommissionReport, Contract, ContractDetails, Execution, Order
from ib_async.util import UNSET_DOUBLE, UNSET_INTEGER

from runner.model.bars import Bar
from runner.model.clock import utc
from runner.model.events import CommissionCharged, Filled, Source
from runner.model.instruments import Instrument, InstrumentQuery, SecType
from runner.model.money import exact, toward_zero
from runner.model.orders import OrderIntent, OrderRequest, OrderType, Side

_UNSET = frozenset({UNSET_DOUBLE, float(UNSET_INTEGER), float(9223372036854775807)})
FOREX_EXCHANGE = "IDEALPRO"

_NEEDS_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_ON_CLOSE})
_NEEDS_STOP = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED, OrderType.RELATIVE})


# -- numbers and text --


def decimal_or_none(value: float | int | str | Decimal | None) -> Decimal | None:
    """`value` exactly, or None where IB says that there is none."""
    if value is None or value == "":
        return None
    number = float(value)
    if not math.isfinite(number) or number in _UNSET:
        return None
    return exact(value)


def wire_text(value: str, what: str) -> str:
    """`value` unchanged when it may be sent; ValueError for control characters and anything beyond ASCII."""
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"{what} {value!r} has characters that may not be sent to IB")
    return value


def wire_price(value: Decimal | None) -> float:
    """A price as IB's float; unset when there is none."""
    return UNSET_DOUBLE if value is None else float(value)


# -- instruments --


@lru_cache(maxsize=4096)
def to_ib_contract(wanted: Instrument | InstrumentQuery) -> Contract:
    """IB's contract. The object is shared: it must not be changed."""
    symbol, currency, exchange = wanted.symbol, wanted.currency, wanted.exchange
    if isinstance(wanted, InstrumentQuery) and wanted.sec_type is SecType.FOREX:
        pair = symbol.replace(".", "").replace("/", "")
        if len(pair) == 6:
            symbol, currency = pair[:3], pair[3:]
        exchange = FOREX_EXCHANGE if exchange == "SMART" else exchange
    contract = Contract(
        symbol=wire_text(symbol, "symbol"),
        secType=wanted.sec_type.value,
        exchange=wire_text(exchange, "exchange"),
        currency=wire_text(currency, "currency"),
        primaryExchange=wire_text(wanted.primary_exchange, "primary exchange"),
        lastTradeDateOrContractMonth=wire_text(wanted.expiry, "expiry"),
    )
    if isinstance(wanted, Instrument):
        contract.conId = wanted.con_id
        contract.localSymbol = wire_text(wanted.local_symbol, "local symbol")
        if wanted.multiplier != 1:
            contract.multiplier = f"{wanted.multiplier.normalize():f}"
    return contract


def instrument_from_details(details: ContractDetails, exchange: str = "") -> Instrument:
    """What IB answered. `exchange` keeps the asked-for destination (SMART) when IB names a venue.

    The lot is never below one: IB reports fractional increments for US stocks, but refuses such orders through the API
    (error 10243). ValueError for a security type that the runner does not know.
    """
    contract = details.contract
    if contract is None:
        raise ValueError("contract details without a contract")
    tick = decimal_or_none(details.minTick)
    increment = decimal_or_none(details.sizeIncrement)
    multiplier = decimal_or_none(contract.multiplier)
    return Instrument(
        con_id=contract.conId,
        symbol=contract.symbol,
        sec_type=SecType(contract.secType),
        exchange=exchange or contract.exchange,
        currency=contract.currency,
        primary_exchange=contract.primaryExchange,
        local_symbol=contract.localSymbol,
        expiry=contract.lastTradeDateOrContractMonth,
        multiplier=multiplier if multiplier else Decimal(1),
        min_tick=tick if tick else Decimal("0.01"),
        lot=max(Decimal(1), increment or Decimal(1)),
        time_zone=details.timeZoneId or "US/Eastern",
        long_name=details.longName,
    )


# -- orders --


def price_problem(request: OrderRequest) -> str:
    """Why the prices do not fit the order type; empty when they do."""
    kind = request.order_type
    for name, price in (
        ("limit_price", request.limit_price),
        ("stop_price", request.stop_price),
        ("trailing_percent", request.trailing_percent),
    ):
        if price is not None and (not isinstance(price, Decimal) or not price.is_finite()):
            return f"{name} {price} is not a finite decimal"
        if price is not None and price <= 0:
            return f"{name} {price} is not above zero"
    if kind in _NEEDS_LIMIT and request.limit_price is None:
        return f"{kind} needs limit_price"
    if kind in _NEEDS_STOP and request.stop_price is None:
        return f"{kind} needs stop_price"
    if kind is OrderType.TRAIL and (request.stop_price is None) == (request.trailing_percent is None):
        return "TRAIL needs either stop_price (an amount) or trailing_percent"
    return ""


def rounded(request: OrderRequest) -> OrderRequest:
    """The request on the contract's tick and lot: never more than asked, never a more aggressive price.

    A buy limit goes down and a sell limit up; a stop's trigger the other way, so that it fires later, not sooner.
    """
    tick, lot, buy = request.instrument.min_tick, request.instrument.lot, request.side is Side.BUY
    quantity = toward_zero(request.quantity, lot)
    limit = _to_tick(request.limit_price, tick, up=not buy)
    if request.order_type in (OrderType.TRAIL, OrderType.RELATIVE):
        stop = _to_tick(request.stop_price, tick, up=request.order_type is OrderType.TRAIL)
    elif request.order_type is OrderType.MARKET_IF_TOUCHED:
        stop = _to_tick(request.stop_price, tick, up=not buy)
    else:
        stop = _to_tick(request.stop_price, tick, up=buy)
    if (quantity, limit, stop) == (request.quantity, request.limit_price, request.stop_price):
        return request
    return replace(request, quantity=quantity, limit_price=limit, stop_price=stop)


def _to_tick(price: Decimal | None, tick: Decimal, *, up: bool) -> Decimal | None:
    if price is None:
        return None
    return (price / tick).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * tick


def to_ib_order(intent: OrderIntent, *, order_id: int = 0, parent_id: int = 0) -> Order:
    """IB's order for a committed intent. ValueError for anything that must not reach the wire."""
    request = intent.request
    problem = price_problem(request)
    if problem:
        raise ValueError(problem)
    if not request.quantity.is_finite() or request.quantity <= 0:
        raise ValueError(f"quantity {request.quantity} is not above zero")
    whole = request.quantity == request.quantity.to_integral_value()
    order = Order(
        orderId=order_id,
        parentId=parent_id,
        action=request.side.value,
        totalQuantity=int(request.quantity) if whole else float(request.quantity),
        orderType=request.order_type.value,
        tif=request.tif.value,
        orderRef=wire_text(intent.order_ref, "order ref"),
        account=wire_text(intent.account, "account"),
        ocaGroup=wire_text(request.oca_group, "OCA group"),
        transmit=request.transmit,
        outsideRth=request.outside_rth,
    )
    if request.oca_group:
        order.ocaType = 1  # cancel the rest, with block: no overfill between legs
    if request.limit_price is not None:
        order.lmtPrice = float(request.limit_price)
    if request.stop_price is not None:
        order.auxPrice = float(request.stop_price)
    if request.trailing_percent is not None:
        order.trailingPercent = float(request.trailing_percent)
    return order


# -- facts --

_SIDES = {"BOT": Side.BUY, "BUY": Side.BUY, "SLD": Side.SELL, "SELL": Side.SELL}


def filled_from_ib(
    execution: Execution, strategy: str, instrument: Instrument, source: Source, *, generation: int = 0
) -> Filled:
    """An execution as a fact; `generation` is its order's. ValueError when its numbers or its side make no sense."""
    quantity, price = decimal_or_none(execution.shares), decimal_or_none(execution.price)
    side = _SIDES.get(execution.side)
    if quantity is None or quantity < 0 or price is None or side is None or not execution.execId:
        raise ValueError(f"execution {execution.execId!r}: {execution.side} {execution.shares} at {execution.price}")
    return Filled(
        at=utc(execution.time),
        strategy=strategy,
        order_ref=execution.orderRef,
        account=execution.acctNumber,
        instrument=instrument,
        exec_id=execution.execId,
        side=side,
        quantity=quantity,
        price=price,
        perm_id=execution.permId,
        order_id=_id(execution.orderId),
        client_id=_id(execution.clientId),
        exchange=execution.exchange,
        source=source,
        generation=generation,
    )


def commission_from_ib(
    report: CommissionReport, strategy: str, at: datetime, source: Source
) -> CommissionCharged | None:
    """A commission as a fact; None while IB has no amount."""
    amount = decimal_or_none(report.commission)
    if amount is None or not report.execId:
        return None
    return CommissionCharged(
        at=at,
        strategy=strategy,
        exec_id=report.execId,
        amount=amount,
        currency=report.currency,
        source=source,
    )


def bar_from_ib(bar: BarData, sec_type: SecType = SecType.STOCK) -> Bar | None:
    """A bar, or None when one of its prices is no price: NaN, unset, zero, IB's −1.

    Other negative prices are believed for futures only. A bar with a date only starts at midnight UTC of that date.
    """
    prices = (bar.open, bar.high, bar.low, bar.close)
    for price in prices:
        if not math.isfinite(price) or price in (0.0, -1.0) or price >= UNSET_DOUBLE:
            return None
        if price < 0 and sec_type is not SecType.FUTURE:
            return None
    start = bar.date if isinstance(bar.date, datetime) else datetime.combine(bar.date, time(), UTC)
    if start.tzinfo is None:
        return None
    return Bar(
        start=utc(start),
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=_amount(bar.volume),
        wap=_amount(bar.average),
        count=max(0, int(bar.barCount)),
    )


def _amount(value: float) -> float:
    """A volume or average; IB sends −1 where the data has none."""
    return value if math.isfinite(value) and 0 <= value < UNSET_DOUBLE else 0.0


def _id(value: int) -> int:
    return 0 if value == UNSET_INTEGER else value
