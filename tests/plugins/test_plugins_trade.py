"""Plugged-in blocks and hooks in strategies that trade through the real client: off the loop, and in nobody's way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from plugin_support import ALWAYS_LONG, HEAD, install, live_spec, signal, visible

from runner.manager.app import reloading
from runner.manager.verbs import Verbs
from runner.model.events import Filled, Notice, OrderPlaced
from runner.strategy import foreign

START, END = date(2012, 1, 3), date(2012, 1, 17)
LATER = 'panel.times[-1:].max() >= np.datetime64("2012-01-10")'
"""Until then everything is well, as it was in the trial."""


def turning(what: str) -> str:
    return f"{ALWAYS_LONG}if {LATER}:\n    {what}\nreturn scores"


HERE = "import threading\nTHREADS = set()\n"
NEVER = "import threading\nNEVER = threading.Event()\n"
SIGNALS = {
    "calm": signal("calm", before=HERE, compute=f"THREADS.add(threading.current_thread().name)\n{turning('pass')}"),
    "raises": signal("raises", compute=turning("raise LookupError('not today')")),
    "hangs": signal("hangs", before=NEVER, compute=turning("NEVER.wait(60)")),
    "leaves": signal("leaves", compute=turning("raise SystemExit(1)")),
    "wild": signal("wild", compute=turning("scores = scores * 3")),
    "short": signal("short", compute="return np.zeros((1, 1))"),
}
EXIT = f"""{HEAD}

@dataclass(frozen=True)
class Block:
    name: ClassVar[str] = "in_january"
    example: ClassVar[Mapping[str, Any]] = {{}}

    @property
    def warmup(self):
        return 1

    def compute(self, panel):
        late = panel.times >= np.datetime64("2012-01-10")
        return np.repeat(late[:, None], len(panel.symbols), axis=1), np.zeros(panel.close.shape, dtype=bool)
"""
HOOKS = """
TOLD = []


def half(context, targets):
    return {symbol: (target / 2) // 1 for symbol, target in targets.items()}


def told(fill):
    TOLD.append(fill)


def leave(context, targets):
    raise SystemExit("the end")
"""


STRATEGIES = [
    live_spec("CALM", "acme:calm"),
    live_spec("EXIT", exits="{x: {use: 'acme:in_january'}}", schedule="{calendar: XNYS, on: month_end}"),
    live_spec("EXITBAR", exits="{x: {use: 'acme:in_january'}}"),
    live_spec("RAISES", "acme:raises"),
    live_spec("HANGS", "acme:hangs"),
    live_spec("LEAVES", "acme:leaves"),
    live_spec("WILD", "acme:wild"),
    live_spec("SHORT", "acme:short"),
    live_spec("HOOK", hooks="{before_orders: 'acme:half', on_fill: 'acme.hooks:told'}"),
    live_spec("HOOKEND", hooks="{before_orders: 'acme.hooks:leave'}"),
    live_spec("PLAIN"),
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("site")
    install(
        folder,
        "acme",
        {f"{name}.py": source for name, source in SIGNALS.items()} | {"january.py": EXIT, "hooks.py": HOOKS},
        {
            "runner.signals": {name: f"acme.{name}:Block" for name in SIGNALS},
            "runner.exits": {"in_january": "acme.january:Block"},
            "runner.hooks": {"half": "acme.hooks:half"},
        },
    )
    with visible(folder):
        yield folder


@pytest.fixture(scope="module")
def system(build: Any, packages: Path) -> Iterator[Any]:
    files = {f"s{i}.yaml": text for i, text in enumerate(STRATEGIES)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(foreign, "BLOCK_DEADLINE_S", 1.0)
        running = build(files, start=START, end=END, plugins=("acme",))
        running.start()
        running.run_to(END)
        yield running
    sys.modules["acme.hangs"].NEVER.set()


def held(system: Any, name: str) -> dict[str, float]:
    books = system.manager.portfolio_manager
    return {one.instrument.symbol: float(one.quantity) for one in books.positions(name) if one.quantity}


def events(system: Any, name: str, kind: type) -> list[Any]:
    return [event for event in system.events if isinstance(event, kind) and event.strategy == name]


def test_a_plugged_in_signal_trades_like_a_built_in_one(system: Any) -> None:
    assert system.phase("CALM") == "Running"
    assert held(system, "CALM") == held(system, "PLAIN") != {}


def test_its_code_runs_in_a_worker_and_not_on_the_loop_of_the_broker(system: Any) -> None:
    threads = sys.modules["acme.calm"].THREADS
    assert threads and all(name.startswith("hook-CALM") for name in threads), threads


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RAISES", "RAISES: in signal s (raises): LookupError: not today (acme/raises.py:"),
        ("HANGS", "the plugged-in blocks of HANGS took longer than 1 s"),
        ("LEAVES", "in signal s (leaves): RuntimeError: it raised SystemExit, which would end more than this call"),
        ("WILD", "in signal s (wild): ValueError: returned a score of 3, outside [-1, 1]"),
        ("SHORT", "in signal s (short): ValueError: returned shape (1, 1)"),
        ("HOOKEND", "hook before_orders of HOOKEND raised RuntimeError: it raised SystemExit"),
    ],
)
def test_what_foreign_code_does_stops_its_own_strategy(system: Any, name: str, words: str) -> None:
    assert system.phase(name) == "Failed" and words in system.reason(name), system.reason(name)


def test_the_others_trade_on_to_the_end(system: Any) -> None:
    last = max(event.at for event in system.events if isinstance(event, Filled))
    assert {system.phase(name).value for name in ("CALM", "EXIT", "EXITBAR", "HOOK", "PLAIN")} == {"Running"}
    assert last.date() >= date(2012, 1, 10)
    assert held(system, "HANGS") == held(system, "PLAIN"), "what it held stays"


def test_a_plugged_in_exit_leaves_between_decisions_and_keeps_its_side_blocked(system: Any) -> None:
    reasons = [event.intent.request.reason for event in events(system, "EXITBAR", OrderPlaced)]
    assert reasons == ["enter", "exit_rule"] and held(system, "EXITBAR") == {}
    assert system.manager.runtime("EXITBAR").instance.decided == {"IBM": "blocked"}


def test_hooks_are_found_by_their_entry_points_and_by_their_paths(system: Any) -> None:
    assert held(system, "HOOK")["IBM"] == held(system, "PLAIN")["IBM"] // 2
    assert events(system, "HOOK", Filled) == sys.modules["acme.hooks"].TOLD


def notices(system: Any, name: str) -> list[str]:
    return [event.text for event in events(system, name, Notice) if event.code.startswith("code")]


async def test_the_code_that_runs_is_on_the_record(system: Any) -> None:
    (text,) = notices(system, "CALM")
    assert text.startswith("runs acme:calm 1.0 sha256:")
    assert notices(system, "PLAIN") == []
    with reloading(system.manager) as service:
        status = await Verbs(system.manager, service).status({})
    rows = {row["name"]: row for row in status["strategies"]}
    assert [one["reference"] for one in rows["HOOK"]["code"]] == ["acme:half", "acme.hooks:told"]
    assert rows["CALM"]["code"][0]["sha256"][:12] in text
    assert rows["PLAIN"]["code"] == [] and not rows["CALM"]["code_changed"]
