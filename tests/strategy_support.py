"""Strategy files, made-up prices, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from runner.model.events import Filled, Notice, OrderPlaced, OrderRefused
from runner.model.orders import OrderIntent
from runner.model.sessions import sessions

BEFORE = 12
"""Sessions of flat prices before the first one that is traded."""

Candle = float | tuple[float, float, float, float]


def write_prices(
    folder: Path,
    start: date,
    series: dict[str, Sequence[Candle]],
    *,
    volumes: dict[str, int] | None = None,
    contracts: str = "",
) -> Path:
    """One CSV per symbol: a number is a bar that stands still there, a tuple is open, high, low, close."""
    folder.mkdir(parents=True, exist_ok=True)
    days = sessions("XNYS").between(date(start.year - 1, 11, 1), date(start.year + 1, 12, 31))
    first = next(i for i, session in enumerate(days) if session.day >= start)
    for symbol, candles in series.items():
        flat = candles[0] if isinstance(candles[0], float | int) else candles[0][0]
        volume = (volumes or {}).get(symbol, 10_000_000)
        rows = ["date,open,high,low,close,volume"]
        for session, candle in zip(days[first - BEFORE :], [flat] * BEFORE + list(candles), strict=False):
            bar = candle if isinstance(candle, tuple) else (candle,) * 4
            rows.append(f"{session.day},{','.join(str(price) for price in bar)},{volume}")
        (folder / f"{symbol}.csv").write_text("\n".join(rows) + "\n")
    if contracts:
        (folder / "contracts.yaml").write_text(contracts)
    return folder


def spec(name: str, universe: str, **sections: str) -> str:
    """A whole strategy file; every section is YAML in one line."""
    said = {
        "bars": "{size: 1 day, history: 5}",
        "signals": "{hold: {use: buy_and_hold}}",
        "sizing": "{use: equal_weight}",
        "params": "{target_weight: 0.1}",
        "schedule": "{calendar: XNYS}",
    } | sections
    return "\n".join(["spec: 1", f"name: {name}", f"universe: {universe}", *(f"{k}: {v}" for k, v in said.items()), ""])


def files(*texts: str) -> dict[str, str]:
    return {f"s{i}.yaml": text for i, text in enumerate(texts)}


class Seen:
    """What one strategy did, from the events of its system."""

    def __init__(self, running: Any, name: str) -> None:
        self.running = running
        self.name = name

    @property
    def orders(self) -> list[OrderIntent]:
        return [e.intent for e in self.running.events if isinstance(e, OrderPlaced) and e.strategy == self.name]

    @property
    def fills(self) -> list[Filled]:
        return [e for e in self.running.events if isinstance(e, Filled) and e.strategy == self.name]

    @property
    def refused(self) -> list[OrderRefused]:
        return [e for e in self.running.events if isinstance(e, OrderRefused) and e.strategy == self.name]

    @property
    def notices(self) -> list[Notice]:
        return [e for e in self.running.events if isinstance(e, Notice) and e.strategy == self.name]

    @property
    def story(self) -> list[tuple[str, str, str, Decimal]]:
        """(New York time, side, reason, quantity) of every order."""
        zone = sessions("XNYS").zone
        return [
            (
                f"{intent.created_at.astimezone(zone):%m-%d %H:%M}",
                intent.request.side.value,
                intent.request.reason,
                intent.request.quantity,
            )
            for intent in self.orders
        ]

    @property
    def reasons(self) -> list[str]:
        return [intent.request.reason for intent in self.orders]

    @property
    def held(self) -> dict[str, Decimal]:
        books = self.running.manager.portfolio_manager
        return {one.instrument.symbol: one.quantity for one in books.positions(self.name) if one.quantity}

    @property
    def phase(self) -> str:
        return str(self.running.phase(self.name).value)

    @property
    def decided(self) -> dict[str, str]:
        return dict(self.running.manager.runtime(self.name).instance.decided)
