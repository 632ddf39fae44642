"""`runner start|stop|pause|resume`: orders to a running runner. The state they set survives restarts."""

from __future__ import annotations

import getpass
from typing import Any

import click

from runner.cli.client import CHANGE_TIMEOUT_S, call
from runner.cli.group import Command
from runner.cli.output import Column, show_json, show_table
from runner.cli.settings import Settings
from runner.errors import ExitCode

COLUMNS = (Column("Strategy"), Column("Phase", tone="phase"), Column("Reason", folds=True))


def change(settings: Settings, verb: str, name: str | None, *, everything: bool, reason: str, **more: Any) -> None:
    """Send `verb` for one strategy or for all, and show what changed. Raises NotRunning without a runner."""
    if bool(name) == everything:
        raise click.UsageError("name one strategy, or say --all")
    target: dict[str, Any] = {"all": True} if everything else {"name": name}
    state_dir = settings.find_state_dir()
    said = reason or f"{verb} by {getpass.getuser()}"
    result = call(state_dir, verb, timeout_s=CHANGE_TIMEOUT_S, reason=said, **target, **more)
    if settings.json:
        show_json(result)
    else:
        rows = [[line["name"], line["phase"], line.get("reason") or ""] for line in result["changed"]]
        show_table(COLUMNS, rows, settings, empty="nothing to do")
    if verb == "start" and any(line["phase"] == "Failed" for line in result["changed"]):
        click.get_current_context().exit(int(ExitCode.PROBLEMS))


name_argument = click.argument("name", required=False)
all_option = click.option("--all", "everything", is_flag=True, help="All strategies.")
reason_option = click.option(
    "--reason", default="", metavar="TEXT", help="Kept in the journal and shown by status; default your user name."
)


@click.command(cls=Command)
@name_argument
@all_option
@reason_option
@click.option(
    "--file",
    metavar="FILE",
    help="First register this hand-written strategy under NAME: a file name in a folder of strategies_python.",
)
@click.pass_obj
def start(settings: Settings, name: str | None, everything: bool, reason: str, file: str | None) -> None:
    """Start NAME, or --all: connect, warm up, trade. Ends a stop; a pause stays."""
    if file and everything:
        raise click.UsageError("--file needs the NAME of one strategy")
    change(settings, "start", name, everything=everything, reason=reason, file=file)


@click.command(cls=Command)
@name_argument
@all_option
@reason_option
@click.pass_obj
def stop(settings: Settings, name: str | None, everything: bool, reason: str) -> None:
    """Stop NAME, or --all, and end its session.

    Positions and orders at IB stay as they are, and nothing watches the strategy's own stops until it is started
    again; `runner flatten` closes them.
    """
    change(settings, "stop", name, everything=everything, reason=reason)


@click.command(cls=Command)
@name_argument
@all_option
@reason_option
@click.pass_obj
def pause(settings: Settings, name: str | None, everything: bool, reason: str) -> None:
    """Pause NAME, or --all: no new and no larger positions; exits and reductions go on."""
    change(settings, "pause", name, everything=everything, reason=reason)


@click.command(cls=Command)
@name_argument
@all_option
@reason_option
@click.pass_obj
def resume(settings: Settings, name: str | None, everything: bool, reason: str) -> None:
    """Resume NAME, or --all: ends a pause, the day's loss stop and the locks of its instruments."""
    change(settings, "resume", name, everything=everything, reason=reason)
