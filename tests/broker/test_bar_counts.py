"""How many completed bars there are since a moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from runner.broker.bar_times import bars_since
from runner.model.bars import BarSize
from runner.model.instruments import Instrument, SecType

STOCK = Instrument(con_id=1, symbol="IBM", sec_type=SecType.STOCK, exchange="SMART", currency="USD")
FUTURE = replace(STOCK, sec_type=SecType.FUTURE, exchange="CME")
MONDAY, FRIDAY_OPEN = datetime(2012, 11, 19, tzinfo=UTC), datetime(2012, 11, 23, 15, tzinfo=UTC)
"""The week of Thanksgiving: Thursday is closed, and Friday's session ends at 13:00 in New York."""
AFTER = datetime(2012, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "regular", "until", "expected"),
    [
        (BarSize.DAY_1, True, AFTER, 4),
        (BarSize.DAY_1, True, FRIDAY_OPEN, 3),
        (BarSize.HOUR_1, True, AFTER, 3 * 7 + 4),
        (BarSize.MIN_1, True, AFTER, 3 * 390 + 210),
        (BarSize.MIN_30, False, AFTER, 4 * 32),
        (BarSize.WEEK_1, True, datetime(2012, 12, 24, tzinfo=UTC), 5),
        (BarSize.MONTH_1, True, datetime(2013, 2, 20, tzinfo=UTC), 3),
        (BarSize.DAY_1, True, datetime(2012, 11, 1, tzinfo=UTC), 0),
    ],
)
def test_bars_are_counted_by_the_sessions_of_the_exchange(
    size: BarSize, regular: bool, until: datetime, expected: int
) -> None:
    assert bars_since(MONDAY, until, size, STOCK, regular) == expected


def test_an_exchange_has_its_own_sessions() -> None:
    assert bars_since(MONDAY, AFTER, BarSize.DAY_1, FUTURE, True) == 5


def test_what_lies_before_the_first_known_session_counts_five_days_a_week() -> None:
    year = datetime(1998, 1, 1, tzinfo=UTC)
    assert 260 <= bars_since(year, datetime(1999, 1, 5, 22, tzinfo=UTC), BarSize.DAY_1, STOCK, True) <= 266
