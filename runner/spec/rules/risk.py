"""Caps, stops and budgets against each other and against what sizing can ask for: W311 to W314.

All are warnings: the file does what it says, and what it says is probably not what was meant. A cap that a base sets
for many strategies is not blamed for having nothing to do in one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.base_params import BaseParams
from runner.blocks import Sides, WeightBounds
from runner.spec.load import Node
from runner.spec.problems import KeyPath, Problem, Related, warning
from runner.spec.rules.sides import instruments_of
from runner.spec.spec import EvaluateOn, StrategySpec

EDGE = 1e-9
"""Relative: 0.01 / 0.04 is not more than 0.25, whatever its last bit says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """A strategy as these rules look at it. `own_file` is its own file, as problems name it."""

    spec: StrategySpec
    root: Node
    own_file: str

    @property
    def params(self) -> BaseParams:
        return self.spec.params

    @property
    def sides(self) -> Sides:
        """The signs that a position can have."""
        claims = self.spec.claims
        return frozenset().union(*claims.of_symbol.values()) or claims.sides

    @property
    def instruments(self) -> int | None:
        """How many can be traded; None for a library of unknown size."""
        return instruments_of(self.spec.universe)

    @property
    def held_at_once(self) -> int | None:
        """How many can be held at the same time; None when that is not known."""
        counts = [count for count in (self.instruments, self.spec.claims.most_held) if count is not None]
        return min(counts, default=None) if self.spec.claims.known else None

    @property
    def bounds(self) -> WeightBounds:
        """Of one weight, as far as sizing tells."""
        return self.spec.claims.bounds


def check_risk(risk: Risk, problems: list[Problem]) -> None:
    """All of them."""
    for rule in (_idle_position_cap, _idle_fractions, _idle_trade_count, _cuts_everything, _stop_beyond_day, _budget):
        rule(risk, problems)


def _idle_position_cap(risk: Risk, problems: list[Problem]) -> None:
    cap, largest = risk.params.max_position_size, risk.bounds.largest
    if largest is not None and 0.0 < largest <= cap * (1 + EDGE):
        message = f"max_position_size {cap:g} never acts: sizing asks for at most {largest:.4g}"
        _idle(risk, "max_position_size", message, "lower it below that, or remove it", problems)


def _idle_fractions(risk: Risk, problems: list[Problem]) -> None:
    params = risk.params
    if params.max_daily_loss >= 1.0:
        message = "max_daily_loss 1 never acts: it allows the loss of the whole equity in a day"
        _idle(risk, "max_daily_loss", message, "write the loss that ends the day, such as 0.02", problems)
    if risk.sides == {1}:
        for name in ("stop_loss", "trailing_stop_loss"):
            if getattr(params, name) >= 1.0:
                message = f"{name} 1 never acts on a long position: its price would have to reach 0"
                _idle(risk, name, message, "write a smaller fraction, or 0 for no stop", problems)
    if risk.sides == {-1} and params.take_profit >= 1.0:
        message = f"take_profit {params.take_profit:g} never acts on a short position: its price would have to reach 0"
        _idle(risk, "take_profit", message, "write a fraction below 1, or 0 for no target", problems)


def _idle_trade_count(risk: Risk, problems: list[Problem]) -> None:
    """One decision a session sends at most one entry for each instrument."""
    schedule, most, count = risk.spec.schedule, risk.params.max_daily_trades, risk.instruments
    once = not risk.spec.bars.size.intraday or schedule.evaluate is not None or schedule.on is not EvaluateOn.BAR
    if count is not None and once and most >= count:
        message = f"max_daily_trades {most} never acts: one decision a session trades {_instruments(count)} at most"
        _idle(risk, "max_daily_trades", message, "lower it, or remove it", problems)


def _idle(risk: Risk, name: str, message: str, hint: str, problems: list[Problem]) -> None:
    node = risk.root.find(("params", name))
    if node is not None and node.span.file == risk.own_file:
        problems.append(warning("W311", message, node.span, path=("params", name), hint=hint))


def _cuts_everything(risk: Risk, problems: list[Problem]) -> None:
    cap, smallest = risk.params.max_position_size, risk.bounds.smallest
    if smallest is None or not 0.0 < cap < smallest * (1 - EDGE):
        return
    path: KeyPath = ("params", "max_position_size")
    message = f"max_position_size {cap:g} cuts every position: sizing asks for {smallest:.4g} or more"
    hint = "raise the cap, or size smaller: the rest of the equity is never used"
    related = (Related("the sizing is chosen here", risk.root.locate(("sizing", "use"))),)
    problems.append(warning("W312", message, risk.root.locate(path), path=path, hint=hint, related=related))


def _stop_beyond_day(risk: Risk, problems: list[Problem]) -> None:
    params = risk.params
    largest = [size for size in (params.max_position_size, risk.bounds.largest) if size]
    if not params.max_daily_loss or not params.stop_loss or not largest or not risk.spec.claims.known:
        return
    position = min(largest)
    loss = position * params.stop_loss
    if loss <= params.max_daily_loss * (1 + EDGE):
        return
    path: KeyPath = ("params", "stop_loss")
    message = (
        f"stop_loss {params.stop_loss:g} on a position of {position:.4g} loses {loss:.4g} of equity, "
        f"more than max_daily_loss {params.max_daily_loss:g} allows in a day"
    )
    hint = "bring the stop nearer, cap positions with max_position_size, or allow the day more"
    related = (Related("max_daily_loss is set here", risk.root.locate(("params", "max_daily_loss"))),)
    problems.append(warning("W313", message, risk.root.locate(path), path=path, hint=hint, related=related))


def _budget(risk: Risk, problems: list[Problem]) -> None:
    budget, names = risk.params.max_daily_trades, risk.held_at_once
    if names is None or not 0 < budget < names:
        return
    path: KeyPath = ("params", "max_daily_trades")
    message = f"max_daily_trades {budget} is less than the {_instruments(names)} that can be entered on one day"
    hint = "the last ones of the universe would wait for another day; raise it, or hold fewer"
    related = (Related("the universe is here", risk.root.locate(("universe",))),)
    problems.append(warning("W314", message, risk.root.locate(path), path=path, hint=hint, related=related))


def _instruments(count: int) -> str:
    return f"{count} instrument" + ("" if count == 1 else "s")
