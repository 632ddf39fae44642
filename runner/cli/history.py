"""`runner history|diff|blame`: what became of a strategy's versions, with a running runner or without."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from runner.cli.ask import ask
from runner.cli.group import Command
from runner.cli.output import Column, moment, number, show_json, show_table
from runner.cli.settings import Settings

HISTORY = (
    Column("Gen", "right"), Column("State"), Column("Since (UTC)"), Column("Cause"), Column("Actor"),
    Column("Direction"), Column("What", folds=True),
)  # fmt: skip
CHANGES = (Column("Field"), Column("Old", folds=True), Column("New", folds=True))
BLAME = (
    Column("Gen", "right"), Column("Since (UTC)"), Column("Cause"), Column("Actor"), Column("Old"), Column("New"),
    Column("Reason", folds=True),
)  # fmt: skip
_RANGE = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)@([0-9]{1,9})\.\.([0-9]{1,9})\Z", re.ASCII)


@click.command(cls=Command)
@click.argument("name")
@click.option("-n", "limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many versions.")
@click.pass_obj
def history(settings: Settings, name: str, limit: int) -> None:
    """Show the versions of NAME that were seen, newest first, and what became of each."""
    from runner.manager.reload.history import history_view

    result = ask(settings, "history", lambda journal: history_view(journal, name, limit=limit), name=name, limit=limit)
    if settings.json:
        show_json(result)
        return
    show_table(HISTORY, [_version(line) for line in result["generations"]], settings)
    click.echo(_what_runs(result))


def _what_runs(result: dict[str, Any]) -> str:
    if result["removed"]:
        return "its file is gone and it has ended"
    running = result["running"]
    return f"generation {running} runs" if running else "no version has been in force"


def _version(line: dict[str, Any]) -> list[str]:
    changes = [change for change in line["changes"] if change not in line["text"]]  # what is held says what it loosens
    what = [*changes, *(line[key] for key in ("text", "reason") if line[key])]
    return [
        number(line["generation"], places=0),
        line["state"],
        moment(line["state_at"]),
        line["cause"],
        line["actor"],
        line["direction"],
        "; ".join(what),
    ]


class Range(click.ParamType[tuple[str, int, int]]):
    """`NAME@7..9` as a triple."""

    name = "NAME@OLD..NEW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int, int]:
        match = _RANGE.match(value) if isinstance(value, str) else None
        if match is None:
            self.fail(f"{value!r} does not name two versions; write them as TREND@7..9", param, ctx)
        return match[1], int(match[2]), int(match[3])


@click.command(cls=Command)
@click.argument("versions", type=Range())
@click.option("--text", "as_text", is_flag=True, help="The lines of the files instead of the fields.")
@click.pass_obj
def diff(settings: Settings, versions: tuple[str, int, int], as_text: bool) -> None:
    """Show what two versions of a strategy say differently: NAME@OLD..NEW."""
    from runner.manager.reload.history import diff_view

    name, old, new = versions
    result = ask(settings, "diff", lambda journal: diff_view(journal, name, old, new), name=name, old=old, new=new)
    if settings.json:
        show_json(result)
    elif as_text:
        click.echo(result["text"] or "the files are the same")
    else:
        rows = [[line["path"], _shown(line["old"]), _shown(line["new"])] for line in result["changes"]]
        show_table(CHANGES, rows, settings, empty="they say the same")


@click.command(cls=Command)
@click.argument("name")
@click.argument("field")
@click.pass_obj
def blame(settings: Settings, name: str, field: str) -> None:
    """Show which versions of NAME changed FIELD, such as params.max_daily_loss, by whom and why."""
    from runner.manager.reload.history import blame_view

    result = ask(settings, "blame", lambda journal: blame_view(journal, name, field), name=name, field=field)
    if settings.json:
        show_json(result)
        return
    rows = [
        [
            number(line["generation"], places=0),
            moment(line["state_at"]),
            line["cause"],
            line["actor"],
            _shown(line["old"]),
            _shown(line["new"]),
            line["reason"],
        ]
        for line in result["changes"]
    ]
    show_table(BLAME, rows, settings)


def _shown(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
