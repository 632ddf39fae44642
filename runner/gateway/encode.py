"""Messages from the gateway to a client, each as one function from values to a frame.

Sizes, volumes and counts are integers without a point below version 163: ibapi 9.81.1 reads them with `int()` and ends
its message loop at anything else. Order messages are in `encode_orders`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from runner.gateway import versions
from runner.gateway.model import AccountRow, BarRow, Contract, PositionLine
from runner.gateway.wire import decimal_point, epoch, escape_foreign, flag, frame, money, number, prose, whole, zoned

BBO_EXCHANGE = "9c0001"
"""Key of the exchanges behind a SMART quote (message 81)."""


def size_text(version: int) -> Callable[[Decimal], str]:
    """How sizes are written for a client of that version."""
    return number if version >= versions.FRACTIONAL_SIZES else whole


# ---------------------------------------------------------------- session


def error(version: int, request_id: int, code: int, text: str) -> bytes:
    """Error, warning or notice; request id −1 belongs to no request."""
    fields = ["4", "2", str(request_id), str(code), prose(text)]
    if version >= versions.ADVANCED_REJECT:
        fields.append("")
    return frame(fields)


def hello(version: int, now: datetime) -> bytes:
    """The answer to the handshake: exactly two fields, by which clients recognise it."""
    return frame((str(version), zoned(now)))


def managed_accounts(accounts: Sequence[str]) -> bytes:
    return frame(("15", "1", ",".join(accounts)))


def next_valid_id(order_id: int) -> bytes:
    return frame(("9", "1", str(order_id)))


def current_time(now: datetime) -> bytes:
    return frame(("49", "1", epoch(now)))


def user_info(request_id: int) -> bytes:
    return frame(("107", str(request_id), ""))


# ---------------------------------------------------------------- contracts


def contract11(contract: Contract, exchange: str, no_right: str = "") -> list[str]:
    """conId, symbol, secType, expiry, strike, right, multiplier, exchange, currency, localSymbol, tradingClass."""
    return [
        str(contract.con_id),
        contract.symbol,
        contract.sec_type,
        contract.expiry,
        decimal_point(contract.strike),
        contract.right or no_right,
        multiplier_text(contract),
        exchange,
        contract.currency,
        contract.local_symbol,
        contract.trading_class,
    ]


def multiplier_text(contract: Contract) -> str:
    """Empty for stocks, currencies and indices, which have none at IB."""
    return number(contract.multiplier) if contract.sec_type in ("FUT", "OPT", "FOP", "WAR") else ""


def contract_data(version: int, request_id: int, contract: Contract, hours: str, rule_id: int) -> bytes:
    """contractDetails. `hours` are both trading and liquid hours, in the contract's zone."""
    stock = contract.sec_type == "STK"
    out = ["10"]
    if version < versions.SIZE_RULES:
        out.append("8")
    out += [
        str(request_id), contract.symbol, contract.sec_type, contract.expiry, decimal_point(contract.strike),
        contract.right, contract.exchange, contract.currency, contract.local_symbol, contract.market_name,
        contract.trading_class, str(contract.con_id), number(contract.min_tick),
    ]  # fmt: skip
    if version < versions.SIZE_RULES:
        out.append("100" if stock else "1")  # mdSizeMultiplier
    out += [
        multiplier_text(contract), ",".join(contract.order_types), ",".join(contract.valid_exchanges), "1",
        str(contract.under_con_id), escape_foreign(prose(contract.long_name)), contract.primary_exchange,
        contract.expiry[:6], contract.industry, contract.category, contract.subcategory, contract.time_zone, hours,
        hours, "", "", "0", "1", "" if stock else contract.symbol, "", _rules(contract, rule_id), contract.expiry,
        contract.stock_type,
    ]  # fmt: skip
    if version == versions.FRACTIONAL_SIZES:
        out.append(number(contract.size_increment))
    if version >= versions.SIZE_RULES:
        suggested = Decimal(100) if stock else contract.size_increment
        out += [number(contract.min_size), number(contract.size_increment), number(suggested)]
    return frame(out)


def _rules(contract: Contract, rule_id: int) -> str:
    return ",".join([str(rule_id)] * len(contract.valid_exchanges))


def contract_data_end(request_id: int) -> bytes:
    return frame(("52", "1", str(request_id)))


def symbol_samples(version: int, request_id: int, contracts: Sequence[Contract]) -> bytes:
    out = ["79", str(request_id), str(len(contracts))]
    for contract in contracts:
        exchange = contract.primary_exchange or contract.exchange
        out += [str(contract.con_id), contract.symbol, contract.sec_type, exchange, contract.currency, "0"]
        if version >= versions.ISSUER_ID:
            out += [contract.long_name, ""]
    return frame(out)


def option_parameters_end(request_id: int) -> bytes:
    return frame(("76", str(request_id)))


def market_rule(rule_id: int, increments: Sequence[tuple[Decimal, Decimal]]) -> bytes:
    """Price steps as (from this price, this step)."""
    out = ["93", str(rule_id), str(len(increments))]
    for low_edge, increment in increments:
        out += [number(low_edge), number(increment)]
    return frame(out)


# ---------------------------------------------------------------- market data


def tick_parameters(request_id: int, min_tick: Decimal) -> bytes:
    return frame(("81", str(request_id), number(min_tick), BBO_EXCHANGE, "3"))


def market_data_type(request_id: int, kind: int) -> bytes:
    return frame(("58", "1", str(request_id), str(kind)))


def tick_price(request_id: str, tick: int, price: str, size: str, mask: int = 0) -> bytes:
    """`mask`: 1 can be executed automatically, 2 past limit, 4 before the open."""
    return frame(("1", "6", request_id, str(tick), price, size, str(mask)))


def tick_size(request_id: str, tick: int, size: str) -> bytes:
    return frame(("2", "6", request_id, str(tick), size))


def tick_generic(request_id: str, tick: int, value: str) -> bytes:
    return frame(("45", "6", request_id, str(tick), value))


def tick_string(request_id: str, tick: int, value: str) -> bytes:
    return frame(("46", "6", request_id, str(tick), value))


def tick_snapshot_end(request_id: int) -> bytes:
    return frame(("57", "1", str(request_id)))


def bar_date(bar: BarRow, daily: bool, contract: Contract, format_date: int) -> str:
    """A daily bar's date; an intraday bar's start, as epoch seconds (2) or in the contract's zone (1)."""
    if daily:
        # A session may begin on the evening before its date, and end at midnight after it.
        last = datetime.fromtimestamp(bar.end.timestamp() - 1, bar.end.tzinfo)
        return zoned(last, contract.time_zone)[:8]
    return epoch(bar.start) if format_date == 2 else zoned(bar.start, contract.time_zone)


def historical_data(request_id: int, first: str, last: str, rows: Sequence[Sequence[str]]) -> bytes:
    """Each row: date, open, high, low, close, volume, wap, count."""
    out = ["17", str(request_id), first, last, str(len(rows))]
    for row in rows:
        out += row
    return frame(out)


def bar_row(bar: BarRow, date: str, version: int) -> list[str]:
    prices = (number(bar.open), number(bar.high), number(bar.low), number(bar.close))
    return [date, *prices, size_text(version)(bar.volume), number(bar.wap), str(bar.count)]


def bar_update(request_id: int, bar: BarRow, date: str, version: int) -> bytes:
    """historicalDataUpdate. Note the order of the wire: close before high and low, the volume last."""
    prices = (number(bar.open), number(bar.close), number(bar.high), number(bar.low), number(bar.wap))
    volume = size_text(version)(bar.volume)
    return frame(("90", str(request_id), str(bar.count), date, *prices, volume))


def real_time_bar(request_id: int, bar: BarRow, version: int) -> bytes:
    prices = (number(bar.open), number(bar.high), number(bar.low), number(bar.close))
    volume = size_text(version)(bar.volume)
    return frame(("50", "3", str(request_id), epoch(bar.start), *prices, volume, number(bar.wap), str(bar.count)))


def head_timestamp(request_id: int, text: str) -> bytes:
    return frame(("88", str(request_id), text))


def historical_ticks(kind: str, request_id: int, rows: Sequence[Sequence[str]], done: bool = True) -> bytes:
    """`kind` is the message: 96 midpoints, 97 bid and ask, 98 trades."""
    out = [kind, str(request_id), str(len(rows))]
    for row in rows:
        out += row
    out.append(flag(done))
    return frame(out)


def tick_by_tick(request_id: int, kind: int, at: datetime, values: Sequence[str]) -> bytes:
    """`kind`: 1 last, 2 all last, 3 bid and ask, 4 midpoint."""
    return frame(("99", str(request_id), str(kind), epoch(at), *values))


def historical_schedule(
    request_id: int, first: str, last: str, zone_name: str, sessions: Sequence[tuple[str, str, str]]
) -> bytes:
    """Each session: open, close, date."""
    out = ["106", str(request_id), first, last, zone_name, str(len(sessions))]
    for session in sessions:
        out += session
    return frame(out)


# ---------------------------------------------------------------- account


def account_value(row: AccountRow, account: str) -> bytes:
    return frame(("6", "2", row.tag, prose(row.value), row.currency, account))


def portfolio_value(line: PositionLine) -> bytes:
    contract = line.contract
    exchange = contract.primary_exchange or contract.exchange
    return frame(
        (
            "7", "8", *contract11(contract, exchange, no_right="0"), decimal_point(line.quantity),
            number(line.market_price), money(line.market_value), number(line.average_cost), money(line.unrealized),
            money(line.realized), line.account,
        )
    )  # fmt: skip


def account_time(text: str) -> bytes:
    return frame(("8", "1", text))


def account_download_end(account: str) -> bytes:
    return frame(("54", "1", account))


def position(line: PositionLine) -> bytes:
    return frame(("61", "3", *_position(line)))


def position_multi(request_id: int, line: PositionLine, model: str) -> bytes:
    return frame(("71", "1", str(request_id), *_position(line), model))


def _position(line: PositionLine) -> list[str]:
    contract = line.contract
    names = contract11(contract, contract.primary_exchange or contract.exchange)
    return [line.account, *names, decimal_point(line.quantity), number(line.average_cost)]


def account_summary(request_id: int, account: str, row: AccountRow) -> bytes:
    return frame(("63", "1", str(request_id), account, row.tag, prose(row.value), row.currency))


def account_update_multi(request_id: int, account: str, model: str, row: AccountRow) -> bytes:
    return frame(("73", "1", str(request_id), account, model, row.tag, prose(row.value), row.currency))


def end(kind: int, request_id: int | None = None) -> bytes:
    """The end messages that carry a version and, most of them, the request: 53, 55, 62, 64, 72, 74."""
    return frame((str(kind), "1") if request_id is None else (str(kind), "1", str(request_id)))


def completed_orders_end() -> bytes:
    return frame(("102",))


def pnl(request_id: int, values: tuple[Decimal, Decimal, Decimal]) -> bytes:
    """Daily, unrealised, realised."""
    return frame(("94", str(request_id), *(number(value) for value in values)))


def pnl_single(version: int, request_id: int, values: tuple[Decimal, Decimal, Decimal, Decimal, Decimal]) -> bytes:
    """Position, daily, unrealised, realised, market value."""
    held, *rest = values
    return frame(("95", str(request_id), size_text(version)(held), *(number(value) for value in rest)))
