"""Names: what each makes of a file, and what of a folder cannot be walked."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.spec.names import MAX_FOLDER_DEPTH, FileRole, entries, role_of, walk


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (FileRole.STRATEGY, ["a.yaml", "b_2-c.yml", "0.yaml"]),
        (FileRole.BASE, ["_a.yaml", "_0-x.yml"]),
        (FileRole.TESTS, ["a.test.yaml", "b_2-c.test.yml"]),
        (FileRole.LOOKALIKE, ["a.YAML", "a b.yaml", "a.yml.txt", "a.yaml.disabled", "__a.yaml"]),
        (FileRole.LOOKALIKE, ["_a.test.yaml", "a.tests.yaml", "a.b.test.yaml"]),
        (None, ["a.yaml~", ".a.yaml", "#a.yaml#", ".a.yaml.swp", "a.yaml.bak", "a.yaml.tmp", "4913", "a.md", ""]),
    ],
)
def test_a_name_gives_a_role(role: FileRole | None, names: list[str]) -> None:
    assert {name: role_of(name) for name in names} == dict.fromkeys(names, role)


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


def found(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in walk(root)]


def test_files_come_by_name_folder_by_folder(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/z.yaml", "a/b/c.yaml", "c.md", ".git/x.yaml", "__pycache__/x.yaml"):
        put(tmp_path / name)
    assert found(tmp_path) == ["a/b/c.yaml", "a/z.yaml", "b.yaml", "c.md"]


def test_the_walk_goes_only_so_deep(tmp_path: Path) -> None:
    put(tmp_path.joinpath(*"d" * MAX_FOLDER_DEPTH, "a.yaml"))
    put(tmp_path.joinpath(*"d" * (MAX_FOLDER_DEPTH + 1), "b.yaml"))
    assert [Path(name).name for name in found(tmp_path)] == ["a.yaml"]


def test_a_root_that_cannot_be_listed_raises(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    for name in ("nowhere", "circle"):
        with pytest.raises(OSError):
            found(tmp_path / name)


def test_what_cannot_be_looked_at_is_left_out_or_handed_over(tmp_path: Path) -> None:
    put(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").symlink_to("b.yaml")
    assert found(tmp_path) == ["a.yaml"]
    handed: dict[str, OSError] = {}
    names = [
        entry.name for entry in entries(tmp_path, unreadable=lambda path, error: handed.update({path.name: error}))
    ]
    assert names == ["a.yaml"] and set(handed) == {"b.yaml"}
