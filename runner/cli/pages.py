"""Pages on stdout: Markdown laid out on a terminal, as it is in a pipe; tables as everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from runner.cli.output import Column, show_table
from runner.cli.settings import Settings

if TYPE_CHECKING:
    from runner.spec.parts import Grid, Part


def show_page(parts: Sequence[Part], settings: Settings) -> None:
    """A page, its parts with a blank line between them."""
    for i, part in enumerate(parts):
        if i:
            click.echo()
        if not isinstance(part, str):
            show_grid(part, settings)
        elif settings.terminal():
            from runner.cli.markdown import show_markdown

            show_markdown(part, settings)
        else:
            click.echo(part)


def show_grid(grid: Grid, settings: Settings) -> None:
    """A table of a page; columns in which nothing stands are left out."""
    used = [i for i in range(len(grid.heads)) if any(row[i] for row in grid.rows)]
    columns = [Column(grid.heads[i].capitalize(), folds=grid.heads[i] in grid.folding) for i in used]
    show_table(columns, [[row[i] for i in used] for row in grid.rows], settings)
