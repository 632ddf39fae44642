"""Talks to a running runner through its control socket: one JSON line asks, one JSON line answers.

The protocol is described in docs/cli.md. The socket has mode 0600: whoever may open the file may give orders.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.errors import ExitCode, RunnerError

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 15.0
"""A question about the state of things."""
CHANGE_TIMEOUT_S = 120.0
"""A start waits for warm-up, a flatten for the gateway."""
MAX_LINE_BYTES = 16 * 1024 * 1024


class NotRunning(RunnerError):
    """No runner listens in this state directory."""

    exit_code = ExitCode.UNAVAILABLE


class RemoteError(RunnerError):
    """The running runner refused. `code` is the exit code it asks for."""

    exit_code = ExitCode.PROBLEMS

    def __init__(self, message: str, *, code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Garbled(RunnerError):
    """What came back is no answer: another program listens there, or it was cut short."""

    exit_code = ExitCode.UNAVAILABLE


def exit_code_of(error: RunnerError) -> int:
    """The exit code for `error`; a refusal by the running runner keeps the one it named."""
    return error.code if isinstance(error, RemoteError) else int(error.exit_code)


def call(state_dir: Path, verb: str, *, timeout_s: float = READ_TIMEOUT_S, **args: Any) -> dict[str, Any]:
    """Ask once and return the result.

    Raises NotRunning when nobody listens, RemoteError when the answer is no, Garbled when there is no answer within
    `timeout_s`.
    """
    with _connected(state_dir) as channel:
        channel.settimeout(timeout_s)
        _send(channel, verb, args)
        lines = _lines(channel, f"no answer to {verb} within {timeout_s:g} s")
        for line in lines:
            return _result(line)
    raise Garbled(f"the runner closed the connection without answering {verb}", hint="look at its log")


def stream(state_dir: Path, verb: str, **args: Any) -> Iterator[dict[str, Any]]:
    """Ask, then yield what every following line carries under `event` until the runner stops. Waits without limit."""
    with _connected(state_dir) as channel:
        _send(channel, verb, args)
        for line in _lines(channel, ""):
            message = _decoded(line)
            if "event" in message:
                yield message["event"]
            else:
                _result(line)
    raise NotRunning(
        "the runner stopped, so the stream ends here", hint="what it kept is shown by: runner events --since N"
    )


def _connected(state_dir: Path) -> socket.socket:
    from runner.manager.control import SOCKET_NAME

    path = (state_dir / SOCKET_NAME).resolve()
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.settimeout(CONNECT_TIMEOUT_S)
    try:
        channel.connect(str(path))
    except OSError as error:
        channel.close()
        if isinstance(error, PermissionError):
            raise NotRunning(
                f"the control socket {path} belongs to somebody else", hint="run the command as the runner's user"
            ) from None
        raise NotRunning(
            f"no runner is running in {state_dir}", hint="start one with: runner run (or name another with --state-dir)"
        ) from None
    channel.settimeout(None)
    return channel


def _send(channel: socket.socket, verb: str, args: dict[str, Any]) -> None:
    request = {"verb": verb, "args": {name: value for name, value in args.items() if value is not None}}
    try:
        channel.sendall(json.dumps(request).encode() + b"\n")
    except OSError as error:
        raise Garbled(f"the runner went away: {error.strerror}") from None


def _lines(channel: socket.socket, silence: str) -> Iterator[bytes]:
    """Complete lines, bounded in length. `silence` is what to say when the channel's timeout passes."""
    rest = b""
    while True:
        try:
            chunk = channel.recv(65_536)
        except TimeoutError:
            raise Garbled(silence, hint="the runner is busy or hangs; look at its log") from None
        except OSError as error:
            raise Garbled(f"the connection to the runner broke: {error.strerror}") from None
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE_BYTES:
            raise Garbled(f"the runner sent a line longer than {MAX_LINE_BYTES} bytes")


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise Garbled(f"what listens on the control socket does not speak the runner's protocol: {line[:60]!r}")
    return message


def _result(line: bytes) -> dict[str, Any]:
    message = _decoded(line)
    if message.get("ok") is True and isinstance(message.get("result"), dict):
        result: dict[str, Any] = message["result"]
        return result
    error = message.get("error")
    if not isinstance(error, dict) or "message" not in error:
        raise Garbled(f"the runner's answer has neither result nor error: {line[:60]!r}")
    raise RemoteError(
        str(error["message"]),
        code=int(error.get("exit_code", ExitCode.PROBLEMS)),
        hint=str(error.get("hint") or ""),
    )
