"""The one event loop that owns the master session, the market-data hub and every YAML strategy."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from runner.errors import NotConnected

T = TypeVar("T")

CLOSE_TIMEOUT_S = 5.0


class BrokerLoop:
    """An asyncio loop in a thread of its own, with calls into it from other threads and loops."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._frozen = False
        self._thread = threading.Thread(target=self._run, name="broker-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def call(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Runs `work` on the loop and waits for it; from a thread that runs no loop. TimeoutError cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise

    async def await_here(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits `work` on the broker loop from whichever loop this is called on."""
        if asyncio.get_running_loop() is self.loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def freeze(self) -> None:
        """Takes everything that start-up has made out of the garbage collector's sight. Called once, when all is warm:
        a full collection stops every thread, and without this it would walk over the libraries each time."""
        if not self._frozen:
            self._frozen = True
            gc.collect()
            gc.freeze()

    def close(self) -> None:
        """Cancels what still runs and ends the thread, inside CLOSE_TIMEOUT_S."""
        if self._frozen:
            gc.unfreeze()
        if not self._thread.is_alive():
            return
        try:
            self.call(self._cancel_all(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            pass
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CLOSE_TIMEOUT_S)

    async def _cancel_all(self) -> None:
        tasks = [task for task in asyncio.all_tasks(self.loop) if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Errands:
    """Calls into the loop that may take long, and that are all let go of when the runner stops."""

    def __init__(self, broker_loop: BrokerLoop) -> None:
        self._broker_loop = broker_loop
        self._lock = threading.Lock()
        self._under_way: set[concurrent.futures.Future[Any]] = set()
        self._abandoned = False

    def call(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """As `BrokerLoop.call`. NotConnected once they are abandoned."""
        with self._lock:
            if self._abandoned:
                work.close()
                raise NotConnected("the runner stops")
            future = asyncio.run_coroutine_threadsafe(work, self._broker_loop.loop)
            self._under_way.add(future)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            future.cancel()
            raise
        except concurrent.futures.CancelledError:
            raise NotConnected("the runner stops") from None
        finally:
            with self._lock:
                self._under_way.discard(future)

    def abandon(self) -> None:
        """Cancels what is under way, and refuses what comes."""
        with self._lock:
            self._abandoned = True
            under_way = list(self._under_way)
        for future in under_way:
            future.cancel()
