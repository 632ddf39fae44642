"""A session that only looks: its client id, what it asks, and what it can tell of the gateway and its data."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from broker_support import spin
from scripted_peer import AAPL, ScriptedPeer

from runner.broker.history import HistoryService
from runner.broker.ib_connection import (
    LOOKING_CLIENT_ID,
    LOOKING_TRIES,
    IBSettings,
    connect_to_look,
    disconnect,
    takes_orders,
)
from runner.broker.pacing import HistoryPacer, Pacer
from runner.broker.requests import InstrumentResolver, is_not_permitted
from runner.errors import ClientIdInUse, ContractNotFound, GatewayError, NotConnected, WrongAccount
from runner.gateway import encode
from runner.model.clock import SystemClock
from runner.model.instruments import Instrument, InstrumentQuery, SecType

OURS = LOOKING_CLIENT_ID + os.getpid()
READ_ONLY = "Error validating request.-'b7' : cause - The API interface is currently in Read-Only mode."
STOCK = Instrument(con_id=265598, symbol="AAPL", sec_type=SecType.STOCK, exchange="SMART", currency="USD")


def settings(peer: ScriptedPeer, **changes: Any) -> IBSettings:
    return IBSettings(port=peer.port, timeout_s=2, **changes)


async def test_it_is_above_every_id_of_a_runner_and_asks_for_no_orders(peer: ScriptedPeer) -> None:
    from runner.manager.sessions import OWN_SESSIONS, SHARED_SESSIONS
    from runner.spec.config_schema import runner_schema

    largest = runner_schema()["properties"]["ib"]["properties"]["client_id_base"]["maximum"]
    assert largest + OWN_SESSIONS + SHARED_SESSIONS < LOOKING_CLIENT_ID
    ib = await connect_to_look(settings(peer))
    assert ib.client.clientId == OURS
    assert {fields[0] for fields in peer.requests} <= {"61", "64", "7"}
    await disconnect(ib)


async def test_a_taken_id_is_passed_over_and_so_many_are_an_error(peer: ScriptedPeer) -> None:
    peer.in_use = {OURS, OURS + 1}
    ib = await connect_to_look(settings(peer))
    assert ib.client.clientId == OURS + 2
    await disconnect(ib)
    peer.in_use = set(range(OURS, OURS + LOOKING_TRIES))
    with pytest.raises(ClientIdInUse):
        await connect_to_look(settings(peer))


async def test_the_account_is_checked_as_for_trading(peer: ScriptedPeer) -> None:
    with pytest.raises(WrongAccount) as caught:
        await connect_to_look(settings(peer, account="DU9"))
    assert caught.value.setting == "account"


async def test_a_gateway_that_lists_open_orders_takes_orders(peer: ScriptedPeer) -> None:
    ib = await connect_to_look(settings(peer))
    assert await takes_orders(ib, 2) is True
    await disconnect(ib)


async def test_a_read_only_gateway_says_so_without_an_order(peer: ScriptedPeer) -> None:
    ib = await connect_to_look(settings(peer))
    peer.silent = {"5"}
    asking = asyncio.ensure_future(takes_orders(ib, 2))
    await peer.until(lambda: any(fields[0] == "5" for fields in peer.requests))
    peer.error(2147483647, 321, READ_ONLY)
    assert await asking is False
    assert peer.received == []
    await disconnect(ib)


async def test_a_gateway_that_answers_neither_way_is_not_judged(peer: ScriptedPeer) -> None:
    ib = await connect_to_look(settings(peer))
    peer.silent = {"5"}
    assert await takes_orders(ib, 0.05) is None
    await disconnect(ib)


async def test_a_connection_that_ends_meanwhile_is_not_taken_for_an_answer(peer: ScriptedPeer) -> None:
    ib = await connect_to_look(settings(peer))
    peer.silent = {"5"}
    asking = asyncio.ensure_future(takes_orders(ib, 2))
    await peer.until(lambda: any(fields[0] == "5" for fields in peer.requests))
    await disconnect(ib)
    with pytest.raises(NotConnected):
        await asking


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (354, "Requested market data is not subscribed.", True),
        (10089, "Requested market data requires additional subscription for API.", True),
        (10197, "No market data during competing live session", True),
        (162, "Historical Market Data Service error message:No market data permissions for ISLAND STK", True),
        (162, "Historical Market Data Service error message:HMDS query returned no data: X@SMART Trades", False),
        (200, "No security definition has been found for the request", False),
    ],
)
def test_what_ib_has_and_does_not_give(code: int, text: str, expected: bool) -> None:
    assert is_not_permitted(GatewayError("said the test", code=code, text=text)) is expected


async def test_several_contracts_by_one_description_are_candidates(peer: ScriptedPeer) -> None:
    peer.contracts = [AAPL, replace(AAPL, con_id=7, primary_exchange="AMEX")]
    ib = await connect_to_look(settings(peer))
    resolver = InstrumentResolver(ib, Pacer(SystemClock()))
    with pytest.raises(ContractNotFound, match="2 contracts") as caught:
        await resolver.resolve(InstrumentQuery(symbol="AAPL"))
    assert [one.primary_exchange for one in caught.value.candidates] == ["NASDAQ", "AMEX"]
    await disconnect(ib)


async def test_the_order_types_of_a_contract_are_kept(peer: ScriptedPeer) -> None:
    ib = await connect_to_look(settings(peer))
    resolver = InstrumentResolver(ib, Pacer(SystemClock()))
    assert resolver.order_types(STOCK) == frozenset()
    assert resolver.order_types(await resolver.resolve(InstrumentQuery(symbol="AAPL"))) == {"MKT", "LMT"}
    await disconnect(ib)


async def begins(peer: ScriptedPeer, text: str) -> datetime:
    """What becomes of IB's answer `text` to the question when data begin."""
    ib = await connect_to_look(settings(peer))
    history = HistoryService(ib, None, HistoryPacer(SystemClock()), SystemClock())
    asking = asyncio.ensure_future(history.begins(STOCK))
    await peer.until(lambda: any(fields[0] == "87" for fields in peer.requests))
    (request,) = [fields for fields in peer.requests if fields[0] == "87"]
    peer.send(encode.head_timestamp(int(request[1]), text))
    try:
        return await asking
    finally:
        await disconnect(ib)
        await spin(lambda: not peer._writers)


@pytest.mark.parametrize("text", ["946909800", "20000103-14:30:00"])
async def test_when_data_begin_is_a_time(peer: ScriptedPeer, text: str) -> None:
    assert await begins(peer, text) == datetime(2000, 1, 3, 14, 30, tzinfo=UTC)


async def test_an_answer_that_is_no_time_is_an_error(peer: ScriptedPeer) -> None:
    with pytest.raises(GatewayError, match="is no time"):
        await begins(peer, "soon")


async def test_no_answer_is_not_connected_after_a_while(peer: ScriptedPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.broker.history.BEGINNING_TIMEOUT_S", 0.05)
    ib = await connect_to_look(settings(peer))
    history = HistoryService(ib, None, HistoryPacer(SystemClock()), SystemClock())
    with pytest.raises(NotConnected, match="the beginning of the data of AAPL"):
        await history.begins(STOCK)
    assert ib.isConnected()
    await disconnect(ib)
