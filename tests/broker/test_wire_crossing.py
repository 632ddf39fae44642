"""The crossing between exact values and IB's floats."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from broker_support import AAPL, START, buy, sell
from hypothesis import given, settings
from hypothesis import strategies as st
from ib_async import BarData, CommissionReport, Contract, ContractDetails, Execution

from runner.broker.order_refs import MAX_LENGTH, is_ours, order_ref
from runner.broker.wire import (
    bar_from_ib,
    commission_from_ib,
    decimal_or_none,
    filled_from_ib,
    instrument_from_details,
    rounded,
    to_ib_contract,
    to_ib_order,
    wire_text,
)
from runner.model.events import Source
from runner.model.instruments import InstrumentQuery, SecType
from runner.model.money import on_grid
from runner.model.orders import OrderIntent, OrderRequest, OrderType, Side

D = Decimal


def intent(request: OrderRequest, **changes: Any) -> OrderIntent:
    values: dict[str, Any] = {
        "order_ref": "run1.1.s.1",
        "strategy": "s",
        "account": "DU1",
        "client_id": 7,
        "created_at": START,
        "reference_price": D(100),
    }
    return OrderIntent(request=request, **(values | changes))


@pytest.mark.parametrize(
    "value", [None, "", math.nan, math.inf, -math.inf, 1.7976931348623157e308, 2147483647, 9223372036854775807]
)
def test_ibs_words_for_not_set_become_none(value: Any) -> None:
    assert decimal_or_none(value) is None


@pytest.mark.parametrize(
    ("value", "exact"), [(0.1, "0.1"), (100.0, "100.0"), ("12.50", "12.50"), (0, "0"), (-37, "-37")]
)
def test_other_numbers_become_the_decimal_a_person_would_write(value: Any, exact: str) -> None:
    assert decimal_or_none(value) == D(exact)


@pytest.mark.parametrize("text", ["a\0b", "a\nb", "é", "\x1b[0m", "\u202e"])
def test_text_that_could_break_a_message_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="may not be sent"):
        wire_text(text, "account")
    with pytest.raises(ValueError, match="may not be sent"):
        to_ib_order(intent(buy(1), account=text))


PRICES = st.decimals("0.01", "100000", places=4)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(Side), PRICES, PRICES, st.decimals("0", "100000", places=3), st.sampled_from(OrderType))
def test_rounding_is_on_the_grid_and_never_more_aggressive(
    side: Side, limit: Decimal, stop: Decimal, quantity: Decimal, kind: OrderType
) -> None:
    request = OrderRequest(
        instrument=AAPL, side=side, quantity=quantity, order_type=kind, limit_price=limit, stop_price=stop
    )
    result = rounded(request)
    assert result.limit_price is not None and result.stop_price is not None
    assert on_grid(result.limit_price, AAPL.min_tick) and on_grid(result.stop_price, AAPL.min_tick)
    assert on_grid(result.quantity, AAPL.lot) and 0 <= result.quantity <= quantity
    assert (result.limit_price - limit) * side.sign <= 0
    assert abs(result.limit_price - limit) < AAPL.min_tick and abs(result.stop_price - stop) < AAPL.min_tick
    if kind is OrderType.STOP:
        assert (result.stop_price - stop) * side.sign >= 0
    assert rounded(result) == result


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10_000_000), st.sampled_from(["0.01", "0.05", "0.0001", "0.00005", "0.25", "1"]))
def test_a_price_on_the_tick_goes_out_as_written(ticks: int, tick: str) -> None:
    price = ticks * D(tick)
    order = to_ib_order(intent(buy(1, order_type=OrderType.LIMIT, limit_price=price)))
    assert D(repr(order.lmtPrice)) == price
    assert order.totalQuantity == 1 and isinstance(order.totalQuantity, int)


BAD_ORDERS = [
    buy(0),
    buy("-1"),
    buy("NaN"),
    buy(1, order_type=OrderType.LIMIT),
    buy(1, order_type=OrderType.STOP),
    buy(1, order_type=OrderType.STOP_LIMIT, stop_price=D(1)),
    buy(1, order_type=OrderType.LIMIT, limit_price=D("NaN")),
    buy(1, order_type=OrderType.LIMIT, limit_price=D(0)),
    buy(1, order_type=OrderType.TRAIL),
    buy(1, order_type=OrderType.TRAIL, stop_price=D(1), trailing_percent=D(1)),
]


@pytest.mark.parametrize("request_", BAD_ORDERS)
def test_what_must_not_reach_the_wire_raises(request_: OrderRequest) -> None:
    with pytest.raises(ValueError):
        to_ib_order(intent(request_))


def test_an_order_carries_its_ref_account_and_terms() -> None:
    order = to_ib_order(
        intent(sell(5, order_type=OrderType.STOP_LIMIT, limit_price=D("99.5"), stop_price=D(100), oca_group="g")),
        order_id=12,
        parent_id=11,
    )
    assert (order.orderRef, order.account, order.action, order.orderType) == ("run1.1.s.1", "DU1", "SELL", "STP LMT")
    assert (order.lmtPrice, order.auxPrice, order.ocaGroup, order.ocaType) == (99.5, 100.0, "g", 1)
    assert (order.orderId, order.parentId) == (12, 11)


def test_currency_pairs_may_be_written_together() -> None:
    contract = to_ib_contract(InstrumentQuery(symbol="EUR.USD", sec_type=SecType.FOREX))
    assert (contract.symbol, contract.currency, contract.exchange) == ("EUR", "USD", "IDEALPRO")


def test_contract_details_become_an_instrument_with_whole_lots() -> None:
    details = ContractDetails(
        contract=Contract(
            conId=1, symbol="X", secType="FUT", exchange="CME", currency="USD", multiplier="50", localSymbol="XM6"
        ),
        minTick=0.25,
        sizeIncrement=0.0001,
        timeZoneId="US/Central",
    )
    found = instrument_from_details(details)
    assert (found.multiplier, found.min_tick, found.lot, found.time_zone) == (D(50), D("0.25"), D(1), "US/Central")


def execution(**changes: Any) -> Execution:
    values: dict[str, Any] = {
        "execId": "a.b.01.01",
        "time": START,
        "acctNumber": "DU1",
        "side": "SLD",
        "shares": 10.0,
        "price": 99.5,
        "orderRef": "r",
        "orderId": 2147483647,
    }
    return Execution(**(values | changes))


def test_an_execution_becomes_a_fact_with_exact_numbers() -> None:
    fact = filled_from_ib(execution(), "s", AAPL, Source.WIRE)
    assert (fact.side, fact.quantity, fact.price, fact.order_id) == (Side.SELL, D(10), D("99.5"), 0)
    assert (fact.exec_base, fact.revision) == ("a.b.01", 1)


@pytest.mark.parametrize("changes", [{"shares": math.nan}, {"price": math.inf}, {"side": "?"}, {"execId": ""}])
def test_an_execution_without_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        filled_from_ib(execution(**changes), "s", AAPL, Source.WIRE)


def test_a_commission_that_ib_does_not_know_yet_is_none() -> None:
    report = CommissionReport(execId="a", commission=1.7976931348623157e308, currency="USD")
    assert commission_from_ib(report, "s", START, Source.WIRE) is None


@pytest.mark.parametrize("bad", [math.nan, 0.0, -1.0, -5.0, 1.7976931348623157e308])
def test_a_bar_with_a_price_that_is_none_is_dropped(bad: float) -> None:
    for name in ("open", "high", "low", "close"):
        bar = BarData(date=date(2026, 3, 2), **({"open": 1.0, "high": 2.0, "low": 1.0, "close": 2.0} | {name: bad}))
        assert bar_from_ib(bar) is None


def test_a_bar_with_a_date_starts_at_midnight_utc_and_minus_one_volume_is_none() -> None:
    bar = bar_from_ib(BarData(date=date(2026, 3, 2), open=1.0, high=2.0, low=1.0, close=2.0, volume=-1, barCount=-1))
    assert bar is not None
    assert (bar.start, bar.volume, bar.count) == (datetime(2026, 3, 2, tzinfo=UTC), 0.0, 0)


def test_negative_prices_are_believed_of_futures_only() -> None:
    bar = BarData(date=date(2020, 4, 20), open=1.0, high=2.0, low=-40.3, close=-37.6)
    assert bar_from_ib(bar, SecType.STOCK) is None
    found = bar_from_ib(bar, SecType.FUTURE)
    assert found is not None and found.close == -37.6


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 99_999), st.text(min_size=1, max_size=40), st.integers(0, 2**40))
def test_an_order_ref_is_short_and_of_safe_characters(epoch: int, strategy: str, number: int) -> None:
    ref = order_ref("run1", epoch, strategy, number)
    assert len(ref) <= MAX_LENGTH and ref.isascii()
    assert set(ref) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert is_ours(ref, "run1") and not is_ours(ref, "run2")
    assert ref != order_ref("run1", epoch, strategy, number + 1) != order_ref("run1", epoch + 1, strategy, number)


@pytest.mark.parametrize("runner_id", ["", "abc", "abcde", "ab.c", "äbcd"])
def test_a_runner_id_is_four_letters_or_digits(runner_id: str) -> None:
    with pytest.raises(ValueError):
        order_ref(runner_id, 1, "s", 1)
