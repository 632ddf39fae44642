"""What is kept of versions: going back to one, looking at them, and who did what and why, in the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from reload_support import RESTING, Desk, One, params, store_away

from runner.errors import ConfigError, SpecError
from runner.manager.reload.history import blame_view, diff_view, history_view
from runner.manager.reload.orders import NotDecided
from runner.manager.reload.plan import plan_view
from runner.manager.reload.verbs import ReloadVerbs
from runner.model.annotations import Loosening
from runner.spec.files import ChangedMeanwhile
from runner.store.arctic_manager import get_ac
from runner.store.journal import Journal

# -- going back


def test_a_rollback_puts_the_old_version_in_force_under_a_new_number(desk: Desk, at_work: Any) -> None:
    one = at_work("BACK2", params=params())
    held, resting, orders = one.held, one.resting, one.orders
    desk.edit("BACK2", params=params(stop_loss=0.1))
    desk.edit("BACK2", params=params(stop_loss=0.2))
    assert desk.service.orders.rollback("BACK2", 3, actor="kim", reason="too wide").value == "applied"
    assert one.generation == 5 == one.stored.generation and one.version.spec.params.stop_loss == 0.1
    assert (one.last.apply, one.last.direction) == ("live", "tighter")
    assert (one.last.cause, one.last.actor, one.last.reason) == ("rollback", "kim", "too wide")
    assert (one.held, one.resting, one.since(orders)) == (held, resting, [])
    assert "its file says something else" in one.notices[-1].text


def test_the_file_is_set_aside_by_a_rollback_until_it_is_edited(desk: Desk, begin: Any) -> None:
    one = begin("ASIDE", params=params(stop_loss=0.1))
    desk.edit("ASIDE", params=params(stop_loss=0.2))
    desk.service.orders.rollback("ASIDE", 1, actor="kim")
    desk.engine.observing.observe(one.track)
    assert one.condition("Applied") == ("False", "RolledBack") and one.condition("Ready") == ("True", "Ready")
    desk.path("ASIDE").touch()
    desk.settle("ASIDE")
    desk.engine.schedule("ASIDE")
    assert desk.engine.settled(5) and one.generation == 3 and one.version.spec.params.stop_loss == 0.1
    desk.edit("ASIDE", params=params(stop_loss=0.15))
    assert one.version.spec.params.stop_loss == 0.15 and one.condition("Applied") == ("True", "Applied")
    desk.edit("ASIDE", params=params(stop_loss=0.2))  # it was put aside once, and counts again
    assert one.version.spec.params.stop_loss == 0.2


def test_going_back_to_what_the_file_says_has_the_file_count_again(desk: Desk, begin: Any) -> None:
    one = begin("AGAIN", params=params(stop_loss=0.1))
    desk.edit("AGAIN", params=params(stop_loss=0.2))
    desk.service.orders.rollback("AGAIN", 1, actor="kim")
    assert desk.service.orders.rollback("AGAIN", 2, actor="kim").value == "applied"
    assert one.generation == 4 and one.version.spec.params.stop_loss == 0.2
    assert one.condition("Applied") == ("True", "Applied") and one.track.superseded == ""


def test_a_rollback_that_is_refused_leaves_the_file_as_it_was(desk: Desk, begin: Any) -> None:
    one = begin("NOTBACK", params=params(min_weight=0.08))
    desk.edit("NOTBACK", params=params(min_weight=0.01))
    day = timedelta(days=1)
    desk.service.orders.override("NOTBACK", "params.target_weight", 0.05, lasts=day, actor="kim", reason="news")
    running = one.generation
    assert desk.service.orders.rollback("NOTBACK", 1, actor="kim").value == "refused"
    assert one.generation == running and one.track.superseded == ""
    assert one.version.spec.params.min_weight == 0.01 and one.version.spec.params.target_weight == 0.05
    assert desk.service.orders.restore("NOTBACK", None, actor="kim").value == "applied"
    assert one.version.spec.params.min_weight == 0.01 and one.version.spec.params.target_weight == 0.1
    desk.edit("NOTBACK", params=params(min_weight=0.02))
    assert one.version.spec.params.min_weight == 0.02 and one.condition("Applied") == ("True", "Applied")


def test_a_rollback_into_the_file_goes_the_way_of_an_edit(desk: Desk, begin: Any) -> None:
    one = begin("INTO", params=params(stop_loss=0.1))
    text = desk.path("INTO").read_text()
    desk.edit("INTO", params=params(stop_loss=0.2))
    assert desk.service.orders.rollback_file("INTO", 1, actor="kim") == desk.path("INTO")
    assert desk.path("INTO").read_text() == text
    desk.settle("INTO")
    one.took_over("live", "tighter")
    assert (one.last.cause, one.last.actor, one.last.reason) == ("rollback", "kim", "back to generation 1")
    assert one.generation == 3 and one.condition("Applied") == ("True", "Applied")


def test_a_text_that_would_say_something_else_today_is_not_written_back(desk: Desk, begin: Any) -> None:
    base = desk.folder / "_moved.yaml"
    base.write_text("params: {target_weight: 0.1, max_position_size: 0.3}\n")
    one = begin("BASED", params="", extends="_moved.yaml")
    base.write_text("params: {target_weight: 0.1, max_position_size: 0.2}\n")
    desk.settle("BASED")
    text = desk.path("BASED").read_text()
    assert one.generation == 2
    orders = desk.service.orders
    with pytest.raises(SpecError, match=r"than that version: params\.max_position_size 0\.3 → 0\.2") as caught:
        orders.rollback_file("BASED", 1, actor="kim")
    assert caught.value.hint == f"edit {desk.folder.name}/_moved.yaml, or roll back without --file"
    assert desk.path("BASED").read_text() == text and one.track.announced is None
    base.unlink()
    with pytest.raises(SpecError, match=f"with the text of BASED@1 it would be refused: M431 at {desk.shown('BASED')}"):
        orders.rollback_file("BASED", 1, actor="kim")
    base.write_text("params: {target_weight: 0.1, max_position_size: 0.3}\n")
    desk.edit("BASED", extends="_moved.yaml", params="{stop_loss: 0.1}")
    orders.rollback_file("BASED", 1, actor="kim")
    assert desk.path("BASED").read_text() == text


def test_a_rollback_into_the_file_loses_no_edit_that_nobody_has_seen(desk: Desk, begin: Any) -> None:
    begin("UNSEEN", params=params(stop_loss=0.1))
    desk.edit("UNSEEN", params=params(stop_loss=0.2))
    path = desk.write("UNSEEN", params=params(stop_loss=0.3))
    text = path.read_text()
    with pytest.raises(ChangedMeanwhile, match="was changed by somebody else meanwhile; it was left as it is"):
        desk.service.orders.rollback_file("UNSEEN", 1, actor="kim")
    assert path.read_text() == text
    desk.settle("UNSEEN")
    desk.service.orders.rollback_file("UNSEEN", 1, actor="kim")
    assert "stop_loss: 0.1" in path.read_text()


def test_a_version_that_is_known_from_the_store_alone_has_no_text_to_write_back(desk: Desk, begin: Any) -> None:
    one = begin("TEXTLESS", params=params())
    generations = desk.manager.journal.generations
    known = generations.get("TEXTLESS", one.generation)
    lost = generations.add(replace(known, source="")).generation
    text = desk.path("TEXTLESS").read_text()
    with pytest.raises(SpecError, match=f"the text of TEXTLESS@{lost} is not known, only what it came to"):
        desk.service.orders.rollback_file("TEXTLESS", lost, actor="kim")
    assert desk.path("TEXTLESS").read_text() == text


def test_a_plan_says_that_a_file_is_set_aside_and_counts_it_for_nothing(desk: Desk, begin: Any) -> None:
    begin("PUTBY", params=params(stop_loss=0.1))
    desk.edit("PUTBY", params=params(stop_loss=0.2))
    desk.service.orders.rollback("PUTBY", 1, actor="kim")
    plan = plan_view(desk.engine, desk.look_at_files(), ["PUTBY"])
    (row,) = plan["strategies"]
    assert (plan["changes"], row["action"]) == (0, "aside")
    assert row["why"] == "rolled back to generation 3; the file counts again when it is edited"
    assert [(one["path"], one["old"], one["new"]) for one in row["changes"]] == [("params.stop_loss", 0.1, 0.2)]
    assert "effect" not in row
    assert desk.plan("PUTBY", params=params(stop_loss=0.15))["action"] == "apply"


def test_a_rollback_waits_for_the_store_like_any_other_change(desk: Desk, begin: Any) -> None:
    one = begin("BACKSTORE", params=params(stop_loss=0.2))
    desk.edit("BACKSTORE", params=params(stop_loss=0.1))
    with store_away():
        assert desk.service.orders.rollback("BACKSTORE", 1, actor="kim").value == "waiting"
        assert one.version.spec.params.stop_loss == 0.1
    desk.later(2)
    assert one.version.spec.params.stop_loss == 0.2 and one.condition("Applied") == ("False", "RolledBack")


@pytest.mark.parametrize(("generation", "words"), [(9, "there is no generation 9"), (2, "there is no generation 2")])
def test_only_a_version_that_could_run_can_be_gone_back_to(desk: Desk, begin: Any, generation: int, words: str) -> None:
    name = f"NOWAY{generation}"
    begin(name, params=params())
    desk.edit(name, params=params(max_position_size=-1))  # generation 2, refused
    with pytest.raises(NotDecided, match=words):
        desk.service.orders.rollback(name, generation, actor="kim")


def test_a_rollback_that_loosens_is_held_and_can_be_approved_or_rejected(make_desk: Any) -> None:
    desk: Desk = make_desk(loosening=Loosening.CONFIRM)
    desk.begin()
    one = desk.edit("HELDBACK", params=params())
    desk.edit("HELDBACK", params=params(max_position_size=0.5))
    orders = desk.service.orders
    assert orders.rollback("HELDBACK", 1, actor="kim").value == "held"
    assert (one.state, one.generation, one.row["generations"]["file"]) == ("held", 2, 3)
    assert orders.reject("HELDBACK", 3, actor="kim").value == "rejected"
    assert one.condition("Applied") == ("True", "Applied") and one.version.spec.params.max_position_size == 0.5
    assert orders.rollback("HELDBACK", 1, actor="kim").value == "held"
    assert orders.approve("HELDBACK", 4, actor="lee", reason="agreed").value == "applied"
    assert one.version.spec.params.max_position_size == 0.6 and one.generation == 4
    assert one.condition("Applied") == ("False", "RolledBack") and one.condition("Held") == ("False", "NothingHeld")


# -- looking


@pytest.fixture(scope="module")
def kept(desk: Desk) -> Journal:
    """The journal of a strategy with six versions, two of which never ran."""
    desk.edit("KEPT", params=params(stop_loss=0.1))
    desk.edit("KEPT", params=params(stop_loss=0.2))
    desk.path("KEPT").write_text(desk.path("KEPT").read_text() + "nonsense: 1\n")
    desk.settle("KEPT")
    desk.edit("KEPT", universe="[CALM, FLAT, NOSUCH]")
    desk.edit("KEPT", universe="[CALM, FLAT]", execution=RESTING, params=params(stop_loss=0.1))
    desk.service.orders.rollback("KEPT", 2, actor="kim", reason="tried out")
    journal: Journal = desk.manager.journal
    return journal


def test_history_has_every_version_with_what_became_of_it(kept: Journal) -> None:
    found = history_view(kept, "KEPT", limit=20)
    assert found["running"] == 6
    rows = [(row["generation"], row["state"], row["cause"], row["apply"]) for row in found["generations"]]
    assert rows == [
        (6, "applied", "rollback", "live"),
        (5, "applied", "edit", "live"),
        (4, "refused", "edit", "resubscribe"),
        (3, "refused", "edit", ""),
        (2, "applied", "edit", "live"),
        (1, "applied", "edit", "meta"),
    ]
    newest, *_, refused, _, _ = found["generations"]
    assert (newest["actor"], newest["reason"]) == ("kim", "tried out")
    assert newest["changes"] == ["params.stop_loss 0.1 → 0.2", "execution.order limit → market",
                                 "execution.limit_offset_bps -100 → 0"]  # fmt: skip
    assert refused["text"].startswith("S201 at ") and refused["file"] == "kept.yaml"
    assert all(row["actor"] and row["seen_at"] and row["state_at"] for row in found["generations"])
    assert len(history_view(kept, "KEPT", limit=2)["generations"]) == 2


def test_diff_says_what_two_versions_say_differently(kept: Journal) -> None:
    found = diff_view(kept, "KEPT", 1, 5)
    assert [(row["path"], row["old"], row["new"]) for row in found["changes"]] == [
        ("execution.order", None, "limit"),
        ("execution.limit_offset_bps", None, -100),
    ]
    assert "+execution: {order: limit, limit_offset_bps: -100}" in found["text"].splitlines()
    assert diff_view(kept, "KEPT", 2, 6)["changes"] == []


def test_blame_names_the_versions_that_changed_a_field(kept: Journal) -> None:
    found = blame_view(kept, "KEPT", "params.stop_loss")
    assert [(row["generation"], row["old"], row["new"]) for row in found["changes"]] == [
        (1, None, 0.1), (2, 0.1, 0.2), (5, 0.2, 0.1), (6, 0.1, 0.2),
    ]  # fmt: skip
    assert (found["value"], found["changes"][-1]["cause"]) == (0.2, "rollback")
    with pytest.raises(ConfigError, match=r"says anything about params\.stop_los") as caught:
        blame_view(kept, "KEPT", "params.stop_los")
    assert caught.value.hint == "did you mean params.stop_loss?"
    with pytest.raises(ConfigError, match="says anything about colour") as caught:
        blame_view(kept, "KEPT", "colour")
    assert caught.value.hint.startswith("they say: bars.history, bars.size, ")


def test_a_version_that_there_is_not_is_refused_with_the_newest_there_is(kept: Journal) -> None:
    with pytest.raises(ConfigError, match=r"there is no generation 7 of KEPT \(the newest is 6\)"):
        diff_view(kept, "KEPT", 1, 7)
    with pytest.raises(ConfigError, match="called 'KEBT' was ever seen") as caught:
        history_view(kept, "KEBT", limit=1)
    assert caught.value.hint == "did you mean KEPT?"


@pytest.mark.parametrize("view", [lambda j: history_view(j, "NEVER", limit=9), lambda j: diff_view(j, "NEVER", 1, 2),
                                  lambda j: blame_view(j, "NEVER", "params")])  # fmt: skip
def test_a_strategy_that_nobody_has_seen_is_named(kept: Journal, view: Any) -> None:
    with pytest.raises(ConfigError, match="no version of a strategy called 'NEVER' was ever seen"):
        view(kept)


async def test_status_and_metrics_show_file_store_and_running_side_by_side(desk: Desk, kept: Journal) -> None:
    one = One(desk, "KEPT")
    assert one.row["generations"] == {"file": 6, "store": 6, "running": 6}
    assert [condition["type"] for condition in one.row["conditions"]] == [
        "Valid", "Synced", "Applied", "Warm", "Connected", "Ready", "Drifted", "Held",
    ]  # fmt: skip
    for condition in one.row["conditions"]:
        assert condition.keys() == {
            "type", "status", "reason", "message", "last_transition", "observed_generation",
        }  # fmt: skip
        assert condition["last_transition"].startswith(str(desk.system.now().year))  # not the market's 2012
        assert condition["observed_generation"] == 6
    text = (await ReloadVerbs(desk.service).metrics({}))["text"]
    assert 'runner_spec_generation{strategy="KEPT",stage="running"} 6' in text
    assert 'runner_spec_last_reload_success{strategy="KEPT"} 0' in text  # its file says something else


# -- in the store


def test_the_store_has_who_did_what_and_why_and_the_version_of_every_order_and_fill(make_desk: Any) -> None:
    desk: Desk = make_desk(loosening=Loosening.CONFIRM)
    desk.begin()
    desk.run_to_close()
    desk.edit("AUDITED", params=params(), execution="{order: market}")
    desk.run_to("11:00")
    desk.edit("AUDITED", params=params(max_position_size=0.3), sizing="{use: equal_weight, with: {gross: 0.5}}")
    desk.edit("AUDITED", params=params(max_position_size=0.9))
    desk.service.orders.approve("AUDITED", 3, actor="lee", reason="agreed")
    desk.edit("AUDITED", params=params(max_position_size=-1))
    desk.edit("AUDITED", params=params(max_position_size=0.9, max_weight=0.11))
    desk.run_to("11:00")
    desk.close()
    desk.manager.close()

    with get_ac(desk.manager.config.store_uri) as store:
        audit, orders, fills = (store.read(library, "AUDITED") for library in ("audit", "orders", "fills"))
    assert audit is not None and orders is not None and fills is not None
    told = audit[["result", "generation", "running", "cause", "direction"]].values.tolist()
    assert told == [
        ["applied", 1, 1, "edit", ""],
        ["applied", 2, 2, "edit", "tighter"],
        ["held", 3, 2, "edit", "looser"],
        ["applied", 3, 3, "approve", "looser"],
        ["refused", 4, 3, "edit", ""],
        ["applied", 5, 5, "edit", "tighter"],
    ]
    assert audit["actor"].tolist()[3] == "lee" and all(audit["actor"])
    assert audit["reason"].tolist()[3] == "agreed"
    assert audit["changes"].tolist()[3] == "params.max_position_size 0.3 → 0.9"
    assert audit["text"].tolist()[4].startswith("S204 at ") and set(audit["file"]) == {"audited.yaml"}
    assert audit["spec_hash"].tolist()[2] == audit["spec_hash"].tolist()[3] != ""
    assert audit.index.is_monotonic_increasing
    by_reason = orders[orders["event"] == "order"].groupby("reason")["generation"].agg(set).to_dict()
    assert by_reason == {"enter": {1}, "rebalance": {5}}
    assert set(fills["generation"]) == {1, 5} and len(fills) == 4
    assert set(orders["generation"]) == {1, 5}  # every state of them too
