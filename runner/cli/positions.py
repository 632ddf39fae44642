"""`runner positions`: who holds what."""

from __future__ import annotations

from typing import Any

import click

from runner.cli.ask import ask
from runner.cli.group import Command
from runner.cli.output import Column, number, show_json, show_table
from runner.cli.settings import Settings

COLUMNS = (
    Column("Strategy"),
    Column("Symbol"),
    Column("Quantity", "right", "sign"),
    Column("Average", "right"),
    Column("Price", "right"),
    Column("Value", "right", "sign"),
    Column("Unrealised", "right", "sign"),
    Column("Realised", "right", "sign"),
    Column("Currency"),
)


@click.command(cls=Command)
@click.argument("name", required=False)
@click.pass_obj
def positions(settings: Settings, name: str | None) -> None:
    """Show the positions of every strategy, or of NAME.

    Quantities are signed: short is negative. Amounts are in the instrument's currency, before commissions. Positions
    of the account that no strategy opened are listed as unassigned.
    """
    from runner.manager.journal_views import positions_view

    result = ask(settings, "positions", lambda journal: positions_view(journal, name), name=name)
    if settings.json:
        show_json(result)
        return
    rows = [_row(line) for line in result["positions"]]
    rows += [
        ["(unassigned)", line["symbol"], number(line["quantity"], places=None), *["-"] * 5, ""]
        for line in result.get("unassigned", ())
    ]
    show_table(COLUMNS, rows, settings, empty="no positions")


def _row(line: dict[str, Any]) -> list[str]:
    return [
        line["strategy"],
        line["symbol"],
        number(line["quantity"], places=None),
        number(line.get("average_price"), places=4),
        number(line.get("market_price"), places=4),
        number(line.get("market_value")),
        number(line.get("unrealized"), signed=True),
        number(line.get("realized"), signed=True),
        line.get("currency") or "",
    ]
