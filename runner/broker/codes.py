"""What IB's error numbers mean for an order that they are about. Data, with one function to read it.

A code that is not listed says nothing: the order becomes UNKNOWN and IB is asked. ib_async takes every code it does not
know for a cancellation, which is wrong for many, 10349 above all.
"""

from __future__ import annotations

from enum import StrEnum


class Meaning(StrEnum):
    """What one of IB's error codes says about the order it comes with."""

    REJECTS = "rejects"
    """A new order does not exist; an order that is already acknowledged keeps its old terms."""
    CANCELS = "cancels"
    INFORMS = "informs"
    """The order lives on as it was."""
    CANCEL_FAILED = "cancel_failed"
    """The cancel found nothing, or found the order done: IB has to be asked what happened."""
    MODIFY_FAILED = "modify_failed"
    UNKNOWN = "unknown"


_CODES: dict[int, Meaning] = {
    103: Meaning.REJECTS,  # duplicate order id
    104: Meaning.MODIFY_FAILED,  # can't modify a filled order
    105: Meaning.MODIFY_FAILED,  # does not match the original order
    110: Meaning.REJECTS,  # price off the tick
    111: Meaning.REJECTS,  # tif and order type incompatible
    113: Meaning.REJECTS,  # tif should be DAY
    116: Meaning.REJECTS,  # cannot be transmitted to a dead exchange
    117: Meaning.REJECTS,  # block order size must be at least 50
    135: Meaning.CANCEL_FAILED,  # can't find order with id
    136: Meaning.CANCEL_FAILED,  # order cannot be cancelled
    161: Meaning.CANCEL_FAILED,  # cancel attempted when not in a cancellable state
    165: Meaning.INFORMS,
    200: Meaning.REJECTS,  # no security definition
    201: Meaning.REJECTS,  # order rejected
    202: Meaning.CANCELS,
    203: Meaning.REJECTS,  # security not available or allowed for this account
    321: Meaning.REJECTS,  # error validating request
    325: Meaning.REJECTS,  # discretionary orders not supported
    328: Meaning.REJECTS,  # trailing stop not for this order type
    329: Meaning.MODIFY_FAILED,  # cannot change to the new order type
    355: Meaning.REJECTS,  # order size does not conform to market rule
    361: Meaning.REJECTS,  # invalid trigger price
    362: Meaning.REJECTS,
    363: Meaning.REJECTS,
    383: Meaning.REJECTS,  # size exceeds the limit in the order presets
    387: Meaning.REJECTS,  # unsupported order type
    388: Meaning.REJECTS,  # size smaller than the minimum
    391: Meaning.REJECTS,
    399: Meaning.INFORMS,  # held until the exchange opens, and other order messages
    403: Meaning.REJECTS,  # invalid stop price
    404: Meaning.INFORMS,  # held while shares are located
    434: Meaning.REJECTS,  # size zero
    435: Meaning.REJECTS,  # no account specified
    436: Meaning.REJECTS,
    461: Meaning.REJECTS,  # no trading permission
    463: Meaning.REJECTS,  # limit price too far from the market
    492: Meaning.INFORMS,
    10006: Meaning.REJECTS,  # missing parent order
    10052: Meaning.REJECTS,  # invalid time in force
    10147: Meaning.CANCEL_FAILED,  # order to cancel is not found
    10148: Meaning.CANCEL_FAILED,  # order cannot be cancelled, state: …
    10167: Meaning.INFORMS,
    10243: Meaning.REJECTS,  # fractional size
    10268: Meaning.REJECTS,  # EtradeOnly not supported
    10349: Meaning.INFORMS,  # time in force set by a preset
}

CONNECTIVITY_LOST = 1100
CONNECTIVITY_BACK_DATA_LOST = 1101
CONNECTIVITY_BACK_DATA_KEPT = 1102
CLIENT_ID_IN_USE = 326
INVALID_REQUEST = 321
"""Also what a gateway says whose API is set to read-only."""
FARMS_BROKEN = frozenset({2103, 2105, 2157})
FARMS_OK = frozenset({2104, 2106, 2107, 2108, 2158, 2119})
NOT_SUBSCRIBED = frozenset({354, 10089, 10090, 10168, 10186, 10189, 10190, 10197})
"""No permission for the data, or another session of the same user has it."""


def meaning_for_order(code: int) -> Meaning:
    """What `code` on an order's number says about that order."""
    if 2100 <= code < 2200:
        return Meaning.INFORMS
    return _CODES.get(code, Meaning.UNKNOWN)
