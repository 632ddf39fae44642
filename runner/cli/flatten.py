"""`runner flatten`: close the positions of a strategy, or of all."""

from __future__ import annotations

import sys

import click

from runner.cli.control import change, name_argument, reason_option
from runner.cli.group import Command
from runner.cli.settings import Settings

WORD = "FLATTEN"


@click.command(cls=Command)
@name_argument
@click.option("--all", "everything", is_flag=True, help=f"All strategies; asks for the word {WORD}.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reason_option
@click.pass_obj
def flatten(settings: Settings, name: str | None, everything: bool, yes: bool, reason: str) -> None:
    """Cancel the working orders of NAME, close its positions at the market and pause it.

    It stays paused, over restarts too, until `runner resume`.
    """
    if everything and not name and not yes:
        _ask_for_the_word()
    change(settings, "flatten", name, everything=everything, reason=reason)


def _ask_for_the_word() -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("flatten --all asks for a word, and nobody is there to type it: add --yes")
    said = click.prompt(f"This closes every position of every strategy. Type {WORD} to go on", err=True)
    if said.strip() != WORD:
        raise click.UsageError(f"that was not {WORD}; nothing was done")
