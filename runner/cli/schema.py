"""`runner schema`: the JSON Schemas of strategy files, their bases and runner.yaml, for editors and CI."""

from __future__ import annotations

import json
from pathlib import Path

import click

from runner.cli.group import Command
from runner.cli.output import show_json
from runner.cli.settings import Settings
from runner.errors import ExitCode

NAMES = ("strategy", "strategy-base", "strategy-test", "runner")
USUAL_FOLDER = "schemas"


@click.command(cls=Command)
@click.argument("name", required=False, type=click.Choice(NAMES))
@click.option(
    "--write",
    "target",
    is_flag=False,
    flag_value=USUAL_FOLDER,
    metavar="[DIR]",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the schemas to DIR; default schemas.",
)
@click.option(
    "--check",
    "compared",
    is_flag=False,
    flag_value=USUAL_FOLDER,
    metavar="[DIR]",
    type=click.Path(path_type=Path, file_okay=False),
    help="End with 1 when the schemas in DIR are not those of this version.",
)
@click.pass_context
def schema(ctx: click.Context, name: str | None, target: Path | None, compared: Path | None) -> None:
    """Print, write or check the JSON Schemas of the files.

    NAME is strategy, strategy-base (files whose name begins with _), strategy-test (tests beside a strategy) or runner
    (runner.yaml). Without NAME all of them are meant. Editors that run the YAML language server find the schema through
    the first line of a strategy file.
    """
    if target is not None and compared is not None:
        raise click.UsageError("write the schemas or check them, not both", ctx)
    settings = ctx.ensure_object(Settings)
    wanted = _wanted(name)
    if target is not None:
        _write(target, wanted, settings)
    elif compared is not None:
        ctx.exit(_check(compared, wanted, settings))
    elif name is not None and not settings.json:
        click.echo(next(iter(wanted.values())), nl=False)
    else:
        schemas = {file: json.loads(text) for file, text in wanted.items()}
        show_json({"schemas": schemas}) if settings.json else click.echo(
            json.dumps(schemas, indent=2, ensure_ascii=False)
        )


def _wanted(name: str | None) -> dict[str, str]:
    """File name → text."""
    from runner.spec.schema import schema_texts

    return {file: text for file, text in schema_texts().items() if name is None or file == f"{name}.schema.json"}


def _write(folder: Path, wanted: dict[str, str], settings: Settings) -> None:
    from runner.spec.files import CannotWrite

    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in wanted.items():
            path = folder / file
            path.write_text(text, encoding="utf-8")
            written.append(path.as_posix())
    except OSError as error:
        saying = f"the schemas cannot be written to {folder.as_posix()}"
        raise CannotWrite.because(folder / next(iter(wanted)), error, saying=saying) from error
    if settings.json:
        show_json({"written": written})
    else:
        click.echo("\n".join(f"wrote {path}" for path in written))


def _check(folder: Path, wanted: dict[str, str], settings: Settings) -> ExitCode:
    stale = [(folder / file).as_posix() for file, text in wanted.items() if _text(folder / file) != text]
    if settings.json:
        show_json({"fresh": not stale, "stale": stale})
    elif stale:
        for path in stale:
            click.echo(f"{path} is not the schema of this version")
        settings.note(f"hint: runner schema --write {folder.as_posix()}")
    else:
        click.echo(f"the schemas in {folder.as_posix()} are those of this version")
    return ExitCode.PROBLEMS if stale else ExitCode.OK


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
