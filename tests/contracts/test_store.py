"""What every kind of ArcticDB store does for us: one suite, run on LMDB and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from runner.errors import StoreError
from runner.model.bars import Bar, BarSize
from runner.model.events import CommissionCharged, Event, Filled, OrderPlaced, OrderRefused, StatusChanged
from runner.model.instruments import Instrument, SecType
from runner.model.orders import OrderIntent, OrderRequest, OrderState, OrderType, Refused, Side
from runner.store import ledger as ledger_module
from runner.store.arctic_manager import Store, get_ac
from runner.store.bars import BarCache
from runner.store.journal import Journal
from runner.store.ledger import Ledger, read_fills
from runner.store.tables import COMMISSIONS, FILLS, ORDERS, UNASSIGNED

NOW = datetime(2024, 3, 1, 15, 30, 0, 123456, tzinfo=UTC)
AAPL = Instrument(con_id=265598, symbol="AAPL", sec_type=SecType.STOCK, exchange="SMART", currency="USD")


@pytest.fixture(scope="module", params=["lmdb", "mem"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    uri = "mem://" if request.param == "mem" else f"lmdb://{tmp_path_factory.mktemp('store') / 'arctic'}?map_size=256MB"
    with get_ac(uri) as store:
        yield store


@pytest.fixture
def store(shared: Store) -> Store:
    for library in ("fills", "orders", "positions", "equity", "projection", "bars"):
        for symbol in shared.symbols(library):
            shared.delete(library, symbol)
    return shared


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as opened:
        yield opened


def placed(ref: str, strategy: str) -> OrderPlaced:
    request = OrderRequest(
        instrument=AAPL, side=Side.BUY, quantity=Decimal(10), order_type=OrderType.LIMIT, limit_price=Decimal("181.5")
    )
    intent = OrderIntent(
        order_ref=ref, strategy=strategy, account="DU1", client_id=3, request=request, created_at=NOW,
        reference_price=Decimal(181), generation=2,
    )  # fmt: skip
    return OrderPlaced(at=NOW, strategy=strategy, intent=intent)


def filled(exec_id: str, strategy: str, minutes: float = 0, **changes: Any) -> Filled:
    values: dict[str, Any] = {
        "order_ref": "r1", "account": "DU1", "instrument": AAPL, "side": Side.BUY, "quantity": Decimal(10),
        "price": Decimal("181.50"),
    }  # fmt: skip
    return Filled(at=NOW + timedelta(minutes=minutes), strategy=strategy, exec_id=exec_id, **(values | changes))


def charged(exec_id: str, strategy: str, amount: str) -> CommissionCharged:
    return CommissionCharged(at=NOW, strategy=strategy, exec_id=exec_id, amount=Decimal(amount), currency="USD")


def story(strategy: str) -> list[Event]:
    refused = Refused(control="max_daily_trades", limit="2", asked="3")
    return [
        placed(f"{strategy}1", strategy),
        StatusChanged(at=NOW, strategy=strategy, order_ref=f"{strategy}1", state=OrderState.ACKED, perm_id=9),
        filled(f"{strategy}.1.01", strategy, 1, order_ref=f"{strategy}1"),
        charged(f"{strategy}.1.01", strategy, "1.25"),
        filled(f"{strategy}.1.02", strategy, 2, order_ref=f"{strategy}1", quantity=Decimal(9)),
        charged(f"{strategy}.1.02", strategy, "1.20"),
        filled(f"{strategy}.2.01", strategy, 3, order_ref=f"{strategy}1", quantity=Decimal(1)),
        OrderRefused(at=NOW, strategy=strategy, instrument=AAPL, side=Side.BUY, quantity=Decimal(1), refused=refused),
    ]


def add(journal: Journal, *events: Event) -> None:
    journal.append(events).result(10)


def everything(store: Store) -> dict[str, pd.DataFrame]:
    found: dict[str, pd.DataFrame] = {}
    for library in ("fills", "orders"):
        for symbol in store.symbols(library):
            frame = store.read(library, symbol)
            assert frame is not None
            found[f"{library}/{symbol}"] = frame
    return found


def same(one: dict[str, pd.DataFrame], other: dict[str, pd.DataFrame]) -> None:
    assert one.keys() == other.keys()
    for name, frame in one.items():
        pd.testing.assert_frame_equal(frame, other[name])


def test_each_strategy_has_its_own_symbols_with_all_declared_columns(store: Store, journal: Journal) -> None:
    add(journal, *story("a"), *story("b"), filled("x.1", "", order_ref=""))
    assert Ledger(store, journal).catch_up() == 17
    tables = everything(store)
    assert sorted(tables) == [
        f"fills/{UNASSIGNED}", "fills/a", "fills/a.commissions", "fills/b", "fills/b.commissions",
        "orders/a", "orders/b",
    ]  # fmt: skip
    for name, columns in (("fills/a", FILLS), ("fills/a.commissions", COMMISSIONS), ("orders/a", ORDERS)):
        frame = tables[name]
        assert list(frame.columns) == list(columns)
        assert frame.index.name == "ts" and str(frame.index.tz) == "UTC" and frame.index.is_monotonic_increasing
        assert frame["seq"].is_monotonic_increasing


def test_rows_say_what_the_events_said(store: Store, journal: Journal) -> None:
    add(journal, *story("a"))
    Ledger(store, journal).catch_up()
    fill = store.read("fills", "a").iloc[0]
    assert (fill.exec_id, fill.exec_base, fill.revision, fill.side) == ("a.1.01", "a.1", 1, "BUY")
    assert (fill.quantity, fill.price, fill.multiplier, fill.con_id) == (10.0, 181.5, 1.0, 265598)
    assert fill["at"] == pd.Timestamp(NOW + timedelta(minutes=1)).tz_localize(None)
    order, status, refused = (store.read("orders", "a").iloc[i] for i in range(3))
    assert (order.event, order.state, order.limit_price, order.generation, order.remaining) == (
        "order",
        "Intent",
        181.5,
        2,
        10,
    )
    assert np.isnan(order.stop_price) and order.tif == "DAY"
    assert (status.event, status.state, status.symbol, status.side, status.perm_id) == (
        "status_change",
        "Acknowledged",
        "AAPL",
        "BUY",
        9,
    )
    assert np.isnan(status.remaining)
    assert (refused.event, refused.state) == ("refused", "Refused") and "max_daily_trades" in refused.text


def test_fills_are_read_in_their_latest_revision_with_the_commission(store: Store, journal: Journal) -> None:
    add(journal, *story("a"))
    Ledger(store, journal).catch_up()
    fills = read_fills(store, "a")
    assert fills[["exec_id", "quantity"]].to_numpy().tolist() == [["a.1.02", 9.0], ["a.2.01", 1.0]]
    assert fills["commission"].iloc[0] == 1.2 and np.isnan(fills["commission"].iloc[1])
    assert read_fills(store, "nobody") is None


def test_batches_of_any_size_give_the_same_tables(store: Store, journal: Journal, monkeypatch) -> None:
    monkeypatch.setattr(ledger_module, "CHUNK", 3)
    monkeypatch.setattr(ledger_module, "MARK_EVERY", 4)
    ledger = Ledger(store, journal)
    for event in [*story("a"), *story("b")]:
        add(journal, event)
        ledger.catch_up()
    piecemeal = everything(store)
    assert ledger.rebuild() == 16
    same(piecemeal, everything(store))


def test_nothing_is_stored_twice_however_often_the_process_ends_between_rows_and_mark(
    store: Store, journal: Journal
) -> None:
    add(journal, *story("a"))
    Ledger(store, journal).catch_up()  # the place in the journal is never noted
    before = everything(store)
    assert Ledger(store, journal).catch_up() == 8
    same(before, everything(store))
    add(journal, *story("b"))
    ledger = Ledger(store, journal)
    ledger.catch_up()
    ledger.note_mark()
    assert Ledger(store, journal).catch_up() == 0
    assert len(everything(store)) == 6


@pytest.mark.parametrize("lost", ["", "fills/a", "orders/b", "fills/a.commissions"])
def test_tables_that_were_deleted_are_written_again(store: Store, journal: Journal, lost: str) -> None:
    add(journal, *story("a"), *story("b"))
    ledger = Ledger(store, journal)
    ledger.catch_up()
    ledger.note_mark()
    before = everything(store)
    for name in before:
        if lost in name:
            store.delete(*name.split("/"))
    Ledger(store, journal).catch_up()
    same(before, everything(store))


def test_a_fill_learnt_of_late_is_put_last_and_keeps_its_own_time(store: Store, journal: Journal) -> None:
    ledger = Ledger(store, journal)
    for event in (filled("e.1", "a", 10), filled("e.2", "a", 5), filled("e.3", "a", 10), filled("e.4", "a", 20)):
        add(journal, event)
        ledger.catch_up()
    frame = store.read("fills", "a")
    assert frame.index.is_unique and frame.index.is_monotonic_increasing
    minutes = [(stamp - pd.Timestamp(NOW).tz_localize(None)).total_seconds() / 60 for stamp in frame["at"]]
    assert minutes == [10, 5, 10, 20]
    assert frame.index[3] == pd.Timestamp(NOW + timedelta(minutes=20))


def test_a_symbol_that_somebody_broke_is_left_alone_and_the_others_go_on(store: Store, journal: Journal) -> None:
    store.library("fills").write_pickle("a", {"not": "a table"})
    add(journal, *story("a"), *story("b"))
    ledger = Ledger(store, journal)
    ledger.catch_up()
    assert list(ledger.blocked) == [("fills", "a")] and "fills/a" in ledger.blocked["fills", "a"].message
    assert len(store.read("fills", "b")) == 3
    ledger.note_mark()
    store.delete("fills", "a")
    Ledger(store, journal).catch_up()
    assert len(store.read("fills", "a")) == 3 and len(store.read("fills", "b")) == 3


def test_a_store_that_refuses_is_caught_up_later_without_loss_or_doubles(
    store: Store, journal: Journal, monkeypatch
) -> None:
    ledger = Ledger(store, journal)
    add(journal, *story("a"))
    real = store.append

    def fails_after_fills(library: str, batch: Any) -> Any:
        done = real(library, batch)
        if library == "fills":
            raise StoreError("stored, but the answer was lost")
        return done

    monkeypatch.setattr(store, "append", fails_after_fills)
    with pytest.raises(StoreError, match="answer was lost"):
        ledger.catch_up()
    monkeypatch.undo()
    ledger.catch_up()
    caught_up = everything(store)
    ledger.rebuild()
    same(caught_up, everything(store))


def test_another_journals_rows_are_kept_and_ours_come_after_them(
    store: Store, journal: Journal, tmp_path: Path
) -> None:
    with Journal.open(tmp_path / "other.db") as other:
        add(other, *story("a"), *story("c"))
        Ledger(store, other).catch_up()
    add(journal, *story("b"), filled("n.1", "a", 60))
    ledger = Ledger(store, journal)
    ledger.catch_up()
    assert store.read("fills", "a")["exec_id"].tolist() == ["a.1.01", "a.1.02", "a.2.01", "n.1"]
    ledger.rebuild()
    assert store.read("fills", "a")["exec_id"].tolist() == ["n.1"]
    assert len(store.read("fills", "c")) == 3


def test_positions_are_replaced_and_equity_samples_grow(store: Store, journal: Journal) -> None:
    ledger = Ledger(store, journal)
    ledger.write_positions("a", [{"strategy": "a", "symbol": "AAPL", "con_id": 1, "quantity": Decimal("3.5")}], 1)
    ledger.write_positions("a", [{"strategy": "a", "symbol": "IBM", "con_id": 2, "quantity": Decimal(-1)}], 2)
    assert store.read("positions", "a")[["symbol", "quantity"]].to_numpy().tolist() == [["IBM", -1.0]]
    assert store.metadata("positions", "a")["seq"] == 2
    rows = {
        "account": {"currency": "USD", "net_liquidation": Decimal(5)},
        "a": {"strategy": "a", "net": Decimal("-1.5")},
    }
    ledger.append_equity([(NOW, rows), (NOW, rows), (NOW + timedelta(days=1), rows)])
    Ledger(store, journal).append_equity([(NOW + timedelta(hours=1), rows), (NOW + timedelta(days=2), rows)])
    account = store.read("equity", "account")
    assert account.index.tolist() == [pd.Timestamp(NOW + timedelta(days=n)) for n in (0, 1, 2)]
    assert account["net_liquidation"].tolist() == [5.0] * 3 and np.isnan(account["net"]).all()


@pytest.mark.parametrize("size", [BarSize.DAY_1, BarSize.MIN_5])
def test_bars_come_back_as_they_were_and_a_refetched_stretch_replaces_itself(store: Store, size: BarSize) -> None:
    cache = BarCache(store)

    def bars(first: int, count: int, close: float) -> list[Bar]:
        return [
            Bar(
                start=datetime(2024, 1, 1, tzinfo=UTC) + i * size.length,
                open=1,
                high=3,
                low=0.5,
                close=close,
                volume=1e9,
                count=i,
            )
            for i in range(first, first + count)
        ]

    assert cache.read(1, size, "TRADES", True) == []
    cache.write(1, size, "TRADES", True, [])
    cache.write(1, size, "TRADES", True, bars(10, 10, 2.0))
    assert cache.read(1, size, "TRADES", True) == bars(10, 10, 2.0)
    cache.write(1, size, "TRADES", True, [*reversed(bars(0, 5, 1.0)), *bars(4, 1, 1.5)])
    cache.write(1, size, "TRADES", True, bars(15, 10, 9.0))
    expected = [*bars(0, 4, 1.0), *bars(4, 1, 1.5), *bars(10, 5, 2.0), *bars(15, 10, 9.0)]
    assert cache.read(1, size, "TRADES", True) == expected
    assert (
        cache.read(1, size, "TRADES", False)
        == cache.read(1, size, "MIDPOINT", True)
        == cache.read(2, size, "TRADES", True)
        == []
    )


def test_a_thousand_orders_are_stored_in_a_handful_of_segments(store: Store, journal: Journal) -> None:
    ledger = Ledger(store, journal)
    for start in range(0, 1000, 100):
        add(journal, *(filled(f"{i}.1", "a", i) for i in range(start, start + 100)))
        ledger.catch_up()
    assert len(store.read("fills", "a")) == 1000
    assert len(store.library("fills").list_versions("a")) == 1
