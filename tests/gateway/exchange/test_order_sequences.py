"""What a client is told about an order, message by message: 5 is openOrder with orderStatus, 3 orderStatus alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from runner.gateway.model import ContractQuery, RequestRefused
from runner.gateway.settings import LiquiditySettings

FLAT = (20.00, 20.50, 19.50, 20.10)
Make = Callable[..., Any]


def test_a_market_order_after_the_close_waits_with_a_warning_and_fills_at_the_next_open(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, (21.37, 22, 21, 21.5))
    desk.step()
    desk.place(1, "BUY", 10, "MKT")
    assert desk.told() == ["1: 5 PreSubmitted", "1: error 399"]
    assert "2013-02-26 09:30:00 US/Eastern" in desk.texts[0]
    desk.step()
    assert desk.told() == ["1: exec 10 @ 21.37", "1: 5 Filled", "1: commission 1.00", "position 10"]
    (execution,) = desk.exchange.executions()
    assert execution.at == desk.steps[1].start
    assert (execution.side, execution.exchange, execution.realized) == ("BOT", "NASDAQ", None)
    assert execution.exec_id.count(".") == 3 and execution.exec_id.endswith(".01.01")


def test_a_market_order_in_the_session_pays_half_the_spread_at_once(make_desk: Make) -> None:
    desk = make_desk(step="1m")
    desk.exchange.quote(265598)
    desk.step(10)
    ask = desk.exchange.quote(265598).ask
    desk.place(1, "BUY", 10, "MKT")
    assert desk.told() == [
        "1: 5 PreSubmitted",
        f"1: exec 10 @ {ask}",
        "1: 5 Filled",
        "1: commission 1.00",
        "position 10",
    ]


def test_at_the_opening_bell_itself_an_order_waits_for_the_opening_price_without_a_warning(bar_desk: Make) -> None:
    desk = bar_desk((20.02, 21, 20, 20.5))
    desk.place(1, "BUY", 1, "MKT")
    desk.step()
    assert desk.told("commission", "position") == ["1: 5 PreSubmitted", "1: exec 1 @ 20.02", "1: 5 Filled"]


def test_a_resting_limit_order_is_submitted_at_the_open_and_filled_when_touched(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, (20, 20.50, 19.50, 20.10), (19.8, 19.9, 19.2, 19.4))
    desk.step()
    desk.place(1, "BUY", 10, "LMT", limit_price=19.3, tif="GTC")
    desk.step()
    assert desk.told() == ["1: 5 PreSubmitted", "1: error 399", "1: 5 Submitted"]
    desk.step()
    assert desk.told("commission") == ["1: exec 10 @ 19.30", "1: 5 Filled", "position 10"]
    assert desk.steps[2].start < desk.executions[0].at < desk.steps[2].end


def test_a_limit_order_in_the_session_is_submitted_at_once(make_desk: Make) -> None:
    desk = make_desk(step="1m")
    desk.step(2)
    desk.place(1, "BUY", 10, "LMT", limit_price=1)
    assert desk.told() == ["1: 5 Submitted"]


@pytest.mark.parametrize("order_type", ["STP", "TRAIL"])
def test_a_stop_is_held_for_its_trigger_then_submitted_then_filled(bar_desk: Make, order_type: str) -> None:
    desk = bar_desk(FLAT, (20, 20.50, 19.50, 20.10), (19.8, 19.9, 18.0, 18.4))
    desk.step()
    aux = 18.5 if order_type == "STP" else 1.5
    desk.place(1, "SELL", 10, order_type, aux_price=aux, tif="GTC")
    desk.step()
    assert desk.told() == ["1: 5 PreSubmitted trigger", "1: error 399"]
    desk.step()
    price = "18.49" if order_type == "STP" else "18.99"  # the trail follows the high of 20.50; half a spread is a cent
    assert desk.told("commission") == ["1: 5 Submitted", f"1: exec 10 @ {price}", "1: 5 Filled", "position -10"]


def test_market_and_limit_on_close_fill_at_the_close_inside_their_session(bar_desk: Make) -> None:
    desk = bar_desk((20, 20.50, 19.50, 20.10))
    desk.place(1, "BUY", 10, "MOC")
    desk.place(2, "BUY", 10, "LOC", limit_price=20.20)
    desk.place(3, "BUY", 10, "LOC", limit_price=20.05)
    desk.step()
    assert desk.fills == [(1, "10", "20.10"), (2, "10", "20.10")]
    assert {e.at for e in desk.executions} == {desk.steps[0].end - timedelta(seconds=1)}
    assert desk.told()[-2:] == ["3: 3 Cancelled", "3: error 202"]


def test_an_untransmitted_order_is_invisible_until_it_is_placed_again_with_transmit(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    desk.place(1, "BUY", 10, "LMT", limit_price=19, transmit=False)
    assert desk.told() == [] and desk.exchange.open_orders() == []
    desk.place(1, "BUY", 10, "LMT", limit_price=19)
    assert desk.told() == ["1: 5 PreSubmitted", "1: error 399"]
    assert [order.order_id for order in desk.exchange.open_orders(1)] == [1]


def bracket(desk: Any, parent: str = "MKT", **more: Any) -> None:
    desk.place(1, "BUY", 10, parent, transmit=False, tif="GTC", **more)
    desk.place(2, "SELL", 10, "LMT", limit_price=22, parent_id=1, transmit=False, tif="GTC")
    desk.place(3, "SELL", 10, "STP", aux_price=18, parent_id=1, tif="GTC")


def test_a_bracket_is_released_by_its_last_child_and_the_first_child_to_fill_cancels_its_sibling(
    bar_desk: Make,
) -> None:
    desk = bar_desk(FLAT, FLAT, (20, 23, 19.5, 22.5))
    desk.step()
    bracket(desk)
    assert desk.told("error 399") == ["1: 5 PreSubmitted", "2: 5 PreSubmitted child", "3: 5 PreSubmitted child"]
    desk.step()
    assert desk.told("commission", "position") == [
        "1: exec 10 @ 20.00", "1: 5 Filled", "2: 5 Submitted", "3: 5 PreSubmitted trigger",
    ]  # fmt: skip
    desk.step()
    assert desk.told("commission", "position") == [
        "2: exec 10 @ 22.00", "2: 5 Filled", "3: 3 Cancelled", "3: error 202",
    ]  # fmt: skip
    assert desk.exchange.positions() == []


def test_when_a_bar_holds_stop_and_target_the_stop_comes_first(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, (20, 23, 17, 20))
    desk.step()
    bracket(desk)
    desk.step()
    assert desk.fills == [(1, "10", "20.00"), (3, "10", "17.99")]


def test_children_of_a_parent_that_fills_inside_a_bar_count_only_on_what_surely_follows(bar_desk: Make) -> None:
    # The parent buys at 19 on the way down; the high of 23 may have been before, the low of 17 surely comes after.
    desk = bar_desk(FLAT, (20, 23, 18.5, 19), (20, 20, 17, 19))
    desk.step()
    bracket(desk, "LMT", limit_price=19)
    desk.step()
    assert desk.fills == [(1, "10", "19.00")]
    desk.step()
    assert desk.fills[1:] == [(3, "10", "17.99")]


def test_cancelling_the_parent_cancels_the_children(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    bracket(desk, "LMT", limit_price=15)
    desk.told()
    desk.exchange.cancel(1, 1)
    assert desk.told() == [
        "1: 3 Cancelled", "1: error 202", "2: 3 Cancelled", "2: error 202", "3: 3 Cancelled", "3: error 202",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("oca_type", "others"),
    [(1, ["2: 3 Cancelled", "2: error 202"]), (2, ["2: 5 Submitted"]), (3, ["2: 5 Submitted"])],
)
def test_a_partial_fill_cancels_or_reduces_the_group(bar_desk: Make, oca_type: int, others: list[str]) -> None:
    liquidity = LiquiditySettings(participation=Decimal("0.1"), displayed_fraction=None)
    desk = bar_desk(FLAT, (20, 20.5, 19.5, 20, 400), liquidity=liquidity)
    desk.step()
    group = {"oca_group": "g", "oca_type": oca_type, "tif": "GTC"}
    desk.place(1, "BUY", 100, "LMT", limit_price=19.8, **group)
    desk.place(2, "BUY", 200, "LMT", limit_price=15, **group)
    desk.step()
    lines = desk.told("commission", "position")
    assert "1: exec 40 @ 19.80" in lines and lines[-len(others) :] == others
    if oca_type != 1:
        assert desk.exchange.open_orders()[1].terms.quantity == 120  # 40 of 100 is 80 of 200


def test_partial_fills_one_report_each_and_the_minimum_commission_once(bar_desk: Make) -> None:
    liquidity = LiquiditySettings(participation=Decimal("0.5"), displayed_fraction=None)
    desk = bar_desk(FLAT, (20, 20, 20, 20, 100), (20, 20, 20, 20, 100), (20, 20, 20, 20, 500), liquidity=liquidity)
    desk.step()
    desk.place(1, "BUY", 250, "MKT", tif="GTC")
    desk.told()
    desk.step()
    assert desk.told() == ["1: exec 50 @ 20.00", "1: 5 Submitted", "1: commission 1.00", "position 50"]
    desk.step(2)
    assert desk.told("position") == [
        "1: exec 50 @ 20.00", "1: 5 Submitted", "1: commission 0.00",
        "1: exec 150 @ 20.00", "1: 5 Filled", "1: commission 0.25",
    ]  # fmt: skip
    assert desk.exchange.completed_orders()[0].completed_status == "Filled Size: 250"


@pytest.mark.parametrize(
    ("tif", "told"),
    [
        ("IOC", ["1: exec 50 @ 20.00", "1: 5 Submitted", "1: 3 PendingCancel", "1: 3 Cancelled", "1: error 202"]),
        ("FOK", ["1: 3 Inactive"]),
        ("OPG", ["1: exec 50 @ 20.00", "1: 5 Submitted", "1: 3 Cancelled", "1: error 202"]),
        ("DAY", ["1: exec 50 @ 20.00", "1: 5 Submitted", "1: 3 Cancelled", "1: error 202"]),
        ("GTC", ["1: exec 50 @ 20.00", "1: 5 Submitted"]),
    ],
)
def test_time_in_force_decides_what_becomes_of_the_rest(bar_desk: Make, tif: str, told: list[str]) -> None:
    liquidity = LiquiditySettings(participation=Decimal("0.5"), displayed_fraction=None)
    desk = bar_desk(FLAT, (20, 20, 20, 20, 100), liquidity=liquidity)
    desk.step()
    desk.place(1, "BUY", 80, "LMT", limit_price=20, tif=tif)
    desk.told()
    desk.step()
    assert desk.told("commission", "position") == told


def test_an_all_or_none_order_waits_until_all_of_it_can_fill(bar_desk: Make) -> None:
    liquidity = LiquiditySettings(participation=Decimal("0.5"), displayed_fraction=None)
    desk = bar_desk(FLAT, (20, 20, 20, 20, 100), (20, 20, 20, 20, 400), liquidity=liquidity)
    desk.step()
    desk.place(1, "BUY", 80, "MKT", tif="GTC", all_or_none=True)
    desk.step(2)
    assert desk.fills == [(1, "80", "20.00")]
    assert desk.executions[0].at == desk.steps[2].start


def test_the_quote_fills_no_more_than_it_shows_and_the_next_bars_the_rest(make_desk: Make) -> None:
    liquidity = LiquiditySettings(participation=Decimal("0.1"), displayed_fraction=Decimal("0.00001"))
    desk = make_desk(step="1m", liquidity=liquidity)
    desk.exchange.quote(265598)
    desk.step(5)
    quote = desk.exchange.quote(265598)
    assert quote.ask_size == 100
    desk.place(1, "BUY", 250, "MKT")
    desk.place(2, "BUY", 10, "LMT", limit_price=quote.ask)  # the quote is used up
    assert desk.told("commission", "position") == [
        "1: 5 PreSubmitted", f"1: exec 100 @ {quote.ask}", "1: 5 Submitted", "2: 5 PreSubmitted", "2: 5 Submitted",
    ]  # fmt: skip
    desk.step()
    opened = desk.steps[-1].bars[265598].open
    assert desk.fills[1] == (1, "150", str(opened + Decimal("0.01")))


def test_modify_keeps_the_status_and_may_make_the_order_marketable(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, FLAT, (20, 20.5, 19.5, 20))
    desk.step()
    desk.place(1, "BUY", 10, "LMT", limit_price=15, tif="GTC")
    desk.step()
    desk.told()
    desk.place(1, "BUY", 20, "LMT", limit_price=19.6, tif="GTC")
    assert desk.told("error 399") == ["1: 5 Submitted"]
    desk.step()
    assert desk.told("commission", "position") == ["1: exec 20 @ 19.60", "1: 5 Filled"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"action": "SELL"}, 105),
        ({"limit_price": "15.005"}, 110),
        ({"quantity": 0}, 434),
        ({"order_type": "BEST"}, 321),
        ({"quantity": 10_000_000}, 201),
    ],
)
def test_a_refused_change_leaves_the_order_as_it_was(bar_desk: Make, change: dict[str, Any], code: int) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    desk.place(1, "BUY", 10, "LMT", limit_price=15)
    desk.told()
    told = {"action": "BUY", "quantity": 10, "order_type": "LMT", "limit_price": 15} | change
    desk.place(1, told.pop("action"), told.pop("quantity"), told.pop("order_type"), **told)
    assert desk.told() == [f"1: error {code}"]
    (order,) = desk.exchange.open_orders()
    assert (order.terms.quantity, order.terms.limit_price, order.status) == (10, 15, "PreSubmitted")


def test_cancel_and_its_refusals(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    desk.place(1, "BUY", 10, "LMT", limit_price=15)
    desk.place(2, "BUY", 10, "MKT")
    desk.told()
    desk.exchange.cancel(1, 1)
    assert desk.told() == ["1: 3 Cancelled", "1: error 202"]
    desk.step()
    desk.told()
    desk.exchange.cancel(1, 2)
    desk.exchange.cancel(1, 77)
    assert desk.told() == ["2: error 10148", "77: error 10147"]
    assert desk.texts[-2:] == [
        "OrderId 2 that needs to be cancelled cannot be cancelled, state: Filled.",
        "OrderId 77 that needs to be cancelled is not found.",
    ]


def test_an_order_is_cancelled_by_its_own_client_or_by_the_master(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    desk.place(9, "BUY", 10, "LMT", limit_price=15, client=3)
    desk.told()
    desk.exchange.cancel(2, 9)
    assert desk.told() == ["9: error 10147"]
    desk.exchange.cancel(0, 9, master=True)
    assert desk.told() == ["9: 3 Cancelled", "9: error 202"]


def test_global_cancel_ends_every_clients_orders(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    for client in (1, 2):
        desk.place(1, "BUY", 10, "LMT", limit_price=15, client=client)
    desk.told()
    desk.exchange.global_cancel()
    assert desk.told() == ["1: 3 Cancelled", "1: error 202"] * 2


def test_order_ids_belong_to_clients_and_are_used_once(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    assert (desk.exchange.next_order_id(1), desk.exchange.next_order_id(2)) == (1, 1)
    desk.place(5, "BUY", 10, "MKT")
    desk.step()
    desk.told()
    desk.place(5, "BUY", 10, "MKT")
    desk.place(4, "BUY", 10, "MKT")
    assert desk.told() == ["5: error 104", "4: error 103"]
    assert (desk.exchange.next_order_id(1), desk.exchange.next_order_id(2)) == (6, 1)


REFUSED = [
    ({"order_type": "NONSENSE"}, 321, "Invalid order type"),
    ({"tif": "FOREVER"}, 321, "Invalid time in force"),
    ({"account": "DU999"}, 321, "Invalid account code"),
    ({"action": "HOLD"}, 321, "Invalid order action"),
    ({"contract": ContractQuery(symbol="NOPE", sec_type="STK", currency="USD", exchange="SMART")}, 200, "No security"),
    ({"contract": ContractQuery(symbol="SAP", sec_type="STK", exchange="SMART")}, 200, "ambiguous"),
    ({"limit_price": "19.999"}, 110, "minimum price variation"),
    ({"limit_price": None}, 321, "limit price"),
    ({"quantity": 0}, 434, "zero"),
    ({"quantity": "1.5"}, 10243, "Fractional"),
    ({"parent_id": 99}, 135, "Can't find order"),
    ({"tif": "GTD", "good_till_date": "soon"}, 321, "good till date"),
    ({"contract": ContractQuery(con_id=12087792), "order_type": "MOC"}, 387, "Unsupported order type"),
    ({"cash_quantity": Decimal(100)}, 10244, "Cash Quantity"),
]


@pytest.mark.parametrize(("change", "code", "words"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_an_order_that_cannot_be_is_refused_without_a_status(
    bar_desk: Make, change: dict[str, Any], code: int, words: str
) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    told = {"action": "BUY", "quantity": 10, "order_type": "LMT", "limit_price": 19} | change
    desk.place(1, told.pop("action"), told.pop("quantity"), told.pop("order_type"), **told)
    assert desk.told() == [f"1: error {code}"]
    assert words in desk.texts[0]
    assert desk.exchange.open_orders() == [] and desk.exchange.completed_orders() == []
    # The number is used up for nextValidId, but the corrected order may come under it.
    assert desk.exchange.next_order_id(1) == 2
    desk.place(1, "BUY", 10, "LMT", limit_price=19)
    assert desk.told() == ["1: 5 PreSubmitted", "1: error 399"]


@pytest.mark.parametrize(
    ("contract", "quantity", "words"),
    [
        (None, 1_000_000, "MUST EXCEED THE INITIAL MARGIN"),
        (ContractQuery(con_id=416904), 1, "not available for trading"),
    ],
)
def test_a_rejected_order_is_inactive_and_uses_up_its_id(
    bar_desk: Make, contract: ContractQuery | None, quantity: int, words: str
) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    more = {} if contract is None else {"contract": contract}
    desk.place(1, "BUY", quantity, "MKT", **more)
    assert desk.told() == ["1: error 201", "1: 3 Inactive"]
    assert words in desk.texts[0]
    desk.place(1, "BUY", 1, "MKT")
    assert desk.told() == ["1: error 103"]


def test_working_orders_count_towards_margin_and_reducing_orders_always_pass(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, FLAT, (10, 10, 5, 5), FLAT)
    desk.step()
    desk.place(1, "BUY", 90_000, "MKT")  # 1.8 M for an equity of 1 M
    desk.place(2, "BUY", 20_000, "MKT")
    assert desk.told("error 399") == ["1: 5 PreSubmitted", "2: error 201", "2: 3 Inactive"]
    desk.step(2)
    desk.told()
    desk.place(3, "BUY", 1, "MKT")
    desk.place(4, "SELL", 90_000, "MKT")
    assert desk.told("error 399") == ["3: error 201", "3: 3 Inactive", "4: 5 PreSubmitted"]


def test_what_if_tells_margins_and_commission_and_keeps_nothing(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    order, answer = desk.exchange.what_if(1, desk.terms(1, "BUY", 1000, "MKT", what_if=True))
    assert desk.told() == [] and desk.exchange.open_orders() == [] and desk.exchange.next_order_id(1) == 1
    assert order.perm_id and order.status == "PreSubmitted"
    assert (answer.init_change, answer.maint_change, answer.commission) == (10050, 5025, 5)
    with pytest.raises(RequestRefused, match="321"):
        desk.exchange.what_if(1, desk.terms(1, "BUY", 1000, "LMT"))


def test_an_order_with_conditions_is_kept_and_shown_and_never_fills(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, FLAT)
    desk.step()
    desk.place(1, "BUY", 10, "MKT", tif="GTC", echo={"conditions": [["1", "a", "1", "5.0", "1", "SMART", "0"]]})
    desk.step()
    assert desk.told("error 399") == ["1: 5 PreSubmitted conditions"]


def test_good_after_time_and_good_till_date_bound_an_orders_life(bar_desk: Make) -> None:
    desk = bar_desk(FLAT, (20, 21, 19, 20), (21, 21, 19, 20), (22, 22, 22, 22))
    desk.step()
    desk.place(1, "BUY", 1, "MKT", tif="GTC", good_after_time="20130227 09:00:00 US/Eastern")
    desk.place(2, "BUY", 1, "LMT", limit_price=5, tif="GTD", good_till_date="20130226-20:00:00")
    desk.step()
    assert desk.told("error 399") == [
        "1: 5 PreSubmitted", "2: 5 PreSubmitted", "2: 5 Submitted", "2: 3 Cancelled", "2: error 202",
    ]  # fmt: skip
    desk.step()
    assert desk.fills == [(1, "1", "21.00")]


def test_market_to_limit_rests_at_the_price_of_its_first_fill(bar_desk: Make) -> None:
    liquidity = LiquiditySettings(participation=Decimal("0.5"), displayed_fraction=None)
    desk = bar_desk(FLAT, (20, 20, 20, 20, 100), (21, 21, 20.5, 21, 400), (20, 20, 19, 20, 400), liquidity=liquidity)
    desk.step()
    desk.place(1, "BUY", 80, "MTL", tif="GTC")
    desk.step(3)
    assert desk.fills == [(1, "50", "20.00"), (1, "30", "20.00")]
    assert desk.executions[1].at == desk.steps[3].start
