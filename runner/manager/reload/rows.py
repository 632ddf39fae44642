"""The rows of general/strategies, as far as files manage them: written, marked, and read again.

Others write into the table too, and only whole tables can be written. So it is read again before every write: what
somebody has changed meanwhile is kept, in other rows and in those fields of this one that nobody has decided about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import StoreError
from runner.manager.reload.drift import FieldDrift, drift_of, with_foreign
from runner.manager.reload.settings import STORE_RETRY_S
from runner.manager.reload.track import Goal, Track
from runner.manager.sync import row_of
from runner.store.strategies import StrategyRow

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager


class Rows:
    """Every method is called under the lock of the track that it is given."""

    def __init__(self, manager: StrategyManager, root: Path, monotonic: Callable[[], float]) -> None:
        self._manager = manager
        self._root = root
        self._monotonic = monotonic

    def get(self, name: str) -> StrategyRow | None:
        """As it was read last."""
        return self._manager.strategies.get(name)

    def foreign(self, track: Track) -> tuple[FieldDrift, ...]:
        """What somebody else has written into the row."""
        row = self.get(track.name)
        return () if row is None or track.written is None else drift_of(row, track.written)

    def write(self, track: Track, goal: Goal, generation: int, *, ours: Collection[str] = ()) -> None:
        """Brings the row up to date. StoreError when the store refuses. In the fields `ours` also over what others
        wrote there."""
        self._manager.strategies.refresh()
        known = self.get(track.name) or StrategyRow(strategy=track.name)
        row = row_of(goal.spec, known, self._root, generation=generation)
        foreign = [one for one in self._undecided(track, goal) if one.path not in ours]
        self._manager.strategies.upsert([with_foreign(row, foreign)])
        self._written(track, goal, generation)

    def write_all(self, found: Iterable[tuple[Track, Goal, int]]) -> None:
        """The same for many, with one write."""
        found = list(found)
        rows = []
        for track, goal, generation in found:
            known = self.get(track.name) or StrategyRow(strategy=track.name)
            row = row_of(goal.spec, known, self._root, generation=generation)
            rows.append(with_foreign(row, self._undecided(track, goal)))
        self._manager.strategies.upsert(rows)
        for track, goal, generation in found:
            self._written(track, goal, generation)

    def _undecided(self, track: Track, goal: Goal) -> Sequence[FieldDrift]:
        """What is foreign in the row, less what the goal says just so."""
        honoured = {one.path: one.value for one in goal.overlays}
        return [one for one in self.foreign(track) if one.path not in honoured or honoured[one.path] != one.stored]

    def _written(self, track: Track, goal: Goal, generation: int) -> None:
        track.written, track.stored_generation = goal.spec, generation
        track.unsynced, track.sync_due = "", None

    def sync(self, track: Track) -> bool:
        """Brings the row up to date with what is in force; False when the store refuses, and it is tried again."""
        goal = track.goal
        if goal is None:
            return True
        try:
            self.write(track, goal, track.running)
        except StoreError as error:
            track.unsynced, track.sync_due = error.message, self._monotonic() + STORE_RETRY_S
            return False
        return True

    def mark(self, name: str, state: str) -> None:
        """Note in the row that its file is gone, or is back. What the store refuses is said, not raised."""
        known = self.get(name)
        if known is None or known.state == state:
            return
        try:
            self._manager.strategies.refresh()
            row = self.get(name)
            if row is not None:
                self._manager.strategies.upsert([replace(row, state=state)])
        except StoreError as error:
            self._manager.notice("store", f"the row of {name} could not be marked {state or 'active'}: {error.message}")
