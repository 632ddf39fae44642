"""When a strategy decides: M405 to M407."""

from __future__ import annotations

from typing import Any

from runner.model.bars import BarSize
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, Related, error
from runner.spec.spec import BarsSpec, EvaluateOn, ScheduleSpec


def check_schedule(root: Node, schedule: ScheduleSpec, problems: list[Problem]) -> None:
    """M405 to M407: what the schedule says by itself."""

    def report(code: str, key: str, message: str, hint: str) -> None:
        path: KeyPath = ("schedule", key)
        problems.append(error(code, message, root.locate(path), path=path, hint=hint))

    window, evaluate, flatten_at = schedule.window, schedule.evaluate, schedule.flatten_at
    by_clock = [("window", window is not None)]
    by_clock += [(key, ref is not None and ref.clock is not None) for key, ref in _moments(schedule)]
    used = [key for key, is_used in by_clock if is_used]
    if used and schedule.calendar is None:
        hint = "add the exchange's calendar, for example calendar: XNYS"
        report("M407", used[0], f"schedule.{used[0]} has a time of day, but schedule.calendar is not set", hint)
    if window is not None:
        if window[0] >= window[1]:
            report("M405", "window", "schedule.window ends before it begins", 'write ["09:35", "15:50"]')
        at = None if evaluate is None else evaluate.clock
        if at is not None and not window[0] <= at <= window[1]:
            report("M406", "evaluate", "schedule.evaluate is outside schedule.window", "move one of the two")
        at = None if flatten_at is None else flatten_at.clock
        if at is not None and at <= window[0]:
            report("M406", "flatten_at", "schedule.flatten_at is before schedule.window begins", "move one of the two")
    if schedule.every is not None:
        if evaluate is not None:
            report("M406", "every", "schedule.every and schedule.evaluate cannot both be set", "keep one of them")
        elif schedule.on is EvaluateOn.SESSION:
            report("M406", "every", "schedule.every means several decisions a session, on: session one", "keep one")


def _moments(schedule: ScheduleSpec) -> tuple[tuple[str, Any], ...]:
    return (("evaluate", schedule.evaluate), ("flatten_at", schedule.flatten_at))


def check_times(root: Node, bars: BarsSpec, schedule: ScheduleSpec, problems: list[Problem]) -> None:
    """M406: the schedule and the bars must fit together."""

    def report(key: str, message: str, hint: str) -> None:
        path: KeyPath = ("schedule", key)
        related = (Related("the bar size is set here", root.locate(("bars", "size"))),)
        problems.append(error("M406", message, root.locate(path), path=path, hint=hint, related=related))

    size = bars.size
    if schedule.every is not None:
        seconds = schedule.every.total_seconds()
        if not size.intraday:
            report(
                "every", f"schedule.every is for intraday bars, not for bars of {size.value}", "use on: or evaluate:"
            )
        elif seconds % size.seconds:
            report("every", f"schedule.every must be a whole number of bars of {size.value}", _multiple(size, seconds))
    if size in (BarSize.WEEK_1, BarSize.MONTH_1) and schedule.on in (EvaluateOn.WEEK_END, EvaluateOn.MONTH_END):
        report("on", f"schedule.on: {schedule.on.value} needs bars of a day or less", "set bars.size to 1 day")


def _multiple(size: BarSize, seconds: float) -> str:
    count = max(1, round(seconds / size.seconds))
    total = count * size.seconds
    for unit, length in (("h", 3600), ("m", 60), ("s", 1)):
        if total % length == 0:
            return f"write {total // length}{unit}"
    return ""
