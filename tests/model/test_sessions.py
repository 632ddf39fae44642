"""Sessions of exchange calendars: facts of days that are easy to get wrong."""

from __future__ import annotations

import gzip
import subprocess
import sys
from datetime import UTC, date, datetime, time

import pytest

from runner.model.calendar_data import DATA_FILE, data_text, from_library, recorded_sessions, shipped_codes
from runner.model.sessions import sessions


@pytest.mark.parametrize(
    ("calendar", "day", "opened", "closed"),
    [
        ("XNYS", "2012-07-03", "13:30", "17:00"),  # half day
        ("XNYS", "2012-11-23", "14:30", "18:00"),  # after Thanksgiving
        ("XNYS", "2012-03-12", "13:30", "20:00"),  # New York is on summer time, Europe is not
        ("XETR", "2012-03-12", "08:00", "16:30"),
        ("XTKS", "2012-07-02", "00:00", "06:00"),
    ],
)
def test_a_session_is_in_utc_with_its_own_hours(calendar: str, day: str, opened: str, closed: str) -> None:
    session = sessions(calendar).on(date.fromisoformat(day))
    assert session is not None
    assert (f"{session.open:%H:%M}", f"{session.close:%H:%M}") == (opened, closed)
    assert session.open.tzinfo is UTC


@pytest.mark.parametrize("day", ["2012-07-04", "2012-10-29", "2012-10-30", "2012-12-25", "2012-07-07"])
def test_holidays_storms_and_weekends_have_no_session(day: str) -> None:
    assert sessions("XNYS").on(date.fromisoformat(day)) is None


def test_a_moment_belongs_to_the_session_under_way_or_the_next() -> None:
    new_york = sessions("XNYS")
    close = datetime(2012, 7, 3, 17, tzinfo=UTC)
    assert new_york.at_or_after(datetime(2012, 7, 3, 16, 59, tzinfo=UTC)).day == date(2012, 7, 3)
    assert new_york.at_or_after(close).day == date(2012, 7, 5)  # the close itself is outside
    assert new_york.before(close).day == date(2012, 7, 3)
    assert new_york.is_open(datetime(2012, 7, 3, 13, 30, tzinfo=UTC))
    assert not new_york.is_open(close)
    assert new_york.session_day(datetime(2012, 7, 4, 12, tzinfo=UTC)) == date(2012, 7, 5)


def test_a_local_time_follows_the_exchanges_clock() -> None:
    assert sessions("XNYS").local(date(2012, 1, 3), time(15, 45)) == datetime(2012, 1, 3, 20, 45, tzinfo=UTC)
    assert sessions("XNYS").local(date(2012, 7, 3), time(15, 45)) == datetime(2012, 7, 3, 19, 45, tzinfo=UTC)


def test_an_unknown_calendar_is_named() -> None:
    with pytest.raises(ValueError, match="no exchange calendar called 'XNOPE'"):
        sessions("XNOPE")


@pytest.mark.parametrize("code", shipped_codes())
def test_every_session_of_a_shipped_calendar_is_the_librarys(code: str) -> None:
    assert recorded_sessions(code) == from_library(code)


def test_the_shipped_file_is_fresh_and_small() -> None:
    shipped = gzip.decompress(DATA_FILE.read_bytes()).decode()
    assert shipped == data_text(), "run: python -m runner.model.calendar_data"
    assert DATA_FILE.stat().st_size < 20_000


def test_a_shipped_calendar_needs_neither_the_library_nor_pandas() -> None:
    code = (
        "import sys\n"
        "from runner.model.sessions import CALENDAR_OF_EXCHANGE, sessions\n"
        "for code in CALENDAR_OF_EXCHANGE.values(): sessions(code)\n"
        "assert not {'pandas', 'exchange_calendars', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("code", "first", "last"),
    [("XJSE", date(1999, 1, 4), date(2035, 12, 31)), ("XSAU", date(2021, 1, 3), date(2029, 12, 31))],
)
def test_a_calendar_that_is_not_shipped_comes_from_the_library_as_far_as_it_goes(
    code: str, first: date, last: date
) -> None:
    assert code not in shipped_codes()
    every = sessions(code).between(date(1990, 1, 1), date(2100, 1, 1))
    assert (every[0].day, every[-1].day) == (first, last)
