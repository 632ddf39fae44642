"""A page for people as parts: Markdown, and tables that the reader's screen lays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. Columns whose heads are in `folding` hold words that may be broken over several lines."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folding: tuple[str, ...] = ("what it is",)


Part: TypeAlias = str | Grid
"""Markdown, or a table."""
