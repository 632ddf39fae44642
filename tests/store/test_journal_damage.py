"""The journal on a bad day: damaged and foreign files, a full disk, a killed process."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from runner.errors import StoreCorrupt, StoreError
from runner.store.journal import Journal


@pytest.fixture
def path(tmp_path: Path, facts) -> Path:
    """A journal with a few hundred events, closed."""
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        journal.append([facts.filled(f"e{i}.1") for i in range(300)]).result(10)
    return path


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("name", ["header", "schema page", "middle", "truncated", "not a database"])
def test_a_damaged_file_is_refused_by_name_with_what_to_do_and_left_as_it_is(path: Path, name: str) -> None:
    size = path.stat().st_size
    match name:
        case "header":
            overwrite(path, 0, b"\0" * 64)
        case "schema page":
            overwrite(path, 100, random.Random(1).randbytes(900))
        case "middle":
            overwrite(path, size // 2 // 4096 * 4096, random.Random(2).randbytes(4096))
        case "truncated":
            with path.open("r+b") as file:
                file.truncate(size // 2)
        case _:
            path.write_bytes(b"this is a text file, and quite a long one\n" * 200)
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt) as caught:
        Journal.open(path)
    assert str(path) in caught.value.message
    assert "move" in caught.value.hint and "IB" in caught.value.hint
    assert path.read_bytes() == before


def test_a_flipped_bit_inside_an_event_is_noticed_when_it_is_read(path: Path) -> None:
    at = path.read_bytes().index(b'"price":"181.5"')
    overwrite(path, at + 10, b"9")
    with Journal.open(path) as journal, pytest.raises(StoreCorrupt, match=r"event \d+ cannot be read: its checksum"):
        journal.executions()


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (a)")
    other.close()
    for opening in (Journal.open, Journal.read_only):
        with pytest.raises(StoreCorrupt, match="not a journal of this program"):
            opening(path)


def test_a_newer_format_is_refused_and_says_so(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(StoreCorrupt, match="has format 99"):
        Journal.open(path)


def test_a_journal_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no journal"):
        Journal.read_only(tmp_path / "journal.db")
    with pytest.raises(StoreError, match="cannot open"):
        Journal.open(tmp_path / "missing" / "journal.db")


def test_a_full_disk_refuses_the_write_and_the_journal_goes_on_when_there_is_space(tmp_path: Path, facts) -> None:
    with Journal.open(tmp_path / "j.db") as journal:
        journal.append([facts.notice("before")]).result(5)
        pages = "PRAGMA max_page_count = "
        journal._writer.submit(lambda connection: None).result(5)
        writer = journal._writer._connection
        (used,) = writer.execute("PRAGMA page_count").fetchone()
        writer.execute(f"{pages}{used}")
        with pytest.raises(StoreError, match="full"):
            for i in range(100):
                journal.append([facts.notice("x" * 5000 + str(i))]).result(5)
        writer.execute(f"{pages}1000000")
        kept = journal.last_seq()
        assert journal.append([facts.notice("after")]).result(5)[0].seq > kept


def test_after_a_failed_sync_nothing_more_is_written(tmp_path: Path, facts, monkeypatch) -> None:
    with Journal.open(tmp_path / "j.db") as journal:
        real = journal._writer._commit
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR

        def fails(_group):
            raise error

        monkeypatch.setattr(journal._writer, "_commit", fails)
        for _ in range(2):
            with pytest.raises(StoreError, match="disk I/O error") as caught:
                journal.append([facts.notice("x")]).result(5)
            monkeypatch.setattr(journal._writer, "_commit", real)
        assert "restart" in caught.value.hint


WRITER = textwrap.dedent(
    """
    import sys
    from datetime import UTC, datetime
    from decimal import Decimal
    from runner.model.events import Filled
    from runner.model.instruments import Instrument, SecType
    from runner.model.orders import Side
    from runner.store.journal import Journal
    aapl = Instrument(con_id=1, symbol="AAPL", sec_type=SecType.STOCK, exchange="SMART", currency="USD")
    journal = Journal.open(sys.argv[1])
    def done(exec_id):
        # One write call per line: a half-printed line cannot be mistaken for an acknowledgement.
        return lambda future: sys.stdout.write(exec_id + "\\n") and sys.stdout.flush()
    i = 0
    while True:
        exec_id = f"{journal.epoch}.{i}.1"
        event = Filled(at=datetime.now(UTC), strategy="s", order_ref="r", account="DU1", instrument=aapl,
                       exec_id=exec_id, side=Side.BUY, quantity=Decimal(1), price=Decimal(i + 1))
        future = journal.append([event])
        future.add_done_callback(done(exec_id))
        if i % 5 == 0:
            future.result()
        i += 1
    """
)


def test_every_acknowledged_event_is_there_after_kill_9(tmp_path: Path) -> None:
    path, chance, acknowledged = tmp_path / "journal.db", random.Random(20240301), set()
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(chance.randint(1, 250)):
            acknowledged.add(process.stdout.readline().strip())
        process.kill()
        acknowledged.update(line.strip() for line in process.stdout if line.endswith("\n"))
        process.stdout.close()
        process.wait()
    with Journal.open(path) as journal:
        kept = [event.exec_id for event in journal.executions()]
    assert acknowledged <= set(kept) and len(kept) == len(set(kept))
    assert journal.epoch == 5
