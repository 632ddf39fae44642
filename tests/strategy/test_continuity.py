"""What survives a lost session and a restart."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from strategy_support import Seen, files, spec, write_prices

from runner.gateway.settings import UNLIMITED
from runner.manager.app import first_look, reloading, start_all
from runner.model.events import Filled, Source
from runner.model.orders import Purpose
from runner.spec.folder import load_folder

START = date(2012, 1, 3)
FIVE = "{size: 5 mins, history: 5}"
CASH = {"USD": Decimal(10_000_000)}

HAND_WRITTEN = """
from runner.model.bars import BarSize
from runner.strategy.base_strategy import PARAMS as BASE_PARAMS
from runner.strategy.base_strategy import BaseStrategy

PARAMS = {**BASE_PARAMS, "universe": "WAVE"}


class HandStrategy(BaseStrategy):
    async def initialize_strategy(self):
        (self.wave,) = await self.qualify("WAVE")
        self.feed = await self.open_feed([self.wave], BarSize.DAY_1, history=1)
        self.steps = 0

    async def run_strategy(self):
        while self.is_running:
            await self.feed.next()
            await self.settle()
            self.steps += 1
            await self.order_target_quantity(self.wave, 10 * self.steps)
"""


def test_a_lost_session_is_opened_again_and_fills_of_meanwhile_are_found(build: Any, tmp_path: Path) -> None:
    data = write_prices(
        tmp_path / "prices", START, {"WAVE": [102.0, 101.0, 104.0, 103.0, 106.0, 105.0, 108.0, 107.0, 109.0]}
    )
    text = spec("YAML", "WAVE", signals="{m: {use: momentum, with: {lookback: 1}}}")
    end = date(2012, 1, 12)
    running = build({"s.yaml": text, "hand.py": HAND_WRITTEN}, data=data, start=START, end=end, liquidity=UNLIMITED)
    running.manager.register_python("HAND", "hand.py")
    running.start("YAML", "HAND")
    cut: set[str] = set()

    def cut_after_the_first_order() -> None:
        for name in {"YAML", "HAND"} - cut:
            if running.manager.journal.intents(strategy=name):
                cut.add(name)
                running.cut_session(name)

    running.run_to(end, cut_after_the_first_order)
    for name in ("YAML", "HAND"):
        one = Seen(running, name)
        first = one.orders[0]
        (fill,) = [fill for fill in one.fills if fill.order_ref == first.order_ref]
        assert fill.source is Source.SNAPSHOT  # it came with the new session
        assert {notice.code for notice in one.notices} >= {"session_lost", "session_restored"}
        assert one.phase == "Running"
        assert len(one.orders) > 3 and one.refused == []
        later = [fill for fill in one.fills if fill.order_ref != first.order_ref]
        assert later and all(fill.source is Source.WIRE for fill in later)
    books = running.manager.portfolio_manager
    assert books.reconcile(running.manager.read_gateway_books().positions) == []


def test_marks_and_blocked_sides_survive_a_restart(build: Any, tmp_path: Path) -> None:
    prices = {
        "PEAK": [100.0, 100.0, 110.0, 120.0, 130.0, (128, 128, 116, 118)] + [118.0] * 6,
        "DROP": [100.0, 100.0, (100, 101, 88, 95)] + [95.0] * 9,
    }
    data = write_prices(tmp_path / "prices", START, prices)
    texts = files(
        spec("TRAIL", "PEAK", params="{target_weight: 0.1, trailing_stop_loss: 0.1}"),
        spec("STOP", "DROP", params="{target_weight: 0.1, stop_loss: 0.1}"),
    )
    end = date(2012, 1, 17)
    first = build(texts, state=tmp_path, data=data, start=START, end=end, liquidity=UNLIMITED, cash=CASH)
    first.start()
    first.hold_at(datetime(2012, 1, 9, 20, tzinfo=UTC))
    assert Seen(first, "STOP").reasons == ["enter", "stop_loss"]
    first.manager.close()

    second = build({}, state=tmp_path, gateway=first.gateway)
    second.start()
    second.run_to(end)
    # The peak was 130 before the restart: 116 is a tenth below it, and would not be below the next day's 128.
    assert Seen(second, "TRAIL").reasons == ["trailing_stop_loss"]
    assert Seen(second, "STOP").orders == [] and Seen(second, "STOP").decided == {"DROP": "blocked"}


def test_a_disabled_strategy_guards_what_it_holds_and_opens_nothing(build: Any, tmp_path: Path) -> None:
    prices = {"DROP": [100.0, 100.0, 100.0, (100, 101, 88, 95)] + [95.0] * 9, "FLAT": [50.0] * 13}
    data = write_prices(tmp_path / "prices", START, prices)
    text = spec("OFF", "[DROP, FLAT]", params="{target_weight: 0.1, stop_loss: 0.1, max_daily_trades: 1}")
    other = spec("NEVER", "FLAT", enabled="false")
    end = date(2012, 1, 11)
    texts = {"s.yaml": text, "other.yaml": other}
    first = build(texts, state=tmp_path, data=data, start=START, end=end, liquidity=UNLIMITED, cash=CASH)
    first.start("OFF")
    first.hold_at(datetime(2012, 1, 4, 20, tzinfo=UTC))
    assert Seen(first, "OFF").held.keys() == {"DROP"}
    assert [order.request.instrument.symbol for order in Seen(first, "OFF").orders] == ["DROP", "FLAT"]
    first.manager.close()  # the second order waits for the next open

    second = build({"s.yaml": text + "enabled: false\n"}, state=tmp_path, gateway=first.gateway)
    with reloading(second.manager) as service:
        assert start_all(second.manager, first_look(service, None), None) == []
    assert [runtime.name for runtime in second.manager.runtimes] == ["OFF"]
    second.manager.wait_until_warm("OFF", 30)
    second.run_to(end)
    one = Seen(second, "OFF")
    assert one.reasons == ["stop_loss"] and one.held == {}
    assert {fill.instrument.symbol for fill in one.fills} == {"DROP"}
    assert one.decided["FLAT"] == "paused"


def test_a_daily_loss_keeps_its_pause_over_a_restart_until_the_next_session(build: Any, tmp_path: Path) -> None:
    prices = {"FALL": [(100, 100, 90, 90), 90.0], "WAVE": [(100, 104, 97, 101), (101, 106, 99, 104)]}
    data = write_prices(tmp_path / "prices", START, prices)
    text = spec(
        "LOSS",
        "[FALL, WAVE]",
        bars=FIVE,
        sizing="{use: fixed_weights, with: {weights: {FALL: 0.6, WAVE: 0.4}}}",
        params="{target_weight: 0.5, min_weight: 0.499, max_weight: 0.501, max_daily_loss: 0.02}",
    )
    end = date(2012, 1, 4)
    first = build({"s.yaml": text}, state=tmp_path, data=data, start=START, end=end, step="5m", cash=CASH)
    first.start()
    first.let_market_run()
    first.until(lambda: first.manager.loss_paused("LOSS"), "the loss was not reached")
    first.manager.finish_following()
    assert first.manager.clock.now() < datetime(2012, 1, 3, 20, tzinfo=UTC), "too late for the test to mean something"
    first.manager.close()

    second = build({}, state=tmp_path, gateway=first.gateway)
    second.start()
    assert second.manager.loss_paused("LOSS")
    assert not second.manager.may_open("LOSS")
    second.run_to(end)
    opened = [order for order in Seen(second, "LOSS").orders if order.request.purpose is Purpose.ENTRY]
    assert {order.created_at.date() for order in opened} == {date(2012, 1, 4)}
    assert Seen(second, "LOSS").refused == []
    assert all(isinstance(fill, Filled) for fill in Seen(second, "LOSS").fills)


def test_a_stop_right_after_the_start_is_not_lost(build: Any, tmp_path: Path) -> None:
    data = write_prices(tmp_path / "prices", START, {"FLAT": [50.0] * 5})
    running = build(files(spec("BRIEF", "FLAT")), data=data, start=START, end=START)
    (brief,) = load_folder(running.folder).specs
    running.write_rows([brief])
    for _ in range(3):
        running.manager.start_strategy("BRIEF", brief)
        assert running.manager.stop_strategy("BRIEF")
        assert not running.manager.runtime("BRIEF").instance.is_running
        assert Seen(running, "BRIEF").phase == "Stopped"
