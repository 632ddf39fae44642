"""One version of a declared strategy, ready to decide.

A version is built and warmed beside the one that trades, and put in its place as a whole between two moments: nothing
ever reads half of an old file and half of a new one. What does not change with the file (the feed of bars, the panel)
is handed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runner.broker.bar_times import calendar_of
from runner.broker.feed import Feed
from runner.engine.exit_rules import ExitRules
from runner.engine.panel import PanelBuffer
from runner.engine.weights import Pipeline
from runner.errors import RunnerError, SpecError
from runner.model.bars import BarSize
from runner.model.instruments import Instrument, InstrumentQuery
from runner.model.panel import Panel
from runner.model.sessions import CALENDAR_OF_EXCHANGE, sessions
from runner.spec.spec import OnRemove, StrategySpec
from runner.strategy.deciding import Decider, Opinions, newest_rows, until, with_quiet_bars
from runner.strategy.foreign import ask_blocks
from runner.strategy.hooks import Hooks
from runner.strategy.host import StrategyHost
from runner.strategy.rounds import Rounds, bar_began
from runner.strategy.timetable import Timetable

MIXED_ROWS = 4
"""Instruments of several exchanges miss each other's holidays: the panel gets one more row for so many."""


class Outdated(RunnerError):
    """A version does not know an instrument in which the strategy has a position or an order since it was built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Everything that decisions are made with. The first `listed` instruments are the file's; those after it are still
    held though the file no longer names them: their stops act, and nothing else."""

    spec: StrategySpec
    generation: int
    universe: tuple[Instrument, ...]
    listed: int
    calendar: str
    timetable: Timetable
    decider: Decider
    watches: bool
    """Whether something can happen between decisions: an exit, or the day's loss."""
    rounds: Rounds
    buffer: PanelBuffer
    feed: Feed
    hooks: Hooks
    host: StrategyHost

    def began(self, panel: Panel) -> list[datetime | None]:
        """When the newest bar of each instrument began."""
        return [
            None if row is None else bar_began(panel.times[row], self.spec.bars.size, instrument)
            for instrument, row in zip(self.universe, newest_rows(panel), strict=True)
        ]

    def evaluated(self, panel: Panel, completed: datetime | None) -> Panel:
        """The bars that a decision is made on: up to those that began at `completed`, else with those in progress."""
        return until(panel, completed) if completed else with_quiet_bars(panel)

    async def opinions(self, panel: Panel, evaluated: Panel | None) -> Opinions:
        """What the blocks say; see `Decider.opinions`."""
        return await ask_blocks(self.host, self.spec, lambda: self.decider.opinions(panel, evaluated))

    def shares_bars_with(self, other: Version) -> bool:
        """Whether both look at the same feed."""
        return self.feed is other.feed

    @property
    def leaving(self) -> tuple[Instrument, ...]:
        """What the file no longer names, and is to be closed as if the whole file had gone."""
        return self.universe[self.listed :] if self.spec.on_remove is OnRemove.FLATTEN else ()

    def check_knows(self, exposed: Sequence[Instrument]) -> None:
        """Outdated unless the stops of everything in `exposed` would act."""
        known = {instrument.con_id for instrument in self.universe}
        unknown = [instrument.symbol for instrument in exposed if instrument.con_id not in known]
        if unknown:
            raise Outdated(f"{self.spec.name} has traded {', '.join(unknown)} since its new version was prepared")


OpenFeed = Callable[[Sequence[Instrument], BarSize, int, bool], Awaitable[Feed]]
"""Opens a feed of these instruments with so many bars of history; the last says whether of regular hours only."""
CloseFeed = Callable[[Feed], Awaitable[None]]


class Qualify(Protocol):
    """Contracts as IB knows them, in the order asked for."""

    async def __call__(self, *queries: InstrumentQuery) -> list[Instrument]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What building a version needs of the strategy that it is for."""

    strategy: str
    host: StrategyHost
    qualify: Qualify
    open_feed: OpenFeed
    close_feed: CloseFeed

    async def build(
        self,
        spec: StrategySpec,
        hooks: Hooks,
        generation: int,
        *,
        held: Sequence[Instrument],
        current: Version | None = None,
    ) -> Version:
        """A version that is warm and has been asked once. `held` are the instruments in which there is a position, or
        may soon be one.

        Nothing of `current`, which goes on trading, is changed. Raises what stands in the way, with everything that
        was opened for the new version closed again.
        """
        listed = await self.qualify(*await self._queries(spec))
        # A currency without a rate stops the version here, before any order.
        await self.host.ensure_rates({instrument.currency for instrument in listed})
        named = {instrument.con_id for instrument in listed}
        universe = (*listed, *(instrument for instrument in held if instrument.con_id not in named))
        calendar = self._calendar(spec, listed)
        timetable = Timetable(spec.schedule, await asyncio.to_thread(sessions, calendar))
        pipeline, exits = await ask_blocks(
            self.host,
            spec,
            lambda: (Pipeline(spec.signals, spec.combine, spec.sizing, spec.params), ExitRules(spec.exits)),
        )
        history = max(spec.bars.history, pipeline.warmup + 1, exits.warmup + 1)
        decider = Decider(universe, pipeline, exits, listed=len(listed), leaving=spec.on_remove is OnRemove.FLATTEN)
        params = spec.params
        rules = params.stop_loss or params.trailing_stop_loss or params.take_profit or params.max_daily_loss
        rows = _rows(history, universe)
        reused = current if current is not None and _fits(current, spec, universe, rows) else None
        feed = await self._feed_for(spec, universe, history) if reused is None else reused.feed
        try:
            rounds = self._rounds(spec, universe, current) if reused is None else reused.rounds
            version = Version(
                spec=spec,
                generation=generation,
                universe=universe,
                listed=len(listed),
                calendar=calendar,
                timetable=timetable,
                decider=decider,
                watches=bool(rules or exits),
                rounds=rounds,
                buffer=_warmed(universe, feed, rows) if reused is None else reused.buffer,
                feed=feed,
                hooks=hooks,
                host=self.host,
            )
            panel = version.buffer.panel()
            await version.opinions(panel, version.evaluated(panel, None))  # what raises now would raise at a decision
        except BaseException:
            if reused is None:
                await self.close_feed(feed)
            raise
        return version

    async def _feed_for(self, spec: StrategySpec, universe: Sequence[Instrument], history: int) -> Feed:
        return await self.open_feed(universe, spec.bars.size, history, spec.bars.regular_hours)

    async def _queries(self, spec: StrategySpec) -> list[InstrumentQuery]:
        universe = spec.universe
        if universe.library is None:
            return list(universe.instruments)
        queries = universe.of_library(await asyncio.to_thread(self.host.library_symbols, universe.library))
        if not queries:
            raise SpecError(f"{self.strategy}: library {universe.library} lists no symbols")
        misfit = await ask_blocks(self.host, spec, lambda: _misfit(spec, [query.symbol for query in queries]))
        if misfit:
            raise SpecError(f"{self.strategy}: sizing does not fit library {universe.library}: {misfit}")
        return list(queries)

    def _calendar(self, spec: StrategySpec, listed: Sequence[Instrument]) -> str:
        """The file's calendar, else the one of the first instrument's exchange."""
        if spec.schedule.calendar is not None:
            return spec.schedule.calendar
        first = listed[0]
        for exchange in (first.primary_exchange, first.exchange):
            if exchange in CALENDAR_OF_EXCHANGE:
                return CALENDAR_OF_EXCHANGE[exchange]
        raise SpecError(
            f"{self.strategy}: no calendar is known for {first.exchange}", hint="set schedule.calendar in the file"
        )

    def _rounds(self, spec: StrategySpec, universe: Sequence[Instrument], current: Version | None) -> Rounds:
        same_bars = current is not None and current.spec.bars.size is spec.bars.size
        return Rounds(
            universe,
            spec.bars.size,
            regular_hours=spec.bars.regular_hours,
            following=self.host.clock.following,
            after=current.rounds.last if current is not None and same_bars else None,
        )


def _misfit(spec: StrategySpec, symbols: Sequence[str]) -> str:
    """Why the sizing cannot deal with these symbols; empty when it can."""
    try:
        spec.sizing.check(symbols, spec.params)
    except ValueError as error:
        return str(error)
    return ""


def _rows(history: int, universe: Sequence[Instrument]) -> int:
    """Rows of a panel that holds `history` bars of each."""
    mixed = len({calendar_of(instrument) for instrument in universe}) > 1
    return history + history // MIXED_ROWS + 1 if mixed else history


def _fits(current: Version, spec: StrategySpec, universe: Sequence[Instrument], rows: int) -> bool:
    """Whether the bars of the version that trades are the ones that the new one needs."""
    bars, old = spec.bars, current.spec.bars
    same = (bars.size, bars.regular_hours) == (old.size, old.regular_hours)
    return same and current.universe == tuple(universe) and rows <= current.buffer.capacity


def _warmed(universe: Sequence[Instrument], feed: Feed, rows: int) -> PanelBuffer:
    """With the bars in progress, or a version that takes over in the middle of one would look at the bar before."""
    buffer = PanelBuffer(tuple(instrument.symbol for instrument in universe), capacity=rows)
    for instrument in universe:
        begun = feed.begun.get(instrument.con_id)
        for bar in (*feed.warm[instrument.con_id], *([begun] if begun is not None else [])):
            buffer.put(instrument.symbol, bar)
    return buffer
