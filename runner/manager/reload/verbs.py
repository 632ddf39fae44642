"""What the control socket can be asked about files, versions and what holds in place of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from runner.errors import ConfigError
from runner.manager.control import Verb
from runner.manager.reload.drift import UNIVERSE, value_at
from runner.manager.reload.history import MAX_HISTORY, blame_view, diff_view, history_view
from runner.manager.reload.kept_plan import AGAIN, StalePlan, planned
from runner.manager.reload.plan import check_fresh, plan_view
from runner.manager.reload.service import ReloadService
from runner.manager.reload.track import Track
from runner.store.generations import Generation, GenerationState

RESCAN_TIMEOUT_S = 60.0
"""How long a command waits for files that are still being written."""


class ReloadVerbs:
    """Binds the verbs to the reload service. Every answer is plain data."""

    def __init__(self, service: ReloadService) -> None:
        self._service = service

    def verbs(self) -> dict[str, Verb]:
        return {
            "plan": self.plan,
            "apply": self.apply,
            "reload": self.reload,
            "announce": self.announce,
            "approve": self.approve,
            "reject": self.reject,
            "history": self.history,
            "diff": self.diff,
            "blame": self.blame,
            "rollback": self.rollback,
            "override": self.override,
            "restore": self.restore,
            "drift": self.drift,
            "adopt": self.adopt,
            "revert": self.revert,
            "metrics": self.metrics,
        }

    async def plan(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """What the files would change."""
        names = [str(name) for name in args.get("names") or ()]
        return await asyncio.to_thread(self._plan, names)

    def _plan(self, names: list[str]) -> dict[str, Any]:
        service = self._service
        folder = service.read_folder()
        found = plan_view(service.engine, folder, names, service.kept_files(folder))
        return found if names else found | {"config": self._service.config_file.plan()}

    async def apply(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Carries out a kept plan, which approves what it shows, or brings everything together now; what of `names` is
        held is approved by it."""
        return await asyncio.to_thread(self._apply, dict(args))

    def _apply(self, args: dict[str, Any]) -> dict[str, Any]:
        service, engine = self._service, self._service.engine
        if args.get("plan") is not None:
            return self._apply_plan(args["plan"], args)
        names = [str(name) for name in args.get("names") or ()]
        service.rescan(RESCAN_TIMEOUT_S)
        for name in names:
            if self._undecided(engine.track(name)):
                service.orders.apply_now(name, actor=_actor(args), reason=_reason(args))
        found = self._results(names or sorted(engine.tracks())) | {"deletions_held": service.deletions_held}
        return found | {"config": service.config_file.view()}

    def _apply_plan(self, plan: Any, args: dict[str, Any]) -> dict[str, Any]:
        """Nothing is done when anything has moved already. Files may still change until each strategy has its turn:
        then that one is left as it is, and the others are as the plan shows."""
        service = self._service
        shown = planned(plan)
        check_fresh(service.engine, service.read_folder(), plan)
        service.rescan(RESCAN_TIMEOUT_S)
        done, stale = [], []
        for one in shown:
            try:
                if one.approves:
                    service.orders.apply_planned(one, actor=_actor(args), reason=_reason(args))
                    done.append(one.strategy)
            except StalePlan as error:
                stale.append(error.message)
        if stale:
            others = f"; done: {', '.join(done)}" if done else ""
            raise StalePlan(f"{'; '.join(stale)}{others}", hint=AGAIN)
        return self._results([one.strategy for one in shown]) | {"deletions_held": service.deletions_held}

    def _undecided(self, track: Track) -> bool:
        """Whether something of it is held, waits, or could not be prepared though its file has no problems."""
        state = "" if track.newest is None else track.newest.state.value
        usable = track.wanted is not None and track.wanted.spec is not None
        return state in ("held", "waiting") or (state == "refused" and usable)

    async def reload(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Looks at the files now and waits until what follows is done."""
        settled = await asyncio.to_thread(self._service.rescan, RESCAN_TIMEOUT_S)
        name = args.get("name")
        names = [str(name)] if name else sorted(self._service.engine.tracks())
        found = self._results(names) | {"settled": settled, "deletions_held": self._service.deletions_held}
        return found if name else found | {"config": self._service.config_file.view()}

    async def announce(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """A text is about to be written into a strategy's file, by somebody who says why."""
        name, sha256 = str(args["name"]), str(args["sha256"])
        orders = self._service.orders
        await asyncio.to_thread(orders.announce, name, sha256, cause="set", actor=_actor(args), reason=_reason(args))
        return {}

    async def approve(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Puts a held version in force; `deletes` lets files go that went missing many at once."""
        if args.get("deletes"):
            released = await asyncio.to_thread(self._service.approve_deletions)
            return {"released": released}
        name, generation = _target(args)
        orders = self._service.orders
        await asyncio.to_thread(orders.approve, name, generation, actor=_actor(args), reason=_reason(args))
        return self._results([name])

    async def reject(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Says no to a held version."""
        name, generation = _target(args)
        await asyncio.to_thread(self._service.orders.reject, name, generation, actor=_actor(args), reason=_reason(args))
        return self._results([name])

    async def history(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The versions of a strategy."""
        limit = min(int(args.get("limit") or 20), MAX_HISTORY)
        return await asyncio.to_thread(history_view, self._journal, str(args["name"]), limit=limit)

    async def diff(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """What two versions say differently."""
        return await asyncio.to_thread(diff_view, self._journal, str(args["name"]), int(args["old"]), int(args["new"]))

    async def blame(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Which versions changed a field."""
        return await asyncio.to_thread(blame_view, self._journal, str(args["name"]), str(args["field"]))

    async def rollback(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Puts an old version in force, or with `file` its text back into the file."""
        name, generation = _target(args)
        orders = self._service.orders
        if args.get("file"):
            await asyncio.to_thread(orders.rollback_file, name, generation, actor=_actor(args), reason=_reason(args))
            await asyncio.to_thread(self._service.rescan, RESCAN_TIMEOUT_S)
        else:
            await asyncio.to_thread(orders.rollback, name, generation, actor=_actor(args), reason=_reason(args))
        return self._results([name])

    async def override(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """A value in place of the file's that goes back by itself."""
        name = str(args["name"])
        lasts = timedelta(seconds=float(args["lasts_s"]))
        result = await asyncio.to_thread(
            self._service.orders.override,
            name,
            str(args["path"]),
            args["value"],
            lasts=lasts,
            actor=_actor(args),
            reason=_reason(args),
        )
        return self._results([name]) | {"result": result.value}

    async def restore(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """The file's values hold again."""
        name, path = str(args["name"]), args.get("path")
        restore = self._service.orders.restore
        result = await asyncio.to_thread(restore, name, path, actor=_actor(args), reason=_reason(args))
        return self._results([name]) | {"result": result.value}

    async def drift(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """What the store says differently than what runs, and what holds in place of the files."""
        return await asyncio.to_thread(self._drift, args.get("name"))

    def _drift(self, name: str | None) -> dict[str, Any]:
        engine = self._service.engine
        named = [engine.track(name)] if name else []
        engine.in_place.compare_with_store(RESCAN_TIMEOUT_S)
        tracks = named or list(engine.tracks().values())
        rows = []
        for track in tracks:
            held = {one.path: one for one in track.overlays}
            for one in engine.in_place.said_by_store(track):
                overlay = held.get(one.path)
                running = track.in_force
                known = running is not None and not one.problem and one.path != UNIVERSE
                rows.append(
                    {
                        "strategy": track.name,
                        "path": one.path,
                        "file": one.running,
                        "store": one.stored,
                        "direction": one.direction.value,
                        "in_force_value": value_at(running, one.path) if running and known else one.running,
                        "in_force": "file" if overlay is None else overlay.source,
                        "problem": one.problem,
                    }
                )
        return {"drift": rows}

    async def adopt(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Writes the store's values into the file."""
        name = str(args["name"])
        paths = tuple(str(path) for path in args.get("paths") or ())
        orders = self._service.orders
        written, skipped = await asyncio.to_thread(orders.adopt, name, paths, actor=_actor(args), reason=_reason(args))
        await asyncio.to_thread(self._service.rescan, RESCAN_TIMEOUT_S)
        return self._results([name]) | {"written": written, "skipped": skipped}

    async def revert(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Puts the file's values back into the store."""
        name = str(args["name"])
        revert = self._service.orders.revert
        result = await asyncio.to_thread(revert, name, actor=_actor(args), reason=_reason(args))
        return self._results([name]) | {"result": result.value}

    async def metrics(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """In the text format that Prometheus reads."""
        return {"text": self._service.metrics()}

    @property
    def _journal(self) -> Any:
        return self._service.engine.manager.journal

    def _results(self, names: list[str]) -> dict[str, Any]:
        return {"strategies": [track_row(self._service.engine.track(name)) for name in names]}


def track_row(track: Track) -> dict[str, Any]:
    """What `status` and every answer about versions say of a strategy's file."""
    newest = track.newest
    waits = newest is not None and newest.state.value in ("held", "waiting", "refused")
    return {
        "strategy": track.name,
        "generations": {
            "file": None if track.wanted is None or newest is None else newest.generation,
            "store": track.stored_generation,
            "running": track.running,
        },
        "state": None if newest is None else newest.state.value,
        "last_reload": None
        if track.last_at is None
        else {"at": track.last_at.isoformat(), "result": track.last_result},
        "text": _note(newest) if newest is not None and waits else "",
        "overrides": [
            {
                "path": one.path,
                "value": one.value,
                "source": one.source,
                "actor": one.actor,
                "reason": one.reason,
                "expires_at": None if one.expires_at is None else one.expires_at.isoformat(),
            }
            for one in track.overlays
        ],
        "code_edited": track.code_edited,
        "conditions": [condition.view() for condition in track.conditions.values()],
    }


def _note(newest: Generation) -> str:
    """Why a version is not in force, and what would change that."""
    if newest.state is GenerationState.HELD:
        return f"{newest.text}: runner approve {newest.strategy}@{newest.generation}"
    return newest.text


def _target(args: Mapping[str, Any]) -> tuple[str, int]:
    name, generation = args.get("name"), args.get("generation")
    if not name or generation is None:
        raise ConfigError("no version was named", hint="write NAME@GENERATION, as runner history shows them")
    return str(name), int(generation)


def _actor(args: Mapping[str, Any]) -> str:
    return str(args.get("actor") or "operator")


def _reason(args: Mapping[str, Any]) -> str:
    return str(args.get("reason") or "")
