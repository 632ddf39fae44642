"""The reload engine: compares what the files want with what runs, again and again, and brings the two together.

It is level-triggered: an event only says that it is time to compare. A lost event, two quick edits or a restart in the
middle of one all end in the same state, because nothing is derived from what changed, only from what is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import SpecError, UnknownName
from runner.manager.reload.bases import PendingBase
from runner.manager.reload.carrier import Carrier, Occasion
from runner.manager.reload.decision import (
    Begin,
    Change,
    Decision,
    Hold,
    Keep,
    Situation,
    Wait,
    Wanted,
    begin,
    decide,
    decide_beside,
)
from runner.manager.reload.files import by_name, content, first_problem, owner, text_sha256, within
from runner.manager.reload.in_place import InPlace
from runner.manager.reload.lanes import Lanes
from runner.manager.reload.observing import Observing
from runner.manager.reload.record import Record
from runner.manager.reload.removal import Removal
from runner.manager.reload.settings import RETRY_LAST_S, ReloadSettings
from runner.manager.reload.track import DECIDED_AGAINST, NOT_IN_FORCE, UNDECIDED, Goal, Track, Waiting
from runner.manager.reload.trials import NOT_USABLE
from runner.model.annotations import Loosening
from runner.model.clock import Clock
from runner.model.events import Event, PhaseChanged, ReloadResult, StrategyPhase
from runner.spec.deployment import Deployment
from runner.spec.folder import Folder, Loaded
from runner.spec.spec import StrategySpec
from runner.store.generations import Generation, GenerationState

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager

TICK_S = 0.25
"""How often it is looked whether something that waits is due."""
OBSERVE_TICKS = 4
"""How many of them pass between two looks at what can be said of every strategy."""
DONE = (ReloadResult.APPLIED, ReloadResult.UNCHANGED)
FAILED = "failed"
"""Kind of waiting after an error that nobody has thought of."""

log = logging.getLogger("runner.reload")


class ReloadEngine:
    """One for the whole runner. `Starting` says what to start with; `wish` takes a folder as it is now."""

    def __init__(
        self, manager: StrategyManager, deployment: Deployment, settings: ReloadSettings, system: Clock
    ) -> None:
        self.manager = manager
        self._settings = settings
        self.system = system
        self.root = manager.config.strategies_dir
        self.carrier = Carrier(manager, self.root, system, look_ahead=self.look_ahead)
        self.record = Record(manager, deployment)
        self.in_place = InPlace(self)
        self.removal = Removal(self)
        self.observing = Observing(manager, system)
        self._tracks: dict[str, Track] = {}
        self._lock = threading.RLock()
        self._lanes = Lanes(self._run)
        self.schedule = self._lanes.schedule
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._phased: dict[str, StrategyPhase | None] = {}
        """Strategies whose phase has changed since the last look; None where it has to be looked at."""
        self._ticker: threading.Thread | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._compared = system.monotonic()
        self._comparing = threading.Event()
        """A comparison with the store is under way: one that hangs must not take all lanes."""
        self.only: str | None = None
        """The one strategy that is to run, whatever other files there are; None for all."""

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to look after what waits."""
        self._unsubscribe = self.manager.journal.subscribe(self._hear)
        self._phased |= dict.fromkeys(self._tracks)  # what has become of those that were started is not known yet
        self._ticker = threading.Thread(target=self._tick, name="reload-ticker", daemon=True)
        self._ticker.start()

    def close(self) -> None:
        """Lets go of what waits, and of everybody in `settled`. A change that is being carried out ends where it is;
        the next start judges its file again. May be called twice."""
        self._stop.set()
        self._wake.set()
        self.manager.versions.abandon()
        self._lanes.end()
        self._unsubscribe()
        self._unsubscribe = lambda: None
        if self._ticker is not None:
            self._ticker.join()
        self._lanes.join()

    def _hear(self, events: list[tuple[int, Event]]) -> None:
        """On the journal's thread, which must not wait for anybody."""
        phased = {event.strategy: event.phase for _, event in events if isinstance(event, PhaseChanged)}
        if phased:
            self._phased |= phased
            self._wake.set()

    def _tick(self) -> None:
        ticks = 0
        while not self._stop.is_set():
            self._wake.wait(TICK_S)
            self._wake.clear()
            ticks += 1
            try:
                self.look()
                if ticks % OBSERVE_TICKS == 0:
                    self.observing.observe_all(self._idle())
            except Exception:  # the thread must outlive what nobody has thought of
                log.exception("a look at what waits failed")

    def look(self) -> None:
        """Schedules what is due: a try again, the end of a trading window or of a temporary value, a strategy that
        holds nothing any more, a comparison with the store."""
        now = self.system.monotonic()
        if now - self._compared >= self._settings.drift_interval_s and not self._comparing.is_set():
            self._compared = now
            self._comparing.set()
            self._lanes.submit(self._compare)
        phased, self._phased = self._phased, {}
        for name, track in self.tracks().items():
            waiting = track.waiting
            if waiting is not None and phased.get(name) is StrategyPhase.RUNNING:
                track.waiting = replace(waiting, due=now)  # what it waited for may have come
            if self._is_due(track, now, phased=name in phased):
                self.schedule(name)

    def _compare(self) -> None:
        try:
            self.in_place.read_rows()
        finally:
            self._comparing.clear()

    def _idle(self) -> list[Track]:
        """Those of which nothing is being carried out."""
        busy = self._lanes.busy()
        return [track for name, track in self.tracks().items() if name not in busy and not track.lock.locked()]

    def _is_due(self, track: Track, now: float, *, phased: bool) -> bool:
        if track.waiting is not None and self._may_try(track, track.waiting):
            return True
        if track.sync_due is not None and track.sync_due <= now:
            return True
        if self.carrier.trials.is_due(track, now, phased=phased):
            return True
        # What is tried again at a time of its own ends it then.
        expires = (track.waiting is None or track.waiting.due is None) and self.in_place.has_expired(track)
        return expires or self.removal.is_due(track, phased=phased)

    def _may_try(self, track: Track, waiting: Waiting) -> bool:
        """Whether the pause of a version that waits is over, or the trading window that it waits for the end of."""
        if waiting.due is None:
            return not self._in_window(track)
        return waiting.due <= self.system.monotonic()

    # -- turns ---------------------------------------------------------------------------------------------------

    def wish(self, folder: Folder) -> None:
        """The folder as it is now. Returns at once; `settled` waits for what follows."""
        with self._lock:
            wanted = by_name(folder.loaded, known={name: track.wanted for name, track in self._tracks.items()})
            for name, loaded in wanted.items():
                if self.only not in (None, name):
                    continue
                track = self.track_of(name)
                if track.wanted is None or loaded is not track.wanted:
                    track.wanted = loaded
                    track.base_refused, track.doubted = "", False
                    self.look_ahead(track)
                    self.schedule(name)
            for name, track in self._tracks.items():
                if name not in wanted and track.wanted is not None:
                    track.wanted = None
                    self.schedule(name)

    def use(self, loosening: Loosening) -> None:
        """What happens to changes that loosen, from now on. What is held, and need not be any more, is applied."""
        with self._lock:
            if self._settings.loosening is loosening:
                return
            self._settings = replace(self._settings, loosening=loosening)
            for name in self._tracks:
                self.schedule(name)

    def doubt(self, paths: Collection[Path], *, doubted: bool) -> None:
        """Files that are missing in a way that looks like an accident, or are no longer: kept over a restart."""
        with self._lock:
            for name, track in self._tracks.items():
                if track.wanted is not None and track.wanted.path in paths and track.doubted != doubted:
                    track.doubted = doubted
                    self.schedule(name)

    def doubted(self) -> list[str]:
        """Strategies whose files were missing at the start, in a way that looks like an accident."""
        return sorted(name for name, track in self.tracks().items() if track.doubted and track.wanted is None)

    def release_doubted(self) -> list[str]:
        """They are removed as any other whose file is gone. Returns them."""
        with self._lock:
            released = self.doubted()
            for name in released:
                self._tracks[name].doubted = False
                self.schedule(name)
        return released

    def look_ahead(self, track: Track) -> None:
        """The gate asks the caps of what is to run before it does, when that lets the strategy risk less. They do not
        wait for the lane, which may be busy preparing something else."""
        with self._lock:
            try:
                ahead = self._tightening(track) or track.ahead
            except Exception:
                # One strategy must not keep another's caps from counting; its lane meets the same, and says so.
                log.exception("what the file of %s asks for could not be compared with what runs", track.name)
                ahead = track.ahead
            self.manager.versions.look_ahead(track.name, ahead)

    def _tightening(self, track: Track) -> StrategySpec | None:
        """What the file asks for, when that only tightens what runs and has not been refused."""
        loaded, newest = track.wanted, track.newest
        spec = None if loaded is None else loaded.spec
        if loaded is None or spec is None or track.in_force is None or spec.spec_hash == track.superseded:
            return None
        judged = content(loaded) == track.judged
        if judged and newest is not None and newest.spec_hash == spec.spec_hash and newest.state in DECIDED_AGAINST:
            return None
        try:
            goal = self.in_place.standing(track, spec, expiring=False).goal
        except SpecError:
            return None  # the lane says so
        decision = self.decision(track, goal)
        return goal.spec if isinstance(decision, Change) and decision.in_force_first else None

    def _run(self, name: str) -> None:
        try:
            with self.turn(name) as track:
                self.look_over(track)
        except Exception:
            # The lane of one strategy must not end the others', nor be the last time that anybody looks.
            log.exception("the change of %s could not be carried out", name)
            track = self._tracks[name]
            due = self.system.monotonic() + RETRY_LAST_S
            track.waiting = Waiting(text="see the log", kind=FAILED, due=due)

    @contextmanager
    def turn(self, name: str) -> Iterator[Track]:
        """The track of a strategy, for one thread at a time. UnknownName when there is none."""
        track = self.track(name)
        try:
            with track.lock:
                try:
                    yield track
                finally:
                    self.look_ahead(track)
                    self.record.keep(track)
                    self.observing.observe(track)
        finally:
            self._lanes.notify()

    def look_over(self, track: Track) -> None:
        """One look at everything about one strategy, under the lock of its track."""
        if track.waiting is not None and track.waiting.kind == FAILED:
            track.waiting = None
        if track.sync_due is not None:
            self.carrier.rows.sync(track)
        self.carrier.trials.look(track)
        loaded = track.wanted
        if loaded is None:
            track.judged = ""  # a file that comes back is news, whatever it says
            self.in_place.settle(track)
            if not track.doubted:
                self.removal.look(track, Occasion(cause="remove"))
            return
        occasion = _occasion(track, loaded)
        fresh = content(loaded) != track.judged
        track.judged = content(loaded)
        if fresh:
            self.in_place.read_row()
        if loaded.spec is None:
            if fresh:
                self.refuse(track, loaded, occasion)
            self.in_place.settle(track)
            self._back_with_problems(track)
            return
        if fresh:
            self.in_place.note_edit(track, loaded.spec)
        self._moved(track, loaded, occasion)
        is_settled = self.in_place.settle(track) in DONE
        if not (is_settled or fresh):
            return
        if loaded.spec.spec_hash == track.superseded:
            self._release(track)
            self._roll_back_again(track)
            return
        self.supersede(track, "")
        if track.rejected != loaded.spec.spec_hash:
            track.rejected = ""
        result = self.aim(track, loaded.spec, occasion, fresh=fresh, expiring=is_settled)
        if result is not ReloadResult.REFUSED and track.running:
            self._release(track)

    def _back_with_problems(self, track: Track) -> None:
        """The file of a strategy that was held without one is there again, and cannot be used."""
        if track.gone:
            track.gone = ""
            self.manager.versions.restrict(track.name, NOT_USABLE)

    def _roll_back_again(self, track: Track) -> None:
        """An old version that was to be put back, and that something stood in the way of."""
        newest = track.newest
        if newest is None or newest.state not in (GenerationState.WAITING, GenerationState.HELD):
            track.waiting = None
            return
        spec = self.record.version(track, newest)
        if spec is not None:
            self.aim(track, spec, Occasion.of(newest), fresh=False)

    # -- bringing together ---------------------------------------------------------------------------------------

    def aim(
        self, track: Track, file: StrategySpec, occasion: Occasion, *, fresh: bool = True, expiring: bool = True
    ) -> ReloadResult:
        """Brings together what is in force and this version of the file, with what holds in place of its values. What
        was refused is not tried again before there is a `fresh` reason to. `expiring`: values whose time is over are
        left out."""
        newest = track.newest
        if file.spec_hash == track.rejected:
            return ReloadResult.REJECTED
        known = not fresh and newest is not None and newest.spec_hash == file.spec_hash
        if known and newest is not None and newest.state is GenerationState.REFUSED:
            return ReloadResult.REFUSED
        try:
            standing = self.in_place.standing(track, file, expiring=expiring)
        except SpecError as error:
            self.carrier.number(track, file, GenerationState.REFUSED, occasion, text=error.message)
            track.waiting = track.approval = None
            return self.carrier.report(track, ReloadResult.REFUSED, occasion, text=error.message)
        result = self.bring_together(track, standing.goal, occasion, fresh=fresh)
        if result in DONE:
            self.in_place.note(track, standing)
        return result

    def bring_together(
        self, track: Track, goal: Goal, occasion: Occasion, *, fresh: bool = True, approved: bool = False
    ) -> ReloadResult:
        """What is in force against a goal. What waits is not tried again before its time, without a `fresh` reason."""
        waiting, newest = track.waiting, track.newest
        known = not fresh and newest is not None and newest.spec_hash == goal.file.spec_hash
        if known and waiting is not None and not self._may_try(track, waiting):
            return ReloadResult.WAITING
        decision = self.decision(track, goal, approved=approved)
        match decision:
            case Begin():
                return self.carrier.begin(track, goal, occasion)
            case Keep(noted=noted):
                track.waiting = None
                if not (fresh or noted or goal.overlays != track.overlays):
                    return ReloadResult.UNCHANGED
                self.carrier.keep(track, goal, track.running)
                self.carrier.rows.sync(track)
                if fresh:
                    self.withdraw(track)
                return self.carrier.report(track, ReloadResult.UNCHANGED, occasion, noted)
            case Hold():
                return self.hold(track, goal.file, decision, occasion)
            case Wait(changes=found):
                text = "its own code changes: applied when the trading window is over"
                self.carrier.number(track, goal.file, GenerationState.WAITING, occasion, found, text)
                return self.carrier.wait(track, text, occasion, found, kind="window", timed=False)
            case Change():
                return self.carrier.carry_out(track, goal, decision, occasion)

    @contextmanager
    def beside(self, track: Track) -> Iterator[None]:
        """What is done to the values that hold in place of a file's leaves the version that is asked for, or was
        decided against, the newest: it keeps its number, and what is said of it."""
        before = track.newest
        yield
        settled = track.newest is not None and track.newest.state is GenerationState.APPLIED
        if settled and before is not None and before.state in NOT_IN_FORCE and self.is_asked_for(track, before):
            track.newest = before

    @staticmethod
    def is_asked_for(track: Track, version: Generation) -> bool:
        """Whether it is what the file says, or an old one that a rollback has put in its place."""
        file = None if track.wanted is None else track.wanted.spec
        if file is None:  # it has problems
            return track.wanted is not None and version.content_sha == track.judged
        return file.spec_hash in (version.spec_hash, track.superseded)

    def decision(self, track: Track, goal: Goal, *, approved: bool = False) -> Decision:
        """What is to be done to reach a goal."""
        approval, newest = track.approval, track.newest
        said = approval is not None and newest is not None and newest.generation == approval.generation
        said = said and newest is not None and newest.spec_hash == goal.file.spec_hash
        at_once = said and approval is not None and approval.at_once
        wanted = Wanted(spec=goal.spec, approved=approved or said, at_once=at_once)
        situation = self._situation(track)
        if track.in_force is None:
            return begin(self.record.ran_last(track.name), wanted, situation)
        if track.applied is None or not (goal.overlays or track.overlays):
            return decide(track.in_force, wanted, situation)
        return decide_beside(
            applied=track.applied, in_force=track.in_force, file=goal.file, wanted=wanted, situation=situation
        )

    def _situation(self, track: Track) -> Situation:
        return Situation(loosening=self.loosening, in_window=self._in_window(track))

    def refuse(self, track: Track, loaded: Loaded, occasion: Occasion) -> None:
        """The file has problems. What runs goes on."""
        text, newest = first_problem(loaded.problems, self.root), track.newest
        known = newest is not None and newest.state is GenerationState.REFUSED
        if not known or newest is None or newest.content_sha != track.judged:
            track.newest = self.manager.journal.generations.add(
                Generation(
                    strategy=track.name,
                    state=GenerationState.REFUSED,
                    content_sha=track.judged,
                    file=self.carrier.shown(loaded.path),
                    source=loaded.sources.get(loaded.path.as_posix(), ""),
                    cause=occasion.cause,
                    actor=occasion.actor,
                    text=text,
                ),
                after=track.stored_generation,
            )
        track.waiting = track.approval = None
        self.carrier.report(track, ReloadResult.REFUSED, occasion, text=text)

    def hold(self, track: Track, file: StrategySpec, decision: Hold, occasion: Occasion) -> ReloadResult:
        """The version waits for an approval."""
        newest = track.newest
        again = track.is_undecided(file) and newest is not None and newest.state is GenerationState.HELD
        generation = self.carrier.number(
            track, file, GenerationState.HELD, occasion, decision.changes, decision.why
        ).generation
        track.waiting = None
        if again:
            return ReloadResult.HELD
        text = f"{decision.why}: runner approve {track.name}@{generation}"
        return self.carrier.report(track, ReloadResult.HELD, occasion, decision.changes, text)

    def withdraw(self, track: Track) -> None:
        """The file says what runs: what was held, waiting, or begun before a crash, is not asked for any more."""
        if track.newest is not None and track.newest.state in UNDECIDED:
            self.carrier.mark(track, GenerationState.REPLACED)
        track.newest = self.manager.journal.generations.running(track.name)

    def _release(self, track: Track) -> None:
        """What was restricted because of its file is so no more: the file is there and can be used."""
        track.gone = ""
        runtime = self.manager.versions.runtimes.get(track.name)
        if runtime is not None and runtime.reduce_only:
            self.manager.versions.restrict(track.name, "")
        self.carrier.rows.mark(track.name, "")

    def _moved(self, track: Track, loaded: Loaded, occasion: Occasion) -> None:
        """The same strategy in a file of another name: nothing changes but where it is."""
        goal, new = track.goal, self.carrier.shown(loaded.path)
        old = None if goal is None else self.carrier.shown(goal.file.file)
        if goal is None or old == new:
            return
        moved = Goal.of(replace(goal.file, file=loaded.path), goal.overlays)
        self.carrier.keep(track, moved, track.running)
        self.carrier.rows.sync(track)
        self.carrier.report(track, ReloadResult.MOVED, occasion, text=f"{old} is {new} now")

    def refuse_bases(self, pending: Mapping[Path, PendingBase], news: Mapping[Path, PendingBase]) -> None:
        """These changes of bases are applied to no strategy, as they would break some. The `news` are said to those."""
        for track in self.tracks().values():
            extended = () if track.wanted is None else track.wanted.bases
            refused = [(path, one) for path, one in pending.items() if path.resolve() in extended]
            track.base_refused = "; ".join(self._base_refused(path, one.text) for path, one in refused)
            for path, one in refused:
                if path in news and track.name in one.broken:
                    said = self._base_refused(path, one.broken[track.name])
                    self.carrier.report(track, ReloadResult.REFUSED, Occasion(cause="edit"), text=said)

    def _base_refused(self, path: Path, why: str) -> str:
        return f"the change of {within(path, self.root)} is not applied: {why}"

    def supersede(self, track: Track, spec_hash: str) -> None:
        """The file's version of this hash is set aside by a rollback; empty: none is."""
        if track.superseded != spec_hash:
            track.superseded = spec_hash
            self.record.keep(track)

    # -- looking -------------------------------------------------------------------------------------------------

    def settled(self, timeout_s: float) -> bool:
        """Waits until nothing is being carried out; False when it takes longer, or the runner stops meanwhile."""

        return self._lanes.wait(lambda: not any(one.lock.locked() for one in self.tracks().values()), timeout_s)

    def track(self, name: str) -> Track:
        """What is known of a strategy; UnknownName when it has no file and never had one."""
        with self._lock:
            found = self._tracks.get(name)
        if found is None:
            known = ", ".join(sorted(self._tracks)) or "none"
            raise UnknownName(f"there is no YAML strategy called {name!r} (known: {known})")
        return found

    def drop(self, name: str) -> None:
        """Forget a strategy that is no more."""
        with self._lock:
            self._tracks.pop(name, None)

    def tracks(self) -> Mapping[str, Track]:
        """Every strategy that has a file, or of which something still runs."""
        with self._lock:
            return {name: track for name, track in self._tracks.items() if track.is_there}

    def track_of(self, name: str) -> Track:
        """The track of a strategy, made when there is none."""
        found = self._tracks.get(name)
        if found is None:
            found = self._tracks[name] = self.record.track(name)
        return found

    @property
    def loosening(self) -> Loosening:
        """What happens to changes that loosen."""
        return self._settings.loosening

    def now(self) -> datetime:
        """The market's time."""
        return self.manager.clock.now()

    def _in_window(self, track: Track) -> bool:
        return self.manager.versions.at_work(track.name, self.manager.clock.now())


def _occasion(track: Track, loaded: Loaded) -> Occasion:
    """Whose change it is: of whoever announced this very text, else of the file's owner."""
    announced = track.announced
    if announced is None or announced.sha256 != text_sha256(loaded.sources.get(loaded.path.as_posix(), "")):
        return Occasion(cause="edit", actor=owner(loaded.path))
    track.announced = None
    return Occasion(cause=announced.cause, actor=announced.actor, reason=announced.reason)
