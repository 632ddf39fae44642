"""ArcticDB on a real S3 server, found through `general/settings` of the local store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from s3_server import S3Server

from runner.errors import StoreError
from runner.model.clock import ManualClock
from runner.store.arctic_manager import LIBRARIES, get_ac
from runner.store.journal import Journal
from runner.store.ledger import Ledger, read_fills
from runner.store.strategies import StrategyRow, StrategyTable

NOW = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)


@pytest.fixture
def local(tmp_path: Path, s3: S3Server, request: pytest.FixtureRequest) -> str:
    """A local store whose settings lead to an empty bucket."""
    uri = f"lmdb://{tmp_path / 'arctic'}?map_size=64MB"
    with get_ac(uri) as store:
        store.write_settings(s3.settings(_bucket(request)))
    return uri


def _bucket(request: pytest.FixtureRequest) -> str:
    return request.node.name.replace("_", "-")[:60].strip("-")


def test_settings_lead_to_a_bucket_where_all_is_kept(
    local: str, s3: S3Server, facts: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with get_ac(local) as store, Journal.open(tmp_path / "journal.db") as journal:
        assert store.uri.startswith("s3://127.0.0.1:")
        assert set(store.list_libraries()) >= set(LIBRARIES)
        assert all(store.library(name).options().dynamic_schema for name in LIBRARIES)
        row = StrategyRow(strategy="TREND", filename="trend.py", target_weight=0.25, params='{"x": 1}')
        StrategyTable(store, ManualClock(NOW)).upsert([row])
        journal.append(
            [facts.placed("r1"), facts.filled("e.1.01"), facts.charged("e.1.01", "1.25"), facts.filled("e.2.01")]
        ).result(5)
        Ledger(store, journal).catch_up()
        first = store.read("fills", "trend")
    with get_ac(local) as again:
        assert again is not store
        found = StrategyTable(again).get("TREND")
        assert found is not None and (found.filename, found.target_weight, found.params) == (
            "trend.py",
            0.25,
            '{"x": 1}',
        )
        assert again.read("fills", "trend").equals(first)
        fills = read_fills(again, "trend")
        assert fills is not None and fills["exec_id"].tolist() == ["e.1.01", "e.2.01"]
        assert fills["commission"].iloc[0] == 1.25
    assert "fills" in s3.keys(_bucket(request))


def test_columns_may_be_added_to_a_table_in_a_bucket(local: str) -> None:
    with get_ac(local) as store:
        StrategyTable(store, ManualClock(NOW)).upsert([StrategyRow(strategy="A")])
        store.write("general", "strategies", store.read("general", "strategies").assign(note="mine"))
        StrategyTable(store, ManualClock(NOW)).upsert([StrategyRow(strategy="B")])
    with get_ac(local) as again:
        assert again.read("general", "strategies")["note"].tolist() == ["mine", None]


def test_a_bucket_that_does_not_exist_is_a_named_error_without_the_secret(local: str) -> None:
    with pytest.raises(StoreError) as raised:
        get_ac(local, {"s3.bucket": "nobody-made-this-one"})
    assert "nobody-made-this-one" in str(raised.value)
    assert "hidden-in-the-environment" not in f"{raised.value} {raised.value.hint}"
