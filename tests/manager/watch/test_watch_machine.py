"""When a file's content counts: each rule of settling, moving and being gone, on a clock that is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fake_folder import FakeFolder, World, path_of

from runner.manager.watch.machine import Settling
from runner.manager.watch.scan import Place

Step = Callable[[FakeFolder], None]


def write(name: str, text: str) -> Step:
    return lambda folder: folder.write(name, text)


def write_unseen(name: str, text: str) -> Step:
    return lambda folder: folder.write_unseen(name, text)


def touch(name: str) -> Step:
    return lambda folder: folder.touch(name)


def chmod(name: str, *, others_may_write: bool) -> Step:
    return lambda folder: folder.chmod(name, others_may_write=others_may_write)


def delete(*names: str) -> Step:
    return lambda folder: folder.delete(*names)


def move(old: str, new: str) -> Step:
    return lambda folder: folder.move(old, new)


def block(name: str) -> Step:
    """A file or folder that a scan cannot look at any more."""
    return lambda folder: folder.unreadable.update({path_of(name): "permission denied"})


def unblock(name: str) -> Step:
    return lambda folder: folder.unreadable.pop(path_of(name)) and None


def refuse(name: str) -> Step:
    """A file that is seen but may not be read any more."""
    return lambda folder: folder.refused.update({path_of(name): "Permission denied"})


def allow(name: str) -> Step:
    return lambda folder: folder.refused.pop(path_of(name)) and None


def root_is(place: Place | None) -> Step:
    return lambda folder: setattr(folder, "place", place)


def all_of(*steps: Step) -> Step:
    def run(folder: FakeFolder) -> None:
        for step in steps:
            step(folder)

    return run


HERE, ANOTHER_DEVICE = Place(path_of("."), 1, 1), Place(path_of("."), 2, 1)
TWO = {"a": "A1", "b": "B1"}
TEN = {name: f"{name.upper()}1" for name in "abcdefghij"}
FIVE = {name: TEN[name] for name in "abcde"}

# what happens → (files that are settled at 0, [(at, step)], [(at, event)])
Row = tuple[dict[str, str], list[tuple[float, Step]], list[tuple[float, str]]]
SETTLES: dict[str, Row] = {
    "a new file settles when it has been quiet": ({}, [(0, write("a", "A1"))], [(0.25, "Settled a=A1")]),
    "an edit settles when it has been quiet": (TWO, [(0, write("a", "A2"))], [(0.25, "Settled a=A2")]),
    "every change begins the quiet anew": (
        TWO,
        [(0, write("a", "A2")), (0.2, write("a", "A3")), (0.4, write("a", "A4"))],
        [(0.65, "Settled a=A4")],
    ),
    "a touch while it settles is a change too": (
        TWO,
        [(0, write("a", "A2")), (0.2, touch("a"))],
        [(0.45, "Settled a=A2")],
    ),
    "files settle on their own": (
        TWO,
        [(0, write("a", "A2")), (0.1, write("b", "B2"))],
        [(0.25, "Settled a=A2"), (0.35, "Settled b=B2")],
    ),
    "a touch is nothing": (TWO, [(0, touch("a"))], []),
    "the same content written again is nothing": (TWO, [(0, write("a", "A1"))], []),
    "an edit taken back before it settles is nothing": (TWO, [(0, write("a", "A2")), (0.2, write("a", "A1"))], []),
    "an edit taken back later is an edit": (
        TWO,
        [(0, write("a", "A2")), (1, write("a", "A1"))],
        [(0.25, "Settled a=A2"), (1.25, "Settled a=A1")],
    ),
    "every file in a new place with the content it had is nothing": (
        TWO,
        [(0, all_of(write("a", "A1"), write("b", "B1"), root_is(Place(path_of("."), 1, 99))))],
        [],
    ),
    "a risky content waits for the brake": (TWO, [(0, write("a", "A?"))], [(2, "Settled a=A?")]),
    "the brake counts from the last change": (
        TWO,
        [(0, write("a", "A?")), (1.9, touch("a"))],
        [(3.9, "Settled a=A?")],
    ),
    "a whole content takes the place of a risky one that waits": (
        TWO,
        [(0, write("a", "A?")), (1.2, write("a", "A2"))],
        [(1.45, "Settled a=A2")],
    ),
    "the old content takes the place of a risky one that waits": (
        TWO,
        [(0, write("a", "A?")), (1.2, write("a", "A1"))],
        [],
    ),
    "an empty file is in the writing": (
        TWO,
        [(0, write("a", "")), (4.9, write("a", "A2"))],
        [(5.15, "Settled a=A2")],
    ),
    "a file that stays empty is empty": (TWO, [(0, write("a", ""))], [(5, "Settled a=")]),
    "a file of nothing but blanks is an empty one": (TWO, [(0, write("a", " \n\t\n"))], [(5, "Settled a= \n\t\n")]),
    "a content that changes behind the same stat is in the writing": (
        TWO,
        [(0, write("a", "A?")), (1, write_unseen("a", "A2"))],
        [(2.25, "Settled a=A2")],
    ),
    "a change that the file system does not show is found by reading all": (
        TWO,
        [(0, write_unseen("a", "A2"))],
        [(20.25, "Settled a=A2")],
    ),
    "a file that others may write to, or no longer, is a change of it": (
        TWO,
        [(0, chmod("a", others_may_write=True)), (1, chmod("a", others_may_write=False))],
        [(0.25, "Settled a=A1 (open to others)"), (1.25, "Settled a=A1")],
    ),
    "other permissions that say the same of others are nothing": (
        TWO,
        [(0, chmod("a", others_may_write=False))],
        [],
    ),
    "a file that others may write to now is not another one that is missing": (
        FIVE | {"f": "A1"},
        [(0, all_of(delete("f"), chmod("a", others_may_write=True)))],
        [(0.25, "Settled a=A1 (open to others)"), (5, "Gone f")],
    ),
}
UNSETTLED: dict[str, Row] = {
    "a file that never stands still is said once, and its settled content stays": (
        TWO,
        [(i / 5, write("a", f"A{i}")) for i in range(200)],
        [(30, "Unsettled a: CHANGING"), (40.05, "Settled a=A199")],
    ),
    "a content back to the old one ends what was said": (
        TWO,
        [*((i / 5, write("a", f"A{i}")) for i in range(151)), (30.1, write("a", "A1"))],
        [(30, "Unsettled a: CHANGING"), (30.35, "Settled a=A1")],
    ),
    "a new file that never settled and is deleted is gone once it was spoken of": (
        TWO,
        [*((i / 5, write("c", f"C{i}")) for i in range(152)), (30.4, delete("c"))],
        [(30, "Unsettled c: CHANGING"), (30.4, "Gone c")],
    ),
    "a new file that never settled and was not spoken of is nothing": (
        TWO,
        [(0, write("c", "C1")), (0.1, delete("c"))],
        [],
    ),
}
MOVES: dict[str, Row] = {
    "a renamed file has moved": (FIVE, [(0, move("a", "z"))], [(0.25, "Moved a>z")]),
    "a file that moved to another folder has moved": (FIVE, [(0, move("a", "sub/a"))], [(0.25, "Moved a>sub/a")]),
    "a renamed file that was edited is known by its strategy": (
        FIVE,
        [(0, all_of(delete("a"), write("z", "A2")))],
        [(0.25, "Moved a>z"), (0.25, "Settled z=A2")],
    ),
    "another content is another strategy": (
        FIVE,
        [(0, all_of(delete("a"), write("z", "Z1")))],
        [(0.25, "Settled z=Z1"), (5, "Gone a")],
    ),
    "the new name may come a while after the old one went": (
        FIVE,
        [(0, delete("a")), (4, write("z", "A1"))],
        [(4.25, "Moved a>z")],
    ),
    "after the grace it is another file": (
        FIVE,
        [(0, delete("a")), (6, write("z", "A1"))],
        [(5, "Gone a"), (6.25, "Settled z=A1")],
    ),
    "no file is gone while a new one that it may be is in the writing": (
        FIVE,
        [(0, all_of(delete("a"), write("z", ""))), (4.9, write("z", "A?"))],
        [(6.9, "Moved a>z"), (6.9, "Settled z=A?")],
    ),
    "but not for ever": (
        FIVE,
        [(0, delete("a")), *((i / 5, write("z", f"A{i}")) for i in range(180))],
        [(30, "Unsettled z: CHANGING"), (30, "Gone a"), (36.05, "Settled z=A179")],
    ),
    "a copy is another file, and stays when the first is deleted": (
        FIVE,
        [(0, write("z", "A1")), (1, delete("a"))],
        [(0.25, "Settled z=A1"), (6, "Gone a")],
    ),
    "of two that are missing the one with the same content has moved": (
        FIVE | {"f": "A1"},
        [(0, all_of(delete("a", "f"), write("a", "A2")))],
        [(0.25, "Settled a=A2"), (5, "Gone f")],
    ),
    "an empty file is not one that moved": (
        FIVE | {"z": ""},
        [(0, all_of(delete("z"), write("a", ""))), (1, write("a", "A2"))],
        [(1.25, "Settled a=A2"), (5, "Gone z")],
    ),
    "a file moved over another takes its place": (FIVE, [(0, move("b", "a"))], [(0.25, "Moved b>a")]),
    "an edit that brings another strategy's name in is an edit": (
        FIVE,
        [(0, write("a", "B2"))],
        [(0.25, "Settled a=B2")],
    ),
    "a strategy that becomes a base has not moved": (
        FIVE,
        [(0, move("a", "_a"))],
        [(0.25, "Settled _a=A1"), (5, "Gone a")],
    ),
    "two files that change names are two edits": (
        FIVE,
        [(0, all_of(write("a", "B1"), write("b", "A1")))],
        [(0.25, "Settled a=B1"), (0.25, "Settled b=A1")],
    ),
}
GONE: dict[str, Row] = {
    "a deleted file is gone after the grace": (FIVE, [(0, delete("a"))], [(5, "Gone a")]),
    "back within the grace with the same content is nothing": (
        FIVE,
        [(0, delete("a")), (4.9, write("a", "A1"))],
        [],
    ),
    "back within the grace with another content is an edit": (
        FIVE,
        [(0, delete("a")), (4.9, write("a", "A2"))],
        [(5.15, "Settled a=A2")],
    ),
    "back while it is in the writing it is not gone": (
        FIVE,
        [(0, delete("a")), (4.9, write("a", "")), (8, write("a", "A2"))],
        [(8.25, "Settled a=A2")],
    ),
    "few of many may be deleted together": (
        TEN,
        [(0, delete("a", "b"))],
        [(5, "Gone a"), (5, "Gone b")],
    ),
    "nearly a third at once is an accident": (TEN, [(0, delete("a", "b", "c"))], [(5, "Held a b c")]),
    "one after the other within the grace is at once": (
        TEN,
        [(0, delete("a")), (2, delete("b")), (4.9, delete("c"))],
        [(5, "Held a b c")],
    ),
    "one after the other with pauses is not": (
        TEN,
        [(0, delete("a")), (5.5, delete("b")), (11, delete("c"))],
        [(5, "Gone a"), (10.5, "Gone b"), (16, "Gone c")],
    ),
    "one of two is no mass": (TWO, [(0, delete("a"))], [(5, "Gone a")]),
    "the last one is all": ({"a": "A1"}, [(0, delete("a"))], [(5, "Held a")]),
    "more that go missing are held as well": (
        FIVE,
        [(0, delete("a", "b")), (7, delete("c"))],
        [(5, "Held a b"), (12, "Held a b c")],
    ),
    "what comes back is held no more, and the rest still is": (
        FIVE,
        [(0, delete("a", "b", "c")), (9, all_of(write("a", "A1"), write("b", "B1"))), (60, write("c", "C1"))],
        [(5, "Held a b c"), (9, "Released a b"), (60, "Released c")],
    ),
    "files that are added release nothing": (
        FIVE,
        [(0, delete("a", "b")), (9, all_of(*(write(f"n{i}", f"N{i}") for i in range(9))))],
        [(5, "Held a b"), *((9.25, f"Settled n{i}=N{i}") for i in range(9))],
    ),
    "one more that goes later is gone, when it is one of many by then": (
        TEN,
        [(0, delete(*"abcd")), (9, all_of(*(write(n, TEN[n]) for n in "abc"))), (20, delete("e"))],
        [(5, "Held a b c d"), (9, "Released a b c"), (25, "Gone e")],
    ),
    "a held file under another name has moved, and is released": (
        TWO,
        [(0, delete("a", "b")), (9, write("x", "A2")), (9, write("y", "B1"))],
        [(5, "Held a b"), (9.25, "Moved a>x"), (9.25, "Settled x=A2"), (9.25, "Moved b>y"), (9.25, "Released a b")],
    ),
}
FOLDERS: dict[str, Row] = {
    "a folder that went is an accident": (TWO, [(0, root_is(None))], [(5, "Held a b")]),
    "a folder that is back in time is nothing": (TWO, [(0, root_is(None)), (4, root_is(HERE))], []),
    "a folder that is back late releases all": (
        TWO,
        [(0, root_is(None)), (9, root_is(HERE))],
        [(5, "Held a b"), (9, "Released a b")],
    ),
    "an empty folder is an accident": (FIVE, [(0, delete(*FIVE))], [(5, "Held a b c d e")]),
    "a single file missing on another volume is an accident": (
        FIVE,
        [(0, all_of(delete("a"), root_is(ANOTHER_DEVICE)))],
        [(5, "Held a")],
    ),
    "what is held because of the volume stays held while that cannot be read": (
        FIVE,
        [
            (0, all_of(delete("a"), root_is(ANOTHER_DEVICE))),
            (9, all_of(block("."), root_is(None))),
            (20, all_of(unblock("."), root_is(ANOTHER_DEVICE))),
        ],
        [(5, "Held a"), (9, "Unreadable ."), (20, "Readable .")],
    ),
    "another volume with the same files is as good": (
        FIVE,
        [(0, root_is(ANOTHER_DEVICE)), (1, delete("a"))],
        [(6, "Gone a")],
    ),
    "a folder that cannot be read is said once and takes nothing away": (
        TWO,
        [(0, block(".")), (50, unblock("."))],
        [(0, "Unreadable ."), (50, "Readable .")],
    ),
    "a sub-folder that cannot be read takes nothing away": (
        TWO | {"sub/c": "C1"},
        [(0, block("sub/")), (50, unblock("sub/"))],
        [(0, "Unreadable sub"), (50, "Readable sub")],
    ),
    "what changed in a folder while it could not be read settles then": (
        TWO,
        [(0, block(".")), (10, write("a", "A2")), (50, unblock("."))],
        [(0, "Unreadable ."), (50, "Readable ."), (50.25, "Settled a=A2")],
    ),
    "a missing file's grace begins when its folder can be read again": (
        FIVE,
        [(0, delete("a")), (1, block(".")), (50, unblock("."))],
        [(1, "Unreadable ."), (50, "Readable ."), (55, "Gone a")],
    ),
    "what was held stays held while the folder cannot be read": (
        TWO,
        [(0, delete("a", "b")), (9, block(".")), (20, unblock("."))],
        [(5, "Held a b"), (9, "Unreadable ."), (20, "Readable .")],
    ),
    "a file that cannot be looked at is not gone": (
        TWO,
        [(0, block("a")), (50, unblock("a"))],
        [(0, "Unreadable a"), (50.25, "Readable a")],
    ),
    "a file that may not be read keeps its content, and is tried again": (
        TWO,
        [(0, all_of(write("a", "A2"), refuse("a"))), (11, allow("a"))],
        [(0.25, "Unreadable a"), (15.25, "Readable a"), (15.25, "Settled a=A2")],
    ),
    "an unreadable file that is deleted is gone": (
        FIVE,
        [(0, all_of(write("a", "A2"), refuse("a"))), (1, delete("a"))],
        [(0.25, "Unreadable a"), (6, "Gone a")],
    ),
    "a new file that could never be read and is deleted is gone": (
        TWO,
        [(0, all_of(write("c", "C1"), refuse("c"))), (1, delete("c"))],
        [(0.25, "Unreadable c"), (1, "Gone c")],
    ),
}


def check(row: Row, settings: Settling) -> World:
    files, steps, expected = row
    world = World(settings, **files)
    for at, step in steps:
        world.until(at)
        step(world.folder)
        world.look()
    world.until(max([at for at, _ in steps], default=0.0) + 21.0)
    assert world.events == expected
    return world


@pytest.mark.parametrize("fact", SETTLES)
def test_of_settling(fact: str) -> None:
    check(SETTLES[fact], Settling())


@pytest.mark.parametrize("fact", UNSETTLED)
def test_of_never_settling(fact: str) -> None:
    check(UNSETTLED[fact], Settling())


@pytest.mark.parametrize("fact", MOVES)
def test_of_moving(fact: str) -> None:
    check(MOVES[fact], Settling())


@pytest.mark.parametrize("fact", GONE)
def test_of_being_gone(fact: str) -> None:
    check(GONE[fact], Settling())


@pytest.mark.parametrize("fact", FOLDERS)
def test_of_folders_and_of_what_cannot_be_read(fact: str) -> None:
    check(FOLDERS[fact], Settling())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A2\n...\n", [(0.25, "Settled a=A2\n...\n")]),
        ("A2\n...\r\n\n  \n", [(0.25, "Settled a=A2\n...\r\n\n  \n")]),
        ("A2\n... \n", [(0.25, "Settled a=A2\n... \n")]),
        ("A2\n", [(30, "Unsettled a: NO_END_MARKER")]),
        ("A2 ...\n", [(30, "Unsettled a: NO_END_MARKER")]),
        ("A2\n...\nmore\n", [(30, "Unsettled a: NO_END_MARKER")]),
        ("", [(30, "Unsettled a: NO_END_MARKER")]),
    ],
)
def test_where_an_end_marker_is_required_a_file_without_it_is_in_the_writing(
    text: str, expected: list[tuple[float, str]]
) -> None:
    start = {"a": "A1\n...", "b": "B1\n..."}
    check((start, [(0, write("a", text)), (31, lambda folder: None)], expected), Settling(require_end_marker=True))


def test_whether_a_content_is_risky_is_asked_once() -> None:
    world = World(Settling(), a="A1")
    for at, text in ((0.0, "A?"), (1.5, "A?"), (6.0, "A2")):
        world.until(at)
        world.folder.write("a", text)
        world.look()
    world.until(20)
    assert world.asked == [b"A?", b"A2"]
    assert world.events == [(3.5, "Settled a=A?"), (6.25, "Settled a=A2")]


def test_a_file_that_cannot_be_judged_is_given_the_brake(caplog: pytest.LogCaptureFixture) -> None:
    def raises(*_: object) -> bool:
        raise RuntimeError("boom")

    world = World(Settling(), a="A1", b="B1")
    world.machine._is_risky = raises
    world.machine._identity = raises  # type: ignore[assignment]
    world.folder.write("a", "A2")
    world.folder.move("b", "c")
    world.look()
    world.until(10)
    assert world.events == [(0.25, "Moved b>c"), (2, "Settled a=A2")]
    assert "boom" in caplog.text


@pytest.mark.parametrize("replaced", [True, False], ids=["by another file", "where it is"])
def test_a_file_that_changes_while_it_is_read_is_in_the_writing(replaced: bool) -> None:
    world = World(Settling(), a="A1")

    def meddle(path: object) -> None:
        world.folder.before_read = lambda path: None
        world.folder.write("a", "A3") if replaced else world.folder.touch("a")

    world.folder.before_read = meddle
    world.folder.write("a", "A2")
    world.look()
    world.until(10)
    assert world.events == [(0.5, "Settled a=A3" if replaced else "Settled a=A2")]


def test_a_file_that_goes_while_it_is_read_is_missing() -> None:
    world = World(Settling(), a="A1", b="B1", c="C1", d="D1")
    world.folder.write("a", "A2")
    world.look()
    world.folder.before_read = lambda path: world.folder.files.pop(path, None) and None
    world.until(0.26)
    world.folder.before_read = lambda path: None
    world.until(10)
    assert world.events == [(5.5, "Gone a")]


def test_approving_lets_what_is_held_be_gone() -> None:
    world = World(Settling(), **FIVE)
    world.folder.delete("a", "b")
    world.look()
    world.until(8)
    assert world.machine.held == (path_of("a"), path_of("b"))
    world.note(world.machine.approve_deletions())
    world.until(100)
    assert world.events == [(5, "Held a b"), (8, "Approved a b"), (8, "Gone a"), (8, "Gone b")]
    assert world.machine.held == world.machine.approve_deletions() == ()


def test_after_an_approval_on_another_volume_that_volume_is_the_one() -> None:
    world = World(Settling(), **FIVE)
    world.folder.delete("a")
    world.folder.place = ANOTHER_DEVICE
    world.look()
    world.until(6)
    world.note(world.machine.approve_deletions())
    world.until(7)
    world.look()
    world.folder.delete("b")
    world.look()
    world.until(20)
    assert world.events == [(5, "Held a"), (6, "Approved a"), (6, "Gone a"), (12, "Gone b")]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"a": "A1", "b": "B1", "c": "C1"}, []),
        ({"a": "A2", "b": "B1", "c": "C1"}, [(0.25, "Settled a=A2")]),
        ({"a": "A1", "b": "B1"}, [(5, "Gone c")]),
        ({"a": "A1", "b": "B1", "x": "C1"}, [(0.25, "Moved c>x")]),
        ({}, [(5, "Held a b c")]),
    ],
)
def test_what_happened_while_nobody_looked_is_judged_like_what_happens(
    found: dict[str, str], expected: list[tuple[float, str]]
) -> None:
    world = World(Settling())
    for name, text in {"a": "A1", "b": "B1", "c": "C1"}.items():
        world.machine.remember(path_of(name), text.encode())
    for name, text in found.items():
        world.folder.write(name, text)
    world.look()
    world.until(20)
    assert world.events == expected


def test_reading_all_can_be_asked_for() -> None:
    world = World(Settling(), a="A1", b="B1")
    world.folder.write_unseen("a", "A2")
    world.machine.hash_all()
    world.look()
    world.until(1)
    assert world.events == [(0.25, "Settled a=A2")]


def test_what_is_going_on_can_be_seen() -> None:
    world = World(Settling(), **FIVE)
    world.folder.write("a", "A?")
    world.folder.delete("b")
    world.folder.unreadable[path_of("c")] = "permission denied"
    world.look()
    world.until(1)
    machine = world.machine
    assert {path.stem: waiting.name for path, waiting in machine.settling.items()} == {"a": "RISKY"}
    assert (machine.missing, machine.unreadable, machine.held) == ((path_of("b"),), (path_of("c"),), ())
    assert machine.count == 5
