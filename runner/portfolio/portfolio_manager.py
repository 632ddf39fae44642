"""Owns the books: positions, cash and P&L per strategy, the account, the one FX cache, and all writing to ArcticDB.

    message_queue ─► process_events ─► journal (on disk) ─► books (in memory)
                                          └──────────────► Projector thread ─► ArcticDB, in batches

The books follow the journal, whoever appended to it, and are replayed from it at start. ArcticDB is written behind, off
every order's path; when it refuses, trading goes on and the tables are caught up later.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

from runner.errors import RunnerError
from runner.model.clock import Clock
from runner.model.events import CommissionCharged, Event, Filled, OrderPlaced, StatusChanged
from runner.model.money import ZERO
from runner.model.orders import OrderIntent, OrderState, Purpose
from runner.portfolio.account import AccountState, AccountValueRow, base_currency_of, read_account
from runner.portfolio.fx_cache import FXCache, RateSource
from runner.portfolio.positions import Books, Position
from runner.portfolio.projector import FLUSH_INTERVAL_S, EquitySample, Projector, Snapshot
from runner.portfolio.views import fill_row, order_row, position_rows, stored_position
from runner.store.arctic_manager import Store
from runner.store.journal import Journal
from runner.store.ledger import Ledger
from runner.store.recording import Recorded
from runner.store.tables import Row

EQUITY_SAMPLE_S = 60.0
"""Seconds of the market's clock between two automatic equity samples."""
UNASSIGNED_KEY = "unassigned"

_NEVER_TRADED = frozenset({OrderState.NOT_SENT, OrderState.REJECTED, OrderState.ABSENT})

SessionDay = Callable[[str, datetime], date]
"""(strategy, time) → the session date that the time belongs to in the strategy's calendar."""


class PortfolioHost(Protocol):
    """What the portfolio manager needs of the manager that owns it."""

    @property
    def store(self) -> Store: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def clock(self) -> Clock: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyPnl:
    """P&L since the strategy began, in base currency at today's rates. `realized` is before commissions."""

    realized: Decimal
    unrealized: Decimal
    commissions: Decimal
    net: Decimal
    """realized + unrealized − commissions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A contract of which IB holds another quantity than our books say. `ours` includes the unassigned book."""

    con_id: int
    ours: Decimal
    theirs: Decimal


@dataclass(slots=True)
class _Order:
    intent: OrderIntent
    state: OrderState
    seq: int


class PortfolioManager:
    """The single writer of the books. `start` replays the journal; every method is thread-safe."""

    def __init__(
        self,
        host: PortfolioHost,
        *,
        base_currency: str = "",
        session_day: SessionDay | None = None,
        rate_source: RateSource | None = None,
    ) -> None:
        """`base_currency` settles the question when the account's rows do not; `session_day` is UTC's date without
        one; `rate_source` is asked for rates that the account does not report."""
        self._host = host
        self._hint = base_currency
        self._session_day = session_day or (lambda _strategy, at: at.astimezone(UTC).date())
        self._rate_source = rate_source
        self._lock = threading.RLock()
        self._books = Books()
        self._orders: dict[str, _Order] = {}
        self._entries: dict[str, list[str]] = {}
        self._marks: dict[int, Decimal] = {}
        self._dirty: set[str] = set()
        self._seq = 0
        self._account: AccountState | None = None
        self._fx_cache: FXCache | None = None
        self._sampled_at: datetime | None = None
        self._projector: Projector | None = None
        self._unsubscribe: Callable[[], None] | None = None

    # -- life

    def start(self, flush_interval_s: float = FLUSH_INTERVAL_S) -> None:
        """Replay the journal, then follow it, and start writing to ArcticDB every `flush_interval_s` seconds."""
        if self._unsubscribe is not None:
            return
        journal = self._host.journal
        # Following begins before the replay: what arrives in between is folded twice, which changes nothing.
        self._unsubscribe = journal.subscribe(self._fold)
        with self._lock:
            self._replay(journal)
        ledger = Ledger(self._host.store, journal)
        self._projector = Projector(ledger, journal, self._host.clock, self._snapshot)
        self._projector.start(flush_interval_s)

    def flush(self) -> None:
        """Write to ArcticDB now all that the journal has. StoreError when the store refuses."""
        if self._projector is not None:
            self._projector.flush()

    def close(self) -> None:
        """Stop following, flush, and let go of the store. A store that refuses is reported, not raised."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._projector is not None:
            self._projector.close()
            self._projector = None

    @property
    def projection_seq(self) -> int:
        """Number of the last journal event that is in ArcticDB."""
        return 0 if self._projector is None else self._projector.seq

    def rebuild(self) -> int:
        """Write ArcticDB's event tables anew from the journal; how many events that was."""
        if self._projector is None:
            raise RunnerError("the portfolio manager has not been started")
        with self._lock:
            self._dirty.update(self._books.strategies())
        return self._projector.rebuild()

    # -- events in

    def process_events(self, events: Sequence[Event]) -> list[Recorded]:
        """Record events and fold the new ones; returns when they are on disk. StoreError when the journal refuses."""
        if not events:
            return []
        if self._unsubscribe is None:
            raise RunnerError("the portfolio manager has not been started")
        return self._host.journal.append(events).result()

    def process_fill(self, fill: Filled) -> Recorded:
        """Record one execution."""
        return self.process_events([fill])[0]

    async def handle_fill_event_async(self, fill: Filled) -> Recorded:
        """`process_fill` for a coroutine: waits for the disk without holding up its loop."""
        return await asyncio.to_thread(self.process_fill, fill)

    def record_status_change(self, change: StatusChanged) -> Recorded:
        """Record one change of an order's state."""
        return self.process_events([change])[0]

    # -- account and currencies

    def determine_base_currency(self, rows: Sequence[AccountValueRow]) -> str:
        """The account's base currency from its EquityWithLoanValue rows; makes the one `fx_cache`.

        RunnerError when the rows name none or several and no hint was given, or when it changes while running.
        """
        currency = base_currency_of(rows, self._hint)
        with self._lock:
            if self._fx_cache is None:
                self._fx_cache = FXCache(currency, self._host.clock, rate_source=self._rate_source)
            elif self._fx_cache.base_currency != currency:
                raise RunnerError(
                    f"the account's base currency was {self._fx_cache.base_currency} and is now {currency}",
                    hint="restart the runner",
                )
        return currency

    def update_account(self, rows: Sequence[AccountValueRow]) -> None:
        """Take in account values: equity, cash per currency, exchange rates (into `fx_cache`).

        Samples equity when the last sample is a minute old. Rows that hold no number are left out.
        """
        currency = self.base_currency if self._fx_cache is not None else self.determine_base_currency(rows)
        now = self._host.clock.now()
        with self._lock:
            self._account, rates = read_account(rows, currency, now, self._account)
        for rate_currency, rate in rates.items():
            if rate > 0:
                self.fx_cache.update(rate_currency, rate, now)
        if self._sampled_at is None or (now - self._sampled_at).total_seconds() >= EQUITY_SAMPLE_S:
            self.sample_equity()

    @property
    def account(self) -> AccountState:
        """The account as last reported; RunnerError before the first report."""
        if self._account is None:
            raise RunnerError("no account values have arrived yet", hint="wait for the session to be synchronised")
        return self._account

    @property
    def base_currency(self) -> str:
        """The account's base currency; RunnerError before it is known."""
        return self.fx_cache.base_currency

    @property
    def fx_cache(self) -> FXCache:
        """The one cache of exchange rates; RunnerError before the base currency is known."""
        if self._fx_cache is None:
            raise RunnerError("the account's base currency is not known yet")
        return self._fx_cache

    # -- positions

    def position(self, strategy: str, con_id: int) -> Position | None:
        """What a strategy has in a contract, also when flat by now; None when it never traded it."""
        with self._lock:
            return self._books.position(strategy, con_id)

    def positions(self, strategy: str) -> list[Position]:
        """Every contract that a strategy has traded, flat ones included."""
        with self._lock:
            return self._books.positions(strategy)

    def is_booked(self, fill: Filled) -> bool:
        """Whether the positions contain this execution already."""
        with self._lock:
            return self._books.knows(fill)

    def strategies(self) -> list[str]:
        """Strategies that have ever placed an order or had a fill."""
        with self._lock:
            return sorted({*self._books.strategies(), *self._entries} - {""})

    def held(self) -> dict[int, Decimal]:
        """con_id → sum over all strategies, without the unassigned book; zeros left out."""
        with self._lock:
            totals: dict[int, Decimal] = {}
            for position in self._books.positions():
                con_id = position.instrument.con_id
                totals[con_id] = totals.get(con_id, ZERO) + position.quantity
        return {con_id: quantity for con_id, quantity in totals.items() if quantity}

    def unassigned(self, ib_positions: Mapping[int, Decimal]) -> dict[int, Decimal]:
        """con_id → what IB holds beyond the strategies' positions; zeros left out. Strategies + this = IB, always."""
        ours = self.held()
        difference = {c: ib_positions.get(c, ZERO) - ours.get(c, ZERO) for c in sorted({*ib_positions, *ours})}
        return {con_id: quantity for con_id, quantity in difference.items() if quantity}

    @property
    def unassigned_book(self) -> dict[int, Decimal] | None:
        """What was adopted as unassigned, None when nothing was ever adopted. Survives restarts."""
        stored = self._host.journal.meta(UNASSIGNED_KEY)
        if stored is None:
            return None
        return {int(con_id): Decimal(quantity) for con_id, quantity in json.loads(stored).items()}

    def adopt_unassigned(self, ib_positions: Mapping[int, Decimal]) -> dict[int, Decimal]:
        """Accept what IB holds beyond the strategies' positions as nobody's, from now on; returns it."""
        book = self.unassigned(ib_positions)
        self._keep_unassigned(book)
        return book

    def _keep_unassigned(self, book: Mapping[int, Decimal]) -> None:
        kept = {str(con_id): format(quantity, "f") for con_id, quantity in book.items() if quantity}
        self._host.journal.set_meta(UNASSIGNED_KEY, json.dumps(kept, sort_keys=True))

    def assign_to_nobody(self, con_id: int, quantity: Decimal) -> None:
        """Add a signed quantity of one contract to what is nobody's."""
        book = self.unassigned_book or {}
        book[con_id] = book.get(con_id, ZERO) + quantity
        self._keep_unassigned(book)

    def reconcile(self, ib_positions: Mapping[int, Decimal]) -> list[Mismatch]:
        """Contracts of which IB holds another quantity than the strategies and the unassigned book together."""
        adopted = self.unassigned_book or {}
        ours = self.held()
        found = []
        for con_id in sorted({*ib_positions, *ours, *adopted}):
            expected = ours.get(con_id, ZERO) + adopted.get(con_id, ZERO)
            theirs = ib_positions.get(con_id, ZERO)
            if expected != theirs:
                found.append(Mismatch(con_id=con_id, ours=expected, theirs=theirs))
        return found

    # -- orders

    def trades_today(self, strategy: str, day: date) -> int:
        """Orders of a strategy that open or increase a position, committed in the session of `day`.

        Orders that certainly never reached the market (not sent, rejected, absent) and have no fill do not count.
        """
        with self._lock:
            count = 0
            for order_ref in reversed(self._entries.get(strategy, [])):
                order = self._orders[order_ref]
                placed_on = self._session_day(strategy, order.intent.created_at)
                if placed_on < day:
                    break
                if placed_on == day and (order.state not in _NEVER_TRADED or self._books.executed(order_ref)):
                    count += 1
            return count

    # -- profit and loss

    def mark(self, prices: Mapping[int, Decimal]) -> None:
        """Take in market prices by con_id, in each contract's currency per unit before the multiplier."""
        with self._lock:
            self._marks.update((con_id, price) for con_id, price in prices.items() if price.is_finite())

    def price_of(self, position: Position) -> Decimal:
        """The last mark of a position's contract, else the price of its last execution."""
        return self._marks.get(position.instrument.con_id, position.last_price)

    def realized(self, strategy: str) -> Decimal:
        """Realised P&L in base currency before commissions; CurrencyWithoutRate when a rate is missing."""
        return self._realized(self.positions(strategy))

    def unrealized(self, strategy: str) -> Decimal:
        """Unrealised P&L in base currency at the last marks."""
        return self._unrealized(self.positions(strategy))

    def commissions(self, strategy: str) -> Decimal:
        """Commissions so far in base currency, a positive number."""
        return self._commissions(self.positions(strategy))

    def exposure(self, strategy: str) -> Decimal:
        """Gross market value of a strategy's positions in base currency."""
        held = self.positions(strategy)
        return self._in_base((p.instrument.currency, abs(p.value(self.price_of(p)))) for p in held)

    def strategy_pnl(self, strategy: str) -> StrategyPnl:
        """All of a strategy's P&L in base currency; CurrencyWithoutRate when a rate is missing."""
        held = self.positions(strategy)
        realized, unrealized, commissions = self._realized(held), self._unrealized(held), self._commissions(held)
        net = realized + unrealized - commissions
        return StrategyPnl(realized=realized, unrealized=unrealized, commissions=commissions, net=net)

    def sample_equity(self) -> None:
        """Queue a sample of account and strategies for the library `equity`, stamped with the market's time.

        A strategy whose P&L needs a rate that is missing is left out of this sample.
        """
        if self._projector is None or self._fx_cache is None:
            return
        rows: dict[str, Row] = {}
        currency = self.base_currency
        if self._account is not None:
            rows["account"] = {
                "currency": currency,
                "equity_with_loan": self._account.equity_with_loan,
                "net_liquidation": self._account.net_liquidation,
            }
        for strategy in self.strategies():
            try:
                pnl, exposure = self.strategy_pnl(strategy), self.exposure(strategy)
            except LookupError:
                continue
            rows[strategy] = {
                "strategy": strategy,
                "currency": currency,
                "realized": pnl.realized,
                "unrealized": pnl.unrealized,
                "commissions": pnl.commissions,
                "net": pnl.net,
                "exposure": exposure,
            }
        self._sampled_at = self._host.clock.now()
        self._projector.sample(EquitySample(self._sampled_at, rows))

    # -- consolidated views

    def consolidated_positions(self) -> list[dict[str, Any]]:
        """One row per contract over all strategies: net quantity, price, and who has how much."""
        with self._lock:
            return position_rows(self._books.positions(), self.price_of)

    def consolidated_orders(self, strategy: str | None = None, *, open_only: bool = False) -> list[dict[str, Any]]:
        """One row per order of all strategies, oldest first, with its state and what was filled."""
        return [order_row(one) for one in self._host.journal.intents(open_only=open_only, strategy=strategy)]

    def consolidated_fills(self, strategy: str | None = None) -> list[dict[str, Any]]:
        """One row per execution of all strategies in the order they happened; `commission` None while not known."""
        with self._lock:
            fills = [fill for fill in self._books.fills() if strategy is None or fill.strategy == strategy]
            return [fill_row(fill, self._books.commission_of(fill)) for fill in fills]

    # -- inside

    def _realized(self, held: Sequence[Position]) -> Decimal:
        return self._in_base((p.instrument.currency, p.realized) for p in held)

    def _unrealized(self, held: Sequence[Position]) -> Decimal:
        return self._in_base((p.instrument.currency, p.unrealized(self.price_of(p))) for p in held)

    def _commissions(self, held: Sequence[Position]) -> Decimal:
        return self._in_base(charge for p in held for charge in p.commissions.items())

    def _in_base(self, amounts: Iterable[tuple[str, Decimal]]) -> Decimal:
        """Sum of (currency, amount) in base currency. An amount of 0 needs no rate.

        Never called with the lock held: asking for a rate may wait for IB, and the journal's thread needs the lock.
        """
        return sum((amount * self.fx_cache.rate(currency) for currency, amount in amounts if amount), ZERO)

    def _replay(self, journal: Journal) -> None:
        self._seq = journal.last_seq()
        for record in journal.intents():
            self._place(record.intent, record.state, self._seq)
        for fill in journal.executions():
            self._books.record(fill)
        for commission in journal.commissions().values():
            self._books.charge(commission)
        self._dirty.update(self._books.strategies())

    def _fold(self, recorded: list[tuple[int, Event]]) -> None:
        """Called by the journal with what it has just committed."""
        with self._lock:
            for seq, event in recorded:
                match event:
                    case OrderPlaced():
                        self._place(event.intent, OrderState.INTENT, seq)
                    case StatusChanged():
                        self._change_state(event.order_ref, event.state, seq)
                    case Filled():
                        self._books.record(event)
                        self._dirty.add(event.strategy)
                    case CommissionCharged():
                        self._books.charge(event)
                        self._dirty.add(event.strategy)
                    case _:
                        pass
                self._seq = max(self._seq, seq)

    def _place(self, intent: OrderIntent, state: OrderState, seq: int) -> None:
        if intent.order_ref in self._orders:
            return
        self._orders[intent.order_ref] = _Order(intent, state, seq)
        entries = self._entries.setdefault(intent.strategy, [])
        if intent.request.purpose is Purpose.ENTRY:
            entries.append(intent.order_ref)

    def _change_state(self, order_ref: str, state: OrderState, seq: int) -> None:
        order = self._orders.get(order_ref)
        if order is not None and seq > order.seq:
            order.state, order.seq = state, seq

    def _snapshot(self) -> Snapshot:
        """What changed in the positions since the last snapshot, for the projector."""
        with self._lock:
            changed, self._dirty = self._dirty, set()
            tables = {
                strategy: [stored_position(position) for position in self._books.positions(strategy)]
                for strategy in sorted(changed)
            }
            return Snapshot(self._seq, tables)
