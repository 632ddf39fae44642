"""The reload engine: compares what the files want with what runs, again and again, and brings the two together.

It is level-triggered: an event only says that it is time to compare. A lost event, two quick edits or a restart in the
middle of one all end in the same state, because nothing is derived from what changed, only from what is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pwd
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.base_params import BaseParams
from runner.blocks import params_of
from runner.errors import ConfigError, RunnerError, StoreError
from runner.manager.reload.carrier import Carrier, Occasion
from runner.manager.reload.decision import (
    Begin,
    Change,
    Hold,
    Keep,
    Loosening,
    Refuse,
    Situation,
    Wait,
    Wanted,
    decide,
)
from runner.manager.reload.drift import STORE, drift_of, tightenings
from runner.manager.reload.removal import Removal
from runner.manager.reload.settings import LANES, WINDOW_RETRY_S, ReloadSettings
from runner.manager.reload.track import PARAMS, Track, overlaid
from runner.model.clock import Clock
from runner.model.events import ReloadResult
from runner.spec.changes import Direction, by_size, changes, effective
from runner.spec.deployment import Deployment
from runner.spec.folder import Folder, Loaded, load_text
from runner.spec.problems import Problem
from runner.spec.spec import StrategySpec
from runner.store.generations import Generation, GenerationState, Overlay

if TYPE_CHECKING:
    from runner.manager.strategy_manager import StrategyManager

TICK_S = 0.25
"""How often it is looked whether something that waits is due."""

log = logging.getLogger("runner.reload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A strategy to start: with which spec, as which version, and why it may open nothing, if so."""

    spec: StrategySpec
    generation: int
    reduce_only: str = ""
    held: bool = False


class ReloadEngine:
    """One for the whole runner. `begin` says what to start with; `wish` takes a folder as it is now."""

    def __init__(
        self, manager: StrategyManager, deployment: Deployment, settings: ReloadSettings, system: Clock
    ) -> None:
        self.manager = manager
        self._deployment = deployment
        self._settings = settings
        self.system = system
        self._root = manager.config.strategies_dir
        self.carrier = Carrier(manager, self._root, system.monotonic)
        self._removal = Removal(manager, self.carrier)
        self._tracks: dict[str, Track] = {}
        self._lock = threading.RLock()
        self._folder: Folder | None = None
        self._due: set[str] = set()
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(LANES, thread_name_prefix="reload")
        self._stop = threading.Event()
        self._ticker: threading.Thread | None = None

    # -- starting ------------------------------------------------------------------------------------------------

    def begin(self, folder: Folder, *, only: str | None = None) -> list[Start]:
        """What to start with: the file where it may be applied, else the version that ran last.

        The rows of the store are brought up to date with one write. ConfigError when a file has the name of a
        hand-written strategy.
        """
        self._folder = folder
        starts = []
        for name, loaded in _by_name(folder.loaded).items():
            if only in (None, name):
                start = self._begin_one(name, loaded)
                if start is not None:
                    starts.append(start)
        known = self.manager.journal.generations.strategies()
        gone = [name for name in known if name not in self._tracks and only in (None, name)]
        starts += [start for name in gone if (start := self._begin_without_file(name, gone, known)) is not None]
        self._write_rows(starts)
        return starts

    def _begin_one(self, name: str, loaded: Loaded) -> Start | None:
        track = self._track(name)
        track.wanted, track.judged = loaded, content(loaded)
        last = self.manager.journal.generations.running(name)
        ran = None if last is None else self.revived(last)
        if last is not None:
            track.applied, track.running = ran, last.generation
        if loaded.spec is None:
            self._refuse(track, loaded, Occasion(cause="start", actor=_owner(loaded.path)))
            if ran is None or track.in_force is None:
                return None
            return Start(spec=track.in_force, generation=track.running, reduce_only=_NOT_USABLE)
        if loaded.spec.spec_hash == track.superseded and track.in_force is not None:
            return Start(spec=track.in_force, generation=track.running)
        occasion = Occasion(cause="start", actor=_owner(loaded.path))
        self._drop_stale_overlays(track, loaded.spec)
        wanted = overlaid(loaded.spec, track.overlays)
        decision = decide(track.in_force, Wanted(spec=wanted), Situation(loosening=self.loosening))
        match decision:
            case Hold(changes=found):
                self._hold(track, loaded.spec, decision, occasion, found)
                assert track.in_force is not None
                return Start(spec=track.in_force, generation=track.running)
            case Begin() | Change():
                found = decision.changes if isinstance(decision, Change) else ()
                generation = self.carrier.number(track, loaded.spec, GenerationState.APPLYING, occasion, found)
                self.carrier.mark(track, GenerationState.APPLIED)
                track.applied, track.running = loaded.spec, generation.generation
                self.carrier.report(track, ReloadResult.APPLIED, occasion, found)
            case _:
                track.applied = loaded.spec
        self._valid(track)
        return Start(spec=wanted, generation=track.running)

    def _begin_without_file(self, name: str, gone: Sequence[str], known: Sequence[str]) -> Start | None:
        """A strategy whose file went away while the runner was not running."""
        last = self.manager.journal.generations.running(name)
        row = self.manager.strategies.get(name)
        if last is None or (row is not None and row.state == "removed"):
            return None
        track = self._track(name)
        track.applied, track.running = self.revived(last), last.generation
        if track.in_force is None:
            return None
        exposed = self.carrier.exposed(name)
        many = len(gone) > 1 and len(gone) >= 0.3 * len(known)
        if not exposed and not many:
            self._removal.forget(track, Occasion(cause="remove"))
            del self._tracks[name]
            return None
        reason = "many files are missing at once" if many else "its file is gone; positions are kept, stops are active"
        return Start(spec=track.in_force, generation=track.running, reduce_only=reason, held=True)

    def _write_rows(self, starts: Sequence[Start]) -> None:
        from runner.manager.sync import row_of
        from runner.store.strategies import StrategyRow

        rows = []
        for start in starts:
            known = self.manager.strategies.get(start.spec.name)
            if known is not None and known.hand_written:
                raise ConfigError(
                    f"{start.spec.file.name}: {start.spec.name} is already a hand-written strategy ({known.filename})",
                    hint="give one of them another name",
                )
            known = known or StrategyRow(strategy=start.spec.name)
            rows.append(row_of(start.spec, known, self._root, generation=start.generation))
            self._track(start.spec.name).stored_generation = start.generation
        self.manager.strategies.upsert(rows)

    def revived(self, generation: Generation) -> StrategySpec | None:
        """The spec of a version, from the document that the journal keeps; None when it cannot be built any more."""
        loaded = load_text(
            generation.document, path=self._root / generation.file, root=self._root, deployment=self._deployment
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
        """Lets go of what waits; a change that is being carried out ends."""
        self._stop.set()
        if self._ticker is not None:
            self._ticker.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wish(self, folder: Folder) -> None:
        """The folder as it is now. Returns at once; `settled` waits for what follows."""
        with self._lock:
            self._folder = folder
            wanted = _by_name(folder.loaded, known={name: track.wanted for name, track in self._tracks.items()})
            for name, loaded in wanted.items():
                track = self._track(name)
                if track.wanted is None or loaded is not track.wanted:
                    track.wanted = loaded
                    self._tighten_at_once(track, loaded)
                    self._schedule(name)
            for name, track in self._tracks.items():
                if name not in wanted and track.wanted is not None:
                    track.wanted = None
                    self._schedule(name)

    def _tighten_at_once(self, track: Track, loaded: Loaded) -> None:
        """A smaller cap does not wait for the lane, which may be busy preparing something else."""
        in_force = track.in_force
        if loaded.spec is None or in_force is None:
            return
        wanted = overlaid(loaded.spec, track.overlays)
        decision = decide(in_force, Wanted(spec=wanted), Situation(loosening=self.loosening))
        if isinstance(decision, Change) and decision.in_force_first:
            self.manager.versions.tighten(track.name, wanted)

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
                self._expire(track)
                self._compare(track, loaded)
            except Exception:
                # The lane of one strategy must not end the others', nor be the last time that anybody looks.
                log.exception("the change of %s could not be carried out", name)
                track.retry_at = self.system.monotonic() + WINDOW_RETRY_S
        with self._changed:
            self._changed.notify_all()

    def _compare(self, track: Track, loaded: Loaded | None) -> None:
        if loaded is None:
            self._removal.remove(track, Occasion(cause="remove"))
            return
        occasion = Occasion(cause="edit", actor=_owner(loaded.path))
        fresh = content(loaded) != track.judged
        track.judged = content(loaded)
        if loaded.spec is None:
            if fresh:
                self._refuse(track, loaded, occasion)
            return
        self._valid(track)
        self._moved(track, loaded, occasion)
        if loaded.spec.spec_hash == track.superseded:
            return
        self.supersede(track, "")
        self._drop_stale_overlays(track, loaded.spec)
        self.bring_together(track, loaded.spec, occasion, fresh=fresh)

    def bring_together(
        self, track: Track, spec: StrategySpec, occasion: Occasion, *, fresh: bool = True
    ) -> ReloadResult:
        """What is in force against `spec`, the file's own."""
        wanted = overlaid(spec, track.overlays)
        newest = track.newest
        approved = newest is not None and newest.generation == track.approved and newest.spec_hash == spec.spec_hash
        decision = decide(
            track.in_force,
            Wanted(spec=wanted, approved=approved, at_once=track.at_once),
            Situation(loosening=self.loosening, in_window=self._in_window(track)),
        )
        now = self.manager.clock.now()
        match decision:
            case Begin():
                return self._begin_new(track, spec, wanted, occasion)
            case Keep(noted=noted):
                track.retry_at = None
                if fresh or noted:
                    track.applied = spec
                    self.manager.versions.note(track.name, wanted, track.running)
                    self.carrier.store_row(track)
                    self._withdraw(track)
                    track.newest = self.manager.journal.generations.running(track.name)
                    result = self.carrier.report(track, ReloadResult.UNCHANGED, occasion, noted)
                else:
                    result = ReloadResult.UNCHANGED
                self._release(track)
            case Hold(changes=found):
                return self._hold(track, spec, decision, occasion, found)
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

    def _refuse(self, track: Track, loaded: Loaded, occasion: Occasion) -> None:
        """The file has problems. What runs goes on."""
        text = _first_problem(loaded.problems)
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

    def _hold(
        self, track: Track, spec: StrategySpec, decision: Hold, occasion: Occasion, found: Sequence[Any]
    ) -> ReloadResult:
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

    def _withdraw(self, track: Track) -> None:
        """The file has gone back to what runs: what was held or waiting is not asked for any more."""
        undecided = (GenerationState.HELD, GenerationState.WAITING, GenerationState.APPLYING)
        if track.newest is not None and track.newest.state in undecided:
            self.carrier.mark(track, GenerationState.REPLACED)

    def _release(self, track: Track) -> None:
        """What was restricted because of its file is so no more."""
        runtime = self.manager.versions.runtimes.get(track.name)
        if runtime is not None and runtime.reduce_only:
            self.manager.versions.restrict(track.name, "")
        self.carrier.mark_row(track.name, "")

    def _valid(self, track: Track) -> None:
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

    def _drop_stale_overlays(self, track: Track, spec: StrategySpec) -> None:
        """A value that holds in place of the file's ends when the author changes that very value in the file."""
        if not track.overlays or track.applied is None:
            return
        edited = {change.path for change in changes(track.applied, spec)}
        new = effective(spec)
        for overlay in track.overlays:
            if overlay.path in edited and not _stays(overlay, new[overlay.path]):
                self.manager.journal.generations.drop_overlay(track.name, overlay.path)
                track.overlays = tuple(one for one in track.overlays if one.path != overlay.path)

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

    # -- values that hold in place of the file's -----------------------------------------------------------------

    def put_overlays(
        self,
        track: Track,
        overlays: tuple[Overlay, ...],
        wanted: StrategySpec,
        decision: Change | Keep,
        occasion: Occasion,
    ) -> ReloadResult:
        """Makes these values hold, and keeps them. Under the track's lock."""
        assert track.applied is not None
        before, generations = track.overlays, self.manager.journal.generations
        track.overlays = overlays
        result = ReloadResult.UNCHANGED
        if isinstance(decision, Change):
            result = self.carrier.carry_out(track, track.applied, decision, occasion)
        if result is ReloadResult.REFUSED:
            track.overlays = before
            return result
        for gone in {one.path for one in before} - {one.path for one in overlays}:
            generations.drop_overlay(track.name, gone)
        track.overlays = tuple(one if one in before else generations.put_overlay(one) for one in overlays)
        self.manager.versions.note(track.name, wanted, track.running)
        return result

    def compare_with_store(self) -> None:
        """Reads the rows again and looks what somebody changed in them. What the store refuses is looked at later."""
        try:
            self.manager.strategies.refresh()
        except StoreError as error:
            log.info("the rows could not be compared: %s", error.message)
            return
        for track in self.tracks().values():
            with track.lock:
                self._compare_row(track)

    def _compare_row(self, track: Track) -> None:
        in_force, row = track.in_force, self.manager.strategies.get(track.name)
        if in_force is None or track.wanted is None:
            return
        if row is None:
            self.manager.notice("store", f"the row of {track.name} was missing and is written again", track.name)
            self.carrier.store_row(track)
            return
        drift = drift_of(row, in_force)
        known = track.conditions.get("Drifted")
        if not drift:
            held = any(one.source == STORE for one in track.overlays)
            if known is not None and not held:
                track.set("Drifted", False, "InSync", "", self.now())
            return
        message = "; ".join(str(one) for one in drift)
        honoured = tightenings(track.name, drift, in_force)
        if honoured:
            kept = tuple(one for one in track.overlays if one.path not in {new.path for new in honoured})
            overlays = (*kept, *honoured)
            wanted = overlaid(in_force, honoured)
            decision = decide(in_force, Wanted(spec=wanted), Situation(loosening=self.loosening))
            if isinstance(decision, Change):
                said = "; ".join(f"{one.path} {one.value}" for one in honoured)
                self.put_overlays(track, overlays, wanted, decision, Occasion(cause="store", reason=said))
            track.set("Drifted", True, "StoreTightened", message, self.now())
        elif known is None or known.message != message:
            track.set("Drifted", True, "StoreIgnored", message, self.now())
            self.carrier.report(track, ReloadResult.DRIFTED, Occasion(cause="store"), text=f"not applied: {message}")

    def _expire(self, track: Track) -> None:
        """Values whose time is over go back to the file's. That needs no approval: it was given with the time."""
        now = self.system.now()
        kept = tuple(one for one in track.overlays if one.expires_at is None or one.expires_at > now)
        if kept == track.overlays or track.applied is None or track.in_force is None:
            return
        wanted = overlaid(track.applied, kept)
        decision = decide(track.in_force, Wanted(spec=wanted, approved=True), Situation(loosening=self.loosening))
        if isinstance(decision, Change | Keep):
            self.put_overlays(track, kept, wanted, decision, Occasion(cause="override", reason="its time is over"))

    # -- what waits ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        compared = self.system.monotonic()
        while not self._stop.wait(TICK_S):
            now = self.system.monotonic()
            if now - compared >= self._settings.drift_interval_s:
                self._pool.submit(self._quietly, self.compare_with_store)
                compared = now
            with self._lock:
                for name, track in self._tracks.items():
                    if track.retry_at is not None and track.retry_at <= now:
                        track.retry_at = None
                        self._schedule(name)
                    elif self._removal.is_over(name) or _has_expired(track, self.system.now()):
                        self._schedule(name)

    def _quietly(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            log.exception("looking at the store failed")

    # -- looking -------------------------------------------------------------------------------------------------

    def settled(self, timeout_s: float) -> bool:
        """Waits until nothing is being carried out; False when it takes longer."""

        def quiet() -> bool:
            with self._lock:
                return not self._due and not any(track.lock.locked() for track in self._tracks.values())

        with self._changed:
            return self._changed.wait_for(quiet, timeout_s)

    def track(self, name: str) -> Track:
        """What is known of a strategy; ConfigError when it has no file and never had one."""
        with self._lock:
            found = self._tracks.get(name)
        if found is None:
            known = ", ".join(sorted(self._tracks)) or "none"
            raise ConfigError(f"there is no YAML strategy called {name!r} (known: {known})")
        return found

    def tracks(self) -> Mapping[str, Track]:
        """Every strategy that has, or had, a file."""
        with self._lock:
            return dict(self._tracks)

    def _track(self, name: str) -> Track:
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


_NOT_USABLE = "its file has problems; it runs as it did last, and opens nothing"


def _stays(overlay: Overlay, in_file: Any) -> bool:
    """Whether a value of the store still holds after the file's own was edited: the tighter of the two does."""
    info = next((one for one in params_of(BaseParams) if f"{PARAMS}{one.name}" == overlay.path), None)
    if overlay.source != STORE or info is None:
        return False
    return by_size(info.direction, in_file, overlay.value, zero_is_off=info.zero_is_off) is Direction.TIGHTER


def _superseded_key(name: str) -> str:
    return f"superseded:{name}"


def _has_expired(track: Track, now: datetime) -> bool:
    return any(one.expires_at is not None and one.expires_at <= now for one in track.overlays)


def _by_name(loaded: Sequence[Loaded], known: Mapping[str, Loaded | None] | None = None) -> dict[str, Loaded]:
    """The file of each strategy. One that cannot even say its name keeps the one it had; of several with one name, all
    refused, the one that had the strategy before counts."""
    paths = {one.path: name for name, one in (known or {}).items() if one is not None}
    found: dict[str, Loaded] = {}
    for one in loaded:
        name = one.name or paths.get(one.path, "")
        if not name:
            continue
        other = found.get(name)
        if other is None or paths.get(one.path) == name:
            found[name] = one
    return found


def content(loaded: Loaded) -> str:
    """Identifies everything that a file's verdict was made from: its own text, its bases', and what was said."""
    digest = hashlib.sha256()
    for name in sorted(loaded.sources):
        digest.update(name.encode() + b"\0" + loaded.sources[name].encode("utf-8", "surrogatepass") + b"\0")
    digest.update(json.dumps([(p.code, p.message) for p in loaded.problems]).encode())
    return digest.hexdigest()


def _first_problem(problems: Sequence[Problem]) -> str:
    errors = [problem for problem in problems if problem.is_error]
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{first.code} at {first.file}:{first.line}:{first.column}: {first.message}{more}"


def _owner(path: Path) -> str:
    """Who wrote the file, as far as the system tells."""
    try:
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except (OSError, KeyError):
        return ""
