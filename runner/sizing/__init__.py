"""Sizing: prices and scores in, wanted weights out, as fractions of strategy equity. One file a block."""

from __future__ import annotations

from runner.blocks import SizingBlock
from runner.sizing.equal_weight import EqualWeight
from runner.sizing.fixed_weights import FixedWeights
from runner.sizing.risk_per_trade import RiskPerTrade
from runner.sizing.volatility_target import VolatilityTarget

SIZINGS: tuple[type[SizingBlock], ...] = (EqualWeight, FixedWeights, RiskPerTrade, VolatilityTarget)
