"""What the kernel is told: newest prices, best prices, what must wait. And when a round of bars is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from runner.base_params import BaseParams
from runner.broker.bar_times import bar_end
from runner.broker.feed import BarUpdate
from runner.combine.first import First
from runner.engine.exit_rules import ExitRules
from runner.engine.weights import Pipeline
from runner.model.bars import Bar, BarSize
from runner.model.instruments import Instrument, SecType
from runner.model.panel import Panel
from runner.signals.buy_and_hold import BuyAndHold
from runner.sizing.equal_weight import EqualWeight
from runner.strategy.deciding import Decider, Holding, Opinions, Situation, newest_rows, until, with_quiet_bars
from runner.strategy.memory import Memory
from runner.strategy.rounds import LATE_S, Rounds, bar_began

NAN = float("nan")
T0 = datetime(2012, 7, 2, 14, 0, tzinfo=UTC)
IBM = Instrument(
    con_id=1, symbol="IBM", sec_type=SecType.STOCK, exchange="SMART", currency="USD", primary_exchange="NYSE"
)
SAP = replace(IBM, con_id=2, symbol="SAP", currency="EUR", primary_exchange="IBIS")
VIX = replace(IBM, con_id=3, symbol="VIX", sec_type=SecType.INDEX)

Row = tuple[float, float, float, float]


def panel(*rows: Sequence[Row], minutes: int = 5) -> Panel:
    """One row per bar, one (open, high, low, close) per instrument."""
    data = np.array(rows, dtype=np.float64)
    times = np.array([(T0 + timedelta(minutes=minutes * i)).replace(tzinfo=None) for i in range(len(rows))])
    symbols = ("IBM", "SAP", "VIX")[: data.shape[1]]
    o, h, low, c = (data[:, :, k].copy() for k in range(4))
    return Panel(
        symbols=symbols, times=times.astype("datetime64[ns]"), open=o, high=h, low=low, close=c, volume=np.ones_like(c)
    )


def still(price: float) -> Row:
    return (price, price, price, price)


def decider(universe: Sequence[Instrument] = (IBM,), **params: Any) -> Decider:
    parameters = BaseParams(target_weight=0.1, **params)
    return Decider(universe, Pipeline({"hold": BuyAndHold()}, First(), EqualWeight(), parameters), ExitRules({}))


def opinions(*wanted: float, leave: Sequence[float] = ()) -> Opinions:
    """What the blocks said of each instrument."""
    return Opinions(wanted=np.array(wanted), leave=np.array(leave or [0.0] * len(wanted)))


def exits_only(*leave: float) -> Opinions:
    """Between decisions."""
    return Opinions(wanted=None, leave=np.array(leave or [0.0]))


def situation(*holdings: Holding, **changes: Any) -> Situation:
    n = len(holdings)
    told: dict[str, Any] = {
        "closing": [False] * n, "undecided": [False] * n, "unit_values": [Decimal(1)] * n, "equity": Decimal(100_000),
        "day_pnl": Decimal(0), "trades_today": 0, "may_open": True, "loss_paused": False,
    }  # fmt: skip
    return Situation(holdings=holdings, **(told | changes))


LONG = Holding(quantity=Decimal(100), entry_price=Decimal(100), changed_at=T0 - timedelta(days=1))
FLAT = Holding()
LONG_WEIGHT = opinions(1.0)


def began(one: Panel) -> list[datetime | None]:
    return [None if row is None else bar_began(one.times[row], BarSize.MIN_5, IBM) for row in newest_rows(one)]


def test_a_low_of_before_the_best_price_of_its_bar_fires_no_trailing_stop() -> None:
    """The bar falls to 99 first and rises to 112 then: from 112, 99 would be 11 % down, and it never was."""
    one = decider(trailing_stop_loss=0.10)
    memory = Memory()
    reasons = []
    for high, low, close in ((100, 99, 99), (105, 99, 105), (112, 99, 112), (112, 99, 111)):
        bars = panel([(100, high, low, close)])
        outcome = one.decide(bars, exits_only(), began(bars), situation(LONG), memory)
        memory = outcome.memory
        reasons.append(outcome.texts["IBM"])
    assert reasons == ["hold"] * 4
    following = panel([(100, 112, 99, 111)], [(111, 111, 100, 105)])
    assert one.decide(following, exits_only(), began(following), situation(LONG), memory).texts == {
        "IBM": "trailing_stop_loss"
    }


def test_highs_and_lows_of_before_an_entry_are_nothing_to_the_position() -> None:
    bars = panel([(100, 130, 70, 100)])
    one = decider(stop_loss=0.1, take_profit=0.1)
    entered = replace(LONG, changed_at=T0 + timedelta(minutes=1))
    assert one.decide(bars, exits_only(), began(bars), situation(entered), Memory()).texts == {"IBM": "hold"}
    assert one.decide(bars, exits_only(), began(bars), situation(LONG), Memory()).texts == {"IBM": "stop_loss"}


def test_best_prices_inside_the_bar_of_the_entry_are_remembered() -> None:
    one = decider(trailing_stop_loss=0.10)
    entered = replace(LONG, changed_at=T0 + timedelta(minutes=1))
    memory = Memory()
    for close, expected in ((110, "hold"), (105, "hold"), (99, "trailing_stop_loss")):
        bars = panel([(100, 130, 70, close)])
        outcome = one.decide(bars, exits_only(), began(bars), situation(entered), memory)
        memory = Memory.from_plain(outcome.memory.to_plain())  # as after a restart
        assert outcome.texts == {"IBM": expected}


def test_an_exit_of_the_file_acts_between_decisions_and_is_remembered_until_the_weight_leaves() -> None:
    bars = panel([still(100)])
    left = decider().decide(bars, exits_only(1.0), began(bars), situation(LONG), Memory())
    assert (left.targets, left.texts) == ((0,), {"IBM": "exit_rule"})
    after = Memory.from_plain(left.memory.to_plain())
    again = decider().decide(bars, opinions(1.0), began(bars), situation(FLAT), after)
    assert (again.targets, again.texts) == ((0,), {"IBM": "blocked"})
    free = decider().decide(bars, opinions(0.0), began(bars), situation(FLAT), again.memory)
    assert decider().decide(bars, opinions(1.0), began(bars), situation(FLAT), free.memory).texts == {"IBM": "enter"}


def test_a_resting_order_holds_back_decisions_but_no_exit() -> None:
    one = decider(stop_loss=0.1)
    calm, fallen = panel([still(100)]), panel([still(89)])
    waiting = situation(replace(LONG, quantity=Decimal(1)), undecided=[True])
    assert one.decide(calm, LONG_WEIGHT, began(calm), waiting, Memory()).targets == (1,)
    assert one.decide(fallen, LONG_WEIGHT, began(fallen), waiting, Memory()).targets == (0,)


def test_an_exit_on_its_way_is_left_alone() -> None:
    bars = panel([still(89)])
    outcome = decider(stop_loss=0.1).decide(bars, exits_only(), began(bars), situation(LONG, closing=[True]), Memory())
    assert outcome.targets == (100,)


@pytest.mark.parametrize("price", [NAN, 0.0, -1.0])
def test_what_is_no_price_never_trades(price: float) -> None:
    bars = panel([still(price)])
    outcome = decider(stop_loss=0.1).decide(bars, LONG_WEIGHT, began(bars), situation(FLAT), Memory())
    assert (outcome.targets, outcome.texts) == ((0,), {"IBM": "no_price"})
    outcome = decider(stop_loss=0.1).decide(bars, LONG_WEIGHT, began(bars), situation(LONG), Memory())
    assert outcome.targets == (100,)


def test_an_index_is_data_only() -> None:
    bars = panel([still(100), still(100), still(20)])
    outcome = decider((IBM, SAP, VIX)).decide(
        bars, opinions(0.3, 0.3, 0.3), began(bars), situation(FLAT, FLAT, FLAT), Memory()
    )
    assert outcome.targets == (300, 300, 0)


def test_a_pause_opens_nothing_closes_what_the_signals_leave_and_is_no_daily_loss() -> None:
    bars = panel([still(100), still(100)])
    now = situation(LONG, FLAT, may_open=False)
    outcome = decider((IBM, SAP)).decide(bars, opinions(0.0, 0.5), began(bars), now, Memory())
    assert outcome.targets == (0, 0)
    assert outcome.texts == {"IBM": "exit_signal", "SAP": "paused"} and not outcome.loss_reached


def test_a_daily_loss_is_reported_once() -> None:
    bars = panel([still(100)])
    now = situation(FLAT, day_pnl=Decimal(-6_000))
    one = decider(max_daily_loss=0.05)
    outcome = one.decide(bars, LONG_WEIGHT, began(bars), now, Memory())
    assert outcome.loss_reached and outcome.texts == {"IBM": "daily_loss"}
    assert not one.decide(bars, LONG_WEIGHT, began(bars), replace(now, loss_paused=True), Memory()).loss_reached


def test_a_strategy_without_equity_still_closes() -> None:
    bars = panel([still(89)])
    outcome = decider(stop_loss=0.1).decide(
        bars, LONG_WEIGHT, began(bars), situation(LONG, equity=Decimal(0)), Memory()
    )
    assert outcome.targets == (0,)


def test_quantities_that_stay_are_the_very_same() -> None:
    odd = replace(LONG, quantity=Decimal("0.1234567890123456789"))
    bars = panel([still(100)])
    assert decider().decide(bars, exits_only(), began(bars), situation(odd), Memory()).targets == (odd.quantity,)


def test_an_instrument_that_has_not_traded_in_the_newest_bar_stands_at_its_last_close() -> None:
    bars = panel([still(100), still(50)], [still(101), still(NAN)])
    assert with_quiet_bars(bars).close[-1].tolist() == [101, 50]
    assert newest_rows(bars) == [1, 0]
    gone = panel([still(100), still(50)], [still(101), still(NAN)], [still(102), still(NAN)])
    assert newest_rows(gone) == [2, None]
    assert np.isnan(with_quiet_bars(gone).close[-1, 1])


def test_a_decision_on_a_completed_bar_does_not_see_the_next_one() -> None:
    bars = panel([still(100)], [still(101)], [still(102)])
    assert until(bars, T0 + timedelta(minutes=5)).close[:, 0].tolist() == [100, 101]


# rounds of bars


def update(instrument: Instrument, start: datetime, complete: bool = True) -> BarUpdate:
    bar = Bar(start=start, open=1.0, high=1.0, low=1.0, close=1.0)
    return BarUpdate(instrument=instrument, bar=bar, complete=complete)


DAY = datetime(2012, 7, 2, tzinfo=UTC)
FRANKFURT_CLOSE = datetime(2012, 7, 2, 15, 30, tzinfo=UTC)
NEW_YORK_CLOSE = datetime(2012, 7, 2, 20, 0, tzinfo=UTC)


def test_a_round_waits_for_the_last_exchange_and_is_reported_once() -> None:
    rounds = Rounds((IBM, SAP), BarSize.DAY_1, regular_hours=True, following=False)
    rounds.note(update(SAP, DAY))
    assert rounds.take(FRANKFURT_CLOSE + timedelta(minutes=1)) is None
    rounds.note(update(IBM, DAY, complete=False))
    assert rounds.take(NEW_YORK_CLOSE) is None
    rounds.note(update(IBM, DAY))
    assert rounds.take(NEW_YORK_CLOSE) == DAY
    assert rounds.take(NEW_YORK_CLOSE + timedelta(days=1)) is None


def test_a_round_does_not_wait_for_ever_for_an_instrument_without_trades() -> None:
    rounds = Rounds((IBM, replace(IBM, con_id=9, symbol="DEAD")), BarSize.MIN_5, regular_hours=True, following=False)
    rounds.note(update(IBM, T0))
    end = T0 + timedelta(minutes=5)
    assert rounds.take(end + timedelta(seconds=1)) is None
    assert rounds.take(end + timedelta(seconds=LATE_S + 1)) == T0
    rounds.note(update(IBM, T0))  # late, and over already
    assert rounds.take(end + timedelta(seconds=60)) is None


def test_in_a_replay_nothing_is_waited_for() -> None:
    rounds = Rounds((IBM, SAP), BarSize.DAY_1, regular_hours=True, following=True)
    rounds.note(update(IBM, DAY))
    assert rounds.take(NEW_YORK_CLOSE) == DAY


def test_an_exchange_that_is_closed_that_day_is_not_waited_for() -> None:
    independence_day = datetime(2012, 7, 4, tzinfo=UTC)
    rounds = Rounds((IBM, SAP), BarSize.DAY_1, regular_hours=True, following=False)
    rounds.note(update(SAP, independence_day))
    assert rounds.take(independence_day + timedelta(hours=15, minutes=31)) == independence_day


def test_an_hourly_bar_that_begins_at_the_open_ends_at_the_full_hour() -> None:
    opened = datetime(2012, 7, 2, 13, 30, tzinfo=UTC)
    assert bar_end(opened, BarSize.HOUR_1, IBM, True) == opened + timedelta(minutes=30)
    assert bar_end(opened, BarSize.MIN_30, IBM, True) == opened + timedelta(minutes=30)
    assert bar_end(opened, BarSize.HOUR_4, IBM, True) == datetime(2012, 7, 2, 16, 0, tzinfo=UTC)


def test_rounds_that_somebody_else_has_dealt_with_are_not_reported_again() -> None:
    rounds = Rounds((IBM,), BarSize.MIN_5, regular_hours=True, following=True)
    later = T0 + timedelta(minutes=5)
    for start in (T0, later):
        rounds.note(BarUpdate(instrument=IBM, bar=bar_at(start), complete=True))
    rounds.begin_after(T0)
    assert rounds.last == T0 and rounds.take(later + timedelta(minutes=5)) == later
    rounds.begin_after(T0)  # never back
    rounds.begin_after(None)
    assert rounds.last == later
    rounds.note(BarUpdate(instrument=IBM, bar=bar_at(T0), complete=True))
    assert rounds.take(later + timedelta(minutes=10)) is None


def bar_at(start: datetime) -> Bar:
    return Bar(start=start, open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0)
