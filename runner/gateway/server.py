"""The paper gateway as a server: one port on loopback, up to 32 clients, one exchange behind them."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import logging
import signal
import sys
from collections.abc import Callable
from datetime import date
from ipaddress import ip_address

from runner.errors import ConfigError, ExitCode, GatewayError
from runner.gateway.limits import MOST_CLIENTS, TOO_MANY_CLIENTS, Limits
from runner.gateway.pacer import Market, Pacer
from runner.gateway.publishing import Publisher
from runner.gateway.recorder import Recorder
from runner.gateway.session import Session
from runner.gateway.settings import HOST, GatewaySettings
from runner.gateway.wire import GATEWAY_ZONE, zone

log = logging.getLogger(__name__)

CLIENT_ID_IN_USE = (326, "Unable to connect as the client id is already in use. Retry with a unique client id.")
CLOSE_WITHIN_S = 2.0
"""How long stopping waits for the sessions to end."""


class GatewayServer:
    """Serves the TWS protocol for one exchange. All of it lives on one event loop.

    `failed` holds the exception that ended the market, if one did; the sessions are closed then.
    """

    def __init__(self, exchange: Market, settings: GatewaySettings, *, host: str = HOST) -> None:
        """Raises ConfigError for a host that is not loopback: the protocol has no authentication."""
        if not _is_loopback(host):
            raise ConfigError(
                f"the paper gateway does not listen on {host!r}",
                hint="it accepts loopback only, for example 127.0.0.1; the TWS protocol has no authentication",
            )
        self.exchange = exchange
        self.settings = settings
        self.host = host
        self.limits = Limits(settings.enforce_limits)
        self.recorder: Recorder | None = None
        self.hours: dict[tuple[str, str, date], str] = {}
        """Trading hours as contract details show them, by calendar, zone and day."""
        self.sessions: dict[int, Session] = {}
        """Sessions that have started, in the order of their start, by a number of their own."""
        self.by_client_id: dict[int, Session] = {}
        self.failed: BaseException | None = None
        self.market_failed = asyncio.Event()
        self._connections: set[Session] = set()
        self._all_closed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.pacing: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ life

    async def start(self) -> int:
        """Accept connections and let the market's clock run. Returns the port. GatewayError when it is taken."""
        self.loop = asyncio.get_running_loop()
        if self.settings.record is not None:
            self.recorder = Recorder(self.settings.record)
        self.publisher = Publisher(self)
        self.exchange.listener = self.publisher
        speed = None if self.settings.speed == "max" else float(self.settings.speed)
        self.pacer = Pacer(self, self.exchange, speed=speed, step_s=self.settings.step_s)
        port = self.settings.port
        try:
            self._server = await self.loop.create_server(lambda: Session(self), self.host, port)
        except OSError as problem:
            if problem.errno in (errno.EADDRINUSE, errno.EACCES):
                why = "is in use" if problem.errno == errno.EADDRINUSE else "needs more rights"
                raise GatewayError(
                    f"the paper gateway cannot listen on {self.host}:{port}: the port {why}",
                    hint="name another port, or 0 for any free one",
                ) from problem
            raise GatewayError(f"the paper gateway cannot listen on {self.host}:{port}: {problem}") from problem
        self.pacing = self.loop.create_task(self.pacer.run(), name="paper market")
        self.pacing.add_done_callback(self._market_ended)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every session and the port, and let the exchange save its state."""
        if self._server is not None:
            self._server.close()
        if self.pacing is not None:
            self.pacing.cancel()
            await asyncio.gather(self.pacing, return_exceptions=True)
        for session in list(self._connections):
            session.close()
        if self._connections:
            self._all_closed.clear()
            try:
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await self._all_closed.wait()
            except TimeoutError:
                for session in list(self._connections):
                    session.abort()
        close = getattr(self.exchange, "close", None)
        if close is not None:
            close()

    def _market_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        problem = task.exception()
        if problem is not None:
            self.failed = problem
            self.market_failed.set()
            log.critical("the paper market failed and stands still", exc_info=problem)
            for session in list(self._connections):
                session.close()

    # ------------------------------------------------------------ sessions

    def session_opened(self, session: Session) -> None:
        self._connections.add(session)

    def client_refused(self, client_id: int) -> tuple[int, str] | None:
        """IB's (code, text) when a client with that id cannot start now."""
        if client_id in self.by_client_id:
            return CLIENT_ID_IN_USE
        if len(self.by_client_id) >= MOST_CLIENTS:
            return TOO_MANY_CLIENTS
        return None

    def session_started(self, session: Session) -> None:
        self.sessions[id(session)] = session
        self.by_client_id[session.client_id] = session
        log.info("client %d connected at version %d", session.client_id, session.version)
        self.pacer.wake()

    def session_closed(self, session: Session) -> None:
        self._connections.discard(session)
        if not self._connections:
            self._all_closed.set()
        if self.sessions.pop(id(session), None) is not None:
            # The id is free at once: a client that lost its connection comes back with the same one.
            del self.by_client_id[session.client_id]
            log.info("client %d disconnected", session.client_id)
        self.pacer.wake()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


async def serve(settings: GatewaySettings, *, ready: Callable[[int], None]) -> None:
    """Serve a new PaperExchange until cancelled, or until its market fails. `ready` is told the port."""
    from runner.gateway.exchange import PaperExchange

    await _serve(GatewayServer(PaperExchange(settings), settings), ready, asyncio.Event())


async def _serve(server: GatewayServer, ready: Callable[[int], None], stop: asyncio.Event) -> None:
    port = await server.start()
    stopping = asyncio.create_task(stop.wait())
    failing = asyncio.create_task(server.market_failed.wait())
    try:
        ready(port)
        await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        failing.cancel()
        await server.stop()
    if server.failed is not None:
        raise GatewayError("the paper market failed; the log says why") from server.failed


def run_gateway(settings: GatewaySettings, *, as_json: bool = False) -> int:
    """Serve until SIGINT or SIGTERM; print one line on stdout when connections are accepted, in words or as a JSON
    object. Returns the exit code."""
    from runner.gateway.exchange import PaperExchange

    exchange = PaperExchange(settings)
    gc.freeze()  # the prices stay: no garbage collection needs to walk over them

    def ready(port: int) -> None:
        if as_json:
            said = {
                "format_version": "1.0",
                "host": HOST,
                "port": port,
                "accounts": list(settings.accounts),
                "market_time": exchange.now().isoformat(),
                "speed": settings.speed,
            }
            print(json.dumps(said), flush=True)
            return
        now = exchange.now().astimezone(zone(GATEWAY_ZONE))
        accounts = "account" if len(settings.accounts) == 1 else "accounts"
        pace = "as fast as clients follow" if settings.speed == "max" else f"×{settings.speed:g}"
        print(
            f"gateway listening on {HOST}:{port} · paper {accounts} {', '.join(settings.accounts)} · "
            f"market {now:%Y-%m-%d %H:%M} {GATEWAY_ZONE} {pace}",
            flush=True,
        )

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await _serve(GatewayServer(exchange, settings), ready, stop)

    asyncio.run(main())
    sys.stdout.flush()
    return int(ExitCode.OK)
