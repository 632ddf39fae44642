"""`runner validate`: all problems of the strategy files, with file, line and column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.ask import shown
from runner.cli.group import Command
from runner.cli.output import show_json
from runner.cli.problems import show_problems
from runner.cli.settings import Settings
from runner.errors import ConfigError, ExitCode, SpecError

if TYPE_CHECKING:
    from runner.spec.problems import Problem

NOT_CHECKED = (
    "code of hooks",
    "contracts at IB",
    "market data and its permissions",
    "limits of the account",
)
"""What only a session with the gateway, or running the code, could tell."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was looked at and what is wrong with it. File names are as a person would type them from here."""

    files: tuple[str, ...]
    strategies: tuple[tuple[str, str], ...]
    """(name, file) of every file that can be used."""
    problems: tuple[Problem, ...]
    sources: Mapping[str, str]
    """The text of every file that a problem points at."""

    @property
    def errors(self) -> int:
        return sum(problem.is_error for problem in self.problems)

    @property
    def warnings(self) -> int:
        return len(self.problems) - self.errors


@click.command(cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--format", "form", type=click.Choice(["text", "concise", "json"]), help="How problems are shown; default text."
)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.pass_context
def validate(ctx: click.Context, paths: tuple[Path, ...], form: str | None, strict: bool) -> None:
    """Check strategy files without running them; by default all of strategies.d.

    With PATHs only their problems are shown, but the names in the whole folder still count. Ends with what was not
    checked, because a file that passes here can still meet a contract that IB does not know.
    """
    settings = ctx.ensure_object(Settings)
    try:
        folder = Path(settings.load_config().strategies_dir)
    except ConfigError as error:
        # For `run` a bad configuration is its own exit code; here it is one more file with problems.
        raise SpecError(error.message, hint=error.hint) from error
    findings = look(folder, paths)
    if settings.json or form == "json":
        show_json(as_json(findings))
    elif form == "concise":
        _show_concise(findings, settings)
    else:
        _show_text(findings, settings)
    failed = findings.errors or (strict and findings.warnings)
    ctx.exit(ExitCode.PROBLEMS if failed else ExitCode.OK)


def look(folder: Path, paths: tuple[Path, ...]) -> Findings:
    """Load `folder`, or the `paths` alone; a path inside `folder` is checked against its neighbours too."""
    if not paths:
        if not folder.is_dir():
            raise SpecError(f"there is no folder {shown(folder)}", hint="make it, or name files: runner validate PATH")
        return _of_folder(folder)
    found = [_of_path(path, folder) for path in paths]
    return Findings(
        files=tuple(dict.fromkeys(name for part in found for name in part.files)),
        strategies=tuple(dict.fromkeys(pair for part in found for pair in part.strategies)),
        problems=tuple(dict.fromkeys(problem for part in found for problem in part.problems)),
        sources={name: text for part in found for name, text in part.sources.items()},
    )


def _of_path(path: Path, folder: Path) -> Findings:
    if path.is_dir():
        return _of_folder(path)
    if folder.is_dir() and path.resolve().is_relative_to(folder.resolve()):
        return _only(_of_folder(folder), path)
    from runner.spec.folder import load_file

    loaded = load_file(path, root=path.parent)
    return Findings(
        files=(path.as_posix(),),
        strategies=() if loaded.spec is None else ((loaded.spec.name, path.as_posix()),),
        problems=loaded.problems,
        sources=loaded.sources,
    )


def _of_folder(folder: Path) -> Findings:
    from runner.spec.folder import load_folder

    found = load_folder(Path(shown(folder)))
    return Findings(
        files=tuple(one.path.as_posix() for one in found.loaded),
        strategies=tuple((one.spec.name, one.path.as_posix()) for one in found.loaded if one.spec is not None),
        problems=found.problems,
        sources=found.sources,
    )


def _only(findings: Findings, path: Path) -> Findings:
    """The part of `findings` that is about one file."""

    def same(name: str) -> bool:
        return Path(name).resolve() == path.resolve()

    return replace(
        findings,
        files=(path.as_posix(),),
        strategies=tuple(pair for pair in findings.strategies if same(pair[1])),
        problems=tuple(problem for problem in findings.problems if same(problem.file)),
    )


def as_json(findings: Findings) -> dict[str, Any]:
    """The findings as plain data."""
    from runner.spec.render import to_json

    return {
        "ok": findings.errors == 0,
        "counts": {
            "files": len(findings.files),
            "strategies": len(findings.strategies),
            "errors": findings.errors,
            "warnings": findings.warnings,
        },
        "strategies": [{"name": name, "file": file} for name, file in findings.strategies],
        "problems": to_json(findings.problems),
        "not_checked": list(NOT_CHECKED),
    }


def summary(findings: Findings) -> list[str]:
    """The closing lines: counts, then what was not looked at."""
    counts = (
        f"{_count(len(findings.files), 'file')}, {_count(len(findings.strategies), 'strategy', 'strategies')}: "
        f"{_count(findings.errors, 'error')}, {_count(findings.warnings, 'warning')}"
    )
    return [counts, f"not checked: {', '.join(NOT_CHECKED)}"]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _show_text(findings: Findings, settings: Settings) -> None:
    show_problems(findings.problems, findings.sources, settings)
    for name, file in findings.strategies:
        if settings.verbosity > 0:
            settings.note(f"{file}: {name}")
    click.echo("\n".join(summary(findings)))


def _show_concise(findings: Findings, settings: Settings) -> None:
    """A line per problem on stdout and nothing else, for tools that read lines."""
    from runner.spec.render import render_concise

    click.echo(render_concise(findings.problems), nl=False)
    settings.note("\n".join(summary(findings)))
