"""What an edit of runner.yaml is: which settings, what each needs, and which way it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.spec.changes import Direction
from runner.spec.config import RunnerConfig, load_config, read_config
from runner.spec.config_changes import config_changes, config_fields, effective_config

BASE = """
ib: {port: 4002, account: DU1234567}
reload: {loosening: confirm}
portfolio: {max_total_weight: 0.8}
watch: {mode: auto}
"""
ROWS = [
    # text that is replaced, by what, path, class, direction
    ("max_total_weight: 0.8", "max_total_weight: 0.5", "portfolio.max_total_weight", "live", "tighter"),
    ("max_total_weight: 0.8", "max_total_weight: 1.5", "portfolio.max_total_weight", "live", "looser"),
    ("portfolio: {max_total_weight: 0.8}", "", "portfolio.max_total_weight", "live", "looser"),
    ("loosening: confirm", "loosening: auto", "reload.loosening", "live", "looser"),
    ("reload: {loosening: confirm}", "", "reload.loosening", "live", "looser"),
    ("mode: auto", "mode: poll", "watch.mode", "live", "neutral"),
    ("mode: auto", "require_end_marker: true", "watch.require_end_marker", "live", "neutral"),
    ("port: 4002", "port: 4003", "ib.port", "process", "neutral"),
    ("account: DU1234567", "account: DU7654321", "ib.account", "process", "neutral"),
    ("watch:", "arctic: {uri: lmdb:///elsewhere}\nwatch:", "arctic.uri", "process", "neutral"),
    ("watch:", "plugins: {allow: [acme]}\nwatch:", "plugins.allow", "process", "neutral"),
    ("watch:", "strategies_dir: other\nwatch:", "strategies_dir", "process", "neutral"),
]


def config_of(folder: Path, text: str) -> RunnerConfig:
    return read_config(text.encode(), folder / "runner.yaml", shown="runner.yaml", env={})


@pytest.mark.parametrize(("said", "instead", "path", "apply", "direction"), ROWS)
def test_a_setting_has_its_class_and_its_direction(
    tmp_path: Path, said: str, instead: str, path: str, apply: str, direction: str
) -> None:
    assert said in BASE
    found = config_changes(config_of(tmp_path, BASE), config_of(tmp_path, BASE.replace(said, instead)))
    by_path = {change.path: (change.apply, change.direction) for change in found}
    assert by_path.pop(path) == (apply, direction)
    assert set(by_path) <= {"strategies_python"}  # follows strategies_dir


def test_every_key_of_the_schema_is_compared_and_nothing_else(tmp_path: Path) -> None:
    assert set(effective_config(load_config(None, tmp_path, env={}))) == set(config_fields())


def test_a_comment_and_another_order_are_no_change(tmp_path: Path) -> None:
    lines = BASE.strip().splitlines()
    other = "# the desk's\n" + "\n".join(reversed(lines)) + "\n"
    assert config_changes(config_of(tmp_path, BASE), config_of(tmp_path, other)) == ()


def test_the_default_of_live_is_the_tighter_one(tmp_path: Path) -> None:
    live = "ib: {port: 4001, mode: live, account: U1234567, live_accounts: [U1234567]}\n"
    (change,) = config_changes(config_of(tmp_path, live), config_of(tmp_path, live + "reload: {loosening: auto}\n"))
    assert (change.old, change.new, change.direction) == ("confirm", "auto", Direction.LOOSER)


def test_the_same_content_reads_the_same_from_disk(tmp_path: Path) -> None:
    (tmp_path / "runner.yaml").write_text(BASE)
    assert config_of(tmp_path, BASE) == load_config(None, tmp_path, env={})
