"""Signals: prices in, scores in [-1, 1] out. One file a block; the table below is the list of them."""

from __future__ import annotations

from runner.blocks import SignalBlock
from runner.signals.buy_and_hold import BuyAndHold
from runner.signals.donchian_breakout import DonchianBreakout
from runner.signals.momentum import Momentum
from runner.signals.rsi import Rsi
from runner.signals.sma_cross import SmaCross

SIGNALS: tuple[type[SignalBlock], ...] = (BuyAndHold, DonchianBreakout, Momentum, Rsi, SmaCross)
