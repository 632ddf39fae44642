"""The watcher's own life: whatever raises, blocks, floods or runs out, it goes on, and it can be stopped."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import pytest
from fake_folder import identity, is_risky
from watched import QUICK, WAIT_S, Watched, fill, replace, write

from runner.manager.watch import hints, mounts, watcher
from runner.manager.watch.events import FileEvent
from runner.manager.watch.hints import Hints
from runner.manager.watch.machine import FileMachine
from runner.manager.watch.scan import Scan, read_file, take_scan
from runner.manager.watch.watcher import Watcher, WatchMode
from runner.model.clock import SystemClock

Watch = Callable[..., Watched]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fill(tmp_path / "strategies.d")


@pytest.fixture
def watch() -> Iterator[Watch]:
    """`watch(root, …)` starts a watcher, which is stopped at the end."""
    with ExitStack() as stack:

        def start(root: Path, **options: object) -> Watched:
            watched = Watched(root, **options)  # type: ignore[arg-type]
            stack.callback(watched.watcher.stop)
            return watched

        yield start


def bare(root: Path) -> Watcher:
    """One that was not started."""
    machine = FileMachine(QUICK, read=read_file, is_risky=is_risky, identity=identity)
    return Watcher(root, machine, lambda events: None, clock=SystemClock())


def test_a_handler_of_events_that_raises_is_called_again(
    root: Path, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch(root)

    def raises(events: Sequence[FileEvent]) -> None:
        raise RuntimeError("boom")

    watched.handle = raises
    replace(root / "a.yaml", "A2")
    watched.hears("Settled a=A2")
    assert "boom" in caplog.text
    replace(root / "b.yaml", "B2")
    watched.hears("Settled b=B2")


def test_a_look_that_fails_is_followed_by_others(
    root: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch(root)
    failed = threading.Event()

    def fails(root: Path) -> Scan:
        failed.set()
        raise RuntimeError("boom")

    with monkeypatch.context() as broken:
        broken.setattr(watched.watcher, "_scan", fails)
        replace(root / "a.yaml", "A2")
        assert failed.wait(WAIT_S)
    watched.settle()
    watched.hears("Settled a=A2")
    assert "boom" in caplog.text


def test_what_is_raised_while_hearing_does_not_end_the_hearing(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """watchdog's thread ends for good when a handler raises."""
    heard: list[str] = []
    again = threading.Condition()

    def raises() -> None:
        with again:
            heard.append("")
            again.notify_all()
        raise RuntimeError("boom")

    ears = Hints(raises)
    ears.watch(root)
    for times in (1, 2, 3):
        with again:
            heard.clear()
            replace(root / "a.yaml", f"A{times}")
            assert again.wait_for(lambda: heard, WAIT_S)
    assert ears.active and not ears.dead
    assert "boom" in caplog.text
    ears.close()
    assert not ears.active


def test_hearing_of_another_folder_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    def open_files() -> list[str]:
        links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
        return sorted(os.readlink(link) for link in links if os.path.islink(link))

    threads, files = set(threading.enumerate()), open_files()
    ears = Hints(lambda: None)
    for name in ("x", "y") * 10:
        fill(tmp_path / name, "a")
        ears.watch(tmp_path / name)
    with pytest.raises(OSError, match="No such file"):
        ears.watch(tmp_path / "nowhere")
    assert not ears.active
    ears.watch(root)
    ears.close()
    for thread in set(threading.enumerate()) - threads:
        thread.join(WAIT_S)
    assert set(threading.enumerate()) - threads == set()
    assert open_files() == files


def test_a_watcher_that_is_stopped_leaves_no_thread_behind(root: Path) -> None:
    threads = set(threading.enumerate())
    watched = Watched(root)
    assert watched.watcher.stop()
    for thread in set(threading.enumerate()) - threads:
        thread.join(WAIT_S)
    assert set(threading.enumerate()) - threads == set()
    assert not watched.watcher.settle(WAIT_S)
    assert watched.watcher.approve_deletions() == ()
    assert watched.watcher.stop()


def test_one_that_was_not_started_settles_nothing_and_can_be_stopped(root: Path) -> None:
    idle = bare(root)
    assert not idle.settle(WAIT_S)
    assert idle.approve_deletions() == ()
    assert idle.status().reason == "not started"
    assert idle.stop()


def test_one_whose_handler_blocks_is_left_behind(root: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "STOP_TIMEOUT_S", 0.05)
    watched = watch(root)
    entered, leave = threading.Event(), threading.Event()

    def blocks(events: Sequence[FileEvent]) -> None:
        entered.set()
        assert leave.wait(WAIT_S)

    watched.handle = blocks
    replace(root / "a.yaml", "A2")
    assert entered.wait(WAIT_S)
    assert not watched.watcher.stop()
    leave.set()


def test_its_own_thread_cannot_wait_for_it(root: Path, watch: Watch) -> None:
    watched = watch(root)
    refused = threading.Event()

    def waits(events: Sequence[FileEvent]) -> None:
        with pytest.raises(RuntimeError, match="cannot wait for itself"):
            watched.watcher.settle(WAIT_S)
        refused.set()

    watched.handle = waits
    replace(root / "a.yaml", "A2")
    assert refused.wait(WAIT_S)
    watched.hears("Settled a=A2")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE])
@pytest.mark.parametrize("at", ["__init__", "schedule", "start"])
def test_beyond_the_systems_limits_it_polls_and_tries_again(
    root: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch, code: int, at: str
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError(code, "inotify watch limit reached")

    monkeypatch.setattr(watcher, "HINTS_RETRY_S", 0.2)
    with monkeypatch.context() as limited:
        limited.setattr(hints.Observer, at, refuses)
        watched = watch(root)
        status = watched.watcher.status()
        assert (status.mode, status.reason) == (WatchMode.POLL, "inotify watch limit reached")
        assert status.watching_since is None
        replace(root / "a.yaml", "A2")
        watched.hears("Settled a=A2")
    deadline = time.monotonic() + WAIT_S
    while watched.watcher.status().mode is WatchMode.POLL and time.monotonic() < deadline:
        watched.settle()
    status = watched.watcher.status()
    assert (status.mode, status.reason, status.blind) == (WatchMode.INOTIFY, "", {})
    assert status.watching_since is not None


@pytest.mark.parametrize(
    ("mode", "expected", "reason"),
    [
        (WatchMode.AUTO, WatchMode.POLL, "what others write on nfs4 is not announced"),
        (WatchMode.INOTIFY, WatchMode.INOTIFY, ""),
        (WatchMode.POLL, WatchMode.POLL, "so configured"),
    ],
)
def test_on_a_network_file_system_it_polls_unless_told_otherwise(
    root: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch, mode: WatchMode, expected: WatchMode, reason: str
) -> None:
    write(root.parent / "mounts", "host:/ / nfs4 rw 0 0\n")
    monkeypatch.setattr(mounts, "MOUNTS", root.parent / "mounts")
    status = watch(root, mode=mode).watcher.status()
    assert (status.mode, status.reason) == (expected, reason)


def test_a_signal_handler_may_wake_it(root: Path, watch: Watch) -> None:
    """Whatever lock the interrupted code holds, also its own."""
    watched = watch(root, mode=WatchMode.POLL, poll_s=60.0)
    calls = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal calls
        calls += 1
        watched.watcher.wake()

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        write(root / "a.yaml", "A2")
        with watched.watcher._looked:
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    watched.hears("Settled a=A2")
    assert calls == 1


def test_a_flood_of_hints_does_not_keep_it_busy(root: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = watch(root)
    scans = 0

    def slow(root: Path) -> Scan:
        nonlocal scans
        scans += 1
        threading.Event().wait(0.02)
        return take_scan(root)

    monkeypatch.setattr(watched.watcher, "_scan", slow)
    began = time.monotonic()
    while time.monotonic() < began + 0.5:
        write(root / "notes.md", "x")
    taken_s = time.monotonic() - began
    assert 1 <= scans <= taken_s / (0.02 / watcher.LOAD) + 1


def test_a_hundred_edits_a_second_end_with_the_last_one(root: Path, watch: Watch) -> None:
    watched = watch(root)
    for number in range(200):
        replace(root / f"{'abcde'[number % 5]}.yaml", f"{'ABCDE'[number % 5]}{number}")
    watched.settle()
    last = {said.partition(" ")[2].partition("=")[0]: said for said in watched.said}
    assert last == {name: f"Settled {name}={name.upper()}{195 + i}" for i, name in enumerate("abcde")}


def test_status_says_how_well_it_sees(root: Path, watch: Watch) -> None:
    watched = watch(root)
    status = watched.watcher.status()
    assert (status.mode, status.files, status.is_settled) == (WatchMode.INOTIFY, 5, True)
    assert status.watching_since is not None and status.last_scan is not None
    assert status.watching_since <= status.last_scan and status.last_hint is None
    assert 0 < status.look_s < WAIT_S
