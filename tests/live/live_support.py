"""The real runner in a process of its own: started, looked at, stopped, killed and started again."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from runner.cli.client import call
from runner.model.money import ZERO
from runner.store.journal import Journal

WAIT_S = 45.0
"""For anything that should happen at once, on a machine that is busy with something else."""
STOP_S = 10.0
"""What the runner promises for SIGTERM and Ctrl-C."""
POLL_S = 0.02
START_CASH = Decimal(1_000_000)

FAST_MARKET = "gateway: {speed: max, step: day, start: 2012-01-03, enforce_limits: false}\n"
STEADY_MARKET = "gateway: {speed: 60000, step: day, start: 2012-01-03, enforce_limits: false}\n"
"""A session every second or so: fast enough to trade while a test looks, slow enough for the year to outlast it."""
HOLD = """\
spec: 1
name: HOLD
universe: IBM
bars: {size: 1 day, history: 30}
signals: {hold: {use: buy_and_hold}}
sizing: {use: equal_weight}
params: {target_weight: 0.1}
schedule: {calendar: XNYS}
"""
SWING = """\
spec: 1
name: SWING
universe: AAPL, GOOG, IBM, MSFT
bars: {size: 1 day, history: 30}
signals: {cross: {use: sma_cross, with: {fast: 2, slow: 3}}}
sizing: {use: equal_weight}
params: {target_weight: 0.3}
schedule: {calendar: XNYS}
"""
FLIP = '''\
from runner.model.bars import BarSize
from runner.strategy.base_strategy import PARAMS as BASE_PARAMS
from runner.strategy.base_strategy import BaseStrategy

PARAMS = {**BASE_PARAMS, "universe": "MSFT", "target_weight": 0.1}


class FlipStrategy(BaseStrategy):
    """Buys ten one day and sells them the next."""

    async def initialize_strategy(self):
        (self.contract,) = await self.qualify("MSFT")
        self.feed = await self.open_feed([self.contract], BarSize.DAY_1, history=3)

    async def run_strategy(self):
        while self.is_running:
            moment = await self.feed.next()
            if any(change.complete for change in moment.changes):
                await self.settle()
                target = 0 if self.position(self.contract) else 10
                await self.order_target_quantity(self.contract, target, reason="flip")
'''


def until(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """The condition's value as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(POLL_S)
    return value


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Process:
    """A running `runner …`. Its stderr is read all the time, so that it can be waited for."""

    def __init__(
        self, project: Project, *args: str, program: Sequence[str] = ("-m", "runner"), terminal: int | None = None
    ) -> None:
        """`terminal` is the side for programs of a pseudo-terminal, which then controls the process."""
        self.project = project
        self.started_at = self.last_seq()
        """Number of the newest event before it was started."""
        self._process = subprocess.Popen(
            [sys.executable, *program, *args],
            cwd=project.root,
            env=project.environment,
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=None if terminal is None else lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.pid = self._process.pid
        self.lines: list[str] = []
        self.out: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self.out)),
            threading.Thread(target=self._read, args=(self._process.stderr, self.lines)),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(pipe: Any, lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                lines.append(line.rstrip("\n"))

    @property
    def err(self) -> str:
        return "\n".join(self.lines)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def line(self, text: str, after: int = 0) -> str:
        """The first line on stderr that has `text`, as soon as it is there."""

        def found() -> str | None:
            ended = not self.running
            for line in self.lines[after:]:
                if text in line:
                    return line
            assert not ended, f"it ended with {self._process.returncode} and never said {text!r}:\n{self.err}"
            return None

        return str(until(found, f"{text!r} on stderr; so far:\n{self.err}"))

    def ready(self) -> Process:
        self.line("ready:")
        return self

    @property
    def gateway(self) -> int:
        """The pid of its embedded gateway."""
        (pid,) = children(self.pid)
        return pid

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, within_s: float = STOP_S) -> int:
        """Send the signal; the exit code."""
        self.send(number)
        return self.wait(within_s)

    def wait(self, within_s: float = WAIT_S) -> int:
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {within_s:g} s:\n{self.err}") from None
        for reader in self._readers:
            reader.join(WAIT_S)
        return code

    def kill(self) -> None:
        if self.running:
            self._process.kill()
        self.wait()

    # what it is asked, without the cost of a process for each question

    def row(self, name: str) -> dict[str, Any]:
        """What status says of a strategy."""
        (row,) = self.ask("status", name=name)["strategies"]
        return dict(row)

    def generations(self, name: str) -> tuple[int, int, int]:
        """Of the file, in the store, running."""
        found = self.row(name)["reload"]["generations"]
        return found["file"], found["store"], found["running"]

    def target_weight(self, name: str) -> float:
        """The target weight that the order gate reads."""
        return float(self.row(name)["target_weight"])

    def reloaded(self, since: int, name: str, **wanted: Any) -> dict[str, Any]:
        """The first `reload` event of a strategy after `since` with these values."""
        return self.event(since, type="reload", strategy=name, **wanted)

    def ask(self, verb: str, **args: Any) -> dict[str, Any]:
        return call(self.project.state_dir, verb, timeout_s=WAIT_S, **args)

    def phases(self) -> dict[str, str]:
        """Of the strategies that were started; one that never was has none."""
        return {row["name"]: row["phase"] for row in self.ask("status")["strategies"] if row["phase"]}

    def event(self, since: int = 0, **wanted: Any) -> dict[str, Any]:
        """The first event after `since` that has these values, as soon as it has happened."""
        seen = since

        def found() -> dict[str, Any] | None:
            nonlocal seen
            for event in self.ask("events", since=seen)["events"]:
                seen = event["seq"]
                if all(event.get(key) == value for key, value in wanted.items()):
                    return dict(event)
            return None

        return dict(until(found, f"an event with {wanted} after {since}; stderr:\n{self.err}"))

    def last_seq(self) -> int:
        """Number of the newest event."""
        if not self.project.journal.exists():
            return 0
        with Journal.read_only(self.project.journal) as journal:
            return journal.last_seq()


@dataclass
class Project:
    """A folder with strategies.d and runner.yaml, and what runs in it."""

    root: Path
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.strategies = self.root / "strategies.d"
        self.strategies.mkdir()
        self.state_dir = self.root / ".runner"
        self.journal = self.state_dir / "journal.db"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("RUNNER_", "IB_", "IBKR_"))
        }

    def write(self, files: dict[str, str], config: str = FAST_MARKET) -> Project:
        for name, text in files.items():
            (self.strategies / name).write_text(text)
        (self.root / "runner.yaml").write_text(config)
        return self

    def save(self, name: str, text: str) -> None:
        """As an editor saves: the whole file beside the old one, then in its place."""
        beside = self.strategies / f".{name}.tmp"
        beside.write_text(text)
        beside.replace(self.strategies / name)

    def edit(self, name: str, old: str, new: str) -> None:
        """Saves the file with one thing in place of another."""
        text = self.read(name)
        assert text.count(old) == 1, (old, text)
        self.save(name, text.replace(old, new))

    def read(self, name: str) -> str:
        return (self.strategies / name).read_text()

    def start(self, *args: str, terminal: int | None = None) -> Process:
        process = Process(self, *(args or ("run",)), terminal=terminal)
        self.processes.append(process)
        return process

    def start_python(self, file: str, *args: str) -> Process:
        """A program of ours that becomes a runner."""
        process = Process(self, *args, program=[file])
        self.processes.append(process)
        return process

    def say(self, *args: str) -> Said:
        """One command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "runner", *args],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def wait_for_gateway(self, gateway: Process) -> int:
        """The port on which a `runner gateway` accepts connections."""
        banner = str(until(lambda: gateway.out and gateway.out[0], "the gateway's line"))
        return int(banner.split("127.0.0.1:")[1].split()[0])

    def settle(self) -> None:
        """Takes in what the market did while the runner was ending: it has no one to wait for then."""
        said = self.say("run", "--once")
        assert said.code == 0, said.err

    def close(self) -> None:
        for process in self.processes:
            process.kill()

    def audit(self) -> list[Any]:
        """Our books against the gateway's own file, with nothing running: the same positions and the same cash to the
        cent, so every execution and commission was kept, and kept once. Returns the executions."""
        with Journal.read_only(self.journal) as journal:
            fills = journal.executions()
            charges = list(journal.commissions().values())
            records = journal.intents()
            events = journal.events()
        held: Counter[int] = Counter()
        cash = START_CASH
        for fill in fills:
            held[fill.instrument.con_id] += fill.side.sign * fill.quantity
            cash -= fill.side.sign * fill.quantity * fill.price
        cash -= sum((charge.amount for charge in charges), ZERO)
        theirs = gateway_books(self.state_dir / "gateway.db")
        assert {con_id: quantity for con_id, quantity in held.items() if quantity} == theirs.positions
        assert cash == theirs.cash
        assert len(charges) == len(fills) == len({fill.exec_id for fill in fills})
        placed = {record.intent.order_ref for record in records}
        assert len(placed) == len(records)
        assert {fill.order_ref for fill in fills} <= placed
        assert theirs.order_refs <= placed, "an order at the gateway whose intent is not in the journal"
        assert len(theirs.order_refs) == theirs.orders, "two orders with one reference"
        unsettled = [one for one in records if not one.state.terminal and one.intent.order_ref not in theirs.working]
        assert not unsettled, [(one.intent.order_ref, one.state) for one in unsettled]
        numbers = [seq for seq, _ in events]
        assert numbers == sorted(set(numbers))
        assert not [event for _, event in events if getattr(event, "code", "") == "position_mismatch"]
        return fills


@dataclass(frozen=True)
class GatewayFile:
    """What the gateway has saved."""

    positions: dict[int, Decimal]
    cash: Decimal
    orders: int
    order_refs: frozenset[str]
    working: frozenset[str]


def gateway_books(path: Path) -> GatewayFile:
    def typed(body: dict[str, Any]) -> Any:
        return Decimal(body["$decimal"]) if "$decimal" in body else body

    db = sqlite3.connect(path)
    try:
        (account,) = [json.loads(body, object_hook=typed) for (body,) in db.execute("SELECT body FROM accounts")]
        orders = [json.loads(body, object_hook=typed) for (body,) in db.execute("SELECT body FROM orders")]
    finally:
        db.close()
    over = ("Filled", "Cancelled", "Inactive", "ApiCancelled")
    return GatewayFile(
        positions={one["contract"][0]: one["quantity"] for one in account["holdings"] if one["quantity"]},
        cash=account["cash"]["USD"],
        orders=len(orders),
        order_refs=frozenset(order["terms"]["order_ref"] for order in orders),
        working=frozenset(order["terms"]["order_ref"] for order in orders if order["order"]["status"] not in over),
    )
