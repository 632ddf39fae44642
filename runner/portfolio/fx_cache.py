"""Exchange rates into the account's base currency. One per runner, owned by PortfolioManager.

A currency without a rate is an error, never 1: sizing an order in yen as if they were dollars is how accounts end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from runner.errors import ExitCode, RunnerError
from runner.model.clock import Clock
from runner.model.money import Money

MAX_AGE_S = 4 * 86_400.0
"""Age of a rate, in seconds of the market's clock, beyond which it is asked for again: a long weekend."""

RateSource = Callable[[str], Decimal | None]
"""Currency → base units per unit of it, None when unknown. Called at most once per rate that is missing or too old."""


class CurrencyWithoutRate(RunnerError, LookupError):
    """There is no usable rate for a currency. Nothing that needs it is sized or sent."""

    exit_code = ExitCode.UNAVAILABLE

    def __init__(self, currency: str, base_currency: str, why: str = "") -> None:
        super().__init__(
            f"there is no exchange rate from {currency} to {base_currency}{why}",
            hint=f"hold or subscribe to {currency}, or trade {base_currency}.{currency} once so that IB reports a rate",
        )
        self.currency = currency


@dataclass(frozen=True, slots=True)
class Rate:
    """Base units per unit of `currency`, as of `at`."""

    currency: str
    rate: Decimal
    at: datetime


class FXCache:
    """Rates by currency, with their age. Thread-safe."""

    def __init__(
        self,
        base_currency: str,
        clock: Clock,
        max_age_s: float = MAX_AGE_S,
        rate_source: RateSource | None = None,
    ) -> None:
        self.base_currency = base_currency
        self._clock = clock
        self._max_age_s = max_age_s
        self._rate_source = rate_source
        self._rates: dict[str, Rate] = {}
        self._lock = threading.Lock()

    def update(self, currency: str, rate: Decimal, at: datetime | None = None) -> None:
        """Take in a rate: base units per unit of `currency`, as IB's ExchangeRate. An older one than is known is
        ignored. ValueError when it is not a positive finite number."""
        if not rate.is_finite() or rate <= 0:
            raise ValueError(f"{rate} is not an exchange rate for {currency}")
        fresh = Rate(currency, rate, at or self._clock.now())
        with self._lock:
            known = self._rates.get(currency)
            if known is None or fresh.at >= known.at:
                self._rates[currency] = fresh

    def rate(self, from_currency: str, to_currency: str | None = None) -> Decimal:
        """Units of `to_currency` (the base currency) per unit of `from_currency`; CurrencyWithoutRate without one."""
        target = self.base_currency if to_currency is None else to_currency
        if from_currency == target:
            return Decimal(1)
        if target == self.base_currency:
            return self._to_base(from_currency)
        return self._to_base(from_currency) / self._to_base(target)

    def convert(self, money: Money, to_currency: str | None = None) -> Money:
        """An amount in another currency, not rounded; CurrencyWithoutRate without a rate."""
        target = self.base_currency if to_currency is None else to_currency
        return Money(money.amount * self.rate(money.currency, target), target)

    def known(self, currency: str) -> bool:
        """Whether `rate` would answer without asking anybody."""
        if currency == self.base_currency:
            return True
        with self._lock:
            found = self._rates.get(currency)
        return found is not None and self._age_s(found) <= self._max_age_s

    def rates(self) -> list[Rate]:
        """Every rate with its age, by currency."""
        with self._lock:
            return [self._rates[currency] for currency in sorted(self._rates)]

    def _to_base(self, currency: str) -> Decimal:
        if currency == self.base_currency:
            return Decimal(1)
        with self._lock:
            found = self._rates.get(currency)
        if found is not None and self._age_s(found) <= self._max_age_s:
            return found.rate
        asked = self._rate_source(currency) if self._rate_source is not None and currency else None
        if asked is not None:
            self.update(currency, asked)
            return asked
        if found is None:
            raise CurrencyWithoutRate(currency, self.base_currency)
        age_h = self._age_s(found) / 3600
        raise CurrencyWithoutRate(currency, self.base_currency, f" that is fresh: the last is {age_h:.1f} hours old")

    def _age_s(self, rate: Rate) -> float:
        return (self._clock.now() - rate.at).total_seconds()
