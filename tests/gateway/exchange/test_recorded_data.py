"""The shipped bars, and what a user's own folder may say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from runner.errors import ConfigError
from runner.gateway.exchange import PaperExchange
from runner.gateway.model import ContractQuery
from runner.gateway.recorded import SHIPPED, load
from runner.gateway.settings import GatewaySettings, LiquiditySettings
from runner.model.sessions import sessions

GOOD = "date,open,high,low,close,volume\n2013-02-28,10,11,9,10.5,1000\n2013-03-01,10.5,11,10,10.8,2000\n"


def test_the_shipped_bars_are_small_and_cover_every_session() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 400_000
    days = sessions("XNYS")
    counts = {}
    for recording in load():
        found = [day for day, _ in recording.bars]
        counts[recording.listing.contract.symbol] = len(found)
        assert found == [session.day for session in days.between(found[0], found[-1])]
        assert all(
            bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for _, bar in recording.bars
        )
    assert counts == {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}


def test_a_folder_replaces_the_shipped_stocks_and_may_describe_its_own(tmp_path: Path) -> None:
    (tmp_path / "ABC.csv").write_text(GOOD)
    (tmp_path / "EURUSD.csv").write_text("date,open,high,low,close,volume\n2013-03-01,1.3061,1.3072,1.2985,1.30207,0\n")
    (tmp_path / "contracts.yaml").write_text(
        "EURUSD: {symbol: EUR, sec_type: CASH, currency: USD, exchange: IDEALPRO, con_id: 12087792}\n"
        "ABC: {con_id: 77, currency: EUR, exchange: IBIS, long_name: A B C}\n"
    )
    exchange = PaperExchange(GatewaySettings(data=tmp_path))
    (stock,) = exchange.find(ContractQuery(symbol="ABC", sec_type="STK", currency="EUR", exchange="SMART"))
    assert (stock.con_id, stock.primary_exchange, stock.calendar) == (77, "IBIS", "XETR")
    assert exchange.find(ContractQuery(symbol="AAPL", sec_type="STK", currency="USD")) == []
    (pair,) = exchange.find(ContractQuery(symbol="EUR", sec_type="CASH", currency="USD"))
    assert (pair.con_id, pair.local_symbol, pair.min_tick) == (12087792, "EUR.USD", Decimal("0.00005"))
    assert "simulated" not in pair.long_name
    assert exchange.now().date() == date(2013, 3, 1)


BAD: list[tuple[dict[str, str], str]] = [
    ({}, "holds no daily bars"),
    ({"A.csv": "date,open,high,low,close\n"}, "A.csv:1: no column volume"),
    ({"A.csv": GOOD.replace("10.5,1000", "nan,1000")}, "A.csv:2: close is 'nan'"),
    ({"A.csv": GOOD.replace(",11,9", ",8,9")}, "A.csv:2: .*cannot be one bar"),
    ({"A.csv": GOOD.replace("2013-02-28", "28.2.2013")}, "A.csv:2: '28.2.2013' is not a date"),
    ({"A.csv": GOOD.replace("2013-02-28", "2013-03-01")}, "A.csv:3: date 2013-03-01 does not come after"),
    ({"A.csv": GOOD.replace("2013-02-28", "2013-02-24")}, "A: a bar of 2013-02-24, but calendar XNYS has no session"),
    ({"A.csv": GOOD.replace(",2000", "")}, "A.csv:3: 5 fields under 6 columns"),
    ({"A.csv": GOOD.splitlines()[0]}, "A.csv: no bars"),
    ({"A.csv": GOOD, "contracts.yaml": "B: {currency: EUR}"}, "describes 'B', but there is no B.csv"),
    ({"A.csv": GOOD, "contracts.yaml": "A: {colour: red}"}, "unknown field 'colour'"),
    ({"A.csv": GOOD, "contracts.yaml": "A: {con_id: minus}"}, "con_id 'minus'"),
    ({"A.csv": GOOD, "contracts.yaml": "A: {min_tick: 0}"}, "min_tick is '0'"),
    ({"A.csv": GOOD, "contracts.yaml": "A: {sec_type: OPT}"}, "sec_type 'OPT'"),
    ({"A.csv": GOOD, "contracts.yaml": "A: {calendar: XXXX}"}, "no exchange calendar called 'XXXX'"),
    ({"A.csv": GOOD, "contracts.json": "[1, 2]"}, "not a mapping"),
    ({"A.csv": GOOD, "contracts.yaml": "A: {con_id: 12087792}"}, "already belongs to EUR"),
    ({"A.csv.gz": GOOD}, "A.csv.gz cannot be read"),
]


@pytest.mark.parametrize(("files", "words"), BAD, ids=[row[1] for row in BAD])
def test_a_bad_folder_is_refused_with_file_line_and_value(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=words):
        PaperExchange(GatewaySettings(data=tmp_path))


def test_a_stock_called_no_stays_a_stock_called_no(tmp_path: Path) -> None:
    (tmp_path / "NO.csv").write_text(GOOD)
    (tmp_path / "contracts.yaml").write_text("NO: {currency: NOK}\n")
    exchange = PaperExchange(GatewaySettings(data=tmp_path))
    assert exchange.find(ContractQuery(symbol="NO", sec_type="STK", currency="NOK"))


BAD_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"accounts": ("U1234567",)}, "not a paper account"),
    ({"accounts": ()}, "no account"),
    ({"accounts": ("DU1", "DU1")}, "repeat"),
    ({"port": 70_000}, "port"),
    ({"speed": 0}, "speed"),
    ({"speed": "fast"}, "speed"),
    ({"step": "2s"}, "step"),
    ({"start": date(2013, 1, 2), "end": date(2013, 1, 1)}, "before its start"),
    ({"base_currency": "usd"}, "not a currency"),
    ({"cash": {"USD": Decimal("NaN")}}, "cash"),
    ({"data": Path("/nowhere")}, "does not exist"),
]


@pytest.mark.parametrize(("change", "words"), BAD_SETTINGS, ids=[str(row[0]) for row in BAD_SETTINGS])
def test_settings_that_cannot_work_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        GatewaySettings(**change)
    with pytest.raises(ConfigError):
        LiquiditySettings(participation=Decimal(2))


def test_a_start_outside_the_calendar_is_refused(make_desk: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="outside calendar"):
        make_desk(start=date(1980, 1, 1))
