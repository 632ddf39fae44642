"""A client of the wire protocol that sees every field: for tests of the gateway."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from typing import ClassVar

WITHIN_S = 5.0


def frame(*fields: object) -> bytes:
    body = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


class RawClient:
    """Call `connect`, then `send` and `until`. `all` holds every message that came, as lists of fields."""

    opened: ClassVar[list[RawClient]] = []
    """Those that a test has left open, to be closed after it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.version = 0
        self.all: list[list[str]] = []
        self.opened.append(self)

    @classmethod
    async def open(cls, port: int) -> RawClient:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def connect(
        cls, port: int, client_id: int = 1, *, low: int = 157, high: int = 178, capabilities: str = ""
    ) -> RawClient:
        client = await cls.open(port)
        await client.handshake(low, high)
        client.send(71, 2, client_id, capabilities)
        await client.until("9")
        for _ in range(3):
            await client.until("4")
        return client

    async def handshake(self, low: int, high: int) -> None:
        text = f"v{low}..{high}".encode()
        self.writer.write(b"API\0" + struct.pack(">I", len(text)) + text)
        self.version = int((await self.read())[0])

    def send(self, *fields: object) -> None:
        self.writer.write(frame(*fields))

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def read(self) -> list[str]:
        """The next message. EOFError when the gateway has closed."""
        async with asyncio.timeout(WITHIN_S):
            try:
                length = struct.unpack(">I", await self.reader.readexactly(4))[0]
                body = await self.reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionResetError):
                raise EOFError from None
        assert body.endswith(b"\0")
        fields = body.decode("ascii").split("\0")[:-1]
        self.all.append(fields)
        return fields

    async def until(self, message: str, *start: str) -> list[str]:
        """The next message with that id and those first fields after it; others are passed over."""
        while True:
            fields = await self.read()
            if fields[0] == message and fields[1 : 1 + len(start)] == list(start):
                return fields

    async def fence(self) -> list[list[str]]:
        """Everything that came before the answer to a request of the current time."""
        before = len(self.all)
        self.send(49, 1)
        await self.until("49")
        return self.all[before:-1]

    async def closed(self) -> bool:
        try:
            while True:
                await self.read()
        except EOFError:
            return True

    async def close(self) -> None:
        self.opened.remove(self)
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass


AAPL = (265598, "AAPL", "STK", "", "0.0", "", "", "SMART", "", "USD", "AAPL", "NMS")


def place_order(
    order_id: int, *, version: int = 178, contract: Iterable[object] = AAPL, **changes: object
) -> tuple[object, ...]:
    """The fields of a plain placeOrder, 114 at 178 and 110 at 157; `changes` by name."""
    named = {"action": "BUY", "quantity": "10", "type": "MKT", "limit": "", "aux": "", "ref": "", "tif": "", **changes}
    head = [3, order_id, *contract, "", "", named["action"], named["quantity"], named["type"], named["limit"]]
    head += [named["aux"], named["tif"], "", "", "O", "0", named["ref"], "1", "0", "0", "0", "0", "0", "0", "0"]
    middle = ["", "0.0", "", "", "", "", ""] + ([""] if version < 177 else [])
    middle += ["", "0", "", "-1", "0", "", "", "0", "", "", "0", "0", "", "0", "", "", "", "", "", "0", "", "", "", ""]
    middle += ["0", "", "", "", "", "", "", "", "", "", "", "0", "", "", "0", "0", "", "", named.get("whatIf", "0")]
    middle += ["", "0", "0", "0", "0", "", "", "", "", "", "", "0", "", "", "", "", "", "", "", "", "0", "0", "0", ""]
    tail: list[object] = []
    for since, value in ((158, ""), (160, ""), (162, "0"), (166, ""), (169, "")):
        tail += [value] if version >= since else []
    return (*head, *middle, *tail)
