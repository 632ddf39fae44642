"""`runner validate`: all problems of the strategy files, with file, line and column."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.ask import shown
from runner.cli.group import Command
from runner.cli.report import FORMATS, human_form, report
from runner.cli.settings import Settings
from runner.errors import ConfigError, ExitCode, SpecError
from runner.spec.files import encoded, write_atomically

if TYPE_CHECKING:
    from runner.manager.environment import Environment
    from runner.spec.config import ConfigFileError, RunnerConfig
    from runner.spec.deployment import Deployment
    from runner.spec.findings import Findings
    from runner.spec.fix import Change, Mended, Texts
    from runner.spec.folder import Folder, Loaded
    from runner.spec.levels import Level
    from runner.spec.problems import Problem, Span

STDIN = "<stdin>"
"""How what comes from standard input is called."""
DASH = Path("-")
LEVELS = ("syntax", "schema", "rules", "code", "env")
"""The values of `runner.spec.levels.Level`, which is imported when a file is looked at and not before."""


@click.command(cls=Command)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, exists=True, allow_dash=True))
@click.option("--level", "depth", type=click.Choice(LEVELS), default="rules", help="How deep to look; default rules.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="auto",
    help="How problems are shown; default text, or github in GitHub Actions.",
)
@click.option(
    "--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="Write the format to FILE, and text to stdout.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--fix", "fixes", is_flag=True, help="First write what is certain into the files.")
@click.pass_context
def validate(
    ctx: click.Context,
    paths: tuple[Path, ...],
    depth: str,
    form: str,
    output: Path | None,
    strict: bool,
    fixes: bool,
) -> None:
    """Check strategy files without running them; by default all of strategies.d.

    With PATHs only the problems of these files, and of the bases that they extend, are shown; they are checked against
    the whole folder all the same. A PATH of - is standard input. Ends with what was not checked, because a file that
    passes at one level can still fail at a deeper one.
    """
    from runner.spec.config import ConfigFileError

    settings = ctx.ensure_object(Settings)
    form = "json" if settings.json else human_form() if form == "auto" else form
    settings.json = form == "json"  # a refusal is then data too
    settings.configure_logging()
    if output is not None and form == "text":
        raise click.UsageError("--output needs a --format other than text.", ctx)
    to_stdout = fixes and DASH in paths
    if to_stdout and len(paths) > 1:
        raise click.UsageError("--fix of standard input takes no other PATH.", ctx)
    changes: tuple[Change, ...] = ()
    try:
        scope = _scope(settings, paths, depth, whole=fixes)
    except ConfigFileError as error:
        findings = _wrong_configuration(error, depth)
        if to_stdout:
            sys.stdout.buffer.write(sys.stdin.buffer.read())
    else:
        mended = _mended(scope) if fixes else None
        findings = scope.look({} if mended is None else mended.texts)
        changes = () if mended is None else mended.changes
    report(findings, settings, form=form, strict=strict, output=output, changes=changes, err=to_stdout)
    ctx.exit(ExitCode.PROBLEMS if findings.failed(strict=strict) else ExitCode.OK)


def code_problems(folder: Path, deployment: Deployment) -> tuple[Problem, ...]:
    """Every problem of a strategies folder, seen with the code that its files name; they replace those of rules."""
    from runner.spec.code import check_code

    return check_code(folder, deployment)


def environment(config: RunnerConfig, folder: Folder) -> Environment:
    """What the configured gateway and store say about the strategies of a folder. Raises when one is not there."""
    from runner.manager.environment import check_environment

    return check_environment(config, folder, progress=_show_progress if sys.stderr.isatty() else _say_nothing)


def _show_progress(what: str, done: int, total: int) -> None:
    """One line on the terminal that is written over and gone at the end."""
    click.echo("\r\x1b[K" + (f"{what}: {done} of {total}" if done < total else ""), err=True, nl=False)


def _say_nothing(_what: str, _done: int, _total: int) -> None:
    pass


def _scope(settings: Settings, paths: tuple[Path, ...], depth: str, *, whole: bool) -> Scope:
    """What the command line names. Raises ConfigFileError, and SpecError for whatever else is wrong with it.

    Of standard input no more is read than it takes to see that it is too large, unless the `whole` must be given back.
    """
    from runner.spec.config import ConfigFileError
    from runner.spec.deployment import Deployment
    from runner.spec.levels import Level
    from runner.spec.load import MAX_BYTES

    try:
        config = settings.load_config()
    except ConfigFileError:
        raise
    except ConfigError as error:
        # For `run` a bad configuration is its own exit code; here it is one more thing that is wrong.
        raise SpecError(error.message, hint=error.hint) from error
    stdin = sys.stdin.buffer.read(-1 if whole else MAX_BYTES + 1) if DASH in paths else b""
    return Scope(config, Deployment.of(config), paths, Level(depth), stdin)


def _wrong_configuration(error: ConfigFileError, depth: str) -> Findings:
    """runner.yaml is one more file with problems; without it nobody knows which strategies are meant."""
    from runner.spec.findings import Findings
    from runner.spec.levels import Level

    return Findings(
        files=tuple(error.sources),
        problems=error.problems,
        sources=error.sources,
        level=Level(depth),
        not_checked=("strategy files",),
    )


# ---------------------------------------------------------------------------------------------------------- looking


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be looked at, and how deep."""

    config: RunnerConfig
    deployment: Deployment
    paths: tuple[Path, ...]
    """None for the whole strategies folder; `-` is standard input."""
    level: Level
    stdin: bytes = b""

    @property
    def folder(self) -> Path:
        """The strategies folder, as a person would type it from here."""
        return Path(shown(self.config.strategies_dir))

    def look(self, texts: Texts) -> Findings:
        """Judge the files, with `texts` in place of what is on disk.

        What lies in the strategies folder is checked against its neighbours, and only what was named is shown. A file
        elsewhere is judged alone, another folder by itself, standard input as if it lay in the strategies folder.
        """
        from runner.spec.findings import together
        from runner.spec.levels import Level, not_checked, not_run

        folder = self.folder
        if not self.paths and not folder.is_dir():
            raise SpecError(f"there is no folder {folder}", hint="make it, or name files: runner validate PATH")
        unsaved = {self.place(name): text.encode() for name, text in texts.items()}
        inside = [path for path in self.paths if path != DASH and folder.is_dir() and _within(path, folder)]
        parts = self._folder(folder, inside, unsaved) if inside or not self.paths else []
        for path in self.paths:
            if path == DASH:
                place = folder / STDIN
                parts.append(self._file(place, folder, {place.resolve(): self.stdin} | unsaved, name=STDIN))
            elif path not in inside:
                parts += self._folder(path, (), unsaved) if path.is_dir() else [self._file(path, path.parent, unsaved)]
        left = not_checked(self.level, sorted({name for part in parts for name in part.not_loaded}))
        if self.level is Level.ENV:
            left = tuple(dict.fromkeys(what for part in parts for what in part.not_checked))
        found = together(parts, level=self.level, not_checked=left)
        return replace(found, not_checked=(*left, *not_run(sum(found.tests.values()))))

    def place(self, name: str) -> Path:
        """Where the text of a file of that name belongs."""
        return (self.folder / STDIN if name == STDIN else Path(name)).resolve()

    def _folder(self, folder: Path, named: Sequence[Path], unsaved: Mapping[Path, bytes]) -> list[Findings]:
        """A folder, or what of it was named; files that its names leave out are judged when they are named."""
        from runner.spec.folder import load_folder

        found = load_folder(folder, deployment=self.deployment, level=self.at_most_rules, unsaved=unsaved)
        problems = code_problems(folder, self.deployment) if self._with_code else found.problems
        files = [*found.sources, *found.ignored]
        if not named:
            return [self._findings(found, found.loaded, tuple(found.sources), problems)]
        resolved = {file: Path(file).resolve() for file in files}
        wanted = [path.resolve() for path in named]
        chosen = [file for file in files if any(resolved[file].is_relative_to(path) for path in wanted)]
        loaded = tuple(one for one in found.loaded if one.path.as_posix() in set(chosen))
        chosen += [one.case_file.path.as_posix() for one in loaded if one.case_file is not None]
        chosen = list(dict.fromkeys(chosen))
        seen = {folder.as_posix(), *chosen}.union(*(one.sources for one in loaded))
        parts = [self._findings(found, loaded, tuple(chosen), tuple(p for p in problems if p.file in seen))]
        known = set(resolved.values())
        strays = [path for path in named if not path.is_dir() and path.resolve() not in known]
        return parts + [self._file(path, folder, unsaved) for path in strays]

    def _file(self, path: Path, root: Path, unsaved: Mapping[Path, bytes], *, name: str = "") -> Findings:
        """One file without its neighbours; its bases may lie anywhere under `root`."""
        from runner.spec.extends import BaseFiles
        from runner.spec.folder import Folder, load_alone, load_base
        from runner.spec.names import FileRole, role_of

        bases, level, role = BaseFiles(root, unsaved=unsaved), self.at_most_rules, role_of(path.name)
        if role is FileRole.BASE:
            base = load_base(path, root=root, deployment=self.deployment, level=level, bases=bases)
            alone = Folder(specs=(), problems=base.problems, loaded=(base,), sources=base.sources)
        else:
            alone = load_alone(path, root=root, deployment=self.deployment, level=level, bases=bases, shown=name)
        own = (name or path.as_posix(),)
        if role is FileRole.TESTS:
            # Its strategy was only looked at to know what it can be held against.
            return self._findings(alone, (), own, tuple(p for p in alone.problems if p.file in own))
        problems = alone.problems
        if self._with_code:
            (one,) = alone.loaded
            beside = () if one.case_file is None else one.case_file.problems
            problems = (*_code_alone(one, root, self.deployment), *beside)
        return self._findings(alone, alone.loaded, (*own, *(f.path.as_posix() for f in alone.case_files)), problems)

    def _findings(
        self, found: Folder, loaded: tuple[Loaded, ...], files: tuple[str, ...], problems: tuple[Problem, ...]
    ) -> Findings:
        from runner.spec.codes import is_of_tests
        from runner.spec.findings import Findings
        from runner.spec.levels import Level

        left: tuple[str, ...] = ()
        sources = dict(found.sources)
        if self.level is Level.ENV:
            specs = tuple(one.spec for one in loaded if one.spec is not None)
            there = environment(self.config, replace(found, specs=specs, loaded=loaded, problems=problems))
            problems, left = (*problems, *there.problems), there.not_checked
            sources |= there.sources
        refused = {problem.file for problem in problems if problem.is_error and not is_of_tests(problem.code)}
        own = {one.path: next(iter(one.sources)) for one in loaded}
        usable = [
            (one.name, own[one.path])
            for one in loaded
            if own[one.path] not in refused and (one.spec is not None or not refused.intersection(one.sources))
        ]
        return Findings(
            files=files,
            strategies=tuple(pair for pair in usable if pair[0]) if self.level.includes(Level.RULES) else (),
            problems=problems,
            sources=sources,
            tests={file: count for file, count in found.tests.items() if file in files},
            level=self.level,
            not_checked=left,
            not_loaded=tuple(name for one in loaded if one.spec is not None for name in one.spec.not_loaded),
        )

    @property
    def at_most_rules(self) -> Level:
        """The level at which this process looks itself."""
        from runner.spec.levels import Level

        return Level.RULES if self.level.includes(Level.RULES) else self.level

    @property
    def _with_code(self) -> bool:
        from runner.spec.levels import Level

        return self.level.includes(Level.CODE)


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _code_alone(one: Loaded, root: Path, deployment: Deployment) -> tuple[Problem, ...]:
    """The problems of one file and its bases, seen with their code, in a folder that holds nothing else."""
    from tempfile import TemporaryDirectory

    if one.root is None or not all(one.sources.values()):
        # What could not be read at all cannot be copied.
        return one.problems
    own = next(iter(one.sources))
    with TemporaryDirectory(prefix="runner-validate-") as scratch:
        names: dict[str, str] = {}
        for name, text in one.sources.items():
            path = one.path if name == own else Path(name)
            beside = Path(scratch, path.parent.resolve().relative_to(root.resolve()))
            beside.mkdir(parents=True, exist_ok=True)
            copy = beside / (path.name if path.name.startswith("_") else "strategy.yaml")
            copy.write_text(text, encoding="utf-8", newline="")
            names[copy.as_posix()] = name
        return tuple(_renamed(problem, names) for problem in code_problems(Path(scratch), deployment))


def _renamed(problem: Problem, names: Mapping[str, str]) -> Problem:
    def at(span: Span) -> Span:
        return replace(span, file=names.get(span.file, span.file))

    return replace(
        problem,
        span=at(problem.span),
        related=tuple(replace(related, span=at(related.span)) for related in problem.related),
        fix=tuple(replace(edit, span=at(edit.span)) for edit in problem.fix),
    )


# ----------------------------------------------------------------------------------------------------------- fixing


def _mended(scope: Scope) -> Mended:
    """Apply every fix and write what changed: files where they are, standard input to standard output.

    Raises SpecError when a file is not what was read any more, and CannotWrite.
    """
    from runner.spec.fix import mend

    shallow = replace(scope, level=scope.at_most_rules)
    mended = mend(shallow.look)
    for name, text in mended.texts.items():
        if name != STDIN:
            path = scope.place(name)
            data = path.read_bytes() if path.is_file() else b""
            if data.decode("utf-8-sig", "replace") != mended.before[name]:
                raise SpecError(f"{name} changed while it was being fixed", hint="run the command again")
            write_atomically(path, encoded(text, like=data))
    if DASH in scope.paths:
        data = scope.stdin if STDIN not in mended.texts else encoded(mended.texts[STDIN], like=scope.stdin)
        sys.stdout.buffer.write(data)
    return mended
