"""Looking when somebody asks: what is taken as it is, what is not, and what is held."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fake_folder import identity, is_risky
from telling import told
from watched import WAIT_S, fill, write

from runner.manager.watch.events import FileEvent
from runner.manager.watch.looks import Looks
from runner.manager.watch.machine import FileMachine, Settling
from runner.manager.watch.scan import Reading, read_file
from runner.model.clock import SystemClock


class Asked:
    """A folder with a.yaml to e.yaml, whose contents are known, and whoever asks for looks at it."""

    def __init__(self, root: Path, *, require_end_marker: bool = False) -> None:
        self.root = root
        self.said: list[str] = []
        settings = Settling(require_end_marker=require_end_marker).asked
        self.read: Callable[[Path], Reading] = read_file
        machine = FileMachine(settings, read=lambda path: self.read(path), is_risky=is_risky, identity=identity)
        for path in sorted(fill(root).iterdir()):
            machine.remember(path, path.read_bytes())
        self.looks = Looks(root, machine, self._take, clock=SystemClock())

    def _take(self, events: Sequence[FileEvent]) -> None:
        self.said += [told(event, self.root) for event in events]

    def look(self, *, settled: bool = True) -> list[str]:
        """What a look finds."""
        self.said.clear()
        assert self.looks.settle(WAIT_S) is settled
        return list(self.said)


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path / "strategies.d")


def test_what_is_as_it_was_is_nothing(asked: Asked) -> None:
    assert asked.look() == asked.look() == []


def test_a_file_is_taken_as_it_is_without_standing_still(asked: Asked) -> None:
    write(asked.root / "a.yaml", "A2")
    assert asked.look() == ["Settled a=A2"]
    write(asked.root / "a.yaml", "A?")
    assert asked.look() == ["Settled a=A?"]


def test_a_change_behind_the_same_stat_is_found(asked: Asked) -> None:
    asked.look()
    path = asked.root / "a.yaml"
    before = path.stat()
    asked.read = lambda one: Reading(b"A2", read_file(one).stat) if one == path else read_file(one)
    assert asked.look() == ["Settled a=A2"] and path.stat() == before


def test_a_blank_file_is_not_taken(asked: Asked) -> None:
    write(asked.root / "a.yaml", "")
    assert asked.look(settled=False) == []
    write(asked.root / "a.yaml", "A2")
    assert asked.look() == ["Settled a=A2"]


def test_a_file_that_changes_while_it_is_read_is_not_taken(asked: Asked) -> None:
    writes = iter(range(1000))

    def read(path: Path) -> Reading:
        if path.name == "a.yaml":
            write(path, "A2" + "." * next(writes))
        return read_file(path)

    asked.read = read
    write(asked.root / "a.yaml", "A2")
    assert asked.look(settled=False) == []
    asked.read = read_file
    assert asked.look() == [f"Settled a={(asked.root / 'a.yaml').read_text()}"]


def test_a_file_without_the_end_marker_is_not_taken_where_one_is_required(tmp_path: Path) -> None:
    asked = Asked(tmp_path / "strategies.d", require_end_marker=True)
    write(asked.root / "a.yaml", "A2\n")
    assert asked.look(settled=False) == []
    write(asked.root / "a.yaml", "A2\n...\n")
    assert asked.look() == ["Settled a=A2\n...\n"]


def test_a_single_file_that_is_missing_is_gone_at_once_and_one_of_another_name_has_moved(asked: Asked) -> None:
    (asked.root / "a.yaml").unlink()
    os.rename(asked.root / "b.yaml", asked.root / "z.yaml")
    assert asked.look() == ["Moved b>z", "Gone a"]


def test_many_that_are_missing_are_held_until_they_are_back_or_it_was_meant(asked: Asked) -> None:
    for name in ("a", "b"):
        (asked.root / f"{name}.yaml").unlink()
    assert asked.look() == ["Held a b"]
    assert asked.look() == []
    assert asked.looks.status().held == (asked.root / "a.yaml", asked.root / "b.yaml")
    for name in ("a", "b"):
        write(asked.root / f"{name}.yaml", f"{name.upper()}1")
    assert asked.look() == ["Released a b"]
    for name in ("a", "b"):
        (asked.root / f"{name}.yaml").unlink()
    assert asked.looks.approve_deletions() == (asked.root / "a.yaml", asked.root / "b.yaml")
    assert asked.said[-3:] == ["Approved a b", "Gone a", "Gone b"]
    assert asked.looks.status().held == asked.looks.approve_deletions() == ()


def test_a_folder_that_is_away_takes_nothing_with_it(asked: Asked) -> None:
    os.rename(asked.root, asked.root.with_name("away"))
    assert asked.look() == ["Held a b c d e"]
    os.rename(asked.root.with_name("away"), asked.root)
    assert asked.look() == ["Released a b c d e"]


def test_what_cannot_be_read_keeps_what_was_read_last_and_is_tried_at_every_look(asked: Asked) -> None:
    def refuses(path: Path) -> Reading:
        raise PermissionError(13, "Permission denied")

    write(asked.root / "a.yaml", "A2")
    asked.read = refuses
    assert asked.look() == [f"Unreadable {name}" for name in "abcde"]
    asked.read = read_file
    assert asked.look() == ["Readable a", "Settled a=A2", *(f"Readable {name}" for name in "bcde")]
    (asked.root / "a.yaml").unlink()
    (asked.root / "a.yaml").symlink_to("nowhere")
    assert asked.look() == ["Unreadable a"]


def test_two_who_ask_at_once_are_answered_one_after_the_other(asked: Asked) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def slow(path: Path) -> Reading:
        reading.set()
        assert go_on.wait(WAIT_S)
        return read_file(path)

    asked.read = slow
    write(asked.root / "a.yaml", "A2")
    first = threading.Thread(target=asked.looks.settle, args=(WAIT_S,))
    first.start()
    assert reading.wait(WAIT_S)
    assert not asked.looks.settle(0.0)
    go_on.set()
    first.join()
    assert asked.said == ["Settled a=A2"]


def test_after_its_end_nothing_is_looked_at(asked: Asked) -> None:
    asked.looks.stop()
    write(asked.root / "a.yaml", "A2")
    assert asked.look(settled=False) == []
    assert asked.looks.approve_deletions() == ()
