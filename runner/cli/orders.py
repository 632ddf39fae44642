"""`runner orders`: orders and what became of them."""

from __future__ import annotations

from typing import Any

import click

from runner.cli.ask import ask
from runner.cli.group import Command
from runner.cli.output import Column, moment, number, show_json, show_table
from runner.cli.settings import Settings

DEFAULT_LIMIT = 50
COLUMNS = (
    Column("Created (UTC)"),
    Column("Strategy"),
    Column("Side"),
    Column("Quantity", "right"),
    Column("Symbol"),
    Column("Type"),
    Column("Limit", "right"),
    Column("Filled", "right"),
    Column("State"),
    Column("Reason", folds=True),
    Column("Gen", "right"),
    Column("Order", folds=True),
    Column("IB says", folds=True),
)


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--open", "open_only", is_flag=True, help="Only orders that can still fill.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=DEFAULT_LIMIT, show_default=True, help="At most N, the newest."
)
@click.pass_obj
def orders(settings: Settings, name: str | None, open_only: bool, limit: int) -> None:
    """Show the orders of every strategy, or of NAME, oldest first.

    Order is the reference that IB hands back with every execution; Reason is the strategy's own word for why it
    ordered; the last column holds IB's message when there was one.
    """
    from runner.manager.journal_views import orders_view

    result = ask(
        settings,
        "orders",
        lambda journal: orders_view(journal, name, open_only=open_only, limit=limit),
        name=name,
        open=open_only,
        limit=limit,
    )
    if settings.json:
        show_json(result)
        return
    show_table(COLUMNS, [_row(line) for line in result["orders"]], settings, empty="no orders")


def _row(line: dict[str, Any]) -> list[str]:
    return [
        moment(line["created_at"]),
        line["strategy"],
        line["side"],
        number(line["quantity"], places=None),
        line["symbol"],
        line["type"],
        number(line.get("limit_price"), places=None),
        number(line.get("filled"), places=None),
        line["state"],
        line.get("reason") or "",
        number(line.get("generation") or None, places=0),
        line["order_ref"],
        line.get("text") or "",
    ]
