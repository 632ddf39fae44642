"""From a quote to the ticks of one market data line: all of them at first, then only what changed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from runner.gateway import encode
from runner.gateway.model import ZERO, Quote
from runner.gateway.subscriptions import MarketDataLine, TickByTick
from runner.gateway.wire import epoch, number

_LIVE = {
    "bid": 1, "ask": 2, "last": 4, "bid_size": 0, "ask_size": 3, "last_size": 5, "high": 6, "low": 7, "volume": 8,
    "previous_close": 9, "open": 14, "stamp": 45, "halted": 49,
}  # fmt: skip
_DELAYED = {
    "bid": 66, "ask": 67, "last": 68, "bid_size": 69, "ask_size": 70, "last_size": 71, "high": 72, "low": 73,
    "volume": 74, "previous_close": 75, "open": 76, "stamp": 88, "halted": 90,
}  # fmt: skip
_RT_VOLUME = 48
_MARK_PRICE = 37
_SHORTABLE, _SHORTABLE_SHARES = 46, 89
_EASY_TO_BORROW, _SHARES_TO_BORROW = "3.0", "10000000"
_NO_PRICE = "-1"
"""What TWS sends as bid or ask when nobody is there; the size is 0 then."""


def of_line(line: MarketDataLine, quote: Quote, version: int) -> list[bytes]:
    """The ticks that `quote` changes on this line; the line remembers the quote."""
    before, line.last = line.last, quote
    request = str(line.request_id)
    tick = _DELAYED if line.delayed else _LIVE
    size = encode.size_text(version)
    out: list[bytes] = []
    for side in ("bid", "ask"):
        price, shown = getattr(quote, side), getattr(quote, side + "_size")
        if before is not None and (getattr(before, side), getattr(before, side + "_size")) == (price, shown):
            continue
        if price is None or shown == 0:
            out.append(encode.tick_price(request, tick[side], _NO_PRICE, "0"))
        else:
            out.append(encode.tick_price(request, tick[side], number(price), size(shown), 1))
            out.append(encode.tick_size(request, tick[side + "_size"], size(shown)))
    traded = before is None or (before.last, before.volume, before.at) != (quote.last, quote.volume, quote.at)
    if quote.last is not None and traded:
        out.append(encode.tick_price(request, tick["last"], number(quote.last), size(quote.last_size)))
        out.append(encode.tick_size(request, tick["last_size"], size(quote.last_size)))
        out.append(encode.tick_string(request, tick["stamp"], epoch(quote.at)))
    if before is None or before.volume != quote.volume:
        out.append(encode.tick_size(request, tick["volume"], size(quote.volume)))
    for name in ("high", "low", "previous_close", "open"):
        price = getattr(quote, name)
        if price is not None and (before is None or getattr(before, name) != price):
            out.append(encode.tick_price(request, tick[name], number(price), "0"))
    if before is None:
        out.append(encode.tick_generic(request, tick["halted"], "0.0"))
    if line.generic and not line.delayed:
        out += _generic(line, request, quote, traded, before is None, size)
    return out


def _generic(
    line: MarketDataLine, request: str, quote: Quote, traded: bool, first: bool, size: Callable[[Decimal], str]
) -> list[bytes]:
    """The generic ticks that a paper market knows: 233 time and sales, 221 and 232 mark price, 236 shortable."""
    out: list[bytes] = []
    if quote.last is not None and traded:
        if "233" in line.generic:
            millis = int(quote.at.timestamp() * 1000)
            sale = (
                f"{number(quote.last)};{size(quote.last_size)};{millis};{size(quote.volume)};{number(quote.last)};true"
            )
            out.append(encode.tick_string(request, _RT_VOLUME, sale))
        if line.generic & {"221", "232"}:
            out.append(encode.tick_price(request, _MARK_PRICE, number(quote.last), "0"))
    if first and "236" in line.generic:
        out.append(encode.tick_generic(request, _SHORTABLE, _EASY_TO_BORROW))
        out.append(encode.tick_size(request, _SHORTABLE_SHARES, _SHARES_TO_BORROW))
    return out


def of_tick_by_tick(line: TickByTick, quote: Quote, version: int) -> list[bytes]:
    """The tick that `quote` adds to a tick-by-tick subscription, if any; the line remembers the quote."""
    before, line.last = line.last, quote
    size = encode.size_text(version)
    if line.kind in (1, 2):
        if quote.last is None or quote.last_size == ZERO:
            return []
        values = [number(quote.last), size(quote.last_size), "0", "SMART", ""]
    elif quote.bid is None or quote.ask is None:
        return []
    elif line.kind == 3:
        if before is not None and _market(before) == _market(quote):
            return []
        values = [number(quote.bid), number(quote.ask), size(quote.bid_size), size(quote.ask_size), "0"]
    else:
        if before is not None and (before.bid, before.ask) == (quote.bid, quote.ask):
            return []
        values = [number((quote.bid + quote.ask) / 2)]
    return [encode.tick_by_tick(line.request_id, line.kind, quote.at, values)]


def _market(quote: Quote) -> tuple[Decimal | None, Decimal | None, Decimal, Decimal]:
    return quote.bid, quote.ask, quote.bid_size, quote.ask_size
