"""`runner run`: the runner itself, in the foreground, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import logging

import click

from runner.cli.group import Command
from runner.cli.output import show_json
from runner.cli.settings import Settings


@click.command(cls=Command)
@click.option("--only", "only", metavar="NAME", help="Run this strategy and no other.")
@click.option("--once", is_flag=True, help="Connect, reconcile, bring the store up to date with the files, and end.")
@click.option(
    "--no-watch",
    "watch",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not take over changes of files by themselves; `runner reload` looks at them.",
)
@click.pass_context
def run(ctx: click.Context, only: str | None, once: bool, watch: bool) -> None:
    """Run the strategies of strategies.d until Ctrl-C or SIGTERM, and take over changes of their files.

    Without runner.yaml it trades on the embedded paper gateway. Stopping keeps positions: after a restart everything
    is found again by its order reference. Exit code 78 means that the configuration must be changed first.
    """
    settings = ctx.ensure_object(Settings)
    settings.configure_logging(level=logging.INFO)
    config = settings.load_config()

    from runner.manager.app import run_daemon

    def ready() -> None:
        if settings.json:
            show_json({"ready": True})
        else:
            settings.note("ready: look with `runner status`, stop with Ctrl-C")

    ctx.exit(run_daemon(config, only=only, once=once, watch=watch, ready=ready))
