"""An exit that IB rejects is tried again, on the market's clock, and not at every tick."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from strategy_support import Seen, files, spec, write_prices

from runner.model.events import StatusChanged
from runner.model.orders import OrderState, Purpose
from runner.strategy.spec_strategy import EXIT_RETRY

DAY = date(2012, 1, 3)
UNTIL = datetime(2012, 1, 3, 15, 0, tzinfo=UTC)
STEP = timedelta(seconds=10)
REJECTIONS = 3


def test_an_exit_that_is_rejected_is_tried_again_half_a_minute_later_until_it_is_taken(
    build: Any, tmp_path: Path
) -> None:
    data = write_prices(tmp_path / "prices", DAY, {"FALL": [(100, 100, 90, 90), 90.0]})
    text = spec(
        "STOP",
        "FALL",
        bars="{size: 1 min, history: 5}",
        params="{target_weight: 0.1, stop_loss: 0.03}",
        schedule="{calendar: XNYS, evaluate: open+15m}",
    )
    running = build(files(text), data=data, start=DAY, end=DAY, step="10s")
    market = running.gateway.exchange._market
    running.start()
    one = Seen(running, "STOP")

    def rejected() -> list[StatusChanged]:
        return [e for e in running.events if isinstance(e, StatusChanged) and e.state is OrderState.REJECTED]

    def halt_while_few_were_rejected() -> None:
        """The exchange takes no orders in the stock from the entry's fill on, until three were rejected."""
        for series in market.opened():
            halted = bool(one.fills) and len(rejected()) < REJECTIONS
            if series.contract.symbol == "FALL" and series.listing.tradable is halted:
                series.listing = replace(series.listing, tradable=not halted)

    running.hold_at(UNTIL, halt_while_few_were_rejected)
    entry, *exits = one.orders
    assert entry.request.purpose is Purpose.ENTRY
    assert {(intent.request.purpose, intent.request.reason) for intent in exits} == {(Purpose.EXIT, "stop_loss")}
    assert {intent.request.quantity for intent in exits} == {entry.request.quantity}
    assert [change.order_ref for change in rejected()] == [intent.order_ref for intent in exits[:-1]]
    assert {change.code for change in rejected()} == {201}
    # The clock moves in steps of ten seconds, so the pause is neither shorter nor longer than it says.
    tried = [intent.created_at for intent in exits]
    assert [later - earlier for earlier, later in pairwise(tried)] == [EXIT_RETRY] * REJECTIONS
    assert EXIT_RETRY > STEP
    assert [notice.code for notice in one.notices if notice.code == "exit_rejected"] == ["exit_rejected"] * REJECTIONS
    assert {fill.order_ref for fill in one.fills} == {entry.order_ref, exits[-1].order_ref}
    assert one.held == {} and one.phase == "Running"
