"""The paper gateway as a child process, when no other gateway is configured."""

from __future__ import annotations

import re
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from runner.errors import NotConnected

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


class EmbeddedGateway:
    """`runner gateway` in a process of its own: its clock and its matching take nothing from the trading process.

    It lives in its own session, so that a Ctrl-C reaches the runner alone, which stops it last.
    """

    def __init__(self, arguments: Sequence[str], log_file: Path) -> None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        self._log_path = log_file
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runner", "gateway", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.banner = self._first_line()
        found = _LISTENING.search(self.banner)
        if found is None:
            self.close()
            raise NotConnected(
                f"the embedded paper gateway did not start: {self._why()}", hint=f"its log is {log_file}"
            )
        self.port = int(found[1])

    def _first_line(self) -> str:
        """The line that says it accepts connections; empty when it ended or READY_TIMEOUT_S passed."""
        stdout = self._process.stdout
        assert stdout is not None
        deadline = time.monotonic() + READY_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if selector.select(max(0.0, deadline - time.monotonic())):
                return stdout.readline().decode(errors="replace").strip()
        return ""

    def _why(self) -> str:
        text = self._log_path.read_text(errors="replace").strip().splitlines()
        return text[-1] if text else "it said nothing"

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Asks it to stop, which saves its state; kills it after STOP_TIMEOUT_S."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_TIMEOUT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
