"""Daily bars that were recorded: the shipped ones, or a user's folder. Read with csv and gzip only.

A folder holds one `SYMBOL.csv` (or `SYMBOL.csv.gz`) per instrument with the columns date, open, high, low, close,
volume, and optionally `contracts.yaml` or `contracts.json`: a mapping from the file's stem to the fields of the
contract that differ from a US stock's. Prices are rounded to the contract's tick.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any

from runner.errors import ConfigError
from runner.gateway.contracts import CONTINUOUS_ORDER_TYPES, KNOWN_STOCKS, Listing, stock
from runner.gateway.model import Contract
from runner.gateway.synth import Ticks
from runner.model.sessions import CALENDAR_OF_EXCHANGE

SHIPPED = Path(__file__).parent / "data"
COLUMNS = ("date", "open", "high", "low", "close", "volume")
CONTRACT_FIELDS = frozenset({
    "symbol", "con_id", "sec_type", "currency", "exchange", "primary_exchange", "local_symbol", "trading_class",
    "multiplier", "expiry", "min_tick", "min_size", "size_increment", "long_name", "time_zone", "calendar",
})  # fmt: skip
"""What contracts.yaml may say about an instrument."""
_FIRST_OWN_ID = 800_000_000
_OWN_IDS = 99_000_000


@dataclass(frozen=True, slots=True)
class Recording:
    """One instrument and its daily bars, oldest first, prices in ticks."""

    listing: Listing
    bars: tuple[tuple[date, Ticks], ...]


def load(folder: Path | None = None) -> list[Recording]:
    """The bars of `folder`, or the shipped ones. ConfigError names file, line, value and what would do."""
    return list(_shipped()) if folder is None else _load(folder)


@lru_cache(maxsize=1)
def _shipped() -> tuple[Recording, ...]:
    return tuple(_load(SHIPPED))


def _load(root: Path) -> list[Recording]:
    files = sorted(path for path in root.iterdir() if path.name.endswith((".csv", ".csv.gz")))
    if not files:
        raise ConfigError(f"{root} holds no daily bars", hint="one SYMBOL.csv per instrument")
    described = _read_contracts(root)
    stems = {_stem(path) for path in files}
    for name in described:
        if name not in stems:
            raise ConfigError(f"{root}: contracts file describes {name!r}, but there is no {name}.csv")
    return [_recording(path, described.get(_stem(path), {})) for path in files]


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".csv")


def _recording(path: Path, described: Mapping[str, str]) -> Recording:
    contract = _contract(path, described)
    bars = tuple(_rows(path, float(contract.min_tick)))
    if not bars:
        raise ConfigError(f"{path}: no bars", hint="at least one row after the heading")
    last_day = date.fromisoformat(contract.expiry) if contract.expiry else None
    return Recording(Listing(contract=contract, tradable=contract.sec_type != "IND", last_day=last_day), bars)


def _rows(path: Path, tick: float) -> Iterator[tuple[date, Ticks]]:
    previous: date | None = None
    for number, row in _lines(path):
        day = _day(path, number, row[0])
        if previous is not None and day <= previous:
            raise ConfigError(f"{path}:{number}: date {day} does not come after {previous}", hint="oldest row first")
        previous = day
        prices = [_number(path, number, COLUMNS[i], row[i]) for i in range(1, 5)]
        volume = _number(path, number, "volume", row[5] or "0", zero=True)
        opened, high, low, close = prices
        if not low <= min(opened, close) <= max(opened, close) <= high:
            raise ConfigError(
                f"{path}:{number}: open {opened}, high {high}, low {low}, close {close} cannot be one bar",
                hint="low ≤ open, close ≤ high",
            )
        first, top, bottom, last = (max(1, round(price / tick)) for price in prices)
        yield day, Ticks(first, top, bottom, last, round(volume))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with their columns in the order of COLUMNS, and their line numbers."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = raw.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="a UTF-8 CSV file") from error
    reader = csv.reader(io.StringIO(text))
    heading = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in COLUMNS if name not in heading]
    if missing:
        raise ConfigError(f"{path}:1: no column {', '.join(missing)}", hint=f"the heading is {','.join(COLUMNS)}")
    order = [heading.index(name) for name in COLUMNS]
    for row in reader:
        if not row:
            continue
        if len(row) != len(heading):
            raise ConfigError(f"{path}:{reader.line_num}: {len(row)} fields under {len(heading)} columns")
        yield reader.line_num, [row[i].strip() for i in order]


def _day(path: Path, number: int, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{path}:{number}: {text!r} is not a date", hint="write 2013-03-01") from None


def _number(path: Path, number: int, column: str, text: str, *, zero: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        wanted = "a number, 0 or more" if zero else "a number above 0"
        raise ConfigError(f"{path}:{number}: {column} is {text!r}", hint=wanted)
    return value


def _read_contracts(root: Path) -> dict[str, dict[str, str]]:
    """contracts.yaml or .json, every value as the text that was written (so NO stays a symbol)."""
    for name in ("contracts.yaml", "contracts.yml", "contracts.json"):
        path = root / name
        if not path.is_file():
            continue
        import yaml

        try:
            document: Any = yaml.load(path.read_text("utf-8"), Loader=yaml.BaseLoader)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{path} cannot be read: {error}", hint="SYMBOL: {sec_type: STK, currency: USD}"
            ) from error
        if not isinstance(document, dict):
            raise ConfigError(f"{path}: not a mapping", hint="SYMBOL: {sec_type: STK, currency: USD}")
        for symbol, fields in document.items():
            if not isinstance(fields, dict) or not all(isinstance(v, str) for v in fields.values()):
                raise ConfigError(f"{path}: {symbol} is not a mapping of plain values")
            for key in fields:
                if key not in CONTRACT_FIELDS:
                    raise ConfigError(
                        f"{path}: {symbol}: unknown field {key!r}", hint=f"known: {', '.join(sorted(CONTRACT_FIELDS))}"
                    )
        return document
    return {}


def _contract(path: Path, described: Mapping[str, str]) -> Contract:
    stem = _stem(path)
    changes: dict[str, Any] = dict(described)
    symbol = changes.pop("symbol", stem)
    sec_type = changes.get("sec_type", "STK")
    if sec_type not in ("STK", "CASH", "FUT", "IND"):
        raise ConfigError(f"{path}: sec_type {sec_type!r} has no market here", hint="STK, CASH, FUT or IND")
    for name in ("multiplier", "min_tick", "min_size", "size_increment"):
        if name in changes:
            changes[name] = _positive(path, name, changes[name])
    if "con_id" in changes:
        if not changes["con_id"].isdigit() or not 0 < int(changes["con_id"]) < 2**31:
            raise ConfigError(f"{path}: con_id {changes['con_id']!r}", hint="a whole number above 0, below 2147483648")
        changes["con_id"] = int(changes["con_id"])
    elif symbol not in KNOWN_STOCKS or sec_type != "STK":
        changes["con_id"] = _FIRST_OWN_ID + zlib.crc32(stem.encode()) % _OWN_IDS
    if "expiry" in changes:
        _day(path, 0, changes["expiry"])
        changes["expiry"] = changes["expiry"].replace("-", "")
    return stock(symbol, **_with_defaults(changes, sec_type, symbol))


def _with_defaults(changes: dict[str, Any], sec_type: str, symbol: str) -> dict[str, Any]:
    """What follows from the security type and the exchange when the file does not say it."""
    home = changes.get("primary_exchange") or changes.get("exchange")
    if sec_type == "STK":
        if home and home != "SMART":
            changes.setdefault("primary_exchange", home)
            changes["exchange"] = "SMART"
            if home not in stock(symbol).valid_exchanges:
                changes["valid_exchanges"] = ("SMART", home)
    else:
        home = home or {"CASH": "IDEALPRO", "FUT": "CME", "IND": "CBOE"}[sec_type]
        local = f"{symbol}.{changes.get('currency', 'USD')}" if sec_type == "CASH" else symbol
        changes.update(exchange=home, valid_exchanges=(home,), order_types=CONTINUOUS_ORDER_TYPES, stock_type="")
        changes.setdefault("primary_exchange", "")
        changes.setdefault("local_symbol", local)
        changes.setdefault("trading_class", local)
        if sec_type == "CASH":
            changes.setdefault("min_tick", Decimal("0.00005"))
    changes.setdefault("calendar", CALENDAR_OF_EXCHANGE.get(home or "SMART", "XNYS"))
    return changes


def _positive(path: Path, name: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value <= 0:
        raise ConfigError(f"{path}: {name} is {text!r}", hint="a number above 0")
    return value
