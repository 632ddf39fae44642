"""The embedded paper gateway: a server that speaks the TWS protocol on loopback, with a market behind it.

    from runner.gateway import GatewayServer, GatewaySettings, PaperExchange

    settings = GatewaySettings(speed="max", step="day")
    server = GatewayServer(PaperExchange(settings), settings)
    port = await server.start()

The names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.gateway.exchange import PaperExchange
    from runner.gateway.server import GatewayServer, run_gateway, serve
    from runner.gateway.settings import GatewaySettings

__all__ = ["GatewayServer", "GatewaySettings", "PaperExchange", "run_gateway", "serve"]

_MODULE_OF = {
    "GatewayServer": "server",
    "GatewaySettings": "settings",
    "PaperExchange": "exchange",
    "run_gateway": "server",
    "serve": "server",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
