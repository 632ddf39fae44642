"""What can be wrong around a strategy: each has a clear message, loses nothing and leaves the others running."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runner.broker.ib_connection import IBSettings, connect_to_ib, disconnect
from runner.errors import (
    ClientIdInUse,
    ConfigError,
    NotConnected,
    StoreCorrupt,
    StoreLocked,
    WrongAccount,
)
from runner.manager.strategy_manager import StrategyManager
from runner.model.events import StrategyPhase
from runner.spec.config import GatewayConfig, RunnerConfig

GOOD = """
spec: 1
name: GOOD
universe: IBM
bars: {size: 1 day, history: 30}
signals: {hold: {use: buy_and_hold}}
sizing: {use: equal_weight}
params: {target_weight: 0.1}
schedule: {calendar: XNYS}
"""


def spec(name: str, universe: str) -> str:
    return GOOD.replace("name: GOOD", f"name: {name}").replace("universe: IBM", f"universe: {universe}")


def raising(where: str) -> str:
    """A strategy that raises in one of its methods."""
    return f"""
import asyncio
from runner.model.bars import BarSize
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS
PARAMS = {{**BASE_PARAMS, "target_weight": 0.1}}
class BadStrategy(BaseStrategy):
    async def initialize_strategy(self):
        if "{where}" == "initialize_strategy":
            raise ValueError("boom in initialize_strategy")
        (self.instrument,) = await self.qualify("AAPL")
        self.feed = await self.open_feed([self.instrument], BarSize.DAY_1, history=3)
    async def run_strategy(self):
        await self.buy(self.instrument, 10)
        if "{where}" == "run_strategy":
            raise ValueError("boom in run_strategy")
        while True:
            await self.feed.next()
    def on_fill(self, fill):
        if "{where}" == "on_fill":
            raise ValueError("boom in on_fill")
        super().on_fill(fill)
    def on_status_change(self, change):
        if "{where}" == "on_status_change":
            raise ValueError("boom in on_status_change")
        super().on_status_change(change)
"""


@pytest.mark.parametrize("where", ["initialize_strategy", "run_strategy", "on_fill", "on_status_change"])
def test_a_strategy_that_raises_stops_alone_and_loses_no_fill(build: Any, where: str) -> None:
    running = build({"good.yaml": GOOD, "bad.py": raising(where)})
    running.manager.register_python("BAD", "bad.py")
    running.start("GOOD", "BAD")
    running.let_market_run()
    running.until(lambda: running.phase("BAD") is StrategyPhase.FAILED, f"{where} did not stop the strategy")
    books = running.manager.portfolio_manager
    running.until(lambda: any(held.quantity for held in books.positions("GOOD")), "the other one did not trade")
    running.manager.finish_following()
    assert f"boom in {where}" in running.reason("BAD")
    assert running.phase("GOOD") is StrategyPhase.RUNNING
    if where == "on_fill":  # the handler raised, and the fill is in the books all the same
        assert [held.quantity for held in books.positions("BAD")] == [10]


def test_an_unknown_symbol_stops_its_strategy_and_is_named(build: Any) -> None:
    running = build({"good.yaml": GOOD, "unknown.yaml": spec("UNKNOWN", "NOSUCH")})
    running.start()
    assert running.phase("UNKNOWN") is StrategyPhase.FAILED
    assert "NOSUCH" in running.reason("UNKNOWN")
    assert running.phase("GOOD") is StrategyPhase.RUNNING


def test_a_currency_without_a_rate_stops_its_strategy_before_any_order(build: Any) -> None:
    running = build({"good.yaml": GOOD}, base_currency="SEK", cash={"SEK": Decimal(1_000_000)})
    running.start()
    assert running.phase("GOOD") is StrategyPhase.FAILED
    assert "no exchange rate from USD to SEK" in running.reason("GOOD")
    assert running.manager.journal.intents() == []


def config(tmp_path: Path) -> RunnerConfig:
    return RunnerConfig(
        state_dir=tmp_path / ".runner",
        strategies_dir=tmp_path,
        strategies_python=(tmp_path,),
        gateway=GatewayConfig(embedded=False),
    )


def test_a_gateway_that_is_not_there_is_named_with_its_port(tmp_path: Path) -> None:
    with pytest.raises(NotConnected, match=r"nothing listens on 127\.0\.0\.1:1\b"):
        StrategyManager(config(tmp_path), IBSettings(port=1))


def test_a_client_id_that_is_taken_is_named(build: Any, tmp_path: Path) -> None:
    running = build({})
    with pytest.raises(ClientIdInUse, match="client id 0 is in use"):
        StrategyManager(config(tmp_path), IBSettings(port=running.gateway.port))


def test_an_account_that_the_login_does_not_have_is_refused(build: Any, tmp_path: Path) -> None:
    gateway = build({}).gateway
    with pytest.raises(WrongAccount, match="account DU99 is not one of this login's"):
        asyncio.run(connect_to_ib(IBSettings(port=gateway.port, account="DU99"), 5))


def test_several_accounts_and_none_named_is_refused(build: Any) -> None:
    with pytest.raises(WrongAccount, match=r"2 accounts \(DU1, DU2\) and none is named"):
        build({}, accounts=("DU1", "DU2"))


def test_a_live_mode_with_a_paper_account_is_refused(build: Any) -> None:
    gateway = build({}).gateway
    settings = IBSettings(port=gateway.port, mode="live", live_accounts=("U1",))
    with pytest.raises(WrongAccount, match="mode is live, but account DU1234567 is a paper account"):
        asyncio.run(connect_to_ib(settings, 5))


def test_a_session_that_was_refused_leaves_nothing_behind(build: Any) -> None:
    gateway = build({}).gateway

    async def twice() -> None:
        with pytest.raises(WrongAccount):
            await connect_to_ib(IBSettings(port=gateway.port, account="DU99"), 5)
        await disconnect(await connect_to_ib(IBSettings(port=gateway.port), 5))

    asyncio.run(twice())


def test_a_state_directory_of_another_account_is_refused(build: Any, tmp_path: Path) -> None:
    first = build({}, state=tmp_path, accounts=("DU111",))
    first.manager.close()
    with pytest.raises(ConfigError, match="belongs to account DU111, not DU222"):
        build({}, state=tmp_path, accounts=("DU222",))


def test_a_store_that_another_process_holds_is_named_with_its_pid(build: Any, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from runner.store.state_dir import StateDir\n"
            f"StateDir.open(Path({str(tmp_path / '.runner')!r})); print('held', flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked, match=str(holder.pid)) as refused:
            StrategyManager(config(tmp_path), IBSettings(port=1))
        assert refused.value.pid == holder.pid
    finally:
        holder.communicate()


@pytest.mark.parametrize("file", ["journal.db", "arctic/_arctic_cfg/data.mdb"])
def test_a_corrupt_store_is_named_and_left_as_it_is(build: Any, tmp_path: Path, file: str) -> None:
    build({}, state=tmp_path).manager.close()
    damaged = tmp_path / ".runner" / file
    damaged.write_bytes(b"\x13garbage" * 4096)
    before = damaged.read_bytes()
    with pytest.raises(StoreCorrupt, match="journal.db" if "journal" in file else "arctic"):
        StrategyManager(config(tmp_path), IBSettings(port=1))
    assert damaged.read_bytes() == before


RESTING = """
from runner.model.bars import BarSize
from runner.strategy.base_strategy import BaseStrategy, PARAMS as BASE_PARAMS
PARAMS = {**BASE_PARAMS, "target_weight": 0.1}
class RestingStrategy(BaseStrategy):
    async def initialize_strategy(self):
        (self.instrument,) = await self.qualify("AAPL")
        self.feed = await self.open_feed([self.instrument], BarSize.DAY_1, history=3)
    async def run_strategy(self):
        await self.buy(self.instrument, 10, order_type="LMT", limit_price=415, tif="GTC")
        while True:
            await self.feed.next()
"""


def test_an_order_that_fills_after_its_strategy_was_stopped_is_booked_all_the_same(build: Any) -> None:
    running = build({"good.yaml": GOOD, "resting.py": RESTING}, end=date(2012, 1, 31))
    running.manager.register_python("RESTING", "resting.py")
    acknowledged = threading.Event()

    def look(events: list[tuple[int, Any]]) -> None:
        if any(event.type == "status_change" and event.strategy == "RESTING" and event.perm_id for _, event in events):
            acknowledged.set()

    running.manager.journal.subscribe(look)
    running.start("GOOD", "RESTING")
    books = running.manager.portfolio_manager
    assert acknowledged.wait(30)
    running.manager.stop_strategy("RESTING")
    running.run_to(date(2012, 1, 31))
    assert [held.quantity for held in books.positions("RESTING")] == [10]
    (record,) = running.manager.journal.intents(strategy="RESTING")
    assert (record.state.value, record.filled) == ("Filled", 10)
    assert running.manager.portfolio_manager.held() == {
        line.contract.con_id: line.quantity for line in running.gateway.exchange.positions() if line.quantity
    }
