"""What one look at a folder finds, and how what cannot be seen is told from what is not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from watched import fill, replace, write

from runner.manager.watch import mounts, scan
from runner.manager.watch.mounts import remote_type
from runner.manager.watch.scan import read_file, take_scan
from runner.spec.folder import load_folder
from runner.spec.load import MAX_BYTES
from runner.spec.names import FileRole, role_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fill(tmp_path / "strategies.d", "a")


Put = Callable[[Path], object]
THERE: dict[str, tuple[Put, list[str]]] = {
    "a strategy in a folder": (lambda root: write(root / "sub/x.yml", ""), ["sub/x.yml"]),
    "a base": (lambda root: write(root / "_x.yaml", ""), ["_x.yaml"]),
    "a link to a file elsewhere": (
        lambda root: [write(root.parent / "x", ""), (root / "x.yaml").symlink_to("../x")],
        ["x.yaml"],
    ),
    "a hidden folder": (lambda root: write(root / ".git/x.yaml", ""), []),
    "an editor's droppings": (lambda root: write(root / "x.yaml~", ""), []),
    "names that only look like it": (lambda root: write(root / "x.YAML", ""), []),
    "other files": (lambda root: write(root / "readme.md", ""), []),
    "a link to a folder elsewhere": (
        lambda root: [write(root.parent / "other/x.yaml", ""), (root / "sub").symlink_to("../other")],
        [],
    ),
}


@pytest.mark.parametrize("what", THERE)
def test_the_same_files_count_as_when_they_are_loaded(root: Path, what: str) -> None:
    put, expected = THERE[what]
    put(root)
    found = take_scan(root)
    assert sorted(path.relative_to(root).as_posix() for path in found.files) == sorted(["a.yaml", *expected])
    assert found.unreadable == {} and not found.is_missing
    strategies = [path for path in found.files if role_of(path.name) is FileRole.STRATEGY]
    assert sorted(strategies) == sorted(one.path for one in load_folder(root).loaded)


UNREADABLE: dict[str, tuple[Put, dict[str, str]]] = {
    "a link that leads nowhere": (
        lambda root: (root / "x.yaml").symlink_to("nowhere"),
        {"x.yaml": "the link leads nowhere"},
    ),
    "a link to itself": (
        lambda root: (root / "x.yaml").symlink_to("x.yaml"),
        {"x.yaml": "too many levels of symbolic links"},
    ),
    "a pipe": (lambda root: os.mkfifo(root / "x.yaml"), {"x.yaml": "it is not a regular file"}),
    "a link of no consequence to itself": (lambda root: (root / "x").symlink_to("x"), {}),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_looked_at_is_there_all_the_same(root: Path, what: str) -> None:
    put, expected = UNREADABLE[what]
    put(root)
    found = take_scan(root)
    assert {path.relative_to(root).as_posix(): reason for path, reason in found.unreadable.items()} == expected
    assert set(found.files) == {root / "a.yaml"} and not found.is_missing


def test_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "file", "")
    for root in (tmp_path / "nowhere", tmp_path / "file", tmp_path / "file/below"):
        found = take_scan(root)
        assert (found.is_missing, found.files, found.unreadable) == (True, {}, {})


def test_a_folder_that_leads_in_a_circle_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    found = take_scan(tmp_path / "circle")
    assert not found.is_missing
    assert found.unreadable == {tmp_path / "circle": "too many levels of symbolic links"}


def test_an_empty_folder_is_there(tmp_path: Path) -> None:
    found = take_scan(tmp_path)
    assert (found.is_missing, found.files, found.unreadable) == (False, {}, {})
    assert found.place is not None and found.place.inode == tmp_path.stat().st_ino


def test_too_many_files_are_a_wrong_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MAX_FILES", 3)
    fill(root, "abc")
    assert len(take_scan(root).files) == 3
    fill(root, "d")
    assert take_scan(root).unreadable == {root: "it holds more than 3 files"}


def test_paths_are_those_of_the_link_wherever_it_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rev1", "rev2"):
        fill(tmp_path / name, "a")
    (tmp_path / "current").symlink_to("rev1")
    first = take_scan(tmp_path / "current")
    (tmp_path / "next").symlink_to("rev2")
    os.replace(tmp_path / "next", tmp_path / "current")
    second = take_scan(tmp_path / "current")
    assert set(first.files) == set(second.files) == {tmp_path / "current/a.yaml"}
    assert first.files != second.files and first.place != second.place
    monkeypatch.chdir(tmp_path)
    assert set(take_scan(Path("current")).files) == {Path("current/a.yaml")}


@pytest.mark.parametrize(
    "change",
    [
        lambda path: write(path, "A2"),
        lambda path: replace(path, "A1"),
        lambda path: path.touch(),
        lambda path: path.chmod(0o600),
        lambda path: os.utime(path, ns=(0, path.stat().st_mtime_ns)),
    ],
    ids=["written", "replaced by the same", "touched", "chmod", "set to the time it has"],
)
def test_whatever_is_done_to_a_file_shows(root: Path, change: Put) -> None:
    path = root / "a.yaml"
    before = take_scan(root).files[path]
    assert take_scan(root).files[path] == before
    let_time_be_seen(root / "probe")
    change(path)
    assert take_scan(root).files[path] != before


def let_time_be_seen(probe: Path) -> None:
    """Until the file system, which counts time in steps of milliseconds, has made one."""
    write(probe, "")
    before = probe.stat().st_mtime_ns
    while probe.stat().st_mtime_ns == before:
        write(probe, "")


def test_a_reading_says_what_it_was_of(root: Path) -> None:
    reading = read_file(root / "a.yaml")
    assert (reading.content, reading.stat) == (b"A1", take_scan(root).files[root / "a.yaml"])


def test_no_more_is_read_than_a_strategy_may_hold(root: Path) -> None:
    write(root / "a.yaml", "x" * (MAX_BYTES + 10))
    assert len(read_file(root / "a.yaml").content) == MAX_BYTES + 1


def test_a_pipe_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(OSError, match="not a regular file"):
            read_file(root / name)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/strategies.d", ""),
        ("/mnt/nfs/strategies.d", "nfs4"),
        ("/mnt/nfs/local/strategies.d", ""),
        ("/mnt/nfs2/strategies.d", ""),
        ("/mnt/with space/strategies.d", "cifs"),
        ("/mnt/ssh", "fuse.sshfs"),
        ("/mnt/ntfs/x", ""),
        ("/mnt/hidden/x", ""),
        ("/desktop/x", "9p"),
    ],
)
def test_remote_file_systems_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kind: str) -> None:
    (tmp_path / "mounts").write_text(
        "/dev/sda1 / ext4 rw 0 0\n"
        "host:/x /mnt/nfs nfs4 rw 0 0\n"
        "/dev/sda2 /mnt/nfs/local xfs rw 0 0\n"
        "//host/x /mnt/with\\040space cifs rw 0 0\n"
        "host:x /mnt/ssh fuse.sshfs rw 0 0\n"
        "/dev/sda3 /mnt/ntfs fuseblk rw 0 0\n"
        "host:/y /mnt/hidden nfs rw 0 0\n"
        "tmpfs /mnt/hidden tmpfs rw 0 0\n"
        "C: /desktop 9p rw 0 0\n"
        "broken\n"
    )
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "mounts")
    assert remote_type(Path(path)) == kind


def test_where_mounts_are_not_listed_nothing_is_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "MOUNTS", tmp_path / "nowhere")
    assert remote_type(Path("/mnt/nfs")) == ""
