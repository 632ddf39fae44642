"""Exchange rates that the account does not report: the close of IB's currency pair."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal

from runner.broker.history import HistoryService
from runner.broker.requests import InstrumentResolver
from runner.errors import GatewayError
from runner.model.bars import BarSize
from runner.model.clock import Clock
from runner.model.instruments import InstrumentQuery, SecType
from runner.model.money import exact
from runner.portfolio.fx_cache import CurrencyWithoutRate, FXCache

LOOKBACK = timedelta(days=10)


async def ensure_rates(
    cache: FXCache, currencies: Collection[str], resolver: InstrumentResolver, history: HistoryService, clock: Clock
) -> None:
    """Makes the cache know these currencies, asking IB for those it does not; CurrencyWithoutRate for the first that
    IB has no pair of."""
    for currency in currencies:
        if cache.known(currency):
            continue
        rate = await _pair_rate(currency, cache.base_currency, resolver, history)
        if rate is None:
            raise CurrencyWithoutRate(currency, cache.base_currency)
        cache.update(currency, rate, clock.now())


async def _pair_rate(currency: str, base: str, resolver: InstrumentResolver, history: HistoryService) -> Decimal | None:
    """Base units per unit of `currency`, from whichever way round IB quotes the pair; None when it does not."""
    for symbol, quote in ((currency, base), (base, currency)):
        query = InstrumentQuery(symbol=symbol, sec_type=SecType.FOREX, exchange="IDEALPRO", currency=quote)
        try:
            (pair,) = await resolver.resolve_all([query])
            bars = await history.bars(pair, BarSize.DAY_1, LOOKBACK, what="MIDPOINT")
        except GatewayError:
            continue
        if bars:
            close = exact(bars[-1].close)
            return close if symbol == currency else 1 / close
    return None
