"""What the reload engine knows of one strategy: its file, what runs, what waits, and what is to be said about it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from runner.base_params import BaseParams
from runner.errors import SpecError
from runner.manager.reload.conditions import Condition
from runner.spec.folder import Loaded
from runner.spec.spec import StrategySpec
from runner.store.generations import Generation, GenerationState, Overlay

PARAMS = "params."
ENABLED = "enabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a strategy is to run with: a version of its file, and what holds in place of the file's values."""

    file: StrategySpec
    overlays: tuple[Overlay, ...]
    spec: StrategySpec
    """The two together."""

    @classmethod
    def of(cls, file: StrategySpec, overlays: tuple[Overlay, ...] = ()) -> Goal:
        """SpecError when they do not fit together."""
        return cls(file=file, overlays=overlays, spec=overlaid(file, overlays))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A version that cannot be put in force yet, and when that is tried again."""

    text: str
    kind: str = ""
    """A word for what it waits for: the same is not said twice, though its text may count something."""
    tries: int = 1
    due: float | None = None
    """Monotonic time of the next try; None where something else says when: the end of the trading window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What somebody is about to write into a file: the version that comes of exactly that text is theirs."""

    sha256: str
    cause: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The fields whose temporary values an edit ends: those that it changed while they were overridden already."""

    spec_hash: str
    """Of the edited file."""
    paths: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What an operator has said about one version."""

    generation: int
    at_once: bool = True
    """In the trading window too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """What a strategy is known to have run with."""

    goal: Goal
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A version that a strategy has been started with."""

    before: LastGood | None
    """What it ran with until then; None when it is new."""


@dataclass(slots=True, kw_only=True)
class Track:
    """One strategy. Changed by whoever holds `lock`; the fields that status reads are replaced as a whole."""

    name: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    wanted: Loaded | None = None
    """What its file says now; None when the file is gone."""
    judged: str = ""
    """The content, bases included, that was judged last: the same problem is reported once."""
    newest: Generation | None = None
    """The last version that was seen."""
    applied: StrategySpec | None = None
    """The file's spec that is in force."""
    overlays: tuple[Overlay, ...] = ()
    """What holds in place of its values."""
    in_force: StrategySpec | None = None
    """What the strategy runs with: the two together."""
    running: int = 0
    """Its generation."""
    ahead: StrategySpec | None = None
    """What is to run, and only tightens: its caps count while it is being put in force, or has to wait."""
    approval: Approval | None = None
    announced: Announced | None = None
    ended: Ended | None = None
    superseded: str = ""
    """Hash of the file's spec that a rollback has put aside: it counts again when the file changes."""
    rolling_back: bool = False
    """Until the rollback that has put it aside has come to its end."""
    rejected: str = ""
    """Hash of the file's spec that an operator has said no to, until the file changes."""
    doubted: bool = False
    """Its file is missing in a way that looks like an accident: it is not gone before somebody says so."""
    base_refused: str = ""
    """Why a change of a base that its file extends is not taken in."""
    gone: str = ""
    """What becomes of it since its file is gone; empty while there is one."""
    waiting: Waiting | None = None
    trial: Trial | None = None
    """Until the version that it was started with has come to run, or has failed to."""
    revival: Waiting | None = None
    """When it is started again, having failed for want of a session."""
    written: StrategySpec | None = None
    """What the row in the store was brought up to date with last."""
    stored_generation: int = 0
    unsynced: str = ""
    """Why the row does not say yet what is in force."""
    sync_due: float | None = None
    """Monotonic time of the next try to write it."""
    drift: str = ""
    """What the store says in vain, in words."""
    conflicts: tuple[str, ...] = ()
    """Fields that were changed both in the file and in the store, to different values."""
    code_edited: str = ""
    """What of its own code is other on disk than what runs, in words."""
    last_result: str = ""
    last_at: datetime | None = None
    last_success: datetime | None = None
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    kept: str = ""
    """What is kept of it over a restart, as it was written last."""

    @property
    def is_there(self) -> bool:
        """Whether it has a file, or something of it still runs; else only its history is left."""
        return self.wanted is not None or self.running > 0

    @property
    def goal(self) -> Goal | None:
        """What is in force, as a goal that has been reached."""
        if self.applied is None or self.in_force is None:
            return None
        return Goal(file=self.applied, overlays=self.overlays, spec=self.in_force)

    def take(self, goal: Goal, generation: int) -> None:
        """This is in force from now on."""
        self.applied, self.overlays, self.in_force, self.running = goal.file, goal.overlays, goal.spec, generation

    def forget(self) -> None:
        """Nothing of it runs any more, nor is to."""
        self.applied = self.in_force = self.written = self.waiting = self.approval = self.ahead = None
        self.trial = self.revival = self.ended = None
        self.running = 0
        self.gone = self.drift = self.superseded = self.rejected = ""
        self.conflicts = ()

    def is_undecided(self, spec: StrategySpec) -> bool:
        """Whether the newest version is of this spec and nothing has become of it yet."""
        newest = self.newest
        return newest is not None and newest.spec_hash == spec.spec_hash and newest.state in UNDECIDED


DECIDED_AGAINST = (GenerationState.REFUSED, GenerationState.REJECTED)
NOT_IN_FORCE = (GenerationState.HELD, GenerationState.WAITING, *DECIDED_AGAINST)
UNDECIDED = (GenerationState.HELD, GenerationState.WAITING, GenerationState.APPLYING)


def overlaid(spec: StrategySpec, overlays: tuple[Overlay, ...]) -> StrategySpec:
    """The spec with parameters that hold in place of the file's. SpecError when they do not fit together."""
    values = {one.path.removeprefix(PARAMS): one.value for one in overlays if one.path.startswith(PARAMS)}
    enabled = next((bool(one.value) for one in overlays if one.path == ENABLED), spec.enabled)
    if not values and enabled == spec.enabled:
        return spec
    try:
        params = BaseParams.from_mapping(asdict(spec.params) | values)
    except ValueError as error:
        held = ", ".join(f"{one.path} {one.value} ({one.source})" for one in overlays)
        raise SpecError(
            f"{spec.name}: {error}, with what holds in place of the file: {held}",
            hint=f"runner restore or revert {spec.name}",
        ) from None
    return replace(spec, params=params, enabled=enabled)
