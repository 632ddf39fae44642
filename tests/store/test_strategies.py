"""The table of strategies: rows, client ids, parameters, what others have written, and who waits for whom."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from runner.errors import StoreError
from runner.model.clock import ManualClock
from runner.store.arctic_manager import Store, get_ac
from runner.store.journal import Journal
from runner.store.strategies import StrategyRow, StrategyTable

NOW = datetime(2024, 3, 1, 15, 30, tzinfo=UTC)
WAIT_S = 10.0


class HeldUp:
    """A store of one table, whose reads and writes wait until they are let go on, as on a network that is slow."""

    def __init__(self, **columns: list[Any]) -> None:
        self.frame = pd.DataFrame(columns) if columns else None
        self.going = {"read": threading.Event(), "write": threading.Event()}
        self.begun = {"read": threading.Event(), "write": threading.Event()}
        self.let("read", "write")

    def hold(self, what: str) -> None:
        self.going[what].clear()
        self.begun[what].clear()

    def let(self, *what: str) -> None:
        for one in what:
            self.going[one].set()

    def read(self, library: str, symbol: str) -> pd.DataFrame | None:
        frame = self.frame  # what there is when it is asked; the answer comes later
        self.begun["read"].set()
        assert self.going["read"].wait(WAIT_S)
        return None if frame is None else frame.copy()

    def write(self, library: str, symbol: str, frame: pd.DataFrame) -> None:
        self.begun["write"].set()
        assert self.going["write"].wait(WAIT_S)
        self.frame = frame.copy()


def beside(call: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


@pytest.fixture(scope="module")
def shared() -> Iterator[Store]:
    with get_ac("mem://") as store:
        yield store


@pytest.fixture
def store(shared: Store) -> Store:
    shared.delete("general", "strategies")
    return shared


@pytest.fixture
def table(store: Store) -> StrategyTable:
    return StrategyTable(store, ManualClock(NOW))


def test_rows_come_back_as_they_were_with_absent_numbers_absent(store: Store, table: StrategyTable) -> None:
    rows = [
        StrategyRow(
            strategy="a", filename="a.py", target_weight=0.1, equity=250_000.5, params='{"x": 1}', enabled=False
        ),
        StrategyRow(
            strategy="b", client_id=7, generation=3, spec_hash="ab" * 32, managed_by="runner", base='{"ü": "€"}'
        ),
    ]
    table.upsert(rows)
    again = StrategyTable(store)
    assert again.all() == table.all()
    assert (again.get("a").min_weight, again.get("a").equity, again.get("a").client_id) == (None, 250_000.5, None)
    assert (again.get("b").equity, again.get("b").enabled, again.get("b").updated_at) == (None, True, NOW)
    assert again.get("nobody") is None


def test_many_rows_are_one_write_and_no_change_is_none(store: Store, table: StrategyTable) -> None:
    def versions() -> int:
        return len(store.library("general").list_versions("strategies"))

    table.upsert([StrategyRow(strategy=f"s{i}") for i in range(50)])
    before = versions()
    table.upsert([StrategyRow(strategy=f"s{i}") for i in range(50)])
    assert versions() == before


def test_client_ids_are_allocated_once_stored_and_never_shared(store: Store, table: StrategyTable) -> None:
    ids = {name: table.client_id_for(name, 10) for name in ("a", "b", "c")}
    assert ids == {"a": 10, "b": 11, "c": 12}
    table.upsert([StrategyRow(strategy="b", enabled=False)])
    again = StrategyTable(store)
    assert [again.client_id_for(name, 1) for name in ("a", "b", "c", "d")] == [10, 11, 12, 13]
    with pytest.raises(ValueError, match="both have client id 10"):
        again.upsert([StrategyRow(strategy="e", client_id=10)])
    assert again.get("e") is None


def test_parameters_are_stored_as_json_with_sorted_keys(store: Store, table: StrategyTable) -> None:
    table.set_params("a", {"b": [1, 2.5], "a": "x"})
    row = StrategyTable(store).get("a")
    assert row.params == '{"a": "x", "b": [1, 2.5]}' and row.params_dict() == {"a": "x", "b": [1, 2.5]}
    assert StrategyRow(strategy="z").params_dict() == {}
    with pytest.raises(ValueError):
        table.set_params("a", {"x": float("nan")})


@pytest.mark.parametrize("params", ["{", "[1]", "3"])
def test_parameters_that_are_not_a_json_object_are_refused_by_name(params: str) -> None:
    with pytest.raises(StoreError, match="params of a"):
        StrategyRow(strategy="a", params=params).params_dict()


def test_a_hand_written_table_with_few_columns_is_read_and_its_own_columns_are_kept(store: Store) -> None:
    frame = pd.DataFrame(
        {
            "strategy": ["a", "b"],
            "filename": ["a.py", None],
            "target_weight": [0.1, np.nan],
            "note": ["mine", None],
            "rank": [1, 2],
        }
    )
    store.write("general", "strategies", frame)
    table = StrategyTable(store)
    assert (table.get("b").filename, table.get("b").target_weight, table.get("a").enabled) == ("", None, True)
    table.set_params("c", {"x": 1})
    kept = store.read("general", "strategies").set_index("strategy")
    assert kept.loc["a", "note"] == "mine" and pd.isna(kept.loc["c", "note"])
    assert kept.loc["b", "rank"] == 2 and pd.isna(kept.loc["c", "rank"])
    assert StrategyTable(store).get("a").extra["note"] == "mine"


def test_a_table_indexed_by_strategy_is_read_too(store: Store) -> None:
    store.write("general", "strategies", pd.DataFrame({"filename": ["a.py"]}, index=pd.Index(["a"], name="strategy")))
    assert StrategyTable(store).get("a").filename == "a.py"


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        ({"name": ["a"]}, "no column strategy"),
        ({"strategy": ["a", "a"]}, "more than one row for a"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(store: Store, frame: dict, word: str) -> None:
    store.write("general", "strategies", pd.DataFrame(frame))
    with pytest.raises(StoreError, match=word):
        StrategyTable(store)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "-a", "_a", "ä", "x" * 65])
def test_a_name_that_cannot_be_a_symbol_is_refused(table: StrategyTable, name: str) -> None:
    with pytest.raises(ValueError, match="strategy name"):
        table.upsert([StrategyRow(strategy=name)])


def test_refresh_sees_what_others_wrote(store: Store, table: StrategyTable) -> None:
    StrategyTable(store).upsert([StrategyRow(strategy="new", filename="n.py")])
    assert table.get("new") is None
    table.refresh()
    assert table.get("new").filename == "n.py"


# -- readers, writers and a store that is slow


@pytest.mark.parametrize("what", ["read", "write"])
def test_reading_a_row_never_waits_for_the_store(what: str) -> None:
    store = HeldUp(strategy=["a"], filename=["a.py"])
    table = StrategyTable(store)
    given = table.client_id_for("a", 1)
    store.hold(what)
    busy = beside(table.refresh if what == "read" else lambda: table.set_params("a", {"x": 1}))
    assert store.begun[what].wait(WAIT_S)
    seen: list[Any] = []
    reader = beside(lambda: seen.extend([table.get("a").filename, len(table.all()), table.client_id_for("a", 1)]))
    reader.join(WAIT_S)
    still = busy.is_alive()
    store.let(what)
    busy.join(WAIT_S)
    assert seen == ["a.py", 1, given] and still


def test_a_reading_that_began_before_a_write_does_not_bring_back_what_was_there_before() -> None:
    store = HeldUp(strategy=["a"], filename=["old.py"])
    table = StrategyTable(store)
    store.hold("read")
    reading = beside(table.refresh)
    assert store.begun["read"].wait(WAIT_S)
    writing = beside(lambda: table.upsert([StrategyRow(strategy="a", filename="new.py")]))
    store.let("read")
    reading.join(WAIT_S)
    writing.join(WAIT_S)
    assert table.get("a").filename == "new.py" == StrategyTable(store).get("a").filename


def test_rows_that_several_threads_write_at_once_are_all_there() -> None:
    store = HeldUp()
    table = StrategyTable(store)
    together = threading.Barrier(8)

    def write(i: int) -> None:
        together.wait(WAIT_S)
        for j in range(5):
            table.upsert([StrategyRow(strategy=f"s{i}", generation=j)])
            table.refresh()
            table.client_id_for(f"s{i}", 10)

    for thread in [beside(lambda i=i: write(i)) for i in range(8)]:  # type: ignore[misc]
        thread.join(WAIT_S)
    rows = StrategyTable(store).all()
    assert [(row.strategy, row.generation) for row in rows] == [(f"s{i}", 4) for i in range(8)]
    assert sorted(row.client_id for row in rows) == list(range(10, 18))


def test_a_row_is_made_from_what_the_store_has_in_that_moment() -> None:
    store = HeldUp(strategy=["a", "b"], equity=[1.0, 2.0], params=["", ""])
    table = StrategyTable(store)
    store.frame.loc[0, "equity"] = 77.0  # somebody else, and nobody has read it yet
    table.set_params("a", {"x": 1})
    assert (table.get("a").equity, table.get("a").params) == (77.0, '{"x": 1}')


def test_a_write_that_the_store_refuses_leaves_the_rows_as_they_are_in_it(store: Store, table: StrategyTable) -> None:
    table.upsert([StrategyRow(strategy="a", filename="a.py")])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoreError):
        patch.setattr(Store, "write", refuse)
        table.upsert([StrategyRow(strategy="a", filename="b.py")])
    assert table.get("a").filename == "a.py"


def refuse(*_: Any) -> None:
    raise StoreError("the store is away")


# -- client ids outlive the rows


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as journal:
        yield journal


def test_a_client_id_outlives_the_row_and_the_store(store: Store, journal: Journal) -> None:
    table = StrategyTable(store, client_ids=journal.client_ids)
    assert [table.client_id_for(name, 10) for name in ("a", "b")] == [10, 11]
    store.delete("general", "strategies")
    table = StrategyTable(store, client_ids=journal.client_ids)
    assert table.client_id_for("c", 10) == 12  # a and b have no row, and may run
    table.upsert([StrategyRow(strategy="b", generation=1)])
    assert (table.get("b").client_id, table.client_id_for("b", 10), table.client_id_for("a", 10)) == (11, 11, 10)


def test_a_journal_that_is_new_learns_the_client_ids_of_the_rows(store: Store, journal: Journal) -> None:
    StrategyTable(store).upsert([StrategyRow(strategy="a", client_id=7), StrategyRow(strategy="b")])
    table = StrategyTable(store, client_ids=journal.client_ids)
    store.delete("general", "strategies")
    table.refresh()
    assert (table.client_id_for("b", 1), table.client_id_for("a", 1)) == (8, 7)


def test_a_client_id_that_somebody_has_changed_in_the_row_is_not_taken_from_another(
    store: Store, journal: Journal
) -> None:
    table = StrategyTable(store, client_ids=journal.client_ids)
    ids = {name: table.client_id_for(name, 10) for name in ("a", "b")}
    frame = store.read("general", "strategies")
    copied = frame.iloc[[0]].assign(strategy="copy")  # with a's client id
    store.write("general", "strategies", pd.concat([frame.assign(client_id=10), copied], ignore_index=True))
    table.refresh()
    assert {name: table.client_id_for(name, 10) for name in ("a", "b")} == ids
    assert table.client_id_for("copy", 10) == 12
    table.upsert([replace(table.get("a"), enabled=False)])  # whatever other rows say
    assert [row.client_id for row in StrategyTable(store).all()] == [10, 11, 12]


def test_a_client_id_that_is_kept_does_not_need_the_store(
    store: Store, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = StrategyTable(store, client_ids=journal.client_ids)
    assert table.client_id_for("a", 10) == 10
    store.delete("general", "strategies")
    table.refresh()
    monkeypatch.setattr(Store, "write", refuse)
    assert table.client_id_for("a", 10) == 10


# -- what somebody else has written


def test_rows_that_no_strategy_can_have_are_left_alone_and_said_once(store: Store) -> None:
    names = ["a", "my strategy", "", None, "a/b", "x" * 65]
    store.write("general", "strategies", pd.DataFrame({"strategy": names, "note": list("uvwxyz"), "rank": range(6)}))
    told: list[str] = []
    table = StrategyTable(store, report=told.append)
    table.set_params("a", {"x": 1})
    table.upsert([StrategyRow(strategy="b")])
    assert [row.strategy for row in table.all()] == ["a", "b"]
    kept = store.read("general", "strategies").set_index("note")["strategy"]
    assert [kept[note] for note in "uvwxyz"] == names
    assert len(told) == 1 and "'my strategy'" in told[0] and "'a/b'" in told[0]
    with pytest.raises(ValueError, match="strategy name"):
        table.upsert([StrategyRow(strategy="my strategy")])


ODD = {
    "enabled": ["True", "maybe"], "client_id": ["3", "many"], "target_weight": ["0.25", "10 %"],
    "equity": [1e5, np.inf], "generation": ["1", "1" + "0" * 30], "updated_at": ["2024-03-01T15:30:00+00:00", "noon"],
}  # fmt: skip


@pytest.mark.parametrize("column", sorted(ODD))
def test_a_cell_of_another_kind_is_kept_and_takes_nothing_else_with_it(store: Store, column: str) -> None:
    store.write("general", "strategies", pd.DataFrame({"strategy": ["good", "odd"], column: ODD[column]}))
    table = StrategyTable(store)
    good, odd = table.get("good"), table.get("odd")
    assert good.misfits == {} and odd.misfits == {column: ODD[column][1]}
    assert getattr(good, column) == {
        "enabled": True, "client_id": 3, "target_weight": 0.25, "equity": 1e5, "generation": 1, "updated_at": NOW,
    }[column]  # fmt: skip
    assert getattr(odd, column) in (None, 0, False)
    table.set_params("good", {"x": 1})
    assert str(store.read("general", "strategies").set_index("strategy").loc["odd", column]) == str(ODD[column][1])
    again = StrategyTable(store)
    assert getattr(again.get("good"), column) in (getattr(good, column), again.get("good").updated_at)
    right = 9 if column == "client_id" else getattr(good, column)
    again.upsert([again.get("odd").saying(**{column: right})])
    assert StrategyTable(store).get("odd").misfits == {}


def test_an_empty_flag_in_a_row_of_a_file_is_not_what_was_written_there(store: Store) -> None:
    frame = pd.DataFrame({"strategy": ["a", "b"], "enabled": [np.nan, np.nan], "managed_by": ["runner", ""]})
    store.write("general", "strategies", frame)
    table = StrategyTable(store)
    assert (table.get("a").misfits, table.get("b").misfits, table.get("b").enabled) == ({"enabled": None}, {}, True)
