"""The reload engine: compares what the files want with what runs, again and again, and brings the two together.

It is level-triggered: an event only says that it is time to compare. A lost event, two quick edits or a restart in the
middle of one all end in the same state, because nothing is derived from what changed, only from what is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from runner.errors import ConfigError, RunnerError
from runner.manager.reload.carrier import Carrier, Occasion
from runner.manager.reload.decision import (
    Begin,
    Change,
    Decision,
    Hold,
    Keep,
    Loosening,
    Refuse,
    Situation,
    Wait,
    Wanted,
    decide,
)
from runner.manager.reload.files import by_name, content, first_problem, owner, text_sha256
from runner.manager.reload.in_place import InPlace, has_expired
from runner.manager.reload.removal import Removal
from runner.manager.reload.settings import LANES, WINDOW_RETRY_S, ReloadSettings
from runner.manager.reload.track import Track, overlaid
from runner.model.clock import Clock
from runner.model.events import ReloadResult
from runner.spec.changes import FieldChange
from runner.spec.deployment import Deployment
from runner.spec.folder import Folder, Loaded, load_text
from runner.spec.spec import StrategySpec
from runner.store.generations import Generation, GenerationState

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager

TICK_S = 0.25
"""How often it is looked whether something that waits is due."""

log = logging.getLogger("runner.reload")


class ReloadEngine:
    """One for the whole runner. `Starting` says what to start with; `wish` takes a folder as it is now."""

    def __init__(
        self, manager: StrategyManager, deployment: Deployment, settings: ReloadSettings, system: Clock
    ) -> None:
        self.manager = manager
        self._deployment = deployment
        self._settings = settings
        self.system = system
        self.root = manager.config.strategies_dir
        self.carrier = Carrier(manager, self.root, system.monotonic)
        self.removal = Removal(manager, self.carrier)
        self.in_place = InPlace(self)
        self._tracks: dict[str, Track] = {}
        self._lock = threading.RLock()
        self._due: set[str] = set()
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(LANES, thread_name_prefix="reload")
        self._stop = threading.Event()
        self._ticker: threading.Thread | None = None

    def revived(self, generation: Generation) -> StrategySpec | None:
        """The spec of a version, from the document that the journal keeps; None when it cannot be built any more."""
        loaded = load_text(
            generation.document, path=self.root / generation.file, root=self.root, deployment=self._deployment
        )
        if loaded.spec is None:
            log.warning("generation %d of %s cannot be built any more", generation.generation, generation.strategy)
            return None
        return replace(loaded.spec, spec_hash=generation.spec_hash, source=generation.source)

    # -- comparing -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to look after what waits."""
        self._ticker = threading.Thread(target=self._tick, name="reload-ticker", daemon=True)
        self._ticker.start()

    def close(self) -> None:
        """Lets go of what waits, and of everybody in `settled`. A change that is being carried out ends where it is;
        the next start judges its file again. May be called twice."""
        self._stop.set()
        self.manager.versions.abandon()
        with self._changed:
            self._changed.notify_all()
        if self._ticker is not None:
            self._ticker.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wish(self, folder: Folder) -> None:
        """The folder as it is now. Returns at once; `settled` waits for what follows."""
        with self._lock:
            wanted = by_name(folder.loaded, known={name: track.wanted for name, track in self._tracks.items()})
            for name, loaded in wanted.items():
                track = self.track_of(name)
                if track.wanted is None or loaded is not track.wanted:
                    track.wanted = loaded
                    self._tighten_at_once(track, loaded)
                    self._schedule(name)
            for name, track in self._tracks.items():
                if name not in wanted and track.wanted is not None:
                    track.wanted = None
                    self._schedule(name)

    def release_missing(self, name: str) -> None:
        """A strategy whose file was missing at the start is removed as any other whose file is gone."""
        with self._lock:
            self.track_of(name).wanted = None
            self._schedule(name)

    def _tighten_at_once(self, track: Track, loaded: Loaded) -> None:
        """A smaller cap does not wait for the lane, which may be busy preparing something else."""
        in_force = track.in_force
        if loaded.spec is None or in_force is None:
            return
        decision = self.decision(track, loaded.spec)
        if isinstance(decision, Change) and decision.in_force_first:
            self.manager.versions.tighten(track.name, decision.spec)

    def _schedule(self, name: str) -> None:
        if name in self._due or self._stop.is_set():
            return
        self._due.add(name)
        self._pool.submit(self._run, name)

    def _run(self, name: str) -> None:
        """One turn of one strategy's lane."""
        track = self._tracks[name]
        with track.lock:
            with self._lock:
                self._due.discard(name)
                loaded = track.wanted
            try:
                self.in_place.expire(track)
                self._compare(track, loaded)
            except Exception:
                # The lane of one strategy must not end the others', nor be the last time that anybody looks.
                log.exception("the change of %s could not be carried out", name)
                track.retry_at = self.system.monotonic() + WINDOW_RETRY_S
        with self._changed:
            self._changed.notify_all()

    def _compare(self, track: Track, loaded: Loaded | None) -> None:
        if loaded is None:
            track.judged = ""  # a file that comes back is news, whatever it says
            self.removal.remove(track, Occasion(cause="remove"))
            return
        occasion = _occasion(track, loaded)
        fresh = content(loaded) != track.judged
        track.judged = content(loaded)
        if loaded.spec is None:
            if fresh:
                self.refuse(track, loaded, occasion)
            return
        self.note_valid(track)
        self._moved(track, loaded, occasion)
        if loaded.spec.spec_hash == track.superseded:
            return
        self.supersede(track, "")
        if fresh:
            self.in_place.look_at_row(track)
        self.in_place.drop_stale(track, loaded.spec)
        self.bring_together(track, loaded.spec, occasion, fresh=fresh)

    def bring_together(
        self, track: Track, spec: StrategySpec, occasion: Occasion, *, fresh: bool = True
    ) -> ReloadResult:
        """What is in force against `spec`, the file's own."""
        wanted = overlaid(spec, track.overlays)
        decision = self.decision(track, spec)
        now = self.now()
        match decision:
            case Begin():
                return self._begin_new(track, spec, wanted, occasion)
            case Keep(noted=noted):
                track.retry_at = None
                if fresh or noted:
                    track.applied = spec
                    self.manager.versions.note(track.name, wanted, track.running)
                    self.carrier.store_row(track)
                    self.withdraw(track)
                    track.newest = self.manager.journal.generations.running(track.name)
                    result = self.carrier.report(track, ReloadResult.UNCHANGED, occasion, noted)
                else:
                    result = ReloadResult.UNCHANGED
                self._release(track)
            case Hold(changes=found):
                return self.hold(track, spec, decision, occasion, found)
            case Wait(changes=found):
                text = "its own code changes: applied when the trading window is over"
                self.carrier.number(track, spec, GenerationState.WAITING, occasion, found, text)
                track.retry_at = self.system.monotonic() + WINDOW_RETRY_S
                return self.carrier.report(track, ReloadResult.WAITING, occasion, found, text)
            case Change():
                result = self.carrier.carry_out(track, spec, decision, occasion)
                if result is ReloadResult.APPLIED:
                    self._release(track)
            case Refuse():
                raise AssertionError("a spec is never refused here")
        applied = result in (ReloadResult.APPLIED, ReloadResult.UNCHANGED)
        message = "" if applied or track.newest is None else track.newest.text
        track.set("Applied", applied, result.value.capitalize(), message, now)
        track.set("Held", False, "", "", now)
        return result

    def decision(self, track: Track, spec: StrategySpec) -> Decision:
        """What is to be done to run `spec`, a file's own, with what holds in place of its values.

        Those values end some day, and nobody is asked then. So what the file itself changes is decided as if they were
        not there, and what it loosens under one of them is held like anything else.
        """
        newest = track.newest
        approved = newest is not None and newest.generation == track.approved and newest.spec_hash == spec.spec_hash
        situation = Situation(loosening=self.loosening, in_window=self._in_window(track))
        wanted = Wanted(spec=overlaid(spec, track.overlays), approved=approved, at_once=track.at_once)
        decision = decide(track.in_force, wanted, situation)
        if not track.overlays:
            return decision
        bare = decide(track.applied, replace(wanted, spec=spec), situation)
        if isinstance(bare, Change) and isinstance(decision, Keep):
            return Change(decision.spec, bare.changes)
        return bare if isinstance(bare, Hold | Wait) else decision

    def _begin_new(self, track: Track, spec: StrategySpec, wanted: StrategySpec, occasion: Occasion) -> ReloadResult:
        """A file that is new, or one whose strategy had gone."""
        self.carrier.number(track, spec, GenerationState.APPLYING, occasion)
        assert track.newest is not None
        try:
            row = self.manager.strategies.get(track.name)
            if row is not None and row.filename and not row.managed_by:
                raise ConfigError(
                    f"{track.name} is already a hand-written strategy ({row.filename})", hint="give one another name"
                )
            track.applied, track.running = spec, track.newest.generation
            self.carrier.store_row(track)
            if wanted.enabled or self.carrier.exposed(track.name):
                self.manager.start_strategy(track.name, wanted, generation=track.running)
        except RunnerError as error:
            track.applied, track.running = None, 0
            self.carrier.mark(track, GenerationState.REFUSED, error.message)
            return self.carrier.report(track, ReloadResult.REFUSED, occasion, text=error.message)
        self.carrier.mark(track, GenerationState.APPLIED)
        now = self.manager.clock.now()
        track.set("Applied", True, "Applied", "", now)
        return self.carrier.report(track, ReloadResult.APPLIED, occasion)

    def refuse(self, track: Track, loaded: Loaded, occasion: Occasion) -> None:
        """The file has problems. What runs goes on."""
        text = first_problem(loaded.problems)
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
        now = self.manager.clock.now()
        track.set("Valid", False, "Problems", text, now)
        track.set("Applied", False, "Refused", text, now)
        self.carrier.report(track, ReloadResult.REFUSED, occasion, text=text)

    def hold(
        self, track: Track, spec: StrategySpec, decision: Hold, occasion: Occasion, found: Sequence[FieldChange]
    ) -> ReloadResult:
        """The version waits for an approval, unless an operator has said no to it already."""
        newest = track.newest
        again = newest is not None and newest.state is GenerationState.HELD and newest.spec_hash == spec.spec_hash
        rejected = newest is not None and newest.state is GenerationState.REJECTED
        if rejected and newest is not None and newest.spec_hash == spec.spec_hash:
            return ReloadResult.REJECTED
        generation = self.carrier.number(track, spec, GenerationState.HELD, occasion, found, decision.why)
        track.retry_at = None
        text = f"{decision.why}: runner approve {track.name}@{generation.generation}"
        now = self.manager.clock.now()
        track.set("Held", True, "Loosening", text, now)
        track.set("Applied", False, "Held", text, now)
        return ReloadResult.HELD if again else self.carrier.report(track, ReloadResult.HELD, occasion, found, text)

    def withdraw(self, track: Track) -> None:
        """The file says what runs: what was held, waiting, or begun before a crash, is not asked for any more."""
        undecided = (GenerationState.HELD, GenerationState.WAITING, GenerationState.APPLYING)
        if track.newest is not None and track.newest.state in undecided:
            self.carrier.mark(track, GenerationState.REPLACED)

    def _release(self, track: Track) -> None:
        """What was restricted because of its file is so no more."""
        runtime = self.manager.versions.runtimes.get(track.name)
        if runtime is not None and runtime.reduce_only:
            self.manager.versions.restrict(track.name, "")
        self.carrier.mark_row(track.name, "")

    def note_valid(self, track: Track) -> None:
        """Nothing is wrong with its file."""
        track.set("Valid", True, "Checked", "", self.manager.clock.now())

    def _moved(self, track: Track, loaded: Loaded, occasion: Occasion) -> None:
        """The same strategy in a file of another name: nothing changes but where it is."""
        old = None if track.applied is None else self.carrier.shown(track.applied.file)
        new = self.carrier.shown(loaded.path)
        if old in (None, new) or track.applied is None:
            return
        track.applied = replace(track.applied, file=loaded.path)
        self.manager.versions.note(track.name, overlaid(track.applied, track.overlays), track.running)
        self.carrier.store_row(track)
        self.carrier.report(track, ReloadResult.MOVED, occasion, text=f"{old} is {new} now")

    def refuse_base(self, base: str, broken: Mapping[str, str], text: str) -> None:
        """A change of a base would break these strategies, so that it is applied to none."""
        for track in self.tracks().values():
            if track.wanted is not None and any(path.name == base for path in track.wanted.bases):
                reason = f"the change of {base} is not applied: {text}"
                track.set("Applied", False, "BaseRefused", reason, self.now())
                if track.name in broken:
                    said = f"the change of {base} is not applied: {broken[track.name]}"
                    self.carrier.report(track, ReloadResult.REFUSED, Occasion(cause="edit"), text=said)

    def supersede(self, track: Track, spec_hash: str) -> None:
        """The file's version of this hash is set aside by a rollback; empty: none is."""
        if track.superseded != spec_hash:
            track.superseded = spec_hash
            self.manager.journal.set_meta(_superseded_key(track.name), spec_hash)

    # -- what waits ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        compared = self.system.monotonic()
        while not self._stop.wait(TICK_S):
            now = self.system.monotonic()
            if now - compared >= self._settings.drift_interval_s:
                self._pool.submit(self._quietly, self.in_place.compare_with_store)
                compared = now
            with self._lock:
                for name, track in self._tracks.items():
                    if track.retry_at is not None and track.retry_at <= now:
                        track.retry_at = None
                        self._schedule(name)
                    elif self.removal.is_over(name) or has_expired(track, self.system.now()):
                        self._schedule(name)

    def _quietly(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            log.exception("looking at the store failed")

    # -- looking -------------------------------------------------------------------------------------------------

    def settled(self, timeout_s: float) -> bool:
        """Waits until nothing is being carried out; False when it takes longer, or the runner stops meanwhile."""

        def quiet() -> bool:
            with self._lock:
                return not self._due and not any(track.lock.locked() for track in self._tracks.values())

        deadline = self.system.monotonic() + timeout_s
        with self._changed:
            # Operators and the comparison with the store hold a track too, and tell nobody when they are done.
            while not (is_quiet := quiet()) and not self._stop.is_set() and self.system.monotonic() < deadline:
                self._changed.wait(TICK_S)
        return is_quiet

    def track(self, name: str) -> Track:
        """What is known of a strategy; ConfigError when it has no file and never had one."""
        with self._lock:
            found = self._tracks.get(name)
        if found is None:
            known = ", ".join(sorted(self._tracks)) or "none"
            raise ConfigError(f"there is no YAML strategy called {name!r} (known: {known})")
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
            generations = self.manager.journal.generations
            row = self.manager.strategies.get(name)
            found = self._tracks[name] = Track(
                name=name,
                newest=generations.newest(name),
                overlays=tuple(generations.overlays(name)),
                stored_generation=0 if row is None else row.generation,
                superseded=self.manager.journal.meta(_superseded_key(name)) or "",
            )
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
    announced, track.announced = track.announced, None
    if announced is None or announced.sha256 != text_sha256(loaded.sources.get(loaded.path.as_posix(), "")):
        return Occasion(cause="edit", actor=owner(loaded.path))
    return Occasion(cause=announced.cause, actor=announced.actor, reason=announced.reason)


def _superseded_key(name: str) -> str:
    return f"superseded:{name}"
