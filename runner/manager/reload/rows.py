"""The rows of general/strategies, as far as files manage them: written, marked, and read again.

Others write into the table too, and only whole tables can be written. So every row is made from the table as it is in
that moment: what somebody has changed meanwhile is kept, in other rows and in those fields of this one that nobody has
decided about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
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

Applied = tuple[Track, Goal, int]
"""What a row is to say: what is in force, or about to be, and its generation."""


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
        return _foreign(track, self.get(track.name))

    def write(self, track: Track, goal: Goal, generation: int, *, ours: Collection[str] = ()) -> None:
        """Brings the row up to date. StoreError when the store refuses. In the fields `ours` also over what others
        wrote there."""
        self.write_all([(track, goal, generation)], ours=ours)

    def write_all(self, found: Iterable[Applied], *, ours: Collection[str] = ()) -> None:
        """The same for many, with one write."""
        found = list(found)
        if found:
            self._manager.strategies.change(lambda stored: [self._row(one, stored, ours) for one in found])
        for track, goal, generation in found:
            track.written, track.stored_generation = goal.spec, generation
            track.unsynced, track.sync_due = "", None

    def _row(self, one: Applied, stored: Mapping[str, StrategyRow], ours: Collection[str]) -> StrategyRow:
        track, goal, generation = one
        known = stored.get(track.name)
        row = row_of(goal.spec, known or StrategyRow(strategy=track.name), self._root, generation=generation)
        honoured = {over.path: over.value for over in goal.overlays}
        undecided = [
            field
            for field in _foreign(track, known)
            if field.path not in ours and (field.path not in honoured or honoured[field.path] != field.stored)
        ]
        return with_foreign(row, undecided)

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
            self._manager.strategies.change(lambda stored: [stored[name].saying(state=state)] if name in stored else [])
        except StoreError as error:
            self._manager.notice("store", f"the row of {name} could not be marked {state or 'active'}: {error.message}")


def _foreign(track: Track, row: StrategyRow | None) -> tuple[FieldDrift, ...]:
    return () if row is None or track.written is None else drift_of(row, track.written)
