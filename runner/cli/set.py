"""`runner set|restore`: one value of a strategy, in its file or for a while in place of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.client import NotRunning, RemoteError
from runner.cli.group import Command
from runner.cli.options import as_typed
from runner.cli.output import show_json
from runner.cli.settings import Settings
from runner.cli.versions import order, show_strategies
from runner.errors import ExitCode, SpecError

if TYPE_CHECKING:
    from runner.spec.config import RunnerConfig
    from runner.spec.edit import Change
    from runner.spec.folder import Loaded
    from runner.spec.load import Document
    from runner.spec.problems import KeyPath
    from runner.spec.write import Verbatim

_LASTS = re.compile(r"([1-9][0-9]{0,8})([smhd])\Z", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_NEGATIVE = re.compile(r"-\.?[0-9]", re.ASCII)
_NULL = ("null", "~")
"""Values that take a key away."""


class _SetCommand(Command):
    """Takes what begins like a negative number for the value that it is: no option is called so."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            return super().parse_args(ctx, args)
        with_value = {
            name for one in self.params if isinstance(one, click.Option) and not (one.is_flag or one.count)
            for name in one.opts
        }  # fmt: skip
        numbers = [
            at for at, arg in enumerate(args)
            if _NEGATIVE.match(arg) and (at == 0 or args[at - 1] not in with_value)
        ]  # fmt: skip
        if numbers:
            others = [arg for at, arg in enumerate(args) if at not in numbers]
            args = [*others, "--", *(args[at] for at in numbers)]
        return super().parse_args(ctx, args)


@click.command("set", cls=_SetCommand)
@click.argument("name")
@click.argument("field")
@click.argument("value")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept and shown by history.")
@click.option("--for", "lasts", metavar="TIME", help="Not in the file: in place of it for so long, as 30m, 2h or 1d.")
@click.pass_context
def set_value(ctx: click.Context, name: str, field: str, value: str, reason: str, lasts: str | None) -> None:
    """Set FIELD of NAME to VALUE in its file, comments and layout kept, and wait for the result.

    FIELD is a dotted path such as params.max_daily_loss. VALUE is YAML on one line, as it stands in the file: 0.02,
    true, some words, [AAPL, MSFT]; null takes the key away, so that its default holds. The changed file is checked
    before it is written.

    With --for the file stays as it is: the value holds in place of it and goes back by itself.
    """
    from runner.spec.render.text import brief
    from runner.spec.typed import parse_path, parse_value

    settings = ctx.ensure_object(Settings)
    path = as_typed(ctx, parse_path, field)
    if not value.strip():
        raise click.UsageError(f"the value is empty; null takes {field} away, '\"\"' is a text without characters", ctx)
    said = as_typed(ctx, parse_value, value)
    if lasts is not None:
        ctx.exit(_set_for_a_while(ctx, name, field, said, lasts, reason))
    config = settings.load_config()
    loaded = _file_of(config, name)
    before, text = _edited(config, loaded, path, said)
    from runner.manager.reload.files import text_sha256
    from runner.spec.files import rewrite

    try:
        order(settings, "announce", name=name, sha256=text_sha256(text), reason=reason)
    except (NotRunning, RemoteError):
        pass  # nobody is there to be told, or nobody who knows the strategy yet
    rewrite(loaded.path, text, over=before)
    done = "is gone, its default holds" if said in _NULL else f"is {brief(said)}"
    settings.note(f"{loaded.path}: {field} {done}")
    try:
        result = order(settings, "reload", name=name)
    except NotRunning:
        settings.note("no runner is running; it takes the file as it is when it starts")
        if settings.json:
            show_json({"strategies": []})
        ctx.exit(ExitCode.OK)
    ctx.exit(show_strategies(settings, result))


# ----------------------------------------------------------------------------------------------------- in the file


def _file_of(config: RunnerConfig, name: str) -> Loaded:
    from runner.cli.ask import shown
    from runner.spec.deployment import Deployment
    from runner.spec.folder import load_folder
    from runner.spec.problems import closest

    folder = load_folder(Path(shown(config.strategies_dir)), deployment=Deployment.of(config))
    found = [one for one in folder.loaded if one.name == name]
    if not found:
        names = sorted(one.name for one in folder.loaded if one.name)
        guess = closest(name, names)
        hint = f"did you mean {guess}?" if guess else f"there are: {', '.join(names) or 'none'}"
        raise SpecError(f"no file in {shown(config.strategies_dir)} has the strategy {name}", hint=hint)
    if len(found) > 1:
        files = ", ".join(one.path.name for one in found)
        raise SpecError(f"{name} is in several files: {files}", hint="only one of them can have the name")
    return found[0]


def _edited(config: RunnerConfig, loaded: Loaded, path: KeyPath, said: Verbatim) -> tuple[str, str]:
    """The text of the file, and with the value in it. SpecError with every problem when that would not be valid."""
    from runner.manager.reload.edits import edited_text
    from runner.spec.deployment import Deployment
    from runner.spec.edit import Change
    from runner.spec.load import read_document
    from runner.spec.problems import dotted
    from runner.spec.render.text import brief

    document = read_document(loaded.path)
    edit = _removal(config, loaded, document, path) if said in _NULL else Change(path, said)
    text, wrong = edited_text(
        document, edit, path=loaded.path, root=config.strategies_dir, deployment=Deployment.of(config)
    )
    if wrong:
        message = f"{brief(dotted(path))} cannot be {brief(said)}; the file was left as it is"
        raise SpecError(message, wrong, sources={loaded.path.as_posix(): text})
    return document.text, text


def _removal(config: RunnerConfig, loaded: Loaded, document: Document, path: KeyPath) -> Change:
    """What makes the default hold: the key goes, or, where a base has it too, is null, which undoes that."""
    from runner.spec.deployment import Deployment
    from runner.spec.edit import REMOVE, Change, edited
    from runner.spec.folder import load_text
    from runner.spec.problems import dotted
    from runner.spec.write import Verbatim

    there = document.root is None or document.root.find(path) is not None
    text = edited(document, Change(path, REMOVE)) if there else document.text
    without = load_text(text, path=loaded.path, root=config.strategies_dir, deployment=Deployment.of(config))
    if without.root is not None and without.root.find(path) is not None:
        return Change(path, Verbatim(_NULL[0]))
    if not there:
        raise SpecError(f"neither {loaded.path.as_posix()} nor a base of it says anything about {dotted(path)}")
    return Change(path, REMOVE)


# ----------------------------------------------------------------------------------------------------- for a while


def _set_for_a_while(
    ctx: click.Context, name: str, field: str, said: Verbatim, lasts: str, reason: str
) -> int:  # fmt: skip
    from runner.spec.typed import value_of

    settings = ctx.ensure_object(Settings)
    _check_field(ctx, field)
    seconds = _seconds(ctx, lasts)
    value = value_of(said)
    if value is None:
        raise click.UsageError("--for puts a value in place of the file's, and null is none", ctx)
    if not reason:
        raise click.UsageError("--for needs a --reason: somebody will find it in place of the file", ctx)
    result = order(settings, "override", name=name, path=field, value=value, lasts_s=seconds, reason=reason)
    return show_strategies(settings, result)


def _check_field(ctx: click.Context, field: str) -> None:
    """UsageError when there is no such field, or none that may have another value than the file's."""
    from runner.manager.reload.orders import OVERRIDABLE
    from runner.manager.reload.track import ENABLED, PARAMS
    from runner.spec.problems import closest
    from runner.spec.render.text import brief

    name = field.removeprefix(PARAMS)
    if field == ENABLED or (field.startswith(PARAMS) and name in OVERRIDABLE):
        return
    guess = closest(name, (*OVERRIDABLE, ENABLED))
    if field.startswith(PARAMS) or guess:
        meant = guess if guess == ENABLED else f"{PARAMS}{guess}"
        step = f"did you mean {meant}?" if guess else f"there are: {', '.join(OVERRIDABLE)}"
        what = f"no parameter {brief(name)}" if field.startswith(PARAMS) else f"no field {brief(field)}"
        raise click.UsageError(f"there is {what}; {step}", ctx)
    message = f"{brief(field)} is changed in the file, without --for: only enabled and params.… have values for a while"
    raise click.UsageError(message, ctx)


def _seconds(ctx: click.Context, text: str) -> float:
    from runner.manager.reload.orders import MAX_OVERRIDE

    match = _LASTS.match(text)
    if match is None:
        raise click.UsageError(f"{text[:20]!r} is not a time; write it as 30m, 2h or 1d", ctx)
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > MAX_OVERRIDE.total_seconds():
        longest = f"{MAX_OVERRIDE.days}d"
        raise click.UsageError(f"--for {text} is longer than {longest}; a longer wish belongs in the file", ctx)
    return seconds


@click.command(cls=Command)
@click.argument("name")
@click.argument("field", required=False)
@click.option("--reason", default="", metavar="TEXT", help="Why; kept and shown by history.")
@click.pass_context
def restore(ctx: click.Context, name: str, field: str | None, reason: str) -> None:
    """End what holds in place of the file of NAME: of one FIELD, or of all."""
    settings = ctx.ensure_object(Settings)
    ctx.exit(show_strategies(settings, order(settings, "restore", name=name, path=field, reason=reason)))
