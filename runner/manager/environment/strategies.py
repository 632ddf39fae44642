"""The strategies of the folder against those of the store: their names and their sessions. E622, E623 and E624."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runner.manager.environment.stored import Stored
from runner.manager.environment.subjects import Subject, problem_at
from runner.manager.sessions import OWN_SESSIONS, SHARED_SESSIONS, has_own_session
from runner.spec.folder import Folder
from runner.spec.problems import Problem, Severity, whole_file
from runner.spec.rules.markets import named
from runner.store.strategies import StrategyRow, next_client_id


def check_names(subjects: Sequence[Subject], folder: Folder, stored: Stored) -> list[Problem]:
    """E623 for a name that a hand-written strategy has, E624 for names of strategies or files that differ in case."""
    rows = {row.strategy: row for row in stored.rows}
    by_folded: dict[str, list[str]] = {}
    for name in rows:
        by_folded.setdefault(name.casefold(), []).append(name)
    problems = []
    for subject in subjects:
        name = subject.spec.name
        row = rows.get(name)
        if row is not None and row.hand_written:
            message = f"{name} is the name of a hand-written strategy already ({row.filename})"
            hint = "the runner does not start while two strategies have one name; give one of them another"
            problems.append(problem_at(subject.place(("name",)), "E623", message, hint=hint))
        for other in by_folded.get(name.casefold(), []):
            if other != name:
                message = f"strategy name {name} differs only in case from {other} in the store"
                hint = f"positions and fills belong to a name: write {other} to go on with its own"
                place = subject.place(("name",))
                problems.append(problem_at(place, "E624", message, hint=hint, severity=Severity.WARNING))
    return problems + _files(folder)


def _files(folder: Folder) -> list[Problem]:
    """Files that a file system which ignores case could not hold beside each other."""
    met: dict[str, str] = {}
    problems = []
    for one in folder.loaded:
        file = one.path.as_posix()
        other = met.setdefault(file.casefold(), file)
        if other != file:
            message = f"the name of this file differs only in case from {other}"
            hint = "on a file system that ignores case one of them replaces the other; rename one"
            place = (whole_file(file), ())
            problems.append(problem_at(place, "E624", message, hint=hint, severity=Severity.WARNING))
    return problems


def check_sessions(subjects: Sequence[Subject], stored: Stored, client_id_base: int) -> list[Problem]:
    """E622: IB allows 32 clients, so the first strategies have sessions of their own and later ones share."""
    enabled = [subject for subject in subjects if subject.spec.enabled]
    python = [row for row in stored.rows if row.hand_written and row.enabled]
    names = [subject.spec.name for subject in enabled] + [row.strategy for row in python]
    ids = _client_ids(names, stored.rows, client_id_base)
    late = [subject for subject in enabled if not has_own_session(ids[subject.spec.name], client_id_base)]
    problems = []
    if late:
        message = (
            f"{named([subject.spec.name for subject in late])} will share {SHARED_SESSIONS} sessions with IB; only the "
            f"first {OWN_SESSIONS} strategies that were ever started on this store have one of their own"
        )
        hint = "strategies that share a session share its limit of messages too"
        place = late[0].place(("name",))
        problems.append(problem_at(place, "E622", message, hint=hint, severity=Severity.WARNING))
    homeless = [row.strategy for row in python if not has_own_session(ids[row.strategy], client_id_base)]
    if homeless and enabled:
        message = f"no session with IB is left for {named(homeless)}, written in Python, which cannot share one"
        hint = f"a strategy in Python must be among the first {OWN_SESSIONS} that were ever started on this store"
        place = enabled[-1].place(("name",))
        problems.append(problem_at(place, "E622", message, hint=hint, severity=Severity.WARNING))
    return problems


def _client_ids(names: Sequence[str], rows: Sequence[StrategyRow], base: int) -> dict[str, int]:
    """Name → the client id that it has or will be given, when they are started in this order."""
    known = {row.strategy: row for row in rows}
    for name in names:
        row = known.get(name) or StrategyRow(strategy=name)
        if row.client_id is None:
            row = replace(row, client_id=next_client_id(known.values(), base))
        known[name] = row
    return {name: known[name].client_id or 0 for name in names}
