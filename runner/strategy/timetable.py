"""When a strategy acts: pure questions about a schedule, a calendar and a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from runner.model.bars import BarSize
from runner.model.sessions import Session, Sessions
from runner.spec.spec import EvaluateOn, ScheduleSpec

_AHEAD = timedelta(days=10)
"""Longer than any gap between two sessions, to look for the next one."""


@dataclass(frozen=True, slots=True)
class Due:
    """What has fallen due since the last look."""

    evaluate: bool = False
    flatten: bool = False


class Timetable:
    """Turns a `ScheduleSpec` into answers. All times are aware UTC; days are dates in the calendar's zone."""

    def __init__(self, schedule: ScheduleSpec, sessions: Sessions) -> None:
        self._schedule = schedule
        self._sessions = sessions

    @property
    def by_bar(self) -> bool:
        """Whether completed bars, and not times of day, make it act."""
        return self._schedule.evaluate is None and self._schedule.every is None

    def today(self, at: datetime) -> date:
        """The session date that `at` belongs to for daily counts: the session under way or just closed.

        A bar that completes at the close is acted on in the session it closes.
        """
        current = self._sessions.at_or_after(at)
        if current.contains(at):
            return current.day
        return self._sessions.before(at).day

    def in_window(self, at: datetime) -> bool:
        """Whether orders may be sent at `at`. Without a window: always, closed hours included."""
        window = self._schedule.window
        if window is None:
            return True
        session = self._sessions.at_or_after(at)
        first = self._sessions.local(session.day, window[0])
        last = self._sessions.local(session.day, window[1])
        return first <= at <= last

    def on_this_session(self, session: Session) -> bool:
        """Whether the `on:` rule picks this session: every one, or the last of its week or month."""
        following = self._sessions.at_or_after(session.close).day
        match self._schedule.on:
            case EvaluateOn.WEEK_END:
                return following.isocalendar()[:2] != session.day.isocalendar()[:2]
            case EvaluateOn.MONTH_END:
                return (following.year, following.month) != (session.day.year, session.day.month)
            case _:
                return True

    def bar_counts(self, completed_at: datetime) -> bool:
        """Whether a bar that completed then is acted on, by the `on:` rule."""
        session = self._sessions.at_or_after(completed_at)
        if not session.contains(completed_at):
            session = self._sessions.before(completed_at)
        if self._schedule.on is EvaluateOn.SESSION and completed_at < session.close:
            return False
        return self.on_this_session(session)

    def bar_began(self, start: np.datetime64, size: BarSize) -> datetime:
        """The first moment that a bar of the panel covers: a daily bar's is the open of its session."""
        at = datetime.fromtimestamp(int(start.astype("datetime64[s]").astype("int64")), UTC)
        session = None if size.intraday else self._sessions.on(at.date())
        return session.open if session is not None else at

    def due(self, after: datetime, until: datetime) -> Due:
        """What the clock made due in (after, until]. Several missed times of one kind count once."""
        evaluate = flatten = False
        session = self._sessions.at_or_after(after)
        horizon = until + _AHEAD
        while session.open <= until and session.open < horizon:
            for at in self._evaluations(session):
                evaluate = evaluate or after < at <= until
            if self._schedule.flatten_at is not None:
                at = self._schedule.flatten_at.at(session, self._sessions)
                flatten = flatten or after < at <= until
            session = self._sessions.at_or_after(session.close)
        return Due(evaluate, flatten)

    def _evaluations(self, session: Session) -> list[datetime]:
        if self.by_bar or not self.on_this_session(session):
            return []
        if self._schedule.evaluate is not None:
            return [self._schedule.evaluate.at(session, self._sessions)]
        every = self._schedule.every
        assert every is not None
        first, last = session.open, session.close
        if self._schedule.window is not None:
            first = max(first, self._sessions.local(session.day, self._schedule.window[0]))
            last = min(last, self._sessions.local(session.day, self._schedule.window[1]))
        count = max(0, int((last - first) / every))
        return [first + every * n for n in range(1, count + 1)]
