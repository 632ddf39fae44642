"""What is traded: what a spec asks for, and what IB answered."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class SecType(StrEnum):
    """IB's security types that the runner trades or reads."""

    STOCK = "STK"
    FOREX = "CASH"
    FUTURE = "FUT"
    INDEX = "IND"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentQuery:
    """What a spec or a strategy asks for. Empty text means "not said"."""

    symbol: str
    sec_type: SecType = SecType.STOCK
    exchange: str = "SMART"
    currency: str = "USD"
    primary_exchange: str = ""
    expiry: str = ""
    """Futures: contract month `yyyymm` or last trade date `yyyymmdd`."""

    def __str__(self) -> str:
        return f"{self.symbol} {self.sec_type} {self.exchange} {self.currency}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A contract as IB qualified it. Equal and hashable by all fields; `con_id` identifies it."""

    con_id: int
    symbol: str
    sec_type: SecType
    exchange: str
    currency: str
    primary_exchange: str = ""
    local_symbol: str = ""
    expiry: str = ""
    multiplier: Decimal = Decimal(1)
    min_tick: Decimal = Decimal("0.01")
    """Smallest price step."""
    lot: Decimal = Decimal(1)
    """Smallest quantity step."""
    time_zone: str = "US/Eastern"
    long_name: str = ""

    def __str__(self) -> str:
        return self.local_symbol or self.symbol
