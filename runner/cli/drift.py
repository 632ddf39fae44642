"""`runner drift|adopt|revert`: what somebody changed in the store."""

from __future__ import annotations

import json
from typing import Any

import click

from runner.cli.client import CHANGE_TIMEOUT_S, call
from runner.cli.group import Command
from runner.cli.output import Column, show_json, show_table
from runner.cli.settings import Settings
from runner.cli.versions import order, show_strategies
from runner.errors import ExitCode

COLUMNS = (
    Column("Strategy"), Column("Field"), Column("File", "right"), Column("Store", "right"), Column("Direction"),
    Column("In force"), Column("Note", folds=True),
)  # fmt: skip


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--exit-code", is_flag=True, help="End with 3 when there is drift.")
@click.pass_context
def drift(ctx: click.Context, name: str | None, exit_code: bool) -> None:
    """Show where the store says something else than the files.

    What gets tighter in the store is in force until it is adopted, reverted or edited in the file; what gets looser is
    not applied.
    """
    settings = ctx.ensure_object(Settings)
    result = call(settings.find_state_dir(), "drift", timeout_s=CHANGE_TIMEOUT_S, name=name)
    if settings.json:
        show_json(result)
    else:
        rows = [
            [
                line["strategy"], line["path"], _shown(line["file"]), _shown(line["store"]), line["direction"],
                f"{_shown(line['in_force_value'])} ({line['in_force']})", line["problem"],
            ]
            for line in result["drift"]
        ]  # fmt: skip
        show_table(COLUMNS, rows, settings, empty="the store says what the files say")
    ctx.exit(ExitCode.CHANGES if exit_code and result["drift"] else ExitCode.OK)


@click.command(cls=Command)
@click.argument("name")
@click.argument("fields", nargs=-1)
@click.pass_context
def adopt(ctx: click.Context, name: str, fields: tuple[str, ...]) -> None:
    """Write what the store says about NAME into its file, comments kept: of the FIELDS, or of all."""
    settings = ctx.ensure_object(Settings)
    result = order(settings, "adopt", name=name, paths=list(fields) or None)
    for line in result["written"]:
        settings.note(line)
    for line in result["skipped"]:
        settings.note(f"not written: {line}")
    ctx.exit(show_strategies(settings, result))


@click.command(cls=Command)
@click.argument("name")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept and shown by history.")
@click.pass_context
def revert(ctx: click.Context, name: str, reason: str) -> None:
    """Put what the file of NAME says back into the store, and in force."""
    settings = ctx.ensure_object(Settings)
    ctx.exit(show_strategies(settings, order(settings, "revert", name=name, reason=reason)))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
