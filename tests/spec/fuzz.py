"""`make fuzz`: a million inputs, on all cores. The same seed makes the same inputs from the same files.

Three of four are damaged files, the others are drawn from the schema. An input that breaks a promise is written to
`.fuzz/`, with the command that tries it again; the run goes on and ends with 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fuzz_documents import document
from fuzz_support import REPOSITORY, Sample, judge, judge_again, mutant

CHUNK = 500
EVERY_S = 10.0
"""How often the rate is printed."""
AGAIN = 19
"""One in so many is judged a second time and told in every format; no multiple of 4, so that both kinds are."""
MAX_FAILURES = 20
"""After so many the run ends: they will be few causes."""
FOLDER = REPOSITORY / ".fuzz"


@dataclass
class Tally:
    """What became of a number of inputs."""

    tried: int = 0
    usable: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    failures: dict[int, str] = field(default_factory=dict)
    """Number → traceback."""

    def add(self, other: Tally) -> None:
        self.tried += other.tried
        self.usable += other.usable
        self.codes += other.codes
        self.slowest = max(self.slowest, other.slowest)
        self.failures |= other.failures


def make(seed: int, number: int) -> Sample:
    """The input of a number."""
    return document(seed, number) if number % 4 == 0 else mutant(seed, number)


def try_chunk(task: tuple[int, int, int]) -> Tally:
    """The inputs `first` … `last - 1`."""
    seed, first, last = task
    tally = Tally()
    for number in range(first, last):
        sample = make(seed, number)
        began = time.perf_counter()
        try:
            loaded = judge(sample)
            if number % AGAIN == 0:
                judge_again(sample, loaded)
        except Exception:
            tally.failures[number] = traceback.format_exc()
        else:
            tally.usable += loaded.spec is not None
            tally.codes.update({problem.code for problem in loaded.problems})
        tally.tried += 1
        tally.slowest = max(tally.slowest, (time.perf_counter() - began, number))
    return tally


def tasks(seed: int, inputs: int) -> Iterator[tuple[int, int, int]]:
    for first in range(0, inputs, CHUNK):
        yield seed, first, min(inputs, first + CHUNK)


def keep(seed: int, number: int, why: str) -> Path:
    """Write an input down, with what it did."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{seed}-{number}.yaml"
    path.write_bytes(make(seed, number).data)
    path.with_suffix(".txt").write_text(f"{sys.executable} tests/spec/fuzz.py --seed {seed} --only {number}\n\n{why}")
    return path


def run(seed: int, inputs: int, processes: int) -> Tally:
    """Try them all, with a line about the rate every few seconds."""
    tally = Tally()
    began = said = time.perf_counter()
    with multiprocessing.Pool(processes) as pool:
        for part in pool.imap_unordered(try_chunk, tasks(seed, inputs)):
            tally.add(part)
            for number, why in part.failures.items():
                print(f"{why.strip().splitlines()[-1]}\n  {keep(seed, number, why)}", flush=True)
            now = time.perf_counter()
            if now - said >= EVERY_S:
                said = now
                print(f"{tally.tried:>12,} of {inputs:,}, {tally.tried / (now - began):,.0f} a second", flush=True)
            if len(tally.failures) >= MAX_FAILURES:
                break
    took = time.perf_counter() - began
    print(
        f"{tally.tried:,} inputs in {took:,.0f} s, {tally.tried / took:,.0f} a second on {processes} cores: "
        f"{tally.usable:,} usable files, {len(tally.codes)} codes met, {len(tally.failures)} broken promises"
    )
    print(f"slowest: number {tally.slowest[1]}, {tally.slowest[0] * 1000:.0f} ms")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many are tried; default a million")
    parser.add_argument("--seed", type=int, help="default: one that is printed")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="try this one input, with its traceback")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    if options.only is not None:
        sample = make(seed, options.only)
        sys.stdout.buffer.write(sample.data + b"\n")
        judge_again(sample, judge(sample))
        return 0
    print(f"seed {seed}: make fuzz FUZZ={options.inputs} SEED={seed}", flush=True)
    return 1 if run(seed, options.inputs, os.cpu_count() or 1).failures else 0


if __name__ == "__main__":
    sys.exit(main())
