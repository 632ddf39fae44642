"""Where changes that let a strategy risk more need an approval: what is held, what is not, and what becomes of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from reload_support import WAIT_S, Desk, One, params, store_away

from runner.errors import ConfigError, ExitCode, RunnerError
from runner.manager.reload.kept_plan import content_id
from runner.manager.reload.orders import NotDecided
from runner.manager.reload.plan import StalePlan, check_fresh, plan_view
from runner.manager.reload.verbs import ReloadVerbs
from runner.model.annotations import Loosening


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


@pytest.fixture(scope="module")
def desk(make_desk: Any) -> Desk:
    """As `desk`, for a live account."""
    found: Desk = make_desk(plugins=("reload_hooks",), loosening=Loosening.CONFIRM)
    found.begin()
    return found


@pytest.fixture
def trading(desk: Desk, begin: Any) -> Any:
    """`trading(name, …)` holds CALM and FLAT."""

    def start(name: str, **sections: str) -> One:
        one: One = begin(name, **({"params": params()} | sections))
        desk.run_to("11:00")
        assert one.held.keys() == {"CALM", "FLAT"}
        return one

    return start


@pytest.mark.parametrize(
    ("name", "edit", "held"),
    [
        ("HCAP", {"params": params(max_position_size=0.9)}, "loosens params.max_position_size 0.6 → 0.9"),
        ("HOFF", {"params": params(max_position_size=0)}, "loosens params.max_position_size 0.6 → 0"),
        ("HSYM", {"universe": "[CALM, FLAT, SAW]"}, "loosens universe.symbols[SAW] – → {sec_type: STK"),
        ("HHOOK", {"hooks": "{before_orders: reload_hooks:half}"}, "loosens hooks.before_orders – → reload_hooks:half"),
        ("HMIXED", {"params": params(max_position_size=0.9, stop_loss=0.01)}, "loosens params.max_position_size 0.6"),
        ("HSAYS", {"reload": "{loosening: auto}"}, "loosens reload.loosening – → auto"),
        ("TSAYS", {"reload": "{loosening: confirm}"}, ""),
        ("TCAP", {"params": params(max_position_size=0.5)}, ""),
        ("TSTOP", {"params": params(stop_loss=0.1)}, ""),
        ("TSYM", {"universe": "[CALM]"}, ""),
        ("TOFF", {"enabled": "false"}, ""),
        ("NTAKE", {"params": params(take_profit=0.5)}, ""),
        ("NSIGNAL", {"signals": "{up: {use: buy_and_hold}}"}, ""),
        ("NTAGS", {"tags": "[x]"}, ""),
    ],
)
def test_only_what_loosens_is_held(desk: Desk, begin: Any, name: str, edit: dict[str, str], held: str) -> None:
    one = begin(name, params=params())
    version = one.version
    desk.edit(name, **edit)
    if not held:
        assert one.last.result.value in ("applied", "unchanged") and one.condition("Held") == ("False", "NothingHeld")
        return
    assert (one.state, one.last.result.value, one.generation) == ("held", "held", 1)
    assert one.version is version and one.text.startswith(held)
    assert one.last.text.endswith(f": runner approve {name}@2")
    assert one.condition("Held") == ("True", "Loosening") and one.condition("Applied") == ("False", "Held")
    assert one.condition("Ready") == ("True", "Ready")
    assert (one.stored.generation, one.row["generations"]) == (1, {"file": 2, "store": 1, "running": 1})


BY_STOP = "{use: risk_per_trade, with: {max_leverage: 10}}"
DAY = "{calendar: XNYS, flatten_at: close-5m}"


@pytest.mark.parametrize(
    ("name", "before", "edit", "held"),
    [
        ("XSIZE", {"sizing": "{use: equal_weight, with: {gross: 0.2}}"},
         {"sizing": "{use: volatility_target, with: {annual_vol: 5, max_leverage: 10, window: 2}}"},
         "loosens sizing.use equal_weight → volatility_target"),
        ("XCALM", {"sizing": "{use: equal_weight}"},
         {"sizing": "{use: fixed_weights, with: {weights: {CALM: 0.5, FLAT: 0.1}}}"}, ""),
        ("XLIB", {"universe": "[CALM]"}, {"universe": "{library: everything}"},
         "loosens universe.library – → everything"),
        ("XSTOP", {"sizing": BY_STOP, "params": params(stop_loss=0.1)}, {"params": params(stop_loss=0.01)},
         "loosens params.stop_loss 0.1 → 0.01"),
        ("XNIGHT", {"schedule": DAY}, {"schedule": "{calendar: XNYS}"}, "loosens schedule.flatten_at close-5m → –"),
        ("XSHORT", {"signals": "{up: {use: sma_cross, with: {fast: 1, slow: 2}}}"},
         {"signals": "{up: {use: sma_cross, with: {fast: 1, slow: 2, allow_short: true}}}"},
         "loosens signals.up.with.allow_short false → true"),
    ],
)  # fmt: skip
def test_what_can_come_to_more_is_held(
    desk: Desk, begin: Any, name: str, before: dict[str, str], edit: dict[str, str], held: str
) -> None:
    one = begin(name, **({"params": params()} | before))
    version = one.version
    desk.edit(name, **edit)
    if held:
        assert (one.state, one.generation) == ("held", 1) and one.version is version
        assert one.text.startswith(held)
    else:
        one.took_over("rebuild", "neutral")


def test_an_approved_version_runs_and_says_who_let_it(desk: Desk, trading: Any) -> None:
    one = trading("YES")
    orders = one.orders
    desk.edit("YES", params=params(max_position_size=0.9))
    with pytest.raises(NotDecided, match="YES@1 is not what is held: YES@2 is"):
        desk.service.orders.approve("YES", 1, actor="kim")
    assert desk.service.orders.approve("YES", 2, actor="kim", reason="agreed").value == "applied"
    one.took_over("live", "looser")
    assert (one.last.cause, one.last.actor, one.last.reason) == ("approve", "kim", "agreed")
    assert one.stored_params["max_position_size"] == 0.9 and one.since(orders) == []
    with pytest.raises(NotDecided, match="nothing of YES is held"):
        desk.service.orders.approve("YES", 2, actor="kim")
    desk.edit("YES", params=params(max_position_size=1.2))
    assert (one.state, one.generation) == ("held", 2)  # one approval is of one version


def test_a_rejected_version_stays_so_until_the_file_is_edited(desk: Desk, trading: Any) -> None:
    one = trading("NO")
    desk.edit("NO", params=params(max_position_size=0.9))
    assert desk.service.orders.reject("NO", 2, actor="kim", reason="too much").value == "rejected"
    assert (one.state, one.text, one.condition("Applied")) == ("rejected", "too much", ("False", "Rejected"))
    assert one.condition("Held") == ("False", "NothingHeld")
    desk.engine.schedule("NO")
    assert desk.engine.settled(WAIT_S) and one.state == "rejected"
    orders = desk.service.orders
    orders.override("NO", "params.max_daily_trades", 7, lasts=minutes(5), actor="kim", reason="")
    assert desk.engine.settled(WAIT_S)
    assert one.generation == 3 and one.condition("Applied") == ("False", "Rejected")  # the order is of another thing
    desk.edit("NO", params=params(max_position_size=0.8))
    assert (one.state, one.row["generations"]["file"]) == ("held", 4)


def test_a_later_edit_takes_the_place_of_a_held_one(desk: Desk, trading: Any) -> None:
    one = trading("EDITED")
    desk.edit("EDITED", params=params(max_position_size=0.9))
    desk.edit("EDITED", params=params(max_position_size=0.8))
    assert (one.state, one.row["generations"]["file"], one.generation) == ("held", 3, 1)
    with pytest.raises(NotDecided, match="EDITED@2 is not what is held: EDITED@3 is"):
        desk.service.orders.approve("EDITED", 2, actor="kim")
    desk.edit("EDITED", params=params(max_position_size=0.5))
    one.took_over("live", "tighter")  # that needs nobody
    states = [generation.state.value for generation in desk.manager.journal.generations.history("EDITED", 9)]
    assert states == ["applied", "replaced", "replaced", "applied"]

    desk.edit("EDITED", params=params(max_position_size=0.9))
    desk.edit("EDITED", params=params(max_position_size=0.5))
    assert (one.last.result.value, one.condition("Held"), one.condition("Applied")) == (
        "unchanged", ("False", "NothingHeld"), ("True", "Applied"),
    )  # fmt: skip
    desk.edit("EDITED", params=params(max_position_size=0.9))
    desk.edit("EDITED", params=params(max_position_size=-1))
    assert one.state == "refused" and one.condition("Held") == ("False", "NothingHeld")


def test_a_mixed_edit_is_held_as_a_whole_and_approved_as_a_whole(desk: Desk, trading: Any) -> None:
    one = trading("MIXED")
    desk.edit("MIXED", params=params(max_position_size=0.9, stop_loss=0.1), tags="[x]", description="More of it.")
    assert one.state == "held"
    assert one.runtime.params.stop_loss == 0.0 == one.version.spec.params.stop_loss
    assert one.track.applied.description == "" and one.stored_params["stop_loss"] == 0.0
    assert desk.service.orders.approve("MIXED", 2, actor="kim").value == "applied"
    spec = one.version.spec
    assert (spec.params.max_position_size, spec.params.stop_loss, spec.tags) == (0.9, 0.1, ("x",))


def test_a_temporary_value_leaves_what_is_held_to_be_decided(desk: Desk, trading: Any) -> None:
    one = trading("BOTH")
    desk.edit("BOTH", params=params(max_position_size=0.9))
    orders = desk.service.orders
    assert orders.override("BOTH", "params.stop_loss", 0.2, lasts=minutes(5), actor="kim", reason="").value == "applied"
    assert desk.engine.settled(WAIT_S)
    assert (one.state, one.generation, one.runtime.params.stop_loss) == ("held", 3, 0.2)
    newest = one.row["generations"]["file"]
    assert newest == 2 and desk.service.orders.approve("BOTH", newest, actor="kim", reason="fine").value == "applied"
    assert one.generation == 4  # what runs has a larger number than what ran before
    history = desk.manager.journal.generations.history("BOTH", 9)
    assert [(v.generation, v.state.value, v.cause, v.text) for v in history[:3]] == [
        (4, "applied", "approve", "approved by kim: fine"),
        (3, "applied", "override", ""),
        (2, "replaced", "edit", "put in force under a later number"),
    ]
    assert (one.version.spec.params.max_position_size, one.version.spec.params.stop_loss) == (0.9, 0.2)
    desk.edit("BOTH", params=params(max_position_size=0.9, max_daily_trades=3))
    with pytest.raises(RunnerError, match=r"this loosens params\.max_daily_trades") as caught:
        orders.override("BOTH", "params.max_daily_trades", 9, lasts=minutes(5), actor="kim", reason="")
    assert caught.value.exit_code is ExitCode.HELD


def test_an_approval_waits_for_the_store_and_does_not_have_to_be_given_again(desk: Desk, trading: Any) -> None:
    one = trading("LATER2")
    desk.edit("LATER2", params=params(max_position_size=0.9))
    with store_away():
        assert desk.service.orders.approve("LATER2", 2, actor="kim").value == "waiting"
        assert one.generation == 1
    desk.later(2)
    one.took_over("live", "looser")


def test_an_approval_that_could_not_be_carried_out_is_not_one_of_the_next_edit(desk: Desk, trading: Any) -> None:
    one = trading("SPENT")
    desk.edit("SPENT", universe="[CALM, FLAT, NOSUCH]")
    assert desk.service.orders.approve("SPENT", 2, actor="kim").value == "refused"
    desk.edit("SPENT", universe="[CALM, FLAT, SAW]")
    assert (one.state, one.generation) == ("held", 1)


def test_a_plan_shows_what_would_be_held_and_applying_it_approves_it(desk: Desk, trading: Any) -> None:
    one = trading("PLANNED")
    row = desk.plan("PLANNED", params=params(max_position_size=0.9))
    assert (row["action"], row["direction"], row["why"]) == (
        "hold", "looser", "loosens params.max_position_size 0.6 → 0.9",
    )  # fmt: skip
    assert row["effect"]["orders"] == []
    desk.edit("PLANNED", params=params(max_position_size=0.9))
    plan = plan_view(desk.engine, desk.look_at_files(), ["PLANNED"])
    assert check_fresh(desk.engine, desk.look_at_files(), plan) == ["PLANNED"]
    desk.write("PLANNED", params=params(max_position_size=0.95))
    with pytest.raises(StalePlan, match="the file of PLANNED has changed since the plan was made"):
        check_fresh(desk.engine, desk.look_at_files(), plan)
    desk.write("PLANNED", params=params(max_position_size=0.9))
    assert desk.service.orders.apply_now("PLANNED", actor="kim").value == "applied"
    one.took_over("live", "looser")
    with pytest.raises(StalePlan, match="PLANNED runs generation 2 now"):
        check_fresh(desk.engine, desk.look_at_files(), plan)


# -- kept plans


def kept(desk: Desk, *names: str) -> dict[str, Any]:
    """A plan as it comes back from its file."""
    found: dict[str, Any] = json.loads(json.dumps(plan_view(desk.engine, desk.look_at_files(), names)))
    return found


async def carry_out(desk: Desk, plan: Any) -> dict[str, Any]:
    """As `runner apply FILE` does."""
    return await ReloadVerbs(desk.service).apply({"plan": plan, "actor": "kim"})


def saved_before_the_look(desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, **sections: str) -> None:
    """Somebody saves the file when the plan has been found to be fresh, and before the files are looked at."""
    rescan = desk.service.rescan

    def later(timeout_s: float) -> bool:
        desk.write(name, **sections)
        return rescan(timeout_s)

    monkeypatch.setattr(desk.service, "rescan", later)


async def test_a_plan_approves_nothing_that_was_saved_after_it_was_checked(
    desk: Desk, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = begin("SHOWN", params=params()), begin("OTHER", params=params())
    for name in ("SHOWN", "OTHER"):
        desk.edit(name, params=params(max_position_size=0.7))
    plan = kept(desk, "SHOWN", "OTHER")
    saved_before_the_look(desk, monkeypatch, "SHOWN", params=params(max_position_size=9))
    with pytest.raises(StalePlan, match="SHOWN: its file has changed since the plan was made; done: OTHER") as caught:
        await carry_out(desk, plan)
    assert caught.value.exit_code is ExitCode.STALE_PLAN
    assert (one.state, one.runtime.params.max_position_size) == ("held", 0.6)
    assert other.runtime.params.max_position_size == 0.7


async def test_a_plan_is_stale_when_another_version_came_to_run_before_its_turn(
    desk: Desk, begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = begin("RAN", params=params())
    desk.edit("RAN", params=params(max_position_size=0.5))
    desk.edit("RAN", params=params(max_position_size=0.7))
    plan = kept(desk, "RAN")
    rescan = desk.service.rescan

    def later(timeout_s: float) -> bool:
        desk.service.orders.override(
            "RAN", "params.stop_loss", 0.1, lasts=minutes(5), actor="lee", reason="at the same time"
        )
        return rescan(timeout_s)

    monkeypatch.setattr(desk.service, "rescan", later)
    with pytest.raises(StalePlan, match="RAN: generation 4 runs now; the plan was made when 2 did"):
        await carry_out(desk, plan)
    assert (one.state, one.runtime.params.max_position_size) == ("held", 0.5)


async def test_what_was_rejected_after_a_plan_was_made_is_not_approved_by_it(desk: Desk, begin: Any) -> None:
    one = begin("SAIDNO", params=params())
    desk.edit("SAIDNO", params=params(max_position_size=0.7))
    plan = kept(desk, "SAIDNO")
    desk.service.orders.reject("SAIDNO", 2, actor="lee")
    with pytest.raises(StalePlan, match="SAIDNO: somebody has decided about its file since the plan was made"):
        await carry_out(desk, plan)
    assert (one.state, one.runtime.params.max_position_size) == ("rejected", 0.6)


async def test_a_plan_of_files_that_were_not_looked_at_yet_is_carried_out(desk: Desk, begin: Any) -> None:
    tighter, looser = begin("UNSEEN1", params=params()), begin("UNSEEN2", params=params())
    desk.write("UNSEEN1", params=params(max_position_size=0.5))
    desk.write("UNSEEN2", params=params(max_position_size=0.7))
    plan = kept(desk, "UNSEEN1", "UNSEEN2")
    assert [row["action"] for row in plan["strategies"]] == ["apply", "hold"]
    await carry_out(desk, plan)
    assert (tighter.runtime.params.max_position_size, looser.runtime.params.max_position_size) == (0.5, 0.7)
    assert looser.last.actor == "kim" and looser.last.cause == "approve"


def test_what_a_plan_knows_a_file_by_is_the_same_on_disk_and_as_it_was_taken_in(desk: Desk, begin: Any) -> None:
    (desk.folder / "_same.yaml").write_text("params: {target_weight: 0.1}\n")
    begin("SAME", params="", extends="_same.yaml", tags="[x]")
    (on_disk,) = [one for one in desk.look_at_files().loaded if one.name == "SAME"]
    taken_in = desk.engine.track("SAME").wanted
    assert taken_in is not None and on_disk is not taken_in and len(on_disk.sources) == 2
    known_by = content_id(taken_in, desk.engine.root)
    assert content_id(on_disk, desk.engine.root) == known_by
    (desk.folder / "_same.yaml").write_text("params: {target_weight: 0.2}\n")
    (edited,) = [one for one in desk.look_at_files().loaded if one.name == "SAME"]
    assert content_id(edited, desk.engine.root) != known_by


def test_a_plan_says_of_a_version_that_is_held_or_rejected_what_it_waits_for(desk: Desk, begin: Any) -> None:
    begin("ASKED", params=params())
    desk.edit("ASKED", params=params(max_position_size=0.9))
    plan = kept(desk, "ASKED")
    (row,) = plan["strategies"]
    assert (plan["changes"], plan["held"], row["action"], row["generation"]) == (0, 1, "held", 2)
    assert row["why"] == "loosens params.max_position_size 0.6 → 0.9: runner approve ASKED@2"
    assert [change["path"] for change in row["changes"]] == ["params.max_position_size"]
    desk.service.orders.reject("ASKED", 2, actor="kim", reason="too much")
    plan = kept(desk, "ASKED")
    (row,) = plan["strategies"]
    assert (plan["changes"], plan["held"], row["action"]) == (0, 0, "rejected")
    assert row["why"] == "too much; it is asked for again when the file is edited"
    desk.write("ASKED", params=params(max_position_size=0.8))
    plan = kept(desk, "ASKED")
    assert (plan["changes"], plan["strategies"][0]["action"]) == (1, "hold")


ROW = {"strategy": "TREND", "action": "hold", "running": 1, "content": "abc"}


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ([], "the plan is not a JSON object"),
        ({}, "the plan does not say 'strategies'"),
        ({"strategies": {}}, r"the plan has \{\} as 'strategies'"),
        ({"strategies": [7]}, "strategy 1 of the plan is not a JSON object"),
        *(({"strategies": [ROW, {**ROW, key: None}]}, f"strategy 2 of the plan has None as '{key}'") for key in ROW),
        *(
            (
                {"strategies": [{k: v for k, v in ROW.items() if k != key}]},
                f"strategy 1 of the plan does not say '{key}'",
            )
            for key in ROW
        ),
        ({"strategies": [{**ROW, "action": "explode"}]}, "has the action 'explode', which there is not"),
        ({"strategies": [{**ROW, "running": True}]}, "has True as 'running'"),
    ],
)
async def test_what_is_no_plan_is_refused_with_what_is_wrong_with_it(desk: Desk, plan: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f"this is not a plan that can be applied: .*{words}") as caught:
        await carry_out(desk, plan)
    assert caught.value.hint == "make one with: runner plan --out FILE"


def test_a_plan_of_a_name_that_nothing_has_names_those_there_are(desk: Desk, begin: Any) -> None:
    begin("KNOWN", params=params())
    with pytest.raises(ConfigError, match=r"there is no YAML strategy called 'KNOWM' \(known: .*KNOWN"):
        kept(desk, "KNOWM")


def test_a_file_that_cannot_say_its_name_any_more_is_refused_and_not_removed(desk: Desk, begin: Any) -> None:
    begin("MUTE", params=params())
    desk.path("MUTE").write_text("name: [\n")
    (row,) = kept(desk, "MUTE")["strategies"]
    assert row["action"] == "refuse" and "mute.yaml" in row["problems"][0]
