"""Prints every figure, each with its ratio to a base that was measured in the same run: `make bench`.

Only the ratios can be compared between machines or between days; the absolute figures describe this machine now.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
from collections.abc import Callable, Sequence

import events
import kernel
import latency
import loc
import paper
import reload
import replay
import validate
import watch
from common import Table


def sections(quick: bool) -> dict[str, Callable[[], Sequence[Table]]]:
    """Name → what measures it. Quick: the same figures from hardly any data."""
    strategies = {1: 6, 25: 2} if quick else {1: 300, 20: 60, 100: 20}
    base_orders = 20 if quick else 500
    return {
        "loc": lambda: [loc.measure()],
        "kernel": lambda: [kernel.measure(3 if quick else 50)],
        "validate": lambda: [validate.measure(20 if quick else 1_000, 2 if quick else 7)],
        "events": lambda: [events.measure(200 if quick else 5_000)],
        "paper": lambda: [paper.measure(20 if quick else 1_000, 10 if quick else 300)],
        "replay": lambda: [replay.measure(5 if quick else 60)],
        "watch": lambda: [watch.measure(3 if quick else 200, 3 if quick else 50)],
        "reload": lambda: reload.measure(8 if quick else 500, 3 if quick else 300),
        "latency": lambda: latency.tables(latency.measure_each(strategies, base_orders, together=quick)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke test: every figure, none of them meaningful")
    parser.add_argument("--only", metavar="NAME", help=f"one of {', '.join(sections(True))}")
    options = parser.parse_args()
    known = sections(options.quick)
    if options.only is not None and options.only not in known:
        parser.error(f"there is no benchmark {options.only!r}: {', '.join(known)}")
    logging.disable(logging.ERROR)  # ib_async logs every order and every notice
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {sys.platform}")
    print("Only ratios compare between machines; each has its base in the same run.")
    for name, measure in known.items():
        if options.only in (None, name):
            for table in measure():
                table.show()


if __name__ == "__main__":
    main()
