"""`runner approve|reject|rollback|reload`: decisions about the versions of strategy files."""

from __future__ import annotations

import getpass
import re
from typing import Any

import click

from runner.cli.client import CHANGE_TIMEOUT_S, NotRunning, call
from runner.cli.group import Command
from runner.cli.output import NOTHING, Column, counted, number, show_json, show_table
from runner.cli.settings import Settings
from runner.errors import ExitCode

DONE = ("applied", "unchanged")
"""What became of an order that was carried out."""
_TARGET = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)@([0-9]{1,9})\Z", re.ASCII)
IN_FORCE = "InForce"
"""State of runner.yaml when the runner does what it says."""
COLUMNS = (Column("Strategy"), Column("State"), Column("Gen", "right"), Column("Note", folds=True))

reason_option = click.option("--reason", default="", metavar="TEXT", help="Kept with the version and shown by history.")


class Target(click.ParamType[tuple[str, int]]):
    """`NAME@GENERATION` as a pair."""

    name = "NAME@GEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        match = _TARGET.match(value) if isinstance(value, str) else None
        if match is None:
            self.fail(f"{value!r} is not a version; write it as TREND@7", param, ctx)
        return match[1], int(match[2])


def order(settings: Settings, verb: str, **args: Any) -> dict[str, Any]:
    """Ask the running runner to do something about versions, in the name of whoever runs this command."""
    return call(settings.find_state_dir(), verb, timeout_s=CHANGE_TIMEOUT_S, actor=getpass.getuser(), **args)


def show_strategies(settings: Settings, result: dict[str, Any]) -> int:
    """Shows what became of strategies; the exit code that follows from it."""
    if settings.json:
        show_json(result)
    else:
        rows = [
            [line["strategy"], line.get("state") or NOTHING, generations(line["generations"]), line.get("text") or ""]
            for line in result["strategies"]
        ]
        show_table(COLUMNS, rows, settings, empty="no strategies")
    held = result.get("deletions_held") or ()
    if held:
        missing = counted(len(held), "file is", "files are")
        settings.note(f"{missing} missing and nothing is removed: runner approve --all-deletes")
    config = result.get("config") or {"state": IN_FORCE}
    if config["state"] != IN_FORCE:
        settings.note(f"{config['file']}: {config['text']}")
    if result.get("result") in DONE:
        return int(ExitCode.OK)  # what else is held or refused is not what was asked for
    states = {line.get("state") for line in result["strategies"]}
    if "refused" in states or config["state"] != IN_FORCE:
        return int(ExitCode.PROBLEMS)
    return int(ExitCode.HELD) if held or "held" in states else int(ExitCode.OK)


def generations(found: dict[str, Any]) -> str:
    """`9/8/8`: of the file, in the store, running; one number where they agree."""
    numbers = [number(found.get(stage), places=0) for stage in ("file", "store", "running")]
    return numbers[0] if len(set(numbers)) == 1 else "/".join(numbers)


@click.command(cls=Command)
@click.argument("target", type=Target(), required=False)
@click.option("--all-deletes", is_flag=True, help="Let strategy files be gone that went missing many at once.")
@reason_option
@click.pass_context
def approve(ctx: click.Context, target: tuple[str, int] | None, all_deletes: bool, reason: str) -> None:
    """Put the held version NAME@GEN in force, in the trading window too.

    A change that lets a strategy risk more is held on live accounts, or where runner.yaml says so.
    """
    settings = ctx.ensure_object(Settings)
    if (target is None) != all_deletes:
        raise click.UsageError("name one version as NAME@GEN, or say --all-deletes")
    if target is None:
        result = order(settings, "approve", deletes=True, reason=reason)
        if settings.json:
            show_json(result)
        else:
            click.echo("\n".join(result["released"]) or "no deletions are held")
        return
    ctx.exit(show_strategies(settings, order(settings, "approve", name=target[0], generation=target[1], reason=reason)))


@click.command(cls=Command)
@click.argument("target", type=Target())
@reason_option
@click.pass_context
def reject(ctx: click.Context, target: tuple[str, int], reason: str) -> None:
    """Say no to the held version NAME@GEN; it is asked for again only when the file changes."""
    settings = ctx.ensure_object(Settings)
    result = order(settings, "reject", name=target[0], generation=target[1], reason=reason)
    show_strategies(settings, result)


@click.command(cls=Command)
@click.argument("target", type=Target())
@click.option("--file", "into_file", is_flag=True, help="Write that version's text into the strategy's file instead.")
@reason_option
@click.pass_context
def rollback(ctx: click.Context, target: tuple[str, int], into_file: bool, reason: str) -> None:
    """Put the old version NAME@GEN in force again, under a new number.

    The file is left alone and set aside until it is edited; with --file it gets the old text, and file, store and
    strategy agree again; that needs no running runner. What loosens is held as any other change is.
    """
    settings = ctx.ensure_object(Settings)
    name, generation = target
    args = {"name": name, "generation": generation, "file": into_file or None, "reason": reason}
    try:
        result = order(settings, "rollback", **args)
    except NotRunning:
        if not into_file:
            raise
        _write_version(settings, name, generation)
        result = {"strategies": []}
    ctx.exit(show_strategies(settings, result))


def _write_version(settings: Settings, name: str, generation: int) -> None:
    """The text of an old version into the file that the strategy has now, from the journal alone."""
    from runner.cli.ask import read_journal, shown
    from runner.manager.reload.offline import text_to_write
    from runner.spec.files import rewrite

    config = settings.load_config()
    path, before, text = read_journal(
        config.state_dir, lambda journal: text_to_write(config, journal, name, generation)
    )
    rewrite(path, text, over=before)
    settings.note(f"{shown(path)} is as in generation {generation}; no runner is running, the next start takes it over")


@click.command(cls=Command)
@click.argument("name", required=False)
@click.pass_context
def reload(ctx: click.Context, name: str | None) -> None:
    """Look at the strategy files now, and wait until what follows is done."""
    settings = ctx.ensure_object(Settings)
    result = order(settings, "reload", name=name)
    code = show_strategies(settings, result)
    if not result["settled"]:
        settings.note("a file is still being written, or a change still being carried out")
    ctx.exit(code)
