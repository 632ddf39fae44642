"""`runner events`: the feed of facts, one JSON object a line, each with its sequence number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click

from runner.cli.ask import ask
from runner.cli.client import stream
from runner.cli.group import Command
from runner.cli.settings import Settings

PAGE = 5_000
"""Events per question."""


@click.command(cls=Command)
@click.option("--follow", "-f", is_flag=True, help="Keep printing as events happen; needs a running runner.")
@click.option(
    "--since",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only events after sequence number N. Without it --follow begins with the next event, else all are printed.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after N events.")
@click.pass_obj
def events(settings: Settings, follow: bool, since: int | None, limit: int | None) -> None:
    """Print order, fill, commission, status and strategy events as JSON lines.

    Every line has `seq`, `type` and `ts`; numbers that are money or quantities are strings. A reader that remembers
    the last `seq` continues with --since and misses nothing.
    """
    if follow:
        feed = stream(settings.find_state_dir(), "events", follow=True, since=since)
    else:
        feed = kept(settings, since or 0)
    for event in islice(feed, limit):
        click.echo(json.dumps(event))


def kept(settings: Settings, since: int) -> Iterator[dict[str, Any]]:
    """Everything after `since` that is on disk, asked for in pages."""
    while True:
        page = _page(settings, since)
        yield from page
        if len(page) < PAGE:
            return
        since = page[-1]["seq"]


def _page(settings: Settings, since: int) -> list[dict[str, Any]]:
    from runner.manager.journal_views import events_view

    result = ask(
        settings,
        "events",
        lambda journal: events_view(journal, since=since, limit=PAGE),
        since=since,
        limit=PAGE,
    )
    found: list[dict[str, Any]] = result["events"]
    return found
