"""The two tiers of a strategy's equity, and the raw entry that goes through the same gate."""

from __future__ import annotations

from decimal import Decimal

import pytest
from broker_support import AAPL, Bench, buy
from ib_async import Contract, LimitOrder, MarketOrder, Order, Stock
from scripted_peer import ScriptedPeer

from runner.errors import OrderRejected, RunnerError
from runner.model.instruments import Instrument
from runner.model.orders import OrderIntent, Refused

D = Decimal


@pytest.mark.parametrize(
    ("own", "account", "equity"),
    [
        (D(25_000), D(1_000_000), D(25_000)),
        (None, D(1_000_000), D(100_000)),
        (D(0), D(1_000_000), D(100_000)),
        (D("NaN"), D(1_000_000), D(100_000)),
        (D(25_000), None, D(25_000)),
    ],
)
async def test_own_equity_comes_first_then_weight_times_account(
    bench: Bench, own: Decimal | None, account: Decimal | None, equity: Decimal
) -> None:
    bench.equity.own, bench.equity.account = own, account
    assert bench.broker.get_equity() == equity


async def test_unknown_equity_is_never_zero(bench: Bench) -> None:
    bench.equity.account = None
    with pytest.raises(RunnerError, match="EquityWithLoanValue"):
        bench.broker.get_equity()


async def qualified(contract: Contract) -> Instrument:
    return AAPL


async def test_the_raw_entry_sizes_by_equity_and_obeys_the_gate(bench: Bench, peer: ScriptedPeer) -> None:
    bench.broker._instrument_of = qualified
    stock = Stock("AAPL", "SMART", "USD")
    placed = await bench.broker.place_order(stock, MarketOrder("BUY", 0), size=0.5)
    assert isinstance(placed, OrderIntent) and placed.request.quantity == 500  # half of 100,000 at 100
    assert (await peer.until_order()).terms.order_ref == placed.order_ref
    limited = await bench.broker.place_order(stock, LimitOrder("BUY", 7, 99.999))
    assert isinstance(limited, OrderIntent) and limited.request.limit_price == D("99.99")
    bench.risk.paused = True
    refused = await bench.broker.place_order(stock, MarketOrder("BUY", 1))
    assert isinstance(refused, Refused) and refused.control == "max_daily_loss"
    assert [one.control for one in bench.refusals()] == ["max_daily_loss"]


async def test_order_types_that_the_runner_does_not_know_are_rejected(bench: Bench) -> None:
    bench.broker._instrument_of = qualified
    with pytest.raises(OrderRejected, match="PEG MID"):
        await bench.broker.place_order(Stock("AAPL"), Order(action="BUY", totalQuantity=1, orderType="PEG MID"))


async def test_nothing_is_placed_before_recovery(bench: Bench) -> None:
    bench.broker.attach(bench.ib)
    refused = await bench.broker.place(buy(1))
    assert isinstance(refused, Refused) and (refused.control, refused.asked) == ("session", "reconciling")
