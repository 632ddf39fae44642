"""Level `code`: the hooks and plugged-in blocks of a folder, imported and tried out in a process of its own.

Whatever that code does there is a problem at the place that names it: it may print, raise, hang, fork, fill its outputs
or end the process. When a step ends the process or holds it up, another process goes on without that step.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner import plugins
from runner.catalog import Fault, Unusable
from runner.spec.deployment import Deployment
from runner.spec.folder import Folder, Loaded, load_folder
from runner.spec.problem_json import problem_from_plain
from runner.spec.problems import Problem, in_order
from runner.spec.references import Reference
from runner.spec.rules.plugins import unusable_code

STEP_DEADLINE_S = 30.0
"""How long one import, one file or one trial may take."""
MAX_PROCESSES = 8
"""Processes that are started one after another before the rest of the code is given up."""
LAST_LINES_S = 2.0
"""How long the lines of a process that has ended may take to arrive."""

_WHEN = {
    "import": ("to import", "when it is imported"),
    "hook": ("to import", "when it is imported"),
    "file": ("to look at its settings", "when its settings are looked at"),
    "trial": ("in a trial run", "in a trial run"),
    "folder": ("to look at the folder", "when the folder is looked at"),
    "": ("to begin", "before anything was imported"),
}
"""First word of a step → the end of the sentence, of code that is late and of code that ends the process."""


def check_code(root: Path, deployment: Deployment, *, folder: Folder | None = None) -> tuple[Problem, ...]:
    """All problems of a folder, those of `load_folder` and what the code that it names tells.

    Only packages that `deployment` allows are imported: none, when it does not say. `folder` is what `load_folder`
    said, when that is known already. Takes as long as the code takes, within STEP_DEADLINE_S a step. Never raises for
    what the code does.
    """
    allowed = deployment.allowed_packages or frozenset()
    folder = folder or load_folder(root, deployment=deployment)
    files = [file for file in folder.loaded if any(_can_import(one, allowed) for one in file.references)]
    return in_order((*folder.problems, *_told(root, deployment, files)))


def _told(root: Path, deployment: Deployment, files: Sequence[Loaded]) -> tuple[Problem, ...]:
    if not files:
        return ()
    allowed = deployment.allowed_packages or frozenset()
    skip: dict[str, Unusable] = {}
    for _ in range(MAX_PROCESSES):
        problems, stuck = _run(_request(root, files, deployment, skip))
        if stuck is None:
            return tuple(problems)
        step, unusable = stuck
        if not step:
            return _given_up(files, allowed, unusable)
        skip[step] = unusable
    return _given_up(files, allowed, Unusable(Fault.LATE, "was not looked at: too much other code ends the process"))


def _can_import(reference: Reference, allowed: Any) -> bool:
    if plugins.package_of(reference.text) not in allowed:
        return False
    return reference.kind is None or any(
        one.kind is reference.kind and one.reference == reference.text for one in plugins.installed()
    )


def _given_up(files: Sequence[Loaded], allowed: Any, why: Unusable) -> tuple[Problem, ...]:
    wanted = [one for file in files for one in file.references if _can_import(one, allowed)]
    return tuple(unusable_code(one, why) for one in wanted)


def _request(
    root: Path, files: Sequence[Loaded], deployment: Deployment, skip: Mapping[str, Unusable]
) -> dict[str, Any]:
    said = {item.name: getattr(deployment, item.name) for item in dataclasses.fields(deployment)}
    del said["catalog"]
    said["allowed_packages"] = sorted(deployment.allowed_packages or ())
    said["repository"] = None if deployment.repository is None else str(deployment.repository)
    return {
        "root": str(root),
        "files": [file.path.as_posix() for file in files],
        "deployment": said,
        "skip": {step: [unusable.fault.value, unusable.message] for step, unusable in skip.items()},
    }


def _run(request: Mapping[str, Any]) -> tuple[list[Problem], tuple[str, Unusable] | None]:
    """One process: the problems that it found, and the step that it could not get over with what that did."""
    ours, theirs = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runner.spec.code_child", str(theirs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs,),
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(ours, lines), name="code-lines", daemon=True)
    waiter = threading.Thread(target=_await_end, args=(process, reader, lines), name="code-end", daemon=True)
    reader.start()
    waiter.start()
    try:
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(request).encode())
        return _collect(process, lines)
    finally:
        # The whole group: what the code has started goes with it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        waiter.join()


def _read(pipe: int, lines: queue.SimpleQueue[bytes | None]) -> None:
    with open(pipe, "rb") as stream:
        for line in stream:
            lines.put(line)


def _await_end(
    process: subprocess.Popen[bytes], reader: threading.Thread, lines: queue.SimpleQueue[bytes | None]
) -> None:
    """The end of the process is told after its last line, also when something it started keeps the pipe open."""
    process.wait()
    reader.join(LAST_LINES_S)
    lines.put(None)


def _collect(
    process: subprocess.Popen[bytes], lines: queue.SimpleQueue[bytes | None]
) -> tuple[list[Problem], tuple[str, Unusable] | None]:
    problems: list[Problem] = []
    step = ""
    while True:
        try:
            line = lines.get(timeout=STEP_DEADLINE_S)
        except queue.Empty:
            late, _ = _WHEN[step.partition(" ")[0]]
            return problems, (step, Unusable(Fault.LATE, f"takes longer than {STEP_DEADLINE_S:g} s {late}"))
        if line is None:
            _, when = _WHEN[step.partition(" ")[0]]
            how = _ending(process.returncode)
            return problems, (step, Unusable(Fault.ENDED, f"ends the process {when}: {how}"))
        said = json.loads(line)
        if said.get("done"):
            return problems, None
        step = said.get("begin", step)
        problems += [problem_from_plain(one) for one in said.get("problems", ())]


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
