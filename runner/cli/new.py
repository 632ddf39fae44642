"""`runner new`: a strategy file to start from, out of a template or another strategy's file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.ask import shown
from runner.cli.group import Command
from runner.cli.options import as_typed
from runner.cli.output import show_json
from runner.cli.problems import show_problems
from runner.cli.settings import Settings
from runner.errors import ConfigError, SpecError

if TYPE_CHECKING:
    from runner.spec.config import RunnerConfig
    from runner.spec.folder import Loaded
    from runner.spec.load import Document
    from runner.spec.problems import KeyPath
    from runner.spec.write import Verbatim

TEMPLATE_NAMES = ("trend", "meanrev", "momentum", "rebalance", "custom")
SCHEMAS = "schemas"
"""Folder of the schemas, in the project."""


@click.command(cls=Command)
@click.argument("name")
@click.option("--template", type=click.Choice(TEMPLATE_NAMES), help="What to start from; default trend.")
@click.option("--from", "source", metavar="STRATEGY", help="Copy the file of this strategy, comments and all.")
@click.option("--set", "added", metavar="KEY=VALUE", multiple=True, help="Say this too; may be repeated.")
@click.pass_context
def new(ctx: click.Context, name: str, template: str | None, source: str | None, added: tuple[str, ...]) -> None:
    """Write the file of a new strategy, named after NAME in small letters.

    The file has every setting of its blocks with its meaning, limits and default. KEY is a path such as
    params.stop_loss or signals.trend.with.fast. Nothing is overwritten, and what would not be valid is not written.
    """
    from runner.spec.typed import parse_setting

    if template is not None and source is not None:
        raise click.UsageError("name a template or a strategy to copy, not both", ctx)
    settings = ctx.ensure_object(Settings)
    _check_name(name, ctx)
    try:
        config = settings.load_config()
    except ConfigError as error:
        raise SpecError(error.message, hint=error.hint) from error
    said = [as_typed(ctx, parse_setting, text) for text in added]
    others = _others(config)
    _check_free(name, others)
    if source is None:
        folder, text = Path(shown(config.strategies_dir)), _from_template(name, template, said, config)
    else:
        original = _original(source, others)
        folder, text = original.path.parent, _copied(original, name, said)
    path = folder / f"{name.lower()}.yaml"
    _check(text, path, config, settings)
    _write(path, text)
    _report(name, path, config, settings)


def _check_name(name: str, ctx: click.Context) -> None:
    from runner.spec.schema import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN.strip("^$"), name):
        message = f'"{name}" cannot be the name of a strategy: begin with a letter; letters, digits, _ and - may follow'
        raise click.UsageError(f"{message}, 32 at most", ctx)


def _others(config: RunnerConfig) -> tuple[Loaded, ...]:
    from runner.spec.folder import load_folder
    from runner.spec.levels import Level

    folder = Path(shown(config.strategies_dir))
    return load_folder(folder, level=Level.SCHEMA).loaded if folder.is_dir() else ()


def _check_free(name: str, others: tuple[Loaded, ...]) -> None:
    """A second file of one name would keep both from being used."""
    for one in others:
        if one.name.casefold() == name.casefold():
            raise SpecError(f"{one.path.as_posix()} is the strategy {one.name} already", hint="choose another name")


def _from_template(name: str, template: str | None, said: list[tuple[KeyPath, Verbatim]], config: RunnerConfig) -> str:
    from runner.spec.commented import commented
    from runner.spec.schema import STRATEGY_FILE
    from runner.spec.templates import TEMPLATES, put

    chosen = TEMPLATES[template or TEMPLATE_NAMES[0]]
    values = chosen.said(name)
    for path, value in said:
        put(values, path, value)
    schema = os.path.relpath(_root(config) / SCHEMAS / STRATEGY_FILE, config.strategies_dir)
    return commented(values, title=chosen.title, schema=Path(schema).as_posix(), shown=chosen.shown)


def _original(source: str, others: tuple[Loaded, ...]) -> Loaded:
    from runner.spec.problems import closest

    for one in others:
        if one.name == source:
            return one
    names = [one.name for one in others if one.name]
    guess = closest(source, names)
    hint = f"did you mean {guess}?" if guess else f"there are: {', '.join(names) or 'none'}"
    raise SpecError(f'no file has the strategy "{source}"', hint=hint)


def _copied(original: Loaded, name: str, said: list[tuple[KeyPath, Verbatim]]) -> str:
    from runner.spec.edit import REMOVE, Change, edited
    from runner.spec.load import parse_text
    from runner.spec.write import Verbatim

    file = original.path.as_posix()
    text = original.sources[file]
    for path, value in [(("name",), Verbatim(name)), *said]:
        document = parse_text(text, file=file)
        changes = [Change(path, value)]
        if path[-1] == "use" and _leaves_settings(document, path, value):
            changes.insert(0, Change((*path[:-1], "with"), REMOVE))
        text = edited(document, *changes)
    return text


def _leaves_settings(document: Document, path: KeyPath, value: str) -> bool:
    """Whether another block would inherit settings, which mean nothing to it."""
    block = None if document.root is None else document.root.find(path[:-1])
    use = None if block is None else block.child("use")
    return block is not None and use is not None and use.value != value and block.child("with") is not None


def _check(text: str, path: Path, config: RunnerConfig, settings: Settings) -> None:
    """Show what is wrong with the file that would be written; raises SpecError when it could not be used."""
    from runner.spec.deployment import Deployment
    from runner.spec.folder import load_text

    loaded = load_text(text, path=path, root=config.strategies_dir, deployment=Deployment.of(config))
    if not settings.json:
        show_problems(loaded.problems, loaded.sources, settings, error=True)
    if any(problem.is_error for problem in loaded.problems):
        first = next(problem for problem in loaded.problems if problem.is_error)
        raise SpecError(f"{path.as_posix()} would not be valid: {first.message}", hint="nothing was written")


def _write(path: Path, text: str) -> None:
    from runner.spec.files import CannotWrite

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            hint = "choose another name, or move the file away"
            raise SpecError(f"there is a file {path.as_posix()} already", hint=hint)
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise CannotWrite.because(path, error) from error


def _report(name: str, path: Path, config: RunnerConfig, settings: Settings) -> None:
    following = f"runner validate {path.as_posix()}"
    if settings.json:
        show_json({"name": name, "file": path.as_posix(), "next": following})
        return
    click.echo(f"wrote {path.as_posix()}")
    if not (_root(config) / SCHEMAS).is_dir():
        settings.note("there is no folder schemas, so editors cannot help yet: `runner schema --write` makes it")
    click.echo(f"next: {following}")


def _root(config: RunnerConfig) -> Path:
    """The project's folder: where runner.yaml is, or would be."""
    return config.file.parent if config.file is not None else Path.cwd()
