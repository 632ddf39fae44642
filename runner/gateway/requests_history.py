"""Requests about the past: bars (also kept up to date), trading schedule, first date, ticks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfoNotFoundError

from runner.gateway import encode
from runner.gateway.decode import FieldReader
from runner.gateway.history import parse_bar_size
from runner.gateway.limits import SMALL_BAR_S
from runner.gateway.model import BarRow, Contract, RequestRefused
from runner.gateway.requests_market import DUPLICATE_TICKER, TOO_MANY, one_contract
from runner.gateway.subscriptions import MOST_OF_A_KIND, LiveBars
from runner.gateway.wire import GATEWAY_ZONE, epoch, number, zone, zoned

if TYPE_CHECKING:
    from runner.gateway.session import Session

DAY_S = 86_400
MOST_TICKS = 1_000
"""IB's limit for one reqHistoricalTicks."""
TICK_EVERY_S = 5
"""Historical ticks are the closes of bars of this length."""
TICK_DAYS_SEARCHED = 10
"""How far a request for ticks looks over closed days."""
SCHEDULE_SINCE = 165
"""Server version of reqHistoricalData with whatToShow SCHEDULE."""

_UNITS = {"S": 1, "D": DAY_S, "W": 7 * DAY_S, "M": 30 * DAY_S, "Y": 365 * DAY_S}
_INVALID = "Error validating request.-'bN' : cause - "
_NO_DATA = "Historical Market Data Service error message:HMDS query returned no data: {}@{} {}"
_CANCELLED = "Historical Market Data Service error message:API historical data query cancelled: {}"


def historical_data(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields)
    request_id = reader.integer()
    query = reader.contract()
    reader.flag()  # includeExpired: every contract is known, expired or not
    end_text, bar_size, duration = reader.text(), reader.text(), reader.text()
    regular_hours, what, format_date = reader.flag(), reader.text().upper(), reader.integer(1)
    reader.skip_legs(query)
    keep_up = reader.flag()
    try:
        contract = one_contract(session, query)
        if what == "SCHEDULE":
            _schedule(session, request_id, contract, end_text, duration)
            return
        if keep_up and end_text:
            raise RequestRefused(321, _INVALID + "End date not supported with keepUpToDate")
        if request_id in session.subscriptions.bars:
            raise RequestRefused(*DUPLICATE_TICKER)
        end = _time(end_text)
        size = parse_bar_size(bar_size)
        request = (bar_size, duration, end_text, regular_hours)
        _pace(session, (contract.con_id, query.exchange, what), request, keep_up, small=size.seconds <= SMALL_BAR_S)
        bars = session.server.exchange.history(
            contract.con_id, end=end, duration=duration, bar_size=bar_size, what=what, regular_hours=regular_hours
        )
        if not bars:
            raise RequestRefused(162, _NO_DATA.format(contract.symbol, query.exchange or "SMART", what.title()))
    except RequestRefused as refused:
        session.error(request_id, refused.code, refused.text)
        if refused.code == 321:
            # ib_async takes 321 for a warning and would wait for bars until its timeout.
            session.send(encode.historical_data(request_id, "", "", ()))
        return
    daily = not size.intraday
    rows = [encode.bar_row(bar, encode.bar_date(bar, daily, contract, format_date), session.version) for bar in bars]
    now = session.server.exchange.now()
    first = zoned(bars[0].start, contract.time_zone)
    session.send(encode.historical_data(request_id, first, zoned(end or now, contract.time_zone), rows))
    if keep_up:
        session.subscriptions.bars[request_id] = LiveBars(
            request_id=request_id, contract=contract, bar_size=bar_size, bar_s=size.seconds, what=what,
            regular_hours=regular_hours, format_date=format_date, last=bars[-1], sent_at=now,
        )  # fmt: skip
        session.server.pacer.wake()


def _pace(
    session: Session, contract: tuple[int, str, str], rest: tuple[object, ...], keep_up: bool, *, small: bool
) -> None:
    """IB's limits for this request. RequestRefused(162) when it comes too soon."""
    server = session.server
    open_now = len(session.subscriptions.bars)
    if keep_up and open_now >= MOST_OF_A_KIND:
        raise RequestRefused(*TOO_MANY)
    if session.follower:
        return  # its seconds are the market's, not the machine's
    if keep_up:
        everybody = sum(len(other.subscriptions.bars) for other in server.sessions.values())
        refusal = server.limits.open_historical(everybody)
        if refusal is not None:
            raise RequestRefused(*refusal)
    if small:
        weight = 2 if contract[2] == "BID_ASK" else 1
        refusal = server.limits.historical(server.loop.time(), (contract, rest), contract, weight=weight)
        if refusal is not None:
            raise RequestRefused(*refusal)


def cancel_historical_data(session: Session, fields: list[str]) -> None:
    request_id = FieldReader(fields, 2).integer()
    if session.subscriptions.bars.pop(request_id, None) is None:
        raise RequestRefused(366, f"No historical data query found for ticker id:{request_id}")
    session.error(request_id, 162, _CANCELLED.format(request_id))


def _schedule(session: Session, request_id: int, contract: Contract, end_text: str, duration: str) -> None:
    """Message 106: the regular sessions of the time asked for."""
    if session.version < SCHEDULE_SINCE:
        raise RequestRefused(321, _INVALID + "The client is too old for SCHEDULE")
    end = _time(end_text) or session.server.exchange.now()
    first = end - _span(duration)
    name = contract.time_zone
    sessions = []
    for opens, closes in session.server.exchange.schedule(contract.con_id, first, end):
        day = zoned(closes - timedelta(seconds=1), name)[:8]
        sessions.append((_dashed(opens, name), _dashed(closes, name), day))
    session.send(encode.historical_schedule(request_id, _dashed(first, name), _dashed(end, name), name, sessions))


def _dashed(at: datetime, name: str) -> str:
    return at.astimezone(zone(name)).strftime("%Y%m%d-%H:%M:%S")


def _span(duration: str) -> timedelta:
    """`30 D` as a length of time. RequestRefused(321) when it is none."""
    many, _, unit = duration.strip().partition(" ")
    if not (many.isascii() and many.isdecimal()) or len(many) > 6 or unit not in _UNITS or int(many) == 0:
        raise RequestRefused(321, _INVALID + "Historical data query end date/time or duration is invalid")
    seconds = int(many) * _UNITS[unit]
    if seconds > 100 * _UNITS["Y"]:
        raise RequestRefused(321, _INVALID + "Historical data duration is too long")
    return timedelta(seconds=seconds)


def _time(text: str) -> datetime | None:
    """A time in any of IB's forms; None when empty. RequestRefused(321) when it is none of them.

    `yyyymmdd hh:mm:ss` is the gateway's zone, the same with a zone after it that zone, `yyyymmdd-hh:mm:ss` UTC.
    """
    if not text.strip():
        return None
    parts = text.split()
    try:
        if len(parts) == 1 and "-" in text:
            return datetime.strptime(text, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        name = " ".join(parts[2:]) or GATEWAY_ZONE
        clock = parts[1] if len(parts) > 1 else "00:00:00"
        if clock.count(":") == 1:
            clock += ":00"
        return datetime.strptime(parts[0] + clock, "%Y%m%d%H:%M:%S").replace(tzinfo=zone(name)).astimezone(UTC)
    except (ValueError, OverflowError, ZoneInfoNotFoundError, OSError):
        problem = "Invalid date, time, or time-zone entered. The correct format is yyyymmdd hh:mm:ss xx/xxxx"
        raise RequestRefused(321, _INVALID + problem) from None


def head_timestamp(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields)
    request_id = reader.integer()
    query = reader.contract()
    reader.flag()
    reader.flag()
    reader.text()
    format_date = reader.integer(1)
    contract = one_contract(session, query)
    first = session.server.exchange.head_timestamp(contract.con_id)
    text = epoch(first) if format_date == 2 else _dashed(first, "UTC")
    session.send(encode.head_timestamp(request_id, text))


# ---------------------------------------------------------------- ticks


def historical_ticks(session: Session, fields: list[str]) -> None:
    reader = FieldReader(fields)
    request_id = reader.integer()
    query = reader.contract()
    reader.flag()
    start_text, end_text = reader.text(), reader.text()
    many, what, regular_hours = reader.integer(), reader.text().upper(), reader.flag()
    kinds = {"MIDPOINT": "96", "BID_ASK": "97", "TRADES": "98"}
    kind = kinds.get(what, "98")
    try:
        contract = one_contract(session, query)
        if what not in kinds:
            raise RequestRefused(321, "Error validating request.-'cT' : cause - Invalid what to show")
        if not 0 < many <= MOST_TICKS or not (start_text.strip() or end_text.strip()):
            raise RequestRefused(
                321, "Error validating request.-'cT' : cause - One time and 1 to 1000 ticks are needed"
            )
        start, end = _time(start_text), _time(end_text)
        rows = _tick_rows(session, contract, what, start, end, many, regular_hours)
    except RequestRefused as refused:
        session.error(request_id, refused.code, refused.text)
        if refused.code == 321:
            session.send(encode.historical_ticks(kind, request_id, ()))
        return
    session.send(encode.historical_ticks(kind, request_id, rows))


def _tick_rows(
    session: Session, contract: Contract, what: str, start: datetime | None, end: datetime | None, many: int, rth: bool
) -> list[list[str]]:
    """The first `many` ticks from `start`, else the last `many` before `end`, none of them in the future."""
    size = encode.size_text(session.version)
    if what == "BID_ASK":
        bids = _tick_bars(session, contract, "BID", start, end, many, rth)
        asks = {bar.end: bar for bar in _tick_bars(session, contract, "ASK", start, end, many, rth)}
        quote = session.server.exchange.quote(contract.con_id)
        sizes = [size(quote.bid_size), size(quote.ask_size)]
        return [
            [epoch(bid.end), "0", number(bid.close), number(asks[bid.end].close), *sizes]
            for bid in bids
            if bid.end in asks
        ]
    bars = _tick_bars(session, contract, what, start, end, many, rth)
    if what == "MIDPOINT":
        return [[epoch(bar.end), "0", number(bar.close), "0"] for bar in bars]
    return [[epoch(bar.end), "0", number(bar.close), size(bar.volume), contract.exchange, ""] for bar in bars]


def _tick_bars(
    session: Session, contract: Contract, what: str, start: datetime | None, end: datetime | None, many: int, rth: bool
) -> list[BarRow]:
    exchange = session.server.exchange
    now = exchange.now()

    def day_before(until: datetime) -> list[BarRow]:
        return exchange.history(
            contract.con_id, end=until, duration=f"{DAY_S} S", bar_size=f"{TICK_EVERY_S} secs", what=what,
            regular_hours=rth,
        )  # fmt: skip

    found: list[BarRow] = []
    if start is not None:
        latest = min(now, end) if end is not None else now
        until = start
        for _ in range(TICK_DAYS_SEARCHED):
            if len(found) >= many or until >= latest:
                break
            since, until = until, min(until + timedelta(days=1), latest)
            found += [bar for bar in day_before(until) if bar.start >= since]
        return found[:many]
    until = min(end, now) if end is not None else now
    for _ in range(TICK_DAYS_SEARCHED):
        if len(found) >= many:
            break
        since = until - timedelta(days=1)
        found = [bar for bar in day_before(until) if bar.start >= since] + found
        until = since
    return found[-many:]
