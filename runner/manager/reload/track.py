"""What the reload engine knows of one strategy: its file, what runs, what waits, and the conditions that follow."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from runner.base_params import BaseParams
from runner.errors import SpecError
from runner.spec.folder import Loaded
from runner.spec.spec import StrategySpec
from runner.store.generations import Generation, Overlay

PARAMS = "params."


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
    """When the status last changed."""
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
class Announced:
    """What somebody is about to write into a file: the version that comes of exactly that text is theirs."""

    sha256: str
    cause: str
    actor: str
    reason: str


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
    running: int = 0
    """Its generation."""
    overlays: tuple[Overlay, ...] = ()
    approved: int = 0
    """The generation that an operator has approved."""
    at_once: bool = False
    announced: Announced | None = None
    superseded: str = ""
    """Hash of the file's spec that a rollback has put aside: it counts again when the file changes."""
    stored_generation: int = 0
    retry_at: float | None = None
    """Monotonic time of the next try of something that waits."""
    last_result: str = ""
    last_at: datetime | None = None
    last_success: datetime | None = None
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    @property
    def is_there(self) -> bool:
        """Whether it has a file, or something of it still runs; else only its history is left."""
        return self.wanted is not None or self.running > 0

    @property
    def in_force(self) -> StrategySpec | None:
        """What the strategy runs with: the file's spec with what holds in place of it."""
        return None if self.applied is None else overlaid(self.applied, self.overlays)

    def set(self, kind: str, status: bool | Status, reason: str, message: str, at: datetime) -> None:
        """Note a condition; its time changes with its status only."""
        value = status if isinstance(status, Status) else Status.TRUE if status else Status.FALSE
        known = self.conditions.get(kind)
        since = known.since if known is not None and known.status is value else at
        generation = self.newest.generation if self.newest is not None else self.running
        condition = Condition(
            type=kind, status=value, reason=reason, message=message, since=since, generation=generation
        )
        self.conditions = {**self.conditions, kind: condition}


def overlaid(spec: StrategySpec, overlays: tuple[Overlay, ...]) -> StrategySpec:
    """The spec with parameters that hold in place of the file's. SpecError when they do not fit together."""
    values = {one.path.removeprefix(PARAMS): one.value for one in overlays if one.path.startswith(PARAMS)}
    enabled = next((bool(one.value) for one in overlays if one.path == "enabled"), spec.enabled)
    if not values and enabled == spec.enabled:
        return spec
    try:
        params = BaseParams.from_mapping(asdict(spec.params) | values)
    except ValueError as error:
        raise SpecError(f"{spec.name}: {error}") from None
    return replace(spec, params=params, enabled=enabled)
