"""One session with IB: `ib_async.IB` with a tap on the wire.

ib_async folds what it receives into `Trade` objects and guesses on the way: an informational error turns a live order
"Cancelled", executions that happened while away raise no event, a correction counts twice, a commission that comes
early is dropped. `Session` is an `IB` in every respect, but each message about orders is first handed, as it came, to
the listeners of `facts`; nothing in the runner reads a `Trade`. docs/hazards.md lists what this cures.
"""

# mypy: disable-error-code=no-untyped-call
# ib_async's client has no annotations.
from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ib_async
from ib_async import IB, CommissionReport, Contract, Execution, Fill, Order, Trade
from ib_async.client import Client
from ib_async.order import OrderState as IBOrderState
from ib_async.wrapper import OrderKeyType, Wrapper

from runner.broker.facts import (
    FactListener,
    WireCommission,
    WireCompleted,
    WireConnection,
    WireError,
    WireExecution,
    WireFact,
    WireLost,
    WireOrder,
    WireStatus,
)
from runner.errors import NotConnected
from runner.model.events import StatusChanged

SNAPSHOT_TIMEOUT_S = 30.0
"""How long each list of a snapshot may take; a list without its end counts as no answer."""
TIME_TIMEOUT_S = 10.0

KEEP_FINISHED = 1_000
"""Orders that are over, and executions of orders that are not in the client's list, that a session's own lists keep."""

_OVER = frozenset({"Filled", "Cancelled", "ApiCancelled"})
_ORDER_MESSAGES = (3, 5)
"""Order status and open order, as numbered on the wire."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Which order refs IB knows, from three complete lists."""

    open: frozenset[str]
    completed: frozenset[str]
    executed: frozenset[str]

    def knows(self, order_ref: str) -> bool:
        return order_ref in self.open or order_ref in self.completed or order_ref in self.executed


class _TappedWrapper(Wrapper):
    """ib_async's receiver of messages; tells the listeners first and then does what it always did.

    It never forgets by itself: trades and fills would pile up until the session ends. Nothing of ours reads them, so
    they are only a convenience for whoever holds the `IB`, and those of orders that are over go when
    `KEEP_FINISHED` newer ones are. What comes for an order after that is told to the listeners like anything else.
    """

    ib: Session

    def reset(self) -> None:
        super().reset()
        self.finished: dict[OrderKeyType, None] = {}
        """Keys of `trades` that are over, oldest first."""
        self.stray_fills: dict[str, None] = {}
        """Keys of `fills` that are in no trade, oldest first."""

    def _endReq(self, key: Any, result: Any = None, success: bool = True) -> None:
        """What had come of an answer that ends with an error is kept by ib_async for ever, and so is who it was for."""
        super()._endReq(key, result, success)
        if not success:
            self._results.pop(key, None)
            self.reqId2Subscriber.pop(key, None)

    def finish(self, key: OrderKeyType) -> None:
        """The order is over: its trade goes when KEEP_FINISHED later ones are over too."""
        self.finished.pop(key, None)
        self.finished[key] = None
        if len(self.finished) > KEEP_FINISHED:
            self._forget(next(iter(self.finished)))

    def _forget(self, key: OrderKeyType) -> None:
        del self.finished[key]
        trade = self.trades.pop(key, None)
        if trade is None:
            return
        for fill in trade.fills:
            self.fills.pop(fill.execution.execId, None)
        for perm_id in (trade.order.permId, trade.orderStatus.permId):
            if self.permId2Trade.get(perm_id) is trade:
                del self.permId2Trade[perm_id]

    def orderStatus(
        self,
        orderId: int,
        status: str,
        filled: float,
        remaining: float,
        avgFillPrice: float,
        permId: int,
        parentId: int,
        lastFillPrice: float,
        clientId: int,
        whyHeld: str,
        mktCapPrice: float = 0.0,
    ) -> None:
        self.ib.tell(WireStatus(clientId, orderId, permId, status, filled, remaining, whyHeld))
        if self.orderKey(clientId, orderId, permId) not in self.trades:
            return  # ib_async would only log an error
        super().orderStatus(
            orderId,
            status,
            filled,
            remaining,
            avgFillPrice,
            permId,
            parentId,
            lastFillPrice,
            clientId,
            whyHeld,
            mktCapPrice,
        )

    def openOrder(
        self,
        orderId: int,
        contract: Contract,
        order: Order,
        orderState: IBOrderState,
    ) -> None:
        if not order.whatIf:
            self.ib.tell(
                WireOrder(
                    order.orderRef,
                    order.clientId,
                    orderId,
                    order.permId,
                    orderState.status,
                    order.totalQuantity,
                    "openOrders" in self._futures,
                )
            )
        super().openOrder(orderId, contract, order, orderState)
        if not order.whatIf and orderState.status in _OVER:
            self.finish(self.orderKey(order.clientId, order.orderId, order.permId))

    def completedOrder(self, contract: Contract, order: Order, orderState: IBOrderState) -> None:
        self.ib.tell(WireCompleted(order.orderRef, order.permId, orderState.status, orderState.completedStatus))
        if "completedOrders" in self._results:
            # Without a request under way ib_async raises KeyError in its decoder (its issue 128).
            super().completedOrder(contract, order, orderState)
            if order.permId in self.trades:
                self.finish(order.permId)

    def execDetails(self, reqId: int, contract: Contract, execution: Execution) -> None:
        self.ib.tell(WireExecution(contract, execution, reqId in self._futures))
        super().execDetails(reqId, contract, execution)
        if execution.permId not in self.permId2Trade and (
            self.orderKey(execution.clientId, execution.orderId, execution.permId) not in self.trades
        ):
            self.stray_fills[execution.execId] = None
            if len(self.stray_fills) > KEEP_FINISHED:
                oldest = next(iter(self.stray_fills))
                del self.stray_fills[oldest]
                self.fills.pop(oldest, None)

    def commissionReport(self, commissionReport: CommissionReport) -> None:
        self.ib.tell(WireCommission(commissionReport))
        super().commissionReport(commissionReport)

    def error(
        self,
        reqId: int,
        errorCode: int,
        errorString: str,
        advancedOrderRejectJson: str,
    ) -> None:
        if reqId == -1:
            self.ib.tell(WireConnection(errorCode, errorString))
        elif not self._is_request(reqId):
            # Requests and orders share one counter: a number that is a request's is never taken for an order's.
            self.ib.tell(WireError(self.clientId, reqId, errorCode, errorString))
        super().error(reqId, errorCode, errorString, advancedOrderRejectJson)

    def _is_request(self, number: int) -> bool:
        return (
            number in self._futures
            or number in self._reqId2Contract
            or number in self.reqId2Subscriber
            or number in self.reqId2Ticker
        )

    def connectionClosed(self) -> None:
        self.ib.lost()
        super().connectionClosed()


class Session(IB):
    """`ib_async.IB` whose wire facts can be listened to.

    Requests raise `ib_async.wrapper.RequestError` when IB answers with an error. It is used on one event loop only, the
    one it was connected on. It does nothing when collected as garbage: whoever connected it disconnects it.
    """

    RaiseRequestErrors = True

    def __init__(self) -> None:
        super().__init__()
        self.wrapper: _TappedWrapper = _TappedWrapper(self)
        self.client = Client(self.wrapper)
        self.client.MaxRequests = 0  # our Pacer has priorities; ib_async's queue is first come first served
        self.client.apiEnd += self.disconnectedEvent
        self.epoch = 0
        """Goes up with every loss of the connection: an order decided in one epoch is not sent in another."""
        self._listeners: tuple[FactListener, ...] = ()
        self._asking_time = asyncio.Lock()
        self._asking_orders = asyncio.Lock()
        self._summary_id: int | None = None
        self._summary_renewal: Awaitable[None] | None = None

    def __del__(self) -> None:
        # IB.__del__ disconnects, from whatever thread the collector happens to run in.
        pass

    def listen(self, listener: FactListener) -> None:
        """Tell `listener` of every fact from now on; a second time changes nothing."""
        if listener not in self._listeners:
            self._listeners = (*self._listeners, listener)

    def ignore_orders(self) -> None:
        """Stop decoding open orders and their states. IB tells the master of every client's: each session hears of its
        own anyway, and decoding them twice was most of a quarter of the broker loop's time in a burst. Executions and
        commissions are still read: those of a strategy that does not run would be heard by nobody else."""
        for number in _ORDER_MESSAGES:
            self.client.decoder.handlers[number] = _ignored

    def unlisten(self, listener: FactListener) -> None:
        self._listeners = tuple(one for one in self._listeners if one is not listener)

    def tell(self, fact: WireFact) -> None:
        for listener in self._listeners:
            try:
                listener.fact(fact)
            except Exception:
                # One listener's bug must neither hide the fact from the others nor stop ib_async's decoder.
                log.exception("a listener failed on %s", type(fact).__name__)

    def order_moved(self, change: StatusChanged) -> None:
        """What the order book says of an order of this session: ib_async's own opinion of what is over is worth
        nothing. One that lives again is kept again."""
        key = self.wrapper.orderKey(change.client_id, change.order_id, change.perm_id)
        if key not in self.wrapper.trades:
            return
        if change.state.terminal:
            self.wrapper.finish(key)
        else:
            self.wrapper.finished.pop(key, None)

    def lost(self) -> None:
        """The connection is gone: count it and tell."""
        self.epoch += 1
        self._summary_id = None
        self.tell(WireLost(self.client.clientId))

    def disconnect(self) -> str | None:
        """End the session and fail what still waits for an answer; ib_async would let it wait for ever."""
        if not self.client.isConnected():
            return None
        if not self.client.isReady():
            # IB.disconnect asks for statistics here, which raises when the handshake is not over.
            self.client.disconnect()
            return None
        for future in self.wrapper._futures.values():
            if not future.done():
                future.set_exception(ConnectionError("disconnected"))
                future.exception()  # marks it as seen: nobody may be waiting any more
        self.lost()
        return super().disconnect()

    async def server_time(self, timeout_s: float = TIME_TIMEOUT_S) -> datetime:
        """IB's clock, to the second; also proof that all that was sent before has been read.

        ib_async has room for one such request at a time, so callers queue. Raises TimeoutError, ConnectionError.
        """
        async with asyncio.timeout(timeout_s), self._asking_time:
            return await self.reqCurrentTimeAsync()

    async def snapshot(self, timeout_s: float = SNAPSHOT_TIMEOUT_S) -> Snapshot:
        """Open orders, completed orders and today's executions. Every fact in them also goes to the listeners.

        Raises NotConnected when a list does not end: missing is never taken for empty.
        """
        async with self._asking_orders:
            opened: list[Trade] = await _complete("open orders", self.reqOpenOrdersAsync, timeout_s)
            completed: list[Trade] = await _complete(
                "completed orders", lambda: self.reqCompletedOrdersAsync(False), timeout_s
            )
            fills: list[Fill] = await _complete("executions", self.reqExecutionsAsync, timeout_s)
        return Snapshot(
            open=frozenset(trade.order.orderRef for trade in opened),
            completed=frozenset(trade.order.orderRef for trade in completed),
            executed=frozenset(fill.execution.orderRef for fill in fills),
        )

    def reqAccountSummaryAsync(self) -> Awaitable[None]:
        """As in IB, but ends the previous one first: IB allows two, and ib_async adds one after every 1102."""
        if self._summary_id is not None:
            self.client.cancelAccountSummary(self._summary_id)
        self._summary_id = self.client.getReqId() + 1
        return super().reqAccountSummaryAsync()

    def _onError(self, reqId: int, errorCode: int, errorString: str, contract: Any) -> None:
        if errorCode == 1102 and self._summary_id is not None:
            self._summary_renewal = self.reqAccountSummaryAsync()


def _ignored(_fields: list[str]) -> None:
    pass


async def _complete(what: str, ask: Any, timeout_s: float) -> list[Any]:
    try:
        async with asyncio.timeout(timeout_s):
            result: list[Any] = await ask()
    except TimeoutError:
        raise NotConnected(
            f"the gateway did not finish its list of {what} within {timeout_s:g} s",
            hint="it may still be synchronising with IB; the runner tries again",
        ) from None
    except ConnectionError as error:
        raise NotConnected(f"the connection ended while reading {what}: {error}") from error
    return result


def shorten_reprs() -> None:
    """ib_async formats the whole Trade with all its fills and log lines at every status, logging on or off.

    With 1,600 partial fills of one order that took 30 to 58 s; with one line 0.4 s.
    """
    ib_async.Trade.__repr__ = _trade_line  # type: ignore[method-assign, assignment]


def _trade_line(trade: Trade) -> str:
    order, status = trade.order, trade.orderStatus
    return f"Trade({order.orderRef or order.orderId} {order.action} {order.totalQuantity} {status.status})"
