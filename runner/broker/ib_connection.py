"""Connecting to IB, and noticing when the connection is dead.

`connect_to_ib` returns only when the session is complete: handshake, accounts checked against what was configured, and
every list of the first synchronisation ended. Everything else is a named error with a hint.
"""

# mypy: disable-error-code=no-untyped-call
# ib_async's client has no annotations.
from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ib_async import IB, StartupFetch

from runner.broker.clock import BrokerClock
from runner.broker.codes import CLIENT_ID_IN_USE, INVALID_REQUEST
from runner.broker.session import Session, shorten_reprs
from runner.errors import ClientIdInUse, GatewayError, NotConnected, WrongAccount

CONNECT_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 2.0
CAUSE_S = 0.05
SUMMARY_TIMEOUT_S = 15.0
HEARTBEAT_S = 5.0
HEARTBEAT_DEADLINE_S = 3.0
HEARTBEAT_MISSES = 2
PAPER_PREFIX = "D"
"""IB's paper accounts begin with D (DU…, DF…)."""
LOOKING_CLIENT_ID = 1_100_000
"""Client ids of sessions that only look begin here, above every id that a runner can use: `ib.client_id_base` is at
most 999,999, and the sessions of strategies have the 31 ids from there."""
LOOKING_TRIES = 8
"""Ids that are tried when another process, on another machine, looks under the same one."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IBSettings:
    """Where IB is and which account may be used."""

    host: str = "127.0.0.1"
    port: int = 4002
    timeout_s: float = CONNECT_TIMEOUT_S
    """Of each stage of connecting: socket and handshake, first lists, executions."""
    account: str = ""
    """The account to trade; may be empty when the session has exactly one."""
    mode: Literal["paper", "live"] = "paper"
    live_accounts: tuple[str, ...] = ()
    """The live accounts that may be traded in mode live; the account must be among them."""
    readonly: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountValue:
    """One line of IB's account summary, `("EquityWithLoanValue", "1000000.00", "USD", "DU1")`."""

    tag: str
    value: str
    currency: str
    account: str


async def connect_to_ib(settings: IBSettings, client_id: int, *, follow: bool = False, master: bool = False) -> Session:
    """A synchronised session under `client_id`.

    `master` keeps the account updates and positions that IB broadcasts; every other session switches them off, because
    each fill would be decoded once per session. Of the others' orders it hears the executions only. `follow` makes a
    replaying gateway wait for this session.

    Raises ClientIdInUse, WrongAccount, NotConnected.
    """
    shorten_reprs()
    ib = Session()
    if follow:
        ib.client.optCapab = "follow"
    fetch = StartupFetch.ORDERS_OPEN | StartupFetch.ORDERS_COMPLETE | StartupFetch.EXECUTIONS
    if master:
        fetch |= StartupFetch.ACCOUNT_UPDATES
    await _connect(ib, settings, client_id, fetch)
    try:
        account_of(ib.managedAccounts(), settings)
    except WrongAccount:
        await disconnect(ib)
        raise
    if master:
        ib.ignore_orders()
    else:
        ib.client.cancelPositions()
    return ib


async def connect_to_look(settings: IBSettings, *, follow: bool = False) -> Session:
    """A session beside those of a runner that may be running: under an id that none of them can have, without orders.

    The id is LOOKING_CLIENT_ID plus the number of this process, or the next one that is free. A gateway whose API is
    read-only accepts the session too. Raises as `connect_to_ib`.
    """
    first = LOOKING_CLIENT_ID + os.getpid()
    for client_id in range(first, first + LOOKING_TRIES - 1):
        try:
            return await connect_to_ib(replace(settings, readonly=True), client_id, follow=follow)
        except ClientIdInUse as error:
            log.info("%s", error.message)
    return await connect_to_ib(replace(settings, readonly=True), first + LOOKING_TRIES - 1, follow=follow)


async def takes_orders(ib: Session, timeout_s: float) -> bool | None:
    """Whether the gateway lets this session send orders; None when it does not say within `timeout_s`.

    A gateway whose API is set to read-only refuses to list open orders in the words in which it refuses an order. The
    list, unlike an order, changes nothing. Raises NotConnected.
    """
    refused = asyncio.Event()

    def on_error(_request: int, code: int, text: str, _contract: Any) -> None:
        if code == INVALID_REQUEST and "read-only" in text.lower():
            refused.set()

    ib.errorEvent += on_error
    asking = asyncio.ensure_future(ib.reqOpenOrdersAsync())
    waiting = asyncio.ensure_future(refused.wait())
    try:
        await asyncio.wait({asking, waiting}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if refused.is_set():
            return False
        if not asking.done():
            return None
        asking.result()
        return True
    except ConnectionError as error:
        raise NotConnected(f"the connection ended while reading open orders: {error}") from error
    finally:
        ib.errorEvent -= on_error
        asking.cancel()
        waiting.cancel()


async def _connect(ib: Session, settings: IBSettings, client_id: int, fetch: StartupFetch) -> None:
    loop = asyncio.get_running_loop()
    refusal: asyncio.Future[GatewayError] = loop.create_future()

    def refuse(error: GatewayError) -> None:
        if not refusal.done():
            refusal.set_result(error)

    def on_error(_request: int, code: int, text: str, _contract: Any) -> None:
        # IB says 326 and closes; ib_async itself would only time out.
        if code == CLIENT_ID_IN_USE:
            refuse(_client_id_in_use(client_id, text))

    def on_api_error(text: str) -> None:
        if not text.startswith("API connection failed"):  # that one is raised too, with its cause
            refuse(_not_connected(settings, text))

    def on_closed(text: str) -> None:
        # In the middle of the handshake ib_async says nothing of it.
        refuse(_not_connected(settings, text or "the peer closed the connection"))

    ib.errorEvent += on_error
    ib.client.apiError += on_api_error
    ib.client.conn.disconnected += on_closed
    connecting = asyncio.ensure_future(
        ib.connectAsync(
            settings.host,
            settings.port,
            client_id,
            settings.timeout_s,
            settings.readonly,
            settings.account,
            raiseSyncErrors=True,
            fetchFields=fetch,
        )
    )
    is_up = False
    try:
        await asyncio.wait({connecting, refusal}, return_when=asyncio.FIRST_COMPLETED, timeout=4 * settings.timeout_s)
        is_up = connecting.done() and connecting.exception() is None and ib.isConnected()
        if is_up:
            return
        error = await _why(connecting, refusal, settings)
    finally:
        ib.errorEvent -= on_error
        ib.client.apiError -= on_api_error
        ib.client.conn.disconnected -= on_closed
        if not connecting.done():
            connecting.cancel()
            await asyncio.wait({connecting}, timeout=CLOSE_TIMEOUT_S)
        if not is_up:  # also when it came up in the moment in which the caller gave up: nobody would close it
            await disconnect(ib)
    raise error


async def _why(
    connecting: asyncio.Future[Any], refusal: asyncio.Future[GatewayError], settings: IBSettings
) -> GatewayError:
    """The error to raise: what the gateway said is better than what the socket said."""
    if refusal.done() and isinstance(refusal.result(), ClientIdInUse):
        return refusal.result()
    await asyncio.wait({connecting}, timeout=CAUSE_S)  # a socket that ib_async closed has its cause there
    cause = connecting.exception() if connecting.done() and not connecting.cancelled() else None
    if isinstance(cause, ConnectionRefusedError):
        return NotConnected(
            f"nothing listens on {settings.host}:{settings.port}",
            hint="start TWS or IB Gateway with its API enabled, or check the port: 4002 and 7497 are paper, "
            "4001 and 7496 live",
        )
    if isinstance(cause, TimeoutError) or (cause is None and not refusal.done()):
        return NotConnected(
            f"{settings.host}:{settings.port} did not answer within {settings.timeout_s:g} s",
            hint="is it the API port, and is this machine a trusted address in its settings?",
        )
    return refusal.result() if refusal.done() else _not_connected(settings, str(cause) or repr(cause))


def _client_id_in_use(client_id: int, text: str) -> ClientIdInUse:
    return ClientIdInUse(
        f"client id {client_id} is in use by another session",
        code=CLIENT_ID_IN_USE,
        text=text,
        hint="another runner, or another program with the same client id, is connected to this gateway",
    )


def _not_connected(settings: IBSettings, text: str) -> NotConnected:
    return NotConnected(
        f"no session with {settings.host}:{settings.port}: {text}",
        text=text,
        hint="the gateway may be restarting or still logging in",
    )


def account_of(managed: Sequence[str], settings: IBSettings) -> str:
    """The account to trade. WrongAccount unless it is one of the session's and allowed by the mode."""
    if settings.account and settings.account not in managed:
        raise WrongAccount(
            f"account {settings.account} is not one of this login's: {', '.join(managed) or 'none'}",
            setting="account",
            hint="check ib.account, and which user the gateway is logged in as",
        )
    if not settings.account and len(managed) != 1:
        raise WrongAccount(
            f"the login has {len(managed)} accounts ({', '.join(managed)}) and none is named",
            setting="account",
            hint="set ib.account",
        )
    account = settings.account or managed[0]
    if settings.mode == "paper":
        live = [name for name in managed if not name.startswith(PAPER_PREFIX)]
        if live:
            raise WrongAccount(
                f"mode is paper, but account {live[0]} is a live account",
                setting="mode",
                hint="connect to the paper port, or opt in to live trading: ib.mode and ib.live_accounts",
            )
    elif account.startswith(PAPER_PREFIX):
        raise WrongAccount(
            f"mode is live, but account {account} is a paper account", setting="mode", hint="set ib.mode to paper"
        )
    elif account not in settings.live_accounts:
        raise WrongAccount(
            f"live account {account} is not listed",
            setting="live_accounts",
            hint="add it to ib.live_accounts to allow live trading in it",
        )
    return account


async def disconnect(ib: IB) -> None:
    """End the session and wait until the socket is closed; at most CLOSE_TIMEOUT_S, then it is cut off."""
    transport = ib.client.conn.transport
    if ib.client.isConnected():
        ib.disconnect()
    elif transport is not None:
        ib.client.disconnect()
    deadline = asyncio.get_running_loop().time() + CLOSE_TIMEOUT_S
    while ib.client.conn.transport is not None:
        if asyncio.get_running_loop().time() > deadline:
            # A peer that does not read keeps close() waiting for its buffer.
            ib.client.conn.transport.abort()
            deadline = float("inf")
        await asyncio.sleep(0)


async def account_values(ib: IB) -> list[AccountValue]:
    """All lines of the account summary, per currency (`$LEDGER`) and `BASE` rows included.

    Asks IB the first time and returns what the subscription holds afterwards. Raises NotConnected.
    """
    try:
        async with asyncio.timeout(SUMMARY_TIMEOUT_S):
            rows = await ib.accountSummaryAsync()
    except TimeoutError:
        raise NotConnected(f"no account summary within {SUMMARY_TIMEOUT_S:g} s") from None
    except ConnectionError as error:
        raise NotConnected(f"the connection ended while reading the account summary: {error}") from error
    return [AccountValue(tag=row.tag, value=row.value, currency=row.currency, account=row.account) for row in rows]


class Heartbeat:
    """Asks a session for the time and says when it stops answering: a frozen gateway keeps its socket open.

    `on_dead` is called once, on the session's loop, after `misses` deadlines in a row or a lost connection.
    """

    def __init__(
        self,
        ib: Session,
        clock: BrokerClock,
        on_dead: Callable[[str], None],
        *,
        interval_s: float = HEARTBEAT_S,
        deadline_s: float = HEARTBEAT_DEADLINE_S,
        misses: int = HEARTBEAT_MISSES,
    ) -> None:
        self._ib = ib
        self._clock = clock
        self._on_dead = on_dead
        self._interval_s = interval_s
        self._deadline_s = deadline_s
        self._misses = misses
        self.missed = 0

    async def run(self) -> None:
        """Beat until the session is dead or the task is cancelled."""
        while True:
            try:
                self._clock.observe(await self._ib.server_time(self._deadline_s))
                self.missed = 0
            except TimeoutError:
                self.missed += 1
                if self.missed >= self._misses:
                    self._on_dead(f"no answer {self.missed} times in a row")
                    return
            except ConnectionError as error:
                self._on_dead(str(error) or "the connection was lost")
                return
            await asyncio.sleep(max(0.0, self._interval_s - self._deadline_s) if self.missed else self._interval_s)
