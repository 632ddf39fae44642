"""The findings of `runner validate` in the form that was asked for, on stdout, in a file, or in both."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.output import FORMAT_VERSION
from runner.cli.problems import show_problems
from runner.cli.settings import Settings
from runner.spec.files import write_atomically

if TYPE_CHECKING:
    from runner.spec.findings import Findings
    from runner.spec.fix import Change
    from runner.spec.problems import Problem

FORMATS = ("auto", "text", "concise", "json", "github", "sarif", "junit")


def human_form() -> str:
    """What `auto` stands for: annotations in a workflow of GitHub Actions, text elsewhere."""
    return "github" if os.environ.get("GITHUB_ACTIONS") == "true" else "text"


def report(
    findings: Findings,
    settings: Settings,
    *,
    form: str,
    strict: bool = False,
    output: Path | None = None,
    changes: Sequence[Change] = (),
    err: bool = False,
) -> None:
    """Show `findings` on stdout, or on stderr with `err`. With `output` the form goes there and the human one here."""
    if output is not None:
        write_atomically(output, _machine(findings, form, strict, changes).encode("utf-8", "surrogateescape"))
        form = human_form()
    if form == "text":
        _show_changes(changes, err=err)
        show_problems(findings.problems, findings.sources, settings, error=err)
        for name, file in findings.strategies if settings.verbosity > 0 else ():
            settings.note(f"{file}: {name}")
        click.echo("\n".join(findings.summary()), err=err)
        if findings.problems and settings.terminal(error=err):
            settings.note(f"why, an example and the fix: runner explain {_first(findings.problems).code}")
    elif form == "github":
        _show_github(findings, settings, changes, err=err)
    else:
        _show_changes(changes, err=True)
        click.echo(_machine(findings, form, strict, changes), nl=False, err=err)
        if form != "json":
            settings.note("\n".join(findings.summary()))


def _first(problems: Sequence[Problem]) -> Problem:
    """The first error, or the first warning where there is none."""
    return next((problem for problem in problems if problem.is_error), problems[0])


def _changed(changes: Sequence[Change]) -> list[str]:
    """What `--fix` did, a line each: `file:line:column: 15% → 0.15`."""
    from runner.spec.render.text import safe

    lines = [f"{safe(change.file)}:{change.line}:{change.column}: {safe(change.what)}" for change in changes]
    return ["fixed:", *lines, ""] if lines else []


def _show_changes(changes: Sequence[Change], *, err: bool) -> None:
    for line in _changed(changes):
        click.echo(line, err=err)


def _machine(findings: Findings, form: str, strict: bool, changes: Sequence[Change]) -> str:
    make: Mapping[str, Callable[[], str]] = {
        "concise": lambda: _concise(findings),
        "json": lambda: _json(findings, changes),
        "github": lambda: _github(findings, changes),
        "sarif": lambda: _sarif(findings),
        "junit": lambda: _junit(findings, strict),
    }
    return make[form]()


def _concise(findings: Findings) -> str:
    from runner.spec.render import render_concise

    return render_concise(findings.problems)


def _json(findings: Findings, changes: Sequence[Change]) -> str:
    from runner.spec.render.json import findings_as_data

    fixed: list[dict[str, Any]] = [
        {"file": change.file, "line": change.line, "column": change.column, "what": change.what} for change in changes
    ]
    data = {"format_version": FORMAT_VERSION, **findings_as_data(findings), "fixed": fixed}
    return json.dumps(data, indent=2) + "\n"


def _github(findings: Findings, changes: Sequence[Change], *, colour: bool = False) -> str:
    from runner.spec.render.github import render_github

    return render_github(findings, below=_below_root(), before=_changed(changes), colour=colour)


def _show_github(findings: Findings, settings: Settings, changes: Sequence[Change], *, err: bool) -> None:
    from runner.spec.render.github import summary_table

    click.echo(_github(findings, changes, colour=settings.colored()), nl=False, color=True, err=err)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return
    try:
        with open(summary, "a", encoding="utf-8", errors="replace") as stream:
            stream.write(summary_table(findings, below=_below_root()))
    except OSError as error:
        settings.note(f"the summary of the job cannot be written: {(error.strerror or str(error)).lower()}")


def _sarif(findings: Findings) -> str:
    from runner import __version__
    from runner.spec.render.sarif import to_sarif

    log = to_sarif(findings, version=__version__, below=_below_root(), documentation=_documentation())
    return json.dumps(log, indent=2) + "\n"


def _junit(findings: Findings, strict: bool) -> str:
    from runner.spec.render.junit import render_junit

    return render_junit(findings, strict=strict)


def _below_root() -> str:
    """Where file names begin in the repository that GitHub has checked out; empty elsewhere and at its root."""
    workspace = os.environ.get("GITHUB_WORKSPACE")
    here = Path.cwd().resolve()
    if not workspace or not here.is_relative_to(Path(workspace).resolve()):
        return ""
    below = here.relative_to(Path(workspace).resolve()).as_posix()
    return "" if below == "." else f"{below}/"


def _documentation() -> str:
    """The address of our pages, as the installed package names it; empty when it names none."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        named = metadata("ib-strategy-runner").get_all("Project-URL") or ()
    except PackageNotFoundError:
        return ""
    return next((url for label, _, url in (entry.partition(", ") for entry in named) if label == "Documentation"), "")
