"""A folder of installed packages that this process and those it starts can see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_support import visible


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """Where `install` puts packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    with visible(folder):
        yield folder
