"""One runner and one market for the tests of a module; each test has strategies of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from reload_blocks import with_touchy_block
from reload_support import BOTH, CASH, HELD_ONLY, RESTING, START, Desk, One, write_prices

from runner.gateway.settings import UNLIMITED
from runner.model.annotations import Loosening

MakeDesk = Callable[..., Desk]


@pytest.fixture(scope="session")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prices(tmp_path_factory.mktemp("prices"))


@pytest.fixture(scope="module")
def make_desk(build: Any, prices: Path) -> Iterator[MakeDesk]:
    """`make_desk(files, loosening=…, …)` makes a runner over these files; it has not begun."""
    with ExitStack() as stack:

        def make(files: dict[str, str] | None = None, *, loosening: Loosening = Loosening.AUTO, **options: Any) -> Desk:
            market = {} if "gateway" in options else {
                "data": prices, "start": START, "end": None, "step": "30m", "liquidity": UNLIMITED, "cash": CASH,
            }  # fmt: skip
            asked = {name: options.pop(name) for name in ("catalog", "system") if name in options}
            running = build(files or {}, **(market | options))
            desk = Desk(running, loosening=loosening, **asked)
            stack.callback(desk.close)
            return desk

        yield make


Restart = Callable[..., Desk]


@pytest.fixture(scope="module")
def restart(make_desk: MakeDesk) -> Restart:
    """`restart(desk, meanwhile)` ends the runner, does something to its files and its store, and starts it again on the
    same market."""

    def again(desk: Desk, meanwhile: Callable[[Desk], None] = lambda _: None, **options: Any) -> Desk:
        desk.close()
        desk.manager.close()
        meanwhile(desk)
        found = make_desk(
            state=desk.folder.parent,
            gateway=desk.running.gateway,
            plugins=desk.manager.config.plugins_allow,
            loosening=desk.loosening,
            catalog=desk.catalog,
            system=desk.system,
            **options,
        )
        found.sections = desk.sections
        found.begin()
        return found
        found.sections, found.system = desk.sections, desk.system
        found.begin()
        return found

    return again


@pytest.fixture(scope="module")
def desk(make_desk: MakeDesk) -> Desk:
    """The runner that the tests of a module share."""
    found = make_desk(plugins=("reload_hooks",), catalog=with_touchy_block())
    found.begin()
    return found


Begin = Callable[..., One]


@pytest.fixture
def at_work(desk: Desk, begin: Begin) -> Begin:
    """`at_work(name, section=…)` is a strategy, in its second version, that holds CALM and has an entry in FLAT
    working: at 11:00, an hour after it has decided."""

    def start(name: str, **sections: str) -> One:
        one = begin(name, **({"sizing": HELD_ONLY} | sections))
        desk.run_to("11:00")
        desk.edit(name, execution=RESTING, **({"sizing": BOTH} | sections))
        desk.run_to("11:00")
        assert one.held.keys() == {"CALM"} and one.resting.keys() == {"FLAT"} and one.generation == 2
        return one

    return start


@pytest.fixture
def begin(desk: Desk) -> Iterator[Begin]:
    """`begin(name, section=…)` adds a file and starts its strategy, so that it sees the next session from its open: one
    in which SAW stands at 100 when `even` is true. It is stopped after the test."""
    names: list[str] = []

    def start(name: str, *, even: bool | None = None, **sections: str) -> One:
        names.append(name)
        desk.run_to_close(before_even=even)
        return desk.edit(name, **sections)

    yield start
    for name in names:
        desk.path(name).unlink(missing_ok=True)
        desk.settle(name)
        desk.service.approve_deletions()
        desk.settle(name)
        if any(one.name == name for one in desk.manager.runtimes):
            desk.manager.stop_strategy(name)
            desk.manager.forget(name)
