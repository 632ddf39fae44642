"""Base parameters: the seed's keys, with defaults, limits and units."""

from __future__ import annotations

from typing import Any

import pytest

from runner.base_params import BASE_PARAMS, BaseParams, split_params
from runner.blocks import params_of

KEYS = [
    "universe",
    "min_weight",
    "target_weight",
    "max_weight",
    "max_position_size",
    "risk_per_trade",
    "max_daily_loss",
    "max_daily_trades",
    "stop_loss",
    "trailing_stop_loss",
    "take_profit",
]


def test_the_plain_dict_has_every_key_with_the_default_of_the_value() -> None:
    assert list(BASE_PARAMS) == KEYS
    assert BaseParams.from_mapping(BASE_PARAMS) == BaseParams()


def test_a_python_strategy_extends_the_dict() -> None:
    params = {**BASE_PARAMS, "universe": "AAPL", "target_weight": 0.10, "my_window": 5}
    base, extra = split_params(params)
    assert extra == {"my_window": 5}
    assert BaseParams.from_mapping(base).universe == "AAPL"


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"target_weight": 10}, "target_weight must be at most 1, not 10"),
        ({"target_weight": 0.2, "max_weight": 0.15}, "target_weight 0.2 is above max_weight 0.15"),
        ({"min_weight": 0.2}, "min_weight 0.2 is above target_weight 0.1"),
        ({"stop_loss": "5%"}, 'stop_loss must be a number, not "5%"'),
        ({"max_daily_trades": 1.5}, "max_daily_trades must be a whole number, not 1.5"),
        ({"max_daily_loss": -0.1}, "max_daily_loss must be at least 0, not -0.1"),
        ({"risk_per_trade": 0}, "risk_per_trade must be above 0, not 0"),
        ({"take_profit": float("nan")}, "take_profit must be a finite number, not nan"),
        ({"max_positon_size": 0.1}, 'params has no parameter "max_positon_size"'),
    ],
)
def test_a_bad_value_names_key_value_and_limit(mapping: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        BaseParams.from_mapping(mapping)
    assert str(caught.value).startswith(sentence)


def test_every_limit_that_0_switches_off_says_so() -> None:
    off = {info.name for info in params_of(BaseParams) if info.zero_is_off}
    assert off == {
        "max_position_size",
        "max_daily_loss",
        "max_daily_trades",
        "stop_loss",
        "trailing_stop_loss",
        "take_profit",
    }
    for info in params_of(BaseParams):
        assert info.zero_is_off == ("(0 = " in info.description), info.name
        assert info.unit or info.name == "universe", info.name
