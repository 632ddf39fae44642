"""Text files that are rewritten: with everything that is not their text kept, and nobody else's edit lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.spec import files
from runner.spec.files import ChangedMeanwhile, rewrite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "trend.yaml"
    found.write_bytes(b"\xef\xbb\xbfold\r\n")
    return found


def test_the_new_text_is_there_and_byte_order_mark_and_mode_stay(path: Path) -> None:
    path.chmod(0o640)
    rewrite(path, "new\r\n", over="old\r\n")
    assert path.read_bytes() == b"\xef\xbb\xbfnew\r\n" and path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in path.parent.iterdir()] == ["trend.yaml"]


@pytest.mark.parametrize("over", ["older\n", "", None])
def test_a_file_that_says_something_else_than_was_read_is_left_as_it_is(path: Path, over: str | None) -> None:
    before = path.read_bytes()
    with pytest.raises(ChangedMeanwhile, match=r"trend\.yaml was changed by somebody else meanwhile"):
        rewrite(path, "new\n", over=over)
    assert path.read_bytes() == before


@pytest.mark.parametrize("other", ["theirs\n", None])
def test_what_somebody_saves_while_the_new_text_is_written_is_not_lost(
    path: Path, other: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_new = files._write_new

    def slow(beside: Path, data: bytes, *, like: Path) -> None:
        write_new(beside, data, like=like)
        path.unlink() if other is None else path.write_text(other)

    monkeypatch.setattr(files, "_write_new", slow)
    with pytest.raises(ChangedMeanwhile):
        rewrite(path, "new\n", over="old\r\n")
    assert (path.read_text() if path.exists() else None) == other
    assert [name for name in os.listdir(path.parent) if name.startswith(".")] == []


def test_a_file_that_is_not_there_is_written_when_none_is_expected(tmp_path: Path) -> None:
    rewrite(tmp_path / "new.yaml", "text\n", over=None)
    assert (tmp_path / "new.yaml").read_text() == "text\n"
