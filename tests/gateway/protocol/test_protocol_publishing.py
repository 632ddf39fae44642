"""Who is told what, and when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from raw_client import AAPL, RawClient, place_order
from small_exchange import START

Serve = Callable[..., Awaitable[Any]]


def ids(messages: list[list[str]]) -> list[str]:
    return [fields[0] for fields in messages]


async def test_orders_are_seen_by_their_client_and_the_master_only(serve: Serve) -> None:
    _, _, port = await serve(master_client_id=9)
    own, master, other, zero = [await RawClient.connect(port, number) for number in (1, 9, 2, 0)]
    own.send(*place_order(1))
    assert ids(await own.fence()) == ["5", "3", "11", "5", "3", "59"]
    assert ids(await master.fence()) == ["5", "3", "11", "5", "3", "59"]
    assert await other.fence() == []
    assert await zero.fence() == []
    own.send(4, 1, 77, "")
    assert [fields[2:4] for fields in await own.fence()] == [["77", "10147"]]
    assert await master.fence() == [], "another client's errors would hit the master's own orders"
    for client, expected in ((own, 1), (master, 1), (other, 0)):
        client.send(7, 3, 40, 0, "", "", "", "", "", "")
        assert ids(await client.fence()) == ["11", "59"] * expected + ["55"]


async def test_without_a_master_nobody_sees_others_orders(serve: Serve) -> None:
    _, _, port = await serve(master_client_id=None)
    own, zero = await RawClient.connect(port, 1), await RawClient.connect(port, 0)
    own.send(*place_order(1))
    await own.fence()
    assert await zero.fence() == []


async def test_open_orders_are_ones_own_and_all_open_orders_everybodys(serve: Serve) -> None:
    _, _, port = await serve(steps=0)
    first, second = await RawClient.connect(port, 1), await RawClient.connect(port, 2)
    first.send(*place_order(1, type="LMT", limit="50"))
    await first.fence()
    second.send(5, 1)
    assert ids(await second.fence()) == ["53"]
    second.send(16, 1)
    assert ids(await second.fence()) == ["5", "3", "53"]
    second.send(15, 1, 1)
    assert (await second.fence())[0][3] == "321"


async def test_positions_go_to_every_subscriber_until_cancelled(serve: Serve) -> None:
    _, _, port = await serve()
    trading, watching = await RawClient.connect(port, 1), await RawClient.connect(port, 2)
    watching.send(61, 1)
    watching.send(74, 1, 30, "DU1234567", "")
    assert ids(await watching.fence()) == ["62", "72"]
    trading.send(*place_order(1))
    await trading.fence()
    told = await watching.fence()
    assert ids(told) == ["61", "71"]
    assert told[0][-2:] == ["10.0", "100.01"]
    watching.send(64, 1)
    watching.send(75, 1, 30)
    trading.send(*place_order(2))
    await trading.fence()
    assert await watching.fence() == []


async def test_account_updates_carry_what_changed_and_come_before_the_time(serve: Serve) -> None:
    _, _, port = await serve(steps=0)
    client = await RawClient.connect(port)
    client.send(6, 2, 1, "DU1234567")
    first = await client.fence()
    assert ids(first) == ["6"] * 12 + ["8", "54"]
    for number in range(1, 6):
        client.send(*place_order(number))
    told = [fields for fields in await client.fence() if fields[0] in ("6", "7", "8")]
    assert ids(told)[-1] == "8"
    values = [fields[2:5] for fields in told if fields[0] == "6"]
    assert ["NetLiquidation", "995000.00", "USD"] in values
    assert all(tag in ("NetLiquidation", "EquityWithLoanValue", "CashBalance") for tag, _, _ in values)
    assert [fields[13] for fields in told if fields[0] == "7"][-1] == "50.0"
    client.send(6, 2, 0, "DU1234567")
    client.send(*place_order(6))
    assert not {"6", "7"} & set(ids(await client.fence()))


async def test_summary_shows_the_tags_asked_for_and_at_most_two_are_open(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    client.send(62, 1, 1, "All", "NetLiquidation,NoSuchTag,AccruedCash")
    told = await client.fence()
    assert [fields[3:] for fields in told if fields[0] == "63"] == [
        [account, tag, value, "USD"]
        for account in ("DU1234567", "DU7654321")
        for tag, value in (("NetLiquidation", "1000000.00"), ("AccruedCash", "0.00"))
    ]
    client.send(62, 1, 2, "DU1234567", "$LEDGER:ALL")
    rows = [fields[4:] for fields in await client.fence() if fields[0] == "63"]
    assert rows == [
        [tag, value if tag != "Currency" else currency, currency]
        for currency in ("BASE", "USD")
        for tag, value in zip(
            ("Currency", "CashBalance", "AccruedCash", "ExchangeRate"), ("", "1000000.00", "0", "1.00"), strict=True
        )
    ]  # fmt: skip
    client.send(62, 1, 3, "All", "NetLiquidation")
    assert [fields[2:4] for fields in await client.fence()] == [["3", "322"]]
    client.send(63, 1, 1)
    client.send(62, 1, 3, "All", "$LEDGER:USD")
    assert ids(await client.fence())[-1] == "64"


async def test_requests_about_foreign_accounts_end_with_an_error_and_an_end(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    for fields, end in (
        ((6, 2, 1, "U999"), "54"),
        ((74, 1, 5, "U999", ""), "72"),
        ((76, 1, 5, "U999", "", 0), "74"),
        ((62, 1, 5, "U999", "NetLiquidation"), "64"),
        ((76, 1, 5, "DU1234567", "model", 0), "74"),
    ):
        client.send(*fields)
        told = await client.fence()
        assert ids(told) == ["4", end], fields
        assert told[0][3] == "321"


async def test_profit_and_loss_follow_the_market(serve: Serve) -> None:
    _, _, port = await serve(steps=3)
    client = await RawClient.connect(port, capabilities="follow")
    client.send(92, 1, "DU1234567", "")
    client.send(94, 2, "DU1234567", "", 265598)
    assert [fields for fields in await client.fence() if fields[0] == "94"] == [["94", "1", "0", "1", "2"]]
    told = await client.fence()
    assert [fields for fields in told if fields[0] == "94"] == [["94", "1", "0.01", "1", "2"]]
    client.send(*place_order(1))
    single = [fields for fields in await client.fence() if fields[0] == "95"]
    assert single[-1] == ["95", "2", "10", "1", "2", "3", "1000.2"]
    client.send(93, 1)
    client.send(95, 2)


async def test_bars_kept_up_to_date(serve: Serve) -> None:
    """Five-minute bars on steps of a minute: the bar in progress five times, then the next one as it begins."""
    _, _, port = await serve(steps=11)
    client = await RawClient.connect(port, capabilities="follow")
    client.send(20, 5, *AAPL, 0, "", "5 mins", "1 D", 1, "TRADES", 2, 1, "")
    assert ids(await client.fence())[0] == "17"
    updates = []
    for _ in range(12):
        updates += [fields for fields in await client.fence() if fields[0] == "90"]
    starts = [int(fields[3]) - int(START.timestamp()) for fields in updates]
    assert starts == [0] * 5 + [300] * 5 + [600]
    assert updates[0][:9] == [
        "90",
        "5",
        "42",
        str(int(START.timestamp())),
        "100.01",
        "100.01",
        "101.01",
        "99.01",
        "100.01",
    ]
    client.send(25, 1, 5)
    assert (await client.until("4"))[2:4] == ["5", "162"]
    client.send(25, 1, 5)
    assert (await client.until("4"))[2:4] == ["5", "366"]


async def test_daily_bars_are_dated_by_the_session(serve: Serve) -> None:
    _, _, port = await serve()
    client = await RawClient.connect(port)
    client.send(20, 5, *AAPL, 0, "", "1 day", "3 D", 1, "TRADES", 2, 0, "")
    bars = await client.until("17")
    assert [bars[i] for i in range(5, len(bars), 8)] == ["20130227", "20130228", "20130301"]


async def test_five_second_bars_of_a_long_step_all_come(serve: Serve) -> None:
    _, _, port = await serve(steps=2)
    client = await RawClient.connect(port, capabilities="follow")
    client.send(50, 3, 6, *AAPL, 5, "TRADES", 0, "")
    bars = []
    for _ in range(4):
        bars += [int(fields[3]) for fields in await client.fence() if fields[0] == "50"]
    first = int(START.timestamp())
    assert bars == [first + 5 * n for n in range(24)]


async def test_old_clients_get_sizes_without_a_point(serve: Serve) -> None:
    """ibapi 9.81.1 reads sizes with int(); anything else ends its message loop."""
    _, _, port = await serve(steps=2)
    client = await RawClient.connect(port, high=157, capabilities="follow")
    client.send(1, 11, 7, *AAPL, 0, "233", 0, 0, "")
    client.send(50, 3, 6, *AAPL, 5, "TRADES", 0, "")
    client.send(20, 5, *AAPL, 0, "", "5 mins", "1 D", 1, "TRADES", 2, 1, "")
    client.send(96, 9, *AAPL, 0, "", "20130301 15:00:00", 2, "BID_ASK", 1, 0, "")
    client.send(97, 10, *AAPL, "BidAsk", 0, 0)
    told = [*await client.fence(), *await client.fence(), *await client.fence()]
    sizes = [fields[4] for fields in told if fields[0] == "2"]
    sizes += [fields[5] for fields in told if fields[0] == "1"]
    sizes += [fields[-1] for fields in told if fields[0] == "90"]
    sizes += [fields[8] for fields in told if fields[0] == "50"]
    sizes += [size for fields in told if fields[0] == "97" for size in (*fields[7:9], *fields[13:15])]
    sizes += [size for fields in told if fields[0] == "99" for size in fields[6:8]]
    assert len(sizes) > 20
    assert [size for size in sizes if not size.lstrip("-").isdecimal()] == []


async def test_a_line_is_told_only_what_changed(serve: Serve) -> None:
    _, exchange, port = await serve(steps=3)
    client = await RawClient.connect(port, capabilities="follow")
    client.send(1, 11, 7, *AAPL, 0, "", 0, 0, "")
    first = await client.fence()
    assert {fields[3] for fields in first if fields[0] == "1"} == {"1", "2", "4", "6", "7", "9", "14"}
    told = await client.fence()
    assert {fields[3] for fields in told if fields[0] == "1"} == {"1", "2", "4"}
    client.send(1, 11, 7, *AAPL, 0, "", 0, 0, "")
    assert (await client.until("4"))[2:4] == ["7", "322"]
    client.send(59, 1, 3)
    client.send(1, 11, 8, *AAPL, 0, "", 1, 0, "")
    delayed = [fields for fields in await client.fence() if fields[2] == "8"]
    assert {fields[3] for fields in delayed if fields[0] == "1"} == {"66", "67", "68", "72", "73", "75", "76"}
    assert delayed[-1] == ["57", "1", "8"]
    client.send(2, 2, 99)
    assert (await client.until("4"))[2:4] == ["99", "300"]
    assert exchange.price > Decimal(100)
    assert exchange.now() - START > timedelta(0)
