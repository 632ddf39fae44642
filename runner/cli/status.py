"""`runner status`: the runner, its account and its strategies."""

from __future__ import annotations

import json
from typing import Any

import click

from runner.cli.ask import ask
from runner.cli.group import Command
from runner.cli.output import NOTHING, Column, counted, moment, number, percent, show_json, show_table
from runner.cli.settings import Settings
from runner.cli.versions import IN_FORCE, generations

COLUMNS = (
    Column("Strategy"),
    Column("Phase", tone="phase"),
    Column("Ready"),
    Column("Gen", "right"),
    Column("Pos", "right"),
    Column("Exposure", "right"),
    Column("Day P&L", "right", "sign"),
    Column("Net P&L", "right", "sign"),
    Column("Orders", "right"),
    Column("File", folds=True),
)
CONDITIONS = (
    Column("Condition"),
    Column("Status"),
    Column("Reason"),
    Column("Since (UTC)"),
    Column("Gen", "right"),
    Column("Message", folds=True),
)


@click.command(cls=Command)
@click.argument("name", required=False)
@click.pass_obj
def status(settings: Settings, name: str | None) -> None:
    """Show the runner, its account and its strategies; with NAME, one of them.

    Ready says whether it may open positions, Gen is the version of the file, in the store and running, one number
    where they agree. With NAME, all conditions of the strategy follow with their reasons.
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
    for line in result["strategies"]:
        for text in notes(line.get("reload") or {}):
            click.echo(f"{line['name']}: {text}")
    for text in (*watch_notes(result.get("watch") or {}), *config_notes(result.get("config") or {})):
        click.echo(text)
    if name is not None:
        for line in result["strategies"]:
            _show_conditions(line.get("reload") or {}, settings)
    if result.get("warming"):
        click.echo(f"fetching history of {result['warming']}")
    click.echo(headline(result))


def _show_conditions(reload: dict[str, Any], settings: Settings) -> None:
    rows = [
        [
            one["type"],
            one["status"],
            one["reason"],
            moment(one["last_transition"]),
            number(one["observed_generation"], places=0),
            one["message"],
        ]
        for one in reload.get("conditions", ())
    ]
    if rows:
        show_table(CONDITIONS, rows, settings)


def _ready(reload: dict[str, Any]) -> str:
    """Whether a strategy may open positions; nothing where that is not known."""
    found = [one["status"] for one in reload.get("conditions", ()) if one["type"] == "Ready"]
    return {"True": "yes", "False": "no"}.get(found[0], NOTHING) if found else NOTHING


def notes(reload: dict[str, Any]) -> list[str]:
    """What there is to say about a strategy's file: a version that is not in force, and what holds in place of it."""
    found = []
    state = reload.get("state")
    if state in ("refused", "held", "waiting"):
        shown = reload["generations"]
        found.append(f"generation {shown['file']} {state}: {reload['text']}")
    for condition in reload.get("conditions", ()):
        if condition["type"] == "Applied" and condition["reason"] in ("RolledBack", "Rejected", "BaseRefused"):
            found.append(f"{condition['reason']}: {condition['message']}")
    for one in reload.get("overrides", ()):
        until = f" until {moment(one['expires_at'])} UTC" if one["expires_at"] else ""
        why = f" ({one['reason']})" if one["reason"] else ""
        found.append(f"{one['path']} is {json.dumps(one['value'])}, from the {one['source']}{until}{why}")
    if reload.get("code_edited"):
        found.append(reload["code_edited"])
    for condition in reload.get("conditions", ()):
        if condition["type"] == "Drifted" and condition["status"] == "True":
            found.append(f"{condition['reason']}: {condition['message']}")
    return found


def watch_notes(watch: dict[str, Any]) -> list[str]:
    """What is in the way of watching the files."""
    found = [f"{file} cannot be read: {reason}" for file, reason in watch.get("unreadable", {}).items()]
    found += [f"{file}: its change is not applied: {text}" for file, text in watch.get("bases_refused", {}).items()]
    held = watch.get("deletions_held") or []
    if held:
        found.append(f"{counted(len(held), 'file')} missing and nothing is removed: runner approve --all-deletes")
    return found


def config_notes(config: dict[str, Any]) -> list[str]:
    """Why what runner.yaml says is not in force, if it is not."""
    return [] if config.get("state", IN_FORCE) == IN_FORCE else [f"{config['file']}: {config['text']}"]


def headline(result: dict[str, Any]) -> str:
    """The line under the table: mode first, because paper and live must never be mistaken for each other."""
    strategies = result["strategies"]
    running = sum(line.get("phase") == "Running" for line in strategies)
    parts = [f"{str(result.get('mode') or 'unknown').upper()} account {result.get('account') or 'unknown'}"]
    if result.get("equity"):
        parts.append(f"equity {number(result['equity'])} {result.get('base_currency') or ''}".rstrip())
    parts.append(f"{counted(len(strategies), 'strategy', 'strategies')}, {running} running")
    if result.get("running") is False:
        parts.append("runner not running")
    else:
        watch = result.get("watch")
        if watch is not None:
            parts.append(f"watch {watch['mode']}" if watch["watching"] else "not watching files")
        parts.append(f"IB {'connected' if result.get('connected') else 'NOT CONNECTED'} ({result.get('gateway', '')})")
    if result.get("time"):
        parts.append(f"{moment(result['time'])} UTC")
    return " · ".join(parts)


def _generations(line: dict[str, Any]) -> str:
    """`9/8/8` of a file that is watched, else the one number there is."""
    reload = line.get("reload")
    return number(line.get("generation"), places=0) if not reload else generations(reload["generations"])


def _row(line: dict[str, Any]) -> list[str]:
    return [
        line["name"],
        line.get("phase") or NOTHING,
        _ready(line.get("reload") or {}),
        _generations(line),
        number(line.get("positions"), places=0),
        percent(line.get("exposure")),
        number(line.get("day_pnl"), signed=True),
        number(line.get("net_pnl"), signed=True),
        number(line.get("orders_today"), places=0),
        line.get("file") or NOTHING,
    ]
