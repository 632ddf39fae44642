"""The broker against the paper gateway: real orders, history and a replayed market, over TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal

import pytest
from broker_support import Bench

from runner.broker.clock import BrokerClock, follow
from runner.broker.feed import BarUpdate, Feed
from runner.broker.history import HistoryService
from runner.broker.ib_connection import IBSettings, account_values, connect_to_ib, disconnect
from runner.broker.market_data import MarketDataHub
from runner.broker.pacing import HistoryPacer, Pacer
from runner.broker.requests import InstrumentResolver
from runner.broker.session import Session
from runner.errors import ClientIdInUse, ContractNotFound
from runner.gateway import GatewayServer, GatewaySettings, PaperExchange
from runner.model.bars import BarSize
from runner.model.clock import SystemClock
from runner.model.instruments import Instrument, InstrumentQuery
from runner.model.orders import OrderRequest, OrderState, Purpose, Side

FIRST, LAST = date(2012, 3, 1), date(2012, 3, 9)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    settings = GatewaySettings(start=FIRST, end=LAST, speed="max", step="day", enforce_limits=False)
    server = GatewayServer(PaperExchange(settings), settings)
    yield await server.start()
    async with asyncio.timeout(10):
        for _ in range(10):
            await asyncio.sleep(0)  # the market notices that nobody is there
        await server.stop()


class Master:
    """The master session with its clock, history and hub."""

    async def open(self, port: int) -> Master:
        self.clock = BrokerClock(SystemClock())
        self.ib: Session = await connect_to_ib(IBSettings(port=port), 0, follow=True, master=True)
        self.clock.advance(await self.ib.server_time())
        self.resolver = InstrumentResolver(self.ib, Pacer(self.clock))
        self.progress: list[int] = []
        self.history = HistoryService(
            self.ib,
            None,
            HistoryPacer(self.clock, strict=False),
            self.clock,
            progress=lambda p: self.progress.append(p.bars),
        )
        self.hub = MarketDataHub(self.ib, self.history, self.clock)
        return self

    async def stock(self, symbol: str) -> Instrument:
        return await self.resolver.resolve(InstrumentQuery(symbol=symbol))

    async def close(self) -> None:
        await self.hub.close()
        await disconnect(self.ib)


@pytest.fixture
async def master(port: int) -> AsyncIterator[Master]:
    master = await Master().open(port)
    yield master
    await master.close()


async def test_account_values_name_the_base_currency(master: Master) -> None:
    rows = await account_values(master.ib)
    assert {row.currency for row in rows if row.tag == "EquityWithLoanValue"} == {"USD"}


async def test_a_stock_is_qualified_and_an_unknown_symbol_is_named(master: Master) -> None:
    aapl = await master.stock("AAPL")
    assert (aapl.symbol, aapl.currency, aapl.exchange, aapl.lot) == ("AAPL", "USD", "SMART", Decimal(1))
    with pytest.raises(ContractNotFound, match="NOSUCH"):
        await master.resolver.resolve_all([InstrumentQuery(symbol="AAPL"), InstrumentQuery(symbol="NOSUCH")])


async def test_a_taken_client_id_is_named_at_once(master: Master, port: int) -> None:
    async with asyncio.timeout(2):
        with pytest.raises(ClientIdInUse, match="client id 0"):
            await connect_to_ib(IBSettings(port=port, timeout_s=30), 0)


async def test_history_comes_in_the_number_asked_for_and_is_complete(master: Master) -> None:
    aapl = await master.stock("AAPL")
    bars = await master.history.bars(aapl, BarSize.DAY_1, 600)
    assert len(bars) == 600
    starts = [bar.start for bar in bars]
    assert starts == sorted(set(starts))
    assert bars[-1].start.date() < FIRST
    assert master.progress[-1] >= 600


async def test_equal_requests_at_the_same_time_are_one(master: Master) -> None:
    aapl = await master.stock("AAPL")
    before = master.ib.client.conn.numMsgSent
    one, other = await asyncio.gather(
        master.history.bars(aapl, BarSize.DAY_1, 20), master.history.bars(aapl, BarSize.DAY_1, 20)
    )
    assert one == other and len(one) == 20
    assert master.ib.client.conn.numMsgSent - before == 1


async def test_a_replayed_market_gives_each_day_once_in_order_and_waits_for_the_strategy(master: Master) -> None:
    aapl, ibm = await master.stock("AAPL"), await master.stock("IBM")
    feed = await master.hub.open_feed([aapl, ibm], BarSize.DAY_1, 5)
    assert [len(bars) for bars in feed.warm.values()] == [5, 5]
    seen: list[tuple[str, date, datetime]] = []
    clock_when_handled: list[bool] = []

    async def strategy(feed: Feed) -> None:
        while True:
            moment = await feed.next()
            await asyncio.sleep(0.002)  # the market must not move on meanwhile
            clock_when_handled.append(master.clock.now() == moment.at)
            seen.extend((str(c.instrument), c.bar.start.date(), moment.at) for c in moment.changes if c.complete)

    tasks = [
        asyncio.ensure_future(strategy(feed)),
        asyncio.ensure_future(follow(master.ib, master.clock, master.hub.deliver)),
    ]
    await asyncio.wait(tasks[1:], timeout=10)  # until the market is over
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    days = [day for name, day, _ in seen if name == "AAPL"]
    assert days == [date(2012, 3, day) for day in (1, 2, 5, 6, 7, 8, 9)]
    assert days == [day for name, day, _ in seen if name == "IBM"]
    assert all(at.date() == day for _, day, at in seen)  # at the close of its own day, not a day late
    assert all(clock_when_handled)
    assert master.hub.last_price(aapl.con_id) is not None
    assert len(master.hub.subscriptions) == 2


async def test_two_strategies_share_one_subscription_and_the_last_to_leave_ends_it(master: Master) -> None:
    aapl = await master.stock("AAPL")
    one = await master.hub.subscribe(aapl, BarSize.DAY_1, 3)
    other = await master.hub.subscribe(aapl, BarSize.DAY_1, 10)
    assert (len(one.warm), len(other.warm)) == (3, 10)
    assert len(master.hub.subscriptions) == 1
    await one.close()
    await asyncio.sleep(0)
    assert len(master.hub.subscriptions) == 1
    await other.close()
    await asyncio.sleep(0)
    assert master.hub.subscriptions == frozenset()


async def test_an_order_is_filled_charged_and_folded_through_the_real_protocol(master: Master, port: int) -> None:
    aapl = await master.stock("AAPL")
    subscription = await master.hub.subscribe(aapl, BarSize.DAY_1, 3)
    bench = Bench(port, clock=master.clock)
    bench.price = master.hub.last_price(aapl.con_id)
    broker = await bench.start()

    async def trade() -> None:
        update: BarUpdate = await subscription.next()
        assert update.instrument is aapl or update.instrument == aapl
        request = OrderRequest(instrument=aapl, side=Side.BUY, quantity=Decimal(10), purpose=Purpose.ENTRY)
        intent = await bench.place(request)
        while OrderState.FILLED not in bench.states(intent):
            await subscription.next()

    following = asyncio.ensure_future(follow(master.ib, master.clock, master.hub.deliver))
    async with asyncio.timeout(10):
        await trade()
    await broker.fence()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    (fill,) = bench.fills()
    assert (fill.quantity, fill.side, fill.instrument) == (Decimal(10), Side.BUY, aapl)
    assert [charge.exec_id for charge in bench.commissions()] == [fill.exec_id]
    broker.detach()
    await disconnect(bench.ib)


async def test_a_reconnect_in_the_middle_loses_and_repeats_nothing(master: Master, port: int) -> None:
    aapl = await master.stock("AAPL")
    bench = Bench(port, clock=master.clock)
    bench.price = Decimal(500)
    broker = await bench.start()
    intent = await bench.place(OrderRequest(instrument=aapl, side=Side.BUY, quantity=Decimal(10)))
    await bench.until(lambda: OrderState.ACKED in bench.states(intent))
    transport = bench.ib.client.conn.transport
    transport.abort()

    master.clock.advance(await master.ib.server_time())  # the day ends; the order fills while its session is away
    await bench.reconnect()
    assert [fill.source for fill in bench.fills()] == ["snapshot"]
    assert bench.states(intent)[-1] is OrderState.FILLED
    assert len(bench.commissions()) == 1
    broker.detach()
    await disconnect(bench.ib)
