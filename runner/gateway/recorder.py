"""Writes both directions of every session as text, one file a session, so that captures can be compared.

A line is `C> ` (from the client) or `S> ` (from the gateway) and the fields with `|` instead of NUL. A line `## …`
says what the session is. The bar, the backslash and line ends inside a field go as `\\xNN`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from runner.errors import ConfigError
from runner.gateway.wire import length_prefix

MOST_RECORDED_BYTES = 1 << 30
"""A session's file stops growing here, with a last line that says so."""

_ESCAPES = str.maketrans({"\\": "\\x5c", "|": "\\x7c", "\n": "\\x0a", "\r": "\\x0d"})


def line(direction: str, fields: list[str]) -> str:
    return f"{direction}> " + "|".join(field.translate(_ESCAPES) for field in fields)


class Recorder:
    """The folder of recordings of one gateway."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder; ConfigError when that is impossible."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise ConfigError(f"cannot record sessions in {folder}: {problem.strerror}") from problem
        self.folder = folder
        taken = [int(file.name[:5]) for file in folder.glob("?????-*.txt") if file.name[:5].isdigit()]
        self._next = max(taken, default=0) + 1

    def session(self, client_id: int, version: int) -> SessionRecord:
        number = self._next
        self._next += 1
        return SessionRecord(self.folder / f"{number:05}-client{client_id}.txt", client_id, version)


class SessionRecord:
    """The file of one session."""

    def __init__(self, path: Path, client_id: int, version: int) -> None:
        self.path = path
        self._file: TextIO | None = path.open("w", encoding="utf-8")
        self._left = MOST_RECORDED_BYTES
        self._write(f"## connect clientId={client_id} version={version}")

    def received(self, fields: list[str]) -> None:
        self._write(line("C", fields))

    def sent(self, frames: bytes) -> None:
        """One or more whole frames."""
        at = 0
        while at + 4 <= len(frames):
            end = at + 4 + length_prefix(frames, at)
            self._write(line("S", frames[at + 4 : end].decode("ascii").split("\0")[:-1]))
            at = end

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, text: str) -> None:
        if self._file is None:
            return
        self._left -= len(text) + 1
        if self._left < 0:
            self._file.write("## the recording ends here: it has reached its largest size\n")
            self.close()
            return
        self._file.write(text + "\n")
