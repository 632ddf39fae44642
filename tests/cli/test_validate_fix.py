"""`runner validate --fix` writes what is certain, says what it wrote, and leaves everything else as it was."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

SLOPPY = b"""\
# a strategy\r
spec:1\r
name: A   # mine\r
universe: {symbols: [AAPL, TRUE]}\r
bars: {size: 1 Day, history: 1_000}\r
signals:\r
  trend: {use: sma_crosss, with: {slwo: 100.0}}\r
sizing: equal_weight\r
extends: _base.yaml\r
"""
TIDY = (
    SLOPPY.replace(b"spec:1", b"spec: 1")
    .replace(b"TRUE", b'"TRUE"')
    .replace(b"1 Day", b"1 day")
    .replace(b"1_000", b"1000")
    .replace(b"sma_crosss", b"sma_cross")
    .replace(b"slwo: 100.0", b"slow: 100")
    .replace(b"equal_weight", b"{use: equal_weight}")
)


@pytest.fixture
def folder(project):
    path = project / "strategies.d"
    path.mkdir()
    (path / "a.yaml").write_bytes(SLOPPY)
    (path / "_base.yaml").write_bytes(b"\xef\xbb\xbfparams:\n\tstop_los: 5%\n")
    return path


def test_every_fix_is_made_and_every_other_byte_stays(say, folder):
    said = say("validate", "--fix")
    assert said.code == 0, said.out
    assert (folder / "a.yaml").read_bytes() == TIDY
    assert (folder / "_base.yaml").read_bytes() == b"\xef\xbb\xbfparams:\n  stop_loss: 0.05\n"
    assert said.out.startswith("fixed:\nstrategies.d/_base.yaml:2:1: tabs → spaces (1 line)\n")
    assert "strategies.d/a.yaml:7:16: sma_crosss → sma_cross\n" in said.out
    assert "\n\n2 files, 1 strategy: 0 errors, 0 warnings\n" in said.out
    assert sorted(os.listdir(folder)) == ["_base.yaml", "a.yaml"]


def test_a_second_time_there_is_nothing_to_do(say, folder):
    say("validate", "--fix")
    before = (folder / "a.yaml").stat().st_mtime_ns
    said = say("validate", "--fix")
    assert said.out.startswith("2 files, 1 strategy: 0 errors")
    assert (folder / "a.yaml").stat().st_mtime_ns == before


def test_without_fix_nothing_is_written(say, folder):
    assert say("validate").code == 1
    assert (folder / "a.yaml").read_bytes() == SLOPPY


def test_the_mode_and_a_link_stay(say, folder, project):
    real = project / "real.yaml"
    os.replace(folder / "a.yaml", folder / "inner.txt")
    (folder / "a.yaml").symlink_to("inner.txt")
    os.chmod(folder / "inner.txt", 0o640)
    assert say("validate", "--fix", "strategies.d/a.yaml").code == 0
    assert (folder / "a.yaml").is_symlink() and not real.exists()
    assert stat.S_IMODE((folder / "inner.txt").stat().st_mode) == 0o640
    assert (folder / "inner.txt").read_bytes() == TIDY


def test_what_remains_is_shown_and_decides_the_exit_code(say, folder):
    (folder / "a.yaml").write_bytes(SLOPPY + b"nope: 1\r\n")
    said = say("validate", "--fix")
    assert said.code == 1
    assert "error[S201]" in said.out and "sma_crosss" in said.out
    assert (folder / "a.yaml").read_bytes() == TIDY + b"nope: 1\r\n"


def test_only_what_was_named_and_its_bases_are_written(say, folder):
    (folder / "b.yaml").write_bytes(SLOPPY.replace(b"name: A", b"name: B"))
    assert say("validate", "--fix", "strategies.d/a.yaml").code == 0
    assert b"sma_crosss" in (folder / "b.yaml").read_bytes()
    assert b"stop_loss: 0.05" in (folder / "_base.yaml").read_bytes()


def test_a_file_elsewhere_is_fixed_where_it_is(say, project, folder):
    (project / "draft.yaml").write_bytes(SLOPPY.replace(b"extends: _base.yaml\r\n", b""))
    assert say("validate", "--fix", "draft.yaml").code == 0
    assert (project / "draft.yaml").read_bytes() == TIDY.replace(b"extends: _base.yaml\r\n", b"")


def test_as_data_the_fixes_are_listed(say, folder):
    found = say("validate", "--fix", "--json").json
    assert found["ok"] and found["problems"] == []
    assert {
        "file": "strategies.d/a.yaml",
        "line": 8,
        "column": 9,
        "what": "equal_weight → {use: equal_weight}",
    } in found["fixed"]


def test_standard_input_comes_out_fixed_and_the_report_stays_apart(project, folder):
    done = subprocess.run(
        [sys.executable, "-m", "runner", "validate", "--fix", "-"], input=SLOPPY, capture_output=True, check=False
    )
    assert done.stdout == TIDY
    assert b"<stdin>:2:6: spec:1" in done.stderr and b"_base.yaml:2:1" in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("data", [b"", b"\xff[", b"a: 1\n" * 100_000])
@pytest.mark.parametrize("configuration", ["", "state_dri: x\n"])
def test_standard_input_that_cannot_be_fixed_comes_out_as_it_is(project, folder, data, configuration):
    (project / "runner.yaml").write_text(configuration or "{}\n")
    command = [sys.executable, "-m", "runner", "validate", "--fix", "-"]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (data, 1)


def test_standard_input_goes_with_no_other_path(say, folder):
    said = say("validate", "--fix", "-", "strategies.d/a.yaml")
    assert said.code == 2
    assert (folder / "a.yaml").read_bytes() == SLOPPY


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_cannot_be_written_is_said(say, folder):
    os.chmod(folder, 0o555)
    said = say("validate", "--fix")
    os.chmod(folder, 0o755)
    assert said.code == 1
    assert "cannot be written: permission denied" in said.err


def test_a_file_that_changes_meanwhile_is_left_alone(say, folder, monkeypatch):
    from runner.spec import fix

    real = fix.mend

    def slow(look):
        result = real(look)
        (folder / "a.yaml").write_bytes(b"spec: 1\n")
        return result

    monkeypatch.setattr(fix, "mend", slow)
    said = say("validate", "--fix", "strategies.d/a.yaml")
    assert said.code == 1
    assert "strategies.d/a.yaml changed while it was being fixed" in said.err
    assert (folder / "a.yaml").read_bytes() == b"spec: 1\n"
