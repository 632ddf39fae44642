"""What a strategy needs of the manager that hosts it. The object travels down; the import does not travel up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from runner.broker.feed import Feed
from runner.broker.live_broker import LiveBroker
from runner.model.bars import Bar, BarSize
from runner.model.events import CommissionCharged, Event, Filled, Notice, StatusChanged, StrategyPhase
from runner.model.instruments import Instrument, InstrumentQuery
from runner.portfolio.portfolio_manager import PortfolioManager
from runner.store.strategies import StrategyRow

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from runner.broker.session import Session

T = TypeVar("T")


class HostClock(Protocol):
    """The market's clock, on which a strategy may also sleep."""

    @property
    def following(self) -> bool:
        """Whether the time is a replay's, which sends every step of its clock itself."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    async def sleep_until(self, at: datetime) -> None: ...


class HostedStrategy(Protocol):
    """What the manager needs of a strategy that it hosts. Fitted by `BaseStrategy`."""

    symbol: str
    client_id: int
    generation: int

    @property
    def placement(self) -> str:
        """`thread` or `broker`: whose loop its session belongs to."""

    def take_fill(self, fill: Filled) -> None: ...

    def take_status_change(self, change: StatusChanged) -> None: ...

    def on_commission(self, commission: CommissionCharged) -> None: ...

    def on_notice(self, notice: Notice) -> None: ...


class StrategyHost(Protocol):
    """Fitted by `StrategyManager`. Every coroutine may be awaited from any strategy's loop."""

    @property
    def ac(self) -> Any:
        """The one ArcticDB client."""

    @property
    def portfolio_manager(self) -> PortfolioManager: ...

    @property
    def clock(self) -> HostClock: ...

    @property
    def broker_loop(self) -> AbstractEventLoop: ...

    def publish(self, event: Event) -> None:
        """Puts a standardized event into `message_queue`. Never blocks."""

    async def settle(self) -> None:
        """Returns when all that was published before has been journalled and folded."""

    async def connect_strategy(self, strategy: HostedStrategy) -> Session: ...

    def session_reconciled(self, strategy: str) -> None:
        """What IB knows of the strategy's orders has been folded in, on a first session or a new one."""

    async def release_session(self, strategy: HostedStrategy, ib: Session) -> None: ...

    def create_broker(self, strategy: HostedStrategy, ib: Session) -> LiveBroker: ...

    async def qualify(self, queries: Sequence[InstrumentQuery]) -> list[Instrument]:
        """Contracts as IB knows them, in the order asked for; ContractNotFound names the ones it does not."""

    async def history(
        self, instrument: Instrument, size: BarSize, bars: int | None, *, regular_hours: bool = True
    ) -> list[Bar]:
        """Completed bars, oldest first; None for as many as IB has. Paced, de-duplicated and cached."""

    async def open_feed(
        self, strategy: str, instruments: Sequence[Instrument], size: BarSize, history: int, *, regular_hours: bool
    ) -> Feed: ...

    async def ensure_rates(self, currencies: Collection[str]) -> None:
        """Makes the shared FX cache know these currencies; CurrencyWithoutRate for the first that has no rate."""

    def may_open(self, strategy: str) -> bool:
        """False while an operator or the day's loss keeps the strategy from opening positions."""

    def is_restricted(self, strategy: str) -> bool:
        """Whether its file is gone or cannot be used, so that entries which rest are not wanted either."""

    def loss_paused(self, strategy: str) -> bool:
        """Whether the daily loss limit was reached in the session under way."""

    def last_price(self, con_id: int) -> Decimal | None: ...

    def row(self, strategy: str) -> StrategyRow | None:
        """The strategy's row in general/strategies."""

    def library_symbols(self, library: str) -> list[str]:
        """Symbols of an ArcticDB library that serves as a universe."""

    def use_calendar(self, strategy: str, code: str) -> None:
        """The exchange_calendars code that decides which session counts as today for the strategy."""

    def session_day(self, strategy: str, at: datetime) -> date:
        """The session that `at` belongs to, on the strategy's calendar: under way, or the last one."""

    async def session_mark(self, strategy: str, day: date, net: Decimal) -> Decimal:
        """Net P&L, base currency, that the session's own is measured from: the one stored for it, else `net`, which is
        stored."""

    async def latch_daily_loss(self, strategy: str, day: date, reason: str) -> None: ...

    def phase_changed(self, strategy: str, phase: StrategyPhase, reason: str) -> None: ...

    def load_memory(self, strategy: str) -> dict[str, Any]: ...

    async def save_memory(self, strategy: str, memory: dict[str, Any]) -> None:
        """Small values that must survive a restart: high-water marks, blocked sides."""

    async def in_worker(self, strategy: str, call: Callable[[], T], timeout_s: float) -> T:
        """Runs user code off the loops with a deadline; TimeoutError when it is missed."""
