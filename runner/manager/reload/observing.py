"""Keeps what can be said of every strategy, with the time since when it is so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from runner.manager.code_trail import edited_code_of
from runner.manager.reload.conditions import Facts, conditions_of
from runner.manager.reload.drift import STORE
from runner.manager.reload.files import first_problem
from runner.manager.reload.track import Track
from runner.manager.runtime import DISABLED, Runtime
from runner.model.clock import Clock
from runner.spec.changes import shown

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager


class Observing:
    """Any thread may ask it to look; the conditions of a track are replaced as a whole."""

    def __init__(self, manager: StrategyManager, system: Clock) -> None:
        self._manager = manager
        self._system = system
        self._seen: dict[str, Facts] = {}

    def observe_all(self, tracks: Iterable[Track]) -> None:
        """Looks at every strategy: its session, say, may have been lost since its last turn, or its code edited."""
        for track in tracks:
            self.observe(track)
            self._look_at_code(track)

    def _look_at_code(self, track: Track) -> None:
        """Code is imported once: an edit of it counts after the next start of the runner, and that is said."""
        edited = () if track.in_force is None else edited_code_of(track.in_force)
        before, track.code_edited = track.code_edited, _code_edited(edited)
        if track.code_edited and track.code_edited != before:
            self._manager.notice("code_edited", track.code_edited, track.name)

    def observe(self, track: Track) -> None:
        """Derives the conditions anew when one of the facts has changed."""
        facts = self._facts(track)
        if facts != self._seen.get(track.name) or not track.conditions:
            self._seen[track.name] = facts
            track.conditions = conditions_of(facts, track.conditions, self._system.now())

    def _facts(self, track: Track) -> Facts:
        runtime = self._manager.versions.runtimes.get(track.name)
        loaded, newest, waiting = track.wanted, track.newest, track.waiting
        instance = None if runtime is None else runtime.instance
        spec = None if loaded is None else loaded.spec
        stopped_by, stopped_text = self._stopped(runtime)
        text = "" if newest is None else newest.text
        if waiting is not None and waiting.tries > 1:
            text = f"{waiting.text} (tried {waiting.tries} times)"
        root = self._manager.config.strategies_dir
        return Facts(
            has_file=loaded is not None,
            problem="" if loaded is None or spec is not None else first_problem(loaded.problems, root),
            newest=track.running if newest is None else newest.generation,
            state=None if newest is None else newest.state,
            text=text,
            running=track.running,
            file_runs=spec is not None and track.applied is not None and spec.spec_hash == track.applied.spec_hash,
            rolled_back=spec is not None and spec.spec_hash == track.superseded,
            rejected=spec is not None and spec.spec_hash == track.rejected,
            base_refused=track.base_refused,
            is_written=track.written is not None,
            unsynced=track.unsynced,
            tightened="; ".join(f"{one.path} {shown(one.value)}" for one in track.overlays if one.source == STORE),
            ignored=track.drift,
            conflicts=track.conflicts,
            gone=track.gone,
            phase=None if runtime is None else runtime.phase,
            phase_reason=_phase_reason(track, runtime),
            enabled=track.in_force is None or track.in_force.enabled,
            gateway_connected=self._manager.master.connected,
            has_session=instance is not None and instance.is_connected,
            reconciling=runtime is not None and runtime.reconciling,
            stopped_by=stopped_by,
            stopped_text=stopped_text,
        )

    def _stopped(self, runtime: Runtime | None) -> tuple[str, str]:
        """Why it opens nothing: the first reason that there is."""
        if runtime is None:
            return "", ""
        if runtime.held:
            return "FileMissing", runtime.reduce_only
        if runtime.operator_paused:
            return "Paused", runtime.operator_paused
        if runtime.loss_latched_on == self._manager.today(runtime):
            return "DailyLoss", "max_daily_loss is reached"
        if runtime.reduce_only:
            return "ReduceOnly", runtime.reduce_only
        return ("", "") if runtime.enabled else ("Disabled", DISABLED)


def _code_edited(references: Sequence[str]) -> str:
    if not references:
        return ""
    named = ", ".join(references)
    return f"code on disk differs from the code that runs: {named}; it counts when the runner is started again"


def _phase_reason(track: Track, runtime: Runtime | None) -> str:
    """Why it is in its phase, and how often it has been started again."""
    reason = "" if runtime is None else runtime.reason
    revival = track.revival
    return reason if revival is None else f"{reason} (started again {revival.tries} times)"
