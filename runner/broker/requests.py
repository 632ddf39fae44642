"""Asking IB for things that are not orders: its errors become ours, and silence becomes an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ib_async import Contract, ContractDetails
from ib_async.wrapper import RequestError

from runner.broker.codes import NOT_SUBSCRIBED
from runner.broker.pacing import Pacer, Priority
from runner.broker.session import Session
from runner.broker.wire import instrument_from_details, to_ib_contract
from runner.errors import ContractNotFound, GatewayError, NoMarketData, NotConnected, PacingLimit
from runner.model.instruments import Instrument, InstrumentQuery, SecType

REQUEST_TIMEOUT_S = 60.0
DETAILS_TIMEOUT_S = 20.0
PACING_RETRY_S = 15.0

K = TypeVar("K")
T = TypeVar("T")


async def answer(ask: Callable[[], Awaitable[T]], what: str, timeout_s: float = REQUEST_TIMEOUT_S) -> T:
    """The answer to one request, which `ask` makes: some of ib_async's raise before there is anything to wait for.
    Raises NotConnected, PacingLimit, ContractNotFound, NoMarketData, GatewayError."""
    try:
        # Not wait_for: it can swallow a cancellation that comes together with the answer.
        async with asyncio.timeout(timeout_s):
            return await ask()
    except TimeoutError:
        raise NotConnected(f"no answer within {timeout_s:g} s to: {what}") from None
    except ConnectionError as error:
        raise NotConnected(f"the connection ended during: {what}") from error
    except RequestError as error:
        raise error_of(error, what) from error


def error_of(error: RequestError, what: str) -> GatewayError:
    """IB's error on a request as one of ours, its number and words kept."""
    code, text = error.code, error.message
    message = f"{what}: IB says {code}: {text}"
    if code == 200:
        return ContractNotFound(
            message, code=code, text=text, hint="check symbol, exchange, currency and, for futures, expiry"
        )
    if code in (100, 162, 366, 420) and "pacing" in text.lower():
        return PacingLimit(message, code=code, text=text, retry_after_s=PACING_RETRY_S)
    if code in NOT_SUBSCRIBED or code in (162, 420):
        return NoMarketData(message, code=code, text=text, hint="check the account's market data subscriptions")
    return GatewayError(message, code=code, text=text)


def is_not_permitted(error: GatewayError) -> bool:
    """Whether IB has the data and does not give it to this account or this session."""
    return error.code in NOT_SUBSCRIBED or (error.code == 162 and "permission" in error.text.lower())


def is_no_data(error: GatewayError) -> bool:
    """Whether IB only said that there is nothing in the period asked for."""
    return error.code == 162 and "no data" in error.text.lower()


def forget(asking: dict[K, asyncio.Task[T]], key: K, done: asyncio.Task[T]) -> None:
    """Takes a question that is over off the list. Its error counts as seen: nobody may be waiting any more."""
    asking.pop(key, None)
    if not done.cancelled():
        done.exception()


class InstrumentResolver:
    """Qualifies contracts: one request per contract, kept for the life of the process. One loop only."""

    def __init__(self, ib: Session, pacer: Pacer) -> None:
        self._ib = ib
        self._pacer = pacer
        self._known: dict[InstrumentQuery | int, Instrument] = {}
        self._asking: dict[InstrumentQuery | int, asyncio.Task[Instrument]] = {}
        self._order_types: dict[int, frozenset[str]] = {}

    def attach(self, ib: Session) -> None:
        """Ask on a new session from now on."""
        self._ib = ib

    async def resolve(self, query: InstrumentQuery) -> Instrument:
        """The one instrument that IB knows by this description. Raises ContractNotFound for none or several."""
        return await self._once(query, to_ib_contract(query), str(query))

    async def resolve_all(self, queries: Sequence[InstrumentQuery]) -> list[Instrument]:
        """In the order asked for; ContractNotFound names every one that IB does not know."""
        found = await asyncio.gather(*(self.resolve(query) for query in queries), return_exceptions=True)
        missing = [error for error in found if isinstance(error, ContractNotFound)]
        if missing:
            raise ContractNotFound("; ".join(error.message for error in missing), code=200, hint=missing[0].hint)
        for error in found:
            if isinstance(error, BaseException):
                raise error
        return [one for one in found if isinstance(one, Instrument)]

    def order_types(self, instrument: Instrument) -> frozenset[str]:
        """IB's names of the order types that it takes for a resolved instrument; empty when it named none."""
        return self._order_types.get(instrument.con_id, frozenset())

    async def resolve_contract(self, contract: Contract) -> Instrument:
        """The instrument of an `ib_async` contract, qualified or not."""
        if contract.conId:
            return await self._once(contract.conId, contract, str(contract.conId))
        try:
            sec_type = SecType(contract.secType)
        except ValueError:
            raise ContractNotFound(f"the runner does not trade {contract.secType or 'untyped'} contracts") from None
        query = InstrumentQuery(
            symbol=contract.symbol,
            sec_type=sec_type,
            exchange=contract.exchange or "SMART",
            currency=contract.currency or "USD",
            primary_exchange=contract.primaryExchange,
            expiry=contract.lastTradeDateOrContractMonth,
        )
        return await self.resolve(query)

    async def _once(self, key: InstrumentQuery | int, contract: Contract, name: str) -> Instrument:
        known = self._known.get(key)
        if known is not None:
            return known
        task = self._asking.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(contract, name))
            self._asking[key] = task
            task.add_done_callback(lambda done: forget(self._asking, key, done))
        found = await asyncio.shield(task)
        self._known[key] = found
        return found

    async def _ask(self, contract: Contract, name: str) -> Instrument:
        await self._pacer.slot(Priority.STATUS)
        details: list[ContractDetails] = await answer(
            lambda: self._ib.reqContractDetailsAsync(contract), f"contract details of {name}", DETAILS_TIMEOUT_S
        )
        found = [one for one in details if one.contract and one.contract.secType in ("", contract.secType)]
        if not contract.secType:
            found = list(details)
        if len(found) != 1:
            names = ", ".join(f"{d.contract.localSymbol} {d.contract.primaryExchange}" for d in found if d.contract)
            raise ContractNotFound(
                f"IB knows {len(found) or 'no'} contracts by {name}{': ' + names if names else ''}",
                code=200,
                hint="name the primary exchange or the expiry" if found else "check symbol, exchange and currency",
                candidates=[instrument_from_details(one) for one in found],
            )
        instrument = instrument_from_details(found[0], contract.exchange if contract.exchange == "SMART" else "")
        self._order_types[instrument.con_id] = frozenset(filter(None, found[0].orderTypes.split(",")))
        return instrument
