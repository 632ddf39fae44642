"""What the manager knows of one strategy while it runs, and what that means for its orders."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

from runner.base_params import BaseParams
from runner.broker.order_gate import TradingState
from runner.errors import UnknownName
from runner.model.events import StrategyPhase
from runner.model.sessions import sessions
from runner.spec.spec import StrategySpec
from runner.strategy.base_strategy import BaseStrategy

Kind = Literal["yaml", "python"]
DISABLED = "it is disabled: enabled is false"


def session_day(calendar: str, at: datetime) -> date:
    """The date of the session under way at `at`, or of the last one before it."""
    found = sessions(calendar)
    current = found.at_or_after(at)
    return current.day if current.contains(at) else found.before(at).day


@dataclass(slots=True, kw_only=True)
class Runtime:
    """One strategy. Written by the manager under its lock; read from any thread."""

    name: str
    kind: Kind
    file: Path
    client_id: int
    own_params: BaseParams
    """Those of the version that runs."""
    calendar: str
    spec: StrategySpec | None = None
    instance: BaseStrategy | None = None
    phase: StrategyPhase = StrategyPhase.PENDING
    reason: str = ""
    generation: int = 0
    operator_paused: str = ""
    """The operator's reason while paused, else empty."""
    reduce_only: str = ""
    """Why nothing may be opened until its file is in order again, else empty."""
    own_enabled: bool = True
    """Whether the version that runs wants it to trade. Disabled, it guards what it holds and opens nothing."""
    ahead: StrategySpec | None = None
    """A version that is wanted, lets it risk less, and does not run yet: its caps count already."""
    held: bool = False
    """Its file is gone; it is kept for the positions that it holds."""
    code_changed: bool = False
    """Whether the same file ran other hooks or plugged-in blocks at its last start."""
    loss_latched_on: date | None = None
    reconciling: bool = True
    """Until the session's first snapshot has been folded in."""
    session_marks: dict[date, Decimal] = field(default_factory=dict)

    @property
    def params(self) -> BaseParams:
        """Those that the order gate asks."""
        return self.own_params if self.ahead is None else self.ahead.params

    @property
    def enabled(self) -> bool:
        """Whether it may open anything, as far as its file says."""
        return self.own_enabled if self.ahead is None else self.ahead.enabled

    def session_day(self, at: datetime) -> date:
        """The session date that `at` belongs to on the strategy's calendar: the one under way, or the last one."""
        return session_day(self.calendar, at)

    def trading_state(self, today: date) -> TradingState:
        """What its orders may do now."""
        if self.phase in (StrategyPhase.FAILED, StrategyPhase.STOPPED, StrategyPhase.PENDING):
            return "reducing"
        if self.reconciling:
            return "reconciling"
        if self.operator_paused or self.reduce_only or not self.enabled or self.loss_latched_on == today:
            return "reducing"
        return "active"

    def shown_phase(self, today: date) -> tuple[StrategyPhase, str]:
        """Phase and reason as `status` shows them."""
        if self.phase is StrategyPhase.RUNNING:
            if self.held:
                return StrategyPhase.HELD, self.reduce_only
            if self.operator_paused:
                return StrategyPhase.PAUSED, self.operator_paused
            if self.loss_latched_on == today:
                return StrategyPhase.PAUSED, "max_daily_loss reached; resumes with the next session"
            if self.reduce_only or not self.enabled:
                return StrategyPhase.PAUSED, self.reduce_only or DISABLED
        return self.phase, self.reason


class Runtimes:
    """The strategies by name."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._by_name: dict[str, Runtime] = {}

    def add(self, runtime: Runtime) -> None:
        with self._lock:
            self._by_name[runtime.name] = runtime

    def get(self, name: str) -> Runtime | None:
        return self._by_name.get(name)

    def named(self, name: str) -> Runtime:
        """The strategy of that name; UnknownName with the known ones when there is none."""
        runtime = self._by_name.get(name)
        if runtime is None:
            known = ", ".join(one.name for one in self.all()) or "none"
            raise UnknownName(f"there is no strategy called {name!r} (known: {known})", hint="runner status")
        return runtime

    def all(self) -> list[Runtime]:
        with self._lock:
            return sorted(self._by_name.values(), key=lambda runtime: runtime.name)

    def remove(self, name: str) -> None:
        """Forget a strategy that has stopped."""
        with self._lock:
            self._by_name.pop(name, None)

    def change(self, name: str, change: Callable[[Runtime], None]) -> None:
        with self._lock:
            runtime = self._by_name.get(name)
            if runtime is not None:
                change(runtime)
