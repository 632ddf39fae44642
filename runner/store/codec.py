"""Events as plain JSON objects: what the journal keeps and what `runner events --json` prints.

Every object begins with the same keys: `seq` (journal number, 0 before it is recorded), `type` (see `EVENT_TYPES`),
`ts` (aware UTC, ISO 8601 with microseconds and `Z`) and `strategy` (empty: the whole runner). Quantities, prices and
amounts are strings in plain decimal notation, so that nothing is lost on the way through a JSON reader that knows only
floats; absent optional numbers are null. An instrument is an object with IB's identity and the contract's steps. Keys
are only ever added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, assert_never

from runner.model.events import (
    CommissionCharged,
    Event,
    Filled,
    Notice,
    OrderPlaced,
    OrderRefused,
    PhaseChanged,
    Reloaded,
    ReloadResult,
    Source,
    StatusChanged,
    StrategyPhase,
)
from runner.model.instruments import Instrument, SecType
from runner.model.orders import (
    OrderIntent,
    OrderRequest,
    OrderState,
    OrderType,
    Purpose,
    Refused,
    Side,
    TimeInForce,
)

EVENT_TYPES: tuple[str, ...] = (
    "order",
    "refused",
    "status_change",
    "fill",
    "commission",
    "strategy",
    "reload",
    "notice",
)

MAX_DIGITS = 40
"""Digits before or after the decimal point beyond which a number is a mistake, not an amount."""

Json = dict[str, Any]


def event_to_json(event: Event, seq: int = 0) -> Json:
    """`event` as a JSON object; ValueError when it holds a naive time or a number that is not finite."""
    head: Json = {"seq": seq, "type": event.type, "ts": time_text(event.at), "strategy": event.strategy}
    match event:
        case OrderPlaced():
            return head | _intent_to_json(event.intent)
        case OrderRefused():
            refused = event.refused
            return head | {
                "instrument": instrument_to_json(event.instrument),
                "side": event.side.value,
                "quantity": decimal_text(event.quantity),
                "control": refused.control,
                "limit": refused.limit,
                "asked": refused.asked,
                "detail": refused.detail,
            }
        case StatusChanged():
            return head | {
                "order_ref": event.order_ref,
                "state": event.state.value,
                "filled": decimal_text(event.filled),
                "remaining": _optional_text(event.remaining),
                "perm_id": event.perm_id,
                "order_id": event.order_id,
                "client_id": event.client_id,
                "code": event.code,
                "text": event.text,
                "source": event.source.value,
            }
        case Filled():
            return head | {
                "order_ref": event.order_ref,
                "account": event.account,
                "instrument": instrument_to_json(event.instrument),
                "exec_id": event.exec_id,
                "side": event.side.value,
                "quantity": decimal_text(event.quantity),
                "price": decimal_text(event.price),
                "perm_id": event.perm_id,
                "order_id": event.order_id,
                "client_id": event.client_id,
                "exchange": event.exchange,
                "source": event.source.value,
                "generation": event.generation,
            }
        case CommissionCharged():
            return head | {
                "exec_id": event.exec_id,
                "amount": decimal_text(event.amount),
                "currency": event.currency,
                "source": event.source.value,
            }
        case PhaseChanged():
            return head | {"phase": event.phase.value, "reason": event.reason}
        case Reloaded():
            return head | {
                "result": event.result.value,
                "generation": event.generation,
                "running": event.running,
                "cause": event.cause,
                "actor": event.actor,
                "file": event.file,
                "spec_hash": event.spec_hash,
                "apply": event.apply,
                "direction": event.direction,
                "changes": list(event.changes),
                "reason": event.reason,
                "text": event.text,
            }
        case Notice():
            return head | {"code": event.code, "text": event.text}
        case _:
            assert_never(event)


def event_from_json(data: Mapping[str, Any]) -> Event:
    """The event that `event_to_json` wrote; ValueError naming the key when it is not one."""
    try:
        return _FROM_JSON[data["type"]](data)
    except KeyError as error:
        raise ValueError(f"event of type {data.get('type')!r} has no {error.args[0]!r}") from None
    except (TypeError, ArithmeticError) as error:
        raise ValueError(f"event of type {data.get('type')!r} cannot be read: {error}") from error


def instrument_to_json(instrument: Instrument) -> Json:
    """The instrument as a JSON object, Decimals as text."""
    return {
        "con_id": instrument.con_id,
        "symbol": instrument.symbol,
        "sec_type": instrument.sec_type.value,
        "exchange": instrument.exchange,
        "currency": instrument.currency,
        "primary_exchange": instrument.primary_exchange,
        "local_symbol": instrument.local_symbol,
        "expiry": instrument.expiry,
        "multiplier": decimal_text(instrument.multiplier),
        "min_tick": decimal_text(instrument.min_tick),
        "lot": decimal_text(instrument.lot),
        "time_zone": instrument.time_zone,
        "long_name": instrument.long_name,
    }


def instrument_from_json(data: Mapping[str, Any]) -> Instrument:
    """The instrument that `instrument_to_json` wrote. KeyError or ValueError for anything else."""
    return Instrument(
        con_id=data["con_id"],
        symbol=data["symbol"],
        sec_type=SecType(data["sec_type"]),
        exchange=data["exchange"],
        currency=data["currency"],
        primary_exchange=data["primary_exchange"],
        local_symbol=data["local_symbol"],
        expiry=data["expiry"],
        multiplier=Decimal(data["multiplier"]),
        min_tick=Decimal(data["min_tick"]),
        lot=Decimal(data["lot"]),
        time_zone=data["time_zone"],
        long_name=data["long_name"],
    )


def decimal_text(value: Decimal) -> str:
    """Plain notation without an exponent; ValueError for NaN, infinities and absurd exponents."""
    if value.is_zero():
        return "0"  # whatever its exponent and sign
    if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS:
        raise ValueError(f"{value} is not an amount")
    return format(value, "f")


def time_text(at: datetime) -> str:
    """ISO 8601 in UTC with microseconds and `Z`; ValueError for a naive time."""
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no time zone")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def time_from_text(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _optional_text(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _optional_decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _intent_to_json(intent: OrderIntent) -> Json:
    request = intent.request
    return {
        "order_ref": intent.order_ref,
        "intent_strategy": intent.strategy,
        "account": intent.account,
        "client_id": intent.client_id,
        "created_at": time_text(intent.created_at),
        "reference_price": decimal_text(intent.reference_price),
        "generation": intent.generation,
        "instrument": instrument_to_json(request.instrument),
        "side": request.side.value,
        "quantity": decimal_text(request.quantity),
        "order_type": request.order_type.value,
        "limit_price": _optional_text(request.limit_price),
        "stop_price": _optional_text(request.stop_price),
        "trailing_percent": _optional_text(request.trailing_percent),
        "tif": request.tif.value,
        "purpose": request.purpose.value,
        "reason": request.reason,
        "parent_ref": request.parent_ref,
        "oca_group": request.oca_group,
        "outside_rth": request.outside_rth,
        "transmit": request.transmit,
    }


def _order_placed(data: Mapping[str, Any]) -> OrderPlaced:
    request = OrderRequest(
        instrument=instrument_from_json(data["instrument"]),
        side=Side(data["side"]),
        quantity=Decimal(data["quantity"]),
        order_type=OrderType(data["order_type"]),
        limit_price=_optional_decimal(data["limit_price"]),
        stop_price=_optional_decimal(data["stop_price"]),
        trailing_percent=_optional_decimal(data["trailing_percent"]),
        tif=TimeInForce(data["tif"]),
        purpose=Purpose(data["purpose"]),
        reason=data["reason"],
        parent_ref=data["parent_ref"],
        oca_group=data["oca_group"],
        outside_rth=data["outside_rth"],
        transmit=data["transmit"],
    )
    intent = OrderIntent(
        order_ref=data["order_ref"],
        strategy=data["intent_strategy"],
        account=data["account"],
        client_id=data["client_id"],
        request=request,
        created_at=time_from_text(data["created_at"]),
        reference_price=Decimal(data["reference_price"]),
        generation=data["generation"],
    )
    return OrderPlaced(at=time_from_text(data["ts"]), strategy=data["strategy"], intent=intent)


def _order_refused(data: Mapping[str, Any]) -> OrderRefused:
    return OrderRefused(
        at=time_from_text(data["ts"]),
        strategy=data["strategy"],
        instrument=instrument_from_json(data["instrument"]),
        side=Side(data["side"]),
        quantity=Decimal(data["quantity"]),
        refused=Refused(control=data["control"], limit=data["limit"], asked=data["asked"], detail=data["detail"]),
    )


def _status_changed(data: Mapping[str, Any]) -> StatusChanged:
    return StatusChanged(
        at=time_from_text(data["ts"]),
        strategy=data["strategy"],
        order_ref=data["order_ref"],
        state=OrderState(data["state"]),
        filled=Decimal(data["filled"]),
        remaining=_optional_decimal(data["remaining"]),
        perm_id=data["perm_id"],
        order_id=data["order_id"],
        client_id=data["client_id"],
        code=data["code"],
        text=data["text"],
        source=Source(data["source"]),
    )


def _filled(data: Mapping[str, Any]) -> Filled:
    return Filled(
        at=time_from_text(data["ts"]),
        strategy=data["strategy"],
        order_ref=data["order_ref"],
        account=data["account"],
        instrument=instrument_from_json(data["instrument"]),
        exec_id=data["exec_id"],
        side=Side(data["side"]),
        quantity=Decimal(data["quantity"]),
        price=Decimal(data["price"]),
        perm_id=data["perm_id"],
        order_id=data["order_id"],
        client_id=data["client_id"],
        exchange=data["exchange"],
        source=Source(data["source"]),
        generation=data.get("generation", 0),
    )


def _commission_charged(data: Mapping[str, Any]) -> CommissionCharged:
    return CommissionCharged(
        at=time_from_text(data["ts"]),
        strategy=data["strategy"],
        exec_id=data["exec_id"],
        amount=Decimal(data["amount"]),
        currency=data["currency"],
        source=Source(data["source"]),
    )


def _phase_changed(data: Mapping[str, Any]) -> PhaseChanged:
    return PhaseChanged(
        at=time_from_text(data["ts"]),
        strategy=data["strategy"],
        phase=StrategyPhase(data["phase"]),
        reason=data["reason"],
    )


def _reloaded(data: Mapping[str, Any]) -> Reloaded:
    return Reloaded(
        at=time_from_text(data["ts"]),
        strategy=data["strategy"],
        result=ReloadResult(data["result"]),
        generation=data["generation"],
        running=data["running"],
        cause=data["cause"],
        actor=data["actor"],
        file=data["file"],
        spec_hash=data["spec_hash"],
        apply=data["apply"],
        direction=data["direction"],
        changes=tuple(data["changes"]),
        reason=data["reason"],
        text=data["text"],
    )


def _notice(data: Mapping[str, Any]) -> Notice:
    return Notice(at=time_from_text(data["ts"]), strategy=data["strategy"], code=data["code"], text=data["text"])


_FROM_JSON: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    OrderPlaced.type: _order_placed,
    OrderRefused.type: _order_refused,
    StatusChanged.type: _status_changed,
    Filled.type: _filled,
    CommissionCharged.type: _commission_charged,
    PhaseChanged.type: _phase_changed,
    Reloaded.type: _reloaded,
    Notice.type: _notice,
}
