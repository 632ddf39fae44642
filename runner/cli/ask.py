"""How the commands that look at things get their answer: from the running runner, else from its journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runner.cli.client import NotRunning, call
from runner.cli.settings import Settings
from runner.errors import ExitCode, RunnerError

if TYPE_CHECKING:
    from runner.store.journal import Journal

T = TypeVar("T")


class NothingYet(RunnerError):
    """Neither a runner nor a journal is there."""

    exit_code = ExitCode.UNAVAILABLE


def ask(
    settings: Settings, verb: str, from_journal: Callable[[Journal], dict[str, Any]], **args: Any
) -> dict[str, Any]:
    """The running runner's answer to `verb`; without one, what `from_journal` reads, and a remark on stderr.

    Raises NothingYet when the state directory has no journal either.
    """
    state_dir = settings.find_state_dir()
    try:
        return call(state_dir, verb, **args)
    except NotRunning:
        result = read_journal(state_dir, from_journal)
    settings.note(f"the runner is not running: this is what its journal in {shown(state_dir)} holds")
    return result


def read_journal(state_dir: Path, view: Callable[[Journal], T]) -> T:
    """Open the journal read-only, look, and close it."""
    from runner.store.journal import Journal
    from runner.store.state_dir import StateDir

    path = StateDir(state_dir, lock_fd=-1).journal_path  # reading needs no lock
    if not path.exists():
        raise NothingYet(
            f"no runner is running and nothing has been kept in {shown(state_dir)}",
            hint="run `runner demo` or `runner run` first, or name another directory with --state-dir",
        )
    journal = Journal.read_only(path)
    try:
        return view(journal)
    finally:
        journal.close()


def shown(path: Path) -> str:
    """`path` as a person would type it from here."""
    try:
        return str(path.absolute().relative_to(Path.cwd())) or "."
    except ValueError:
        return str(path)
