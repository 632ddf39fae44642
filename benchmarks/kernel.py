"""What one bar costs in the pure part of a strategy: the pipeline to weights, and the decision.

Bases: two bare TA-Lib averages per instrument for the pipeline, one plain Python comparison of a price with a stop per
instrument for `decide()`.
"""

from __future__ import annotations

import numpy as np
import talib
from common import ROOT, Table, best_of, microseconds

from runner.engine.decide import Limits, decide
from runner.engine.weights import Pipeline
from runner.model.panel import Panel
from runner.spec.folder import load_folder

BARS = 260


def panel_of(instruments: int) -> Panel:
    """A seeded random walk of daily bars."""
    source = np.random.default_rng(1)
    close = 50 * np.exp(np.cumsum(source.normal(0, 0.01, (BARS, instruments)), axis=0))
    days = np.arange(BARS).astype("datetime64[D]").astype("datetime64[ns]")
    return Panel(
        symbols=tuple(f"S{number}" for number in range(instruments)),
        times=days,
        open=close.copy(),
        high=close * 1.01,
        low=close * 0.99,
        close=close,
        volume=np.full_like(close, 1e6),
    )


def measure(repeats: int) -> Table:
    specs = {spec.name: spec for spec in load_folder(ROOT / "strategies.d").specs}
    spec = specs["TREND"]
    pipeline = Pipeline(spec.signals, spec.combine, spec.sizing, spec.params)
    limits = Limits.of(spec.params)
    table = Table(f"One bar in the pure part ({spec.name} of strategies.d, a window of {BARS} bars)")
    for instruments in (4, 100):
        panel = panel_of(instruments)

        def averages(panel: Panel = panel) -> None:
            for column in range(len(panel.symbols)):
                prices = np.ascontiguousarray(panel.close[:, column])
                talib.SMA(prices, 20)
                talib.SMA(prices, 60)

        base_s = best_of(averages, repeats=repeats)
        took = best_of(lambda panel=panel: pipeline.evaluate(panel), repeats=repeats)  # type: ignore[misc]
        table.add(
            f"Pipeline.evaluate, {instruments} instruments",
            microseconds(took),
            took / base_s,
            "two bare TA-Lib averages each",
        )
    for instruments in (4, 100):
        last = panel_of(instruments).close[-1]
        ones, zeros = np.ones(instruments), np.zeros(instruments)
        held, wanted = np.full(instruments, 100.0), np.full(instruments, 0.9 / instruments)

        def compare(last: np.ndarray = last, count: int = instruments) -> int:
            return sum(1 for i in range(count) if last[i] < 45.0)

        def one(
            last: np.ndarray = last,
            ones: np.ndarray = ones,
            zeros: np.ndarray = zeros,
            held: np.ndarray = held,
            wanted: np.ndarray = wanted,
        ) -> None:
            bar = (last, last, last, last)
            decide(held, last, last, zeros, *bar, wanted, zeros, ones, ones, ones, 1e6, 1e6, 0, True, limits)

        base_s = best_of(compare, repeats=repeats, inner=20)
        took = best_of(one, repeats=repeats, inner=20)
        table.add(
            f"decide(), {instruments} instruments, per instrument",
            microseconds(took / instruments),
            took / base_s,
            "one plain comparison each",
        )
    return table
