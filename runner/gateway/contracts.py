"""The contracts of the paper gateway and how a client's description of one is matched, by a real gateway's rules.

Con ids of the shipped stocks, the FX pairs and the indices are IB's own. Everything that is simulated says so in
`long_name`; futures expiries and the second SAP listing have con ids from 900,000,000 up, which IB does not use.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from runner.gateway.model import Contract, ContractQuery, RequestRefused

SEC_TYPES = frozenset({
    "STK", "CASH", "FUT", "IND", "OPT", "FOP", "CFD", "BOND", "CMDTY", "FUND", "WAR", "BAG", "NEWS", "CONTFUT",
    "CRYPTO", "EC", "IOPT", "BILL", "FIXED", "SLB", "BSK", "ICU", "ICS", "PDC",
})  # fmt: skip
"""IB's security types; only the first four have contracts here."""

US_EXCHANGES = ("SMART", "AMEX", "NYSE", "NASDAQ", "ISLAND", "ARCA", "BATS", "IEX", "PEARL", "MEMX")
STOCK_ORDER_TYPES = (
    "ACTIVETIM", "GAT", "GTC", "GTD", "IOC", "FOK", "OPG", "LIT", "LMT", "LOC", "MIT", "MKT", "MOC", "MTL", "REL",
    "STP", "STPLMT", "TRAIL", "TRAILLMT", "WHATIF",
)  # fmt: skip
CONTINUOUS_ORDER_TYPES = tuple(t for t in STOCK_ORDER_TYPES if t not in ("OPG", "MOC", "LOC"))

FIRST_FUTURE_ID = 900_000_000
CHAIN_LENGTH = 5
"""Futures expiries that are listed at any time."""
EXPIRY_MONTHS = {3: "H", 6: "M", 9: "U", 12: "Z"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The seeded random walk of a contract without recorded bars, or after them. Rates are per year."""

    key: int
    """Walks with the same key are the same walk: all expiries of a future share one."""
    level: float
    """Price at the beginning, and what it is pulled back to."""
    volatility: float
    reversion: float
    """Fraction of the distance to `level` that is closed in a day."""
    volume: int
    """Typical volume of a session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A contract and how its market behaves here. `walk` None: continue from the recorded bars as they were."""

    contract: Contract
    walk: Walk | None = None
    tradable: bool = True
    first_day: date | None = None
    last_day: date | None = None
    """Of a contract that expires: the day of its last session."""


KNOWN_STOCKS = {
    "AAPL": (265598, "NASDAQ", "NMS", "Apple Inc.", "Technology", "Computers"),
    "MSFT": (272093, "NASDAQ", "NMS", "Microsoft Corp.", "Technology", "Software"),
    "IBM": (8314, "NYSE", "IBM", "International Business Machines Corp.", "Technology", "Computers"),
    "GOOG": (208813720, "NASDAQ", "NMS", "Google Inc.", "Communications", "Internet"),
    "FB": (107113386, "NASDAQ", "NMS", "Facebook Inc.", "Communications", "Internet"),
}
"""Symbol → IB's con id, primary exchange, trading class, name, industry and category."""

_PAIRS = (
    (12087792, "EUR", "USD", "0.00005", 1.30, 0.09),
    (12087797, "GBP", "USD", "0.00005", 1.58, 0.09),
    (15016059, "USD", "JPY", "0.005", 92.0, 0.10),
    (12087820, "USD", "CHF", "0.00005", 0.94, 0.10),
    (12087807, "EUR", "GBP", "0.00005", 0.85, 0.08),
    (14433401, "AUD", "USD", "0.00005", 1.02, 0.11),
)
"""Con id, the two currencies, tick, level and volatility."""


def stock(symbol: str, **changes: object) -> Contract:
    """A US stock with IB's usual fields; `changes` replace any of them."""
    con_id, primary, trading_class, name, industry, category = KNOWN_STOCKS.get(
        symbol, (0, "NASDAQ", "NMS", symbol, "", "")
    )
    contract = Contract(
        con_id=con_id,
        symbol=symbol,
        sec_type="STK",
        exchange="SMART",
        primary_exchange=primary,
        currency="USD",
        local_symbol=symbol,
        trading_class=trading_class,
        long_name=name,
        market_name=trading_class,
        industry=industry,
        category=category,
        subcategory=category,
        stock_type="COMMON",
        valid_exchanges=US_EXCHANGES,
        order_types=STOCK_ORDER_TYPES,
    )
    return replace(contract, **changes)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def simulated_listings() -> tuple[Listing, ...]:
    """FX pairs, two European stocks and a second listing, index futures and indices: all seeded random walks."""
    return (*_fx(), *_european_stocks(), *_futures(), *_indices())


def _fx() -> Iterable[Listing]:
    for con_id, base, quote, tick, level, volatility in _PAIRS:
        name = f"{base}.{quote}"
        yield Listing(
            contract=Contract(
                con_id=con_id,
                symbol=base,
                sec_type="CASH",
                exchange="IDEALPRO",
                primary_exchange="",
                currency=quote,
                local_symbol=name,
                trading_class=name,
                min_tick=Decimal(tick),
                long_name=f"{name} (simulated)",
                market_name=name,
                valid_exchanges=("IDEALPRO",),
                order_types=CONTINUOUS_ORDER_TYPES,
                calendar="24/5",
            ),
            walk=Walk(key=con_id, level=level, volatility=volatility, reversion=0.01, volume=20_000_000_000),
        )


def _european_stocks() -> Iterable[Listing]:
    for con_id, symbol, name, level in ((14204, "SAP", "SAP SE", 60.0), (14217, "SIE", "Siemens AG", 80.0)):
        yield Listing(
            contract=stock(
                symbol,
                con_id=con_id,
                currency="EUR",
                primary_exchange="IBIS",
                trading_class="XETRA",
                market_name="XETRA",
                long_name=f"{name} (simulated)",
                valid_exchanges=("SMART", "IBIS"),
                time_zone="MET",
                calendar="XETR",
            ),
            walk=Walk(key=con_id, level=level, volatility=0.25, reversion=0.002, volume=3_000_000),
        )
    yield Listing(
        contract=stock(
            "SAP", con_id=900000002, primary_exchange="NYSE", long_name="SAP SE ADR (simulated)", stock_type="ADR"
        ),
        walk=Walk(key=900000002, level=78.0, volatility=0.27, reversion=0.002, volume=1_500_000),
    )


def _futures() -> Iterable[Listing]:
    walk = Walk(key=11004968, level=1500.0, volatility=0.18, reversion=0.002, volume=1_500_000)
    for year in range(2000, 2036):
        for month, letter in EXPIRY_MONTHS.items():
            last = third_friday(year, month)
            yield Listing(
                contract=Contract(
                    con_id=FIRST_FUTURE_ID + year * 100 + month,
                    symbol="ES",
                    sec_type="FUT",
                    exchange="CME",
                    primary_exchange="",
                    currency="USD",
                    local_symbol=f"ES{letter}{year % 10}",
                    trading_class="ES",
                    multiplier=Decimal(50),
                    expiry=f"{last:%Y%m%d}",
                    min_tick=Decimal("0.25"),
                    long_name="E-mini S&P 500 (simulated)",
                    market_name="ES",
                    under_con_id=walk.key,
                    valid_exchanges=("CME", "QBALGO"),
                    order_types=CONTINUOUS_ORDER_TYPES,
                    time_zone="US/Central",
                    calendar="CMES",
                ),
                walk=walk,
                first_day=last - timedelta(days=31 * 15),
                last_day=last,
            )


def _indices() -> Iterable[Listing]:
    for con_id, symbol, name, level, volatility, reversion in (
        (416904, "SPX", "S&P 500 Stock Index", 1500.0, 0.18, 0.002),
        (13455763, "VIX", "CBOE Volatility Index", 16.0, 0.80, 0.05),
    ):
        yield Listing(
            contract=Contract(
                con_id=con_id,
                symbol=symbol,
                sec_type="IND",
                exchange="CBOE",
                primary_exchange="",
                currency="USD",
                local_symbol=symbol,
                trading_class=symbol,
                long_name=f"{name} (simulated)",
                market_name=symbol,
                valid_exchanges=("CBOE",),
                time_zone="US/Central",
            ),
            walk=Walk(key=con_id, level=level, volatility=volatility, reversion=reversion, volume=0),
            tradable=False,
        )


def third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


class Listings:
    """Every contract of one gateway, by con id and by description.

    `add` replaces a contract with the same con id, or of the same symbol, type, currency and primary exchange.
    """

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._by_id: dict[int, Listing] = {}
        self._by_symbol: dict[str, list[Listing]] = {}
        self._routed: dict[tuple[int, str], Contract] = {}
        for listing in listings:
            self.add(listing)

    def add(self, listing: Listing) -> None:
        new = listing.contract
        same = [
            old
            for old in self._by_symbol.get(new.symbol, [])
            if old.contract.con_id == new.con_id
            or (
                not new.expiry
                and (old.contract.sec_type, old.contract.currency, old.contract.primary_exchange)
                == (new.sec_type, new.currency, new.primary_exchange)
            )
        ]
        if not same and new.con_id in self._by_id:
            taken = self._by_id[new.con_id].contract.symbol
            raise ValueError(f"con id {new.con_id} of {new.symbol} already belongs to {taken}")
        for old in same:
            self._by_symbol[new.symbol].remove(old)
            del self._by_id[old.contract.con_id]
        self._by_id[new.con_id] = listing
        self._by_symbol.setdefault(new.symbol, []).append(listing)

    def __iter__(self) -> Iterator[Listing]:
        return iter(self._by_id.values())

    def get(self, con_id: int) -> Listing | None:
        return self._by_id.get(con_id)

    def find(self, query: ContractQuery, today: date) -> list[Contract]:
        """Contracts that fit, with the exchange that was asked for. RequestRefused 321 for a bad security type."""
        if query.con_id:
            listing = self._by_id.get(query.con_id)
            fits = listing is not None and (not query.exchange or _routes(listing.contract, query.exchange))
            return [self._route(listing.contract, query.exchange)] if listing is not None and fits else []
        if query.sec_type not in SEC_TYPES:
            raise RequestRefused(321, "Error validating request.-'bF' : cause - Please enter a valid security type")
        if not query.symbol and not query.local_symbol:
            raise RequestRefused(
                321, "Error validating request.-'bF' : cause - Please enter a symbol or a local symbol or an ISIN"
            )
        candidates: Iterable[Listing] = self._by_symbol.get(query.symbol, []) if query.symbol else self._by_id.values()
        found = [listing for listing in candidates if _fits(listing.contract, query)]
        found = _listed(found, today)
        return [self._route(listing.contract, query.exchange) for listing in found]

    def search(self, pattern: str, today: date) -> list[Contract]:
        """By the beginning of the symbol or of a word of the name; futures once, exact symbols first."""
        wanted = pattern.strip().upper()
        if not wanted:
            return []
        seen: dict[tuple[str, str, str, str], Contract] = {}
        for listing in _listed(list(self._by_id.values()), today):
            c = listing.contract
            if c.symbol.upper().startswith(wanted) or f" {wanted}" in f" {c.long_name.upper()}":
                seen.setdefault((c.symbol, c.sec_type, c.currency, c.primary_exchange), c)
        return sorted(seen.values(), key=lambda c: (c.symbol.upper() != wanted, c.symbol, c.con_id))

    def _route(self, contract: Contract, exchange: str) -> Contract:
        if not exchange or exchange == contract.exchange:
            return contract
        routed = self._routed.get((contract.con_id, exchange))
        if routed is None:
            routed = self._routed[contract.con_id, exchange] = replace(contract, exchange=exchange)
        return routed


def _routes(contract: Contract, exchange: str) -> bool:
    return exchange in contract.valid_exchanges or exchange == contract.exchange


def _listed(found: list[Listing], today: date) -> list[Listing]:
    """Without expired contracts, and of each future the next expiries only."""
    kept: list[Listing] = []
    chains: dict[tuple[str, str], int] = {}
    for listing in sorted(found, key=lambda x: x.contract.expiry):
        if listing.last_day is not None:
            if listing.last_day < today or (listing.first_day is not None and listing.first_day > today):
                continue
            chain = (listing.contract.symbol, listing.contract.exchange)
            chains[chain] = chains.get(chain, 0) + 1
            if chains[chain] > CHAIN_LENGTH:
                continue
        kept.append(listing)
    return kept


def _fits(contract: Contract, query: ContractQuery) -> bool:
    said = (
        (query.symbol, contract.symbol),
        (query.sec_type, contract.sec_type),
        (query.currency, contract.currency),
        (query.local_symbol, contract.local_symbol),
        (query.trading_class, contract.trading_class),
    )
    if any(wanted and wanted != has for wanted, has in said):
        return False
    if query.exchange and not _routes(contract, query.exchange):
        return False
    if query.primary_exchange and query.primary_exchange not in (contract.primary_exchange, contract.exchange):
        return False
    if query.expiry and not contract.expiry.startswith(query.expiry):
        return False
    if query.strike and Decimal(str(query.strike)) != contract.strike:
        return False
    if query.right and query.right not in ("?", "0", contract.right):
        return False
    return not query.multiplier or _same_number(query.multiplier, contract.multiplier)


def _same_number(text: str, value: Decimal) -> bool:
    try:
        return Decimal(text) == value
    except InvalidOperation:
        return False
