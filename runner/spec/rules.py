"""Rules between fields: each a function that looks at built values and reports at the place to change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from runner.base_params import BaseParams
from runner.model.bars import BarSize
from runner.model.orders import TimeInForce
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, Related, dotted, error, warning
from runner.spec.spec import HOOK_POINTS, BarsSpec, EvaluateOn, ExecutionSpec, ExecutionStyle, ScheduleSpec

_WEIGHTS = ("min_weight", "target_weight", "max_weight")


def check_weights(root: Node, said: Mapping[str, Any], problems: list[Problem]) -> bool:
    """M401: min_weight ≤ target_weight ≤ max_weight, defaults included. True when the rule is broken."""
    defaults = {f.name: f.default for f in fields(BaseParams)}
    values = {name: said.get(name, defaults[name]) for name in _WEIGHTS}
    broken = False
    for low, high in (("min_weight", "target_weight"), ("target_weight", "max_weight")):
        if values[low] <= values[high]:
            continue
        broken = True
        blamed, other = (low, high) if low in said else (high, low)
        path: KeyPath = ("params", blamed)
        relation = "above" if blamed == low else "below"
        message = f"{blamed} {values[blamed]:g} is {relation} {other} {values[other]:g}"
        related: tuple[Related, ...] = ()
        hint = f"{other} is {values[other]:g} when it is not set"
        if other in said:
            related, hint = (Related(f"{other} is set here", root.locate(("params", other))),), ""
        problems.append(error("M401", message, root.locate(path), path=path, hint=hint, related=related))
    return broken


def check_warmup(root: Node, history: int, needs: Mapping[KeyPath, int], problems: list[Problem]) -> None:
    """M402: the history must hold at least the warm-up of every block."""
    most = max(needs.values(), default=0)
    for path, bars in needs.items():
        if bars <= history:
            continue
        here = _largest_setting(root, path)
        related = (Related("history is set here", root.locate(("bars", "history"))),)
        message = f"{dotted(path)} needs {bars} bars before its first value, but bars.history is {history}"
        hint = f"set bars.history to at least {most}, or remove it"
        problems.append(error("M402", message, root.locate(here), path=here, hint=hint, related=related))


def _largest_setting(root: Node, path: KeyPath) -> KeyPath:
    """The block's largest whole number, which is what makes it need so many bars; else its `use`."""
    settings = root.find((*path, "with"))
    if settings is not None and settings.is_mapping:
        numbers = {
            key: entry.node.value
            for key, entry in settings.value.items()
            if isinstance(entry.node.value, int) and not isinstance(entry.node.value, bool)
        }
        if numbers:
            return (*path, "with", max(numbers, key=lambda key: numbers[key]))
    return (*path, "use")


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


def check_execution(root: Node, execution: ExecutionSpec, problems: list[Problem]) -> None:
    """M411 and W303: order style, time in force and offset must fit together."""
    style, tif = execution.order, execution.tif
    at_close = style in (ExecutionStyle.MOC, ExecutionStyle.LOC)
    if at_close and tif is not TimeInForce.DAY:
        path: KeyPath = ("execution", "tif")
        message = f"an order at the close ({style.value}) has time in force DAY, not {tif.value}"
        problems.append(error("M411", message, root.locate(path), path=path, hint="write tif: DAY"))
    if style is ExecutionStyle.REL and tif not in (TimeInForce.DAY, TimeInForce.GTC):
        path = ("execution", "tif")
        message = f"a relative order (rel) has time in force DAY or GTC, not {tif.value}"
        problems.append(error("M411", message, root.locate(path), path=path, hint="write tif: DAY"))
    offset = root.find(("execution", "limit_offset_bps"))
    if style is ExecutionStyle.REL and execution.limit_offset_bps < 0:
        path = ("execution", "limit_offset_bps")
        message = "a relative order (rel) cannot have a negative offset"
        problems.append(error("M411", message, root.locate(path), path=path, hint="write 0 or more, or order: limit"))
    if offset is not None and style in (ExecutionStyle.MARKET, ExecutionStyle.MOC):
        path = ("execution", "limit_offset_bps")
        message = f"execution.limit_offset_bps has no effect with order: {style.value}"
        hint = "remove it, or set order: limit"
        problems.append(warning("W303", message, offset.span, path=path, hint=hint))


def check_hooks(root: Node, allowed: Collection[str] | None, problems: list[Problem]) -> None:
    """C503: hooks run as code, so their package must be allowed. None: not known here, not checked."""
    hooks = root.child("hooks")
    names: dict[str, Any] = hooks.value if hooks is not None and hooks.is_mapping else {}
    for point, entry in names.items():
        reference = entry.node.value
        if point not in HOOK_POINTS or not isinstance(reference, str) or ":" not in reference:
            continue
        package = reference.partition(":")[0].partition(".")[0]
        if allowed is not None and package not in allowed:
            path: KeyPath = ("hooks", point)
            message = f"hook {reference} is outside the allowed packages"
            hint = f'hooks run as code. If you trust it, add "{package}" to plugins.allow in runner.yaml and restart'
            problems.append(error("C503", message, entry.node.span, path=path, hint=hint))
    if root.child("hook_params") is not None and not names:
        span = root.key_span(("hook_params",)) or root.locate(("hook_params",))
        message = "hook_params has no effect without hooks"
        problems.append(warning("W304", message, span, path=("hook_params",), hint="remove it, or add hooks"))
