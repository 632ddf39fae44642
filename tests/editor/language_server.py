"""A client of a language server over stdio: as much of the protocol as an editor needs to open, complete and hover.

Every wait is for a message, with a bound.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WAIT_S = 30.0
SETTINGS = {"yaml": {"schemaStore": {"enable": False}, "validate": True, "hover": True, "completion": True}}
"""No catalogue of schemas is fetched: the only schema is the one that a file names."""


class LanguageServer:
    """A running server. `open()` shows it a text as if it stood at a path; nothing is written."""

    def __init__(self, command: Sequence[str], root: Path) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root)
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._last_id = 0
        self._opened = 0
        capabilities = {
            "textDocument": {
                "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
                "hover": {"contentFormat": ["markdown"]},
                "publishDiagnostics": {},
            },
            "workspace": {"configuration": True, "didChangeConfiguration": {}},
        }
        root_uri = root.as_uri()
        folders = [{"uri": root_uri, "name": root.name}]
        self.request(
            "initialize",
            {"processId": None, "rootUri": root_uri, "capabilities": capabilities, "workspaceFolders": folders},
        )
        self._notify("initialized", {})
        self._notify("workspace/didChangeConfiguration", {"settings": SETTINGS})

    def close(self) -> None:
        """End as the protocol asks; a server that does not is killed."""
        try:
            self.request("shutdown", None)
            self._notify("exit", None)
            self._process.wait(WAIT_S)
        finally:
            self._process.kill()
            self._process.wait(WAIT_S)
            self._reader.join(WAIT_S)
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()

    def open(self, path: Path, text: str) -> str:
        """Show a text; returns the URI it goes by, which no other has: what is said of it is not of an earlier one."""
        self._opened += 1
        uri = path.with_stem(f"{path.stem}-{self._opened}").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": self._opened, "text": text}
        self._notify("textDocument/didOpen", {"textDocument": document})
        return uri

    def diagnostics(self, path: Path, text: str) -> list[dict[str, Any]]:
        """What the server says is wrong with a text."""
        uri = self.open(path, text)
        while True:
            message = self._next()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                self._notify("textDocument/didClose", {"textDocument": {"uri": uri}})
                return list(message["params"]["diagnostics"])

    def at(self, method: str, path: Path, text: str, mark: str = "|") -> Any:
        """The answer to a request about the place of `mark`, which is no part of the text."""
        before, _, after = text.partition(mark)
        uri = self.open(path, before + after)
        position = {"line": before.count("\n"), "character": len(before) - (before.rfind("\n") + 1)}
        answer = self.request(method, {"textDocument": {"uri": uri}, "position": position})
        self._notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        return answer

    def request(self, method: str, params: Any) -> Any:
        """The result of a request."""
        self._last_id += 1
        self._send({"id": self._last_id, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self._last_id and "method" not in message:
                assert "error" not in message, message["error"]
                return message.get("result")

    def _next(self) -> dict[str, Any]:
        """The next message; what the server asks of its client is answered on the way."""
        message = self._messages.get(timeout=WAIT_S)
        assert message is not None, "the language server ended"
        if "method" in message and "id" in message:
            items = message["params"].get("items", []) if isinstance(message.get("params"), dict) else []
            answer = [SETTINGS.get(item.get("section", ""), {}) for item in items] if items else None
            self._send({"id": message["id"], "result": answer})
        return message

    def _notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self._process.stdin.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        try:
            while header := stream.readline():
                length = 0
                while header.strip():
                    name, _, value = header.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                    header = stream.readline()
                self._messages.put(json.loads(stream.read(length)))
        finally:
            self._messages.put(None)
