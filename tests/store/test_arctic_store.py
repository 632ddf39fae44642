"""Opening ArcticDB, guarding it, and leaving the process without a crash."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from runner.errors import ConfigError, RunnerError, StoreCorrupt, StoreError
from runner.store import arctic_store
from runner.store.arctic_manager import LIBRARIES, Store, get_ac, look_at, normal_uri, s3_uri
from runner.store.strategies import StrategyTable

FRAME = pd.DataFrame({"a": [1.0, 2.0]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A small closed store."""
    path = tmp_path / "arctic"
    with get_ac(f"lmdb://{path}?map_size=64MB") as store:
        store.write("general", "thing", pd.DataFrame({"a": np.arange(5000.0)}))
    return path


def test_the_base_libraries_exist_with_columns_that_may_change() -> None:
    with get_ac("mem://") as store:
        assert store.list_libraries() == sorted(LIBRARIES)
        assert {"general", "fills", "orders", "positions", "equity", "bars"} <= set(LIBRARIES)
        store.write("general", "t", FRAME)
        store.library("general").append("t", pd.DataFrame({"a": [3.0], "b": ["new"]}, index=pd.RangeIndex(2, 3)))
        assert store.read("general", "t").columns.tolist() == ["a", "b"]
        assert store["general"].has_symbol("t")


def test_a_second_opening_of_a_path_is_the_same_store_until_both_are_closed(path: Path) -> None:
    first, second = get_ac(f"lmdb://{path}?map_size=64MB"), get_ac(f"lmdb://{path}")
    assert first is second
    first.close()
    assert len(second.read("general", "thing")) == 5000
    second.close()
    second.close()
    with pytest.raises(StoreError, match="closed"):
        second.ac  # noqa: B018
    with get_ac(f"lmdb://{path}?map_size=64MB") as again:
        assert again is not first


def test_stores_in_memory_are_separate() -> None:
    with get_ac("mem://") as one, get_ac("mem://") as other:
        one.write("general", "t", FRAME)
        assert other.read("general", "t") is None


def test_without_a_uri_it_is_under_the_working_directory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with get_ac() as store:
        assert store.uri.startswith(f"lmdb://{tmp_path}/.runner/arctic?map_size=")


@pytest.mark.parametrize("damage", ["garbage", "truncated", "config"])
def test_a_damaged_store_is_refused_by_file_name_instead_of_killing_the_process(path: Path, damage: str) -> None:
    file = path / ("_arctic_cfg" if damage == "config" else "general") / "data.mdb"
    data = file.read_bytes()
    file.write_bytes(data[:9000] if damage == "truncated" else random.Random(3).randbytes(len(data)))
    with pytest.raises(StoreCorrupt) as caught:
        get_ac(f"lmdb://{path}?map_size=64MB")
    assert str(file) in caught.value.message and "journal" in caught.value.hint


def test_a_directory_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(StoreCorrupt, match="not an ArcticDB store"):
        get_ac(f"lmdb://{tmp_path}")
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]
    with pytest.raises(StoreCorrupt, match="is a file"):
        get_ac(f"lmdb://{tmp_path / 'photo.jpg'}")


@pytest.mark.parametrize("uri", ["lmdb://", "http://x", "postgres://x"])
def test_a_uri_that_arcticdb_does_not_know_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError):
        normal_uri(uri)


def test_nothing_is_written_when_the_disk_is_nearly_full_and_later_it_is(path: Path, monkeypatch) -> None:
    with get_ac(f"lmdb://{path}?map_size=64MB") as store:
        monkeypatch.setattr(arctic_store, "MIN_FREE_BYTES", 2**62)
        with pytest.raises(StoreError, match="MB are free"):
            store.write("general", "x", FRAME)
        assert not store.poisoned and len(store.read("general", "thing")) == 5000
        monkeypatch.undo()
        store.write("general", "x", FRAME)


def test_nothing_is_written_when_the_map_is_nearly_full(tmp_path: Path) -> None:
    with get_ac(f"lmdb://{tmp_path / 'a'}?map_size=1MB") as store:
        with pytest.raises(StoreError, match="map_size"):
            for i in range(200):
                store.write("general", f"s{i}", pd.DataFrame({"a": np.random.default_rng(i).random(4000)}))
        assert not store.poisoned


def test_an_unexpected_write_failure_poisons_the_store_and_closing_it_is_harmless(path: Path) -> None:
    class Broken:
        def write(self, *_args, **_kwargs):
            raise RuntimeError("lmdb::runtime_error(mdb_txn_commit: No space left on device)")

    store = get_ac(f"lmdb://{path}?map_size=64MB")
    store._libraries["general"] = Broken()
    with pytest.raises(StoreError, match="cannot write general/x"):
        store.write("general", "x", FRAME)
    assert "No space left" in store.poisoned
    with pytest.raises(StoreError, match="restart"):
        store.write("fills", "x", FRAME)
    with pytest.raises(StoreError):
        store.append("fills", {"x": (FRAME, {})})
    store.close()


def test_a_frame_that_arcticdb_refuses_does_not_poison(path: Path) -> None:
    with get_ac(f"lmdb://{path}?map_size=64MB") as store:
        with pytest.raises(StoreError, match="general/x"):
            store.write("general", "x", pd.DataFrame({"a": [{"a": 1}, 2]}))
        assert not store.poisoned


def test_a_pickled_symbol_is_never_read() -> None:
    with get_ac("mem://") as store:
        store.library("general").write_pickle("strategies", {"a": 1})
        with pytest.raises(StoreError, match="pickled"):
            store.read("general", "strategies")
        with pytest.raises(StoreError, match="pickled"):
            StrategyTable(store)


def test_a_library_that_does_not_exist_is_named_with_those_that_do() -> None:
    with get_ac("mem://") as store:
        with pytest.raises(StoreError, match="no library us_stocks") as caught:
            store.library("us_stocks", create=False)
        assert "bars, equity, fills" in caught.value.hint
        store.library("us_stocks")
        assert store.symbols("us_stocks") == [] and store.has_library("us_stocks")


# -- S3 by general/settings

S3 = {"storage": "s3", "s3.bucket": "trades", "s3.endpoint": "s3.eu-west-1.amazonaws.com", "s3.region": "eu-west-1"}


@pytest.mark.parametrize(
    ("more", "uri"),
    [
        ({"s3.aws_auth": True}, "s3s://s3.eu-west-1.amazonaws.com:trades?region=eu-west-1&aws_auth=true"),
        (
            {
                "s3.access": "A&B",
                "s3.secret": {"env": "TEST_SECRET"},
                "s3.tls": False,
                "s3.port": 9000,
                "s3.path_prefix": "p/q",
            },
            "s3://s3.eu-west-1.amazonaws.com:trades?port=9000&region=eu-west-1&path_prefix=p/q&access=A%26B&secret=x",
        ),
    ],
)
def test_settings_become_a_bucket(more: dict, uri: str, monkeypatch) -> None:
    monkeypatch.setenv("TEST_SECRET", "x")
    assert s3_uri(S3 | more) == uri


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (S3, "s3.access, s3.secret"),
        (S3 | {"s3.bucket": "", "s3.aws_auth": True}, "s3.bucket"),
        (S3 | {"s3.access": {"env": "NOT_SET_ANYWHERE"}}, "NOT_SET_ANYWHERE"),
    ],
)
def test_settings_that_lack_something_are_refused_by_name(settings: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        s3_uri(settings)


def test_general_settings_of_the_local_store_lead_to_the_bucket(tmp_path: Path, monkeypatch) -> None:
    uri = f"lmdb://{tmp_path / 'a'}?map_size=64MB"
    with get_ac(uri) as store:
        store.write_settings(S3 | {"s3.aws_auth": True})
        assert store.settings()["s3.bucket"] == "trades"
    opened: list[str] = []
    real = arctic_store._open_arctic
    monkeypatch.setattr(
        arctic_store,
        "_open_arctic",
        lambda uri, path: opened.append(uri) or real("mem://" if "s3" in uri else uri, path),
    )
    with get_ac(uri) as store:
        assert store.uri == s3_uri(S3 | {"s3.aws_auth": True})
    assert opened == [uri, store.uri]
    with get_ac(uri, settings={"storage": "local"}) as store:
        assert store.uri == uri


def test_settings_that_are_not_json_or_name_another_storage_are_refused(tmp_path: Path) -> None:
    with get_ac("mem://") as store:
        store.write("general", "settings", pd.DataFrame({"key": ["storage"], "value": ["s3"]}))
        with pytest.raises(StoreError, match="general/settings"):
            store.settings()
    with pytest.raises(ConfigError, match="floppy"):
        get_ac(f"lmdb://{tmp_path / 'a'}?map_size=64MB", settings={"storage": "floppy"})


def test_secrets_never_show() -> None:
    error = ConfigError("")
    try:
        Store("s3://nowhere.invalid:b?access=AKIA&secret=TOPSECRET&bad=%%%")
    except RunnerError as caught:
        error = caught
    assert "TOPSECRET" not in str(error) and "AKIA" not in str(error)


# -- the process around it

EXIT = """
import sys
from runner.store.arctic_manager import exit_cleanly, get_ac
import pandas as pd
store = get_ac(sys.argv[1])
store.write("general", "t", pd.DataFrame({"a": range(5000), "b": ["x"] * 5000}))
held = store.ac["general"]
print(len(store.read("general", "t")), len(held.read("t").data))
exit_cleanly(3)
"""


@pytest.mark.parametrize("trial", range(3))
def test_a_process_that_used_arcticdb_ends_with_its_own_exit_code(tmp_path: Path, trial: int) -> None:
    uri = f"lmdb://{tmp_path}/a?map_size=64MB" if trial else "mem://"
    done = subprocess.run([sys.executable, "-c", EXIT, uri], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "5000 5000\n", "")


def test_exit_cleanly_without_arcticdb_is_an_ordinary_exit() -> None:
    code = (
        "import atexit, sys\nfrom runner.store.arctic_manager import exit_cleanly\n"
        "atexit.register(print, 'as usual')\nexit_cleanly(4)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (4, "as usual\n")


def test_journal_codec_and_state_directory_need_neither_pandas_nor_arcticdb() -> None:
    code = (
        "import sys\nimport runner.store.journal, runner.store.codec, runner.store.state_dir, runner.store.strategies\n"
        "import runner.store.arctic_manager, runner.store.ledger, runner.store.bars\n"
        "import runner.portfolio.portfolio_manager, runner.portfolio.report, runner.portfolio.reconciliation\n"
        "print([name for name in ('pandas', 'arcticdb', 'numpy', 'ib_async') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_looking_makes_no_store_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert look_at("mem://") is None
    for name in ("none", "empty"):
        assert look_at(f"lmdb://{tmp_path / name}") is None
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_looking_reads_what_is_there_and_writes_nothing(path: Path) -> None:
    before = {file: file.read_bytes() for file in path.rglob("data.mdb")}
    store = look_at(f"lmdb://{path}?map_size=64MB")
    assert store is not None
    with store:
        assert store.symbols("general") == ["thing"]
        assert len(store.read("general", "thing")) == 5000
        assert store.list_libraries() == sorted(LIBRARIES)
        with pytest.raises(StoreError, match="no library other"):
            store.library("other")
        for refused in (
            lambda: store.write("general", "new", FRAME),
            lambda: store.append("fills", {"A": (FRAME, {})}),
            lambda: store.delete("general", "thing"),
        ):
            with pytest.raises(StoreError, match="to read only"):
                refused()
    assert {file: file.read_bytes() for file in path.rglob("data.mdb")} == before


def test_looking_at_a_store_that_is_open_here_shares_it(path: Path) -> None:
    with get_ac(f"lmdb://{path}?map_size=64MB") as store:
        assert look_at(f"lmdb://{path}") is store
        store.close()
        assert store.symbols("general") == ["thing"]


def test_looking_at_a_store_of_another_program_needs_no_base_library(tmp_path: Path) -> None:
    import arcticdb

    arcticdb.Arctic(f"lmdb://{tmp_path / 'theirs'}?map_size=64MB").create_library("us_stocks")
    store = look_at(f"lmdb://{tmp_path / 'theirs'}?map_size=64MB")
    assert store is not None
    with store:
        assert (store.settings(), store.list_libraries(), store.symbols("us_stocks")) == ({}, ["us_stocks"], [])
