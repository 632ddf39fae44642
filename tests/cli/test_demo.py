"""`runner demo` shows progress, then a report a trader can read, and its exit code says whether the books agree."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from types import ModuleType

import pytest

from runner.manager.results import (
    DemoOptions,
    DemoProgress,
    DemoResult,
    PositionRow,
    ReconciliationLine,
    StrategyReport,
)

TREND = StrategyReport(
    name="TREND",
    kind="yaml",
    file="trend.yaml",
    phase="Running",
    orders=120,
    fills=131,
    refused=2,
    realized=Decimal("1500.25"),
    unrealized=Decimal("-200.5"),
    commissions=Decimal("131.00"),
    net=Decimal("1168.75"),
    average_exposure=0.1234,
    max_exposure=0.3,
    positions=(
        PositionRow(
            symbol="AAPL",
            quantity=Decimal(100),
            average_price=Decimal("430.5"),
            market_price=Decimal("430.47"),
            market_value=Decimal("43047"),
            unrealized=Decimal("-3"),
        ),
    ),
)
MINE = replace(
    TREND, name="MINE", kind="python", orders=1, fills=1, refused=0, realized=Decimal(0), net=Decimal("-331.5"),
    positions=(),
)  # fmt: skip
RESULT = DemoResult(
    account="DU1234567",
    base_currency="USD",
    first_session=date(2011, 3, 1),
    last_session=date(2013, 3, 1),
    sessions=503,
    start_equity=Decimal("1000000"),
    end_equity=Decimal("1000837.25"),
    strategies=(TREND, MINE),
    reconciliation=(
        ReconciliationLine(what="position AAPL", ours=Decimal(100), theirs=Decimal(100)),
        ReconciliationLine(what="cash USD", ours=Decimal("957790.25"), theirs=Decimal("957790.25")),
    ),
    events=1234,
    elapsed_s=12.34,
    state_dir=".runner/demo",
)
PROGRESS = [
    DemoProgress(phase="start", text="gateway on 127.0.0.1:40001"),
    DemoProgress(phase="warm-up", done=1, total=4),
    *(
        DemoProgress(
            phase="trade",
            done=done,
            total=500,
            market_time=datetime(2012, 3, 1, 21, tzinfo=UTC),
            orders=done // 10,
            fills=done // 10,
            equity=Decimal(1_000_000 + done),
        )
        for done in range(1, 501)
    ),
    DemoProgress(phase="close"),
]
REPORT = """\
Traded 503 sessions, 2011-03-01 to 2013-03-01, in 12.3 s on paper account DU1234567.

Strategies
STRATEGY  KIND    ORDERS  FILLS  REFUSED  EXPOSURE AVG    MAX
TREND     yaml       120    131        2         12.3%  30.0%
MINE      python       1      1        0         12.3%  30.0%

Profit and loss in USD
STRATEGY   REALISED  UNREALISED  COMMISSIONS        NET
TREND     +1,500.25     -200.50       131.00  +1,168.75
MINE           0.00     -200.50       131.00    -331.50
total     +1,500.25     -401.00       262.00    +837.25

Final positions
STRATEGY  SYMBOL  QUANTITY   AVERAGE     PRICE      VALUE  UNREALISED
TREND     AAPL         100  430.5000  430.4700  43,047.00       -3.00

Account
Equity went from 1,000,000.00 to 1,000,837.25 USD: +837.25 USD (+0.08%).

Reconciliation
   WHAT           RUNNER'S BOOKS  GATEWAY'S BOOKS
✓  position AAPL             100              100
✓  cash USD           957,790.25       957,790.25
All 2 numbers agree to the cent.

Where to look next
  runner --state-dir .runner/demo fills      every execution with its commission
  runner --state-dir .runner/demo orders     every order and why it was placed
  runner --state-dir .runner/demo positions  who holds what
  runner --state-dir .runner/demo events     all 1,234 events as JSON lines
  runner validate                            check strategies.d after a change of yours, then run the demo again
  runner run                                 the same strategies on a market in real time
"""


@pytest.fixture
def replay(monkeypatch):
    """Replaces the replay itself; returns the options it was called with."""
    called: list[DemoOptions] = []

    def arrange(result: DemoResult = RESULT) -> list[DemoOptions]:
        def run_demo(options, progress):
            called.append(options)
            for step in PROGRESS:
                progress(step)
            return result

        module = ModuleType("runner.manager.demo")
        module.run_demo = run_demo
        monkeypatch.setitem(sys.modules, "runner.manager.demo", module)
        return called

    return arrange


def test_the_report_reads_from_strategies_to_the_books(say, replay):
    replay()
    said = say("demo")
    assert said.code == 0
    assert said.out == REPORT


def test_without_a_terminal_progress_is_a_line_now_and_then_on_stderr(say, replay):
    replay()
    lines = say("demo").err.splitlines()
    assert lines[:3] == [
        "starting: gateway on 127.0.0.1:40001",
        "warming up 1/4",
        "trading 1/500: 2012-03-01, 0 orders, 0 fills, equity 1,000,001",
    ]
    assert lines[-2:] == [
        "trading 500/500: 2012-03-01, 50 orders, 50 fills, equity 1,000,500",
        "closing the books",
    ]
    assert len(lines) == 24


def test_quiet_shows_no_progress(say, replay):
    replay()
    assert say("demo", "-q").err == ""


def test_on_a_terminal_progress_is_a_bar(say, replay, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    replay()
    said = say("demo", "--color", "always")
    assert "━" in said.err
    assert "closing the books" in said.err
    assert "─" in said.out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"reconciliation": (ReconciliationLine(what="cash USD", ours=Decimal("1.005"), theirs=Decimal("1.00")),)},
            ["✗  cash USD           1.005                1", "The books differ in 1 of 1 numbers."],
        ),
        ({"problems": ("MINE raised ValueError",)}, ["All 2 numbers agree to the cent.", "MINE raised ValueError"]),
        ({"reconciliation": ()}, ["The books were not compared."]),
    ],
)
def test_anything_wrong_makes_the_exit_code_1(say, replay, change, words):
    replay(replace(RESULT, **change))
    said = say("demo")
    assert said.code == 1
    assert all(text in said.out for text in words)


def test_json_is_the_whole_result(say, replay):
    replay()
    found = say("demo", "--json").json
    assert (found["reconciled"], found["sessions"], found["last_session"]) == (True, 503, "2013-03-01")
    assert found["strategies"][0]["net"] == "1168.75"
    assert found["reconciliation"][0] == {"what": "position AAPL", "ours": "100", "theirs": "100", "agrees": True}


def test_options_reach_the_replay(say, replay, project):
    called = replay()
    say("demo", "--years", "0.5", "--start", "2008-01-02", "--state-dir", "here")
    assert called == [
        DemoOptions(
            strategies_dir=project / "strategies.d",
            state_dir=project / "here",
            years=0.5,
            start=date(2008, 1, 2),
        )
    ]


def test_the_state_directory_is_shown_as_it_has_to_be_typed(say, replay, project):
    replay(replace(RESULT, state_dir=str(project / "my state")))
    assert "runner --state-dir 'my state' fills" in say("demo").out
