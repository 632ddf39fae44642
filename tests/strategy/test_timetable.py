"""When a strategy acts: facts of the New York calendar in tables."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from runner.model.bars import BarSize
from runner.model.sessions import sessions
from runner.spec.spec import EvaluateOn, ScheduleSpec
from runner.spec.times import TimeRef
from runner.strategy.timetable import Due, Timetable


def ny(text: str) -> datetime:
    """A New York time as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=sessions("XNYS").zone).astimezone(UTC)


def table(**fields: object) -> Timetable:
    return Timetable(ScheduleSpec(calendar="XNYS", **fields), sessions("XNYS"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2012-07-02 12:00", "2012-07-02"),
        ("2012-07-02 16:00", "2012-07-02"),  # a bar that completes at the close belongs to the session it closes
        ("2012-07-03 08:00", "2012-07-02"),
        ("2012-07-04 12:00", "2012-07-03"),  # Independence Day
        ("2012-07-05 09:30", "2012-07-05"),
    ],
)
def test_today_is_the_session_under_way_or_the_last_one(at: str, day: str) -> None:
    assert table().today(ny(at)).isoformat() == day


@pytest.mark.parametrize(
    ("on", "completed", "counts"),
    [
        (EvaluateOn.BAR, "2012-07-02 11:00", True),
        (EvaluateOn.SESSION, "2012-07-02 11:00", False),
        (EvaluateOn.SESSION, "2012-07-02 16:00", True),
        (EvaluateOn.WEEK_END, "2012-07-05 16:00", False),
        (EvaluateOn.WEEK_END, "2012-07-06 16:00", True),
        (EvaluateOn.WEEK_END, "2012-04-05 16:00", True),  # Good Friday follows
        (EvaluateOn.WEEK_END, "2012-07-06 11:00", False),  # the last bar of the session, not each of them
        (EvaluateOn.MONTH_END, "2012-06-28 16:00", False),
        (EvaluateOn.MONTH_END, "2012-06-29 16:00", True),
    ],
)
def test_the_on_rule_picks_bars(on: EvaluateOn, completed: str, counts: bool) -> None:
    assert table(on=on).bar_counts(ny(completed), BarSize.MIN_5) is counts


def test_a_daily_bar_is_the_last_of_its_session_whatever_the_calendar_of_the_schedule() -> None:
    at = ny("2012-07-02 11:30")  # Frankfurt has closed
    assert table(on=EvaluateOn.SESSION).bar_counts(at, BarSize.DAY_1)
    assert not table(on=EvaluateOn.SESSION).bar_counts(at, BarSize.HOUR_1)


@pytest.mark.parametrize(
    ("at", "size", "flat"),
    [
        ("2012-07-02 15:49", BarSize.MIN_5, False),
        ("2012-07-02 15:50", BarSize.MIN_5, True),
        ("2012-07-02 16:00", BarSize.MIN_5, True),
        ("2012-07-03 09:29", BarSize.MIN_5, True),
        ("2012-07-03 09:30", BarSize.MIN_5, False),
        ("2012-07-02 15:50", BarSize.DAY_1, True),
        ("2012-07-02 16:00", BarSize.DAY_1, False),  # what is decided at the close is meant for the next session
    ],
)
def test_after_flatten_at_nothing_is_opened_until_the_next_session(at: str, size: BarSize, flat: bool) -> None:
    assert table(flatten_at=TimeRef.parse("close-10m")).stays_flat(ny(at), size) is flat


def test_a_moment_outside_its_session_is_due_too() -> None:
    assert table(evaluate=TimeRef.parse("close+5m")).due(ny("2012-07-02 16:04"), ny("2012-07-02 16:05")).evaluate
    assert table(evaluate=TimeRef.parse("open-5m")).due(ny("2012-07-02 09:24"), ny("2012-07-02 09:25")).evaluate


def test_a_window_of_an_evening_session_lies_on_the_evening_before() -> None:
    chicago = sessions("CMES")
    timetable = Timetable(ScheduleSpec(calendar="CMES", window=(time(18, 0), time(20, 0))), chicago)
    evening = datetime(2012, 7, 2, 19, 0, tzinfo=chicago.zone).astimezone(UTC)
    assert timetable.in_window(evening)
    assert not timetable.in_window(evening + timedelta(hours=2))


@pytest.mark.parametrize(
    ("at", "inside"),
    [("2012-07-02 09:34", False), ("2012-07-02 09:35", True), ("2012-07-02 15:50", True), ("2012-07-02 15:51", False),
     ("2012-07-02 16:00", False), ("2012-07-04 12:00", False)],
)  # fmt: skip
def test_orders_are_sent_inside_the_window_only(at: str, inside: bool) -> None:
    assert table(window=(time(9, 35), time(15, 50))).in_window(ny(at)) is inside


def test_without_a_window_orders_may_be_sent_at_any_time() -> None:
    assert table().in_window(ny("2012-07-04 03:00"))


def test_a_timed_evaluation_is_due_once_and_moves_with_a_half_day() -> None:
    timetable = table(evaluate=TimeRef.parse("close-20m"))
    assert timetable.due(ny("2012-07-02 15:39"), ny("2012-07-02 15:40")) == Due(evaluate=True)
    assert timetable.due(ny("2012-07-02 15:40"), ny("2012-07-02 15:45")) == Due()
    assert timetable.due(ny("2012-07-03 12:39"), ny("2012-07-03 12:40")) == Due(evaluate=True)  # closes at 13:00


def test_several_missed_evaluations_count_once() -> None:
    assert table(evaluate=TimeRef.parse("15:45")).due(ny("2012-07-02 09:30"), ny("2012-07-09 16:00")).evaluate


def test_every_counts_from_the_window() -> None:
    timetable = table(every=timedelta(minutes=30), window=(time(10, 0), time(11, 0)))
    due = [
        minute
        for minute in range(120)
        if timetable.due(
            ny("2012-07-02 09:30") + timedelta(minutes=minute), ny("2012-07-02 09:31") + timedelta(minutes=minute)
        ).evaluate
    ]
    assert due == [59, 89]  # 10:30 and 11:00


@pytest.mark.parametrize(
    ("at", "passed"),
    [
        ("2012-07-02 15:54", None),
        ("2012-07-02 15:55", "2012-07-02 15:55"),
        ("2012-07-02 15:59", "2012-07-02 15:55"),
        ("2012-07-02 16:00", None),  # the session is over
        ("2012-07-03 09:30", None),
    ],
)
def test_a_flatten_at_that_has_passed_counts_for_its_session(at: str, passed: str | None) -> None:
    timetable = table(flatten_at=TimeRef.parse("15:55"))
    assert timetable.flattened_at(ny(at)) == (None if passed is None else ny(passed))
    assert table().flattened_at(ny(at)) is None


def test_flatten_at_is_due_at_its_time() -> None:
    timetable = table(flatten_at=TimeRef.parse("15:55"))
    assert timetable.due(ny("2012-07-02 15:54"), ny("2012-07-02 15:55")).flatten
    assert not timetable.due(ny("2012-07-02 15:55"), ny("2012-07-02 16:00")).flatten
