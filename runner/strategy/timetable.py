"""When a strategy acts: pure questions about a schedule, a calendar and a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from runner.model.bars import BarSize
from runner.model.sessions import Session, Sessions
from runner.spec.spec import EvaluateOn, ScheduleSpec
from runner.spec.times import TimeRef

_BEFORE_OPEN = timedelta(minutes=999)
"""The farthest that a moment of a session can lie before its open: "open-999m"."""
_SESSIONS_AHEAD = 40
"""More sessions than any month has."""


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
        first, last = self._window(self._sessions.at_or_after(at))
        return first <= at <= last

    def at_work(self, at: datetime) -> bool:
        """Whether `at` is in a session, and in its window when there is one."""
        session = self._sessions.at_or_after(at)
        first, last = self._window(session)
        return session.contains(at) and first <= at <= last

    def _window(self, session: Session) -> tuple[datetime, datetime]:
        """The window in that session; all of it when the schedule has none."""
        window = self._schedule.window
        if window is None:
            return session.open, session.close
        first, last = (TimeRef("clock", clock).at(session, self._sessions) for clock in window)
        return max(first, session.open), min(last, session.close)

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

    def bar_counts(self, completed_at: datetime, size: BarSize) -> bool:
        """Whether a bar that completed then is acted on, by the `on:` rule. Where that picks sessions, it is the last
        bar of the session that counts."""
        session = self._sessions.at_or_after(completed_at)
        if not session.contains(completed_at):
            session = self._sessions.before(completed_at)
        if self._schedule.on is not EvaluateOn.BAR and size.intraday and completed_at < session.close:
            return False
        return self.on_this_session(session)

    def stays_flat(self, at: datetime, size: BarSize) -> bool:
        """Whether `flatten_at` has passed in the session, so that nothing may be opened.

        With intraday bars that lasts until the next session opens. A daily bar completes at the close, and what is
        decided then is meant for the next session.
        """
        flatten_at = self._schedule.flatten_at
        if flatten_at is None:
            return False
        session = self._sessions.at_or_after(at)
        if not session.contains(at):
            if not size.intraday:
                return False
            session = self._sessions.before(at)
        return flatten_at.at(session, self._sessions) <= at

    def flattened_at(self, at: datetime) -> datetime | None:
        """When `flatten_at` was in the session that is open at `at`: whatever is held after it is one too many. None
        when it is still to come, or there is none."""
        flatten_at = self._schedule.flatten_at
        session = self._sessions.at_or_after(at)
        if flatten_at is None or not session.contains(at):
            return None
        moment = flatten_at.at(session, self._sessions)
        return moment if moment <= at else None

    def due(self, after: datetime, until: datetime) -> Due:
        """What the clock made due in (after, until]. Several missed times of one kind count once."""
        evaluate = flatten = False
        session = self._sessions.before(after)  # "close+5m" of a session that is over may still be to come
        while session.open <= until + _BEFORE_OPEN:
            for at in self._evaluations(session):
                evaluate = evaluate or after < at <= until
            if self._schedule.flatten_at is not None:
                at = self._schedule.flatten_at.at(session, self._sessions)
                flatten = flatten or after < at <= until
            session = self._sessions.at_or_after(session.close)
        return Due(evaluate, flatten)

    def next_decision(self, after: datetime, size: BarSize) -> datetime | None:
        """The first moment after `after` at which a decision falls due; None when each bar of a session brings one."""
        bars_decide = self.by_bar
        if bars_decide and size.intraday and self._schedule.on is EvaluateOn.BAR:
            return None
        session = self._sessions.at_or_after(after)
        for _ in range(_SESSIONS_AHEAD):
            moments = self._evaluations(session)
            if bars_decide and self.on_this_session(session):
                moments = [session.close]
            later = [at for at in moments if at > after]
            if later:
                return min(later)
            session = self._sessions.at_or_after(session.close)
        return None

    def _evaluations(self, session: Session) -> list[datetime]:
        if self.by_bar or not self.on_this_session(session):
            return []
        if self._schedule.evaluate is not None:
            return [self._schedule.evaluate.at(session, self._sessions)]
        every = self._schedule.every
        assert every is not None
        first, last = self._window(session)
        count = max(0, int((last - first) / every))
        return [first + every * n for n in range(1, count + 1)]
