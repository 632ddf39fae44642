"""A desk in front of a paper exchange: places orders in a line and writes down all that the exchange tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runner.gateway.exchange import PaperExchange
from runner.gateway.model import ContractQuery, Execution, MarketStep, OrderTerms, PaperOrder, PositionLine
from runner.gateway.settings import UNLIMITED, GatewaySettings

AAPL = 265598
MSFT = 272093
EURUSD = 12087792
SESSIONS = (date(2013, 2, 25), date(2013, 2, 26), date(2013, 2, 27), date(2013, 2, 28), date(2013, 3, 1))
"""The sessions of a market that a test writes down bar by bar."""


def decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


class Desk:
    """`log` has a short line per thing told: `1: 5 Submitted`, `1: exec 10 @ 20.00`, `1: error 202`, `position 10`."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.exchange = PaperExchange(settings, self)
        self.log: list[str] = []
        self.texts: list[str] = []
        self.steps: list[MarketStep] = []
        self.executions: list[Execution] = []
        self.query = ContractQuery(con_id=AAPL)

    # the listener

    def order_changed(self, order: PaperOrder, *, with_terms: bool) -> None:
        held = f" {order.why_held}" if order.why_held else ""
        self.log.append(f"{order.order_id}: {5 if with_terms else 3} {order.status}{held}")
        assert order.perm_id > 0

    def executed(self, execution: Execution) -> None:
        self.executions.append(execution)
        self.log.append(f"{execution.order.order_id}: exec {execution.quantity} @ {execution.price}")

    def commission_charged(self, execution: Execution) -> None:
        self.log.append(f"{execution.order.order_id}: commission {execution.commission}")

    def order_error(self, client_id: int, order_id: int, code: int, text: str) -> None:
        self.log.append(f"{order_id}: error {code}")
        self.texts.append(text)

    def position_changed(self, line: PositionLine) -> None:
        self.log.append(f"position {line.quantity}")

    def account_changed(self, account: str) -> None:
        pass

    def stepped(self, step: MarketStep) -> None:
        self.steps.append(step)

    # the trader

    def terms(self, order_id: int, action: str, quantity: object, order_type: str, **more: Any) -> OrderTerms:
        for name in ("limit_price", "aux_price", "trail_stop_price", "trailing_percent", "limit_price_offset"):
            more[name] = decimal(more.get(name))
        return OrderTerms(
            order_id=order_id,
            contract=more.pop("contract", self.query),
            action=action,
            quantity=Decimal(str(quantity)),
            order_type=order_type,
            **more,
        )

    def place(
        self, order_id: int, action: str, quantity: object, order_type: str, *, client: int = 1, **more: Any
    ) -> None:
        self.exchange.place(client, self.terms(order_id, action, quantity, order_type, **more))

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.exchange.step() is not None

    def told(self, *without: str) -> list[str]:
        """The log so far, emptied; lines that begin with one of `without` (after the id) are left out."""
        lines, self.log = self.log, []
        return [line for line in lines if not any(line.split(": ")[-1].startswith(word) for word in without)]

    @property
    def fills(self) -> list[tuple[int, str, str]]:
        """Order id, quantity, price."""
        return [(e.order.order_id, str(e.quantity), str(e.price)) for e in self.executions]


@pytest.fixture
def make_desk() -> Iterable[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**changes: Any) -> Desk:
        settings = GatewaySettings(step="day", speed="max", liquidity=UNLIMITED, start=date(2013, 2, 25))
        made.append(Desk(replace(settings, **changes)))
        return made[-1]

    yield make
    for desk in made:
        desk.exchange.close()


@pytest.fixture
def bar_desk(tmp_path: Path, make_desk: Callable[..., Desk]) -> Callable[..., Desk]:
    """A desk in front of a market of one stock whose bars the test writes: (open, high, low, close[, volume])."""

    def make(*bars: tuple[float, ...], **changes: Any) -> Desk:
        rows = ["date,open,high,low,close,volume"]
        rows += [
            ",".join(map(str, (day, *bar, *((1_000_000,) if len(bar) == 4 else ()))))
            for day, bar in zip(SESSIONS, bars, strict=False)
        ]
        (tmp_path / "TEST.csv").write_text("\n".join(rows))
        desk = make_desk(data=tmp_path, **changes)
        desk.query = ContractQuery(symbol="TEST", sec_type="STK", currency="USD", exchange="SMART")
        return desk

    return make
