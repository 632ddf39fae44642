"""From a request's number to its handler, and from what can go wrong in it to IB's error.

Every request that is known is in the one table below. A request that is malformed or unknown is answered with error
320, one that the exchange refuses with the exchange's code, and the session goes on in every case.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple, Protocol

from runner.gateway import requests_account, requests_history, requests_market, requests_orders, requests_other
from runner.gateway.model import RequestRefused
from runner.gateway.wire import BadField, to_int

if TYPE_CHECKING:
    from runner.gateway.session import Session

log = logging.getLogger(__name__)


class Handler(Protocol):
    """Answers one kind of request; `fields` are the message's, its id first."""

    def __call__(self, session: Session, fields: list[str]) -> None: ...


class Request(NamedTuple):
    """A handler, and at which field the request's id stands (0 when it has none)."""

    handle: Handler
    id_at: int


REQUESTS: dict[int, Request] = {
    1: Request(requests_market.market_data, 2),
    2: Request(requests_market.cancel_market_data, 2),
    3: Request(requests_orders.place_order, 1),
    4: Request(requests_orders.cancel_order, 2),
    5: Request(requests_orders.open_orders, 0),
    6: Request(requests_account.account_updates, 0),
    7: Request(requests_orders.executions, 2),
    8: Request(requests_other.ids, 0),
    9: Request(requests_market.contract_details, 2),
    15: Request(requests_orders.auto_open_orders, 0),
    16: Request(requests_orders.all_open_orders, 0),
    17: Request(requests_other.managed_accounts, 0),
    20: Request(requests_history.historical_data, 1),
    25: Request(requests_history.cancel_historical_data, 2),
    49: Request(requests_other.current_time, 0),
    50: Request(requests_market.real_time_bars, 2),
    51: Request(requests_market.cancel_real_time_bars, 2),
    58: Request(requests_orders.global_cancel, 0),
    59: Request(requests_market.market_data_type, 0),
    61: Request(requests_account.positions, 0),
    62: Request(requests_account.account_summary, 2),
    63: Request(requests_account.cancel_account_summary, 2),
    64: Request(requests_account.cancel_positions, 0),
    71: Request(requests_other.start_again, 0),
    74: Request(requests_account.positions_multi, 2),
    75: Request(requests_account.cancel_positions_multi, 2),
    76: Request(requests_account.account_updates_multi, 2),
    77: Request(requests_account.cancel_account_updates_multi, 2),
    78: Request(requests_market.option_parameters, 1),
    81: Request(requests_market.matching_symbols, 1),
    87: Request(requests_history.head_timestamp, 1),
    90: Request(requests_other.nothing, 1),
    91: Request(requests_market.market_rule, 0),
    92: Request(requests_account.pnl, 1),
    93: Request(requests_account.cancel_pnl, 1),
    94: Request(requests_account.pnl_single, 1),
    95: Request(requests_account.cancel_pnl, 1),
    96: Request(requests_history.historical_ticks, 1),
    97: Request(requests_market.tick_by_tick, 1),
    98: Request(requests_market.cancel_tick_by_tick, 1),
    99: Request(requests_orders.completed_orders, 0),
    104: Request(requests_other.user_info, 1),
    **{number: Request(requests_other.unserved, position) for number, position in requests_other.UNSERVED.items()},
    **{number: Request(requests_other.nothing, 0) for number in requests_other.SILENT},
}


def dispatch(session: Session, fields: list[str]) -> None:
    """Handle one request of a started session."""
    number = fields[0] if fields else ""
    request = REQUESTS.get(int(number)) if number.isascii() and number.isdecimal() and len(number) <= 9 else None
    if request is None:
        session.error(-1, 320, f"Error reading request. Unknown message id {number[:20]!r}")
        return
    try:
        request.handle(session, fields)
    except RequestRefused as refused:
        session.error(_request_id(fields, request.id_at), refused.code, refused.text)
    except BadField as problem:
        session.error(_request_id(fields, request.id_at), 320, f"Error reading request. {problem}")
    except Exception:
        log.exception("request %s of %r failed", number, session)
        text = "Error processing request. The paper gateway failed; its log says why."
        session.error(_request_id(fields, request.id_at), 322, text)


def _request_id(fields: list[str], at: int) -> int:
    if at == 0:
        return -1
    try:
        return to_int(fields[at], -1)
    except (IndexError, BadField):
        return -1
