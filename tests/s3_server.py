"""An S3 server on loopback: moto, in a process of its own.

In our own process it would never answer: ArcticDB holds the interpreter's lock while it waits. The server ends when its
standard input closes, so none outlives a test run that is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

FOLDER = Path(__file__).parents[1] / ".clients" / "moto"
SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
TIMEOUT_S = 20.0


class S3Server:
    def __init__(self, port: int) -> None:
        self.port = port

    def settings(self, bucket: str) -> dict[str, Any]:
        """What `general/settings` has to say to keep the store in this bucket, which is made new and empty."""
        with urlopen(Request(f"http://127.0.0.1:{self.port}/{bucket}", method="PUT"), timeout=TIMEOUT_S):
            pass
        return {
            "storage": "s3",
            "s3.endpoint": "127.0.0.1",
            "s3.port": self.port,
            "s3.tls": False,
            "s3.bucket": bucket,
            "s3.access": "access",
            "s3.secret": {"env": "TEST_S3_SECRET"},
        }

    def keys(self, bucket: str) -> str:
        """The bucket's listing, as the server gives it to anybody."""
        with urlopen(f"http://127.0.0.1:{self.port}/{bucket}?list-type=2", timeout=TIMEOUT_S) as answer:
            return str(answer.read().decode())


@contextmanager
def s3_server() -> Iterator[S3Server]:
    if not FOLDER.is_dir():
        pytest.fail(f"{FOLDER} is missing: the S3 server is not installed; run `make clients`")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVE],
        env={**os.environ, "PYTHONPATH": str(FOLDER), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        port = next((int(line) for line in process.stdout if line.strip().isdigit()), None)
        assert port is not None, "the S3 server did not start"
        yield S3Server(port)
    finally:
        process.stdin.close()
        process.kill()
        process.wait(TIMEOUT_S)
        process.stdout.close()
