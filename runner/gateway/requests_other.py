"""Requests about the session itself, and those that a paper gateway does not serve.

What is not served is answered with IB's error *and* with the empty result or end message that its clients wait for, so
that nothing hangs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runner.gateway import encode
from runner.gateway.decode import FieldReader
from runner.gateway.wire import frame

if TYPE_CHECKING:
    from runner.gateway.session import Session

NOT_SERVED = "Error processing request.-'pg' : cause - The paper gateway does not serve this request ({})"

UNSERVED = {
    10: 2, 18: 0, 19: 0, 21: 2, 22: 1, 24: 0, 52: 2, 54: 2, 55: 2, 65: 0, 66: 0, 67: 2, 68: 2, 69: 2, 72: 0, 73: 0,
    79: 1, 80: 0, 82: 0, 83: 1, 84: 1, 85: 0, 86: 1, 88: 1, 100: 1, 102: 1,
}  # fmt: skip
"""Known requests that are not served, and the field where their id stands (0: they have none)."""

SILENT = (11, 12, 13, 14, 23, 53, 56, 57, 70, 89, 101, 103)
"""Nothing is to be answered: cancels of what is not served, the log level, bulletins of which there are none."""

_NAMES = {
    10: "market depth", 18: "financial advisor data", 19: "financial advisor data", 21: "exercise of options",
    22: "scanner", 24: "scanner parameters", 52: "fundamental data", 54: "implied volatility", 55: "option price",
    65: "verification", 66: "verification", 67: "display groups", 68: "display groups", 69: "display groups",
    72: "verification", 73: "verification", 79: "soft dollar tiers", 80: "family codes", 82: "depth exchanges",
    83: "exchanges behind SMART", 84: "news", 85: "news providers", 86: "news", 88: "histogram",
    100: "Wall Street Horizon", 102: "Wall Street Horizon",
}  # fmt: skip

_ANSWERS: dict[int, Callable[[str, list[str]], tuple[str, ...]]] = {
    18: lambda request, fields: ("16", "1", fields[2], ""),
    19: lambda request, fields: ("103", fields[4], ""),
    22: lambda request, fields: ("20", "3", request, "0"),
    24: lambda request, fields: ("19", "1", "<ScanParameterResponse/>"),
    67: lambda request, fields: ("67", "1", request, ""),
    79: lambda request, fields: ("77", request, "0"),
    80: lambda request, fields: ("78", "0"),
    82: lambda request, fields: ("80", "0"),
    83: lambda request, fields: ("82", request, "0"),
    85: lambda request, fields: ("85", "0"),
    86: lambda request, fields: ("87", request, "0"),
    88: lambda request, fields: ("89", request, "0"),
}
"""The empty result or the end that the client waits for, where the error alone would leave it waiting."""

_EMPTY_IS_TRUE = frozenset({67, 79, 80, 82, 83, 85})
"""Lists that are simply empty here: no error is due."""


def ids(session: Session, fields: list[str]) -> None:
    session.send(encode.next_valid_id(session.server.exchange.next_order_id(session.client_id)))


def managed_accounts(session: Session, fields: list[str]) -> None:
    session.send(encode.managed_accounts(session.server.exchange.accounts))


def current_time(session: Session, fields: list[str]) -> None:
    """The market's time. A follower that asks a second time at the same time is answered when the clock has moved."""
    session.server.pacer.asked_time(session)


def user_info(session: Session, fields: list[str]) -> None:
    session.send(encode.user_info(FieldReader(fields).integer()))


def start_again(session: Session, fields: list[str]) -> None:
    session.error(-1, 322, "Error processing request.-'sa' : cause - The API of this session has been started already")


def nothing(session: Session, fields: list[str]) -> None:
    """Accepted, and there is nothing to answer."""


def unserved(session: Session, fields: list[str]) -> None:
    number = int(fields[0])
    position = UNSERVED[number]
    request = str(FieldReader(fields, position).integer()) if position else "-1"
    answer = _ANSWERS.get(number)
    reply = None
    if answer is not None:
        FieldReader(fields).texts(4 if number == 19 else 2 if number == 18 else 0)
        reply = frame(answer(request, fields))
    if number not in _EMPTY_IS_TRUE:
        session.error(int(request), 322, NOT_SERVED.format(_NAMES[number]))
    if reply is not None:
        session.send(reply)
