"""The instruments of the folder against what the gateway knows: E610, E611 and E612."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from runner.errors import ContractNotFound
from runner.manager.environment.session import Seen
from runner.manager.environment.subjects import Asked, Finding
from runner.model.instruments import Instrument, InstrumentQuery, SecType
from runner.model.orders import OrderType
from runner.strategy.spec_strategy import ORDER_TYPE

MAX_CANDIDATES = 4
"""Contracts that a message lists."""


def check_contracts(asked: Sequence[Asked], seen: Seen) -> list[Finding]:
    """What is wrong with the contracts of the folder."""
    findings = []
    for one in asked:
        query = one.query
        if query in seen.refused:
            findings.append(_refused(one, seen))
        elif query in seen.instruments:
            why = _untradable(one, seen.instruments[query], seen)
            if why is not None:
                findings.append(why)
    return findings


def _refused(asked: Asked, seen: Seen) -> Finding:
    query, error = asked.query, seen.refused[asked.query]
    candidates = error.candidates if isinstance(error, ContractNotFound) else ()
    if candidates:
        return _ambiguous(asked, candidates)
    if _expired(query.expiry, seen.now.date()):
        return _over(asked, f"{query.symbol} {query.expiry} has expired: IB lists it no more")
    words = f": {error.text.strip().rstrip('.')}" if error.text.strip() else ""
    message = f"IB knows no contract {_described(query)}{words}"
    elsewhere = [one for one in seen.elsewhere.get(query, ()) if one.sec_type is query.sec_type]
    if elsewhere:
        hint = f"it knows {_choices(query, elsewhere)}"
    elif query.sec_type is SecType.FUTURE:
        hint = "check symbol, exchange and expiry"
    else:
        hint = "check symbol, exchange and currency"
    return Finding(asked=asked, code="E610", message=message, hint=hint)


def _ambiguous(asked: Asked, candidates: Sequence[Instrument]) -> Finding:
    message = f"IB knows {len(candidates)} contracts by {_described(asked.query)}"
    return Finding(asked=asked, code="E611", message=message, hint=f"write {_choices(asked.query, candidates)}")


def _choices(query: InstrumentQuery, candidates: Sequence[Instrument]) -> str:
    """How to write the candidates, with what tells them apart: `{symbol: SAP, currency: EUR, primary: IBIS}`."""
    shown = list(dict.fromkeys(_written(query, one, candidates) for one in candidates))
    more = f" or {len(shown) - MAX_CANDIDATES} others" if len(shown) > MAX_CANDIDATES else ""
    return " or ".join(shown[:MAX_CANDIDATES]) + more


def _written(query: InstrumentQuery, candidate: Instrument, candidates: Sequence[Instrument]) -> str:
    def tells_apart(name: str) -> bool:
        return len({getattr(one, name) for one in candidates}) > 1

    words = {"symbol": query.symbol}
    if candidate.currency != query.currency or tells_apart("currency"):
        words["currency"] = candidate.currency
    if candidate.primary_exchange and (tells_apart("primary_exchange") or candidate.currency != query.currency):
        words["primary"] = candidate.primary_exchange
    elif tells_apart("exchange"):
        words["exchange"] = candidate.exchange
    if tells_apart("expiry"):
        words["expiry"] = candidate.expiry
    return "{" + ", ".join(f"{name}: {value}" for name, value in words.items()) + "}"


def _untradable(asked: Asked, instrument: Instrument, seen: Seen) -> Finding | None:
    symbol = asked.query.symbol
    if instrument.sec_type is SecType.INDEX:
        message = f"{symbol} is an index: IB has its prices and takes no orders for it"
        return Finding(asked=asked, code="E612", message=message, hint="trade a future or a fund on it")
    if _expired(instrument.expiry, seen.now.date()):
        return _over(asked, f"{symbol} has expired on {instrument.expiry}")
    taken = seen.order_types.get(instrument.con_id, frozenset())
    style = asked.subject.spec.execution.order
    if taken and ORDER_TYPE[style].value not in taken:
        message = f"IB takes no {ORDER_TYPE[style].value} orders for {symbol}, which execution.order {style} sends"
        at = asked.subject.first_written(("execution", "order"))
        return Finding(asked=asked, code="E612", message=message, hint="choose another execution.order", at=at)
    if taken and OrderType.MARKET.value not in taken:
        message = f"IB takes no market orders for {symbol}, which close positions"
        return Finding(asked=asked, code="E612", message=message, hint="leave it out")
    return None


def _over(asked: Asked, message: str) -> Finding:
    hint = "set expiry to a contract that still trades"
    return Finding(asked=asked, code="E612", message=message, hint=hint, at=asked.setting("expiry"))


def _expired(expiry: str, today: date) -> bool:
    """Whether a contract month `yyyymm` or a last trade date `yyyymmdd` is over."""
    return bool(expiry) and expiry[:8] < f"{today:%Y%m%d}"[: len(expiry[:8])]


def _described(query: InstrumentQuery) -> str:
    """`SAP (STK on SMART in USD)`, with primary exchange and expiry when they are said."""
    words = f"{query.sec_type.value} on {query.exchange} in {query.currency}"
    if query.primary_exchange:
        words += f", primary {query.primary_exchange}"
    if query.expiry:
        words += f", expiry {query.expiry}"
    return f"{query.symbol} ({words})"
