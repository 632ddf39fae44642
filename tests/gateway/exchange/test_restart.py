"""A restarted gateway goes on where it was: ids, orders, executions, books and the clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.errors import StoreCorrupt, StoreLocked
from runner.gateway.model import ContractQuery

ACCOUNT = "DU1234567"
Make = Callable[..., Any]


def busy(desk: Any) -> None:
    desk.step()
    desk.place(1, "BUY", 10, "MKT")
    desk.place(2, "SELL", 10, "TRAIL", aux_price=300, tif="GTC", order_ref="x:1")
    desk.place(3, "BUY", 5, "LMT", limit_price=100, tif="GTC", transmit=False)
    desk.place(4, "SELL", 5, "STP", aux_price=90, parent_id=3, tif="GTC")
    desk.place(7, "BUY", 20_000, "MKT", client=2, contract=ContractQuery(con_id=12087792))
    desk.step(2)


def seen(desk: Any) -> dict[str, Any]:
    exchange = desk.exchange
    return {
        "now": exchange.now(),
        "ids": [exchange.next_order_id(client) for client in (1, 2, 3)],
        "open": [
            (o.client_id, o.order_id, o.perm_id, o.status, o.why_held, o.trail_stop, o.filled, o.terms, o.contract)
            for o in exchange.open_orders()
        ],
        "done": [(o.order_id, o.perm_id, o.completed_status, o.completed_at) for o in exchange.completed_orders()],
        "executions": [
            (e.exec_id, e.at, e.price, e.commission, e.realized, e.order.perm_id, e.order.terms.order_ref)
            for e in exchange.executions()
        ],
        "positions": exchange.positions(),
        "rows": exchange.account_rows(ACCOUNT),
        "pnl": exchange.pnl(ACCOUNT),
    }


def test_everything_is_there_after_a_restart_and_the_future_is_the_same(make_desk: Make, tmp_path: Path) -> None:
    unbroken = make_desk()
    busy(unbroken)
    first = make_desk(state_file=tmp_path / "state.db")
    busy(first)
    before = seen(first)
    assert before == seen(unbroken)
    first.exchange.close()
    second = make_desk(state_file=tmp_path / "state.db")
    assert seen(second) == before
    assert len(before["open"]) == 3 and len(before["executions"]) == 1
    for desk in (second, unbroken):
        desk.step(2)
        desk.place(20, "SELL", 3, "MKT")
        desk.step()
    assert seen(second) == seen(unbroken)


def test_a_killed_gateway_loses_nothing_that_it_has_told(make_desk: Make, tmp_path: Path) -> None:
    first = make_desk(state_file=tmp_path / "state.db")
    busy(first)
    before = seen(first)
    # What is on disk at this moment, copied as a kill would leave it.
    for suffix in ("", "-wal"):
        (tmp_path / f"copy.db{suffix}").write_bytes((tmp_path / f"state.db{suffix}").read_bytes())
    assert seen(make_desk(state_file=tmp_path / "copy.db")) == before


def test_two_gateways_cannot_have_one_state_file(make_desk: Make, tmp_path: Path) -> None:
    make_desk(state_file=tmp_path / "state.db")
    with pytest.raises(StoreLocked):
        make_desk(state_file=tmp_path / "state.db")


def test_a_state_of_another_market_or_a_broken_one_is_refused(make_desk: Make, tmp_path: Path) -> None:
    make_desk(state_file=tmp_path / "state.db").exchange.close()
    with pytest.raises(StoreCorrupt, match="another market"):
        make_desk(state_file=tmp_path / "state.db", seed=2)
    (tmp_path / "broken.db").write_bytes(b"this is no database at all, but long enough to look like one" * 40)
    with pytest.raises(StoreCorrupt, match=r"broken\.db"):
        make_desk(state_file=tmp_path / "broken.db")


def test_a_bracket_still_works_after_a_restart(bar_desk: Make, tmp_path: Path) -> None:
    bars = [(20, 21, 19, 20), (20, 21, 19, 20), (20, 23, 19, 22)]
    state = tmp_path.parent / "bracket.db"
    desk = bar_desk(*bars, state_file=state)
    desk.step()
    desk.place(1, "BUY", 10, "MKT", transmit=False, tif="GTC")
    desk.place(2, "SELL", 10, "LMT", limit_price=22, parent_id=1, transmit=False, tif="GTC")
    desk.place(3, "SELL", 10, "STP", aux_price=18, parent_id=1, tif="GTC")
    desk.step()
    desk.exchange.close()
    desk = bar_desk(*bars, state_file=state)
    desk.step()
    assert desk.told("commission", "position") == [
        "2: exec 10 @ 22.00",
        "2: 5 Filled",
        "3: 3 Cancelled",
        "3: error 202",
    ]
