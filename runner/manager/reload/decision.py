"""What is to be done about one strategy: its file against what runs. Pure: a table of cases.

Nothing is ever done in part: a change that loosens one cap and tightens another is held, or applied, as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from runner.model.annotations import Apply, Loosening
from runner.spec.changes import Direction, FieldChange, changes, direction_of, strongest
from runner.spec.spec import StrategySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the file asks for. A file that cannot be used asks for nothing: what runs goes on."""

    spec: StrategySpec
    approved: bool = False
    """An operator has approved exactly this version."""
    at_once: bool = False
    """An operator wants it now, in the trading window too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the strategy and its deployment are like now."""

    loosening: Loosening
    """What the deployment does with changes that loosen; a strategy may say otherwise."""
    in_window: bool = False
    """The strategy may be sending orders at this time of day."""


@dataclass(frozen=True, slots=True)
class Begin:
    """It does not run yet: start it."""

    spec: StrategySpec


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing about what runs changes. `noted` are the fields that only describe."""

    spec: StrategySpec
    noted: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Put the new version in force. A tightening is in force first and written down after: a store that is away must
    not keep a looser cap alive. Anything else is written down first."""

    spec: StrategySpec
    changes: tuple[FieldChange, ...]

    @property
    def apply(self) -> Apply:
        return strongest(self.changes)

    @property
    def direction(self) -> Direction:
        return direction_of(self.changes)

    @property
    def in_force_first(self) -> bool:
        """Whether its caps must not wait for anything: it lets the strategy risk less, and nowhere more."""
        return self.direction is Direction.TIGHTER


@dataclass(frozen=True, slots=True)
class Hold:
    """It loosens something and needs an approval."""

    spec: StrategySpec
    changes: tuple[FieldChange, ...]

    @property
    def why(self) -> str:
        """What is loosened, in words."""
        if not self.changes:
            return "what ran last cannot be built any more, so nobody can tell what this loosens"
        looser = [str(change) for change in self.changes if change.direction is Direction.LOOSER]
        return f"loosens {'; '.join(looser)}"


@dataclass(frozen=True, slots=True)
class Wait:
    """Its own code changes, and the strategy is at work: after the trading window."""

    spec: StrategySpec
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """What a strategy that does not run ran with last."""

    ran: bool = False
    spec: StrategySpec | None = None
    """None: it never ran, or what it ran with cannot be built any more."""


Decision: TypeAlias = Begin | Keep | Change | Hold | Wait


def begin(last: LastRun, wanted: Wanted, situation: Situation) -> Decision:
    """What is to be done about a strategy that does not run. One whose file was away is no newcomer: it may not come
    back with more than it had."""
    spec = wanted.spec
    if not last.ran or wanted.approved or _loosening(last.spec, situation) is Loosening.AUTO:
        return Begin(spec)
    found = () if last.spec is None else changes(last.spec, spec)
    looser = last.spec is None or direction_of(found) is Direction.LOOSER
    return Hold(spec, found) if looser else Begin(spec)


def _loosening(before: StrategySpec | None, situation: Situation) -> Loosening:
    """What was in force decides, so that a version cannot approve of itself."""
    own = None if before is None else before.reload.loosening
    return own or situation.loosening


def decide(running: StrategySpec, wanted: Wanted, situation: Situation) -> Decision:
    """What is to be done about a strategy that runs."""
    spec = wanted.spec
    found = changes(running, spec)
    if strongest(found) == "meta":
        return Keep(spec, found)
    loosens = direction_of(found) is Direction.LOOSER
    if loosens and _loosening(running, situation) is Loosening.CONFIRM and not wanted.approved:
        return Hold(spec, found)
    if strongest(found) == "restart" and situation.in_window and not wanted.at_once:
        return Wait(spec, found)
    return Change(spec, found)


def decide_beside(
    *,
    applied: StrategySpec,
    in_force: StrategySpec,
    file: StrategySpec,
    wanted: Wanted,
    situation: Situation,
) -> Decision:
    """As `decide`, where other values hold in place of a file's: in `in_force` and `wanted`, not in `applied` and
    `file`.

    Such a value ends some day, and nobody is asked then. So what the file itself changes is decided as if it were not
    there, and what it loosens under one is held like anything else.
    """
    decision = decide(in_force, wanted, situation)
    bare = decide(applied, replace(wanted, spec=file), situation)
    if isinstance(bare, Change) and isinstance(decision, Keep):
        return Change(decision.spec, bare.changes)
    return replace(bare, spec=decision.spec) if isinstance(bare, Hold | Wait) else decision
