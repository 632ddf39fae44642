"""The paper gateway as a child process, when no other gateway is configured."""

from __future__ import annotations

import logging
import re
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runner.errors import ConfigError, ExitCode, NotConnected

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
PREDECESSOR_TIMEOUT_S = 15.0
"""How long the start waits for the gateway of a killed runner to save its state and end by itself."""
PREDECESSOR_RETRY_S = 0.2
RESTART_FIRST_S, RESTART_LAST_S = 0.25, 30.0
"""Back-off between attempts to start a gateway that ended; doubled from the first to the last."""
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")

log = logging.getLogger("runner.gateway.embedded")


class EmbeddedGateway:
    """`runner gateway` in a process of its own: its clock and its matching take nothing from the trading process.

    It lives in its own session, so that a Ctrl-C reaches the runner alone, which stops it last. It holds the other end
    of a pipe of ours and ends when that closes, so it never outlives a runner that was killed.
    """

    def __init__(self, arguments: Sequence[str], log_file: Path) -> None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        self._log_path = log_file
        self._arguments = tuple(arguments)
        self._closing = threading.Event()
        self._changing = threading.Lock()
        self._watcher: threading.Thread | None = None
        self.port = 0
        self.banner = ""
        deadline = time.monotonic() + PREDECESSOR_TIMEOUT_S
        while (code := self._start()) is not None:
            if code != ExitCode.UNAVAILABLE or time.monotonic() > deadline:
                text, hint = f"the embedded paper gateway did not start: {self._why()}", f"its log is {log_file}"
                if code == ExitCode.CONFIG:
                    raise ConfigError(text, hint=hint)
                raise NotConnected(text, hint=hint)
            time.sleep(PREDECESSOR_RETRY_S)  # its state is still held by the gateway of a runner that was killed

    def _start(self) -> int | None:
        """One attempt. None when it accepts connections, else its exit code."""
        arguments = [*self._arguments, "--port", str(self.port), "--with-parent"]
        with self._log_path.open("ab") as log_file:
            self._said_from = log_file.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "runner", "gateway", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                start_new_session=True,
            )
        found = None
        try:
            banner = self._first_line()
            found = _LISTENING.search(banner)
        finally:
            if found is None:  # it ended, or a signal ends us while it starts
                self._end()
        if found is None:
            return self._process.returncode
        self.banner, self.port = banner, int(found[1])
        return None

    def _first_line(self) -> str:
        """The line that says it accepts connections; empty when it ended or READY_TIMEOUT_S passed."""
        stdout = self._process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if selector.select(READY_TIMEOUT_S):
                line = stdout.readline().decode(errors="replace").strip()
                if not line:
                    self._process.wait(STOP_TIMEOUT_S)  # it closed its output, so it is ending: let it say why
                return line
        return ""

    def _why(self) -> str:
        """Its own error message, else the last line it wrote."""
        with self._log_path.open("rb") as log_file:
            log_file.seek(self._said_from)
            text = log_file.read().decode(errors="replace").strip().splitlines()
        errors = [line.removeprefix("error: ") for line in text if line.startswith("error: ")]
        return (errors or text or ["it said nothing"])[-1]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def keep_alive(self, say: Callable[[str, str], None]) -> None:
        """From now on, when it ends by itself: says so and starts it again, on the same port and with the books that
        it saved. The sessions find it there when they reconnect. `say` takes a code and a text, on another thread."""
        self._watcher = threading.Thread(target=self._watch, args=(say,), name="gateway-watch", daemon=True)
        self._watcher.start()

    def _watch(self, say: Callable[[str, str], None]) -> None:
        delay = RESTART_FIRST_S
        while True:
            began = time.monotonic()
            code = self._process.wait()
            if self._closing.is_set():
                return
            say("gateway_ended", f"the embedded paper gateway ended ({_ending(code)}); starting it again")
            delay = RESTART_FIRST_S if time.monotonic() - began > RESTART_LAST_S else min(2 * delay, RESTART_LAST_S)
            while True:
                if self._closing.wait(delay):
                    return
                with self._changing:
                    if self._closing.is_set():
                        return
                    if self._start() is None:
                        break
                log.error("the embedded paper gateway did not start: %s", self._why())
                delay = min(2 * delay, RESTART_LAST_S)
            say("gateway_started", f"the embedded paper gateway runs again: {self.banner}")

    def close(self) -> None:
        """Asks it to stop, which saves its state; kills it after STOP_TIMEOUT_S."""
        self._closing.set()
        with self._changing:
            self._end()
        if self._watcher is not None:
            self._watcher.join(STOP_TIMEOUT_S)

    def _end(self) -> None:
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_TIMEOUT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _ending(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
