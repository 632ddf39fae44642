"""One client connection: handshake, version, client id, frames in, frames out.

All bytes of a session pass two places: `_frame_received` takes every request apart, `send` takes every answer. What
delays, drops or alters traffic belongs there and nowhere else. Answers of one turn of the event loop leave in one
write.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from runner.gateway import encode, limits, versions
from runner.gateway.dispatch import dispatch
from runner.gateway.recorder import SessionRecord
from runner.gateway.subscriptions import Subscriptions
from runner.gateway.wire import (
    FILLER,
    FILLER_EVERY,
    MAX_FRAME_BYTES,
    MAX_REQUEST_BYTES,
    BadField,
    fields_of,
    length_prefix,
    to_int,
)

if TYPE_CHECKING:
    from datetime import datetime

    from runner.gateway.server import GatewayServer

log = logging.getLogger(__name__)

HANDSHAKE_WITHIN_S = 30.0
"""A connection that has not started its API by then is closed."""
LONGEST_HANDSHAKE = 256
MOST_UNSENT_BYTES = 64 << 20
"""A client that lets this much pile up is not reading any more and is closed."""

START_API = 71
FARMS = (
    (2104, "Market data farm connection is OK:usfarm"),
    (2106, "HMDS data farm connection is OK:ushmds"),
    (2158, "Sec-def data farm connection is OK:secdefnj"),
)


class Session(asyncio.Protocol):
    """A client. `client_id` is −1 until the client has said who it is."""

    def __init__(self, server: GatewayServer) -> None:
        self.server = server
        self.version = 0
        self.client_id = -1
        self.started = False
        self.subscriptions = Subscriptions()
        self.market_data_type = 1
        self.auto_bind = False

        self.follower = False
        """Whether the market waits for this client; see `pacer`."""
        self.told_at: datetime | None = None
        """The market time that a follower was last told."""
        self.waiting = False
        """Whether a follower asked for a time it has been told already: it is done with that time."""
        self.last_request_s = server.loop.time()

        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._skip = 0
        self._out: list[bytes] = []
        self._blocked = False
        self._bucket: limits.TokenBucket | None = None
        self._record: SessionRecord | None = None
        self._hello = b""
        self._deadline: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"client {self.client_id}" if self.started else "a client that has not started"

    # ------------------------------------------------------------ transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # The pacer must know when everything has left, so the transport reports from the first byte it keeps.
        self._transport.set_write_buffer_limits(high=0)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._deadline = self.server.loop.call_later(HANDSHAKE_WITHIN_S, self._too_slow)
        self.server.session_opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._out.clear()
        self._transport = None
        if self._record is not None:
            self._record.close()
        self.server.session_closed(self)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self.server.pacer.wake()

    @property
    def drained(self) -> bool:
        """Whether everything sent has left this process."""
        return not self._out and not self._blocked

    def close(self) -> None:
        """Send what is waiting, then close."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close without waiting for what has not been sent."""
        if self._transport is not None:
            self._transport.abort()

    def _too_slow(self) -> None:
        if not self.started and self._transport is not None:
            log.info("a connection did not start its API within %.0f s and is closed", HANDSHAKE_WITHIN_S)
            self._transport.close()

    # ------------------------------------------------------------ out

    def send(self, data: bytes) -> None:
        """Queue one frame; everything queued in this turn of the loop leaves together."""
        if self._transport is None:
            return
        self._out.append(data)
        if len(self._out) == 1:
            self.server.loop.call_soon(self._flush)

    def send_all(self, frames: Sequence[bytes]) -> None:
        for data in frames:
            self.send(data)

    def error(self, request_id: int, code: int, text: str) -> None:
        self.send(encode.error(self.version, request_id, code, text))

    def _flush(self) -> None:
        transport = self._transport
        if not self._out or transport is None:
            return
        data = b"".join(self._out)
        self._out.clear()
        if transport.is_closing():
            return
        if self._record is not None:
            self._record.sent(data)
            self._record.flush()
        if self.version == versions.LOWEST and len(data) % FILLER_EVERY == 0:
            data += FILLER
        transport.write(data)
        if self.waiting:
            self.server.pacer.wake()
        if transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            log.warning("%r has not read %d bytes and is closed", self, transport.get_write_buffer_size())
            transport.abort()

    # ------------------------------------------------------------ in

    def data_received(self, data: bytes) -> None:
        if self._skip:
            dropped = min(self._skip, len(data))
            self._skip -= dropped
            data = data[dropped:]
        self._buffer += data
        if not self.version and not self._handshake():
            return
        buffer = self._buffer
        at, end = 0, len(buffer)
        while end - at >= 4:
            length = length_prefix(buffer, at)
            if length > MAX_REQUEST_BYTES:
                if not self._oversized(length):
                    return
                self._skip = max(0, length - (end - at - 4))
                at = min(at + 4 + length, end)
                continue
            if end - at - 4 < length:
                break
            body = bytes(buffer[at + 4 : at + 4 + length])
            at += 4 + length
            self._frame_received(body)
            if self._transport is None or self._transport.is_closing():
                return
        del buffer[:at]

    def _oversized(self, length: int) -> bool:
        """Refuse a request longer than any real one. False when the stream cannot be read on."""
        if length > MAX_FRAME_BYTES:
            self.error(-1, 507, f"Bad Message Length: {length}")
            log.warning("%r sent a length of %d; its stream cannot be read on and is closed", self, length)
            self.close()
            return False
        self.error(-1, 320, f"Error reading request. Message too long: {length} bytes, the most is {MAX_REQUEST_BYTES}")
        return True

    def _handshake(self) -> bool:
        """Read `API\\0`, a length and `v100..178 …`; answer with the version. False while more bytes are needed."""
        buffer = self._buffer
        assert self._transport is not None
        if not b"API\0".startswith(bytes(buffer[:4])):
            log.info("a connection did not begin with API and is closed")
            self._transport.close()
            return False
        if len(buffer) < 8:
            return False
        length = length_prefix(buffer, 4)
        if length > LONGEST_HANDSHAKE:
            self._transport.close()
            return False
        if len(buffer) < 8 + length:
            return False
        text = bytes(buffer[8 : 8 + length]).decode("ascii", "replace")
        del buffer[: 8 + length]
        version = _negotiate(text)
        if version is None:
            log.info("a client speaks %r, the gateway %d to %d: closed", text, versions.LOWEST, versions.HIGHEST)
            self._transport.close()
            return False
        self.version = version
        self._hello = encode.hello(version, self.server.exchange.now())
        self.send(self._hello)
        return True

    def _frame_received(self, body: bytes) -> None:
        """One request. Whatever it is, the session goes on."""
        self.last_request_s = self.server.loop.time()
        fields = fields_of(body)
        if self._record is not None:
            self._record.received(fields)
        if not self.started:
            self._before_start(fields)
            return
        if self._bucket is not None and not self.follower and not self._bucket.take(self.last_request_s):
            code, text = limits.RATE
            self.error(-1, code, text.format(int(limits.MESSAGE_BURST) + 1))
            self.close()
            return
        dispatch(self, fields)

    # ------------------------------------------------------------ start

    def _before_start(self, fields: list[str]) -> None:
        if not fields or fields[0] != str(START_API):
            self.error(-1, 504, "Not connected")
            return
        try:
            client_id = to_int(fields[2])
        except (IndexError, BadField):
            client_id = -1
        if client_id < 0:
            self.error(-1, 320, "Error reading request. The client id is not a number of 0 or above")
            return
        refusal = self.server.client_refused(client_id)
        if refusal is not None:
            self.error(-1, *refusal)
            self.close()
            return
        self.client_id = client_id
        self.started = True
        capabilities = fields[3] if len(fields) > 3 else ""
        self.follower = "follow" in capabilities.replace(",", " ").replace(";", " ").split()
        self._bucket = self.server.limits.message_bucket()
        if self.server.recorder is not None:
            self._record = self.server.recorder.session(client_id, self.version)
            self._record.sent(self._hello)
            self._record.received(fields)
        if self._deadline is not None:
            self._deadline.cancel()
        self.server.session_started(self)
        self.send(encode.managed_accounts(self.server.exchange.accounts))
        self.send(encode.next_valid_id(self.server.exchange.next_order_id(client_id)))
        for code, text in FARMS:
            self.error(-1, code, text)


def _negotiate(text: str) -> int | None:
    """The version for a handshake such as `v157..178` or `v157..178 +PACEAPI`; None when there is none."""
    low, _, high = text.partition(" ")[0].removeprefix("v").partition("..")
    if not low.isdecimal() or not (high or low).isdecimal():
        return None
    return versions.negotiate(int(low), int(high or low))
