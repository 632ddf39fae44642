"""The control socket: one JSON line asks, one JSON line answers. docs/cli.md describes the protocol.

The socket has mode 0600: whoever may open the file may give orders.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from runner.errors import ConfigError, ExitCode, RunnerError

SOCKET_NAME = "runner.sock"
MAX_LINE_BYTES = 1024 * 1024
MAX_CONNECTIONS = 32
READ_TIMEOUT_S = 30.0
LAST_ANSWERS_S = 1.0
"""For answers that are ready when the runner stops to leave before the connections are cut."""
MAX_SOCKET_PATH_BYTES = 100

Verb = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
Stream = Callable[[Mapping[str, Any], Callable[[dict[str, Any]], Awaitable[None]]], Coroutine[Any, Any, None]]

log = logging.getLogger("runner.control")


class ControlServer:
    """Serves verbs on `<state_dir>/runner.sock` until closed."""

    def __init__(self, state_dir: Path, verbs: Mapping[str, Verb], streams: Mapping[str, Stream]) -> None:
        self.path = (state_dir / SOCKET_NAME).resolve()
        self._verbs = verbs
        self._streams = streams
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        """Those of them that wait for an answer, and not for events without end."""

    async def start(self) -> None:
        """Binds the socket. The state directory's lock is held, so a socket that is there is a dead runner's."""
        if len(os.fsencode(self.path)) > MAX_SOCKET_PATH_BYTES:
            raise ConfigError(
                f"the path of the control socket is too long for the system: {self.path}",
                hint="use a shorter state_dir",
            )
        self.path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._accept, str(self.path), limit=MAX_LINE_BYTES)
        finally:
            os.umask(before)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._answering:
            await asyncio.wait(self._answering, timeout=LAST_ANSWERS_S)
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self.path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._clients) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError):
            pass  # the client went away
        except asyncio.CancelledError:
            pass  # the runner stops; asyncio would log the cancellation of a connection's task
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                line = await reader.readline()
        except ValueError:
            await _reply(writer, _refusal(f"a request is longer than {MAX_LINE_BYTES} bytes", ExitCode.USAGE))
            return
        if not line:
            return
        try:
            request = json.loads(line)
            verb, args = request["verb"], request.get("args") or {}
            if not isinstance(args, dict):
                raise TypeError("args is not an object")
        except (ValueError, KeyError, TypeError) as error:
            await _reply(writer, _refusal(f"this is no request: {error}", ExitCode.USAGE))
            return
        if verb in self._streams and args.get("follow"):
            await self._follow(verb, args, reader, writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            await _reply(writer, await self._answer(verb, args))
        finally:
            self._answering.discard(task)

    async def _answer(self, verb: str, args: Mapping[str, Any]) -> dict[str, Any]:
        handler = self._verbs.get(verb)
        if handler is None:
            return _refusal(f"there is no verb {verb!r}", ExitCode.USAGE, hint=f"one of {', '.join(self._verbs)}")
        try:
            return {"ok": True, "result": await handler(args)}
        except RunnerError as error:
            return _refusal(error.message, error.exit_code, hint=error.hint)
        except Exception as error:  # one bad request must not end the runner; the log has the rest
            log.exception("control verb %s raised", verb)
            return _refusal(f"{verb} failed: {type(error).__name__}: {error}", ExitCode.INTERNAL)

    async def _follow(
        self, verb: str, args: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Streams until the client closes its side or the runner stops."""

        async def send(event: dict[str, Any]) -> None:
            await _reply(writer, {"event": event})

        streaming = asyncio.create_task(self._streams[verb](args, send))
        gone = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({streaming, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (streaming, gone):
                task.cancel()
            await asyncio.gather(streaming, gone, return_exceptions=True)


async def _reply(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
    await writer.drain()


def _refusal(message: str, code: ExitCode, *, hint: str = "") -> dict[str, Any]:
    return {"ok": False, "error": {"message": message, "hint": hint, "exit_code": int(code)}}
