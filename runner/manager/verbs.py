"""What the control socket can be asked. Every answer is plain data: money and quantities as text, times as ISO 8601."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from runner.errors import ConfigError, ExitCode, RunnerError
from runner.manager.code_trail import code_of
from runner.manager.control import Stream, Verb
from runner.manager.journal_views import events_view, fills_view, orders_view, position_row
from runner.manager.reload.service import ReloadService
from runner.manager.reload.track import Track
from runner.manager.reload.verbs import track_row
from runner.manager.runtime import Runtime
from runner.manager.strategy_manager import StrategyManager
from runner.model.money import CENT
from runner.store.codec import decimal_text, event_to_json

MAX_ROWS = 10_000
STREAM_BATCH = 1_000

START_WAIT_S = 60.0
"""How long `start` waits for a strategy to be warm before it answers."""


class NotDone(RunnerError):
    """Something that was ordered could not be done, or not for all."""

    exit_code = ExitCode.PROBLEMS


class Verbs:
    """Binds the verbs to a manager."""

    def __init__(self, manager: StrategyManager, reload: ReloadService) -> None:
        self._manager = manager
        self._reload = reload

    def verbs(self) -> dict[str, Verb]:
        return {
            "status": self.status,
            "positions": self.positions,
            "orders": self.orders,
            "fills": self.fills,
            "events": self.events,
            "start": self.start,
            "stop": self.stop,
            "pause": self.pause,
            "resume": self.resume,
            "flatten": self.flatten,
        }

    def streams(self) -> dict[str, Stream]:
        return {"events": self.follow}

    # looking ---------------------------------------------------------------------------------------------------

    async def status(self, args: Mapping[str, Any]) -> dict[str, Any]:
        manager = self._manager
        account = manager.portfolio_manager.account
        wanted = args.get("name")
        rows = [self._strategy_row(one) for one in manager.runtimes if wanted in (None, one.name)]
        listed = {row["name"] for row in rows}
        tracks = self._reload.engine.tracks()
        rows += [_absent_row(one) for name, one in tracks.items() if name not in listed and wanted in (None, name)]
        rows.sort(key=lambda row: row["name"])
        if args.get("name") and not rows:
            manager.runtime(str(args["name"]))  # raises with the known names
        return {
            "mode": manager.config.ib.mode,
            "account": manager.master.account,
            "connected": manager.master.connected,
            "gateway": manager.master.address,
            "base_currency": manager.portfolio_manager.base_currency,
            "equity": _money(account.equity_with_loan),
            "time": manager.clock.now().isoformat(),
            "warming": manager.master.warming,
            "locked": manager.master.locked,
            "watching": self._reload.watching,
            "watch": self._reload.watch_view(),
            "config": self._reload.config_file.view(),
            "strategies": rows,
        }

    def _strategy_row(self, runtime: Runtime) -> dict[str, Any]:
        manager = self._manager
        books = manager.portfolio_manager
        today = manager.today(runtime)
        pnl = books.strategy_pnl(runtime.name)
        phase, reason = runtime.shown_phase(today)
        mark = runtime.session_marks.get(today)
        held = [one for one in books.positions(runtime.name) if one.quantity]
        equity = books.account.equity_with_loan
        exposure = books.exposure(runtime.name)
        tracks = self._reload.engine.tracks()
        return {
            "name": runtime.name,
            "kind": runtime.kind,
            "file": runtime.file.name,
            "phase": phase.value,
            "reason": reason,
            "generation": runtime.generation,
            "reload": None if runtime.name not in tracks else track_row(tracks[runtime.name]),
            "client_id": runtime.client_id,
            "positions": len(held),
            "day_pnl": None if mark is None else _money(pnl.net - mark),
            "net_pnl": _money(pnl.net),
            "orders_today": books.trades_today(runtime.name, today),
            "exposure": round(float(exposure / equity), 6) if equity else 0.0,
            "target_weight": runtime.params.target_weight,
            "code": [asdict(one) for one in code_of(runtime.spec)] if runtime.spec is not None else [],
            "code_changed": runtime.code_changed,
        }

    async def positions(self, args: Mapping[str, Any]) -> dict[str, Any]:
        manager = self._manager
        books = manager.portfolio_manager
        names = [args["name"]] if args.get("name") else books.strategies()
        rows = [
            position_row(held, manager.last_price(held.instrument.con_id))
            for name in names
            for held in books.positions(name)
            if held.quantity
        ]
        # What was accepted as nobody's, not IB's position less the books': between a fill and its booking those differ.
        adopted = await asyncio.to_thread(lambda: books.unassigned_book) or {}
        symbols = manager.master.symbols()
        return {
            "positions": rows,
            "unassigned": [
                {"symbol": symbols.get(con_id, str(con_id)), "con_id": con_id, "quantity": decimal_text(quantity)}
                for con_id, quantity in sorted(adopted.items())
            ],
        }

    async def orders(self, args: Mapping[str, Any]) -> dict[str, Any]:
        open_only, limit = bool(args.get("open")), _limit(args)
        journal, name = self._manager.journal, args.get("name")
        return await asyncio.to_thread(orders_view, journal, name, open_only=open_only, limit=limit)

    async def fills(self, args: Mapping[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(fills_view, self._manager.journal, args.get("name"), limit=_limit(args))

    async def events(self, args: Mapping[str, Any]) -> dict[str, Any]:
        since = int(args.get("since") or 0)
        return await asyncio.to_thread(events_view, self._manager.journal, since=since, limit=_limit(args))

    async def follow(self, args: Mapping[str, Any], send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        """Everything after `since`, in order, then what happens, until the client goes."""
        journal = self._manager.journal
        since = args.get("since")
        seq = journal.last_seq() if since is None else int(since)
        loop, more = asyncio.get_running_loop(), asyncio.Event()

        def committed(_: object) -> None:
            try:
                loop.call_soon_threadsafe(more.set)
            except RuntimeError:  # the loop has ended, and this follower with it
                pass

        unsubscribe = journal.subscribe(committed)
        try:
            while True:
                more.clear()
                for number, event in await asyncio.to_thread(journal.events, seq, STREAM_BATCH):
                    await send(event_to_json(event, number))
                    seq = number
                    more.set()  # there may be another batch
                await more.wait()
        finally:
            unsubscribe()

    # ordering --------------------------------------------------------------------------------------------------

    async def start(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Starts strategies. `file` first registers a hand-written strategy under the name."""
        if args.get("file"):
            await asyncio.to_thread(self._manager.register_python, str(args["name"]), str(args["file"]))
        names = self._names(args, known_only=False)
        await _each(names, lambda name: asyncio.to_thread(self._manager.start_strategy, name))
        await asyncio.gather(*(asyncio.to_thread(self._manager.wait_until_warm, name, START_WAIT_S) for name in names))
        return self._changed(names)

    async def stop(self, args: Mapping[str, Any]) -> dict[str, Any]:
        names = self._names(args)
        reason = str(args.get("reason") or "stopped by the operator")

        async def stop(name: str) -> None:
            if not await asyncio.to_thread(self._manager.stop_strategy, name, reason, True):
                raise NotDone(f"{name} does not stop: its own code blocks", hint="restart the runner to be rid of it")

        await _each(names, stop)
        return self._changed(names)

    async def pause(self, args: Mapping[str, Any]) -> dict[str, Any]:
        names = self._names(args)
        for name in names:
            await asyncio.to_thread(
                self._manager.operator.pause, name, str(args.get("reason") or "paused by the operator")
            )
        return self._changed(names)

    async def resume(self, args: Mapping[str, Any]) -> dict[str, Any]:
        names = self._names(args)
        for name in names:
            await asyncio.to_thread(self._manager.operator.resume, name, str(args.get("reason") or ""))
        return self._changed(names)

    async def flatten(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Closes positions. With `all` a strategy that neither holds anything nor has a session is only paused."""
        names = self._names(args)
        reason = str(args.get("reason") or "flattened by the operator")
        books = self._manager.portfolio_manager

        async def flatten(name: str) -> None:
            instance = self._manager.runtime(name).instance
            connected = instance is not None and instance.is_connected
            if args.get("all") and not connected and not any(held.quantity for held in books.positions(name)):
                await asyncio.to_thread(self._manager.operator.pause, name, reason)
            else:
                await self._manager.operator.flatten(name, reason)

        await _each(names, flatten)
        return self._changed(names)

    def _names(self, args: Mapping[str, Any], *, known_only: bool = True) -> list[str]:
        if args.get("all"):
            return [one.name for one in self._manager.runtimes]
        name = args.get("name")
        if not name:
            raise ConfigError("no strategy was named", hint="give a NAME or --all")
        if known_only:
            self._manager.runtime(str(name))
        return [str(name)]

    def _changed(self, names: list[str]) -> dict[str, Any]:
        rows = []
        for name in names:
            runtime = self._manager.runtime(name)
            phase, reason = runtime.shown_phase(self._manager.today(runtime))
            rows.append({"name": name, "phase": phase.value, "reason": reason})
        return {"changed": rows}


async def _each(names: Sequence[str], work: Callable[[str], Awaitable[Any]]) -> None:
    """Does `work` for all of them at the same time. One that fails keeps none of the others from being done: what
    failed is said when all are through."""
    results = await asyncio.gather(*(work(name) for name in names), return_exceptions=True)
    failures = [(name, result) for name, result in zip(names, results, strict=True) if isinstance(result, Exception)]
    if len(names) == 1 and failures:
        raise failures[0][1]
    if failures:
        said = "; ".join(f"{name}: {getattr(error, 'message', error)}" for name, error in failures)
        raise NotDone(f"{len(failures)} of {len(names)} could not be done: {said}", hint="the others are done")


def _limit(args: Mapping[str, Any]) -> int:
    return min(int(args.get("limit") or MAX_ROWS), MAX_ROWS)


def _absent_row(track: Track) -> dict[str, Any]:
    """A strategy that has a file and does not run: it never came to, or ended and is held since its file is back."""
    return {
        "name": track.name,
        "kind": "yaml",
        "file": None if track.wanted is None else track.wanted.path.name,
        "phase": None,
        "reason": "",
        "generation": None,
        "reload": track_row(track),
        "client_id": None,
        "positions": None,
        "day_pnl": None,
        "net_pnl": None,
        "orders_today": None,
        "exposure": None,
        "target_weight": None,
        "code": [],
        "code_changed": False,
    }


def _money(amount: Decimal) -> str:
    return str(amount.quantize(CENT))
