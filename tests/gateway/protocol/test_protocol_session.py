"""Connections: handshake, client ids, broken and hostile input. Whatever comes, a started session goes on."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_client import AAPL, RawClient, frame, place_order
from small_exchange import BASE, SmallExchange

from runner.gateway import GatewayServer, wire
from runner.gateway import session as session_module
from runner.gateway.dispatch import REQUESTS

Serve = Callable[..., Awaitable[Any]]


async def test_the_start_is_what_a_real_gateway_sends(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port, 3)
    assert client.all == [
        ["178", "20130301 09:30:00 US/Eastern"],
        ["15", "1", "DU1234567,DU7654321"],
        ["9", "1", "1"],
        ["4", "2", "-1", "2104", "Market data farm connection is OK:usfarm", ""],
        ["4", "2", "-1", "2106", "HMDS data farm connection is OK:ushmds", ""],
        ["4", "2", "-1", "2158", "Sec-def data farm connection is OK:secdefnj", ""],
    ]
    await client.close()


async def test_nothing_is_sent_between_version_and_start(serve: Serve) -> None:
    """ibapi throws away whatever follows the version in the same read."""
    _, _, port = await serve()
    client = await RawClient.open(port)
    await client.handshake(157, 178)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.reader.read(1)
    await client.close()


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"API\0" + struct.pack(">I", 1 << 30), b"API\0\0\0\0\x04abcd",
             b"API\0" + struct.pack(">I", 9) + b"v100..156"],
)  # fmt: skip
async def test_what_is_no_handshake_is_closed(serve: Serve, data: bytes) -> None:
    _, _, port = await serve()
    client = await RawClient.open(port)
    client.send_raw(data)
    assert await client.closed()
    await client.close()


async def test_a_handshake_may_come_byte_by_byte_and_requests_glued_together(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.open(port)
    for byte in b"API\0" + struct.pack(">I", 18) + b"v157..178 +PACEAPI":
        client.send_raw(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.read())[0] == "178"
    client.send_raw(frame(71, 2, 1, "") + frame(49, 1) + frame(8, 1, 1) + frame(49, 1)[:3])
    await client.until("49")
    assert await client.until("9") == ["9", "1", "1"]
    client.send_raw(frame(49, 1)[3:])
    await client.until("49")
    await client.close()


async def test_a_client_id_in_use_is_refused_with_326_and_free_after_its_session(serve: Serve) -> None:
    _, _, port = await serve()
    first = await RawClient.connect(port, 5)
    second = await RawClient.open(port)
    await second.handshake(157, 178)
    second.send(71, 2, 5, "")
    assert (await second.read())[2:4] == ["-1", "326"]
    assert await second.closed()
    await first.close()
    for _ in range(5):
        again = await RawClient.connect(port, 5)
        await again.close()
    await second.close()


async def test_32_clients_are_served_and_no_more(serve: Serve) -> None:
    _, _, port = await serve()
    clients = [await RawClient.connect(port, number) for number in range(32)]
    one_more = await RawClient.open(port)
    await one_more.handshake(157, 178)
    one_more.send(71, 2, 99, "")
    assert await one_more.closed()
    await clients[0].close()
    replacement = await RawClient.connect(port, 99)
    for client in [*clients[1:], replacement, one_more]:
        await client.close()


@pytest.mark.parametrize(("version", "advanced"), [(157, 0), (166, 1), (178, 1)])
async def test_unknown_requests_are_answered_with_320(serve: Serve, version: int, advanced: int) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port, high=version)
    for unknown in ("106", "9999", "0", "-1", "abc", "", "1e3", "٣", "1" * 400):
        client.send(unknown, 1, 2)
        error = await client.until("4")
        assert error[:4] == ["4", "2", "-1", "320"]
        assert len(error) == 5 + advanced
    client.send_raw(struct.pack(">I", 0))
    assert (await client.until("4"))[3] == "320"
    await client.close()


@pytest.mark.parametrize("number", sorted(REQUESTS))
async def test_every_known_request_survives_having_no_fields(serve: Serve, number: int) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    client.send(number)
    client.send(number, "x", "y")
    await client.fence()
    await client.close()


async def test_a_request_too_long_is_refused_and_what_follows_is_read(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    long = wire.MAX_REQUEST_BYTES + 1
    client.send_raw(struct.pack(">I", long) + b"x" * long + frame(8, 1, 1))
    assert (await client.until("4"))[3] == "320"
    assert await client.until("9") == ["9", "1", "1"]
    client.send_raw(struct.pack(">I", wire.MAX_FRAME_BYTES + 1))
    assert (await client.until("4"))[3] == "507"
    assert await client.closed()
    await client.close()


SEEDS = [
    frame(*place_order(1)),
    frame(*place_order(2, type="LMT", limit="99.5")),
    frame(1, 11, 7, *AAPL, 0, "233", 0, 0, ""),
    frame(20, 8, *AAPL, 0, "", "5 mins", "1 D", 1, "TRADES", 1, 1, ""),
    frame(96, 9, *AAPL, 0, "", "20130301 15:00:00", 10, "TRADES", 1, 0, ""),
    frame(7, 3, 5, 0, "", "", "", "", "", ""),
    frame(62, 1, 6, "All", "NetLiquidation,$LEDGER:ALL"),
    frame(76, 1, 5, "DU1234567", "", 0),
    frame(4, 1, 1, ""),
    frame(9, 8, 3, *AAPL, 0, "", "", ""),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.sampled_from(SEEDS), places=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=4)), max_size=6))
def test_a_mutated_request_never_ends_the_session(
    caplog: pytest.LogCaptureFixture, seed: bytes, places: list[tuple[int, bytes]]
) -> None:
    body = bytearray(seed[4:])
    for place, data in places:
        at = place % (len(body) + 1)
        body[at : at + 1] = data
    LOOP.run_until_complete(fuzz(struct.pack(">I", len(body)) + bytes(body)))
    assert [record for record in caplog.records if record.exc_info] == [], "refused by accident, not by a check"


LOOP: asyncio.AbstractEventLoop
PORT = 0


async def fuzz(data: bytes) -> None:
    client = await RawClient.connect(PORT)
    client.send_raw(data)
    await client.fence()
    await client.close()


@pytest.fixture(autouse=True, scope="module")
def fuzzed_gateway() -> Any:
    """One gateway for all fuzzed requests, on a loop of its own."""
    global LOOP, PORT
    LOOP = asyncio.new_event_loop()

    async def start() -> GatewayServer:
        return GatewayServer(SmallExchange(steps=0), BASE)

    server = LOOP.run_until_complete(start())
    PORT = LOOP.run_until_complete(server.start())
    yield
    LOOP.run_until_complete(server.stop())
    LOOP.close()


async def test_a_burst_of_4096_bytes_to_ibapi_is_followed_by_a_filler(serve: Serve) -> None:
    """ibapi 9.81.1 loses a burst that is an exact multiple of its read size; newer clients would log the filler."""
    server, _, port = await serve()
    for version, fillers in ((157, 1), (178, 0)):
        client = await RawClient.connect(port, version, high=version)
        session = server.by_client_id[version]
        session.send(wire.frame(["46", "x" * (4096 - 4 - 4)]))
        session.send(wire.frame(["46", "y"]))
        session.close()
        assert await client.closed()
        assert client.all[-1] == ["46", "y"]
        await client.close()
        client = await RawClient.connect(port, version, high=version)
        session = server.by_client_id[version]
        session.send(wire.frame(["46", "x" * (8192 - 4 - 4)]))
        session.close()
        assert await client.closed()
        assert [fields for fields in client.all if fields == ["999", "1"]] == [["999", "1"]] * fillers
        await client.close()


async def test_a_connection_that_never_starts_is_closed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "HANDSHAKE_WITHIN_S", 0.01)
    _, _, port = await serve()
    client = await RawClient.open(port)
    assert await client.closed()
    await client.close()


async def test_a_client_that_does_not_read_is_dropped(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MOST_UNSENT_BYTES", 1 << 16)
    server, _, port = await serve()
    client = await RawClient.connect(port)
    session = server.by_client_id[1]
    gone = asyncio.Event()
    lost = session.connection_lost
    monkeypatch.setattr(session, "connection_lost", lambda problem: (lost(problem), gone.set()))
    for _ in range(20):
        session.send(wire.frame(["46", "x" * (1 << 20)]))
    async with asyncio.timeout(5):
        await gone.wait()
    assert server.by_client_id == {}
    client.writer.transport.abort()
    await client.close()
