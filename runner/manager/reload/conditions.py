"""What can be said of a strategy and its file, as conditions: each is so, is not so, or is not known, and why.

    Valid      its file can be used                      Warm       it has the bars that it decides on
    Synced     its row in the store says what runs       Connected  its own session with IB stands
    Applied    the newest version of its file runs       Ready      it may open positions
    Drifted    somebody changed its row                  Held       something waits for an operator

They are derived from facts and from nothing else, so that none can be left saying what was so before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from runner.manager.runtime import DISABLED
from runner.model.events import StrategyPhase
from runner.store.generations import GenerationState


class Status(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that is or is not so: `reason` is a word for programs, `message` a sentence for people."""

    type: str
    status: Status
    reason: str = ""
    message: str = ""
    since: datetime | None = None
    """When the status last changed: this machine's time, a replay's market has its own."""
    generation: int = 0
    """The version that it was observed on."""

    def view(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "type": self.type,
            "status": self.status.value,
            "reason": self.reason,
            "message": self.message,
            "last_transition": None if self.since is None else self.since.isoformat(),
            "observed_generation": self.generation,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that the conditions of one strategy follow from. Texts are empty where there is nothing to say."""

    has_file: bool
    problem: str
    """What is wrong with the file."""
    newest: int
    """Number of the last version that was seen."""
    state: GenerationState | None
    """What became of it."""
    text: str
    """Why it was refused or held, or what it waits for."""
    running: int
    """Number of the version in force; 0 for none."""
    file_runs: bool
    """Whether what the file says is in force."""
    rolled_back: bool
    rejected: bool
    base_refused: str
    is_written: bool
    """Whether the store has a row of it."""
    unsynced: str
    tightened: str
    """What holds because the store says so."""
    ignored: str
    """What the store says in vain."""
    conflicts: tuple[str, ...]
    gone: str
    """What becomes of it without its file."""
    phase: StrategyPhase | None
    """None when it is not started."""
    phase_reason: str
    enabled: bool
    gateway_connected: bool
    has_session: bool
    reconciling: bool
    stopped_by: str
    """Why it opens nothing though it runs, as a word for programs."""
    stopped_text: str


def conditions_of(facts: Facts, before: Mapping[str, Condition], at: datetime) -> dict[str, Condition]:
    """All eight by their type. A condition keeps its time while its status is the same as `before`."""
    found = {}
    for one in _observed(facts):
        known = before.get(one.type)
        since = known.since if known is not None and known.status is one.status else at
        found[one.type] = Condition(
            type=one.type, status=one.status, reason=one.reason, message=one.message, since=since,
            generation=one.generation,
        )  # fmt: skip
    return found


def _observed(facts: Facts) -> Iterator[Condition]:
    warm, connected = _warm(facts), _connected(facts)
    of_file = (("Valid", _valid(facts)), ("Synced", _synced(facts)), ("Applied", _applied(facts)))
    of_strategy = (("Warm", warm), ("Connected", connected), ("Ready", _ready(facts, warm, connected)))
    about_both = (("Drifted", _drifted(facts)), ("Held", _held(facts)))
    for generation, rows in ((facts.newest, of_file), (facts.running, of_strategy), (facts.newest, about_both)):
        for kind, (status, reason, message) in rows:
            yield Condition(type=kind, status=status, reason=reason, message=message, generation=generation)


_Verdict = tuple[Status, str, str]


def _valid(facts: Facts) -> _Verdict:
    if not facts.has_file:
        return Status.UNKNOWN, "FileMissing", "there is no file"
    return (Status.FALSE, "Problems", facts.problem) if facts.problem else (Status.TRUE, "Checked", "")


def _synced(facts: Facts) -> _Verdict:
    if facts.unsynced:
        return Status.FALSE, "StoreUnavailable", facts.unsynced
    return (Status.TRUE, "Stored", "") if facts.is_written else (Status.UNKNOWN, "NotStored", "it has no row yet")


def _applied(facts: Facts) -> _Verdict:
    if facts.base_refused:
        return Status.FALSE, "BaseRefused", facts.base_refused
    if not facts.has_file:
        return Status.UNKNOWN, "FileMissing", facts.gone
    if facts.problem:
        return Status.FALSE, "Refused", facts.problem
    undecided = facts.state in (GenerationState.HELD, GenerationState.WAITING)
    if facts.rolled_back and not undecided:
        return Status.FALSE, "RolledBack", f"generation {facts.running} was put back; the file says something else"
    if facts.file_runs:
        return Status.TRUE, "Applied", ""
    if facts.rejected:
        return Status.FALSE, "Rejected", facts.text
    state = facts.state or GenerationState.APPLYING
    return Status.FALSE, state.value.capitalize(), facts.text


def _warm(facts: Facts) -> _Verdict:
    match facts.phase:
        case None:
            return Status.UNKNOWN, "NotStarted", "it is not started" if facts.enabled else DISABLED
        case StrategyPhase.PENDING | StrategyPhase.WARMING:
            return Status.FALSE, "Warming", facts.phase_reason
        case StrategyPhase.FAILED | StrategyPhase.STOPPED:
            return Status.FALSE, facts.phase.value, facts.phase_reason
        case _:
            return Status.TRUE, "Warm", ""


def _connected(facts: Facts) -> _Verdict:
    if not facts.gateway_connected:
        return Status.FALSE, "GatewayLost", "the runner has no session with the gateway"
    if facts.phase in (None, StrategyPhase.FAILED, StrategyPhase.STOPPED):
        return Status.UNKNOWN, "NotRunning", "only a strategy that runs has a session"
    if not facts.has_session:
        return Status.FALSE, "SessionLost", "its session is being opened again"
    if facts.reconciling and facts.phase is StrategyPhase.RUNNING:
        return Status.FALSE, "Reconciling", "its orders are being compared with IB's"
    return Status.TRUE, "SessionStands", ""


def _ready(facts: Facts, warm: _Verdict, connected: _Verdict) -> _Verdict:
    for status, reason, message in (warm, connected):
        if status is not Status.TRUE:
            return Status.FALSE, reason, message
    if facts.stopped_by:
        return Status.FALSE, facts.stopped_by, facts.stopped_text
    return Status.TRUE, "Ready", ""


def _drifted(facts: Facts) -> _Verdict:
    if facts.conflicts:
        said = "; ".join(one for one in (facts.tightened, facts.ignored) if one)
        return Status.TRUE, "Conflict", f"{', '.join(facts.conflicts)} changed in the file and in the store: {said}"
    if facts.tightened:
        ignored = f"; not applied: {facts.ignored}" if facts.ignored else ""
        return Status.TRUE, "StoreTightened", f"{facts.tightened}{ignored}"
    return (Status.TRUE, "StoreIgnored", facts.ignored) if facts.ignored else (Status.FALSE, "InSync", "")


def _held(facts: Facts) -> _Verdict:
    if facts.gone:
        return Status.TRUE, "FileMissing", facts.gone
    if facts.state is GenerationState.HELD:
        return Status.TRUE, "Loosening", facts.text
    return Status.FALSE, "NothingHeld", ""
