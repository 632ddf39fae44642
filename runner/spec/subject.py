"""A strategy as its tests see it: what is known of it, although other parts of its file may be wrong."""

from __future__ import annotations

from dataclasses import dataclass

from runner.base_params import BaseParams
from runner.model.bars import BarSize
from runner.spec.spec import UniverseSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a test can be held against. None: it could not be read, so what depends on it is not judged."""

    universe: UniverseSpec | None = None
    signals: tuple[str, ...] | None = None
    """Ids, in the order of the file."""
    exits: tuple[str, ...] | None = None
    """Ids of the exits that are blocks; those that are parameters are in `params`."""
    warmup: int | None = None
    bar_size: BarSize | None = None
    params: BaseParams | None = None

    @property
    def symbols(self) -> tuple[str, ...] | None:
        """What it trades; None when that is not known, or is what a library holds."""
        universe = self.universe
        return None if universe is None or universe.library else tuple(q.symbol for q in universe.instruments)

    @property
    def currencies(self) -> tuple[str, ...]:
        """Of its instruments, in their order, each once."""
        universe = self.universe
        if universe is None:
            return ()
        queries = [universe.defaults] if universe.library else universe.instruments
        return tuple(dict.fromkeys(query.currency for query in queries))

    def currency_of(self, symbol: str) -> str:
        """The currency of an instrument; empty when it is not known."""
        universe = self.universe
        if universe is None:
            return ""
        if universe.library:
            return universe.defaults.currency
        return next((query.currency for query in universe.instruments if query.symbol == symbol), "")
