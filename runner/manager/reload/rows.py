"""The rows of general/strategies, as far as files manage them: written, marked, and read again.

Others write into the table too, and only whole tables can be written. So every row is made from the table as it is in
that moment: what somebody has changed meanwhile is kept, in other rows and in those fields of this one that nobody has
decided about. What must not be lost with the store is in the journal: which strategies are no more, and client ids.
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
from runner.store.strategies import MANAGED_BY, REMOVED, StrategyRow

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

    def hand_written(self, name: str) -> StrategyRow | None:
        """The row of a strategy in Python that has this name. One that has only lost the word of who manages it is no
        such row: the journal knows what ran."""
        row, generations = self.get(name), self._manager.journal.generations
        if row is None or not row.hand_written:
            return None
        return None if generations.running(name) is not None and not generations.is_removed(name) else row

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
        removed = self._manager.journal.generations.removed()
        gone = removed - {track.name for track, _, _ in found}

        def made(stored: Mapping[str, StrategyRow]) -> list[StrategyRow]:
            return [*_marked(gone, stored.get), *(self._row(one, stored, ours) for one in found)]

        if found or _marked(gone, self.get):
            self._manager.strategies.change(made)
        for track, goal, generation in found:
            track.written, track.stored_generation = goal.spec, generation
            track.unsynced, track.sync_due = "", None
            if track.name in removed:
                self._manager.journal.generations.restore(track.name)

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

    # -- strategies that are no more

    def is_removed(self, name: str) -> bool:
        """Whether its file was gone when it ended. The row knows it too, should the journal not; one that is older than
        what ran last knows nothing of it."""
        generations, row = self._manager.journal.generations, self.get(name)
        if generations.is_removed(name):
            return True
        last = generations.running(name)
        return row is not None and row.state == REMOVED and (last is None or last.generation <= row.generation)

    def mark(self, name: str, state: str) -> None:
        """Note that its file is gone and it has ended (REMOVED), or that it is back (empty): in the journal, and in its
        row. What the store refuses is said, and done with the next write or `remark`."""
        generations = self._manager.journal.generations
        if state == REMOVED:
            generations.remove(name)
        elif generations.is_removed(name):
            generations.restore(name)
        known = self.get(name)
        if known is None or known.state == state:
            return
        try:
            self._manager.strategies.change(lambda stored: [stored[name].saying(state=state)] if name in stored else [])
        except StoreError as error:
            self._manager.notice("store", f"the row of {name} could not be marked {state or 'active'}: {error.message}")

    def remark(self) -> bool:
        """Marks the rows of strategies that were removed while the store was away; False when it still is."""
        try:
            self.write_all([])
        except StoreError:
            return False
        return True


def _marked(gone: Iterable[str], get: Callable[[str], StrategyRow | None]) -> list[StrategyRow]:
    """The rows that do not say yet that their strategy is no more, saying so."""
    rows = (row for name in sorted(gone) if (row := get(name)) is not None)
    return [row.saying(state=REMOVED) for row in rows if row.managed_by == MANAGED_BY and row.state != REMOVED]


def _foreign(track: Track, row: StrategyRow | None) -> tuple[FieldDrift, ...]:
    return () if row is None or track.written is None else drift_of(row, track.written)
