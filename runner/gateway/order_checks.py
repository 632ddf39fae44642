"""What an order must be before the exchange takes it, with IB's codes and words when it is not.

A check raises RequestRefused: the client gets the error and no status, the order never existed (or stays as it was).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runner.engine import matching
from runner.gateway.model import Contract, OrderTerms, RequestRefused

KINDS: Mapping[str, int] = {
    "MKT": matching.MARKET,
    "MTL": matching.MARKET,
    "LMT": matching.LIMIT,
    "STP": matching.STOP,
    "STP LMT": matching.STOP_LIMIT,
    "TRAIL": matching.TRAIL,
    "TRAIL LIMIT": matching.TRAIL_LIMIT,
    "MIT": matching.IF_TOUCHED,
    "LIT": matching.LIMIT_IF_TOUCHED,
    "MOC": matching.ON_CLOSE,
    "LOC": matching.LIMIT_ON_CLOSE,
    "REL": matching.RELATIVE,
}
"""IB's order types → how they are matched."""
SPELLINGS = {
    "STPLMT": "STP LMT",
    "TRAILLMT": "TRAIL LIMIT",
    "TRAILLIMIT": "TRAIL LIMIT",
    "MKTCLS": "MOC",
    "LMTCLS": "LOC",
}
TIFS = ("DAY", "GTC", "IOC", "FOK", "GTD", "OPG")
AUCTION_TYPES = ("MOC", "LOC")
_NEEDS_LIMIT = ("LMT", "STP LMT", "LIT", "LOC")
_NEEDS_AUX = {"STP": "stop price", "STP LMT": "stop price", "MIT": "trigger price", "LIT": "trigger price"}
_TIME = re.compile(r"([0-9]{8})[ -]([0-9]{1,2}:[0-9]{2}:[0-9]{2})(?: +(\S.*))?")
LARGEST_ORDER_ID = 2**31 - 1


def invalid(cause: str) -> RequestRefused:
    """IB's 321."""
    return RequestRefused(321, f"Error validating request.-'bF' : cause - {cause}")


def check_terms(terms: OrderTerms, contract: Contract, accounts: tuple[str, ...]) -> None:
    """Everything that can be said of an order by itself. Fills in the account and IB's spelling of the type."""
    if not 0 < terms.order_id <= LARGEST_ORDER_ID:
        raise RequestRefused(320, f"Error reading request. Order id {terms.order_id} is out of range")
    if terms.action not in ("BUY", "SELL", "SSHORT"):
        raise invalid(f"Invalid order action: {terms.action!r}")
    terms.order_type = SPELLINGS.get(terms.order_type.upper(), terms.order_type.upper())
    if terms.order_type not in KINDS:
        raise invalid(f"Invalid order type was entered: {terms.order_type!r}")
    terms.tif = terms.tif.upper() or "DAY"
    if terms.tif not in TIFS:
        raise invalid(f"Invalid time in force: {terms.tif!r}")
    if not terms.account and len(accounts) == 1:
        terms.account = accounts[0]
    if terms.account not in accounts:
        raise invalid("You must specify an account" if not terms.account else f"Invalid account code {terms.account!r}")
    if terms.oca_type not in (0, 1, 2, 3):
        raise invalid(f"Invalid OCA type: {terms.oca_type}")
    _check_route(terms, contract)
    _check_size(terms, contract)
    _check_prices(terms, contract)


def _check_route(terms: OrderTerms, contract: Contract) -> None:
    continuous = "MOC" not in contract.order_types
    if continuous and (terms.order_type in AUCTION_TYPES or terms.tif == "OPG"):
        raise RequestRefused(387, "Unsupported order type for this exchange and security type.")
    if terms.tif == "OPG" and terms.order_type not in ("MKT", "LMT"):
        raise RequestRefused(387, "Unsupported order type for this exchange and security type.")


def _check_size(terms: OrderTerms, contract: Contract) -> None:
    if terms.cash_quantity:
        raise RequestRefused(10244, "Cash Quantity cannot be used for this order")
    if not terms.quantity.is_finite() or terms.quantity < 0:
        raise invalid(f"Invalid order size: {terms.quantity}")
    if terms.quantity == 0:
        raise RequestRefused(434, "The order size cannot be zero.")
    if terms.quantity % contract.size_increment:
        raise RequestRefused(10243, "Fractional-sized order cannot be placed via API. Please refer to product rules.")
    if terms.quantity < contract.min_size:
        raise invalid(f"The order size is below the minimum of {contract.min_size}")
    if terms.min_quantity is not None and terms.min_quantity > terms.quantity:
        raise invalid(f"Minimum quantity {terms.min_quantity} is above the order size")


def _check_prices(terms: OrderTerms, contract: Contract) -> None:
    kind = terms.order_type
    if kind in _NEEDS_LIMIT and terms.limit_price is None:
        raise invalid(f"Please enter a limit price for a {kind} order")
    if kind in _NEEDS_AUX and terms.aux_price is None:
        raise invalid(f"Please enter a {_NEEDS_AUX[kind]} for a {kind} order")
    if kind in ("TRAIL", "TRAIL LIMIT"):
        if (terms.aux_price or None) is None and (terms.trailing_percent or None) is None:
            raise invalid(f"Please enter a trailing amount or percent for a {kind} order")
        if terms.trailing_percent is not None and not 0 <= terms.trailing_percent < 100:
            raise invalid(f"Invalid trailing percent: {terms.trailing_percent}")
        known = terms.limit_price_offset is not None or (terms.limit_price and terms.trail_stop_price)
        if kind == "TRAIL LIMIT" and not known:
            raise invalid("Please enter a limit price offset for a TRAIL LIMIT order")
    for price in (terms.limit_price, terms.aux_price, terms.trail_stop_price, terms.limit_price_offset):
        if price is None:
            continue
        if not price.is_finite() or price < 0:
            raise invalid(f"Invalid price: {price}")
        if price % contract.min_tick:
            raise RequestRefused(110, "The price does not conform to the minimum price variation for this contract.")
    if (kind in _NEEDS_LIMIT and not terms.limit_price) or (kind in _NEEDS_AUX and not terms.aux_price):
        raise invalid(f"The price of a {kind} order must be above zero")


def check_modification(old: OrderTerms, new: OrderTerms, same_contract: bool, filled: Decimal) -> None:
    """What may be changed on a working order. RequestRefused 105 or 321."""
    if (
        not same_contract
        or (old.action, old.account) != (new.action, new.account)
        or (new.parent_id != old.parent_id or new.oca_group != old.oca_group)
    ):
        raise RequestRefused(105, "Order being modified does not match original order.")
    if new.quantity <= filled:
        raise invalid(f"The new order size must be above what is filled: {filled}")


def parse_time(text: str, contract: Contract, what: str) -> int:
    """`yyyymmdd hh:mm:ss [zone]`, or UTC with a hyphen, as epoch seconds; without zone the exchange's. 321."""
    match = _TIME.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        named = match[3]
        zone: tzinfo = UTC if text.strip()[8] == "-" and not named else ZoneInfo(named or contract.time_zone)
        parsed = datetime.strptime(f"{match[1]} {match[2]}", "%Y%m%d %H:%M:%S").replace(tzinfo=zone)
        return int(parsed.timestamp())
    except (ValueError, ZoneInfoNotFoundError, OSError, OverflowError):
        raise invalid(f"Invalid {what}: {text!r}. The format is yyyymmdd hh:mm:ss time zone") from None


def zone_time(t: int, contract: Contract) -> str:
    """`2013-03-04 09:30:00 US/Eastern`."""
    return f"{datetime.fromtimestamp(t, ZoneInfo(contract.time_zone)):%Y-%m-%d %H:%M:%S} {contract.time_zone}"


def closed_warning(terms: OrderTerms, contract: Contract, opens: int) -> str:
    """The text of warning 399 for an order outside the session."""
    where = f"{contract.local_symbol} {contract.primary_exchange or contract.exchange}"
    return (
        f"Order Message:\n{terms.action} {terms.quantity} {where}\nWarning: Your order will not be placed at the "
        f"exchange until {zone_time(opens, contract)}"
    )


def margin_refusal(equity: Decimal, initial: Decimal, currency: str) -> str:
    """The text of error 201 for want of margin."""
    return (
        "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH "
        f"LOAN VALUE [{equity:.2f} {currency}] MUST EXCEED THE INITIAL MARGIN [{initial:.2f} {currency}]"
    )
