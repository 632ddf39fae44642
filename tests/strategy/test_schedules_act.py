"""When a strategy decides and how its orders are sent, on two sessions in steps of five minutes."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from strategy_support import Seen, files, spec, write_prices

from runner.model.sessions import sessions

START, END = date(2012, 1, 3), date(2012, 1, 4)
FALL = [(100, 100, 90, 90), 90.0]
WAVE = [(100, 104, 97, 101), (101, 106, 99, 104)]
PRICES = {"WAVE": WAVE, "FALL": FALL, "THIN": FALL, "STILL": [100.0, 100.0]}
FIVE = "{size: 5 mins, history: 5}"
HOUR = "{size: 1 hour, history: 5}"
MOMENTUM = "{m: {use: momentum, with: {lookback: 1}}}"

STRATEGIES = files(
    spec("EVERY", "WAVE", bars=FIVE, signals=MOMENTUM, schedule="{calendar: XNYS, every: 30m}"),
    spec("BARS", "WAVE", bars=FIVE),
    spec("HOURLY", "WAVE", bars=HOUR),
    spec("WINDOW", "WAVE", bars=FIVE, schedule='{calendar: XNYS, window: ["10:00", "15:00"]}'),
    spec("LATE", "WAVE", schedule='{calendar: XNYS, window: ["10:30", "15:00"]}'),
    spec("AT", "WAVE", schedule='{calendar: XNYS, evaluate: "15:40"}'),
    spec("MOC", "WAVE", schedule="{calendar: XNYS, evaluate: close-20m}", execution="{order: moc}"),
    spec("LOC", "WAVE", schedule="{calendar: XNYS, evaluate: close-20m}",
         execution="{order: loc, limit_offset_bps: 250}"),
    spec("REL", "WAVE", schedule="{calendar: XNYS, evaluate: open+30m}", execution="{order: rel, limit_offset_bps: 1}"),
    spec("LIMIT", "STILL", bars=HOUR, execution="{order: limit, limit_offset_bps: -100}"),
    spec("CROSS", "STILL", bars=HOUR, execution="{order: limit, limit_offset_bps: 10, tif: GTC}"),
    spec("INTRADAY", "WAVE", bars=FIVE, schedule="{calendar: XNYS, flatten_at: close-10m}"),
    spec("SESSION", "WAVE", bars=HOUR, schedule="{calendar: XNYS, on: session}"),
    spec("MONTH", "WAVE", schedule="{calendar: XNYS, on: month_end}"),
    spec("STOP", "FALL", bars=HOUR, params="{target_weight: 0.1, stop_loss: 0.03}",
         schedule="{calendar: XNYS, evaluate: open+15m}"),
    spec("RESTING", "THIN", bars=FIVE, params="{target_weight: 0.1, stop_loss: 0.04}",
         schedule="{calendar: XNYS, evaluate: open+15m}", execution="{order: limit, limit_offset_bps: 100}"),
)  # fmt: skip


@pytest.fixture(scope="module")
def system(build: Any, tmp_path_factory: Any) -> Any:
    data = write_prices(tmp_path_factory.mktemp("prices"), START, PRICES, volumes={"THIN": 78_000})
    running = build(STRATEGIES, data=data, start=START, end=END, step="5m", cash={"USD": Decimal(10_000_000)})
    running.start()
    running.run_to(END)
    return running


@pytest.fixture
def seen(system: Any) -> Any:
    return lambda name: Seen(system, name)


def local(at: Any) -> str:
    return f"{at.astimezone(sessions('XNYS').zone):%d %H:%M}"


def test_every_decides_at_multiples_from_the_open(seen: Any) -> None:
    minutes = {at[-2:] for at, *_ in seen("EVERY").story}
    assert len(seen("EVERY").orders) > 3 and minutes == {"00", "30"}


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("BARS", "03 09:35"),  # the first bar that completes
        ("HOURLY", "03 10:00"),  # IB's hours begin at full hours
        ("WINDOW", "03 10:00"),
        ("LATE", "04 10:30"),  # the daily bar completes at the close, and waits for the next window
        ("AT", "03 15:40"),
        ("MOC", "03 15:40"),
        ("SESSION", "03 16:00"),
        ("INTRADAY", "03 09:35"),
    ],
)
def test_the_first_order_is_sent_when_the_schedule_says(seen: Any, name: str, first: str) -> None:
    assert local(seen(name).orders[0].created_at) == first


def test_a_month_end_schedule_leaves_other_days_alone(seen: Any) -> None:
    assert seen("MONTH").orders == []


def test_an_order_at_the_close_is_filled_in_the_closing_auction(seen: Any) -> None:
    for name in ("MOC", "LOC"):
        fills = seen(name).fills
        assert {local(fill.at) for fill in fills} == {"03 15:59"}
        assert {fill.price for fill in fills} == {Decimal(101)}


def test_a_limit_waits_for_its_price_and_is_replaced_by_the_next_decision(seen: Any) -> None:
    one = seen("LIMIT")
    assert {order.request.limit_price for order in one.orders} == {Decimal(99)}
    assert [local(order.created_at) for order in one.orders][:3] == ["03 10:00", "03 11:00", "03 12:00"]
    assert one.fills == [] and one.refused == []
    working = list(one.running.manager.gate.book.open_orders("LIMIT"))
    assert len(working) <= 1


def test_a_limit_beyond_the_price_fills_at_once(seen: Any) -> None:
    one = seen("CROSS")
    (order, *_) = one.orders
    assert order.request.limit_price == Decimal("100.1") and order.request.tif.value == "GTC"
    assert one.held["STILL"] == order.request.quantity


def test_a_relative_order_is_accepted_and_fills(seen: Any) -> None:
    one = seen("REL")
    assert [order.request.order_type.value for order in one.orders][:1] == ["REL"]
    assert one.refused == [] and one.held


def test_flatten_at_closes_everything_and_nothing_is_opened_before_the_next_session(seen: Any) -> None:
    times = [(at[3:], side, reason) for at, side, reason, _ in seen("INTRADAY").story]
    assert times == [
        ("03 09:35", "BUY", "enter"),
        ("03 15:50", "SELL", "flatten_at"),
        ("04 09:35", "BUY", "enter"),
        ("04 15:50", "SELL", "flatten_at"),
    ]
    assert seen("INTRADAY").held == {}


def test_a_stop_acts_between_decisions_inside_a_bar(seen: Any) -> None:
    (bought, sold) = seen("STOP").orders
    assert local(bought.created_at) == "03 09:45" and sold.request.reason == "stop_loss"
    assert sold.created_at.minute != 0  # not at the end of an hourly bar
    assert float(sold.reference_price) == pytest.approx(float(seen("STOP").fills[0].price) * 0.97, rel=0.005)


def test_an_exit_is_not_held_back_by_an_entry_that_still_works(seen: Any) -> None:
    one = seen("RESTING")
    bought, sold = one.orders[:2]
    got = sum(fill.quantity for fill in one.fills if fill.order_ref == bought.order_ref)
    assert 0 < got < bought.request.quantity  # the entry was still working when the stop was hit
    assert (sold.request.reason, sold.request.quantity) == ("stop_loss", got)
    assert local(sold.created_at).startswith("03 ")
    assert one.running.manager.journal.intents(open_only=True, strategy="RESTING") == []
