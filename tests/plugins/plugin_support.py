"""Made-up packages with entry points, as an installer leaves them in a folder; and signals that break promises."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent, indent

import pytest

from runner import plugins

HEAD = """\
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from runner.blocks import check_fields, param

"""
ANSWER = """\
scores = np.where(panel.close > panel.open, 1.0, 0.0)
scores[: self.bars - 1] = np.nan
return scores
"""


ALWAYS_LONG = """\
scores = np.where(np.arange(panel.bars)[:, None] >= self.bars - 1, np.ones(panel.close.shape), np.nan)
"""


def signal(
    name: str = "good",
    *,
    before: str = "",
    post_init: str = "check_fields(self)",
    warmup: str = "return self.bars",
    compute: str = ANSWER,
    more: str = "",
) -> str:
    """The source of a signal with one setting, `bars`. The parts are bodies; `before` is what its module does first,
    `more` are members beside those that a signal must have."""
    return (
        HEAD
        + dedent(before)
        + f"""

@dataclass(frozen=True)
class Block:
    name: ClassVar[str] = "{name}"
    example: ClassVar[Mapping[str, Any]] = {{}}
    bars: int = param(3, "bars", unit="bars", minimum=1, maximum=100)

    def __post_init__(self):
{indent(dedent(post_init), " " * 8)}

    @property
    def warmup(self):
{indent(dedent(warmup), " " * 8)}

    def compute(self, panel):
{indent(dedent(compute), " " * 8)}

{indent(dedent(more), " " * 4)}
"""
    )


def install(
    site: Path,
    package: str,
    files: Mapping[str, str],
    entry_points: Mapping[str, Mapping[str, str]],
    *,
    version: str = "1.0",
    distribution: str = "",
) -> Path:
    """Puts a package and its metadata into `site`; `entry_points` is group → name → value."""
    root = site / package
    root.mkdir(parents=True, exist_ok=True)
    for name, text in ({"__init__.py": ""} | dict(files)).items():
        (root / name).write_text(text, encoding="utf-8")
    distribution = distribution or package
    info = site / f"{distribution}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    text = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    (info / "METADATA").write_text(text, encoding="utf-8")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def install_signals(site: Path, package: str, sources: Mapping[str, str]) -> Path:
    """A package of signals: name → source of the module of that name, each with a class `Block`."""
    return install(
        site,
        package,
        {f"{name}.py": source for name, source in sources.items()},
        {"runner.signals": {name: f"{package}.{name}:Block" for name in sources}},
    )


def spec(name: str, *signals: str, **sections: str) -> str:
    """A strategy file that uses these signals; every section is YAML in one line."""
    said = {
        "universe": "[AAPL, MSFT]",
        "bars": "{size: 1 day}",
        "signals": "{" + ", ".join(f"s{i}: {{use: '{use}'}}" for i, use in enumerate(signals)) + "}",
        "combine": "{use: first}",
        "sizing": "{use: equal_weight}",
    } | sections
    return "\n".join(["spec: 1", f"name: {name}", *(f"{key}: {value}" for key, value in said.items()), ""])


def live_spec(name: str, use: str = "buy_and_hold", **sections: str) -> str:
    """A strategy file that trades IBM on daily bars."""
    said = {
        "signals": f"{{s: {{use: {use!r}}}}}",
        "universe": "IBM",
        "bars": "{size: 1 day, history: 5}",
        "sizing": "{use: equal_weight}",
        "params": "{target_weight: 0.05}",
        "schedule": "{calendar: XNYS}",
    } | sections
    return "\n".join(["spec: 1", f"name: {name}", *(f"{key}: {value}" for key, value in said.items()), ""])


def forget() -> None:
    """What is installed is looked at once a process, and what was imported is remembered."""
    plugins.installed.cache_clear()
    plugins._version.cache_clear()
    plugins._CODE.clear()
    plugins._FILES.clear()


@contextmanager
def visible(folder: Path) -> Iterator[Path]:
    """Packages in `folder` are seen by this process and those that it starts; what was imported is forgotten after."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder))
        patch.setattr(sys, "dont_write_bytecode", True)
        forget()
        try:
            yield folder
        finally:
            forget()
            for name in set(sys.modules) - before:
                if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                    del sys.modules[name]
