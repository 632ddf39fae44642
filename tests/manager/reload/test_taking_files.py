"""What the runner takes over of its files, by itself and when asked, and what it says about the rest."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from reload_support import WAIT_S, Desk, One

from runner.manager.reload.service import ReloadService
from runner.manager.reload.settings import ReloadSettings
from runner.manager.watch.events import FileEvent, Gone, Moved, Readable, Settled, Unreadable
from runner.model.annotations import Loosening
from runner.model.clock import SystemClock
from runner.spec.deployment import Deployment

START = date(2012, 1, 3)
TEXT = """spec: 1
name: {name}
universe: AAPL
bars: {{size: 1 day}}
signals: {{a: {{use: buy_and_hold}}}}
sizing: {{use: equal_weight}}
params: {{target_weight: 0.1, max_position_size: 0.5}}
schedule: {{calendar: XNYS}}
"""
HEIR = """spec: 1
name: {name}
extends: {base}
universe: AAPL
bars: {{size: 1 day}}
signals: {{a: {{use: buy_and_hold}}}}
sizing: {{use: equal_weight}}
schedule: {{calendar: XNYS}}
"""

Serve = Callable[..., ReloadService]


@pytest.fixture
def serve(build: Any) -> Iterator[Serve]:
    """`serve({file: text}, live=…)` has taken its first look at these files; nothing runs of them."""
    with ExitStack() as stack:

        def make(files: dict[str, str], *, live: bool = False) -> ReloadService:
            running = build({}, start=START, end=START)
            for name, text in files.items():
                path = running.folder / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
                path.chmod(0o644)
            settings = ReloadSettings(loosening=Loosening.AUTO)
            service = ReloadService(running.manager, Deployment(live=live), settings, SystemClock())
            stack.callback(service.close)
            service.begin()
            return service

        yield make


def settled(path: Path, text: str) -> Settled:
    return Settled(path=path, content=text.encode(), sha256="")


def codes(service: ReloadService, name: str) -> list[str]:
    """What is wrong with the file of a strategy; nothing where it can be used."""
    wanted = service.engine.track(name).wanted
    assert wanted is not None
    return [problem.code for problem in wanted.problems if problem.is_error]


# ------------------------------------------------------------------------------------------------- looks that are asked


@pytest.fixture(scope="module")
def desk(make_desk: Any) -> Desk:
    """Nobody watches its files."""
    found: Desk = make_desk()
    for name in ("FIRST", "SECOND", "THIRD", "FOURTH"):
        found.write(name, params="{target_weight: 0.05}")
    found.begin()
    return found


@contextmanager
def away(folder: Path) -> Iterator[None]:
    """As when its volume is not mounted."""
    aside = folder.with_name("aside")
    os.rename(folder, aside)
    try:
        yield
    finally:
        os.rename(aside, folder)


def running(desk: Desk) -> set[str]:
    return {runtime.name for runtime in desk.manager.runtimes}


def test_a_folder_that_is_away_removes_nothing(desk: Desk) -> None:
    before = running(desk)
    with away(desk.folder):
        assert desk.service.rescan(WAIT_S)
        assert running(desk) == before
        held = [desk.shown(name) for name in sorted(before)]
        assert sorted(desk.service.deletions_held) == sorted(held)
    assert desk.service.rescan(WAIT_S)
    assert running(desk) == before and desk.service.deletions_held == []


def test_a_file_that_cannot_be_read_removes_nothing(desk: Desk) -> None:
    before, path = running(desk), desk.path("FIRST")
    text = path.read_text()
    path.unlink()
    path.symlink_to("nowhere")
    assert desk.service.rescan(WAIT_S)
    assert running(desk) == before and One(desk, "FIRST").track.wanted is not None
    assert desk.service.watch_view()["unreadable"] == {desk.shown("FIRST"): "the link leads nowhere"}
    path.unlink()
    path.write_text(text)
    assert desk.service.rescan(WAIT_S)
    assert desk.service.watch_view()["unreadable"] == {}


def test_a_file_that_is_being_written_is_said_and_not_taken(desk: Desk) -> None:
    text = desk.path("FIRST").read_text()
    desk.path("FIRST").write_text("")
    assert not desk.service.rescan(WAIT_S)
    assert desk.service.watch_view()["settling"] == {desk.shown("FIRST"): "it is empty"}
    assert One(desk, "FIRST").condition("Valid")[0] == "True"
    desk.path("FIRST").write_text(text)
    assert desk.service.rescan(WAIT_S)


def test_many_deletions_wait_for_a_word_and_a_single_one_does_not(desk: Desk) -> None:
    for name in ("FIRST", "SECOND"):
        desk.path(name).unlink()
    assert desk.service.rescan(WAIT_S)
    assert running(desk) == {"FIRST", "SECOND", "THIRD", "FOURTH"}
    assert desk.service.approve_deletions() == [desk.shown("FIRST"), desk.shown("SECOND")]
    assert desk.engine.settled(WAIT_S)
    assert running(desk) == {"THIRD", "FOURTH"} and desk.service.deletions_held == []
    desk.path("THIRD").unlink()
    assert desk.service.rescan(WAIT_S)
    assert running(desk) == {"FOURTH"}


def test_a_base_is_taken_over_by_all_its_files_or_by_none_when_asked(serve: Serve) -> None:
    service = serve(
        {
            "_b.yaml": "params: {max_position_size: 0.5}\n",
            "x.yaml": HEIR.format(name="X", base="_b.yaml"),
            "y.yaml": HEIR.format(name="Y", base="_b.yaml") + "params: {max_weight: 0.3}\n",
        }
    )
    before = service.engine.track("X").wanted
    (service.root / "_b.yaml").write_text("params: {max_position_size: 0.4, target_weight: 0.35}\n")
    service.rescan(WAIT_S)
    assert service.engine.track("X").wanted is before
    assert list(service.watch_view()["bases_refused"]) == ["strategies.d/_b.yaml"]


def test_files_that_went_missing_before_the_start_are_no_longer_held_once_they_are_back(
    make_desk: Any, restart: Any
) -> None:
    first: Desk = make_desk()
    for name in ("D1", "D2", "D3"):
        first.write(name, params="{target_weight: 0.1}")
    first.begin()

    def lose_two(desk: Desk) -> None:
        desk.path("D1").unlink()
        desk.path("D2").unlink()

    second: Desk = restart(first, lose_two)
    assert second.service.deletions_held == ["D1", "D2"]
    second.write("D1")
    second.write("D2")
    second.settle("D1")
    assert second.service.deletions_held == []
    second.path("D1").unlink()
    second.settle("D1")
    assert second.service.deletions_held == [] and running(second) == {"D2", "D3"}


# --------------------------------------------------------------------------------------------------- who may write them


def test_a_file_that_others_may_write_is_refused_where_trading_is_live(serve: Serve) -> None:
    service = serve({"x.yaml": TEXT.format(name="X"), "y.yaml": TEXT.format(name="Y")}, live=True)
    assert codes(service, "X") == []
    (service.root / "x.yaml").chmod(0o666)
    service.rescan(WAIT_S)
    assert codes(service, "X") == ["E604"] and codes(service, "Y") == []
    assert [one.code for one in service.read_folder().problems if one.is_error] == ["E604"]
    (service.root / "x.yaml").chmod(0o644)
    service.rescan(WAIT_S)
    assert codes(service, "X") == []


def test_a_file_that_others_may_write_already_is_refused_at_the_start(serve: Serve) -> None:
    service = serve({"x.yaml": TEXT.format(name="X")}, live=True)
    (service.root / "x.yaml").chmod(0o660)
    service.begin()
    assert codes(service, "X") == ["E604"]


def test_a_base_that_others_may_write_changes_nothing_where_trading_is_live(serve: Serve) -> None:
    files = {"_b.yaml": "params: {stop_loss: 0.1}\n", "x.yaml": HEIR.format(name="X", base="_b.yaml")}
    service = serve(files, live=True)
    (service.root / "_b.yaml").write_text("params: {stop_loss: 0.2}\n")
    (service.root / "_b.yaml").chmod(0o666)
    service.rescan(WAIT_S)
    assert codes(service, "X") == []
    (refused,) = service.watch_view()["bases_refused"].values()
    assert "E604" in refused
    (service.root / "_b.yaml").chmod(0o644)
    service.rescan(WAIT_S)
    assert service.watch_view()["bases_refused"] == {}
    wanted = service.engine.track("X").wanted
    assert wanted is not None and wanted.spec is not None and wanted.spec.params.stop_loss == 0.2


def test_on_paper_other_permissions_are_no_change(serve: Serve) -> None:
    service = serve({"x.yaml": TEXT.format(name="X")})
    before = service.engine.track("X").wanted
    (service.root / "x.yaml").chmod(0o666)
    service.rescan(WAIT_S)
    assert service.engine.track("X").wanted is before


# ---------------------------------------------------------------------------------------------- what the watcher tells


def test_a_base_and_a_file_that_settle_together_are_judged_together(serve: Serve) -> None:
    service = serve(
        {
            "_b.yaml": "params: {target_weight: 0.1}\n",
            "x.yaml": HEIR.format(name="X", base="_b.yaml") + "params: {max_weight: 0.2}\n",
        }
    )
    base, heir = service.root / "_b.yaml", service.root / "x.yaml"
    service.on_events(
        [
            settled(base, "params: {target_weight: 0.3}\n"),
            settled(heir, HEIR.format(name="X", base="_b.yaml") + "params: {max_weight: 0.4}\n"),
        ]
    )
    wanted = service.engine.track("X").wanted
    assert wanted is not None and wanted.spec is not None
    assert (wanted.spec.params.target_weight, wanted.spec.params.max_weight) == (0.3, 0.4)
    assert service.watch_view()["bases_refused"] == {}


def test_a_base_that_is_refused_is_that_of_its_own_folder(serve: Serve) -> None:
    heirs = {f"{folder}/{folder}.yaml": HEIR.format(name=folder.upper(), base="_b.yaml") for folder in ("one", "two")}
    service = serve({"one/_b.yaml": "params: {}\n", "two/_b.yaml": "params: {}\n"} | heirs)
    service.on_events([settled(service.root / "one/_b.yaml", "params: {no_such: 1}\n")])
    one, two = service.engine.track("ONE"), service.engine.track("TWO")
    assert "the change of strategies.d/one/_b.yaml is not applied" in one.base_refused and two.base_refused == ""
    # It stays said while the strategy's own file is edited, and no longer than it is so.
    service.on_events([settled(service.root / "one/one.yaml", heirs["one/one.yaml"] + "owner: kim\n")])
    assert one.base_refused
    service.on_events([settled(service.root / "one/_b.yaml", "params: {}\n")])
    assert one.base_refused == ""


def test_a_file_that_cannot_be_read_is_no_longer_shown_once_it_is_gone_or_has_moved(serve: Serve) -> None:
    service = serve({"x.yaml": TEXT.format(name="X"), "y.yaml": TEXT.format(name="Y")})
    x, y = service.root / "x.yaml", service.root / "y.yaml"
    service.on_events([Unreadable(path=x, reason="permission denied"), Unreadable(path=y, reason="permission denied")])
    assert len(service.watch_view()["unreadable"]) == 2
    service.on_events([Gone(path=x), Moved(old=y, new=service.root / "z.yaml")])
    assert service.watch_view()["unreadable"] == {}


def test_status_is_shown_while_files_change(serve: Serve) -> None:
    """A look at what is unreadable must not meet the watcher in the middle of saying more of it."""
    service = serve({"x.yaml": TEXT.format(name="X")})
    paths = [service.root / f"f{number}.yaml" for number in range(200)]
    done = threading.Event()

    def tell() -> None:
        for path in paths:
            events: list[FileEvent] = [Unreadable(path=path, reason="permission denied")]
            service.on_events(events)
        for path in paths[1:]:
            service.on_events([Readable(path=path)])
        done.set()

    teller = threading.Thread(target=tell)
    teller.start()
    while not done.is_set():
        service.watch_view()
        service.metrics()
    teller.join()
    assert list(service.watch_view()["unreadable"]) == ["strategies.d/f0.yaml"]
