"""The journal: the write-ahead truth about orders, executions and latches. SQLite, WAL, synced at every commit.

An event is safe when the future that `append` returned is done. Everything in ArcticDB about orders and fills can be
rebuilt from here. This module imports neither pandas nor arcticdb.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from runner.errors import StoreError
from runner.model.clock import Clock, SystemClock
from runner.model.events import CommissionCharged, Event, Filled, OrderPlaced, identity_of
from runner.model.orders import OrderIntent, OrderState
from runner.store import journal_schema
from runner.store.client_ids import ClientIds
from runner.store.codec import decimal_text, event_from_json, time_from_text, time_text
from runner.store.generations import Generations
from runner.store.journal_writer import JournalWriter
from runner.store.recording import Recorded, prepare, record

log = logging.getLogger(__name__)

T = TypeVar("T")

REF_BLOCK = 1_024
"""Reference numbers reserved on disk at a time; a restart skips what is left of a block."""
FOLLOW_POLL_S = 0.05
"""How often a reader in another process looks for new events."""

Listener = Callable[[list[tuple[int, Event]]], None]

_STATE_COLUMNS = "s.state, s.remaining, s.perm_id, s.order_id, s.client_id, s.code, s.text, s.updated_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order as the journal knows it now. `filled` is the sum of its executions, not what a status claimed."""

    intent: OrderIntent
    state: OrderState
    filled: Decimal
    remaining: Decimal | None
    perm_id: int
    order_id: int
    client_id: int
    code: int
    text: str
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """A brake that stays on until its session is over or an operator takes it off."""

    strategy: str
    day: date
    kind: str
    reason: str
    actor: str
    set_at: datetime


class Journal:
    """One journal file. All methods may be called from any thread.

    Reading methods block for a query; `append` does not wait for the disk, all other writing methods do.
    """

    def __init__(self, path: Path, reader: sqlite3.Connection, writer: JournalWriter | None, clock: Clock) -> None:
        self.path = path
        self._reader = reader
        self._reader_lock = threading.Lock()
        self._writer = writer
        self._clock = clock
        self._listeners: tuple[Listener, ...] = ()
        self._committed = threading.Condition()
        self._last_seq = self._read_last_seq()
        self._ref_lock = threading.Lock()
        self._next_ref = self._ref_limit = 0
        self._next_block: Future[int] | None = None
        self._closed = False
        self.generations = Generations(self._write, self._query, clock)
        """The versions of the strategies' files."""
        self.client_ids = ClientIds(self._write, self._query)
        """What each strategy was given."""
        self.epoch = int(self.meta("epoch") or 0)
        """Grows by one each time the journal is opened for writing."""

    @classmethod
    def open(cls, path: Path | str, *, clock: Clock | None = None) -> Journal:
        """Open for writing, making the file when there is none. Checks the whole file first.

        Raises StoreCorrupt when it is damaged, foreign or of a newer format, StoreError when it cannot be opened.
        """
        path = Path(path)
        connection, epoch = journal_schema.open_for_writing(path)
        writer = JournalWriter(connection, str(path), epoch)
        try:
            return cls(path, journal_schema.open_for_reading(path), writer, clock or SystemClock())
        except BaseException:
            writer.close()
            raise

    @classmethod
    def read_only(cls, path: Path | str) -> Journal:
        """Open for reading, beside a running process or without one. Writing methods raise StoreError."""
        path = Path(path)
        return cls(path, journal_schema.open_for_reading(path), None, SystemClock())

    def close(self) -> None:
        """Write what waits and close. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._writer is not None:
                self._writer.finish()
        finally:
            with self._reader_lock:
                self._reader.close()
            with self._committed:
                self._committed.notify_all()
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- events

    def append(self, events: Sequence[Event]) -> Future[list[Recorded]]:
        """Hand events to the writer; the future is done when they are on disk, all of them or none.

        Its result has one `Recorded` per event, in order. It holds ValueError for an event that cannot be written
        (naive time, NaN) and StoreError when the disk refuses or a used `order_ref` comes with another order. Safe
        with `asyncio.wrap_future`: cancelling the wrapper does not unwrite the events.
        """
        try:
            prepared = [prepare(event) for event in events]
        except ValueError as error:
            failed: Future[list[Recorded]] = Future()
            failed.set_exception(error)
            return failed
        writer = self._writer_or_refuse()
        return writer.submit(lambda connection: [record(connection, one) for one in prepared], self._publish)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every committed group of new (seq, event), in order, before their futures are done.

        It runs on the writer's thread: it must be quick and must not wait for the journal. Returns a function that
        ends the subscription.
        """
        self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

        return unsubscribe

    def events(
        self, since: int = 0, limit: int | None = None, kinds: Iterable[str] | None = None
    ) -> list[tuple[int, Event]]:
        """Recorded events with a number above `since`, oldest first; `kinds` are event types (`fill`)."""
        sql, arguments = "SELECT seq, body, crc FROM event WHERE seq > ?", [since]
        if kinds is not None:
            wanted = list(kinds)
            sql += f" AND type IN ({', '.join('?' * len(wanted))})"
            arguments += wanted  # type: ignore[arg-type]
        rows = self._query(f"{sql} ORDER BY seq LIMIT ?", (*arguments, -1 if limit is None else limit))
        return [(seq, self._decode(seq, body, crc)) for seq, body, crc in rows]

    def written_by(self) -> set[tuple[str, str]]:
        """Every (event type, strategy) that has an event."""
        return {(row[0], row[1]) for row in self._query("SELECT DISTINCT type, strategy FROM event", ())}

    def last_seq(self) -> int:
        """Number of the newest event on disk; 0 when there is none."""
        if self._writer is None:
            self._last_seq = self._read_last_seq()
        return self._last_seq

    def wait_for(self, seq: int, timeout_s: float) -> bool:
        """Block until the event numbered `seq` is on disk; False when that took longer than `timeout_s`."""
        with self._committed:
            if self._writer is not None:
                self._committed.wait_for(lambda: self._last_seq >= seq or self._closed, timeout_s)
                return self._last_seq >= seq
            for _ in range(max(1, round(timeout_s / FOLLOW_POLL_S))):
                if self.last_seq() >= seq:
                    return True
                self._committed.wait(FOLLOW_POLL_S)
            return self.last_seq() >= seq

    # -- orders, executions, commissions

    def intents(self, open_only: bool = False, strategy: str | None = None) -> list[OrderRecord]:
        """Orders in the order they were committed; `open_only` leaves out those in a terminal state."""
        sql = f"SELECT i.order_ref, i.seq, e.body, e.crc, {_STATE_COLUMNS} FROM intent i JOIN event e ON e.seq = i.seq"
        sql += " JOIN order_state s ON s.order_key = i.order_ref WHERE 1"
        arguments: list[str] = []
        if open_only:
            sql += " AND s.terminal = 0"
        if strategy is not None:
            sql += " AND i.strategy = ?"
            arguments.append(strategy)
        rows = self._query(f"{sql} ORDER BY i.seq", arguments)
        filled = self._filled_by_order([row[0] for row in rows] if open_only else None)
        return [self._order_record(row, filled) for row in rows]

    def order(self, order_ref: str) -> OrderRecord | None:
        """The order with this reference, None when the journal has never seen it."""
        rows = self._query(
            f"SELECT i.order_ref, i.seq, e.body, e.crc, {_STATE_COLUMNS} FROM intent i JOIN event e ON e.seq = i.seq"
            " JOIN order_state s ON s.order_key = i.order_ref WHERE i.order_ref = ?",
            (order_ref,),
        )
        return self._order_record(rows[0], self._filled_by_order([order_ref])) if rows else None

    def executions(self, strategy: str | None = None) -> list[Filled]:
        """The latest revision of every execution, in the order they were recorded."""
        sql = (
            "SELECT x.seq, e.body, e.crc FROM execution x JOIN event e ON e.seq = x.seq WHERE x.revision ="
            " (SELECT max(revision) FROM execution y WHERE y.account = x.account AND y.exec_base = x.exec_base)"
        )
        arguments: tuple[str, ...] = ()
        if strategy is not None:
            sql, arguments = f"{sql} AND x.strategy = ?", (strategy,)
        events = (self._decode(*row) for row in self._query(f"{sql} ORDER BY x.seq", arguments))
        return [event for event in events if isinstance(event, Filled)]

    def executions_of(self, order_ref: str) -> list[Filled]:
        """The latest revision of every execution of one order."""
        rows = self._query(
            "SELECT x.seq, e.body, e.crc FROM execution x JOIN event e ON e.seq = x.seq WHERE x.order_ref = ?"
            " ORDER BY x.revision, x.seq",
            (order_ref,),
        )
        events = (self._decode(*row) for row in rows)
        return list({event.exec_base: event for event in events if isinstance(event, Filled)}.values())

    def order_of(self, exec_id: str) -> str | None:
        """The order ref of an execution, in just this revision; None when it was never recorded."""
        base, revision = identity_of(exec_id)
        sql, arguments = "SELECT order_ref FROM execution WHERE exec_base = ? AND revision = ?", [base, revision]
        account = self.meta("account")
        if account is not None:
            sql += " AND account = ?"  # the first column of the key: without it every row would be looked at
            arguments.append(account)
        rows = self._query(sql, arguments)
        return str(rows[0][0]) if rows else None

    def is_charged(self, exec_id: str) -> bool:
        """Whether the commission of an execution is recorded."""
        return bool(self._query("SELECT 1 FROM commission WHERE exec_id = ?", (exec_id,)))

    def commissions(self) -> dict[str, CommissionCharged]:
        """The commission of every execution that has one, by `exec_id`."""
        rows = self._query(
            "SELECT c.seq, e.body, e.crc FROM commission c JOIN event e ON e.seq = c.seq ORDER BY c.seq", ()
        )
        events = (self._decode(*row) for row in rows)
        return {event.exec_id: event for event in events if isinstance(event, CommissionCharged)}

    def next_ref_number(self) -> int:
        """A number for an order reference that was never given out before and never will be again.

        Numbers are reserved on disk a block ahead, so that an order never waits for it; only the very first call does.
        """
        with self._ref_lock:
            if self._next_ref >= self._ref_limit:
                reserved = self._next_block or self._writer_or_refuse().submit(_reserve_refs)
                self._next_ref = reserved.result()
                self._ref_limit = self._next_ref + REF_BLOCK
                self._next_block = None
            if self._next_block is None and self._ref_limit - self._next_ref <= REF_BLOCK // 2:
                self._next_block = self._writer_or_refuse().submit(_reserve_refs)
            self._next_ref += 1
            return self._next_ref - 1

    # -- risk and operator state

    def session_equity(self, strategy: str, day: date, equity: Decimal) -> Decimal:
        """The equity at the start of a session: the first call stores it, every later one returns what was stored."""
        row = (strategy, day.isoformat(), decimal_text(equity), time_text(self._clock.now()))

        def run(connection: sqlite3.Connection) -> str:
            connection.execute("INSERT OR IGNORE INTO session_equity VALUES (?, ?, ?, ?)", row)
            stored = connection.execute(
                "SELECT equity FROM session_equity WHERE strategy = ? AND day = ?", row[:2]
            ).fetchone()
            return str(stored[0])

        stored = self._query("SELECT equity FROM session_equity WHERE strategy = ? AND day = ?", row[:2])
        return Decimal(stored[0][0] if stored else self._write(run))

    def put_session_equity(self, strategy: str, day: date, equity: Decimal) -> Future[None]:
        """The first `session_equity` of a session that is known to have none, without waiting for the disk."""
        row = (strategy, day.isoformat(), decimal_text(equity), time_text(self._clock.now()))

        def run(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR IGNORE INTO session_equity VALUES (?, ?, ?, ?)", row)

        return self._writer_or_refuse().submit(run)

    def set_latch(self, strategy: str, day: date, kind: str, reason: str, actor: str) -> bool:
        """Put a brake on; False when it is on already (the first reason stays)."""
        row = (strategy, day.isoformat(), kind, reason, actor, time_text(self._clock.now()))

        def run(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO latch (strategy, day, kind, reason, actor, set_at) VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            return cursor.rowcount > 0

        return self._write(run)

    def clear_latch(self, strategy: str, day: date, kind: str, reason: str, actor: str) -> bool:
        """Take a brake off; who and why are kept. False when it was not on."""
        row = (time_text(self._clock.now()), actor, reason, strategy, day.isoformat(), kind)

        def run(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "UPDATE latch SET cleared_at = ?, cleared_by = ?, cleared_reason = ?"
                " WHERE strategy = ? AND day = ? AND kind = ? AND cleared_at IS NULL",
                row,
            )
            return cursor.rowcount > 0

        return self._write(run)

    def latches(self, strategy: str | None = None, day: date | None = None) -> list[Latch]:
        """The brakes that are on."""
        sql, arguments = "SELECT strategy, day, kind, reason, actor, set_at FROM latch WHERE cleared_at IS NULL", []
        if strategy is not None:
            sql += " AND strategy = ?"
            arguments.append(strategy)
        if day is not None:
            sql += " AND day = ?"
            arguments.append(day.isoformat())
        return [
            Latch(
                strategy=row[0],
                day=date.fromisoformat(row[1]),
                kind=row[2],
                reason=row[3],
                actor=row[4],
                set_at=time_from_text(row[5]),
            )
            for row in self._query(f"{sql} ORDER BY id", arguments)
        ]

    def operator_state(self, strategy: str) -> str | None:
        """What an operator ordered for this strategy (`paused`, `stopped`), None when nothing."""
        rows = self._query("SELECT state FROM operator_state WHERE strategy = ?", (strategy,))
        return rows[0][0] or None if rows else None

    def set_operator_state(self, strategy: str, state: str | None, reason: str = "") -> None:
        """Keep an operator's order over restarts; None takes it back. ValueError for an unknown state."""
        if state not in (None, "paused", "stopped"):
            raise ValueError(f"operator state {state!r} is not paused, stopped or None")
        row = (strategy, state or "", reason, time_text(self._clock.now()))
        self._write(lambda connection: _replace(connection, "operator_state", row))

    def meta(self, key: str) -> str | None:
        """A small setting of the journal itself, such as the account it is bound to."""
        rows = self._query("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else None

    def set_meta(self, key: str, value: str) -> None:
        self.put_meta(key, value).result()

    def put_meta(self, key: str, value: str) -> Future[None]:
        """`set_meta` that does not wait for the disk: it is there no later than anything handed over after it."""
        return self._writer_or_refuse().submit(lambda connection: _replace(connection, "meta", (key, value)))

    # -- inside

    def _writer_or_refuse(self) -> JournalWriter:
        if self._writer is None:
            raise StoreError(f"the journal {self.path} is open for reading only")
        return self._writer

    def _write(self, run: Callable[[sqlite3.Connection], T]) -> T:
        return self._writer_or_refuse().submit(run).result()

    def _publish(self, recorded: list[Recorded]) -> None:
        fresh = [(one.seq, one.event) for one in recorded if one.new]
        if not fresh:
            return
        with self._committed:
            self._last_seq = fresh[-1][0]
            self._committed.notify_all()
        for listener in self._listeners:
            try:
                listener(fresh)
            except Exception:
                # The facts are on disk; a follower that fails must not stop the others or the writer.
                log.exception("a listener of the journal raised")

    def _query(self, sql: str, arguments: Sequence[Any]) -> list[Any]:
        try:
            with self._reader_lock:
                return self._reader.execute(sql, tuple(arguments)).fetchall()
        except sqlite3.ProgrammingError as error:
            raise StoreError(f"the journal {self.path} is closed") from error
        except sqlite3.DatabaseError as error:
            raise journal_schema.damaged(self.path, str(error)) from error

    def _read_last_seq(self) -> int:
        return int(self._query("SELECT coalesce(max(seq), 0) FROM event", ())[0][0])

    def _decode(self, seq: int, body: str, crc: int) -> Event:
        try:
            if zlib.crc32(body.encode()) != crc:
                raise ValueError("its checksum is wrong")
            return event_from_json(json.loads(body))
        except ValueError as error:
            raise journal_schema.damaged(self.path, f"event {seq} cannot be read: {error}") from error

    def _filled_by_order(self, order_refs: Sequence[str] | None) -> dict[str, Decimal]:
        sql = (
            "SELECT order_ref, quantity FROM execution x WHERE revision ="
            " (SELECT max(revision) FROM execution y WHERE y.account = x.account AND y.exec_base = x.exec_base)"
        )
        if order_refs is None:
            rows = self._query(sql, ())
        else:
            rows = [row for ref in order_refs for row in self._query(f"{sql} AND order_ref = ?", (ref,))]
        filled: dict[str, Decimal] = {}
        for order_ref, quantity in rows:
            filled[order_ref] = filled.get(order_ref, Decimal(0)) + Decimal(quantity)
        return filled

    def _order_record(self, row: Any, filled: dict[str, Decimal]) -> OrderRecord:
        order_ref, seq, body, crc, state, remaining, perm_id, order_id, client_id, code, text, updated_at = row
        placed = self._decode(seq, body, crc)
        if not isinstance(placed, OrderPlaced):
            raise journal_schema.damaged(self.path, f"event {seq} is not the intent of {order_ref}")
        return OrderRecord(
            intent=placed.intent,
            state=OrderState(state),
            filled=filled.get(order_ref, Decimal(0)),
            remaining=None if remaining is None else Decimal(remaining),
            perm_id=perm_id,
            order_id=order_id,
            client_id=client_id,
            code=code,
            text=text,
            updated_at=time_from_text(updated_at),
        )


def _reserve_refs(connection: sqlite3.Connection) -> int:
    first = int(connection.execute("SELECT value FROM meta WHERE key = 'next_ref'").fetchone()[0])
    connection.execute("UPDATE meta SET value = ? WHERE key = 'next_ref'", (str(first + REF_BLOCK),))
    return first


def _replace(connection: sqlite3.Connection, table: str, row: tuple[str, ...]) -> None:
    connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
