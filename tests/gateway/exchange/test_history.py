"""Historical requests: IB's durations and bar sizes, and its refusals."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache

import pytest

from runner.gateway.exchange import PaperExchange
from runner.gateway.model import BarRow, RequestRefused
from runner.gateway.settings import GatewaySettings
from runner.model.bars import BarSize

AAPL, EURUSD, SPX, ESH3 = 265598, 12087792, 416904, 900201303


@lru_cache(maxsize=1)
def exchange() -> PaperExchange:
    """Half past eleven in New York on a Wednesday."""
    made = PaperExchange(GatewaySettings(start=date(2013, 2, 27), step="1h"))
    made.quote(AAPL)
    made.step()
    made.step()
    return made


def ask(
    con_id: int = AAPL,
    duration: str = "1 D",
    bar_size: str = "1 day",
    what: str = "TRADES",
    end: datetime | None = None,
) -> list[BarRow]:
    return exchange().history(con_id, end=end, duration=duration, bar_size=bar_size, what=what, regular_hours=True)


@pytest.mark.parametrize(
    ("duration", "bar_size", "count", "first"),
    [
        ("1 D", "1 day", 1, "2013-02-27 14:30"),
        ("10 D", "1 day", 10, "2013-02-13 14:30"),
        ("1 W", "1 day", 5, "2013-02-21 14:30"),
        ("1 M", "1 day", 22, "2013-01-28 14:30"),
        ("1 Y", "1 day", 251, "2012-02-28 14:30"),
        ("1 M", "1W", 5, "2013-01-28 14:30"),
        ("1 M", "1 week", 5, "2013-01-28 14:30"),
        ("3 M", "1M", 4, "2012-11-01 13:30"),
        ("3 M", "1 month", 4, "2012-11-01 13:30"),
        ("1 D", "1 hour", 3, "2013-02-27 14:30"),
        ("2 D", "1 hour", 10, "2013-02-26 14:30"),
        ("2 D", "4 hours", 3, "2013-02-26 14:30"),
        ("2 D", "1 min", 510, "2013-02-26 14:30"),
        ("3600 S", "5 mins", 12, "2013-02-27 15:30"),
        ("60 S", "5 secs", 12, "2013-02-27 16:29"),
        ("86400 S", "1 day", 1, "2013-02-27 14:30"),
        ("20 Y", "1 day", 3268, "2000-03-01 14:30"),
    ],
)
def test_durations_and_sizes(duration: str, bar_size: str, count: int, first: str) -> None:
    rows = ask(duration=duration, bar_size=bar_size)
    assert (len(rows), f"{rows[0].start:%Y-%m-%d %H:%M}") == (count, first)
    assert all(a.end <= b.start for a, b in itertools.pairwise(rows))
    assert all(row.low <= min(row.open, row.close) <= max(row.open, row.close) <= row.high for row in rows)


@pytest.mark.parametrize("size", list(BarSize))
def test_every_bar_size_of_ib_is_served_and_its_last_bar_is_the_one_in_progress(size: BarSize) -> None:
    rows = ask(duration="1 D", bar_size=size.value)
    assert rows[-1] == exchange().bar_in_progress(AAPL, size.value, what="TRADES", regular_hours=True)


def test_the_shipped_prices_are_split_adjusted() -> None:
    rows = {row.start.date(): row for row in ask(duration="20 Y")}
    first = rows[date(2000, 3, 1)]
    assert (first.open, first.close, first.volume) == (Decimal("29.64"), Decimal("32.58"), Decimal(38464400))
    before, after = rows[date(2005, 2, 25)], rows[date(2005, 2, 28)]
    assert abs(after.close / before.close - 1) < Decimal("0.05")


def test_an_explicit_end_in_the_past_gives_complete_bars_only() -> None:
    rows = ask(duration="5 D", end=datetime(2013, 2, 26, 18, 0, tzinfo=UTC))
    assert rows[-1].end == datetime(2013, 2, 25, 21, 0, tzinfo=UTC)
    hours = ask(duration="1 D", bar_size="1 hour", end=datetime(2013, 2, 26, 18, 10, tzinfo=UTC))
    assert hours[-1].end == datetime(2013, 2, 26, 18, 0, tzinfo=UTC)


def test_nothing_later_than_now_is_ever_shown() -> None:
    rows = ask(duration="1 D", bar_size="1 min", end=datetime(2014, 1, 1, tzinfo=UTC))
    assert rows[-1].end == exchange().now()
    assert ask(duration="1 D")[0].close == exchange().quote(AAPL).last


def test_bid_ask_and_midpoint_are_half_a_spread_apart_and_have_no_volume() -> None:
    trades, mid, bid, offer, both = (ask(what=kind)[0] for kind in ("TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK"))
    cent = Decimal("0.01")
    assert (mid.close, bid.close, offer.close) == (trades.close, trades.close - cent, trades.close + cent)
    assert (both.low, both.high) == (trades.low - cent, trades.high + cent)
    assert (mid.volume, mid.wap, mid.count) == (-1, -1, -1)
    assert len(ask(EURUSD, what="MIDPOINT", duration="2 D", bar_size="1 hour")) == 24 + 17
    assert ask(ESH3, duration="2 D")[0].volume > 0


REFUSED = [
    ({"bar_size": "7 mins"}, 321, "bar size setting is invalid"),
    ({"duration": "1 X"}, 321, "duration"),
    ({"duration": "0 D"}, 321, "duration"),
    ({"duration": "86401 S"}, 321, "86400"),
    ({"duration": "400 D"}, 321, "365 days"),
    ({"what": "GOSSIP"}, 321, "what to show"),
    ({"con_id": EURUSD}, 162, "HMDS query returned no data"),
    ({"con_id": SPX, "what": "MIDPOINT"}, 162, "HMDS query returned no data"),
    ({"end": datetime(1999, 6, 1, tzinfo=UTC)}, 162, "HMDS query returned no data"),
    ({"duration": "1 Y", "bar_size": "1 secs"}, 162, "Time length exceed max"),
]


@pytest.mark.parametrize(("change", "code", "words"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_refusals(change: dict[str, object], code: int, words: str) -> None:
    with pytest.raises(RequestRefused, match=words) as refused:
        ask(**change)  # type: ignore[arg-type]
    assert refused.value.code == code


def test_the_head_of_the_data() -> None:
    assert exchange().head_timestamp(AAPL) == datetime(2000, 3, 1, 14, 30, tzinfo=UTC)
