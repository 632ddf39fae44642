"""Without a running runner: the plan that the journal gives, and an old version's text put back into its file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from reload_support import Desk, params, text_of

from runner.errors import ConfigError, SpecError
from runner.manager.reload.offline import offline_plan, text_to_write
from runner.manager.reload.plan import check_fresh, plan_view
from runner.manager.reload.verbs import ReloadVerbs
from runner.model.annotations import Loosening

DAY = timedelta(days=1)
NUMBERS = count(1)


@pytest.fixture(scope="module")
def desk(make_desk: Any) -> Desk:
    found: Desk = make_desk(loosening=Loosening.CONFIRM)
    found.begin()
    return found


def offline(desk: Desk, *names: str) -> dict[str, Any]:
    desk.running.settle()
    config = replace(desk.manager.config, loosening=desk.loosening)  # as runner.yaml says it
    return offline_plan(config, desk.manager.journal, names)


def nothing(desk: Desk, name: str) -> None:
    """It runs as its file says."""


def edited(**sections: str) -> Callable[[Desk, str], Any]:
    return lambda desk, name: desk.write(name, **sections)


def taken_in(**sections: str) -> Callable[[Desk, str], Any]:
    return lambda desk, name: desk.edit(name, **sections)


def rejected(desk: Desk, name: str) -> None:
    desk.edit(name, params=params(max_position_size=0.9))
    desk.service.orders.reject(name, 2, actor="kim", reason="too much")


def rolled_back(desk: Desk, name: str) -> None:
    desk.edit(name, params=params(stop_loss=0.1))
    desk.edit(name, params=params(stop_loss=0.05))
    desk.edit(name, params=params(stop_loss=0.05, take_profit=0.5))
    desk.service.orders.rollback(name, 3, actor="kim")


def rolled_back_and_held(desk: Desk, name: str) -> None:
    desk.edit(name, params=params(stop_loss=0.1))
    desk.service.orders.rollback(name, 1, actor="kim")


def overridden(desk: Desk, name: str) -> None:
    desk.service.orders.override(name, "params.max_position_size", 0.3, lasts=DAY, actor="kim", reason="news")
    desk.write(name, params=params(max_position_size=0.7))


def overridden_beside(desk: Desk, name: str) -> None:
    desk.service.orders.override(name, "params.stop_loss", 0.3, lasts=DAY, actor="kim", reason="news")
    desk.write(name, params=params(max_position_size=0.5))


def overridden_otherwise(desk: Desk, name: str) -> None:
    desk.service.orders.override(name, "params.target_weight", 0.05, lasts=DAY, actor="kim", reason="news")
    desk.write(name, params=params(min_weight=0.08))


def deleted(desk: Desk, name: str) -> None:
    desk.path(name).unlink()


def back_with(**sections: str) -> Callable[[Desk, str], Any]:
    def happens(desk: Desk, name: str) -> None:
        desk.remove(name)
        desk.write(name, **sections)

    return happens


def mute(desk: Desk, name: str) -> None:
    desk.path(name).write_text("name: [\n")


def twice(desk: Desk, name: str) -> None:
    (desk.folder / f"{name.lower()}2.yaml").write_text(text_of(name))


CASES = {
    "none": (nothing,),
    "apply": (edited(params=params(max_position_size=0.5)), overridden_beside),
    "hold": (
        edited(params=params(max_position_size=0.9)),
        overridden,
        back_with(params=params(max_position_size=0.9)),
    ),
    "held": (taken_in(params=params(max_position_size=0.9)),),
    "rejected": (rejected,),
    "aside": (rolled_back, rolled_back_and_held),
    "note": (edited(description="Other words."),),
    "refuse": (edited(params=params(max_position_size=-1)), mute, twice, overridden_otherwise),
    "remove": (deleted,),
    "start": (back_with(params=params(max_position_size=0.5)),),
}


@pytest.mark.parametrize(("action", "happens"), [(action, one) for action, them in CASES.items() for one in them])
def test_a_plan_says_the_same_with_a_running_runner_and_without(
    desk: Desk, begin: Any, action: str, happens: Callable[[Desk, str], Any]
) -> None:
    name = f"SAME{next(NUMBERS)}"
    begin(name, params=params())
    happens(desk, name)
    try:
        running, without = plan_view(desk.engine, desk.look_at_files(), [name]), offline(desk, name)
    finally:
        (desk.folder / f"{name.lower()}2.yaml").unlink(missing_ok=True)
    (row,), (other,) = running["strategies"], without["strategies"]
    assert row["action"] == action
    for found in (row, other):
        found.pop("effect", None)
        found.pop("effect_missing", None)
    assert other == row and (without["changes"], without["held"]) == (running["changes"], running["held"])


def test_what_was_removed_long_ago_is_not_in_a_plan(desk: Desk, begin: Any) -> None:
    begin("LONGAGO", params=params())
    desk.remove("LONGAGO")
    assert [row for row in offline(desk)["strategies"] if row["strategy"] == "LONGAGO"] == []


async def test_a_plan_that_was_made_without_a_runner_can_be_applied(desk: Desk, begin: Any) -> None:
    one = begin("KEPTOFF", params=params())
    desk.edit("KEPTOFF", params=params(max_position_size=0.7))
    plan = offline(desk, "KEPTOFF")
    assert check_fresh(desk.engine, desk.look_at_files(), plan) == ["KEPTOFF"]
    await ReloadVerbs(desk.service).apply({"plan": plan, "actor": "kim"})
    assert one.runtime.params.max_position_size == 0.7


def test_a_name_that_neither_a_file_nor_the_journal_has_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="there is no YAML strategy called 'NOBODY'"):
        offline(desk, "NOBODY")


# -- an old version's text


def back(desk: Desk, name: str, generation: int) -> tuple[Any, str, str]:
    return text_to_write(desk.manager.config, desk.manager.journal, name, generation)


def test_an_old_text_goes_where_the_file_of_the_strategy_is_now(desk: Desk, begin: Any) -> None:
    begin("WANDERS", params=params(stop_loss=0.1))
    old = desk.path("WANDERS").read_text()
    desk.edit("WANDERS", params=params(stop_loss=0.05))
    moved = desk.folder / "elsewhere.yaml"
    desk.path("WANDERS").rename(moved)
    try:
        assert back(desk, "WANDERS", 1) == (moved, moved.read_text(), old)
        desk.path("WANDERS").write_text(old)
        with pytest.raises(
            SpecError, match=r"elsewhere\.yaml and .*wanders\.yaml both have the strategy WANDERS; none"
        ):
            back(desk, "WANDERS", 1)
        moved.unlink()
        desk.path("WANDERS").write_text("name: [\n")
        assert back(desk, "WANDERS", 1)[0] == desk.path("WANDERS"), "it cannot say whose it is any more"
        desk.path("WANDERS").unlink()
        with pytest.raises(
            SpecError, match=r"no file in .* has the strategy WANDERS; it was .*wanders\.yaml that had it"
        ):
            back(desk, "WANDERS", 1)
    finally:
        moved.unlink(missing_ok=True)


def test_a_version_without_a_text_or_that_never_could_run_is_not_written(desk: Desk, begin: Any) -> None:
    one = begin("NOTEXT", params=params())
    desk.edit("NOTEXT", params=params(max_position_size=-1))
    with pytest.raises(SpecError, match="NOTEXT@2 has been refused, so there is nothing to go back to"):
        back(desk, "NOTEXT", 2)
    generations = desk.manager.journal.generations
    lost = generations.add(replace(generations.get("NOTEXT", one.generation), source="")).generation
    with pytest.raises(SpecError, match=f"the text of NOTEXT@{lost} is not known, only what it came to"):
        back(desk, "NOTEXT", lost)


def test_a_text_whose_base_has_changed_is_not_written(desk: Desk, begin: Any) -> None:
    base = desk.folder / "_offline.yaml"
    base.write_text("params: {target_weight: 0.1, max_position_size: 0.3}\n")
    begin("OFFBASE", params="", extends="_offline.yaml")
    base.write_text("params: {target_weight: 0.1, max_position_size: 0.2}\n")
    with pytest.raises(SpecError, match=r"say something else than that version: params\.max_position_size 0\.3 → 0\.2"):
        back(desk, "OFFBASE", 1)
