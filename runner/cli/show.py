"""`runner show`: what a strategy's file comes to, with defaults and bases, and where each value is from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.ask import shown
from runner.cli.group import Command
from runner.cli.output import Column, show_json, show_table
from runner.cli.problems import show_problems
from runner.cli.settings import Settings
from runner.errors import ConfigError, ExitCode, SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.spec.folder import Loaded
    from runner.spec.origin import Value

MAX_VALUE = 60
"""Characters of a value beside its origin; without --origin it is whole."""


@click.command(cls=Command)
@click.argument("name")
@click.option("--origin", is_flag=True, help="Say of every value where it comes from.")
@click.option("--resolved", "form", flag_value="resolved", default=True, help="With bases and defaults; the default.")
@click.option("--raw", "form", flag_value="raw", help="The text of the file as it is.")
@click.pass_context
def show(ctx: click.Context, name: str, origin: bool, form: str) -> None:
    """Show the settings that a strategy would trade with, written out in full.

    NAME is a strategy's name or the path of its file. The result is a strategy file itself: with everything from its
    bases, and every default. A file with problems is shown as far as it can be resolved; the problems are on stderr,
    and the command ends with 1.
    """
    if origin and form == "raw":
        raise click.UsageError("--raw shows the text as it is; --origin needs it resolved", ctx)
    settings = ctx.ensure_object(Settings)
    loaded = find(name, settings)
    if form == "raw":
        _show_raw(loaded, settings)
    else:
        _show_resolved(loaded, settings, origin=origin)
    _show_problems(loaded, settings)
    ctx.exit(ExitCode.OK if _usable(loaded) else ExitCode.PROBLEMS)


def find(name: str, settings: Settings) -> Loaded:
    """The strategy file of that name or path. Raises SpecError when there is none, or more than one."""
    from runner.spec.deployment import Deployment
    from runner.spec.folder import load_folder
    from runner.spec.problems import closest

    try:
        config = settings.load_config()
    except ConfigError as error:
        raise SpecError(error.message, hint=error.hint) from error
    folder = Path(shown(config.strategies_dir))
    every = load_folder(folder, deployment=Deployment.of(config)).loaded
    found = [one for one in every if one.name == name] or [one for one in every if _same(one.path, name)]
    if len(found) > 1:
        files = " and ".join(one.path.as_posix() for one in found)
        raise SpecError(f"{files} have the name {name}", hint=f"runner show {found[0].path.as_posix()}")
    if not found:
        guess = closest(name, [one.name for one in every if one.name])
        hint = f"did you mean {guess}?" if guess else f"`runner validate` lists the files of {folder.as_posix()}"
        raise SpecError(f'no file in {folder.as_posix()} has the strategy "{name}"', hint=hint)
    return found[0]


def _same(path: Path, name: str) -> bool:
    return Path(name).absolute() == path.absolute() or name == path.name


def _usable(loaded: Loaded) -> bool:
    return not any(problem.is_error for problem in loaded.problems)


def _show_raw(loaded: Loaded, settings: Settings) -> None:
    text = loaded.sources.get(loaded.path.as_posix(), "")
    if settings.json:
        show_json({**_about(loaded), "text": text})
    else:
        click.echo(text, nl=False)


def _show_resolved(loaded: Loaded, settings: Settings, *, origin: bool) -> None:
    from runner.spec.origin import nested, resolved
    from runner.spec.write import block

    values = () if loaded.root is None else resolved(loaded.root)
    if settings.json:
        show_json({**_about(loaded), "values": [_plain(value) for value in values], "document": nested(values)})
    elif not values:
        settings.note(f"nothing of {loaded.path.as_posix()} can be resolved")
    elif origin:
        _show_origins(values, settings)
    else:
        files = [loaded.path.as_posix(), *(shown(base) for base in loaded.bases)]
        click.echo(f"# {loaded.name or loaded.path.stem}, from {', '.join(files)}")
        click.echo(block(nested(values)), nl=False)


def _show_origins(values: Sequence[Value], settings: Settings) -> None:
    from runner.spec.write import flow

    columns = (Column("Key"), Column("Value", folds=True), Column("From"))
    show_table(columns, [(value.name, _cut(flow(value.value)), value.origin.text) for value in values], settings)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 1]}…"


def _show_problems(loaded: Loaded, settings: Settings) -> None:
    if settings.json or not loaded.problems:
        return
    show_problems(loaded.problems, loaded.sources, settings, error=True)
    if not _usable(loaded):
        settings.note(f"{loaded.path.as_posix()} is not used: this is as far as it can be resolved")


def _about(loaded: Loaded) -> dict[str, Any]:
    from runner.spec.render import to_json

    return {
        "name": loaded.name or None,
        "file": loaded.path.as_posix(),
        "bases": [shown(base) for base in loaded.bases],
        "usable": _usable(loaded),
        "problems": to_json(loaded.problems),
    }


def _plain(value: Value) -> dict[str, Any]:
    span = value.origin.span
    return {
        "path": value.name,
        "value": value.value,
        "origin": {
            "kind": value.origin.kind,
            "text": value.origin.text,
            "file": None if span is None else span.file,
            "line": None if span is None else span.line,
        },
    }
