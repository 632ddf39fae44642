"""Live bars and history against a scripted peer: what goes wrong with subscriptions, and that no bar is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from broker_support import AAPL, MSFT, START, Bench, spin
from scripted_peer import VERSION, ScriptedPeer

from runner.broker.bar_times import bar_end, completed
from runner.broker.clock import BrokerClock
from runner.broker.feed import Feed, FeedClosed, Moment
from runner.broker.history import HistoryService
from runner.broker.ib_connection import disconnect
from runner.broker.market_data import MarketDataHub
from runner.broker.pacing import HistoryPacer
from runner.errors import ContractNotFound, NoMarketData, StoreError
from runner.gateway import encode
from runner.gateway.model import BarRow
from runner.model.bar_requests import duration_for
from runner.model.bars import Bar, BarSize
from runner.model.clock import ManualClock
from runner.model.events import Notice
from runner.model.instruments import Instrument, SecType

MINUTE = timedelta(minutes=1)
D = Decimal


def row(start: datetime, close: str = "100") -> BarRow:
    price = D(close)
    return BarRow(
        start=start,
        end=start + MINUTE,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=D(100),
        wap=price,
        count=1,
    )


class Data:
    """The peer's bars of one contract, and the live requests it has open."""

    def __init__(self, peer: ScriptedPeer) -> None:
        self.peer = peer
        self.rows = [row(START - n * MINUTE) for n in range(30, -1, -1)]
        self.live: list[int] = []
        self.asked: list[list[str]] = []
        self.refuse: tuple[int, str] | None = None
        peer.on_history = self.answer

    def answer(self, request_id: int, fields: list[str]) -> None:
        self.asked.append(fields)
        if self.refuse is not None:
            self.peer.error(request_id, *self.refuse)
            return
        keep, end = fields[-2] == "1", fields[15]
        rows = self.rows
        if end:
            until = datetime.strptime(end[:17], "%Y%m%d %H:%M:%S").replace(tzinfo=UTC)
            rows = [one for one in rows if one.start < until]
        if keep:
            self.live.append(request_id)
            rows = rows[-5:]
        texts = [encode.bar_row(one, str(int(one.start.timestamp())), VERSION) for one in rows]
        self.peer.send(encode.historical_data(request_id, "", "", texts))

    def update(self, start: datetime, close: str) -> None:
        one = row(start, close)
        self.rows = [known for known in self.rows if known.start != start] + [one]
        for request_id in self.live[-1:]:
            self.peer.send(encode.bar_update(request_id, one, str(int(start.timestamp())), VERSION))


class Desk:
    def __init__(self, bench: Bench, data: Data) -> None:
        self.bench = bench
        self.data = data
        self.system = ManualClock(START + timedelta(seconds=30))
        self.clock = BrokerClock(self.system)
        self.notices: list[str] = []
        self.history = HistoryService(
            bench.ib, None, HistoryPacer(self.clock, strict=False), self.clock, on_notice=self.notice
        )
        self.hub = MarketDataHub(bench.ib, self.history, self.clock, on_notice=self.notice)

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice.code)


@pytest.fixture
async def desk(bench: Bench, peer: ScriptedPeer) -> AsyncIterator[Desk]:
    desk = Desk(bench, Data(peer))
    yield desk
    await desk.hub.close()


async def closes(feed: Feed, count: int) -> list[float]:
    """Closes of the next completed bars."""
    found: list[float] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            found += [change.bar.close for change in (await feed.next()).changes if change.complete]
    return found


async def test_a_bar_is_complete_when_the_next_has_begun(desk: Desk) -> None:
    feed = await desk.hub.open_feed([AAPL], BarSize.MIN_1, 10)
    assert [bar.start for bar in feed.warm[AAPL.con_id]] == [START - n * MINUTE for n in range(10, 0, -1)]
    desk.data.update(START, "101")
    desk.data.update(START + MINUTE, "102")
    assert await closes(feed, 1) == [101.0]
    assert desk.hub.last_price(AAPL.con_id) == 102


async def test_h8_after_1101_the_stream_is_opened_again_and_no_bar_is_lost(desk: Desk, peer: ScriptedPeer) -> None:
    feed = await desk.hub.open_feed([AAPL], BarSize.MIN_1, 10)
    desk.data.live.clear()  # IB forgets
    peer.error(-1, 1101, "data lost")
    for minute, close in enumerate(("101", "102", "103")):
        desk.data.update(START + minute * MINUTE, close)
    await spin(lambda: len(desk.data.live) == 1)
    assert await closes(feed, 2) == [101.0, 102.0]
    assert desk.notices == ["market_data_lost"]
    assert len(desk.hub.subscriptions) == 1


async def test_h8_a_new_session_opens_the_streams_again_and_delivers_what_was_missed(
    desk: Desk, peer: ScriptedPeer
) -> None:
    feed = await desk.hub.open_feed([AAPL], BarSize.MIN_1, 10)
    peer.drop()
    await spin(lambda: not desk.bench.ib.isConnected())
    assert desk.hub.subscriptions == frozenset()
    for minute, close in enumerate(("101", "102", "103")):
        desk.data.update(START + minute * MINUTE, close)
    desk.bench.ib = await desk.bench.connect()
    await desk.hub.attach(desk.bench.ib)
    assert await closes(feed, 2) == [101.0, 102.0]


async def test_h8_a_silent_stream_is_opened_again_while_the_market_is_open(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.broker.market_data.WATCH_S", 0.005)
    await desk.hub.open_feed([AAPL], BarSize.MIN_1, 10)
    asked = len(desk.data.live)
    desk.system.set(START + timedelta(minutes=10))
    await desk.data.peer.until(lambda: len(desk.data.live) > asked)


async def test_h21_an_empty_first_answer_is_an_error_that_says_so(desk: Desk, peer: ScriptedPeer) -> None:
    desk.data.rows = []
    with pytest.raises(NoMarketData, match="IB has none"):
        await desk.hub.open_feed([AAPL], BarSize.MIN_1, 0)
    await peer.until(lambda: any(fields[0] == "25" for fields in peer.requests))  # cancelled


@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (200, "No security definition", ContractNotFound),
        (354, "Requested market data is not subscribed", NoMarketData),
        (162, "Historical Market Data Service error message:No market data permissions", NoMarketData),
    ],
)
async def test_ibs_error_on_a_subscription_has_a_name_and_leaves_nothing(
    desk: Desk, code: int, text: str, error: type[Exception]
) -> None:
    desk.data.refuse = (code, text)
    with pytest.raises(error):
        await desk.hub.open_feed([AAPL], BarSize.MIN_1, 5)
    assert desk.bench.ib.wrapper.reqId2Subscriber == {}


async def test_a_feed_that_cannot_be_opened_leaves_none_of_its_streams_open(desk: Desk) -> None:
    def answer(request_id: int, fields: list[str]) -> None:
        desk.data.refuse = (200, "No security definition") if "MSFT" in fields else None
        desk.data.answer(request_id, fields)

    desk.data.peer.on_history = answer
    with pytest.raises(ContractNotFound):
        await desk.hub.open_feed([AAPL, MSFT], BarSize.MIN_1, 5)
    assert desk.hub.subscriptions == frozenset() and desk.hub._streams == {}
    assert desk.bench.ib.wrapper.reqId2Subscriber == {} and not desk.bench.ib.wrapper._results
    await desk.data.peer.until(lambda: any(fields[0] == "25" for fields in desk.data.peer.requests))  # AAPL's, at IB


async def test_a_caller_who_gives_up_leaves_no_stream_open(desk: Desk) -> None:
    asked: list[tuple[int, list[str]]] = []
    desk.data.peer.on_history = lambda request_id, fields: asked.append((request_id, fields))
    opening = asyncio.ensure_future(desk.hub.open_feed([AAPL], BarSize.MIN_1, 5))
    await desk.data.peer.until(lambda: bool(asked))
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not any(fields[0] == "25" for fields in desk.data.peer.requests)
    desk.data.answer(*asked[0])  # only now can it be cancelled
    await desk.data.peer.until(lambda: any(fields[0] == "25" for fields in desk.data.peer.requests))
    await spin(lambda: desk.hub._streams == {})
    desk.data.peer.on_history = desk.data.answer
    feed = await desk.hub.open_feed([AAPL], BarSize.MIN_1, 5)
    assert len(feed.warm[AAPL.con_id]) == 5 and len(desk.hub.subscriptions) == 1


async def test_a_feed_begins_with_the_bar_that_is_in_progress(desk: Desk) -> None:
    first = await desk.hub.open_feed([AAPL], BarSize.MIN_1, 5)
    desk.data.update(START, "107")
    await first.next()
    second = await desk.hub.open_feed([AAPL], BarSize.MIN_1, 5)
    begun = second.begun[AAPL.con_id]
    assert (begun.start, begun.close) == (START, 107.0)
    assert second.warm[AAPL.con_id][-1].start < START


async def test_a_feed_is_read_from_another_threads_loop(desk: Desk) -> None:
    feed = await desk.hub.open_feed([AAPL], BarSize.MIN_1, 1)

    async def read() -> float:
        return (await closes(feed, 1))[0]

    reader = asyncio.ensure_future(asyncio.to_thread(asyncio.run, read()))
    desk.data.update(START, "101")
    desk.data.update(START + MINUTE, "102")
    assert await asyncio.wait_for(reader, 5) == 101.0


async def test_a_slow_consumer_gets_every_finished_bar_and_only_the_newest_unfinished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from runner.broker.feed import BarUpdate

    monkeypatch.setattr("runner.broker.feed.MAX_MOMENTS", 2)
    feed = Feed((AAPL,), {}, lambda _: None)
    for minute in range(5):
        start = START + minute * MINUTE
        bar = Bar(start=start, open=1, high=1, low=1, close=float(minute))
        for complete in (False, True):
            feed.put(Moment(at=start, changes=(BarUpdate(instrument=AAPL, bar=bar, complete=complete),)))
    changes = [change for _ in range(2) for change in (await feed.next()).changes]
    assert [change.bar.close for change in changes if change.complete] == [0, 1, 2, 3, 4]
    await feed.close()
    with pytest.raises(FeedClosed):
        await feed.next()


async def test_a_strategy_that_never_asks_again_stops_the_market_only_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.broker.market_data.DELIVER_TIMEOUT_S", 0.02)
    desk.clock.advance(START + timedelta(seconds=30))
    feed = await desk.hub.open_feed([AAPL], BarSize.MIN_1, 1)
    for minute in range(1, 6):
        await desk.hub.deliver(START + minute * MINUTE)
    assert desk.notices == ["slow_strategy"]
    assert [(await feed.next()).at for _ in range(5)] == [START + minute * MINUTE for minute in range(1, 6)]


# -- history


class Cache:
    def __init__(self, bars: list[Bar], broken: bool = False) -> None:
        self.bars = bars
        self.broken = broken

    def read(self, con_id: int, size: BarSize, what: str, rth: bool) -> list[Bar]:
        if self.broken:
            raise StoreError("no disk")
        return self.bars

    def write(self, con_id: int, size: BarSize, what: str, rth: bool, bars: list[Bar]) -> None:
        if self.broken:
            raise StoreError("no disk")
        self.bars = list(bars)


def bars_of(data: Data) -> list[Bar]:
    return [
        Bar(start=r.start, open=float(r.open), high=float(r.high), low=float(r.low), close=float(r.close), volume=100.0)
        for r in data.rows
    ]


async def test_what_the_cache_has_is_asked_for_once(desk: Desk) -> None:
    desk.history._cache = cache = Cache([])
    first = await desk.history.bars(AAPL, BarSize.MIN_1, 20)
    assert len(first) == 20 and len(cache.bars) >= 20
    long_ago = Bar(start=START - timedelta(minutes=31), open=1, high=1, low=1, close=1)
    cache.bars = [long_ago, *cache.bars]
    assert (await desk.history.bars(AAPL, BarSize.MIN_1, 31))[0] == long_ago  # the peer does not have it


async def test_a_cache_that_disagrees_is_not_believed(desk: Desk) -> None:
    split = [Bar(start=START - n * MINUTE, open=200, high=200, low=200, close=200) for n in range(30, 4, -1)]
    desk.history._cache = Cache(split)
    assert {bar.close for bar in await desk.history.bars(AAPL, BarSize.MIN_1, 20)} == {100.0}


async def test_a_broken_cache_costs_only_the_cache(desk: Desk) -> None:
    desk.history._cache = Cache([], broken=True)
    assert len(await desk.history.bars(AAPL, BarSize.MIN_1, 20)) == 20


async def test_bad_prices_are_dropped_and_said(desk: Desk) -> None:
    desk.data.rows[-5] = row(desk.data.rows[-5].start, "-1")
    bars = await desk.history.bars(AAPL, BarSize.MIN_1, 20)
    assert all(bar.close == 100.0 for bar in bars)
    assert "bad_prices" in desk.notices


async def test_pacing_is_waited_for_and_no_data_is_no_error(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.broker.requests.PACING_RETRY_S", 0.0)
    desk.data.refuse = (162, "Historical Market Data Service error message:Historical data request pacing violation")
    asking = asyncio.ensure_future(desk.history.bars(AAPL, BarSize.MIN_1, 20))
    await spin(lambda: len(desk.data.asked) == 2)
    desk.data.refuse = (162, "Historical Market Data Service error message:HMDS query returned no data")
    assert await asking == []


async def test_the_history_of_a_duration_begins_inside_it(desk: Desk) -> None:
    bars = await desk.history.bars(AAPL, BarSize.MIN_1, timedelta(minutes=10))
    assert bars[0].start >= desk.clock.now() - timedelta(minutes=10) and len(bars) in (9, 10)
    await disconnect(desk.bench.ib)


# -- bar times

FUTURE = Instrument(con_id=1, symbol="ES", sec_type=SecType.FUTURE, exchange="CME", currency="USD")
ENDS = [
    (datetime(2026, 3, 2, 15, 0, tzinfo=UTC), BarSize.MIN_1, datetime(2026, 3, 2, 15, 1, tzinfo=UTC)),
    (datetime(2026, 3, 2, 20, 30, tzinfo=UTC), BarSize.HOUR_1, datetime(2026, 3, 2, 21, 0, tzinfo=UTC)),
    (datetime(2026, 3, 2, tzinfo=UTC), BarSize.DAY_1, datetime(2026, 3, 2, 21, 0, tzinfo=UTC)),
    (datetime(2026, 3, 9, tzinfo=UTC), BarSize.DAY_1, datetime(2026, 3, 9, 20, 0, tzinfo=UTC)),  # summer time
    (datetime(2025, 11, 28, tzinfo=UTC), BarSize.DAY_1, datetime(2025, 11, 28, 18, 0, tzinfo=UTC)),  # half day
    (datetime(2026, 3, 2, tzinfo=UTC), BarSize.WEEK_1, datetime(2026, 3, 6, 21, 0, tzinfo=UTC)),
    (datetime(2026, 3, 2, tzinfo=UTC), BarSize.MONTH_1, datetime(2026, 3, 31, 20, 0, tzinfo=UTC)),
]


@pytest.mark.parametrize(("start", "size", "end"), ENDS)
def test_when_a_bar_is_over(start: datetime, size: BarSize, end: datetime) -> None:
    assert bar_end(start, size, AAPL, True) == end
    bar = Bar(start=start, open=1, high=1, low=1, close=1)
    assert completed([bar], size, AAPL, True, end) == [bar]
    assert completed([bar], size, AAPL, True, end - timedelta(seconds=1)) == []


@pytest.mark.parametrize(
    ("count", "size", "text"),
    [
        (10, BarSize.SEC_1, "60 S"),
        (10_000, BarSize.SEC_5, "3600 S"),
        (100, BarSize.MIN_1, "1 D"),
        (1000, BarSize.MIN_5, "7 D"),
        (5000, BarSize.HOUR_1, "1 M"),
        (20, BarSize.DAY_1, "33 D"),
        (2000, BarSize.DAY_1, "1 Y"),
    ],
)
def test_a_duration_is_one_that_ib_answers_in_one_piece(count: int, size: BarSize, text: str) -> None:
    assert duration_for(count, size, True) == text
