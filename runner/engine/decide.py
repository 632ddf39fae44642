"""The decision kernel: the one place where wanted weights become target quantities.

`decide()` takes the state of one strategy, one bar of prices for its N instruments, the wanted weights and the limits,
and returns a target quantity and a reason for each instrument. The rules are asked in this order:

1. No price, or not tradable: hold.
2. Exits: stop loss, trailing stop, take profit, then what the file's own exits say must be left. An exit that has fired
   goes on until the position is gone, and its side stays blocked until the wanted weight leaves it.
3. No evaluation now, or no opinion (NaN): hold. A wanted weight of 0 closes the position.
4. `max_position_size` caps what is wanted. What has grown beyond the cap is not increased, and not cut either.
5. Rebalance band: a position on the wanted side is left alone while its value, as a share of the wanted value, times
   `target_weight`, is inside [`min_weight`, `max_weight`].
6. Refusals of what would open or increase: daily-loss pause, blocked side, a side that must be left, trades of the day
   used up.
7. Lots: towards zero. What does not reach a lot is not traded.

Rules 4 to 7 never stop an exit or a reduction: where the opening half of a crossing from long to short is refused, the
position is still closed. Instruments are served in their order when they compete for the last trades of the day.

Everything here is in the subset of Python that numba compiles: live code calls it as plain Python, and a compiled copy
gives the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.base_params import BaseParams
from runner.exits.stop_loss import stop_loss_hit
from runner.exits.take_profit import take_profit_hit
from runner.exits.trailing_stop_loss import best_price_since, trailing_stop_loss_hit
from runner.model.panel import FloatArray

HOLD = 0
STOP_LOSS = 1
TRAILING_STOP_LOSS = 2
TAKE_PROFIT = 3
EXIT_SIGNAL = 4
ENTER = 5
REBALANCE = 6
CAPPED = 7
BAND = 8
BELOW_LOT = 9
DAILY_TRADES = 10
DAILY_LOSS = 11
BLOCKED = 12
NO_PRICE = 13
NO_RATE = 14
NO_EQUITY = 15
EXIT_RULE = 16

REASON_TEXT: dict[int, str] = {
    HOLD: "hold",
    STOP_LOSS: "stop_loss",
    TRAILING_STOP_LOSS: "trailing_stop_loss",
    TAKE_PROFIT: "take_profit",
    EXIT_SIGNAL: "exit_signal",
    ENTER: "enter",
    REBALANCE: "rebalance",
    CAPPED: "capped",
    BAND: "band",
    BELOW_LOT: "below_lot",
    DAILY_TRADES: "daily_trades",
    DAILY_LOSS: "daily_loss",
    BLOCKED: "blocked",
    NO_PRICE: "no_price",
    NO_RATE: "no_rate",
    NO_EQUITY: "no_equity",
    EXIT_RULE: "exit_rule",
}
"""Reason code → its stable name, as kept with orders and shown in views."""

REASON_MEANING: dict[str, str] = {
    "hold": "nothing was evaluated, nothing is wanted, or the signals have no opinion",
    "stop_loss": "the stop loss was hit",
    "trailing_stop_loss": "the trailing stop was hit",
    "take_profit": "the profit target was reached",
    "exit_signal": "the signals no longer want the position",
    "enter": "opened, or turned round",
    "rebalance": "brought back to its target",
    "capped": "max_position_size made the trade smaller, or forbade it",
    "band": "close enough to its target",
    "below_lot": "the trade would be smaller than a lot",
    "daily_trades": "max_daily_trades is used up",
    "daily_loss": "paused for the day by max_daily_loss",
    "blocked": "stopped out on this side, and the signals have not left it since",
    "no_price": "no price, or the instrument is locked",
    "no_rate": "no exchange rate or lot: its value cannot be known",
    "no_equity": "the strategy has no equity to trade with",
    "exit_rule": "an exit of the file says to leave this side, or not to enter it now",
}

LEAVE_LONG, LEAVE_SHORT, LEAVE_BOTH = 1.0, -1.0, 2.0
"""What `leave` says of an instrument; anything else is: nothing must be left."""

LOT_TOLERANCE = 1e-9
"""Lots: 0.29 x 100 is 28.999999999999996 in binary, and the author of the file means 29."""

EDGE = 1e-9
"""Relative: a position at the very edge of its band is inside, whatever the last bits of 0.1 x 1.5 say."""


class Limits(NamedTuple):
    """What the kernel reads of the parameters; units as in `BaseParams`."""

    min_weight: float
    target_weight: float
    max_weight: float
    max_position_size: float
    max_daily_loss: float
    max_daily_trades: float
    stop_loss: float
    trailing_stop_loss: float
    take_profit: float

    @classmethod
    def of(cls, params: BaseParams) -> Limits:
        return cls(*(float(getattr(params, name)) for name in cls._fields))


class Decision(NamedTuple):
    """What to hold, and what to remember for the next call."""

    target: FloatArray
    """(N,) signed target quantities; equal to the quantity held where nothing is to be done."""
    reason: NDArray[np.int64]
    """(N,) keys of `REASON_TEXT`."""
    best_price: FloatArray
    """(N,) best price since entry: highest of a long, lowest of a short; NaN when flat. Goes into the next call."""
    blocked: FloatArray
    """(N,) side on which re-entry is blocked: its sign, times the code of the exit; 0 = none. Goes into the next."""
    paused: bool
    """Whether the daily loss limit holds. Stays so for the session once fed back into `paused`."""


def decide(
    qty: FloatArray,
    entry_price: FloatArray,
    best_price: FloatArray,
    blocked: FloatArray,
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    wanted: FloatArray,
    leave: FloatArray,
    tradable: FloatArray,
    unit_value: FloatArray,
    lot: FloatArray,
    equity: float,
    day_start_equity: float,
    trades_today: float,
    evaluate: bool,
    limits: Limits,
    paused: bool = False,
) -> Decision:
    """Target quantities of one strategy's N instruments after one bar.

    All arrays are float64 (N,). `qty` is signed and includes nothing that is still working; `entry_price` its average
    price. `open_`, `high` and `low` must cover only time since the position was filled, else pass the close for all.
    `wanted` are signed fractions of `equity`, NaN for no opinion; `leave` is what exits of the file say must be left:
    0 nothing, +1 a long, -1 a short, 2 either. `tradable` is 0 or 1; `unit_value` is what one unit is worth in base
    currency per 1.0 of price (multiplier x exchange rate); `lot` the smallest quantity step. `equity` and
    `day_start_equity` are the strategy's, in base currency. `trades_today` counts orders that opened or increased a
    position. Without `evaluate` only exits act. `paused` is what an earlier call of the same session returned. A price
    that is NaN, 0 or negative is no price. Never raises.
    """
    n = len(qty)
    target = np.empty(n, np.float64)
    reason = np.empty(n, np.int64)
    best_out = np.empty(n, np.float64)
    blocked_out = np.empty(n, np.float64)
    pause = bool(paused or (limits.max_daily_loss > 0.0 and equity <= day_start_equity * (1.0 - limits.max_daily_loss)))
    trades = float(trades_today)
    max_trades = limits.max_daily_trades if limits.max_daily_trades > 0.0 else np.inf
    allotted = limits.target_weight > 0.0
    has_exits = limits.stop_loss > 0.0 or limits.trailing_stop_loss > 0.0 or limits.take_profit > 0.0
    for i in range(n):
        held = float(qty[i])
        price = float(close[i])
        best = float(best_price[i])
        block = float(blocked[i])
        if block != block:
            block = 0.0
        weight = float(wanted[i])
        if not allotted:
            weight = weight * 0.0  # a strategy that is allotted nothing wants nothing; NaN stays no opinion
        opinion = evaluate and weight - weight == 0.0  # neither NaN nor infinite
        if opinion and block * weight <= 0.0:
            block = 0.0
        aim = held
        why = HOLD
        if not (tradable[i] > 0.0 and price > 0.0 and price - price == 0.0 and held - held == 0.0):
            why = NO_PRICE
        else:
            if held == 0.0:
                best = np.nan
            else:
                side = 1.0 if held > 0.0 else -1.0
                top = _or_close(float(high[i]), price)
                bottom = _or_close(float(low[i]), price)
                good, bad = (top, bottom) if held > 0.0 else (bottom, top)
                entry = float(entry_price[i])
                if not best > 0.0:
                    best = entry if entry > 0.0 else price
                if has_exits:
                    why = _exit_reason(side, entry, best, float(open_[i]), good, bad, price, limits)
                best = best_price_since(side, best, good)
                if why == HOLD and _must_leave(float(leave[i]), side):
                    why = EXIT_RULE
                if why == HOLD and block * side > 0.0:
                    why = _unfinished_exit(block)
            if why != HOLD:
                aim = 0.0
                # A weight that has left the side already has nothing to be blocked from.
                block = 0.0 if opinion and weight * held <= 0.0 else side * why
            elif opinion:
                refusal = HOLD
                if pause:
                    refusal = DAILY_LOSS
                elif block != 0.0:
                    refusal = BLOCKED
                elif _must_leave(float(leave[i]), 1.0 if weight > 0.0 else -1.0):
                    refusal = EXIT_RULE
                elif trades >= max_trades:
                    refusal = DAILY_TRADES
                aim, why = _sized(
                    held, price * float(unit_value[i]), weight, float(lot[i]), float(equity), refusal, limits
                )
                if abs(aim) > abs(held) or aim * held < 0.0:
                    trades += 1.0
                if aim * held < 0.0:
                    best = np.nan  # the next position begins at its own entry price
        target[i] = aim
        reason[i] = why
        best_out[i] = best
        blocked_out[i] = block
    return Decision(target, reason, best_out, blocked_out, pause)


def _must_leave(leave: float, side: float) -> bool:
    """Whether a position on that side must be left."""
    return leave in (side, LEAVE_BOTH)


def _unfinished_exit(block: float) -> int:
    """The exit that has fired and has not closed the position yet."""
    if abs(block) == EXIT_RULE:
        return EXIT_RULE
    if abs(block) == TRAILING_STOP_LOSS:
        return TRAILING_STOP_LOSS
    return TAKE_PROFIT if abs(block) == TAKE_PROFIT else STOP_LOSS


def _or_close(extreme: float, close: float) -> float:
    """A bar's high or low, or its close where that is missing."""
    return extreme if extreme > 0.0 and extreme - extreme == 0.0 else close


def _exit_reason(
    side: float, entry: float, best: float, open_: float, good: float, bad: float, close: float, limits: Limits
) -> int:
    """The exit that this bar fires, else HOLD.

    Within a bar the stop comes before the target, since their order is unknown; a bar that opened beyond the target
    had reached it first.
    """
    if not entry > 0.0:
        return HOLD  # what was paid is unknown, so nothing can be measured against it
    if take_profit_hit(side, entry, open_, limits.take_profit):
        return TAKE_PROFIT
    if stop_loss_hit(side, entry, bad, limits.stop_loss):
        return STOP_LOSS
    if trailing_stop_loss_hit(side, entry, best, bad, good, close, limits.trailing_stop_loss):
        return TRAILING_STOP_LOSS
    if take_profit_hit(side, entry, good, limits.take_profit):
        return TAKE_PROFIT
    return HOLD


def _sized(
    held: float, unit: float, weight: float, lot: float, equity: float, refusal: int, limits: Limits
) -> tuple[float, int]:
    """(target quantity, reason) for a finite wanted weight. `unit` is the base-currency value of one unit.

    `refusal` is why nothing may be opened or increased, else HOLD.
    """
    if weight == 0.0:
        return 0.0, (HOLD if held == 0.0 else EXIT_SIGNAL)
    side = 1.0 if weight > 0.0 else -1.0
    crossing = held * side < 0.0
    same = 0.0 if crossing else abs(held)
    # Where nothing may be opened a position on the other side is still closed.
    stay, stay_reason = (0.0, EXIT_SIGNAL) if crossing else (held, HOLD)
    if not (unit > 0.0 and unit - unit == 0.0 and lot > 0.0 and lot - lot == 0.0):
        return stay, (stay_reason if crossing else NO_RATE)
    if not (equity > 0.0 and equity - equity == 0.0):
        return stay, (stay_reason if crossing else NO_EQUITY)
    wish = abs(weight) * equity
    cap = limits.max_position_size * equity if limits.max_position_size > 0.0 else np.inf
    allowed = min(wish, cap)
    value = same * unit
    if value > 0.0:
        if allowed < wish and allowed <= value <= wish:
            return held, CAPPED
        share = limits.target_weight * (value / (allowed if value < allowed else wish))
        if limits.min_weight * (1.0 - EDGE) <= share <= limits.max_weight * (1.0 + EDGE):
            return held, BAND
    size = _in_lots(allowed, cap, unit, lot)
    if value < allowed:
        short_of_lot = CAPPED if allowed < wish else BELOW_LOT
        if size <= same:
            return stay, (stay_reason if crossing else short_of_lot)
        if refusal != HOLD:
            return stay, (stay_reason if crossing else refusal)
        if allowed < wish:
            return side * size, CAPPED
        return side * size, (ENTER if same == 0.0 else REBALANCE)
    if size >= same:
        return held, BELOW_LOT
    return side * size, REBALANCE


def _in_lots(allowed: float, cap: float, unit: float, lot: float) -> float:
    """The largest quantity in whole lots worth at most `allowed`, give or take the last bits, and never above `cap`."""
    lots = (allowed / unit / lot + LOT_TOLERANCE) // 1.0
    if lots * lot * unit > cap:
        lots -= 1.0
    size = lots * lot
    # Beyond 2^53 lots one lot is less than the last bit: such a quantity is a mistake in the prices, not a position.
    if not lots >= 1.0 or size - size != 0.0 or size * unit > cap:
        return 0.0
    return size
