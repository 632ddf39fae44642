"""What the benchmarks share: percentiles, a market to trade on, the gateway's process, and the printed table."""

from __future__ import annotations

import asyncio
import random
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from runner.model.sessions import sessions

ROOT = Path(__file__).resolve().parents[1]
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
FIRST_DAY, LAST_DAY = date(2012, 1, 3), date(2012, 12, 31)
_LISTENING = re.compile(r"127\.0\.0\.1:(\d+)")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie; the nearest one that was measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def best_of(
    work: Callable[[], object], *, repeats: int, inner: int = 1, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Seconds of one call: the median over `repeats` of the mean over `inner` calls."""
    work()
    taken = []
    for _ in range(repeats):
        began = clock()
        for _ in range(inner):
            work()
        taken.append((clock() - began) / inner)
    return percentile(taken, 0.5)


@dataclass
class Table:
    """One benchmark's lines: what, its absolute figure, and its ratio to the base that was measured in the same run."""

    title: str
    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, what: str, figure: str, ratio: float | None = None, of: str = "", note: str = "") -> None:
        """A line; `of` says what the ratio is a multiple of."""
        self.lines.append((what, figure, note if ratio is None else f"{ratio:,.3g} × {of}"))

    def show(self) -> None:
        print(f"\n{self.title}")
        wide = max(len(what) for what, _, _ in self.lines)
        for what, figure, ratio in self.lines:
            print(f"  {what:<{wide}}  {figure:>16}  {ratio}".rstrip(), flush=True)


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} µs" if seconds >= 1e-5 else f"{seconds * 1e6:,.2f} µs"


def write_market(folder: Path, symbols: int) -> list[str]:
    """Daily bars of made-up stocks, a seeded walk around 50; deep enough that every order fills at once."""
    folder.mkdir(parents=True, exist_ok=True)
    days = [session.day for session in sessions("XNYS").between(FIRST_DAY, LAST_DAY)]
    names = [f"BM{number:02}" for number in range(symbols)]
    for number, name in enumerate(names):
        source = random.Random(number)
        close = 50.0
        rows = ["date,open,high,low,close,volume"]
        for day in days:
            opened, close = close, max(20.0, close * (1 + source.uniform(-0.02, 0.02)))
            high, low = max(opened, close) * 1.01, min(opened, close) * 0.99
            rows.append(f"{day},{opened:.2f},{high:.2f},{low:.2f},{close:.2f},1000000000")
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return names


@contextmanager
def gateway_process(*arguments: str) -> Iterator[int]:
    """`runner gateway` in a process of its own, without IB's limits; gives the port."""
    command = [sys.executable, "-m", "runner", "gateway", "--port", "0", "--no-limits", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                line = process.stdout.readline() if selector.select(READY_TIMEOUT_S) else ""
            found = _LISTENING.search(line)
            if found is None:
                raise SystemExit(f"the gateway did not start: {line.strip() or 'it said nothing'}")
            yield int(found[1])
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


async def loopback_round_trip(times: int) -> float:
    """Median seconds of 100 bytes there and back between two asyncio protocols on loopback: the base of what crosses
    a socket."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.write(data)

    class Asker(Echo):
        answer: asyncio.Future[None]

        def data_received(self, data: bytes) -> None:
            self.answer.set_result(None)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    transport, asker = await loop.create_connection(Asker, *server.sockets[0].getsockname())
    taken = []
    for _ in range(times):
        asker.answer = loop.create_future()
        began = time.perf_counter()
        transport.write(b"x" * 100)
        await asker.answer
        taken.append(time.perf_counter() - began)
    transport.close()
    server.close()
    await server.wait_closed()
    return percentile(taken, 0.5)
