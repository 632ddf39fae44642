"""Puts versions of declared strategies in force: the one place that reaches into a strategy while it trades."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from runner.errors import NotConnected, RunnerError
from runner.manager.broker_loop import Errands
from runner.manager.runtime import Runtime, Runtimes
from runner.model.events import StrategyPhase
from runner.spec.spec import StrategySpec
from runner.strategy.hooks import Hooks
from runner.strategy.preview import Foreseen
from runner.strategy.spec_strategy import SpecStrategy
from runner.strategy.version import Version

PREPARE_TIMEOUT_S = 60.0
"""Longest that a new version may take to be warm; the one in force trades on meanwhile."""
ADOPT_TIMEOUT_S = 30.0
"""Longest that a strategy may take to come to the end of what it is doing."""


class NotWarm(RunnerError):
    """A version was not warm in time."""


class Busy(RunnerError):
    """A strategy did not come to the end of what it is doing in time, as while its session is lost."""


@dataclass(frozen=True, slots=True)
class Versions:
    """Called from threads that run no loop; blocks for as long as the limits above."""

    runtimes: Runtimes
    errands: Errands
    hooks_of: Callable[[StrategySpec], Hooks]

    def is_running(self, name: str) -> bool:
        """Whether the strategy is there to take a version over."""
        return self._running(name) is not None

    def abandon(self) -> None:
        """Nobody is waited for any more: the runner stops. What is under way ends with NotConnected."""
        self.errands.abandon()

    def look_ahead(self, name: str, spec: StrategySpec | None) -> None:
        """The caps of `spec`, which does not run yet and lets the strategy risk less, are what the gate asks from the
        very next order on, whatever the strategy is doing; without one, those of the version that runs."""

        def change(runtime: Runtime) -> None:
            runtime.ahead = spec

        self.runtimes.change(name, change)

    def prepare(self, name: str, spec: StrategySpec, generation: int) -> Version:
        """A warm version beside the one in force. NotConnected while the strategy is not warm itself, NotWarm when time
        is up, else what its own parts raise."""
        instance = self._instance(name)
        hooks = self.hooks_of(spec)
        try:
            return self.errands.call(instance.prepare(spec, hooks, generation), PREPARE_TIMEOUT_S)
        except TimeoutError:
            raise NotWarm(
                f"the new version of {name} was not warm within {PREPARE_TIMEOUT_S:g} s",
                hint="its history may take longer than that to load; a restart of the strategy waits for it",
            ) from None

    def adopt(self, name: str, version: Version) -> None:
        """Puts a prepared version in force between two moments of the strategy. Busy when it does not come to one,
        Outdated when the version has to be prepared anew. A version that is not put in force is let go of."""
        instance = self._instance(name)
        try:
            self.errands.call(instance.adopt(version), ADOPT_TIMEOUT_S)
        except TimeoutError:
            # It may have been taken over in the last moment, which only the strategy's own loop can tell.
            if self.discard(name, version):
                raise Busy(f"{name} did not come to the end of what it was doing in {ADOPT_TIMEOUT_S:g} s") from None
        except BaseException:
            self.discard(name, version)
            raise
        self.note(name, version.spec, version.generation)

    def discard(self, name: str, version: Version) -> bool:
        """Lets go of a prepared version that will not be used. False when it is in force after all."""
        try:
            instance = self._instance(name)
        except NotConnected:
            return True  # a strategy that has ended has closed what was opened for it
        return self.errands.call(instance.discard(version), ADOPT_TIMEOUT_S)

    def foresee(self, name: str, spec: StrategySpec) -> Foreseen:
        """What changing to `spec` would come to at this moment."""
        instance = self._instance(name)
        try:
            return self.errands.call(instance.foresee(spec, self.hooks_of(spec)), PREPARE_TIMEOUT_S)
        except TimeoutError:
            raise NotWarm(f"the new version of {name} was not warm within {PREPARE_TIMEOUT_S:g} s") from None

    def next_decision(self, name: str, at: datetime) -> datetime | None:
        """When the strategy decides next by its timetable; None when that follows from its bars or it does not run."""
        instance = self._running(name)
        return None if instance is None else instance.next_decision(at)

    def note(self, name: str, spec: StrategySpec, generation: int) -> None:
        """What the manager knows of the strategy from now on."""

        def change(runtime: Runtime) -> None:
            runtime.spec, runtime.generation, runtime.file = spec, generation, spec.file
            runtime.own_params, runtime.own_enabled = spec.params, spec.enabled

        self.runtimes.change(name, change)

    def restrict(self, name: str, reason: str, *, held: bool = False) -> None:
        """From now on the strategy opens nothing, for this reason, and its entries are cancelled; an empty one ends
        it."""

        def change(runtime: Runtime) -> None:
            runtime.reduce_only, runtime.held = reason, held

        self.runtimes.change(name, change)
        if reason and self.is_running(name):
            with suppress(NotConnected):  # warming: it looks by itself when it is warm
                self.errands.call(self._instance(name).look_again(), ADOPT_TIMEOUT_S)

    def flatten(self, name: str) -> None:
        """Cancels the strategy's orders and closes its positions at market. NotConnected while it has no session, Busy
        when it takes too long."""
        instance = self._instance(name)
        try:
            self.errands.call(instance.flatten(reason="removed"), ADOPT_TIMEOUT_S)
        except TimeoutError:
            raise Busy(f"{name} was not flat within {ADOPT_TIMEOUT_S:g} s") from None

    def at_work(self, name: str, at: datetime) -> bool:
        """Whether the strategy may be deciding at that time: inside its window of a session under way."""
        instance = self._running(name)
        return instance is not None and instance.at_work(at)

    def _running(self, name: str) -> SpecStrategy | None:
        """The strategy when it runs. One that has failed or was stopped, and is only clearing up, does not."""
        runtime = self.runtimes.get(name)
        if runtime is None or runtime.phase in (StrategyPhase.FAILED, StrategyPhase.STOPPED):
            return None
        instance = runtime.instance
        return instance if isinstance(instance, SpecStrategy) and instance.is_running else None

    def _instance(self, name: str) -> SpecStrategy:
        instance = self._running(name)
        if instance is None:
            raise NotConnected(f"strategy {name} is not running")
        return instance
