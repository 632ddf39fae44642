"""The file against the table of strategies, through the real store; and values that hold for a while in place of the
file's. Somebody else writes into the rows, as a dashboard would. Every test has a position in CALM open and an entry in
FLAT working."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from reload_support import WAIT_S, Desk, One, drop_row, store_away, write_row

from runner.errors import ConfigError, SpecError, StoreError
from runner.manager.reload.orders import NotDecided
from runner.manager.reload.verbs import ReloadVerbs
from runner.store.arctic_manager import get_ac
from runner.store.arctic_store import Store
from runner.store.strategies import REMOVED, StrategyRow


def params(**values: float) -> str:
    said = {"target_weight": 0.1, "max_position_size": 0.6, "max_daily_loss": 0.5} | values
    return "{" + ", ".join(f"{name}: {value}" for name, value in said.items()) + "}"


@pytest.fixture
def trading(desk: Desk, at_work: Any) -> Any:
    """`trading(name)` is at work, with the parameters above."""
    return lambda name: at_work(name, params=params())


def changed(desk: Desk, one: One, *, said: Any = None, **columns: Any) -> None:
    """Somebody writes into the row, and the runner looks at it."""
    write_row(desk.manager.store, one.name, params=said, **columns)
    assert desk.engine.in_place.compare_with_store(WAIT_S)


async def drift_of(desk: Desk, one: One) -> list[dict[str, Any]]:
    found = await ReloadVerbs(desk.service).drift({"name": one.name})
    return list(found["drift"])


# -- the table of file and store, row by row


async def test_nothing_was_changed(desk: Desk, trading: Any) -> None:
    one = trading("INSYNC")
    before, reloads = one.stored, len(one.reloads)
    assert desk.engine.in_place.compare_with_store(WAIT_S)
    assert one.stored == before and len(one.reloads) == reloads
    assert one.condition("Drifted") == ("False", "InSync") and await drift_of(desk, one) == []


async def test_the_file_was_changed(desk: Desk, trading: Any) -> None:
    one = trading("FILE")
    desk.edit("FILE", params=params(max_position_size=0.5))
    one.took_over("live", "tighter")
    assert one.stored_params["max_position_size"] == 0.5 and await drift_of(desk, one) == []


async def test_a_cap_that_is_tightened_in_the_store_is_honoured_at_once(desk: Desk, trading: Any) -> None:
    one = trading("TIGHT")
    held, orders = one.held, one.orders
    changed(desk, one, said={"max_position_size": 0.3})
    assert one.runtime.params.max_position_size == 0.3 == one.version.spec.params.max_position_size
    assert desk.settles(lambda: not one.resting) and one.held == held
    assert (one.last.result.value, one.last.cause, one.last.reason) == (
        "applied", "store", "params.max_position_size 0.3",
    )  # fmt: skip
    assert one.condition("Drifted") == ("True", "StoreTightened") and one.condition("Applied") == ("True", "Applied")
    assert await drift_of(desk, one) == [
        {
            "strategy": "TIGHT", "path": "params.max_position_size", "file": 0.6, "store": 0.3,
            "direction": "tighter", "in_force": "store", "in_force_value": 0.3, "problem": "",
        }
    ]  # fmt: skip
    number = one.generation
    assert desk.engine.in_place.compare_with_store(WAIT_S) and one.generation == number
    desk.edit("TIGHT", description="Another word.")
    assert one.runtime.params.max_position_size == 0.3  # until somebody decides about it
    desk.run_to("11:00")
    assert [(row[0], row[2], row[4]) for row in one.since(orders)] == [("FLAT", "capped", number)]
    changed(desk, one, said={"max_position_size": 0.9})  # a looser one is not applied, and takes nothing back
    (row,) = await drift_of(desk, one)
    assert (row["store"], row["direction"], row["in_force"], row["in_force_value"]) == (0.9, "looser", "store", 0.3)
    assert one.runtime.params.max_position_size == 0.3


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("LOOSE", {"max_position_size": 0.9}, "params.max_position_size 0.6 → 0.9"),
        ("OFFCAP", {"max_daily_loss": 0}, "params.max_daily_loss 0.5 → 0"),
        ("NEUTRAL", {"take_profit": 0.5}, "params.take_profit 0 → 0.5"),
        ("TEXT", {"stop_loss": "5%"}, "params.stop_loss 0 → 5% (not a number)"),
        ("UNIVERSE", {"universe": "SAW"}, "universe CALM,FLAT → SAW (the universe is changed in the file)"),
        ("BEYOND", {"max_daily_loss": -1}, "params.max_daily_loss 0.5 → -1 (max_daily_loss"),
        ("MISFIT", {"max_weight": 0.05}, "params.max_weight 1 → 0.05"),
        ("GARBAGE", "not json", "params  → not json (not a JSON object)"),
    ],
)
async def test_what_is_looser_or_cannot_be_used_is_shown_and_not_applied(
    desk: Desk, trading: Any, name: str, said: Any, told: str
) -> None:
    one = trading(name)
    version, reloads, held, resting = one.version, len(one.reloads), one.held, one.resting
    changed(desk, one, said=said)
    assert one.version is version and one.runtime.params == version.spec.params
    assert (one.held, one.resting) == (held, resting)
    assert one.condition("Drifted") == ("True", "StoreIgnored") and one.track.drift.startswith(told)
    assert (one.last.result.value, one.last.text) == ("drifted", f"not applied: {one.track.drift}")
    assert desk.engine.in_place.compare_with_store(WAIT_S)
    assert len(one.reloads) == reloads + 1  # said once
    assert [row["in_force"] for row in await drift_of(desk, one)] == ["file"]

    before = one.stored.params
    desk.edit(name, description="Another word.")  # writes the row
    if isinstance(said, dict):
        (path,) = said
        assert one.stored_params[path] == said[path]
    else:
        assert one.stored.params == before
    assert one.condition("Drifted") == ("True", "StoreIgnored")


def test_both_changed_to_the_same_is_in_sync(desk: Desk, trading: Any) -> None:
    one = trading("AGREE")
    write_row(desk.manager.store, "AGREE", params={"max_position_size": 0.4})
    desk.edit("AGREE", params=params(max_position_size=0.4))
    assert desk.engine.in_place.compare_with_store(WAIT_S)
    assert one.runtime.params.max_position_size == 0.4 and one.track.overlays == ()
    assert one.condition("Drifted") == ("False", "InSync")


@pytest.mark.parametrize(
    ("name", "in_file", "in_store", "runs"),
    [
        ("STORETIGHTER", {"max_position_size": 0.5}, {"max_position_size": 0.3}, 0.3),
        ("FILETIGHTER", {"max_position_size": 0.3}, {"max_position_size": 0.9}, 0.3),
        ("FILELOOSER", {"max_position_size": 0.9}, {"max_position_size": 0.3}, 0.3),
        ("BOTHLOOSER", {"max_position_size": 0.7}, {"max_position_size": 0.9}, 0.7),
    ],
)
async def test_both_changed_to_different_caps_runs_the_tighter(
    desk: Desk, trading: Any, name: str, in_file: dict[str, float], in_store: dict[str, float], runs: float
) -> None:
    one = trading(name)
    write_row(desk.manager.store, name, params=in_store)
    desk.manager.strategies.refresh()
    desk.edit(name, params=params(**in_file))
    assert one.runtime.params.max_position_size == one.version.spec.params.max_position_size == runs
    assert one.condition("Drifted") == ("True", "Conflict")
    assert one.stored_params["max_position_size"] == in_store["max_position_size"]
    assert "params.max_position_size" in one.last.text
    (row,) = await drift_of(desk, one)
    assert (row["file"], row["store"]) == (in_file["max_position_size"], in_store["max_position_size"])
    desk.edit(name, description="Another word.")
    assert one.condition("Drifted") == ("True", "Conflict")  # until somebody decides

    assert desk.service.orders.revert(name, actor="kim").value in ("applied", "unchanged")
    assert one.runtime.params.max_position_size == in_file["max_position_size"]
    assert one.stored_params["max_position_size"] == in_file["max_position_size"]
    assert one.condition("Drifted") == ("False", "InSync")


async def test_both_tightened_and_the_file_more_leaves_nothing_to_decide(desk: Desk, trading: Any) -> None:
    one = trading("MORESO")
    write_row(desk.manager.store, "MORESO", params={"max_position_size": 0.5})
    desk.manager.strategies.refresh()
    desk.edit("MORESO", params=params(max_position_size=0.3))
    assert one.runtime.params.max_position_size == 0.3 == one.stored_params["max_position_size"]
    assert one.condition("Drifted") == ("False", "InSync") and await drift_of(desk, one) == []


def test_both_changed_where_neither_is_tighter_keeps_what_runs(desk: Desk, trading: Any) -> None:
    one = trading("STAYS")
    write_row(desk.manager.store, "STAYS", params={"take_profit": 0.3})
    desk.manager.strategies.refresh()
    desk.edit("STAYS", params=params(take_profit=0.2))
    assert one.version.spec.params.take_profit == 0.0 and one.condition("Drifted") == ("True", "Conflict")
    assert one.stored_params["take_profit"] == 0.3
    desk.service.orders.adopt("STAYS", actor="kim")
    desk.settle("STAYS")
    assert one.version.spec.params.take_profit == 0.3 and one.condition("Drifted") == ("False", "InSync")


def test_a_change_that_comes_between_reading_and_writing_the_table_is_not_lost(desk: Desk, trading: Any) -> None:
    """The runner writes whole tables. What others have written meanwhile, in this row or another, must be in it."""
    one = trading("WRITER")
    desk.manager.strategies.upsert([StrategyRow(strategy="BYHAND", filename="mine.py", params="{}")])
    write_row(desk.manager.store, "BYHAND", equity=77.0, params={"mine": 1})
    write_row(desk.manager.store, "WRITER", params={"max_position_size": 0.2}, equity=5_000_000.0)
    desk.edit("WRITER", params=params(max_daily_trades=9))
    desk.manager.strategies.refresh()
    other = desk.manager.strategies.get("BYHAND")
    assert (other.equity, other.params_dict(), other.filename) == (77.0, {"mine": 1}, "mine.py")
    assert one.stored.equity == 5_000_000.0
    assert desk.engine.in_place.compare_with_store(WAIT_S)
    assert one.runtime.params.max_position_size == 0.2 and one.runtime.params.max_daily_trades == 9


def test_the_row_of_a_file_that_is_gone_is_kept(desk: Desk, begin: Any) -> None:
    one = begin("ENDED", params=params())
    write_row(desk.manager.store, "ENDED", equity=9.0)
    desk.remove("ENDED")
    row = one.stored
    assert (row.state, row.managed_by, row.generation, row.equity) == ("removed", "runner", 1, 9.0)
    assert desk.engine.in_place.compare_with_store(WAIT_S)
    assert one.stored.state == "removed"
    desk.write("ENDED")
    again = desk.settle("ENDED")
    assert (again.stored.state, again.generation, again.stored.equity) == ("", 2, 9.0)


def test_a_row_that_was_deleted_is_written_again(desk: Desk, trading: Any) -> None:
    one = trading("WIPED")
    before, version = one.stored, one.version
    drop_row(desk.manager.store, "WIPED")
    assert desk.engine.in_place.compare_with_store(WAIT_S)
    row = one.stored
    assert (row.params, row.generation, row.spec_hash) == (before.params, 2, before.spec_hash)
    assert one.version is version and "row of WIPED was missing" in one.notices[-1].text
    assert one.condition("Synced") == ("True", "Stored") and one.condition("Drifted") == ("False", "InSync")


def test_a_strategy_that_is_switched_off_in_the_store_is_off(desk: Desk, trading: Any) -> None:
    one = trading("SWITCH")
    held = one.held
    changed(desk, one, enabled=False)
    assert desk.settles(lambda: not one.resting) and one.held == held
    assert one.condition("Ready") == ("False", "Disabled") and one.condition("Drifted") == ("True", "StoreTightened")
    changed(desk, one, enabled=True)  # taken back where it was made
    assert one.condition("Ready") == ("True", "Ready") and one.condition("Drifted") == ("False", "InSync")


def test_a_weight_may_be_lowered_in_its_column(desk: Desk, trading: Any) -> None:
    one = trading("COLUMN")
    changed(desk, one, target_weight=0.04)
    assert one.version.spec.params.target_weight == 0.04 == one.stored_params["target_weight"]
    assert one.condition("Drifted") == ("True", "StoreTightened")


# -- what ends a tightening of the store


def test_adopted_it_is_in_the_file_with_every_comment_where_it_was(desk: Desk, trading: Any) -> None:
    one = trading("ADOPT")
    path = desk.path("ADOPT")
    text = "# by the desk\n" + path.read_text().replace("max_position_size: 0.6", "max_position_size:   0.6")
    path.write_text(text + "# the end\n")
    desk.settle("ADOPT")
    changed(desk, one, said={"max_position_size": 0.3, "risk_per_trade": 0.02})
    written, skipped = desk.service.orders.adopt("ADOPT", ("params.max_position_size",), actor="kim")
    assert (written, skipped) == (["params.max_position_size 0.6 → 0.3"], [])
    assert path.read_text() == text.replace("max_position_size:   0.6", "max_position_size:   0.3") + "# the end\n"
    desk.settle("ADOPT")
    assert one.track.overlays == () and one.version.spec.params.max_position_size == 0.3
    assert one.track.applied.params.max_position_size == 0.3
    assert one.condition("Drifted") == ("True", "StoreIgnored")  # the other one is still to be decided about
    assert one.track.drift == "params.risk_per_trade 0.01 → 0.02"
    desk.service.orders.adopt("ADOPT", actor="kim")
    desk.settle("ADOPT")
    assert one.version.spec.params.risk_per_trade == 0.02 and one.condition("Drifted") == ("False", "InSync")
    with pytest.raises(NotDecided, match="the store says nothing about ADOPT"):
        desk.service.orders.adopt("ADOPT", actor="kim")


def test_what_would_make_the_file_wrong_is_not_adopted(desk: Desk, begin: Any) -> None:
    one = begin("WRONGED", params=params(max_weight=0.2))
    text = desk.path("WRONGED").read_text()
    changed(desk, one, said={"target_weight": 0.5, "max_position_size": 0.3}, target_weight=0.5)
    words = (
        r"0\.1 → 0\.5 cannot be adopted, the file was left as it is: M401 at .*wronged\.yaml:.* above max_weight 0\.2"
    )
    with pytest.raises(SpecError, match=words) as caught:
        desk.service.orders.adopt("WRONGED", actor="kim")
    assert caught.value.hint == "name the fields to adopt, or put the file's values back: runner revert WRONGED"
    assert desk.path("WRONGED").read_text() == text and one.track.announced is None
    desk.service.orders.adopt("WRONGED", ("params.max_position_size",), actor="kim")
    assert "max_position_size: 0.3" in desk.path("WRONGED").read_text()


def test_what_the_store_does_not_say_cannot_be_adopted(desk: Desk, begin: Any) -> None:
    one = begin("UNSAID", params=params())
    adopt = desk.service.orders.adopt
    with pytest.raises(NotDecided, match=r"says nothing about params\.stop_loss of UNSAID that could be") as caught:
        adopt("UNSAID", ("params.stop_loss",), actor="kim")
    assert caught.value.hint == "runner drift UNSAID shows what it says"
    changed(desk, one, said={"max_position_size": 0.3, "stop_loss": "much"})
    with pytest.raises(
        NotDecided, match=r"about params\.stop_loss of UNSAID that could be adopted: not a num"
    ) as caught:
        adopt("UNSAID", ("params.max_position_size", "params.stop_loss"), actor="kim")
    assert caught.value.hint == "it does about params.max_position_size"
    assert "max_position_size: 0.6" in desk.path("UNSAID").read_text()


async def test_drift_of_a_name_that_nothing_has_names_those_there_are(desk: Desk, begin: Any) -> None:
    begin("DRIFTS")
    with pytest.raises(ConfigError, match=r"there is no YAML strategy called 'DRIFT' \(known: .*DRIFTS"):
        await ReloadVerbs(desk.service).drift({"name": "DRIFT"})


def test_reverted_the_file_says_what_runs_and_the_store_says_so_too(desk: Desk, trading: Any) -> None:
    one = trading("REVERT")
    changed(desk, one, said={"max_position_size": 0.3, "risk_per_trade": 0.02})
    assert desk.service.orders.revert("REVERT", actor="kim", reason="over").value == "applied"
    assert (one.last.cause, one.last.actor, one.last.reason) == ("store", "kim", "over")
    assert one.runtime.params.max_position_size == 0.6
    assert (one.stored_params["max_position_size"], one.stored_params["risk_per_trade"]) == (0.6, 0.01)
    assert desk.engine.in_place.compare_with_store(WAIT_S)
    assert one.runtime.params.max_position_size == 0.6 and one.condition("Drifted") == ("False", "InSync")


def test_without_the_store_nothing_is_reverted(desk: Desk, trading: Any) -> None:
    one = trading("NOSTORE")
    changed(desk, one, said={"max_position_size": 0.3})
    with store_away(), pytest.raises(StoreError):
        desk.service.orders.revert("NOSTORE", actor="kim")
    assert one.runtime.params.max_position_size == 0.3 and one.condition("Drifted") == ("True", "StoreTightened")


@pytest.mark.parametrize(("name", "in_file", "runs"), [("EDITDOWN", 0.2, 0.2), ("EDITUP", 0.5, 0.3)])
def test_an_edit_of_the_field_ends_it_unless_it_is_looser(
    desk: Desk, trading: Any, name: str, in_file: float, runs: float
) -> None:
    one = trading(name)
    changed(desk, one, said={"max_position_size": 0.3})
    desk.edit(name, params=params(max_position_size=in_file))
    assert one.runtime.params.max_position_size == runs
    assert bool(one.track.overlays) is (runs == 0.3)


def test_tightened_again_and_taken_back_in_the_store(desk: Desk, trading: Any) -> None:
    one = trading("AGAIN2")
    for said, runs in ((0.3, 0.3), (0.2, 0.2), (0.4, 0.4), (0.9, 0.4), (0.6, 0.6)):
        changed(desk, one, said={"max_position_size": said})
        assert one.runtime.params.max_position_size == runs
    assert one.track.overlays == () and one.condition("Drifted") == ("False", "InSync")


# -- temporary values


def override(desk: Desk, name: str, path: str, value: Any, minutes: float = 5, reason: str = "news") -> str:
    lasts = timedelta(minutes=minutes)
    return desk.service.orders.override(name, path, value, lasts=lasts, actor="kim", reason=reason).value


def test_a_temporary_value_holds_for_its_time_and_goes_back_by_itself(desk: Desk, trading: Any) -> None:
    one = trading("WHILE")
    held, resting = one.held, one.resting
    assert override(desk, "WHILE", "params.max_position_size", 0.3) == "applied"
    assert (one.generation, one.runtime.params.max_position_size) == (3, 0.3)
    assert desk.settles(lambda: not one.resting) and one.held == held and resting
    assert (one.last.cause, one.last.actor, one.last.reason) == ("override", "kim", "news")
    (shown,) = one.row["overrides"]
    assert (shown["path"], shown["value"], shown["source"], shown["actor"]) == (
        "params.max_position_size", 0.3, "override", "kim",
    )  # fmt: skip
    assert one.stored_params["max_position_size"] == 0.3 and one.condition("Drifted") == ("False", "InSync")
    assert one.condition("Applied") == ("True", "Applied")
    desk.later(4 * 60)
    assert one.runtime.params.max_position_size == 0.3
    desk.later(61)
    assert one.runtime.params.max_position_size == 0.6 == one.stored_params["max_position_size"]
    assert (one.last.cause, one.last.reason, one.row["overrides"]) == ("override", "its time is over", [])
    assert desk.manager.journal.generations.overlays("WHILE") == []


MISFITS: list[tuple[str, Any, str, str]] = [
    ("enabled", "no", "enabled cannot be no: it must be true or false", "write false"),
    ("enabled", "On", "enabled cannot be On: it must be true or false", "write true"),
    ("enabled", 0, "enabled cannot be 0: it must be true or false", "write true or false"),
    ("params.max_weight", 7, "params.max_weight cannot be 7: max_weight must be at most 1, not 7", ""),
    ("params.min_weight", -0.1, "min_weight must be at least 0, not -0.1", ""),
    ("params.target_weight", "much", 'target_weight must be a number, not "much"', ""),
    ("params.stop_loss", True, "params.stop_loss cannot be true: stop_loss must be a number", ""),
    ("params.stop_loss", None, "stop_loss must be a number", ""),
    ("params.max_daily_trades", 1.5, "max_daily_trades must be a whole number, not 1.5", ""),
    ("params.max_position_size", 10**400, "params.max_position_size cannot be 1000", ""),
    ("params.stop_los", 0.1, "params.stop_los cannot be overridden", "did you mean params.stop_loss?"),
    ("params.universe", "CALM", "params.universe cannot be overridden", "enabled and params.… can: min_weight, "),
    ("signals.hold", 1, "signals.hold cannot be overridden", "enabled and params.… can: min_weight, "),
]


def test_a_temporary_value_that_the_field_cannot_have_is_refused(desk: Desk, begin: Any) -> None:
    one = begin("MISTYPED")
    for path, value, words, hint in MISFITS:
        with pytest.raises((SpecError, ConfigError)) as caught:
            override(desk, "MISTYPED", path, value)
        assert words in caught.value.message and caught.value.hint.startswith(hint), caught.value
    assert one.track.overlays == () and desk.manager.journal.generations.overlays("MISTYPED") == []
    assert one.generation == 1 and one.runtime.enabled


def test_a_weight_may_be_overridden_whatever_its_neighbours_have_by_default(desk: Desk, begin: Any) -> None:
    one = begin("NARROW", params=params(target_weight=0.01, min_weight=0.005))
    orders, hour = desk.service.orders, timedelta(hours=1)
    assert orders.override("NARROW", "params.max_weight", 0.02, lasts=hour, actor="kim", reason="").value == "applied"
    assert one.version.spec.params.max_weight == 0.02


def test_a_temporary_value_is_restored_before_its_time(desk: Desk, trading: Any) -> None:
    one = trading("RESTORE")
    override(desk, "RESTORE", "params.max_position_size", 0.3)
    override(desk, "RESTORE", "enabled", False)
    assert one.phase == "Paused"
    desk.service.orders.restore("RESTORE", "enabled", actor="kim")
    assert one.phase == "Running" and one.runtime.params.max_position_size == 0.3
    desk.service.orders.restore("RESTORE", None, actor="kim", reason="over")
    assert one.runtime.params.max_position_size == 0.6 and one.last.reason == "over"
    with pytest.raises(NotDecided, match="nothing holds in place of the file"):
        desk.service.orders.restore("RESTORE", None, actor="kim")


def test_an_edit_of_the_field_ends_a_temporary_value_and_one_of_another_does_not(desk: Desk, trading: Any) -> None:
    one = trading("OTHER")
    override(desk, "OTHER", "params.max_position_size", 0.3)
    desk.edit("OTHER", params=params(max_daily_trades=9))
    assert (one.runtime.params.max_position_size, one.runtime.params.max_daily_trades) == (0.3, 9)
    desk.edit("OTHER", params=params(max_daily_trades=9, max_position_size=0.5))
    assert one.runtime.params.max_position_size == 0.5 and one.track.overlays == ()


def test_a_temporary_value_that_a_new_version_does_not_fit_refuses_it(desk: Desk, trading: Any) -> None:
    one = trading("UNFIT")
    override(desk, "UNFIT", "params.target_weight", 0.4)
    row = desk.plan("UNFIT", params=params(max_weight=0.3))
    assert row["action"] == "refuse" and "params.target_weight 0.4 (override)" in row["problems"][0]
    desk.edit("UNFIT", params=params(max_weight=0.3))
    assert one.state == "refused" and "target_weight 0.4 is above max_weight 0.3" in one.text
    assert one.version.spec.params.target_weight == 0.4 and one.condition("Applied") == ("False", "Refused")
    desk.later(301)
    assert one.version.spec.params.target_weight == 0.1
    desk.edit("UNFIT", description="Once more.")
    assert one.state == "applied" and one.version.spec.params.max_weight == 0.3


def test_a_temporary_value_that_cannot_be_stored_is_not_half_there(desk: Desk, trading: Any) -> None:
    one = trading("HALF")
    with store_away(), pytest.raises(NotDecided, match="it cannot be done now: the store is not there"):
        override(desk, "HALF", "params.max_position_size", 0.9)  # looser: it is written down first
    assert one.runtime.params.max_position_size == 0.6 and one.track.overlays == ()
    assert desk.manager.journal.generations.overlays("HALF") == []
    with store_away():
        assert override(desk, "HALF", "params.max_position_size", 0.3) == "applied"  # tighter: it is in force first
    assert one.runtime.params.max_position_size == 0.3 and one.condition("Synced")[0] == "False"
    desk.later(6)
    assert one.stored_params["max_position_size"] == 0.3 and one.condition("Synced")[0] == "True"


def test_the_end_of_a_temporary_value_waits_for_the_store(desk: Desk, trading: Any) -> None:
    one = trading("ENDWAITS")
    override(desk, "ENDWAITS", "params.max_position_size", 0.3)
    with store_away():
        desk.later(301)
        assert one.runtime.params.max_position_size == 0.3 and one.row["overrides"]
    desk.later(60)
    assert one.runtime.params.max_position_size == 0.6 and one.row["overrides"] == []


def test_a_tighter_edit_is_not_held_up_by_the_end_of_a_temporary_value_that_waits(desk: Desk, trading: Any) -> None:
    one = trading("NOTHELD")
    override(desk, "NOTHELD", "params.max_daily_trades", 3)
    with store_away():
        desk.later(301)
        tries = one.track.waiting.tries
        for _ in range(5):
            desk.engine.look()
            assert desk.engine.settled(WAIT_S)
        assert one.track.waiting.tries == tries  # not before its time
        desk.edit("NOTHELD", params=params(max_position_size=0.3))
        assert one.version.spec.params.max_position_size == 0.3 and one.state == "applied"
        assert one.version.spec.params.max_daily_trades == 3
    desk.later(60)
    assert one.version.spec.params.max_daily_trades == 0 and one.stored_params["max_position_size"] == 0.3


def test_somebody_tightens_in_the_store_what_was_overridden(desk: Desk, trading: Any) -> None:
    one = trading("OVERSTORE")
    override(desk, "OVERSTORE", "params.max_position_size", 0.4)
    changed(desk, one, said={"max_position_size": 0.2})
    assert one.runtime.params.max_position_size == 0.2
    assert [(overlay.source, overlay.value) for overlay in one.track.overlays] == [("store", 0.2)]
    desk.later(301)
    assert one.runtime.params.max_position_size == 0.2


# -- a store that is slow, wiped or full of what nobody can have meant


def test_a_store_that_does_not_answer_keeps_nobody_waiting(
    desk: Desk, trading: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trading("SLOW")
    asked, answer, read = threading.Event(), threading.Event(), Store.read

    def slow(self: Store, *names: str, **arguments: Any) -> Any:
        asked.set()
        assert answer.wait(WAIT_S)
        return read(self, *names, **arguments)

    monkeypatch.setattr(Store, "read", slow)
    comparing = threading.Thread(target=desk.engine.in_place.read_rows)
    comparing.start()
    try:
        assert asked.wait(WAIT_S)
        sized = threading.Event()
        desk.manager.broker_loop.call_soon_threadsafe(lambda: (one.runtime.instance.get_equity(), sized.set()))
        assert sized.wait(WAIT_S)  # orders go on
        desk.write("SLOW", params=params(max_position_size=0.2))
        desk.engine.wish(desk.look_at_files())
        assert one.runtime.params.max_position_size == 0.2  # and so do the caps
        assert comparing.is_alive()
    finally:
        answer.set()
        comparing.join(WAIT_S)
    assert desk.engine.settled(WAIT_S)
    assert one.stored_params["max_position_size"] == 0.2


def test_a_row_that_is_written_again_has_the_client_id_that_its_strategy_runs_with(desk: Desk, begin: Any) -> None:
    one = begin("IDENTITY", params=params())
    given = {runtime.client_id for runtime in desk.manager.runtimes}
    drop_row(desk.manager.store, "IDENTITY")
    assert desk.engine.in_place.compare_with_store(WAIT_S)
    assert one.stored.client_id == one.runtime.client_id
    new = begin("NEXTONE", params=params())
    assert new.phase == "Running" and new.runtime.client_id not in given


def test_a_store_that_is_wiped_and_spoilt_rows_cost_no_strategy_its_start_or_its_client_id(
    make_desk: Any, restart: Any
) -> None:
    first: Desk = make_desk()
    for name in ("ONE", "TWO", "THREE"):
        first.write(name, params=params())
    first.begin()
    ids = {runtime.name: runtime.client_id for runtime in first.manager.runtimes}

    def spoil(desk: Desk) -> None:
        with get_ac(desk.manager.config.store_uri) as store:
            write_row(store, "ONE", params='{"max_position_size": 1' + "0" * 400 + "}")
            write_row(store, "TWO", params="not json")

    second: Desk = restart(first, spoil)
    assert {runtime.name: runtime.phase.value for runtime in second.manager.runtimes} == dict.fromkeys(ids, "Running")
    assert One(second, "ONE").condition("Drifted") == ("True", "StoreIgnored") and One(second, "TWO").track.drift
    second.edit("THREE", params=params(max_position_size=0.2))
    assert One(second, "THREE").runtime.params.max_position_size == 0.2

    def wipe(desk: Desk) -> None:
        desk.write("FOUR", params=params())
        with get_ac(desk.manager.config.store_uri) as store:
            store.delete("general", "strategies")

    third: Desk = restart(second, wipe)
    again = {runtime.name: runtime.client_id for runtime in third.manager.runtimes}
    assert again.pop("FOUR") not in ids.values() and again == ids


def test_a_row_whose_name_no_strategy_can_have_stops_nobody_and_is_said_once(desk: Desk, begin: Any) -> None:
    one = begin("GOOD", params=params())
    store, seen = desk.manager.store, len(one.desk.running.events)
    frame = store.read("general", "strategies")
    strange = frame[frame["strategy"] == "GOOD"].assign(managed_by="", equity=5.0)
    table = pd.concat([frame, strange.assign(strategy="my strategy"), strange.assign(strategy="")])
    store.write("general", "strategies", table.reset_index(drop=True))
    desk.edit("GOOD", params=params(max_position_size=0.5))
    one.took_over("live", "tighter")
    desk.edit("GOOD", params=params(max_position_size=0.4))
    kept = store.read("general", "strategies").set_index("strategy")["equity"]
    assert (kept["my strategy"], kept[""]) == (5.0, 5.0)
    desk.running.settle()
    told = [event for event in desk.running.events[seen:] if getattr(event, "code", "") == "store"]
    assert len(told) == 1 and "'my strategy'" in told[0].text


def test_what_is_removed_while_the_store_is_away_is_marked_with_the_next_write(desk: Desk, begin: Any) -> None:
    rows, one = desk.engine.carrier.rows, begin("LEFT", params=params())
    with store_away():
        desk.remove("LEFT")
        assert rows.is_removed("LEFT") and not rows.remark()
    assert one.stored.state == ""
    begin("AFTER", params=params())
    assert one.stored.state == REMOVED and rows.remark()

    with store_away():
        desk.remove("AFTER")
    assert rows.remark()
    assert One(desk, "AFTER").stored.state == REMOVED


def test_what_is_removed_is_known_without_its_row_until_it_runs_again(desk: Desk, begin: Any) -> None:
    rows = desk.engine.carrier.rows
    begin("LOST", params=params())
    assert not rows.is_removed("LOST")
    desk.remove("LOST")
    drop_row(desk.manager.store, "LOST")
    desk.manager.strategies.refresh()
    assert rows.is_removed("LOST")
    desk.write("LOST")
    desk.settle("LOST")
    assert not rows.is_removed("LOST") and One(desk, "LOST").stored.state == ""


def test_the_row_knows_what_is_removed_when_the_journal_does_not(desk: Desk, begin: Any) -> None:
    rows, generations = desk.engine.carrier.rows, desk.manager.journal.generations
    begin("ROWKNOWS", params=params())
    desk.remove("ROWKNOWS")
    generations.restore("ROWKNOWS")  # a journal from before it kept that
    assert rows.is_removed("ROWKNOWS")
