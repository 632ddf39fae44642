"""`runner gateway`: the paper gateway on its own, for any IB client."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from runner.cli.group import Command
from runner.cli.options import DAY, cash, day, speed
from runner.cli.settings import Settings
from runner.errors import ExitCode

PAPER_PORT = 4002
"""Where IB Gateway listens for paper accounts."""
PARENT_CHECK_S = 1.0
STOP_WITHIN_S = 5.0
"""How long the orderly end may take after the parent has gone."""
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
@click.option("--with-parent", is_flag=True, hidden=True, help="End when stdin closes or the parent process ends.")
@click.pass_context
def gateway(
    ctx: click.Context,
    /,
    accounts: tuple[str, ...],
    amounts: dict[str, Decimal],
    no_limits: bool,
    with_parent: bool,
    start: date | None,
    **given: Any,
) -> None:
    """Serve a paper gateway that speaks the TWS protocol, on loopback only.

    Any IB client may connect. One line on stdout says when it accepts connections; Ctrl-C ends it.
    """
    shown = ctx.ensure_object(Settings)
    shown.configure_logging(level=logging.WARNING)
    if with_parent:
        threading.Thread(target=_end_with, args=(os.getppid(),), name="with-parent", daemon=True).start()

    from runner.gateway.server import run_gateway
    from runner.gateway.settings import GatewaySettings

    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if accounts:
        options["accounts"] = accounts
    if amounts:
        options["cash"] = amounts
    checked = GatewaySettings(start=start, enforce_limits=not no_limits, **options)
    ctx.exit(run_gateway(checked, as_json=shown.json) or 0)


def _end_with(parent: int) -> None:
    """Ends this process when the one that started it is gone, killed or not: its end of our stdin closes then. The
    parent's id is looked at too, because a child of the parent may have inherited the pipe."""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], PARENT_CHECK_S)
        if readable and not os.read(0, 4096):
            break
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_WITHIN_S)
    os._exit(int(ExitCode.UNAVAILABLE))
