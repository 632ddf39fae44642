"""Strategy files to start from: which blocks they use, and the few values in which they differ from their examples.

`runner.spec.commented` writes them out, everything that could be said beside it included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.blocks import Kind
from runner.catalog import BUILT_IN, Catalog, settings_of_example
from runner.spec.edit import CannotEdit
from runner.spec.problems import KeyPath, dotted
from runner.spec.spec import SPEC_VERSION, EvaluateOn
from runner.spec.write import Verbatim


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a file starts from. `signals` and `sizing` are names of blocks with what differs from their examples."""

    title: str
    description: str
    signals: Mapping[str, tuple[str, Mapping[str, Any]]]
    sizing: tuple[str, Mapping[str, Any]]
    params: Mapping[str, Any]
    schedule: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ("daily",)
    shown: tuple[str, ...] = ()
    """Sections that are not said, and are there as commented-out lines."""

    def said(self, name: str, catalog: Catalog = BUILT_IN) -> dict[str, Any]:
        """What the file says, as data."""

        def block(kind: Kind, use: str, settings: Mapping[str, Any]) -> dict[str, Any]:
            return {"use": use, "with": {**settings_of_example(catalog.find(kind, use)), **settings}}

        return {
            "spec": SPEC_VERSION,
            "name": name,
            "description": self.description,
            "tags": list(self.tags),
            "universe": {"symbols": list(SYMBOLS)},
            "bars": {"size": "1 day"},
            "signals": {id_: block(Kind.SIGNAL, *used) for id_, used in self.signals.items()},
            "sizing": block(Kind.SIZING, *self.sizing),
            "params": dict(self.params),
            "schedule": {"calendar": "XNYS", **self.schedule},
        }


SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
"""What the embedded paper gateway can trade."""

TEMPLATES: Mapping[str, Template] = {
    "trend": Template(
        title="Trend following: hold what is above its longer average, and less of it the more it swings.",
        description="Moving-average trend following, sized by volatility.",
        tags=("daily", "trend"),
        signals={"trend": ("sma_cross", {})},
        sizing=("volatility_target", {}),
        params={"target_weight": 0.10, "max_position_size": 0.50, "max_daily_loss": 0.03, "stop_loss": 0.05},
    ),
    "meanrev": Template(
        title="Mean reversion: buy a sharp fall, sell the recovery. Being stopped out costs risk_per_trade of equity.",
        description="Buys oversold days; out on recovery, at the stop or at the target.",
        tags=("daily", "mean-reversion"),
        signals={"oversold": ("rsi", {"period": 4, "low": 25, "max_hold": 10})},
        sizing=("risk_per_trade", {"stop": "stop_loss"}),
        params={
            "target_weight": 0.10,
            "risk_per_trade": 0.01,
            "max_daily_loss": 0.03,
            "stop_loss": 0.04,
            "take_profit": 0.05,
        },
    ),
    "momentum": Template(
        title="Relative momentum: once a month, hold the strongest of the last year, and cash for one that fell.",
        description="The two strongest, chosen at the end of each month.",
        tags=("daily", "monthly", "momentum"),
        signals={"strength": ("momentum", {})},
        sizing=("equal_weight", {"max_names": 2, "share_of": "universe"}),
        params={"target_weight": 0.10, "max_daily_loss": 0.04},
        schedule={"on": EvaluateOn.MONTH_END.value},
    ),
    "rebalance": Template(
        title="A fixed portfolio, brought back to its weights at the end of a month when it has drifted by a tenth.",
        description="Fixed weights, rebalanced monthly.",
        tags=("daily", "monthly", "portfolio"),
        signals={"always": ("buy_and_hold", {})},
        sizing=("fixed_weights", {"weights": {"AAPL": 0.3, "GOOG": 0.3, "IBM": 0.2, "MSFT": 0.2}}),
        params={"target_weight": 0.10, "min_weight": 0.09, "max_weight": 0.11},
        schedule={"on": EvaluateOn.MONTH_END.value},
    ),
    "custom": Template(
        title="A strategy of your own: replace the blocks, or let hooks have the last word on its orders.",
        description="What it does, in a sentence.",
        signals={"my_signal": ("sma_cross", {})},
        sizing=("equal_weight", {}),
        params={"target_weight": 0.10, "max_position_size": 0.50, "max_daily_loss": 0.03, "stop_loss": 0.05},
        shown=("combine", "exits", "execution", "hooks", "hook_params"),
    ),
}
"""Name → template; the first is what `runner new` uses when none is named."""


def put(said: dict[str, Any], path: KeyPath, value: Verbatim) -> None:
    """Say one thing more, or differently. Raises CannotEdit when there is no such place.

    A block that is given another `use` loses its settings, because those of one block mean nothing to another.
    """
    here: Any = said
    for i, part in enumerate(path[:-1]):
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise CannotEdit(f"{dotted(path)} cannot be set: {dotted(path[: i + 1])} has no keys")
    if path[-1] == "use" and str(here.get("use")) != value:
        here.pop("with", None)
    here[path[-1]] = value
