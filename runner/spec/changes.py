"""What changes from one version of a strategy to the next, field by field, and what that takes.

    effective(spec)        every value a strategy runs with, defaults included, by dotted path
    changes(old, new)      the fields that differ, each with its class and its direction

The class says how a change is applied, the direction whether it lets the strategy risk more. Both come from the fields'
own declarations (`x-runner` in the schema, `param()` of blocks and parameters); what no declaration can say, such as
which of two windows is the wider one, is judged here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time, timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import PurePath
from typing import Any, TypeAlias

from runner.base_params import BaseParams
from runner.blocks import NotLoaded, ParamInfo, order_counts, params_of
from runner.model.annotations import APPLY, Apply
from runner.model.instruments import InstrumentQuery
from runner.spec.calendars import HOURS, own_name
from runner.spec.fields import Schema
from runner.spec.reach import can_be_larger, has_new_side, sized_by_stop, turns_to_new_side
from runner.spec.schema import strategy_schema
from runner.spec.spec import ScheduleSpec, StrategySpec
from runner.spec.times import TimeRef

Effective: TypeAlias = Mapping[str, Any]
"""Dotted path → plain value, as JSON would hold it."""

STOP = "params.stop_loss"
WIDER = "wider_is_looser"
"""The declared direction of what is judged by what the strategy can come to."""
APPLY_ORDER: tuple[Apply, ...] = tuple(APPLY)
"""Weakest first: what a change needs is what the strongest of its fields needs."""


class Direction(StrEnum):
    """Which way a change goes."""

    TIGHTER = "tighter"
    LOOSER = "looser"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field. `old` or `new` is None where the field was not, or is no more, there."""

    path: str
    old: Any
    new: Any
    apply: Apply
    direction: Direction

    def __str__(self) -> str:
        return f"{self.path} {shown(self.old)} → {shown(self.new)}"


def strongest(found: Sequence[FieldChange]) -> Apply:
    """The class of a whole change; `meta` for none."""
    return max((change.apply for change in found), key=APPLY_ORDER.index, default="meta")


def direction_of(found: Sequence[FieldChange]) -> Direction:
    """Of a whole change: looser as soon as one field is, since a change is applied as a whole or not at all."""
    return _whole({change.direction for change in found})


def _whole(directions: Collection[Direction]) -> Direction:
    if Direction.LOOSER in directions:
        return Direction.LOOSER
    return Direction.TIGHTER if Direction.TIGHTER in directions else Direction.NEUTRAL


def shown(value: Any) -> str:
    """A value for people."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
    return str(value)


# ------------------------------------------------------------------------------------------------ what a strategy is


def effective(spec: StrategySpec) -> dict[str, Any]:
    """Every value that the strategy runs with."""
    found: dict[str, Any] = {
        "name": spec.name,
        "description": spec.description,
        "owner": spec.owner,
        "tags": list(spec.tags),
        "enabled": spec.enabled,
        "on_remove": spec.on_remove.value,
    }
    universe = spec.universe
    if universe.library is not None:
        found["universe.library"] = universe.library
        found["universe.max_symbols"] = universe.max_symbols
        found["universe.defaults"] = _instrument(universe.defaults)
    for query in universe.instruments:
        found[f"universe.symbols[{query.symbol}]"] = _instrument(query)
    found |= _fields("bars", spec.bars)
    for name, signal in spec.signals.items():
        found |= _block(spec, f"signals.{name}", signal)
    for name, exit_rule in spec.exits.items():
        found |= _block(spec, f"exits.{name}", exit_rule)
    found |= _block(spec, "combine", spec.combine)
    found |= _block(spec, "sizing", spec.sizing)
    found |= {f"params.{name}": value for name, value in dataclasses.asdict(spec.params).items() if name != "universe"}
    found |= _fields("schedule", spec.schedule)
    found |= _fields("execution", spec.execution)
    found |= _fields("reload", spec.reload)
    found |= {f"hooks.{point}": reference for point, reference in spec.hooks.items()}
    found |= {f"hook_params.{name}": _plain(value) for name, value in spec.hook_params.items()}
    return found


def _instrument(query: InstrumentQuery) -> dict[str, Any]:
    return {name: _plain(value) for name, value in dataclasses.asdict(query).items() if name != "symbol" and value}


def _fields(section: str, value: Any) -> dict[str, Any]:
    return {f"{section}.{item.name}": _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}


def _block(spec: StrategySpec, path: str, block: Any) -> dict[str, Any]:
    if isinstance(block, NotLoaded):  # its defaults are not known, only what the file says
        settings = dict(block.settings)
    else:
        settings = {info.name: getattr(block, info.name) for info in _params(block)}
    return {f"{path}.use": spec.use_of(block)} | {f"{path}.with.{name}": _plain(v) for name, v in settings.items()}


def _params(block: object) -> tuple[ParamInfo, ...]:
    cls: type = type(block)
    return () if cls is NotLoaded else params_of(cls)


def _plain(value: Any) -> Any:
    """As JSON holds it."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, time):
        return f"{value:%H:%M}"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value) if not isinstance(value, PurePath) else value.as_posix()


# -------------------------------------------------------------------------------------------------- what is different


def changes(old: StrategySpec, new: StrategySpec) -> tuple[FieldChange, ...]:
    """The fields that differ, in the order of the file."""
    before, after = effective(old), effective(new)
    judge = _Judge(old, new)
    found = []
    for path in dict.fromkeys([*after, *before]):
        stays = path in before and path in after
        if before.get(path) != after.get(path) or not stays:
            found.append(judge.change(path, before.get(path), after.get(path), stays=stays))
    return judge.with_causes([*found, *_reordered(old, new)])


def _reordered(old: StrategySpec, new: StrategySpec) -> Iterator[FieldChange]:
    """Signals and symbols in another order, where that counts: `first` asks one signal after the other; symbols are
    traded in their order as far as a budget goes, and the first of them gives the calendar. It lets no strategy risk
    more."""
    orders = {"universe.symbols": [[query.symbol for query in spec.universe.instruments] for spec in (old, new)]}
    if order_counts(new.combine):
        orders["signals"] = [list(spec.signals) for spec in (old, new)]
    for path, (before, after) in orders.items():
        moved = _moved([one for one in before if one in after], [one for one in after if one in before])
        if moved is not None:
            yield FieldChange(path=path, old=moved[0], new=moved[1], apply="rebuild", direction=Direction.NEUTRAL)


def _moved(before: list[str], after: list[str]) -> tuple[list[str], list[str]] | None:
    """Of the same things in two orders, the stretch that differs."""
    moved = [i for i, (one, other) in enumerate(zip(before, after, strict=True)) if one != other]
    return (before[moved[0] : moved[-1] + 1], after[moved[0] : moved[-1] + 1]) if moved else None


class _Judge:
    """What a change of each field takes and which way it goes, in the light of both versions."""

    def __init__(self, old: StrategySpec, new: StrategySpec) -> None:
        self._old, self._new = old, new
        self._before, self._after = _infos(old), _infos(new)

    @cached_property
    def _weights_widen(self) -> bool | None:
        """Whether the sizing can come to larger weights or to another side; None when nobody says."""
        found = (can_be_larger(self._old, self._new), turns_to_new_side(self._old, self._new))
        return True if True in found else None if None in found else False

    @cached_property
    def _scores_widen(self) -> bool | None:
        """The same of what signals and combine want."""
        return has_new_side(self._old, self._new)

    def _widens(self, path: str) -> bool | None:
        return self._weights_widen if path.startswith("sizing.") else self._scores_widen

    def change(self, path: str, old: Any, new: Any, *, stays: bool) -> FieldChange:
        """`stays`: the field is there in both versions."""
        apply, direction = self._judged(path, old, new, stays=stays)
        return FieldChange(path=path, old=old, new=new, apply=apply, direction=direction)

    def _judged(self, path: str, old: Any, new: Any, *, stays: bool) -> tuple[Apply, Direction]:
        if path.startswith("universe.symbols["):
            # A symbol that is described differently is another one: it leaves, and comes again.
            return "resubscribe", Direction.TIGHTER if new is None else Direction.LOOSER
        if path in _TIMES:
            return "live", _TIMES[path](self._old.schedule, self._new.schedule)
        if path.endswith(".use") and not stays:
            return self._declared(path, _field(path.split(".")[0]), old is not None, new is not None)
        if path in _PARAMS:
            return _PARAMS[path].apply, direction_of_param(self._new, path, old, new)
        before, after = self._before.get(path), self._after.get(path)
        info = after or before
        if info is None:
            apply, direction = self._declared(path, _field(path), old, new)
            comes_along = not stays and path in ("universe.max_symbols", "universe.defaults")
            return apply, Direction.NEUTRAL if comes_along else direction
        if not stays or (before and after and before.direction != after.direction):
            # Of a block that came, went or is another one: only settings that mean the same can be compared.
            return info.apply, Direction.NEUTRAL
        if info.direction == WIDER:
            return info.apply, self._wider(path)
        return info.apply, by_size(info.direction, old, new, zero_is_off=info.zero_is_off)

    def _declared(self, path: str, field: Schema, old: Any, new: Any) -> tuple[Apply, Direction]:
        apply, direction = judged_by(field, old, new)
        return apply, self._wider(path) if field.get("x-runner", {}).get("direction") == WIDER else direction

    def _wider(self, path: str) -> Direction:
        return Direction.NEUTRAL if self._widens(path) is False else Direction.LOOSER

    def with_causes(self, found: Sequence[FieldChange]) -> tuple[FieldChange, ...]:
        """Where a strategy is known to come to more and no field accounts for it, those that declare no direction do:
        blocks of other packages may have such settings."""
        for sections in (("sizing.",), ("signals.", "combine.")):
            here = [change for change in found if change.path.startswith(sections)]
            if not here or any(change.direction is Direction.LOOSER for change in here):
                continue
            if self._widens(here[0].path):
                causes = [change for change in here if self._is_undeclared(change.path)]
                found = [replace(one, direction=Direction.LOOSER) if one in causes else one for one in found]
        return tuple(found)

    def _is_undeclared(self, path: str) -> bool:
        """Whether it is a setting of a block that both versions have, and that says nothing of its direction."""
        before, after = self._before.get(path), self._after.get(path)
        return before is not None and after is not None and after.direction is None


def _infos(spec: StrategySpec) -> dict[str, ParamInfo]:
    """The declared parameters of the blocks, by their path."""
    blocks: dict[str, Any] = {f"signals.{name}": block for name, block in spec.signals.items()}
    blocks |= {f"exits.{name}": block for name, block in spec.exits.items()}
    blocks |= {"combine": spec.combine, "sizing": spec.sizing}
    return {f"{path}.with.{info.name}": info for path, block in blocks.items() for info in _params(block)}


def direction_of_param(spec: StrategySpec, path: str, old: Any, new: Any) -> Direction:
    """The direction of a change of `params.…`, or of `enabled`, in a strategy that is otherwise like `spec`.

    A nearer stop is tighter, but under a sizing that makes larger positions of it. Where a sizing does not say whether
    it does, its bounds tell: they grow, or are not known, and the change is looser, else neither.
    """
    if path not in _PARAMS:
        return judged_by(_field(path), old, new)[1]
    info = _PARAMS[path]
    direction = by_size(info.direction, old, new, zero_is_off=info.zero_is_off)
    if path != STOP or direction is not Direction.TIGHTER or (by_stop := sized_by_stop(spec)) is False:
        return direction
    if by_stop:
        return Direction.LOOSER
    try:
        before, after = (replace(spec, params=replace(spec.params, stop_loss=value)) for value in (old, new))
    except (ValueError, OverflowError):  # no stop at all
        return Direction.LOOSER
    return Direction.NEUTRAL if can_be_larger(before, after) is False else Direction.LOOSER


def judged_by(field: Schema, old: Any, new: Any) -> tuple[Apply, Direction]:
    """The class of a change of a field and its direction, as the field's schema declares them."""
    marks: Mapping[str, Any] = field.get("x-runner", {})
    declared = marks.get("direction")
    apply: Apply = marks.get("apply", "rebuild")
    if declared == "first_is_tightest":
        return apply, _by_rank(field["enum"], old, new)
    return apply, by_size(declared, old, new)


def _by_rank(words: Sequence[str], old: Any, new: Any) -> Direction:
    """The direction of a word, the tightest first. What is not said lies in the middle: something else decides."""
    ranks: Mapping[Any, float] = {None: (len(words) - 1) / 2} | {word: float(i) for i, word in enumerate(words)}
    return by_size("smaller_is_tighter", ranks[old], ranks[new])


def by_size(declared: str | None, old: Any, new: Any, *, zero_is_off: bool = False) -> Direction:
    """The direction of a number (or a flag) by which way is tighter. A limit that is not there is the loosest."""
    if declared == "any_is_looser":
        return Direction.NEUTRAL if old == new else Direction.LOOSER
    if declared not in ("smaller_is_tighter", "larger_is_tighter"):
        return Direction.NEUTRAL
    sign = 1 if declared == "smaller_is_tighter" else -1
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return _by_entries(declared, old, new)
    before, after = _size(old, sign, zero_is_off), _size(new, sign, zero_is_off)
    if before is None or after is None or before == after:
        return Direction.NEUTRAL
    return Direction.TIGHTER if after < before else Direction.LOOSER


def _by_entries(declared: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Direction:
    """The direction of a table of weights: of each by its size, as one that is not there is 0, and on another side is
    another weight."""
    ways = set()
    for name in {*old, *new}:
        before, after = float(old.get(name, 0.0)), float(new.get(name, 0.0))
        turned = before * after < 0
        ways.add(Direction.LOOSER if turned else by_size(declared, abs(before), abs(after)))
    return _whole(ways)


def _size(value: Any, sign: int, zero_is_off: bool) -> float | None:
    """What a value allows, larger being looser; None for what has no size. A whole number may be larger than any
    float."""
    if value is None or (zero_is_off and value == 0):
        return math.inf
    return sign * value if isinstance(value, int | float) else None


# ---------------------------------------------------------------------------------------------------- times of a day


def _calendar(old: ScheduleSpec, new: ScheduleSpec) -> Direction:
    """Another calendar is neither, but where there is a window: that lies at other times then."""
    moves = old.window is not None and new.window is not None and not _same_clock(old, new)
    return Direction.LOOSER if moves else Direction.NEUTRAL


def _window(old: ScheduleSpec, new: ScheduleSpec) -> Direction:
    """A window inside the old one is tighter; any other lets the strategy act when it did not."""
    before, after = old.window, new.window
    if before is None or after is None:
        return by_size("larger_is_tighter", before is not None, after is not None)
    inside = _same_clock(old, new) and before[0] <= after[0] and after[1] <= before[1]
    return Direction.TIGHTER if inside else Direction.LOOSER


def _flatten_at(old: ScheduleSpec, new: ScheduleSpec) -> Direction:
    """Without it positions are held over night. Of two moments the earlier is tighter, where that can be told."""
    before, after = old.flatten_at, new.flatten_at
    if before is None or after is None:
        return by_size("larger_is_tighter", before is not None, after is not None)
    if before.anchor != after.anchor or not _same_clock(old, new):
        return Direction.NEUTRAL
    return by_size("smaller_is_tighter", _into_session(before, old), _into_session(after, new))


def _same_clock(old: ScheduleSpec, new: ScheduleSpec) -> bool:
    """Whether a moment of both is the same moment: by one calendar, whichever of its names is used."""
    return own_name(old.calendar or "") == own_name(new.calendar or "")


def _into_session(moment: TimeRef, schedule: ScheduleSpec) -> float:
    """Where a moment lies, for comparing with others of its kind. A session that opens on the evening before begins
    with that evening's times."""
    if moment.clock is None:
        return moment.offset.total_seconds()
    hours = HOURS.get(own_name(schedule.calendar or ""))
    opens = time.fromisoformat(hours.opens) if hours is not None and hours.open_day < 0 else time()
    return (_seconds(moment.clock) - _seconds(opens)) % 86_400


def _seconds(clock: time) -> int:
    return clock.hour * 3600 + clock.minute * 60


_TIMES: Mapping[str, Callable[[ScheduleSpec, ScheduleSpec], Direction]] = {
    "schedule.calendar": _calendar,
    "schedule.window": _window,
    "schedule.flatten_at": _flatten_at,
}


# ------------------------------------------------------------------------------------------------------- declarations


_PARAMS: Mapping[str, ParamInfo] = {f"params.{info.name}": info for info in params_of(BaseParams)}
_SCHEMA: Schema = strategy_schema()


def _field(path: str) -> Schema:
    """The schema of the field at `path`, or of the nearest section above it that says what a change of it takes."""
    schema: Any = _SCHEMA
    found: Schema = {}
    for part in path.split("."):
        below = schema.get("properties", {}).get(part)
        schema = below if below is not None else schema.get("additionalProperties")
        if not isinstance(schema, dict):
            break
        found = schema if "x-runner" in schema else found
    return found
