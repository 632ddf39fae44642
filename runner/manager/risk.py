"""What the order gate needs to know of a strategy, from the books and the manager."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from runner.broker.order_gate import TradingState
from runner.errors import RunnerError
from runner.manager.runtime import Runtimes
from runner.model.events import Filled
from runner.model.money import ZERO, exact

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager


class ManagerEquity:
    """Fits `runner.broker.base_broker.EquitySource`: the store first, then the account."""

    def __init__(self, manager: StrategyManager) -> None:
        self._manager = manager

    def strategy_equity(self, strategy: str) -> Decimal | None:
        row = self._manager.strategies.get(strategy)
        return exact(row.equity) if row is not None and row.equity is not None else None

    def target_weight(self, strategy: str) -> Decimal:
        runtime = self._manager.runtime(strategy)
        instance = runtime.instance
        return exact(runtime.params.target_weight if instance is None else instance.target_weight)

    def account_equity(self) -> Decimal | None:
        return self._manager.portfolio_manager.account.equity_with_loan


class ManagerRisk:
    """Fits `runner.broker.order_gate.RiskView`. Answers from memory, on any thread; never waits."""

    def __init__(self, manager: StrategyManager, runtimes: Runtimes) -> None:
        self._manager = manager
        self._runtimes = runtimes

    def position(self, strategy: str, con_id: int) -> Decimal:
        held = self._manager.portfolio_manager.position(strategy, con_id)
        return held.quantity if held is not None else ZERO

    def is_booked(self, filled: Filled) -> bool:
        return self._manager.portfolio_manager.is_booked(filled)

    def session_day(self, strategy: str) -> date:
        runtime = self._runtimes.get(strategy)
        return self._manager.today(runtime) if runtime is not None else self._manager.clock.now().date()

    def trades_today(self, strategy: str) -> int:
        runtime = self._runtimes.get(strategy)
        if runtime is None:
            return 0
        return self._manager.portfolio_manager.trades_today(strategy, self._manager.today(runtime))

    def strategy_equity(self, strategy: str) -> Decimal | None:
        runtime = self._runtimes.get(strategy)
        if runtime is None or runtime.instance is None:
            return None
        try:
            return runtime.instance.get_equity()
        except RunnerError:
            return None  # not known yet; the gate then refuses what needs it

    def max_position_size(self, strategy: str) -> Decimal | None:
        runtime = self._runtimes.get(strategy)
        if runtime is None or not runtime.params.max_position_size:
            return None
        return exact(runtime.params.max_position_size)

    def max_daily_trades(self, strategy: str) -> int | None:
        runtime = self._runtimes.get(strategy)
        return (runtime.params.max_daily_trades or None) if runtime is not None else None

    def loss_paused(self, strategy: str) -> bool:
        runtime = self._runtimes.get(strategy)
        return runtime is not None and runtime.loss_latched_on == self._manager.today(runtime)

    def fx_rate(self, currency: str) -> Decimal:
        return self._manager.portfolio_manager.fx_cache.rate(currency)

    def state(self, strategy: str) -> TradingState:
        runtime = self._runtimes.get(strategy)
        if runtime is None or not self._manager.master.connected:
            return "reconciling"
        return runtime.trading_state(self._manager.today(runtime))

    def instrument_locked(self, con_id: int) -> bool:
        return self._manager.master.is_locked(con_id)
