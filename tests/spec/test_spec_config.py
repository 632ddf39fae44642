"""runner.yaml: defaults, precedence, placeholders, and what it refuses."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from runner.errors import ConfigError, ExitCode
from runner.spec.config import ConfigFileError, RunnerConfig, load_config


def load(root: Path, text: str, **env: str) -> RunnerConfig:
    (root / "runner.yaml").write_text(text, encoding="utf-8")
    return load_config(None, root, env=env)


def problems(root: Path, text: str, **env: str) -> list[tuple[str, int]]:
    with pytest.raises(ConfigFileError) as caught:
        load(root, text, **env)
    assert caught.value.exit_code is ExitCode.CONFIG
    return [(problem.code, problem.line) for problem in caught.value.problems]


def test_without_a_file_everything_is_embedded(tmp_path: Path) -> None:
    config = load_config(None, tmp_path, env={})
    assert config.file is None
    assert config.gateway.embedded and config.ib.port is None and config.ib.mode == "paper"
    assert config.gateway.said() == {}
    assert config.state_dir == tmp_path / ".runner"
    assert config.strategies_dir == tmp_path / "strategies.d"
    assert config.strategies_python == (tmp_path / "strategies.d",)
    assert config.store_uri == f"lmdb://{tmp_path}/.runner/arctic"
    assert config.plugins_allow == ()


def test_every_key_reaches_its_field(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        """
ib: {host: gateway.example, port: 4002, account: DU1234567, client_id_base: 100, timeout_s: 5}
gateway:
  accounts: [DU1111111, DU2222222]
  base_currency: EUR
  cash: {EUR: 250000, USD: "100000.50"}
  data: prices
  start: 2011-01-03
  end: 2012-12-31
  speed: max
  step: day
  seed: 7
  enforce_limits: false
  embedded: false
arctic: {uri: "s3://bucket"}
state_dir: /var/lib/runner
strategies_dir: ../live
strategies_python: [python, /opt/strategies]
plugins: {allow: [acme_blocks]}
""",
    )
    assert (config.ib.host, config.ib.port, config.ib.account) == ("gateway.example", 4002, "DU1234567")
    assert (config.ib.client_id_base, config.ib.timeout_s) == (100, 5.0)
    assert not config.gateway.embedded
    said = config.gateway.said()
    assert said["cash"] == {"EUR": Decimal("250000"), "USD": Decimal("100000.50")}
    assert (said["start"], said["end"], said["speed"]) == (date(2011, 1, 3), date(2012, 12, 31), "max")
    assert said["data"] == tmp_path / "prices" and said["accounts"] == ("DU1111111", "DU2222222")
    assert config.store_uri == "s3://bucket"
    assert config.state_dir == Path("/var/lib/runner") and config.strategies_dir == tmp_path.parent / "live"
    assert config.strategies_python == (tmp_path / "python", Path("/opt/strategies"))
    assert config.plugins_allow == ("acme_blocks",)


@pytest.mark.parametrize(
    ("text", "env", "port", "origin"),
    [
        ("ib: {}", {}, None, None),
        ("ib: {port: 4002}", {}, 4002, "runner.yaml:1"),
        ("ib: {}", {"IBKR_PORT": "1"}, 1, "environment variable IBKR_PORT"),
        ("ib: {}", {"IBKR_PORT": "1", "IB_PORT": "2"}, 2, "environment variable IB_PORT"),
        ("ib: {port: 4002}", {"IB_PORT": "2"}, 4002, "runner.yaml:1"),
        ("ib: {port: 4002}", {"RUNNER_IB_PORT": "3"}, 3, "environment variable RUNNER_IB_PORT"),
        ("ib: {}", {"IB_PORT": ""}, None, None),
    ],
)
def test_the_nearest_source_wins(
    tmp_path: Path, text: str, env: dict[str, str], port: int | None, origin: str | None
) -> None:
    config = load(tmp_path, text, **env)
    assert config.ib.port == port and config.ib.origin.get("port") == origin
    assert config.gateway.embedded == (port is None)


def test_a_port_from_the_environment_must_be_one(tmp_path: Path) -> None:
    for text in ("0", "65536", "abc", "40 02", "-1"):
        with pytest.raises(ConfigError, match="IB_PORT"):
            load_config(None, tmp_path, env={"IB_PORT": text})


def test_placeholders_keep_the_kind_of_what_they_bring(tmp_path: Path) -> None:
    (tmp_path / "account").write_text("DU7654321\n", encoding="utf-8")
    config = load(
        tmp_path,
        'ib: {port: "${env:THE_PORT}", account: "${file:account}", timeout_s: "${env:NO:-2.5}"}\n'
        'arctic: {uri: "${env:STORE}"}\n',
        THE_PORT="4002",
        STORE="lmdb:///x",
    )
    assert (config.ib.port, config.ib.account, config.ib.timeout_s) == (4002, "DU7654321", 2.5)
    assert config.store_uri == "lmdb:///x"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('arctic: {uri: "${env:MISSING}"}', "E603"),
        ('arctic: {uri: "${file:missing}"}', "E603"),
        ('arctic: {uri: "lmdb://${env:HOME}/x"}', "E603"),
        ('arctic: {uri: "${env:}"}', "E603"),
        ('arctic: {uri: "${cmd:ls}"}', "E603"),
        ('ib: {port: "${env:BIG}"}', "Y108"),
        ("ib: {prot: 4002}", "S201"),
        ("ib: {port: 0}", "S204"),
        ("ib: {port: '4002'}", "S203"),
        ("ib: {mode: real}", "S205"),
        ("gateway: {accounts: [U1234567]}", "S207"),
        ("gateway: {cash: {usd: 1}}", "S207"),
        ("gateway: {speed: fast}", "S207"),
        ("gateway: {speed: 0}", "S204"),
        ("ib: {port: 4002}\ngateway: {embedded: true}", "M450"),
        ("gateway: {embedded: false}", "M451"),
        ("ib: {mode: live, live_accounts: [U1234567]}", "M452"),
        ("ib: {mode: live, port: 4001}", "M453"),
        ("ib: {mode: live, port: 4001, account: U7654321, live_accounts: [U1234567]}", "M453"),
        ("gateway: {start: 2011-02-30}", "M454"),
        ("gateway: {start: 2012-01-03, end: 2011-01-03}", "M454"),
        ("ib: [", "Y103"),
        ("ib: {port: 1}\nib: {port: 2}", "Y104"),
        ("- a", "S200"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(tmp_path: Path, text: str, code: str) -> None:
    found = problems(tmp_path, text, BIG="1e999")
    assert code in [found_code for found_code, _ in found]
    assert all(line >= 1 for _, line in found)


def test_all_problems_come_at_once_and_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError) as caught:
        load(tmp_path, "ib: {prot: 1}\nstate_dri: x\nplugins: {allow: acme}\n")
    assert [p.line for p in caught.value.problems] == [1, 2, 3]
    assert " --> runner.yaml:1:6" in str(caught.value)


def test_a_value_from_elsewhere_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "runner.yaml").write_text('ib: {mode: "${env:SECRET}", port: "${env:SECRET}"}\n', encoding="utf-8")
    with pytest.raises(ConfigFileError) as caught:
        load_config(None, tmp_path, env={"SECRET": "hunter2"})
    assert len(caught.value.problems) == 2
    assert "hunter2" not in str(caught.value) and "${env:SECRET}" in str(caught.value)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        load_config(tmp_path / "other.yaml", tmp_path, env={})


def test_a_named_file_brings_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "live.yaml").write_text("state_dir: state\n", encoding="utf-8")
    config = load_config(tmp_path / "deploy" / "live.yaml", tmp_path, env={})
    assert config.state_dir == tmp_path / "deploy" / "state"
    assert config.strategies_dir == tmp_path / "deploy" / "strategies.d"


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    assert problems(tmp_path, "# nothing\n") == [("Y100", 1)]


def test_files_are_judged_by_what_the_configuration_says(tmp_path: Path) -> None:
    from runner.gateway.settings import GatewaySettings
    from runner.spec.deployment import Deployment

    embedded = Deployment.of(load_config(None, tmp_path, env={}))
    assert embedded.base_currency == GatewaySettings().base_currency
    assert (embedded.allowed_packages, embedded.max_total_weight) == (frozenset(), 1.0)
    text = "ib: {port: 4002}\nplugins: {allow: [acme]}\nportfolio: {max_total_weight: 1.5}\n"
    (tmp_path / "runner.yaml").write_text(text, encoding="utf-8")
    elsewhere = Deployment.of(load_config(None, tmp_path, env={}))
    assert elsewhere.base_currency is None
    assert (elsewhere.allowed_packages, elsewhere.max_total_weight) == ({"acme"}, 1.5)


def test_a_key_has_a_place_also_when_it_is_not_written(tmp_path: Path) -> None:
    def place(path: tuple[str, ...]) -> tuple[str, int, int]:
        span = load_config(None, tmp_path, env={}).locate(path)
        return span.file, span.line, span.column

    assert place(("ib", "account")) == ("runner.yaml", 1, 1)
    (tmp_path / "runner.yaml").write_text("state_dir: here\nib:\n  port: 4002\n", encoding="utf-8")
    assert place(("ib", "port")) == ("runner.yaml", 3, 9)
    assert place(("ib", "account")) == ("runner.yaml", 2, 1)
    assert load_config(None, tmp_path, env={}).source.startswith("state_dir")
