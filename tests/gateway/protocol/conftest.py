from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from raw_client import RawClient
from small_exchange import BASE, SmallExchange

from runner.gateway import GatewayServer

Serve = Callable[..., Awaitable[tuple[GatewayServer, SmallExchange, int]]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(steps=…, **settings)` → server, exchange, port. Everything is stopped at the end."""
    servers = []

    async def start(*, steps: int = 1_000_000, **changes: object) -> tuple[GatewayServer, SmallExchange, int]:
        exchange = SmallExchange(steps)
        server = GatewayServer(exchange, replace(BASE, **changes))  # type: ignore[arg-type]
        servers.append(server)
        return server, exchange, await server.start()

    yield start
    for client in list(RawClient.opened):
        await client.close()
    for server in servers:
        await server.stop()
        assert server.failed is None
