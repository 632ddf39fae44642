"""Requests about contracts and live market data: details, ticks, 5-second bars, tick by tick, price steps."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from runner.gateway import encode, ticks
from runner.gateway.decode import FieldReader
from runner.gateway.model import Contract, ContractQuery, RequestRefused
from runner.gateway.subscriptions import MOST_OF_A_KIND, MarketDataLine, RealTimeBars, TickByTick
from runner.gateway.wire import zone, zoned

if TYPE_CHECKING:
    from runner.gateway.session import Session

NO_CONTRACT = (200, "No security definition has been found for the request")
DUPLICATE_TICKER = (322, "Error processing request.-'bO' : cause - Duplicate ticker id")
TOO_MANY = (322, "Error processing request.-'bO' : cause - Too many subscriptions in one session")
WRONG_WHAT = (321, "Error validating request.-'bW' : cause - What to show field is missing or incorrect.")

HOURS_AHEAD = timedelta(days=6)
MOST_SAMPLES = 16
"""reqMatchingSymbols shows no more than this."""

TICK_RULES = {26: Decimal("0.01"), 239: Decimal("0.00005"), 67: Decimal("0.25")}
"""IB's numbers of the commonest price steps: stocks, currency pairs, stock index futures."""
FIRST_OWN_RULE = 100_000
"""Rules of other steps are numbered from here by the step itself, so that a number means the same after a restart."""

_TICK_KINDS = {"LAST": 1, "ALLLAST": 2, "BIDASK": 3, "MIDPOINT": 4}
_LIVE_WHAT = ("TRADES", "MIDPOINT", "BID", "ASK")


def one_contract(session: Session, query: ContractQuery) -> Contract:
    """The contract a data request means. RequestRefused(200) when there is none, or more than one."""
    found = session.server.exchange.find(query)
    if not found:
        raise RequestRefused(*NO_CONTRACT)
    if len(found) > 1:
        name = query.local_symbol or query.symbol
        raise RequestRefused(200, f"The contract description specified for {name} is ambiguous.")
    return found[0]


# ---------------------------------------------------------------- contracts


def contract_details(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields, 2)
    request_id = reader.integer()
    query = reader.contract()
    found = session.server.exchange.find(query)
    if not found:
        raise RequestRefused(*NO_CONTRACT)
    for contract in found:
        hours = trading_hours(session, contract)
        session.send(encode.contract_data(session.version, request_id, contract, hours, rule_of(contract.min_tick)))
    session.send(encode.contract_data_end(request_id))


def trading_hours(session: Session, contract: Contract) -> str:
    """`20130301:0930-20130301:1600;20130302:CLOSED;…` from today on, in the contract's zone."""
    exchange = session.server.exchange
    now = exchange.now().astimezone(zone(contract.time_zone))
    key = (contract.calendar, contract.time_zone, now.date())
    known = session.server.hours.get(key)
    if known is not None:
        return known
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    by_day: dict[str, str] = {}
    for opens, closes in exchange.schedule(contract.con_id, midnight, midnight + HOURS_AHEAD):
        first, last = zoned(opens, contract.time_zone), zoned(closes, contract.time_zone)
        day = zoned(closes - timedelta(seconds=1), contract.time_zone)[:8]
        text = f"{first[:8]}:{first[9:11]}{first[12:14]}-{last[:8]}:{last[9:11]}{last[12:14]}"
        by_day[day] = f"{by_day[day]},{text}" if day in by_day else text
    for ahead in range(HOURS_AHEAD.days):
        day = (midnight + timedelta(days=ahead)).strftime("%Y%m%d")
        by_day.setdefault(day, f"{day}:CLOSED")
    session.server.hours.clear()  # only today's texts are asked for again
    text = ";".join(by_day[day] for day in sorted(by_day))
    session.server.hours[key] = text
    return text


def matching_symbols(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields)
    request_id, pattern = reader.integer(), reader.text()
    found = session.server.exchange.search(pattern)[:MOST_SAMPLES]
    session.send(encode.symbol_samples(session.version, request_id, found))


def option_parameters(session: Session, fields: list[str]) -> None:
    """No options are listed: the end comes at once."""
    session.send(encode.option_parameters_end(FieldReader(fields).integer()))


def rule_of(min_tick: Decimal) -> int:
    for number, step in TICK_RULES.items():
        if step == min_tick:
            return number
    return FIRST_OWN_RULE + int(min_tick * 100_000_000) % 1_000_000_000


def market_rule(session: Session, fields: list[str]) -> None:
    rule_id = FieldReader(fields).integer()
    step = TICK_RULES.get(rule_id)
    if step is None and rule_id > FIRST_OWN_RULE:
        step = Decimal(rule_id - FIRST_OWN_RULE) / 100_000_000
    if step is None:
        session.error(-1, 321, f"Error validating request.-'cP' : cause - There is no market rule {rule_id}")
    session.send(encode.market_rule(rule_id, [] if step is None else [(Decimal(0), step)]))


# ---------------------------------------------------------------- ticks


def market_data(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields, 2)
    request_id = reader.integer()
    query = reader.contract()
    reader.skip_legs(query)
    if reader.flag():
        reader.row("idd")
    generic, snapshot = reader.text(), reader.flag()
    reader.texts(2)  # a regulatory snapshot is a snapshot here; options are internal to IB
    subscriptions = session.subscriptions.market_data
    if request_id in subscriptions:
        raise RequestRefused(*DUPLICATE_TICKER)
    contract = one_contract(session, query)
    delayed = session.market_data_type in (3, 4)
    line = MarketDataLine(
        request_id=request_id,
        contract=contract,
        generic=frozenset(part.strip() for part in generic.split(",") if part.strip()),
        delayed=delayed,
    )
    if not snapshot:
        _check_line(session, len(subscriptions))
    session.send(encode.tick_parameters(request_id, contract.min_tick))
    session.send(encode.market_data_type(request_id, session.market_data_type))
    quote = session.server.exchange.quote(contract.con_id)
    session.send_all(ticks.of_line(line, quote, session.version))
    if snapshot:
        session.send(encode.tick_snapshot_end(request_id))
    else:
        subscriptions[request_id] = line
        session.server.pacer.wake()


def _check_line(session: Session, of_a_kind: int) -> None:
    """Whether one more market data line may be opened."""
    if of_a_kind >= MOST_OF_A_KIND:
        raise RequestRefused(*TOO_MANY)
    server = session.server
    refusal = server.limits.market_data_line(sum(other.subscriptions.lines for other in server.sessions.values()))
    if refusal is not None:
        raise RequestRefused(*refusal)


def cancel_market_data(session: Session, fields: list[str]) -> None:
    request_id = FieldReader(fields, 2).integer()
    if session.subscriptions.market_data.pop(request_id, None) is None:
        raise RequestRefused(300, f"Can't find EId with tickerId:{request_id}")


def market_data_type(session: Session, fields: list[str]) -> None:
    kind = FieldReader(fields, 2).integer()
    if kind not in (1, 2, 3, 4):
        raise RequestRefused(321, f"Error validating request.-'cB' : cause - Invalid market data type {kind}")
    session.market_data_type = kind


def tick_by_tick(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields)
    request_id = reader.integer()
    query = reader.contract()
    kind = _TICK_KINDS.get(reader.text().upper())
    reader.integer()  # how many historical ticks come first: none, as at IB for most contracts
    reader.flag()  # ignoreSize
    reader.finish()
    if kind is None:
        raise RequestRefused(321, "Error validating request.-'bW' : cause - Invalid tick type")
    subscriptions = session.subscriptions.tick_by_tick
    if request_id in subscriptions:
        raise RequestRefused(*DUPLICATE_TICKER)
    contract = one_contract(session, query)
    _check_line(session, len(subscriptions))
    subscriptions[request_id] = line = TickByTick(request_id=request_id, contract=contract, kind=kind)
    if kind in (3, 4):
        session.send_all(ticks.of_tick_by_tick(line, session.server.exchange.quote(contract.con_id), session.version))
    session.server.pacer.wake()


def cancel_tick_by_tick(session: Session, fields: list[str]) -> None:
    request_id = FieldReader(fields).integer()
    if session.subscriptions.tick_by_tick.pop(request_id, None) is None:
        raise RequestRefused(300, f"Can't find EId with tickerId:{request_id}")


# ---------------------------------------------------------------- 5-second bars


def real_time_bars(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields, 2)
    request_id = reader.integer()
    query = reader.contract()
    bar_size, what, regular_hours = reader.integer(5), reader.text().upper(), reader.flag()
    subscriptions = session.subscriptions.real_time
    if bar_size != 5:
        raise RequestRefused(321, "Error validating request.-'bW' : cause - Only 5 second bars are supported")
    if what not in _LIVE_WHAT:
        raise RequestRefused(*WRONG_WHAT)
    if request_id in subscriptions:
        raise RequestRefused(*DUPLICATE_TICKER)
    contract = one_contract(session, query)
    server = session.server
    if not session.follower:
        refusal = server.limits.real_time_bars(server.loop.time())
        if refusal is not None:
            raise RequestRefused(*refusal)
    _check_line(session, len(subscriptions))
    subscriptions[request_id] = RealTimeBars(
        request_id=request_id,
        contract=contract,
        what=what,
        regular_hours=regular_hours,
        sent_until=server.exchange.now(),
    )
    server.pacer.wake()


def cancel_real_time_bars(session: Session, fields: list[str]) -> None:
    request_id = FieldReader(fields, 2).integer()
    if session.subscriptions.real_time.pop(request_id, None) is None:
        raise RequestRefused(300, f"Can't find EId with tickerId:{request_id}")
