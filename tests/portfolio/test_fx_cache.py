"""Exchange rates: into the base currency, across it, with an age, and never assumed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from runner.errors import RunnerError
from runner.model.clock import ManualClock
from runner.model.money import Money
from runner.portfolio.fx_cache import MAX_AGE_S, CurrencyWithoutRate, FXCache

NOW = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)
D = Decimal


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def cache(clock: ManualClock) -> FXCache:
    cache = FXCache("USD", clock)
    cache.update("EUR", D("1.10"))
    cache.update("JPY", D("0.0065"))
    return cache


@pytest.mark.parametrize(
    ("source", "target", "rate"),
    [
        ("USD", None, "1"),
        ("EUR", None, "1.10"),
        ("EUR", "EUR", "1"),
        ("USD", "EUR", "0.9090909"),
        ("EUR", "JPY", "169.2307692"),
    ],
)
def test_rates_into_and_across_the_base_currency(cache: FXCache, source: str, target: str | None, rate: str) -> None:
    assert abs(cache.rate(source, target) - D(rate)) < D("1e-6")


def test_amounts_are_converted_without_rounding(cache: FXCache) -> None:
    assert cache.convert(Money(D("100.01"), "EUR")) == Money(D("110.0110"), "USD")
    assert cache.convert(Money(D("5"), "USD")) == Money(D("5"), "USD")


@pytest.mark.parametrize(("source", "target"), [("GBP", None), ("USD", "GBP"), ("EUR", "GBP"), ("", None)])
def test_a_currency_without_a_rate_is_an_error_that_names_it_and_never_one(cache: FXCache, source, target) -> None:
    with pytest.raises(CurrencyWithoutRate) as caught:
        cache.rate(source, target)
    assert isinstance(caught.value, (RunnerError, LookupError)) and isinstance(caught.value, RunnerError)
    assert caught.value.currency == (target or source) and "USD" in caught.value.message and caught.value.hint
    assert not cache.known("GBP") and cache.known("EUR") and cache.known("USD")


def test_an_old_rate_is_no_rate(cache: FXCache, clock: ManualClock) -> None:
    clock.set(NOW + timedelta(seconds=MAX_AGE_S + 1))
    with pytest.raises(CurrencyWithoutRate, match=r"96\.0 hours old"):
        cache.rate("EUR")
    assert cache.rate("USD") == 1
    cache.update("EUR", D("1.2"))
    assert cache.rate("EUR") == D("1.2")


def test_a_source_is_asked_only_for_what_is_missing_or_old(clock: ManualClock) -> None:
    asked: list[str] = []

    def source(currency: str) -> Decimal | None:
        asked.append(currency)
        return D(2) if currency == "GBP" else None

    cache = FXCache("USD", clock, 60, source)
    assert (cache.rate("GBP"), cache.rate("GBP")) == (2, 2) and asked == ["GBP"]
    clock.set(NOW + timedelta(seconds=61))
    cache.rate("GBP")
    assert asked == ["GBP", "GBP"]
    with pytest.raises(CurrencyWithoutRate):
        cache.rate("CHF")


def test_an_older_rate_does_not_replace_a_newer_one(cache: FXCache) -> None:
    cache.update("EUR", D("0.5"), NOW - timedelta(hours=1))
    assert cache.rate("EUR") == D("1.10")
    assert [(one.currency, one.at) for one in cache.rates()] == [("EUR", NOW), ("JPY", NOW)]


@pytest.mark.parametrize("rate", ["0", "-1", "NaN", "Infinity"])
def test_what_is_not_a_rate_is_refused(cache: FXCache, rate: str) -> None:
    with pytest.raises(ValueError, match="EUR"):
        cache.update("EUR", D(rate))
