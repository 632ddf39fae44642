"""What is installed is all that the runner needs: data files lie inside the package and are shipped with it."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest


@pytest.fixture(scope="module")
def shipped(root, tmp_path_factory):
    """The names in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("folder", ["runner/spec/pages", "runner/gateway/data"])
def test_every_file_that_is_read_at_run_time_is_shipped(root, shipped, folder):
    files = {path.relative_to(root).as_posix() for path in (root / folder).rglob("*") if path.is_file()}
    assert len(files) > 3
    assert files <= shipped


def test_nothing_else_is_shipped(shipped):
    assert {name.partition("/")[0].partition("-")[0] for name in shipped} == {"runner", "ib_strategy_runner"}
