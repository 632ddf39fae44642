"""Whatever happens to the files, and whenever the machine looks: what it says is true when it says it, and in the end
the files are what it has said."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fake_folder import ROOT, FakeFolder, identity, is_risky, path_of
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runner.manager.watch.events import (
    FileEvent,
    Gone,
    MassDeletionHeld,
    MassDeletionReleased,
    Moved,
    Readable,
    Settled,
    Unreadable,
    Unsettled,
)
from runner.manager.watch.machine import FileMachine, Settling
from runner.manager.watch.scan import Place

RULES = Settling(quiet_s=1, brake_s=4, blank_s=6, unsettled_s=20, grace_s=5, hash_all_s=30, retry_s=3)
FIRST = ["a", "b", "c", "d", "e", "sub/f", "sub/g", "_h"]
NAMES = st.sampled_from(FIRST)
NEW_NAMES = st.sampled_from(["x", "sub/a", "_b", *FIRST])
TEXTS = st.sampled_from(["A1", "A2", "B1", "B2", "C1", "A?", "B?", "", "  ", "1", "2"])
SECONDS = st.sampled_from([0.1, 0.5, 0.9, 1.0, 1.5, 3.0, 5.0, 7.0])


class Files(RuleBasedStateMachine):
    """Writers, and a machine that is woken at any time at all. The model is the files themselves and when each was last
    written to."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = FakeFolder()
        self.machine = FileMachine(RULES, read=self.folder.read, is_risky=is_risky, identity=identity)
        self.now = 0.0
        self.changed_at: dict[Path, float] = {}
        self.missing_since: dict[Path, float] = {}
        """At every look since then."""
        self.contents: dict[Path, bytes] = {}
        """What the events have made of the folder so far."""
        self.unsettled: set[Path] = set()
        self.unreadable: set[Path] = set()
        self.held: set[Path] = set()
        self.approved: set[Path] = set()
        self.gone = 0
        """With this look, so far."""
        self.ok = True

    @initialize(count=st.sampled_from([len(FIRST), len(FIRST), 2, 1, 0]))
    def begin(self, count: int) -> None:
        for name in FIRST[:count]:
            self.write(name, f"{name[-1].upper()}1")
        self.wait(RULES.quiet_s)

    # Writers

    @rule(name=NAMES, text=TEXTS)
    def write(self, name: str, text: str) -> None:
        self.folder.write(name, text)
        self.changed(name)

    @rule(name=NAMES, parts=st.lists(TEXTS, min_size=2, max_size=4), pause=SECONDS)
    def write_slowly(self, name: str, parts: list[str], pause: float) -> None:
        for end in range(1, len(parts) + 1):
            self.write(name, "".join(parts[:end]))
            self.pass_time(pause)

    @rule(name=NAMES, pause=st.sampled_from([0.5, 0.9]))
    def write_without_end(self, name: str, pause: float) -> None:
        for number in range(int(RULES.unsettled_s / pause) + 2):
            self.write(name, str(number))
            self.wait(pause)

    @rule(name=NAMES)
    def touch(self, name: str) -> None:
        if path_of(name) in self.folder.files:
            self.folder.touch(name)
            self.changed(name)

    @rule(name=NAMES, text=TEXTS)
    def write_unseen(self, name: str, text: str) -> None:
        """Only found by reading all, so only what settles in the end can be said of it."""
        if path_of(name) in self.folder.files:
            self.folder.write_unseen(name, text)

    @rule(name=NAMES)
    def delete_one(self, name: str) -> None:
        self.delete({name})

    @rule(names=st.sets(NAMES, min_size=1))
    def delete(self, names: set[str]) -> None:
        for name in names:
            if path_of(name) in self.folder.files:
                self.folder.delete(name)

    @rule(old=NAMES, new=NEW_NAMES)
    def move(self, old: str, new: str) -> None:
        if path_of(old) in self.folder.files and old != new:
            self.folder.move(old, new)
            self.changed(new)

    @rule(path=st.sampled_from([ROOT, ROOT / "sub", path_of("a"), path_of("b")]))
    def block_or_unblock(self, path: Path) -> None:
        if self.folder.unreadable.pop(path, None) is None:
            self.folder.unreadable[path] = "permission denied"

    @rule(path=st.sampled_from([path_of("a"), path_of("c")]))
    def refuse_or_allow(self, path: Path) -> None:
        if self.folder.refused.pop(path, None) is None:
            self.folder.refused[path] = "Permission denied"

    @rule(old=NAMES, new=NEW_NAMES, text=TEXTS)
    def move_and_write(self, old: str, new: str, text: str) -> None:
        self.move(old, new)
        self.write(new, text)

    @rule(place=st.sampled_from([None, Place(ROOT, 1, 1), Place(ROOT, 1, 2), Place(ROOT, 2, 1)]))
    def replace_folder(self, place: Place | None) -> None:
        self.folder.place = place

    # The machine's life

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: float) -> None:
        """Without a look: nobody says when the machine is woken."""
        self.now += seconds

    @rule()
    def look(self) -> None:
        scan = self.folder.scan()
        missing = self.contents.keys() - scan.files.keys() - self.hidden(self.contents)
        self.missing_since = {path: self.missing_since.get(path, self.now) for path in missing}
        self.gone = 0
        for event in self.machine.observe(scan, self.now):
            self.check(event)
        assert set(self.machine.held) <= self.held
        self.held = set(self.machine.held)  # what came back is no longer held without a word
        due = self.machine.next_due()
        assert due is not None and due > self.now

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        """With a look whenever one is due."""
        end = self.now + seconds
        self.look()
        while (due := self.machine.next_due()) is not None and due <= end:
            self.now = due
            self.look()
        self.now = end

    @rule()
    def approve(self) -> None:
        self.look()
        for event in self.machine.approve_deletions():
            self.check(event)

    def changed(self, name: str) -> None:
        self.changed_at[path_of(name)] = self.now

    def hidden(self, paths: Iterable[Path]) -> set[Path]:
        """Those that nobody can say of whether they are there."""
        blocked = self.folder.unreadable.keys()
        return {path for path in paths if not blocked.isdisjoint((path, *path.parents))}

    def is_there(self, path: Path) -> bool:
        return path in self.folder.scan().files

    # What is said is true

    def check(self, event: FileEvent) -> None:
        self.ok = False
        self.check_and_apply(event)
        self.ok = True

    def check_and_apply(self, event: FileEvent) -> None:
        match event:
            case Settled(path=path, content=content):
                assert self.folder.files[path][0] == content
                assert self.is_there(path) and path not in self.folder.refused
                assert self.contents.get(path) != content or path in self.unsettled
                self.check_quiet(path, content)
                self.contents[path] = content
                self.unsettled.discard(path)
            case Moved(old=old, new=new):
                assert not self.is_there(old) and self.is_there(new)
                before, now = self.contents[old], self.folder.files[new][0]
                assert before == now or identity(before) == identity(now) is not None
                assert self.now >= self.changed_at[new] + RULES.quiet_s
                self.contents[new] = self.contents.pop(old)
                self.unsettled.discard(old)
                self.unreadable.discard(old)
            case Gone(path=path):
                assert not self.is_there(path) and path not in self.machine.held
                spoken_of = self.unsettled | self.unreadable
                assert path in self.contents or path in spoken_of
                if path in self.contents and path not in self.approved:
                    assert self.now >= self.missing_since[path] + RULES.grace_s
                    self.check_few()
                    self.gone += 1
                self.approved.discard(path)
                self.contents.pop(path, None)
                self.unsettled.discard(path)
                self.unreadable.discard(path)
            case Unsettled(path=path):
                assert path not in self.unsettled
                self.unsettled.add(path)
            case Unreadable(path=path):
                assert path not in self.unreadable
                assert path in self.folder.unreadable or path in self.folder.refused
                self.unreadable.add(path)
            case Readable(path=path):
                assert path not in self.folder.unreadable
                self.unreadable.remove(path)
            case MassDeletionHeld(paths=paths):
                assert set(paths) - self.held and set(paths) <= set(self.contents)
                assert not any(self.is_there(path) for path in paths)
                self.held = set(paths)
            case MassDeletionReleased(paths=paths, approved=approved):
                assert set(paths) <= self.held
                self.held = self.held.difference(paths)
                self.approved = set(paths) if approved else set()

    def check_few(self) -> None:
        """No file is gone when many are missing."""
        missing = len(self.contents.keys() - self.folder.scan().files.keys() - self.hidden(self.contents)) + self.gone
        count = len(self.contents) + self.gone
        assert missing < count and (missing == 1 or missing < RULES.mass_fraction * count)

    def check_quiet(self, path: Path, content: bytes) -> None:
        if self.contents.get(path) == content:
            needed_s = RULES.quiet_s
        elif not content.strip():
            needed_s = RULES.blank_s
        else:
            needed_s = RULES.brake_s if is_risky(path, content) else RULES.quiet_s
        assert self.now >= self.changed_at[path] + needed_s

    @invariant()
    def what_is_held_is_missing(self) -> None:
        assert set(self.machine.held) <= set(self.contents)
        assert set(self.machine.unreadable) == self.unreadable

    def teardown(self) -> None:
        """Everything calms down and can be read: then the events have made of the folder what it is."""
        self.folder.unreadable.clear()
        self.folder.refused.clear()
        self.folder.place = Place(ROOT, 1, 1)
        if not self.ok:
            return
        self.wait(3 * RULES.hash_all_s)
        files = {path: content for path, (content, _) in self.folder.files.items()}
        held = set(self.machine.held)
        assert {path: content for path, content in self.contents.items() if path not in held} == files
        assert not held & files.keys()
        assert self.unsettled | self.unreadable <= held
        assert not self.machine.settling and not self.machine.missing
        for event in self.machine.approve_deletions():
            self.check(event)
        assert self.contents == files


TestFiles = Files.TestCase
TestFiles.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],  # explaining takes minutes
)
