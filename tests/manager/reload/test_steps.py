"""Whatever fails on the way to a new version leaves the one that runs as it is, says why and where, and leaves nothing
behind. Every test has a position in CALM open and an entry in FLAT working."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
import reload_hooks
from reload_support import HELD_ONLY, WAIT_S, Desk, One, store_away

from runner.manager import versions
from runner.manager.versions import Versions

HOOKED = "{on_params: reload_hooks:on_params}"


@contextmanager
def untouched(desk: Desk, one: One) -> Iterator[None]:
    """What runs before runs after: the version and its feed, its orders and its position, its row, and what is
    subscribed at IB."""
    version, generation, row = one.version, one.generation, one.stored
    held, orders = one.held, one.orders
    working = [(order.intent.order_ref, order.updated_at) for order in one.working]
    streams, tasks = desk.streams, desk.tasks
    yield
    assert one.version is version and not version.feed.closed
    assert one.generation == generation == one.runtime.generation == one.track.running
    assert one.runtime.params == one.version.spec.params and one.runtime.enabled
    assert (one.held, one.since(orders)) == (held, [])
    assert [(order.intent.order_ref, order.updated_at) for order in one.working] == working
    assert (one.stored.params, one.stored.generation, one.stored.spec_hash) == (
        row.params, row.generation, row.spec_hash,
    )  # fmt: skip
    assert desk.settles(lambda: desk.streams == streams)
    assert desk.tasks == tasks
    assert one.condition("Ready") == ("True", "Ready")


# -- prepare


@pytest.mark.parametrize(
    ("name", "sections", "words", "line", "column"),
    [
        ("UNKNOWN", {"universe": "[CALM, FLAT, NOSUCH]"}, "NOSUCH", "universe", "NOSUCH"),
        ("NODATA", {"universe": "[CALM, FLAT, LATER]"}, "LATER", "universe", "LATER"),
        ("TOUCHY", {"signals": "{hold: {use: touchy, with: {below: 60}}}"}, "division by zero", "signals", "hold"),
        ("NOLIB", {"universe": "{library: nowhere}"}, "no ArcticDB library called 'nowhere'", "universe", "nowhere"),
        ("NORATE", {"universe": "[CALM, FLAT, {symbol: ODD, currency: XXX}]"}, "XXX", "universe", "ODD"),
    ],
)  # fmt: skip
def test_a_version_that_cannot_be_prepared_is_refused_at_its_line(
    desk: Desk, at_work: Any, name: str, sections: dict[str, str], words: str, line: str, column: str
) -> None:
    one = at_work(name)
    with untouched(desk, one):
        desk.edit(name, **sections)
        assert (one.state, one.last.result.value, one.last.running) == ("refused", "refused", 2)
        assert words in one.text
        text = desk.path(name).read_text().splitlines()
        number = next(i for i, row in enumerate(text, 1) if row.startswith(f"{line}:"))
        at = text[number - 1].index(column) + 1
        assert one.text.startswith(f"at {desk.shown(name)}:{number}:{at}: "), one.text
        assert one.condition("Applied") == ("False", "Refused") and one.condition("Valid") == ("True", "Checked")
    assert [event.result.value for event in one.reloads].count("refused") == 1


def test_what_was_refused_is_tried_again_by_the_next_edit_or_when_an_operator_says_so(desk: Desk, at_work: Any) -> None:
    one = at_work("AGAIN")
    desk.edit("AGAIN", universe="[CALM, FLAT, NOSUCH]")
    newest = one.track.newest
    desk.engine.schedule("AGAIN")
    assert desk.engine.settled(WAIT_S) and one.track.newest is newest
    assert desk.service.orders.apply_now("AGAIN", actor="kim").value == "refused"
    assert one.track.newest is not None and newest is not None
    assert one.track.newest.generation == newest.generation + 1 and one.generation == 2
    desk.edit("AGAIN", universe="[CALM, FLAT]")
    assert (one.last.result.value, one.generation, one.condition("Applied")) == ("unchanged", 2, ("True", "Applied"))


def test_a_version_that_is_not_warm_in_time_is_refused(desk: Desk, at_work: Any, monkeypatch: Any) -> None:
    one = at_work("SLOW", hooks=HOOKED, universe="[CALM, FLAT]")
    late = threading.Event()
    reload_hooks.ON_PARAMS["CALM,FLAT,SAW"] = lambda old, new: late.wait(WAIT_S) and None
    monkeypatch.setattr(versions, "PREPARE_TIMEOUT_S", 0.2)
    try:
        with untouched(desk, one):
            desk.edit("SLOW", universe="[CALM, FLAT, SAW]")
            assert one.state == "refused" and "was not warm within 0.2 s" in one.text
            late.set()
    finally:
        late.set()
        del reload_hooks.ON_PARAMS["CALM,FLAT,SAW"]


def test_a_hook_may_refuse_new_parameters(desk: Desk, at_work: Any) -> None:
    one = at_work("ASKED", hooks=HOOKED)
    seen: list[tuple[Any, Any]] = []

    def refuse(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        seen.append((old["stop_loss"], new["stop_loss"]))
        raise ValueError("not that much")

    reload_hooks.ON_PARAMS["CALM,FLAT"] = refuse
    try:
        with untouched(desk, one):
            desk.edit("ASKED", params="{target_weight: 0.1, stop_loss: 0.2}")
            assert one.state == "refused" and "raised ValueError: not that much" in one.text
            assert one.text.startswith(f"at {desk.shown('ASKED')}:") and seen == [(0.0, 0.2)]
    finally:
        del reload_hooks.ON_PARAMS["CALM,FLAT"]
    desk.edit("ASKED", params="{target_weight: 0.1, stop_loss: 0.3}")
    one.took_over("live", "tighter")


def test_an_order_sent_while_a_version_is_prepared_makes_it_be_prepared_again(desk: Desk, at_work: Any) -> None:
    """SAW, which the new version does not name, is ordered between preparation and swap."""
    one = at_work("MEANWHILE", hooks=HOOKED, universe="[CALM, FLAT, SAW]")
    calls: list[int] = []

    def order(_old: Any, _new: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            terms = {"order_type": "LMT", "limit_price": Decimal(90)}
            desk.manager._broker_loop.call(one.runtime.instance.buy("SAW", 5, **terms), WAIT_S)

    reload_hooks.ON_PARAMS["CALM,FLAT"] = order
    try:
        desk.edit("MEANWHILE", universe="[CALM, FLAT]")
    finally:
        del reload_hooks.ON_PARAMS["CALM,FLAT"]
    assert len(calls) == 2
    one.took_over("resubscribe", "tighter")
    assert [instrument.symbol for instrument in one.version.universe] == ["CALM", "FLAT", "SAW"]
    assert one.version.listed == 2 and len(one.runtime.instance._feeds) == 1
    assert desk.settles(lambda: one.resting.keys() == {"FLAT"})


# -- persist


def test_a_looser_version_waits_for_the_store_and_is_in_force_when_it_is_back(desk: Desk, at_work: Any) -> None:
    one = at_work("LOOSER", params="{target_weight: 0.1, max_position_size: 0.6}")
    with untouched(desk, one), store_away():
        desk.edit("LOOSER", params="{target_weight: 0.1, max_position_size: 0.9}")
        assert (one.state, one.last.result.value) == ("waiting", "waiting")
        assert one.text.startswith("the store is not there: ")
        assert one.condition("Applied") == ("False", "Waiting") and one.condition("Synced") == ("True", "Stored")
        for _ in range(4):
            desk.later(60)
        assert [event.result.value for event in one.reloads].count("waiting") == 1  # said once
        (condition,) = [c for c in one.row["conditions"] if c["type"] == "Applied"]
        assert "(tried 5 times)" in condition["message"]
    desk.later(60)
    one.took_over("live", "looser")
    assert one.stored_params["max_position_size"] == 0.9


def test_a_retry_waits_longer_each_time_and_never_longer_than_a_minute(desk: Desk, at_work: Any) -> None:
    one = at_work("PATIENT", params="{target_weight: 0.1, max_position_size: 0.6}")
    pauses = []
    with store_away():
        desk.edit("PATIENT", params="{target_weight: 0.1, max_position_size: 0.9}")
        for _ in range(9):
            waiting = one.track.waiting
            assert waiting is not None and waiting.due is not None
            pauses.append(round(waiting.due - desk.system.monotonic()))
            desk.later(waiting.due - desk.system.monotonic() - 0.01)
            assert one.track.waiting is waiting  # not a moment too early
            desk.later(0.02)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    desk.later(60)
    one.took_over("live", "looser")


@pytest.mark.parametrize(
    ("name", "sections", "apply"),
    [
        ("TIGHTER", {"params": "{target_weight: 0.1, max_position_size: 0.3}"}, "live"),
        ("NARROWER", {"universe": "[CALM]", "sizing": HELD_ONLY}, "resubscribe"),
        ("OFFLINE", {"enabled": "false"}, "live"),
    ],
)  # fmt: skip
def test_a_tighter_version_is_in_force_without_the_store_and_written_later(
    desk: Desk, at_work: Any, name: str, sections: dict[str, str], apply: str
) -> None:
    one = at_work(name, params="{target_weight: 0.1, max_position_size: 0.6}")
    before = one.stored
    with store_away():
        desk.edit(name, **sections)
        assert (one.last.result.value, one.last.apply, one.last.direction) == ("applied", apply, "tighter")
        assert one.generation == 3 and one.state == "applied"
        assert desk.settles(lambda: not one.resting)
        assert one.condition("Applied") == ("True", "Applied")
        assert one.condition("Synced") == ("False", "StoreUnavailable")
        assert one.stored.generation == before.generation and one.row["generations"]["store"] == 2
        desk.later(6)
        assert one.condition("Synced") == ("False", "StoreUnavailable")
        desk.engine.in_place.compare_with_store(WAIT_S)
        assert one.condition("Drifted") == ("False", "InSync")  # the row is behind, nobody has changed it
    desk.later(6)
    assert one.condition("Synced") == ("True", "Stored") and one.stored.generation == 3
    assert [event.result.value for event in one.reloads].count("applied") == 3


def test_a_new_file_waits_for_the_store_too(desk: Desk, begin: Any) -> None:
    with store_away():
        one = begin("FRESH")
        assert one.state == "waiting" and not any(run.name == "FRESH" for run in desk.manager.runtimes)
    desk.later(2)
    assert (one.state, one.generation, one.condition("Warm")) == ("applied", 1, ("True", "Warm"))


# -- swap


def test_a_strategy_that_is_busy_gets_its_version_later_and_its_tighter_cap_at_once(
    desk: Desk, begin: Any, monkeypatch: Any
) -> None:
    one = begin(
        "BUSY",
        hooks="{before_orders: reload_hooks:before_orders}",
        params="{target_weight: 0.1, max_position_size: 0.6}",
    )
    deciding, go_on = threading.Event(), threading.Event()

    def hold_up(_context: Any, _targets: Mapping[str, Decimal]) -> None:
        deciding.set()
        go_on.wait(1.5)

    monkeypatch.setattr(versions, "ADOPT_TIMEOUT_S", 0.2)
    reload_hooks.BEFORE["BUSY"] = hold_up
    trading = threading.Thread(target=desk.run_to, args=("10:30",))
    trading.start()
    try:
        assert deciding.wait(WAIT_S)
        desk.edit("BUSY", params="{target_weight: 0.1, max_position_size: 0.2}")
        assert one.state == "waiting" and "did not come to the end of what it was doing" in one.text
        assert (one.generation, one.runtime.params.max_position_size) == (1, 0.2)
    finally:
        go_on.set()
        trading.join(WAIT_S)
        del reload_hooks.BEFORE["BUSY"]
    assert one.held == {} and {refused.refused.control for refused in one.refused} == {"max_position_size"}
    desk.later(2)
    one.took_over("live", "tighter")
    assert one.runtime.instance._next_version is None


def test_a_looser_version_that_cannot_be_swapped_in_is_taken_back_in_the_store(
    desk: Desk, begin: Any, monkeypatch: Any
) -> None:
    one = begin(
        "BACK",
        hooks="{before_orders: reload_hooks:before_orders}",
        params="{target_weight: 0.1, max_position_size: 0.2}",
    )
    deciding, go_on = threading.Event(), threading.Event()

    def hold_up(_context: Any, _targets: Mapping[str, Decimal]) -> None:
        deciding.set()
        go_on.wait(1.5)

    monkeypatch.setattr(versions, "ADOPT_TIMEOUT_S", 0.2)
    reload_hooks.BEFORE["BACK"] = hold_up
    trading = threading.Thread(target=desk.run_to, args=("10:30",))
    trading.start()
    try:
        assert deciding.wait(WAIT_S)
        desk.edit("BACK", params="{target_weight: 0.1, max_position_size: 0.6}")
        assert one.state == "waiting"
        assert (one.stored.generation, one.stored_params["max_position_size"]) == (1, 0.2)
        assert one.runtime.params.max_position_size == 0.2
    finally:
        go_on.set()
        trading.join(WAIT_S)
        del reload_hooks.BEFORE["BACK"]
    desk.later(2)
    one.took_over("live", "looser")


# -- edits in a row


def test_the_later_edit_wins_over_one_that_is_being_prepared(desk: Desk, at_work: Any) -> None:
    one = at_work("WINS", hooks=HOOKED)
    preparing, go_on = threading.Event(), threading.Event()

    def hold_up(_old: Any, _new: Any) -> None:
        preparing.set()
        go_on.wait(1.5)

    reload_hooks.ON_PARAMS["CALM,FLAT,SAW"] = hold_up
    streams = desk.streams
    try:
        desk.write("WINS", universe="[CALM, FLAT, SAW]")
        desk.engine.wish(desk.look_at_files())
        assert preparing.wait(WAIT_S)
        desk.write("WINS", universe="[CALM, FLAT]", params="{target_weight: 0.1, stop_loss: 0.2}")
        desk.engine.wish(desk.look_at_files())
        go_on.set()
        assert desk.engine.settled(WAIT_S)
    finally:
        go_on.set()
        del reload_hooks.ON_PARAMS["CALM,FLAT,SAW"]
    one.took_over("live", "tighter")
    history = desk.manager.journal.generations.history("WINS", 3)
    assert [(one.generation, one.state.value) for one in history] == [(4, "applied"), (3, "replaced"), (2, "applied")]
    assert desk.settles(lambda: desk.streams == streams)


def test_an_invalid_edit_after_a_tighter_one_gives_the_caps_back(
    desk: Desk, at_work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = at_work("UNDONE", params="{target_weight: 0.1, max_position_size: 0.6}")
    preparing, go_on = threading.Event(), threading.Event()
    prepare = Versions.prepare

    def slowly(*args: Any) -> Any:
        preparing.set()
        go_on.wait(WAIT_S)
        return prepare(*args)

    with untouched(desk, one), monkeypatch.context() as patch:
        patch.setattr(Versions, "prepare", slowly)
        desk.write("UNDONE", params="{target_weight: 0.1, max_position_size: 0.3}")
        desk.engine.wish(desk.look_at_files())
        assert one.runtime.params.max_position_size == 0.3 and preparing.wait(WAIT_S)
        desk.write("UNDONE", params="{target_weight: 0.1, max_position_size: -1}")
        desk.engine.wish(desk.look_at_files())
        go_on.set()
        assert desk.engine.settled(WAIT_S)
        assert one.state == "refused" and one.text.startswith("S204 at ")
    desk.edit("UNDONE", params="{target_weight: 0.1, max_position_size: 0.6}")


def test_fifty_reloads_leave_nothing_behind(desk: Desk, at_work: Any) -> None:
    one = at_work("FIFTY")
    sections = (
        {"universe": "[CALM, FLAT, SAW]"},
        {"universe": "[CALM, FLAT, NOSUCH]"},
        {"universe": "[CALM, FLAT]", "bars": "{size: 1 hour, history: 12}"},
        {"bars": "{size: 30 mins, history: 6}", "signals": "{hold: {use: touchy, with: {below: 60}}}"},
        {"signals": "{hold: {use: buy_and_hold}}", "params": "{target_weight: 0.1, stop_loss: 0.2}"},
        {"params": "{target_weight: 0.1}"},
    )  # fmt: skip
    for edit in sections:
        desk.edit("FIFTY", **edit)
    assert desk.settles(lambda: len(one.runtime.instance._feeds) == 1)
    streams, tasks, requests = desk.streams, desk.tasks, desk.requests
    for i in range(50):
        desk.edit("FIFTY", **sections[i % len(sections)])
    while i % len(sections) != len(sections) - 1:
        i += 1
        desk.edit("FIFTY", **sections[i % len(sections)])
    assert desk.settles(lambda: desk.streams == streams and desk.tasks <= tasks and desk.requests <= requests)
    assert len(one.runtime.instance._feeds) == 1 and not one.runtime.instance._hook_tasks
    assert one.state == "applied" and one.condition("Applied") == ("True", "Applied")
