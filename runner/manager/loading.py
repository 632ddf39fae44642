"""Finds and imports hand-written strategies by the `filename` column of general/strategies."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from runner.errors import ConfigError, HookError
from runner.strategy.base_strategy import BaseStrategy


def resolve_filename(filename: str, folders: Sequence[Path]) -> Path:
    """The file of a strategy inside one of `folders`.

    The column is data that others may write, so what leaves the folders is refused: absolute paths, `..`, links that
    point outside, and anything that is not a regular `.py` file. ConfigError says which.
    """
    name = filename if filename.endswith(".py") else f"{filename}.py"
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ConfigError(
            f"strategy filename {filename!r} leaves the strategy folders", hint="use a path relative to strategies.d"
        )
    for folder in folders:
        root = folder.resolve()
        found = (root / name).resolve()
        if found.is_relative_to(root) and found.is_file():
            return found
    places = ", ".join(str(folder) for folder in folders)
    raise ConfigError(f"strategy file {name!r} was not found in {places}", hint="check the filename column")


def load_strategy_class(path: Path) -> tuple[type[BaseStrategy], ModuleType]:
    """Imports the file and picks the first class whose name ends with `Strategy`, BaseStrategy aside.

    HookError when the module raises or has no such class.
    """
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    name = f"runner_strategies_{digest}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise HookError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # importing runs foreign code, which may raise anything
        del sys.modules[name]
        error.add_note(f"in {path}")
        raise HookError(f"{path.name} cannot be imported: {type(error).__name__}: {error}") from error
    for value in vars(module).values():
        if (
            inspect.isclass(value)
            and value.__name__.endswith("Strategy")
            and issubclass(value, BaseStrategy)
            and value.__module__ == name
        ):
            return value, module
    raise HookError(
        f"{path.name} has no class whose name ends with Strategy and that extends BaseStrategy",
        hint="class MyStrategy(BaseStrategy): …",
    )
