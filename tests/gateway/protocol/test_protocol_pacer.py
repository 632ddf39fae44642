"""When the market's clock moves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from raw_client import AAPL, RawClient
from small_exchange import START

from runner.gateway import pacer

Serve = Callable[..., Awaitable[Any]]
MINUTE = 60
T0 = int(START.timestamp())


async def time_of(client: RawClient) -> int:
    client.send(49, 1)
    return int((await client.until("49"))[2])


async def test_a_follower_sees_every_step_once_and_moves_the_market_by_asking_again(serve: Serve) -> None:
    _, exchange, port = await serve()
    client = await RawClient.connect(port, capabilities="follow")
    assert await time_of(client) == T0
    assert exchange.now() == START, "nothing moves before the follower is done with the time it knows"
    assert [await time_of(client) - T0 for _ in range(5)] == [MINUTE * n for n in range(1, 6)]


async def test_the_market_waits_for_the_slowest_follower(serve: Serve) -> None:
    _, exchange, port = await serve()
    fast, slow = [await RawClient.connect(port, n, capabilities="other follow") for n in (1, 2)]
    assert await time_of(fast) == await time_of(slow) == T0
    fast.send(49, 1)
    await asyncio.sleep(0.05)
    assert exchange.now() == START
    slow.send(49, 1)
    assert [int((await client.until("49"))[2]) - T0 for client in (fast, slow)] == [MINUTE, MINUTE]
    fast.send(49, 1)
    await slow.close()
    assert int((await fast.until("49"))[2]) == T0 + 2 * MINUTE, "a follower that left is not waited for"
    await fast.close()


async def test_what_a_step_sends_comes_before_its_time(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port, capabilities="follow")
    client.send(1, 11, 7, *AAPL, 0, "", 0, 0, "")
    await client.fence()
    for step in range(1, 4):
        told = await client.fence()
        assert ["1", "6", "7", "4", f"{100 + step / 100:.2f}", "10", "0"] in told


async def test_a_silent_follower_is_dropped(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pacer, "FOLLOWER_SILENT_S", 0.05)
    caplog.set_level(logging.WARNING)
    _, _, port = await serve()
    _silent, following = [await RawClient.connect(port, n, capabilities="follow") for n in (1, 2)]
    assert await time_of(following) == T0
    assert await time_of(following) == T0 + MINUTE
    assert [r.getMessage() for r in caplog.records if "client 1" in r.getMessage()]


async def test_without_anybody_watching_the_market_waits(serve: Serve) -> None:
    _, exchange, port = await serve()
    await asyncio.sleep(0.02)
    assert exchange.now() == START
    client = await RawClient.connect(port)
    await asyncio.sleep(0.02)
    assert exchange.now() == START
    client.send(1, 11, 7, *AAPL, 0, "", 0, 0, "")
    await client.until("46")
    await client.until("46")
    assert exchange.now() > START


async def test_the_end_of_the_data_is_told_and_nobody_is_left_waiting(serve: Serve) -> None:
    server, _, port = await serve(steps=2)
    client = await RawClient.connect(port, capabilities="follow")
    assert [await time_of(client) - T0 for _ in range(5)] == [0, MINUTE, 2 * MINUTE, 2 * MINUTE, 2 * MINUTE]
    assert server.pacer.over
    assert [fields[3] for fields in client.all if fields[0] == "4"][-1] == "2199"


async def test_a_steady_pace_needs_no_client(serve: Serve) -> None:
    server, _, _ = await serve(steps=5, speed=MINUTE * 1000.0)
    async with asyncio.timeout(5):
        await asyncio.gather(server.pacing)
    assert server.pacer.steps == 5


async def test_a_steady_pace_waits_for_followers_too(serve: Serve) -> None:
    _, _, port = await serve(speed=MINUTE * 1000.0)
    client = await RawClient.connect(port, capabilities="follow")
    first = await time_of(client)
    assert [await time_of(client) - first for _ in range(3)] == [MINUTE, 2 * MINUTE, 3 * MINUTE]


async def test_a_market_that_fails_closes_its_sessions(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server, exchange, port = await serve()
    monkeypatch.setattr(exchange, "step", lambda: 1 / 0)
    client = await RawClient.connect(port, capabilities="follow")
    await time_of(client)
    client.send(49, 1)
    assert await client.closed()
    assert isinstance(server.failed, ZeroDivisionError)
    server.failed = None
