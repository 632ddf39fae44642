"""The same strategies on a market that runs at the pace of the wall clock and waits for nobody."""

from __future__ import annotations

import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from strategy_support import Seen, files, spec, write_prices

from runner.gateway.settings import UNLIMITED

START = date(2012, 1, 3)
WAIT_S = 20.0


def test_bars_stops_and_a_lost_session_at_the_pace_of_the_wall_clock(build: Any, tmp_path: Path) -> None:
    data = write_prices(tmp_path / "prices", START, {"FALL": [(1000, 1000, 10, 10)], "STILL": [100.0]})
    texts = files(
        spec("HOLD", "[STILL, FALL]", bars="{size: 5 secs, history: 2}"),
        spec(
            "STOP", "FALL", bars="{size: 5 secs, history: 2}", params="{target_weight: 0.1, stop_loss: 0.00001}",
            sizing="{use: fixed_weights, with: {weights: {FALL: 0.5}}}",
        ),
    )  # fmt: skip
    running = build(
        texts, data=data, start=START, speed=1.0, step="1s", end=None, liquidity=UNLIMITED, follow=False,
        cash={"USD": Decimal(10_000_000)},
    )  # fmt: skip
    running.start()
    hold, stop = Seen(running, "HOLD"), Seen(running, "STOP")

    told = threading.Condition()

    def tell(_events: Any) -> None:
        with told:
            told.notify_all()

    def until(condition: Any, what: str) -> None:
        with told:
            assert told.wait_for(condition, WAIT_S), what

    running.manager.journal.subscribe(tell)
    until(lambda: len(hold.held) == 2, "nothing was bought")
    running.cut_session("HOLD")
    until(lambda: "session_restored" in {notice.code for notice in hold.notices}, "the session did not come back")
    until(lambda: "stop_loss" in stop.reasons, "the stop did not act")
    assert hold.phase == stop.phase == "Running"
    assert stop.refused == [] and hold.refused == []
