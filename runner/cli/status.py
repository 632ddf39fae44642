"""`runner status`: the runner, its account and its strategies."""

from __future__ import annotations

from typing import Any

import click

from runner.cli.ask import ask
from runner.cli.group import Command
from runner.cli.output import NOTHING, Column, moment, number, percent, show_json, show_table
from runner.cli.settings import Settings

COLUMNS = (
    Column("Strategy"),
    Column("Phase", tone="phase"),
    Column("Gen", "right"),
    Column("Pos", "right"),
    Column("Exposure", "right"),
    Column("Day P&L", "right", "sign"),
    Column("Net P&L", "right", "sign"),
    Column("Orders", "right"),
    Column("File", folds=True),
)


@click.command(cls=Command)
@click.argument("name", required=False)
@click.pass_obj
def status(settings: Settings, name: str | None) -> None:
    """Show the runner, its account and its strategies; with NAME, one of them.

    Exposure is the value of its positions as a fraction of account equity, P&L is in base currency after
    commissions, Orders are those of the session. Without a running runner the journal is shown instead.
    """
    from runner.manager.journal_views import status_view

    result = ask(settings, "status", lambda journal: status_view(journal, name), name=name)
    if settings.json:
        show_json(result)
        return
    show_table(COLUMNS, [_row(line) for line in result["strategies"]], settings, empty="no strategies")
    for line in result["strategies"]:
        if line.get("reason"):
            click.echo(f"{line['name']}: {line['reason']}")
    for text in result.get("locked", ()):
        click.echo(f"locked: {text}")
    if result.get("warming"):
        click.echo(f"fetching history of {result['warming']}")
    click.echo(headline(result))


def headline(result: dict[str, Any]) -> str:
    """The line under the table: mode first, because paper and live must never be mistaken for each other."""
    strategies = result["strategies"]
    running = sum(line.get("phase") == "Running" for line in strategies)
    parts = [f"{str(result.get('mode') or 'unknown').upper()} account {result.get('account') or 'unknown'}"]
    if result.get("equity"):
        parts.append(f"equity {number(result['equity'])} {result.get('base_currency') or ''}".rstrip())
    parts.append(f"{len(strategies)} strategies, {running} running")
    if result.get("running") is False:
        parts.append("runner not running")
    else:
        parts.append(f"IB {'connected' if result.get('connected') else 'NOT CONNECTED'} ({result.get('gateway', '')})")
    if result.get("time"):
        parts.append(f"{moment(result['time'])} UTC")
    return " · ".join(parts)


def _row(line: dict[str, Any]) -> list[str]:
    return [
        line["name"],
        line.get("phase") or NOTHING,
        number(line.get("generation"), places=0),
        number(line.get("positions"), places=0),
        percent(line.get("exposure")),
        number(line.get("day_pnl"), signed=True),
        number(line.get("net_pnl"), signed=True),
        number(line.get("orders_today"), places=0),
        line.get("file") or NOTHING,
    ]
