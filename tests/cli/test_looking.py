"""`status`, `positions`, `orders`, `fills` and `events` of a running runner, as text and as JSON."""

from __future__ import annotations

import json

import pytest

RELOAD = {
    "strategy": "TREND",
    "generations": {"file": 4, "store": 3, "running": 3},
    "state": "held",
    "text": "loosens params.max_weight 0.3 → 0.5: runner approve TREND@4",
    "overrides": [],
    "conditions": [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "last_transition": "2026-03-01T14:30:05.123+00:00",
            "observed_generation": 4,
        }
        for kind, status, reason, message in (
            ("Ready", "True", "Ready", "it may open positions"),
            ("Held", "True", "Loosening", "loosens params.max_weight 0.3 → 0.5"),
        )
    ],
}
STATUS = {
    "mode": "paper",
    "account": "DU1234567",
    "connected": True,
    "gateway": "127.0.0.1:4002",
    "base_currency": "USD",
    "equity": "1004231.50",
    "time": "2013-03-01T21:00:00+00:00",
    "watching": False,
    "strategies": [
        {
            "name": "TREND",
            "kind": "yaml",
            "file": "trend.yaml",
            "phase": "Running",
            "reason": "",
            "generation": 3,
            "reload": RELOAD,
            "client_id": 1001,
            "positions": 2,
            "day_pnl": "-12.00",
            "net_pnl": "4231.50",
            "orders_today": 1,
            "exposure": 0.1534,
            "target_weight": 0.3,
        },
        {
            "name": "BREAKOUT",
            "kind": "yaml",
            "file": "breakout.yaml",
            "phase": "Failed",
            "reason": "in signal donchian_breakout: division by zero",
            "generation": 1,
            "client_id": 2,
            "positions": 0,
            "day_pnl": None,
            "net_pnl": "0.00",
            "orders_today": 0,
            "exposure": 0.0,
            "target_weight": 0.2,
        },
    ],
}
POSITIONS = {
    "positions": [
        {
            "strategy": "TREND",
            "symbol": "AAPL",
            "con_id": 265598,
            "currency": "USD",
            "quantity": "-120",
            "average_price": "431.2500",
            "market_price": "430.47",
            "market_value": "-51656.40",
            "unrealized": "93.60",
            "realized": "-10.00",
        }
    ],
    "unassigned": [{"symbol": "IBM", "con_id": 8314, "quantity": "5"}],
}
ORDERS = {
    "orders": [
        {
            "order_ref": "TREND-17",
            "generation": 3,
            "strategy": "TREND",
            "symbol": "AAPL",
            "side": "SELL",
            "quantity": "120",
            "type": "LMT",
            "limit_price": "431.30",
            "state": "Cancelled",
            "filled": "20",
            "reason": "stop_loss",
            "created_at": "2013-03-01T14:30:05.000000Z",
            "updated_at": "2013-03-01T21:00:00.000000Z",
            "text": "202 order cancelled",
        }
    ]
}
FILLS = {
    "fills": [
        {
            "at": "2013-03-01T14:30:06.000000Z",
            "strategy": "TREND",
            "symbol": "AAPL",
            "side": "SELL",
            "quantity": "20",
            "price": "431.25",
            "currency": "USD",
            "commission": None,
            "exec_id": "0001.01",
            "order_ref": "TREND-17",
            "generation": 3,
        }
    ]
}

TEXTS = {
    "status": """\
STRATEGY  PHASE    READY    GEN  POS  EXPOSURE  DAY P&L    NET P&L  ORDERS  FILE
TREND     Running  yes    4/3/3    2     15.3%   -12.00  +4,231.50       1  trend.yaml
BREAKOUT  Failed   -          1    0      0.0%        -       0.00       0  breakout.yaml
BREAKOUT: in signal donchian_breakout: division by zero
TREND: generation 4 held: loosens params.max_weight 0.3 → 0.5: runner approve TREND@4
PAPER account DU1234567 · equity 1,004,231.50 USD · 2 strategies, 1 running · IB connected (127.0.0.1:4002) · \
2013-03-01 21:00:00 UTC
""",
    "positions": """\
STRATEGY      SYMBOL  QUANTITY   AVERAGE     PRICE       VALUE  UNREALISED  REALISED  CURRENCY
TREND         AAPL        -120  431.2500  430.4700  -51,656.40      +93.60    -10.00  USD
(unassigned)  IBM            5         -         -           -           -         -
""",
    "orders": """\
CREATED (UTC)        STRATEGY  SIDE  QUANTITY  SYMBOL  TYPE  LIMIT  FILLED  STATE      REASON     GEN  ORDER     IB SAYS
2013-03-01 14:30:05  TREND     SELL       120  AAPL    LMT   431.3      20  Cancelled  stop_loss    3  TREND-17  \
202 order cancelled
""",
    "fills": """\
TIME (UTC)           STRATEGY  SIDE  QUANTITY  SYMBOL   PRICE  CURRENCY  COMMISSION  GEN  ORDER     EXECUTION
2013-03-01 14:30:06  TREND     SELL        20  AAPL    431.25  USD                -    3  TREND-17  0001.01
""",
}
RESULTS = {"status": STATUS, "positions": POSITIONS, "orders": ORDERS, "fills": FILLS}


@pytest.mark.parametrize("verb", RESULTS)
def test_in_a_pipe_a_table_is_plain_aligned_text(say, running, verb):
    running.answers.update(RESULTS)
    said = say(verb)
    assert (said.code, said.err) == (0, "")
    assert said.out == TEXTS[verb]


@pytest.mark.parametrize("verb", RESULTS)
def test_json_is_the_runners_answer_with_a_format_version(say, running, verb):
    running.answers.update(RESULTS)
    assert say(verb, "--json").json == {"format_version": "1.0"} | RESULTS[verb]


@pytest.mark.parametrize("verb", RESULTS)
def test_on_a_terminal_the_same_cells_are_drawn(say, running, verb, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    running.answers.update(RESULTS)
    said = say(verb, "--color", "always")
    assert "─" in said.out
    assert "\x1b[" in said.out
    cells = {cell for line in TEXTS[verb].splitlines()[1:2] for cell in line.split("  ") if cell.strip()}
    assert all(cell.strip() in said.out for cell in cells)


@pytest.mark.parametrize("columns", ["20", "60", "80"])
def test_on_a_narrow_terminal_no_number_and_no_name_is_cut(say, running, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    running.answers.update(RESULTS)
    drawn = say("positions", "--color", "always").out + say("status", "--color", "always").out
    for text in ("-51,656.40", "430.4700", "+4,231.50", "(unassigned)", "BREAKOUT", "Running"):
        assert text in drawn


def test_live_trading_cannot_be_mistaken_for_paper(say, running):
    running.answers["status"] = STATUS | {"mode": "live", "connected": False}
    last = say("status").out.splitlines()[-1]
    assert last.startswith("LIVE account")
    assert "IB NOT CONNECTED" in last


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        (["status"], {}),
        (["status", "TREND"], {"name": "TREND"}),
        (["positions", "TREND"], {"name": "TREND"}),
        (["orders"], {"open": False, "limit": 50}),
        (["orders", "TREND", "--open", "--limit", "3"], {"name": "TREND", "open": True, "limit": 3}),
        (["fills", "--limit", "7"], {"limit": 7}),
    ],
)
def test_what_was_asked_reaches_the_runner(say, running, args, asked):
    running.answers.update(RESULTS)
    assert say(*args).code == 0
    assert running.asked == [(args[0], asked)]


@pytest.mark.parametrize(
    ("verb", "empty"), [("positions", "no positions"), ("orders", "no orders"), ("fills", "no fills")]
)
def test_nothing_is_said_in_words(say, running, verb, empty):
    running.answers[verb] = {verb: [], "unassigned": []}
    assert say(verb).out == f"{empty}\n"


def test_a_refusal_of_the_running_runner_is_not_replaced_by_the_journal(say, running):
    from runner.errors import ConfigError

    running.answers["status"] = ConfigError("there is no strategy called 'X'", hint="runner status")
    said = say("status", "X")
    assert (said.code, said.out) == (78, "")
    assert "there is no strategy called 'X'" in said.err


EVENTS = [{"seq": seq, "type": "notice", "ts": "2013-03-01T21:00:00Z", "strategy": ""} for seq in (1, 2, 3)]


def test_events_are_json_lines_with_their_numbers(say, running):
    running.answers["events"] = {"events": EVENTS}
    assert [json.loads(line) for line in say("events").out.splitlines()] == EVENTS


def test_many_events_are_asked_for_in_pages(say, running, monkeypatch):
    monkeypatch.setattr("runner.cli.events.PAGE", 3)
    running.answers["events"] = {"events": EVENTS}
    assert len(say("events", "--limit", "7").out.splitlines()) == 7
    assert [args["since"] for _, args in running.asked] == [0, 3, 3]


@pytest.mark.parametrize(("since", "first"), [([], 1), (["--since", "0"], 1), (["--since", "2"], 3)])
def test_a_follower_gets_every_event_after_the_number_it_names(say, running, since, first):
    running.events += EVENTS
    said = say("events", "--follow", *since, "--limit", str(4 - first))
    assert said.code == 0
    assert [json.loads(line)["seq"] for line in said.out.splitlines()] == list(range(first, 4))
    assert running.asked[0][1].get("since") == (int(since[1]) if since else None)


def test_a_follower_learns_that_the_runner_stopped(say, running):
    running.events += EVENTS
    said = say("events", "--follow")
    assert (said.code, len(said.out.splitlines())) == (4, 3)
    assert "the runner stopped" in said.err


def test_status_names_locked_instruments_and_history_under_way(say, running):
    status = {**STATUS, "locked": ["IBM: the books say 5, IB holds 7"], "warming": "AAPL: 120 of 260"}
    running.answers["status"] = status
    out = say("status").out
    assert "locked: IBM: the books say 5, IB holds 7" in out
    assert "fetching history of AAPL: 120 of 260" in out


def test_status_of_one_strategy_has_its_conditions_with_reasons(say, running):
    running.answers["status"] = {**STATUS, "strategies": STATUS["strategies"][:1]}
    out = say("status", "TREND").out
    assert running.asked == [("status", {"name": "TREND"})]
    assert (
        """
CONDITION  STATUS  REASON     SINCE (UTC)          GEN  MESSAGE
Ready      True    Ready      2026-03-01 14:30:05    4  it may open positions
Held       True    Loosening  2026-03-01 14:30:05    4  loosens params.max_weight 0.3 → 0.5
"""
        in out
    )
