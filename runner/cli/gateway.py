"""`runner gateway`: the paper gateway on its own, for any IB client."""

from __future__ import annotations

import logging
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from runner.cli.group import Command
from runner.cli.options import DAY, cash, day, speed
from runner.cli.settings import Settings

PAPER_PORT = 4002
"""Where IB Gateway listens for paper accounts."""
FILE = click.Path(path_type=Path, dir_okay=False)
DIRECTORY = click.Path(path_type=Path, file_okay=False)


@click.command(cls=Command)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=PAPER_PORT,
    show_default=True,
    metavar="P",
    help="Loopback port; 0 takes any free one.",
)
@click.option("--data", metavar="DIR", type=DIRECTORY, help="Price files; default the ones shipped in the package.")
@click.option(
    "--speed", callback=speed, metavar="X|max", help="Times real time, or as fast as clients follow; default 1."
)
@click.option("--start", type=DAY, callback=day, metavar="DATE", help="First session; default the last recorded one.")
@click.option("--end", type=DAY, callback=day, metavar="DATE", help="Last session; default none, prices walk on.")
@click.option("--step", metavar="SIZE", help="Market time per step: day, 1h, 1m, 5s and so on.")
@click.option("--account", "accounts", multiple=True, metavar="DU…", help="Account; may be given several times.")
@click.option(
    "--cash", "amounts", callback=cash, multiple=True, metavar="CUR=AMOUNT", help="Starting cash, once per currency."
)
@click.option("--base-currency", metavar="CUR", help="Currency of the accounts; default USD.")
@click.option("--seed", type=int, metavar="N", help="Everything simulated follows from this number.")
@click.option("--no-limits", is_flag=True, help="Do not enforce IB's request limits and pacing.")
@click.option("--record", type=DIRECTORY, metavar="DIR", help="Write both directions of every session as text.")
@click.option("--state", "state_file", type=FILE, metavar="FILE", help="Keep accounts, orders and ids between runs.")
@click.pass_context
def gateway(
    ctx: click.Context,
    /,
    accounts: tuple[str, ...],
    amounts: dict[str, Decimal],
    no_limits: bool,
    start: date | None,
    **given: Any,
) -> None:
    """Serve a paper gateway that speaks the TWS protocol, on loopback only.

    Any IB client may connect. One line on stdout says when it accepts connections; Ctrl-C ends it.
    """
    ctx.ensure_object(Settings).configure_logging(level=logging.WARNING)

    from runner.gateway.server import run_gateway
    from runner.gateway.settings import GatewaySettings

    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if accounts:
        options["accounts"] = accounts
    if amounts:
        options["cash"] = amounts
    ctx.exit(run_gateway(GatewaySettings(start=start, enforce_limits=not no_limits, **options)) or 0)
