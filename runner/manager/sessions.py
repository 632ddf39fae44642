"""Strategies' sessions with IB. Each has its own; past IB's number of clients, YAML strategies share the last ones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from runner.broker.ib_connection import IBSettings, connect_to_ib, disconnect
from runner.broker.session import Session
from runner.errors import ConfigError

OWN_SESSIONS = 24
"""Strategies, in the order of their stored client ids, that have a session of their own."""
SHARED_SESSIONS = 7
"""Sessions that all later ones share. With the master that makes 32, which is what IB allows."""


def has_own_session(client_id: int, base: int) -> bool:
    """Whether a strategy with this stored client id has a session to itself."""
    return client_id - base < OWN_SESSIONS


@dataclass(slots=True)
class _Shared:
    session: Session | None = None
    users: set[str] = field(default_factory=set)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


class StrategySessions:
    """Opens and closes sessions. Shared ones belong to the broker loop, as the strategies that share them do."""

    def __init__(self, settings: IBSettings, client_id_base: int) -> None:
        self._settings = settings
        self._base = client_id_base
        self._shared: dict[int, _Shared] = {}

    def session_id(self, client_id: int) -> int:
        """The client id that a strategy with this stored id connects under: always the same one, so that after a
        restart it may still cancel what it placed."""
        if has_own_session(client_id, self._base):
            return client_id
        return self._base + OWN_SESSIONS + (client_id - self._base) % SHARED_SESSIONS

    async def open(self, strategy: str, client_id: int, *, may_share: bool) -> Session:
        """A connected session for the strategy. ConfigError when it would have to share one and cannot."""
        number = self.session_id(client_id)
        if has_own_session(client_id, self._base):
            return await connect_to_ib(self._settings, number)
        if not may_share:
            raise ConfigError(
                f"{strategy} needs a session of its own, and the {OWN_SESSIONS} of them are taken",
                hint="a hand-written strategy has its own event loop; register it before the YAML strategies",
            )
        shared = self._shared.setdefault(number, _Shared())
        async with shared.opening:
            if shared.session is None or not shared.session.isConnected():
                shared.session = await connect_to_ib(self._settings, number)
            shared.users.add(strategy)
            return shared.session

    async def close(self, strategy: str, client_id: int, session: Session) -> None:
        """Ends the session, or the strategy's share in it; the last user ends it."""
        shared = self._shared.get(self.session_id(client_id))
        if shared is None or shared.session is not session:
            await disconnect(session)
            return
        shared.users.discard(strategy)
        if not shared.users:
            shared.session = None
            await disconnect(session)
