"""The day's profit and loss of one strategy, measured from what it was when the session before ended."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from runner.strategy.host import StrategyHost


class DayPnl:
    """Looks at a strategy's books now and then; the first look in a session makes the last one before it the mark that
    the day is measured from. So what happens at the open counts. The mark is journalled and survives a restart."""

    def __init__(self, strategy: str, host: StrategyHost) -> None:
        self._strategy = strategy
        self._host = host
        self._before: Decimal | None = None

    async def look(self, at: datetime) -> Decimal:
        """Net P&L of the session that `at` belongs to, base currency, at the newest prices."""
        books = self._host.portfolio_manager
        held = [position.instrument.con_id for position in books.positions(self._strategy) if position.quantity]
        prices = {con_id: self._host.last_price(con_id) for con_id in held}
        books.mark({con_id: price for con_id, price in prices.items() if price is not None})
        net = books.strategy_pnl(self._strategy).net
        day = self._host.session_day(self._strategy, at)
        mark = await self._host.session_mark(self._strategy, day, net if self._before is None else self._before)
        self._before = net
        return net - mark
