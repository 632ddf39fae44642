"""Real files, real changes: everything that is done to a strategies folder is found, and only that."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from watched import LONG_S, QUICK, WAIT_S, Watched, fill, out_of_reach, replace, write

from runner.manager.watch.watcher import WatchMode

Watch = Callable[..., Watched]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that every user may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()


@pytest.fixture
def root(home: Path) -> Path:
    (home / "strategies.d").mkdir()
    return fill(home / "strategies.d")


@pytest.fixture
def watch() -> Iterator[Watch]:
    """`watch(root, …)` starts a watcher, which is stopped at the end."""
    with ExitStack() as stack:

        def start(root: Path, **options: object) -> Watched:
            watched = Watched(root, **options)  # type: ignore[arg-type]
            stack.callback(watched.watcher.stop)
            return watched

        yield start


def write_slowly(root: Path) -> None:
    with (root / "a.yaml").open("w", buffering=1) as stream:
        for line in ("A2", "B", "C", "D", "E"):
            stream.write(f"{line}\n")
            time.sleep(0.03)


def vim(root: Path) -> None:
    """What vim does to save, with swap files and its test whether the folder can be written to."""
    for name in (".a.yaml.swp", ".a.yaml.swx"):
        write(root / name, "b0VIM")
    (root / ".a.yaml.swx").unlink()
    write(root / "4913", "")
    (root / "4913").unlink()
    (root / "a.yaml").rename(root / "a.yaml~")
    write(root / "a.yaml", "A2")
    (root / "a.yaml").chmod(0o644)
    (root / "a.yaml~").unlink()
    (root / ".a.yaml.swp").unlink()


def sed(root: Path) -> None:
    subprocess.run(["sed", "-i", "s/A1/A2/", root / "a.yaml"], check=True)


def read_all(root: Path) -> None:
    for path in root.iterdir():
        path.read_bytes()


def move_into_new_folder(root: Path) -> None:
    (root / "sub").mkdir()
    (root / "a.yaml").rename(root / "sub/a.yaml")


def arrive_in_folder(root: Path) -> None:
    write(root.parent / "new/x.yaml", "X1")
    (root.parent / "new").rename(root / "new")


def copy_preserving(root: Path) -> None:
    """`cp -p` of a file with the same size and time of change."""
    times = (root / "a.yaml").stat()
    write(root.parent / "other", "A2")
    os.utime(root.parent / "other", ns=(times.st_atime_ns, times.st_mtime_ns))
    shutil.copy2(root.parent / "other", root / "a.yaml")
    assert (root / "a.yaml").stat().st_mtime_ns == times.st_mtime_ns


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "written in place": (lambda root: write(root / "a.yaml", "A2"), ["Settled a=A2"]),
    "replaced by a rename": (lambda root: replace(root / "a.yaml", "A2"), ["Settled a=A2"]),
    "replaced from another folder": (
        lambda root: replace(root / "a.yaml", "A2", by_way_of=root.parent / "a.new"),
        ["Settled a=A2"],
    ),
    "sed -i": (sed, ["Settled a=A2"]),
    "saved by vim": (vim, ["Settled a=A2"]),
    "written slowly": (write_slowly, ["Settled a=A2\nB\nC\nD\nE\n"]),
    "a new file": (lambda root: write(root / "x.yaml", "X1"), ["Settled x=X1"]),
    "a new file in a new folder": (lambda root: write(root / "sub/deep/x.yaml", "X1"), ["Settled sub/deep/x=X1"]),
    "a folder that arrives whole": (arrive_in_folder, ["Settled new/x=X1"]),
    "renamed": (lambda root: (root / "a.yaml").rename(root / "x.yaml"), ["Moved a>x"]),
    "moved to a new folder": (move_into_new_folder, ["Moved a>sub/a"]),
    "moved out": (lambda root: (root / "a.yaml").rename(root.parent / "a.yaml"), ["Gone a"]),
    "deleted": (lambda root: (root / "a.yaml").unlink(), ["Gone a"]),
    "put out of the way by its name": (lambda root: (root / "a.yaml").rename(root / "a.yaml.disabled"), ["Gone a"]),
    "copied with its size and time preserved": (copy_preserving, ["Settled a=A2"]),
    "touched": (lambda root: (root / "a.yaml").touch(), []),
    "made read-only": (lambda root: (root / "a.yaml").chmod(0o400), []),
    "read": (read_all, []),
    "written with what it had": (lambda root: write(root / "a.yaml", "A1"), []),
    "what does not count": (lambda root: [write(root / name, "A1") for name in ("x.yaml~", ".x.yaml", "x.md")], []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_heard_of(root: Path, watch: Watch, change: str) -> None:
    do, expected = CHANGES[change]
    watched = watch(root)
    do(root)
    watched.hears(*expected)
    status = watched.watcher.status()
    assert (status.mode, status.reason, status.blind) == (WatchMode.INOTIFY, "", {})
    assert status.files == 5 + len([said for said in expected if "x=" in said]) - expected.count("Gone a")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_by_polling(root: Path, watch: Watch, change: str) -> None:
    do, expected = CHANGES[change]
    watched = watch(root, mode=WatchMode.POLL)
    do(root)
    watched.hears(*expected)
    assert watched.watcher.status().mode is WatchMode.POLL


def test_reading_a_file_is_no_hint(root: Path, watch: Watch) -> None:
    """We read files at every hint: one for each reading would keep us awake for ever."""
    watched = watch(root)
    write(root / "a.yaml", "A2")
    watched.hears("Settled a=A2")
    heard = watched.watcher.status().last_hint
    assert heard is not None
    read_all(root)
    watched.settle()
    assert watched.watcher.status().last_hint == heard
    write(root / "a.yaml", "A3")
    watched.hears("Settled a=A3")
    assert watched.watcher.status().last_hint != heard


# Where the system tells nothing, or tells it of the wrong folder: the timer finds it.

TELLING = {"inotify": {"rescan_s": 0.1}, "poll": {"mode": WatchMode.POLL}}


@pytest.fixture(params=TELLING)
def timed(watch: Watch, request: pytest.FixtureRequest) -> Watch:
    return lambda root: watch(root, **TELLING[request.param])


def blind(watched: Watched) -> dict[str, int]:
    """What it has been blind to; nothing when it polls, which sees everything in its time."""
    status = watched.watcher.status()
    assert status.mode is WatchMode.INOTIFY or not status.blind
    return dict(status.blind)


def is_polling(watched: Watched) -> bool:
    return watched.watcher.status().reason == "so configured"


def test_a_root_that_is_a_link_is_watched_where_it_leads(home: Path, root: Path, watch: Watch) -> None:
    (home / "link").symlink_to(root)
    watched = watch(home / "link")
    replace(root / "a.yaml", "A2")
    watched.hears("Settled a=A2")
    assert blind(watched) == {}


def test_a_link_that_is_swapped_as_git_sync_does(home: Path, timed: Watch) -> None:
    fill(home / "rev1")
    fill(home / "rev2")
    replace(home / "rev2/a.yaml", "A2")
    (home / "current").symlink_to("rev1")
    watched = timed(home / "current")
    (home / "next").symlink_to("rev2")
    os.replace(home / "next", home / "current")
    watched.hears("Settled a=A2")
    replace(home / "rev2/b.yaml", "B2")
    watched.hears("Settled b=B2")
    assert is_polling(watched) or blind(watched) == {"folder replaced": 1}


def test_a_config_map_that_is_updated_as_kubernetes_does(home: Path, watch: Watch) -> None:
    """No event ever names a.yaml: the link ..data is swapped, and a.yaml leads through it."""
    root = home / "map"
    fill(root / "..v1", "ab")
    (root / "..data").symlink_to("..v1")
    for name in "ab":
        (root / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    watched = watch(root)
    fill(root / "..v2", "ab")
    write(root / "..v2/a.yaml", "A2")
    (root / "..data_tmp").symlink_to("..v2")
    os.replace(root / "..data_tmp", root / "..data")
    shutil.rmtree(root / "..v1")
    watched.hears("Settled a=A2")
    assert blind(watched) == {}


def test_a_link_whose_target_is_edited(home: Path, root: Path, timed: Watch) -> None:
    write(home / "target", "X1")
    (root / "x.yaml").symlink_to(home / "target")
    watched = timed(root)
    write(home / "target", "X2")
    watched.hears("Settled x=X2")
    assert is_polling(watched) or blind(watched) == {"change not announced": 1}
    (home / "target").unlink()
    watched.hears("Unreadable x")
    write(home / "target", "X3")
    watched.hears("Readable x", "Settled x=X3")


def test_a_folder_that_is_removed_and_made_again(root: Path, timed: Watch) -> None:
    watched = timed(root)
    shutil.rmtree(root)
    fill(root)
    replace(root / "a.yaml", "A2")
    watched.hears("Settled a=A2")
    replace(root / "b.yaml", "B2")
    watched.hears("Settled b=B2")
    status = watched.watcher.status()
    assert is_polling(watched) or (sum(status.blind.values()) >= 1 and status.mode is WatchMode.INOTIFY)


def test_a_folder_that_is_renamed_away_and_made_again(home: Path, root: Path, timed: Watch) -> None:
    """inotify goes on telling of the old one under the name of the new."""
    watched = timed(root)
    root.rename(home / "away")
    fill(root)
    replace(root / "a.yaml", "A2")
    watched.hears("Settled a=A2")
    write(home / "away/b.yaml", "B9")
    replace(root / "c.yaml", "C2")
    watched.hears("Settled c=C2")
    assert is_polling(watched) or blind(watched) == {"folder replaced": 1}


def test_events_that_are_lost(root: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the kernel's queue overflows, of which nobody is told."""
    from watchdog.observers.inotify import InotifyEmitter

    watched = watch(root, rescan_s=0.1)
    with monkeypatch.context() as lost:
        lost.setattr(InotifyEmitter, "queue_event", lambda self, event: None)
        replace(root / "a.yaml", "A2")
        watched.hears("Settled a=A2")
        assert blind(watched) == {"change not announced": 1}
    watched.settle()  # it has set up its hearing anew
    replace(root / "b.yaml", "B2")
    watched.hears("Settled b=B2")
    assert blind(watched) == {"change not announced": 1}


def test_a_folder_that_may_not_be_read(root: Path, timed: Watch) -> None:
    watched = timed(root)
    with out_of_reach(root):
        watched.hears("Unreadable .")
        assert watched.watcher.status().unreadable == (root,)
        if not is_polling(watched):
            assert watched.watcher.status().reason == "permission denied"
    watched.hears("Readable .")
    replace(root / "a.yaml", "A2")
    watched.hears("Settled a=A2")
    assert is_polling(watched) or blind(watched) == {"folder unreadable": 1}


def test_a_folder_in_it_that_may_not_be_read(root: Path, timed: Watch) -> None:
    write(root / "sub/x.yaml", "X1")
    watched = timed(root)
    with out_of_reach(root / "sub"):
        watched.hears("Unreadable sub")
    watched.hears("Readable sub")
    replace(root / "sub/x.yaml", "X2")
    watched.hears("Settled sub/x=X2")
    assert blind(watched) == {}


def test_a_file_that_may_not_be_read(root: Path, timed: Watch) -> None:
    watched = timed(root)
    with out_of_reach(root / "a.yaml"):
        watched.hears("Unreadable a")
    watched.hears("Readable a")


def test_a_folder_that_is_not_there_yet(home: Path, watch: Watch) -> None:
    root = home / "later/strategies.d"
    watched = watch(root)
    status = watched.watcher.status()
    assert (status.mode, status.reason) == (WatchMode.POLL, "no such file or directory")
    fill(root, "a")
    watched.hears("Settled a=A1")
    assert watched.watcher.status().mode is WatchMode.INOTIFY
    replace(root / "a.yaml", "A2")
    watched.hears("Settled a=A2")
    assert blind(watched) == {}


def test_a_folder_that_goes_and_comes_back(root: Path, watch: Watch) -> None:
    watched = watch(root, rescan_s=0.1)
    shutil.rmtree(root)
    watched.hears("Held a b c d e")
    assert watched.watcher.status().held == tuple(root / f"{name}.yaml" for name in "abcde")
    fill(root)
    watched.hears("Released a b c d e")
    assert watched.watcher.status().mode is WatchMode.INOTIFY
    assert watched.watcher.status().held == ()


def test_deletions_can_be_approved(root: Path, watch: Watch) -> None:
    watched = watch(root)
    for name in "abc":
        (root / f"{name}.yaml").unlink()
    watched.hears("Held a b c")
    write(root / "a.yaml", "A1")
    assert watched.watcher.approve_deletions() == (root / "b.yaml", root / "c.yaml")
    watched.hears("Released a", "Approved b c", "Gone b", "Gone c")
    assert watched.watcher.approve_deletions() == ()
    assert blind(watched) == {}


def test_a_file_without_end_is_said_and_waited_for(root: Path, watch: Watch) -> None:
    watched = watch(root, settings=type(QUICK)(quiet_s=0.08, unsettled_s=0.2, require_end_marker=False))
    write(root / "a.yaml", " \n")
    watched.watcher.settle(0.01)
    with watched._more:
        watched._more.wait_for(lambda: watched.said != [], WAIT_S)
    assert watched.said == ["Unsettled a: BLANK"]
    assert not watched.watcher.settle(0.0)
    assert {path.name for path in watched.watcher.status().settling} == {"a.yaml"}
    watched.said.clear()
    write(root / "a.yaml", "A2")
    watched.hears("Settled a=A2")


assert LONG_S > WAIT_S
