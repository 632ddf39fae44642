"""The `runner` command: one table of subcommands, each imported when it is asked for.

`runner --help` therefore imports click and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from runner import __version__
from runner.cli.settings import COLOR_CHOICES, settings_of

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("runner.cli.demo:demo", "Trade the strategies through past years on the embedded paper gateway."),
    "run": ("runner.cli.run:run", "Run the strategies until stopped."),
    "status": ("runner.cli.status:status", "Show the runner, its account and its strategies."),
    "positions": ("runner.cli.positions:positions", "Show who holds what."),
    "orders": ("runner.cli.orders:orders", "Show orders and what became of them."),
    "fills": ("runner.cli.fills:fills", "Show executions and their commissions."),
    "events": ("runner.cli.events:events", "Print order, fill and status events as JSON lines."),
    "start": ("runner.cli.control:start", "Start strategies."),
    "stop": ("runner.cli.control:stop", "Stop strategies; their positions stay."),
    "pause": ("runner.cli.control:pause", "Block new positions; exits stay active."),
    "resume": ("runner.cli.control:resume", "End a pause."),
    "flatten": ("runner.cli.flatten:flatten", "Close positions and pause."),
    "plan": ("runner.cli.plan:plan", "Show what the strategy files would change, with the orders that would follow."),
    "apply": ("runner.cli.plan:apply", "Carry out a plan, or bring files and strategies together now."),
    "set": ("runner.cli.set:set_value", "Set one value in a strategy's file, or for a while in place of it."),
    "restore": ("runner.cli.set:restore", "End what holds in place of a strategy's file."),
    "reload": ("runner.cli.versions:reload", "Look at the strategy files now."),
    "approve": ("runner.cli.versions:approve", "Put a held version in force."),
    "reject": ("runner.cli.versions:reject", "Say no to a held version."),
    "history": ("runner.cli.history:history", "Show the versions of a strategy and what became of them."),
    "diff": ("runner.cli.history:diff", "Show what two versions say differently."),
    "blame": ("runner.cli.history:blame", "Show which versions changed a field, by whom and why."),
    "rollback": ("runner.cli.versions:rollback", "Put an old version in force again."),
    "drift": ("runner.cli.drift:drift", "Show where the store says something else than the files."),
    "adopt": ("runner.cli.drift:adopt", "Write what the store says into a strategy's file."),
    "revert": ("runner.cli.drift:revert", "Put what a strategy's file says back into the store."),
    "metrics": ("runner.cli.metrics:metrics", "Print metrics for Prometheus."),
    "gateway": ("runner.cli.gateway:gateway", "Serve the paper gateway on its own."),
    "new": ("runner.cli.new:new", "Write the file of a new strategy."),
    "validate": ("runner.cli.validate:validate", "Check strategy files without running them."),
    "show": ("runner.cli.show:show", "Show what a strategy's settings are and where each comes from."),
    "explain": ("runner.cli.explain:explain", "Explain a code, a key, a block or the reason of a decision."),
    "blocks": ("runner.cli.blocks:blocks", "List the blocks that a strategy file can use."),
    "schema": ("runner.cli.schema:schema", "Print, write or check the JSON Schemas of the files."),
}
"""Name → where the command is, and its line in the list of commands."""


def _change_directory(ctx: click.Context, _param: click.Parameter, value: Path | None) -> None:
    if value is None or ctx.resilient_parsing:
        return
    try:
        os.chdir(value)
    except OSError as error:
        raise click.BadParameter(f"cannot go to {value}: {error.strerror}") from None


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """An option callback that notes a value that was given, whichever side of the command it stood."""

    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            setattr(settings_of(ctx), name, value)

    return callback


def _count(step: int) -> Callable[[click.Context, click.Parameter, int], None]:
    def callback(ctx: click.Context, _param: click.Parameter, value: int) -> None:
        settings_of(ctx).verbosity += step * value

    return callback


def shared_options(*, hidden: bool) -> list[click.Option]:
    """The options that every command takes. On subcommands all but --json are left out of the help page."""
    path = click.Path(path_type=Path)
    silent: dict[str, Any] = {"expose_value": False, "hidden": hidden}
    return [
        click.Option(
            ["-C", "directory"], metavar="DIR", type=path, is_eager=True, callback=_change_directory,
            help="Work as if started in DIR.", **silent,
        ),
        click.Option(
            ["--config"], metavar="FILE", type=path, callback=_remember("config_file"),
            help="Configuration file; default runner.yaml when it exists.", **silent,
        ),
        click.Option(
            ["--state-dir"], metavar="DIR", type=path, callback=_remember("state_dir"),
            help="Where journal, store and control socket are; default from the configuration.", **silent,
        ),
        click.Option(
            ["--json"], is_flag=True, expose_value=False, callback=_remember("json"),
            help="Print the result as JSON on stdout.",
        ),
        click.Option(
            ["--color"], type=click.Choice(COLOR_CHOICES), callback=_remember("color"),
            help="Colour and drawn tables; auto honours NO_COLOR and plain pipes.", **silent,
        ),
        click.Option(["-q", "--quiet"], count=True, callback=_count(-1), help="Say less on stderr.", **silent),
        click.Option(["-v", "--verbose"], count=True, callback=_count(1), help="Say more on stderr.", **silent),
    ]  # fmt: skip


class Command(click.Command):
    """A subcommand: takes the shared options too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        taken = {name for param in self.params for name in param.opts}
        self.params += [o for o in shared_options(hidden=True) if not taken.intersection(o.opts)]


class LazyGroup(click.Group):
    """Looks subcommands up in `COMMANDS` and imports the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            close = get_close_matches(args[0], COMMANDS, n=1)
            guess = f" Did you mean {close[0]!r}?" if close else ""
            raise click.UsageError(f"No such command {args[0]!r}.{guess}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


cli = LazyGroup(
    name="runner",
    params=[*shared_options(hidden=False)],
    help=(
        "Run trading strategies written in YAML on Interactive Brokers.\n\n"
        "Strategies are files in strategies.d, the deployment is runner.yaml; without it everything runs on the "
        "embedded paper gateway with its state under .runner."
    ),
    epilog="Exit codes and the control socket are described in docs/cli.md.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
click.version_option(__version__, "-V", "--version", prog_name="runner")(cli)
