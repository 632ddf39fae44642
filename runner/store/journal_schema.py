"""The tables of the journal, and how its file is opened, checked and refused.

`event` is the one stream of facts; the other event tables point into it by `seq` and are written in the same
transaction. `body` is the JSON of `runner.store.codec` without `seq`, `crc` its CRC-32, because SQLite itself does not
notice a flipped bit inside a value.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from pathlib import Path

from runner.errors import StoreCorrupt, StoreError
from runner.store import generations

SCHEMA_VERSION = 2
APPLICATION_ID = 0x72756E31
"""`run1` in the file header: tells our journal from another program's database."""

BUSY_TIMEOUT_MS = 5_000

_TABLES = """
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, ts TEXT NOT NULL, type TEXT NOT NULL, strategy TEXT NOT NULL,
    key TEXT NOT NULL, body TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE intent (
    order_ref TEXT PRIMARY KEY, strategy TEXT NOT NULL, account TEXT NOT NULL, con_id INTEGER NOT NULL,
    parent_ref TEXT NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX intent_strategy ON intent (strategy);
CREATE TABLE order_state (
    order_key TEXT PRIMARY KEY, strategy TEXT NOT NULL, state TEXT NOT NULL, terminal INTEGER NOT NULL,
    filled TEXT NOT NULL, remaining TEXT, perm_id INTEGER NOT NULL, order_id INTEGER NOT NULL,
    client_id INTEGER NOT NULL, code INTEGER NOT NULL, text TEXT NOT NULL, updated_at TEXT NOT NULL,
    seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX order_state_live ON order_state (order_key) WHERE terminal = 0;
CREATE TABLE execution (
    account TEXT NOT NULL, exec_base TEXT NOT NULL, revision INTEGER NOT NULL, exec_id TEXT NOT NULL,
    order_ref TEXT NOT NULL, strategy TEXT NOT NULL, con_id INTEGER NOT NULL, quantity TEXT NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (account, exec_base, revision)) WITHOUT ROWID;
CREATE INDEX execution_order ON execution (order_ref);
CREATE TABLE commission (exec_id TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE latch (
    id INTEGER PRIMARY KEY AUTOINCREMENT, strategy TEXT NOT NULL, day TEXT NOT NULL, kind TEXT NOT NULL,
    reason TEXT NOT NULL, actor TEXT NOT NULL, set_at TEXT NOT NULL,
    cleared_at TEXT, cleared_by TEXT NOT NULL DEFAULT '', cleared_reason TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX latch_set ON latch (strategy, day, kind) WHERE cleared_at IS NULL;
CREATE TABLE session_equity (
    strategy TEXT NOT NULL, day TEXT NOT NULL, equity TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (strategy, day)) WITHOUT ROWID;
CREATE TABLE operator_state (
    strategy TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


def open_for_writing(path: Path) -> tuple[sqlite3.Connection, int]:
    """The writer's connection and the new epoch. Makes the file (mode 0600) when there is none.

    Raises StoreCorrupt when the file is not a journal, is damaged, or was written by a newer version; StoreError when
    it cannot be opened or made.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = _connect(path, read_only=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot open the journal {path}: {error}", hint="check the directory and the disk") from error
    try:
        _check(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        version = _version(connection)
        if version == 0:
            _create(connection)
        elif version < SCHEMA_VERSION:
            _upgrade(connection, version)
        epoch = int(connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]) + 1
        connection.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (str(epoch),))
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.close()
        raise _corrupt_or_refused(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection, epoch


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; StoreError when there is no journal, StoreCorrupt as `open_for_writing`."""
    if not path.exists():
        raise StoreError(f"there is no journal at {path}", hint="nothing has run with this state directory yet")
    try:
        connection = _connect(path, read_only=True)
    except sqlite3.Error as error:
        raise _corrupt_or_refused(path, error) from error
    try:
        version = _version(connection)
        _refuse_foreign(connection, path, version)
    except sqlite3.Error as error:
        connection.close()
        raise _corrupt_or_refused(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def damaged(path: Path, what: str) -> StoreCorrupt:
    """The error for a journal that cannot be read back."""
    return StoreCorrupt(
        f"the journal {path} is damaged: {what}",
        hint=f"move {path.name}, {path.name}-wal and {path.name}-shm aside (keep them) or restore a backup; the "
        "executions of today come back from IB, older ones are in the ArcticDB library fills",
    )


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_MS / 1000,
    )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if version == 0 and tables == 0:
        return  # new, or killed before its first transaction
    _refuse_foreign(connection, path, version)
    verdict = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if verdict != "ok":
        raise damaged(path, verdict.splitlines()[-1])


def _refuse_foreign(connection: sqlite3.Connection, path: Path, version: int) -> None:
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if application != APPLICATION_ID:
        raise StoreCorrupt(
            f"{path} is a database, but not a journal of this program", hint="choose another state_dir in runner.yaml"
        )
    if version > SCHEMA_VERSION:
        raise StoreCorrupt(
            f"the journal {path} has format {version}; this version reads up to {SCHEMA_VERSION}",
            hint="install the newer version again; going back needs the journal from before the upgrade",
        )


_ADDED: dict[int, str] = {2: generations.TABLES}
"""What each format has more than the one before."""


def _create(connection: sqlite3.Connection) -> None:
    for tables in (_TABLES, *_ADDED.values()):
        _execute_all(connection, tables)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    rows = [("epoch", "0"), ("next_ref", "1"), ("journal_id", uuid.uuid4().hex)]
    connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", rows)


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """An older journal gets the tables it does not have; nothing in it changes."""
    for number in range(version + 1, SCHEMA_VERSION + 1):
        _execute_all(connection, _ADDED[number])
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _execute_all(connection: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            connection.execute(statement)


def _corrupt_or_refused(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT):
        return damaged(path, str(error))
    return StoreError(f"cannot open the journal {path}: {error}", hint="check the directory, its owner and the disk")
