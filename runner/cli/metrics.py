"""`runner metrics`: what a monitoring system reads."""

from __future__ import annotations

import click

from runner.cli.client import call
from runner.cli.group import Command
from runner.cli.output import show_json
from runner.cli.settings import Settings


@click.command(cls=Command)
@click.pass_obj
def metrics(settings: Settings) -> None:
    """Print metrics of reloads and of the watcher in the text format that Prometheus reads."""
    result = call(settings.find_state_dir(), "metrics")
    if settings.json:
        show_json(result)
    else:
        click.echo(result["text"], nl=False)
