"""What a block is: a frozen dataclass whose fields are its parameters and whose method is a pure array function.

A block is described once, by its fields. `param()` carries the description, limits, unit and reload class of a field;
the JSON Schema of a block's `with`, the reference page and the checks of `build()` all read them from there.

Arrays follow one convention everywhere: (T bars, N instruments) float64, oldest first, NaN where there is nothing to
say. Every block is causal: row t depends on rows 0..t only. Blocks know of no broker, clock or store.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from runner.model.annotations import FIRST_VERSION, Apply, Direction, Orders, tighter
from runner.model.panel import BoolArray, FloatArray, Panel

REQUIRED: Any = dataclasses.MISSING
"""Default of a parameter that has to be given."""


class Kind(StrEnum):
    """The kinds of blocks, by the section of a strategy file that uses them."""

    SIGNAL = "signal"
    COMBINE = "combine"
    SIZING = "sizing"
    EXIT = "exit"


# ------------------------------------------------------------------------------------------------ what blocks promise


class SizingParams(Protocol):
    """The parameters of a strategy that sizing may read."""

    @property
    def risk_per_trade(self) -> float: ...
    @property
    def stop_loss(self) -> float: ...


class SignalBlock(Protocol):
    """Turns prices into scores."""

    name: ClassVar[str]

    @property
    def warmup(self) -> int:
        """Bars of an instrument needed for its first score; from there on more history changes nothing (1e-4)."""
        ...

    def compute(self, panel: Panel) -> FloatArray:
        """(T, N) scores in [-1, 1]: +1 long, -1 short, 0 flat, NaN while warming; no unit."""
        ...


class CombineBlock(Protocol):
    """Turns the scores of several signals into one."""

    name: ClassVar[str]

    def check(self, signals: Collection[str]) -> None:
        """ValueError when the block cannot combine signals of these names."""
        ...

    def compute(self, scores: Mapping[str, FloatArray]) -> FloatArray:
        """(T, N) scores in [-1, 1], NaN where a needed signal is NaN. All inputs have one shape."""
        ...


class SizingBlock(Protocol):
    """Turns scores into wanted weights."""

    name: ClassVar[str]

    @property
    def warmup(self) -> int:
        """Bars of an instrument needed for its first weight."""
        ...

    def check(self, symbols: Collection[str], params: SizingParams) -> None:
        """ValueError when the block cannot size these symbols with these parameters. No symbols: not known yet."""
        ...

    def compute(self, panel: Panel, scores: FloatArray, params: SizingParams) -> FloatArray:
        """(T, N) wanted weights, signed fractions of strategy equity; NaN = no opinion, 0 = hold nothing."""
        ...


class ExitBlock(Protocol):
    """Says when a position must be left, whatever the signals want of it."""

    name: ClassVar[str]

    @property
    def warmup(self) -> int:
        """Bars of an instrument needed before it can say anything."""
        ...

    def compute(self, panel: Panel) -> tuple[BoolArray, BoolArray]:
        """(leave long, leave short), (T, N) bool each: whether a position on that side must not be held after a bar.

        False while warming. It is asked at every look at the bars, with the bar in progress as the last one.
        """
        ...


# --------------------------------------------------------------------------- what blocks may say about themselves

Sides: TypeAlias = frozenset[int]
"""Signs that a score or weight can have: 1 long, -1 short."""

LONG: Sides = frozenset({1})
EITHER: Sides = frozenset({1, -1})


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightBounds:
    """Absolute weights that a full score can get, fractions of strategy equity.

    `largest` is what a single instrument gets at most, `smallest` what each gets at least, `gross` what all together
    get at most; None where it depends on prices, or nobody knows.
    """

    largest: float | None = None
    smallest: float | None = None
    gross: float | None = None


def order_counts(combine: CombineBlock) -> bool:
    """Whether a combine may answer otherwise when its signals come in another order. It may, unless its class says
    `ordered = False`."""
    return getattr(type(combine), "ordered", True) is not False


def turned(sides: Sides, weight: float) -> Sides:
    """The sides of a score times `weight`."""
    return frozenset() if weight == 0 else sides if weight > 0 else frozenset(-side for side in sides)


@runtime_checkable
class Sided(Protocol):
    """A signal that says which signs its scores can have. One that does not may have either."""

    @property
    def sides(self) -> Sides: ...


@runtime_checkable
class SidedCombine(Protocol):
    """A combine that says which signs remain. One that does not keeps those of any signal."""

    def sides(self, signals: Mapping[str, Sides]) -> Sides: ...


@runtime_checkable
class SidedSizing(Protocol):
    """A sizing that changes sides, or leaves symbols out. One that does not keeps the score's."""

    def sides(self, symbol: str, score: Sides) -> Sides: ...


@runtime_checkable
class Bounded(Protocol):
    """A sizing that says how large weights can get. `instruments` is None for a universe of unknown size."""

    def bounds(self, instruments: int | None, params: SizingParams) -> WeightBounds: ...


@runtime_checkable
class StopSized(Protocol):
    """A sizing that says whether its weights depend on `params.stop_loss`, and grow as that becomes smaller. Where they
    do, a nearer stop is no lesser risk. Of one that does not say, nobody knows."""

    @property
    def sized_by_stop(self) -> bool: ...


@runtime_checkable
class Limited(Protocol):
    """A signal or sizing that holds so many instruments at most; None for all."""

    @property
    def most_held(self) -> int | None: ...


# ------------------------------------------------------------------------------------------- blocks that are not there


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLoaded:
    """Stands for a plugged-in block whose package was not imported: nothing is known of it but how it was written.

    It keeps a file whole, so that the rest of it can be judged. It is never run.
    """

    reference: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.reference

    @property
    def warmup(self) -> int:
        """Not known; 0, so that the largest of several warm-ups is that of the blocks that are known."""
        return 0

    def check(self, *_: Any) -> None:
        """Nothing can be said."""

    def compute(self, *_: Any) -> Any:
        raise RuntimeError(f"{self.reference} was not loaded")


# ------------------------------------------------------------------------------------------------------- parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamInfo:
    """One parameter, as its field declares it."""

    name: str
    type: Literal["integer", "number", "boolean", "string", "mapping"]
    """`mapping`: text → number."""
    nullable: bool
    default: Any
    """`REQUIRED` when there is none."""
    description: str
    minimum: float | None
    maximum: float | None
    exclusive_minimum: float | None
    unit: str
    choices: tuple[str, ...] | None
    direction: Direction | None
    zero_is_off: bool
    """0 switches a limit off, so that 0 is its loosest value whatever `direction` says."""
    apply: Apply
    orders: Orders | None
    """None: what holds for the section of the file that it is in."""
    since: str
    """The version of the runner, or of the package that brings the block, in which it appeared."""

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


def param(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    exclusive_minimum: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] | None = None,
    direction: Direction | None = None,
    zero_is_off: bool = False,
    apply: Apply = "rebuild",
    orders: Orders | None = None,
    since: str = FIRST_VERSION,
) -> Any:
    """A dataclass field that is a parameter. Numeric limits of a mapping hold for each of its values.

    `default` is `REQUIRED` for a parameter that has to be given. What a change takes is `apply`, what it does to orders
    and positions `orders`: the words and their meanings are in `runner.model.annotations`.
    """
    metadata = {
        "description": description,
        "minimum": minimum,
        "maximum": maximum,
        "exclusive_minimum": exclusive_minimum,
        "unit": unit,
        "choices": choices,
        "direction": direction,
        "zero_is_off": zero_is_off,
        "apply": apply,
        "orders": orders,
        "since": since,
    }
    return dataclasses.field(default=default, metadata=metadata)


@cache
def params_of(cls: type) -> tuple[ParamInfo, ...]:
    """The parameters of a block class, in the order of its fields."""
    hints = typing.get_type_hints(cls)
    found = []
    for field in dataclasses.fields(cls):
        if "description" not in field.metadata:
            raise TypeError(f"{cls.__name__}.{field.name} is not declared with param()")
        kind, nullable = _type_of(cls, field.name, hints[field.name])
        found.append(ParamInfo(name=field.name, type=kind, nullable=nullable, default=field.default, **field.metadata))
    return tuple(found)


def _type_of(cls: type, name: str, hint: Any) -> tuple[Any, bool]:
    nullable = False
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(hint) if member is not type(None)]
        nullable = len(members) < len(typing.get_args(hint))
        hint = members[0] if len(members) == 1 else None
    simple = {int: "integer", float: "number", bool: "boolean", str: "string"}
    if hint in simple:
        return simple[hint], nullable
    if typing.get_origin(hint) is Mapping and typing.get_args(hint) == (str, float):
        return "mapping", nullable
    raise TypeError(f"{cls.__name__}.{name}: a parameter of this type is not supported")


def json_schema(cls: type) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a block's `with`. Unknown keys are refused."""
    infos = params_of(cls)
    examples: Mapping[str, Any] = getattr(cls, "example", {})
    schema: dict[str, Any] = {
        "type": "object",
        "description": summary(cls),
        "properties": {info.name: _property_schema(info, examples) for info in infos},
        "additionalProperties": False,
    }
    if required := [info.name for info in infos if info.required]:
        schema["required"] = required
    return schema


def _property_schema(info: ParamInfo, examples: Mapping[str, Any]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if info.minimum is not None:
        limits["minimum"] = info.minimum
    if info.exclusive_minimum is not None:
        limits["exclusiveMinimum"] = info.exclusive_minimum
    if info.maximum is not None:
        limits["maximum"] = info.maximum
    schema: dict[str, Any] = {"description": info.description}
    if info.type == "mapping":
        each = {"type": "number"} | limits | ({"x-runner": {"unit": info.unit}} if info.unit else {})
        schema |= {"type": "object", "additionalProperties": each, "minProperties": 1}
    else:
        schema |= {"type": info.type} | limits
    if info.nullable:
        schema["type"] = [schema["type"], "null"]
    if info.choices is not None:
        schema["enum"] = [*info.choices, *([None] if info.nullable else [])]
    if not info.required:
        schema["default"] = info.default
    if info.name in examples:
        schema["examples"] = [examples[info.name]]
    schema["x-runner"] = {"apply": info.apply, "direction": info.direction, "since": info.since, "unit": info.unit}
    if info.orders is not None:
        schema["x-runner"]["orders"] = info.orders
    if info.zero_is_off:
        schema["x-runner"]["zero_is_off"] = True
    return schema


def summary(cls: type) -> str:
    """The first sentence of a block's docstring."""
    return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())


def parameter_table(cls: type) -> str:
    """The parameters of a block as a Markdown table, for the reference pages."""
    if not params_of(cls):
        return "No parameters."
    lines = [
        "| parameter | type | default | limits | unit | tighter is | what it is |",
        "|---|---|---|---|---|---|---|",
    ]
    for info in params_of(cls):
        kind = "names to numbers" if info.type == "mapping" else info.type
        default = "required" if info.required else _shown(info.default)
        about = info.description.replace("|", "\\|")
        facts = (f"`{info.name}`", kind, default, _limits_text(info), info.unit, tighter(info.direction), about)
        lines.append(f"| {' | '.join(facts)} |")
    return "\n".join(lines)


def _limits_text(info: ParamInfo) -> str:
    if info.choices is not None:
        return ", ".join(info.choices)
    parts = []
    if info.minimum is not None:
        parts.append(f"≥ {_shown(info.minimum)}")
    if info.exclusive_minimum is not None:
        parts.append(f"> {_shown(info.exclusive_minimum)}")
    if info.maximum is not None:
        parts.append(f"≤ {_shown(info.maximum)}")
    return ", ".join(parts)


def build(cls: type, mapping: Mapping[str, Any]) -> Any:
    """The block that `mapping` describes; parameters that are not given have their defaults.

    Raises ValueError with one plain sentence that names the parameter, the value found and what is allowed.
    """
    infos = {info.name: info for info in params_of(cls)}
    label = getattr(cls, "name", cls.__name__)
    for key in mapping:
        if key not in infos:
            known = ", ".join(infos) or "none"
            raise ValueError(f"{label} has no parameter {_shown(key)}; its parameters are: {known}")
    for info in infos.values():
        if info.required and info.name not in mapping:
            raise ValueError(f"{label} needs the parameter {info.name}: {info.description}")
    return cls(**{key: _converted(infos[key], value) for key, value in mapping.items()})


def check_fields(block: object) -> None:
    """Check every parameter of a block against its own limits; called first in `__post_init__`. Raises ValueError."""
    cls: type = type(block)
    for info in params_of(cls):
        _converted(info, getattr(block, info.name))


def _converted(info: ParamInfo, value: Any) -> Any:
    """`value` in the type of the parameter: whole floats become int for counts, int becomes float for numbers."""
    if value is None and info.nullable:
        return None
    if info.type == "mapping":
        if not isinstance(value, Mapping) or not value:
            raise ValueError(f"{info.name} must map names to numbers, not {_shown(value)}")
        for key in value:
            if not isinstance(key, str) or not key:
                raise ValueError(f"{info.name} must have names as keys, not {_shown(key)}")
        return {key: _number(info, f"{info.name}.{key}", item) for key, item in value.items()}
    if info.type == "boolean":
        if not isinstance(value, bool):
            raise ValueError(f"{info.name} must be true or false, not {_shown(value)}")
        return value
    if info.type == "string":
        if not isinstance(value, str):
            raise ValueError(f"{info.name} must be text, not {_shown(value)}")
        if info.choices is not None and value not in info.choices:
            raise ValueError(f"{info.name} must be one of {', '.join(info.choices)}, not {_shown(value)}")
        return value
    return _number(info, info.name, value)


def _number(info: ParamInfo, name: str, value: Any) -> float:
    whole = info.type == "integer"
    wanted = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be {wanted}, not {_shown(value)}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value}")
    if whole and value != int(value):
        raise ValueError(f"{name} must be a whole number, not {_shown(value)}")
    if info.minimum is not None and value < info.minimum:
        raise ValueError(f"{name} must be at least {_shown(info.minimum)}, not {_shown(value)}")
    if info.exclusive_minimum is not None and value <= info.exclusive_minimum:
        raise ValueError(f"{name} must be above {_shown(info.exclusive_minimum)}, not {_shown(value)}")
    if info.maximum is not None and value > info.maximum:
        raise ValueError(f"{name} must be at most {_shown(info.maximum)}, not {_shown(value)}")
    return int(value) if whole else float(value)


def _shown(value: Any) -> str:
    """A value as the author of a YAML file would write it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.12g}"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


# --------------------------------------------------------------------------------------- one instrument's own bars


class Series:
    """The bars that one instrument really has: (n,) float64 each, without NaN in the prices.

    Only `close` is made at once; most blocks need nothing else.
    """

    __slots__ = ("_column", "_panel", "_present", "close")

    def __init__(self, panel: Panel, column: int, present: BoolArray) -> None:
        self._panel = panel
        self._column = column
        self._present = present
        self.close: FloatArray = panel.close[present, column]

    @property
    def open(self) -> FloatArray:
        return self._or_close(self._panel.open)

    @property
    def high(self) -> FloatArray:
        return self._or_close(self._panel.high)

    @property
    def low(self) -> FloatArray:
        return self._or_close(self._panel.low)

    @property
    def volume(self) -> FloatArray:
        values = self._panel.volume[self._present, self._column]
        return np.where(np.isfinite(values), values, 0.0)

    def _or_close(self, array: FloatArray) -> FloatArray:
        values = array[self._present, self._column]
        return np.where(np.isfinite(values), values, self.close)


def by_instrument(panel: Panel, warmup: int, compute: Callable[[Series], FloatArray]) -> FloatArray:
    """Apply `compute` (n bars → n values) to each instrument's own bars and put the values back in the panel's rows.

    A row in which the instrument has no bar repeats its last value: nothing new was learnt. Rows before its
    `warmup`-th bar are NaN. Indicators never see NaN, because one NaN poisons TA-Lib's running sums for good.
    """
    result = np.full(panel.close.shape, np.nan)
    for column in range(len(panel.symbols)):
        present = np.isfinite(panel.close[:, column])
        bars = int(np.count_nonzero(present))
        if bars < max(warmup, 1):
            continue
        values = compute(Series(panel, column, present))
        if bars == panel.bars:
            result[warmup - 1 :, column] = values[warmup - 1 :]
            continue
        count = np.cumsum(present)
        known = count >= warmup
        result[known, column] = values[count[known] - 1]
    return result
