"""Blocks of other packages, asked off the loop with a deadline, as hooks are.

What such a block raises, or that it does not come back in time, stops its own strategy and nobody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from runner import plugins
from runner.errors import HookError, RunnerError
from runner.spec.spec import StrategySpec
from runner.strategy.host import StrategyHost

BLOCK_DEADLINE_S = 5.0
"""How long the blocks of a strategy may take for one look at the bars, waiting for a hook under way included."""

T = TypeVar("T")


async def ask_blocks(host: StrategyHost, spec: StrategySpec, call: Callable[[], T]) -> T:
    """The result of `call`, which asks the blocks of `spec`. Where all of them are ours it is made here and now.

    HookError, with the block named, for what a plugged-in one raises and when BLOCK_DEADLINE_S is over.
    """
    if not spec.plugged_in:
        return call()
    try:
        return await host.in_worker(spec.name, call, BLOCK_DEADLINE_S)
    except TimeoutError:
        raise HookError(
            f"the plugged-in blocks of {spec.name} took longer than {BLOCK_DEADLINE_S:g} s",
            hint="a block is asked at every look at the bars; let it do less, or ask for a shorter history",
        ) from None
    except RunnerError:
        raise
    except Exception as error:
        raise HookError(f"{spec.name}: {_where(error)}{_said(error, spec)}") from error


def _where(error: Exception) -> str:
    """The engine notes which block it asked."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith("in ")]
    return f"{notes[0]}: " if notes else ""


def _said(error: Exception, spec: StrategySpec) -> str:
    packages = [plugins.package_of(reference) for _, reference in spec.plugged_in]
    return plugins.said(error, next((one for one in packages if plugins.raised_in(error, one)), packages[0]))
