"""Where the process begins and ends: the one place that turns an error into a message and an exit code."""

# Before anything else is imported, `from __future__` included: `python -m` puts the working directory first among the
# places that modules come from, and a json.py or yaml.py of the repository that is looked at must not become code.
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    sys.path.pop(0)

import json
import os
import select
import signal
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from runner.cli.group import cli
from runner.cli.settings import Settings
from runner.errors import ExitCode, RunnerError, SpecError

COMPLETION_VARIABLE = "_RUNNER_COMPLETE"


def main() -> NoReturn:
    """The console script. Never returns; ends through `runner.store` when ArcticDB was loaded."""
    signal.signal(signal.SIGTERM, _terminate)
    # numpy's BLAS starts a thread for every core, each of which spins for a tenth of a second: a third of what
    # `validate` costs on two cores. No block multiplies matrices that would need them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if COMPLETION_VARIABLE in os.environ:
        cli.main(prog_name="runner", complete_var=COMPLETION_VARIABLE)
    _end(invoke(sys.argv[1:]))


def invoke(args: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error has been reported when this returns."""
    settings = Settings()
    try:
        with cli.make_context("runner", list(args), obj=settings) as ctx:
            code = cli.invoke(ctx)
        sys.stdout.flush()
        return int(code or ExitCode.OK)
    except click.exceptions.Exit as stop:
        return int(stop.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        return int(wrong.exit_code)
    except (KeyboardInterrupt, EOFError, click.Abort):
        click.echo("interrupted", err=True)
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError as error:
        # The reader of our output has seen enough (`runner events | head`); that is not an error. A session with a
        # gateway that breaks raises the same exception, so look which it was.
        if not _reader_left():
            return _crashed(error, args)
        _silence_output()
        return int(ExitCode.OK)
    except RunnerError as error:
        return _refused(error, settings)
    except Exception as error:
        return _crashed(error, args)


def _refused(error: RunnerError, settings: Settings) -> int:
    """Say what is wrong and what would help. With --json the same is on stdout for a program to read."""
    from runner.cli.client import exit_code_of

    code = exit_code_of(error)
    if isinstance(error, SpecError) and error.problems:
        from runner.cli.problems import show_problems, sources_of

        show_problems(error.problems, sources_of(error.problems) | error.sources, settings, error=True)
    click.echo(
        click.style("error: ", fg="red", bold=True) + error.message.rstrip(),
        err=True,
        color=settings.colored(error=True),
    )
    if error.hint:
        click.echo(f"  hint: {error.hint}", err=True)
    for note in getattr(error, "__notes__", ()):
        click.echo(f"  {note}", err=True)
    if settings.json:
        body = {"message": error.message, "hint": error.hint, "exit_code": code}
        click.echo(json.dumps({"format_version": "1.0", "error": body}))
    return code


def _crashed(error: Exception, args: Sequence[str]) -> int:
    """A bug. The user gets one line and a file to send; the file holds the trace."""
    trace = "".join(traceback.format_exception(error))
    click.echo(f"internal error: {type(error).__name__}: {error}", err=True)
    try:
        path = _write_report(trace, args)
    except OSError as problem:
        click.echo(f"{trace}(no report could be written: {problem})", err=True)
    else:
        click.echo(f"  this is a bug in the runner; the report is in {path}", err=True)
    return int(ExitCode.INTERNAL)


def _write_report(trace: str, args: Sequence[str]) -> str:
    import platform
    import tempfile

    from runner import __version__

    handle, path = tempfile.mkstemp(prefix="runner-report-", suffix=".txt")
    with open(handle, "w", encoding="utf-8") as report:
        report.write(f"runner {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
        report.write(f"command: runner {' '.join(args)}\n\n{trace}")
    return path


def _terminate(_signum: int, _frame: FrameType | None) -> None:
    """SIGTERM does what Ctrl-C does, so that there is one way to stop. Children of a shell script ignore SIGINT."""
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL, None):
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def _reader_left() -> bool:
    """Whether nobody reads stdout or stderr any more: then the pipe polls as broken."""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        poll.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _silence_output() -> None:
    """Let what is still buffered go nowhere, instead of failing again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _end(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_output()
    if "arcticdb" in sys.modules:
        # Its worker threads can crash an interpreter that is finalising.
        from runner.store.arctic_manager import exit_cleanly

        exit_cleanly(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
