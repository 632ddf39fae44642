"""Finding and importing hand-written strategies."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import ConfigError, HookError
from runner.manager.loading import load_strategy_class, resolve_filename

GOOD = """
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS
PARAMS = {**BASE_PARAMS, "universe": "AAPL"}
class Helper: pass
class MyStrategy(BaseStrategy):
    async def initialize_strategy(self): pass
    async def run_strategy(self): pass
class OtherStrategy(MyStrategy): pass
"""


def test_the_first_class_ending_with_strategy_is_picked_and_base_strategy_is_not(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GOOD)
    cls, module = load_strategy_class(resolve_filename("mine.py", [tmp_path]))
    assert cls.__name__ == "MyStrategy"
    assert module.PARAMS["universe"] == "AAPL"


def test_the_py_ending_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GOOD)
    assert resolve_filename("mine", [tmp_path]) == (tmp_path / "mine.py").resolve()


@pytest.mark.parametrize(
    "name", ["../outside.py", "/etc/passwd", "a/../../outside.py", "nul\0.py", "link.py", "none.py"]
)
def test_a_filename_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "strategies"
    folder.mkdir()
    (tmp_path / "outside.py").write_text(GOOD)
    (folder / "link.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(ConfigError):
        resolve_filename(name, [folder])


@pytest.mark.parametrize(
    ("text", "words"),
    [("x = 1", "no class whose name ends with Strategy"), ("1/0", "ZeroDivisionError"), ("def :", "SyntaxError")],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(HookError, match=words):
        load_strategy_class(tmp_path / "bad.py")
