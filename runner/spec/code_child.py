"""The process that imports foreign code for level `code`; `code` starts `python -P -m runner.spec.code_child FD`.

It reads what to do from stdin, one JSON object, and answers on the pipe FD with lines of JSON: which step it begins,
and the problems that it finds. What the code prints cannot get between the lines; and when the process ends or hangs,
the last line says in which step. It ends without the interpreter's clean-up, which would be foreign code too.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runner import plugins
from runner.blocks import Kind
from runner.catalog import Fault, Unusable
from runner.spec.deployment import Deployment
from runner.spec.folder import Loaded, load_file, load_folder
from runner.spec.problem_json import problem_to_plain
from runner.spec.problems import Problem
from runner.spec.references import Reference
from runner.spec.rules.plugins import misbehaved, unusable_code
from runner.spec.spec import HOOK_ARGUMENTS, StrategySpec
from runner.trial import SYMBOLS, broken_promises

MAX_SYMBOLS = 8
"""Instruments of the made-up prices of a trial."""


@dataclass(slots=True)
class Child:
    """One run over some files: imports what they name, judges them with it, and tries their blocks out.

    `skip` has the steps that ended an earlier process or held it up, with what is to be said of them.
    """

    pipe: int
    root: Path
    files: tuple[str, ...]
    deployment: Deployment
    skip: Mapping[str, Unusable]
    _pid: int = field(default_factory=os.getpid)
    _home: str = field(default_factory=os.getcwd)

    def run(self) -> None:
        """Everything, step by step."""
        files = [self._read(name) for name in self.files]
        wanted = [reference for file in files for reference in file.references]
        self._load(wanted)
        self._hooks(wanted)
        for file in files:
            self._judge(file.path.as_posix(), [one for one in file.references if one.kind is not None])
        if not any(step.startswith("file ") for step in self.skip) and self._begin("folder") is None:
            # Now that each file alone has got through, the rules between files can have their say.
            self._report(load_folder(self.root, deployment=self.deployment).problems)
        self._say({"done": True})

    def _read(self, name: str) -> Loaded:
        return load_file(Path(name), root=self.root, deployment=self.deployment)

    def _load(self, wanted: Iterable[Reference]) -> None:
        """Imports the blocks, one a step, so that each is blamed for what it does itself."""
        keys = {(one.kind, one.text) for one in wanted}

        def loader(plugin: plugins.Plugin) -> type[Any] | Unusable | None:
            if (plugin.kind, plugin.reference) not in keys:
                return None
            skipped = self._begin(f"import {plugin.kind} {plugin.reference}")
            return skipped or plugins.load_block(plugin, None)

        allowed = self.deployment.allowed_packages or frozenset()
        self.deployment = replace(self.deployment, catalog=plugins.load(allowed, loader=loader))

    def _hooks(self, wanted: Iterable[Reference]) -> None:
        allowed = self.deployment.allowed_packages or frozenset()
        for reference in wanted:
            if reference.kind is not None or plugins.package_of(reference.text) not in allowed:
                continue
            arguments = HOOK_ARGUMENTS[str(reference.path[-1])]
            found = self._begin(f"hook {reference.path[-1]} {reference.text}") or plugins.load_hook(
                reference.text, allowed, arguments, deadline_s=None
            )
            if isinstance(found, Unusable):
                self._report([unusable_code(reference, found)])

    def _judge(self, name: str, blocks: list[Reference]) -> None:
        if not blocks:
            return
        skipped = self._begin(f"file {name}")
        if skipped is not None:
            self._report(unusable_code(reference, skipped) for reference in blocks)
            return
        file = self._read(name)
        # Its tests too: only now is the warm-up of a plugged-in block known.
        self._report(file.all_problems)
        for reference in blocks if file.spec is not None else ():
            assert file.spec is not None
            skipped = self._begin(f"trial {name} {'.'.join(map(str, reference.path))}")
            if skipped is not None:
                self._report([unusable_code(reference, skipped)])
            else:
                self._report(misbehaved(reference, phrase) for phrase in _tried(reference, file.spec))

    # the pipe --------------------------------------------------------------------------------------------------

    def _begin(self, step: str) -> Unusable | None:
        """Says that `step` begins, unless it is to be skipped: then what to say of it."""
        os.chdir(self._home)
        skipped = self.skip.get(step)
        if skipped is None:
            self._say({"begin": step})
        return skipped

    def _report(self, problems: Iterable[Problem]) -> None:
        self._say({"problems": [problem_to_plain(problem) for problem in problems]})

    def _say(self, line: Mapping[str, Any]) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # foreign code has forked, and its copy of us has nothing to say
        data = memoryview(json.dumps(line).encode() + b"\n")
        while data:
            data = data[os.write(self.pipe, data) :]


def _tried(reference: Reference, spec: StrategySpec) -> tuple[str, ...]:
    """What a block does that it must not, as it is set up in its file."""
    kind = reference.kind
    assert kind is not None
    symbols = tuple(query.symbol for query in spec.universe.instruments)[:MAX_SYMBOLS]
    if kind is Kind.SIZING and not symbols:
        return ()  # it may need to know the symbols, which are those of a library
    named: Mapping[Kind, Callable[[], Any]] = {
        Kind.SIGNAL: lambda: spec.signals[str(reference.path[-1])],
        Kind.EXIT: lambda: spec.exits[str(reference.path[-1])],
        Kind.COMBINE: lambda: spec.combine,
        Kind.SIZING: lambda: spec.sizing,
    }
    try:
        return broken_promises(
            kind, named[kind](), symbols=symbols or SYMBOLS, signals=tuple(spec.signals), params=spec.params
        )
    except (Exception, SystemExit) as error:  # foreign code, which may raise anything
        return (f"raises {plugins.said(error, plugins.package_of(reference.text))} in a trial run",)


def main() -> None:
    """Runs what stdin asks for."""
    pipe = int(sys.argv[1])
    os.set_inheritable(pipe, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = json.loads(sys.stdin.buffer.read())
    said = request["deployment"]
    said["allowed_packages"] = frozenset(said["allowed_packages"])
    said["repository"] = None if said["repository"] is None else Path(said["repository"])
    Child(
        pipe=pipe,
        root=Path(request["root"]),
        files=tuple(request["files"]),
        deployment=Deployment(**said),
        skip={step: Unusable(Fault(fault), message) for step, (fault, message) in request["skip"].items()},
    ).run()
    os._exit(0)


if __name__ == "__main__":
    main()
