"""Threads for user code that must not run on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class HookWorkers:
    """One thread per strategy: a hook that blocks for ever takes away nobody else's."""

    def __init__(self) -> None:
        self._of: dict[str, ThreadPoolExecutor] = {}

    async def run(self, strategy: str, call: Callable[[], T], timeout_s: float) -> T:
        """The result of `call`; TimeoutError when it takes longer, and it is left to itself then."""
        worker = self._of.get(strategy)
        if worker is None:
            worker = self._of[strategy] = ThreadPoolExecutor(1, thread_name_prefix=f"hook-{strategy}")
        async with asyncio.timeout(timeout_s):
            return await asyncio.get_running_loop().run_in_executor(worker, _contained, call)

    def close(self) -> None:
        """Lets go of the threads; what still runs in one is not waited for."""
        for worker in self._of.values():
            worker.shutdown(wait=False, cancel_futures=True)


def _contained(call: Callable[[], T]) -> T:
    """What user code raises, as something that no event loop ends at: SystemExit would take the broker loop with it."""
    try:
        return call()
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise
        contained = RuntimeError(f"it raised {type(error).__name__}, which would end more than this call")
        for note in getattr(error, "__notes__", ()):
            contained.add_note(note)
        raise contained from error
