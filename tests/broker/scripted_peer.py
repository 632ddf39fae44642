"""A TWS peer that says exactly what a test wants, over real TCP, to the real ib_async client.

It completes the handshake and answers the lists of a connect from what it holds. Orders it only receives: what becomes
of them is the test's business, also when that is something a real gateway does once a year.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from runner.gateway import encode, encode_orders, wire
from runner.gateway.decode import place_order
from runner.gateway.model import Contract, Execution, OrderTerms, PaperOrder

VERSION = 178
ACCOUNT = "DU1234567"
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)

AAPL = Contract(
    con_id=265598,
    symbol="AAPL",
    sec_type="STK",
    exchange="SMART",
    primary_exchange="NASDAQ",
    currency="USD",
    local_symbol="AAPL",
    trading_class="NMS",
    min_size=Decimal("0.0001"),
    size_increment=Decimal("0.0001"),
    order_types=("MKT", "LMT"),
)


@dataclass
class ScriptedPeer:
    accounts: tuple[str, ...] = (ACCOUNT,)
    now: datetime = NOW
    next_id: int = 1
    contracts: list[Contract] = field(default_factory=lambda: [AAPL])
    open: list[PaperOrder] = field(default_factory=list)
    completed: list[PaperOrder] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    received: list[PaperOrder] = field(default_factory=list)
    """Every placeOrder, in order."""
    cancels: list[int] = field(default_factory=list)
    requests: list[list[str]] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    """Message ids that are not answered; `*` for none at all."""
    unanswered_ends: set[str] = field(default_factory=set)
    in_use: set[int] = field(default_factory=set)
    """Client ids that are refused with 326."""
    on_order: Callable[[PaperOrder], None] = lambda order: None
    on_history: Callable[[int, list[str]], None] | None = None
    perm_id: int = 900_000
    port: int = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers.values():
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    # -- what a test tells it to say

    def send(self, frame: bytes) -> None:
        for writer in self._writers.values():
            writer.write(frame)

    def accept(self, order: PaperOrder, status: str = "Submitted") -> None:
        """openOrder and orderStatus with a permanent id."""
        if not order.perm_id:
            self.perm_id += 1
            order.perm_id = self.perm_id
        if order not in self.open:
            self.open.append(order)
        order.status = status
        self.send(encode_orders.open_order(order, VERSION) + encode_orders.order_status(order))

    def status(self, order: PaperOrder, status: str, filled: str | None = None) -> None:
        order.status = status
        if filled is not None:
            order.filled = Decimal(filled)
        self.send(encode_orders.order_status(order))

    def finish(self, order: PaperOrder, status: str) -> None:
        """Terminal: status on the wire, and from the open to the completed orders."""
        self.forget(order)
        order.completed_status, order.completed_at = status, self.now
        self.completed.append(order)
        self.status(order, status)

    def forget(self, order: PaperOrder) -> None:
        if order in self.open:
            self.open.remove(order)

    def execution(self, order: PaperOrder, quantity: str, price: str, exec_id: str) -> Execution:
        return Execution(
            exec_id=exec_id,
            order=order,
            account=self.accounts[0],
            at=self.now,
            exchange="ISLAND",
            side="BOT" if order.terms.action == "BUY" else "SLD",
            quantity=Decimal(quantity),
            price=Decimal(price),
            cumulative=Decimal(quantity),
            average_price=Decimal(price),
            commission=Decimal("1.25"),
            commission_currency="USD",
            realized=None,
        )

    def fill(
        self, order: PaperOrder, quantity: str, price: str = "100", exec_id: str = "0000e0d5.1.01.01"
    ) -> Execution:
        """An execution, live, kept for reqExecutions; commission is a separate matter."""
        execution = self.execution(order, quantity, price, exec_id)
        self.executions.append(execution)
        order.filled += execution.quantity
        self.send(encode_orders.exec_details(execution, VERSION))
        return execution

    def charge(self, execution: Execution) -> None:
        self.send(encode_orders.commission_report(execution))

    def error(self, request_id: int, code: int, text: str = "said the test") -> None:
        self.send(encode.error(VERSION, request_id, code, text))

    def drop(self) -> None:
        """Cut every connection."""
        for writer in self._writers.values():
            writer.transport.abort()

    async def until_order(self, count: int = 1) -> PaperOrder:
        """The order that makes it `count`; TimeoutError when it does not come."""
        await self.until(lambda: len(self.received) >= count)
        return self.received[count - 1]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()

    # -- the protocol

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        client_id = -1
        try:
            await reader.readexactly(4)
            await self._read(reader)
            writer.write(encode.hello(VERSION, self.now))
            client_id = int((await self._read(reader))[2])
            if client_id in self.in_use:
                writer.write(encode.error(VERSION, -1, 326, "Unable to connect as the client id is already in use."))
                return
            self._writers[client_id] = writer
            if "71" not in self.silent:
                writer.write(encode.managed_accounts(self.accounts) + encode.next_valid_id(self.next_id))
            while True:
                fields = await self._read(reader)
                self.requests.append(fields)
                if fields[0] not in self.silent and "*" not in self.silent:
                    self._answer(client_id, fields, writer)
                self._arrived.set()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            if self._writers.get(client_id) is writer:
                del self._writers[client_id]
            writer.close()
            self._tasks.discard(task)

    async def _read(self, reader: asyncio.StreamReader) -> list[str]:
        size = wire.length_prefix(await reader.readexactly(4))
        return wire.fields_of(await reader.readexactly(size))

    def _answer(self, client_id: int, fields: list[str], writer: asyncio.StreamWriter) -> None:
        end = b"" if fields[0] in self.unanswered_ends else None
        match fields[0]:
            case "3":
                self._order(client_id, place_order(fields, VERSION))
            case "4":
                self.cancels.append(int(fields[2]))
            case "5":
                mine = [order for order in self.open if order.client_id == client_id]
                for order in mine:
                    writer.write(encode_orders.open_order(order, VERSION) + encode_orders.order_status(order))
                writer.write(encode.end(53) if end is None else end)
            case "6":
                if fields[2] == "1":
                    writer.write(encode.account_download_end(self.accounts[0]))
            case "7":
                for execution in self.executions:
                    writer.write(encode_orders.exec_details(execution, VERSION, int(fields[2])))
                writer.write(encode.end(55, int(fields[2])) if end is None else end)
            case "9":
                self._details(fields, writer)
            case "20":
                if self.on_history is not None:
                    self.on_history(int(fields[1]), fields)
            case "49":
                writer.write(encode.current_time(self.now))
            case "61":
                writer.write(encode.end(62))
            case "62":
                writer.write(encode.end(64, int(fields[2])))
            case "99":
                for order in self.completed:
                    writer.write(encode_orders.completed_order(order, VERSION))
                writer.write(encode.completed_orders_end() if end is None else end)

    def _order(self, client_id: int, terms: OrderTerms) -> None:
        contract = next(one for one in self.contracts if one.con_id == terms.contract.con_id)
        order = PaperOrder(
            client_id=client_id,
            order_id=terms.order_id,
            perm_id=0,
            contract=contract,
            terms=terms,
            account=terms.account,
        )
        self.received.append(order)
        self.on_order(order)

    def _details(self, fields: list[str], writer: asyncio.StreamWriter) -> None:
        request_id, symbol = int(fields[2]), fields[4]
        found = [one for one in self.contracts if one.symbol == symbol or str(one.con_id) == fields[3]]
        if not found:
            writer.write(encode.error(VERSION, request_id, 200, "No security definition has been found"))
            return
        for contract in found:
            writer.write(encode.contract_data(VERSION, request_id, contract, "", 26))
        writer.write(encode.contract_data_end(request_id))
