"""A folder of strategy files against the gateway and the store that would run it: what is wrong, and where it is
written; and that looking changes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runner.broker.ib_connection import IBSettings, connect_to_ib, disconnect
from runner.errors import ConfigError, ExitCode, NotConnected, StoreCorrupt, StoreError
from runner.gateway import dispatch, requests_other
from runner.gateway.dispatch import Request
from runner.gateway.model import RequestRefused
from runner.manager.environment import Environment, check_environment
from runner.spec.config import load_config
from runner.spec.deployment import Deployment
from runner.spec.folder import load_folder
from runner.spec.render import render_concise, render_text
from runner.store.arctic_manager import get_ac
from runner.store.strategies import StrategyRow, StrategyTable

REPOSITORY = Path(__file__).resolve().parents[2]
BASE = """\
bars: {size: 1 day, history: 120}
signals: {cross: {use: sma_cross, with: {fast: 20, slow: 100}}}
sizing: {use: equal_weight}
params: {target_weight: 0.05}
schedule: {calendar: XNYS}
"""
MARKET: dict[str, Any] = {"speed": "max", "step": "day", "start": date(2012, 9, 3), "end": date(2012, 12, 31)}
EMBEDDED = "gateway: {speed: max, step: day, start: 2012-09-03, end: 2012-12-31}\n"
NOT_PERMITTED = "Historical Market Data Service error message:No market data permissions for ISLAND STK"
NO_DATA = "Historical Market Data Service error message:HMDS query returned no data: {}@SMART Trades"
READ_ONLY = "Error validating request.-'b7' : cause - The API interface is currently in Read-Only mode."
NOT_TOLD = (
    "market data lines that the account has and uses: the gateway does not tell",
    "permission to trade each instrument: only an order would tell",
)


def spec(name: str, universe: str, **more: str) -> str:
    """A strategy that extends the base; `more` are further sections, which replace those of the base."""
    lines = [f"spec: 1\nname: {name}\nextends: _base.yaml\nuniverse: {universe}"]
    return "\n".join([*lines, *(f"{key}: {value}" for key, value in more.items())]) + "\n"


class Project:
    """A folder to validate: strategies.d, runner.yaml and a store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "strategies.d").mkdir()
        self.write(_base=BASE)

    def write(self, **files: str) -> None:
        for stem, text in files.items():
            (self.root / "strategies.d" / f"{stem}.yaml").write_text(text)

    def configure(self, text: str) -> None:
        (self.root / "runner.yaml").write_text(text)

    def library(self, name: str, *symbols: str) -> None:
        with get_ac(self.store_uri) as store:
            library = store.library(name)
            for symbol in symbols:
                library.write(symbol, pd.DataFrame({"close": [1.0]}))

    @property
    def store_uri(self) -> str:
        return f"lmdb://{self.root / '.runner' / 'arctic'}"

    def look(self, env: dict[str, str] | None = None, **options: Any) -> Environment:
        config = load_config(None, Path.cwd(), env=env or {})
        self.folder = load_folder(Path("strategies.d"), deployment=Deployment.of(config))
        assert not [problem for problem in self.folder.problems if problem.is_error], self.folder.problems
        return check_environment(config, self.folder, **options)

    def said(self, env: dict[str, str] | None = None, **options: Any) -> list[str]:
        """Every problem as one line."""
        return render_concise(self.look(env, **options).problems).splitlines()

    def contents(self) -> dict[str, str]:
        """File → digest, for everything below the project but the tables of readers that LMDB keeps."""
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path.name != "lock.mdb"
        }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture(scope="module")
def gateway(serve: Any) -> Any:
    """A gateway of somebody else's, as TWS would be: it paces, and nobody follows its market."""
    return serve(**MARKET)


def nobody_left(gateway: Any) -> bool:
    """Whether every session ends, once the gateway has read what was sent to it."""

    async def read_all() -> bool:
        for _ in range(100_000):
            if not gateway.server.by_client_id:
                return True
            await asyncio.sleep(0)
        return False

    return bool(gateway.call(read_all()))


@pytest.fixture
def live(project: Project, gateway: Any) -> Project:
    """A project whose gateway is the one above."""
    project.configure(f"ib: {{port: {gateway.port}}}\n")
    return project


# ------------------------------------------------------------------------------------------- what is wrong, and where

WRONG: dict[str, tuple[dict[str, str], list[str]]] = {
    "unknown symbol in a text": (
        {"a": spec("A", "AAPL, NOSUCH, IBM")},
        [
            "strategies.d/a.yaml:4:17: error[E610] IB knows no contract NOSUCH (STK on SMART in USD): "
            "No security definition has been found for the request"
        ],
    ),
    "unknown symbol in two files, asked for once": (
        {"a": spec("A", "[NOSUCH]"), "b": spec("B", "{symbols: [IBM, {symbol: NOSUCH}]}")},
        [
            "strategies.d/a.yaml:4:12: error[E610] IB knows no contract NOSUCH (STK on SMART in USD): "
            "No security definition has been found for the request",
            "strategies.d/b.yaml:4:36: error[E610] IB knows no contract NOSUCH (STK on SMART in USD): "
            "No security definition has been found for the request",
        ],
    ),
    "right symbol on the wrong exchange": (
        {"a": spec("A", "[{symbol: SIE, currency: EUR, exchange: SBF}]")},
        [
            "strategies.d/a.yaml:4:21: error[E610] IB knows no contract SIE (STK on SBF in EUR): "
            "No security definition has been found for the request"
        ],
    ),
    "expired future": (
        {"a": spec("A", '[{symbol: ES, sec_type: FUT, exchange: CME, expiry: "201203"}]')},
        ['strategies.d/a.yaml:4:63: error[E612] ES 201203 has expired: IB lists it no more'],
    ),
    "future of an unknown month": (
        {"a": spec("A", '[{symbol: ES, sec_type: FUT, exchange: CME, expiry: "201504"}]')},
        [
            "strategies.d/a.yaml:4:21: error[E610] IB knows no contract ES (FUT on CME in USD, expiry 201504): "
            "No security definition has been found for the request"
        ],
    ),
    "index": (
        {"a": spec("A", "[{symbol: SPX, sec_type: IND, exchange: CBOE}]")},
        ["strategies.d/a.yaml:4:21: error[E612] SPX is an index: IB has its prices and takes no orders for it"],
    ),
    "order type that the market does not take": (
        {"a": spec("A", "[{symbol: EUR, sec_type: CASH}]", execution="{order: moc}")},
        [
            "strategies.d/a.yaml:5:20: error[E612] IB takes no MOC orders for EUR, which execution.order moc sends"
        ],
    ),
    "shorter history than asked for": (
        {"a": spec("A", "FB, IBM")},
        [
            "strategies.d/_base.yaml:1:30: warning[E619] bars.history is 120, but IB has fewer 1 day bars: "
            "about 74 of FB since 2012-05-18"
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_where_it_is_written(live: Project, case: str) -> None:
    files, expected = WRONG[case]
    live.write(**files)
    assert live.said() == expected


def test_a_clean_folder_has_no_problems_and_says_what_could_not_be_known(live: Project) -> None:
    live.write(a=spec("A", "AAPL, IBM"), b=spec("B", "[{symbol: EUR, sec_type: CASH}]", schedule="{calendar: 24/5}"))
    environment = live.look()
    assert environment.problems == ()
    assert environment.not_checked == NOT_TOLD


def test_an_unknown_stock_is_shown_where_ib_knows_it_as_the_page_says(live: Project) -> None:
    live.write(europe=spec("EUROPE", "SIE"))
    shown = render_text(live.look().problems, live.folder.sources)
    assert "= hint: it knows {symbol: SIE, currency: EUR, primary: IBIS}" in shown
    assert f"```text\n{shown}```" in (REPOSITORY / "docs" / "cli.md").read_text()


def test_an_instrument_whose_warm_up_is_longer_than_its_history_is_named(live: Project) -> None:
    live.write(a=spec("A", "FB, IBM"))
    environment = live.look()
    text = render_text(environment.problems, {**live.folder.sources, **environment.sources})
    assert "::: strategies.d/a.yaml:4:11" in text
    assert "hint: FB would have no signal before 100 bars are there" in text


def test_an_ambiguous_symbol_lists_the_contracts_and_what_to_write(project: Project, serve: Any) -> None:
    data = project.root / "data"
    data.mkdir()
    for stem in ("ABC_N", "ABC_A", "IBM"):
        (data / f"{stem}.csv").write_text("date,open,high,low,close,volume\n2012-08-31,10,11,9,10,1000\n")
    listed = {
        "ABC_N": {"symbol": "ABC", "primary_exchange": "NYSE"},
        "ABC_A": {"symbol": "ABC", "primary_exchange": "AMEX"},
    }
    (data / "contracts.json").write_text(json.dumps(listed))
    project.configure(f"ib: {{port: {serve(data=data, **MARKET).port}}}\n")
    project.write(a=spec("A", "[ABC]", bars="{size: 1 day, history: 100}"))
    (problem,) = project.look().problems
    assert render_concise([problem]) == (
        "strategies.d/a.yaml:4:12: error[E611] IB knows 2 contracts by ABC (STK on SMART in USD)\n"
    )
    assert set(problem.hint.removeprefix("write ").split(" or ")) == {
        "{symbol: ABC, primary: NYSE}",
        "{symbol: ABC, primary: AMEX}",
    }


# ------------------------------------------------------------------------------------------------------------ history


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (162, NOT_PERMITTED, f"error[E620] the account gets no data of IBM (IB says 162: {NOT_PERMITTED})"),
        (354, "Requested market data is not subscribed.",
         "error[E620] the account gets no data of IBM (IB says 354: Requested market data is not subscribed)"),
        (10089, "Requested market data requires additional subscription for API.",
         "error[E620] the account gets no data of IBM "
         "(IB says 10089: Requested market data requires additional subscription for API)"),
        (162, NO_DATA.format("IBM"), "error[E618] IB has no 1 day bars of IBM"),
        (366, "No historical data query found for ticker id",
         "error[E618] IB has no 1 day bars of IBM (IB says 366: No historical data query found for ticker id)"),
    ],
)  # fmt: skip
def test_bars_that_ib_does_not_give_are_an_error_in_its_own_words(
    live: Project, gateway: Any, monkeypatch: pytest.MonkeyPatch, code: int, text: str, expected: str
) -> None:
    history = gateway.exchange.history

    def refuse_ibm(con_id: int, **how: Any) -> Any:
        if con_id == 8314:
            raise RequestRefused(code, text)
        return history(con_id, **how)

    monkeypatch.setattr(gateway.exchange, "history", refuse_ibm)
    live.write(a=spec("A", "AAPL, IBM"))
    assert live.said() == [f"strategies.d/a.yaml:4:17: {expected}"]


def test_a_history_of_which_ib_does_not_say_the_beginning_is_not_checked(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.broker.history.BEGINNING_TIMEOUT_S", 0.2)
    monkeypatch.setitem(dispatch.REQUESTS, 87, Request(requests_other.nothing, 0))
    live.write(a=spec("A", "AAPL, IBM"))
    environment = live.look()
    assert environment.problems == ()
    assert environment.not_checked == ("beginnings of the data: no answer for AAPL, IBM", *NOT_TOLD)


def test_more_subscriptions_than_ib_keeps_open_are_counted_once_each(project: Project, serve: Any) -> None:
    sizes = [
        "1 min",
        "2 mins",
        "3 mins",
        "5 mins",
        "10 mins",
        "15 mins",
        "20 mins",
        "30 mins",
        "1 hour",
        "2 hours",
        "1 day",
    ]
    project.configure(f"ib: {{port: {serve(enforce_limits=False, **MARKET).port}}}\n")
    for i, size in enumerate(sizes):
        text = spec(f"S{i:02}", "AAPL, GOOG, IBM, MSFT, FB", bars=f"{{size: {size}, history: 100}}")
        project.write(**{f"s{i:02}": text})
    problems = [problem for problem in project.look().problems if problem.code == "E621"]
    assert render_concise(problems) == (
        "strategies.d/s10.yaml:4:11: error[E621] 11 strategies need 55 live subscriptions to bars; "
        "IB keeps 50 open at a time\n"
    )
    project.write(s10=spec("S10", "AAPL", bars="{size: 2 hours, history: 100}"))  # shares the one of s09
    assert not [problem for problem in project.look().problems if problem.code == "E621"]
    project.write(s10=spec("S10", "AAPL, GOOG, IBM", bars="{size: 1 day, history: 100}", enabled="false"))
    assert not [problem for problem in project.look().problems if problem.code == "E621"]


# ------------------------------------------------------------------------------------------------- account and gateway

ACCOUNTS: dict[str, tuple[dict[str, Any], str, dict[str, str], str]] = {
    "not one of the login's": (
        {}, "ib:\n  port: PORT\n  account: DU99\n", {},
        "runner.yaml:3:12: error[E615] account DU99 is not one of this login's: DU1234567",
    ),
    "not one of the login's, from the environment": (
        {}, "ib:\n  port: PORT\n", {"IB_ACCOUNT": "DU99"},
        "runner.yaml:1:1: error[E615] account DU99 is not one of this login's: DU1234567 "
        "(from the environment variable IB_ACCOUNT)",
    ),
    "several and none named": (
        {"accounts": ("DU1", "DU2")}, "ib:\n  port: PORT\n", {},
        "runner.yaml:1:1: error[E616] the login has 2 accounts (DU1, DU2) and none is named",
    ),
    "a paper account in live mode": (
        {}, "ib:\n  port: PORT\n  mode: live\n  live_accounts: [U1]\n", {},
        "runner.yaml:3:9: error[E626] mode is live, but account DU1234567 is a paper account",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCOUNTS)
def test_a_wrong_account_is_a_problem_of_runner_yaml(project: Project, serve: Any, case: str) -> None:
    settings, text, env, expected = ACCOUNTS[case]
    gateway = serve(**MARKET, **settings)
    project.configure(text.replace("PORT", str(gateway.port)))
    project.write(a=spec("A", "NOSUCH"))
    environment = project.look(env)
    assert render_concise(environment.problems).splitlines() == [expected]
    assert environment.sources == {"runner.yaml": (project.root / "runner.yaml").read_text()}
    assert environment.not_checked == (
        "contracts, history, rates and limits of the account: no session without the right account",
    )
    assert nobody_left(gateway)


def test_without_runner_yaml_the_account_is_a_problem_of_the_file_that_should_be_there(project: Project) -> None:
    project.write(a=spec("A", "IBM"))
    (problem,) = project.look({"IB_ACCOUNT": "DU99"}).problems
    assert (problem.file, problem.line, problem.code, problem.path) == ("runner.yaml", 1, "E615", "ib.account")


def test_a_currency_without_a_rate_is_said_where_it_is_written(project: Project, serve: Any) -> None:
    gateway = serve(**MARKET, base_currency="SEK", cash={"SEK": Decimal(1_000_000)})
    project.configure(f"ib: {{port: {gateway.port}}}\n")
    project.write(a=spec("A", "[IBM, {symbol: SIE, currency: EUR}]"))
    assert project.said() == [
        "strategies.d/a.yaml:4:12: error[E617] there is no exchange rate from USD, the currency of IBM, to SEK, "
        "the base currency of the account",
        "strategies.d/a.yaml:4:41: error[E617] there is no exchange rate from EUR, the currency of SIE, to SEK, "
        "the base currency of the account",
    ]


def test_a_rate_may_come_from_the_account_or_from_a_pair(live: Project) -> None:
    live.write(a=spec("A", "[{symbol: SIE, currency: EUR}]", schedule="{calendar: XETR}"))
    assert live.said() == []


def test_a_read_only_gateway_is_told_from_its_answer_to_a_list_of_orders(
    live: Project, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(session: Any, fields: list[str]) -> None:
        raise RequestRefused(321, READ_ONLY)

    for number in (5, 99):
        monkeypatch.setitem(dispatch.REQUESTS, number, Request(refuse, 0))
    live.write(a=spec("A", "IBM"))
    assert live.said() == [
        "runner.yaml:1:12: error[E625] the gateway takes no orders: its API is set to read-only",
    ]


def test_a_gateway_that_is_not_there_is_an_error_of_its_own(project: Project) -> None:
    project.configure("ib: {port: 1}\n")
    project.write(a=spec("A", "IBM"))
    with pytest.raises(NotConnected, match=r"nothing listens on 127\.0\.0\.1:1\b") as caught:
        project.look()
    assert caught.value.exit_code is ExitCode.UNAVAILABLE


def test_an_embedded_gateway_that_cannot_start_is_a_matter_of_the_configuration(project: Project) -> None:
    project.configure("gateway: {data: nothing}\n")
    with pytest.raises(ConfigError, match="gateway data folder"):
        project.look()


# --------------------------------------------------------------------------------------------------------------- time


def test_what_is_left_at_the_time_limit_is_named_and_not_an_error(
    live: Project, gateway: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(dispatch.REQUESTS, 9, Request(requests_other.nothing, 0))
    live.write(a=spec("A", "AAPL, IBM"))
    environment = live.look(time_limit_s=1.0)
    assert environment.problems == ()
    assert environment.not_checked == ("contracts: 2 of 2 were left at the time limit of 1 s", *NOT_TOLD)
    assert nobody_left(gateway)
    assert "never retrieved" not in caplog.text


def test_a_gateway_that_stops_answering_is_not_connected(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr("runner.broker.requests.DETAILS_TIMEOUT_S", 0.2)
    monkeypatch.setattr("runner.manager.environment.session.LIFE_SIGN_S", 0.2)
    monkeypatch.setitem(dispatch.REQUESTS, 9, Request(requests_other.nothing, 0))
    first = dispatch.REQUESTS[49]

    def once(session: Any, fields: list[str]) -> None:
        told.append(session)
        if len(told) == 1:
            first.handle(session, fields)

    monkeypatch.setitem(dispatch.REQUESTS, 49, Request(once, 0))
    live.write(a=spec("A", "AAPL, IBM"))
    with pytest.raises(NotConnected, match="does not say what time it is"):
        live.look()


def test_an_interruption_leaves_nothing_behind(project: Project) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    project.configure(EMBEDDED)
    project.write(a=spec("A", "AAPL, IBM"))
    running, left = children(), scratch()
    with pytest.raises(KeyboardInterrupt):
        project.look(progress=interrupt)
    assert (children(), scratch()) == (running, left)


def test_progress_counts_what_is_asked(live: Project) -> None:
    live.write(a=spec("A", "AAPL, IBM"), b=spec("B", "IBM"))
    heard: list[tuple[str, int, int]] = []
    live.look(progress=lambda *what: heard.append(what))
    assert heard == [
        ("contracts", 1, 2), ("contracts", 2, 2), ("history", 1, 2), ("history", 2, 2),
        ("beginnings of the data", 1, 2), ("beginnings of the data", 2, 2), ("exchange rates", 1, 1),
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- store


def test_a_library_is_the_universe_it_would_be_and_its_symbols_are_checked(live: Project) -> None:
    live.library("us_stocks", "IBM", "AAPL", "NOSUCH", "ZZZZ", "OTHER")
    live.write(a=spec("A", "{library: us_stocks}"), b=spec("B", "{library: us_stocks, max_symbols: 2}"))
    assert live.said() == [
        "strategies.d/a.yaml:4:21: error[E610] IB knows no contract NOSUCH (STK on SMART in USD): No security "
        "definition has been found for the request; the same holds for OTHER and ZZZZ of library us_stocks",
    ]


LIBRARIES: dict[str, tuple[dict[str, str], str, str]] = {
    "misspelt": (
        {"a": spec("A", "{library: us_stock}")},
        'strategies.d/a.yaml:4:21: error[E613] the store has no library "us_stock"', 'did you mean "us_stocks"?',
    ),
    "empty": (
        {"a": spec("A", "{library: nothing}")},
        'strategies.d/a.yaml:4:21: error[E614] library "nothing" lists no symbols',
        "each of its symbols is one of the universe; write some, or name another library",
    ),
    "not what the sizing needs": (
        {"a": spec("A", "{library: us_stocks}", sizing="{use: fixed_weights, with: {weights: {IBM: 0.5, MSFT: 0.5}}}")},
        'strategies.d/a.yaml:5:30: error[E627] sizing does not fit library "us_stocks": '
        "weights has MSFT, which is not in the universe: IBM",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LIBRARIES)
def test_a_library_that_is_no_universe_is_said(live: Project, case: str) -> None:
    live.library("us_stocks", "IBM")
    live.library("nothing")
    files, expected, hint = LIBRARIES[case]
    live.write(**files)
    (problem,) = live.look().problems
    assert render_concise([problem]) == f"{expected}\n"
    assert problem.hint == hint


def test_a_store_that_does_not_exist_is_said_and_not_made(live: Project) -> None:
    live.write(a=spec("A", "{library: us_stocks}"), b=spec("B", "IBM"))
    before = live.contents()
    (line,) = live.said()
    assert line == (
        'strategies.d/a.yaml:4:21: error[E613] there is no library "us_stocks", because there is no store at '
        f"{live.store_uri} yet"
    )
    assert live.contents() == before
    assert not (live.root / ".runner").exists()


def test_a_store_that_is_none_is_refused(live: Project) -> None:
    (live.root / ".runner" / "arctic").mkdir(parents=True)
    (live.root / ".runner" / "arctic" / "notes.txt").write_text("mine")
    live.write(a=spec("A", "IBM"))
    with pytest.raises(StoreCorrupt, match="is not an ArcticDB store"):
        live.look()


def test_a_store_that_does_not_answer_is_given_up(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    answered = threading.Event()
    monkeypatch.setattr("runner.manager.environment.stored.STORE_LIMIT_S", 0.1)
    monkeypatch.setattr("runner.manager.environment.stored.look_at", lambda _uri: answered.wait(10))
    live.write(a=spec("A", "IBM"))
    with pytest.raises(StoreError, match=r"did not answer within 0\.1 s"):
        live.look()
    answered.set()


NAMES: dict[str, tuple[list[StrategyRow], dict[str, str], list[str]]] = {
    "of a hand-written strategy": (
        [StrategyRow(strategy="A", filename="a.py")], {"a": spec("A", "IBM")},
        ["strategies.d/a.yaml:2:7: error[E623] A is the name of a hand-written strategy already (a.py)"],
    ),
    "its own": ([StrategyRow(strategy="A", filename="a.yaml", managed_by="runner")], {"a": spec("A", "IBM")}, []),
    "in another case": (
        [StrategyRow(strategy="Trend", filename="trend.yaml", managed_by="runner")], {"a": spec("TREND", "IBM")},
        ["strategies.d/a.yaml:2:7: warning[E624] strategy name TREND differs only in case from Trend in the store"],
    ),
    "of files in another case": (
        [], {"Trend": spec("A", "IBM"), "trend": spec("B", "IBM")},
        ["strategies.d/trend.yaml:1:1: warning[E624] the name of this file differs only in case from "
         "strategies.d/Trend.yaml"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMES)
def test_names_that_clash_with_what_the_store_knows(live: Project, case: str) -> None:
    rows, files, expected = NAMES[case]
    with get_ac(live.store_uri) as store:
        StrategyTable(store).upsert(rows)
    live.write(**files)
    assert live.said() == expected


def test_strategies_that_share_sessions_are_named(live: Project) -> None:
    with get_ac(live.store_uri) as store:
        StrategyTable(store).upsert(
            [StrategyRow(strategy="GONE", client_id=1), StrategyRow(strategy="HAND", filename="h.py")]
        )
    for i in range(24):
        live.write(**{f"s{i:02}": spec(f"S{i:02}", "IBM")})
    environment = live.look()
    assert render_concise(environment.problems).splitlines() == [
        "strategies.d/s23.yaml:2:7: warning[E622] S23 will share 7 sessions with IB; only the first 24 strategies that "
        "were ever started on this store have one of their own",
        "strategies.d/s23.yaml:2:7: warning[E622] no session with IB is left for HAND, written in Python, which cannot "
        "share one",
    ]
    assert environment.not_checked[0] == "what HAND would trade: only their Python code says"


# ---------------------------------------------------------------------------------------------- looking changes nothing


def children() -> set[int]:
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def scratch() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("runner-validate-*")}


def test_the_embedded_gateway_is_a_temporary_one_and_nothing_of_it_is_left(project: Project) -> None:
    project.configure(EMBEDDED)
    project.write(a=spec("A", "AAPL, NOSUCH"))
    before, running, left = project.contents(), children(), scratch()
    environment = project.look()
    assert [problem.code for problem in environment.problems] == ["E610"]
    assert environment.not_checked == ("IB itself: the embedded paper gateway answered",)
    assert (project.contents(), children(), scratch()) == (before, running, left)


def test_nothing_is_left_of_the_embedded_gateway_when_looking_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise NotConnected("said the test")

    monkeypatch.setattr("runner.manager.environment.look", fail)
    project.configure(EMBEDDED)
    project.write(a=spec("A", "IBM"))
    running, left = children(), scratch()
    with pytest.raises(NotConnected, match="said the test"):
        project.look()
    assert (children(), scratch()) == (running, left)


ASKS = {"71", "61", "64", "7", "49", "62", "63", "5", "9", "20", "87", "90"}
"""Start, positions and their end, executions, time, account summary, open orders, contracts, history and its start."""


def test_it_only_asks_and_leaves_when_it_has_asked(project: Project, serve: Any) -> None:
    record = project.root / "record"
    gateway = serve(record=record, **MARKET)
    project.configure(f"ib: {{port: {gateway.port}}}\n")
    project.write(a=spec("A", "AAPL, FB, NOSUCH, SIE"))
    project.look()
    assert nobody_left(gateway)
    (said,) = record.glob("*.txt")
    client_id = int(said.stem.rpartition("client")[2])
    assert client_id == 1_100_000 + os.getpid()
    asked = {
        line.removeprefix("C> ").partition("|")[0] for line in said.read_text().splitlines() if line.startswith("C> ")
    }
    assert asked <= ASKS
    assert asked >= {"9", "20", "87"}


def test_a_taken_client_id_is_passed_over(live: Project, gateway: Any) -> None:
    async def hold() -> Any:
        return await connect_to_ib(IBSettings(port=gateway.port), 1_100_000 + os.getpid())

    loop = asyncio.new_event_loop()
    ib = loop.run_until_complete(hold())
    try:
        live.write(a=spec("A", "IBM"))
        assert live.said() == []
        assert list(gateway.server.by_client_id) == [1_100_000 + os.getpid()]
    finally:
        loop.run_until_complete(disconnect(ib))
        loop.close()


LOOK = """
import json, sys
from pathlib import Path
from runner.manager.environment import check_environment
from runner.spec.config import load_config
from runner.spec.folder import load_folder
from runner.spec.render import render_concise
from runner.store.arctic_manager import exit_cleanly
environment = check_environment(load_config(None, Path.cwd(), env={}), load_folder(Path("strategies.d")))
print(json.dumps({"problems": render_concise(environment.problems), "not_checked": environment.not_checked}))
exit_cleanly(0)
"""


def look_from_elsewhere(root: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_store_is_byte_for_byte_what_it_was(project: Project) -> None:
    project.configure(EMBEDDED)
    project.library("us_stocks", *(f"S{i:03}" for i in range(600)))
    with get_ac(project.store_uri) as store:
        StrategyTable(store).upsert([StrategyRow(strategy="HAND", filename="hand.py")])
        store.library("us_stocks").delete("S000")
    project.write(a=spec("A", "{library: us_stocks, max_symbols: 1}"))
    before = project.contents()
    said = look_from_elsewhere(project.root)
    assert "S001" in said["problems"] and "S000" not in said["problems"]
    assert said["not_checked"][0] == "what HAND would trade: only their Python code says"
    assert project.contents() == before


def test_beside_a_running_runner_its_store_is_read_and_its_sessions_stay(build: Callable[..., Any]) -> None:
    running = build({"_base.yaml": BASE, "a.yaml": spec("A", "{library: us_stocks}")})
    library = running.manager.store.library("us_stocks")
    library.write("IBM", pd.DataFrame({"close": [1.0]}))
    running.start("A")
    root = running.folder.parent
    (root / "runner.yaml").write_text(f"ib: {{port: {running.gateway.port}}}\n")
    (running.folder / "b.yaml").write_text(spec("B", "{library: us_stock}"))
    sessions = set(running.gateway.server.by_client_id)
    said = look_from_elsewhere(root)
    assert said["problems"] == 'strategies.d/b.yaml:4:21: error[E613] the store has no library "us_stock"\n'
    assert set(running.gateway.server.by_client_id) == sessions
    assert running.phase("A").value == "Running"
    assert running.manager.journal.intents() == []
    running.write_rows(load_folder(running.folder).specs)
