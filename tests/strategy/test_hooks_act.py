"""A strategy's own code between the steps of the declared one, and what happens when it misbehaves."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import strategy_hooks
from strategy_support import Seen, files, spec, write_prices

from runner.gateway.settings import UNLIMITED
from runner.model.events import Filled, StatusChanged
from runner.strategy import hooks

START, END = date(2012, 1, 3), date(2012, 1, 6)


def hooked(name: str, **points: str) -> str:
    said = ", ".join(f"{point}: strategy_hooks:{function}" for point, function in points.items())
    return spec(name, "FLAT", hooks=f"{{{said}}}", hook_params="{by: 2}")


STRATEGIES = files(
    hooked("HALVE", before_orders="halve"),
    hooked("DOUBLE", before_orders="double"),
    hooked("DROP", before_orders="drop"),
    hooked("SAME", before_orders="nothing"),
    hooked("WATCH", on_fill="remember", on_status_change="remember"),
    hooked("RAISE", before_orders="raises"),
    hooked("BLOCK", before_orders="blocks"),
    hooked("RAISE2", on_fill="raises"),
    hooked("BLOCK2", on_status_change="blocks"),
    spec("PLAIN", "FLAT"),
)


@pytest.fixture(scope="module")
def system(build: Any, tmp_path_factory: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hooks, "HOOK_DEADLINE_S", 0.5)
        data = write_prices(tmp_path_factory.mktemp("prices"), START, {"FLAT": [50.0] * 10})
        running = build(
            STRATEGIES, data=data, start=START, end=END, liquidity=UNLIMITED, plugins=("strategy_hooks",),
            cash={"USD": Decimal(10_000_000)},
        )  # fmt: skip
        running.start()
        running.run_to(END)
        yield running
    strategy_hooks.NEVER.set()


@pytest.fixture
def seen(system: Any) -> Any:
    return lambda name: Seen(system, name)


def test_before_orders_may_shrink(seen: Any) -> None:
    assert seen("HALVE").orders[0].request.quantity == 10_000  # half of 20,000
    context = strategy_hooks.CONTEXTS[0]
    assert (context.strategy, context.positions, context.prices) == ("HALVE", {"FLAT": 0}, {"FLAT": 50})
    assert context.equity == 1_000_000 and context.params["target_weight"] == 0.1


def test_before_orders_may_not_enlarge(seen: Any) -> None:
    assert seen("DOUBLE").held == {"FLAT": 20_000}


def test_a_symbol_that_before_orders_leaves_out_is_not_traded(seen: Any) -> None:
    assert seen("DROP").orders == [] and seen("DROP").phase == "Running"


def test_before_orders_that_returns_nothing_changes_nothing(seen: Any) -> None:
    assert seen("SAME").held == {"FLAT": 20_000}


def test_observing_hooks_are_told_every_fact_in_its_order(seen: Any) -> None:
    told = strategy_hooks.TOLD["WATCH"]
    events = [
        e for e in seen("WATCH").running.events if isinstance(e, Filled | StatusChanged) and e.strategy == "WATCH"
    ]
    assert told == events and len(told) >= 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RAISE", "hook before_orders of RAISE raised LookupError: not today"),
        ("BLOCK", "hook before_orders of BLOCK took longer than"),
        ("RAISE2", "hook on_fill of RAISE2 raised LookupError: not today"),
        ("BLOCK2", "hook on_status_change of BLOCK2 took longer than"),
    ],
)
def test_a_hook_that_raises_or_blocks_stops_its_own_strategy(seen: Any, name: str, words: str) -> None:
    one = seen(name)
    assert one.phase == "Failed" and words in one.running.reason(name)


def test_the_others_trade_on(seen: Any) -> None:
    assert seen("PLAIN").held == {"FLAT": 20_000} and seen("PLAIN").phase == "Running"


def test_a_fill_before_a_failing_hook_is_in_the_books(seen: Any) -> None:
    assert seen("RAISE2").held == {"FLAT": 20_000}
