"""What the tests of the command line share: an empty project, one way to call the runner, a control socket."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.__main__ import invoke
from runner.manager.control import ControlServer, Stream, Verb


@dataclass(frozen=True)
class Said:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with nothing of this machine's environment."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("RUNNER_", "IB_", "IBKR_")) or name in ("NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def say(project: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Said]]:
    """`say("status", "--json")` runs a command line in this process, errors mapped as in the real one."""
    levels = {name: logging.getLogger(name).level for name in ("runner", "ib_async", "aeventkit", "eventkit")}

    def run(*args: str) -> Said:
        capsys.readouterr()
        code = invoke(args)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    yield run
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


Answer = Mapping[str, Any] | Exception


@dataclass
class FakeRunner:
    """A control socket with canned answers; `asked` are the requests it got."""

    answers: dict[str, Answer]
    events: list[dict[str, Any]]
    asked: list[tuple[str, dict[str, Any]]]

    def verb(self, name: str) -> Verb:
        async def answer(args: Mapping[str, Any]) -> dict[str, Any]:
            self.asked.append((name, dict(args)))
            result = self.answers[name]
            if isinstance(result, Exception):
                raise result
            return dict(result)

        return answer

    def stream(self) -> Stream:
        async def follow(args: Mapping[str, Any], send: Any) -> None:
            self.asked.append(("follow", dict(args)))
            for event in self.events:
                if event["seq"] > (args.get("since") or 0):
                    await send(event)

        return follow


VERBS = ("status", "positions", "orders", "fills", "events", "start", "stop", "pause", "resume", "flatten")


@pytest.fixture
def running(project: Path) -> Iterator[FakeRunner]:
    """The real control server in a thread, under the project's `.runner`, with answers that a test sets."""
    state_dir = project / ".runner"
    state_dir.mkdir()
    fake = FakeRunner({}, [], [])
    server = ControlServer(state_dir, {name: fake.verb(name) for name in VERBS}, {"events": fake.stream()})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield fake
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
