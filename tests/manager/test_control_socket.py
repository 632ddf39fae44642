"""The control socket, over a real unix socket."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.errors import ConfigError
from runner.manager.control import MAX_LINE_BYTES, ControlServer


async def echo(args: Mapping[str, Any]) -> dict[str, Any]:
    return {"echo": dict(args)}


async def refuse(_args: Mapping[str, Any]) -> dict[str, Any]:
    raise ConfigError("no", hint="try yes")


async def broken(_args: Mapping[str, Any]) -> dict[str, Any]:
    raise ZeroDivisionError("oops")


async def count(_args: Mapping[str, Any], send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    for number in range(3):
        await send({"seq": number})
    await asyncio.Event().wait()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ControlServer]:
    control = ControlServer(tmp_path, {"echo": echo, "refuse": refuse, "broken": broken}, {"count": count})
    await control.start()
    yield control
    await control.close()


async def ask(server: ControlServer, line: bytes) -> Any:
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(line)
    answer = json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return answer


async def test_the_socket_is_for_its_owner_only(server: ControlServer) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600


async def test_a_verb_answers(server: ControlServer) -> None:
    answer = await ask(server, b'{"verb": "echo", "args": {"a": 1}}\n')
    assert answer == {"ok": True, "result": {"echo": {"a": 1}}}


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (b'{"verb": "refuse"}\n', 78, "no"),
        (b'{"verb": "nothing"}\n', 2, "there is no verb"),
        (b"not json\n", 2, "this is no request"),
        (b'{"verb": "echo", "args": [1]}\n', 2, "not an object"),
        (b"[1, 2]\n", 2, "this is no request"),
        (b'{"verb": "broken"}\n', 70, "ZeroDivisionError"),
        (b'"' + b"x" * (MAX_LINE_BYTES + 10) + b'"\n', 2, "longer than"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_words(
    server: ControlServer, line: bytes, code: int, words: str
) -> None:
    answer = await ask(server, line)
    assert answer["ok"] is False
    assert answer["error"]["exit_code"] == code
    assert words in answer["error"]["message"]
    assert (await ask(server, b'{"verb": "echo"}\n"'))["ok"]  # and the server still answers


async def test_a_stream_runs_until_the_client_goes(server: ControlServer) -> None:
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(b'{"verb": "count", "args": {"follow": true}}\n')
    got = [json.loads(await reader.readline())["event"]["seq"] for _ in range(3)]
    assert got == [0, 1, 2]
    writer.close()
    await writer.wait_closed()
    assert (await ask(server, b'{"verb": "echo"}\n'))["ok"]


async def test_a_path_that_the_system_cannot_take_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    with pytest.raises(ConfigError, match="too long"):
        await ControlServer(deep, {}, {}).start()
