"""Bytes and texts of the TWS socket protocol: frames, field texts, escaping.

A frame is a 4-byte big-endian length and a body of fields, each ended by NUL. Every value is text: a bool is `1` or
`0`, an empty text means "not set". Nothing but ASCII is sent; other characters go as `\\uXXXX`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from zoneinfo import ZoneInfo

UNSET_DOUBLE = "1.7976931348623157E308"
"""What real TWS writes for a double without a value where an empty text would not do."""
UNSET_INTEGER = "2147483647"
INFINITY = "Infinity"
"""As it is sent: the text that every client reads. ib_async sends `Infinite`."""
INFINITE = frozenset({"Infinite", INFINITY})
LARGEST_INTEGER = 2**31 - 1
"""IB's ids and counts are signed 32-bit numbers."""

MAX_REQUEST_BYTES = 1 << 20
"""A longer request is answered with error 320 and thrown away as it arrives."""
MAX_FRAME_BYTES = (1 << 24) - 1
"""ibapi's own limit. A longer prefix means that the stream is out of step and cannot be read on."""

GATEWAY_ZONE = "US/Eastern"
"""The zone in which the gateway writes times that belong to no contract's exchange."""

FILLER_EVERY = 4096
"""ibapi 9.81.1 reads in pieces of this many bytes and loses a burst that is an exact multiple of it."""

_LENGTH = struct.Struct(">I")
_WHOLE = Decimal(1)
_UNSET_FROM = Decimal("1.7e308")
_UNSET_BELOW = Decimal("1.8e308")


class BadField(ValueError):
    """A field of a request cannot be what the protocol wants at its place."""


def frame(fields: Iterable[str]) -> bytes:
    """One message. The fields must be text already; other characters than ASCII are escaped here."""
    body = "\0".join(fields)
    if not body.isascii():
        body = escape_foreign(body)
    return _LENGTH.pack(len(body) + 1) + body.encode("ascii") + b"\0"


FILLER = frame(("999", "1"))
"""A message that ibapi does not know and passes over."""


def escape_foreign(text: str) -> str:
    """`text` with every character outside ASCII as `\\uXXXX` (two of them beyond the basic plane)."""
    out = []
    for char in text:
        if char.isascii():
            out.append(char)
        else:
            units = char.encode("utf-16-be", "surrogatepass")
            out.extend(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
    return "".join(out)


def prose(text: str) -> str:
    """Free text for a message whose reader unescapes: a lone backslash would break it, and NUL ends a field."""
    return text.replace("\\", "\\u005c").replace("\0", " ")


def fields_of(body: bytes) -> list[str]:
    """The fields of one body. A body that does not end with NUL is taken as if it did."""
    fields = body.decode("utf-8", "backslashreplace").split("\0")
    if fields[-1] == "":
        fields.pop()
    return fields


def length_prefix(buffer: bytes | bytearray | memoryview, at: int = 0) -> int:
    return int(_LENGTH.unpack_from(buffer, at)[0])


# ---------------------------------------------------------------- outgoing values


def flag(value: bool) -> str:
    return "1" if value else "0"


def number(value: Decimal | None) -> str:
    """A price or quantity without exponent and without trailing zeros; empty when None."""
    if value is None:
        return ""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if text not in ("-0", "") else "0"


def decimal_point(value: Decimal) -> str:
    """A quantity as IB writes it in order messages: always with a point, `10.0`."""
    text = number(value)
    return text if "." in text else text + ".0"


def whole(value: Decimal) -> str:
    """A size as text without a point, for clients that read sizes with `int()`."""
    return str(int(value.quantize(_WHOLE, ROUND_HALF_EVEN)))


def money(value: Decimal) -> str:
    return format(value, ".2f")


def signed_or_unset(value: Decimal | None) -> str:
    return UNSET_DOUBLE if value is None else number(value)


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def zoned(at: datetime, name: str = GATEWAY_ZONE) -> str:
    """`20130301 09:30:00 US/Eastern`."""
    return at.astimezone(zone(name)).strftime("%Y%m%d %H:%M:%S ") + name


def epoch(at: datetime) -> str:
    return str(int(at.timestamp()))


# ---------------------------------------------------------------- incoming values


def to_int(text: str, default: int = 0) -> int:
    """An integer field; empty and IB's unset give `default`. BadField for anything else that is no 32-bit integer."""
    if text == "" or text == UNSET_INTEGER:
        return default
    try:
        value = int(_plain(text))
    except ValueError:
        exact = to_decimal(text)
        if exact is None or exact != exact.to_integral_value():
            raise BadField(f"{text[:40]!r} is not an integer") from None
        value = int(exact)
    if not -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER:
        raise BadField(f"{text[:40]!r} is not a 32-bit integer")
    return value


def to_decimal(text: str) -> Decimal | None:
    """A number field; None when it is empty or IB's unset. BadField when it is no number or not finite."""
    if text == "":
        return None
    try:
        value = Decimal(_plain(text))
    except InvalidOperation:
        raise BadField(f"{text[:40]!r} is not a number") from None
    if not value.is_finite():
        raise BadField(f"{text[:40]!r} is not a finite number")
    if _UNSET_FROM <= value < _UNSET_BELOW:
        return None
    if value and not -30 < value.adjusted() < 30:
        raise BadField(f"{text[:40]!r} is outside any price or quantity")
    return value


def _plain(text: str) -> str:
    """Python's own number syntax knows underscores and foreign digits; the protocol does not."""
    if "_" in text or not text.isascii():
        raise BadField(f"{text[:40]!r} is not a number")
    return text


def to_bool(text: str) -> bool:
    if text in ("1", "true", "True"):
        return True
    if text in ("", "0", "false", "False"):
        return False
    raise BadField(f"{text[:40]!r} is neither 1 nor 0")
