"""A runner whose files are edited while its strategies trade, on a market that moves only when told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runner.catalog import BUILT_IN, Catalog
from runner.manager.app import first_look, start_all
from runner.manager.reload.engine import ReloadEngine
from runner.manager.reload.plan import plan_view
from runner.manager.reload.service import ReloadService
from runner.manager.reload.settings import ReloadSettings
from runner.manager.reload.track import Track
from runner.manager.reload.verbs import track_row
from runner.model.annotations import Loosening
from runner.model.clock import ManualClock
from runner.model.events import Filled, Notice, OrderPlaced, OrderRefused, Reloaded
from runner.model.orders import OrderIntent, Purpose
from runner.model.sessions import sessions
from runner.spec.deployment import Deployment
from runner.spec.folder import Folder
from runner.store import arctic_store
from runner.store.arctic_store import Store
from runner.store.journal import OrderRecord

START = date(2012, 1, 3)
BEFORE, SESSIONS = 12, 120
WAIT_S = 30.0
CASH = {"USD": Decimal(10_000_000)}

PRICES: dict[str, Callable[[int], tuple[float, float, float, float]]] = {
    # Each bar is open, high, low, close of session n, counted from START.
    "FLAT": lambda n: (100, 100, 100, 100),
    "CALM": lambda n: (50, 50, 50, 50),
    "SAW": lambda n: (100, 100, 100, 100) if n % 2 == 0 else (96, 96, 96, 96),
}
"""FLAT and CALM never move; SAW stands at 100 in one session and at 96 in the next. LATER has not begun to trade."""

BASE = {
    "universe": "[CALM, FLAT]",
    "bars": "{size: 30 mins, history: 6}",
    "signals": "{hold: {use: buy_and_hold}}",
    "sizing": "{use: equal_weight}",
    "params": "{target_weight: 0.1}",
    "schedule": "{calendar: XNYS, evaluate: open+30m}",
}
"""Half an hour after the open it wants half of its equity in CALM and half in FLAT, at market."""
HELD_ONLY = "{use: fixed_weights, with: {weights: {CALM: 0.5}}}"
BOTH = "{use: fixed_weights, with: {weights: {CALM: 0.5, FLAT: 0.5}}}"
RESTING = "{order: limit, limit_offset_bps: -100}"
"""A hundredth below a price that does not move: it waits for ever."""


def write_prices(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    days = sessions("XNYS").between(date(START.year - 1, 11, 1), date(START.year + 1, 12, 31))
    first = next(i for i, session in enumerate(days) if session.day >= START)
    for symbol, price in PRICES.items():
        rows = ["date,open,high,low,close,volume"]
        for n, session in enumerate(days[first - BEFORE : first + SESSIONS], start=-BEFORE):
            rows.append(f"{session.day},{','.join(str(one) for one in price(n))},10000000")
        (folder / f"{symbol}.csv").write_text("\n".join(rows) + "\n")
    late = days[first + SESSIONS].day
    (folder / "LATER.csv").write_text(f"date,open,high,low,close,volume\n{late},10,10,10,10,1000000\n")
    return folder


def text_of(name: str, **sections: str) -> str:
    """A whole strategy file; every section is YAML in one line."""
    said = {key: value for key, value in (BASE | sections).items() if value}
    return "\n".join(["spec: 1", f"name: {name}", *(f"{key}: {value}" for key, value in said.items()), ""])


@contextmanager
def store_away() -> Iterator[None]:
    """ArcticDB refuses every write, as it does on a disk that is nearly full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arctic_store, "MIN_FREE_BYTES", 2**62)
        yield


def params(**values: float) -> str:
    """The section of that name: a tenth of the account, and what is said."""
    said = {"target_weight": 0.1, "max_position_size": 0.6} | values
    return "{" + ", ".join(f"{name}: {value}" for name, value in said.items()) + "}"


def write_row(store: Store, name: str, *, params: Mapping[str, Any] | str | None = None, **columns: Any) -> None:
    """Writes into a strategy's row as a dashboard would, which knows nothing of the runner but the table. `params` are
    those that change, or a text in place of all of them."""
    frame = store.read("general", "strategies")
    assert frame is not None
    frame = frame.copy()
    (row,) = frame.index[frame["strategy"] == name]
    if isinstance(params, str):
        columns["params"] = params
    elif params is not None:
        columns["params"] = json.dumps(json.loads(frame.loc[row, "params"] or "{}") | dict(params))
    for column, value in columns.items():
        frame.loc[row, column] = value
    store.write("general", "strategies", frame)


def drop_row(store: Store, name: str) -> None:
    """Deletes a strategy's row."""
    frame = store.read("general", "strategies")
    assert frame is not None
    store.write("general", "strategies", frame[frame["strategy"] != name].reset_index(drop=True))


@dataclass
class Desk:
    """The files, the runner that follows them, and its market."""

    running: Any
    loosening: Loosening = Loosening.AUTO
    catalog: Catalog = BUILT_IN
    drift_interval_s: float = 15.0
    system: ManualClock = field(default_factory=lambda: ManualClock(datetime.now(UTC)))

    def __post_init__(self) -> None:
        config = self.running.manager.config
        self.service = ReloadService(
            self.running.manager,
            Deployment.of(config, self.catalog),
            ReloadSettings(loosening=self.loosening, drift_interval_s=self.drift_interval_s),
            self.system,
        )
        self.sections: dict[str, dict[str, str]] = {}
        self._told = threading.Condition()
        self._events = 0
        self.manager.journal.subscribe(self._tell)

    def _tell(self, events: list[Any]) -> None:
        with self._told:
            self._events += len(events)
            self._told.notify_all()

    # -- life

    def begin(self, only: str | None = None) -> list[str]:
        """As `runner run` begins. Returns the names of what is started."""
        starts = first_look(self.service, only)
        start_all(self.manager, starts, only)
        for runtime in self.manager.runtimes:
            self.manager.wait_until_warm(runtime.name, WAIT_S)
        return [start.spec.name for start in starts]

    def close(self) -> None:
        self.service.close()

    @property
    def manager(self) -> Any:
        return self.running.manager

    @property
    def engine(self) -> ReloadEngine:
        return self.service.engine

    @property
    def folder(self) -> Path:
        return Path(self.running.folder)

    # -- files

    def path(self, name: str) -> Path:
        return self.folder / f"{name.lower()}.yaml"

    def shown(self, name: str) -> str:
        """What messages call its file."""
        return f"{self.folder.name}/{self.path(name).name}"

    def write(self, name: str, **sections: str) -> Path:
        """Changes sections of a strategy's file; those that it has said before stay. Nobody is told."""
        self.sections[name] = self.sections.get(name, {}) | sections
        path = self.path(name)
        path.write_text(text_of(name, **self.sections[name]))
        return path

    def edit(self, name: str, **sections: str) -> One:
        """The same, and everything that follows is done when it returns."""
        self.write(name, **sections)
        return self.settle(name)

    def remove(self, name: str) -> One:
        """The file is gone, and that was meant: the last one of a folder is not let go of otherwise."""
        self.path(name).unlink()
        self.settle(name)
        self.service.approve_deletions()
        return self.settle(name)

    def settle(self, name: str) -> One:
        assert self.service.rescan(WAIT_S), "the files are not taken in"
        return One(self, name)

    def look_at_files(self) -> Folder:
        """The folder as the watcher would hand it on."""
        return self.service.read_folder()

    def settles(self, condition: Callable[[], bool]) -> bool:
        """Whether the condition comes true with what the strategies have begun to do. Every fact is an event, and so is
        every step on the way to one."""
        seen = -1
        while not condition():
            with self._told:
                before = seen
                if not self._told.wait_for(lambda: self._events != before, WAIT_S):  # noqa: B023
                    return condition()
                seen = self._events
        return True

    def later(self, seconds: float) -> None:
        """That much time passes for the engine, and what is due by then is done."""
        self.system.set(self.system.now() + timedelta(seconds=seconds))
        self.engine.look()
        assert self.engine.settled(WAIT_S)

    def plan(self, name: str, **sections: str) -> dict[str, Any]:
        """What an edit would do. The file is as before afterwards."""
        before = self.path(name).read_text()
        self.path(name).write_text(text_of(name, **(self.sections[name] | sections)))
        try:
            (row,) = plan_view(self.engine, self.service.read_folder(), [name])["strategies"]
        finally:
            self.path(name).write_text(before)
        return dict(row)

    # -- what is open

    @property
    def streams(self) -> frozenset[Any]:
        """What is subscribed at IB."""
        return self.manager.master.hub.subscriptions

    @property
    def tasks(self) -> int:
        """Coroutines under way on the broker loop, but for those that only wait for the next moment."""
        return sum(not task.done() for task in asyncio.all_tasks(self.manager.broker_loop))

    @property
    def requests(self) -> int:
        """What the client of IB keeps of questions and subscriptions."""
        wrapper = self.manager.master.ib.wrapper
        return len(wrapper.reqId2Subscriber) + len(wrapper._futures) + len(wrapper._results)

    # -- the market

    @property
    def now(self) -> datetime:
        return self.manager.clock.now()

    @staticmethod
    def clock_of(at: datetime) -> str:
        """The time of day in New York."""
        return f"{at.astimezone(sessions('XNYS').zone):%H:%M}"

    def run_to(self, clock: str, *, days: int = 0) -> None:
        """Trades until that time of day in New York, today if it is still to come, `days` sessions later."""
        calendar = sessions("XNYS")
        hour, minute = map(int, clock.split(":"))
        session = calendar.at_or_after(self.now)
        at = session.open.astimezone(calendar.zone).replace(hour=hour, minute=minute)
        if at <= self.now:
            days += 1
        for _ in range(days):
            session = calendar.at_or_after(session.close)
            at = session.open.astimezone(calendar.zone).replace(hour=hour, minute=minute)
        self.running.hold_at(at)

    def run_to_close(self, *, before_even: bool | None = None) -> None:
        """Trades until a session is over: the one under way, or the one before a session in which SAW stands at 100
        (`before_even`), or at 96. What is started now sees the whole next session."""
        days = sessions("XNYS").between(START, date(START.year, 12, 31))
        ahead = next(i for i, session in enumerate(days) if session.close > self.now)
        if days[ahead].contains(self.now):
            ahead += 1
        if before_even is not None and (ahead % 2 == 0) is not before_even:
            ahead += 1
        if self.now < days[ahead - 1].close:
            self.running.hold_at(days[ahead - 1].close)


@dataclass
class One:
    """What one strategy did and does."""

    desk: Desk
    name: str

    @property
    def track(self) -> Track:
        return self.desk.engine.track(self.name)

    @property
    def row(self) -> dict[str, Any]:
        return track_row(self.track)

    @property
    def state(self) -> str:
        newest = self.track.newest
        return "" if newest is None else newest.state.value

    @property
    def text(self) -> str:
        newest = self.track.newest
        return "" if newest is None else newest.text

    @property
    def generation(self) -> int:
        """Of what runs, as the strategy itself says."""
        instance = self.desk.manager.runtime(self.name).instance
        assert instance.generation == self.track.running
        return int(instance.generation)

    @property
    def stored(self) -> Any:
        """Its row in the store, read now."""
        self.desk.manager.strategies.refresh()
        return self.desk.manager.strategies.get(self.name)

    @property
    def stored_params(self) -> dict[str, Any]:
        return dict(json.loads(self.stored.params))

    @property
    def runtime(self) -> Any:
        return self.desk.manager.runtime(self.name)

    @property
    def version(self) -> Any:
        return self.runtime.instance.version

    @property
    def phase(self) -> str:
        runtime = self.runtime
        return str(runtime.shown_phase(self.desk.manager.today(runtime))[0].value)

    def condition(self, kind: str) -> tuple[str, str]:
        self.desk.engine.observing.observe(self.track)
        found = self.track.conditions[kind]
        return found.status.value, found.reason

    # -- what it traded

    @property
    def working(self) -> list[OrderRecord]:
        self.desk.running.settle()
        return list(self.desk.manager.journal.intents(open_only=True, strategy=self.name))

    @property
    def resting(self) -> dict[str, float]:
        """symbol → signed quantity of the entries that work."""
        return {
            one.intent.request.instrument.symbol: float(one.intent.request.side.sign * one.intent.request.quantity)
            for one in self.working
            if one.intent.request.purpose is Purpose.ENTRY
        }

    @property
    def held(self) -> dict[str, float]:
        self.desk.running.settle()
        books = self.desk.manager.portfolio_manager
        return {one.instrument.symbol: float(one.quantity) for one in books.positions(self.name) if one.quantity}

    def _events(self, kind: type) -> list[Any]:
        self.desk.running.settle()
        return [event for event in self.desk.running.events if isinstance(event, kind) and event.strategy == self.name]

    @property
    def orders(self) -> list[OrderIntent]:
        return [event.intent for event in self._events(OrderPlaced)]

    @property
    def fills(self) -> list[Filled]:
        return self._events(Filled)

    @property
    def refused(self) -> list[OrderRefused]:
        return self._events(OrderRefused)

    @property
    def reloads(self) -> list[Reloaded]:
        return self._events(Reloaded)

    @property
    def notices(self) -> list[Notice]:
        return self._events(Notice)

    @property
    def last(self) -> Reloaded:
        return self.reloads[-1]

    def took_over(self, apply: str, direction: str) -> None:
        """The newest version is of this class and direction, and it is in force: in the strategy, in the journal, in
        the store and in its conditions."""
        last, newest = self.last, self.track.newest
        assert newest is not None
        assert (last.result.value, last.apply, last.direction) == ("applied", apply, direction), last
        assert newest.state.value == "applied" and newest.generation == last.running == self.generation
        assert (self.stored.generation, self.runtime.generation) == (self.generation, self.generation)
        assert self.condition("Applied") == ("True", "Applied") and self.condition("Synced") == ("True", "Stored")

    def since(self, orders: Sequence[OrderIntent]) -> list[tuple[str, str, str, float, int]]:
        """(symbol, side, reason, quantity, generation) of the orders after these."""
        return [
            (
                one.request.instrument.symbol,
                one.request.side.value,
                one.request.reason,
                float(one.request.quantity),
                one.generation,
            )
            for one in self.orders[len(orders) :]
        ]
