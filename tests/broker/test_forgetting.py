"""Hazard 17: what is over is forgotten, and what comes late for it is booked all the same, once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import ib_async
import pytest
from broker_support import AAPL, Bench, buy, limit_buy
from scripted_peer import ScriptedPeer

from runner.broker import order_book, order_facts, session
from runner.broker.ib_connection import IBSettings, connect_to_ib, disconnect
from runner.broker.order_book import WorkingOrder
from runner.broker.pacing import Pacer
from runner.gateway import GatewayServer, GatewaySettings, PaperExchange
from runner.gateway.model import PaperOrder
from runner.gateway.settings import UNLIMITED
from runner.model.clock import SystemClock
from runner.model.orders import OrderIntent, OrderState
from runner.store.journal import Journal

S = OrderState
KEPT = 50
MANY = 2_000
BURST = 25
"""Orders at a time: fewer than are kept, and together on disk."""


BEFORE: dict[type, int] = {}
"""Objects of each class that other tests have left behind."""


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few are kept that a test reaches the bounds."""
    BEFORE.clear()
    BEFORE.update({kind: alive(kind) for kind in (ib_async.Trade, WorkingOrder)})
    monkeypatch.setattr(session, "KEEP_FINISHED", KEPT)
    monkeypatch.setattr(order_book, "KEEP_DONE", KEPT)
    monkeypatch.setattr(order_facts, "MAX_HEARD", KEPT)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


@pytest.fixture
async def bench(peer: ScriptedPeer, journal: Journal) -> AsyncIterator[Bench]:
    """On the scripted peer, with a real journal behind it."""
    bench = Bench(peer.port, journal=journal, max_open_orders=100, max_open_orders_per_contract=100)
    bench.pacer = Pacer(SystemClock(), None)
    await bench.start()
    yield bench
    bench.broker.detach()
    await disconnect(bench.ib)


def alive(kind: type) -> int:
    """How many objects of the class that came into being since the test began anybody still holds."""
    gc.collect()
    return sum(1 for one in gc.get_objects() if type(one) is kind) - BEFORE.get(kind, 0)


def sizes(bench: Bench) -> dict[str, int]:
    """Everything that grows with the number of orders, in the client and in our own lists."""
    wrapper, book = bench.ib.wrapper, bench.gate.book
    bench.broker.exposure(AAPL.con_id)  # lets go of the executions that are booked
    return {
        "trades": len(wrapper.trades),
        "permId2Trade": len(wrapper.permId2Trade),
        "fills": len(wrapper.fills),
        "finished": len(wrapper.finished),
        "stray_fills": len(wrapper.stray_fills),
        "orders": len(book._orders),
        "done": len(book._done),
        "by_order_id": len(book._by_order_id),
        "by_perm_id": len(book._by_perm_id),
        "by_exec_id": len(book._by_exec_id),
        "unbooked": sum(len(waiting) for waiting in book._unbooked.values()),
        "Trade": alive(ib_async.Trade),
        "WorkingOrder": alive(WorkingOrder),
    }


async def trade_and_forget(bench: Bench, peer: ScriptedPeer, count: int = 2 * KEPT + 1) -> None:
    """Orders that fill at once, so many that whatever was over before them is forgotten."""

    def fill(order: PaperOrder) -> None:
        peer.accept(order)
        peer.charge(peer.fill(order, "1", exec_id=f"n.{order.order_id}.01"))
        peer.finish(order, "Filled")

    before, peer.on_order = peer.on_order, fill
    working = bench.broker.open_orders()
    for first in range(0, count, BURST):
        await asyncio.gather(*(bench.place(limit_buy(1, "100")) for _ in range(first, min(first + BURST, count))))
        await bench.until(lambda: bench.broker.open_orders() == working)
    peer.on_order = before
    await bench.quiet()


async def over(bench: Bench, peer: ScriptedPeer, end: str = "Filled") -> tuple[OrderIntent, PaperOrder]:
    """An order of 100 of which 60 have filled (or all), that is over, booked, and forgotten."""
    intent = await bench.place(limit_buy(100, "100"))
    order = await peer.until_order(1)
    peer.accept(order)
    execution = peer.fill(order, "100" if end == "Filled" else "60", exec_id="x.1.01")
    if end == "Filled":
        peer.charge(execution)
    peer.finish(order, end)
    await bench.until(lambda: bench.states(intent)[-1:] and bench.states(intent)[-1].terminal)
    await bench.quiet()
    await trade_and_forget(bench, peer)
    assert bench.gate.book._orders.get(intent.order_ref) is None
    assert (bench.ib.client.clientId, order.order_id) not in bench.ib.wrapper.trades
    assert "x.1.01" not in bench.ib.wrapper.fills
    return intent, order


def told(bench: Bench, intent: OrderIntent) -> tuple[list[tuple[str, Decimal]], list[str]]:
    """Executions and commissions that were told of an order."""
    fills = [f for f in bench.fills() if f.order_ref == intent.order_ref]
    ids = {f.exec_id for f in fills}
    return [(f.exec_id, f.quantity) for f in fills], [c.exec_id for c in bench.commissions() if c.exec_id in ids]


# -- the bound


async def test_h17_thousands_of_orders_leave_as_little_behind_as_a_few(bench: Bench, peer: ScriptedPeer) -> None:
    await trade_and_forget(bench, peer, 2 * KEPT)
    few = sizes(bench)
    await trade_and_forget(bench, peer, MANY)
    assert sizes(bench) == few
    assert max(few.values()) <= KEPT + 1
    assert len(bench.fills()) == len(bench.commissions()) == MANY + 2 * KEPT
    assert bench.broker.open_orders() == []


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[PaperExchange, int]]:
    """A paper gateway that fills market orders whole, at the next step of its fast clock."""
    settings = GatewaySettings(speed=600, step="5s", enforce_limits=False, liquidity=UNLIMITED)
    exchange = PaperExchange(settings)
    server = GatewayServer(exchange, settings)
    yield exchange, await server.start()
    await server.stop()


async def test_h17_the_real_gateways_orders_are_forgotten_too_and_agree_with_its_books(
    gateway: tuple[PaperExchange, int], journal: Journal
) -> None:
    exchange, port = gateway
    bench = Bench(port, journal=journal, max_open_orders=100, max_open_orders_per_contract=100)
    bench.pacer = Pacer(SystemClock(), None)
    await bench.start()
    master = await connect_to_ib(IBSettings(port=port), 0, master=True)
    try:
        for _ in range(10):
            await asyncio.gather(*(bench.place(buy(1)) for _ in range(100)))
            await bench.until(lambda: not bench.broker.open_orders())
        await bench.quiet()
        await master.server_time()
        assert max(sizes(bench).values()) <= KEPT + 1
        assert sum(fill.quantity for fill in bench.fills()) == 1_000
        assert len({charge.exec_id for charge in bench.commissions()}) == len(bench.commissions()) == 1_000
        assert [line.quantity for line in exchange.positions()] == [1_000]
        # IB lists the day's orders and executions whenever it is asked: nothing in them is new, and nothing stays.
        await bench.broker.recover()
        await master.snapshot()
        assert len(bench.fills()) == len(bench.commissions()) == 1_000
        for wrapper in (bench.ib.wrapper, master.wrapper):
            assert len(wrapper.trades) <= KEPT
            assert len(wrapper.fills) <= 2 * KEPT  # those of the kept trades, and as many in none
    finally:
        bench.broker.detach()
        await disconnect(bench.ib)
        await disconnect(master)


async def test_a_working_order_stays_however_many_end_after_it(bench: Bench, peer: ScriptedPeer) -> None:
    intent = await bench.place(limit_buy(100, "100"))
    order = await peer.until_order()
    peer.accept(order)
    peer.fill(order, "40", exec_id="x.1.01")
    peer.error(order.order_id, 10349)  # ib_async calls it cancelled now
    await bench.until_state(intent, S.PARTIAL)
    await trade_and_forget(bench, peer)
    trade = bench.ib.wrapper.trades[(bench.ib.client.clientId, order.order_id)]
    assert [fill.execution.execId for fill in trade.fills] == ["x.1.01"]
    assert "x.1.01" in bench.ib.wrapper.fills
    peer.fill(order, "60", exec_id="x.2.01")
    await bench.until_state(intent, S.FILLED)


async def test_refused_orders_are_forgotten_although_no_status_ends_them(bench: Bench, peer: ScriptedPeer) -> None:
    peer.on_order = lambda order: peer.error(order.order_id, 201)
    for _ in range(3 * KEPT):
        intent = await bench.place(limit_buy(1, "100"))
        await bench.until_state(intent, S.REJECTED)
    assert max(sizes(bench).values()) <= KEPT + 1


# -- what comes late


async def test_what_is_repeated_for_a_forgotten_order_changes_nothing(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await over(bench, peer)
    before = list(bench.told)
    execution = peer.executions[0]
    peer.status(order, "Filled")
    peer.accept(order, "Filled")
    peer.fill(order, "100", exec_id="x.1.01")
    peer.charge(execution)
    await bench.quiet()
    assert bench.told == before
    assert told(bench, intent) == ([("x.1.01", Decimal(100))], ["x.1.01"])


async def test_h17_a_correction_of_a_forgotten_execution_replaces_it(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await over(bench, peer)
    for _ in range(2):
        peer.charge(peer.fill(order, "90", exec_id="x.1.02"))
    await bench.quiet()
    assert told(bench, intent) == ([("x.1.01", Decimal(100)), ("x.1.02", Decimal(90))], ["x.1.01", "x.1.02"])
    found = bench.gate.book.get(intent.order_ref)
    assert found is not None and found.filled == 90
    assert bench.notices() == ["execution_corrected"]


async def test_h17_a_late_execution_and_its_commission_find_a_forgotten_order(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await over(bench, peer, "Cancelled")
    for _ in range(2):
        peer.charge(peer.fill(order, "40", exec_id="x.2.01"))
    await bench.quiet()
    assert told(bench, intent) == ([("x.1.01", Decimal(60)), ("x.2.01", Decimal(40))], ["x.2.01"])
    assert bench.states(intent)[-1] is S.FILLED
    assert bench.notices() == []


async def test_h17_a_commission_that_comes_after_its_order_was_forgotten_is_charged_once(
    bench: Bench, peer: ScriptedPeer
) -> None:
    intent, _ = await over(bench, peer, "Cancelled")
    assert told(bench, intent)[1] == []
    for _ in range(2):
        peer.charge(peer.executions[0])
    await bench.quiet()
    await trade_and_forget(bench, peer)  # and forgotten again
    peer.charge(peer.executions[0])
    await bench.quiet()
    assert told(bench, intent)[1] == ["x.1.01"]


async def test_a_forgotten_order_that_lives_again_works_again(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await over(bench, peer, "Cancelled")
    peer.accept(order)
    await bench.until_state(intent, S.PARTIAL)
    assert bench.broker.working(AAPL.con_id) == 40
    await trade_and_forget(bench, peer)
    assert bench.broker.working(AAPL.con_id) == 40
    assert (bench.ib.client.clientId, order.order_id) in bench.ib.wrapper.trades


async def test_after_a_reconnect_the_days_executions_of_forgotten_orders_are_no_news(
    bench: Bench, peer: ScriptedPeer
) -> None:
    await trade_and_forget(bench, peer, 3 * KEPT)
    before = len(bench.fills()), len(bench.commissions())
    peer.drop()
    await bench.reconnect()
    assert (len(bench.fills()), len(bench.commissions())) == before
    after = sizes(bench)
    assert after.pop("fills") <= 2 * KEPT  # those of the kept trades, and as many in none
    assert max(after.values()) <= KEPT


async def test_an_order_in_our_name_that_the_journal_does_not_know_is_named(bench: Bench, peer: ScriptedPeer) -> None:
    await bench.place(limit_buy(1, "100"))
    order = await peer.until_order()
    order.terms = replace(order.terms, order_ref="run1.9.stranger.1")
    peer.accept(order)
    await bench.quiet()
    assert bench.notices() == ["unknown_order"]
