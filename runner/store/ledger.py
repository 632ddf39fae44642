"""Keeps the tables in ArcticDB in step with the journal, in batches, off every order's path.

    fills   / <STRATEGY>               one row per execution and revision
    fills   / <STRATEGY>.commissions   one row per commission
    orders  / <STRATEGY>               one row per intent, refusal and change of state
    positions / <STRATEGY>             the positions now, rewritten when they change
    equity  / <STRATEGY>, account      samples of P&L and equity

The ledger follows the journal by number. Each symbol's metadata holds the number of its last event, written in the same
step as the rows, so an event is neither lost nor stored twice, however the process ends. Start, normal running and
catching up after a failure are the same loop.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from runner.errors import StoreError
from runner.model.events import Event, Filled, OrderPlaced, StatusChanged
from runner.model.orders import OrderIntent
from runner.store.arctic_manager import Store
from runner.store.journal import Journal
from runner.store.tables import (
    EQUITY,
    KINDS,
    POSITIONS,
    UNASSIGNED,
    Row,
    Target,
    frame_of,
    nanoseconds,
    row_of,
    target_of,
)

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

CHUNK = 5_000
"""Events read from the journal at a time."""
MARK_EVERY = 2_000
"""Events after which the place in the journal is noted in the store. Only saves reading at the next start."""
REMEMBERED_ORDERS = 10_000

MARK_LIBRARY, MARK_SYMBOL = "projection", "journal"


@dataclass(slots=True)
class _Mark:
    """How far one symbol is: last event's number and last index stamp."""

    seq: int
    stamp_ns: int


class Ledger:
    """The writer of the event tables. Use it from one thread at a time."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._journal_id = journal.meta("journal_id") or ""
        self._marks: dict[tuple[str, str], _Mark] = {}
        self._orders: OrderedDict[str, OrderIntent | None] = OrderedDict()
        self.blocked: dict[tuple[str, str], StoreError] = {}
        """Symbols that refuse their rows (somebody changed a column's type); left alone until the next start."""
        self._first_blocked: int | None = None
        self._seq = self._noted = self._stored_mark()

    @property
    def seq(self) -> int:
        """Number of the last journal event that was dealt with."""
        return self._seq

    def catch_up(self) -> int:
        """Append everything the journal has beyond `seq`; how many events that was.

        Raises StoreError when the store as a whole refuses (disk nearly full, storage away, poisoned); calling again
        later continues where it stopped. A single symbol that refuses is put into `blocked` and the others go on.
        """
        done = 0
        until = self._journal.last_seq()
        while self._seq < until:
            events = self._journal.events(self._seq, CHUNK, KINDS)
            if not events:
                self._seq = until
                break
            self._append(events)
            self._seq = events[-1][0]
            done += len(events)
            if self._seq - self._noted >= MARK_EVERY:
                self.note_mark()
        return done

    def note_mark(self) -> None:
        """Note the place in the journal in the store."""
        seq = self._seq if self._first_blocked is None else min(self._seq, self._first_blocked - 1)
        if seq > self._noted:
            frame = frame_of([{"seq": seq}], {"seq": "int64"})
            self._store.write(MARK_LIBRARY, MARK_SYMBOL, frame, {"seq": seq, "journal": self._journal_id})
            self._noted = seq

    def write_positions(self, strategy: str, rows: Sequence[Row], seq: int) -> None:
        """Replace `positions`/`strategy` with the positions as of journal event `seq`."""
        metadata = {"seq": seq, "journal": self._journal_id}
        self._store.write("positions", strategy or UNASSIGNED, frame_of(rows, POSITIONS), metadata)

    def append_equity(self, samples: Sequence[tuple[datetime, Mapping[str, Row]]]) -> None:
        """Append samples of the symbols `account` and strategies. One not later than the last stored is left out."""
        rows: dict[str, list[Row]] = {}
        stamps: dict[str, list[int]] = {}
        for at, by_symbol in samples:
            stamp = nanoseconds(at)
            for symbol, row in by_symbol.items():
                taken = stamps.setdefault(symbol, [])
                if ("equity", symbol) not in self.blocked and stamp > (
                    taken[-1] if taken else self._mark("equity", symbol).stamp_ns
                ):
                    taken.append(stamp)
                    rows.setdefault(symbol, []).append(row)
        batch: dict[str, tuple[pd.DataFrame, Mapping[str, Any]]] = {
            symbol: (frame_of(rows[symbol], EQUITY, stamps[symbol]), {"ts": stamps[symbol][-1]}) for symbol in rows
        }
        failed = self._store.append("equity", batch) if batch else {}
        for symbol in batch:
            if symbol in failed:
                self._block("equity", symbol, failed[symbol], None)
            else:
                self._marks["equity", symbol].stamp_ns = stamps[symbol][-1]

    def rebuild(self) -> int:
        """Write all event tables anew from the journal; how many events that was.

        Symbols of strategies that this journal does not know are left alone.
        """
        for library, symbol in sorted(self._all_targets()):
            self._store.delete(library, symbol)
        self._store.delete(MARK_LIBRARY, MARK_SYMBOL)
        self._marks = {key: mark for key, mark in self._marks.items() if key[0] == "equity"}
        self.blocked.clear()
        self._first_blocked = None
        self._seq = self._noted = 0
        done = self.catch_up()
        self.note_mark()
        return done

    # -- inside

    def _append(self, events: Sequence[tuple[int, Event]]) -> None:
        grouped: dict[str, dict[str, tuple[Target, list[Row], list[int]]]] = {}
        for seq, event in events:
            order = self._order_of(event)
            target = target_of(event.type, event.strategy)
            if (target.library, target.symbol) in self.blocked:
                continue
            mark = self._mark(target.library, target.symbol)
            if seq <= mark.seq:
                continue
            symbols = grouped.setdefault(target.library, {})
            _, rows, stamps = symbols.setdefault(target.symbol, (target, [], []))
            last = stamps[-1] if stamps else mark.stamp_ns
            # The index must grow: an event that happened before the last one stored (a fill learnt of after a
            # reconnect) is put right after it; its own time is in the column `at`.
            stamps.append(max(nanoseconds(event.at), last + 1))
            rows.append(row_of(seq, event, order))
        for library, symbols in grouped.items():
            self._append_library(library, symbols)

    def _append_library(self, library: str, symbols: Mapping[str, tuple[Target, list[Row], list[int]]]) -> None:
        batch: dict[str, tuple[pd.DataFrame, Mapping[str, Any]]] = {}
        for symbol, (target, rows, stamps) in symbols.items():
            metadata = {"seq": rows[-1]["seq"], "ts": stamps[-1], "journal": self._journal_id}
            batch[symbol] = (frame_of(rows, target.columns, stamps), metadata)
        try:
            failed = self._store.append(library, batch)
            if failed and self._store.poisoned:
                raise next(iter(failed.values()))
        except StoreError:
            # Some of it may have been stored without an answer: ask the symbols themselves before trying again.
            for symbol in batch:
                self._marks.pop((library, symbol), None)
            raise
        for symbol, (_, rows, stamps) in symbols.items():
            if symbol in failed:
                self._block(library, symbol, failed[symbol], rows[0]["seq"])
            else:
                self._marks[library, symbol] = _Mark(rows[-1]["seq"], stamps[-1])

    def _block(self, library: str, symbol: str, error: StoreError, seq: int | None) -> None:
        self.blocked[library, symbol] = error
        self._marks.pop((library, symbol), None)
        if seq is not None:
            self._first_blocked = seq if self._first_blocked is None else min(self._first_blocked, seq)
        log.error("%s", error.message)

    def _mark(self, library: str, symbol: str) -> _Mark:
        mark = self._marks.get((library, symbol))
        if mark is None:
            metadata = self._store.metadata(library, symbol)
            ours = metadata.get("journal") == self._journal_id
            mark = _Mark(int(metadata.get("seq", 0)) if ours else 0, int(metadata.get("ts", 0)))
            self._marks[library, symbol] = mark
        return mark

    def _order_of(self, event: Event) -> OrderIntent | None:
        """The order that a status or an execution is about, from memory or from the journal."""
        if isinstance(event, OrderPlaced):
            self._remember(event.intent.order_ref, event.intent)
            return None
        if not isinstance(event, StatusChanged | Filled) or not event.order_ref:
            return None
        if event.order_ref not in self._orders:
            record = self._journal.order(event.order_ref)
            self._remember(event.order_ref, None if record is None else record.intent)
        return self._orders[event.order_ref]

    def _remember(self, order_ref: str, order: OrderIntent | None) -> None:
        self._orders[order_ref] = order
        if len(self._orders) > REMEMBERED_ORDERS:
            self._orders.popitem(last=False)

    def _stored_mark(self) -> int:
        """Where to begin: the noted place, or the start when another journal noted it or a table is missing."""
        metadata = self._store.metadata(MARK_LIBRARY, MARK_SYMBOL)
        if metadata.get("journal") != self._journal_id:
            return 0
        there = {
            (library, symbol) for library in ("fills", "orders", "audit") for symbol in self._store.symbols(library)
        }
        if not self._all_targets() <= there:
            return 0
        return min(int(metadata.get("seq", 0)), self._journal.last_seq())

    def _all_targets(self) -> set[tuple[str, str]]:
        """The symbols that the journal's events belong to."""
        targets = (target_of(kind, strategy) for kind, strategy in self._journal.written_by() if kind in KINDS)
        return {(target.library, target.symbol) for target in targets}


def read_fills(store: Store, strategy: str) -> pd.DataFrame | None:
    """The fills of a strategy as a trader wants them: the last revision of each execution, with its commission.

    Columns `commission` (in `commission_currency`) are NaN and empty while the commission is not known. None when the
    strategy never had a fill.
    """
    fills = store.read("fills", strategy or UNASSIGNED)
    if fills is None:
        return None
    fills = fills.sort_values("revision", kind="stable").drop_duplicates(["account", "exec_base"], keep="last")
    fills = fills.sort_index(kind="stable")
    charged = store.read("fills", f"{strategy or UNASSIGNED}.commissions")
    if charged is None:
        return fills.assign(commission=float("nan"), commission_currency="")
    charged = charged.drop_duplicates("exec_id").set_index("exec_id")
    amounts, currencies = charged["amount"].to_dict(), charged["currency"].to_dict()
    return fills.assign(
        commission=[amounts.get(exec_id, float("nan")) for exec_id in fills["exec_id"]],
        commission_currency=[currencies.get(exec_id, "") for exec_id in fills["exec_id"]],
    )
