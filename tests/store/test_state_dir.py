"""One process owns a state directory; everybody else is told who."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import StoreError, StoreLocked
from runner.store.state_dir import StateDir, read_owner

HOLDER = (
    "import sys, time\nfrom runner.store.state_dir import StateDir\n"
    "state = StateDir.open(sys.argv[1], account_hint='DU1234')\nprint('held', flush=True)\ntime.sleep(60)\n"
)


@pytest.fixture
def holder(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_with_the_pid_and_account_of_the_first(tmp_path: Path, holder) -> None:
    with pytest.raises(StoreLocked) as caught:
        StateDir.open(tmp_path / "s")
    assert caught.value.pid == holder.pid
    assert f"process {holder.pid}" in caught.value.message and "DU1234" in caught.value.message
    assert str(tmp_path / "s") in caught.value.message
    assert read_owner(tmp_path / "s") == holder.pid


def test_the_lock_goes_away_with_a_killed_process(tmp_path: Path, holder) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert read_owner(tmp_path / "s") is None
    with StateDir.open(tmp_path / "s"):
        assert read_owner(tmp_path / "s") == os.getpid()


def test_the_same_process_cannot_open_it_twice_either(tmp_path: Path) -> None:
    with StateDir.open(tmp_path / "s"):
        with pytest.raises(StoreLocked) as caught:
            StateDir.open(tmp_path / "s")
        assert caught.value.pid == os.getpid()


def test_closing_releases_it_and_may_be_repeated(tmp_path: Path) -> None:
    state = StateDir.open(tmp_path / "s")
    state.close()
    state.close()
    assert read_owner(tmp_path / "s") is None
    StateDir.open(tmp_path / "s").close()


def test_nobody_owns_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert read_owner(tmp_path / "nothing") is None


def test_it_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with StateDir.open(tmp_path / "a" / "b") as state:
        assert state.path.stat().st_mode & 0o777 == 0o700
        assert (state.path / "lock").stat().st_mode & 0o777 == 0o600
        assert {state.journal_path.parent, state.arctic_path.parent, state.socket_path.parent} == {state.path}


def test_an_existing_directory_of_ours_is_made_private_and_a_strangers_is_left_alone(tmp_path: Path) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir(mode=0o755)
    full.mkdir(mode=0o755)
    (full / "notes.txt").write_text("mine")
    for path in (empty, full):
        StateDir.open(path).close()
    assert empty.stat().st_mode & 0o777 == 0o700
    assert full.stat().st_mode & 0o777 == 0o755


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file")
    with pytest.raises(StoreError, match="cannot use"):
        StateDir.open(tmp_path / "s")
