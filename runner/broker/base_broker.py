"""What any broker does for one strategy, and how much money the strategy has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Protocol

from runner.errors import RunnerError
from runner.model.money import ZERO
from runner.model.orders import OrderIntent, OrderRequest, Refused


class EquitySource(Protocol):
    """Where `get_equity` looks. Amounts in the account's base currency."""

    def strategy_equity(self, strategy: str) -> Decimal | None:
        """`equity` of the strategy's row in general/strategies; None when the row has none."""
        ...

    def target_weight(self, strategy: str) -> Decimal:
        """`target_weight` of the row: a fraction of account equity."""
        ...

    def account_equity(self) -> Decimal | None:
        """IB's EquityWithLoanValue; None before it was received."""
        ...


class Broker(ABC):
    """Places and cancels the orders of one strategy."""

    def __init__(self, strategy_symbol: str, equity_source: EquitySource) -> None:
        self.strategy_symbol = strategy_symbol
        self._equity_source = equity_source

    def get_equity(self, target_weight: Decimal | None = None) -> Decimal:
        """The strategy's equity in base currency.

        First the strategy's own equity from ArcticDB, if it is set and above zero; else its target weight, or the one
        that is asked about, times the account's EquityWithLoanValue. RunnerError when neither is known: zero or a
        guess is never returned for it.
        """
        own = self._equity_source.strategy_equity(self.strategy_symbol)
        if own is not None and own.is_finite() and own > ZERO:
            return own
        account = self._equity_source.account_equity()
        if account is None or not account.is_finite():
            raise RunnerError(
                f"the equity of {self.strategy_symbol} is not known: IB has not sent EquityWithLoanValue",
                hint="set equity in general/strategies, or wait for the account summary",
            )
        weight = self._equity_source.target_weight(self.strategy_symbol) if target_weight is None else target_weight
        return weight * account

    @abstractmethod
    async def place(self, request: OrderRequest) -> OrderIntent | Refused:
        """Check, commit and send one order. A refusal is a value."""

    @abstractmethod
    async def cancel(self, order_ref: str) -> None:
        """Ask for the order's end. It is over when its status says so."""

    @abstractmethod
    async def cancel_all(self) -> None:
        """Ask for the end of every working order of the strategy."""
