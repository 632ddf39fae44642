"""When the market's clock moves: at a steady pace, or as fast as the clients can follow.

A client that starts its API with the capability `follow` is a follower. It asks for the current time; the first time
after the clock has moved it is answered at once, and asking again at the same time means "I am done with this time":
the answer is held until the clock has moved. The market steps only when every follower is waiting like that, so a
follower's handling of each step is complete and a replay is the same every time.

At speed `max` the clients that do not follow are waited for too, as far as that can be seen from outside: everything
sent to them has left, and they have asked nothing for `QUIET_S`. A client that has subscribed to no market data while
somebody else follows acts on the follower's word: it is waited for only `FOLLOWED_QUIET_S`, so that what it has sent
arrives. Without anybody who follows, has subscribed to market data or has an order working, the market waits.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from runner.gateway import encode
from runner.gateway.model import Exchange, MarketStep

if TYPE_CHECKING:
    from runner.gateway.server import GatewayServer
    from runner.gateway.session import Session

log = logging.getLogger(__name__)

QUIET_S = 0.020
FOLLOWED_QUIET_S = 0.001
FOLLOWER_SILENT_S = 60.0
"""A follower that keeps the market waiting and asks nothing for so long is not a follower any more."""
SESSION_S = 86_400.0
"""What a step of a whole session counts for at a steady pace: one day."""
MARKET_OVER = (2199, "The paper market has played all of its data; its clock stands still")
"""Sent to every client at the end of the data; a code of IB's range of notices that IB itself does not use."""


class Market(Exchange, Protocol):
    """An exchange whose clock can be moved."""

    def step(self) -> MarketStep | None:
        """Advance by one step, telling the listener all that happens; None when the data is over."""
        ...


class Pacer:
    """Moves the clock of one gateway."""

    def __init__(self, server: GatewayServer, market: Market, *, speed: float | None, step_s: float | None) -> None:
        """`speed` in market seconds per second, None as fast as possible; `step_s` None for whole sessions."""
        self._server = server
        self._market = market
        self._every_s = None if speed is None else (SESSION_S if step_s is None else step_s) / speed
        self._changed = asyncio.Event()
        self._idle = False
        self.over = False
        self.steps = 0

    def wake(self) -> None:
        """Something changed that the market may have been waiting for."""
        self._changed.set()

    def order_placed(self) -> None:
        """An order may be working that makes it worth while to move a market that nobody watched."""
        if self._idle:
            self.wake()

    # ------------------------------------------------------------ clients

    def asked_time(self, session: Session) -> None:
        """A client asked for the current time."""
        now = self._market.now()
        if session.follower and session.told_at == now and not self.over:
            session.waiting = True
            self.wake()
            return
        self._tell(session)

    def _tell(self, session: Session) -> None:
        session.waiting = False
        session.told_at = self._market.now()
        if session.subscriptions.books:
            self._server.publisher.push_books()
        session.send(encode.current_time(session.told_at))

    # ------------------------------------------------------------ the clock

    async def run(self) -> None:
        """Move the clock until the data is over. Ends with the exchange's exception if a step fails."""
        loop = self._server.loop
        due_s = loop.time()
        while not self.over:
            if self._every_s is not None:
                due_s = max(due_s + self._every_s, loop.time())
                await asyncio.sleep(due_s - loop.time())
            await self._everybody_ready()
            self._move()
            if self._every_s is None:
                await asyncio.sleep(0)  # let the sessions write and read

    def _move(self) -> None:
        step = self._market.step()
        if step is None:
            self.over = True
            log.info("the paper market has played all of its data, to %s", self._market.now())
            for session in self._server.sessions.values():
                session.error(-1, *MARKET_OVER)
        else:
            self.steps += 1
        for session in self._server.sessions.values():
            if session.waiting:
                self._tell(session)

    async def _everybody_ready(self) -> None:
        """Wait until the market may move."""
        while (wait_s := self._wait_s()) is not None:
            self._changed.clear()
            if wait_s > 0:
                try:
                    # Not wait_for, which can lose a cancellation that comes together with the change.
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                except TimeoutError:
                    self._drop_silent_followers()
            else:
                await self._changed.wait()

    def _wait_s(self) -> float | None:
        """None when the market may move; else how long at most to wait for a change, 0 for as long as it takes."""
        self._idle = False
        sessions = self._server.sessions.values()
        now = self._server.loop.time()
        busy = [session for session in sessions if session.follower and not (session.waiting and session.drained)]
        if busy:
            return max(QUIET_S, min(session.last_request_s for session in busy) + FOLLOWER_SILENT_S - now)
        if self._every_s is not None:
            return None
        watching = self._watching()
        followed = any(session.follower for session in sessions)
        if any(not session.drained for session in watching):
            return QUIET_S
        if watching:
            quiet = max(
                session.last_request_s
                + (FOLLOWED_QUIET_S if followed and not session.subscriptions.market else QUIET_S)
                for session in watching
            )
            return quiet - now if quiet > now else None
        if followed:
            return None
        self._idle = True
        return 0.0

    def _watching(self) -> list[Session]:
        """The clients that do not follow and to which it matters that the clock moves."""
        others = [session for session in self._server.sessions.values() if not session.follower]
        if all(session.subscriptions.market for session in others):
            return others
        working = {order.client_id for order in self._market.open_orders()}
        return [session for session in others if session.subscriptions.market or session.client_id in working]

    def _drop_silent_followers(self) -> None:
        now = self._server.loop.time()
        for session in self._server.sessions.values():
            if session.follower and not session.waiting and now - session.last_request_s >= FOLLOWER_SILENT_S:
                log.warning("%r follows the market but asked nothing for %.0f s: not waiting for it any more",
                            session, FOLLOWER_SILENT_S)  # fmt: skip
                session.follower = False
