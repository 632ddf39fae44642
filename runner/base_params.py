"""The parameters that every strategy has, hand-written or YAML, with their units, defaults and limits.

`BASE_PARAMS` is the plain dict that a Python strategy extends (`PARAMS = {**BASE_PARAMS, "universe": "AAPL"}`);
`BaseParams` is the same as a checked, immutable value. Both come from the fields below and nowhere else, and so does
docs/params.md, which `python -m runner.base_params` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from runner.blocks import build, check_fields, param, parameter_table, params_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseParams:
    """The shared parameters of a strategy.

    Fractions are plain: 10 % is 0.1. Raises ValueError for a value outside its limits, or unless
    `min_weight ≤ target_weight ≤ max_weight`.
    """

    name: ClassVar[str] = "params"
    example: ClassVar[Mapping[str, Any]] = {
        "min_weight": 0.05,
        "target_weight": 0.10,
        "max_weight": 0.15,
        "max_position_size": 0.40,
        "risk_per_trade": 0.01,
        "max_daily_loss": 0.03,
        "max_daily_trades": 10,
        "stop_loss": 0.05,
        "trailing_stop_loss": 0.08,
        "take_profit": 0.10,
    }

    universe: str = param(
        "",
        "what is traded: one symbol, several separated by commas, or the name of an ArcticDB library",
        apply="resubscribe",
        orders="universe",
    )
    min_weight: float = param(
        0.0,
        "lower edge of the rebalance band: a position is brought back to its target once it is worth less than "
        "min_weight / target_weight of it",
        unit="fraction of account equity",
        minimum=0,
        maximum=1,
        direction="smaller_is_tighter",
        apply="live",
    )
    target_weight: float = param(
        0.10,
        "the strategy's share of the account: its equity is target_weight of account equity unless one is set for it "
        "in the store; also the point that positions are rebalanced to inside min_weight and max_weight; "
        "0 closes what is held at the next evaluation",
        unit="fraction of account equity",
        minimum=0,
        maximum=1,
        direction="smaller_is_tighter",
        apply="live",
    )
    max_weight: float = param(
        1.0,
        "upper edge of the rebalance band: a position is brought back to its target once it is worth more than "
        "max_weight / target_weight of it",
        unit="fraction of account equity",
        minimum=0,
        maximum=1,
        direction="smaller_is_tighter",
        apply="live",
    )
    max_position_size: float = param(
        1.0,
        "largest value of one position; a trade never goes beyond it, a position that grew beyond it is not increased "
        "(0 = no cap)",
        unit="fraction of strategy equity",
        minimum=0,
        maximum=10,
        direction="smaller_is_tighter",
        zero_is_off=True,
        apply="live",
        orders="entry_cap",
    )
    risk_per_trade: float = param(
        0.01,
        "what a trade loses when its stop is hit; read by sizing that works from a stop distance",
        unit="fraction of strategy equity",
        exclusive_minimum=0,
        maximum=1,
        direction="smaller_is_tighter",
        apply="live",
    )
    max_daily_loss: float = param(
        0.0,
        "loss since the session's first equity that pauses the strategy for the day: nothing is opened or increased, "
        "exits go on (0 = off)",
        unit="fraction of strategy equity",
        minimum=0,
        maximum=1,
        direction="smaller_is_tighter",
        zero_is_off=True,
        apply="live",
        orders="entry_stop",
    )
    max_daily_trades: int = param(
        0,
        "orders a session that open or increase a position; exits and reductions are never counted or refused "
        "(0 = no limit)",
        unit="count per session",
        minimum=0,
        direction="smaller_is_tighter",
        zero_is_off=True,
        apply="live",
        orders="keep",
    )
    stop_loss: float = param(
        0.0,
        "adverse move from the entry price that closes the position (0 = off); to make it smaller is not tighter under "
        "a sizing that then makes larger positions, such as risk_per_trade",
        unit="fraction of entry price",
        minimum=0,
        maximum=1,
        direction="smaller_is_tighter",
        zero_is_off=True,
        apply="live",
        orders="exits",
    )
    trailing_stop_loss: float = param(
        0.0,
        "adverse move from the best price since entry that closes the position, once that best price is a profit "
        "(0 = off)",
        unit="fraction of best price",
        minimum=0,
        maximum=1,
        direction="smaller_is_tighter",
        zero_is_off=True,
        apply="live",
        orders="exits",
    )
    take_profit: float = param(
        0.0,
        "favourable move from the entry price at which the position is closed (0 = off)",
        unit="fraction of entry price",
        minimum=0,
        maximum=10,
        zero_is_off=True,
        apply="live",
        orders="exits",
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.min_weight > self.target_weight:
            raise ValueError(f"min_weight {self.min_weight:g} is above target_weight {self.target_weight:g}")
        if self.target_weight > self.max_weight:
            raise ValueError(f"target_weight {self.target_weight:g} is above max_weight {self.max_weight:g}")

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> BaseParams:
        """The parameters that `mapping` gives, defaults for the rest.

        Raises ValueError naming the key, the value and the allowed range; a key that is no base parameter is refused
        too (see `split_params`).
        """
        result: BaseParams = build(cls, mapping)
        return result


BASE_PARAMS: dict[str, Any] = asdict(BaseParams())
"""The defaults, as a plain dict to extend."""


def split_params(mapping: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`mapping` in two: base parameters, and the keys that a strategy brings itself."""
    names = {info.name for info in params_of(BaseParams)}
    base = {key: value for key, value in mapping.items() if key in names}
    extra = {key: value for key, value in mapping.items() if key not in names}
    return base, extra


def reference() -> str:
    """The reference page of the base parameters, in Markdown."""
    return f"{_INTRODUCTION}\n\n{parameter_table(BaseParams)}\n"


_INTRODUCTION = """# Base parameters

What every strategy has: in a YAML file under `params`, in a Python module in `PARAMS`. This page is generated from the
parameters themselves: `python -m runner.base_params`.

Fractions are plain numbers: 10 % is 0.1. `min_weight ≤ target_weight ≤ max_weight` always holds. With `target_weight`
0.10, `min_weight` 0.05 and `max_weight` 0.15 a position is left alone while it is worth between half and one and a half
times what is wanted, and is otherwise brought back to it; the defaults leave positions alone up to ten times.
A file sets `universe` in its own section, not under `params`."""


if __name__ == "__main__":
    print(reference(), end="")
