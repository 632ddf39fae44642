"""The market's clock: how it moves, and that what was streamed is what history says afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from runner.gateway.exchange import PaperExchange
from runner.gateway.model import BarRow, ContractQuery
from runner.gateway.settings import GatewaySettings

AAPL, EURUSD, SAP = 265598, 12087792, 14204
Make = Callable[..., Any]


def ohlcv(rows: list[BarRow]) -> tuple[object, ...]:
    return (
        rows[0].open, max(row.high for row in rows), min(row.low for row in rows), rows[-1].close,
        sum(row.volume for row in rows),
    )  # fmt: skip


def test_by_default_the_last_shipped_session_is_about_to_open() -> None:
    exchange = PaperExchange(GatewaySettings())
    assert exchange.now() == datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
    assert exchange.history(
        AAPL, end=None, duration="1 D", bar_size="1 day", what="TRADES", regular_hours=True
    )[-1].end == datetime(2013, 2, 28, 21, 0, tzinfo=UTC)  # fmt: skip


def test_a_daily_step_is_a_session_and_holidays_are_skipped(make_desk: Make) -> None:
    desk = make_desk(start=date(2012, 12, 24), end=date(2012, 12, 27))
    desk.exchange.quote(AAPL)
    while desk.exchange.step() is not None:
        pass
    assert [(step.start.date(), step.end - step.start) for step in desk.steps] == [
        (date(2012, 12, 24), timedelta(hours=3, minutes=30)),
        (date(2012, 12, 26), timedelta(hours=6, minutes=30)),
        (date(2012, 12, 27), timedelta(hours=6, minutes=30)),
    ]
    assert all(step.session_closed == {"XNYS"} for step in desk.steps)
    assert all(list(step.bars) == [AAPL] for step in desk.steps)


def test_after_the_recorded_bars_the_market_goes_on(make_desk: Make) -> None:
    desk = make_desk(start=date(2013, 2, 28))
    desk.exchange.quote(AAPL)
    desk.step(10)
    assert desk.exchange.now() == datetime(2013, 3, 13, 20, 0, tzinfo=UTC)
    assert all(AAPL in step.bars for step in desk.steps)


@pytest.mark.parametrize(
    ("step", "bar_size", "count"), [("day", "1 day", 2), ("30m", "30 mins", 16), ("5m", "5 mins", 90)]
)
def test_what_was_streamed_is_what_history_says(make_desk: Make, step: str, bar_size: str, count: int) -> None:
    desk = make_desk(step=step)
    desk.exchange.quote(AAPL)
    desk.step(count)
    duration = "10 D" if step == "day" else "5 D"
    rows = desk.exchange.history(
        AAPL, end=None, duration=duration, bar_size=bar_size, what="TRADES", regular_hours=True
    )
    assert rows[-count:] == [s.bars[AAPL] for s in desk.steps]


def test_seconds_add_up_to_the_minute_that_history_gives(make_desk: Make) -> None:
    desk = make_desk(step="1s")
    desk.exchange.quote(AAPL)
    desk.step(125)
    rows = desk.exchange.history(AAPL, end=None, duration="600 S", bar_size="1 min", what="TRADES", regular_hours=True)
    assert ohlcv(rows[-3:-2]) == ohlcv([s.bars[AAPL] for s in desk.steps[:60]])
    assert ohlcv(rows[-2:-1]) == ohlcv([s.bars[AAPL] for s in desk.steps[60:120]])
    assert ohlcv(rows[-1:]) == ohlcv([s.bars[AAPL] for s in desk.steps[120:]])
    five = desk.exchange.history(AAPL, end=None, duration="60 S", bar_size="5 secs", what="TRADES", regular_hours=True)
    assert ohlcv(five[-1:]) == ohlcv([s.bars[AAPL] for s in desk.steps[120:]])


def test_minutes_add_up_to_the_day(make_desk: Make) -> None:
    desk = make_desk()
    desk.step()
    ask = {"end": None, "what": "TRADES", "regular_hours": True}
    (day,) = desk.exchange.history(AAPL, duration="1 D", bar_size="1 day", **ask)
    for size in ("1 min", "5 mins", "1 hour", "4 hours"):
        assert ohlcv(desk.exchange.history(AAPL, duration="1 D", bar_size=size, **ask)) == ohlcv([day])


def test_currencies_trade_through_the_night_in_a_step_of_its_own(make_desk: Make) -> None:
    desk = make_desk()
    desk.exchange.quote(EURUSD)
    desk.exchange.quote(AAPL)
    desk.step(3)
    assert [sorted(step.bars) for step in desk.steps] == [[AAPL, EURUSD], [EURUSD], [AAPL, EURUSD]]
    assert [step.start for step in desk.steps[1:]] == [step.end for step in desk.steps[:-1]]
    assert desk.steps[1].bars[EURUSD].open == desk.steps[0].bars[EURUSD].close


def test_two_stock_calendars_share_the_clock_and_every_session_adds_up(make_desk: Make) -> None:
    desk = make_desk()
    for con_id in (AAPL, SAP):
        desk.exchange.quote(con_id)
    desk.step(6)
    assert desk.steps[0].start == datetime(2013, 2, 25, 14, 30, tzinfo=UTC)
    closed = [(step.end, step.session_closed) for step in desk.steps if step.session_closed]
    assert closed[:3] == [
        (datetime(2013, 2, 25, 16, 30, tzinfo=UTC), {"XETR"}),
        (datetime(2013, 2, 25, 21, 0, tzinfo=UTC), {"XNYS"}),
        (datetime(2013, 2, 26, 16, 30, tzinfo=UTC), {"XETR"}),
    ]
    ask = {"end": datetime(2013, 2, 26, 16, 30, tzinfo=UTC), "what": "TRADES", "regular_hours": True}
    (day,) = desk.exchange.history(SAP, duration="1 D", bar_size="1 day", **ask)
    assert ohlcv([day]) == ohlcv([step.bars[SAP] for step in desk.steps[2:4]])


def test_a_quote_shows_the_day_so_far_and_yesterdays_close(make_desk: Make) -> None:
    desk = make_desk(step="1m")
    desk.exchange.quote(AAPL)
    desk.step(30)
    quote = desk.exchange.quote(AAPL)
    bars = [step.bars[AAPL] for step in desk.steps]
    assert (quote.open, quote.high, quote.low, quote.last, quote.volume) == ohlcv(bars)
    assert quote.ask - quote.bid == desk.exchange.find(ContractQuery(con_id=AAPL))[0].min_tick * 2
    yesterday = desk.exchange.history(
        AAPL, end=bars[0].start, duration="1 D", bar_size="1 day", what="TRADES", regular_hours=True
    )
    assert quote.previous_close == yesterday[-1].close
    assert quote.at == desk.exchange.now()


def test_the_schedule_lists_regular_sessions(make_desk: Make) -> None:
    desk = make_desk()
    found = desk.exchange.schedule(AAPL, datetime(2012, 12, 24, tzinfo=UTC), datetime(2012, 12, 27, tzinfo=UTC))
    assert [(opens.day, closes - opens) for opens, closes in found] == [
        (24, timedelta(hours=3, minutes=30)),
        (26, timedelta(hours=6, minutes=30)),
    ]
