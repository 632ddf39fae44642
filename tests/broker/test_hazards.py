"""Each way in which ib_async misleads, and that it does not mislead us. Numbers as in docs/hazards.md.

A scripted peer says what real gateways were seen to say; the client is the real ib_async over TCP.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from decimal import Decimal

import ib_async
import pytest
from broker_support import Bench, buy, exit_, limit_buy, spin
from scripted_peer import ScriptedPeer

from runner.broker.ib_connection import account_values, disconnect
from runner.broker.pacing import Pacer, Priority
from runner.gateway.encode_orders import completed_order, exec_details
from runner.model.clock import SystemClock
from runner.model.orders import OrderIntent, OrderState, Refused, Side, TimeInForce

S = OrderState


async def sent(bench: Bench, peer: ScriptedPeer, quantity: int = 100) -> tuple[OrderIntent, object]:
    """An order that the peer has received and says nothing about."""
    count = len(peer.received)
    intent = await bench.place(limit_buy(quantity, "100"))
    return intent, await peer.until_order(count + 1)


async def test_h1_fills_during_a_disconnect_are_folded_in_once_after_the_reconnect(
    bench: Bench, peer: ScriptedPeer
) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    peer.fill(order, "40", exec_id="x.1.01")
    await bench.until_state(intent, S.PARTIAL)
    peer.drop()
    peer.now = peer.now.replace(minute=5)
    late = peer.execution(order, "60", "101", "x.2.01")
    peer.executions.append(late)
    order.filled = Decimal(100)
    peer.forget(order)
    order.status = "Filled"
    peer.completed.append(order)
    await bench.reconnect()
    assert [(f.exec_id, f.quantity, f.source) for f in bench.fills()] == [
        ("x.1.01", Decimal(40), "wire"),
        ("x.2.01", Decimal(60), "snapshot"),
    ]
    assert bench.states(intent)[-1] is S.FILLED
    assert len(peer.received) == 1


async def test_h2_a_repeated_execution_and_commission_count_once(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    for _ in range(3):
        execution = peer.fill(order, "100", exec_id="x.1.01")
        peer.charge(execution)
    await bench.until_state(intent, S.FILLED)
    peer.drop()
    await bench.reconnect()
    assert len(bench.fills()) == 1
    assert len(bench.commissions()) == 1


async def test_h3_a_correction_replaces_the_execution_it_corrects(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    peer.fill(order, "100", exec_id="x.1.01")
    peer.fill(order, "90", exec_id="x.1.02")
    await bench.until(lambda: len(bench.fills()) == 2)
    found = bench.gate.book.get(intent.order_ref)
    assert found is not None and found.filled == 90
    assert "execution_corrected" in bench.notices()
    peer.fill(order, "100", exec_id="x.1.01")  # the old revision again, late
    await bench.quiet()
    assert len(bench.fills()) == 2


@pytest.mark.parametrize("code", [399, 404, 2109, 10349])
async def test_h4_informational_errors_leave_a_live_order_live(bench: Bench, peer: ScriptedPeer, code: int) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    peer.error(order.order_id, code)
    await bench.quiet()
    assert bench.states(intent)[-1] is S.ACKED
    assert f"ib_{code}" in bench.notices()
    peer.fill(order, "100")
    await bench.until_state(intent, S.FILLED)


async def test_h4_what_ib_async_calls_cancelled_after_10349_is_still_working(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    peer.error(order.order_id, 10349)
    await bench.quiet()
    assert [trade.orderStatus.status for trade in bench.ib.trades()] == ["Cancelled"]  # the client's guess
    assert bench.broker.working(intent.request.instrument.con_id) == 100


async def test_h4_a_code_nobody_knows_makes_the_order_unknown_until_ib_is_asked(
    bench: Bench, peer: ScriptedPeer
) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    await bench.until_state(intent, S.ACKED)
    peer.error(order.order_id, 10289)
    await bench.until(lambda: bench.states(intent)[-2:] == [S.UNKNOWN, S.ACKED])


@pytest.mark.parametrize("code", [103, 110, 200, 201, 321])
async def test_h5_a_refused_new_order_is_rejected_although_no_status_comes(
    bench: Bench, peer: ScriptedPeer, code: int
) -> None:
    intent, order = await sent(bench, peer)
    peer.error(order.order_id, code)
    await bench.until_state(intent, S.REJECTED)
    assert bench.broker.open_orders() == []


async def test_h5_a_refused_modification_leaves_the_original(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    peer.error(order.order_id, 110)
    await bench.quiet()
    assert bench.states(intent)[-1] is S.ACKED


@pytest.mark.parametrize("status_first", [True, False])
async def test_h5_a_margin_rejection_is_rejected_whichever_message_comes_first(
    bench: Bench, peer: ScriptedPeer, status_first: bool
) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order, "PreSubmitted")
    if status_first:
        peer.status(order, "Inactive")
    peer.error(order.order_id, 201, "Order rejected - reason: margin")
    if not status_first:
        peer.status(order, "Inactive")
    await bench.until_state(intent, S.REJECTED)


async def test_h6_a_fill_after_cancelled_counts(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    await bench.broker.cancel(intent.order_ref)
    await peer.until(lambda: peer.cancels == [order.order_id])
    peer.status(order, "PendingCancel")
    peer.error(order.order_id, 202, "Order Canceled - reason:")
    await bench.until_state(intent, S.CANCELLED)
    peer.fill(order, "100")
    await bench.until_state(intent, S.FILLED)
    assert len(bench.fills()) == 1


async def test_h6_cannot_be_cancelled_means_that_ib_is_asked(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    await bench.quiet()
    peer.executions.append(peer.execution(order, "100", "100", "x.9.01"))  # its message got lost
    peer.forget(order)
    peer.error(order.order_id, 10148, "OrderId 1 that needs to be cancelled cannot be cancelled, state: Filled.")
    await bench.until_state(intent, S.FILLED)


async def test_h6_a_live_status_after_cancelled_makes_the_order_live_again(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    peer.status(order, "Cancelled")
    peer.status(order, "Submitted")
    await bench.until(lambda: bench.states(intent)[-2:] == [S.CANCELLED, S.ACKED])


async def test_h7_a_commission_without_an_open_order_and_before_its_execution_is_charged(
    bench: Bench, peer: ScriptedPeer
) -> None:
    intent, order = await sent(bench, peer)
    order.perm_id = 4711  # no openOrder has announced it
    peer.charge(peer.execution(order, "100", "100", "x.1.01"))
    await bench.quiet()
    assert bench.commissions() == []
    peer.fill(order, "100", exec_id="x.1.01")
    await bench.until_state(intent, S.FILLED)
    assert [c.amount for c in bench.commissions()] == [Decimal("1.25")]


async def test_h9_1102_keeps_one_account_summary(bench: Bench, peer: ScriptedPeer) -> None:
    await account_values(bench.ib)
    for _ in range(3):
        peer.error(-1, 1102)
    await bench.quiet()
    asked = [fields for fields in peer.requests if fields[0] == "62"]
    ended = [fields for fields in peer.requests if fields[0] == "63"]
    assert (len(asked), len(ended)) == (4, 3)


async def test_h13_handlers_are_plain_functions_on_the_sessions_loop(bench: Bench, peer: ScriptedPeer) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    bench.broker._on_fill = lambda fill: loops.append(asyncio.get_running_loop())  # type: ignore[method-assign]
    intent, order = await sent(bench, peer)
    peer.fill(order, "100")
    await bench.until_state(intent, S.FILLED)
    assert loops == [asyncio.get_running_loop()]


async def test_h14_a_cancel_overtakes_waiting_orders_and_history(bench: Bench, peer: ScriptedPeer) -> None:
    bench.broker._pacer = pacer = Pacer(SystemClock(), rate_per_s=50, burst=1)
    intent, order = await sent(bench, peer)
    peer.accept(order)
    await bench.quiet()
    order_of_service: list[str] = []

    async def other(priority: Priority, name: str) -> None:
        await pacer.slot(priority)
        order_of_service.append(name)

    waiting = [asyncio.ensure_future(other(Priority.HISTORY, "history")) for _ in range(3)]
    waiting += [asyncio.ensure_future(other(Priority.ENTRY, "entry"))]
    await asyncio.sleep(0)
    await bench.broker.cancel(intent.order_ref)
    order_of_service.append("cancel")
    await asyncio.gather(*waiting)
    assert order_of_service.index("cancel") <= 1
    assert order_of_service.index("entry") <= 2
    assert bench.ib.client.MaxRequests == 0 and not bench.ib.client._msgQ


async def test_h15_a_trade_is_formatted_in_one_line(bench: Bench, peer: ScriptedPeer) -> None:
    _, order = await sent(bench, peer)
    peer.accept(order)
    for number in range(50):
        peer.fill(order, "1", exec_id=f"x.{number}.01")
    await bench.until(lambda: len(bench.fills()) == 50)
    (trade,) = bench.ib.trades()
    assert len(trade.fills) == 50 and len(repr(trade)) < 120


async def test_h16_a_strategys_session_switches_broadcasts_off(bench: Bench, peer: ScriptedPeer) -> None:
    await bench.quiet()
    sent_ids = [fields[0] for fields in peer.requests]
    assert "64" in sent_ids  # cancelPositions
    assert not {"6", "76"} & set(sent_ids)  # account updates were never asked for


async def test_h18_an_error_on_a_request_with_an_orders_number_does_not_touch_the_order(
    bench: Bench, peer: ScriptedPeer
) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    await bench.quiet()
    peer.silent.add("9")
    bench.ib.client._reqIdSeq = order.order_id  # as after a restart that rolled the ids back
    asked = bench.ib.reqContractDetailsAsync(ib_async.Stock("XYZ", "SMART", "USD"))
    peer.error(order.order_id, 200, "No security definition has been found")
    with pytest.raises(ib_async.wrapper.RequestError):
        await asked
    await bench.quiet()
    assert bench.states(intent)[-1] is S.ACKED


async def test_h18_order_ids_of_an_old_session_mean_nothing_in_a_new_one(bench: Bench, peer: ScriptedPeer) -> None:
    first, order = await sent(bench, peer)
    peer.accept(order)
    peer.finish(order, "Cancelled")
    await bench.until_state(first, S.CANCELLED)
    peer.drop()
    peer.next_id = 1
    await bench.reconnect()
    bench.ib.client._reqIdSeq = order.order_id
    second, again = await sent(bench, peer)
    assert again.order_id == order.order_id and again.terms.order_ref != order.terms.order_ref
    peer.accept(again)
    await bench.until_state(second, S.ACKED)
    assert bench.states(first)[-1] is S.CANCELLED


async def test_h19_a_forgotten_session_is_not_disconnected_by_the_collector(
    peer: ScriptedPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    bench = Bench(peer.port)
    ib = await bench.connect(8)
    await disconnect(ib)
    monkeypatch.setattr(ib_async.IB, "disconnect", lambda self: calls.append("disconnect"))
    del ib
    gc.collect()
    assert calls == []


async def test_h20_an_unsolicited_completed_order_is_no_error(
    bench: Bench, peer: ScriptedPeer, caplog: pytest.LogCaptureFixture
) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    order.status, order.completed_status, order.completed_at = "Cancelled", "Cancelled by Trader", peer.now
    with caplog.at_level(logging.ERROR, "ib_async.Decoder"):
        peer.send(completed_order(order, 178))
        await bench.until_state(intent, S.CANCELLED)
    assert caplog.records == []


async def test_h22_a_handler_that_raises_loses_no_fact(
    bench: Bench, peer: ScriptedPeer, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(fill: object) -> None:
        raise ZeroDivisionError("in the strategy")

    bench.broker._on_fill = broken  # type: ignore[method-assign]
    intent, order = await sent(bench, peer)
    peer.fill(order, "100")
    await bench.until_state(intent, S.FILLED)
    assert "handler_failed" in bench.notices()


# -- and the orders' own faults


async def test_an_order_whose_acknowledgement_never_comes_is_looked_up_and_never_sent_again(
    peer: ScriptedPeer,
) -> None:
    bench = Bench(peer.port)
    bench.timing["ack_timeout_s"] = 0.02
    await bench.start()
    intent, order = await sent(bench, peer)
    peer.open.append(order)
    order.perm_id = 77
    await bench.until(lambda: bench.states(intent)[-2:] == [S.UNKNOWN, S.ACKED])
    assert len(peer.received) == 1
    bench.broker.detach()
    await disconnect(bench.ib)


async def test_an_order_that_two_snapshots_do_not_know_is_absent(bench: Bench, peer: ScriptedPeer) -> None:
    intent, _ = await sent(bench, peer)
    peer.drop()
    await bench.until_state(intent, S.UNKNOWN)
    assert bench.broker.working(intent.request.instrument.con_id) == 100  # counts in full until then
    await bench.reconnect()
    assert bench.states(intent)[-1] is S.ABSENT
    assert len(peer.received) == 1


async def test_an_order_of_an_earlier_day_that_no_list_knows_is_left_to_the_operator(
    bench: Bench, peer: ScriptedPeer
) -> None:
    intent, _ = await sent(bench, peer)
    peer.drop()
    await bench.until_state(intent, S.UNKNOWN)
    bench.manual_clock.set(bench.clock.now().replace(day=4))
    await bench.reconnect()
    assert bench.states(intent)[-1] is S.UNKNOWN
    assert "lost_order" in bench.notices()


async def test_an_accepted_order_is_adopted_by_its_ref_when_the_acknowledgement_was_lost(
    bench: Bench, peer: ScriptedPeer
) -> None:
    intent, order = await sent(bench, peer)
    peer.drop()
    await bench.until_state(intent, S.UNKNOWN)
    order.perm_id, order.status = 55, "Submitted"
    peer.open.append(order)
    await bench.reconnect()
    assert bench.states(intent)[-1] is S.ACKED
    await bench.broker.cancel(intent.order_ref)
    await peer.until(lambda: peer.cancels == [order.order_id])


async def test_a_restarted_runner_finds_its_orders_and_fills_by_ref(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    peer.fill(order, "40", exec_id="x.1.01")
    await bench.until_state(intent, S.PARTIAL)
    bench.journal.remember(bench.told)
    bench.broker.detach()
    await disconnect(bench.ib)

    after = Bench(peer.port)
    after.journal = bench.journal
    after.gate._journal = bench.journal
    peer.executions.append(peer.execution(order, "60", "100", "x.2.01"))
    peer.forget(order)
    order.status, order.filled = "Filled", Decimal(100)
    peer.completed.append(order)
    await after.start()
    assert [f.exec_id for f in after.fills()] == ["x.2.01"]  # the first is in the journal
    assert after.states(intent)[-1] is S.FILLED
    after.broker.detach()
    await disconnect(after.ib)


async def test_filled_is_not_believed_before_the_executions_are_there(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    peer.executions.append(peer.execution(order, "100", "100", "x.1.01"))  # swallowed on the way
    peer.status(order, "Filled", filled="100")
    await bench.until(lambda: len(bench.fills()) == 1)
    assert bench.fills()[0].source == "snapshot"
    assert S.FILLED in bench.states(intent)


async def test_an_execution_before_its_open_order_is_matched_by_its_ref(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    order.perm_id = 99
    peer.fill(order, "100")
    peer.accept(order, "Filled")
    await bench.until_state(intent, S.FILLED)


async def test_an_overfill_is_booked_and_said(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    peer.fill(order, "120")
    await bench.until_state(intent, S.FILLED)
    assert bench.fills()[0].quantity == 120
    assert "overfilled" in bench.notices()


async def test_inactive_is_not_the_end_but_for_fill_or_kill(bench: Bench, peer: ScriptedPeer) -> None:
    intent, order = await sent(bench, peer)
    peer.accept(order)
    peer.status(order, "Inactive")
    await bench.quiet()
    assert bench.broker.working(intent.request.instrument.con_id) == 100
    kill = await bench.place(limit_buy(10, "100", tif=TimeInForce.FOK))
    order = await peer.until_order(2)
    peer.accept(order)
    peer.status(order, "Inactive")
    await bench.until_state(kill, S.CANCELLED)


async def test_executions_of_orders_that_are_not_ours_are_left_alone_and_said_once(
    bench: Bench, peer: ScriptedPeer
) -> None:
    _, order = await sent(bench, peer)
    stranger = peer.execution(order, "5", "100", "y.1.01")
    order.terms.order_ref, order.perm_id = "", 31337
    for _ in range(2):
        peer.send(exec_details(stranger, 178))
    await bench.quiet()
    assert bench.fills() == []
    assert bench.notices() == ["outside_execution"]


async def test_a_session_lost_while_the_journal_writes_makes_the_order_not_sent(
    bench: Bench, peer: ScriptedPeer
) -> None:
    bench.journal.hold = True
    placing = asyncio.ensure_future(bench.broker.place(buy(100)))
    await spin(lambda: bool(bench.journal.waiting))
    peer.drop()
    await spin(lambda: not bench.ib.isConnected())
    bench.journal.release()
    refused = await placing
    assert isinstance(refused, Refused) and refused.control == "not_sent"
    assert peer.received == []
    assert bench.broker.open_orders() == []


async def test_trading_halted_while_the_journal_writes_makes_the_order_not_sent(
    bench: Bench, peer: ScriptedPeer
) -> None:
    bench.journal.hold = True
    placing = asyncio.ensure_future(bench.broker.place(buy(100)))
    await spin(lambda: bool(bench.journal.waiting))
    bench.risk.trading_state = "reducing"
    bench.journal.release()
    refused = await placing
    assert isinstance(refused, Refused) and refused.control == "not_sent"
    await bench.quiet()
    assert peer.received == []


async def test_a_cancelled_place_never_sends_and_keeps_no_exposure(bench: Bench, peer: ScriptedPeer) -> None:
    bench.journal.hold = True
    placing = asyncio.ensure_future(bench.broker.place(buy(100)))
    await spin(lambda: bool(bench.journal.waiting))
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    bench.journal.release()
    await bench.quiet()
    assert peer.received == [] and bench.broker.open_orders() == []


async def test_an_order_is_in_the_journal_before_it_is_on_the_wire(bench: Bench, peer: ScriptedPeer) -> None:
    known: list[bool] = []
    peer.on_order = lambda order: known.append(
        order.terms.order_ref in {record.intent.order_ref for record in bench.journal.intents()}
    )
    await sent(bench, peer)
    assert known == [True]


async def test_a_bracket_is_committed_whole_and_only_its_last_leg_transmits(bench: Bench, peer: ScriptedPeer) -> None:
    placed = await bench.broker.place_bracket(
        limit_buy(100, "100"), take_profit=Decimal("110.004"), stop_loss=Decimal("95")
    )
    assert not isinstance(placed, Refused)
    await peer.until_order(3)
    parent, target, stop = peer.received
    assert [order.terms.transmit for order in peer.received] == [False, False, True]
    assert [order.terms.parent_id for order in peer.received] == [0, parent.order_id, parent.order_id]
    assert (target.terms.limit_price, stop.terms.aux_price) == (Decimal("110.01"), Decimal(95))
    assert [intent.request.parent_ref for intent in placed] == ["", placed[0].order_ref, placed[0].order_ref]
    working = bench.gate.exposure(bench.strategy, 265598)
    assert (working.buys, working.sells) == (100, 100)  # one of the two exits, not both


async def test_cancel_all_returns_when_the_orders_are_over(bench: Bench, peer: ScriptedPeer) -> None:
    intents = []
    for price in ("100", "99"):
        intent = await bench.place(limit_buy(10, price))
        intents.append(intent)
        peer.accept(await peer.until_order(len(intents)))
    await bench.quiet()
    cancelling = asyncio.ensure_future(bench.broker.cancel_all())
    await peer.until(lambda: len(peer.cancels) == 2)
    for order in list(peer.received):
        peer.finish(order, "Cancelled")
    await cancelling
    assert [bench.states(intent)[-1] for intent in intents] == [S.CANCELLED, S.CANCELLED]


async def test_an_exit_is_sent_while_trading_is_reducing(bench: Bench, peer: ScriptedPeer) -> None:
    bench.risk.positions[(bench.strategy, 265598)] = Decimal(50)
    bench.risk.trading_state = "reducing"
    intent = await bench.place(exit_(Side.SELL, 80))
    assert (await peer.until_order()).terms.quantity == 50 == intent.request.quantity
