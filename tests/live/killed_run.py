"""`runner run` with one thing added: it kills itself at a step of a reload, once the file `armed` is there.

    python killed_run.py STEP

Everything else is the real thing; what is wrapped is called as always.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.__main__ import main
from runner.manager.reload.carrier import Carrier
from runner.manager.reload.record import Record
from runner.manager.versions import Versions
from runner.store.generations import Generations
from runner.store.strategies import StrategyTable

ARMED = Path("armed")
STEPS: dict[str, tuple[type, str, str]] = {
    "before it is numbered": (Generations, "add", "before"),
    "numbered": (Generations, "add", "after"),
    "caps tightened": (Versions, "look_ahead", "after"),
    "before it is prepared": (Versions, "prepare", "before"),
    "prepared": (Versions, "prepare", "after"),
    "before the row is written": (StrategyTable, "change", "before"),
    "row written": (StrategyTable, "change", "after"),
    "before the swap": (Versions, "adopt", "before"),
    "swapped": (Versions, "adopt", "after"),
    "before it is confirmed": (Generations, "mark", "before"),
    "confirmed": (Generations, "mark", "after"),
    "before it is said": (Carrier, "report", "before"),
    "said": (Carrier, "report", "after"),
    "before the override is kept": (Generations, "put_overlay", "before"),
    "override kept": (Generations, "put_overlay", "after"),
    "before an override is dropped": (Generations, "drop_overlay", "before"),
    "override dropped": (Generations, "drop_overlay", "after"),
    "before the decision is kept": (Record, "keep", "before"),
    "decision kept": (Record, "keep", "after"),
}


def die_at(step: str) -> None:
    owner, name, when = STEPS[step]
    real: Callable[..., Any] = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if when == "before" and ARMED.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if when == "after" and ARMED.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    die_at(sys.argv.pop(1))
    sys.argv[1:] = ["run"]
    main()
