"""The portfolio manager: facts in, books out, ArcticDB behind."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from decimal import Decimal

import pandas as pd
import pytest

from runner.errors import RunnerError, StoreError
from runner.model.events import Notice, PhaseChanged, StrategyPhase
from runner.model.orders import OrderState, Purpose
from runner.portfolio.fx_cache import CurrencyWithoutRate
from runner.portfolio.portfolio_manager import Mismatch

D = Decimal
DAY = date(2024, 3, 1)


# -- the account


def test_the_base_currency_comes_from_the_equity_rows(open_manager, make) -> None:
    manager = open_manager(rows=False)
    with pytest.raises(RunnerError, match="not known yet"):
        manager.base_currency  # noqa: B018
    rows = [
        make.value("NetLiquidation", "5", "USD"),
        make.value("EquityWithLoanValue", "5", "EUR"),
        make.value("EquityWithLoanValue", "5", "BASE"),
    ]
    assert manager.determine_base_currency(rows) == manager.base_currency == manager.fx_cache.base_currency == "EUR"
    cache = manager.fx_cache
    manager.determine_base_currency(rows)
    assert manager.fx_cache is cache


@pytest.mark.parametrize(
    ("currencies", "hint", "result"),
    [
        ((), "", "no EquityWithLoanValue"),
        (("USD", "EUR"), "", "several currencies: EUR, USD"),
        (("BASE", ""), "", "no EquityWithLoanValue"),
        (("USD", "EUR"), "EUR", None),
        ((), "EUR", None),
        (("USD",), "EUR", "configured base currency is EUR"),
    ],
)
def test_a_base_currency_that_is_not_clear_is_an_error_unless_configured(
    open_manager, make, currencies, hint, result
) -> None:
    manager = open_manager(rows=False, base_currency=hint)
    rows = [make.value("EquityWithLoanValue", "1", currency) for currency in currencies]
    if result is None:
        assert manager.determine_base_currency(rows) == "EUR"
    else:
        with pytest.raises(RunnerError, match=result):
            manager.determine_base_currency(rows)


def test_a_base_currency_that_changes_while_running_is_an_error(manager, make) -> None:
    with pytest.raises(RunnerError, match="was USD and is now EUR"):
        manager.determine_base_currency([make.value("EquityWithLoanValue", "1", "EUR")])


def test_account_rows_give_equity_cash_and_rates(manager, make) -> None:
    with pytest.raises(RunnerError, match="no account values"):
        manager.account  # noqa: B018
    v = make.value
    manager.update_account(
        [
            v("EquityWithLoanValue", "1000000.25"), v("NetLiquidation", "1000001.00"), v("CashBalance", "900000.10"),
            v("CashBalance", "5000", "EUR"), v("CashBalance", "905500", "BASE"), v("ExchangeRate", "1.10", "EUR"),
            v("ExchangeRate", "1.00"), v("AccountType", "INDIVIDUAL", ""),
            v("NetLiquidation", "1.7976931348623157E308"),
        ]
    )  # fmt: skip
    account = manager.account
    assert (account.equity_with_loan, account.net_liquidation) == (D("1000000.25"), D("1000001.00"))
    assert account.cash == {"USD": D("900000.10"), "EUR": D(5000)} and account.at == make.now
    assert manager.fx_cache.rate("EUR") == D("1.10")
    manager.update_account([v("CashBalance", "4000", "EUR")])
    assert manager.account.cash == {"USD": D("900000.10"), "EUR": D(4000)}
    assert manager.account.equity_with_loan == D("1000000.25")


# -- events and books


def test_only_the_first_arrival_is_new_and_the_books_count_it_once(manager, make) -> None:
    fill = make.fill("e.1", 10, "100")
    assert [one.new for one in manager.process_events([fill, fill])] == [True, False]
    assert not manager.process_fill(fill).new
    assert manager.record_status_change(make.status("re.1", OrderState.ACKED)).new
    assert manager.position("s", 1).quantity == 10
    assert manager.position("s", 2) is None and manager.positions("nobody") == []


def test_what_others_append_to_the_journal_is_in_the_books_too(manager, host, make) -> None:
    host.journal.append([make.order("r1"), make.fill("e.1", 10, "100")]).result(5)
    assert manager.trades_today("s", DAY) == 1 and manager.position("s", 1).quantity == 10


def test_a_restart_gives_the_same_books(open_manager, make, host) -> None:
    first = open_manager()
    events = [make.order("r1"), make.fill("e.01", 10, "100"), make.fill("e.02", 8, "100"), make.charge("e.02", "1.5")]
    first.process_events([*events, make.status("r1", OrderState.REJECTED), make.fill("f.01", -3, "90", strategy="t")])
    second = open_manager()
    for name in ("s", "t"):
        assert second.positions(name) == first.positions(name)
        assert second.strategy_pnl(name) == first.strategy_pnl(name)
        assert second.trades_today(name, DAY) == first.trades_today(name, DAY)
    assert second.strategies() == ["s", "t"]


def test_events_are_refused_before_the_books_are_replayed(host) -> None:
    from runner.portfolio.portfolio_manager import PortfolioManager

    with pytest.raises(RunnerError, match="not been started"):
        PortfolioManager(host).process_events([Notice(at=host.clock.now(), strategy="", code="x", text="y")])
    assert PortfolioManager(host).process_events([]) == []


def test_a_journal_that_refuses_is_raised_and_the_books_stay(manager, host, make) -> None:
    host.journal.close()
    with pytest.raises(StoreError, match="closed"):
        manager.process_fill(make.fill("e.1", 10, "100"))
    assert manager.position("s", 1) is None


def test_readers_and_the_writer_may_be_different_threads(manager, make) -> None:
    stop, problems = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            pnl = manager.strategy_pnl("s")
            if pnl.net != pnl.realized + pnl.unrealized - pnl.commissions:
                problems.append(pnl)
            manager.consolidated_positions(), manager.trades_today("s", DAY), manager.held()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for i in range(60):
        manager.process_events([make.order(f"r{i}"), make.fill(f"e{i}.1", 1, "100", minute=i)])
    stop.set()
    for reader in readers:
        reader.join(30)
    assert not problems and manager.position("s", 1).quantity == 60 and manager.trades_today("s", DAY) == 60


# -- trades of the day


def test_trades_of_the_day_are_entries_that_may_have_reached_the_market(manager, make) -> None:
    P = Purpose
    yesterday = make.now - timedelta(days=1)
    manager.process_events(
        [
            make.order("old", at=yesterday), make.order("a"), make.order("b"), make.order("exit", purpose=P.EXIT),
            make.order("less", purpose=P.REDUCE), make.order("c"), make.order("d"), make.order("e"),
            make.order("x", strategy="t"), make.status("a", OrderState.NOT_SENT), make.status("b", OrderState.REJECTED),
            make.status("c", OrderState.CANCELLED), make.status("d", OrderState.UNKNOWN),
            make.status("e", OrderState.ABSENT), make.fill("f.1", 1, "100", order_ref="e"),
        ]
    )  # fmt: skip
    assert manager.trades_today("s", DAY) == 3  # c, d and e
    assert manager.trades_today("s", DAY - timedelta(days=1)) == 1
    assert manager.trades_today("t", DAY) == 1 and manager.trades_today("nobody", DAY) == 0


def test_the_session_day_is_asked_for_and_not_assumed(open_manager, make) -> None:
    manager = open_manager(session_day=lambda strategy, at: DAY + timedelta(days=3) if strategy == "s" else DAY)
    manager.process_events([make.order("a"), make.order("b", strategy="t")])
    assert (manager.trades_today("s", DAY), manager.trades_today("s", date(2024, 3, 4))) == (0, 1)
    assert manager.trades_today("t", DAY) == 1


# -- profit and loss


def test_profit_is_in_base_currency_at_the_marks(manager, make) -> None:
    sap = make.stock(2, "SAP", "EUR")
    manager.process_events(
        [
            make.fill("a.1", 10, "100"), make.fill("b.1", -4, "110", minute=1), make.charge("a.1", "1.00"),
            make.fill("c.1", 20, "50", instrument=sap), make.charge("c.1", "2.00", "EUR"),
        ]
    )  # fmt: skip
    manager.fx_cache.update("EUR", D("1.10"))
    assert manager.realized("s") == 40
    assert manager.unrealized("s") == 60  # at the last fill, 110, until a mark arrives
    manager.mark({1: D(95), 2: D(51), 3: D(1)})
    pnl = manager.strategy_pnl("s")
    assert (pnl.realized, pnl.unrealized, pnl.commissions) == (D(40), D("-30") + D("22.0"), D("3.20"))
    assert pnl.net == pnl.realized + pnl.unrealized - pnl.commissions == D("28.8")
    assert manager.exposure("s") == D(570) + D(1122) and manager.commissions("s") == D("3.20")


def test_a_position_in_a_currency_without_a_rate_is_an_error_for_that_strategy_only(manager, make) -> None:
    yen = make.stock(3, "7203", "JPY")
    manager.process_events([make.fill("a.1", 10, "100"), make.fill("b.1", 100, "2000", strategy="t", instrument=yen)])
    manager.mark({1: D(101), 3: D(2100)})
    with pytest.raises(CurrencyWithoutRate, match="JPY"):
        manager.strategy_pnl("t")
    assert manager.strategy_pnl("s").net == 10


def test_asking_for_a_rate_does_not_hold_up_the_journal(open_manager, make, host) -> None:
    """The rate source may need the session's loop, which may itself wait for the journal."""

    def source(_currency: str) -> Decimal:
        host.journal.append([make.fill("late.1", 1, "100", strategy="t")]).result(5)
        return D(2)

    manager = open_manager(rate_source=source)
    manager.process_fill(make.fill("a.1", 10, "100", instrument=make.stock(2, "SAP", "EUR")))
    manager.mark({2: D(101)})
    assert manager.strategy_pnl("s").net == 20


# -- reconciliation


def test_strategies_and_unassigned_are_always_what_ib_holds(manager, make) -> None:
    manager.process_events(
        [make.fill("a.1", 10, "100"), make.fill("b.1", -4, "100", strategy="t"), make.fill("c.1", 0, "1")]
    )
    theirs = {1: D(9), 2: D(100)}
    rest = manager.unassigned(theirs)
    assert rest == {1: D(3), 2: D(100)}
    assert {c: manager.held().get(c, 0) + rest.get(c, 0) for c in theirs} == theirs


def test_a_difference_is_a_mismatch_until_it_is_adopted_and_again_when_it_changes(open_manager, make) -> None:
    manager = open_manager()
    manager.process_fill(make.fill("a.1", 10, "100"))
    theirs = {1: D(10), 2: D(100)}
    assert manager.unassigned_book is None
    assert manager.reconcile(theirs) == [Mismatch(con_id=2, ours=D(0), theirs=D(100))]
    assert manager.adopt_unassigned(theirs) == {2: D(100)} and manager.reconcile(theirs) == []
    again = open_manager()
    assert again.unassigned_book == {2: D(100)} and again.reconcile(theirs) == []
    again.assign_to_nobody(1, D(-1))
    assert again.reconcile({1: D(9), 2: D(100)}) == []
    again.assign_to_nobody(1, D(1))
    assert again.unassigned_book == {2: D(100)}
    assert again.reconcile({1: D(9)}) == [
        Mismatch(con_id=1, ours=D(10), theirs=D(9)),
        Mismatch(con_id=2, ours=D(100), theirs=D(0)),
    ]


# -- views


def test_consolidated_views_net_contracts_over_strategies(manager, make) -> None:
    manager.process_events(
        [
            make.order("ra.1"),
            make.fill("a.1", 10, "100"),
            make.fill("b.1", -4, "100", strategy="t"),
            make.charge("a.1", "1.25"),
        ]
    )
    manager.mark({1: D(110)})
    (row,) = manager.consolidated_positions()
    assert (row["symbol"], row["quantity"], row["market_value"], row["unrealized"]) == ("AAPL", 6, 660, 60)
    assert row["strategies"] == {"s": 10, "t": -4}
    (order,) = manager.consolidated_orders()
    assert (order["order_ref"], order["state"], order["filled"], order["purpose"]) == ("ra.1", "Intent", 10, "entry")
    assert manager.consolidated_orders("t") == []
    fills = manager.consolidated_fills()
    assert [(row["strategy"], row["side"], row["commission"]) for row in fills] == [
        ("s", "BUY", D("1.25")),
        ("t", "SELL", None),
    ]
    assert len(manager.consolidated_fills("t")) == 1


# -- ArcticDB behind


def test_fills_orders_positions_and_equity_of_each_strategy_end_in_arcticdb(manager, host, make) -> None:
    manager.process_events(
        [make.order("ra.1"), make.fill("a.1", 10, "100.25"), make.fill("b.1", -4, "99", strategy="t")]
    )
    manager.process_events([PhaseChanged(at=make.now, strategy="s", phase=StrategyPhase.RUNNING)])
    manager.update_account([make.value("EquityWithLoanValue", "5000"), make.value("NetLiquidation", "5001")])
    manager.flush()
    read = host.store.read
    assert read("fills", "s")["price"].tolist() == [100.25] and read("orders", "s")["event"].tolist() == ["order"]
    assert read("positions", "s")[["symbol", "quantity", "average_price"]].to_numpy().tolist() == [
        ["AAPL", 10.0, 100.25]
    ]
    assert read("positions", "t")["quantity"].tolist() == [-4.0]
    assert read("equity", "account")["net_liquidation"].tolist() == [5001.0]
    assert read("equity", "s")["net"].tolist() == [0.0] and host.store.symbols("equity") == ["account", "s", "t"]
    assert manager.projection_seq == host.journal.last_seq()


def test_equity_is_sampled_once_a_minute_of_market_time(manager, host, make) -> None:
    for seconds in (0, 10, 59, 61, 100, 130):
        host.clock.set(make.now + timedelta(seconds=seconds))
        manager.update_account([make.value("EquityWithLoanValue", str(seconds))])
    manager.flush()
    assert host.store.read("equity", "account")["equity_with_loan"].tolist() == [0.0, 61.0, 130.0]


def test_closing_writes_what_is_left_and_the_next_start_repeats_nothing(open_manager, host, make) -> None:
    first = open_manager()
    first.process_fill(make.fill("a.1", 10, "100"))
    first.close()
    first.close()
    assert len(host.store.read("fills", "s")) == 1
    second = open_manager()
    assert second.projection_seq == host.journal.last_seq()
    second.process_fill(make.fill("a.1", 10, "100"))
    second.flush()
    assert len(host.store.read("fills", "s")) == 1


def test_a_store_that_refuses_stops_nothing_is_said_once_and_is_caught_up(host, make, monkeypatch) -> None:
    from runner.portfolio.portfolio_manager import PortfolioManager

    said = threading.Event()
    notices: list[str] = []

    def listen(events) -> None:
        notices.extend(event.text for _, event in events if isinstance(event, Notice))
        if notices:
            said.set()

    def refuse(*_args) -> None:
        raise StoreError("the bucket is away", hint="wait")

    host.journal.subscribe(listen)
    manager = PortfolioManager(host, base_currency="USD")
    manager.start(flush_interval_s=0.01)
    monkeypatch.setattr(host.store, "append", refuse)
    assert manager.process_fill(make.fill("a.1", 10, "100")).new
    assert said.wait(10)
    assert manager.process_fill(make.fill("b.1", 5, "100")).new and manager.position("s", 1).quantity == 15
    monkeypatch.undo()
    manager.flush()
    assert host.store.read("fills", "s")["exec_id"].tolist() == ["a.1", "b.1"]
    assert host.store.read("positions", "s")["quantity"].tolist() == [15.0]
    manager.close()
    assert len(notices) == 1 and "the bucket is away" in notices[0]


def test_the_tables_can_be_rebuilt_from_the_journal(manager, host, make) -> None:
    manager.process_events([make.order("ra.1"), make.fill("a.1", 10, "100"), make.charge("a.1", "1")])
    manager.flush()
    before = {name: host.store.read("fills", name) for name in host.store.symbols("fills")}
    host.store.write("fills", "s", pd.DataFrame({"nonsense": [1.0]}))
    host.store.delete("positions", "s")
    assert manager.rebuild() == 3
    for name, frame in before.items():
        pd.testing.assert_frame_equal(host.store.read("fills", name), frame)
    assert host.store.read("positions", "s")["quantity"].tolist() == [10.0]
