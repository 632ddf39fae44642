"""What orders need to know of their strategy, from the books and the sessions: for sizing and for the gate."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Protocol

from runner.broker.order_gate import TradingState
from runner.errors import RunnerError
from runner.manager.runtime import Runtime, Runtimes
from runner.model.clock import Clock
from runner.model.events import Filled
from runner.model.money import ZERO, exact
from runner.portfolio.portfolio_manager import PortfolioManager
from runner.store.strategies import StrategyTable


class SessionView(Protocol):
    """The master session, as the gate sees it."""

    @property
    def connected(self) -> bool: ...

    def is_locked(self, con_id: int) -> bool:
        """Whether the books and IB disagree about the instrument."""


class ManagerEquity:
    """Fits `runner.broker.base_broker.EquitySource`: the store first, then the account."""

    def __init__(self, runtimes: Runtimes, table: StrategyTable, books: PortfolioManager) -> None:
        self._runtimes = runtimes
        self._table = table
        self._books = books

    def strategy_equity(self, strategy: str) -> Decimal | None:
        row = self._table.get(strategy)
        return exact(row.equity) if row is not None and row.equity is not None else None

    def target_weight(self, strategy: str) -> Decimal:
        runtime = self._runtimes.get(strategy)
        if runtime is None:
            return ZERO
        instance = runtime.instance
        return exact(runtime.params.target_weight if instance is None else instance.target_weight)

    def account_equity(self) -> Decimal | None:
        return self._books.account.equity_with_loan


class ManagerRisk:
    """Fits `runner.broker.order_gate.RiskView`. Answers from memory, on any thread; never waits."""

    def __init__(self, runtimes: Runtimes, books: PortfolioManager, clock: Clock, sessions: SessionView) -> None:
        self._runtimes = runtimes
        self._books = books
        self._clock = clock
        self._sessions = sessions

    def _today(self, runtime: Runtime) -> date:
        return runtime.session_day(self._clock.now())

    def position(self, strategy: str, con_id: int) -> Decimal:
        held = self._books.position(strategy, con_id)
        return held.quantity if held is not None else ZERO

    def is_booked(self, filled: Filled) -> bool:
        return self._books.is_booked(filled)

    def session_day(self, strategy: str) -> date:
        runtime = self._runtimes.get(strategy)
        return self._today(runtime) if runtime is not None else self._clock.now().date()

    def trades_today(self, strategy: str) -> int:
        runtime = self._runtimes.get(strategy)
        if runtime is None:
            return 0
        return self._books.trades_today(strategy, self._today(runtime))

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
        return runtime is not None and runtime.loss_latched_on == self._today(runtime)

    def fx_rate(self, currency: str) -> Decimal:
        return self._books.fx_cache.rate(currency)

    def state(self, strategy: str) -> TradingState:
        runtime = self._runtimes.get(strategy)
        if runtime is None or not self._sessions.connected:
            return "reconciling"
        return runtime.trading_state(self._today(runtime))

    def instrument_locked(self, con_id: int) -> bool:
        return self._sessions.is_locked(con_id)
