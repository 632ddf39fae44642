"""`runner fills`: executions and their commissions."""

from __future__ import annotations

from typing import Any

import click

from runner.cli.ask import ask
from runner.cli.group import Command
from runner.cli.orders import DEFAULT_LIMIT
from runner.cli.output import Column, moment, number, show_json, show_table
from runner.cli.settings import Settings

COLUMNS = (
    Column("Time (UTC)"),
    Column("Strategy"),
    Column("Side"),
    Column("Quantity", "right"),
    Column("Symbol"),
    Column("Price", "right"),
    Column("Currency"),
    Column("Commission", "right"),
    Column("Gen", "right"),
    Column("Order", folds=True),
    Column("Execution", folds=True),
)


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=DEFAULT_LIMIT, show_default=True, help="At most N, the newest."
)
@click.pass_obj
def fills(settings: Settings, name: str | None, limit: int) -> None:
    """Show the executions of every strategy, or of NAME, oldest first.

    A corrected execution is shown in its last revision. The commission is in the currency IB charged; a dash means
    that IB has not reported it yet.
    """
    from runner.manager.journal_views import fills_view

    result = ask(settings, "fills", lambda journal: fills_view(journal, name, limit=limit), name=name, limit=limit)
    if settings.json:
        show_json(result)
        return
    show_table(COLUMNS, [_row(line) for line in result["fills"]], settings, empty="no fills")


def _row(line: dict[str, Any]) -> list[str]:
    return [
        moment(line["at"]),
        line["strategy"],
        line["side"],
        number(line["quantity"], places=None),
        line["symbol"],
        number(line["price"], places=None),
        line["currency"],
        number(line.get("commission")),
        number(line.get("generation") or None, places=0),
        line["order_ref"],
        line["exec_id"],
    ]
