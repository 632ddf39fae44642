"""docs/commands.md: the help pages of all commands. `python -m runner.cli.reference > docs/commands.md` writes it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from runner.cli.group import COMMANDS, cli

WIDTH = 100


def reference() -> str:
    """The page as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "The help pages of every command, as the commands print them. What the exit codes mean and how a program"
    yield "talks to a running runner is in [cli.md](cli.md)."
    top = click.Context(cli, info_name="runner", terminal_width=WIDTH, help_option_names=["-h", "--help"])
    yield from _page("runner", cli, top)
    for name in COMMANDS:
        command = cli.get_command(top, name)
        assert command is not None
        yield from _page(f"runner {name}", command, click.Context(command, top, name, terminal_width=WIDTH))


def _page(title: str, command: click.Command, ctx: click.Context) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield "```text"
    yield command.get_help(ctx).strip()
    yield "```"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
