"""Which contracts a client's description finds, by a real gateway's rules."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Any

import pytest

from runner.gateway.exchange import PaperExchange
from runner.gateway.model import ContractQuery, RequestRefused
from runner.gateway.settings import GatewaySettings


@lru_cache(maxsize=1)
def exchange() -> PaperExchange:
    return PaperExchange(GatewaySettings(start=date(2013, 2, 27)))


STK = {"sec_type": "STK", "currency": "USD", "exchange": "SMART"}
FOUND: list[tuple[dict[str, Any], list[int]]] = [
    ({"con_id": 265598}, [265598]),
    ({"con_id": 265598, "exchange": "NASDAQ"}, [265598]),
    ({"con_id": 265598, "exchange": "IBIS"}, []),
    ({"con_id": 5}, []),
    ({"symbol": "AAPL", **STK}, [265598]),
    ({"symbol": "MSFT", **STK, "primary_exchange": "NASDAQ"}, [272093]),
    ({"symbol": "MSFT", **STK, "primary_exchange": "NYSE"}, []),
    ({"symbol": "IBM", "sec_type": "STK"}, [8314]),
    ({"symbol": "GOOG", **STK}, [208813720]),
    ({"symbol": "FB", **STK}, [107113386]),
    ({"symbol": "aapl", **STK}, []),
    ({"symbol": "AAPL", **STK, "currency": "EUR"}, []),
    ({"local_symbol": "AAPL", "sec_type": "STK"}, [265598]),
    ({"symbol": "SAP", "sec_type": "STK", "exchange": "SMART"}, [14204, 900000002]),
    ({"symbol": "SAP", "sec_type": "STK", "exchange": "SMART", "currency": "EUR"}, [14204]),
    ({"symbol": "SAP", "sec_type": "STK", "exchange": "IBIS"}, [14204]),
    ({"symbol": "EUR", "sec_type": "CASH", "currency": "USD", "exchange": "IDEALPRO"}, [12087792]),
    ({"symbol": "USD", "sec_type": "CASH", "currency": "JPY", "exchange": "IDEALPRO"}, [15016059]),
    ({"local_symbol": "EUR.GBP", "sec_type": "CASH"}, [12087807]),
    ({"symbol": "EUR", "sec_type": "CASH", "currency": "USD", "exchange": "SMART"}, []),
    ({"symbol": "SPX", "sec_type": "IND", "exchange": "CBOE"}, [416904]),
    ({"symbol": "ES", "sec_type": "FUT", "exchange": "CME"}, [900201303, 900201306, 900201309, 900201312, 900201403]),
    ({"symbol": "ES", "sec_type": "FUT", "exchange": "CME", "expiry": "201306"}, [900201306]),
    ({"symbol": "ES", "sec_type": "FUT", "expiry": "20130315", "multiplier": "50"}, [900201303]),
    ({"symbol": "ES", "sec_type": "FUT", "expiry": "201306", "multiplier": "5"}, []),
    ({"local_symbol": "ESM3", "sec_type": "FUT"}, [900201306]),
    ({"symbol": "AAPL", "sec_type": "OPT", "exchange": "SMART"}, []),
]


@pytest.mark.parametrize(("query", "con_ids"), FOUND, ids=[str(row[0]) for row in FOUND])
def test_a_description_finds(query: dict[str, Any], con_ids: list[int]) -> None:
    assert [contract.con_id for contract in exchange().find(ContractQuery(**query))] == con_ids


def test_the_exchange_that_was_asked_for_comes_back() -> None:
    assert exchange().find(ContractQuery(con_id=265598))[0].exchange == "SMART"
    (direct,) = exchange().find(ContractQuery(con_id=265598, exchange="NASDAQ"))
    assert (direct.exchange, direct.primary_exchange) == ("NASDAQ", "NASDAQ")


@pytest.mark.parametrize("query", [{"symbol": "AAPL"}, {"symbol": "AAPL", "sec_type": "SHARE"}, {"sec_type": "STK"}])
def test_a_description_without_type_or_symbol_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(RequestRefused) as refused:
        exchange().find(ContractQuery(**query))
    assert refused.value.code == 321


@pytest.mark.parametrize(
    ("pattern", "symbols"),
    [("AA", ["AAPL"]), ("apple", ["AAPL"]), ("SAP", ["SAP", "SAP"]), ("ES", ["ES"]), ("", []), ("zzz", [])],
)
def test_search_by_symbol_or_name(pattern: str, symbols: list[str]) -> None:
    assert [contract.symbol for contract in exchange().search(pattern)] == symbols


def test_whatever_is_simulated_says_so() -> None:
    for query in ({"con_id": 12087792}, {"con_id": 14204}, {"con_id": 900201306}, {"con_id": 416904}):
        assert "(simulated)" in exchange().find(ContractQuery(**query))[0].long_name
    assert "simulated" not in exchange().find(ContractQuery(con_id=265598))[0].long_name
