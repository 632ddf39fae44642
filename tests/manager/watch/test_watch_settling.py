"""A file that is still being written is never taken, whoever writes it and however: with the real times, real files,
and a real strategy of which many a beginning is a valid file without its caps.

RUNNER_SAVES says how often each writer saves; `make watch-test` says more than the tests do by themselves.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.manager.watch.events import FileEvent, Settled
from runner.manager.watch.machine import FileMachine, Settling
from runner.manager.watch.scan import read_file
from runner.manager.watch.watcher import Watcher, WatchMode
from runner.model.clock import SystemClock
from runner.spec.load import Node, parse_bytes

SAVES = int(os.environ.get("RUNNER_SAVES", "2"))
WAIT_S = 30.0
STRATEGY = (Path(__file__).resolve().parents[3] / "strategies.d/trend.yaml").read_text()

Writer = Callable[[Path, str], None]


def by_rename(path: Path, text: str) -> None:
    path.with_suffix(".tmp").write_text(text)
    os.replace(path.with_suffix(".tmp"), path)


def in_one_go(path: Path, text: str) -> None:
    path.write_text(text)


def line_by_line(path: Path, text: str) -> None:
    with path.open("w", buffering=1) as stream:
        for line in text.splitlines(keepends=True):
            stream.write(line)
            time.sleep(0.002)


def in_two_parts(pause_s: float) -> Writer:
    """Closes the file in the middle, and opens it again to append the rest."""

    def write(path: Path, text: str) -> None:
        end = text.index("params:")  # what comes before is a valid strategy without any cap
        path.write_text(text[:end])
        time.sleep(pause_s)
        with path.open("a") as stream:
            stream.write(text[end:])

    return write


WRITERS: dict[str, Writer] = {
    "by a rename": by_rename,
    "in one go": in_one_go,
    "line by line": line_by_line,
    "in two parts, 40 ms apart": in_two_parts(0.040),
    "in two parts, 400 ms apart": in_two_parts(0.400),
    "in two parts, 1.2 s apart": in_two_parts(1.200),
}


def version(number: int) -> str:
    return re.sub("target_weight: [0-9.]+", f"target_weight: 0.2{number:02}", STRATEGY)


def keys(content: bytes) -> set[str]:
    """Every key of a file by its path; none when it cannot be read."""
    root = parse_bytes(content, file="a.yaml").root
    found: set[str] = set()
    stack = [("", root)] if root is not None else []
    while stack:
        path, node = stack.pop()
        if isinstance(node, Node) and node.is_mapping:
            found |= {f"{path}.{key}" for key in node.value}
            stack += [(f"{path}.{key}", entry.node) for key, entry in node.value.items()]
    return found


@dataclass
class Saves:
    """What became of the saves of one writer."""

    settled: list[str]
    expected: list[str]
    braked: int
    """Contents that were found risky."""


def save(writer: Writer, folder: Path, mode: WatchMode) -> Saves:
    """Lets a writer save its versions, each after the last one has settled."""
    path = folder / "a.yaml"
    settled: list[str] = []
    more = threading.Condition()
    risky: list[bool] = []

    def is_risky(path: Path, content: bytes) -> bool:
        """Loses keys against what was settled last."""
        risky.append(bool(settled) and bool(keys(settled[-1].encode()) - keys(content)))
        return risky[-1]

    def take(events: Sequence[FileEvent]) -> None:
        with more:
            settled.extend(event.content.decode() for event in events if isinstance(event, Settled))
            more.notify_all()

    machine = FileMachine(Settling(), read=read_file, is_risky=is_risky, identity=lambda content: None)
    watcher = Watcher(folder, machine, take, clock=SystemClock(), mode=mode)
    by_rename(path, version(0))
    watcher.start()
    expected = [version(0)]
    try:
        for number in range(1, SAVES + 1):
            with more:
                assert more.wait_for(lambda: expected[-1] in settled, WAIT_S)
            expected.append(version(number))
            writer(path, expected[-1])
        with more:
            assert more.wait_for(lambda: expected[-1] in settled, WAIT_S)
    finally:
        watcher.stop()
    return Saves(settled, expected, sum(risky))


@pytest.fixture(scope="module", params=[WatchMode.INOTIFY, WatchMode.POLL])
def saves(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Saves]:
    """Of every writer, all at the same time, each in a folder of its own."""
    with ThreadPoolExecutor(len(WRITERS)) as pool:
        folders = [tmp_path_factory.mktemp("strategies") for _ in WRITERS]
        modes = [request.param] * len(WRITERS)
        return dict(zip(WRITERS, pool.map(save, WRITERS.values(), folders, modes), strict=True))


def test_the_half_that_is_closed_first_is_a_valid_strategy_without_its_caps() -> None:
    from runner.spec.folder import load_text

    half = STRATEGY[: STRATEGY.index("params:")].replace("extends: _us_equities.yaml\n", "")
    loaded = load_text(half, path=Path("a.yaml"))
    assert loaded.spec is not None
    assert keys(STRATEGY.encode()) > keys(half.encode())


@pytest.mark.parametrize("writer", WRITERS)
def test_only_whole_versions_settle_and_all_of_them(saves: dict[str, Saves], writer: str) -> None:
    done = saves[writer]
    assert done.settled == done.expected
    assert len(done.settled) == SAVES + 1


@pytest.mark.parametrize("saves", [WatchMode.INOTIFY], indirect=True)
def test_without_the_brake_a_pause_would_have_been_taken_for_the_end(saves: dict[str, Saves]) -> None:
    assert sum(saves[f"in two parts, {pause} apart"].braked for pause in ("400 ms", "1.2 s")) >= 1
