"""Which client id a strategy connects under, and what happens past IB's number of clients."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runner.broker.ib_connection import IBSettings
from runner.errors import ConfigError
from runner.manager.sessions import OWN_SESSIONS, SHARED_SESSIONS, StrategySessions


def test_a_hundred_strategies_and_the_master_fit_into_ibs_32_clients() -> None:
    sessions = StrategySessions(IBSettings(), client_id_base=1)
    used = {sessions.session_id(client_id) for client_id in range(1, 101)}
    assert len(used | {0}) == 32
    assert [sessions.session_id(number) for number in range(1, OWN_SESSIONS + 1)] == list(range(1, OWN_SESSIONS + 1))


def test_the_session_of_a_stored_client_id_never_changes() -> None:
    first, second = StrategySessions(IBSettings(), 1), StrategySessions(IBSettings(), 1)
    assert [first.session_id(n) for n in range(1, 200)] == [second.session_id(n) for n in range(1, 200)]


def test_sharing_strategies_get_one_session_that_the_last_of_them_ends(build: Any) -> None:
    sessions = StrategySessions(IBSettings(port=build({}).gateway.port), client_id_base=1)
    late, later = 1 + OWN_SESSIONS, 1 + OWN_SESSIONS + SHARED_SESSIONS

    async def share() -> None:
        one, two = await asyncio.gather(
            sessions.open("ONE", late, may_share=True), sessions.open("TWO", later, may_share=True)
        )
        assert one is two and one.isConnected()
        await sessions.close("ONE", late, one)
        assert two.isConnected()
        await sessions.close("TWO", later, two)
        assert not two.isConnected()
        again = await sessions.open("ONE", late, may_share=True)
        assert again is not one and again.isConnected()
        await sessions.close("ONE", late, again)

    asyncio.run(share())


def test_a_hand_written_strategy_cannot_share_and_says_so() -> None:
    sessions = StrategySessions(IBSettings(), client_id_base=1)
    with pytest.raises(ConfigError, match="LATE needs a session of its own"):
        asyncio.run(sessions.open("LATE", 1 + OWN_SESSIONS, may_share=False))
