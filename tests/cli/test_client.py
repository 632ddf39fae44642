"""The command line talks to a running runner, and says plainly when it cannot."""

from __future__ import annotations

import json
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.cli import client
from runner.errors import ConfigError, ExitCode, StoreLocked
from runner.manager.control import SOCKET_NAME


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[[bytes], Path]]:
    """A socket that answers every request with the same bytes, then closes."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        threads: list[threading.Thread] = []

        def start(reply: bytes) -> Path:
            listener.bind(str(tmp_path / SOCKET_NAME))
            listener.listen()

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(reply)

            threads.append(threading.Thread(target=serve))
            threads[0].start()
            return tmp_path

        yield start
        for thread in threads:
            thread.join(10)


def test_an_answer_is_the_result_of_the_verb(running, project):
    running.answers["orders"] = {"orders": []}
    assert client.call(project / ".runner", "orders", name="TREND", open=True, limit=None) == {"orders": []}
    assert running.asked == [("orders", {"name": "TREND", "open": True})]


def test_only_the_owner_may_use_the_socket(running, project):
    mode = (project / ".runner" / SOCKET_NAME).stat().st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("there is no strategy called 'X'", hint="runner status"),
        StoreLocked("in use by process 7", pid=7),
        ZeroDivisionError("division by zero"),
    ],
)
def test_a_refusal_keeps_its_words_and_its_exit_code(running, project, error):
    running.answers["pause"] = error
    with pytest.raises(client.RemoteError) as caught:
        client.call(project / ".runner", "pause", name="X")
    expected = getattr(error, "exit_code", ExitCode.INTERNAL)
    assert client.exit_code_of(caught.value) == expected
    assert str(error.args[0]) in caught.value.message


def test_nobody_there_is_said_with_the_directory(tmp_path):
    with pytest.raises(client.NotRunning, match=str(tmp_path)):
        client.call(tmp_path, "status")


def test_a_socket_that_a_dead_runner_left_is_nobody_there(tmp_path):
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as dead:
        dead.bind(str(tmp_path / SOCKET_NAME))
    with pytest.raises(client.NotRunning):
        client.call(tmp_path, "status")


def test_a_directory_too_deep_for_a_socket_is_nobody_there(tmp_path):
    with pytest.raises(client.NotRunning):
        client.call(tmp_path / ("deep" * 40), "status")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "closed the connection without answering"),
        (b'{"ok": true, "resu', "closed the connection without answering"),
        (b"SSH-2.0-OpenSSH\n", "does not speak the runner's protocol"),
        (b"[1]\n", "does not speak the runner's protocol"),
        (b'{"ok": true}\n', "neither result nor error"),
        (b'{"ok": false, "error": "no"}\n', "neither result nor error"),
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(serving, reply, words):
    with pytest.raises(client.Garbled, match=words):
        client.call(serving(reply), "status")


def test_a_line_without_end_is_bounded(serving, monkeypatch):
    monkeypatch.setattr(client, "MAX_LINE_BYTES", 1000)
    with pytest.raises(client.Garbled, match="longer than 1000 bytes"):
        client.call(serving(b"x" * 5000), "status")


def test_a_runner_that_says_nothing_is_not_waited_for_for_ever(tmp_path):
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        listener.bind(str(tmp_path / SOCKET_NAME))
        listener.listen()
        with pytest.raises(client.Garbled, match=r"no answer to status within 0\.05 s"):
            client.call(tmp_path, "status", timeout_s=0.05)


def test_a_stream_yields_events_until_the_runner_stops(serving):
    lines = b"".join(json.dumps({"event": {"seq": n}}).encode() + b"\n" for n in (1, 2, 3))
    feed = client.stream(serving(lines), "events", follow=True)
    assert [next(feed)["seq"] for _ in range(3)] == [1, 2, 3]
    with pytest.raises(client.NotRunning, match="the runner stopped"):
        next(feed)


def test_a_refused_stream_raises_what_was_said(serving):
    refusal = {"ok": False, "error": {"message": "no such event", "hint": "", "exit_code": 1}}
    with pytest.raises(client.RemoteError, match="no such event"):
        next(client.stream(serving(json.dumps(refusal).encode() + b"\n"), "events", follow=True))
