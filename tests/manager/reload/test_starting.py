"""What the runner starts with, when files, rows and journal are not what they were when it ended.

One runner is ended with a dozen strategies at work, things happen to their files and their rows, and it is started
again on the same market. Each of them is looked at by a test of its own.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from reload_blocks import with_touchy_block
from reload_support import RESTING, WAIT_S, Desk, One, store_away, write_row

from runner.model.annotations import Loosening
from runner.store.arctic_manager import get_ac

CAPPED = "{target_weight: 0.05, max_position_size: 0.6}"
LOOSER = "{target_weight: 0.05, max_position_size: 0.9}"
TIGHTER = "{target_weight: 0.05, max_position_size: 0.3}"
CALM_ONLY = "{use: fixed_weights, with: {weights: {CALM: 0.5}}}"
CALM_AND_FLAT = "{use: fixed_weights, with: {weights: {CALM: 0.5, FLAT: 0.5}}}"

HAND_WRITTEN = """
from runner.strategy.base_strategy import PARAMS, BaseStrategy


class HandStrategy(BaseStrategy):
    async def initialize_strategy(self):
        pass

    async def run_strategy(self):
        pass
"""

HOLDING = (
    "INVALID", "NOBASE", "GONEHOLD", "GONEFLAT", "HELDUP", "LOOSENED", "TIGHTENED", "SAME", "FAILING", "ROLLED",
    "STORED", "OVERRIDDEN", "REJECTED", "BACKHELD", "BACKWAITING", "BOTH",
)  # fmt: skip
"""Hold CALM and have an entry in FLAT working when the runner ends."""


def before(desk: Desk) -> None:
    desk.run_to_close()
    (desk.folder / "_base.yaml").write_text("params: {target_weight: 0.05, max_position_size: 0.6}\n")
    for name in HOLDING:
        extra = {"params": "", "extends": "_base.yaml"} if name == "NOBASE" else {}
        desk.write(name, **({"params": CAPPED, "sizing": CALM_ONLY} | extra))
    desk.write("EMPTY", universe="[SAW]", params="{target_weight: 0.05}", enabled="true", sizing="{use: equal_weight}",
               signals="{m: {use: momentum, with: {lookback: 1, threshold: 0.9}}}")  # fmt: skip
    desk.settle("EMPTY")
    desk.run_to("11:00")
    for name in HOLDING:
        desk.write(name, sizing=CALM_AND_FLAT, execution=RESTING)
    desk.write("GONEFLAT", on_remove="flatten")
    desk.settle("EMPTY")
    for name in HOLDING:
        desk.service.orders.approve(name, 2, actor="kim")  # more of FLAT than before
    desk.run_to("11:00")
    for name in HOLDING:
        one = One(desk, name)
        assert one.held.keys() == {"CALM"} and one.resting.keys() == {"FLAT"} and one.generation == 2, name
    orders = desk.service.orders
    desk.edit("HELDUP", params=LOOSER)
    desk.edit("REJECTED", params=LOOSER)
    orders.reject("REJECTED", 3, actor="kim", reason="no")
    desk.edit("ROLLED", params=TIGHTER)
    orders.rollback("ROLLED", 2, actor="kim")
    assert One(desk, "ROLLED").state == "held"
    orders.approve("ROLLED", 4, actor="kim")
    desk.edit("BACKHELD", params=TIGHTER)
    assert orders.rollback("BACKHELD", 2, actor="kim").value == "held"
    desk.edit("BACKWAITING", params=CAPPED.replace("{", "{take_profit: 0.9, "))
    with store_away():
        assert orders.rollback("BACKWAITING", 2, actor="kim", reason="too far").value == "waiting"
    with get_ac(desk.manager.config.store_uri) as store:
        write_row(store, "BOTH", params={"take_profit": 0.5})
    desk.edit("BOTH", params=CAPPED.replace("{", "{take_profit: 0.7, "))
    assert One(desk, "BOTH").condition("Drifted") == ("True", "Conflict")
    desk.edit("OVERRIDDEN", params=CAPPED)
    orders.override("OVERRIDDEN", "params.stop_loss", 0.2, lasts=timedelta(hours=5), actor="kim", reason="news")
    orders.override("OVERRIDDEN", "params.max_daily_trades", 3, lasts=timedelta(minutes=5), actor="kim", reason="")
    desk.manager.register_python("HAND", "hand.py")
    desk.run_to("11:30")


def meanwhile(desk: Desk) -> None:
    desk.path("INVALID").write_text(desk.path("INVALID").read_text() + "stop_losss: 0.1\n")
    (desk.folder / "_base.yaml").unlink()
    for name in ("GONEHOLD", "GONEFLAT", "EMPTY"):
        desk.path(name).unlink()
    desk.write("LOOSENED", params=LOOSER)
    desk.write("TIGHTENED", params=TIGHTER)
    desk.write("FAILING", signals="{hold: {use: touchy, with: {below: 60}}}")
    desk.write("NEWCOMER", params="{target_weight: 0.05}")
    desk.system.set(desk.system.now() + timedelta(minutes=10))
    with get_ac(desk.manager.config.store_uri) as store:
        write_row(store, "STORED", params={"max_position_size": 0.2, "max_daily_loss": 0.5, "risk_per_trade": 0.02})
        write_row(store, "HAND", params={"mine": 1}, equity=123.0)


@pytest.fixture(scope="module")
def desk(make_desk: Any, restart: Any) -> Desk:
    first: Desk = make_desk({"hand.py": HAND_WRITTEN}, loosening=Loosening.CONFIRM, catalog=with_touchy_block())
    first.begin()
    before(first)
    second: Desk = restart(first, meanwhile)
    second.engine.start()
    assert second.settles(lambda: second.engine.settled(WAIT_S))
    return second


@pytest.fixture
def one(desk: Desk, request: Any) -> One:
    return One(desk, request.param)


def named(name: str) -> Any:
    return pytest.mark.parametrize("one", [name], indirect=True)


@named("SAME")
def test_what_has_not_changed_runs_as_it_did(one: One) -> None:
    assert one.generation == 2 and one.phase == "Running" and one.resting.keys() == {"FLAT"}
    assert one.condition("Applied") == ("True", "Applied") and one.condition("Ready") == ("True", "Ready")
    assert one.condition("Drifted") == ("False", "InSync") and one.row["generations"] == dict.fromkeys(
        ("file", "store", "running"), 2
    )


@named("INVALID")
def test_a_file_that_cannot_be_used_runs_its_last_good_version_and_opens_nothing(desk: Desk, one: One) -> None:
    assert one.generation == 2 and one.phase == "Paused" and one.state == "refused"
    assert one.condition("Valid") == ("False", "Problems") and one.condition("Ready") == ("False", "ReduceOnly")
    assert one.text.startswith("S201 at ") and "stop_losss" in one.text
    assert one.resting == {} and one.held.keys() == {"CALM"}  # an entry is not wanted any more
    assert not desk.manager.may_open("INVALID")
    refused = desk.manager._broker_loop.call(one.runtime.instance.buy("FLAT", 5), WAIT_S)
    assert refused.control == "state"
    closed = desk.manager._broker_loop.call(one.runtime.instance.close_position("CALM"), WAIT_S)
    assert closed.request.purpose.value == "exit" and desk.settles(lambda: not one.held)
    desk.write("INVALID", **desk.sections["INVALID"])
    desk.settle("INVALID")
    assert one.phase == "Running" and one.condition("Ready") == ("True", "Ready") and one.generation == 2


@named("NOBASE")
def test_a_file_whose_base_is_gone_runs_its_last_good_version(desk: Desk, one: One) -> None:
    assert one.generation == 2 and one.phase == "Paused" and one.text.startswith("M431 at ")
    assert one.version.spec.params.max_position_size == 0.6  # as the base said
    (desk.folder / "_base.yaml").write_text("params: {target_weight: 0.05, max_position_size: 0.6}\n")
    desk.settle("NOBASE")
    assert one.phase == "Running" and one.generation == 2


@named("GONEHOLD")
def test_a_file_that_has_gone_leaves_its_positions_guarded(one: One) -> None:
    assert one.phase == "Held" and one.generation == 2 and one.held.keys() == {"CALM"} and one.resting == {}
    assert one.condition("Held") == ("True", "FileMissing") and one.condition("Valid") == ("Unknown", "FileMissing")
    assert one.stored.state == ""


@named("GONEHOLD")
def test_a_held_strategy_that_becomes_flat_ends_by_itself(desk: Desk, one: One) -> None:
    closed = desk.manager._broker_loop.call(one.runtime.instance.close_position("CALM"), WAIT_S)
    assert closed is not None
    assert desk.settles(lambda: one.stored.state == "removed")
    assert desk.engine.settled(WAIT_S)
    assert "GONEHOLD" not in {runtime.name for runtime in desk.manager.runtimes}
    assert (one.last.result.value, one.last.cause) == ("removed", "remove")
    assert desk.manager.journal.generations.running("GONEHOLD").generation == 2  # its history is readable


@named("GONEFLAT")
def test_a_file_that_has_gone_is_closed_when_it_said_so(desk: Desk, one: One) -> None:
    assert desk.settles(lambda: not one.held)
    exits = [intent for intent in one.orders if intent.request.purpose.value == "exit"]
    assert [(intent.request.reason, intent.generation) for intent in exits] == [("removed", 2)]
    assert desk.settles(lambda: one.stored.state == "removed")
    assert "GONEFLAT" not in {runtime.name for runtime in desk.manager.runtimes}


def test_a_file_that_has_gone_and_held_nothing_is_removed(desk: Desk) -> None:
    assert "EMPTY" not in desk.engine.tracks() and desk.manager.strategies.get("EMPTY").state == "removed"
    assert desk.manager.journal.generations.running("EMPTY") is not None


@named("HELDUP")
def test_what_was_held_is_held_again_and_what_ran_runs(desk: Desk, one: One) -> None:
    assert (one.state, one.generation, one.row["generations"]["file"]) == ("held", 2, 3)
    assert one.version.spec.params.max_position_size == 0.6 and one.phase == "Running"
    assert desk.service.orders.approve("HELDUP", 3, actor="kim").value == "applied"
    one.took_over("live", "looser")


@named("LOOSENED")
def test_what_was_loosened_while_nothing_ran_is_held(one: One) -> None:
    assert (one.state, one.generation, one.row["generations"]) == ("held", 2, {"file": 3, "store": 2, "running": 2})
    assert one.last.cause == "start" and one.version.spec.params.max_position_size == 0.6
    assert one.resting.keys() == {"FLAT"}


@named("TIGHTENED")
def test_what_was_tightened_while_nothing_ran_counts_from_the_start(one: One) -> None:
    assert (one.state, one.generation, one.stored.generation) == ("applied", 3, 3)
    assert (one.last.cause, one.last.direction) == ("start", "tighter")
    assert one.resting == {}  # beyond the new cap
    assert one.held.keys() == {"CALM"}


@named("NEWCOMER")
def test_a_new_file_begins(one: One) -> None:
    assert (one.state, one.generation, one.phase) == ("applied", 1, "Running")


@named("FAILING")
def test_a_version_that_does_not_come_to_run_gives_way_to_the_one_before(desk: Desk, one: One) -> None:
    assert desk.settles(lambda: one.state == "refused" and one.condition("Warm")[0] == "True")
    assert one.text.startswith(f"at {desk.shown('FAILING')}:5:11: ") and "division by zero" in one.text
    assert one.generation == 2 and one.phase == "Paused" and one.held.keys() == {"CALM"} and one.resting == {}
    assert one.version.spec.signals["hold"].name == "buy_and_hold" and one.stored.generation == 2
    desk.edit("FAILING", signals="{hold: {use: buy_and_hold}}")
    assert one.phase == "Running" and one.generation == 2 and one.condition("Ready") == ("True", "Ready")


@named("ROLLED")
def test_a_rolled_back_version_stays_until_the_file_is_edited(desk: Desk, one: One) -> None:
    assert one.generation == 4 and one.version.spec.params.max_position_size == 0.6
    assert one.condition("Applied") == ("False", "RolledBack")
    desk.edit("ROLLED", params="{target_weight: 0.05, max_position_size: 0.25}")
    one.took_over("live", "tighter")
    assert one.generation == 5


@named("BACKHELD")
def test_a_rollback_that_is_held_still_is(desk: Desk, one: One) -> None:
    assert (one.state, one.generation, one.row["generations"]["file"]) == ("held", 3, 4)
    assert desk.service.orders.approve("BACKHELD", 4, actor="kim").value == "applied"
    assert one.generation == 4 and one.version.spec.params.max_position_size == 0.6
    assert one.condition("Applied") == ("False", "RolledBack")


@named("BACKWAITING")
def test_a_rollback_that_had_to_wait_is_carried_on(one: One) -> None:
    assert (one.state, one.generation) == ("applied", 4) and one.version.spec.params.take_profit == 0
    assert (one.last.cause, one.last.actor, one.last.reason) == ("rollback", "kim", "too far")
    assert one.condition("Applied") == ("False", "RolledBack")


@named("STORED")
def test_a_cap_that_was_tightened_in_the_store_meanwhile_holds(desk: Desk, one: One) -> None:
    assert one.version.spec.params.max_position_size == 0.2 == one.runtime.params.max_position_size
    assert one.version.spec.params.max_daily_loss == 0.5
    assert one.condition("Drifted") == ("True", "StoreTightened")
    assert one.stored_params["max_position_size"] == 0.2 and one.resting == {}
    assert one.version.spec.params.risk_per_trade == 0.01 and one.stored_params["risk_per_trade"] == 0.02
    assert one.track.drift == "params.risk_per_trade 0.01 → 0.02"  # in vain, and not lost
    kept = {overlay.path: overlay.value for overlay in desk.manager.journal.generations.overlays("STORED")}
    assert kept == {"params.max_position_size": 0.2, "params.max_daily_loss": 0.5}


@named("BOTH")
def test_what_file_and_store_disagree_about_is_still_undecided(desk: Desk, one: One) -> None:
    assert one.condition("Drifted") == ("True", "Conflict")
    assert one.version.spec.params.take_profit == 0.0
    desk.edit("BOTH", params=CAPPED.replace("{", "{take_profit: 0.8, "))
    desk.service.orders.revert("BOTH", actor="kim")
    assert one.version.spec.params.take_profit == 0.8 and one.condition("Drifted")[0] == "False"


@named("OVERRIDDEN")
def test_temporary_values_go_on_and_end_in_their_time(desk: Desk, one: One) -> None:
    assert one.version.spec.params.stop_loss == 0.2
    assert desk.settles(lambda: one.version.spec.params.max_daily_trades == 0)  # its time was over
    assert [overlay.path for overlay in one.track.overlays] == ["params.stop_loss"]
    desk.later(5 * 3600)
    assert desk.settles(lambda: one.version.spec.params.stop_loss == 0.0)
    assert one.last.cause == "override" and one.last.reason == "its time is over"


@named("REJECTED")
def test_what_was_rejected_is_not_asked_for_again(one: One) -> None:
    assert (one.state, one.generation, one.condition("Applied")) == ("rejected", 2, ("False", "Rejected"))
    assert one.condition("Held") == ("False", "NothingHeld")


def test_rows_of_hand_written_strategies_are_never_touched(desk: Desk) -> None:
    desk.manager.strategies.refresh()
    row = desk.manager.strategies.get("HAND")
    assert (row.filename, row.managed_by, row.generation, row.equity) == ("hand.py", "", 0, 123.0)
    assert row.params_dict()["mine"] == 1
    assert "HAND" not in desk.engine.tracks()


def test_every_order_carries_the_version_that_sent_it(desk: Desk) -> None:
    one = One(desk, "LOOSENED")
    assert [intent.generation for intent in one.orders] == [] and one.held  # sent before the restart
    kept = desk.manager.journal.intents(strategy="LOOSENED")
    assert [record.intent.generation for record in kept] == [1, 2]
    fills = desk.manager.journal.executions("LOOSENED")
    assert {fill.generation for fill in fills if fill.order_ref == kept[0].intent.order_ref} == {1}


def test_many_missing_files_are_not_believed(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk()
    for name in ("FIRST", "SECOND", "THIRD"):
        first.write(name, params="{target_weight: 0.1}")
    (first.folder / "old.yaml").write_text(first.path("FIRST").read_text().replace("FIRST", "OLD"))
    first.begin()
    first.service.rescan(WAIT_S)
    (first.folder / "old.yaml").unlink()
    first.service.rescan(WAIT_S)
    assert first.manager.strategies.get("OLD").state == "removed"  # one at a time is believed

    def lose_two(desk: Desk) -> None:
        desk.path("FIRST").unlink()
        desk.path("SECOND").unlink()

    second: Desk = restart(first, lose_two)
    for name in ("FIRST", "SECOND"):
        one = One(second, name)
        assert one.phase == "Paused" and "looks like an accident" in one.runtime.reduce_only
        assert one.stored.state == ""
    assert One(second, "THIRD").phase == "Running"
    second.write("FIRST")
    second.settle("FIRST")
    assert One(second, "FIRST").phase == "Running"
    assert second.service.approve_deletions() == ["SECOND"]
    assert second.engine.settled(WAIT_S)
    assert {runtime.name for runtime in second.manager.runtimes} == {"FIRST", "THIRD"}


def test_one_file_of_many_that_were_ever_there_is_believed_to_be_gone(make_desk: Any, restart: Any) -> None:
    """Those that were removed long ago do not count among the missing."""
    first: Desk = make_desk()
    for i in range(4):
        first.write(f"OLD{i}", params="{target_weight: 0.05}")
    first.write("NEW", params="{target_weight: 0.05}")
    first.begin()
    for i in range(3):
        first.path(f"OLD{i}").unlink()
        first.service.rescan(WAIT_S)

    def lose_one(desk: Desk) -> None:
        desk.path("OLD3").unlink()

    second: Desk = restart(first, lose_one)
    assert {runtime.name for runtime in second.manager.runtimes} == {"NEW"}
    assert second.manager.strategies.get("OLD3").state == "removed"


def test_without_the_journal_the_store_still_knows_what_ran(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk(loosening=Loosening.CONFIRM)
    first.write("LOST", params=CAPPED)
    first.write("BROKEN", params=CAPPED)
    first.begin()
    for stop in (0.3, 0.2, 0.1):
        first.edit("LOST", params=f"{{target_weight: 0.05, max_position_size: 0.6, stop_loss: {stop}}}")
    assert One(first, "LOST").generation == 4

    def lose_journal(desk: Desk) -> None:
        for path in Path(desk.manager.config.state_dir).glob("journal*"):
            path.unlink()
        desk.write("LOST", params="{target_weight: 0.05, max_position_size: 0.9, stop_loss: 0.1}")
        desk.path("BROKEN").write_text(desk.path("BROKEN").read_text() + "x: 1\n")

    second: Desk = restart(first, lose_journal)
    lost, broken = One(second, "LOST"), One(second, "BROKEN")
    assert (lost.state, lost.generation, lost.row["generations"]["file"]) == ("held", 4, 5)  # it is known to loosen
    assert lost.version.spec.params.max_position_size == 0.6
    assert broken.phase == "Paused" and broken.generation == 1 and broken.text.startswith("S201 at ")
    second.edit("LOST", params="{target_weight: 0.05, max_position_size: 0.5, stop_loss: 0.1}")
    lost.took_over("live", "tighter")
    assert lost.generation == 6


def test_a_table_that_others_have_added_columns_to_is_kept(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk()
    first.write("ONE", params=CAPPED)
    first.begin()

    def add_column(desk: Desk) -> None:
        with get_ac(desk.manager.config.store_uri) as store:
            frame = store.read("general", "strategies")
            assert isinstance(frame, pd.DataFrame)
            store.write("general", "strategies", frame.assign(desk="rates"))

    second: Desk = restart(first, add_column)
    second.edit("ONE", params=TIGHTER)
    row = One(second, "ONE").stored
    assert (row.extra, row.generation) == ({"desk": "rates"}, 2)


def test_what_was_removed_while_the_store_was_away_stays_removed(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk()
    for name in ("AWAY1", "AWAY2", "STAYS"):
        first.write(name)
    first.begin()
    with store_away():
        first.remove("AWAY1")
        first.remove("AWAY2")
    second: Desk = restart(first)
    assert {runtime.name for runtime in second.manager.runtimes} == {"STAYS"}
    second.manager.strategies.refresh()
    assert {row.strategy: row.state for row in second.manager.strategies.all()} == {
        "AWAY1": "removed", "AWAY2": "removed", "STAYS": "",
    }  # fmt: skip


def test_what_was_removed_before_the_store_was_wiped_stays_removed(make_desk: Any, restart: Any) -> None:
    first: Desk = make_desk()
    for name in ("GONE1", "GONE2", "STAYS2"):
        first.write(name)
    first.begin()
    first.remove("GONE1")
    first.remove("GONE2")

    def wipe(desk: Desk) -> None:
        with get_ac(desk.manager.config.store_uri) as store:
            store.delete("general", "strategies")

    second: Desk = restart(first, wipe)
    assert {runtime.name for runtime in second.manager.runtimes} == {"STAYS2"}
