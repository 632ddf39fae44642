"""What may be traded: other currencies, and the symbols of an ArcticDB library."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from strategy_support import Seen, files, spec

from runner.gateway.settings import UNLIMITED

START, END = date(2012, 1, 3), date(2012, 1, 6)
SAP = "{symbol: SAP, exchange: IBIS, currency: EUR}"
LIBRARY = {
    "first.yaml": spec("FIRST", "{library: us_stocks, max_symbols: 2}"),
    "text.yaml": spec("TEXT", "us_stocks"),
    "misfit.yaml": spec("MISFIT", "us_stocks", sizing="{use: fixed_weights, with: {weights: {TSLA: 0.5}}}"),
    "none.yaml": spec("NONE", "no_such_library"),
}


def played(build: Any, texts: dict[str, str], **options: Any) -> Any:
    running = build(texts, start=START, end=END, liquidity=UNLIMITED, **options)
    running.start()
    running.run_to(END)
    return running


def invested(running: Any, name: str) -> dict[str, float]:
    """symbol → value at the entry price, converted, as a fraction of the strategy's equity."""
    rate = running.manager.portfolio_manager.fx_cache.rate
    equity = running.manager.runtime(name).instance.get_equity()
    return {
        fill.instrument.symbol: float(fill.quantity * fill.price * rate(fill.instrument.currency) / equity)
        for fill in Seen(running, name).fills
    }


def test_a_dollar_account_sizes_a_euro_stock_in_dollars(build: Any) -> None:
    texts = files(
        spec("EURO", f"[{SAP}]", schedule="{calendar: XETR}"),
        spec("NATIVE", f"[{SAP}]", schedule="{}"),
        spec("MIXED", f"[{SAP}, AAPL]", bars="{size: 1 day, history: 20}"),
    )
    running = played(build, texts)
    assert running.manager.portfolio_manager.fx_cache.rate("EUR") > Decimal("1.1")
    assert invested(running, "EURO")["SAP"] == pytest.approx(1.0, abs=0.05)
    assert invested(running, "NATIVE")["SAP"] == pytest.approx(1.0, abs=0.05)
    assert running.manager.runtime("NATIVE").calendar == "XETR"
    assert invested(running, "MIXED") == {"SAP": pytest.approx(0.5, abs=0.05), "AAPL": pytest.approx(0.5, abs=0.05)}


def test_a_euro_account_sizes_a_dollar_stock_in_euros(build: Any) -> None:
    running = played(build, files(spec("DOLLAR", "[AAPL]")), base_currency="EUR", cash={"EUR": Decimal(1_000_000)})
    rate = running.manager.portfolio_manager.fx_cache.rate("USD")
    assert Decimal("0.6") < rate < Decimal("0.9")
    assert invested(running, "DOLLAR")["AAPL"] == pytest.approx(1.0, abs=0.05)


def test_a_library_of_the_store_is_a_universe(build: Any) -> None:
    running = build(LIBRARY, start=START, end=END, liquidity=UNLIMITED)
    library = running.manager.ac.get_library("us_stocks", create_if_missing=True)
    for symbol in ("MSFT", "AAPL", "IBM"):
        library.write(symbol, pd.DataFrame({"close": [1.0]}))
    running.start()
    running.run_to(END)
    assert Seen(running, "FIRST").held.keys() == {"AAPL", "IBM"}  # the first two in alphabetical order
    assert Seen(running, "TEXT").held.keys() == {"AAPL", "IBM", "MSFT"}
    assert Seen(running, "MISFIT").phase == "Failed"
    assert "weights has TSLA, which is not in the universe" in running.reason("MISFIT")
    assert "no ArcticDB library called 'no_such_library'" in running.reason("NONE")
