"""Our books beside IB's, to the cent; and the rows of the report."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.model.instruments import SecType
from runner.portfolio.reconciliation import (
    account_realized,
    compare_cash,
    compare_positions,
    compare_realized,
    expected_cash,
)
from runner.portfolio.report import books_of, strategy_lines

D = Decimal


def test_cash_is_start_plus_fills_minus_commissions_in_each_currency(make) -> None:
    sap = make.stock(2, "SAP", "EUR")
    pair = make.stock(3, "EUR", "USD", sec_type=SecType.FOREX, exchange="IDEALPRO")
    fills = [
        make.fill("a.01", 100, "10"), make.fill("a.02", 90, "10"), make.fill("b.1", -40, "11.005", minute=1),
        make.fill("c.1", 10, "50", instrument=sap), make.fill("d.1", 20000, "1.10", instrument=pair),
    ]  # fmt: skip
    charges = [
        make.charge("a.01", "1.00"),
        make.charge("a.02", "0.9"),
        make.charge("c.1", "2", "EUR"),
        make.charge("zz.1", "9"),
    ]
    cash = expected_cash({"USD": D(100000)}, fills, charges)
    assert cash == {"USD": D(100000) - 900 + D("440.200") - 22000 - D("0.9"), "EUR": D(-500) - 2 + 20000}


def test_a_future_moves_cash_only_by_what_closing_it_realises(make) -> None:
    future = make.stock(7, "ES", sec_type=SecType.FUTURE, multiplier=D(50))
    opened = [make.fill("a.1", 2, "5000", instrument=future)]
    assert expected_cash({"USD": D(100)}, opened, []) == {"USD": D(100)}
    closed = [*opened, make.fill("b.1", -1, "5010", instrument=future, minute=1)]
    assert expected_cash({"USD": D(100)}, closed, [make.charge("b.1", "2.25")]) == {"USD": D(100) + 500 - D("2.25")}


def test_lines_agree_to_the_cent_and_name_what_they_compare(make) -> None:
    fills = [make.fill("a.1", "0.333", "10.001")]
    (line,) = compare_cash({"USD": D(10)}, fills, [], {"USD": D("6.67")})
    assert (line.what, line.agrees, line.ours) == ("cash USD", True, D("6.67"))
    lines = compare_cash({"USD": D(10)}, fills, [], {"USD": D("6.68"), "EUR": D("0.004")})
    assert [(one.what, one.agrees) for one in lines] == [("cash EUR", True), ("cash USD", False)]


def test_positions_are_compared_exactly_over_all_strategies(make) -> None:
    ibm = make.stock(2, "IBM")
    fills = [
        make.fill("a.1", 10, "1"), make.fill("b.1", -4, "1", strategy="t"),
        make.fill("c.1", 5, "1", instrument=ibm), make.fill("d.1", -5, "1", instrument=ibm, minute=1),
    ]  # fmt: skip
    lines = compare_positions(fills, {1: D(6), 9: D(1), 8: D(0), 5: D(7)}, before={5: D(7)}, names={9: "MSFT"})
    assert [(one.what, one.ours, one.theirs, one.agrees) for one in lines] == [
        ("position 5", 7, 7, True), ("position AAPL", 6, 6, True), ("position IBM", 0, 0, True),
        ("position MSFT", 0, 1, False),
    ]  # fmt: skip


def test_realised_profit_is_counted_as_ib_does_netted_and_with_commissions(make) -> None:
    fills = [
        make.fill("a.1", 10, "100"),
        make.fill("b.1", -4, "110", strategy="t", minute=1),
        make.fill("c.1", -10, "90", minute=2),
    ]
    charges = [make.charge("a.1", "1.00"), make.charge("b.1", "0.40"), make.charge("c.1", "1.00")]
    # b closes 4 of a: 40 − 0.40 − 4/10 of a's 1.00; c closes 6: −60 − 6/10 of its own 1.00 − 6/10 of a's, opens −4.
    assert account_realized(fills, charges) == {"USD": D(40) - D("0.40") - D("0.40") - 60 - D("0.60") - D("0.60")}
    (line,) = compare_realized(fills, charges, {"USD": D("-22.00")})
    assert line.agrees and line.what == "realised P&L USD"


@given(
    st.lists(
        st.tuples(st.decimals(-50, 50, places=0), st.decimals(1, 200, places=2), st.decimals(0, 3, places=2)),
        max_size=10,
    )
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_once_flat_ibs_realised_profit_is_the_cash_that_came_in(make, story) -> None:
    """Whatever happened in between, and in whichever strategy."""
    total = sum((quantity for quantity, _, _ in story), D(0))
    story = [*story, (-total, D("77.77"), D("0.5"))]
    fills = [make.fill(f"e{i}.1", q, p, minute=i, strategy="st"[i % 2]) for i, (q, p, _) in enumerate(story)]
    charges = [make.charge(f"e{i}.1", c) for i, (q, _, c) in enumerate(story) if q]
    cash = expected_cash({}, fills, charges).get("USD", D(0))
    assert abs(account_realized(fills, charges).get("USD", D(0)) - cash) < D("1e-9")


def test_the_report_has_a_line_per_strategy_in_base_currency(make) -> None:
    sap = make.stock(2, "SAP", "EUR")
    fills = [
        make.fill("a.1", 10, "100", order_ref="o1"), make.fill("b.1", 10, "102", order_ref="o1", minute=1),
        make.fill("c.1", -15, "105", order_ref="o2", minute=2), make.fill("d.1", -20, "50", instrument=sap),
        make.fill("e.1", 5, "10", strategy="t"), make.fill("f.1", -5, "12", strategy="t", minute=1),
    ]  # fmt: skip
    charges = [make.charge("a.1", "1"), make.charge("d.1", "2", "EUR"), make.charge("f.1", "0.5", strategy="t")]
    books = books_of(fills, charges)
    one, two = strategy_lines(books, {1: D(110), 2: D(49)}, {"USD": D(1), "EUR": D("1.10")}.__getitem__)
    assert (one.strategy, one.orders, one.fills) == ("s", 3, 4)
    assert (one.realized, one.unrealized, one.commissions) == (D(60), D(45) + D("22.00"), D("3.20"))
    assert (one.gross, one.net) == (D(127), D("123.80"))
    assert (one.gross_exposure, one.net_exposure) == (D(550) + D(1078), D(550) - D(1078))
    assert (one.bought, one.sold) == (D(2020), D(1575) + D(1100))
    assert [(line.symbol, line.quantity, line.average_price, line.market_price) for line in one.positions] == [
        ("AAPL", 5, 101, 110),
        ("SAP", -20, 50, 49),
    ]
    assert (two.realized, two.net, two.positions, two.gross_exposure) == (D(10), D("9.5"), (), 0)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_report_does_not_depend_on_the_order_of_facts(make, order) -> None:
    fills = [make.fill("a.1", 10, "100"), make.fill("b.1", -5, "103", minute=1), make.fill("c.1", -5, "104", minute=2)]
    lines = strategy_lines(books_of([fills[i] for i in order], []), {}, lambda _currency: D(1))
    assert (lines[0].realized, lines[0].fills) == (D(35), 3)
