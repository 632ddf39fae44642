"""From bars and books to a decision: what a live strategy hands to the kernel, and nothing that waits or sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np

from runner.engine.decide import DAILY_TRADES, REASON_TEXT, Limits, decide
from runner.engine.exit_rules import ExitRules
from runner.engine.weights import Pipeline
from runner.model.instruments import Instrument, SecType
from runner.model.money import ZERO, exact
from runner.model.panel import FloatArray, Panel
from runner.strategy.memory import Memory

PAUSED = "paused"
"""Shown when an operator, `enabled: false` or `flatten_at` forbids to open."""
FRESH_ROWS = 2
"""A price counts while its bar is among so many newest ones: another instrument's next bar may have begun first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What is held of one instrument: signed units, their average price, and when they last changed."""

    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """What the blocks say after the newest bar, (N,) each."""

    wanted: FloatArray | None
    """Weights, NaN for no opinion. None: nothing was evaluated, only exits act."""
    leave: FloatArray
    """What the file's exits say must be left, as `decide()` reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything about a decision that bars do not tell. Sequences are in the order of the universe; money is in base
    currency."""

    holdings: Sequence[Holding]
    closing: Sequence[bool]
    """Whether an exit is on its way, or must wait: nothing is decided about that instrument."""
    undecided: Sequence[bool]
    """Whether an order is open whose outcome is not known: only an exit may be decided."""
    unit_values: Sequence[Decimal]
    """Base-currency value of one unit per 1.0 of price."""
    equity: Decimal
    day_pnl: Decimal
    trades_today: int
    may_open: bool
    loss_paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was decided, in the order of the universe."""

    targets: tuple[Decimal, ...]
    reasons: tuple[int, ...]
    """Keys of `runner.engine.decide.REASON_TEXT`."""
    texts: dict[str, str]
    """symbol → reason, for people."""
    loss_reached: bool
    """Whether the daily loss limit was reached just now."""
    memory: Memory


class Decider:
    """The pure part of a live strategy. The same panel, situation and memory give the same outcome."""

    def __init__(
        self,
        universe: Sequence[Instrument],
        pipeline: Pipeline,
        exits: ExitRules,
        *,
        listed: int | None = None,
        leaving: bool = False,
    ) -> None:
        """Signals and sizing see the first `listed` instruments, all by default. What is held of the others is left
        alone but for its exits, or closed when it is `leaving`."""
        self._universe = tuple(universe)
        self._listed = len(self._universe) if listed is None else listed
        self._unlisted = 0.0 if leaving else np.nan
        self._exits = exits
        self._symbols = tuple(instrument.symbol for instrument in universe)
        self._pipeline = pipeline
        self._limits = Limits.of(pipeline.params)
        self._lots = np.array([float(instrument.lot) for instrument in universe])
        self._tradable = np.array([instrument.sec_type is not SecType.INDEX for instrument in universe])

    def opinions(self, panel: Panel, evaluated: Panel | None) -> Opinions:
        """Asks every block that has a say. `panel` is all there is, for the exits; `evaluated` the bars that a decision
        is made on, None between decisions."""
        nothing = np.zeros(len(self._universe))
        return Opinions(
            wanted=self._wanted(evaluated) if evaluated is not None and evaluated.bars else None,
            leave=self._exits.leave(panel)[-1] if self._exits and panel.bars else nothing,
        )

    def _wanted(self, panel: Panel) -> FloatArray:
        weights: FloatArray = self._pipeline.evaluate(panel.first(self._listed)).weights[-1]
        return np.concatenate([weights, np.full(len(self._universe) - self._listed, self._unlisted)])

    def decide(
        self, panel: Panel, opinions: Opinions, began: Sequence[datetime | None], now: Situation, memory: Memory
    ) -> Outcome:
        """`began` says when the newest bar of each instrument began (`newest_rows`): highs and lows of before an entry
        are nothing to the position."""
        rows = newest_rows(panel)
        whole = [
            first is not None and (held.changed_at is None or held.changed_at <= first)
            for first, held in zip(began, now.holdings, strict=True)
        ]
        bars = [_epoch(panel, row) for row in rows]
        evaluated = opinions.wanted is not None
        wanted = np.full(len(self._universe), np.nan) if opinions.wanted is None else opinions.wanted.copy()
        wanted[np.array(now.undecided, dtype=bool)] = np.nan
        tradable = self._tradable & ~np.array(now.closing, dtype=bool)
        equity = float(now.equity)
        decision = decide(
            np.array([float(held.quantity) for held in now.holdings]),
            np.array([float(held.entry_price) for held in now.holdings]),
            memory.best_prices(self._symbols, bars, whole),
            memory.blocked_sides(self._symbols),
            *_prices(panel, rows, whole),
            wanted,
            opinions.leave,
            tradable.astype(np.float64),
            np.array([float(value) for value in now.unit_values]),
            self._lots,
            equity,
            equity - float(now.day_pnl),
            float(now.trades_today) if now.may_open else np.inf,  # the kernel then opens nothing and still closes
            evaluated,
            self._limits,
            now.loss_paused,
        )
        return Outcome(
            targets=tuple(
                held.quantity if target == float(held.quantity) else exact(float(target))
                for held, target in zip(now.holdings, decision.target, strict=True)
            ),
            reasons=tuple(int(reason) for reason in decision.reason),
            texts={
                symbol: PAUSED if reason == DAILY_TRADES and not now.may_open else REASON_TEXT[int(reason)]
                for symbol, reason in zip(self._symbols, decision.reason, strict=True)
            },
            loss_reached=decision.paused and not now.loss_paused,
            memory=memory.after(self._symbols, bars, decision),
        )


def newest_rows(panel: Panel) -> list[int | None]:
    """Per instrument the row of its newest bar; None when it is not among the panel's newest."""
    first = max(0, panel.bars - FRESH_ROWS)
    known = ~np.isnan(panel.close[first:])
    return [first + int(np.flatnonzero(column)[-1]) if column.any() else None for column in known.T]


def until(panel: Panel, start: datetime) -> Panel:
    """The panel up to and with the bars that began at `start`."""
    stop = int(np.searchsorted(panel.times, np.datetime64(start.astimezone(UTC).replace(tzinfo=None), "ns"), "right"))
    return _rows(panel, slice(0, stop))


def with_quiet_bars(panel: Panel) -> Panel:
    """While the newest bar is still in progress, an instrument that has not traded in it stands at its last close."""
    if panel.bars < 2:
        return panel
    quiet = np.isnan(panel.close[-1]) & ~np.isnan(panel.close[-2])
    if not quiet.any():
        return panel
    copies = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for name in ("open", "high", "low", "close"):
        copies[name][-1, quiet] = panel.close[-2, quiet]
    copies["volume"][-1, quiet] = 0.0
    return replace(panel, **copies)


def _rows(panel: Panel, rows: slice) -> Panel:
    names = ("times", "open", "high", "low", "close", "volume")
    return replace(panel, **{name: getattr(panel, name)[rows] for name in names})


def _prices(
    panel: Panel, rows: Sequence[int | None], whole: Sequence[bool]
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Open, high, low and close of each instrument's newest bar, NaN without one. Of a bar in which the position
    changed only the close is a fact about it."""
    bars = np.full((4, len(rows)), np.nan)
    for i, row in enumerate(rows):
        if row is not None:
            bars[:, i] = panel.open[row, i], panel.high[row, i], panel.low[row, i], panel.close[row, i]
            if not whole[i]:
                bars[:3, i] = bars[3, i]
    return bars[0], bars[1], bars[2], bars[3]


def _epoch(panel: Panel, row: int | None) -> int:
    return -1 if row is None else int(panel.times[row].astype("datetime64[s]").astype(np.int64))
