"""Problems of YAML files on the screen, with the lines they stand on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.settings import Settings

if TYPE_CHECKING:
    from runner.spec.problems import Problem


def show_problems(
    problems: Iterable[Problem], sources: Mapping[str, str], settings: Settings, *, error: bool = False
) -> None:
    """Each with its source line, carets and hint; on stdout, or on stderr with `error`. `sources` is file → text."""
    from runner.spec.render import render_text

    text = render_text(problems, sources, colour=settings.colored(error=error))
    if text:
        click.echo(text, err=error, color=True)


def sources_of(problems: Iterable[Problem]) -> dict[str, str]:
    """The text of the files that are pointed at, read again; a file that cannot be read as text is left out."""
    sources = {}
    for name in {problem.file for problem in problems}:
        try:
            sources[name] = Path(name).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue
    return sources
