"""What a paper gateway is told before it starts. One value, checked once; everything else is built from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Literal

from runner.errors import ConfigError

HOST = "127.0.0.1"
"""The only address the gateway binds: it has no authentication, as TWS has none."""

DEFAULT_ACCOUNT = "DU1234567"
STEP_SECONDS: Mapping[str, int] = {
    "1s": 1,
    "5s": 5,
    "10s": 10,
    "15s": 15,
    "30s": 30,
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
}
"""Seconds of the steps shorter than a session; the step `day` is a whole session."""

_ACCOUNT = re.compile(r"DU[A-Z0-9]{1,14}")
_CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquiditySettings:
    """How much of an order the market takes.

    `participation` is the fraction of a bar's volume that all orders together may have in that bar, and
    `displayed_fraction` the fraction of the day's usual volume that bid and ask show at any moment. None means
    unlimited: an order fills whole or not at all.
    """

    participation: Decimal | None = Decimal("0.10")
    displayed_fraction: Decimal | None = Decimal("0.0005")
    half_spread_ticks: int = 1
    """Bid = last − this, ask = last + this; what an order that takes liquidity pays. Auctions have no spread."""
    slippage_bps: float = 0.0
    """Paid by market, stop, trailing and touched orders on top of the spread, auctions included."""

    def __post_init__(self) -> None:
        for name in ("participation", "displayed_fraction"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ConfigError(f"gateway liquidity {name} is {value}", hint="a fraction above 0, at most 1; or none")
        if not 0 <= self.half_spread_ticks <= 1000:
            raise ConfigError(f"gateway half_spread_ticks is {self.half_spread_ticks}", hint="use 0 to 1000")
        if not 0 <= self.slippage_bps <= 1000:
            raise ConfigError(f"gateway slippage_bps is {self.slippage_bps}", hint="use 0 to 1000")


UNLIMITED = LiquiditySettings(participation=None, displayed_fraction=None)
"""Every order fills whole at the first price that it can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Everything about one paper gateway. Raises ConfigError when a value cannot work."""

    port: int = 0
    """TCP port on loopback; 0 takes a free one."""
    accounts: tuple[str, ...] = (DEFAULT_ACCOUNT,)
    """Names of the paper accounts; each begins with DU, so that none can be taken for a live one."""
    base_currency: str = "USD"
    cash: Mapping[str, Decimal] = field(default_factory=lambda: {"USD": Decimal("1000000.00")})
    """What each account holds at the very first start, per currency."""
    master_client_id: int | None = 0
    """The client that sees everybody's orders and executions; None as in a fresh TWS."""
    data: Path | None = None
    """A folder of daily bars in place of the shipped ones: `SYMBOL.csv` and an optional contracts.yaml."""
    start: date | None = None
    """The first session that is played; None is the last recorded one. Earlier bars are history."""
    end: date | None = None
    """The last session that is played; None never stops: a seeded random walk continues the recorded bars."""
    speed: float | Literal["max"] = 1.0
    """Market seconds per second; `max` goes as fast as the clients can follow."""
    step: str = "1s"
    """How far the market's clock moves at a time: `day` or one of STEP_SECONDS."""
    calendar: str = "XNYS"
    """exchange_calendars code whose closed hours are skipped. Instruments that trade then get one step of their own."""
    seed: int = 1
    """Everything that is simulated is a function of this number."""
    enforce_limits: bool = True
    """IB's request limits and pacing."""
    liquidity: LiquiditySettings = field(default_factory=LiquiditySettings)
    margin_check: bool = True
    warn_when_closed: bool = True
    """Whether an order outside the session is answered with warning 399, as IB does."""
    state_file: Path | None = None
    """SQLite file that keeps ids, orders, executions, books and the clock across a restart; None forgets."""
    record: Path | None = None
    """Folder for text files of both directions of every session."""

    def __post_init__(self) -> None:
        self._check_accounts()
        self._check_market()
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"gateway port {self.port} is not a TCP port", hint="use 0 (any free port) to 65535")
        if self.master_client_id is not None and not 0 <= self.master_client_id < 2**31:
            raise ConfigError(f"gateway master_client_id is {self.master_client_id}", hint="0 or a positive number")

    def _check_accounts(self) -> None:
        if not self.accounts:
            raise ConfigError("the paper gateway has no account", hint=f"for example accounts: [{DEFAULT_ACCOUNT}]")
        for account in self.accounts:
            if not _ACCOUNT.fullmatch(account):
                raise ConfigError(
                    f"paper account {account!r} is not a paper account's name",
                    hint="DU and then capital letters or digits, for example DU1234567",
                )
        if len(set(self.accounts)) != len(self.accounts):
            raise ConfigError(f"paper accounts repeat: {', '.join(self.accounts)}", hint="name each account once")
        for currency in (self.base_currency, *self.cash):
            if not _CURRENCY.fullmatch(currency):
                raise ConfigError(f"{currency!r} is not a currency", hint="three capital letters, for example USD")
        for currency, amount in self.cash.items():
            if not isinstance(amount, Decimal) or not amount.is_finite():
                raise ConfigError(f"starting cash in {currency} is {amount!r}", hint="a finite Decimal amount")

    def _check_market(self) -> None:
        if self.speed != "max" and not (isinstance(self.speed, int | float) and 0 < self.speed < float("inf")):
            raise ConfigError(f"gateway speed is {self.speed!r}", hint="a number above 0, or max")
        if self.step != "day" and self.step not in STEP_SECONDS:
            raise ConfigError(f"gateway step is {self.step!r}", hint=f"one of day, {', '.join(STEP_SECONDS)}")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ConfigError(f"gateway end {self.end} is before its start {self.start}", hint="end on or after start")
        if self.data is not None and not self.data.is_dir():
            raise ConfigError(f"gateway data folder {self.data} does not exist", hint="a folder with SYMBOL.csv files")

    @property
    def step_s(self) -> int | None:
        """Length of a step in market seconds; None when it is a whole session."""
        return STEP_SECONDS.get(self.step)
