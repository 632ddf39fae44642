"""What an operator orders: pause, resume, flatten. Kept in the journal, so that it survives a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runner.errors import NotConnected
from runner.manager.runtime import Runtime, Runtimes
from runner.model.clock import Clock
from runner.model.events import Event, PhaseChanged, StrategyPhase
from runner.portfolio.portfolio_manager import PortfolioManager
from runner.store.journal import Journal


class Operator:
    """Carries out orders to strategies by name; ConfigError for a name that nobody has. Blocks for the journal."""

    def __init__(
        self,
        runtimes: Runtimes,
        journal: Journal,
        books: PortfolioManager,
        clock: Clock,
        publish: Callable[[Event], None],
        unlock: Callable[[int], None],
    ) -> None:
        """`unlock` takes the lock off an instrument, by con_id."""
        self._runtimes = runtimes
        self._journal = journal
        self._books = books
        self._clock = clock
        self._publish = publish
        self._unlock = unlock

    def pause(self, name: str, reason: str) -> None:
        """No order that opens or increases a position until `resume`; exits go on."""
        self._runtimes.named(name)
        self._journal.set_operator_state(name, "paused", reason)
        self._runtimes.change(name, lambda runtime: setattr(runtime, "operator_paused", reason or "paused"))
        self._say(name, StrategyPhase.PAUSED, reason)

    def resume(self, name: str, reason: str) -> None:
        """Ends a pause, the latch of a daily loss, and the locks of the instruments that it holds."""
        runtime = self._runtimes.named(name)
        if self._journal.operator_state(name) != "stopped":
            self._journal.set_operator_state(name, None, reason)
        if self._journal.meta(paused_key(name)):
            self._journal.set_meta(paused_key(name), "")
        if runtime.loss_latched_on is not None:
            self._journal.clear_latch(name, runtime.loss_latched_on, "daily_loss", reason, "operator")

        def resumed(one: Runtime) -> None:
            one.operator_paused = ""
            one.loss_latched_on = None

        self._runtimes.change(name, resumed)
        for held in self._books.positions(name):
            self._unlock(held.instrument.con_id)
        self._say(name, runtime.phase, f"resumed: {reason}")

    async def flatten(self, name: str, reason: str) -> None:
        """Pauses the strategy, cancels its orders and closes its positions at market. NotConnected when it has no
        session."""
        instance = self._runtimes.named(name).instance
        if instance is None or not instance.is_connected:
            raise NotConnected(f"{name} has no session, so nothing can be sent for it", hint=f"runner start {name}")
        await asyncio.to_thread(self.pause, name, f"flatten: {reason}")
        await instance.run_inside(instance.flatten(reason="flatten"))

    def _say(self, name: str, phase: StrategyPhase, reason: str) -> None:
        self._publish(PhaseChanged(at=self._clock.now(), strategy=name, phase=phase, reason=reason))


def paused_key(name: str) -> str:
    """Where the journal keeps the reason of a pause while the strategy is stopped: a pause outlives a stop."""
    return f"paused:{name}"
