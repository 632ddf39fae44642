"""`runner plan|apply`: what the files would change, and doing it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from runner.cli.client import CHANGE_TIMEOUT_S, NotRunning, call
from runner.cli.group import Command
from runner.cli.output import counted, moment, number, percent, show_json
from runner.cli.settings import Settings
from runner.cli.versions import order, show_strategies
from runner.errors import ConfigError, ExitCode, RunnerError

PLAN_FORMAT = "1.0"
AGAIN = "make one with: runner plan --out FILE"


class NoPlan(RunnerError):
    """The file that was named holds no plan that can be applied."""

    exit_code = ExitCode.PROBLEMS


@click.command(cls=Command)
@click.argument("names", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Keep the plan, for `runner apply FILE`.")
@click.option("--exit-code", is_flag=True, help="End with 3 when there is something to change, or to approve.")
@click.option("--offline", is_flag=True, help="Compare with what ran last, without a running runner and its prices.")
@click.pass_context
def plan(ctx: click.Context, names: tuple[str, ...], out: Path | None, exit_code: bool, offline: bool) -> None:
    """Show what the strategy files would change: fields, what each needs, and the orders that would follow.

    Nothing is applied. The orders are those of a decision at this moment's prices, hooks not asked.
    """
    settings = ctx.ensure_object(Settings)
    if offline:
        from runner.cli.ask import read_journal
        from runner.manager.reload.offline import offline_plan

        config = settings.load_config()
        result = read_journal(config.state_dir, lambda journal: offline_plan(config, journal, names))
    else:
        result = call(settings.find_state_dir(), "plan", timeout_s=CHANGE_TIMEOUT_S, names=list(names))
    if out is not None:
        _write_plan(out, result)
    deployment = result.get("config") or {"action": "none"}
    if settings.json:
        show_json(result)
    else:
        for line in result["strategies"]:
            click.echo("\n".join(_lines(line)))
        if deployment["action"] != "none":
            click.echo("\n".join(_config_lines(deployment)))
        changing = counted(result["changes"], "strategy", "strategies")
        asked = f", {counted(result['held'], 'is', 'are')} held" if result["held"] else ""
        click.echo(f"{changing} would change{asked}. Nothing applied.")
    differs = result["changes"] or result["held"] or deployment["action"] != "none"
    ctx.exit(ExitCode.CHANGES if exit_code and differs else ExitCode.OK)


_ACTIONS = {
    "apply": "would be applied",
    "hold": "would be held",
    "held": "is held",
    "aside": "its file is set aside",
    "rejected": "was rejected",
    "wait": "would wait",
    "refuse": "is refused",
    "start": "would be started",
    "remove": "would be removed",
    "gone": "has no file",
    "kept": "is kept",
    "note": "changes only what describes it",
    "none": "runs as its file says",
}


def _lines(line: dict[str, Any]) -> list[str]:
    """One strategy of a plan, for people."""
    head = f"{line['strategy']}: {_ACTIONS[line['action']]}"
    if line.get("why"):
        head += f": {line['why']}"
    lines = [head, *_changes(line["changes"])]
    lines += [f"  {text}" for text in line.get("problems", ())]
    if line.get("on_remove"):
        lines.append(f"  its file is gone; on_remove: {line['on_remove']}")
    if line.get("effect") is not None:
        lines += [f"  {text}" for text in _effect(line["effect"])]
    elif line.get("effect_missing"):
        lines.append(f"  orders not known: {line['effect_missing']}")
    return lines


def _changes(found: list[dict[str, Any]]) -> list[str]:
    """A line for each field."""
    widest = max((len(change["path"]) for change in found), default=0)
    widest_place = max((len(change.get("where") or "") for change in found), default=0)
    lines = []
    for change in found:
        hidden = change["old"] is None and change["new"] is None
        values = "" if hidden else f"{_shown(change['old'])} → {_shown(change['new'])}"
        lines.append(
            f"  {change.get('where') or '':<{widest_place}}  {change['path']:<{widest}}  {values:<28}  "
            f"{change['apply']:<11}  {change['direction']}".rstrip()
        )
    return lines


_CONFIG_ACTIONS = {
    "apply": "would be applied",
    "restart": "takes effect when the runner is started again",
    "refuse": "is refused",
}


def _config_lines(config: dict[str, Any]) -> list[str]:
    """What runner.yaml would change, for people."""
    head = f"{config['file']}: {_CONFIG_ACTIONS[config['action']]}"
    return [head, *_changes(config["changes"]), *(f"  {text}" for text in config["problems"])]


def _effect(effect: dict[str, Any]) -> list[str]:
    when = f"at the next decision ({moment(effect['at'])} UTC)" if effect["at"] else "at the next bar"
    lines = [f"{when}, with prices of {moment(effect['prices_of'])} UTC:"]
    by_symbol = {one["symbol"]: one for one in effect["orders"]}
    for target in effect["targets"]:
        symbol, one = target["symbol"], by_symbol.get(target["symbol"])
        aims = f"target {number(target['now'], places=None)} → {number(target['then'], places=None)}"
        sent = "no order" if one is None else f"{one['side']} {number(one['quantity'], places=None)}"
        worth = "" if one is None or one["value"] is None else f"≈ {number(one['value'])}"
        lines.append(f"  {symbol:<8} {aims:<28} {sent:<16} {worth}".rstrip())
    for stop in effect["stops"]:
        lines.append(f"  would trigger now: {stop['symbol']} ({stop['reason']})")
    for one in effect["cancelled"]:
        lines.append(f"  would be cancelled: {one['side']} {number(one['quantity'], places=None)} {one['symbol']}")
    if effect["working"]:
        lines.append(f"working orders: {effect['working']}, of which {len(effect['cancelled'])} would be cancelled")
    lines += effect["warnings"]
    if effect["turnover"] is not None:
        lines.append(f"turnover ≈ {percent(effect['turnover'])} of strategy equity")
    return lines


def _shown(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@click.command(cls=Command)
@click.argument("plan_file", metavar="[PLAN]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--reason", default="", metavar="TEXT", help="Kept with the versions and shown by history.")
@click.pass_context
def apply(ctx: click.Context, plan_file: Path | None, reason: str) -> None:
    """Carry out a PLAN that `runner plan --out` kept, or bring files and strategies together now.

    A plan is approved by applying it: what was held or waits for the end of the trading window is done. Ends with 6
    when a file or a running strategy is not what the plan was made from.
    """
    settings = ctx.ensure_object(Settings)
    made = None if plan_file is None else _read_plan(plan_file)
    try:
        result = order(settings, "apply", plan=made, reason=reason)
    except NotRunning:
        if made is not None:
            raise
        raise NotRunning(
            "no runner is running, so there is nothing to apply files to",
            hint="`runner run --once` brings the store up to date with them",
        ) from None
    ctx.exit(show_strategies(settings, result))


def _write_plan(path: Path, result: dict[str, Any]) -> None:
    from runner.spec.files import write_atomically

    write_atomically(path, (json.dumps({"plan_format": PLAN_FORMAT, **result}, indent=2) + "\n").encode())


def _read_plan(path: Path) -> dict[str, Any]:
    from runner.manager.reload.kept_plan import planned

    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise click.UsageError(f"there is no file {path}; {AGAIN}") from None
    except OSError as error:
        raise NoPlan(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError) as error:
        raise NoPlan(f"{path} is not a plan: {error}", hint=AGAIN) from None
    if not isinstance(found, dict) or found.get("plan_format") != PLAN_FORMAT:
        raise NoPlan(f"{path} is not a plan of this version", hint=AGAIN)
    try:
        planned(found)
    except ConfigError as error:
        raise NoPlan(f"{path}: {error.message}", hint=error.hint) from None
    return found
