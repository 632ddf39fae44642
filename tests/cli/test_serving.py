"""`runner gateway` and `runner run` hand over exactly what was said, and return what they are told."""

from __future__ import annotations

import socket
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from runner.errors import ExitCode, StoreLocked
from runner.gateway.settings import GatewaySettings


@pytest.fixture
def served(monkeypatch):
    """The settings that the gateway was started with."""
    seen: list[GatewaySettings] = []

    def run_gateway(settings: GatewaySettings, *, as_json: bool = False) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr("runner.gateway.server.run_gateway", run_gateway)
    return seen


def test_the_gateway_listens_where_ib_gateway_does_unless_told_otherwise(say, served):
    assert say("gateway").code == 0
    assert served == [GatewaySettings(port=4002)]


def test_every_option_of_the_gateway_reaches_it(say, served, project):
    (project / "prices").mkdir()
    said = say(
        *("gateway", "--port", "0", "--data", "prices", "--speed", "max", "--step", "day"),
        *("--start", "2008-01-02", "--end", "2008-12-31", "--account", "DU1", "--account", "DU2"),
        *("--cash", "USD=1000.50", "--cash", "EUR=2000", "--base-currency", "EUR", "--seed", "7"),
        *("--no-limits", "--record", "frames", "--state", "gateway.db"),
    )
    assert (said.code, said.err) == (0, "")
    assert served == [
        GatewaySettings(
            port=0,
            data=Path("prices"),
            speed="max",
            step="day",
            start=date(2008, 1, 2),
            end=date(2008, 12, 31),
            accounts=("DU1", "DU2"),
            cash={"USD": Decimal("1000.50"), "EUR": Decimal(2000)},
            base_currency="EUR",
            seed=7,
            enforce_limits=False,
            record=Path("frames"),
            state_file=Path("gateway.db"),
        )
    ]


def test_every_setting_of_the_gateway_has_an_option_or_a_reason():
    from dataclasses import fields

    from runner.cli.gateway import gateway

    names = {"accounts": "account", "enforce_limits": "no_limits", "state_file": "state"}
    options = {option.lstrip("-").replace("-", "_") for param in gateway.params for option in param.opts}
    missing = {item.name for item in fields(GatewaySettings) if names.get(item.name, item.name) not in options}
    # What these change is how a market behaves in a test, not how a person tries a client.
    assert missing == {"master_client_id", "calendar", "liquidity", "margin_check", "warn_when_closed"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--account", "U1234567"], "not a paper account's name"),
        (["--step", "7s"], "gateway step is '7s'"),
        (["--start", "2010-01-02", "--end", "2009-01-02"], "is before its start"),
        (["--cash", "usd=1"], "'usd' is not a currency"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_hint(say, served, args, words):
    said = say("gateway", *args)
    assert (said.code, served) == (ExitCode.CONFIG, [])
    assert words in said.err
    assert "hint:" in said.err


def test_a_port_that_is_taken_is_named(say):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = say("gateway", "--port", str(port))
    assert (said.code, said.out) == (4, "")
    assert f"cannot listen on 127.0.0.1:{port}: the port is in use" in said.err


@pytest.fixture
def daemon(monkeypatch):
    """Replaces the daemon; `daemon.outcome` is what it returns or raises."""

    class Daemon:
        outcome: int | Exception = 0
        asked: tuple = ()

        def run(self, config, *, only=None, once=False, watch=True, ready=None):
            self.asked = (config.state_dir.name, only, once, watch)
            ready()
            if isinstance(self.outcome, Exception):
                raise self.outcome
            return self.outcome

    fake = Daemon()
    monkeypatch.setattr("runner.manager.app.run_daemon", fake.run)
    return fake


def test_run_hands_over_what_was_said_and_tells_when_it_is_ready(say, daemon):
    said = say("run", "--only", "TREND", "--once", "--state-dir", "here")
    assert (said.code, said.out, daemon.asked) == (0, "", ("here", "TREND", True, True))
    assert said.err == "ready: look with `runner status`, stop with Ctrl-C\n"


def test_run_can_leave_files_alone(say, daemon):
    assert say("run", "--no-watch").code == 0
    assert daemon.asked == (".runner", None, False, False)


def test_run_with_json_tells_a_program_when_it_is_ready(say, daemon):
    assert say("run", "--json").json == {"format_version": "1.0", "ready": True}


@pytest.mark.parametrize(
    ("outcome", "code"), [(ExitCode.PROBLEMS, 1), (StoreLocked("in use by process 7", pid=7, hint="stop it"), 4)]
)
def test_run_ends_with_what_the_daemon_came_to(say, daemon, outcome, code):
    daemon.outcome = outcome
    assert say("run").code == code


def test_a_configuration_that_cannot_work_ends_run_with_78(say, project):
    (project / "runner.yaml").write_text("ib: {mode: live}\n")
    said = say("run")
    assert said.code == 78
    assert "runner.yaml:1:" in said.err


@pytest.mark.parametrize(("option", "words"), [("--state", "cannot keep its state in"), ("--record", "cannot record")])
def test_a_place_that_the_gateway_cannot_write_to_is_said(say, project, option, words):
    (project / "taken").write_text("")
    said = say("gateway", "--port", "0", option, "taken/below/x")
    assert (said.code, said.out) == (78, "")
    assert words in said.err and "taken/below/x" in said.err
