"""Requests about contracts and the past, those that are not served, and IB's limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from raw_client import AAPL, RawClient

from runner.errors import ConfigError, GatewayError
from runner.gateway import GatewayServer, GatewaySettings, limits
from runner.gateway.limits import Limits, TokenBucket

Serve = Callable[..., Awaitable[Any]]
MSFT = (0, "MSFT", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")
NOBODY = (0, "NOSUCH", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")
ANY = (0, "", "STK", "", "0.0", "", "", "SMART", "", "USD", "", "")


@pytest.mark.parametrize(("version", "fields"), [(157, 39), (163, 40), (164, 40), (178, 40)])
async def test_contract_details(serve: Serve, version: int, fields: int) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port, high=version)
    client.send(9, 8, 3, *MSFT, 0, "", "", *([""] if version >= 176 else []))
    details = await client.until("10")
    assert len(details) == fields
    assert "Micro\\u005csoft \\u00e9 Corp." in details
    assert "20130301:0930-20130301:1600;20130302:CLOSED" in " ".join(details)
    assert await client.until("52") == ["52", "1", "3"]
    client.send(9, 8, 4, *NOBODY, 0, "", "", "")
    assert (await client.until("4"))[2:4] == ["4", "200"]


async def test_an_unknown_or_ambiguous_contract_is_error_200(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    for contract in (NOBODY, ANY):
        for fields in (
            (1, 11, 7, *contract, 0, "", 0, 0, ""),
            (20, 7, *contract, 0, "", "1 day", "1 D", 1, "TRADES", 1, 0, ""),
            (50, 3, 7, *contract, 5, "TRADES", 0, ""),
            (87, 7, *contract, 0, 1, "TRADES", 1),
            (96, 7, *contract, 0, "", "20130301 15:00:00", 2, "TRADES", 1, 0, ""),
            (97, 7, *contract, "Last", 0, 0),
        ):
            client.send(*fields)
            told = await client.fence()
            assert [m[:4] for m in told] == [["4", "2", "7", "200"]], fields


@pytest.mark.parametrize(
    ("end", "keep", "what", "size", "code"),
    [
        ("", 0, "TRADES", "7 mins", "321"),
        ("20130301 15:00:00", 1, "TRADES", "1 day", "321"),
        ("yesterday", 0, "TRADES", "1 day", "321"),
        ("20130301 15:00:00 No/Where", 0, "TRADES", "1 day", "321"),
        ("", 0, "NOTHING", "1 day", "162"),
    ],
)
async def test_a_historical_request_that_is_refused_also_ends(
    serve: Serve, end: str, keep: int, what: str, size: str, code: str
) -> None:
    """ib_async takes 321 for a warning, so an empty result follows it."""
    _, _, port = await serve()
    client = await RawClient.connect(port)
    client.send(20, 5, *AAPL, 0, end, size, "1 D", 1, what, 1, keep, "")
    told = await client.fence()
    assert told[0][2:4] == ["5", code]
    assert [m[:2] for m in told[1:]] == ([["17", "5"]] if code == "321" else [])


@pytest.mark.parametrize(
    "end", ["", "20130301 14:00:00 UTC", "20130301 09:00:00", "20130301 09:00:00 US/Eastern", "20130301-14:00:00",
            "20130301 09:00"]
)  # fmt: skip
async def test_every_form_of_an_end_time_is_read(serve: Serve, end: str) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    client.send(20, 5, *AAPL, 0, end, "1 min", "1 D", 1, "TRADES", 1, 0, "")
    bars = await client.until("17")
    assert bars[3] == ("20130301 09:30:00 US/Eastern" if end == "" else "20130301 09:00:00 US/Eastern")


async def test_the_schedule_comes_as_message_106(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    client.send(20, 5, *AAPL, 0, "", "1 day", "2 D", 1, "SCHEDULE", 1, 0, "")
    assert (await client.until("106"))[4:] == [
        "US/Eastern", "1", "20130228-09:30:00", "20130228-16:00:00", "20130228",
    ]  # fmt: skip


UNSERVED = [
    ((10, 5, 7, *AAPL, 5, 1, ""), ["4"]),
    ((18, 1, 1), ["4", "16"]),
    ((19, 1, 1, "<x/>", 7), ["4", "103"]),
    ((21, 2, 7, *AAPL[:8], *AAPL[9:], 1, 1, "DU1234567", 0), ["4"]),
    ((22, 7, *[""] * 24), ["4", "20"]),
    ((24, 1), ["4", "19"]),
    ((52, 2, 7, *AAPL[:3], *AAPL[7:11], "ReportSnapshot", 0, ""), ["4"]),
    ((54, 3, 7, *AAPL, 1, 1, 0, ""), ["4"]),
    ((67, 1, 7), ["67"]),
    ((79, 7), ["77"]),
    ((80,), ["78"]),
    ((82,), ["80"]),
    ((83, 7, "9c0001"), ["82"]),
    ((84, 7, "BZ", "1", ""), ["4"]),
    ((85,), ["85"]),
    ((86, 7, 265598, "BZ", "", "", 10, ""), ["4", "87"]),
    ((88, 7, *AAPL, 0, 1, "3 days"), ["4", "89"]),
    ((100, 7), ["4"]),
    ((102, 7, 1, "", 0, 0, 0, "", "", 1), ["4"]),
    ((78, 7, "AAPL", "", "STK", 265598), ["76"]),
    ((71, 2, 1, ""), ["4"]),
    ((14, 1, 5), []),
    ((90, 7), []),
]


@pytest.mark.parametrize(("fields", "answers"), UNSERVED, ids=[str(case[0][0]) for case in UNSERVED])
async def test_what_is_not_served_is_said_and_ended(
    serve: Serve, fields: tuple[object, ...], answers: list[str]
) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    client.send(*fields)
    told = await client.fence()
    assert [m[0] for m in told] == answers
    assert [m[3] for m in told if m[0] == "4"] in ([], ["322"])


async def test_price_steps_are_named_by_market_rules(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    for contract, step in ((AAPL, "0.01"), ((551601561, *[""] * 11), "0.25"), ((12087792, *[""] * 11), "0.00005")):
        client.send(9, 8, 3, *contract, 0, "", "", "")
        rules = (await client.until("10"))[34]
        client.send(91, rules.split(",")[0])
        assert (await client.until("93"))[3:] == ["0", step]
    client.send(91, 7)
    assert (await client.until("93"))[2] == "0"


# ---------------------------------------------------------------- limits


def test_the_bucket_lets_through_what_ib_async_sends_at_most() -> None:
    bucket = TokenBucket(limits.MESSAGES_PER_S, limits.MESSAGE_BURST)
    assert all(bucket.take(second + n / 1000) for second in range(10) for n in range(45))
    assert not all(bucket.take(20 + n / 1000) for n in range(60))


async def test_too_many_messages_a_second_are_error_100_and_the_end(serve: Serve) -> None:
    _, _, port = await serve(enforce_limits=True)
    client = await RawClient.connect(port)
    for _ in range(60):
        client.send(8, 1, 1)
    assert await client.closed()
    assert client.all[-1][2:4] == ["-1", "100"]
    await client.close()
    follower = await RawClient.connect(port, capabilities="follow")
    for _ in range(200):
        follower.send(8, 1, 1)
    await follower.fence()
    await follower.close()


async def test_the_101st_market_data_line_is_error_101(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MARKET_DATA_LINES", 3)
    _, _, port = await serve(enforce_limits=True, steps=0)
    clients = [await RawClient.connect(port, n) for n in (1, 2)]
    for client in clients:
        client.send(1, 11, 7, *AAPL, 0, "", 0, 0, "")
        await client.fence()
    clients[0].send(50, 3, 8, *AAPL, 5, "TRADES", 0, "")
    clients[1].send(1, 11, 9, *AAPL, 0, "", 0, 0, "")
    await clients[0].fence()
    assert [m[2:4] for m in await clients[1].fence()] == [["9", "101"]]


def test_pacing_of_small_bars() -> None:
    rules = Limits(enforced=True)
    assert rules.historical(0.0, "a", "AAPL") is None
    assert rules.historical(14.9, "a", "AAPL") == limits.PACING, "the identical request within 15 seconds"
    assert rules.historical(31.0, "a", "AAPL") is None
    rules = Limits(enforced=True)
    assert [rules.historical(n / 10, n, "AAPL") is None for n in range(6)] == [True] * 5 + [False], "six in 2 s"
    rules = Limits(enforced=True)
    allowed = [rules.historical(n * 3.0, n, n, weight=2) is None for n in range(31)]
    assert allowed == [True] * 30 + [False], "60 in ten minutes, BID_ASK counting twice"
    assert rules.historical(700.0, "later", "x") is None
    assert Limits(enforced=False).historical(0.0, "a", "AAPL") is None


async def test_limits_show_on_the_wire(serve: Serve) -> None:
    _, _, port = await serve(enforce_limits=True)
    client = await RawClient.connect(port)
    for code in ([], ["162"]):
        client.send(20, 5, *AAPL, 0, "", "5 secs", "60 S", 1, "TRADES", 1, 0, "")
        assert [m[3] for m in await client.fence() if m[0] == "4"] == code


# ---------------------------------------------------------------- recorder and server


async def test_both_directions_are_recorded_as_text(serve: Serve, tmp_path: Path) -> None:
    server, _, port = await serve(record=tmp_path / "frames")
    client = await RawClient.connect(port, 4)
    client.send(81, 3, "AA|P\\L")
    await client.until("79")
    await client.close()
    await server.stop()
    lines = next((tmp_path / "frames").glob("*-client4.txt")).read_text().splitlines()
    assert lines == [
        "## connect clientId=4 version=178",
        "S> 178|20130301 09:30:00 US/Eastern",
        "C> 71|2|4|",
        "S> 15|1|DU1234567,DU7654321",
        "S> 9|1|1",
        "S> 4|2|-1|2104|Market data farm connection is OK:usfarm|",
        "S> 4|2|-1|2106|HMDS data farm connection is OK:ushmds|",
        "S> 4|2|-1|2158|Sec-def data farm connection is OK:secdefnj|",
        "C> 81|3|AA\\x7cP\\x5cL",
        "S> 79|3|0",
    ]


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.168.1.5", "example.com", "::"])
def test_no_other_address_than_loopback_is_bound(host: str) -> None:
    with pytest.raises(ConfigError, match="does not listen"):
        GatewayServer(None, GatewaySettings(), host=host)  # type: ignore[arg-type]


async def test_a_port_in_use_is_named(serve: Serve) -> None:
    _, _, port = await serve()
    with pytest.raises(GatewayError, match=f"127.0.0.1:{port}: the port is in use"):
        await serve(port=port)


async def test_stopping_closes_sessions_and_the_exchange(serve: Serve) -> None:
    server, exchange, port = await serve()
    client = await RawClient.connect(port)
    await server.stop()
    assert await client.closed()
    assert exchange.closed
