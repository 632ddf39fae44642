"""What checking strategy files costs: a thousand of them in one process, and one in a process of its own.

Bases: the bare C parser of PyYAML and one pass of a compiled jsonschema validator over the same files, for the
thousand; a process that imports these two libraries and ends, for the one. All in CPU seconds, which other work on the
machine disturbs least. `python benchmarks/run.py --only validate`.
"""

from __future__ import annotations

import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from common import ROOT, Table, best_of, percentile
from jsonschema import Draft202012Validator

from runner.spec.folder import load_folder
from runner.spec.levels import Level
from runner.spec.schema import strategy_schema

SYMBOLS = 400
_NAME = re.compile(r"^name: .*$", re.MULTILINE)
_TICKERS = re.compile(r"AAPL, GOOG, IBM, MSFT")


def write_strategies(folder: Path, count: int) -> None:
    """The shipped strategies over and over, each with a name and symbols of its own, and their bases."""
    shipped = sorted((ROOT / "strategies.d").glob("*.yaml"))
    bases = [path for path in shipped if path.name.startswith("_")]
    texts = [path.read_text("utf-8") for path in shipped if path not in bases]
    for base in bases:
        (folder / base.name).write_text(base.read_text("utf-8"))
    source = random.Random(1)
    for number in range(count):
        symbols = ", ".join(f"S{i:03}" for i in source.sample(range(SYMBOLS), 4))
        text = _TICKERS.sub(symbols, _NAME.sub(f"name: BENCH_{number:04}", texts[number % len(texts)]))
        (folder / f"s{number:04}.yaml").write_text(text)


def cpu_seconds(command: list[str], times: int) -> float:
    """User and system time of a child process: the median over `times` runs."""
    taken = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return percentile(taken, 0.5)


def measure(files: int, repeats: int) -> Table:
    table = Table(f"Checking strategy files ({files:,} made from strategies.d, level rules)")
    validator = Draft202012Validator(strategy_schema())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_strategies(folder, files)
        paths = sorted(folder.glob("*.yaml"))

        def bare() -> None:
            for path in paths:
                data = yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)
                for _ in validator.iter_errors(data):
                    pass

        def checked() -> None:
            found = load_folder(folder, level=Level.RULES)
            wrong = [problem.message for problem in found.problems if problem.is_error]
            assert len(found.specs) == files, wrong[:3]

        base_s = best_of(bare, repeats=repeats, clock=time.process_time)
        took = best_of(checked, repeats=repeats, clock=time.process_time)
    of = "bare PyYAML C-load and one jsonschema pass"
    table.add(f"runner.spec, {files:,} files, CPU", f"{took:.2f} s", took / base_s, of)
    table.add("… per file", f"{took / files * 1e3:.2f} ms")
    base_s = cpu_seconds([sys.executable, "-c", "import yaml, jsonschema"], repeats)
    took = cpu_seconds([sys.executable, "-m", "runner", "validate", "strategies.d/trend.yaml"], repeats)
    table.add("runner validate FILE, cold, CPU", f"{took:.2f} s", took / base_s, 'python -c "import yaml, jsonschema"')
    return table


if __name__ == "__main__":
    measure(1_000, 5).show()
