"""Requests about orders: place, modify, what-if, cancel, and the lists of open and completed orders and executions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.gateway import decode, encode, encode_orders
from runner.gateway.decode import FieldReader
from runner.gateway.model import Execution, PaperOrder, RequestRefused
from runner.gateway.wire import GATEWAY_ZONE, zoned

if TYPE_CHECKING:
    from runner.gateway.session import Session


def place_order(session: Session, fields: list[str]) -> None:
    """A new order, a modification, or a what-if, whose answer is one openOrder with margins and nothing else."""
    terms = decode.place_order(fields, session.version)
    exchange = session.server.exchange
    if terms.what_if:
        order, answer = exchange.what_if(session.client_id, terms)
        session.send(encode_orders.open_order(order, session.version, answer))
    else:
        exchange.place(session.client_id, terms)
        session.server.pacer.order_placed()


def cancel_order(session: Session, fields: list[str]) -> None:
    session.server.exchange.cancel(session.client_id, FieldReader(fields, 2).integer(), master=_is_master(session))


def global_cancel(session: Session, fields: list[str]) -> None:
    session.server.exchange.global_cancel()


def open_orders(session: Session, fields: list[str]) -> None:
    """The working orders of this client id. There are no manual orders that client 0 could bind."""
    _send_orders(session, session.server.exchange.open_orders(session.client_id))


def all_open_orders(session: Session, fields: list[str]) -> None:
    """Everybody's working orders, once."""
    _send_orders(session, session.server.exchange.open_orders())


def _send_orders(session: Session, orders: list[PaperOrder]) -> None:
    for order in orders:
        session.send(encode_orders.open_order(order, session.version))
        session.send(encode_orders.order_status(order))
    session.send(encode.end(53))


def auto_open_orders(session: Session, fields: list[str]) -> None:
    bind = FieldReader(fields, 2).flag()
    if session.client_id != 0:
        raise RequestRefused(
            321, "Error validating request.-'bY' : cause - Only the default client (i.e 0) can auto bind orders"
        )
    session.auto_bind = bind


def completed_orders(session: Session, fields: list[str]) -> None:
    """Everybody's: the message carries no client id. All orders came through the API, so `apiOnly` changes nothing."""
    FieldReader(fields).flag()
    for order in session.server.exchange.completed_orders():
        session.send(encode_orders.completed_order(order, session.version))
    session.send(encode.completed_orders_end())


def executions(session: Session, fields: list[str]) -> None:
    """The day's executions of this client, of everybody for the master client, each with its commission."""
    reader = FieldReader(fields, 2)
    request_id, client_id = reader.integer(), reader.integer()
    wanted = _Filter(reader)
    for execution in session.server.exchange.executions(None if _is_master(session) else session.client_id):
        if client_id and execution.order.client_id != client_id:
            continue
        if wanted.matches(execution):
            session.send(encode_orders.exec_details(execution, session.version, request_id))
            session.send(encode_orders.commission_report(execution))
    session.send(encode.end(55, request_id))


class _Filter:
    """The execution filter of reqExecutions; an empty field lets everything pass."""

    def __init__(self, reader: FieldReader) -> None:
        self.account = reader.text()
        self.since = reader.text().replace("-", " ", 1).strip()
        self.symbol = reader.text().upper()
        self.sec_type = reader.text().upper()
        self.exchange = reader.text().upper()
        side = reader.text().upper()
        self.side = {"BUY": "BOT", "SELL": "SLD", "SSHORT": "SLD"}.get(side, side)

    def matches(self, execution: Execution) -> bool:
        contract = execution.order.contract
        exchanges = ("", "SMART", execution.exchange.upper(), contract.exchange.upper())
        return (
            self.account in ("", execution.account)
            and self.symbol in ("", contract.symbol)
            and self.sec_type in ("", contract.sec_type)
            and self.exchange in exchanges
            and self.side in ("", execution.side)
            and (not self.since or zoned(execution.at, GATEWAY_ZONE)[:17] >= self.since[:17])
        )


def _is_master(session: Session) -> bool:
    """Whether the session sees, and may end, the orders of all."""
    return session.client_id == session.server.settings.master_client_id
