"""Times of a session."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from runner.model.sessions import sessions
from runner.spec.times import TimeRef, parse_clock, parse_every


@pytest.mark.parametrize(
    ("text", "day", "at"),
    [
        ("15:45", "2012-07-02", "2012-07-02T19:45"),
        ("9:30", "2012-01-03", "2012-01-03T14:30"),
        ("close-20m", "2012-07-02", "2012-07-02T19:40"),
        ("close-20m", "2012-07-03", "2012-07-03T16:40"),
        ("open+5m", "2012-07-02", "2012-07-02T13:35"),
        ("open", "2012-07-02", "2012-07-02T13:30"),
    ],
)
def test_a_time_is_on_the_exchanges_clock_and_follows_half_days(text: str, day: str, at: str) -> None:
    calendar = sessions("XNYS")
    session = calendar.on(date.fromisoformat(day))
    assert session is not None
    assert TimeRef.parse(text).at(session, calendar) == datetime.fromisoformat(at).replace(tzinfo=UTC)


def test_the_evening_before_belongs_to_an_overnight_session() -> None:
    calendar = sessions("CMES")
    session = calendar.on(date(2024, 5, 7))
    assert session is not None
    evening = TimeRef.parse("18:00").at(session, calendar)
    morning = TimeRef.parse("09:00").at(session, calendar)
    assert session.open <= evening < morning < session.close


@pytest.mark.parametrize("text", ["15:45", "09:05", "open", "close-20m", "open+5m"])
def test_a_time_prints_as_it_is_written(text: str) -> None:
    assert str(TimeRef.parse(text)) == text


@pytest.mark.parametrize("text", ["", "24:00", "9:60", "close-", "close-5", "noon", "09:30\n", "open+5h", "1545"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        TimeRef.parse(text)


def test_durations() -> None:
    assert parse_every("15m") == timedelta(minutes=15)
    assert parse_every("1h") == timedelta(hours=1)
    assert parse_clock("9:05") == time(9, 5)
    for text in ("0m", "5", "m", "1d", "-5m"):
        with pytest.raises(ValueError):
            parse_every(text)
