"""The books agree with the executions to the cent, in every currency."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.gateway.books import Books, CurrencyWithoutPair, Rates
from runner.gateway.commissions import order_commission
from runner.gateway.contracts import simulated_listings, stock
from runner.gateway.model import Contract, ContractQuery, Execution

D = Decimal
Make = Callable[..., Any]
ACCOUNT = "DU1234567"
CONTRACTS = {listing.contract.con_id: listing.contract for listing in simulated_listings()}
EURUSD, USDJPY, USDCHF, EURGBP, ESH3, SAP = (
    CONTRACTS[i] for i in (12087792, 15016059, 12087820, 12087807, 900201303, 14204)
)
AAPL = stock("AAPL")


class Board:
    """Prices that a test sets."""

    def __init__(self, **prices: str) -> None:
        self.prices = {CONTRACTS[12087792].con_id: D("1.25"), USDJPY.con_id: D(100), USDCHF.con_id: D("0.8")}

    def price(self, con_id: int) -> Decimal | None:
        return self.prices.get(con_id)


def make_books(board: Board, base: str = "USD") -> Books:
    pairs = {(c.symbol, c.currency): c.con_id for c in CONTRACTS.values() if c.sec_type == "CASH"}
    return Books([ACCOUNT], {base: D(100_000)}, Rates(base, pairs, board), board)


@pytest.mark.parametrize(
    ("contract", "quantity", "value", "commission"),
    [
        (AAPL, 100, 40_000, "1.00"),
        (AAPL, 1000, 400_000, "5.00"),
        (AAPL, 201, 80_000, "1.01"),
        (AAPL, 1, 20, "0.20"),
        (AAPL, 0, 0, "0"),
        (SAP, 100, 6_000, "3.00"),
        (SAP, 1000, 60_000, "30.00"),
        (ESH3, 3, 225_000, "6.75"),
        (EURUSD, 20_000, 26_000, "2.00"),
        (EURUSD, 1_000_000, 1_300_000, "26.00"),
    ],
)
def test_commissions(contract: Contract, quantity: int, value: int, commission: str) -> None:
    assert order_commission(contract, D(quantity), D(value)) == D(commission)


def test_average_cost_and_realised_profit_include_commissions() -> None:
    board = Board()
    books = make_books(board)
    assert books.fill(ACCOUNT, AAPL, D(100), D("10.00"), D("1.00"), "USD") is None
    assert books.fill(ACCOUNT, AAPL, D(100), D("12.00"), D("1.00"), "USD") is None
    line = books.line(ACCOUNT, AAPL.con_id)
    assert (line.quantity, line.average_cost) == (200, D("11.01"))
    assert books.fill(ACCOUNT, AAPL, D(-50), D("13.00"), D("1.00"), "USD") == D("98.50")  # 50 × (13 − 11.01) − 1
    assert books.line(ACCOUNT, AAPL.con_id).average_cost == D("11.01")


def test_a_fill_through_zero_closes_one_position_and_opens_the_other() -> None:
    books = make_books(Board())
    books.fill(ACCOUNT, AAPL, D(100), D("10.00"), D("1.00"), "USD")
    realized = books.fill(ACCOUNT, AAPL, D(-300), D("11.00"), D("1.50"), "USD")
    assert realized == D("98.50")  # 100 × 1 − 1 for opening − a third of 1.50
    line = books.line(ACCOUNT, AAPL.con_id)
    assert (line.quantity, line.average_cost) == (-200, D("10.995"))


def test_a_currency_trade_moves_the_cash_of_both_currencies() -> None:
    books = make_books(Board())
    books.fill(ACCOUNT, EURUSD, D(20_000), D("1.25"), D("2.00"), "USD")
    account = books.accounts[ACCOUNT]
    assert account.cash == {"USD": D(100_000) - 25_000 - 2, "EUR": D(20_000)}
    assert books.equity(account) == 100_000 - 2


def test_a_future_settles_its_result_when_closed() -> None:
    board = Board()
    board.prices[ESH3.con_id] = D(1510)
    books = make_books(board)
    account = books.accounts[ACCOUNT]
    books.fill(ACCOUNT, ESH3, D(2), D(1500), D("4.50"), "USD")
    assert account.cash["USD"] == D("99995.50")
    assert books.equity(account) == D("99995.50") + 1000
    assert books.fill(ACCOUNT, ESH3, D(-2), D(1510), D("4.50"), "USD") == 991
    assert account.cash["USD"] == books.equity(account) == D(100_991)


def test_rates_go_through_the_dollar_and_a_missing_pair_is_reported_not_invented() -> None:
    rates = make_books(Board(), base="EUR").rates
    assert rates.rate("USD") == D("0.8")
    assert rates.rate("JPY") == D("0.008")
    with pytest.raises(CurrencyWithoutPair):
        rates.rate("SEK")
    missing: list[str] = []
    books = Books([ACCOUNT], {"EUR": D(1), "SEK": D(5)}, rates, Board(), missing.append)
    assert books.equity(books.accounts[ACCOUNT]) == 1
    assert set(missing) == {"SEK"}


PRICE = st.integers(100, 90_000).map(lambda cents: D(cents) / 100)
TRADE = st.tuples(st.sampled_from([AAPL, SAP, ESH3, EURUSD]), st.integers(-400, 400).filter(bool), PRICE)


@settings(max_examples=120, deadline=None)
@given(trades=st.lists(TRADE, max_size=25))
def test_cash_is_what_was_paid_and_realised_plus_open_results_are_what_was_gained(
    trades: list[tuple[Contract, int, Decimal]],
) -> None:
    board = Board()
    books = make_books(board)
    account = books.accounts[ACCOUNT]
    paid = {"USD": D(100_000)}
    totals: dict[int, Decimal] = {}
    for contract, quantity, price in trades:
        board.prices[contract.con_id] = price
        fee = order_commission(contract, D(abs(quantity)), abs(quantity) * price * contract.multiplier)
        realized = books.fill(ACCOUNT, contract, D(quantity), price, fee, contract.currency)
        money = quantity * price * contract.multiplier
        totals[contract.con_id] = totals.get(contract.con_id, D(0)) - money - fee
        if contract.sec_type != "FUT":
            paid[contract.currency] = paid.get(contract.currency, D(0)) - money
        paid[contract.currency] = paid.get(contract.currency, D(0)) - fee
        if contract.sec_type == "CASH":
            paid["EUR"] = paid.get("EUR", D(0)) + quantity
        assert realized is None or realized.is_finite()
    stocks_only = all(contract.sec_type != "FUT" for contract, *_ in trades)
    if stocks_only:
        assert {c: v for c, v in account.cash.items() if v} == {c: v for c, v in paid.items() if v}
    for con_id, total in totals.items():
        holding = account.holdings[con_id]
        gained = total + (holding.value(board.price(con_id)) if holding.quantity else 0)
        assert abs(gained - holding.realized - books.unrealized(holding)) < D("0.000001")
        assert holding.day_flow == -total


def replayed_cash(executions: list[Execution], start: Decimal) -> Decimal:
    cash = start
    for e in executions:
        signed = e.quantity if e.side == "BOT" else -e.quantity
        cash -= signed * e.price * e.order.contract.multiplier + e.commission
    return cash


def test_after_many_sessions_the_books_agree_with_the_executions_to_the_cent(make_desk: Make) -> None:
    desk = make_desk(start=date(2012, 11, 1), end=date(2013, 3, 1))
    ids = (265598, 272093, 8314)
    order_id = 0
    while desk.exchange.step() is not None:
        for con_id in ids:
            order_id += 1
            side = "BUY" if (order_id * 7) % 5 < 3 else "SELL"
            desk.place(order_id, side, 10 + order_id % 90, "MKT", contract=ContractQuery(con_id=con_id))
    assert len(desk.executions) > 200
    rows = {(row.tag, row.currency): row.value for row in desk.exchange.account_rows(ACCOUNT)}
    cash = replayed_cash(desk.executions, D(1_000_000))
    assert D(rows["TotalCashBalance", "USD"]) == D(rows["TotalCashBalance", "BASE"]) == cash
    value = sum(line.market_value for line in desk.exchange.positions(ACCOUNT))
    assert D(rows["NetLiquidation", "USD"]) == D(rows["EquityWithLoanValue", "USD"]) == cash + value
    held = {line.contract.con_id: line.quantity for line in desk.exchange.positions()}
    for con_id in ids:
        signed = [
            e.quantity if e.side == "BOT" else -e.quantity for e in desk.executions if e.order.contract.con_id == con_id
        ]
        assert held.get(con_id, 0) == sum(signed)


def test_daily_profit_is_todays_equity_less_yesterdays_and_the_positions_make_it_up(make_desk: Make) -> None:
    desk = make_desk(start=date(2013, 2, 25))
    desk.step()
    desk.place(1, "BUY", 100, "MKT")
    desk.step(2)
    desk.place(2, "SELL", 40, "MKT")
    desk.place(3, "BUY", 10, "MKT", contract=ContractQuery(con_id=8314))
    before = D({r.tag: r.value for r in desk.exchange.account_rows(ACCOUNT)}["NetLiquidation"])
    desk.step()
    daily, unrealized, realized = desk.exchange.pnl(ACCOUNT)
    after = D({r.tag: r.value for r in desk.exchange.account_rows(ACCOUNT)}["NetLiquidation"])
    assert daily == after - before
    singles = [desk.exchange.pnl_single(ACCOUNT, con_id) for con_id in (265598, 8314)]
    assert sum(single[1] for single in singles) == daily
    assert sum(single[2] for single in singles) == unrealized
    assert sum(single[3] for single in singles) == realized
    assert desk.exchange.pnl_single(ACCOUNT, 272093) is None


def test_account_rows_speak_of_every_currency_and_of_the_base(make_desk: Make) -> None:
    desk = make_desk(cash={"USD": D(1000), "EUR": D(500), "SEK": D(70)}, accounts=("DU1", "DU2"))
    rows = desk.exchange.account_rows("DU2")
    assert [(r.currency, r.value) for r in rows if r.tag == "CashBalance"] == [
        ("USD", "1000.00"), ("EUR", "500.00"), ("SEK", "70.00"),
        ("BASE", f"{1000 + 500 * desk.exchange.quote(12087792).last:.2f}"),
    ]  # fmt: skip
    rates = {r.currency: r.value for r in rows if r.tag == "ExchangeRate"}
    assert rates["USD"] == "1.0000000" and rates["SEK"] == "" and float(rates["EUR"]) > 1
    assert desk.exchange.missing_rates == {"SEK"}
    (equity,) = [r for r in rows if r.tag == "EquityWithLoanValue"]
    assert equity.currency == "USD"


def test_an_expired_future_becomes_cash(make_desk: Make) -> None:
    desk = make_desk(start=date(2013, 3, 13))
    desk.exchange.quote(900201303)
    desk.step()
    desk.place(1, "BUY", 1, "MKT", contract=ContractQuery(con_id=900201303))
    assert len(desk.exchange.positions()) == 1
    desk.step(8)
    assert desk.exchange.positions() == []
    desk.told()
    desk.place(2, "BUY", 1, "MKT", contract=ContractQuery(con_id=900201303))
    assert desk.told() == ["2: error 201", "2: 3 Inactive"]
