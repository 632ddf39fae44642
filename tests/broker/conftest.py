"""A scripted TWS peer and a strategy's broker connected to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from broker_support import Bench
from scripted_peer import ScriptedPeer

from runner.broker.ib_connection import disconnect


@pytest.fixture
async def peer() -> AsyncIterator[ScriptedPeer]:
    peer = ScriptedPeer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
async def bench(peer: ScriptedPeer) -> AsyncIterator[Bench]:
    """Connected and recovered."""
    bench = Bench(peer.port)
    await bench.start()
    yield bench
    bench.broker.detach()
    await disconnect(bench.ib)
