"""Connecting: what can be wrong has a name, and a dead session is noticed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from broker_support import START, Bench, limit_buy, spin
from scripted_peer import ScriptedPeer

from runner.broker import ib_connection
from runner.broker.clock import BrokerClock, follow
from runner.broker.ib_connection import Heartbeat, IBSettings, account_of, connect_to_ib, disconnect
from runner.broker.session import Session
from runner.errors import ClientIdInUse, ExitCode, NotConnected, WrongAccount
from runner.model.clock import ManualClock, SystemClock


async def test_a_closed_port_is_named_with_what_to_do() -> None:
    free = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = free.sockets[0].getsockname()[1]
    free.close()
    await free.wait_closed()
    with pytest.raises(NotConnected, match=f"nothing listens on 127.0.0.1:{port}") as caught:
        await connect_to_ib(IBSettings(port=port, timeout_s=2), 1)
    assert "4002" in caught.value.hint


async def test_a_client_id_in_use_is_named_long_before_the_timeout(peer: ScriptedPeer) -> None:
    peer.in_use.add(3)
    async with asyncio.timeout(2):
        with pytest.raises(ClientIdInUse) as caught:
            await connect_to_ib(IBSettings(port=peer.port, timeout_s=60), 3)
    assert (caught.value.code, caught.value.exit_code) == (326, ExitCode.UNAVAILABLE)


async def test_a_peer_that_does_not_speak_tws_is_a_timeout_with_a_name(peer: ScriptedPeer) -> None:
    peer.silent.add("71")
    with pytest.raises(NotConnected, match="did not answer within"):
        await connect_to_ib(IBSettings(port=peer.port, timeout_s=0.1), 3)


@pytest.mark.parametrize("request_", ["5", "99", "7"])
async def test_a_list_without_its_end_is_not_connected(peer: ScriptedPeer, request_: str) -> None:
    peer.unanswered_ends.add(request_)
    with pytest.raises(NotConnected):
        await connect_to_ib(IBSettings(port=peer.port, timeout_s=0.1), 3)


async def test_a_caller_that_gives_up_as_the_session_comes_up_leaves_none_behind(
    peer: ScriptedPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Session] = []

    class GivenUp(Session):
        async def connectAsync(self, *args: Any, **options: Any) -> Any:
            made.append(self)
            await super().connectAsync(*args, **options)
            caller.cancel()
            return self

    monkeypatch.setattr(ib_connection, "Session", GivenUp)
    caller = asyncio.ensure_future(connect_to_ib(IBSettings(port=peer.port, timeout_s=5), 3))
    with pytest.raises(asyncio.CancelledError):
        await caller
    (session,) = made
    assert session.client.conn.transport is None


async def test_a_peer_that_closes_in_the_handshake_is_noticed_at_once() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4)
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(2):
        with pytest.raises(NotConnected):
            await connect_to_ib(IBSettings(port=port, timeout_s=60), 3)
    server.close()
    await server.wait_closed()


ALLOWED = [
    (["DU1"], {}, "DU1"),
    (["DU1", "DU2"], {"account": "DU2"}, "DU2"),
    (["U1"], {"mode": "live", "live_accounts": ("U1",)}, "U1"),
]
REFUSED = [
    (["DU1", "DU2"], {}, "none is named"),
    (["DU1"], {"account": "DU9"}, "not one of this login's"),
    (["U1"], {}, "is a live account"),
    (["DU1", "U2"], {"account": "DU1"}, "is a live account"),
    (["U1"], {"mode": "live"}, "not listed"),
    (["U1"], {"mode": "live", "live_accounts": ("U2",)}, "not listed"),
    (["DU1"], {"mode": "live", "live_accounts": ("DU1",)}, "is a paper account"),
    ([], {}, "has 0 accounts"),
]


@pytest.mark.parametrize(("managed", "settings", "account"), ALLOWED)
def test_the_account_to_trade(managed: list[str], settings: dict[str, object], account: str) -> None:
    assert account_of(managed, IBSettings(**settings)) == account  # type: ignore[arg-type]


@pytest.mark.parametrize(("managed", "settings", "text"), REFUSED)
def test_every_other_account_is_refused(managed: list[str], settings: dict[str, object], text: str) -> None:
    with pytest.raises(WrongAccount, match=text):
        account_of(managed, IBSettings(**settings))  # type: ignore[arg-type]


async def test_a_live_account_is_refused_before_anything_is_sent(peer: ScriptedPeer) -> None:
    peer.accounts = ("U7654321",)
    with pytest.raises(WrongAccount) as caught:
        await connect_to_ib(IBSettings(port=peer.port, timeout_s=2), 1)
    assert caught.value.exit_code is ExitCode.CONFIG
    await spin(lambda: not peer._writers)


async def test_a_frozen_gateway_is_noticed_although_its_socket_is_open(bench: Bench, peer: ScriptedPeer) -> None:
    dead: list[str] = []
    clock = BrokerClock(SystemClock())
    beat = Heartbeat(bench.ib, clock, dead.append, interval_s=0.02, deadline_s=0.02, misses=2)
    running = asyncio.ensure_future(beat.run())
    await spin(lambda: sum(fields[0] == "49" for fields in peer.requests) >= 2)
    peer.silent.add("*")
    await asyncio.wait_for(running, 2)
    assert bench.ib.isConnected() and dead == ["no answer 2 times in a row"]


async def test_a_lost_connection_ends_the_heartbeat(bench: Bench, peer: ScriptedPeer) -> None:
    dead: list[str] = []
    beat = Heartbeat(bench.ib, BrokerClock(SystemClock()), dead.append, interval_s=0.01)
    running = asyncio.ensure_future(beat.run())
    await bench.quiet()
    peer.drop()
    await asyncio.wait_for(running, 2)
    assert len(dead) == 1


async def test_disconnecting_fails_what_waits_and_ends_though_the_peer_reads_nothing(peer: ScriptedPeer) -> None:
    bench = Bench(peer.port)
    ib = await bench.connect()
    peer.silent.add("49")
    waiting = asyncio.ensure_future(ib.server_time())
    await spin(lambda: peer.requests[-1][0] == "49")
    await disconnect(ib)
    with pytest.raises(ConnectionError):
        await waiting
    assert ib.client.conn.transport is None


async def test_many_reconnects_leave_no_task_and_no_listener(bench: Bench, peer: ScriptedPeer) -> None:
    intent = await bench.place(limit_buy(1, "100"))
    peer.accept(await peer.until_order())
    await bench.quiet()
    await bench.reconnect_after(peer.drop)
    before = len(asyncio.all_tasks())
    for _ in range(20):
        await bench.reconnect_after(peer.drop)
    assert len(asyncio.all_tasks()) <= before
    assert len(bench.ib._listeners) == 1
    assert len(bench.states(intent)) == 2  # Sent and Acknowledged: nothing is told again


def test_the_live_clock_follows_ibs_and_ignores_rounding() -> None:
    system = ManualClock(START)
    clock = BrokerClock(system)
    clock.observe(START + timedelta(seconds=30))
    assert clock.now() == START + timedelta(seconds=30.5)
    clock.observe(START)
    assert clock.now() == START and clock.skew == timedelta(0)


async def test_a_replays_clock_wakes_sleepers_in_the_order_of_their_times() -> None:
    clock = BrokerClock(SystemClock())
    clock.advance(START)
    woken: list[int] = []

    async def sleeper(minutes: int) -> None:
        await clock.sleep_until(START + timedelta(minutes=minutes))
        woken.append(minutes)

    tasks = [asyncio.ensure_future(sleeper(minutes)) for minutes in (3, 1, 2, 9)]
    await asyncio.sleep(0)
    clock.advance(START + timedelta(minutes=5))
    await asyncio.gather(*tasks[:3])
    assert woken == [1, 2, 3]
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(START)
    tasks[3].cancel()
    await asyncio.gather(tasks[3], return_exceptions=True)


async def test_a_sleeper_on_another_loop_is_woken() -> None:
    clock = BrokerClock(SystemClock())
    clock.advance(START)
    asleep = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def sleep() -> None:
        waiting = asyncio.ensure_future(clock.sleep_until(START + timedelta(hours=1)))
        await asyncio.sleep(0)
        loop.call_soon_threadsafe(asleep.set)
        await waiting

    other = asyncio.ensure_future(asyncio.to_thread(asyncio.run, sleep()))
    await asleep.wait()
    clock.advance(START + timedelta(hours=1))
    await asyncio.wait_for(other, 2)


async def test_following_ends_with_the_session(bench: Bench, peer: ScriptedPeer) -> None:
    times: list[object] = []

    async def deliver(at: object) -> None:
        times.append(at)
        peer.now += timedelta(minutes=1)
        if len(times) == 3:
            peer.drop()

    with pytest.raises(NotConnected):
        await follow(bench.ib, BrokerClock(SystemClock()), deliver)
    assert times == [START, START + timedelta(minutes=1), START + timedelta(minutes=2)]
