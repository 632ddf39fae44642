"""The versions of every strategy's file that were ever seen, and what became of each: part of the journal.

A version has the strategy's next number, whether it was applied, held or refused, so that "generation 9 is refused, 8
runs" means something. The document of an applied one is enough to run it again without the file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from runner.model.clock import Clock
from runner.store.codec import time_from_text, time_text

T = TypeVar("T")

TABLES = """
CREATE TABLE generation (
    strategy TEXT NOT NULL, generation INTEGER NOT NULL, state TEXT NOT NULL, seen_at TEXT NOT NULL,
    state_at TEXT NOT NULL, content_sha TEXT NOT NULL, spec_hash TEXT NOT NULL, file TEXT NOT NULL,
    source TEXT NOT NULL, document TEXT NOT NULL, changes TEXT NOT NULL, apply TEXT NOT NULL,
    direction TEXT NOT NULL, cause TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (strategy, generation)) WITHOUT ROWID;
CREATE INDEX generation_state ON generation (state, strategy);
CREATE TABLE overlay (
    strategy TEXT NOT NULL, path TEXT NOT NULL, value TEXT NOT NULL, source TEXT NOT NULL, actor TEXT NOT NULL,
    reason TEXT NOT NULL, set_at TEXT NOT NULL, expires_at TEXT,
    PRIMARY KEY (strategy, path)) WITHOUT ROWID;
"""


class GenerationState(StrEnum):
    """What became of a version."""

    REFUSED = "refused"
    """It has problems, or could not be prepared."""
    HELD = "held"
    """It loosens something and waits for an approval."""
    WAITING = "waiting"
    """It waits for the store, for the trading window to end, or for its turn."""
    APPLYING = "applying"
    """It was being put in force; after a crash it is judged again from the file."""
    APPLIED = "applied"
    """It runs, or ran until the next one did."""
    REJECTED = "rejected"
    """An operator said no."""
    REPLACED = "replaced"
    """A later edit, or a rollback, took its place before it was applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One version. `document` is the file after `extends` as JSON, empty when the file could not be read; `source` the
    text of the file itself; `changes` say what differs from the version that ran before, in words."""

    strategy: str
    generation: int = 0
    state: GenerationState
    seen_at: datetime | None = None
    state_at: datetime | None = None
    content_sha: str = ""
    spec_hash: str = ""
    file: str = ""
    source: str = ""
    document: str = ""
    changes: tuple[str, ...] = ()
    apply: str = ""
    direction: str = ""
    cause: str = ""
    """edit, set, start, approve, rollback, adopt, override or store."""
    actor: str = ""
    reason: str = ""
    text: str = ""
    """What was refused, or what it waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A value that holds in place of the file's: a temporary override, or a tightening made in the store."""

    strategy: str
    path: str
    """Dotted path of the field."""
    value: Any
    source: str
    """`override` or `store`."""
    actor: str = ""
    reason: str = ""
    set_at: datetime | None = None
    expires_at: datetime | None = None
    """None: until it is taken back or the file's own value changes."""


Run = Callable[[sqlite3.Connection], Any]

_COLUMNS = (
    "strategy, generation, state, seen_at, state_at, content_sha, spec_hash, file, source, document, changes, apply,"
    " direction, cause, actor, reason, text"
)


_REMOVED = "removed:"
"""Begins the keys of removed strategies in the journal's table `meta`; `;` is the character after `:`."""

_OF_STRATEGY = f"SELECT {_COLUMNS} FROM generation WHERE strategy = ?"


@dataclass(frozen=True, slots=True)
class Generations:
    """Reads and writes them through the journal's own connections. Writing blocks until it is on disk."""

    write: Callable[[Run], Any]
    query: Callable[[str, Sequence[Any]], list[Any]]
    clock: Clock

    def add(self, generation: Generation, *, after: int = 0, beside: bool = False) -> Generation:
        """Keep a version under the strategy's next number, above `after`; returned with it and its times. An earlier
        version that was still held or waiting is replaced by it, unless it only puts values `beside` the file's."""
        now = time_text(self.clock.now())
        replaced = "('applying')" if beside else "('held', 'waiting', 'applying')"

        def run(connection: sqlite3.Connection) -> int:
            (last,) = connection.execute(
                "SELECT coalesce(max(generation), 0) FROM generation WHERE strategy = ?", (generation.strategy,)
            ).fetchone()
            last = max(last, after)
            connection.execute(
                f"UPDATE generation SET state = 'replaced', state_at = ? WHERE strategy = ? AND state IN {replaced}",
                (now, generation.strategy),
            )
            values = (
                generation.strategy,
                last + 1,
                generation.state.value,
                now,
                now,
                generation.content_sha,
                generation.spec_hash,
                generation.file,
                generation.source,
                generation.document,
                json.dumps(generation.changes, ensure_ascii=False),
                generation.apply,
                generation.direction,
                generation.cause,
                generation.actor,
                generation.reason,
                generation.text,
            )
            connection.execute(f"INSERT INTO generation ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)
            if generation.state is GenerationState.APPLIED:
                _restore(connection, generation.strategy)
            return int(last) + 1

        number: int = self.write(run)
        at = time_from_text(now)
        return replace(generation, generation=number, seen_at=at, state_at=at)

    def mark(self, strategy: str, generation: int, state: GenerationState, text: str = "") -> None:
        """Say what became of a version."""
        row = (state.value, time_text(self.clock.now()), text, strategy, generation)

        def run(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE generation SET state = ?, state_at = ?, text = ? WHERE strategy = ? AND generation = ?", row
            )
            if state is GenerationState.APPLIED:
                _restore(connection, strategy)

        self.write(run)

    def get(self, strategy: str, generation: int) -> Generation | None:
        """A version by its number."""
        rows = self.query(f"{_OF_STRATEGY} AND generation = ?", (strategy, generation))
        return _generation(rows[0]) if rows else None

    def newest(self, strategy: str, *, but_for: Sequence[str] = ()) -> Generation | None:
        """The last version that was seen, but for those of these causes."""
        others = f" AND cause NOT IN ({', '.join('?' * len(but_for))})" if but_for else ""
        rows = self.query(f"{_OF_STRATEGY}{others} ORDER BY generation DESC LIMIT 1", (strategy, *but_for))
        return _generation(rows[0]) if rows else None

    def running(self, strategy: str) -> Generation | None:
        """The version that was put in force last. A rollback puts an old document in force under a new number."""
        rows = self.query(f"{_OF_STRATEGY} AND state = 'applied' ORDER BY generation DESC LIMIT 1", (strategy,))
        return _generation(rows[0]) if rows else None

    def history(self, strategy: str, limit: int) -> list[Generation]:
        """The last versions, newest first."""
        rows = self.query(f"{_OF_STRATEGY} ORDER BY generation DESC LIMIT ?", (strategy, limit))
        return [_generation(row) for row in rows]

    def strategies(self) -> list[str]:
        """Every strategy that has a version."""
        return [row[0] for row in self.query("SELECT DISTINCT strategy FROM generation ORDER BY strategy", ())]

    # -- strategies that are no more

    def remove(self, strategy: str) -> None:
        """Its file is gone and it has ended: what is kept of it is history, until a version of it is applied again."""
        row = (f"{_REMOVED}{strategy}", time_text(self.clock.now()))
        self.write(lambda connection: connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row))

    def restore(self, strategy: str) -> None:
        """It runs again, as the version that it ran before."""
        self.write(lambda connection: _restore(connection, strategy))

    def is_removed(self, strategy: str) -> bool:
        return bool(self.query("SELECT 1 FROM meta WHERE key = ?", (f"{_REMOVED}{strategy}",)))

    def removed(self) -> frozenset[str]:
        """Every strategy that was removed, and is not there again."""
        rows = self.query("SELECT key FROM meta WHERE key >= ? AND key < ?", (_REMOVED, _REMOVED[:-1] + ";"))
        return frozenset(row[0].removeprefix(_REMOVED) for row in rows)

    # -- values that hold in place of the file's

    def overlays(self, strategy: str | None = None) -> list[Overlay]:
        """Of one strategy or of all."""
        sql = "SELECT strategy, path, value, source, actor, reason, set_at, expires_at FROM overlay"
        if strategy is None:
            return [_overlay(row) for row in self.query(f"{sql} ORDER BY strategy, path", ())]
        return [_overlay(row) for row in self.query(f"{sql} WHERE strategy = ? ORDER BY path", (strategy,))]

    def put_overlay(self, overlay: Overlay) -> Overlay:
        """Set or replace one; returned with its time."""
        now = self.clock.now()
        expires = None if overlay.expires_at is None else time_text(overlay.expires_at)
        row = (
            overlay.strategy,
            overlay.path,
            json.dumps(overlay.value, allow_nan=False),
            overlay.source,
            overlay.actor,
            overlay.reason,
            time_text(now),
            expires,
        )
        self.write(lambda c: c.execute("INSERT OR REPLACE INTO overlay VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row))
        return replace(overlay, set_at=now)

    def drop_overlay(self, strategy: str, path: str) -> bool:
        """Take one back; False when there was none."""

        def run(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute("DELETE FROM overlay WHERE strategy = ? AND path = ?", (strategy, path))
            return cursor.rowcount > 0

        dropped: bool = self.write(run)
        return dropped


def _restore(connection: sqlite3.Connection, strategy: str) -> None:
    connection.execute("DELETE FROM meta WHERE key = ?", (f"{_REMOVED}{strategy}",))


def _generation(row: Sequence[Any]) -> Generation:
    strategy, generation, state, seen_at, state_at, *rest = row
    content_sha, spec_hash, file, source, document, changes, apply, direction, cause, actor, reason, text = rest
    return Generation(
        strategy=strategy,
        generation=generation,
        state=GenerationState(state),
        seen_at=time_from_text(seen_at),
        state_at=time_from_text(state_at),
        content_sha=content_sha,
        spec_hash=spec_hash,
        file=file,
        source=source,
        document=document,
        changes=tuple(json.loads(changes)),
        apply=apply,
        direction=direction,
        cause=cause,
        actor=actor,
        reason=reason,
        text=text,
    )


def _overlay(row: Sequence[Any]) -> Overlay:
    strategy, path, value, source, actor, reason, set_at, expires_at = row
    return Overlay(
        strategy=strategy,
        path=path,
        value=json.loads(value),
        source=source,
        actor=actor,
        reason=reason,
        set_at=time_from_text(set_at),
        expires_at=None if expires_at is None else time_from_text(expires_at),
    )
