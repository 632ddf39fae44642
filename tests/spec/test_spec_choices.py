"""The choices of the format, a test each: what was chosen works, and the other ways to write it are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from runner.base_params import BaseParams
from runner.spec.config import load_config
from runner.spec.deployment import Deployment
from runner.spec.folder import Loaded, load_file, load_folder, load_text
from runner.spec.load import MAX_BYTES
from runner.spec.render import render_text
from runner.spec.schema import REQUIRED, base_schema, strategy_schema
from runner.spec.spec import OnRemove, StrategySpec

SMALL = """\
spec: 1
name: A
universe: AAPL
bars: {size: 1 day}
signals:
  trend: {use: sma_cross}
sizing: {use: equal_weight}
"""
SIGNAL = "signals:\n  trend: {use: sma_cross}\n"


def loaded(text: str) -> Loaded:
    return load_text(text, path=Path("a.yaml"))


def spec_of(one: Loaded) -> StrategySpec:
    assert one.spec is not None, render_text(one.problems, one.sources)
    return one.spec


def problems(text: str) -> list[tuple[str, str]]:
    """Code and hint of each."""
    return [(problem.code, problem.hint) for problem in loaded(text).problems]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "strategies.d"
    folder.mkdir()
    return folder


# ----------------------------------------------------------------------------------- ways to write that were not chosen


@pytest.mark.parametrize(
    ("was", "written", "codes"),
    [
        pytest.param("{use: sma_cross}", "{type: sma_cross, fast: 10}", {"S201", "S202"}, id="type with flat settings"),
        pytest.param("{use: sma_cross}", "{sma_cross: {fast: 10}}", {"S201", "S202"}, id="the block as a key"),
        pytest.param("{use: sma_cross}", "{use: sma_cross, fast: 10}", {"S201"}, id="settings beside use"),
        pytest.param("{use: sma_cross}", "sma_cross", {"S203"}, id="a bare name"),
        pytest.param(SIGNAL, "signals: [{use: sma_cross}]\n", {"S203"}, id="a list of signals"),
        pytest.param(SIGNAL, "signals: sma(20) > sma(50)\n", {"S203"}, id="an expression"),
        pytest.param(SIGNAL, f"{SIGNAL}combine: trend and trend\n", {"S203"}, id="an expression that combines"),
        pytest.param("spec: 1", "apiVersion: v1", {"S201", "S202"}, id="apiVersion"),
        pytest.param("spec: 1", "spec: 2", {"S210"}, id="a newer version"),
        pytest.param("spec: 1", 'spec: "1"', {"S210", "S203"}, id="a version in quotes"),
        pytest.param("spec: 1", "spec: 1\nmatrix: {fast: [10, 20]}", {"S201"}, id="a matrix"),
        pytest.param("name: A", "name: {{ name }}", {"Y106"}, id="a template"),
        pytest.param("name: A", "name: ${env:NAME}", {"S209"}, id="a value of the environment"),
        pytest.param("name: A", "name: ${file:/run/secrets/x}", {"S209"}, id="a secret"),
        pytest.param("name: A", "name: A\nparams: {stop_loss: 5%}", {"S203"}, id="a percentage"),
        pytest.param("name: A", "name: A\nparams: {stop_loss: 5}", {"S204"}, id="a percentage without its sign"),
        pytest.param("name: A", "name: A\nparams: {universe: AAPL}", {"S201"}, id="the universe as a parameter"),
        pytest.param("name: A", "name: A\nparams: {fast: 10}", {"S201"}, id="a block's setting as a parameter"),
        pytest.param("name: A", "", {"S202"}, id="no name"),
    ],
)
def test_another_way_to_write_it_is_refused(was: str, written: str, codes: set[str]) -> None:
    assert was in SMALL
    found = {code for code, _ in problems(SMALL.replace(was, written))}
    assert found and found <= codes


@pytest.mark.parametrize(
    ("written", "code", "hint"),
    [
        ("params: {stop_loss: 15%}", "S203", "write the fraction 0.15"),
        ("params: {stop_loss: 5}", "S204", "weights and risk are fractions: 5% is 0.05"),
        ("params: {target_weight: 10}", "S204", "weights and risk are fractions: 10% is 0.1"),
        ("schedule: {calendar: XNYS, evaluate: 1545}", "S203", 'write times in quotes: "15:45"'),
        ("params: {universe: AAPL}", "S201", 'write "universe:" at the top level of the file'),
        ("on_remove: Hold", "S205", 'did you mean "hold"?'),
        ("owner: ${env:WHO}", "S209", "specs are kept in the store for ever; such values belong in runner.yaml"),
    ],
)
def test_a_refusal_says_what_to_write(written: str, code: str, hint: str) -> None:
    assert problems(SMALL + written + "\n") == [(code, hint)]


# -------------------------------------------------------------------------------------------------- what was chosen


def test_json_is_yaml_and_means_the_same() -> None:
    text = json.dumps(yaml.safe_load(SMALL))
    assert spec_of(loaded(text)).spec_hash == spec_of(loaded(SMALL)).spec_hash


@pytest.mark.parametrize("end", ["...", "...\n", "...\n# after the end\n"])
def test_an_end_marker_may_close_a_file(end: str) -> None:
    assert spec_of(loaded(SMALL + end)).spec_hash == spec_of(loaded(SMALL)).spec_hash


def test_an_alias_repeats_a_value_inside_a_file() -> None:
    text = SMALL.replace(
        SIGNAL, "signals:\n  a: {use: sma_cross, with: &w {slow: 99}}\n  b: {use: sma_cross, with: *w}\n"
    )
    spec = spec_of(loaded(text + "combine: {use: all_of}\n"))
    assert [signal.slow for signal in spec.signals.values()] == [99, 99]


def test_the_positions_of_a_deleted_file_are_held_unless_it_says_flatten() -> None:
    assert spec_of(loaded(SMALL)).on_remove is OnRemove.HOLD
    assert spec_of(loaded(SMALL + "on_remove: flatten\n")).on_remove is OnRemove.FLATTEN


def test_the_ids_of_signals_are_kept_in_order() -> None:
    text = SMALL.replace(SIGNAL, "signals:\n  z: {use: rsi}\n  a: {use: sma_cross}\ncombine: {use: first}\n")
    assert list(spec_of(loaded(text)).signals) == ["z", "a"]


def test_the_name_is_the_identity_and_the_files_name_is_not(root: Path) -> None:
    (root / "anything.yaml").write_text(SMALL)
    folder = load_folder(root)
    assert [spec.name for spec in folder.specs] == ["A"]
    assert folder.problems == ()


def test_the_nearest_word_wins(root: Path) -> None:
    """Base parameters < settings of blocks < bases from left to right < the file."""
    (root / "_a.yaml").write_text("params: {stop_loss: 0.1, take_profit: 0.3}\nsizing: {with: {window: 30}}\n")
    (root / "_b.yaml").write_text("params: {stop_loss: 0.2}\nsizing: {use: volatility_target}\n")
    own = SMALL.replace("sizing: {use: equal_weight}\n", "extends: [_a.yaml, _b.yaml]\nparams: {max_weight: 0.9}\n")
    (root / "s.yaml").write_text(own)
    spec = spec_of(load_file(root / "s.yaml", root=root))
    assert (spec.params.stop_loss, spec.params.take_profit, spec.params.max_weight) == (0.2, 0.3, 0.9)
    assert spec.params.min_weight == BaseParams().min_weight
    sizing: Any = spec.sizing
    assert (sizing.window, sizing.annual_vol) == (30, type(sizing)().annual_vol)


def test_keys_are_demanded_of_files_that_extend_no_other_and_never_of_bases() -> None:
    strategy, base = (Draft202012Validator(schema()) for schema in (strategy_schema, base_schema))
    missing = [error.message for error in strategy.iter_errors({})]
    assert missing == [f"{key!r} is a required property" for key in REQUIRED]
    assert [error.message for error in strategy.iter_errors({"bars": {}, "extends": "_a.yaml"})] == []
    assert [error.message for error in base.iter_errors({"sizing": {"use": "fixed_weights", "with": {}}})] == []


def test_values_of_the_environment_belong_in_runner_yaml_and_keep_their_kind(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("DU123456\n")
    (tmp_path / "runner.yaml").write_text(
        "ib: {port: '${env:PORT}', account: '${file:secret}', timeout_s: '${env:NONE:-3}'}\n"
    )
    ib = load_config(None, tmp_path, env={"PORT": "4002"}).ib
    assert (ib.port, ib.account, ib.timeout_s) == (4002, "DU123456", 3.0)


# ------------------------------------------------------------------------------------------------- names of files


@pytest.mark.parametrize(
    "name", ["a.yaml", "A.yml", "0.yaml", "a-b_c.yaml", "x" * 200 + ".yaml", "sub/a.yaml", "a/b/c.yml", "test.yaml"]
)
def test_a_file_of_this_name_is_read(root: Path, name: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SMALL)
    folder = load_folder(root)
    assert len(folder.specs) == 1 and folder.problems == ()


@pytest.mark.parametrize(
    "name",
    [
        ".a.yaml", ".hidden/a.yaml", "a.yaml~", "#a.yaml#", ".a.yaml.swp", ".a.yaml.swx", "a.yaml.swp", "a.yaml.tmp",
        "a.tmp", "a.yaml.bak", "a.yaml.orig", "a.yaml.rej", "4913", "README.md", "a.py", "a.json", "a.toml", "Makefile",
    ],
)  # fmt: skip
def test_a_file_of_this_name_is_passed_over_without_a_word(root: Path, name: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not: [yaml")
    folder = load_folder(root)
    assert (folder.loaded, folder.problems, folder.ignored) == ((), (), ())


@pytest.mark.parametrize(
    "name",
    ["a.YAML", "a.Yml", "a.yml.txt", "a.yaml.disabled", "a (conflicted copy).yaml", "a b.yaml", "ä.yaml", "-a.yaml",
     "__a.yaml", "a.b.yaml", "a.yaml.1"],
)  # fmt: skip
def test_a_file_of_this_name_is_reported_because_somebody_expects_it_to_work(root: Path, name: str) -> None:
    (root / name).write_text("not: [yaml")
    folder = load_folder(root)
    assert folder.loaded == ()
    assert [problem.code for problem in folder.problems] == ["W305"]
    assert folder.ignored == ((root / name).as_posix(),)


def test_a_base_is_read_and_is_no_strategy(root: Path) -> None:
    (root / "_base.yaml").write_text("params: {stop_loss: 0.1}\n")
    folder = load_folder(root)
    assert (folder.loaded, folder.problems) == ((), ())


# -------------------------------------------------------------------------------------------------- kinds of files


def test_a_file_has_a_largest_size(root: Path) -> None:
    (root / "a.yaml").write_text(SMALL + "#" * (MAX_BYTES - len(SMALL)))
    assert load_folder(root).specs
    (root / "a.yaml").write_text(SMALL + "#" * (MAX_BYTES - len(SMALL) + 1))
    assert [problem.code for problem in load_folder(root).problems] == ["Y111"]


def test_a_link_counts_as_what_it_leads_to(root: Path) -> None:
    (root / "real").write_text(SMALL)
    (root / "a.yaml").symlink_to(root / "real")
    assert load_folder(root).specs
    (root / "a.yaml").unlink()
    (root / "a.yaml").symlink_to(root / "nothing")
    assert [problem.code for problem in load_folder(root).problems] == ["Y112"]


def test_what_is_no_regular_file_is_refused_without_waiting(root: Path) -> None:
    """Opening a pipe waits for a writer; a device may never end."""
    os.mkfifo(root / "a.yaml")
    (root / "b.yaml").symlink_to("/dev/zero")
    found = load_folder(root).problems
    assert [(problem.code, problem.message) for problem in found] == [("Y112", "this is not a regular file")] * 2


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o664, 0o646, 0o666])
def test_where_trading_is_live_only_the_owner_may_write_a_strategy(root: Path, mode: int) -> None:
    path = root / "a.yaml"
    path.write_text(SMALL)
    path.chmod(mode)
    assert load_folder(root).problems == ()
    folder = load_folder(root, deployment=Deployment(live=True))
    if mode & 0o022:
        (problem,) = folder.problems
        assert (problem.code, problem.hint) == ("E604", f"chmod go-w {path.as_posix()}")
        assert folder.specs == ()
    else:
        assert len(folder.specs) == 1


def test_where_trading_is_live_only_the_owner_may_write_a_base(root: Path) -> None:
    (root / "_base.yaml").write_text("params: {stop_loss: 0.1}\n")
    (root / "_base.yaml").chmod(0o666)
    (root / "a.yaml").write_text(SMALL + "extends: _base.yaml\n")
    (root / "a.yaml").chmod(0o644)
    (problem,) = load_folder(root, deployment=Deployment(live=True)).problems
    assert (problem.code, Path(problem.file).name) == ("E604", "_base.yaml")


def test_live_is_what_runner_yaml_says(tmp_path: Path) -> None:
    (tmp_path / "runner.yaml").write_text("ib: {mode: live, port: 4001, account: U1, live_accounts: [U1]}\n")
    assert Deployment.of(load_config(None, tmp_path, env={})).live
    assert not Deployment.of(load_config(None, tmp_path / "nowhere", env={})).live
