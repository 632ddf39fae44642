"""A runner that is killed at any moment: after the next start ArcticDB says what the journal says, once."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd

from runner.store.arctic_manager import get_ac
from runner.store.journal import Journal
from runner.store.ledger import Ledger

RUNNER = textwrap.dedent(
    """
    import sys
    from datetime import UTC, datetime, timedelta
    from decimal import Decimal
    from types import SimpleNamespace
    from runner.model.clock import SystemClock
    from runner.model.events import Filled
    from runner.model.instruments import Instrument, SecType
    from runner.model.orders import Side
    from runner.portfolio.portfolio_manager import PortfolioManager
    from runner.store.arctic_manager import get_ac
    from runner.store.journal import Journal
    aapl = Instrument(con_id=1, symbol="AAPL", sec_type=SecType.STOCK, exchange="SMART", currency="USD")
    journal = Journal.open(sys.argv[1] + "/journal.db")
    store = get_ac(f"lmdb://{sys.argv[1]}/arctic?map_size=256MB")
    manager = PortfolioManager(SimpleNamespace(journal=journal, store=store, clock=SystemClock()), base_currency="USD")
    manager.determine_base_currency([])
    manager.start(flush_interval_s=0.001)
    start, i = datetime(2024, 3, 1, tzinfo=UTC), 0
    while True:
        exec_id = f"{journal.epoch}.{i}.1"
        manager.process_fill(Filled(at=start + timedelta(seconds=i), strategy="ab"[i % 2], order_ref="r", account="DU1",
            instrument=aapl, exec_id=exec_id, side=Side.BUY, quantity=Decimal(1), price=Decimal(100)))
        sys.stdout.write(exec_id + "\\n")
        sys.stdout.flush()
        i += 1
    """
)


def test_after_kill_9_the_tables_catch_up_with_the_journal_without_loss_or_doubles(tmp_path: Path) -> None:
    chance, acknowledged = random.Random(5), set()
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", RUNNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(chance.randint(20, 200)):
            acknowledged.add(process.stdout.readline().strip())
        process.kill()
        process.stdout.close()
        process.wait()
    with Journal.open(tmp_path / "journal.db") as journal, get_ac(f"lmdb://{tmp_path}/arctic?map_size=256MB") as store:
        Ledger(store, journal).catch_up()
        frames = [store.read("fills", name) for name in ("a", "b")]
        stored = pd.concat([frame for frame in frames if frame is not None])["exec_id"].tolist()
        recorded = [event.exec_id for event in journal.executions()]
    assert acknowledged <= set(recorded)
    assert sorted(stored) == sorted(recorded)
